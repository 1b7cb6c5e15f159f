"""Finding signs in long recordings: windows scored by a model, against cutting at pauses.

Run: `python benchmarks/finding_signs.py --data ../shared/data --clips 96`. Prints JSON. Recordings are joined from
real test clips of WLASL300, 12 in each: the true times are those of the clips. Between two clips is a rest without
hands (`gone`), a rest with still hands, which are the last frame with noise (`still`), nothing but a transition of
0.3 s (`continuous`), or one of the three by chance (`mixed`). In `distractors` every third clip is a word of Bangla
Sign Language, which is no sign to find. `nsl` are the continuous recordings of the Nepali alphabet with their true
times, which the model has never seen: labels mean nothing there. The two constants of the search were chosen on
validation clips of WLASL300.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from reports import machine_facts, print_report

from datasets_scripts.bdsl_words import BdslWords
from datasets_scripts.nsl_alphabet import NslAlphabet
from datasets_scripts.reading.corpus_builder import CorpusBuilder
from datasets_scripts.wlasl_hands import WlaslHands
from modeling_sigma.inference.load_pipeline import load_pipeline
from modeling_sigma.metrics.segmentation import Span, segmentation_scores
from modeling_sigma.model.clip_windows_sigma import PAUSE_SECONDS, PAUSE_SPEED, hand_speed
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.pose_transforms import select_joints
from modeling_sigma.model.sign_windows_sigma import runs_of, signing_stretches
from modeling_sigma.model.skeleton_layouts import PART_SLICES


FPS, CLIPS_PER_RECORDING = 29.97, 12
# What lies between two clips.
RESTS = {
    "mixed": ("gone", "still", "transition"),
    "gone": ("gone",),
    "still": ("still",),
    "continuous": ("transition",),
    "distractors": ("gone", "still", "transition"),
}
KINDS = (*RESTS, "nsl")
_HANDS = [*range(*PART_SLICES["left_hand"].indices(69)), *range(*PART_SLICES["right_hand"].indices(69))]
_SHOWN = ("f1@0.5", "labelled_f1@0.5", "f1@0.3", "false_alarms_per_minute", "num_predictions", "num_references")

Recording = tuple[PoseClip, list[Span]]
# Keypoints and scores of both hands, and the label; None for what is no sign to find.
Piece = tuple[np.ndarray, np.ndarray, str | None]


def cut_at_pauses(clip: PoseClip) -> list[Span]:
    """The baseline: whatever lies between two pauses, where a hand is seen."""
    smooth = np.convolve(np.pad(hand_speed(clip), 1, mode="edge"), np.ones(3) / 3, "valid")
    active = np.zeros(len(clip), bool)
    for start, stop in signing_stretches(clip):
        active[start:stop] = True
    for start, stop in runs_of(smooth < PAUSE_SPEED):
        if stop - start >= PAUSE_SECONDS * float(clip.fps or 0):
            active[start:stop] = False
    return [Span(start / clip.fps, stop / clip.fps) for start, stop in runs_of(active) if clip.fps]


def join(pieces: Sequence[Piece], rng: np.random.Generator, rests: Sequence[str]) -> Recording:
    """One recording of several clips."""
    keypoints, scores, spans = [], [], []
    length = 0
    for place, (points, certainty, label) in enumerate(pieces):
        if place:
            rest = _rest(pieces[place - 1], pieces[place], rng, rests)
            keypoints.append(rest[0])
            scores.append(rest[1])
            length += len(rest[0])
        if label is not None:
            spans.append(Span(length / FPS, (length + len(points)) / FPS, label))
        keypoints.append(points)
        scores.append(certainty)
        length += len(points)
    joined = np.concatenate(keypoints), np.concatenate(scores)
    return PoseClip(*joined, "hands_42", fps=FPS, coordinates="pixels"), spans


def _rest(
    before: Piece, after: Piece, rng: np.random.Generator, rests: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    kind = rng.choice(rests)
    if kind == "transition":
        shares = np.linspace(0, 1, 11)[1:-1, None, None]
        seen = np.repeat((before[1][-1:] > 0) & (after[1][:1] > 0), 9, axis=0)
        return (before[0][-1] * (1 - shares) + after[0][0] * shares) * seen[..., None], seen.astype(float)
    count = int(rng.integers(15, 45))
    if kind == "gone":
        return np.zeros((count, 42, 2)), np.zeros((count, 42))
    seen = np.repeat(before[1][-1:] > 0, count, axis=0)
    noise = rng.normal(0, 0.0015, (count, 42, 2))
    return (np.repeat(before[0][-1:], count, axis=0) + noise) * seen[..., None], seen.astype(float)


def _pieces(builder: CorpusBuilder, count: int, rng: np.random.Generator, is_sign: bool = True) -> list[Piece]:
    """Random test clips, hands alone, in one unit for x and y: the height of the picture."""
    entries = builder.list_clips("test")
    pieces: list[Piece] = []
    for number in rng.permutation(len(entries)):
        clip = builder.read_clip(entries[number])
        points, scores = (values[:, _HANDS] for values in select_joints(clip))
        if is_sign:
            points = points * (1.7, 1.0)  # WLASL-hands holds shares of the picture
        elif (scores > 0).any():  # as large as hands of WLASL, and in the middle
            seen = points[scores > 0]
            points = ((points - seen.mean(axis=0)) / np.ptp(seen, axis=0).max() + (0.85, 0.6)) * (scores > 0)[
                ..., None
            ]
        if (scores > 0).any():
            pieces.append((points, scores, entries[number].text if is_sign else None))
        if len(pieces) == count:
            break
    return pieces


def recordings_of(kind: str, data: Path, cache: str, num_clips: int, seed: int) -> list[Recording]:
    """The recordings of one kind with their true times."""
    rng = np.random.default_rng(seed)
    if kind == "nsl":
        builder = NslAlphabet(
            config_name="continuous", data_dir=data / "nsl_alphabet", cache_dir=cache, train_signers="1,2"
        )
        found = []
        for entry in builder.list_clips("test"):
            clip = builder.read_clip(entry)
            spans = [Span(a / clip.fps, b / clip.fps, g) for (a, b), g in zip(entry.gloss_spans, entry.gloss)]
            found.append((clip, spans))
        return sorted(found, key=lambda recording: recording[0].duration or 0.0)
    wlasl = WlaslHands(config_name="wlasl300", data_dir=data / "wlasl_hands", cache_dir=cache)
    pieces = _pieces(wlasl, num_clips, rng)
    if kind == "distractors":
        others = _pieces(BdslWords(data_dir=data / "bdsl_words", cache_dir=cache), num_clips // 2, rng, is_sign=False)
        pieces = [piece for place, other in enumerate(others) for piece in (*pieces[2 * place : 2 * place + 2], other)]
    groups = [pieces[start : start + CLIPS_PER_RECORDING] for start in range(0, len(pieces), CLIPS_PER_RECORDING)]
    return [join(group, rng, RESTS[kind]) for group in groups]


def measure(recordings: Sequence[Recording], pipe: Any, labels: list[str] | None) -> dict[str, Any]:
    """Both ways of finding signs."""
    seconds = sum(clip.duration or 0.0 for clip, _ in recordings)
    truth = [spans for _, spans in recordings]
    start = time.process_time()
    found = [
        [Span(sign["start"], sign["end"], sign["label"]) for sign in pipe(clip, labels=labels)]
        for clip, _ in recordings
    ]
    used = time.process_time() - start
    ways = {"cutting at pauses": [cut_at_pauses(clip) for clip, _ in recordings], "windows": found}
    scores = {way: segmentation_scores(spans, truth, seconds / 60) for way, spans in ways.items()}
    return {
        "recordings": len(recordings),
        "minutes": round(seconds / 60, 2),
        "cpu_seconds_per_second": round(used / seconds, 3),
        **{way: {name: round(values[name], 1) for name in _SHOWN} for way, values in scores.items()},
        "signature": scores["windows"]["signature"],
    }


def main() -> None:
    """Prints the measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the corpora")
    parser.add_argument("--model", default="checkpoints/sigma-wlasl-hands", help="folder of a model with a label head")
    parser.add_argument("--clips", type=int, default=96, help="number of WLASL clips in each kind of recording")
    parser.add_argument("--recordings", type=int, help="number of recordings of each kind (default: all)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    pipe = load_pipeline(args.model, "sign-transcription", "cpu")
    report: dict[str, Any] = {"model": args.model, "clips": args.clips, "seed": args.seed, "kinds": {}}
    with tempfile.TemporaryDirectory() as cache:
        wlasl = WlaslHands(config_name="wlasl300", data_dir=args.data / "wlasl_hands", cache_dir=cache)
        labels = sorted({entry.text for entry in wlasl.list_clips("train")})
        for kind in args.kinds:
            recordings = recordings_of(kind, args.data, cache, args.clips, args.seed)[: args.recordings]
            report["kinds"][kind] = measure(recordings, pipe, None if kind == "nsl" else labels)
    print_report({**report, **machine_facts("torch", "transformers", "numpy")}, args.output)


if __name__ == "__main__":
    main()
