"""Pictures of skeletons and of what the model makes of them."""
