"""Recognition: word error rates of continuous signing, top-k accuracies of isolated signs."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modeling_sigma.metrics.bootstrap import DEFAULT_SEED, Progress, Weights, bootstrap_intervals
from modeling_sigma.metrics.edit_distance import (
    DEFAULT_COSTS,
    AlignedWord,
    EditCosts,
    EditCounts,
    align,
    count_edits,
    resolve_costs,
)
from modeling_sigma.metrics.signature import make_signature
from modeling_sigma.metrics.text_pairs import TextPairs, check_lengths, make_text_pairs, warn_if_unsegmented


Label = str | int

UNITS = ("word", "character")
_UNRANKED = np.iinfo(np.int64).max  # no candidate is right


# --- continuous


@dataclass(frozen=True)
class WordErrorStatistics:
    """The errors of each sentence, for [`bootstrap_intervals`] and [`paired_bootstrap`].

    Args:
        pairs ([`TextPairs`]):
            The normalised texts.
        counts ([`EditCounts`]):
            Their errors.
    """

    pairs: TextPairs
    counts: EditCounts

    @classmethod
    def from_texts(
        cls,
        predictions: Iterable[str],
        references: Iterable[str],
        costs: str | EditCosts = DEFAULT_COSTS,
        preset: str = "none",
        unit: str = "word",
    ) -> WordErrorStatistics:
        """Aligns predictions with references; arguments as for [`word_error_rates`]."""
        pairs = make_text_pairs(predictions, references, preset, "cslr")
        if unit == "word":
            warn_if_unsegmented(pairs, "put spaces between glosses, or use unit='character'")
        reference_words, prediction_words = (
            [split_units(text, unit) for text in texts] for texts in (pairs.references, pairs.predictions)
        )
        return cls(pairs, count_edits(reference_words, prediction_words, costs))

    def __len__(self) -> int:
        return len(self.pairs)

    def score(self, weights: Weights | None = None) -> dict[str, float]:
        """`wer` and the rates of its three kinds, in percent of the reference's words."""
        weights = np.ones(len(self)) if weights is None else weights
        num_words = float(weights @ self.counts.reference_lengths)
        errors = {
            "wer": self.counts.errors,
            "substitution_rate": self.counts.substitutions,
            "deletion_rate": self.counts.deletions,
            "insertion_rate": self.counts.insertions,
        }
        # A resample may consist of empty references alone.
        return {
            name: 100 * float(weights @ each) / num_words if num_words else np.nan for name, each in errors.items()
        }


