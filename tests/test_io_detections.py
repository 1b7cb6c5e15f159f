"""One person out of many, and how problems of a file are reported."""

import numpy as np
import pytest

from modeling_sigma.io.detections import clip_of
from modeling_sigma.io.reading_errors import MissingExtraError, PassingError, naming_file, one_line, shown
from modeling_sigma.model.keypoint_arrays import hide_invalid


def frame(*people: tuple[float, float]):
    """A frame of persons, each a line of 42 keypoints from x = `begin` to x = `begin` + `size`."""
    keypoints = [np.linspace([begin, 0], [begin + size, size], 42) for begin, size in people]
    return np.array(keypoints, np.float32).reshape(-1, 42, 2), np.ones((len(people), 42), np.float32)


def test_clips_keep_precision_and_leave_gaps():
    frames = [frame((1, 10)), frame(), frame((2, 10))]
    clip = clip_of(frames, [0, None, 0], "hands_42", fps=10)
    assert clip.keypoints[:, 0, 0].tolist() == [1, 0, 2] and clip.scores[:, 0].tolist() == [1, 0, 1]
    assert clip.keypoints.dtype == clip.scores.dtype == np.float32
    double = [(keypoints.astype(np.float64), scores) for keypoints, scores in frames]
    clip = clip_of(double, [0, None, 0], "hands_42")
    assert clip.keypoints.dtype == np.float64 and clip.scores.dtype == np.float32


def test_hide_invalid():
    keypoints, scores = np.ones((1, 3, 2), np.float32), np.ones((1, 3), np.float32)
    assert hide_invalid(keypoints, scores)[0] is keypoints
    keypoints[0, 0, 1], scores[0, 2] = np.inf, np.nan
    hidden, hidden_scores = hide_invalid(keypoints, scores)
    assert hidden.tolist() == [[[0, 0], [1, 1], [0, 0]]] and hidden_scores.tolist() == [[0, 1, 0]]
    assert hidden.dtype == hidden_scores.dtype == np.float32


def test_naming_file():
    def report(error: BaseException) -> BaseException:
        try:
            with naming_file("a.npz", "a clip"):
                raise error
        except Exception as caught:
            return caught

    assert str(report(ValueError("expected 1,\n received 2"))) == "a.npz: expected 1, received 2"
    named = ValueError("a.npz: done before")
    assert report(named) is named
    missing = MissingExtraError("install it")
    assert report(missing) is missing
    for error in (
        KeyError("x"),
        OSError("disk"),
        UnicodeDecodeError("utf-8", b"", 0, 1, "bad"),
        ValueError(),
    ):
        assert type(report(error)) is ValueError
        assert str(report(error)).startswith(f"a.npz: cannot be read as a clip ({type(error).__name__}: ")
    passing = report(MemoryError())
    assert type(passing) is PassingError and str(passing).startswith("a.npz: could not be read now (MemoryError")
    with pytest.raises(KeyboardInterrupt), naming_file("a.npz", "a clip"):
        raise KeyboardInterrupt


def test_shown_and_one_line():
    assert one_line(ValueError("a\n  b\tc")) == "a b c"
    assert shown("\x1b[2J") == r"'\x1b[2J'" and len(shown("x" * 10**6)) < 70 and len(shown("\u0394" * 10**6)) < 400
    assert shown(3.5) == "3.5" and shown([1]) == "list" and len(shown(10**200)) == 60
