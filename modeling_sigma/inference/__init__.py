"""Trained models at work: a pipeline for any folder or Hub name, predictions for a corpus and their scores, search
among clips and texts, and the dictionary of signs that is searched by signing.

Not here: the pipelines themselves, which travel with a checkpoint (`model`).
"""
