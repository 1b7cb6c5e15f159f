"""Hands alone, as users' detectors make them: sides, order, and what is put into one clip."""

import json
import tracemalloc
from types import SimpleNamespace as Result

import numpy as np
import pytest

from modeling_sigma.io import clip_from_mediapipe, load_clip
from modeling_sigma.io.hand_tracking import track_hands


# A left hand, palm to the camera, in shares of the image: wrist, then thumb to little finger.
HAND = np.array(
    [[0, 0, 0]]
    + [[-0.02 - 0.015 * k, -0.02 * k, -0.01] for k in range(1, 5)]
    + [[-0.03 + 0.02 * finger, -0.06 - 0.02 * k, -0.01 * k] for finger in range(4) for k in range(4)]
)


def hands_at(t: int) -> dict[str, np.ndarray]:
    """The signer's left hand is on the right of an unmirrored picture."""
    return {"left": HAND + [0.7 + 0.002 * t, 0.6, 0], "right": HAND * [-1, 1, 1] + [0.3, 0.6 - 0.002 * t, 0]}


def order_of(t: int) -> tuple[str, ...]:
    return (("left", "right"), ("right", "left"), ("right",), ("left",), ())[t % 5]


def marks(hand: np.ndarray) -> list[Result]:
    return [Result(x=float(x), y=float(y), z=float(z), visibility=0.0) for x, y, z in hand]


# MediaPipe takes pictures to be mirrored: its "Left" is the right hand of an unmirrored video.
CALLED = {"left": "Right", "right": "Left"}


def tasks_result(t: int, wrong: bool = False) -> Result:
    """Like `HandLandmarkerResult`."""
    names = order_of(t)
    called = [CALLED["left" if name == "right" else "right"] if wrong else CALLED[name] for name in names]
    return Result(
        hand_landmarks=[marks(hands_at(t)[name]) for name in names],
        handedness=[[Result(category_name=name, score=0.97, index=0)] for name in called],
        hand_world_landmarks=[],
    )


def solutions_result(t: int, wrong: bool = False) -> Result:
    """Like that of `mediapipe.solutions.hands`: None where nothing was found."""
    result = tasks_result(t, wrong)
    if not result.hand_landmarks:
        return Result(multi_hand_landmarks=None, multi_handedness=None)
    return Result(
        multi_hand_landmarks=[Result(landmark=hand) for hand in result.hand_landmarks],
        multi_handedness=[
            Result(classification=[Result(label=side[0].category_name, score=0.97, index=0)])
            for side in result.handedness
        ],
    )


def check_sides(clip, unit=(1, 1)) -> None:
    assert clip.layout == "hands_42"
    for t in range(len(clip)):
        for name, joints in (("left", slice(0, 21)), ("right", slice(21, 42))):
            if name in order_of(t):
                assert (clip.scores[t, joints] == 1).all()
                expected = hands_at(t)[name][:, :2] * unit
                np.testing.assert_allclose(clip.keypoints[t, joints], expected, rtol=1e-5, atol=1e-5)
            else:
                assert not clip.scores[t, joints].any() and not clip.keypoints[t, joints].any()


@pytest.mark.parametrize("make", [tasks_result, solutions_result])
def test_hands_of_both_interfaces(make):
    clip = clip_from_mediapipe([make(t) for t in range(20)], width=640, height=480, fps=25)
    check_sides(clip, (640, 480))
    assert (clip.width, clip.height, clip.fps, clip.coordinates) == (640, 480, 25, "pixels")


@pytest.mark.parametrize("make", [tasks_result, solutions_result])
def test_a_wrong_side_in_a_few_frames_is_mended(make):
    check_sides(clip_from_mediapipe([make(t, wrong=t in (5, 6, 12)) for t in range(20)], width=1, height=1))


def test_hands_without_sides_are_told_apart_by_shape_and_place():
    results = [Result(hand_landmarks=tasks_result(t).hand_landmarks) for t in range(20)]
    check_sides(clip_from_mediapipe(results, width=1, height=1))


def test_of_more_than_two_hands_the_largest_count():
    results = [tasks_result(t) for t in range(6)]
    for result in results:
        result.hand_landmarks.insert(0, marks(HAND * 0.2 + 0.1))
        result.handedness.insert(0, [Result(category_name="Left", score=0.9)])
    clip = clip_from_mediapipe(results[:2], width=1, height=1)
    check_sides(clip)


def test_frames_without_a_result():
    results = [tasks_result(t) if t % 5 != 4 else None for t in range(20)]
    check_sides(clip_from_mediapipe(results, width=1, height=1))


def test_nobody_and_other_numbers_of_landmarks():
    clip = clip_from_mediapipe([tasks_result(4)] * 3, width=10, height=10)
    assert clip.layout == "hands_42" and not clip.scores.any()
    with pytest.raises(ValueError, match="expected 21 landmarks of a hand, received 5 in frame 0"):
        clip_from_mediapipe([Result(hand_landmarks=[marks(HAND)[:5]])], width=10, height=10)


@pytest.mark.parametrize("form", ["browser", "tasks", "dictionaries"])
def test_json_of_hand_detectors(form, tmp_path):
    def frame(t: int) -> dict:
        points = [[{"x": x, "y": y, "z": z} for x, y, z in hands_at(t)[name].tolist()] for name in order_of(t)]
        sides = [{"score": 0.97, "label": CALLED[name], "categoryName": CALLED[name]} for name in order_of(t)]
        if form == "browser":
            return {"multiHandLandmarks": points, "multiHandedness": sides}
        if form == "tasks":
            return {"landmarks": points, "handedness": [[side] for side in sides]}
        return {"hands": [{"landmarks": p, "handedness": s["label"]} for p, s in zip(points, sides, strict=True)]}

    (tmp_path / "a.json").write_text(json.dumps([frame(t) for t in range(20)]))
    clip = load_clip(tmp_path / "a.json")
    check_sides(clip)
    assert clip.coordinates == "shares"
    content = {"width": 1280, "height": 720, "frames": [frame(t) for t in range(20)]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    check_sides(load_clip(tmp_path / "a.json"), (1280, 720))


def test_tracking_takes_memory_in_proportion_to_the_frames():
    num_frames = 4000
    hands = np.tile(HAND[None, None], (num_frames, 2, 1, 1)) + np.array([0.3, 0.7])[:, None, None]
    tracemalloc.start()
    try:
        tracked = track_hands(hands)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert tracked.shape == (num_frames, 2, 21, 3)
    assert peak < 40 * hands.astype(np.float32).nbytes  # all distances would take 512 MB, 60 times as much as this
