"""A model of any kind, and what a service can be asked of it: predictions, vectors, a search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modeling_sigma.conversion.export_bundle import is_bundle, read_bundle
from modeling_sigma.inference.embedding_index import EmbeddingIndex, model_fingerprint
from modeling_sigma.inference.load_pipeline import load_pipeline
from modeling_sigma.inference.model_config import saved_kind
from modeling_sigma.inference.prediction_options import PREDICTING, clip_result, prediction_options
from modeling_sigma.model.model_kinds_sigma import FEATURES, PIPELINE_KINDS, served_pipelines
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.registration import defined_class


_CHOOSING, _COMPARING = "isolated-sign-recognition", "sign-text-retrieval"


class ServedModel:
    """The pipelines of one model; those that need the same class share its weights.

    Args:
        model (`str`):
            The folder of a model, or its name on the Hub.
        index (`str`, *optional*):
            The folder of an index that this model made.
        device (`str`, *optional*, defaults to `"cpu"`):
            The device to compute on.

    Raises:
        ValueError, OSError: as [`load_pipeline`], or for an index that the model cannot search.
    """

    def __init__(self, model: str, index: str | None = None, device: str = "cpu") -> None:
        self._name, self._device = model, device
        self._auto_classes = {} if is_bundle(model) else served_pipelines(saved_kind(model))
        self._pipelines: dict[str, Any] = {}
        first = load_pipeline(model, None, device)
        self._pipelines[first.task] = first
        self.task: str = first.task
        self._pipeline(FEATURES)
        self._index = None if index is None else self._open_index(index)

    @property
    def name(self) -> str:
        """The model's name without the folders that lead to it: paths of a server are nobody's business."""
        return Path(self._name).name

    @property
    def predicts(self) -> bool:
        """Whether it predicts; models that only compare do not."""
        return self.task in PREDICTING

    @property
    def chooses(self) -> bool:
        """Whether it can choose among labels."""
        return _CHOOSING in (self._auto_classes or read_bundle(self._name).facts["pipelines"])

    @property
    def searches(self) -> bool:
        """Whether there is an index to search."""
        return self._index is not None

    def predict(
        self, clips: list[Any], top_k: int, language: str, labels: Sequence[str] | None
    ) -> list[dict[str, Any]]:
        """For each clip its result, as `sigma-slu predict --json` prints it.

        Raises:
            ValueError: for clips in which nobody is seen, and labels that the model cannot choose among.
        """
        pipe = self._pipeline(_CHOOSING if labels else self.task)
        options = prediction_options(pipe.task, top_k, language, labels)
        return [clip_result(output, top_k) for output in pipe(clips, batch_size=len(clips), **options)]

    def embed(self, clips: list[Any], language: str) -> list[list[float]]:
        """The unit vector of each clip.

        Raises:
            ValueError: for clips in which nobody is seen.
        """
        vectors = self._pipeline(FEATURES)(clips, batch_size=len(clips), language=language)
        return [vector.tolist() for vector in vectors]

    def search(self, queries: list[Any], top_k: int) -> list[list[dict[str, Any]]]:
        """For each clip or text its results in the index, best first, as `sigma-slu search --json` prints them.

        Raises:
            ValueError: for clips in which nobody is seen, and texts without words.
        """
        assert self._index is not None
        kind = "clips" if isinstance(queries[0], PoseClip) else "texts"
        vectors = self._pipeline(_COMPARING)(queries, inputs_are=kind, batch_size=len(queries))
        scores, rows = self._index.search(np.stack([vector.float().cpu().numpy() for vector in vectors]), top_k)
        name, entries = self._index.kind[:-1], self._index.entries
        return [
            [{name: entries[row], "score": round(float(score), 4)} for score, row in zip(*found, strict=True)]
            for found in zip(scores, rows, strict=True)
        ]

    def _open_index(self, folder: str) -> EmbeddingIndex:
        index = EmbeddingIndex.load(folder)
        if model_fingerprint(self._pipeline(_COMPARING).model) != index.fingerprint:
            raise ValueError(
                f"{folder}: expected an index that this model made, found one of {index.model}: build it again with "
                "`sigma-slu index`"
            )
        return index

    def _pipeline(self, task: str) -> Any:
        if task not in self._pipelines:
            auto_class = self._auto_classes.get(task)
            alike = [self._pipelines[name] for name in self._pipelines if self._auto_classes.get(name) == auto_class]
            if auto_class is None or not alike:
                self._pipelines[task] = load_pipeline(self._name, task, self._device)
            else:
                self._pipelines[task] = _with_model_of(alike[0], task)
        return self._pipelines[task]


def _with_model_of(pipe: Any, task: str) -> Any:
    """Another pipeline with the same weights."""
    if pipe.processor is None:
        reader = {"feature_extractor": pipe.feature_extractor}
    else:
        reader = {"processor": pipe.processor}
    return defined_class(PIPELINE_KINDS[task])(model=pipe.model, task=task, device=pipe.device, **reader)
