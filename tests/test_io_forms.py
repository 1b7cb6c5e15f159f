"""The forms that the field's files have: arrays, tables, JSON files, text, and files with many clips."""

import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from modeling_sigma import PoseClip, SigmaFeatureExtractor
from modeling_sigma.io import load_clip, save_clip
from modeling_sigma.io.clip_paths import clip_paths
from modeling_sigma.io.load_clip import clip_names
from modeling_sigma.model.skeleton_layouts import get_layout


RNG = np.random.default_rng(0)


def holistic(num_frames: int = 4, num_face: int = 468) -> np.ndarray:
    """Points (T, 75 + num_face, 4) like MediaPipe's: pose, face, hands with x, y, z, visibility, in image shares."""
    pose = RNG.uniform(0.2, 0.9, (num_frames, 33, 4))
    pose[:, :2, :2] = [[0.2, 0.2], [0.9, 0.9]]  # a body is larger than its face
    face = RNG.uniform(0.45, 0.55, (num_frames, num_face, 4))
    hands = RNG.uniform(0.3, 0.5, (num_frames, 42, 4))
    points = np.concatenate([pose, face, hands], axis=1)
    points[..., 2] -= 0.6  # depths
    points[:, 33:, 3] = 1
    return points.astype(np.float32)


def face_first(points: np.ndarray) -> np.ndarray:
    """The order of Kaggle's competitions: face, left hand, pose, right hand."""
    pose, face, left, right = np.split(points, [33, points.shape[1] - 42, points.shape[1] - 21], axis=1)
    return np.concatenate([face, left, pose, right], axis=1)


def write_json(path: Path, content) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def check(clip: PoseClip, points: np.ndarray, layout: str, scores=None) -> None:
    assert clip.layout == layout
    np.testing.assert_allclose(clip.keypoints, points[..., :2], rtol=1e-6)
    np.testing.assert_allclose(clip.scores, np.ones(points.shape[:2]) if scores is None else scores, rtol=1e-6)


# --- arrays


@pytest.mark.parametrize("num_face", [0, 468, 478])
@pytest.mark.parametrize("form", ["xy", "xyz", "xyzv", "flat xyz", "tutorial", "face first", "flat face first"])
def test_npy_of_mediapipe(num_face, form, tmp_path):
    points = holistic(num_face=num_face)
    layout, visibility = f"mediapipe_holistic_{75 + num_face}", None
    if form == "xy":
        array = points[..., :2]
    elif form == "xyzv":
        array, visibility = points, points[..., 3]
    elif form == "tutorial":
        array, visibility = (
            np.hstack([points[:, :33].reshape(4, -1), points[:, 33:, :3].reshape(4, -1)]),
            points[..., 3],
        )
    else:
        array = face_first(points) if "first" in form and num_face else points
        array = array[..., :3].reshape(4, -1) if "flat" in form else array[..., :3]
    np.save(tmp_path / "a.npy", array)
    check(load_clip(tmp_path / "a.npy"), points, layout, visibility)


def test_faces_that_were_not_found_do_not_hide_the_order(tmp_path):
    points = holistic()[..., :3]
    points[:, 33 : 33 + 468] = 0
    for array in (points, face_first(points)):
        np.save(tmp_path / "a.npy", array)
        clip = load_clip(tmp_path / "a.npy")
        np.testing.assert_array_equal(clip.keypoints, points[..., :2])
        assert (clip.scores > 0).sum(1).tolist() == [75] * 4


def test_a_stated_layout_is_not_put_into_another_order(tmp_path):
    points = face_first(holistic())[..., :2]
    np.savez(tmp_path / "a.npz", keypoints=points, scores=np.ones(points.shape[:2]), layout="mediapipe_holistic_543")
    np.testing.assert_array_equal(load_clip(tmp_path / "a.npz").keypoints, points)


