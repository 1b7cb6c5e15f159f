"""MediaPipe Holistic, played by a stand-in with the interface of `mediapipe` 1.x: in this process, and in its own."""

import importlib.metadata
import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from modeling_sigma.extraction import mediapipe_estimator, mediapipe_process
from modeling_sigma.extraction.mediapipe_estimator import MediapipeEstimator
from modeling_sigma.extraction.mediapipe_landmarker import HolisticLandmarker
from modeling_sigma.extraction.mediapipe_worker import read_message, write_message
from modeling_sigma.io.reading_errors import MissingExtraError


# Sees a left hand in the place of the picture's first pixel (x = red, y = green, in hundredths). What else it does
# depends on blue.
STAND_IN = """
import os, sys
from types import SimpleNamespace as Thing

class ImageFormat: SRGB = 1

class Image(Thing): pass

class Landmarker:
    made = []
    def __init__(self, options):
        if options.base_options.model_asset_buffer != b"a model":
            raise RuntimeError("Unable to open zip archive.\\nIt is damaged.")
        self.options, self.times, self.closed = options, [], False
        self.made.append(self)
    create_from_options = classmethod(lambda cls, options: cls(options))
    def detect_for_video(self, image, time):
        x, y, blue = image.data[0, 0]
        if blue == 1:
            raise RuntimeError("CalculatorGraph::Run() failed:\\nsomewhere")
        if blue == 2:
            print("noise for standard output")
            sys.stderr.write("Check failed: something\\n")
            sys.stderr.flush()
            os._exit(7)
        if blue == 3:
            raise RuntimeError(" ".join(f"{n}={os.environ.get(n)}" for n in ("https_proxy", "ALL_PROXY", "no_proxy")))
        assert isinstance(time, int) and time > max(self.times, default=-1) and not self.closed
        self.times.append(time)
        hand = [Thing(x=x / 100, y=y / 100)] * 21 if x else []
        return Thing(pose_landmarks=[], face_landmarks=[], left_hand_landmarks=hand, right_hand_landmarks=[])
    def close(self):
        self.closed = True
"""
TASKS = """
from types import SimpleNamespace as Thing
from mediapipe import Landmarker
BaseOptions = Thing
vision = Thing(HolisticLandmarker=Landmarker, HolisticLandmarkerOptions=Thing, RunningMode=Thing(VIDEO="video"))
"""


@pytest.fixture
def mediapipe(monkeypatch, tmp_path):
    for name, text in (("", STAND_IN), ("tasks", ""), ("tasks/python", TASKS)):
        (tmp_path / "packages" / "mediapipe" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "packages" / "mediapipe" / name / "__init__.py").write_text(text)
    for name in [name for name in sys.modules if name.split(".")[0] == "mediapipe"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    monkeypatch.setattr(mediapipe_estimator, "version", lambda name: "1.2.3")
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "mediapipe"]:
        del sys.modules[name]


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "holistic_landmarker.task"
    path.write_bytes(b"a model")
    return str(path)


def picture(x: int, y: int, blue: int = 0) -> np.ndarray:
    frame = np.zeros((40, 200, 3), np.uint8)
    frame[0, 0] = x, y, blue
    return frame


# --- in this process


def test_every_video_gets_a_network_of_its_own(mediapipe):
    landmarker = HolisticLandmarker(b"a model")
    from mediapipe import Landmarker

    for _ in range(2):
        landmarker.begin()
        found = [landmarker.detect(picture(x, y), 40 * t) for t, (x, y) in enumerate([(50, 25), (0, 0), (10, 80)])]
        landmarker.end()
        keypoints, scores = found[0]
        assert keypoints.shape == (1, 553, 2) and scores.shape == (1, 553) and len(found[1][1]) == 0
        assert keypoints[0, 33 + 478].tolist() == [100, 10] and found[2][0][0, 33 + 478].tolist() == [20, 32]
        assert scores.sum() == 21
    assert [made.times for made in Landmarker.made] == [[0, 40, 80]] * 2
    assert all(made.closed for made in Landmarker.made)
    assert Landmarker.made[0].options.running_mode == "video"


def test_failures_take_one_line(mediapipe):
    landmarker = HolisticLandmarker(b"a model")
    landmarker.begin()
    with pytest.raises(ValueError, match="^mediapipe failed: CalculatorGraph::Run.. failed: somewhere$"):
        landmarker.detect(picture(1, 1, blue=1), 0)
    with pytest.raises(ValueError, match="could not load the model file .*It is damaged"):
        HolisticLandmarker(b"?").begin()


# --- in its own process


def test_the_process_finds_the_same(mediapipe, model):
    estimator = MediapipeEstimator(model)
    for _ in range(2):
        with estimator.video(25):
            found = [estimator(frame) for frame in (picture(50, 25), picture(0, 0), picture(10, 80))]
        keypoints, scores = found[0]
        assert keypoints.shape == (1, 553, 2) and scores.shape == (1, 553) and len(found[1][1]) == 0
        assert keypoints[0, 33 + 478].tolist() == [100, 10] and found[2][0][0, 33 + 478].tolist() == [20, 32]
    keypoints, _ = estimator(picture(50, 25)[:, ::-1][:, ::-1])  # a picture alone, and not contiguous
    assert keypoints[0, 33 + 478].tolist() == [100, 10]


