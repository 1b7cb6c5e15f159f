"""Pipelines of exported models: they answer as those of `model/` do, with ONNX Runtime and numpy alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from transformers.utils import logging

from modeling_sigma.conversion.export_bundle import OnnxBundle
from modeling_sigma.inference.onnx_generation import log_softmax, score_texts, write_greedily, write_with_beams
from modeling_sigma.inference.onnx_model import OnnxModel
from modeling_sigma.model.calibration_sigma import (
    NOT_CALIBRATED,
    Calibration,
    calibrated_answers,
    check_prediction_set,
    movement,
)
from modeling_sigma.model.clip_making import as_pose_clip, split_clips
from modeling_sigma.model.clip_windows_sigma import LongClips
from modeling_sigma.model.ctc_decoding_sigma import decode_greedily, decode_with_beams, name_spans
from modeling_sigma.model.model_kinds_sigma import FEATURES, SEGMENTATION
from modeling_sigma.model.pipeline_arguments_sigma import check_arguments
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.sign_finding_sigma import SignFinding
from modeling_sigma.model.unseen_clips import SignerChecks


logger = logging.get_logger(__name__)

# As the torch pipelines write where generation_config.json says nothing.
_WRITING_DEFAULTS = {"num_beams": 4, "max_new_tokens": 100}
_WRITING_OPTIONS = ("num_beams", "max_new_tokens", "num_return_sequences", "length_penalty", "early_stopping")


class OnnxPipeline(SignerChecks):
    """What pipelines of exported models share: they read clips, and hand them to the model in batches.

    Args:
        model ([`OnnxModel`]):
            The exported model.
        task (`str`):
            The name of the pipeline.

    Call arguments: `batch_size` (1 by default), `language`, `max_frames`, `allow_unseen`, `coordinates`,
    `aspect_ratio`, and those of the subclass, as in the pipeline of the same name in torch.
    """

    def __init__(self, model: OnnxModel, task: str) -> None:
        from modeling_sigma.model.feature_extraction_sigma import SigmaFeatureExtractor

        self.model, self.task = model, task
        folder = model.bundle.folder
        self.extractor = SigmaFeatureExtractor.from_pretrained(folder)
        self.feature_extractor = self.extractor
        self.processor: Any = None
        if (folder / "processor_config.json").is_file():
            from modeling_sigma.model.processing_sigma import SigmaProcessor

            self.processor = SigmaProcessor.from_pretrained(folder)

    def __call__(self, inputs: Any, batch_size: int = 1, **options: Any) -> Any:
        """The answer for one clip, or a list of answers for several; an iterator gives them one by one."""
        reading: dict[str, Any] = {
            name: options.pop(name)
            for name in ("language", "max_frames", "allow_unseen", "coordinates", "aspect_ratio")
            if name in options
        }
        if batch_size < 1:
            raise ValueError(f"expected batch_size >= 1, received {batch_size}")
        options = self.check_options(**options)
        if isinstance(inputs, Iterator):
            return self._answers(inputs, batch_size, reading, options)
        if isinstance(inputs, (list, tuple)) and not inputs:
            return []
        clips, is_batch = split_clips(inputs)
        answers = list(self._answers(clips, batch_size, reading, options))
        return answers if is_batch else answers[0]

    def check_options(self, **options: Any) -> dict[str, Any]:
        """The options of `answer`, checked before a clip is read."""
        if options:
            raise TypeError(f"{type(self).__name__} received arguments that it does not know: {', '.join(options)}")
        return {}

    def answer(self, clips: Sequence[PoseClip], features: dict[str, np.ndarray], **options: Any) -> list[Any]:
        """The answer for each clip of a batch."""
        raise NotImplementedError

    def _answers(
        self, inputs: Iterable[Any], batch_size: int, reading: dict[str, Any], options: dict[str, Any]
    ) -> Iterator[Any]:
        batch: list[PoseClip] = []
        units = {name: reading.get(name) for name in ("coordinates", "aspect_ratio")}
        for entry in inputs:
            batch.append(as_pose_clip(entry, **units))
            if len(batch) == batch_size:
                yield from self.answer(batch, self._read(batch, reading), **options)
                batch = []
        if batch:
            yield from self.answer(batch, self._read(batch, reading), **options)

    def _read(self, clips: list[PoseClip], reading: dict[str, Any]) -> dict[str, np.ndarray]:
        max_frames = reading.get("max_frames")
        if self.processor is not None and self.model.config.use_prompt:
            language = reading.get("language", "English")
            read = self.processor(poses=clips, language=language, max_frames=max_frames, return_tensors="np")
        else:
            read = self.extractor(clips, max_frames=max_frames, return_tensors="np")
        features = {name: np.asarray(value) for name, value in read.items()}
        if not reading.get("allow_unseen"):
            for clip, scores in zip(clips, features["pose_values"][..., 2], strict=True):
                self.check_scores(scores, clip)
        return features


class OnnxFeatureExtraction(OnnxPipeline):
    """`sign-feature-extraction`: one unit vector per clip, a `np.ndarray` of shape `(hidden_size,)`."""

    def answer(self, clips: Sequence[PoseClip], features: dict[str, np.ndarray], **options: Any) -> list[Any]:
        return list(self.model.read_clips(features)["pose_embeds"])


class _WritingOnnxPipeline(OnnxPipeline):
    """What pipelines share whose model may write text."""

    def writing_options(self, **options: Any) -> dict[str, Any]:
        """Options of a search: the model's own where a call says nothing.

        Raises:
            ValueError: for options that exported models do not have.
        """
        unknown = options.keys() - {*_WRITING_OPTIONS, "max_length"}
        if unknown:
            raise ValueError(
                f"expected options of an exported model ({', '.join(_WRITING_OPTIONS)}), received "
                f"{', '.join(sorted(unknown))}: only torch models do that"
            )
        if options.get("max_length") is not None:
            options.setdefault("max_new_tokens", options.pop("max_length") - 1)
        saved = self.model.bundle.read_json("generation_config.json")
        known = {name: saved[name] for name in _WRITING_OPTIONS if saved.get(name) is not None}
        chosen = {
            **_WRITING_DEFAULTS,
            **known,
            **{name: value for name, value in options.items() if value is not None},
        }
        wrong = [name for name in ("num_beams", "max_new_tokens", "num_return_sequences") if chosen.get(name, 1) < 1]
        if wrong or chosen.get("num_return_sequences", 1) > chosen["num_beams"]:
            raise ValueError(
                "expected num_beams >= num_return_sequences >= 1 and max_new_tokens >= 1, received "
                + ", ".join(f"{name}={chosen[name]}" for name in _WRITING_OPTIONS if name in chosen)
            )
        return chosen

    def write(self, features: dict[str, np.ndarray], num_beams: int, max_new_tokens: int, **options: Any) -> Any:
        """The texts of each clip, best first."""
        encoded = self.model.read_clips(features)
        if num_beams == 1:
            found = [[text] for text in write_greedily(self.model, encoded, max_new_tokens)]
        else:
            found = write_with_beams(self.model, encoded, max_new_tokens, num_beams, **options)
        return [
            [text.strip() for text in self.processor.batch_decode(texts, skip_special_tokens=True)] for texts in found
        ]


class OnnxTranslation(LongClips, _WritingOnnxPipeline):
    """`sign-language-translation`: `{"text"}` for each clip, or a list of them with `num_return_sequences > 1`.

    Of `generate`'s arguments it takes `num_beams`, `max_new_tokens`, `num_return_sequences`, `length_penalty` and
    `early_stopping`; also `window_seconds` and `stride_seconds`.
    """

    def check_options(self, **options: Any) -> dict[str, Any]:
        return self.writing_options(**options)

    def answer(self, clips: Sequence[PoseClip], features: dict[str, np.ndarray], **options: Any) -> list[Any]:
        results = [[{"text": text} for text in texts] for texts in self.write(features, **options)]
        return [result[0] if len(result) == 1 else result for result in results]


class OnnxIsolatedRecognition(OnnxPipeline):
    """`isolated-sign-recognition`: a list of `{"label", "score"}` for each clip, best first.

    Call arguments: `top_k` (5 by default), `labels` to choose among, and `prediction_set`; calibrated models answer as
    in [`IsolatedSignRecognitionPipeline`]. A model that writes computes the likelihood of each label; it does not
    search among them (`num_beams`), which only torch models do.
    """

    def check_options(  # type: ignore[override]
        self,
        top_k: int = 5,
        labels: Sequence[str] | None = None,
        num_beams: int | None = None,
        prediction_set: float | None = None,
    ) -> dict[str, Any]:
        if num_beams is not None:
            raise ValueError("expected no num_beams: an exported model computes the likelihood of every label")
        if top_k < 1:
            raise ValueError(f"expected top_k >= 1, received {top_k}")
        check_arguments({"prediction_set": prediction_set})
        if prediction_set is not None:
            check_prediction_set(self.calibration, prediction_set, labels)
        named = self.model.config.id2label
        if self.model.can_generate():
            labels = [named[number] for number in sorted(named)] if labels is None else list(labels)
            if not labels or all(label == f"LABEL_{number}" for number, label in enumerate(labels)):
                raise ValueError("expected labels=[...] to choose among, received none: this model writes text")
            return {"top_k": top_k, "labels": labels, "tokens": self._tokens(labels)}
        if labels is None:
            names = [named[number] for number in sorted(named)]
            return {"top_k": top_k, "labels": names, "prediction_set": prediction_set}
        known = {label: number for number, label in named.items()}
        unknown = [label for label in labels if label not in known]
        if unknown or not labels:
            raise ValueError(
                f"expected some of the model's {len(known)} labels, received "
                + (f"{len(unknown)} others, first {unknown[0]!r}" if unknown else "none")
            )
        return {"top_k": top_k, "labels": list(labels), "rows": [known[label] for label in labels]}

    @property
    def calibration(self) -> Calibration | None:
        """What the scores mean; None where that was not measured, and for models that write."""
        return None if self.model.can_generate() else Calibration.of_config(self.model.config)

    def _tokens(self, labels: Sequence[str]) -> list[list[int]]:
        tokens: list[list[int]] = self.processor.tokenizer(list(labels), add_special_tokens=True)["input_ids"]
        if len({tuple(one) for one in tokens}) < len(labels) or min(map(len, tokens)) < 2:
            raise ValueError("expected labels that the tokenizer tells apart, received some with the same tokens")
        return tokens

    def answer(self, clips: Sequence[PoseClip], features: dict[str, np.ndarray], **options: Any) -> list[Any]:
        found = self.model.read_clips(features)
        calibration = self.calibration
        if calibration is not None:
            moves = movement(features["pose_values"], features["pose_attention_mask"])
            names, rows = options["labels"], options.get("rows")
            chosen: dict[str, Any] = {name: options.get(name) for name in ("top_k", "prediction_set")}
            return [
                calibrated_answers(row, float(moved), calibration, names, rows, **chosen)
                for row, moved in zip(found["logits"], moves, strict=True)
            ]
        logger.warning_once(NOT_CALIBRATED)
        if "tokens" in options:
            logits = score_texts(self.model, found, options["tokens"])
        else:
            logits = found["logits"] if "rows" not in options else found["logits"][:, options["rows"]]
        labels, results = options["labels"], []
        for row in np.exp(log_softmax(logits)):
            best = np.argsort(-row, kind="stable")[: options["top_k"]].tolist()
            results.append(
                [{"label": labels[number], "score": float(row[number])} for number in best if row[number] > 0]
            )
        return results


class OnnxContinuousRecognition(_WritingOnnxPipeline):
    """`continuous-sign-recognition`: `{"glosses", "text"}` for each clip, with `"spans"` of a CTC model.

    Call arguments: `num_beams` (frame scores: 10 by default, 1 takes the best label of each frame); of a model that
    writes glosses those of `OnnxTranslation`.
    """

    def check_options(self, **options: Any) -> dict[str, Any]:
        if self.model.can_generate():
            return self.writing_options(**options)
        unknown = options.keys() - {"num_beams"}
        if unknown:
            raise ValueError(f"expected num_beams, received {sorted(unknown)}")
        return {"num_beams": 10, **options}

    def answer(self, clips: Sequence[PoseClip], features: dict[str, np.ndarray], **options: Any) -> list[Any]:
        if self.model.can_generate():
            texts = [[text.split() for text in one] for one in self.write(features, **options)]
            results = [[{"glosses": glosses, "text": " ".join(glosses)} for glosses in one] for one in texts]
            return [result[0] if len(result) == 1 else result for result in results]
        logits, num_frames = self.model.read_clips(features)["logits"], features["pose_attention_mask"].sum(axis=1)
        blank_id = self.model.config.ctc_blank_id
        if options["num_beams"] == 1:
            found = decode_greedily(logits, num_frames, blank_id)
        else:
            found = [best[0] for best in decode_with_beams(logits, num_frames, blank_id, options["num_beams"])]
        answers = []
        for clip, one, frames in zip(clips, found, num_frames.tolist(), strict=True):
            spans = name_spans(one.spans, self.model.config.id2label, len(clip), frames, clip.fps)
            glosses = [span["gloss"] for span in spans]
            answers.append({"glosses": glosses, "text": " ".join(glosses), "spans": spans})
        return answers


class OnnxSegmentation(SignFinding, OnnxPipeline):
    """`sign-segmentation`: `{"start", "end", "score"}` of each sign of a recording."""

    def answer(self, clips: Sequence[PoseClip], features: dict[str, np.ndarray], **options: Any) -> list[Any]:
        logits, num_frames = self.model.read_clips(features)["logits"], features["pose_attention_mask"].sum(axis=1)
        return [np.exp(log_softmax(one[:count])) for one, count in zip(logits, num_frames.tolist(), strict=True)]


_PIPELINES: dict[str, type[OnnxPipeline]] = {
    FEATURES: OnnxFeatureExtraction,
    "sign-language-translation": OnnxTranslation,
    "isolated-sign-recognition": OnnxIsolatedRecognition,
    "continuous-sign-recognition": OnnxContinuousRecognition,
    SEGMENTATION: OnnxSegmentation,
}


def load_onnx_pipeline(bundle: OnnxBundle, task: str | None = None, device: str | None = None) -> OnnxPipeline:
    """The pipeline of an exported model; see [`load_pipeline`].

    Raises:
        ValueError: if the model does not serve the task.
    """
    served = [name for name in bundle.facts["pipelines"] if name in _PIPELINES]
    task = task or served[0]
    if task not in served:
        raise ValueError(f"{bundle.folder}: expected a task among {', '.join(served)}, received {task!r}")
    return _PIPELINES[task](OnnxModel(bundle, device or "cpu"), task)
