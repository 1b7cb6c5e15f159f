"""Videos to clips: the estimator is fed right, one person is followed, and what is missing is said in one line."""

import importlib.metadata
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest

from modeling_sigma.extraction import clip_from_video, mediapipe_estimator
from modeling_sigma.extraction.clip_from_video import estimate_clip
from modeling_sigma.extraction.estimators import ESTIMATORS, kept_estimator, make_estimator
from modeling_sigma.extraction.rtmlib_estimator import RtmlibEstimator
from modeling_sigma.io import load_clip, save_clip
from modeling_sigma.io.reading_errors import MissingExtraError


@pytest.fixture(autouse=True)
def _nothing_is_kept():
    kept_estimator.cache_clear()
    yield
    kept_estimator.cache_clear()


def someone(x: float, size: float) -> np.ndarray:
    """Keypoints (133, 2) on the diagonal of a box that begins at (x, 0)."""
    return np.linspace([x, 0], [x + size, size], 133).astype(np.float32)


class Scripted:
    """An estimator that sees the given persons: for each frame a list of keypoints."""

    name, layout = "scripted", "coco_wholebody_133"

    def __init__(self, frames):
        self.frames: Iterator = iter(frames)

    def __call__(self, frame):
        people = next(self.frames)
        return np.array(people, np.float32).reshape(-1, 133, 2), np.full((len(people), 133), 0.9, np.float32)


@pytest.fixture
def video(tmp_path, monkeypatch) -> Path:
    """A "video" of six black pictures (40 high, 60 wide) at 25 frames a second, without a decoder."""
    path = tmp_path / "a.mp4"
    path.write_bytes(b"")
    monkeypatch.setattr(clip_from_video, "frame_rate", lambda path: 25.0)
    monkeypatch.setattr(clip_from_video, "read_frames", lambda path, log: iter(np.zeros((6, 40, 60, 3), np.uint8)))
    return path


def test_the_largest_person_is_followed(video):
    small, large = [someone(2 * t, 20) for t in range(6)], [someone(300 - 2 * t, 80) for t in range(6)]
    frames = [[], [small[1], large[1]], [large[2], small[2]], [small[3]], [], [small[5], large[5]]]
    clip = estimate_clip(video, Scripted(frames))
    assert (clip.layout, clip.fps, clip.width, clip.height, len(clip)) == ("coco_wholebody_133", 25.0, 60, 40, 6)
    assert clip.keypoints[:, 0, 0].tolist() == [0, 298, 296, 0, 0, 290]
    assert clip.scores.any(1).tolist() == [False, True, True, False, False, True]
    second = estimate_clip(video, Scripted(frames), person=1)
    assert second.keypoints[:, 0, 0].tolist() == [0, 2, 4, 6, 0, 10]


def test_persons_that_are_not_there(video):
    with pytest.raises(ValueError, match=r"a.mp4: expected a person in at least one frame, received none"):
        estimate_clip(video, Scripted([[]] * 6))
    with pytest.raises(ValueError, match=r"a.mp4: expected person below 1 .*, received 3"):
        estimate_clip(video, Scripted([[someone(0, 9)]] * 6), person=3)
    with pytest.raises(ValueError, match=r"a.mp4: expected person as an integer from 0, received -1"):
        estimate_clip(video, Scripted([]), person=-1)


def test_estimators_that_break_their_word(video):
    class Wrong(Scripted):
        def __call__(self, frame):
            return np.zeros((1, 17, 2)), np.zeros((1, 17))

    with pytest.raises(
        ValueError, match=r"a.mp4: expected keypoints \(N, 133, 2\) .* of estimator scripted, received"
    ):
        estimate_clip(video, Wrong([]))


def test_estimators_get_the_frames_as_rgb(video, monkeypatch):
    pictures = np.random.default_rng(0).integers(0, 255, (6, 40, 60, 3), np.uint8)
    monkeypatch.setattr(clip_from_video, "read_frames", lambda path, log: iter(pictures))
    seen = []

    class Watching(Scripted):
        def __call__(self, frame):
            seen.append(frame.copy())
            return super().__call__(frame)

    estimate_clip(video, Watching([[someone(0, 9)]] * 6))
    np.testing.assert_array_equal(seen, pictures)


