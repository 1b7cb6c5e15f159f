"""Trained models at work: a pipeline for any folder or Hub name, a corpus through a model and its scores, search.

Not here: the pipelines themselves, which travel with a checkpoint (`model`).
"""
