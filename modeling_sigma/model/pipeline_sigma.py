"""Pipelines: a clip (path, PoseClip, array, dict), or a list or generator of them, to text or labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig
from transformers.utils import logging

from .calibration_sigma import NOT_CALIBRATED, Calibration, calibrated_answers, check_prediction_set, movement
from .clip_making import as_pose_clip
from .clip_windows_sigma import LongClips
from .ctc_decoding_sigma import decode_greedily, decode_with_beams, name_spans
from .label_search_sigma import score_labels
from .label_trie_sigma import LabelTrie
from .modeling_sigma import given
from .pipeline_arguments_sigma import CLIP_ARGUMENTS, only_clip_arguments, take_clip_arguments
from .pipeline_base_sigma import SigmaPipeline
from .sequence_score_sigma import sequence_scores


logger = logging.get_logger(__name__)

TOP_K = 5


class _WritingPipeline(SigmaPipeline):
    """What pipelines with a generative model share."""

    _pipeline_calls_generate = True
    # As the paper decodes. What a checkpoint's own generation_config.json says comes first.
    _default_generation_config = GenerationConfig(max_new_tokens=100, num_beams=4)

    def _write(self, model_inputs: dict[str, Any], generate_kwargs: dict[str, Any]) -> torch.Tensor:
        """What the model writes about each clip of a batch, `(B, sequences, L)`."""
        num_clips = len(model_inputs["pose_values"])
        options = self._prepare_generate_kwargs(generate_kwargs)
        tokens = self.model.generate(**model_inputs, **options)
        return tokens.reshape(num_clips, -1, tokens.shape[-1])

    def _written(self, tokens: torch.Tensor) -> list[str]:
        """The texts of one clip, best first."""
        texts = self.processor.batch_decode(tokens.reshape(-1, tokens.shape[-1]), skip_special_tokens=True)
        return [text.strip() for text in texts]


class SignLanguageTranslationPipeline(LongClips, _WritingPipeline):
    """`pipeline("sign-language-translation")`: writes what is signed in a clip.

    Inputs are file paths (with the sigma-slu package installed), [`PoseClip`]s, arrays and tensors `(T, K, 3)` or
    `(T, K, 2)`, lists of frames `(K, 3)`, dicts of keypoints and scores, and rows of our data sets; lists and
    generators of them are batched with `batch_size`. A clip in which nobody is seen is a `ValueError`.

    Call arguments: `language` (spoken language to write, "English" by default), `max_frames`, `allow_unseen` (to read
    clips without anybody too, `False` by default), `coordinates` (`"pixels"` or `"shares"`) and `aspect_ratio` of
    clips that do not state theirs, `num_return_sequences`, `return_scores`, and everything `generate` takes.
    `window_seconds` (and `stride_seconds`) cuts long clips at pauses or into overlapping windows: the result then has
    `"text"`, stitched, and `"segments"` with `"start"`, `"end"` (seconds) and `"text"`, empty where nobody is seen.

    Returns:
        `dict` with `"text"` for each clip; a list of such dicts, best first, with `num_return_sequences > 1`. With
        `return_scores=True` also `"score"` in [0, 1]: see [`sequence_scores`]. It ranks texts; it is no probability
        that a text is true.
    """

    def _sanitize_parameters(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return take_clip_arguments(options), options, {}

    def _forward(
        self, model_inputs: dict[str, Any], return_scores: bool = False, **generate_kwargs: Any
    ) -> dict[str, Any]:
        tokens = self._write(model_inputs, generate_kwargs)
        if not return_scores:
            return {"tokens": tokens}
        return {
            "tokens": tokens,
            "scores": sequence_scores(self.model, self.model.encode_poses(**model_inputs), tokens),
        }

    def postprocess(self, model_outputs: dict[str, Any]) -> dict[str, Any] | list[dict[str, Any]]:
        results: list[dict[str, Any]] = [{"text": text} for text in self._written(model_outputs["tokens"])]
        if "scores" in model_outputs:
            self._check_numbers(model_outputs["scores"])
            for result, score in zip(results, model_outputs["scores"].flatten().tolist(), strict=True):
                result["score"] = score
        return results[0] if len(results) == 1 else results


class _SignRecognitionPipeline(_WritingPipeline):
    """What isolated and continuous recognition share: label heads need clips only, generative models a prompt too."""

    _load_processor = None
    _load_feature_extractor = None


class IsolatedSignRecognitionPipeline(_SignRecognitionPipeline):
    """`pipeline("isolated-sign-recognition")`: names the one sign in a clip.

    With a label head ([`SigmaForSequenceClassification`]), among all of its labels or some, or with a model that
    writes ([`SigmaForConditionalGeneration`]) and the set of `labels` that it may choose from.

    Inputs as in [`SignLanguageTranslationPipeline`].

    Call arguments: `top_k` (5 by default), `max_frames`, `language`, `allow_unseen`, `coordinates`, `aspect_ratio`,
    `labels` (by default the configuration's, if it names any), and for generative models `num_beams`. The likelihood
    of every label that can be among the best is computed; with `num_beams` a beam search looks for them instead.
    `prediction_set=0.9` gives, in place of the `top_k` best, as many labels as it takes to hold the true one in 90 %
    of all clips of known signs, if the model is calibrated.

    Returns:
        A list of `{"label": str, "score": float}`, best first, for each clip. Scores are probabilities among the
        labels (with `num_beams` among those that the search found). If the model is calibrated ([`Calibration`]), they
        can be believed, and each entry also has `"unknown"`: whether the clip shows no sign that the model knows, or
        nobody signs in it. `"reason"` then says which, in words.
    """

    _non_generation_params = ("top_k", "num_beams", "prediction_set")

    def _sanitize_parameters(
        self,
        top_k: int | None = None,
        labels: Sequence[str] | None = None,
        num_beams: int | None = None,
        prediction_set: float | None = None,
        **options: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        labels = None if labels is None else list(labels)
        forward = {"labels": labels, "num_beams": num_beams, "top_k": top_k}
        postprocess = {"top_k": top_k, "labels": labels, "prediction_set": prediction_set}
        if prediction_set is not None:
            check_prediction_set(self.calibration, prediction_set, labels)
        if not self.model.can_generate() and num_beams is not None:
            raise ValueError("num_beams is for generative models, received it for one with a label head: leave it out")
        if labels is not None and not self.model.can_generate():
            self._rows_of(labels)
        return only_clip_arguments(options), given(forward), given(postprocess)

    def _forward(
        self,
        model_inputs: dict[str, Any],
        labels: Sequence[str] | None = None,
        num_beams: int | None = None,
        top_k: int = TOP_K,
    ) -> dict[str, Any]:
        if not self.model.can_generate():
            logits = self.model(**model_inputs).logits
            if self.calibration is None:  # nobody asks whether the hands move
                return {"logits": logits}
            read = [model_inputs[name].float().cpu().numpy() for name in ("pose_values", "pose_attention_mask")]
            return {"logits": logits, "movement": torch.from_numpy(movement(*read))}
        trie = self._trie(self._labels(labels))
        if num_beams is None:
            return {"logits": score_labels(self.model, self.model.encode_poses(**model_inputs), trie, top_k)}
        return {"logits": self._search_labels(model_inputs, trie, min(num_beams, len(trie)))}

    def postprocess(
        self,
        model_outputs: dict[str, Any],
        top_k: int = TOP_K,
        labels: Sequence[str] | None = None,
        prediction_set: float | None = None,
    ) -> list[dict[str, Any]]:
        self._check_numbers(model_outputs["logits"])
        logits = model_outputs["logits"].float().squeeze(0)
        is_head = not self.model.can_generate()
        rows = self._rows_of(labels) if is_head and labels is not None else None
        names = self.model.config.id2label if is_head and labels is None else self._labels(labels)
        calibration = self.calibration
        if calibration is not None:
            moved = float(model_outputs["movement"])
            return calibrated_answers(
                logits.numpy(), moved, calibration, names, rows, top_k=top_k, prediction_set=prediction_set
            )
        logger.warning_once(NOT_CALIBRATED)
        probabilities = torch.softmax(logits if rows is None else logits[rows], dim=-1)
        scores, numbers = probabilities.topk(min(top_k, len(probabilities)))
        pairs = zip(scores.tolist(), numbers.tolist(), strict=True)
        return [{"label": names[number], "score": score} for score, number in pairs if score > 0]

    @property
    def calibration(self) -> Calibration | None:
        """What the scores mean; None where that was not measured, and for models that write."""
        return None if self.model.can_generate() else Calibration.of_config(self.model.config)

    def _labels(self, labels: Sequence[str] | None) -> Sequence[str]:
        if labels is None:
            named = self.model.config.id2label
            labels = [named[number] for number in sorted(named)]
            if all(label == f"LABEL_{number}" for number, label in enumerate(labels)):
                raise ValueError(
                    "expected labels=[...], received none: this model writes text, and its configuration names no "
                    "labels to choose from"
                )
        return labels

    def _rows_of(self, labels: Sequence[str]) -> list[int]:
        """Where a label head has these labels."""
        known = {label: number for number, label in self.model.config.id2label.items()}
        unknown = [label for label in labels if label not in known]
        if unknown or not labels:
            raise ValueError(
                f"expected some of the model's {len(known)} labels, received "
                + (f"{len(unknown)} others, first {unknown[0]!r}" if unknown else "none")
            )
        return [known[label] for label in labels]

    def _trie(self, labels: Sequence[str]) -> LabelTrie:
        """The trie of the labels, kept for the next clip."""
        cached: tuple[tuple[str, ...], LabelTrie] | None = getattr(self, "_cached_trie", None)
        key = tuple(labels)  # a copy: the caller may change the list
        if cached is None or cached[0] != key:
            if self.processor is None:
                raise ValueError("expected a processor, received none: labels need the model's tokenizer")
            cached = self._cached_trie = (key, LabelTrie.from_labels(key, self.processor.tokenizer))
        return cached[1]

    def _search_labels(self, model_inputs: dict[str, Any], trie: LabelTrie, num_beams: int) -> torch.Tensor:
        """Log-likelihoods of the labels that a beam search finds, `(B, labels)`; minus infinity for the others."""
        found = self.model.generate(
            **model_inputs,
            prefix_allowed_tokens_fn=trie,
            num_beams=num_beams,
            num_return_sequences=num_beams,
            max_new_tokens=trie.max_length,
            length_penalty=0.0,  # a label's log-likelihood, not its mean over the tokens
            do_sample=False,
            return_dict_in_generate=True,
            output_scores=True,
        )
        scores = torch.full((len(model_inputs["pose_values"]), len(trie)), -torch.inf)
        if num_beams == 1:
            values = self.model.compute_transition_scores(found.sequences, found.scores).sum(dim=1)
        else:
            values = found.sequences_scores
        for row, (sequence, value) in enumerate(zip(found.sequences.tolist(), values.tolist(), strict=True)):
            number = trie.label_of(sequence)
            if number is not None:
                scores[row // num_beams, number] = value
        return scores


class ContinuousSignRecognitionPipeline(_SignRecognitionPipeline):
    """`pipeline("continuous-sign-recognition")`: the glosses of a clip in the order of signing.

    With frame scores ([`SigmaForCTC`]) it also says when; with a model that writes glosses
    ([`SigmaForConditionalGeneration`]) it does not.

    Inputs as in [`SignLanguageTranslationPipeline`].

    Call arguments: `max_frames`, `language`, `allow_unseen`, `coordinates`, `aspect_ratio`, `num_beams` (frame
    scores: 10 by default, 1 takes the best label of each frame); a model that writes takes everything `generate` does.

    Returns:
        `dict` for each clip: `"glosses"`, a list of `str`, and `"text"`, the same between spaces. With frame scores
        also `"spans"`, a list of `{"gloss", "start", "end", "score"}`: frames of the clip, `end` exclusive;
        and `"start_seconds"`, `"end_seconds"` where the frame rate is known. [`GlossSpan`] says what a span is. A list
        of such dicts, best first, of a model that writes with `num_return_sequences > 1`.
    """

    def _sanitize_parameters(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        preprocess = take_clip_arguments(options)
        if self.model.can_generate():
            return preprocess, options, {}
        unknown = options.keys() - {"num_beams"}
        if unknown:
            raise ValueError(f"expected {', '.join(CLIP_ARGUMENTS)} or num_beams, received {sorted(unknown)}")
        return preprocess, {}, options

    def preprocess(self, inputs: Any, **options: Any) -> dict[str, Any]:
        clip = as_pose_clip(inputs)
        features = super().preprocess(clip, **options)
        # Tensors, which batches stack.
        features["clip_length"] = torch.tensor([len(clip)])
        features["clip_fps"] = torch.tensor([clip.fps or torch.nan])
        return features

    def _forward(self, model_inputs: dict[str, Any], **generate_kwargs: Any) -> dict[str, Any]:
        about = {name: model_inputs.pop(name) for name in ("clip_length", "clip_fps")}
        if self.model.can_generate():
            return {**about, "tokens": self._write(model_inputs, generate_kwargs)}
        num_frames = model_inputs["pose_attention_mask"].sum(dim=1)
        return {**about, "logits": self.model(**model_inputs).logits, "num_frames": num_frames}

    def postprocess(self, model_outputs: dict[str, Any], num_beams: int = 10) -> dict[str, Any] | list[dict[str, Any]]:
        if "tokens" in model_outputs:
            texts = [text.split() for text in self._written(model_outputs["tokens"])]
            results = [{"glosses": glosses, "text": " ".join(glosses)} for glosses in texts]
            return results[0] if len(results) == 1 else results
        logits, num_frames = model_outputs["logits"], model_outputs["num_frames"]
        self._check_numbers(logits)
        blank_id = self.model.config.ctc_blank_id
        if num_beams == 1:
            best = decode_greedily(logits, num_frames, blank_id)[0]
        else:
            best = decode_with_beams(logits, num_frames, blank_id, num_beams)[0][0]
        about = int(model_outputs["clip_length"]), int(num_frames), float(model_outputs["clip_fps"])
        spans = name_spans(best.spans, self.model.config.id2label, *about)
        glosses = [span["gloss"] for span in spans]
        return {"glosses": glosses, "text": " ".join(glosses), "spans": spans}
