"""Pipelines: a clip (path, PoseClip, array, dict), or a list or generator of them, to text or labels."""

from __future__ import annotations

from typing import Any

import torch
from transformers import GenerationConfig, Pipeline

from .clip_windows_sigma import LongClips


class SignLanguageTranslationPipeline(LongClips, Pipeline):
    """`pipeline("sign-language-translation")`: writes what is signed in a clip.

    Inputs are file paths (with the sigma-slu package installed), [`PoseClip`]s, arrays `(T, K, 3)` or `(T, K, 2)`,
    and dicts of keypoints and scores; lists and generators of them are batched with `batch_size`.

    Call arguments: `language` (spoken language to write, "English" by default), `max_frames`, `num_return_sequences`,
    and everything `generate` takes. `window_seconds` (and `stride_seconds`) cuts long clips at pauses or into
    overlapping windows: the result then has `"text"`, stitched, and `"segments"` with `"start"`, `"end"` (seconds) and
    `"text"`.

    Returns:
        `dict` with `"text"` for each clip; a list of such dicts, best first, with `num_return_sequences > 1`.
    """

    _load_processor = True
    _load_tokenizer = False
    _load_feature_extractor = False
    _load_image_processor = False
    _pipeline_calls_generate = True
    # As the paper decodes. What a checkpoint's own generation_config.json says comes first.
    _default_generation_config = GenerationConfig(max_new_tokens=100, num_beams=4)

    def _sanitize_parameters(
        self, language: str | None = None, max_frames: int | None = None, **generate_kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        preprocess = {"language": language, "max_frames": max_frames}
        return {name: value for name, value in preprocess.items() if value is not None}, generate_kwargs, {}

    def preprocess(self, inputs: Any, language: str = "English", max_frames: int | None = None) -> dict[str, Any]:
        features = self.processor(poses=inputs, language=language, max_frames=max_frames, return_tensors="pt")
        if not self.model.config.use_prompt:
            features = {name: value for name, value in features.items() if not name.startswith("prompt_")}
        return features

    def _forward(self, model_inputs: dict[str, Any], **generate_kwargs: Any) -> dict[str, Any]:
        num_clips = len(model_inputs["pose_values"])
        model_inputs["pose_values"] = model_inputs["pose_values"].to(self.model.dtype)
        tokens = self.model.generate(**model_inputs, **self._prepare_generate_kwargs(generate_kwargs))
        return {"tokens": tokens.reshape(num_clips, -1, tokens.shape[-1])}  # (B, sequences, L)

    def postprocess(self, model_outputs: dict[str, Any]) -> dict[str, str] | list[dict[str, str]]:
        sequences = model_outputs["tokens"].reshape(-1, model_outputs["tokens"].shape[-1])
        texts = self.processor.batch_decode(sequences, skip_special_tokens=True)
        results = [{"text": text.strip()} for text in texts]
        return results[0] if len(results) == 1 else results


class IsolatedSignRecognitionPipeline(Pipeline):
    """`pipeline("isolated-sign-recognition")`: names the one sign in a clip, with a label head.

    Inputs as in [`SignLanguageTranslationPipeline`].

    Call arguments: `top_k` (5 by default) and `max_frames`.

    Returns:
        A list of `{"label": str, "score": float}`, best first, for each clip; scores are probabilities.
    """

    _load_processor = False
    _load_tokenizer = False
    _load_feature_extractor = True
    _load_image_processor = False

    def _sanitize_parameters(
        self, top_k: int | None = None, max_frames: int | None = None
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if top_k is not None and top_k < 1:
            raise ValueError(f"expected top_k >= 1, received {top_k}")
        preprocess = {} if max_frames is None else {"max_frames": max_frames}
        return preprocess, {}, {} if top_k is None else {"top_k": top_k}

    def preprocess(self, inputs: Any, max_frames: int | None = None) -> dict[str, Any]:
        return self.feature_extractor(inputs, max_frames=max_frames, return_tensors="pt")

    def _forward(self, model_inputs: dict[str, Any]) -> dict[str, Any]:
        model_inputs["pose_values"] = model_inputs["pose_values"].to(self.model.dtype)
        return {"logits": self.model(**model_inputs).logits}

    def postprocess(self, model_outputs: dict[str, Any], top_k: int = 5) -> list[dict[str, Any]]:
        probabilities = torch.softmax(model_outputs["logits"].float(), dim=-1).squeeze(0)
        scores, labels = probabilities.topk(min(top_k, len(probabilities)))
        names = self.model.config.id2label
        pairs = zip(scores.tolist(), labels.tolist(), strict=True)
        return [{"label": names[label], "score": score} for score, label in pairs]