def word_error_rates(
    predictions: Iterable[str],
    references: Iterable[str],
    costs: str | EditCosts = DEFAULT_COSTS,
    preset: str = "none",
    *,
    unit: str = "word",
    return_alignments: bool = False,
    num_bootstrap: int = 0,
    seed: int = DEFAULT_SEED,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Word error rates of a corpus: all errors over all reference words.

    Args:
        predictions, references (`Iterable[str]`):
            One sentence of words or glosses for each sample, in the same order.
        costs (`str` or [`EditCosts`], defaults to `"3/3/4"`):
            The costs of the alignment: `"3/3/4"` (insertion / deletion / substitution) as in sign language papers, or
            `"levenshtein"`. Each error then counts once.
        preset (`str`, defaults to `"none"`):
            `"phoenix2014"`, `"phoenix2014t"` clean both sides first; `"csl_daily"` and `"none"` change nothing.
        unit (`str`, defaults to `"word"`):
            `"word"` splits at white space; `"character"` counts every character but white space, for scripts without
            spaces.
        return_alignments (`bool`, defaults to `False`):
            Adds `alignments`, for each sample a list of [`AlignedWord`].
        num_bootstrap (`int`, defaults to 0):
            Resamples for `intervals`, 95 % confidence intervals of every rate; 0 leaves them out.
        seed (`int`, defaults to 12345):
            The seed of the resampling.
        progress (`Callable[[int, int], None]`, *optional*):
            Called with resamples done and their total.

    Returns:
        `dict`: `wer`, `substitution_rate`, `deletion_rate`, `insertion_rate` (percent of the reference words, `wer`
        their sum, beyond 100 possible), `num_substitutions`, `num_deletions`, `num_insertions`, `num_reference_words`,
        `num_sentences`, `num_empty_predictions` (all their words are deletions), `num_empty_references` (all words are
        insertions), `signature`.

    Raises:
        ValueError: for unequal numbers, no pair, entries that are no strings, references that are all empty, or an
            unknown option.

    Example:

    ```python
    >>> from modeling_sigma.metrics import word_error_rates
    >>> scores = word_error_rates(["ICH HEUTE REGEN"], ["HEUTE REGEN KOMMEN WIND"])
    >>> scores["wer"], scores["insertion_rate"], scores["deletion_rate"]
    (75.0, 25.0, 50.0)

    ```
    """
    statistics = WordErrorStatistics.from_texts(predictions, references, costs, preset, unit)
    pairs, counts = statistics.pairs, statistics.counts
    named = resolve_costs(costs)
    result: dict[str, Any] = {
        **statistics.score(),
        "num_substitutions": int(counts.substitutions.sum()),
        "num_deletions": int(counts.deletions.sum()),
        "num_insertions": int(counts.insertions.sum()),
        "num_reference_words": int(counts.reference_lengths.sum()),
        **pairs.counts(),
        "signature": make_signature(
            task="cslr",
            preset=preset,
            unit=unit,
            costs=costs if isinstance(costs, str) else f"{named.insertion}/{named.deletion}/{named.substitution}",
            ties="match,sub,ins,del",
            bootstrap=f"{num_bootstrap}@{seed}" if num_bootstrap else None,
        ),
    }
    if num_bootstrap:
        result["intervals"] = bootstrap_intervals(statistics, num_bootstrap, seed, progress=progress)
    if return_alignments:
        result["alignments"] = [
            align_texts(reference, prediction, costs, unit)
            for reference, prediction in zip(pairs.references, pairs.predictions)
        ]
    return result


def align_texts(
    reference: str, prediction: str, costs: str | EditCosts = DEFAULT_COSTS, unit: str = "word"
) -> list[AlignedWord]:
    """Aligns one prediction with its reference; arguments as for [`word_error_rates`]."""
    return align(split_units(reference, unit), split_units(prediction, unit), costs)


def split_units(text: str, unit: str = "word") -> list[str]:
    """Splits a text into words, or into its characters without white space."""
    if unit not in UNITS:
        raise ValueError(f"expected a unit of {list(UNITS)}, received {unit!r}: choose one of them")
    words = text.split()
    return words if unit == "word" else list("".join(words))


# --- isolated


@dataclass(frozen=True)
class RecognitionStatistics:
    """At which rank the true label of each sample came, for [`bootstrap_intervals`] and [`paired_bootstrap`].

    Args:
        predictions, references (`list` of length N):
            The best candidate, and the true label.
        ranks (`np.ndarray` of shape `(N,)`, int64):
            0 where the best candidate is right; beyond every k where no candidate is.
        classes (`np.ndarray` of shape `(N,)`, int64):
            The number of each true label among those present in the references.
        ks (`tuple[int]`):
            For which k top-k is known.
    """

    predictions: list[Label]
    references: list[Label]
    ranks: NDArray[np.int64]
    classes: NDArray[np.int64]
    ks: tuple[int, ...]

    @classmethod
    def from_labels(
        cls,
        predictions: Iterable[Label | Sequence[Label]] | None,
        references: Iterable[Label],
        *,
        scores: ArrayLike | None = None,
        label_names: Sequence[Label] | None = None,
    ) -> RecognitionStatistics:
        """Ranks the true labels; arguments as for [`recognition_scores`]."""
        true_labels = _check_labels(references, "references")
        if (predictions is None) == (scores is None):
            raise ValueError(
                f"expected either predictions or scores, received {'neither' if scores is None else 'both'}: "
                "give labels, ranked candidates, or the scores of the classes"
            )
        if predictions is None:
            best, ranks = _rank_in_scores(np.asarray(scores), label_names, true_labels)
            has_ranking = True
        else:
            best, ranks, has_ranking = _rank_in_candidates(predictions, true_labels)
        if not set(map(type, best)) & set(map(type, true_labels)):
            raise ValueError(
                f"expected predictions of the same kind as references, received {best[0]!r} and {true_labels[0]!r}: "
                "use names on both sides, or numbers on both (with scores, give `label_names`)"
            )
        numbers: dict[Label, int] = {}
        classes = np.array([numbers.setdefault(label, len(numbers)) for label in true_labels], np.int64)
        return cls(best, true_labels, ranks, classes, (1, 5) if has_ranking else (1,))

    def __len__(self) -> int:
        return len(self.references)

    def score(self, weights: Weights | None = None) -> dict[str, float]:
        """Top-k per instance and per class, in percent."""
        weights = np.ones(len(self)) if weights is None else weights
        num_in_class = np.bincount(self.classes, weights)  # (C,)
        present = num_in_class > 0
        scores = {}
        for k in self.ks:
            hits = weights * (self.ranks < k)
            hits_in_class = np.bincount(self.classes, hits)  # (C,)
            scores[f"top{k}_per_instance"] = 100 * float(hits.sum() / weights.sum())
            scores[f"top{k}_per_class"] = 100 * float((hits_in_class[present] / num_in_class[present]).mean())
        return scores


def recognition_scores(
    predictions: Iterable[Label | Sequence[Label]] | None,
    references: Iterable[Label],
    *,
    scores: ArrayLike | None = None,
    label_names: Sequence[Label] | None = None,
    vocabulary: Iterable[Label] | None = None,
    is_constrained: bool | None = None,
    num_confusions: int = 10,
    num_bootstrap: int = 0,
    seed: int = DEFAULT_SEED,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Accuracies of isolated sign recognition.

    Args:
        predictions (`Iterable` of length N, *optional*):
            For each sample one label (a string or an integer), or a list of candidates, best first. None takes them
            from `scores`.
        references (`Iterable` of length N):
            The true labels. Strings are compared exactly, but for white space around them; nothing matches an empty
            one.
        scores (`array` of shape `(N, C)`, *optional*):
            The score of each class, higher is better; of equal scores the first class wins.
        label_names (`Sequence` of length C, *optional*):
            The labels of the columns of `scores`, as `references` name them; by default the integers 0 to C - 1.
        vocabulary (`Iterable`, *optional*):
            All labels that exist. Then `num_outside_vocabulary` says how many predictions are none of them: a
            generated text outside the vocabulary is an error.
        is_constrained (`bool`, *optional*):
            For the signature: whether decoding could produce labels of the vocabulary only.
        num_confusions (`int`, defaults to 10):
            How many of the most frequent confusions to list.
        num_bootstrap, seed, progress:
            The options of the resampling, as in [`word_error_rates`].

    Returns:
        `dict`: `top1_per_instance` (P-I), `top1_per_class` (P-C: the unweighted mean over the classes present in the
        references), the same for `top5` where candidates or scores are given, all in percent; `confusions`, a list of
        `{"reference", "prediction", "count"}`; `num_samples`, `num_classes` (present in the references),
        `num_empty_predictions`, `signature`.

    Raises:
        ValueError: for unequal numbers, no sample, scores of a wrong shape or not finite, or entries that are no
            labels.

    Example:

    ```python
    >>> from modeling_sigma.metrics import recognition_scores
    >>> scores = recognition_scores(["book", "book", "drink", "book"], ["book", "book", "drink", "chair"])
    >>> scores["top1_per_instance"], round(scores["top1_per_class"], 2)
    (75.0, 66.67)
    >>> scores["confusions"]
    [{'reference': 'chair', 'prediction': 'book', 'count': 1}]

    ```
    """
    statistics = RecognitionStatistics.from_labels(predictions, references, scores=scores, label_names=label_names)
    num_empty = sum(label == "" for label in statistics.predictions)
    if num_empty:
        warnings.warn(
            f"{num_empty} of {len(statistics)} predictions are empty: they are kept and score zero", stacklevel=2
        )
    result: dict[str, Any] = {
        **statistics.score(),
        "confusions": confusion_pairs(statistics.predictions, statistics.references, num_confusions),
        "num_samples": len(statistics),
        "num_classes": int(statistics.classes.max()) + 1,
        "num_empty_predictions": num_empty,
    }
    if vocabulary is not None:
        known = set(_check_labels(vocabulary, "vocabulary"))
        result["num_outside_vocabulary"] = sum(label not in known for label in statistics.predictions)
    result["signature"] = make_signature(
        task="islr",
        match="exact",
        decoding=None if is_constrained is None else ("constrained" if is_constrained else "free"),
        bootstrap=f"{num_bootstrap}@{seed}" if num_bootstrap else None,
    )
    if num_bootstrap:
        result["intervals"] = bootstrap_intervals(statistics, num_bootstrap, seed, progress=progress)
    return result


def confusion_pairs(
    predictions: Sequence[Label], references: Sequence[Label], limit: int = 10
) -> list[dict[str, Any]]:
    """The most frequent errors, by falling count, then in order of appearance."""
    counts = Counter(pair for pair in zip(references, predictions) if pair[0] != pair[1])
    return [
        {"reference": reference, "prediction": prediction, "count": count}
        for (reference, prediction), count in counts.most_common(limit)
    ]


def _check_labels(labels: Iterable[Any], name: str) -> list[Label]:
    if isinstance(labels, str | bytes) or not isinstance(labels, Iterable):
        raise ValueError(
            f"expected {name} to be a list of labels, received a {type(labels).__name__}: put it in a list"
        )
    checked = [_check_label(label, f"{name}[{index}]") for index, label in enumerate(labels)]
    if not checked:
        raise ValueError(f"expected at least one label in {name}, received none: check the file or the data set")
    return checked


def _check_label(label: Any, name: str) -> Label:
    if isinstance(label, str):
        return label.strip()
    if isinstance(label, int | np.integer) and not isinstance(label, bool):
        return int(label)
    raise ValueError(
        f"expected {name} to be a string or an integer, received {label!r:.60} ({type(label).__name__}): "
        "give the label's name or number"
    )


def _rank_in_candidates(
    predictions: Iterable[Any], references: list[Label]
) -> tuple[list[Label], NDArray[np.int64], bool]:
    if isinstance(predictions, str | bytes) or not isinstance(predictions, Iterable):
        raise ValueError(
            f"expected predictions to be a list of labels, received a {type(predictions).__name__}: put it in a list"
        )
    items = [item.tolist() if isinstance(item, np.ndarray) else item for item in predictions]
    has_ranking = any(isinstance(item, list | tuple) for item in items)
    candidates = [
        [
            _check_label(label, f"predictions[{index}]")
            for label in (item if isinstance(item, list | tuple) else [item])
        ]
        for index, item in enumerate(items)
    ]
    check_lengths(len(candidates), len(references))
    ranks = np.array(
        [
            options.index(reference) if reference != "" and reference in options else _UNRANKED
            for options, reference in zip(candidates, references)
        ],
        np.int64,
    )
    return [options[0] if options else "" for options in candidates], ranks, has_ranking


def _rank_in_scores(
    scores: NDArray[Any], label_names: Sequence[Label] | None, references: list[Label]
) -> tuple[list[Label], NDArray[np.int64]]:
    if scores.ndim != 2 or len(scores) != len(references):
        raise ValueError(
            f"expected scores of shape ({len(references)}, classes), received {scores.shape}: "
            "give one row for each reference"
        )
    if not np.isfinite(scores).all():
        raise ValueError("expected finite scores, received NaN or infinity: look for the cause in the model")
    names = list(range(scores.shape[1])) if label_names is None else _check_labels(label_names, "label_names")
    if len(names) != scores.shape[1]:
        raise ValueError(
            f"expected a label for each of the {scores.shape[1]} columns of scores, received {len(names)}: "
            "give `label_names` in the order of the columns"
        )
    columns = {name: column for column, name in enumerate(names)}
    unknown = next((label for label in references if label not in columns), None)
    if unknown is not None:
        raise ValueError(
            f"expected references among the {len(names)} labels of the scores, received {unknown!r}: "
            "give `label_names` in the order of the columns"
        )
    true_columns = np.array([columns[label] for label in references])  # (N,)
    true_scores = np.take_along_axis(scores, true_columns[:, None], axis=1)  # (N, 1)
    before = np.arange(scores.shape[1]) < true_columns[:, None]  # (N, C)
    ranks = ((scores > true_scores) | (scores == true_scores) & before).sum(axis=1)
    return [names[column] for column in scores.argmax(axis=1)], ranks.astype(np.int64)
