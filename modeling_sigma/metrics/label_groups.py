"""Label groups: words that share a recording, and the scores of isolated signs that count them as one.

In some corpora, one recording is listed under several words. No model can tell such words apart by that recording, so
a score by groups is reported with the strict one. `sigma-slu audit-dataset --label-groups FILE` makes the groups, from
the train split alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modeling_sigma.io.json_fields import check_fields
from modeling_sigma.io.json_text import read_json
from modeling_sigma.io.reading_errors import naming_file
from modeling_sigma.jobs.atomic_files import write_text
from modeling_sigma.metrics.bootstrap import DEFAULT_SEED, Progress, bootstrap_intervals
from modeling_sigma.metrics.recognition import Label, RecognitionStatistics
from modeling_sigma.metrics.signature import make_signature


_FIELDS = {"source": str, "groups": list[list[str]], "twins": dict[str, list[str]]}


@dataclass(frozen=True)
class LabelGroups:
    """Which labels share a train recording.

    Args:
        source (`str`):
            Where the groups come from, for the signature.
        groups (`tuple[tuple[str, ...], ...]`):
            The labels of each train recording that has several. Groups are not merged: if one recording has the labels
            a and b, and another b and c, then a does not count as c.
        twins (`dict[str, tuple[str, ...]]`):
            Split to the sample ids of its clips whose recording is in train too.
    """

    source: str
    groups: tuple[tuple[str, ...], ...]
    twins: Mapping[str, tuple[str, ...]]

    @classmethod
    def load(cls, path: str | Path) -> LabelGroups:
        """Reads what [`LabelGroups.save`] wrote.

        Raises:
            ValueError: for a file of other content.
            OSError: if it cannot be read.
        """
        data = read_json(path, "label groups")
        if not isinstance(data, dict) or any(name not in data for name in _FIELDS):
            raise ValueError(
                f"{path}: expected label groups with {', '.join(_FIELDS)}: make them with "
                "sigma-slu audit-dataset --label-groups"
            )
        with naming_file(path, "label groups"):
            check_fields(data, _FIELDS)
        twins = {split: tuple(sample_ids) for split, sample_ids in data["twins"].items()}
        return cls(data["source"], tuple(tuple(group) for group in data["groups"]), twins)

    def save(self, path: str | Path) -> None:
        """Writes the groups as JSON."""
        write_text(Path(path), json.dumps(self.as_dict(), ensure_ascii=False, indent=1) + "\n")

    def as_dict(self) -> dict[str, Any]:
        """The content of the file."""
        twins = {split: list(sample_ids) for split, sample_ids in self.twins.items()}
        return {"source": self.source, "groups": [list(group) for group in self.groups], "twins": twins}

    @property
    def digest(self) -> str:
        """Eight characters that change when a group or a twin does."""
        content = json.dumps([self.groups, dict(self.twins)], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:8]

    def accepted(self) -> dict[str, set[str]]:
        """For each label that shares a recording, the labels that count as it, itself among them."""
        labels: dict[str, set[str]] = {}
        for group in self.groups:
            for label in group:
                labels.setdefault(label, set()).update(group)
        return labels


def label_group_scores(
    predictions: Iterable[Label | Sequence[Label]],
    references: Iterable[Label],
    groups: LabelGroups,
    sample_ids: Sequence[str] | None = None,
    *,
    num_bootstrap: int = 0,
    seed: int = DEFAULT_SEED,
    progress: Progress | None = None,
) -> dict[str, dict[str, Any]]:
    """Accuracies of isolated sign recognition by label groups, and without the clips that are in train too.

    Args:
        predictions, references, num_bootstrap, seed, progress:
            The predictions, the references and the options of the resampling, as in [`recognition_scores`].
        groups ([`LabelGroups`]):
            Which labels count as one.
        sample_ids (`Sequence[str]`, *optional*):
            The id of each sample. Without ids, twins cannot be recognised, and scores without twins are left out.

    Returns:
        `dict`: `label_groups`, `without_twins` (strict) and `label_groups_without_twins`, each with the scores of
        [`recognition_scores`], `num_samples`, `signature` and, where asked for, `intervals`.

    Raises:
        ValueError: for unequal numbers, or if every sample is a twin.

    Example:

    ```python
    >>> from modeling_sigma.metrics import LabelGroups, label_group_scores
    >>> groups = LabelGroups("train of my signs", (("angel", "fairy"),), {"test": ("clip2",)})
    >>> scores = label_group_scores(["fairy", "book"], ["angel", "book"], groups, ["clip1", "clip2"])
    >>> {name: part["top1_per_instance"] for name, part in scores.items()}
    {'label_groups': 100.0, 'without_twins': 0.0, 'label_groups_without_twins': 100.0}

    ```
    """
    predictions, references = list(predictions), list(references)
    grouped = _as_references(predictions, references, groups.accepted())

    def scores(rows: Sequence[int], by_groups: bool, has_twins: bool) -> dict[str, Any]:
        chosen = grouped if by_groups else predictions
        statistics = RecognitionStatistics.from_labels(
            [chosen[row] for row in rows], [references[row] for row in rows]
        )
        result: dict[str, Any] = {**statistics.score(), "num_samples": len(statistics)}
        result["signature"] = make_signature(
            task="islr",
            match="label-groups" if by_groups else "exact",
            groups=f"{groups.source}@{groups.digest}",
            twins=None if has_twins else "left-out",
            bootstrap=f"{num_bootstrap}@{seed}" if num_bootstrap else None,
        )
        if num_bootstrap:
            result["intervals"] = bootstrap_intervals(statistics, num_bootstrap, seed, progress=progress)
        return result

    everything = range(len(references))
    results = {"label_groups": scores(everything, by_groups=True, has_twins=True)}
    if sample_ids is None:
        return results
    twins = {sample_id for split in groups.twins.values() for sample_id in split}
    rest = [row for row, sample_id in zip(everything, sample_ids, strict=True) if sample_id not in twins]
    if not rest:
        raise ValueError("expected samples that are not in train too, received none: leave the label groups out")
    results["without_twins"] = scores(rest, by_groups=False, has_twins=False)
    results["label_groups_without_twins"] = scores(rest, by_groups=True, has_twins=False)
    return results


def _as_references(predictions: list[Any], references: list[Any], accepted: Mapping[str, set[str]]) -> list[Any]:
    """The predictions, where a label that counts as the reference is the reference."""
    if len(predictions) != len(references):
        raise ValueError(
            f"expected one prediction for each of {len(references)} references, received {len(predictions)}"
        )

    def renamed(label: Any, reference: Any) -> Any:
        return reference if label in accepted.get(reference, ()) else label

    return [
        [renamed(label, reference) for label in prediction]
        if isinstance(prediction, list | tuple)
        else renamed(prediction, reference)
        for prediction, reference in zip(predictions, references)
    ]