@pytest.mark.parametrize(("size", "layout"), [(133, "coco_wholebody_133"), (136, "halpe_136"), (42, "hands_42")])
def test_npy_with_scores_and_persons(size, layout, tmp_path):
    points = RNG.uniform(0.1, 1, (5, size, 3)).astype(np.float32)
    np.save(tmp_path / "a.npy", points)
    check(load_clip(tmp_path / "a.npy"), points, layout, points[..., 2])
    two = np.stack([points * 0.1, points + [5, 0, 0]], axis=1)
    np.save(tmp_path / "b.npy", two)
    check(load_clip(tmp_path / "b.npy"), two[:, 1], layout, points[..., 2])


def test_a_folder_of_rows(tmp_path):
    points = holistic(12)[..., :3]
    for t, frame in enumerate(points):
        np.save(tmp_path / f"{t}.npy", frame.ravel())
    check(load_clip(tmp_path), points, "mediapipe_holistic_543")
    assert list(clip_paths(tmp_path)) == [tmp_path]
    np.save(tmp_path / "12.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"expected rows of one length in all frames, received lengths \[3, 1629\]"):
        load_clip(tmp_path)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((4, 150)), r"received \(4, 150\), 150 numbers per frame: reshape the array to \(T, K, 2\)"),
        (np.ones((4, 225 + 1)), r"226 numbers per frame"),
        (np.ones((4, 17, 2)), "received 17, a body without hands: run the detector with a whole-body model"),
        (np.full((4, 133, 3), -0.5), "a depth"),
        (np.ones((4, 21, 3)), "received 21, one hand alone: put the points into the first half"),
        (np.ones((4, 2, 21, 3)), r"expected keypoints \(T, 42, C\) of two hands, received \(4, 2, 21, 3\)"),
        (np.ones((3, 4, 133)), r"put the axes into that order, array.transpose\(1, 2, 0\)"),
        (np.array([{"a": 1}]), "received python objects, which could run code: save keypoints"),
        (np.array(["a"]), "expected keypoints as numbers, received dtype <U1"),
        (np.ones((0, 133, 2)), "expected 1 to 500,000 frames, received 0"),
        (np.ones((4, 133, 7)), r"expected \(T, K, 3\) or \(T, K, 2\) keypoints"),
    ],
)
def test_other_npy(array, message, tmp_path):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match=rf"a.npy: .*{message}") as caught:
        load_clip(tmp_path / "a.npy")
    assert "\n" not in str(caught.value)


def test_npy_cut_short_or_with_an_absurd_header(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.ones((2, 133, 2), np.float32))
    raw = path.read_bytes()
    for length in range(0, len(raw), 7):
        path.write_bytes(raw[:length])
        with pytest.raises(ValueError, match=r"a.npy: "):
            load_clip(path)
    path.write_bytes(raw.replace(b"(2, 133, 2)", b"(9**9, 3)  ").replace(b"9**9", b"9999"))
    with pytest.raises(ValueError, match=r"a.npy: "):
        load_clip(path)


# --- dictionaries in pickles and archives


def test_names_that_others_give_to_keypoints(tmp_path):
    points = RNG.uniform(0.1, 1, (5, 75, 3)).astype(np.float32)
    certainty = RNG.uniform(0.1, 1, (5, 75)).astype(np.float32)
    for data in (
        {"keypoints": points, "confidences": certainty},  # OpenHands
        {"keypoint": points[None, ..., :2], "keypoint_score": certainty[None], "img_shape": (720, 1280)},  # pyskl
        {"keypoints": list(points[..., :2]), "keypoint_scores": list(certainty), "frame_rate": 25},
        [{"keypoints": k, "scores": s} for k, s in zip(points[..., :2], certainty, strict=True)],  # frame by frame
    ):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(data))
        check(load_clip(tmp_path / "a.pkl"), points, "mediapipe_holistic_75", certainty)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"keypoint": points[None, ..., :2], "img_shape": (720, 1280)}))
    clip = load_clip(tmp_path / "a.pkl")
    assert (clip.width, clip.height) == (1280, 720)


