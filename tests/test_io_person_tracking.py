"""People are followed by place and size; the signer is who is there most, largest and best seen."""

from __future__ import annotations

import numpy as np
import pytest

from modeling_sigma.io.detections import Detection
from modeling_sigma.io.person_tracking import follow_people, follow_person


def frame(*people: tuple[float, float]) -> Detection:
    """A frame of people, each a line of 42 keypoints from x = `begin` to x = `begin` + `size`, all certain."""
    keypoints = [np.linspace([begin, 0], [begin + size, size], 42) for begin, size in people]
    return np.array(keypoints, np.float32).reshape(-1, 42, 2), np.ones((len(people), 42), np.float32)


def with_few_points(frame: Detection, person: int, count: int) -> Detection:
    """The same, where only the first keypoints of one person are found."""
    frame[1][person, count:] = 0
    return frame


def places(frames: list[Detection]) -> list[list[int | None]]:
    return [list(track.places) for track in follow_people(frames)]


def test_the_order_of_the_lists_means_nothing():
    frames = [frame((100, 10), (0, 20)), frame((3, 20), (98, 10)), frame((96, 10), (6, 20))]
    assert places(frames) == [[1, 0, 1], [0, 1, 0]]
    assert follow_person(frames, 1) == [0, 1, 0]


def test_numbers_of_a_track():
    tracks = follow_people([frame((0, 20), (50, 10)), frame((0, 24))])
    assert [(track.num_frames, track.size, track.weight) for track in tracks] == [(2, 22, 44), (1, 10, 10)]


def test_a_fragment_listed_first_does_not_win():
    # Three points of somebody in the background, first in every list, and there in more frames than the signer.
    frames = [with_few_points(frame((200, 30), (0, 20)), 0, 3) for _ in range(4)]
    frames.append(with_few_points(frame((200, 30)), 0, 3))
    assert places(frames)[0] == [1, 1, 1, 1, None]


def test_a_fragment_of_the_signer_is_nobody():
    # The signer is found a second time, in part, in other places of the list.
    frames = [
        with_few_points(frame((0, 20), (0, 20)), 0, 10),
        with_few_points(frame((1, 20), (1.5, 20)), 1, 10),
        frame((2, 20)),
        with_few_points(frame((2.5, 20), (3, 20)), 0, 10),
    ]
    assert places(frames) == [[1, 0, 0, 1]]


def test_a_large_passer_by_of_few_frames_does_not_win():
    frames = [frame((0, 20)) for _ in range(10)]
    for t, begin in ((4, 20), (5, 40)):
        frames[t] = frame((begin, 60), (0, 20))
    tracks = follow_people(frames)
    assert list(tracks[0].places) == [0, 0, 0, 0, 1, 1, 0, 0, 0, 0]
    assert [track.weight for track in tracks] == [200, 120]


def test_who_is_there_from_the_first_frame_need_not_be_the_signer():
    frames = [frame((100, 10)), *[frame((100, 10), (0, 30)) for _ in range(3)]]
    assert places(frames) == [[None, 1, 1, 1], [0, 0, 0, 0]]


def test_leaving_and_returning():
    away = [frame((100, 10)) for _ in range(30)]
    frames = [frame((0, 20), (100, 10)), *away, frame((100, 10), (4, 20)), frame((4, 20), (100, 10))]
    found = follow_people(frames)
    assert [track.num_frames for track in found] == [33, 3]  # 33 * 10 against 3 * 20
    assert list(found[1].places) == [0, *[None] * 30, 1, 0]


def test_who_stands_where_somebody_left_stays_themselves():
    # One at 0 leaves; the other walks from 30 to 0, in steps of 3, and is not taken for the first.
    frames = [frame((0, 10), (30, 10)), *[frame((begin, 10)) for begin in range(27, -1, -3)]]
    assert places(frames) == [[1, *[0] * 10], [0, *[None] * 10]]


def test_somebody_else_is_not_taken():
    frames = [frame((0, 12), (100, 10)), frame((101, 10)), frame((100, 10)), frame((4, 12), (99, 10))]
    assert places(frames) == [[1, 0, 0, 1], [0, None, None, 0]]
    # In the same place, but of four times the size.
    frames = [frame((0, 40), (100, 50)), frame((0, 40), (100, 50)), frame((15, 10), (100, 50))]
    assert places(frames)[:2] == [[1, 1, 1], [0, 0, None]]


def test_neighbours_do_not_swap_when_one_is_missed():
    # 6 apart and 10 wide: within reach of each other.
    frames = [frame((0, 10), (6, 11)), frame((6, 11)), frame((0, 10)), frame((6, 11), (0, 10))]
    assert places(frames) == [[1, 0, None, 0], [0, None, 0, 1]]


def test_people_who_are_never_seen_together_are_one():
    assert places([frame((0, 10)), frame(), frame((5000, 10))]) == [[0, None, 0]]


def test_people_without_a_found_keypoint_are_not_there():
    keypoints, scores = frame((0, 10), (50, 20))
    ghost, nan = scores.copy(), keypoints.copy()
    ghost[0], nan[0] = 0, np.nan
    frames = [(keypoints, scores), (keypoints, ghost), (nan, scores), (keypoints, scores)]
    assert places(frames) == [[1, 1, 1, 1], [0, None, None, 0]]
    assert places([(keypoints[:1], ghost[:1]), (nan[:1], scores[:1])]) == []
    assert places([]) == []


def test_unit_and_order_of_detections_change_nothing():
    rng = np.random.default_rng(0)
    people = rng.normal(size=(3, 1, 42, 2)) * [[[[5.0]]], [[[9]]], [[[7]]]] + [[[[0, 0]]], [[[30, 5]]], [[[60, 0]]]]
    clip = people + rng.normal(size=(3, 20, 42, 2)) * 0.5  # (N, T, 42, 2)
    scores = rng.uniform(0.3, 1, (3, 20, 42))
    orders = [rng.permutation(3) for _ in range(20)]
    plain = follow_people([(clip[:, t], scores[:, t]) for t in range(20)])
    mixed = follow_people([(clip[order, t] / 1000, scores[order, t]) for t, order in enumerate(orders)])
    assert [track.places[0] for track in plain] == [1, 2, 0] and all(len(set(track.places)) == 1 for track in plain)
    for one, other in zip(plain, mixed, strict=True):
        assert [order[place] for order, place in zip(orders, other.places)] == list(one.places)
        assert other.weight * 1000 == pytest.approx(one.weight)


def test_many_fragments_end_no_track():
    rng = np.random.default_rng(0)
    frames = [frame(*[(begin, 1) for begin in rng.uniform(50, 5000, 10)], (0, 20)) for _ in range(30)]
    assert places(frames)[0] == [10] * 30


@pytest.mark.filterwarnings("error")
def test_people_of_a_single_point():
    frames = [with_few_points(frame((200 + 9 * t, 30), (0, 20)), 0, 1) for t in range(3)]
    assert places(frames) == [[1, 1, 1], [0, None, None], [None, 0, None], [None, None, 0]]
    assert [track.size for track in follow_people(frames)] == [20, 0, 0, 0]


def test_a_person_that_is_not_there():
    with pytest.raises(ValueError, match="expected person below 2"):
        follow_person([frame((0, 10), (50, 10))], 2)
    with pytest.raises(ValueError, match="nobody was detected"):
        follow_person([frame()], 0)
