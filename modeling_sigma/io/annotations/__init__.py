"""Annotations of recordings: who signed what, and when. Files of ELAN, subtitles, tables and JSON, to one type.

`read_annotations` reads any of these files, and `annotation_text` is the content of a new one. Not here: skeletons
(`modeling_sigma.io`), and the labels of corpora that have tables of their own (`datasets_scripts`).
"""

from __future__ import annotations

from modeling_sigma.io.annotations.annotation import AnnotatedRecording, Annotation, Tier
from modeling_sigma.io.annotations.annotation_files import ANNOTATION_SUFFIXES, annotation_text, read_annotations


__all__ = ["ANNOTATION_SUFFIXES", "AnnotatedRecording", "Annotation", "Tier", "annotation_text", "read_annotations"]