@pytest.mark.parametrize(
    ("parts", "layout"),
    [
        (("pose", "lh", "rh"), "mediapipe_holistic_75"),
        (("pose", "face", "left_hand", "right_hand"), "mediapipe_holistic_543"),
        (("left_hand", "right_hand"), "hands_42"),
        (("pose",), "mediapipe_holistic_75"),
    ],
)
def test_parts_in_arrays_of_their_own(parts, layout, tmp_path):
    points = holistic()
    blocks = {"pose": points[:, :33], "face": points[:, 33:501, :3]}
    blocks |= dict.fromkeys(("lh", "left_hand"), points[:, 501:522, :3])
    blocks |= dict.fromkeys(("rh", "right_hand"), points[:, 522:, :2])
    data = {name: blocks[name] for name in parts}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(data))
    np.savez(tmp_path / "a.npz", **data)
    for name in ("a.pkl", "a.npz"):
        clip = load_clip(tmp_path / name)
        assert clip.layout == layout
        sizes = dict(get_layout(layout).components)
        assert (clip.scores > 0).sum() == 4 * sum(sizes.values()) - (4 * 42 if parts == ("pose",) else 0)
        if "rh" in parts or "right_hand" in parts:
            np.testing.assert_array_equal(clip.keypoints[:, -21:], points[:, 522:, :2])
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({**data, "pose": np.ones((3, 33, 3))}))
    if len(parts) > 1:
        with pytest.raises(ValueError, match=r"a.pkl: expected as many frames of every part"):
            load_clip(tmp_path / "a.pkl")


def test_the_feature_extractor_reads_75_points():
    values = SigmaFeatureExtractor()(holistic(num_face=0)[..., [0, 1, 3]])["pose_values"][0]
    assert values[:, 9:51].any() and not values[:, 51:].any()


def test_lists_of_frames_and_pairs_of_arrays(tmp_path):
    points = RNG.uniform(0.1, 1, (4, 133, 3)).astype(np.float32)
    keypoints, scores = points[..., :2], points[..., 2]
    for data in (
        (keypoints, scores),
        [(keypoints[t : t + 1], scores[t : t + 1]) for t in range(4)],  # rtmlib
        list(points),
        {t: {"keypoints": keypoints[t], "scores": scores[t]} for t in reversed(range(4))},
    ):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(data))
        check(load_clip(tmp_path / "a.pkl"), points, "coco_wholebody_133", scores)
    for none in (None, []):
        frames = {"keypoints": [none, *keypoints[1:]], "scores": [none, *scores[1:]]}
        for data in (frames, [None, *points[1:]]):
            (tmp_path / "a.pkl").write_bytes(pickle.dumps(data))
            clip = load_clip(tmp_path / "a.pkl")
            assert not clip.scores[0].any() and np.array_equal(clip.keypoints[1:], keypoints[1:])


# --- many clips in one file


def pyskl(names=("S001", "S002")) -> dict:
    return {
        "split": {"train": list(names)},
        "annotations": [
            {"frame_dir": name, "label": 3, "keypoint": np.full((1, 2 + n, 133, 2), n + 1.0), "total_frames": 2 + n}
            for n, name in enumerate(names)
        ],
    }


def test_files_with_many_clips_are_read_by_name(tmp_path):
    path = tmp_path / "many.pkl"
    clips = {
        name: np.full((2 + n, 133, 3), n + 1.0) * [1, 1, 0.5 / (n + 1)] for n, name in enumerate(("S001", "S002"))
    }
    for data in (
        pyskl(),
        clips,
        {name: {"keypoints": points} for name, points in clips.items()},
        [{"name": name, "keypoints": points} for name, points in clips.items()],
    ):
        path.write_bytes(pickle.dumps(data))
        assert clip_names(path) == ["S001", "S002"]
        paths = list(clip_paths(path))
        assert [str(each) for each in paths] == [f"{path}::S001", f"{path}::S002"]
        assert [len(load_clip(each)) for each in paths] == [2, 3]
        assert load_clip(f"{path}::S002").keypoints[0, 0].tolist() == [2, 2]
        with pytest.raises(
            ValueError,
            match=r"many.pkl: expected the name of one clip: this file holds 2 clips: 'S001', 'S002': choose one as "
            r"'many.pkl::S001'",
        ):
            load_clip(path)
        with pytest.raises(ValueError, match=r"many.pkl::S9: there is no clip 'S9': this file holds 2 clips"):
            load_clip(f"{path}::S9")
    np.save(tmp_path / "many.npy", RNG.uniform(0.1, 1, (3, 7, 133, 3)))
    assert [len(load_clip(each)) for each in clip_paths(tmp_path / "many.npy")] == [7, 7, 7]
    np.savez(tmp_path / "many.npz", **clips)
    assert len(load_clip(f"{tmp_path}/many.npz::S002")) == 3


