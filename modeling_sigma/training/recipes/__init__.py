"""Whole runs from arguments to a saved model: pre-training, fine-tuning, adapting, and the demo."""
