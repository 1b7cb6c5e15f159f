"""Dictionaries of keypoints, as pickles, `.npz` archives and JSON files hold them, under the names that people use."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from modeling_sigma.io.detections import Detection, check_num_frames, nobody
from modeling_sigma.io.many_clips import ManyClips
from modeling_sigma.io.point_arrays import as_array, layout_of_points, recording_of_array, recording_of_parts
from modeling_sigma.io.reading_budget import check_time, take_bytes, take_objects
from modeling_sigma.io.reading_errors import shown
from modeling_sigma.io.recording import Recording
from modeling_sigma.io.stated_facts import stated_facts
from modeling_sigma.model.clip_kinds import MOST_PEOPLE
from modeling_sigma.model.clip_shapes import axis_order


_KEYPOINTS = ("keypoints", "keypoint", "kpts", "poses")
_SCORES = ("scores", "keypoint_scores", "keypoint_score", "confidences", "confidence")
_PARTS = {
    "pose": ("pose", "body", "pose_landmarks"),
    "face": ("face", "face_landmarks"),
    "left_hand": ("left_hand", "lh", "left_hand_landmarks", "left"),
    "right_hand": ("right_hand", "rh", "right_hand_landmarks", "right"),
}
_NAMES = ("frame_dir", "name", "clip", "video", "video_name", "video_id", "sample_id", "id")
# Rows of numbers are longer than any other axis: 42 points of x and y.
_SHORTEST_ROW = 84
_LONGEST_NAME = 60
_LABELS = ("text", "gloss", "video_path", "translation")


def clips_of(content: Any, path: str | os.PathLike[str]) -> Recording | ManyClips:
    """Makes one clip, or several, of plain data from a file.

    One clip: an array (`recording_of_array`), a pair of arrays (keypoints and scores), a list with one such pair per
    frame, or a dictionary with

    - `keypoints` and `scores` (also `confidences`, `keypoint_scores`): lists with one array per frame, `(N, K, 2)` and
      `(N, K)` for N persons or `(K, 2)` and `(K,)` for one, None or empty where nobody was seen; or one array each
      with a leading frame axis;
    - `keypoint` `(M, T, K, C)` and `keypoint_score` `(M, T, K)` of M persons: an annotation of pyskl and mmaction;
    - `pose`, `face`, `left_hand`, `right_hand` (also `lh`, `rh`): MediaPipe's parts, `(T, points, C)` each.

    Optional: `start` and `end` (frames `start <= t < end`), `layout`, `fps`, `width`, `height`, and `img_shape`
    (height, width).

    Several: a dictionary of clips by name, a list of them, arrays `(clips, T, K, C)` or `(clips, T, numbers)`, or
    `{"annotations": [...]}`.

    Args:
        content:
            The data: dictionaries, lists, numbers, text and arrays.
        path (`str` or `os.PathLike`):
            The name of the file, for messages.

    Raises:
        ValueError: for anything else; the message says what the data seem to be.
    """
    if isinstance(content, np.ndarray):
        if _are_clips(content):
            return ManyClips(path, enumerate(content), recording_of_array)
        return recording_of_array(content)
    if type(content) is dict:
        if _holds_one_clip(content):
            return _one_clip(content) if not _holds_clips(content) else _clip_by_clip(content, path)
        if {"images", "annotations"} <= content.keys():
            raise ValueError(
                "expected the keypoints of a clip, received an annotation file of COCO, with keypoints of many "
                "pictures: put those of one clip, frame by frame, into an .npz file with save_clip"
            )
        if type(content.get("annotations")) is list and any(map(_is_clip, content["annotations"][:3])):
            return _named_clips(content["annotations"], path)
        if content and all(map(_is_number, content)):
            frames = [content[name] for name in sorted(content, key=int)]
            if _are_frames(frames):
                return clips_of(frames, path)
        if _are_separate_axes(content):
            return recording_of_array(np.stack([content["x"], content["y"]], -1), _get(content, (*_SCORES, "score")))
        if not content.keys() & set(_SCORES) and any(_is_clip(value) for value in list(content.values())[:3]):
            return ManyClips(path, _each_clip(content), _any_clip)
        raise ValueError(_advice(content))
    if type(content) in (list, tuple) and content:
        if _is_pair(content):
            return _one_clip({"keypoints": content[0], "scores": content[1]})
        if all(map(_is_nobody, content)):
            raise ValueError(f"expected somebody in at least one frame, received nobody in {len(content)} frames")
        if _are_frames(content):
            return _of_frames([None if _is_nobody(frame) else frame for frame in content])
        if any(map(_is_clip, content[:3])):
            return _named_clips(content, path)
    what = f"a {type(content).__name__}"
    if type(content) in (list, tuple) and content and type(content[0]) is dict:
        what += f" of entries with {', '.join(map(shown, list(content[0])[:5]))}"
    raise ValueError(f"expected a dictionary with keypoints and scores, received {what}: this is no file of keypoints")


def _holds_one_clip(content: Mapping[Any, Any]) -> bool:
    """Whether a dictionary has keypoints under one of their names, or MediaPipe's parts as arrays."""
    if _get(content, _KEYPOINTS) is not None:
        return True
    parts = _parts(content)
    return bool(parts) and all(isinstance(part, (list, tuple, np.ndarray)) for part in parts.values())