def test_one_clip_of_many_needs_no_name_and_names_may_repeat(tmp_path):
    path = tmp_path / "many.pkl"
    path.write_bytes(pickle.dumps(pyskl(("only",))))
    assert len(load_clip(path)) == 2 and list(clip_paths(path)) == [path] and clip_names(path) is None
    path.write_bytes(pickle.dumps(pyskl(("a", "a"))))
    assert clip_names(path) == ["a", "a#1"]
    path.write_bytes(pickle.dumps(pyskl(("train//a", "train/b/"))))
    assert [len(load_clip(each)) for each in clip_paths(path)] == [2, 3]
    path.write_bytes(pickle.dumps({f"clip{n:03}": np.ones((1, 133, 2)) for n in range(300)}))
    with pytest.raises(ValueError, match=r"this file holds 300 clips: 'clip000', .* and 295 more: choose"):
        load_clip(path)
    save_clip(tmp_path / "a.npz", PoseClip(np.ones((2, 133, 2)), np.ones((2, 133))))
    with pytest.raises(ValueError, match="a.npz::x: .* this file holds one clip"):
        load_clip(f"{tmp_path}/a.npz::x")


def test_a_file_that_is_written_again_is_read_again(tmp_path):
    path = tmp_path / "many.pkl"
    for names in (("a", "b"), ("c", "d", "e")):
        path.write_bytes(pickle.dumps(pyskl(names)))
        assert clip_names(path) == list(names)


# --- JSON


def alphapose(num_keypoints: int = 136, num_frames: int = 3) -> list[dict]:
    """The signer, and in the second picture a fragment that is listed first."""
    results = []
    for t in reversed(range(num_frames)):
        points = np.stack(
            [np.arange(num_keypoints) + 100 + t, np.arange(num_keypoints) + 50, np.full(num_keypoints, 0.9)], 1
        )
        entry = {"image_id": f"{t}.jpg", "category_id": 1, "keypoints": points.ravel().tolist(), "score": 2.5}
        fragment = {**entry, "keypoints": (points * [0, 0, 0.1] + [3, 3, 0]).ravel().tolist(), "score": 0.1}
        results += [fragment, entry] if t == 1 else [entry]
    return results


@pytest.mark.parametrize(("size", "layout"), [(136, "halpe_136"), (133, "coco_wholebody_133")])
def test_alphapose(size, layout, tmp_path):
    clip = load_clip(write_json(tmp_path / "alphapose-results.json", alphapose(size)))
    assert clip.layout == layout and clip.keypoints[:, 0, 0].tolist() == [100, 101, 102]
    assert np.allclose(clip.scores, 0.9)
    with pytest.raises(ValueError, match=r"received 17, a body without hands: run the detector with a whole-body"):
        load_clip(write_json(tmp_path / "a.json", alphapose(17)))
    two = [{**entry, "image_id": entry["image_id"].replace(".", f"/{k}.")} for k in (1, 1) for entry in alphapose()]
    with pytest.raises(ValueError, match="expected the frames of one clip, numbered in image_id"):
        load_clip(write_json(tmp_path / "b.json", two))


def test_mmpose(tmp_path):
    points = RNG.uniform(1, 400, (3, 133, 2))
    instances = [[{"keypoints": frame.tolist(), "keypoint_scores": [0.5] * 133, "bbox": [0]}] for frame in points]
    frames = [{"frame_id": t + 1, "instances": each} for t, each in enumerate(instances)]
    for content in (
        {"meta_info": {"dataset_name": "coco_wholebody"}, "instance_info": frames[::-1]},
        frames,
        instances,
    ):
        clip = load_clip(write_json(tmp_path / "results.json", content))
        check(clip, points, "coco_wholebody_133", np.full((3, 133), 0.5))
    frames[1]["instances"] = []
    clip = load_clip(write_json(tmp_path / "results.json", {"instance_info": frames}))
    assert clip.scores.any(1).tolist() == [True, False, True]


