"""Reader of JSON files that hold a whole clip: AlphaPose, mmpose, MediaPipe exports, OpenPose frames in one file."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from modeling_sigma.io.clip_dictionary import clips_of
from modeling_sigma.io.detections import Detection, nobody
from modeling_sigma.io.json_text import parsed_json
from modeling_sigma.io.many_clips import ManyClips
from modeling_sigma.io.mediapipe_json import recording_of_mediapipe_frames
from modeling_sigma.io.mediapipe_landmarks import is_list_of_landmarks
from modeling_sigma.io.openpose_json import LAYOUT, detection_of_people
from modeling_sigma.io.point_arrays import layout_of_points
from modeling_sigma.io.reading_budget import check_time, file_bytes
from modeling_sigma.io.reading_errors import naming_file, shown
from modeling_sigma.io.recording import Recording
from modeling_sigma.io.stated_facts import stated_facts


_COCO_PARTS = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")
_FRAMES = ("frames", "results", "predictions", "data", "landmarks")


def read_json_file(path: str | os.PathLike[str]) -> Recording | ManyClips:
    """Reads a JSON file of one clip.

    - AlphaPose: a list of results `{"image_id", "keypoints": [x, y, score, ...], ...}`, one per person and frame;
    - mmpose: `{"instance_info": [{"frame_id", "instances": [{"keypoints", "keypoint_scores"}]}]}`, or the list alone;
    - MediaPipe exports: a list of frames (or `{"frames": [...]}`), with the landmarks of pose, face and hands;
    - OpenPose: `{"frames": [{"people": [...]}]}`, or the list alone;
    - dictionaries of `keypoints` and `scores` as pickles hold them (`clips_of`).

    Raises:
        ValueError: for other content (the message says what it seems to be), or for a damaged file.
        OSError: if there is no such file or it cannot be read.
    """
    raw = file_bytes(path)
    with naming_file(path, "a JSON file"):
        return _recording_of(parsed_json(raw, may_have_lines=True), path)


def _recording_of(content: Any, path: str | os.PathLike[str]) -> Recording | ManyClips:
    if isinstance(content, dict):
        if isinstance(content.get("people"), list):
            raise ValueError(
                "expected a whole clip, received one frame of OpenPose: pass the folder with the frames of the clip"
            )
        if isinstance(content.get("instance_info"), list):
            return _mmpose(content["instance_info"], stated_facts(content))
        frames = next((content[name] for name in _FRAMES if name in content), None)
        if isinstance(frames, dict):
            frames = _by_number(frames)
        if frames is None and content and all(str(key).isdigit() for key in content):
            frames = _by_number(content)
        if isinstance(frames, list) and (recording := _of_frames(frames, stated_facts(content))):
            return recording
    elif isinstance(content, list) and (recording := _of_frames(content, {})):
        return recording
    if isinstance(content, (dict, list)):
        return _of_arrays(content, path)
    raise ValueError(f"expected the keypoints of a clip, received {shown(content)}: this is no file of keypoints")


def _of_frames(frames: list[Any], stated: dict[str, Any]) -> Recording | None:
    """The recording of a list of frames or results; None for a list of anything else."""
    first = next((frame for frame in frames if frame), None)
    if isinstance(first, list) and is_list_of_landmarks(first) and isinstance(first[0], dict):
        return _of_frames([{"landmarks": frame} for frame in frames], stated)
    if isinstance(first, list) and first and isinstance(first[0], dict) and "keypoints" in first[0]:
        return _instances([frame or [] for frame in frames], stated)  # MMPoseInferencer
    if not isinstance(first, dict):
        return None
    if "image_id" in first and "keypoints" in first:
        return _alphapose(frames, stated)
    if "instances" in first and "gloss" not in first:  # WLASL's label file has instances too
        return _mmpose(frames, stated)
    if "keypoints" in first and "bbox" in first and not first.keys() & {"frame_id", "frame_dir"}:
        raise ValueError(
            "expected a whole clip, received the people of one picture as mmpose writes them: run it on the video, or "
            "put the lists of all frames into one list"
        )
    if isinstance(first.get("keypoints"), list) and _depth(first["keypoints"]) <= 2:
        return _instances([[frame] if frame and frame.get("keypoints") else [] for frame in frames], stated)
    if "people" in first:
        detections = [detection_of_people((frame or {}).get("people", [])) for frame in frames]
        return Recording(detections, LAYOUT, **stated)
    return recording_of_mediapipe_frames(_in_order(frames), **stated)


def _in_order(frames: list[Any]) -> list[Any]:
    """Frames by their number, where each states one."""
    for name in ("frame", "frame_id", "frame_number", "frame_idx", "frame_index"):
        if all(isinstance(frame, dict) and isinstance(frame.get(name), int) for frame in frames):
            return sorted(frames, key=lambda frame: frame[name])
    return frames


def _alphapose(results: list[Any], stated: dict[str, Any]) -> Recording:
    """Results of one picture form a frame; frames are sorted by the number in the picture's name."""
    by_image: dict[str, list[Any]] = {}
    for result in results:
        by_image.setdefault(str(result["image_id"]), []).append(result)
    numbers = {name: _number_in(name) for name in by_image}
    if len(set(numbers.values())) != len(numbers) or None in numbers.values():
        names = ", ".join(ascii(name[:40]) for name in list(by_image)[:3])
        raise ValueError(
            f"expected the frames of one clip, numbered in image_id, received {names}: give each clip a file of its "
            "own"
        )
    ordered = sorted(by_image, key=lambda name: numbers[name] or 0)
    return _instances([by_image[name] for name in ordered], stated)