def _are_clips(array: np.ndarray) -> bool:
    """Whether an array is `(clips, T, K, C)`, or `(clips, T, numbers)` with the points of a frame in one row."""
    if array.ndim == 4:
        return array.shape[1] > MOST_PEOPLE and array.shape[-1] in (2, 3, 4)
    return array.ndim == 3 and array.shape[-1] >= _SHORTEST_ROW and axis_order(array.shape) is None


def _holds_clips(content: Mapping[Any, Any]) -> bool:
    """Whether `keypoints` are `(clips, T, K, C)`: more people than frames would be odd."""
    keypoints = _get(content, _KEYPOINTS)
    return (
        "keypoint" not in content  # people come before frames
        and isinstance(keypoints, np.ndarray)
        and keypoints.ndim == 4
        and len(keypoints) <= MOST_PEOPLE < keypoints.shape[1] // 2
    )


def _clip_by_clip(content: Mapping[Any, Any], path: str | os.PathLike[str]) -> ManyClips:
    keypoints, scores = _get(content, _KEYPOINTS), _get(content, _SCORES)
    facts = {name: value for name, value in content.items() if name not in (*_KEYPOINTS, *_SCORES)}
    clips = (
        {**facts, "keypoints": clip, "scores": None if scores is None else scores[number]}
        for number, clip in enumerate(keypoints)
    )
    return ManyClips(path, enumerate(clips), _one_clip)


