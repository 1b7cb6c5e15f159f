"""The real classes of rtmlib, driven by tiny ONNX graphs that know what a white dot is."""

import numpy as np
import pytest
from dot_videos import dot_path, dot_picture, write_dot_video
from onnx_graphs import write_detector, write_pose_network

from modeling_sigma.extraction.rtmlib_estimator import RtmlibEstimator
from modeling_sigma.io import load_clip


rtmlib = pytest.importorskip("rtmlib", reason="needs rtmlib")


@pytest.fixture(scope="module")
def estimator(tmp_path_factory) -> RtmlibEstimator:
    folder = tmp_path_factory.mktemp("networks")
    detector = write_detector(folder / "detector.onnx", box=(0, 0, 64, 43))  # of 64 x 64, where the picture is 64 x 43
    return RtmlibEstimator(detector=detector, model=write_pose_network(folder / "pose.onnx"))


def test_runs_the_real_classes(estimator):
    assert type(estimator._model) is rtmlib.Wholebody
    assert estimator.name == "rtmlib-wholebody-custom" and estimator.layout == "coco_wholebody_133"


@pytest.mark.parametrize("place", [(20, 20), (48, 32), (80, 50)])
def test_keypoints_lie_on_the_dot(estimator, place):
    keypoints, scores = estimator(dot_picture(place))
    assert keypoints.shape == (1, 133, 2) and scores.shape == (1, 133)
    np.testing.assert_allclose(keypoints[0], np.broadcast_to(place, (133, 2)), atol=2.5)  # a crop's pixel has 2.5
    assert (scores > 0.5).all()


def test_a_dark_picture_shows_nobody(estimator):
    keypoints, scores = estimator(dot_picture(None))
    assert keypoints.shape == (0, 133, 2) and scores.shape == (0, 133)


def test_colours_reach_the_network_in_its_order(tmp_path):
    # The detector's graph takes the brightest value of any channel; a red dot is bright in the last one of BGR only.
    estimator = RtmlibEstimator(
        detector=write_detector(tmp_path / "detector.onnx", (0, 0, 64, 43)),
        model=write_pose_network(tmp_path / "pose.onnx"),
    )
    seen = []
    inference = estimator._model.pose_model.inference
    estimator._model.pose_model.inference = lambda picture: seen.append(picture) or inference(picture)
    picture = dot_picture((40, 30))
    picture[29:32, 39:42] = (255, 0, 0)
    estimator(picture)
    assert seen[0][..., 2].max() > 2 > seen[0][..., 0].max()


def test_a_video_becomes_a_clip(estimator, tmp_path):
    pytest.importorskip("av", reason="needs PyAV")
    places = dot_path(6)
    path = write_dot_video(tmp_path / "a.mkv", [*places[:3], None, *places[4:]])
    clip = load_clip(path, estimator=estimator)
    assert (len(clip), clip.fps, clip.width, clip.height) == (6, 25, 96, 64)
    assert clip.scores.any(axis=1).tolist() == [True] * 3 + [False] + [True] * 2
    for t in (0, 2, 5):
        np.testing.assert_allclose(clip.keypoints[t, 91], places[t], atol=2.5)


def test_versions_identify_packages_and_networks(estimator, tmp_path):
    versions = estimator.versions
    assert set(versions) == {"rtmlib", "onnxruntime", "detector", "model"}
    assert versions["model"].startswith("pose.onnx (sha256 ") and "/" not in versions["detector"]
    other = RtmlibEstimator(
        detector=write_detector(tmp_path / "detector.onnx", box=(0, 0, 30, 30)),
        model=write_pose_network(tmp_path / "pose.onnx"),
    )
    assert other.versions["detector"] != versions["detector"] and other.versions["model"] == versions["model"]


def test_wrong_networks(tmp_path):
    detector = write_detector(tmp_path / "detector.onnx", (0, 0, 64, 43))
    with pytest.raises(ValueError, match="expected both ONNX files, detector and model, or none"):
        RtmlibEstimator(detector=detector)
    with pytest.raises(FileNotFoundError, match="nowhere.onnx: no such ONNX file"):
        RtmlibEstimator(detector=detector, model=str(tmp_path / "nowhere.onnx"))
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a network")
    with pytest.raises(ValueError, match="broken.onnx: cannot be read as an ONNX network") as caught:
        RtmlibEstimator(detector=detector, model=str(broken))
    assert "\n" not in str(caught.value)
