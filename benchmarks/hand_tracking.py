"""Tracking left and right hands on real clips: jumps before and after, sides by shape, and a test with known truth.

Run: `python benchmarks/hand_tracking.py --data ../shared/data/wlasl_hands`. Prints JSON. Jumps are counted on all
clips of a split, with the hands in the detector's order and after tracking. For the known truth, clips with both hands
in most frames are disturbed: hands are swapped at random in every second frame, one detection in seven is removed, and
one hand is removed for ten frames. The result is how many of the remaining detections are back on their side.
`--accuracy 200` asks the shipped checkpoint about clips whose hands are as detected, sorted, and tracked.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from datasets_scripts.wlasl_hands import SUBSETS, hands_to_clip, load_wlasl_hands, read_detections
from modeling_sigma.io.hand_tracking import count_jumps, hand_shape, track_hands
from modeling_sigma.io.sorted_hands import with_sorted_hands


LONG_JUMPS = (0.1, 0.15, 0.2)


def jumps_per_1000_frames(clips: list[np.ndarray], distance: float) -> float:
    """Over all clips."""
    return 1000 * sum(count_jumps(clip, distance) for clip in clips) / sum(map(len, clips))


def left_by_shape(clips: list[np.ndarray]) -> float:
    """Share of the frames with two hands where slot 0 looks more like a left hand than slot 1."""
    shapes = [hand_shape(clip[np.isfinite(clip).all(axis=(1, 2, 3))]) for clip in clips]
    both = np.concatenate(shapes)  # (N, 2)
    return float((both[:, 0] > both[:, 1]).mean())


def disturb(clip: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The clip with exchanged and missing hands."""
    disturbed = clip.copy()
    swap = generator.random(len(clip)) < 0.5
    disturbed[swap] = disturbed[swap][:, ::-1]
    disturbed[generator.random((len(clip), 2)) < 1 / 7] = np.nan
    start = int(generator.integers(0, len(clip) - 10))
    disturbed[start : start + 10, int(generator.integers(2))] = np.nan
    return disturbed


def share_on_their_side(tracked: list[np.ndarray], seed: int = 0) -> tuple[float, int]:
    """Of all detections left by `disturb`, and the number of clips."""
    generator = np.random.default_rng(seed)
    back = total = num_clips = 0
    for clip in tracked:
        if len(clip) < 30 or np.isfinite(clip).all(axis=(1, 2, 3)).mean() < 0.6:
            continue
        num_clips += 1
        again = track_hands(disturb(clip, generator))
        found = np.isfinite(again).all(axis=(2, 3))
        back += int((found & (np.nan_to_num(again) == np.nan_to_num(clip)).all(axis=(2, 3))).sum())
        total += int(found.sum())
    return back / total, num_clips


def accuracy_by_order(detections: list[np.ndarray], words: list[str]) -> dict[str, float]:
    """Top-1 of the shipped checkpoint: hands as detected, sorted by the readers (without depths), and tracked."""
    import torch

    from modeling_sigma import SigmaFeatureExtractor, SigmaForSequenceClassification, shipped_model

    model = SigmaForSequenceClassification.from_pretrained(shipped_model()).eval()
    extractor = SigmaFeatureExtractor.from_pretrained(shipped_model())
    ends = [np.flatnonzero(np.isfinite(clip).all(axis=(2, 3)).any(axis=1))[[0, -1]] for clip in detections]
    detections = [clip[first : last + 1] for clip, (first, last) in zip(detections, ends, strict=True)]
    as_detected = [hands_to_clip(clip) for clip in detections]
    forms = {
        "as detected": as_detected,
        "sorted by the readers": [with_sorted_hands(clip) for clip in as_detected],
        "tracked": [hands_to_clip(track_hands(clip)) for clip in detections],
    }
    result = {}
    for name, clips in forms.items():
        with torch.no_grad():
            rows = [model(**extractor(clips[start : start + 50])).logits for start in range(0, len(clips), 50)]
        best = torch.cat(rows).argmax(1)
        right = [model.config.id2label[number] == word for number, word in zip(best.tolist(), words, strict=True)]
        result[name] = round(100 * float(np.mean(right)), 1)
    changed = [one is not other for one, other in zip(as_detected, forms["sorted by the readers"], strict=True)]
    return {**result, "sorted_clips_percent": round(100 * float(np.mean(changed)), 1)}


def main() -> None:
    """Prints the measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="../shared/data/wlasl_hands", help="folder with wlasl2000_hands_f16.npz")
    parser.add_argument("--subset", choices=SUBSETS, default="wlasl300")
    parser.add_argument("--accuracy", type=int, metavar="N", help="only ask the checkpoint about the first N clips")
    args = parser.parse_args()
    if args.accuracy:
        samples = load_wlasl_hands(args.data, args.subset, "validation")
        words = [sample.word for sample in samples][: args.accuracy]
        found = read_detections(args.data, args.subset, "validation")[: args.accuracy]
        print(json.dumps(accuracy_by_order(found, words), indent=2))
        return
    detections = read_detections(args.data, args.subset, "validation")
    start = time.perf_counter()
    tracked = [track_hands(clip) for clip in detections]
    seconds = time.perf_counter() - start
    share, num_clips = share_on_their_side(tracked)
    result = {
        "clips": len(detections),
        "frames": sum(map(len, detections)),
        "jumps_per_1000_frames": {
            f"{distance:g} of the image or more": {
                "as detected": round(jumps_per_1000_frames(detections, distance), 2),
                "tracked": round(jumps_per_1000_frames(tracked, distance), 2),
            }
            for distance in LONG_JUMPS
        },
        "left_hand_looks_left_percent": {
            "as detected": round(100 * left_by_shape(detections), 1),
            "tracked": round(100 * left_by_shape(tracked), 1),
        },
        "back_on_their_side_percent": round(100 * share, 2),
        "clips_with_exchanged_and_missing_hands": num_clips,
        "milliseconds_per_clip": round(1e3 * seconds / len(detections), 2),
        "numpy": np.__version__,
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
