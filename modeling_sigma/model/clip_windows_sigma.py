"""Long clips, cut where the hands pause or into overlapping windows; their texts, stitched together with times."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .clip_making import as_pose_clip, split_clips
from .pipeline_arguments_sigma import check_arguments
from .pose_clip import PoseClip
from .pose_transforms import SCORE_THRESHOLD, select_joints
from .skeleton_layouts import PART_ANCHORS, PART_SLICES
from .word_spans_sigma import is_word_border


# Hands slower than this are at rest, in widths of the signer per second: noise alone gives 0.2, signing 1 to 5.
PAUSE_SPEED = 0.5
# Shorter rests are holds inside of signs.
PAUSE_SECONDS = 0.3


def overlapping_windows(num_frames: int, size: int, stride: int) -> list[tuple[int, int]]:
    """Windows `(start, stop)` of `size` frames, each `stride` after the one before; the last ends with the clip.

    Raises:
        ValueError: for sizes under 1, or a stride longer than the window, which would skip frames.
    """
    if size < 1 or stride < 1 or stride > size:
        raise ValueError(
            f"expected 1 <= stride <= window, received a stride of {stride} and a window of {size} frames"
        )
    if num_frames <= size:
        return [(0, num_frames)]
    starts = [*range(0, num_frames - size, stride), num_frames - size]
    return [(start, start + size) for start in starts]


def hand_speed(clip: PoseClip) -> np.ndarray:
    """How fast the faster hand moves, in widths of the signer per second.

    Returns:
        `np.ndarray` of shape `(T,)`: the mean speed of the joints seen in two frames running, or that of the body's
        wrist where the hand is not seen; 0 where neither is.

    Raises:
        ValueError: for a clip without a frame rate.
    """
    fps = _frame_rate(clip)
    keypoints, scores = select_joints(clip)
    seen = scores > SCORE_THRESHOLD
    if not seen.any() or len(clip) < 2:
        return np.zeros(len(clip))
    points = keypoints[seen]
    width = max(float(np.ptp(np.percentile(points[:, 0], (2, 98)))), 1e-6)
    steps = np.linalg.norm(np.diff(keypoints, axis=0), axis=-1) * fps / width  # (T - 1, 69)
    both = seen[1:] & seen[:-1]
    speeds = []
    for part in ("left_hand", "right_hand"):
        joints = PART_SLICES[part]
        count = both[:, joints].sum(axis=1)
        total = (steps[:, joints] * both[:, joints]).sum(axis=1)
        wrist = np.where(both[:, PART_ANCHORS[part]], steps[:, PART_ANCHORS[part]], 0.0)
        speeds.append(np.divide(total, count, out=wrist, where=count > 0))
    fastest = np.maximum(*speeds)
    return np.concatenate([fastest[:1], fastest])


def cut_at_pauses(clip: PoseClip, window_seconds: float, stride_seconds: float | None = None) -> list[tuple[int, int]]:
    """Pieces `(start, stop)` in frames that cover a clip, none longer than the window.

    The clip is cut in the middle of pauses of the hands, as late as the window allows. Where no pause comes in time,
    overlapping windows bridge the stretch.

    Args:
        clip ([`PoseClip`]):
            A clip with a frame rate.
        window_seconds (`float`):
            Length of the longest piece, in seconds.
        stride_seconds (`float`, *optional*):
            Seconds from one overlapping window to the next; three quarters of the window by default.

    Raises:
        ValueError: without a frame rate, or for lengths that are not positive.
    """
    fps = _frame_rate(clip)
    size, stride = _in_frames(window_seconds, stride_seconds, fps)
    if len(clip) <= size:
        return [(0, len(clip))]
    cuts = [(start + stop) // 2 for start, stop in _pauses(hand_speed(clip), round(PAUSE_SECONDS * fps))]
    cuts = [cut for cut in cuts if 0 < cut < len(clip)]
    pieces: list[tuple[int, int]] = []
    start = 0
    while len(clip) - start > size:
        within = [cut for cut in cuts if start < cut <= start + size]
        if within:
            pieces.append((start, within[-1]))
            start = within[-1]
            continue
        stop = next((cut for cut in cuts if cut > start), len(clip))
        pieces += [(start + one, start + other) for one, other in overlapping_windows(stop - start, size, stride)]
        start = stop
    if start < len(clip):
        pieces.append((start, len(clip)))
    return pieces


def _pauses(speed: np.ndarray, shortest: int) -> list[tuple[int, int]]:
    """Stretches of at least `shortest` frames in which the hands rest."""
    kernel = np.ones(3) / 3
    smooth = np.convolve(np.pad(speed, 1, mode="edge"), kernel, "valid")
    resting = np.concatenate([[False], smooth < PAUSE_SPEED, [False]]).astype(int)
    starts, stops = np.flatnonzero(np.diff(resting) == 1), np.flatnonzero(np.diff(resting) == -1)
    return [(int(a), int(b)) for a, b in zip(starts, stops) if b - a >= max(1, shortest)]


def stitch_texts(texts: Sequence[str], overlaps: Sequence[bool]) -> str:
    """Joins the texts of the pieces of a clip into one.

    Args:
        texts (`Sequence[str]`):
            The texts of the pieces, in order of time.
        overlaps (`Sequence[bool]`):
            For each text, whether its piece shares frames with the one before. If so, what the text so far ends with
            and this text begins with is written only once: whole words, or characters in scripts without spaces.
    """
    whole = ""
    for text, is_overlapping in zip(texts, overlaps, strict=True):
        new = " ".join(text.split())
        shared = _shared_length(whole, new) if is_overlapping else 0
        whole = whole + new[shared:] if shared else f"{whole} {new}".strip()
    return whole


def _shared_length(before: str, after: str) -> int:
    """Length in characters of the longest end of `before`, in whole words, that `after` begins with."""
    for length in range(min(len(before), len(after)), 0, -1):
        start = len(before) - length
        # One character of a script without spaces is too often shared by chance, unless it stands between spaces.
        is_long_enough = length > 1 or {before[:start][-1:], after[length:][:1]} <= {"", " "}
        if before[start:] == after[:length] and is_long_enough:
            if is_word_border(before, start) and is_word_border(after, length):
                return length
    return 0


class LongClips:
    """In front of a pipeline that writes: calls take `window_seconds` and `stride_seconds`, too.

    A long clip is cut with [`cut_at_pauses`], and its pieces go through the pipeline (in batches with `batch_size`).
    The result has `"text"`, the texts of all pieces joined, and `"segments"`, a list of `{"start", "end", "text"}`
    with times in seconds. Pieces in which nobody is seen have the text `""`.
    """

    sees_somebody: Callable[..., bool]  # of the pipeline

    def __call__(
        self,
        inputs: Any,
        *args: Any,
        window_seconds: float | None = None,
        stride_seconds: float | None = None,
        **kwargs: Any,
    ) -> Any:
        check_arguments({"window_seconds": window_seconds, "stride_seconds": stride_seconds})
        call = super().__call__  # type: ignore[misc]
        if window_seconds is None:
            if stride_seconds is not None:
                raise ValueError("expected window_seconds together with stride_seconds")
            return call(inputs, *args, **kwargs)
        if kwargs.get("return_scores"):
            raise ValueError("expected return_scores or window_seconds, received both: a stitched text has no score")

        def in_pieces(one: Any) -> dict[str, Any]:
            clip = as_pose_clip(one, kwargs.get("coordinates"), kwargs.get("aspect_ratio"))
            pieces = cut_at_pauses(clip, window_seconds, stride_seconds)
            clips = {piece: clip.frames(slice(*piece)) for piece in pieces}
            if not kwargs.get("allow_unseen"):
                # Nobody signs in a piece without a signer. If no piece has one, the pipeline refuses the clip.
                max_frames = kwargs.get("max_frames")
                clips = {piece: cut for piece, cut in clips.items() if self.sees_somebody(cut, max_frames)} or clips
            outputs = call(list(clips.values()), *args, **kwargs)
            best = (output[0] if isinstance(output, list) else output for output in outputs)
            texts = {piece: str(output["text"]) for piece, output in zip(clips, best, strict=True)}
            return _stitched([texts.get(piece, "") for piece in pieces], pieces, _frame_rate(clip))

        if isinstance(inputs, Iterator):
            return (in_pieces(one) for one in inputs)
        clips, is_batch = split_clips(inputs)
        return [in_pieces(one) for one in clips] if is_batch else in_pieces(clips[0])


def _stitched(texts: Sequence[str], pieces: Sequence[tuple[int, int]], fps: float) -> dict[str, Any]:
    overlaps = [False, *(start < stop for (_, stop), (start, _) in zip(pieces, pieces[1:]))]
    segments = [
        {"start": round(start / fps, 3), "end": round(stop / fps, 3), "text": text}
        for (start, stop), text in zip(pieces, texts, strict=True)
    ]
    return {"text": stitch_texts(texts, overlaps), "segments": segments}


def _frame_rate(clip: PoseClip) -> float:
    if clip.fps is None:
        raise ValueError("expected a clip with a frame rate to cut it by seconds, received one without: set its fps")
    return float(clip.fps)


def _in_frames(window_seconds: float, stride_seconds: float | None, fps: float) -> tuple[int, int]:
    stride_seconds = 0.75 * window_seconds if stride_seconds is None else stride_seconds
    if not 0 < stride_seconds <= window_seconds:
        raise ValueError(
            f"expected 0 < stride_seconds <= window_seconds, received {stride_seconds} and {window_seconds}"
        )
    size = max(1, round(window_seconds * fps))
    return size, min(size, max(1, round(stride_seconds * fps)))
