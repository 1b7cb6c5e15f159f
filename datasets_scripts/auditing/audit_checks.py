"""The single checks of an audit: each takes what was kept of all rows, and says what it found and what to do."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from datasets_scripts.auditing.audit_row import AuditRow
from datasets_scripts.auditing.label_checks import count_labels, one_letter_apart, spelling_variants, text_problems
from datasets_scripts.auditing.label_groups import labels_of_one_recording, recordings_in_train_too


Check = dict[str, Any]


@dataclass(frozen=True)
class AuditLimits:
    """Thresholds beyond which something is reported.

    Args:
        min_frames, max_frames (`int`):
            The numbers of frames below and above which a clip is reported. Shorter clips say little, and the feature
            extractor leaves out frames of longer ones.
        min_hand_share (`float`):
            The smallest share of a clip's frames in which a hand must be seen.
        max_text_tokens (`int`):
            The number of tokens at which training truncates a text.
        num_examples (`int`):
            The number of examples listed for each check; all findings are counted.
    """

    min_frames: int = 8
    max_frames: int = 256
    min_hand_share: float = 0.1
    max_text_tokens: int = 50
    num_examples: int = 200


def check(title: str, examples: Sequence[Mapping[str, Any]], advice: str) -> Check:
    """What a check found; each example is a flat dict that needs no explanation."""
    return {"title": title, "num_findings": len(examples), "advice": advice, "examples": list(examples)}


def not_checked(title: str, reason: str) -> Check:
    """A check that does not apply, and why."""
    return {"title": title, "num_findings": None, "advice": reason, "examples": []}


def repeated_ids(rows: Sequence[AuditRow]) -> Check:
    """Sample ids that several clips share."""
    counts = Counter(row.sample_id for row in rows)
    found = [{"clip": name, "times": count} for name, count in counts.items() if count > 1]
    return check("sample ids that several clips have", found, "give every clip an id of its own")


def _by_split(rows: Sequence[AuditRow], value: Callable[[AuditRow], str | None]) -> dict[str, Counter[str]]:
    values: dict[str, Counter[str]] = {row.split: Counter() for row in rows}
    for row in rows:
        key = value(row)
        if key:
            values[row.split][key] += 1
    return values


def shared_texts(rows: Sequence[AuditRow], task: str) -> Check:
    """Sentences that are in two splits, whatever their case and spaces."""
    title = "texts in two splits"
    if task == "islr":
        return not_checked(title, "labels of isolated signs are in all splits")
    texts = _by_split(rows, lambda row: " ".join((row.text or " ".join(row.gloss)).casefold().split()))
    found = [
        {"splits": f"{one}, {other}", "clips": f"{texts[one][text]}, {texts[other][text]}", "text": text}
        for one, other in combinations(texts, 2)
        for text in sorted(texts[one].keys() & texts[other].keys())
    ]
    return check(title, found, "a model may know these sentences by heart: say how many there are, or leave them out")


def shared_signers(rows: Sequence[AuditRow]) -> Check:
    """Signers that are in two splits."""
    title = "signers in two splits"
    signers = _by_split(rows, lambda row: row.signer_id)
    if not any(signers.values()):
        return not_checked(title, "no clip says who signs")
    found = [
        {"splits": f"{one}, {other}", "signer": signer, "clips": f"{signers[one][signer]}, {signers[other][signer]}"}
        for one, other in combinations(signers, 2)
        for signer in sorted(signers[one].keys() & signers[other].keys())
    ]
    return check(title, found, "scores say little about new signers: split by signer, or say so")


def one_recording_two_labels(rows: Sequence[AuditRow], task: str) -> Check:
    """Train clips that are one recording, identical frame by frame, under two labels."""
    title = "pairs of train clips that are one recording under two labels"
    if task != "islr":
        return not_checked(title, "only labels of isolated signs are compared")
    advice = "no model can tell these labels apart by it: write --label-groups, and evaluate by them too"
    return check(title, labels_of_one_recording(rows), advice)


def train_twins(rows: Sequence[AuditRow]) -> Check:
    """Clips of other splits that are in train too, identical frame by frame."""
    advice = "report the score without them beside the strict one (evaluate --label-groups)"
    return check("clips of other splits whose recording is in train too", recordings_in_train_too(rows), advice)


def empty_hands(rows: Sequence[AuditRow], limits: AuditLimits) -> Check:
    """Clips in which hands are hardly seen."""
    found = [
        {"split": row.split, "clip": row.sample_id, "frames_with_a_hand": f"{row.hand_share:.0%}"}
        for row in sorted(rows, key=lambda row: row.hand_share)
        if row.hand_share < limits.min_hand_share
    ]
    title = f"clips with a hand in fewer than {limits.min_hand_share:.0%} of the frames"
    return check(title, found, "look at them with sigma-slu inspect; another estimator may find the hands")


def no_body(rows: Sequence[AuditRow]) -> Check:
    """Clips with too few body joints to fix the signer's size."""
    found = [{"split": row.split, "clip": row.sample_id} for row in rows if not row.has_body]
    advice = "the paper's normalisation erases them: use scale_reference='hands' and fill_wrists=True"
    return check("clips without a body", found, advice)


