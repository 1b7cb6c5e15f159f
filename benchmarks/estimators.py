"""Pose estimators on two real videos of signers: speed, which parts are seen, and the distance to DWPose.

Run: `python benchmarks/estimators.py --data ../shared/data/samples`. Prints JSON, one run of each video.

- `frames_per_second`: decoding and estimation, in one process, after the network has been loaded;
- `share_of_frames`: in which at least one joint of a part is seen (score above 0.3);
- `pixels_to_dwpose`: for the video that has a file of DWPose's keypoints, the median distance of the joints that both
  have seen, in pixels of the video (480 x 480); the signer's shoulders are `shoulder_width` pixels apart;
- `hands_at_the_other_wrist`: the share of the hands found that begin nearer to the other arm's wrist than to their own
  (some do where arms cross).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from reports import machine_facts, print_report

from modeling_sigma import PoseClip, load_clip
from modeling_sigma.extraction import estimate_clip, make_estimator
from modeling_sigma.extraction.estimators import ESTIMATORS
from modeling_sigma.model.pose_transforms import SCORE_THRESHOLD, select_joints
from modeling_sigma.model.skeleton_layouts import BODY_JOINT_NAMES, PART_SLICES, get_layout


VIDEOS = ("signer_crop480.mp4", "sinhala_001.mp4")
# The video of which there are keypoints of DWPose, as shares of its size.
COMPARED, DWPOSE = "signer_crop480.mp4", "human_signer_480.pkl"


def measure(estimator: Any, video: Path, dwpose: PoseClip | None) -> dict[str, Any]:
    """Estimates one video, and describes what came out."""
    start = time.perf_counter()
    clip = estimate_clip(video, estimator)
    seconds = time.perf_counter() - start
    keypoints, scores = select_joints(clip)  # (T, 69, 2), (T, 69)
    seen = scores > SCORE_THRESHOLD
    report: dict[str, Any] = {
        "num_frames": len(clip),
        "size": [clip.width, clip.height],
        "frames_per_second": round(len(clip) / seconds, 2),
        "share_of_frames": {
            part: round(float(seen[:, joints].any(axis=1).mean()), 3) for part, joints in PART_SLICES.items()
        },
        "hands_at_the_other_wrist": hands_at_the_other_wrist(keypoints, seen),
    }
    if dwpose is not None:
        report |= distances(keypoints, seen, dwpose, (clip.width or 1, clip.height or 1))
    return report


def distances(keypoints: np.ndarray, seen: np.ndarray, dwpose: PoseClip, size: tuple[int, int]) -> dict[str, Any]:
    """The median distance to DWPose's joints for each part, and how many pairs of joints it is over."""
    others, other_scores = select_joints(dwpose)
    both = seen & (other_scores > SCORE_THRESHOLD)
    away = np.linalg.norm(keypoints - others * np.array(size), axis=2)  # (T, 69) pixels
    pairs = {part: away[:, joints][both[:, joints]] for part, joints in PART_SLICES.items()}
    shoulders = keypoints[:, [_joint("left_shoulder"), _joint("right_shoulder")]]
    return {
        "pixels_to_dwpose": {part: round(float(np.median(found)), 1) for part, found in pairs.items() if len(found)},
        "num_joints_compared": {part: len(found) for part, found in pairs.items()},
        "shoulder_width": round(float(np.median(np.linalg.norm(shoulders[:, 0] - shoulders[:, 1], axis=1)))),
    }


def hands_at_the_other_wrist(keypoints: np.ndarray, seen: np.ndarray) -> float | None:
    """Of the hands found in frames in which both of the arms' wrists were; None if there are none."""
    wrists = {side: _joint(f"{side}_wrist") for side in ("left", "right")}
    wrong, num_hands = 0, 0
    for side, other in (("left", "right"), ("right", "left")):
        root = PART_SLICES[f"{side}_hand"].start
        found = seen[:, root] & seen[:, wrists["left"]] & seen[:, wrists["right"]]
        own = np.linalg.norm(keypoints[:, root] - keypoints[:, wrists[side]], axis=1)
        crossed = np.linalg.norm(keypoints[:, root] - keypoints[:, wrists[other]], axis=1)
        wrong += int((found & (crossed < own)).sum())
        num_hands += int(found.sum())
    return round(wrong / num_hands, 3) if num_hands else None


def _joint(name: str) -> int:
    """The index of a joint of the body among our 69."""
    return PART_SLICES["body"].start + BODY_JOINT_NAMES.index(name)


def main() -> None:
    """Prints the measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data/samples"), help="folder of the samples")
    parser.add_argument("--estimator", choices=tuple(ESTIMATORS), default="mediapipe", help="estimator to measure")
    parser.add_argument("--output", type=Path, help="file to write the JSON to")
    args = parser.parse_args()
    estimator = make_estimator(args.estimator)
    dwpose = load_clip(args.data / "wholebody_pkl" / DWPOSE)
    estimator(np.zeros((64, 64, 3), np.uint8))  # loads what is loaded at first use
    report = {
        "estimator": estimator.name,
        "versions": dict(getattr(estimator, "versions", {})),
        "num_keypoints": get_layout(estimator.layout).num_keypoints,
        "videos": {
            name: measure(estimator, args.data / "video" / name, dwpose if name == COMPARED else None)
            for name in VIDEOS
        },
        **machine_facts("numpy", "av"),
    }
    print_report(report, args.output)


if __name__ == "__main__":
    main()
