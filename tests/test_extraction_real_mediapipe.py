"""The real MediaPipe Holistic on a real video: what it finds, in videos of every kind, and that it sends nothing."""

import re
import socket
import threading
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from odd_videos import turn_clockwise

from modeling_sigma.cli import main as cli
from modeling_sigma.extraction import estimate_clip, mediapipe_estimator, mediapipe_process
from modeling_sigma.extraction.estimators import kept_estimator
from modeling_sigma.extraction.holistic_model import assemble_model, download_wheel
from modeling_sigma.extraction.mediapipe_estimator import MediapipeEstimator
from modeling_sigma.extraction.video import read_frames
from modeling_sigma.io import load_clip
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.pose_transforms import select_joints
from modeling_sigma.model.skeleton_layouts import PART_SLICES


av = pytest.importorskip("av", reason="needs PyAV")
pytest.importorskip("mediapipe", reason="needs mediapipe")
pytestmark = [pytest.mark.slow, pytest.mark.data]


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mediapipe")
    try:
        wheel = download_wheel(folder)
    except ValueError as error:
        pytest.skip(f"pip is offline: {error}")
    for name in ("a.task", "holistic_landmarker.task"):
        assemble_model(wheel, folder / name)
    assert (folder / "a.task").read_bytes() == (folder / "holistic_landmarker.task").read_bytes()
    return folder / "holistic_landmarker.task"


@pytest.fixture(scope="session")
def estimator(model) -> MediapipeEstimator:
    return MediapipeEstimator(str(model))


@pytest.fixture
def signer(shared_data) -> Path:
    return shared_data / "samples" / "video" / "signer_crop480.mp4"


@pytest.fixture
def some_frames(signer) -> list[np.ndarray]:
    return [frame for _, frame in zip(range(36), read_frames(signer))][20:]


def write_video(path: Path, frames: Iterable[np.ndarray], rate: int = 24) -> Path:
    with av.open(str(path), "w") as container:
        stream = None
        for frame in frames:
            if stream is None:
                stream = container.add_stream("mpeg4", rate=rate)
                stream.height, stream.width = frame.shape[:2]
                stream.pix_fmt, stream.bit_rate = "yuv420p", 40_000_000
            picture = np.ascontiguousarray(frame)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def distances(one: PoseClip, other: PoseClip, part: str) -> np.ndarray:
    """Of the joints of a part that both have seen, in pixels."""
    (points, scores), (others, other_scores) = select_joints(one), select_joints(other)
    both = ((scores > 0.3) & (other_scores > 0.3))[:, PART_SLICES[part]]
    return np.linalg.norm(points - others, axis=2)[:, PART_SLICES[part]][both]


def test_the_model_file(model):
    with zipfile.ZipFile(model) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
    assert set(entries) == {
        *("face_detector.tflite", "face_landmarks_detector.tflite", "hand_landmarks_detector.tflite"),
        *("hand_roi_refinement.tflite", "pose_detector.tflite", "pose_landmarks_detector.tflite"),
    }
    assert {entry.compress_type for entry in entries.values()} == {zipfile.ZIP_STORED}
    starts = [entry.header_offset + 30 + len(entry.filename) + len(entry.extra) for entry in entries.values()]
    assert all(start % 4 == 0 for start in starts)


def test_it_finds_what_dwpose_finds(estimator, signer, shared_data):
    clip = estimate_clip(signer, estimator)
    assert (len(clip), clip.width, clip.height, clip.fps) == (97, 480, 480, 24)
    assert clip.estimator == f"mediapipe-holistic (mediapipe {estimator.versions['mediapipe']}, model " + (
        f"{estimator.versions['model']})"
    )
    seen = select_joints(clip)[1] > 0.3
    shares = {part: seen[:, joints].any(axis=1).mean() for part, joints in PART_SLICES.items()}
    assert shares["body"] > 0.95 and shares["face"] > 0.95 and shares["right_hand"] > 0.6
    dwpose = load_clip(shared_data / "samples" / "wholebody_pkl" / "human_signer_480.pkl")
    dwpose = PoseClip(dwpose.keypoints * 480, dwpose.scores, dwpose.layout)
    for part, most in (("body", 12), ("face", 5), ("right_hand", 10)):
        assert np.median(distances(clip, dwpose, part)) < most, part
    again = estimate_clip(signer, estimator)
    np.testing.assert_array_equal(again.keypoints, clip.keypoints)


