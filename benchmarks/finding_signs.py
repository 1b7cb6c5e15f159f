"""Finding signs in long recordings: windows scored by a model, tags of frames, and cutting at pauses.

Run: `python benchmarks/finding_signs.py --data ../shared/data --clips 96`. Prints JSON. `--segmenter DIR` measures a
model that tags frames, too; the label head then only names what it finds. Recordings are joined from
real test clips of WLASL300, 12 in each: the true times are those of the clips. Between two clips is a rest without
hands (`gone`), a rest with still hands, which are the last frame with noise (`still`), nothing but a transition of
0.3 s (`continuous`), or one of the three by chance (`mixed`). In `distractors` every third clip is a word of Bangla
Sign Language, which is no sign to find. `nsl` are the continuous recordings of the Nepali alphabet with their true
times, which the label head has never seen: labels mean nothing there; `--signer` chooses whose. `boston` are the
sentences of one signer of RWTH-BOSTON-104, at an assumed 30 frames per second: three points a frame, no hands, so that
the label head sees nothing. The two constants of the search were chosen on validation clips of WLASL300.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from reports import machine_facts, print_report

from datasets_scripts.bdsl_words import BdslWords
from datasets_scripts.boston104 import Boston104
from datasets_scripts.nsl_alphabet import NslAlphabet
from datasets_scripts.reading.corpus_builder import CorpusBuilder
from datasets_scripts.reading.timed_glosses import TimedCorpusBuilder
from datasets_scripts.wlasl_hands import WlaslHands
from modeling_sigma.inference.load_pipeline import load_pipeline
from modeling_sigma.metrics.segmentation import Span, segmentation_scores
from modeling_sigma.model.clip_windows_sigma import PAUSE_SECONDS, PAUSE_SPEED, hand_speed
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.pose_transforms import select_joints
from modeling_sigma.model.sign_windows_sigma import runs_of, signing_stretches
from modeling_sigma.model.skeleton_layouts import PART_SLICES


FPS, CLIPS_PER_RECORDING = 29.97, 12
BOSTON_FPS = 30.0  # which its files do not state
# What lies between two clips.
RESTS = {
    "mixed": ("gone", "still", "transition"),
    "gone": ("gone",),
    "still": ("still",),
    "continuous": ("transition",),
    "distractors": ("gone", "still", "transition"),
}
KINDS = (*RESTS, "nsl", "boston")
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


def _pieces(
    builder: CorpusBuilder, count: int, rng: np.random.Generator, is_sign: bool = True, split: str = "test"
) -> list[Piece]:
    """Random clips, hands alone, in one unit for x and y: the height of the picture."""
    entries = builder.list_clips(split)
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


def _with_times(builder: TimedCorpusBuilder) -> list[Recording]:
    """The test recordings of a corpus that has times, the shortest first."""
    found = []
    for entry in builder.list_clips("test"):
        clip = builder.read_clip(entry)
        fps = clip.fps or BOSTON_FPS
        spans = [Span(a / fps, b / fps, g) for (a, b), g in zip(entry.gloss_spans, entry.gloss)]
        found.append((replace(clip, fps=fps), spans))
    return sorted(found, key=lambda recording: recording[0].duration or 0.0)


def recordings_of(
    kind: str, data: Path, cache: str, num_clips: int, seed: int, signer: str | None = None, split: str = "test"
) -> list[Recording]:
    """The recordings of one kind with their true times."""
    rng = np.random.default_rng(seed)
    if kind == "nsl":
        config = "continuous" if signer is None else f"continuous_test{signer}"
        signers = {"train_signers": "1,2"} if signer is None else {}
        return _with_times(NslAlphabet(config_name=config, data_dir=data / "nsl_alphabet", cache_dir=cache, **signers))
    if kind == "boston":
        config = f"without_{signer or 'man-1'}"
        return _with_times(Boston104(config_name=config, data_dir=data / "boston104", cache_dir=cache))
    wlasl = WlaslHands(config_name="wlasl300", data_dir=data / "wlasl_hands", cache_dir=cache)
    pieces = _pieces(wlasl, num_clips, rng, split=split)
    if kind == "distractors":
        others = _pieces(BdslWords(data_dir=data / "bdsl_words", cache_dir=cache), num_clips // 2, rng, is_sign=False)
        pieces = [piece for place, other in enumerate(others) for piece in (*pieces[2 * place : 2 * place + 2], other)]
    groups = [pieces[start : start + CLIPS_PER_RECORDING] for start in range(0, len(pieces), CLIPS_PER_RECORDING)]
    return [join(group, rng, RESTS[kind]) for group in groups]


def spans_of(pipe: Any, clip: PoseClip, **options: Any) -> list[Span]:
    """What a pipeline finds."""
    return [Span(sign["start"], sign["end"], sign["label"]) for sign in pipe(clip, **options)]


def tagged(clip: PoseClip, segmenter: Any, pipe: Any, labels: list[str] | None) -> list[Span]:
    """What a model that tags frames finds, named by the label head if there is one."""
    spans = [(sign["start"], sign["end"]) for sign in segmenter(clip)]
    if pipe is None:
        return [Span(*span) for span in spans]
    return [Span(sign["start"], sign["end"], sign["label"]) for sign in pipe(clip, labels=labels, spans=spans)]


def measure(recordings: Sequence[Recording], ways: dict[str, Callable[[PoseClip], list[Span]]]) -> dict[str, Any]:
    """All ways of finding signs, with the time that each takes as a share of the recordings' length."""
    seconds = sum(clip.duration or 0.0 for clip, _ in recordings)
    truth = [spans for _, spans in recordings]
    report: dict[str, Any] = {"recordings": len(recordings), "minutes": round(seconds / 60, 2)}
    for way, find in ways.items():
        start = time.process_time()
        found = [find(clip) for clip, _ in recordings]
        used = time.process_time() - start
        scores = segmentation_scores(found, truth, seconds / 60)
        report[way] = {
            **{name: round(scores[name], 1) for name in _SHOWN},
            "cpu_seconds_per_second": round(used / seconds, 4),
        }
        report["signature"] = scores["signature"]
    return report


