"""How likely each found sign is in each subtitle: by the labels of a label head, or by the words of an alignment."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np


# What is never ruled out: models and interpreters both choose other words.
_LEAST = 0.02


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text.casefold())


def mentioned_labels(texts: Sequence[str], labels: Sequence[str]) -> list[list[int]]:
    """For each text the numbers of the labels whose words, one after the other, stand in it.

    Only the form that the label has counts: "books" does not mention "book".
    """
    phrases = [f" {' '.join(words_of(label))} " for label in labels]
    padded = [f" {' '.join(words_of(text))} " for text in texts]
    return [[number for number, phrase in enumerate(phrases) if phrase.strip() and phrase in text] for text in padded]


def label_scores(mentioned: Sequence[Sequence[str]], candidates: Sequence[Mapping[str, float]]) -> np.ndarray:
    """Scores for [`place_subtitles`].

    Args:
        mentioned (`Sequence[Sequence[str]]`):
            For each subtitle the labels that it mentions.
        candidates (`Sequence[Mapping[str, float]]`):
            For each sign the probabilities of labels; those that are left out have none.

    Returns:
        `np.ndarray` of shape `(num_subtitles, num_signs)`: the logarithm of the probability that the sign is one of
        the subtitle's labels, over the mean of that probability over all signs. 0 for subtitles that mention none.
    """
    scores = np.zeros((len(mentioned), len(candidates)))
    for number, labels in enumerate(mentioned):
        if labels and candidates:
            chances = np.array([sum(one.get(label, 0.0) for label in labels) for one in candidates])
            scores[number] = np.log((chances + _LEAST) / (chances.mean() + _LEAST))
    return scores