@pytest.mark.parametrize(("fps", "times"), [(None, [0, 40, 80]), (29.97, [0, 33, 66]), (5000, [0, 1, 2])])
def test_times_grow_in_whole_milliseconds(mediapipe, model, fps, times, monkeypatch):
    seen = []
    detect = mediapipe_process.MediapipeProcess.detect
    monkeypatch.setattr(
        mediapipe_process.MediapipeProcess,
        "detect",
        lambda self, frame, milliseconds: seen.append(milliseconds) or detect(self, frame, milliseconds),
    )
    estimator = MediapipeEstimator(model)
    with estimator.video(fps):
        for _ in times:
            estimator(picture(1, 1))
    assert seen == times


def test_a_crash_is_one_line_and_the_next_video_goes_on(mediapipe, model, capfd):
    estimator = MediapipeEstimator(model)
    with pytest.raises(ValueError, match=r"^mediapipe has stopped, exit code 7 \(Check failed: something\)$"):
        with estimator.video(25):
            estimator(picture(1, 1, blue=2))
    with pytest.raises(ValueError, match="mediapipe failed: .* failed: somewhere"):
        estimator(picture(1, 1, blue=1))
    assert estimator(picture(50, 25))[1].sum() == 21
    os.kill(estimator._process._process.pid, signal.SIGKILL)
    time.sleep(0.2)
    assert estimator(picture(50, 25))[1].sum() == 21
    assert capfd.readouterr() == ("", ""), "noise stays away from the terminal"


def test_nothing_can_be_sent(mediapipe, model, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("https_proxy", "http://a-proxy-that-works:80")
    with pytest.raises(ValueError, match="https_proxy=http://127.0.0.1:9 ALL_PROXY=http://127.0.0.1:9 no_proxy=None"):
        MediapipeEstimator(model)(picture(1, 1, blue=3))
    assert os.environ["https_proxy"] == "http://a-proxy-that-works:80"


def test_two_threads_take_turns(mediapipe, model):
    estimator, found = MediapipeEstimator(model), {}

    def work(x):
        with estimator.video(25):
            found[x] = [float(estimator(picture(x, 10))[0][0, 511, 0]) for _ in range(20)]

    threads = [threading.Thread(target=work, args=(x,)) for x in (10, 20, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {x: [2.0 * x] * 20 for x in (10, 20, 30)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_starts_its_own(mediapipe, model):
    estimator = MediapipeEstimator(model)
    estimator(picture(50, 25))
    child = os.fork()
    if child == 0:
        os._exit(0 if estimator(picture(50, 25))[1].sum() == 21 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert estimator(picture(50, 25))[1].sum() == 21


def test_what_has_to_be_given(mediapipe, model, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="nowhere.task: no such model file: leave it out"):
        MediapipeEstimator(str(tmp_path / "nowhere.task"))
    with pytest.raises(ValueError, match="expected device cpu for mediapipe, received 'cuda'"):
        MediapipeEstimator(model, device="cuda")
    damaged = tmp_path / "damaged.task"
    damaged.write_bytes(b"?")
    with pytest.raises(
        ValueError, match="could not load the model file .*It is damaged.*: replace damaged.task"
    ) as caught:
        MediapipeEstimator(str(damaged))(picture(1, 1))
    assert "\n" not in str(caught.value)
    (tmp_path / "packages" / "mediapipe" / "__init__.py").write_text("raise ImportError('libGL.so.1: no such file')")
    with pytest.raises(MissingExtraError, match=r'pip install -e ".\[video\]" in the folder .*libGL.so.1'):
        MediapipeEstimator(model)(picture(1, 1))
    monkeypatch.setattr(mediapipe_estimator, "version", lambda name: importlib.metadata.version("not-installed"))
    with pytest.raises(MissingExtraError, match=r'pip install -e ".\[video\]" in the folder'):
        MediapipeEstimator(model)


def test_versions(mediapipe, model):
    versions = MediapipeEstimator(model).versions
    assert versions["mediapipe"] == "1.2.3" and versions["model"].startswith("holistic_landmarker.task (sha256 ")


def test_messages_come_whole(tmp_path):
    path: Path = tmp_path / "messages"
    array = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    with path.open("wb") as file:
        write_message(file, {"do": "x"}, array)
        write_message(file, {}, np.zeros((0, 553, 3), np.float32))
        write_message(file, {"error": "no\nwords \u00e9"})
    with path.open("rb") as file:
        first, second, third = (read_message(file) for _ in range(3))
        assert read_message(file) is None
    np.testing.assert_array_equal(first["array"], array)
    assert second["array"].shape == (0, 553, 3) and third == {"error": "no\nwords \u00e9"}
    path.write_bytes(path.read_bytes()[:50])
    with path.open("rb") as file, pytest.raises(EOFError):
        read_message(file)
