"""How likely a gloss is after others, counted in training sentences: what a beam search weighs beside the frames.

Pure Python, and as small as it looks: for the vocabulary of a corpus, not for a language.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence


END = -1  # after the last gloss of a sentence


class GlossNgrams:
    """An interpolated n-gram model (Witten-Bell).

    Args:
        sentences (`Iterable[Sequence[int]]`):
            The numbers of the glosses of each training sentence.
        num_labels (`int`):
            The size of the vocabulary: what was never seen is equally likely.
        order (`int`, *optional*, defaults to 3):
            How many glosses an n-gram has: 3 looks at the two before.
        weight (`float`, *optional*, defaults to 0.5):
            What the log probability is multiplied by, against that of the frames.
        bonus (`float`, *optional*, defaults to 0.0):
            What is added for every gloss, since a model of language alone likes short sentences.

    Raises:
        ValueError: for an order below 1, or no sentence.

    Example:

    ```python
    >>> from modeling_sigma.model.gloss_ngrams_sigma import GlossNgrams
    >>> ngrams = GlossNgrams([[1, 2], [1, 2], [1, 3]], num_labels=4, order=2)
    >>> [round(ngrams.probability([1], label), 2) for label in (2, 3)]
    [0.49, 0.26]

    ```

    Source: Witten and Bell (1991), The zero-frequency problem.
    """

    def __init__(
        self,
        sentences: Iterable[Sequence[int]],
        num_labels: int,
        order: int = 3,
        weight: float = 0.5,
        bonus: float = 0.0,
    ) -> None:
        if order < 1:
            raise ValueError(f"expected an order of at least 1, received {order}")
        self.order, self.weight, self.bonus = order, weight, bonus
        self._num_events = num_labels + 1  # and the end
        self._counts: dict[tuple[int, ...], dict[int, int]] = defaultdict(lambda: defaultdict(int))
        for sentence in sentences:
            padded = [*sentence, END]
            for place, label in enumerate(padded):
                for length in range(min(order, place + 1)):
                    self._counts[tuple(padded[place - length : place])][label] += 1
                if place < order - 1:  # nothing stands before: the beginning is a history of its own
                    self._counts[(END, *padded[:place])][label] += 1
        if not self._counts:
            raise ValueError("expected at least one sentence to count, received none")

    def probability(self, history: Sequence[int], label: int) -> float:
        """Of `label`, or [`END`], after `history`, which is what stands before it in the sentence."""
        context = (END, *history) if len(history) < self.order - 1 else tuple(history)
        context = context[len(context) - self.order + 1 :] if self.order > 1 else ()
        probability = 1 / self._num_events
        for start in range(len(context), -1, -1):
            followers = self._counts.get(context[start:])
            if followers:
                total, kinds = sum(followers.values()), len(followers)
                probability = (followers.get(label, 0) + kinds * probability) / (total + kinds)
        return probability

    def __call__(self, history: Sequence[int], label: int) -> float:
        """What a search adds to a reading that goes on with `label`, or that ends."""
        score = self.weight * math.log(self.probability(history, label))
        return score if label == END else score + self.bonus
