"""MediaPipe Holistic, played by a stand-in with the interface of `mediapipe` 1.x (which brings no model)."""

import sys
from contextlib import suppress
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from modeling_sigma.extraction import mediapipe_estimator
from modeling_sigma.extraction.mediapipe_estimator import MediapipeEstimator
from modeling_sigma.io.reading_errors import MissingExtraError


class Landmarker:
    """Sees a left hand in the place of the picture's first pixel (x = red, y = green, in hundredths)."""

    made: list["Landmarker"] = []

    def __init__(self, options):
        if options.base_options.model_asset_buffer != b"a model":
            raise RuntimeError("Unable to open zip archive.\nIt is damaged.")
        self.options, self.times, self.closed = options, [], False
        self.made.append(self)

    create_from_options = classmethod(lambda cls, options: cls(options))

    def detect_for_video(self, image, time):
        if image.data[0, 0, 2]:
            raise RuntimeError("CalculatorGraph::Run() failed:\nsomewhere")
        assert isinstance(time, int) and time > max(self.times, default=-1) and not self.closed
        self.times.append(time)
        x, y, _ = image.data[0, 0]
        hand = [SimpleNamespace(x=x / 100, y=y / 100)] * 21 if x else []
        return SimpleNamespace(pose_landmarks=[], face_landmarks=[], left_hand_landmarks=hand, right_hand_landmarks=[])

    def close(self):
        self.closed = True


@pytest.fixture
def mediapipe(monkeypatch):
    package, tasks, python = (
        ModuleType("mediapipe"),
        ModuleType("mediapipe.tasks"),
        ModuleType("mediapipe.tasks.python"),
    )
    package.Image = SimpleNamespace
    package.ImageFormat = SimpleNamespace(SRGB=1)
    python.BaseOptions = SimpleNamespace
    python.vision = SimpleNamespace(
        HolisticLandmarker=Landmarker,
        HolisticLandmarkerOptions=SimpleNamespace,
        RunningMode=SimpleNamespace(VIDEO="video"),
    )
    for module in (package, tasks, python):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(mediapipe_estimator, "version", lambda name: "1.2.3")
    monkeypatch.setattr(Landmarker, "made", [])
    return package


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "holistic_landmarker.task"
    path.write_bytes(b"a model")
    return str(path)


def picture(x: int, y: int, blue: int = 0) -> np.ndarray:
    frame = np.zeros((40, 200, 3), np.uint8)
    frame[0, 0] = x, y, blue
    return frame


def test_every_video_gets_a_network_of_its_own(mediapipe, model):
    estimator = MediapipeEstimator(model)
    for _ in range(2):
        with estimator.video(25):
            found = [estimator(frame) for frame in (picture(50, 25), picture(0, 0), picture(10, 80))]
        keypoints, scores = found[0]
        assert keypoints.shape == (1, 553, 2) and scores.shape == (1, 553) and len(found[1][1]) == 0
        assert keypoints[0, 33 + 478].tolist() == [100, 10] and found[2][0][0, 33 + 478].tolist() == [20, 32]
        assert scores.sum() == 21
    assert [landmarker.times for landmarker in Landmarker.made] == [[0, 40, 80]] * 2
    assert all(landmarker.closed for landmarker in Landmarker.made)
    assert Landmarker.made[0].options.running_mode == "video"


@pytest.mark.parametrize(("fps", "times"), [(None, [0, 40, 80]), (29.97, [0, 33, 66]), (5000, [0, 1, 2])])
def test_times_grow_in_whole_milliseconds(mediapipe, model, fps, times):
    estimator = MediapipeEstimator(model)
    with estimator.video(fps):
        for _ in times:
            estimator(picture(1, 1))
    assert Landmarker.made[0].times == times


def test_a_picture_alone(mediapipe, model):
    assert MediapipeEstimator(model)(picture(50, 25))[1].sum() == 21
    assert Landmarker.made[0].closed


def test_failures_take_one_line_and_leave_nothing_open(mediapipe, model, tmp_path):
    estimator = MediapipeEstimator(model)
    with suppress(ValueError), estimator.video(25):
        estimator(picture(1, 1, blue=1))
    assert Landmarker.made[0].closed
    with pytest.raises(ValueError, match="mediapipe failed with holistic_landmarker.task: .* failed: somewhere"):
        estimator(picture(1, 1, blue=1))
    damaged = tmp_path / "damaged.task"
    damaged.write_bytes(b"?")
    with pytest.raises(ValueError, match="could not load damaged.task .*It is damaged.*: download holistic_land"):
        MediapipeEstimator(str(damaged))(picture(1, 1))


def test_what_has_to_be_given(mediapipe, model, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="expected the model file of MediaPipe Holistic, received none: download"):
        MediapipeEstimator()
    with pytest.raises(FileNotFoundError, match="nowhere.task: no such model file: download"):
        MediapipeEstimator(str(tmp_path / "nowhere.task"))
    with pytest.raises(ValueError, match="expected device cpu for mediapipe, received 'cuda'"):
        MediapipeEstimator(model, device="cuda")
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(MissingExtraError, match=r'pip install -e ".\[mediapipe\]" in the folder'):
        MediapipeEstimator(model)


def test_versions(mediapipe, model):
    versions = MediapipeEstimator(model).versions
    assert versions["mediapipe"] == "1.2.3" and versions["model"].startswith("holistic_landmarker.task (sha256 ")
