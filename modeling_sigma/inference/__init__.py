"""Trained models at work: a pipeline for any folder or Hub name, predictions for a corpus and their scores, search.

Not here: the pipelines themselves, which travel with a checkpoint (`model`).
"""
