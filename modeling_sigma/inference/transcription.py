"""From a recording to annotations: signs with times and scores, or sentences where a generative model is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from modeling_sigma.inference.load_pipeline import load_pipeline
from modeling_sigma.inference.model_config import saved_kind
from modeling_sigma.inference.prediction_options import check_language
from modeling_sigma.io.annotations import Annotation
from modeling_sigma.jobs.progress import no_progress
from modeling_sigma.model.model_kinds_sigma import SEGMENTATION, TRANSCRIPTION, served_pipelines
from modeling_sigma.model.pose_clip import PoseClip


SIGN_TIER, SENTENCE_TIER = "signs", "sentences"
_TRANSLATION = "sign-language-translation"
# Pieces in which a generative model reads a recording, cut at pauses where there are any.
_PIECE_SECONDS = 10.0
_DECIMALS = 3  # milliseconds, and scores as files of annotations hold them


class Transcriber:
    """A trained model that annotates recordings.

    Args:
        model (`str` or `Path`):
            The folder of a model, or its name on the Hub: one with a label head or frame scores finds signs, a
            generative model writes sentences.
        labels (`Sequence[str]`, *optional*):
            Those of a label head's labels to choose among.
        language (`str`, *optional*):
            The spoken language of the sentences, for a model that writes; English by default.
        top_k (`int`, *optional*, defaults to 5):
            How many labels with scores each sign gets.
        device (`str`, *optional*):
            Where the models compute, as in [`load_pipeline`].
        segmenter (`str` or `Path`, *optional*):
            A model that finds signs ([`SigmaForSignSegmentation`]); the label head then only names them.

    Attributes:
        tier (`str`): `"signs"` or `"sentences"`.
        vocabulary (`tuple[str, ...]`): The signs that the model can name; empty if it writes freely.

    Raises:
        ValueError: for a model that does neither, or labels that it does not have.
    """

    def __init__(
        self,
        model: str | Path,
        labels: Sequence[str] | None = None,
        language: str | None = None,
        top_k: int = 5,
        device: str | None = None,
        segmenter: str | Path | None = None,
    ) -> None:
        served = served_pipelines(saved_kind(model))
        task = next((name for name in (TRANSCRIPTION, _TRANSLATION) if name in served), None)
        if task is None:
            raise ValueError(
                f"{model}: expected a model that names signs or writes, found one for {next(iter(served))}"
            )
        if labels is not None and task != TRANSCRIPTION:
            raise ValueError(
                f"{model}: expected labels with a model that names signs, received them for one that writes"
            )
        if segmenter is not None and task != TRANSCRIPTION:
            raise ValueError(f"{model}: expected a segmenter with a model that names signs, this one writes")
        self._predictor = load_pipeline(model, task, device)
        self._finder = None if segmenter is None else load_pipeline(segmenter, SEGMENTATION, device)
        self.tier = SIGN_TIER if task == TRANSCRIPTION else SENTENCE_TIER
        self.vocabulary: tuple[str, ...] = ()
        check_language(self._predictor, language)
        self._options: dict[str, Any] = {"language": language or "English"}
        if task == TRANSCRIPTION:
            config = self._predictor.model.config
            names = [name for number, name in sorted(config.id2label.items())]
            if hasattr(self._predictor.model, "ctc_head"):
                if segmenter is not None:
                    raise ValueError(f"{model}: expected a segmenter with a label head, this model has frame scores")
                del names[config.ctc_blank_id]
            self.vocabulary = tuple(names if labels is None else labels)
            self._options = {"top_k": top_k, **({} if labels is None else {"labels": list(labels)})}

    def __call__(self, clip: PoseClip, progress: Callable[[int, int], None] = no_progress) -> tuple[Annotation, ...]:
        """The annotations of a recording, in the order of time.

        Args:
            clip ([`PoseClip`]):
                The recording, of any length, with a frame rate.
            progress (*optional*):
                Called with the pieces done and in all.

        Raises:
            ValueError: for a recording without a frame rate, or in which nobody is seen.
        """
        if self.tier == SENTENCE_TIER:
            found = self._predictor(clip, window_seconds=_PIECE_SECONDS, **self._options)
            progress(1, 1)
            return tuple(
                Annotation(segment["start"], segment["end"], segment["text"], self.tier)
                for segment in found["segments"]
                if segment["text"]
            )
        options = dict(self._options)
        if self._finder is not None:
            options["spans"] = [(sign["start"], sign["end"]) for sign in self._finder(clip, progress=progress)]
        return tuple(
            Annotation(
                round(sign["start"], _DECIMALS),
                round(sign["end"], _DECIMALS),
                sign["label"],
                self.tier,
                scores=tuple((guess["label"], round(guess["score"], _DECIMALS)) for guess in sign["candidates"]),
            )
            for sign in self._predictor(clip, progress=progress, **options)
        )
