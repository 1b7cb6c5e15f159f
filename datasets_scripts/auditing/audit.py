"""What is suspicious about a data set: clips in two splits, signers in two splits, empty hands, odd lengths, labels.

An audit reads every row once, and keeps of each clip what does not grow with its frames: some hundred bytes in memory,
and its motion on the disk. It does not judge: some data sets share sentences between splits on purpose. What it
finds is what a paper should mention, and what a training may fail on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, islice
from sys import intern
from typing import Any

from datasets_scripts.auditing import audit_checks
from datasets_scripts.auditing.audit_checks import AuditLimits, Check, check
from datasets_scripts.auditing.audit_row import AuditRow
from datasets_scripts.auditing.label_groups import make_label_groups, recording_key
from datasets_scripts.auditing.near_duplicates import SIGNATURE_SIZE, motion_signature, near_pairs
from datasets_scripts.auditing.sign_agreement import SignedWord, signed_word, words_signed_differently
from datasets_scripts.auditing.spilled_rows import SpilledRows
from datasets_scripts.schema import decode_clip
from modeling_sigma.jobs.progress import no_progress
from modeling_sigma.model.pose_transforms import MIN_REFERENCE_POINTS, SCORE_THRESHOLD, select_joints
from modeling_sigma.model.skeleton_layouts import HANDS_SLICE, PART_SLICES


TASKS = ("islr", "cslr", "slt")
_MAX_PAIRS = 100_000  # of two splits: a data set of copies must not fill the memory
_MAX_SIGNED_WORDS = 2_000  # each is compared with each, a minute in all
_NUM_SHOWN = 3  # examples of each finding in the text for people


def _no_signatures() -> SpilledRows:
    return SpilledRows(SIGNATURE_SIZE)


@dataclass
class _Collected:
    rows: list[AuditRow] = field(default_factory=list)
    signatures: dict[str, SpilledRows] = field(default_factory=lambda: defaultdict(_no_signatures))
    signed_rows: dict[str, list[AuditRow]] = field(default_factory=lambda: defaultdict(list))
    damaged: list[dict[str, str]] = field(default_factory=list)
    signed_words: list[SignedWord] = field(default_factory=list)


def audit_dataset(
    splits: Mapping[str, Iterable[Mapping[str, Any]]],
    task: str | None = None,
    tokenizer: Callable[..., Any] | None = None,
    limits: AuditLimits | None = None,
    progress: Callable[[int, int], None] = no_progress,
    name: str = "this data set",
) -> dict[str, Any]:
    """Audits a data set.

    Args:
        splits (`dict` of split to rows):
            Rows of `datasets_scripts.schema.features`: a `datasets.DatasetDict`, or one of streams.
        task (`str`, *optional*):
            The task of the data set: `"islr"`, `"cslr"` or `"slt"`; guessed from the texts if it is not given.
        tokenizer (*optional*):
            A tokenizer of transformers; without one, nothing is said about tokens.
        limits ([`AuditLimits`], *optional*):
            Thresholds beyond which something is reported.
        progress (*optional*):
            A function that is called with the number of rows read so far, and in all (0 if they are streamed).
        name (`str`, *optional*):
            Name of the data set, for the signature of scores by its label groups.

    Returns:
        `dict`: `task`, `num_clips` of each split, and `checks`: name to `title`, `num_findings`, `examples` (at most
        `limits.num_examples`), and `advice` on what to do about them. `num_findings` is None where a check does not
        apply, and `advice` says why. For isolated signs also `label_groups`, what
        `modeling_sigma.metrics.LabelGroups` holds: labels that share a train recording, and all twins of train clips.

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
        "train_twins": audit_checks.train_twins(rows),
        "one_recording_two_labels": audit_checks.one_recording_two_labels(rows, task),
        "shared_signers": audit_checks.shared_signers(rows),
        "signed_differently": _signed_differently(collected, task),
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
    report = {
        "task": task,
        "num_clips": dict(Counter(row.split for row in rows)),
        "num_findings": sum(result["num_findings"] or 0 for result in checks.values()),
        "checks": checks,
    }
    if task == "islr":
        report["label_groups"] = make_label_groups(rows, name).as_dict()
    return report


def format_audit(report: Mapping[str, Any]) -> str:
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
            lines += [f"             {_as_text(example)}" for example in result["examples"][:_NUM_SHOWN]]
            if count > _NUM_SHOWN:
                lines.append("             ...")
            lines.append(f"           > {result['advice']}")
    return "\n".join(lines)


def _as_text(example: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in example.items())


def _collect(splits: Mapping[str, Any], progress: Callable[[int, int], None]) -> _Collected:
    collected = _Collected()
    num_rows = sum(len(rows) for rows in splits.values() if hasattr(rows, "__len__"))
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
                intern(str(row["text"] or "")),  # equal ones are one object
                tuple(intern(str(gloss)) for gloss in row["gloss"]),
                None if row["signer_id"] is None else intern(str(row["signer_id"])),
                len(clip),
                clip.duration,
                float(seen[:, HANDS_SLICE].any(axis=1).mean()),
                int(seen[:, PART_SLICES["body"]].sum()) >= MIN_REFERENCE_POINTS,
                recording_key(clip),
            )
            collected.rows.append(kept)
            signature = motion_signature(clip)
            if signature is not None:
                collected.signatures[split].append(signature)
                collected.signed_rows[split].append(kept)
            if kept.signer_id and kept.text and len(collected.signed_words) <= _MAX_SIGNED_WORDS:
                word = signed_word(clip, kept.text, kept.signer_id)
                collected.signed_words += [] if word is None else [word]
            progress(len(collected.rows), num_rows)
    return collected


def _guess_task(rows: Sequence[AuditRow]) -> str:
    """Few different short texts are labels; glosses without sentences are for continuous recognition."""
    texts = Counter(row.text for row in rows if row.text)
    if not texts:
        return "cslr"
    num_words = sum(len(text.split()) * count for text, count in texts.items()) / sum(texts.values())
    return "islr" if num_words < 2.5 and len(texts) <= sum(texts.values()) / 2 else "slt"


def _signed_differently(collected: _Collected, task: str) -> Check:
    title, words = "words that one person may sign differently from all others", collected.signed_words
    if task != "islr" or len({word.signer for word in words}) < 2:
        return audit_checks.not_checked(title, "needs isolated signs by two known people")
    if len(words) > _MAX_SIGNED_WORDS:
        return audit_checks.not_checked(title, f"compares at most {_MAX_SIGNED_WORDS:,} clips: audit a part")
    advice = "look at both with sigma-slu view: no model can read another sign, and labels may be wrong"
    return check(title, words_signed_differently(words), advice)


def _near_identical_motion(collected: _Collected) -> Check:
    found: list[dict[str, Any]] = []
    for one, other in combinations(collected.signatures, 2):
        pairs = islice(near_pairs(collected.signatures[one], collected.signatures[other]), _MAX_PAIRS)
        for pair in sorted(pairs, key=lambda pair: (pair.first, pair.second)):
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