def _mmpose(frames: list[Any], stated: dict[str, Any]) -> Recording:
    if all("frame_id" in frame for frame in frames):
        frames = sorted(frames, key=lambda frame: frame["frame_id"])
    return _instances([frame["instances"] for frame in frames], stated)


def _instances(frames: Sequence[list[Any]], stated: dict[str, Any]) -> Recording:
    detections: list[Detection | None] = []
    for t, people in enumerate(frames):
        check_time()
        points = [_person(person, t) for person in people]
        sizes = {len(person) for person in points}
        if len(sizes) > 1:
            raise ValueError(
                f"expected one number of keypoints for all persons, received {sorted(sizes)} in frame {t}"
            )
        stacked = np.stack(points) if points else None
        detections.append(None if stacked is None else (stacked[..., :2], stacked[..., 2]))
    sizes = {detection[1].shape[1] for detection in detections if detection is not None}
    if len(sizes) != 1:
        raise ValueError(f"expected one number of keypoints in all frames, received {sorted(sizes) or 'nobody'}")
    num_keypoints = sizes.pop()
    frames_found = [nobody(num_keypoints) if detection is None else detection for detection in detections]
    return Recording(frames_found, layout_of_points(num_keypoints), **stated)


def _person(person: Any, t: int) -> np.ndarray:
    """x, y and score `(K, 3)` of one result of AlphaPose, or of one instance of mmpose."""
    if "lefthand_kpts" in person:  # COCO-WholeBody's own form of results
        return np.concatenate([np.array(person[part], np.float64).reshape(-1, 3) for part in _COCO_PARTS])
    points = np.array(person["keypoints"], np.float64)
    if points.ndim == 3 and len(points) == 1:  # mmpose wraps some lists in another list
        points = points[0]
    scores = person.get("keypoint_scores")
    if scores is not None:
        return np.concatenate(
            [points.reshape(-1, points.shape[-1])[:, :2], np.array(scores, np.float64).reshape(-1, 1)], 1
        )
    if points.ndim == 2 and points.shape[1] in (2, 3):
        found = points[:, 2:] if points.shape[1] == 3 else points.any(1, keepdims=True)
        return np.concatenate([points[:, :2], found], 1)
    if points.ndim != 1 or points.size % 3:
        raise ValueError(f"expected x, y and a score of every keypoint in frame {t}, received shape {points.shape}")
    return points.reshape(-1, 3)


def _of_arrays(content: Any, path: str | os.PathLike[str]) -> Recording | ManyClips:
    """Reads dictionaries of keypoints as in pickles, with lists of numbers in place of arrays."""
    if isinstance(content, list):
        first = content[0] if content else None
        if isinstance(first, dict) and not any(key in first for key in ("keypoints", "keypoint")):
            raise ValueError(_list_advice(first))
        return clips_of(_arrays(content), path)
    if not any(key in content for key in ("keypoints", "keypoint")):
        advice = _dictionary_advice(content)
        if advice is not None:
            raise ValueError(advice)
    return clips_of({key: _arrays(value) for key, value in content.items()}, path)


def _arrays(value: Any) -> Any:
    """Turns lists of numbers into arrays and keeps the rest; frames without anybody stay in a list."""
    if isinstance(value, dict):
        return {key: _arrays(item) for key, item in value.items()}
    if not isinstance(value, list) or not value:
        return value
    check_time()
    try:
        array = np.array(value, np.float64)
    except (ValueError, TypeError):
        return [_arrays(item) for item in value]
    return array


def _depth(value: Any) -> int:
    """How deeply lists are nested."""
    return 1 + _depth(value[0]) if isinstance(value, list) and value else 0


def _by_number(frames: dict[str, Any]) -> list[Any] | None:
    if not all(_number_in(str(key)) is not None for key in frames):
        return None
    return [frames[key] for key in sorted(frames, key=lambda key: _number_in(str(key)) or 0)]


def _number_in(name: str) -> int | None:
    numbers = re.findall(r"\d{1,18}", name)
    return int(numbers[-1]) if numbers else None


def _dictionary_advice(content: dict[str, Any]) -> str | None:
    keys = ", ".join(shown(key) for key in list(content)[:5]) or "nothing"
    expected = f"expected the keypoints of a clip, received a JSON file with {keys}"
    if content.keys() & {"dependencies", "devDependencies", "scripts", "model_type", "architectures", "auto_map"}:
        return f"{expected}: this is a settings file, not a clip: name the files with keypoints"
    sample = next(iter(content.values()), None)
    if isinstance(sample, dict) and sample.keys() & {"people", "bodies"}:
        return (
            f"{expected}: AlphaPose's formats open and cmu hold bodies without hands: run it with a whole-body model "
            "and its own format"
        )
    if not any(isinstance(value, (list, dict)) and len(value) for value in content.values()):
        return f"{expected}: this describes something, but holds no keypoints: name the files with keypoints"
    return None


def _list_advice(first: dict[str, Any]) -> str:
    keys = ", ".join(shown(key) for key in list(first)[:5]) or "nothing"
    expected = f"expected the keypoints of a clip, received a list of entries with {keys}"
    if first.keys() & {"gloss", "text", "sentence", "translation", "label", "video_id"}:
        return (
            f"{expected}: this is a table of labels: name the files with keypoints, or build a data set of both with "
            "build-dataset"
        )
    return f"{expected}: convert it with PoseClip and save_clip"
