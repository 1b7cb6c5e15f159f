"""Trained models at work: a pipeline for any folder or Hub name, a corpus through a model, search among clips.

Not here: the pipelines themselves, which travel with a checkpoint (`model`).
"""
