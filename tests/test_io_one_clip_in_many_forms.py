"""One real clip, written in the forms that the field has: every reader gives the same joints and the same answer."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.csv
import pyarrow.parquet
import pytest
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions

from modeling_sigma import PoseClip, SigmaFeatureExtractor
from modeling_sigma.io import load_clip, save_clip
from modeling_sigma.io.dot_pose_names import NAMINGS
from modeling_sigma.model.pose_transforms import select_joints
from modeling_sigma.model.skeleton_layouts import get_layout


ROOT = Path(__file__).resolve().parents[1]
HOLISTIC = get_layout("mediapipe_holistic_543")


def in_holistic(clip: PoseClip) -> tuple[np.ndarray, np.ndarray]:
    """The 69 joints in their places among MediaPipe's 543 points, all others not found."""
    keypoints = np.zeros((len(clip), HOLISTIC.num_keypoints, 2), np.float32)
    scores = np.zeros(keypoints.shape[:2], np.float32)
    places = list(HOLISTIC.joint_indices)
    keypoints[:, places], scores[:, places] = clip.keypoints, clip.scores
    return keypoints, scores


def write_npy(path: Path, clip: PoseClip) -> None:
    np.save(path, np.concatenate([clip.keypoints, clip.scores[..., None]], axis=-1))


def write_npy_of_holistic(path: Path, clip: PoseClip) -> None:
    """x, y, z of 543 points in one row per frame, as tutorials store them."""
    keypoints, _ = in_holistic(clip)
    depths = np.full((*keypoints.shape[:2], 1), -0.1, np.float32) * keypoints.any(-1, keepdims=True)
    np.save(path, np.concatenate([keypoints, depths], axis=-1).reshape(len(clip), -1))


def write_json(path: Path, clip: PoseClip) -> None:
    path.write_text(json.dumps({"keypoints": clip.keypoints.tolist(), "scores": clip.scores.tolist()}))


def write_mediapipe_json(path: Path, clip: PoseClip) -> None:
    keypoints, scores = in_holistic(clip)
    frames, start = [{} for _ in range(len(clip))], 0
    for name, size in HOLISTIC.components:
        for t, frame in enumerate(frames):
            part = slice(start, start + size)
            if scores[t, part].any():
                rows = zip(keypoints[t, part].tolist(), scores[t, part].tolist(), strict=True)
                frame[f"{name}_landmarks"] = [{"x": x, "y": y, "z": 0.0, "visibility": v} for (x, y), v in rows]
        start += size
    path.write_text(json.dumps({"frames": frames}))


def write_pickle(path: Path, clip: PoseClip) -> None:
    frames = {"keypoints": list(clip.keypoints[:, None]), "scores": list(clip.scores[:, None])}
    path.write_bytes(pickle.dumps(frames))


def table_of(clip: PoseClip) -> pyarrow.Table:
    keypoints, scores = in_holistic(clip)
    keypoints = np.where(scores[..., None] > 0, keypoints, np.nan)
    names = [name for name, size in HOLISTIC.components for _ in range(size)]
    numbers = [number for _, size in HOLISTIC.components for number in range(size)]
    t, k = np.divmod(np.arange(keypoints.shape[0] * len(names)), len(names))
    x, y = keypoints.reshape(-1, 2).T
    return pyarrow.table(
        {"frame": t, "type": np.array(names)[k], "landmark_index": np.array(numbers)[k], "x": x, "y": y, "z": 0 * x}
    )


def write_dot_pose(path: Path, clip: PoseClip) -> None:
    naming = NAMINGS[0]
    sizes = {"POSE_LANDMARKS": 33, "FACE_LANDMARKS": 468, "LEFT_HAND_LANDMARKS": 21, "RIGHT_HAND_LANDMARKS": 21}
    components = [
        PoseHeaderComponent(name, [point for component, point in naming.points if component == name], [], [], "XYC")
        for name in sizes
    ]
    keypoints, scores = in_holistic(clip)
    header = PoseHeader(0.2, PoseHeaderDimensions(1, 1), components)
    with path.open("wb") as file:
        Pose(header, NumPyPoseBody(25.0, keypoints[:, None], scores[:, None])).write(file)


FORMS: dict[str, Callable[[Path, PoseClip], None]] = {
    "a.npy": write_npy,
    "rows.npy": write_npy_of_holistic,
    "a.npz": save_clip,
    "a.json": write_json,
    "mediapipe.json": write_mediapipe_json,
    "a.pkl": write_pickle,
    "a.pose": write_dot_pose,
    "a.parquet": lambda path, clip: pyarrow.parquet.write_table(table_of(clip), path),
    "a.csv": lambda path, clip: pyarrow.csv.write_csv(table_of(clip), path),
}


@pytest.mark.data
@pytest.mark.parametrize("index", [0, 100, 300])
def test_one_clip_in_every_form(index, shared_data, tmp_path):
    data = np.load(shared_data / "fingerspelling" / "fingerspelling15.npz")
    start = int(data["length"][:index].sum())
    frames = slice(start, start + int(data["length"][index]))
    keypoints = data["keypoints"][frames].astype(np.float32)
    scores = (data["scores"][frames] > 0.3).astype(np.float32)  # tables of landmarks hold no certainty
    clip = PoseClip(keypoints, scores, "sigma_69", coordinates="shares")
    extractor = SigmaFeatureExtractor.from_pretrained(ROOT / "checkpoints" / "sigma-wlasl-hands")
    expected = extractor(clip, return_tensors="np")["pose_values"]
    assert scores.mean() > 0.3 and expected.any()
    for name, write in FORMS.items():
        write(tmp_path / name, clip)
        loaded = load_clip(tmp_path / name)
        joints, certainty = select_joints(loaded)
        np.testing.assert_allclose(certainty, clip.scores, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(joints, clip.keypoints, atol=1e-6, err_msg=name)
        if name != "a.pose":  # it says that its pictures are square
            values = extractor(loaded, return_tensors="np")["pose_values"]
            np.testing.assert_allclose(values, expected, atol=1e-5, err_msg=name)


@pytest.mark.data
@pytest.mark.slow
def test_the_command_reads_every_form(shared_data, tmp_path, capsys):
    """`sigma-slu predict` with the shipped checkpoint gives every form of a clip the same word."""
    from modeling_sigma.cli.main import main

    data = np.load(shared_data / "fingerspelling" / "fingerspelling15.npz")
    frames = slice(0, int(data["length"][0]))
    scores = (data["scores"][frames] > 0.3).astype(np.float32)
    clip = PoseClip(data["keypoints"][frames].astype(np.float32), scores, "sigma_69")
    for name, write in FORMS.items():
        if name != "a.pose":
            write(tmp_path / name, clip)
    model = ROOT / "checkpoints" / "sigma-wlasl-hands"
    assert main(["predict", str(tmp_path), "--model", str(model), "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert len(results) == len(FORMS) - 1
    assert len({result["predictions"][0]["label"] for result in results}) == 1, results
