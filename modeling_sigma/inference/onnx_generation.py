"""Writing with an exported encoder and decoder: greedily, with beams, or by scoring given labels. numpy alone.

The results are those of transformers' `generate` with the same options; each clip is searched by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


_LOOKED_UP = ("cross_keys", "cross_values")
# Logits of labels that are scored together, in numbers.
_LOGITS_AT_A_TIME = 50_000_000


class _Decoder:
    """The decoder of a model before one clip: reads tokens, and remembers them for each of its rows."""

    def __init__(self, model: Any, encoded: dict[str, np.ndarray], clip: int, num_rows: int = 1) -> None:
        self._model = model
        mask = encoded["encoder_attention_mask"][clip : clip + 1]
        self._clip = {
            "encoder_attention_mask": mask,
            **{name: encoded[name][:, clip : clip + 1] for name in _LOOKED_UP},
        }
        nothing = self._clip["cross_keys"][:, :, :, :0]
        self._past = {"past_keys": nothing, "past_values": nothing}
        self._num_rows = 1
        if num_rows > 1:
            self.keep([0] * num_rows)

    def keep(self, rows: Sequence[int]) -> None:
        """Goes on with these rows, any of them several times."""
        self._past = {name: value[:, rows] for name, value in self._past.items()}
        if len(rows) != self._num_rows:
            self._num_rows = len(rows)
            same = [0] * len(rows)  # all rows look up one clip
            self._clip["encoder_attention_mask"] = self._clip["encoder_attention_mask"][same]
            self._clip.update({name: self._clip[name][:, same] for name in _LOOKED_UP})

    def read(self, tokens: np.ndarray) -> np.ndarray:
        """Tokens `(rows, L)` -> log probabilities of the token after each, `(rows, L, vocabulary)`."""
        found = self._model.run("decoder", {"decoder_input_ids": tokens, **self._clip, **self._past})
        self._past = {"past_keys": found["keys"], "past_values": found["values"]}
        return log_softmax(found["logits"])


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of probabilities, over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def write_greedily(model: Any, encoded: dict[str, np.ndarray], max_new_tokens: int) -> list[list[int]]:
    """The likeliest next token, again and again.

    Args:
        model ([`OnnxModel`]):
            A generative model.
        encoded (`dict[str, np.ndarray]`):
            Outputs of its encoder for B clips.
        max_new_tokens (`int`):
            When to stop, if the closing token does not come.

    Returns:
        `list[list[int]]`: the tokens of each clip, the closing one included, the one that starts a text not.
    """
    ends = closing_tokens(model)
    texts = []
    for clip in range(len(encoded["pose_embeds"])):
        decoder, token = _Decoder(model, encoded, clip), model.text_config["decoder_start_token_id"]
        text: list[int] = []
        while len(text) < max_new_tokens and token not in ends:
            token = int(decoder.read(np.array([[token]]))[0, -1].argmax())
            text.append(token)
        texts.append(text)
    return texts


def write_with_beams(
    model: Any,
    encoded: dict[str, np.ndarray],
    max_new_tokens: int,
    num_beams: int,
    num_return_sequences: int = 1,
    length_penalty: float = 1.0,
    early_stopping: bool | str = False,
) -> list[list[list[int]]]:
    """Beam search: the likeliest texts of each clip, best first.

    Args:
        model, encoded, max_new_tokens:
            As for [`write_greedily`].
        num_beams (`int`):
            How many texts are followed at a time.
        num_return_sequences (`int`, *optional*, defaults to 1):
            Texts to return of each clip.
        length_penalty (`float`, *optional*, defaults to 1.0):
            A text's log probability is divided by its length to this power.
        early_stopping (`bool` or `"never"`, *optional*, defaults to `False`):
            As in transformers: whether to stop with as many texts as beams, or when better ones are unlikely
            (`False`) or impossible (`"never"`).
    """
    start, ends = model.text_config["decoder_start_token_id"], closing_tokens(model)
    found = []
    for clip in range(len(encoded["pose_embeds"])):
        decoder = _Decoder(model, encoded, clip)
        running: list[tuple[float, list[int]]] = [(0.0, [])]
        finished: list[tuple[float, list[int]]] = []
        for length in range(1, max_new_tokens + 1):
            last = np.array([[text[-1] if text else start] for _, text in running])
            scores = decoder.read(last)[:, -1] + np.array([[score] for score, _ in running], np.float32)
            num_candidates = min(max(2, 1 + len(ends)) * num_beams, scores.size)
            flat = scores.reshape(-1)
            best = np.argpartition(-flat, num_candidates - 1)[:num_candidates]
            best = best[np.argsort(-flat[best], kind="stable")]
            rows: list[int] = []
            going_on: list[tuple[float, list[int]]] = []
            for rank, candidate in enumerate(best.tolist()):
                row, token = divmod(candidate, scores.shape[1])
                score, text = float(flat[candidate]), [*running[row][1], token]
                if token in ends or length == max_new_tokens:
                    if rank < num_beams:
                        finished.append((score / length**length_penalty, text))
                elif len(going_on) < num_beams:
                    rows.append(row)
                    going_on.append((score, text))
            finished = sorted(finished, key=lambda entry: -entry[0])[:num_beams]
            running = going_on
            if not running or _is_over(
                finished, running, num_beams, length, max_new_tokens, length_penalty, early_stopping
            ):
                break
            decoder.keep(rows)
        found.append([text for _, text in finished[:num_return_sequences]])
    return found


def _is_over(
    finished: list[tuple[float, list[int]]],
    running: list[tuple[float, list[int]]],
    num_beams: int,
    length: int,
    max_new_tokens: int,
    length_penalty: float,
    early_stopping: bool | str,
) -> bool:
    """Whether nothing that is still being written can be better than what is finished, or need not be waited for."""
    if len(finished) < num_beams:
        return False
    if early_stopping is True:
        return True
    possible = max_new_tokens if early_stopping == "never" and length_penalty > 0 else length
    return running[0][0] / possible**length_penalty <= finished[-1][0]


def score_texts(model: Any, encoded: dict[str, np.ndarray], texts: Sequence[Sequence[int]]) -> np.ndarray:
    """The log-likelihood of given texts for each clip, `(B, N)`.

    Args:
        model, encoded:
            As for [`write_greedily`].
        texts (`Sequence[Sequence[int]]`):
            Tokens of the N texts, each with its closing one.
    """
    start = model.text_config["decoder_start_token_id"]
    order = sorted(range(len(texts)), key=lambda number: len(texts[number]))  # little padding
    num_clips = len(encoded["pose_embeds"])
    scores = np.zeros((num_clips, len(texts)), np.float32)
    longest, vocabulary = max(map(len, texts)), int(model.text_config["vocab_size"])
    size = max(1, _LOGITS_AT_A_TIME // (longest * vocabulary))
    for first in range(0, len(order), size):
        numbers = order[first : first + size]
        length = len(texts[numbers[-1]])
        tokens = np.zeros((len(numbers), length + 1), np.int64)
        is_token = np.zeros((len(numbers), length), bool)
        tokens[:, 0] = start
        for row, number in enumerate(numbers):
            tokens[row, 1 : len(texts[number]) + 1] = texts[number]
            is_token[row, : len(texts[number])] = True
        for clip in range(num_clips):
            log_probabilities = _Decoder(model, encoded, clip, len(numbers)).read(tokens[:, :-1])
            of_tokens = np.take_along_axis(log_probabilities, tokens[:, 1:, None], axis=-1)[..., 0]
            scores[clip, numbers] = (of_tokens * is_token).sum(axis=1)
    return scores


def closing_tokens(model: Any) -> set[int]:
    """The tokens that end a text."""
    found = model.bundle.read_json("generation_config.json").get("eos_token_id")
    found = model.text_config["eos_token_id"] if found is None else found
    return set(found) if isinstance(found, list) else {found}