def test_results_of_coco_wholebody_and_one_list_per_frame(tmp_path):
    points = RNG.uniform(0.1, 1, (3, 133, 3))
    names = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")
    parts = [np.split(frame, [17, 23, 91, 112]) for frame in points]
    results = [
        {"image_id": t, "category_id": 1, **{n: p.ravel().tolist() for n, p in zip(names, parts[t], strict=True)}}
        for t in range(3)
    ]
    for content in (results, {"frames": [{"keypoints": frame.tolist()} for frame in points]}):
        clip = load_clip(write_json(tmp_path / "a.json", content))
        check(clip, points, "coco_wholebody_133", points[..., 2])


def landmarks(points: np.ndarray) -> list[dict]:
    return [{"x": float(x), "y": float(y), "z": float(z), "visibility": float(v)} for x, y, z, v in points]


@pytest.mark.parametrize(
    "names",
    [
        ("pose", "face", "left_hand", "right_hand"),
        ("poseLandmarks", "faceLandmarks", "leftHandLandmarks", "rightHandLandmarks"),
        ("pose_landmarks", "face_landmarks", "left_hand_landmarks", "right_hand_landmarks"),
    ],
)
def test_mediapipe_exports(names, tmp_path):
    points = holistic()
    blocks = np.split(points, [33, 501, 522], axis=1)
    frames = [dict(zip(names, (landmarks(block[t]) for block in blocks), strict=True)) for t in range(4)]
    metadata = {"fps": 30, "frame_width": 1280, "frame_height": 720}
    scores = np.where(np.arange(543) < 33, points[..., 3], 1)
    for content, size in (
        ({"metadata": metadata, "frames": frames}, (1280, 720)),
        (frames, None),
        ({str(t): frame for t, frame in enumerate(frames)}, None),
        ([{"frame": t, "landmarks": frame} for t, frame in enumerate(frames)], None),
    ):
        clip = load_clip(write_json(tmp_path / "a.json", content))
        assert (clip.width, clip.height) == (size or (None, None))
        assert clip.coordinates == ("pixels" if size else "shares") and clip.fps == (30 if size else None)
        check(clip, points[..., :2] * (size or 1), "mediapipe_holistic_543", scores)
    rows = [{name: block[t, :, :3].tolist() for name, block in zip(names, blocks, strict=True)} for t in range(4)]
    check(load_clip(write_json(tmp_path / "a.json", rows)), points, "mediapipe_holistic_543")


def test_landmarks_in_one_list_by_name_and_line_by_line(tmp_path):
    points = holistic()
    frames = [{"landmarks": landmarks(frame)} for frame in points]
    scores = np.where(np.arange(543) < 33, points[..., 3], 1)
    (tmp_path / "a.json").write_text("\n".join(map(json.dumps, frames)))
    check(load_clip(tmp_path / "a.json"), points, "mediapipe_holistic_543", scores)
    named = {"pose": {"LEFT_WRIST": {"x": 0.1, "y": 0.2}, "NOSE": {"x": 0.3, "y": 0.4}}}
    clip = load_clip(write_json(tmp_path / "b.json", [named, named]))
    assert np.flatnonzero(clip.scores[0]).tolist() == [0, 15]
    assert np.allclose(clip.keypoints[1, [0, 15]], [[0.3, 0.4], [0.1, 0.2]])


def test_parts_of_zeros_were_not_found(tmp_path):
    points = holistic(num_face=0)[..., :3]
    points[:, 33:54] = 0
    names = ("pose", "left_hand", "right_hand")
    blocks = np.split(points, [33, 54], axis=1)
    frames = [{name: block[t].tolist() for name, block in zip(names, blocks, strict=True)} for t in range(4)]
    clip = load_clip(write_json(tmp_path / "a.json", frames))
    assert not clip.scores[:, 33:54].any() and clip.scores[:, 54:].all()


