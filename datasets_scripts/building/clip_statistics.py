"""What a data card and an audit say about clips, counted from packed rows without unpacking their coordinates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from modeling_sigma.model.pose_transforms import SCORE_THRESHOLD
from modeling_sigma.model.skeleton_layouts import MISSING, PART_SLICES, PARTS, get_layout


_CLIP_COUNTERS = ("lengths", "frame_rates", "image_sizes", "source_layouts")
LABEL_COUNTERS = ("texts", "glosses", "signers")

Statistics = dict[str, Any]


def seen_joints(row: Mapping[str, Any]) -> np.ndarray:
    """Which of the 69 joints were seen, `(T, 69)` bool, of a row of `datasets_scripts.schema.features`."""
    layout = get_layout(row["layout"])
    num_frames = int(row["num_frames"])
    scores = np.frombuffer(row["scores"], np.uint8).reshape(num_frames, layout.num_keypoints)
    seen = scores * row["scores_step"] > SCORE_THRESHOLD
    if layout.name == "sigma_69":
        return seen
    indices = np.array(layout.joint_indices)
    return np.asarray(seen[:, indices] & (indices != MISSING))


def available_joints(row: Mapping[str, Any]) -> np.ndarray:
    """Which of the 69 joints the row's detector has, `(69,)` bool."""
    return np.array(get_layout(row["source_layout"]).joint_indices) != MISSING


def count_clips(rows: Iterable[Mapping[str, Any]]) -> Statistics:
    """Counts over rows, as values that JSON can hold and `merge_statistics` can add.

    Returns:
        `dict`: `num_clips`, `num_frames`; `seconds` of the `num_timed` clips with a known frame rate; `lengths`,
        `frame_rates`, `image_sizes`, `source_layouts`, `texts`, `glosses` and `signers`, each value as text with the
        number of its clips (without the empty ones); and for each part `joints` (frames times joints that the detector
        has), `joints_seen`, and `frames_seen`, the frames with any joint of it.
    """
    counters: dict[str, Counter[str]] = {name: Counter() for name in (*_CLIP_COUNTERS, *LABEL_COUNTERS)}
    parts = {part: Counter({"joints": 0, "joints_seen": 0, "frames_seen": 0}) for part in PARTS}
    num_clips = num_frames = num_timed = 0
    seconds = 0.0
    for row in rows:
        length = int(row["num_frames"])
        num_clips, num_frames = num_clips + 1, num_frames + length
        if row["fps"]:
            num_timed, seconds = num_timed + 1, seconds + length / row["fps"]
        counters["lengths"][str(length)] += 1
        counters["frame_rates"][f"{row['fps']:g}" if row["fps"] else "unknown"] += 1
        counters["image_sizes"][f"{row['width']}x{row['height']}" if row["width"] else "unknown"] += 1
        counters["source_layouts"][row["source_layout"]] += 1
        counters["texts"].update([row["text"]] if row["text"] else [])
        counters["glosses"].update(row["gloss"])
        counters["signers"].update([row["signer_id"]] if row["signer_id"] is not None else [])
        seen, available = seen_joints(row), available_joints(row)
        for part, joints in PART_SLICES.items():
            parts[part]["joints"] += length * int(available[joints].sum())
            parts[part]["joints_seen"] += int(seen[:, joints].sum())
            parts[part]["frames_seen"] += int(seen[:, joints].any(axis=1).sum())
    return {
        "num_clips": num_clips,
        "num_frames": num_frames,
        "num_timed": num_timed,
        "seconds": round(seconds, 3),
        **{name: dict(sorted(counter.items())) for name, counter in counters.items()},
        "parts": {part: dict(counts) for part, counts in parts.items()},
    }


def merge_statistics(statistics: Iterable[Statistics]) -> Statistics:
    """The sum of counts."""
    merged = count_clips([])
    for counts in statistics:
        _add(merged, counts)
    return merged


def part_rates(statistics: Statistics) -> dict[str, dict[str, float | None]]:
    """For each part the share of frames in which any of it was seen, and of its joints that were not.

    Returns:
        `dict[str, dict[str, float | None]]`: part to `detected_rate` and `missing_rate`; None where the detector does
        not have the part, or without frames.
    """
    rates: dict[str, dict[str, float | None]] = {}
    for part, counts in statistics["parts"].items():
        has_part = counts["joints"] > 0
        rates[part] = {
            "detected_rate": counts["frames_seen"] / statistics["num_frames"] if has_part else None,
            "missing_rate": 1 - counts["joints_seen"] / counts["joints"] if has_part else None,
        }
    return rates


def length_quantile(lengths: Mapping[str, int], share: float) -> int:
    """The length that `share` of the clips do not exceed; 0 without clips."""
    total, so_far = sum(lengths.values()), 0
    for length in sorted(map(int, lengths)):
        so_far += lengths[str(length)]
        if so_far >= share * total:
            return length
    return 0


def _add(total: dict[str, Any], counts: Mapping[str, Any]) -> None:
    for name, value in counts.items():
        if isinstance(value, Mapping):
            _add(total.setdefault(name, {}), value)
        else:
            total[name] = (
                round(total.get(name, 0) + value, 3) if isinstance(value, float) else total.get(name, 0) + value
            )
