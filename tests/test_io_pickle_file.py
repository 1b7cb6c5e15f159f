"""Whole-body pickles: persons, windows, missing frames, and messages for everything else."""

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest

from modeling_sigma.io import load_clip
from modeling_sigma.io.pickles import UnsafePickleError


def write(path: Path, data) -> Path:
    path.write_bytes(pickle.dumps(data))
    return path


def numbered(num_frames: int, num_persons: int = 1, num_keypoints: int = 133, dtype=np.float32):
    """Keypoints and scores whose values tell frame and person."""
    t, n = np.ogrid[:num_frames, :num_persons]
    keypoints = np.broadcast_to((t * 10 + n + 0.5)[..., None, None], (num_frames, num_persons, num_keypoints, 2))
    return keypoints.astype(dtype), np.full((num_frames, num_persons, num_keypoints), 0.75, np.float32)


@pytest.mark.parametrize("pack", [list, np.asarray], ids=["list of arrays", "one array"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_keypoints_arrive_unchanged(pack, dtype, tmp_path):
    keypoints, scores = numbered(4, dtype=dtype)
    clip = load_clip(write(tmp_path / "a.pkl", {"keypoints": pack(keypoints), "scores": pack(scores)}))
    assert (clip.layout, clip.fps, clip.width, clip.height) == ("coco_wholebody_133", None, None, None)
    assert clip.keypoints.dtype == dtype and clip.scores.dtype == np.float32
    np.testing.assert_array_equal(clip.keypoints, keypoints[:, 0])
    np.testing.assert_array_equal(clip.scores, scores[:, 0])


def test_one_person_without_an_axis_and_gzip(tmp_path):
    keypoints, scores = numbered(3)
    for data in (
        {"keypoints": list(keypoints[:, 0]), "scores": list(scores[:, 0])},
        {"keypoints": keypoints[:, 0], "scores": scores[:, 0]},
    ):
        path = tmp_path / "a.pkl"
        path.write_bytes(gzip.compress(pickle.dumps(data)))
        np.testing.assert_array_equal(load_clip(path).keypoints, keypoints[:, 0])


def test_persons_and_frames_without_them(tmp_path):
    keypoints, scores = numbered(4, 2)
    keypoints = keypoints + np.arange(133, dtype=np.float32)[:, None] + [[[[0, 0]], [[1000, 0]]]]
    data = {"keypoints": list(keypoints), "scores": list(scores)}
    data["keypoints"][1], data["scores"][1] = keypoints[1, :1], scores[1, :1]
    data["keypoints"][2], data["scores"][2] = keypoints[2, :0], scores[2, :0]
    data["keypoints"][3], data["scores"][3] = [], np.zeros(0)
    path = write(tmp_path / "a.pkl", data)
    first, second = load_clip(path), load_clip(path, person=1)
    assert first.keypoints[:, 0, 0].tolist() == [0.5, 10.5, 0, 0] and first.scores[:, 0].tolist() == [0.75, 0.75, 0, 0]
    assert second.keypoints[:, 0, 0].tolist() == [1001.5, 0, 0, 0]
    assert second.scores[:, 0].tolist() == [0.75, 0, 0, 0]
    with pytest.raises(ValueError, match=r"a.pkl: expected person below 2 \(people seen in this clip\), received 2"):
        load_clip(path, person=2)
    for person in (-1, True, 0.0, "0"):
        with pytest.raises(ValueError, match=r"a.pkl: expected person as an integer from 0, received"):
            load_clip(path, person=person)


def test_nobody_in_any_frame(tmp_path):
    keypoints, scores = numbered(2)
    path = write(tmp_path / "a.pkl", {"keypoints": list(keypoints[:, :0]), "scores": list(scores[:, :0])})
    with pytest.raises(ValueError, match=r"a.pkl: expected a person in at least one frame, received none"):
        load_clip(path)


def test_start_and_end(tmp_path):
    keypoints, scores = numbered(10)
    data = {"keypoints": list(keypoints), "scores": list(scores)}
    for start, end, expected in (
        (2, 5, [2, 3, 4]),
        (None, 2, [0, 1]),
        (8, None, [8, 9]),
        (np.int64(9), 100, [9]),
        (None, None, list(range(10))),
    ):
        path = write(tmp_path / "a.pkl", {**data, "start": start, "end": end})
        assert load_clip(path).keypoints[:, 0, 0].tolist() == [10 * t + 0.5 for t in expected]
    for start, end in ((10, None), (5, 5), (6, 5), (0, 0)):
        path = write(tmp_path / "a.pkl", {**data, "start": start, "end": end})
        with pytest.raises(
            ValueError, match=r"a.pkl: expected start below end and below the 10 frames, received start"
        ):
            load_clip(path)
    for start in (-1, 1.5, "1", True, [1]):
        path = write(tmp_path / "a.pkl", {**data, "start": start})
        with pytest.raises(ValueError, match=r"a.pkl: expected start as a frame number from 0, received"):
            load_clip(path)


def test_other_numbers_of_keypoints(tmp_path):
    keypoints, scores = numbered(2, num_keypoints=137)
    path = write(tmp_path / "a.pkl", {"keypoints": list(keypoints), "scores": list(scores)})
    assert load_clip(path).layout == "openpose_137"
    keypoints, scores = numbered(2, num_keypoints=17)
    path = write(tmp_path / "a.pkl", {"keypoints": list(keypoints), "scores": list(scores)})
    with pytest.raises(
        ValueError, match=r"a.pkl: expected the keypoints of a whole body .* received 17, a body without hands"
    ):
        load_clip(path)


def test_nan_coordinates_were_not_found(tmp_path):
    keypoints, scores = numbered(3)
    keypoints[1, 0, 5] = np.nan
    scores[2, 0, 6] = np.nan
    clip = load_clip(write(tmp_path / "a.pkl", {"keypoints": list(keypoints), "scores": list(scores)}))
    for t, k in ((1, 5), (2, 6)):
        assert clip.scores[t, k] == 0 and clip.keypoints[t, k].tolist() == [0, 0]
    assert (clip.scores > 0).sum() == 3 * 133 - 2 and clip.keypoints.dtype == np.float32


KEYPOINTS, SCORES = numbered(2)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (["Hi"], "expected a dictionary with keypoints and scores, received a list"),
        (
            {"video": {"text": "Hi"}},
            "received one with 'video': this is a label file, which loads with load_label_file",
        ),
        ({}, "expected a dictionary with keypoints and scores, received one with nothing: store keypoints"),
        ({"confidences": SCORES}, "received one with 'confidences': the keypoints are missing"),
        ({"state_dict": {}}, "received one with 'state_dict': these are weights of a model, not a clip"),
        ({"images": [], "annotations": []}, "received an annotation file of COCO"),
        ({"keypoints": KEYPOINTS, "scores": 1}, "expected scores as a list of arrays or one array, received int"),
        ({"keypoints": np.array(1.0), "scores": SCORES}, "expected keypoints as a list of arrays or one array"),
        ({"keypoints": KEYPOINTS, "scores": SCORES[:1]}, "as many frames of scores as of keypoints, received 1 and 2"),
        ({"keypoints": [], "scores": []}, "expected 1 to 500,000 frames, received 0"),
        ({"keypoints": [[["a", "b"]]], "scores": [[1.0]]}, "expected keypoints of frame 0 as an array of numbers"),
        ({"keypoints": [KEYPOINTS[0].astype(str)], "scores": [SCORES[0]]}, "received ndarray of dtype <U"),
        ({"keypoints": [KEYPOINTS[0], KEYPOINTS[0][..., :1]], "scores": list(SCORES)}, "in frame 1, received"),
        ({"keypoints": KEYPOINTS, "scores": SCORES[..., :100]}, r"received \(2, 1, 133, 2\) and \(2, 1, 100\)"),
        ({"keypoints": [KEYPOINTS[0], np.ones((1, 17, 2))], "scores": [SCORES[0], np.ones((1, 17))]}, r"\[17, 133\]"),
    ],
)
def test_other_content(data, message, tmp_path):
    with pytest.raises(ValueError, match=rf"a.pkl: .*{message}") as caught:
        load_clip(write(tmp_path / "a.pkl", data))
    assert "\n" not in str(caught.value)