def test_openpose_frames_and_arrays_in_one_file(tmp_path):
    person = {"pose_keypoints_2d": [1.0, 2.0, 0.5] * 25}
    for content in ([{"people": [person]}] * 2, {"frames": [{"people": [person]}, {"people": []}]}):
        clip = load_clip(write_json(tmp_path / "a.json", content))
        assert clip.layout == "openpose_137" and len(clip) == 2 and clip.keypoints[0, 24].tolist() == [1, 2]
    points = RNG.uniform(0.1, 1, (3, 133, 3)).round(3)
    stated = {"fps": 25, "width": 640, "height": 480}
    content = {"keypoints": points[..., :2].tolist(), "scores": points[..., 2].tolist(), **stated}
    clip = load_clip(write_json(tmp_path / "a.json", content))
    check(clip, points, "coco_wholebody_133", points[..., 2])
    assert (clip.fps, clip.width, clip.height) == (25, 640, 480)
    content = {name: {"keypoints": points.tolist()} for name in ("a", "b")}
    check(load_clip(f"{write_json(tmp_path / 'a.json', content)}::b"), points, "coco_wholebody_133", points[..., 2])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"name": "x", "version": "1.0", "dependencies": {"a": "1"}}, "this is a settings file, not a clip"),
        ({"model_type": "sigma", "architectures": ["A"]}, "this is a settings file, not a clip"),
        ({"signer": "Ann", "fps": 25}, "this describes something, but holds no keypoints"),
        ({"images": [{"id": 1}], "annotations": [{"keypoints": [1, 2, 3]}]}, "received an annotation file of COCO"),
        ([{"gloss": "BOOK", "instances": [{"video_id": "1"}]}], "this is a table of labels"),
        ([{"video_id": "1", "text": "Hi"}], "this is a table of labels: .* build-dataset"),
        ([{"a": 1}], "received a list of entries with 'a': convert it with PoseClip and save_clip"),
        ({"a": {"text": "Hi"}}, "this is a label file"),
        ({"people": []}, "one frame of OpenPose: pass the folder with the frames of the clip"),
        (
            [{"keypoints": [[1, 2]], "bbox": [1, 2, 3, 4]}],
            "the people of one picture as mmpose writes them: run it on",
        ),
        (3, "this is no file of keypoints"),
        ("x", "this is no file of keypoints"),
        ([], "expected a dictionary with keypoints and scores, received a list"),
        ({}, "holds no keypoints"),
        ({"frames": [{"pose": [[0.1, 0.2]] * 17}]}, "expected 33 pose landmarks of MediaPipe, received 17"),
        ({"instance_info": [{"frame_id": 1, "instances": []}]}, "received nobody"),
        ({"frames": []}, "holds no keypoints"),
    ],
)
def test_other_json(content, message, tmp_path):
    with pytest.raises(ValueError, match=rf"a.json: .*{message}") as caught:
        load_clip(write_json(tmp_path / "a.json", content))
    assert "\n" not in str(caught.value)
    if content != {"people": []}:
        assert "folder" not in str(caught.value)


def test_json_cut_short_or_nested_without_end(tmp_path):
    path = write_json(tmp_path / "a.json", alphapose(num_frames=1))
    raw = path.read_bytes()
    for length in range(0, len(raw) - 1, 97):
        path.write_bytes(raw[:length])
        with pytest.raises(ValueError, match=r"a.json: "):
            load_clip(path)
    path.write_bytes(b"[" * 100_000)
    with pytest.raises(ValueError, match=r"a.json: "):
        load_clip(path)


# --- tables


def long_table(points: np.ndarray) -> pyarrow.Table:
    names = ["pose"] * 33 + ["face"] * 468 + ["left_hand"] * 21 + ["right_hand"] * 21
    numbers = [*range(33), *range(468), *range(21), *range(21)]
    t, k = np.divmod(np.arange(points.shape[0] * 543), 543)
    order = RNG.permutation(len(t))
    columns = {
        "frame": (t + 20)[order],
        "type": np.array(names)[k][order],
        "landmark_index": np.array(numbers)[k][order],
    }
    x, y, z = np.moveaxis(points[..., :3].reshape(-1, 3)[order], -1, 0)
    return pyarrow.table({**columns, "x": x, "y": y, "z": z})