def test_a_pipeline_reads_a_video(model, signer, capsys):
    checkpoint = Path(__file__).parents[1] / "checkpoints" / "sigma-wlasl-hands"
    command = ["predict", str(signer), "--model", str(checkpoint), "--top-k", "3", "--estimator-model", str(model)]
    assert cli.main(command) == 0
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 3
    assert cli.main(["inspect", str(signer), "--estimator-model", str(model)]) == 0
    assert "made by mediapipe-holistic (mediapipe " in capsys.readouterr().out


@pytest.mark.parametrize("page", ["video", "streaming"])
def test_the_examples_of_the_documentation(page, estimator, signer, tmp_path, monkeypatch, capsys):
    root = Path(__file__).parents[1]
    monkeypatch.chdir(tmp_path)
    Path("checkpoints").symlink_to(root / "checkpoints")
    Path("clip.mp4").symlink_to(signer)
    # As they stand, they use the file in the user's cache.
    monkeypatch.setattr(mediapipe_estimator, "holistic_model", lambda: estimator._model)
    kept_estimator.cache_clear()
    (block,) = re.findall(r"```py\n(.*?)```", (root / "docs" / f"{page}.md").read_text("utf-8"), flags=re.DOTALL)
    exec(compile(block, page, "exec"), {})
    kept_estimator.cache_clear()
    assert {"video": "mediapipe-holistic (", "streaming": "kind='ended', start=0.33"}[page] in capsys.readouterr().out


def test_portrait(estimator, some_frames, tmp_path):
    upright = estimate_clip(write_video(tmp_path / "a.mp4", [frame[:, 80:400] for frame in some_frames]), estimator)
    path = write_video(tmp_path / "b.mp4", [np.rot90(frame[:, 80:400]) for frame in some_frames])
    lying = estimate_clip(path, estimator)
    turn_clockwise(path, stored_height=320)
    turned = estimate_clip(path, estimator)
    assert (turned.width, turned.height) == (320, 480) and (lying.width, lying.height) == (480, 320)
    assert np.median(distances(turned, upright, "body")) < 3


def test_five_people(estimator, some_frames, tmp_path):
    """One of them is followed, and none is mixed from two."""
    path = write_video(tmp_path / "a.mp4", [np.tile(frame[:, 80:400], (1, 5, 1)) for frame in some_frames])
    clip = estimate_clip(path, estimator)
    points, scores = select_joints(clip)
    body = np.where(scores[:, :9, None] > 0.3, points[:, :9], np.nan)
    assert (np.nanmax(body[..., 0], axis=1) - np.nanmin(body[..., 0], axis=1) < 400).all()
    assert len({int(x // 320) for x in body[:, 0, 0] if np.isfinite(x)}) == 1, "the nose stays with one of them"


def test_4k(estimator, some_frames, tmp_path):
    small = estimate_clip(write_video(tmp_path / "a.mp4", some_frames[:4]), estimator)
    large = (np.repeat(np.repeat(frame, 8, axis=0), 8, axis=1)[:2160] for frame in some_frames[:4])
    clip = estimate_clip(write_video(tmp_path / "b.mp4", large), estimator)
    assert (clip.width, clip.height) == (3840, 2160)
    shrunk = PoseClip(clip.keypoints / 8, clip.scores, clip.layout)
    assert np.median(distances(shrunk, small, "face")) < 6


def test_nobody(estimator, tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (6, 96, 128, 3), np.uint8)
    with pytest.raises(ValueError, match=r"a.mp4: expected a person in at least one frame, received none"):
        estimate_clip(write_video(tmp_path / "a.mp4", noise), estimator)


@pytest.mark.parametrize("length", [0, 1000, 5_000_000, -1000])
def test_damaged_model_files(model, signer, length, tmp_path):
    damaged = tmp_path / "damaged.task"
    damaged.write_bytes(model.read_bytes()[:length])
    with pytest.raises(ValueError, match="mediapipe .*damaged.task") as caught:
        estimate_clip(signer, MediapipeEstimator(str(damaged)))
    assert "\n" not in str(caught.value)


def test_what_it_would_send_leads_nowhere(model, signer, monkeypatch):
    """A listener in the place of the dead end hears what mediapipe wants to reach: its maker, through nothing else."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)

        def listen() -> None:
            try:
                while True:
                    connection, _ = server.accept()
                    with connection:
                        heard.append(connection.recv(1000).split(b"\r\n")[0])
            except OSError:
                pass  # the end of the test

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        monkeypatch.setattr(mediapipe_process, "NOWHERE", f"http://127.0.0.1:{server.getsockname()[1]}")
        estimator = MediapipeEstimator(str(model))
        with estimator.video(24):
            estimator(next(read_frames(signer)))
        process = estimator._process
        process.close()
    listener.join(timeout=5)
    assert heard and set(heard) == {b"CONNECT play.googleapis.com:443 HTTP/1.1"}