def _each_clip(content: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    """The clips of a dictionary by name; of an array of several, `train_0`, `train_1`, ..."""
    for name, value in content.items():
        if isinstance(value, np.ndarray) and _are_clips(value):
            yield from ((f"{name}_{number}", clip) for number, clip in enumerate(value))
        elif _is_clip(value):
            yield name, value


def _are_separate_axes(content: Mapping[Any, Any]) -> bool:
    """Whether x and y are `(T, K)` arrays of their own."""
    x, y = content.get("x"), content.get("y")
    return isinstance(x, np.ndarray) and isinstance(y, np.ndarray) and x.ndim == 2 and x.shape == y.shape


def _is_nobody(frame: Any) -> bool:
    return frame is None or (type(frame) in (list, tuple) and not frame) or getattr(frame, "size", 1) == 0


def _are_frames(frames: Sequence[Any]) -> bool:
    """Whether a list holds the frames of one clip in one form, and None or nothing where nobody was seen."""
    found = [frame for frame in frames if not _is_nobody(frame)]
    kinds = (lambda frame: type(frame) is dict and _is_frame(frame), _is_pair, _is_points)
    return bool(found) and any(all(map(is_kind, found)) for is_kind in kinds)


def _is_points(frame: Any) -> bool:
    """The points of one person in one frame, `(K, C)`."""
    return isinstance(frame, np.ndarray) and frame.ndim == 2 and frame.shape[1] in (2, 3, 4)


def _is_clip(value: Any) -> bool:
    if type(value) is dict:
        return _holds_one_clip(value)
    if type(value) in (list, tuple):
        return _is_pair(value) or _are_frames(value)
    return isinstance(value, np.ndarray) and value.ndim in (2, 3, 4) and value.dtype.kind in "fiu" and value.size > 0


def _is_frame(content: dict[Any, Any]) -> bool:
    """Whether this is a dictionary with the keypoints of one frame: `(K, 2)`, or `(N, K, 2)` of N people."""
    keypoints, scores = _get(content, _KEYPOINTS), _get(content, _SCORES)
    if not isinstance(keypoints, np.ndarray) or not isinstance(scores, np.ndarray):
        return scores is None and _is_points(keypoints)
    is_crowd = keypoints.ndim == 3 and len(keypoints) <= MOST_PEOPLE and _get(content, _NAMES) is None
    return keypoints.ndim == scores.ndim + 1 and (keypoints.ndim == 2 or is_crowd)


def _is_pair(content: Any) -> bool:
    """Whether this is a pair of arrays: keypoints and scores."""
    if type(content) not in (list, tuple) or len(content) != 2:
        return False
    keypoints, scores = content
    if not (isinstance(keypoints, np.ndarray) and isinstance(scores, np.ndarray)):
        return False
    return keypoints.ndim == scores.ndim + 1 and keypoints.shape[:-1] == scores.shape and keypoints.shape[-1] in (2, 3)


def _is_number(name: Any) -> bool:
    return isinstance(name, (int, str)) and str(name).isdigit()


def _of_frames(frames: Sequence[Any]) -> Recording:
    first = next(frame for frame in frames if frame is not None)
    if isinstance(first, np.ndarray):
        return recording_of_array(_stacked(frames))
    facts: dict[Any, Any] = {}
    if type(first) is dict:
        facts = {name: value for name, value in first.items() if name not in (*_KEYPOINTS, *_SCORES)}
        pairs = [(_get(frame or {}, _KEYPOINTS), _get(frame or {}, _SCORES)) for frame in frames]
    else:  # what rtmlib returns, frame by frame
        pairs = [frame or (None, None) for frame in frames]
    keypoints, scores = ([pair[place] for pair in pairs] for place in (0, 1))
    have_scores = any(score is not None for score in scores)
    return _one_clip({**facts, "keypoints": keypoints, "scores": scores if have_scores else None})


def _any_clip(value: Any) -> Recording:
    if isinstance(value, np.ndarray):
        return recording_of_array(value)
    if type(value) is dict:
        return _one_clip(value)
    if _is_pair(value):
        return _one_clip({"keypoints": value[0], "scores": value[1]})
    return _of_frames([None if _is_nobody(frame) else frame for frame in value])


def _named_clips(contents: Any, path: str | os.PathLike[str]) -> ManyClips:
    def named() -> Any:
        for place, content in enumerate(contents):
            if _is_clip(content):
                name = _get(content, _NAMES) if type(content) is dict else None
                yield (name if isinstance(name, (str, int)) and str(name) else place), content

    return ManyClips(path, named(), _any_clip)


def _one_clip(content: Mapping[Any, Any]) -> Recording:
    stated = stated_facts(content)
    layout = _layout_name(content)
    keypoints, scores = _get(content, _KEYPOINTS), _get(content, _SCORES)
    if keypoints is None:
        return recording_of_parts({name: _window(part, content) for name, part in _parts(content).items()}, **stated)
    if scores is not None and len(keypoints := _per_frame(keypoints, "keypoints")) != len(
        scores := _per_frame(scores, "scores")
    ):
        raise ValueError(
            f"expected as many frames of scores as of keypoints, received {len(scores)} and {len(keypoints)}: "
            "extract the clip again"
        )
    if "keypoint" in content and isinstance(keypoints, np.ndarray) and keypoints.ndim == 4:
        keypoints = np.swapaxes(keypoints, 0, 1)  # persons come before frames
        scores = np.swapaxes(scores, 0, 1) if scores is not None and scores.ndim == 3 else scores
    keypoints = _window(keypoints, content)
    if scores is None or (isinstance(keypoints, np.ndarray) and isinstance(scores, np.ndarray)):
        return recording_of_array(
            keypoints if isinstance(keypoints, np.ndarray) else _stacked(keypoints),
            None if scores is None else _window(scores, content),
            layout,
            **stated,
        )
    check_num_frames(len(keypoints))
    frames = _frames(keypoints, _window(scores, content), int(content.get("start") or 0))
    return Recording(frames, layout or layout_of_points(frames[0][1].shape[1]), **stated)


def _layout_name(content: Mapping[Any, Any]) -> str | None:
    name = content.get("layout")
    if isinstance(name, np.ndarray) and name.size == 1:
        name = name.item()
    if name is not None and (type(name) is not str or len(name) > _LONGEST_NAME):
        raise ValueError(f"expected the name of a layout, received {shown(name)}: correct it")
    return name


def _window(values: Any, content: Mapping[Any, Any]) -> Any:
    start, end = (_frame_number(content, name) for name in ("start", "end"))
    if (start or 0) >= min(len(values), len(values) if end is None else end) and len(values):
        raise ValueError(
            f"expected start below end and below the {len(values)} frames, received start {start} and end {end}: "
            "the window belongs to another clip"
        )
    return values[start:end]


def _frame_number(content: Mapping[Any, Any], name: str) -> int | None:
    value = content.get(name)
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise ValueError(f"expected {name} as a frame number from 0, received {shown(value)}: remove it")
    return int(value)


def _per_frame(values: Any, name: str) -> Any:
    if type(values) in (list, tuple) or (type(values) is np.ndarray and values.ndim):
        return values
    raise ValueError(f"expected {name} as a list of arrays or one array, received {type(values).__name__}")


def _stacked(frames: Any) -> np.ndarray:
    """One array from a list of frames; frames without anybody (None, empty) become zeros."""
    take_objects(4 * len(frames))
    arrays = [np.zeros(0) if frame is None else as_array(frame) for frame in frames]
    shapes = {array.shape for array in arrays if array.size}
    if len(shapes) != 1:
        raise ValueError(
            f"expected keypoints of one shape in every frame, received {sorted(shapes)[:4] or 'nobody'}: store scores "
            "beside them if the number of persons changes"
        )
    shape = shapes.pop()
    take_bytes(len(arrays) * math.prod(shape) * 8)
    return np.stack([array if array.size else np.zeros(shape, np.float32) for array in arrays])


def _frames(keypoints: Any, scores: Any, start: int) -> list[Detection]:
    frames = []
    for t, (k, s) in enumerate(zip(keypoints, scores, strict=True), start):
        check_time()
        frames.append(_detection(k, s, t))
    sizes = {frame[1].shape[1] for frame in frames if len(frame[1])}
    if len(sizes) > 1:
        raise ValueError(f"expected one number of keypoints in all frames, received {sorted(sizes)}: extract it again")
    nothing = nobody(sizes.pop() if sizes else 133)
    return [frame if len(frame[1]) else nothing for frame in frames]


def _detection(keypoints: Any, scores: Any, t: int) -> Detection:
    if _is_detection(keypoints, scores):  # nearly all frames are
        return keypoints, scores
    arrays = []
    for name, values in (("keypoints", keypoints), ("scores", scores)):
        array = np.zeros(0) if values is None else as_array(values)
        if array.dtype.kind not in "fiu":
            raise ValueError(
                f"expected {name} of frame {t} as an array of numbers, received {type(values).__name__} of dtype "
                f"{array.dtype}: store None or an empty array where nobody was seen"
            )
        arrays.append(array)
    keypoints, scores = arrays
    if keypoints.size == 0 and scores.size == 0:
        return np.zeros((0, 0, 2)), np.zeros((0, 0))
    if keypoints.ndim == 2 and scores.ndim == 1:
        keypoints, scores = keypoints[None], scores[None]
    if keypoints.ndim == 3 and keypoints.shape[2] == 3:
        keypoints = keypoints[..., :2]  # the third number is the score again, or a depth
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


def _parts(content: Mapping[Any, Any]) -> dict[str, Any]:
    found = {name: _get(content, keys) for name, keys in _PARTS.items()}
    return {name: part for name, part in found.items() if part is not None}


def _get(content: Mapping[Any, Any], keys: tuple[str, ...]) -> Any:
    return next((content[key] for key in keys if content.get(key) is not None), None)


def _advice(content: dict[Any, Any]) -> str:
    """What a dictionary without keypoints seems to be, and what to do."""
    keys = ", ".join(shown(key) for key in list(content)[:5]) or "nothing"
    expected = f"expected a dictionary with keypoints and scores, received one with {keys}"
    samples = [value for value in list(content.values())[:3] if type(value) is dict]
    if any(name in sample for sample in samples for name in _LABELS):
        return f"{expected}: this is a label file, which loads with load_label_file"
    if content.keys() & {"state_dict", "model_state_dict", "optimizer"}:
        return f"{expected}: these are weights of a model, not a clip: convert-checkpoint reads them"
    if content.keys() & set(_SCORES):
        return f"{expected}: the keypoints are missing: store them as keypoints (T, K, 2)"
    return f"{expected}: store keypoints (T, K, 2) and scores (T, K) under these names, or use save_clip"