def write_table(path: Path, table: pyarrow.Table) -> Path:
    if path.suffix == ".csv":
        from pyarrow import csv

        csv.write_csv(table, path)
    else:
        pyarrow.parquet.write_table(table, path)
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_tables_of_landmarks(suffix, tmp_path):
    points = holistic()
    points[1, 501:522] = np.nan
    found = np.isfinite(points[..., 0])
    path = write_table(tmp_path / f"a{suffix}", long_table(points))
    clip = load_clip(path)
    check(clip, np.nan_to_num(points), "mediapipe_holistic_543", found)
    assert clip.coordinates == "shares" and clip.fps is None
    names = [f"{axis}_left_hand_{k}" for axis in "xy" for k in range(21)]
    left = np.hstack([points[:, 501:522, 0], points[:, 501:522, 1]])
    wide = pyarrow.table({"frame": [3, 2, 1, 0], **{name: left[::-1, i] for i, name in enumerate(names)}})
    clip = load_clip(write_table(tmp_path / f"wide{suffix}", wide))
    assert clip.layout == "hands_42" and not clip.scores[:, 21:].any()
    np.testing.assert_allclose(clip.keypoints[:, :21], np.nan_to_num(points[:, 501:522, :2]), rtol=1e-6)
    two = pyarrow.concat_tables(
        [wide.append_column("sequence_id", [[n] * 4]).slice(0, 4 - n) for n in (0, 1)]  # as in fingerspelling
    )
    path = write_table(tmp_path / f"two{suffix}", two)
    assert clip_names(path) == ["0", "1"] and len(load_clip(f"{path}::1")) == 3


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_what_spreadsheets_make_of_tables(delimiter, tmp_path):
    lines = ["\ufeffframe,type,landmark_index,x,y,z", "0.0,pose,0,0.5,0.25,", "1.0,pose,0,,,", "1.0,pose,1,0.5,0.5,0"]
    text = "\r\n".join(lines).replace(",", delimiter)
    (tmp_path / "a.csv").write_text(text, encoding="utf-8", newline="")
    clip = load_clip(tmp_path / "a.csv")
    assert clip.layout == "mediapipe_holistic_75" and clip.keypoints[0, 0].tolist() == [0.5, 0.25]
    assert clip.scores[:, :2].tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"path": ["a"], "text": ["Hi"]}, "this is a table of labels: build a data set of it with build-dataset"),
        ({"a": [1]}, "expected a table of landmarks with the columns frame, type, landmark_index, x, y, received 'a'"),
        (
            {"frame": [0], "type": ["foot"], "landmark_index": [0], "x": [0.5], "y": [0.5]},
            "expected type as one of pose, face, left_hand, right_hand, received 'foot'",
        ),
        (
            {"frame": [0], "type": ["pose"], "landmark_index": [33], "x": [0.5], "y": [0.5]},
            "expected landmark_index of pose below 33, received 33",
        ),
        (
            {"frame": [-1], "type": ["pose"], "landmark_index": [3], "x": [0.5], "y": [0.5]},
            "expected frame as whole numbers from 0",
        ),
        (
            {"frame": [0], "type": ["face"], "landmark_index": [3], "x": [0.5], "y": [0.5]},
            "expected a pose or hands, received neither",
        ),
    ],
)
def test_other_tables(suffix, columns, message, tmp_path):
    with pytest.raises(ValueError, match=rf"a{suffix}: .*{message}") as caught:
        load_clip(write_table(tmp_path / f"a{suffix}", pyarrow.table(columns)))
    assert "\n" not in str(caught.value)


