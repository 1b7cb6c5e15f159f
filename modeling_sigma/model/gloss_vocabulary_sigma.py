"""The gloss vocabulary of CTC models: which number stands for which gloss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch


BLANK = "<blank>"


def build_gloss_labels(sentences: Iterable[Sequence[str]]) -> dict[int, str]:
    """Numbers the glosses of a training set: the blank is 0, the glosses follow in alphabetical order.

    Args:
        sentences (`Iterable[Sequence[str]]`):
            The glosses of each clip, as the corpora's column `gloss` holds them.

    Returns:
        `dict[int, str]`: the `id2label` of a [`SigmaConfig`] with `ctc_blank_id=0`.

    Raises:
        ValueError: for a sentence that is one string, glosses that are empty or contain white space, or no gloss.

    Example:

    ```python
    >>> from modeling_sigma.model.gloss_vocabulary_sigma import build_gloss_labels
    >>> build_gloss_labels([["RAIN", "NORTH"], ["RAIN"]])
    {0: '<blank>', 1: 'NORTH', 2: 'RAIN'}

    ```
    """
    glosses: set[str] = set()
    for sentence in sentences:
        if isinstance(sentence, str):
            raise ValueError(f"expected a list of glosses a clip, received the string {sentence!r:.60}: split it")
        glosses.update(sentence)
    bad = sorted(gloss for gloss in glosses if not gloss or gloss.split() != [gloss] or gloss == BLANK)
    if bad:
        raise ValueError(f"expected glosses without white space, none of them {BLANK!r}, received {bad[0]!r}")
    if not glosses:
        raise ValueError("expected at least one gloss, received none: does the corpus have gloss annotations?")
    return {0: BLANK, **dict(enumerate(sorted(glosses), start=1))}


def encode_glosses(sentences: Sequence[Sequence[str]], label2id: Mapping[str, int]) -> torch.Tensor:
    """The `labels` of [`SigmaForCTC`].

    Args:
        sentences (`Sequence[Sequence[str]]` of length B):
            The glosses of each clip.
        label2id (`Mapping[str, int]`):
            The configuration's.

    Returns:
        `torch.LongTensor` of shape `(B, L)`: -100 behind the glosses of a clip.

    Raises:
        ValueError: for a gloss that the vocabulary does not have.
    """
    rows = []
    for row, sentence in enumerate(sentences):
        unknown = [gloss for gloss in sentence if gloss not in label2id]
        if unknown:
            raise ValueError(
                f"expected glosses of the vocabulary of {len(label2id)}, received {unknown[0]!r} in sentence {row}: "
                "build id2label from all glosses that are trained on, or leave the sentence out"
            )
        rows.append([label2id[gloss] for gloss in sentence])
    labels = torch.full((len(rows), max(map(len, rows), default=0)), -100)
    for row, numbers in enumerate(rows):
        labels[row, : len(numbers)] = torch.tensor(numbers, dtype=torch.long)
    return labels