def test_absurdly_many_frames(tmp_path):
    path = write(tmp_path / "a.pkl", {"keypoints": [None] * 500_001, "scores": [None] * 500_001})
    with pytest.raises(
        ValueError, match="expected 1 to 500,000 frames, received 500,001: cut the recording into clips"
    ):
        load_clip(path)


def test_unsafe_and_truncated_files(tmp_path):
    path = write(tmp_path / "a.pkl", {"keypoints": print})
    with pytest.raises(UnsafePickleError, match=r"a.pkl: refused to load builtins.print"):
        load_clip(path)
    raw = pickle.dumps({"keypoints": list(KEYPOINTS), "scores": list(SCORES)})
    for length in range(0, len(raw), 23):
        path.write_bytes(raw[:length])
        with pytest.raises(ValueError, match=r"a.pkl: "):
            load_clip(path)


@pytest.mark.data
def test_sample(shared_data):
    path = shared_data / "samples" / "wholebody_pkl" / "human_signer_480.pkl"
    clip = load_clip(path)
    assert clip.layout == "coco_wholebody_133" and len(clip) == 97
    expected = pickle.loads(path.read_bytes())
    scores = np.concatenate(expected["scores"])
    found = scores > 0  # a few are negative
    assert found.mean() > 0.9
    np.testing.assert_array_equal(clip.keypoints, np.concatenate(expected["keypoints"]) * found[..., None])
    np.testing.assert_array_equal(clip.scores, scores * found)
    left, right = np.median(clip.keypoints[:, [5, 6]], axis=0)
    assert 0 < right[0] < left[0] < 1 and 0 < left[1] < 1 and clip.scores[:, [5, 6]].mean() > 0.9


@pytest.mark.data
def test_the_window_of_the_reference(goldens, tmp_path):
    golden = np.load(goldens / "pose_load_window.npz")
    start, end = golden["window/start_end"].tolist()
    keypoints, scores = golden["window/keypoints"], golden["window/scores"]
    data = {"keypoints": list(keypoints), "scores": list(scores), "start": start, "end": end}
    clip = load_clip(write(tmp_path / "a.pkl", data))
    assert len(clip) == len(golden["window/body"]) == 26
    np.testing.assert_array_equal(clip.keypoints, keypoints[start:end, 0])
    assert clip.keypoints.dtype == np.float64
    # The reference's left hand is the clip's, relative to its wrist and scaled.
    ours = clip.keypoints[:, 91:112] - clip.keypoints[:, 91:92]
    theirs = golden["window/left"][..., :2]
    kept = (golden["window/left"][..., 2] > 0.3) & (np.abs(theirs) < 1).all(-1) & (np.abs(theirs) > 1e-3).all(-1)
    scale = (ours[kept] / theirs[kept]).ravel()
    assert kept.sum() > 20 and np.allclose(scale, scale[0], rtol=1e-4)
