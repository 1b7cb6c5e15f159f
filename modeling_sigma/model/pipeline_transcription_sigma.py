"""`pipeline("sign-transcription")`: which signs a recording has, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from .clip_making import as_pose_clip, split_clips
from .clip_windows_sigma import cut_at_pauses
from .ctc_decoding_sigma import decode_greedily, name_spans
from .modeling_sigma import given
from .pipeline_arguments_sigma import only_clip_arguments
from .pipeline_base_sigma import SigmaPipeline
from .pose_clip import PoseClip
from .sign_windows_sigma import (
    Window,
    best_windows,
    candidate_windows,
    evidence_of,
    frame_rate_of,
    signing_stretches,
    windows_of,
)


TOP_K = 5
_BATCH_SIZE = 32
# Pieces in which a model with frame scores reads a recording; it knows sentences, not hours.
_PIECE_SECONDS = 8.0


class SignTranscriptionPipeline(SigmaPipeline):
    """Finds signs in recordings of any length, and names them.

    With a label head ([`SigmaForSequenceClassification`]) windows of many lengths are scored, and those kept that are
    most like signs; with frame scores ([`SigmaForCTC`]) the spans of its glosses are. Neither keeps more than a batch
    of windows in memory.

    Inputs are recordings with a frame rate, as in [`SignLanguageTranslationPipeline`]; one in which nobody is seen is
    a `ValueError`.

    Call arguments: `top_k` (5 by default), `labels` (those of the model's to choose among), `spans` (where signs are,
    as `(start, end)` in seconds, as [`SignSegmentationPipeline`] finds them: a label head then only names them),
    `batch_size` (32 by default), `progress` (called with the windows done and in all), `max_frames`, `allow_unseen`,
    `coordinates`, `aspect_ratio`.

    Returns:
        A list for each recording, in the order of time, of `{"start", "end"}` (seconds), `"label"`, `"score"` (its
        probability) and `"candidates"`, a list of `{"label", "score"}`, best first.
    """

    _load_processor = None
    _load_feature_extractor = None

    def __call__(
        self,
        inputs: Any,
        *args: Any,
        batch_size: int | None = None,
        progress: Callable[[int, int], None] | None = None,
        spans: Sequence[tuple[float, float]] | None = None,
        **kwargs: Any,
    ) -> Any:
        def found_in(one: Any) -> list[dict[str, Any]]:
            clip = as_pose_clip(one, kwargs.get("coordinates"), kwargs.get("aspect_ratio"))
            fps = frame_rate_of(clip)
            if not signing_stretches(clip):
                if kwargs.get("allow_unseen"):
                    return []
                raise ValueError(self.extractor.explain_unseen(clip))
            if spans is not None:
                chosen = windows_of(spans, fps, len(clip))
                named = answers(clip, chosen, progress)
                return [_sign(answer["candidates"], *window, fps) for answer, window in zip(named, chosen)]
            if self._has_frame_scores:
                pieces = cut_at_pauses(clip, _PIECE_SECONDS)
                return _spans_in_time(list(answers(clip, pieces, progress)), pieces, fps)
            windows = candidate_windows(clip)
            evidence = [answer["evidence"] for answer in answers(clip, windows, progress)]
            # Naming the chosen ones anew takes little time, and keeping the names of all would take much memory.
            chosen = [windows[number] for number in best_windows(windows, evidence, fps)]
            return [_sign(answer["candidates"], *window, fps) for answer, window in zip(answers(clip, chosen), chosen)]

        def answers(
            clip: PoseClip, pieces: list[Window], progress: Callable[[int, int], None] | None = None
        ) -> Iterator[dict[str, Any]]:
            cuts = (clip.frames(slice(*piece)) for piece in pieces)
            options = {**kwargs, "batch_size": batch_size or _BATCH_SIZE, "allow_unseen": True}
            for done, answer in enumerate(call(cuts, *args, **options) if pieces else (), 1):
                yield answer
                if progress is not None:
                    progress(done, len(pieces))

        call = super().__call__
        if spans is not None and (self._has_frame_scores or isinstance(inputs, (Iterator, list, tuple))):
            raise ValueError("expected spans with one recording and a label head, received several, or frame scores")
        if isinstance(inputs, Iterator):
            return (found_in(one) for one in inputs)
        clips, is_batch = split_clips(inputs)
        return [found_in(one) for one in clips] if is_batch else found_in(clips[0])

    @property
    def _has_frame_scores(self) -> bool:
        return hasattr(self.model, "ctc_head")

    def _sanitize_parameters(
        self, top_k: int | None = None, labels: Sequence[str] | None = None, **options: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        rows = None if labels is None else self._rows_of(list(labels))
        return only_clip_arguments(options), {}, given({"top_k": top_k, "rows": rows})

    def _rows_of(self, labels: list[str]) -> list[int]:
        known = {label: number for number, label in self.model.config.id2label.items()}
        unknown = [label for label in labels if label not in known]
        if unknown or not labels or self._has_frame_scores:
            raise ValueError(
                f"expected labels of a label head, some of {len(known)}, received "
                + (f"{len(unknown)} others, first {unknown[0]!r}" if unknown else "none, or a model with frame scores")
            )
        return [known[label] for label in labels]

    def preprocess(self, inputs: Any, **options: Any) -> dict[str, Any]:
        clip = as_pose_clip(inputs)
        features = super().preprocess(clip, **options)
        # Tensors, which batches stack.
        features["clip_length"] = torch.tensor([len(clip)])
        features["is_seen"] = (features["pose_values"][..., 2] != 0).any().reshape(1)
        return features

    def _forward(self, model_inputs: dict[str, Any]) -> dict[str, Any]:
        about = {name: model_inputs.pop(name) for name in ("clip_length", "is_seen")}
        num_frames = model_inputs["pose_attention_mask"].sum(dim=1)
        return {**about, "logits": self.model(**model_inputs).logits, "num_frames": num_frames}

    def postprocess(
        self, model_outputs: dict[str, Any], top_k: int = TOP_K, rows: Sequence[int] | None = None
    ) -> dict[str, Any]:
        """Of a window its evidence and best labels, or the spans of a piece."""
        logits, names = model_outputs["logits"], self.model.config.id2label
        self._check_numbers(logits)
        is_seen = bool(model_outputs["is_seen"])
        if self._has_frame_scores:
            if not is_seen:
                return {"spans": []}
            num_frames = model_outputs["num_frames"]
            best = decode_greedily(logits, num_frames, self.model.config.ctc_blank_id)[0]
            return {"spans": name_spans(best.spans, names, int(model_outputs["clip_length"]), int(num_frames), None)}
        logits = logits.float().squeeze(0)
        numbers = list(range(len(logits))) if rows is None else list(rows)
        scores, places = torch.softmax(logits[numbers], dim=-1).topk(min(top_k, len(numbers)))
        candidates = [
            {"label": names[numbers[place]], "score": score} for place, score in zip(places.tolist(), scores.tolist())
        ]
        evidence = float(evidence_of(logits.cpu().numpy())) if is_seen else 0.0
        return {"evidence": evidence, "candidates": candidates}


def _sign(candidates: list[dict[str, Any]], start: int, stop: int, fps: float) -> dict[str, Any]:
    return {"start": start / fps, "end": stop / fps, **candidates[0], "candidates": candidates}


def _spans_in_time(answers: list[dict[str, Any]], pieces: list[Window], fps: float) -> list[dict[str, Any]]:
    """The spans of all pieces. Where pieces overlap, each says what lies in its half."""
    found = []
    for number, (answer, (start, stop)) in enumerate(zip(answers, pieces)):
        first = (pieces[number - 1][1] + start) / 2 if number else 0
        last = (pieces[number + 1][0] + stop) / 2 if number + 1 < len(pieces) else stop
        for span in answer["spans"]:
            begin, end = start + span["start"], start + span["end"]
            if first <= (begin + end) / 2 < last:
                found.append(_sign([{"label": span["gloss"], "score": span["score"]}], begin, end, fps))
    return found