def main() -> None:
    """Prints the measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the corpora")
    parser.add_argument("--model", default="checkpoints/sigma-wlasl-hands", help="folder of a model with a label head")
    parser.add_argument("--clips", type=int, default=96, help="number of WLASL clips in each kind of recording")
    parser.add_argument("--recordings", type=int, help="number of recordings of each kind (default: all)")
    parser.add_argument("--segmenter", help="folder of a model that tags frames")
    parser.add_argument("--ctc", help="folder of a model with frame scores, whose spans are compared")
    parser.add_argument("--signer", help="whose recordings, of nsl (3 or 4) and boston (man-1, woman-1, woman-2)")
    parser.add_argument("--no-windows", action="store_true", help="leave out the windows, which take longest")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    pipe = load_pipeline(args.model, "sign-transcription", "cpu")
    segmenter = None if args.segmenter is None else load_pipeline(args.segmenter, "sign-segmentation", "cpu")
    ctc = None if args.ctc is None else load_pipeline(args.ctc, "sign-transcription", "cpu")
    report: dict[str, Any] = {
        **{name: getattr(args, name) for name in ("model", "segmenter", "ctc", "signer", "clips", "seed")},
        "kinds": {},
    }
    with tempfile.TemporaryDirectory() as cache:
        wlasl = WlaslHands(config_name="wlasl300", data_dir=args.data / "wlasl_hands", cache_dir=cache)
        labels = sorted({entry.text for entry in wlasl.list_clips("train")})
        for kind in args.kinds:
            recordings = recordings_of(kind, args.data, cache, args.clips, args.seed, args.signer)[: args.recordings]
            is_named = kind in RESTS
            among = labels if is_named else None
            ways: dict[str, Callable[[PoseClip], list[Span]]] = {"cutting at pauses": cut_at_pauses}
            if not args.no_windows and kind != "boston":
                ways["windows"] = partial(spans_of, pipe, labels=among)
            if ctc is not None:
                ways["CTC spans"] = partial(spans_of, ctc)
            if segmenter is not None:
                ways["tags"] = partial(tagged, segmenter=segmenter, pipe=pipe if is_named else None, labels=among)
            report["kinds"][kind] = measure(recordings, ways)
    print_report({**report, **machine_facts("torch", "transformers", "numpy")}, args.output)


if __name__ == "__main__":
    main()
