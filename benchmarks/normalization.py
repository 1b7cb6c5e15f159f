"""Normalising a clip: vectorised code against a loop over frames and joints, in one run.

Run: `python benchmarks/normalization.py`. Prints milliseconds and their ratio as JSON.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable

import numpy as np

from modeling_sigma.model.pose_transforms import normalize_joints
from modeling_sigma.model.skeleton_layouts import PART_ORIGINS, PART_SLICES


NUM_FRAMES = 256


def normalize_naively(keypoints: np.ndarray, scores: np.ndarray, threshold: float = 0.3) -> np.ndarray:
    """The same rules, joint by joint."""
    body = PART_SLICES["body"]
    seen = [
        keypoints[frame, joint]
        for frame in range(len(keypoints))
        for joint in range(body.start, body.stop)
        if scores[frame, joint] > threshold
    ]
    low = [min(point[axis] for point in seen) for axis in (0, 1)]
    high = [max(point[axis] for point in seen) for axis in (0, 1)]
    side = max(high[0] - low[0], high[1] - low[1])
    corner = [(low[axis] + high[axis] - side) / 2 for axis in (0, 1)]
    values = np.zeros((*scores.shape, 3), np.float32)
    for part, joints in PART_SLICES.items():
        for frame in range(len(keypoints)):
            for joint in range(joints.start, joints.stop):
                if scores[frame, joint] <= threshold:
                    continue
                for axis in (0, 1):
                    if part == "body":
                        value = ((keypoints[frame, joint, axis] - corner[axis]) / side - 0.5) * 2
                    else:
                        origin = keypoints[frame, joints.start + PART_ORIGINS[part], axis]
                        value = (keypoints[frame, joint, axis] - origin) / side
                    values[frame, joint, axis] = min(1.0, max(-1.0, value))
                values[frame, joint, 2] = min(1.0, max(-1.0, scores[frame, joint]))
    return values


def median_seconds(run: Callable[[], object], repeats: int) -> float:
    """Median wall time after a warm-up run."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def main() -> None:
    """Prints the comparison."""
    generator = np.random.default_rng(0)
    keypoints, scores = generator.random((NUM_FRAMES, 69, 2)), generator.random((NUM_FRAMES, 69))
    difference = np.abs(normalize_joints(keypoints, scores) - normalize_naively(keypoints, scores)).max()
    fast = median_seconds(lambda: normalize_joints(keypoints, scores), 200)
    naive = median_seconds(lambda: normalize_naively(keypoints, scores), 3)
    result = {
        "frames": NUM_FRAMES,
        "milliseconds": round(fast * 1e3, 3),
        "milliseconds_naive": round(naive * 1e3, 1),
        "times_faster": round(naive / fast, 1),
        "largest_difference": float(difference),
        "numpy": np.__version__,
        "machine": platform.processor() or platform.machine(),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
