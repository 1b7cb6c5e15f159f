"""What is suspicious about a data set: clips in two splits, signers in two splits, empty hands, odd lengths, labels.

An audit reads every row once. It judges nothing: some data sets share sentences between splits on purpose. What it
finds is what papers should mention and trainings fall over.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, islice
from typing import Any

import numpy as np

from datasets_scripts.auditing import audit_checks
from datasets_scripts.auditing.audit_checks import AuditLimits, AuditRow, Check, check
from datasets_scripts.auditing.near_duplicates import motion_signature, near_pairs
from datasets_scripts.schema import SCORE_THRESHOLD, decode_clip
from modeling_sigma.model.pose_transforms import MIN_REFERENCE_POINTS, select_joints
from modeling_sigma.model.skeleton_layouts import PART_SLICES


TASKS = ("islr", "cslr", "slt")
_MAX_PAIRS = 100_000  # of two splits: a data set of copies must not fill the memory


@dataclass
class _Collected:
    rows: list[AuditRow] = field(default_factory=list)
    signatures: dict[str, list[np.ndarray]] = field(default_factory=lambda: defaultdict(list))
    signed_rows: dict[str, list[AuditRow]] = field(default_factory=lambda: defaultdict(list))
    damaged: list[dict[str, str]] = field(default_factory=list)


def audit_dataset(
    splits: Mapping[str, Iterable[Mapping[str, Any]]],
    task: str | None = None,
    tokenizer: Callable[..., Any] | None = None,
    limits: AuditLimits | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Audits a data set.

    Args:
        splits (`dict` of split to rows):
            Rows of `datasets_scripts.schema.features`: a `datasets.DatasetDict`, or one of streams.
        task (`str`, *optional*):
            `"islr"`, `"cslr"` or `"slt"`; guessed from the texts where it is not given.
        tokenizer (*optional*):
            A tokenizer of transformers; without one, nothing is said about tokens.
        limits ([`AuditLimits`], *optional*):
            From where on something is reported.
        progress (*optional*):
            Called with the number of rows read.

    Returns:
        `dict`: `task`, `num_clips` of each split, and `checks`: name to `title`, `num_findings`, `examples` (at most
        `limits.num_examples`), and `advice` on what to do about them. `num_findings` is None where a check does not
        apply, and `advice` says why.

    Raises:
        ValueError: for an unknown task or a data set without rows.
    """
    if task is not None and task not in TASKS:
        raise ValueError(f"expected task to be one of {', '.join(TASKS)}, received {task!r}")
    limits = limits or AuditLimits()
    collected = _collect(splits, progress)
    if not collected.rows:
        raise ValueError("expected clips to audit, received none: build the data set first")
    rows = collected.rows
    task = task or _guess_task(rows)
    checks = {
        "damaged_clips": check("clips that cannot be decoded", collected.damaged, "build the data set again"),
        "repeated_ids": audit_checks.repeated_ids(rows),
        "shared_texts": audit_checks.shared_texts(rows, task),
        "near_identical_motion": _near_identical_motion(collected),
        "shared_signers": audit_checks.shared_signers(rows),
        "empty_hands": audit_checks.empty_hands(rows, limits),
        "no_body": audit_checks.no_body(rows),
        "lengths": audit_checks.lengths(rows, limits),
        "labels_longer_than_clips": audit_checks.labels_longer_than_clips(rows, task),
        "pace": audit_checks.pace(rows, task),
        "spellings": audit_checks.spellings(rows, task),
        "damaged_texts": audit_checks.damaged_texts(rows),
        "tokens": audit_checks.tokens(rows, tokenizer, limits),
    }
    for result in checks.values():
        result["examples"] = result["examples"][: limits.num_examples]
    return {
        "task": task,
        "num_clips": dict(Counter(row.split for row in rows)),
        "num_findings": sum(result["num_findings"] or 0 for result in checks.values()),
        "checks": checks,
    }


def format_audit(report: Mapping[str, Any], num_examples: int = 3) -> str:
    """An audit as text for people: a line for each check, with some examples."""
    sizes = ", ".join(f"{split} {count:,}" for split, count in report["num_clips"].items())
    lines = [f"{sum(report['num_clips'].values()):,} clips ({sizes}), audited as {report['task']}"]
    for result in report["checks"].values():
        count = result["num_findings"]
        if count is None:
            lines.append(f"  -        {result['title']}: {result['advice']}")
            continue
        lines.append(f"  {'ok' if count == 0 else format(count, ','):<9}{result['title']}")
        if count:
            lines += [f"             {_as_text(example)}" for example in result["examples"][:num_examples]]
            if count > num_examples:
                lines.append("             ...")
            lines.append(f"           > {result['advice']}")
    return "\n".join(lines)


def _as_text(example: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in example.items())


def _collect(splits: Mapping[str, Iterable[Mapping[str, Any]]], progress: Callable[[int], None] | None) -> _Collected:
    collected = _Collected()
    hands = slice(PART_SLICES["left_hand"].start, PART_SLICES["right_hand"].stop)
    for split, rows in splits.items():
        for row in rows:
            try:
                clip = decode_clip(row)
            except ValueError as error:
                collected.damaged.append({"split": split, "clip": str(row["sample_id"]), "reason": str(error)})
                continue
            seen = select_joints(clip)[1] > SCORE_THRESHOLD
            kept = AuditRow(
                split,
                str(row["sample_id"]),
                str(row["text"] or ""),
                tuple(map(str, row["gloss"])),
                row["signer_id"],
                len(clip),
                clip.duration,
                float(seen[:, hands].any(axis=1).mean()),
                int(seen[:, PART_SLICES["body"]].sum()) >= MIN_REFERENCE_POINTS,
            )
            collected.rows.append(kept)
            signature = motion_signature(clip)
            if signature is not None:
                collected.signatures[split].append(signature)
                collected.signed_rows[split].append(kept)
            if progress is not None:
                progress(len(collected.rows))
    return collected


def _guess_task(rows: Sequence[AuditRow]) -> str:
    """Few different short texts are labels; glosses without sentences are for continuous recognition."""
    texts = Counter(row.text for row in rows if row.text)
    if not texts:
        return "cslr"
    num_words = sum(len(text.split()) * count for text, count in texts.items()) / sum(texts.values())
    return "islr" if num_words < 2.5 and len(texts) <= sum(texts.values()) / 2 else "slt"


def _near_identical_motion(collected: _Collected) -> Check:
    found: list[dict[str, Any]] = []
    stacked = {split: np.stack(signatures) for split, signatures in collected.signatures.items()}
    for one, other in combinations(stacked, 2):
        for pair in islice(near_pairs(stacked[one], stacked[other]), _MAX_PAIRS):
            first, second = collected.signed_rows[one][pair.first], collected.signed_rows[other][pair.second]
            found.append(
                {
                    "splits": f"{one}, {other}",
                    "clips": f"{first.sample_id}, {second.sample_id}",
                    "texts": f"{first.text!r}, {second.text!r}",
                    "distance": round(pair.distance, 3),
                }
            )
    found.sort(key=lambda pair: pair["distance"])
    return check("pairs of clips in two splits with near-identical motion", found, "one recording: keep one of them")
