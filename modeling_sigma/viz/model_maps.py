"""Gets from a model what the pictures show: word-frame alignment, and attention while it generates text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from modeling_sigma.model.clip_making import as_pose_clip
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.pose_transforms import even_frame_indices


@dataclass(frozen=True)
class WordFrameMap:
    """Words against the frames of a clip.

    Args:
        words (`list[str]`): The words in order.
        values (`np.ndarray` of shape `(num_words, num_frames)`): Cosines or attention weights.
        frames (`np.ndarray` of shape `(num_frames,)`): Which frames of the clip the model has seen.
    """

    words: list[str]
    values: np.ndarray
    frames: np.ndarray


@torch.no_grad()
def alignment_of(
    model: Any, processor: Any, clip: PoseClip | Any, text: str, language: str = "English"
) -> WordFrameMap:
    """Cosine of each word of `text` with each frame, from [`SigmaModel`].

    Raises:
        ValueError: for a text without words.
    """
    pose_clip = as_pose_clip(clip)
    if not text.strip():
        raise ValueError("expected a text with at least one word to align, received none")
    inputs = dict(processor(poses=pose_clip, text=text, language=language))
    inputs.pop("labels")
    if not model.config.use_prompt:
        inputs = {name: value for name, value in inputs.items() if not name.startswith("prompt_")}
    inputs["pose_values"] = inputs["pose_values"].to(model.dtype)
    inputs = {name: value.to(model.device) for name, value in inputs.items()}
    alignment = model(**inputs, output_alignment=True).alignment[0].float().cpu().numpy()  # (W, T)
    words = re.findall(r"\S+", text)[: len(alignment)]
    return WordFrameMap(words, alignment[: len(words)], _frames(pose_clip, alignment.shape[1]))


@torch.no_grad()
def attention_of(
    model: Any, processor: Any, clip: PoseClip | Any, language: str = "English", **options: Any
) -> WordFrameMap:
    """What [`SigmaForConditionalGeneration`] writes for a clip, and how much it looks at each frame for each word.

    Attention to the frames is averaged over the decoder's layers and heads, and over the tokens of a word. It shows
    where the model looked, not why it chose a word.

    Args:
        options:
            Passed to `generate`.

    Raises:
        ValueError: when the model writes nothing.
    """
    pose_clip = as_pose_clip(clip)
    inputs = dict(processor(poses=pose_clip, language=language))
    if not model.config.use_prompt:
        inputs = {name: value for name, value in inputs.items() if not name.startswith("prompt_")}
    inputs["pose_values"] = inputs["pose_values"].to(model.dtype)
    inputs = {name: value.to(model.device) for name, value in inputs.items()}
    if model.generation_config.max_new_tokens is None:  # pre-training checkpoints say nothing about decoding
        options = {"max_new_tokens": 100, **options}
    tokens = model.generate(**inputs, **options)[:1]
    encoded = model.encode_poses(**inputs)
    kept = model.decoder.config._attn_implementation
    model.decoder.set_attn_implementation("eager")  # the fast kernels do not say where they look
    try:
        output = model(encoder_outputs=encoded, decoder_input_ids=tokens, output_attentions=True)
    finally:
        model.decoder.set_attn_implementation(kept)
    num_frames = inputs["pose_values"].shape[1]
    layers = torch.stack([layer[0].float() for layer in output.cross_attentions])  # (layers, heads, L, S)
    looks = layers.mean(dim=(0, 1))[:, -num_frames:].cpu().numpy()  # frames close the stream
    words, rows = [], []
    # The row that reads token t writes token t + 1.
    for word, positions in _words_of(processor.tokenizer, tokens[0, 1:].tolist()):
        words.append(word)
        rows.append(looks[positions].mean(axis=0))
    if not words:
        raise ValueError("the model wrote nothing for this clip: there is no attention to show")
    return WordFrameMap(words, np.stack(rows), _frames(pose_clip, num_frames))


def _words_of(tokenizer: Any, ids: list[int]) -> list[tuple[str, list[int]]]:
    """Words and the positions of their tokens; a token that begins with ▁ begins a word."""
    special = set(tokenizer.all_special_ids)
    words: list[tuple[str, list[int]]] = []
    for position, (token, piece) in enumerate(zip(ids, tokenizer.convert_ids_to_tokens(ids))):
        if token in special:
            continue
        if piece.startswith("▁") or not words:
            words.append(("", []))
        words[-1] = (words[-1][0] + piece.replace("▁", ""), [*words[-1][1], position])
    return [(word, positions) for word, positions in words if word]


def _frames(clip: PoseClip, num_frames: int) -> np.ndarray:
    return even_frame_indices(len(clip), num_frames)
