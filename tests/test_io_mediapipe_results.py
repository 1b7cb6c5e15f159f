"""MediaPipe results of both interfaces, without MediaPipe."""

from types import SimpleNamespace as Result

import numpy as np
import pytest

from modeling_sigma.io.mediapipe_results import clip_from_mediapipe


def landmarks(count: int, start: float, **more) -> list[Result]:
    return [Result(x=(start + k) / 1000, y=(start + k) / 500, z=0.0, **more) for k in range(count)]


def tasks_result(num_face_points: int = 478, visibility=0.25) -> Result:
    """Like `HolisticLandmarkerResult`: lists of landmarks."""
    return Result(
        pose_landmarks=landmarks(33, 0, visibility=visibility),
        face_landmarks=landmarks(num_face_points, 33, visibility=None),
        left_hand_landmarks=landmarks(21, 33 + num_face_points, visibility=0.0),
        right_hand_landmarks=landmarks(21, 54 + num_face_points),
        pose_world_landmarks=landmarks(33, 900),
    )


def solutions_result(**replaced) -> Result:
    """Like that of `mediapipe.solutions.holistic`: messages with a field `landmark`, None where nothing was found."""
    result = tasks_result(468)
    wrapped = {name: Result(landmark=tuple(values)) for name, values in vars(result).items()}
    return Result(**(wrapped | replaced))


@pytest.mark.parametrize(
    ("result", "count"), [(tasks_result(), 553), (tasks_result(468), 543), (solutions_result(), 543)]
)
def test_every_keypoint_in_pixels(result, count):
    clip = clip_from_mediapipe([result, result], width=2000, height=500, fps=30)
    assert (clip.layout, clip.fps, clip.width, clip.height) == (f"mediapipe_holistic_{count}", 30, 2000, 500)
    k = np.arange(count)
    for frame in clip.keypoints:
        np.testing.assert_allclose(frame, np.stack([2.0 * k, k], axis=-1), rtol=1e-6)
    assert (clip.scores[:, :33] == 0.25).all() and (clip.scores[:, 33:] == 1).all()


def test_missing_parts():
    results = [
        solutions_result(),
        solutions_result(left_hand_landmarks=None, face_landmarks=None),
        Result(pose_landmarks=None, face_landmarks=None, left_hand_landmarks=None, right_hand_landmarks=None),
        Result(pose_landmarks=[], face_landmarks=[], left_hand_landmarks=[], right_hand_landmarks=[]),
        Result(pose_landmarks=[]),
    ]
    clip = clip_from_mediapipe(iter(results), width=100, height=100)
    found = clip.scores > 0
    assert found.sum(1).tolist() == [543, 33 + 21, 0, 0, 0]
    assert found[1, :33].all() and found[1, -21:].all() and clip.fps is None
    assert not clip.keypoints[~found].any()


def test_lists_of_persons_give_the_first():
    result = tasks_result()
    nested = Result(**{name: [values, landmarks(len(values), 5000)] for name, values in vars(result).items()})
    ours, theirs = (clip_from_mediapipe([r], width=10, height=10) for r in (nested, result))
    np.testing.assert_array_equal(ours.keypoints, theirs.keypoints)
    assert clip_from_mediapipe([Result(pose_landmarks=[[]])], width=10, height=10).scores.sum() == 0


def test_visibility_that_is_unknown_counts_as_found():
    clip = clip_from_mediapipe([tasks_result(visibility=None)], width=10, height=10)
    assert (clip.scores == 1).all()


def test_nan_coordinates_were_not_found():
    result = tasks_result()
    result.pose_landmarks[3].x = float("nan")
    clip = clip_from_mediapipe([result], width=10, height=10)
    assert clip.scores[0, 3] == 0 and clip.keypoints[0, 3].tolist() == [0, 0]


def test_other_results():
    with pytest.raises(ValueError, match="expected one MediaPipe result per frame, received none"):
        clip_from_mediapipe([], width=10, height=10)
    with pytest.raises(ValueError, match="received SimpleNamespace for frame 1: run Holistic or the hand landmarker"):
        clip_from_mediapipe([tasks_result(), Result(gestures=[])], width=10, height=10)
    with pytest.raises(ValueError, match="expected 468 or 478 face landmarks of MediaPipe, received 5"):
        clip_from_mediapipe([tasks_result(5)], width=10, height=10)
    with pytest.raises(
        ValueError, match="expected 478 face landmarks as in the other frames, received 468 in frame 1"
    ):
        clip_from_mediapipe([tasks_result(478), tasks_result(468)], width=10, height=10)
    with pytest.raises(ValueError, match="expected 33 pose landmarks of MediaPipe, received 17"):
        clip_from_mediapipe([Result(pose_landmarks=landmarks(17, 0, visibility=1.0))], width=10, height=10)
    with pytest.raises(ValueError, match="expected a positive number for width"):
        clip_from_mediapipe([tasks_result()], width=0, height=10)
    with pytest.raises(TypeError, match="width"):
        clip_from_mediapipe([tasks_result()])