def test_no_estimator_is_one_clear_line(tmp_path, monkeypatch):
    path = tmp_path / "sample.mp4"
    path.write_bytes(b"")
    monkeypatch.setitem(sys.modules, "rtmlib", None)
    monkeypatch.setattr(mediapipe_estimator, "version", lambda name: importlib.metadata.version("not-installed"))
    for estimator, extra in ((None, "video"), ("mediapipe", "video"), ("rtmlib", "rtmlib")):
        line = (
            f'{path}: reading a video needs a pose estimator: pip install -e ".[{extra}]" in the folder of sigma-slu'
        )
        with pytest.raises(MissingExtraError) as caught:
            estimate_clip(path, estimator)
        assert str(caught.value).startswith(line) and "\n" not in str(caught.value)
        assert isinstance(caught.value, (ImportError, ValueError))
    with pytest.raises(ValueError, match=r"sample.mp4: expected estimator mediapipe or .*, received 'mine'"):
        estimate_clip(path, "mine")
    with pytest.raises(FileNotFoundError, match=r"nowhere.mp4: no such file"):
        estimate_clip(tmp_path / "nowhere.mp4", "rtmlib")


def test_a_clip_says_what_made_it(video, tmp_path):
    estimator = Scripted([[someone(0, 9)]] * 12)
    assert estimate_clip(video, estimator).estimator == "scripted"
    estimator.versions = {"scripts": "1.2", "model": "a.task (sha256 12)"}
    clip = estimate_clip(video, estimator)
    assert clip.estimator == "scripted (scripts 1.2, model a.task (sha256 12))"
    save_clip(tmp_path / "a.npz", clip)
    assert load_clip(tmp_path / "a.npz").estimator == clip.estimator


def test_broken_frames_are_left_out_and_counted(video, monkeypatch):
    def frames(path, log):
        yield np.zeros((40, 60, 3), np.uint8)
        log.broken.append("Invalid data")
        yield np.zeros((40, 60, 3), np.uint8)

    monkeypatch.setattr(clip_from_video, "read_frames", frames)
    broken = []
    assert len(estimate_clip(video, Scripted([[someone(0, 9)]] * 2), broken=broken)) == 2 and len(broken) == 1
    with pytest.warns(UserWarning, match=r"a.mp4: left out 1 broken frames \(Invalid data\)"):
        estimate_clip(video, Scripted([[someone(0, 9)]] * 2))
    monkeypatch.setattr(clip_from_video, "read_frames", lambda path, log: iter(log.broken.append("Invalid") or ()))
    with pytest.raises(ValueError, match=r"a.mp4: expected a video, found no frame that can be decoded \(Invalid\)"):
        estimate_clip(video, Scripted([]))
    monkeypatch.setattr(clip_from_video, "read_frames", lambda path, log: iter(()))
    with pytest.raises(ValueError, match="a.mp4: expected a video, found no frame in it: record or copy it again"):
        estimate_clip(video, Scripted([]))


# --- rtmlib, played by a stand-in ---


class Wholebody:
    """What `rtmlib.Wholebody` is to us; sees somebody where the picture's first byte (blue, in BGR) is not 0."""

    made: list[dict] = []

    def __init__(self, **options):
        print("load model with onnxruntime backend")
        self.made.append(options)
        self.images: list[np.ndarray] = []

    def det_model(self, image):
        self.images.append(image)
        return np.array([[0, 0, 10, 10]] * int(image[0, 0, 0] > 0))

    def pose_model(self, image, bboxes):
        assert len(bboxes), "rtmlib would take the whole picture"
        return np.stack([someone(5, 10)] * len(bboxes)), np.full((len(bboxes), 133), 0.8)


@pytest.fixture
def rtmlib(monkeypatch) -> ModuleType:
    module = ModuleType("rtmlib")
    module.Wholebody = Wholebody
    monkeypatch.setitem(sys.modules, "rtmlib", module)
    monkeypatch.setattr(Wholebody, "made", [])
    return module


