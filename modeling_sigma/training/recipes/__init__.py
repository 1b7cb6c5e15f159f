"""Whole runs from arguments to a saved model: pre-training, fine-tuning, adapting, and the demo.

Not here: anything that two of them share (`task.py`, `run`).
"""