def lengths(rows: Sequence[AuditRow], limits: AuditLimits) -> Check:
    """Clips that are very short or very long."""
    found: list[dict[str, Any]] = [
        {"split": row.split, "clip": row.sample_id, "frames": row.num_frames}
        for row in rows
        if not limits.min_frames <= row.num_frames <= limits.max_frames
    ]
    found.sort(key=lambda example: example["frames"])
    title = f"clips of fewer than {limits.min_frames} or more than {limits.max_frames} frames"
    return check(title, found, "short ones: are they cut wrong? Long ones: raise max_frames, or cut them")


def labels_longer_than_clips(rows: Sequence[AuditRow], task: str) -> Check:
    """Clips with too few frames to align their glosses."""
    title = "clips with fewer than 2 frames for each gloss"
    if task == "islr" or not any(row.gloss for row in rows):
        return not_checked(title, "no sequences of glosses")
    found = [
        {"split": row.split, "clip": row.sample_id, "frames": row.num_frames, "glosses": len(row.gloss)}
        for row in rows
        if row.num_frames < 2 * len(row.gloss) + 1
    ]
    return check(title, found, "a CTC loss is infinite on them: leave them out")


def pace(rows: Sequence[AuditRow], task: str) -> Check:
    """Clips that are far too long or short for their sentence, by the spread of all others."""
    title = "clips whose text is far too long or short for them"
    timed = [row for row in rows if row.seconds and row.text]
    if task == "islr" or len(timed) < 20:
        return not_checked(title, "needs 20 sentences with known frame rates")
    pace = np.log([len(row.text) / (row.seconds or 1.0) for row in timed])
    centre = float(np.median(pace))
    spread = 1.4826 * float(np.median(np.abs(pace - centre)))
    far = np.abs(pace - centre) > max(5 * spread, math.log(3))  # three times the usual pace may be a fast signer
    found = [
        {"split": row.split, "clip": row.sample_id, "characters_a_second": round(float(np.exp(value)), 1)}
        for row, value, is_far in zip(timed, pace, far)
        if is_far
    ]
    advice = f"half of all have {np.exp(centre):.1f} characters per second: check that clip and text belong together"
    return check(title, found, advice)


def spellings(rows: Sequence[AuditRow], task: str) -> Check:
    """Labels that are written in two ways."""
    labels: list[str] = [gloss for row in rows for gloss in row.gloss]
    if task == "islr":
        labels += [row.text for row in rows]
    counts = count_labels(labels)
    title = "labels in two spellings"
    if not counts:
        return not_checked(title, "no glosses or labels")
    groups = spelling_variants(counts)
    found: list[dict[str, Any]] = [
        {"same but for case, spaces or punctuation": ", ".join(f"{label!r} ({counts[label]})" for label in group)}
        for group in groups
    ]
    found += [
        {"perhaps one letter wrong": f"{rare!r} ({counts[rare]}), {frequent!r} ({counts[frequent]})"}
        for rare, frequent in one_letter_apart(counts)
    ]
    return check(title, found, "a model learns them as two labels: choose one spelling")


def damaged_texts(rows: Sequence[AuditRow]) -> Check:
    """Texts with damaged characters."""
    found = []
    for row in rows:
        if not row.text and row.gloss:
            continue
        for problem in text_problems(row.text):
            found.append({"split": row.split, "clip": row.sample_id, "damage": problem, "text": row.text[:80]})
    return check("damaged texts", found, "repair them, or say that figures are on the raw text")


def tokens(rows: Sequence[AuditRow], tokenizer: Any, limits: AuditLimits) -> Check:
    """Texts with characters that a tokenizer does not know, and texts that training truncates."""
    title = f"texts with unknown tokens or more than {limits.max_text_tokens} tokens"
    if tokenizer is None:
        return not_checked(title, "name a tokenizer to check this")
    by_text: dict[str, list[AuditRow]] = defaultdict(list)
    for row in rows:
        if row.text:
            by_text[row.text].append(row)
    texts = sorted(by_text)
    found: list[dict[str, Any]] = []
    for start in range(0, len(texts), 1000):
        batch = texts[start : start + 1000]
        for text, tokens in zip(batch, tokenizer(batch)["input_ids"], strict=True):
            num_unknown = tokens.count(tokenizer.unk_token_id)
            if num_unknown or len(tokens) > limits.max_text_tokens:
                example: dict[str, Any] = {"split": by_text[text][0].split, "clip": by_text[text][0].sample_id}
                example.update({"tokens": len(tokens), "unknown": num_unknown})
                if num_unknown:
                    example["characters"] = _unknown_characters(text, tokenizer)
                found.append({**example, "text": text[:80]})
    return check(title, found, "train or choose a tokenizer that knows them; raise max_text_length for long ones")


def _unknown_characters(text: str, tokenizer: Any) -> str:
    characters = sorted(set(text) - set(" "))
    tokens = tokenizer(characters)["input_ids"]
    return "".join(character for character, ids in zip(characters, tokens) if tokenizer.unk_token_id in ids)