def test_rtmlib_gets_bgr_and_our_options(rtmlib, capsys):
    estimator = RtmlibEstimator("lightweight")
    options = {"mode": "lightweight", "to_openpose": False, "backend": "onnxruntime", "device": "cpu"}
    assert Wholebody.made == [options]
    assert estimator.name == "rtmlib-wholebody-lightweight" and estimator.layout == "coco_wholebody_133"
    assert capsys.readouterr().out == ""  # standard output is for results
    frame = np.zeros((4, 6, 3), np.uint8)
    frame[..., 0], frame[..., 2] = 10, 200
    keypoints, scores = estimator(frame)
    assert estimator._model.images[0][0, 0].tolist() == [200, 0, 10]
    assert keypoints.shape == (1, 133, 2) and scores.shape == (1, 133) and keypoints.dtype == np.float32


def test_rtmlib_without_a_box_sees_nobody(rtmlib):
    keypoints, scores = RtmlibEstimator()(np.zeros((4, 6, 3), np.uint8))
    assert keypoints.shape == (0, 133, 2) and scores.shape == (0, 133)


def test_the_installed_estimator_is_found(rtmlib, video, monkeypatch):
    pictures = np.zeros((6, 40, 60, 3), np.uint8)
    pictures[2:, ..., 2] = 255
    monkeypatch.setattr(clip_from_video, "read_frames", lambda path, log: iter(pictures))
    for estimator in ("rtmlib", RtmlibEstimator()):
        clip = estimate_clip(video, estimator)
        assert clip.scores.any(1).tolist() == [False, False, True, True, True, True]
        np.testing.assert_allclose(clip.keypoints[2], someone(5, 10))


def test_estimators_by_name(rtmlib):
    assert set(ESTIMATORS) >= {"rtmlib", "sapiens2", "mediapipe"}
    assert make_estimator("rtmlib", mode="lightweight").name == "rtmlib-wholebody-lightweight"
    with pytest.raises(ValueError, match="expected estimator mediapipe or rtmlib or sapiens2.*, received 'mine'"):
        make_estimator("mine")


def test_frames_come_in_batches_and_in_the_context_of_their_video(video):
    class Batched(Scripted):
        batch_size = 4
        sizes: list[int] = []
        log: list[str] = []

        def detect_batch(self, frames):
            self.sizes.append(len(frames))
            return [self(frame) for frame in frames]

        @contextmanager
        def video(self, fps):
            self.log.append(f"starts at {fps}")
            yield
            self.log.append("ends")

    estimator = Batched([[someone(t, 9)] for t in range(6)])
    clip = estimate_clip(video, estimator)
    assert clip.keypoints[:, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert estimator.sizes == [4, 2] and estimator.log == ["starts at 25.0", "ends"]


def test_networks_that_cannot_be_fetched(rtmlib, monkeypatch):
    def offline(**options):
        raise URLError("[Errno -3] Temporary failure\nin name resolution")

    monkeypatch.setattr(rtmlib, "Wholebody", offline)
    with pytest.raises(
        ValueError, match="rtmlib could not load the networks of mode balanced .*, so go online once"
    ) as caught:
        RtmlibEstimator()
    assert "\n" not in str(caught.value)


def test_wrong_options(rtmlib, monkeypatch):
    with pytest.raises(ValueError, match="expected mode lightweight, balanced or performance, received 'fast'"):
        RtmlibEstimator("fast")
    for device in ("gpuu", "cuda:x", "cuda:"):
        with pytest.raises(ValueError, match=f"expected device cpu, cuda, .* for rtmlib, received '{device}'"):
            RtmlibEstimator(device=device)
    runtime = SimpleNamespace(get_available_providers=lambda: ["CPUExecutionProvider"])
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    with pytest.raises(ValueError, match="expected onnxruntime with CUDA, received one without"):
        RtmlibEstimator(device="cuda")
    runtime.get_available_providers = lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    RtmlibEstimator(device="cuda:0")
    assert Wholebody.made[-1]["device"] == "cuda:0"


def test_a_real_video(tmp_path):
    av = pytest.importorskip("av", reason="needs PyAV")
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode())
    clip = estimate_clip(path, Scripted([[someone(t, 30)] for t in range(3)]))
    assert (len(clip), clip.fps, clip.width, clip.height) == (3, 10.0, 64, 48)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"a.mp4: cannot be read as a video"):
        estimate_clip(path, Scripted([]))
