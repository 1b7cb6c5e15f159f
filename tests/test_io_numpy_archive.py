"""`.npz` clips: what is saved comes back, and nothing but plain arrays is read."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from modeling_sigma.io import load_clip
from modeling_sigma.io.numpy_archive import save_clip
from modeling_sigma.model.pose_clip import PoseClip


def random_clip(num_frames=3, layout="coco_wholebody_133", num_keypoints=133, **size) -> PoseClip:
    rng = np.random.default_rng(0)
    return PoseClip(
        rng.uniform(0, 500, (num_frames, num_keypoints, 2)).astype(np.float32),
        rng.uniform(0.1, 1, (num_frames, num_keypoints)).astype(np.float32),
        layout,
        **size,
    )


@pytest.mark.parametrize(
    "clip",
    [
        random_clip(),
        random_clip(1, fps=29.97, width=640, height=480),
        random_clip(2, "hands_42", 42, fps=25.0),
        random_clip(2, "mediapipe_holistic_553", 553, width=100, height=50),
    ],
    ids=lambda clip: clip.layout,
)
def test_what_is_saved_comes_back(clip, tmp_path):
    path = tmp_path / "clip.npz"
    save_clip(path, clip)
    loaded = load_clip(path)
    np.testing.assert_array_equal(loaded.keypoints, clip.keypoints)
    np.testing.assert_array_equal(loaded.scores, clip.scores)
    assert loaded.keypoints.dtype == loaded.scores.dtype == np.float32
    for name in ("layout", "fps", "width", "height"):
        assert getattr(loaded, name) == getattr(clip, name)
    assert [type(value) for value in (loaded.layout, loaded.width)] == [str, type(clip.width)]


def test_float64_is_saved_as_float32_and_files_are_replaced(tmp_path):
    path = tmp_path / "clip.npz"
    save_clip(path, random_clip(9))
    save_clip(str(path), PoseClip(np.full((2, 133, 2), 0.1), np.ones((2, 133))))
    loaded = load_clip(path)
    assert len(loaded) == 2 and loaded.keypoints[0, 0, 0] == np.float32(0.1)
    assert list(tmp_path.iterdir()) == [path]


def test_saving_needs_the_extension(tmp_path):
    with pytest.raises(ValueError, match=r"clip: expected a file name that ends in .npz"):
        save_clip(tmp_path / "clip", random_clip())
    assert not list(tmp_path.iterdir())


def test_the_layout_follows_from_the_number_of_keypoints(tmp_path):
    np.savez(tmp_path / "a.npz", keypoints=np.ones((2, 137, 2)), scores=np.ones((2, 137)))
    assert load_clip(tmp_path / "a.npz").layout == "openpose_137"


def test_windows(tmp_path):
    keypoints = np.broadcast_to(np.arange(10.0)[:, None, None], (10, 133, 2))
    for window, expected in (({"start": 2, "end": 4}, [2, 3]), ({"start": 8}, [8, 9]), ({"end": 99}, range(10))):
        np.savez(tmp_path / "a.npz", keypoints=keypoints, scores=np.ones((10, 133)), **window)
        assert load_clip(tmp_path / "a.npz").keypoints[:, 0, 0].tolist() == list(expected)
    np.savez(tmp_path / "a.npz", keypoints=keypoints, scores=np.ones((10, 133)), start=5, end=5)
    with pytest.raises(ValueError, match=r"a.npz: expected start below end .* received start 5 and end 5"):
        load_clip(tmp_path / "a.npz")


def test_persons_and_nan(tmp_path):
    keypoints = np.broadcast_to(np.arange(133.0)[:, None], (3, 2, 133, 2)).copy()
    keypoints[:, 0] = 1000 + 2 * keypoints[:, 0]  # larger, hence the signer
    keypoints[1, 1, 7] = np.nan
    np.savez(tmp_path / "a.npz", keypoints=keypoints, scores=np.ones((3, 2, 133)))
    clip = load_clip(tmp_path / "a.npz", person=1)
    assert (
        clip.keypoints[0, 1].tolist() == [1, 1] and clip.scores[1, 7] == 0 and clip.keypoints[1, 7].tolist() == [0, 0]
    )
    with pytest.raises(ValueError, match=r"a.npz: expected person below 2 .* received 2"):
        load_clip(tmp_path / "a.npz", person=2)
    with pytest.raises(ValueError, match=r"a.npz: expected person as an integer from 0"):
        load_clip(tmp_path / "a.npz", person=-1)


ONES = {"keypoints": np.ones((2, 133, 2)), "scores": np.ones((2, 133))}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"scores": ONES["scores"]},
            "expected .* keypoints and scores, received one with 'scores': the keypoints are",
        ),
        ({"x": np.ones(3)}, "received one with 'x': store keypoints"),
        ({**ONES, "scores": np.ones((2, 5))}, r"received \(2, 133, 2\) and \(2, 5\)"),
        ({**ONES, "keypoints": np.ones((2, 133, 5))}, r"received \(2, 133, 5\)"),
        ({**ONES, "keypoints": np.array([{}])}, "received python objects, which could run code"),
        ({**ONES, "keypoints": np.full((2, 133, 2), "a")}, "expected keypoints as numbers, received dtype <U1"),
        ({**ONES, "layout": "openpose_137"}, r"expected \(T, 137, 2\) keypoints of layout openpose_137"),
        ({**ONES, "layout": "mine"}, "unknown keypoint layout 'mine'"),
        ({**ONES, "fps": [1.0, 2.0]}, r"expected fps as one number, received float64 of shape \(2,\)"),
        ({**ONES, "fps": "fast"}, "expected fps as one number"),
        ({**ONES, "fps": 0.0}, "expected a positive number for fps"),
        ({**ONES, "width": np.nan}, "expected a positive number for width"),
        ({**ONES, "start": -1}, "expected start as a frame number from 0"),
        ({"keypoints": np.ones((2, 7, 2)), "scores": np.ones((2, 7))}, "no known layout has 7 keypoints"),
        ({"keypoints": np.ones((0, 133, 2)), "scores": np.ones((0, 133))}, "expected 1 to 500,000 frames, received 0"),
    ],
)
def test_other_content(arrays, message, tmp_path):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=rf"a.npz: .*{message}") as caught:
        load_clip(tmp_path / "a.npz")
    assert "\n" not in str(caught.value)


def test_truncated_at_every_byte(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, keypoints=np.ones((1, 42, 2), np.float32), scores=np.ones((1, 42), np.float32))
    raw = path.read_bytes()
    assert load_clip(path).layout == "hands_42"
    for length in range(0, len(raw), 3):
        path.write_bytes(raw[:length])
        with pytest.raises(ValueError, match=r"a.npz: "):
            load_clip(path)


def test_changed_bytes_load_or_raise_value_errors(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, keypoints=np.ones((1, 42, 2), np.float32), scores=np.ones((1, 42), np.float32), fps=25)
    raw = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):
        changed = bytearray(raw)
        for place in rng.integers(0, len(raw), 2):
            changed[place] = rng.integers(0, 256)
        path.write_bytes(changed)
        try:
            load_clip(path)
        except ValueError as error:
            assert str(error).startswith(f"{path}: ")


def test_arrays_too_large_are_not_decompressed(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGMA_READING_BUDGET", "0.01")
    path: Path = tmp_path / "a.npz"
    np.savez_compressed(path, **ONES, extra=np.zeros(1_000_000))
    assert path.stat().st_size < 10_000
    with pytest.raises(ValueError, match=r"a.npz: expected a file of 0.0 MB to take at most 6.0 MB of memory"):
        load_clip(path)


def test_a_header_of_absurd_shape(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 50, 133, 2)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("keypoints.npy", header.getvalue() + bytes(100))
        archive.writestr("scores.npy", header.getvalue() + bytes(100))
    with pytest.raises(ValueError, match=r"a.npz: "):
        load_clip(tmp_path / "a.npz")
