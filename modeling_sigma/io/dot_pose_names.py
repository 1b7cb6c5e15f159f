"""What detectors call their keypoints in `.pose` files: one table per detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


# Component and point.
PointName = tuple[str, str]

MEDIAPIPE_BODY = (
    *("NOSE", "LEFT_EYE_INNER", "LEFT_EYE", "LEFT_EYE_OUTER", "RIGHT_EYE_INNER", "RIGHT_EYE", "RIGHT_EYE_OUTER"),
    *("LEFT_EAR", "RIGHT_EAR", "MOUTH_LEFT", "MOUTH_RIGHT", "LEFT_SHOULDER", "RIGHT_SHOULDER", "LEFT_ELBOW"),
    *("RIGHT_ELBOW", "LEFT_WRIST", "RIGHT_WRIST", "LEFT_PINKY", "RIGHT_PINKY", "LEFT_INDEX", "RIGHT_INDEX"),
    *("LEFT_THUMB", "RIGHT_THUMB", "LEFT_HIP", "RIGHT_HIP", "LEFT_KNEE", "RIGHT_KNEE", "LEFT_ANKLE", "RIGHT_ANKLE"),
    *("LEFT_HEEL", "RIGHT_HEEL", "LEFT_FOOT_INDEX", "RIGHT_FOOT_INDEX"),
)
MEDIAPIPE_HAND = (
    *("WRIST", "THUMB_CMC", "THUMB_MCP", "THUMB_IP", "THUMB_TIP"),
    *(
        f"{finger}_{joint}"
        for finger in ("INDEX_FINGER", "MIDDLE_FINGER", "RING_FINGER", "PINKY")
        for joint in ("MCP", "PIP", "DIP", "TIP")
    ),
)

_OPENPOSE_BODY = (
    *("Nose", "Neck", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist", "MidHip", "RHip", "RKnee"),
    *("RAnkle", "LHip", "LKnee", "LAnkle", "REye", "LEye", "REar", "LEar", "LBigToe", "LSmallToe", "LHeel"),
    *("RBigToe", "RSmallToe", "RHeel"),
)
_OPENPOSE_FACE = (
    *(f"FB_{i}" for i in range(17)),  # border
    *(f"FEB_{i}" for i in range(17, 27)),  # eyebrows
    *(f"FN_{i}" for i in range(27, 36)),  # nose
    *(f"FE_{i}" for i in range(36, 48)),  # eyes
    *(f"FLO_{i}" for i in range(48, 60)),  # outer lips
    *(f"FLI_{i}" for i in range(60, 68)),  # inner lips
    *("FP_68", "FP_69"),  # pupils
)
_OPENPOSE_HAND = (
    *("BASE", "T_STT", "T_BCMC", "T_MCP", "T_IP"),
    *(f"{finger}_{joint}" for finger in "IMRP" for joint in ("CMC", "MCP", "PIP", "DIP")),
)

# OpenPose's newer single network: the same face, the wrists of the body as the first points of the hands.
_OPENPOSE_135_FACE = (
    *(f"FaceContour{i}" for i in range(17)),
    *(f"REyeBrow{i}" for i in range(5)),
    *(f"LEyeBrow{i}" for i in range(4, -1, -1)),
    *(f"NoseUpper{i}" for i in range(4)),
    *(f"NoseLower{i}" for i in range(5)),
    *(f"REye{i}" for i in range(6)),
    *(f"LEye{i}" for i in range(6)),
    *(f"OMouth{i}" for i in range(12)),
    *(f"IMouth{i}" for i in range(8)),
    *("RPupil", "LPupil"),
)
_OPENPOSE_135_HAND = (
    *("Wrist", "Thumb1CMC", "Thumb2Knuckles", "Thumb3IP", "Thumb4FingerTip"),
    *(
        f"{finger}{joint}"
        for finger in ("Index", "Middle", "Ring", "Pinky")
        for joint in ("1Knuckles", "2PIP", "3DIP", "4FingerTip")
    ),
)

_COCO_BODY = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow"),
    *("right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle"),
    *("right_ankle", "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel"),
)


@dataclass(frozen=True)
class Naming:
    """What one detector's keypoints are called in `.pose` files.

    Args:
        layout (`str`):
            The layout that the keypoints are put into.
        body (`str`):
            The name of the component that holds the body.
        points (`tuple[tuple[str, str], ...]`):
            The names of component and point for each keypoint of the layout.
        certain (`tuple[str, ...]`):
            The components without a confidence of their own: their points get score 1 where found, 0 where not.
    """

    layout: str
    body: str
    points: tuple[PointName, ...]
    certain: tuple[str, ...] = ()


def _named(component: str, points: Sequence[str]) -> tuple[PointName, ...]:
    return tuple((component, point) for point in points)


def _mediapipe(num_face_points: int) -> Naming:
    return Naming(
        layout=f"mediapipe_holistic_{33 + num_face_points + 42}",
        body="POSE_LANDMARKS",
        points=(
            *_named("POSE_LANDMARKS", MEDIAPIPE_BODY),
            *_named("FACE_LANDMARKS", [str(i) for i in range(num_face_points)]),
            *_named("LEFT_HAND_LANDMARKS", MEDIAPIPE_HAND),
            *_named("RIGHT_HAND_LANDMARKS", MEDIAPIPE_HAND),
        ),
        certain=("FACE_LANDMARKS", "LEFT_HAND_LANDMARKS", "RIGHT_HAND_LANDMARKS"),
    )


def _coco_wholebody(suffix: str, face_point: str) -> Naming:
    return Naming(
        layout="coco_wholebody_133",
        body=f"BODY{suffix}",
        points=(
            *_named(f"BODY{suffix}", _COCO_BODY),
            *_named(f"FACE{suffix}", [f"{face_point}{i}" for i in range(68)]),
            *_named(f"LEFT_HAND{suffix}", [f"hand_{i}" for i in range(21)]),
            *_named(f"RIGHT_HAND{suffix}", [f"hand_{i}" for i in range(21)]),
        ),
    )


# A file belongs to the entry most of whose keypoints it has; of equals, to the first.
NAMINGS = (
    _mediapipe(468),
    _mediapipe(478),
    Naming(
        layout="openpose_137",
        body="pose_keypoints_2d",
        points=(
            *_named("pose_keypoints_2d", _OPENPOSE_BODY),
            *_named("face_keypoints_2d", _OPENPOSE_FACE),
            *_named("hand_left_keypoints_2d", _OPENPOSE_HAND),
            *_named("hand_right_keypoints_2d", _OPENPOSE_HAND),
        ),
    ),
    Naming(
        layout="openpose_137",
        body="BODY_135",
        points=_named(
            "BODY_135",
            (
                *_OPENPOSE_BODY,
                *_OPENPOSE_135_FACE,
                *(f"L{point}" for point in _OPENPOSE_135_HAND),
                *(f"R{point}" for point in _OPENPOSE_135_HAND),
            ),
        ),
    ),
    _coco_wholebody("", "face-"),
    _coco_wholebody("_133", "face-"),  # AlphaPose
    _coco_wholebody("_136", "face_"),  # AlphaPose with three more points on the body
)
