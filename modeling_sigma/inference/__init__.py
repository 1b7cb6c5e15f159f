"""Trained models at work: a pipeline for any folder or Hub name, predictions for a corpus and their scores, search
among clips and texts, the dictionary of signs that is searched by signing, and signs in a stream of frames.

Not here: the pipelines themselves, which travel with a checkpoint (`model`).
"""

from __future__ import annotations

from modeling_sigma.inference.sign_segmentation import segment_signs
from modeling_sigma.inference.sign_stream import SignEvent, SignStream


__all__ = ["SignEvent", "SignStream", "segment_signs"]
