"""`load_clip`: the right reader for every file, and one clear line for everything else."""

import gzip
import io
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader, PoseHeaderDimensions
from pose_format.utils.cocowholebody133_header import cocowholebody_components

import modeling_sigma.extraction
import modeling_sigma.io
from modeling_sigma.io import UnsafePickleError, load_clip, save_clip
from modeling_sigma.io.load_clip import READERS, VIDEO_SUFFIXES
from modeling_sigma.model.pose_clip import PoseClip


def clip_of(num_frames: int = 3) -> PoseClip:
    keypoints = np.arange(num_frames * 133 * 2, dtype=np.float32).reshape(num_frames, 133, 2) + 1
    return PoseClip(keypoints, np.ones((num_frames, 133), np.float32))


def whole_body_pickle(clip: PoseClip) -> bytes:
    return pickle.dumps({"keypoints": list(clip.keypoints[:, None]), "scores": list(clip.scores[:, None])})


def dot_pose(clip: PoseClip) -> bytes:
    stream = io.BytesIO()
    header = PoseHeader(0.2, PoseHeaderDimensions(640, 480), cocowholebody_components())
    Pose(header, NumPyPoseBody(25.0, clip.keypoints[:, None], clip.scores[:, None])).write(stream)
    return stream.getvalue()


def archive(clip: PoseClip) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, keypoints=clip.keypoints, scores=clip.scores)
    return stream.getvalue()


CONTENTS = {
    "a.pkl": whole_body_pickle,
    "a.pickle": whole_body_pickle,
    "zipped.pkl": lambda clip: gzip.compress(whole_body_pickle(clip)),
    "a.pkl.gz": lambda clip: gzip.compress(whole_body_pickle(clip)),
    "a.pose": dot_pose,
    "A.POSE": dot_pose,
    "a.npz": archive,
    # by content
    "pickle.data": whole_body_pickle,
    "archive": archive,
    "pose.bin": dot_pose,
}


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("num_frames", [1, 3])
def test_every_format(name, num_frames, tmp_path):
    clip = clip_of(num_frames)
    path = tmp_path / name
    path.write_bytes(CONTENTS[name](clip))
    for given in (path, str(path)):
        loaded = load_clip(given)
        np.testing.assert_array_equal(loaded.keypoints, clip.keypoints)
        np.testing.assert_array_equal(loaded.scores, clip.scores)
        assert loaded.layout == "coco_wholebody_133"


@pytest.mark.parametrize("pack", [whole_body_pickle, dot_pose, archive])
def test_twenty_thousand_frames(pack, tmp_path):
    clip = clip_of(20_000)
    (tmp_path / "long").write_bytes(pack(clip))
    loaded = load_clip(tmp_path / "long")
    assert len(loaded) == 20_000
    np.testing.assert_array_equal(loaded.keypoints[-1], clip.keypoints[-1])


def test_folders_of_openpose(tmp_path):
    person = {"pose_keypoints_2d": [1.0, 2.0, 0.5] * 25}
    (tmp_path / "x_000_keypoints.json").write_text(json.dumps({"people": [person]}))
    clip = load_clip(tmp_path)
    assert clip.layout == "openpose_137" and clip.keypoints[0, 24].tolist() == [1, 2]
    with pytest.raises(ValueError, match=r"x_000_keypoints.json: .* one frame of OpenPose: pass the folder"):
        load_clip(tmp_path / "x_000_keypoints.json")


def test_videos_go_to_the_estimator(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(
        modeling_sigma.extraction, "estimate_clip", lambda *arguments: calls.append(arguments) or clip_of()
    )
    for suffix in VIDEO_SUFFIXES:
        (tmp_path / f"a{suffix.upper()}").write_bytes(b"")
        load_clip(tmp_path / f"a{suffix.upper()}", person=2, estimator="rtmlib")
    assert [(path.suffix.lower(), estimator, person) for path, estimator, person in calls] == [
        (suffix, "rtmlib", 2) for suffix in VIDEO_SUFFIXES
    ]


def test_what_is_no_clip(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere.pkl: no such file or folder"):
        load_clip(tmp_path / "nowhere.pkl")
    with pytest.raises(ValueError, match=r"expected OpenPose files .* received a folder without .json files"):
        load_clip(tmp_path)
    for name, what in (("notes.txt", "a file of type .txt"), ("notes", "a file without extension")):
        (tmp_path / name).write_text("Hello")
        with pytest.raises(ValueError, match=rf"{name}: expected one of .pkl, .* received {what}") as caught:
            load_clip(tmp_path / name)
        assert all(suffix in str(caught.value) for suffix in (*READERS, *VIDEO_SUFFIXES))


@pytest.mark.parametrize("name", [*CONTENTS, "a.mp4"])
@pytest.mark.parametrize("person", [-1, True, 1.0, None])
def test_persons_are_counted_from_0(name, person, tmp_path):
    path = tmp_path / name
    path.write_bytes(CONTENTS.get(name, dot_pose)(clip_of()))
    with pytest.raises(ValueError, match=rf"{name}: expected person as an integer from 0, received {person}"):
        load_clip(path, person=person)


@pytest.mark.parametrize("name", ["a.pkl", "a.pose", "a.npz"])
def test_persons_that_are_not_there(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(CONTENTS[name](clip_of()))
    with pytest.raises(ValueError, match=rf"{name}: expected person below 1 .*, received 1"):
        load_clip(path, person=1)


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("raw", [b"", b"Hello", bytes(100), b"\x80\x04", b"PK\x03\x04", b"\x1f\x8b\x08", b"{}"])
def test_broken_content(suffix, raw, tmp_path):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=rf"a{suffix}: ") as caught:
        load_clip(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.pkl", "a.pose", "a.npz"])
def test_truncated_at_random_bytes(name, tmp_path):
    path = tmp_path / name
    raw = CONTENTS[name](clip_of(2))
    for length in np.random.default_rng(0).integers(0, len(raw), 40):
        path.write_bytes(raw[:length])
        with pytest.raises(ValueError, match=rf"{name}: "):
            load_clip(path)


def test_unsafe_files_are_refused_under_any_name(tmp_path):
    for name in ("a.pkl", "a.npz", "a", "a.pose"):
        path: Path = tmp_path / name
        path.write_bytes(pickle.dumps({"keypoints": eval}))
        with pytest.raises(ValueError, match=rf"{name}: "):
            load_clip(path)
    with pytest.raises(UnsafePickleError, match="refused to load builtins.eval"):
        load_clip(tmp_path / "a")


def test_public_names():
    assert modeling_sigma.io.__all__ == sorted(modeling_sigma.io.__all__)
    assert {"load_clip", "save_clip", "load_label_file", "clip_from_mediapipe", "UnsafePickleError"} <= set(
        modeling_sigma.io.__all__
    )
    assert all(hasattr(modeling_sigma.io, name) for name in modeling_sigma.io.__all__)


def test_save_and_load(tmp_path):
    save_clip(tmp_path / "a.npz", clip_of())
    np.testing.assert_array_equal(load_clip(tmp_path / "a.npz").keypoints, clip_of().keypoints)


@pytest.mark.data
def test_every_sample_loads(shared_data):
    folder = shared_data / "samples"
    paths = [*folder.glob("pose_*/*.pose"), *folder.glob("wholebody_pkl/*.pkl"), *folder.glob("openpose_json/*")]
    assert len(paths) >= 7
    for path in paths:
        clip = load_clip(path)
        found = clip.scores > 0
        assert len(clip) >= 16 and 0.2 < found.mean() <= 1 and clip.scores.max() < 1.1
        assert np.abs(clip.keypoints).max() < 3000
