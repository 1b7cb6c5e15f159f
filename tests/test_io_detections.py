"""One person out of many, and how problems of a file are reported."""

import numpy as np
import pytest

from modeling_sigma.io.detections import by_box_area, clip_of, follow_person, same_index
from modeling_sigma.io.reading_errors import MissingExtraError, naming_file, one_line, shown
from modeling_sigma.model.pose_clip import hide_invalid


def frame(*people: tuple[float, float]):
    """A frame of persons, each a line of 42 keypoints from x = `begin` to x = `begin` + `size`."""
    keypoints = [np.linspace([begin, 0], [begin + size, size], 42) for begin, size in people]
    return np.array(keypoints, np.float32).reshape(-1, 42, 2), np.ones((len(people), 42), np.float32)


def test_same_index():
    frames = [frame((0, 1)), frame(), frame((0, 1), (5, 1))]
    assert same_index(frames, 0) == [0, None, 0] and same_index(frames, 1) == [None, None, 1]
    with pytest.raises(ValueError, match="expected person below 2"):
        same_index(frames, 2)


def test_a_person_is_followed_through_changing_order():
    frames = [frame((100, 10), (0, 10)), frame((3, 10), (98, 10)), frame((96, 10), (6, 10))]
    assert follow_person(frames, 0) == [0, 1, 0] and follow_person(frames, 1) == [1, 0, 1]


def test_the_person_is_chosen_in_the_first_frame_with_enough():
    frames = [frame(), frame((2, 10)), frame((100, 10), (0, 10)), frame((98, 10))]
    assert follow_person(frames, 0) == [None, 0, 1, None]
    assert follow_person(frames, 1) == [None, 0, 1, None]


def test_somebody_else_is_not_taken():
    frames = [frame((0, 10), (100, 10)), frame((101, 10)), frame((100, 10)), frame((4, 10), (99, 10))]
    assert follow_person(frames, 0) == [0, None, None, 0]


def test_people_who_are_never_seen_together_are_taken_as_one():
    assert follow_person([frame((0, 10)), frame(), frame((5000, 10))], 0) == [0, None, 0]


def test_persons_without_a_certain_keypoint_cannot_mislead():
    keypoints, scores = frame((0, 10), (50, 10))
    ghost = scores.copy()
    ghost[0] = 0
    nan = keypoints.copy()
    nan[0] = np.nan
    frames = [(keypoints, scores), (keypoints, ghost), (nan, scores), (keypoints, scores)]
    assert follow_person(frames, 0) == [0, None, None, 0] and follow_person(frames, 1) == [1, 1, 1, 1]
    assert follow_person([(keypoints, ghost), (keypoints, scores)], 0) == [0, None]  # nothing to follow


def test_by_box_area():
    people = frame((0, 10), (100, 50), (300, 30))
    assert by_box_area(people) == [1, 2, 0]
    people[1][1] = 0
    assert by_box_area(people) == [2, 0, 1]
    assert follow_person([people], 0, rank=by_box_area) == [2]
    uncertain = frame((0, 10), (100, 20))
    uncertain[1][1, 1:] = 0.1  # only one certain keypoint: no box
    assert by_box_area(uncertain) == [0, 1]


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
        MemoryError(),
    ):
        assert type(report(error)) is ValueError
        assert str(report(error)).startswith(f"a.npz: cannot be read as a clip ({type(error).__name__}: ")
    with pytest.raises(KeyboardInterrupt), naming_file("a.npz", "a clip"):
        raise KeyboardInterrupt


def test_shown_and_one_line():
    assert one_line(ValueError("a\n  b\tc")) == "a b c"
    assert shown("\x1b[2J") == r"'\x1b[2J'" and len(shown("x" * 10**6)) < 70 and len(shown("\u0394" * 10**6)) < 400
    assert shown(3.5) == "3.5" and shown([1]) == "list" and len(shown(10**200)) == 60
