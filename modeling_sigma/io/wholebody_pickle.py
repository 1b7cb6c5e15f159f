"""Reader of whole-body pickles: `{"keypoints": [(N, 133, 2), ...], "scores": [(N, 133), ...]}`."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from modeling_sigma.io.detections import Detection, check_num_frames, check_person, clip_of, same_index
from modeling_sigma.io.pickles.reader import load_restricted_pickle
from modeling_sigma.io.reading_errors import naming_file, shown
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.skeleton_layouts import layout_for_num_keypoints


def read_wholebody_pickle(path: str | os.PathLike[str], person: int = 0) -> PoseClip:
    """Reads a pickle of whole-body keypoints, plain or gzip-compressed, without running anything in it.

    `keypoints` and `scores` are lists with one array per frame, `(N, K, 2)` and `(N, K)` for N persons (or `(K, 2)`
    and `(K,)` for one, None or empty where nobody was found), or one array each with a leading frame axis. The layout
    follows from K (133 as a rule).
    Optional `start` and `end` select the frames `start <= t < end`; an end behind the last frame means the last frame.
    The coordinates stay as they are: as a rule divided by the width and height of the image.

    Args:
        path (`str` or `os.PathLike`):
            The file.
        person (`int`, *optional*, defaults to 0):
            The person's place in each frame's arrays. Frames with fewer persons get score 0.

    Raises:
        ValueError: for other content, a damaged file, an unsafe one (`UnsafePickleError`), or a person that no frame
            has.
        OSError: if there is no such file or it cannot be read.
    """
    data = load_restricted_pickle(path)
    with naming_file(path, "a whole-body pickle"):
        frames = _frames_of(data, *_window(data))
        picks = same_index(frames, check_person(person))
        return clip_of(frames, picks, layout_for_num_keypoints(frames[0][1].shape[1]))


def _window(data: Any) -> tuple[int, int | None]:
    expected = "expected a dict with keypoints and scores"
    if type(data) is not dict:
        raise ValueError(f"{expected}, received a {type(data).__name__}: this is no whole-body pickle")
    if "keypoints" not in data or "scores" not in data:
        keys = ", ".join(shown(key) for key in list(data)[:5])
        raise ValueError(
            f"{expected}, received a dict with {keys or 'nothing'}: label files load with load_label_file"
        )
    start, end = data.get("start"), data.get("end")
    for name, value in (("start", start), ("end", end)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0):
            raise ValueError(f"expected {name} as a frame number from 0, received {shown(value)}: remove it")
    return int(start or 0), None if end is None else int(end)


def _frames_of(data: dict[Any, Any], start: int, end: int | None) -> list[Detection]:
    keypoints, scores = _per_frame(data["keypoints"], "keypoints"), _per_frame(data["scores"], "scores")
    if len(keypoints) != len(scores):
        raise ValueError(
            f"expected as many frames of scores as of keypoints, received {len(scores)} and {len(keypoints)}: "
            "extract the clip again"
        )
    check_num_frames(len(keypoints))
    if start >= min(len(keypoints), len(keypoints) if end is None else end):
        raise ValueError(
            f"expected start below end and below the {len(keypoints)} frames, received start {start} and end {end}: "
            "the window belongs to another clip"
        )
    frames = [
        _detection(k, s, start + t)
        for t, (k, s) in enumerate(zip(keypoints[start:end], scores[start:end], strict=True))
    ]
    seen = [frame for frame in frames if len(frame[1])]
    sizes = {frame[1].shape[1] for frame in seen}
    if len(sizes) > 1:
        raise ValueError(f"expected one number of keypoints in all frames, received {sorted(sizes)}: extract it again")
    num_keypoints = sizes.pop() if sizes else 133
    nobody = (np.zeros((0, num_keypoints, 2), np.float32), np.zeros((0, num_keypoints), np.float32))
    return [frame if len(frame[1]) else nobody for frame in frames]


def _per_frame(values: Any, name: str) -> Any:
    if type(values) in (list, tuple):
        return values
    if type(values) is np.ndarray and values.ndim:
        return values
    raise ValueError(f"expected {name} as a list of arrays or one array, received {type(values).__name__}")


def _detection(keypoints: Any, scores: Any, t: int) -> Detection:
    if _is_detection(keypoints, scores):  # as nearly all are
        return keypoints, scores
    for name, array in (("keypoints", keypoints), ("scores", scores)):
        if type(array) is not np.ndarray or array.dtype.kind not in "fiu":
            if array is None or (type(array) is list and not array):
                continue
            dtype = f" of dtype {array.dtype}" if type(array) is np.ndarray else ""
            raise ValueError(
                f"expected {name} of frame {t} as an array of numbers, received {type(array).__name__}{dtype}"
            )
    keypoints, scores = (np.asarray([] if array is None else array) for array in (keypoints, scores))
    if keypoints.size == 0 and scores.size == 0:
        return np.zeros((0, 0, 2)), np.zeros((0, 0))
    if keypoints.ndim == 2 and scores.ndim == 1:
        keypoints, scores = keypoints[None], scores[None]
    if keypoints.ndim != 3 or keypoints.shape[2] != 2 or scores.shape != keypoints.shape[:2]:
        raise ValueError(
            f"expected keypoints (N, K, 2) and scores (N, K) in frame {t}, received {keypoints.shape} and "
            f"{scores.shape}: N persons with K keypoints each"
        )
    return keypoints, scores


def _is_detection(keypoints: Any, scores: Any) -> bool:
    return (
        type(keypoints) is np.ndarray is type(scores)
        and keypoints.dtype.kind == scores.dtype.kind == "f"
        and keypoints.shape == (*scores.shape, 2)
        and scores.ndim == 2
        and scores.size > 0
    )
