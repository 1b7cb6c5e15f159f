"""Training of Sigma models."""
