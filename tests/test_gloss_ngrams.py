"""N-grams of glosses, with probabilities worked out by hand, and what they change in a beam search."""

import numpy as np
import pytest

from modeling_sigma.model.ctc_decoding_sigma import decode_with_beams
from modeling_sigma.model.gloss_ngrams_sigma import END, GlossNgrams


SENTENCES = [[1, 2], [1, 2], [1, 3]]


def test_probabilities_by_hand() -> None:
    ngrams = GlossNgrams(SENTENCES, num_labels=4, order=2)
    # All events: 1 three times, 2 twice, 3 once, the end three times: 9 of 4 kinds; before them 1 of 5 events.
    of_2, of_3 = (2 + 4 / 5) / 13, (1 + 4 / 5) / 13
    assert ngrams.probability([1], 2) == pytest.approx((2 + 2 * of_2) / 5)
    assert ngrams.probability([1], 3) == pytest.approx((1 + 2 * of_3) / 5)
    assert ngrams.probability([3], 3) == pytest.approx((0 + 1 * of_3) / 2), "3 was followed by the end alone"
    assert ngrams.probability([4], 2) == pytest.approx(of_2), "nothing is known of what follows 4"


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("history", [[], [1], [1, 2], [2, 1, 3, 3]])
def test_probabilities_sum_to_one(order: int, history: list[int]) -> None:
    ngrams = GlossNgrams(SENTENCES, num_labels=4, order=order)
    assert sum(ngrams.probability(history, label) for label in (0, 1, 2, 3, END)) == pytest.approx(1)


def test_the_beginning_is_a_history() -> None:
    ngrams = GlossNgrams([[1, 2], [2, 2, 2, 2, 1]], num_labels=3, order=3)
    assert ngrams.probability([], 1) > ngrams.probability([2, 2], 1) > 0


def test_a_search_follows_the_sentences_where_the_frames_do_not_know() -> None:
    logits = np.full((1, 3, 4), -9.0)
    logits[0, 0, 1] = logits[0, 1, 0] = 9.0  # gloss 1, blank, then 2 or 3
    logits[0, 2, 2:] = (1.0, 1.1)
    assert decode_with_beams(logits)[0][0].labels == [1, 3]
    ngrams = GlossNgrams(SENTENCES, num_labels=4, order=2, weight=1.0)
    best = decode_with_beams(logits, language_model=ngrams)[0][0]
    assert best.labels == [1, 2] and [(span.start, span.end) for span in best.spans] == [(0, 1), (2, 3)]
    alone = decode_with_beams(logits, language_model=GlossNgrams(SENTENCES, 4, weight=0.0))[0][0]
    assert alone.labels == [1, 3], "of no weight, it changes nothing"
    long = GlossNgrams(SENTENCES, 4, weight=0.0, bonus=20.0)
    assert len(decode_with_beams(logits, language_model=long)[0][0].labels) >= 2


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="order of at least 1"):
        GlossNgrams(SENTENCES, 4, order=0)
    with pytest.raises(ValueError, match="at least one sentence"):
        GlossNgrams([], 4)