def test_parquet_cut_short(tmp_path):
    path = write_table(tmp_path / "a.parquet", long_table(holistic(1)))
    raw = path.read_bytes()
    for length in range(0, len(raw), 1 + len(raw) // 50):
        path.write_bytes(raw[:length])
        with pytest.raises(ValueError, match=r"a.parquet: "):
            load_clip(path)


# --- .skels


def skels_line(points: np.ndarray) -> str:
    """As Progressive Transformers writes a clip: 50 joints with x, y, z and a counter per frame, all on one line."""
    counter = np.linspace(0, 1, len(points), endpoint=False)[:, None]
    return " ".join(f"{value:.5f}" for value in np.hstack([points.reshape(len(points), -1), counter]).ravel())


def test_skels(tmp_path):
    clips = [RNG.uniform(-1, 1, (num_frames, 50, 3)) for num_frames in (4, 7)]
    clips[0][2] = 0
    (tmp_path / "dev.skels").write_text("\n".join(map(skels_line, clips)) + "\n")
    assert clip_names(tmp_path / "dev.skels") == ["1", "2"]
    (tmp_path / "b.skels").write_text("\n".join(map(skels_line, clips)))
    (tmp_path / "b.files").write_text("dev/one\ndev/two\n")
    first, second = (load_clip(path) for path in clip_paths(tmp_path / "b.skels"))
    assert [path.name for path in clip_paths(tmp_path / "b.skels")] == ["one", "two"]
    assert first.layout == "openpose_137" and (len(first), len(second)) == (4, 7)
    openpose = get_layout("openpose_137")
    np.testing.assert_allclose(second.keypoints[:, [0, 4, 7]], clips[1][:, [0, 4, 7], :2], atol=1e-5)
    np.testing.assert_allclose(second.keypoints[:, openpose.left_hand], clips[1][:, 8:29, :2], atol=1e-5)
    np.testing.assert_allclose(second.keypoints[:, openpose.right_hand], clips[1][:, 29:, :2], atol=1e-5)
    assert (first.scores > 0).sum(1).tolist() == [50, 50, 0, 50]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected one line per clip, received an empty file"),
        ("1 2 3\n", "expected 151 numbers per frame .* received 3 in a line"),
        ("hello\n", "expected numbers with spaces between them"),
    ],
)
def test_other_skels(text, message, tmp_path):
    (tmp_path / "a.skels").write_text(text)
    with pytest.raises(ValueError, match=rf"a.skels: {message}"):
        load_clip(tmp_path / "a.skels")


# --- files of other kinds


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.jpg", "make a video of the pictures, and let extract-poses find the keypoints"),
        ("a.pt", "if these are keypoints, save them with numpy.savez"),
        ("a.h5", "read the keypoints with the library that wrote it, make a PoseClip"),
        ("a.zip", "unpack it, and name the files or the folder in it"),
        ("a.tsv", "this seems to be text or labels: name the clips"),
        ("a.xyz", "make a PoseClip of its keypoints and scores, and store it with save_clip"),
    ],
)
def test_files_of_other_kinds(name, message, tmp_path):
    (tmp_path / name).write_bytes(b"PK\x03\x04" if name != "a.xyz" else b"x")
    with pytest.raises(ValueError, match=rf"{name}: expected one of .pkl, .* received a file of type .*: {message}"):
        load_clip(tmp_path / name)
    with pytest.raises(ValueError, match=rf"found none among 1 files, such as {name}"):
        list(clip_paths(tmp_path))


# --- folders of files


def test_folders_pass_over_tables_and_settings(tmp_path):
    points = RNG.uniform(0.1, 1, (3, 133, 3))
    np.save(tmp_path / "a.npy", points)
    write_json(tmp_path / "clip.json", {"keypoints": points.tolist()})
    write_json(tmp_path / "settings.json", {"fps": 25})
    write_table(tmp_path / "labels.csv", pyarrow.table({"path": ["a"], "text": ["Hi"]}))
    (tmp_path / "many.pkl").write_bytes(pickle.dumps(pyskl()))
    openpose = tmp_path / "openpose"
    openpose.mkdir()
    write_json(openpose / "00.json", {"people": []})
    write_json(openpose / "01.json", {"people": [{"pose_keypoints_2d": [1.0, 2.0, 0.5] * 25}]})
    names = [str(path.relative_to(tmp_path)) for path in clip_paths(tmp_path)]
    assert names == ["a.npy", "clip.json", "many.pkl::S001", "many.pkl::S002", "openpose"]
    assert all(len(load_clip(path)) in (2, 3) for path in clip_paths(tmp_path))
