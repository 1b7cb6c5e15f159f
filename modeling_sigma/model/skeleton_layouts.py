"""Keypoint layouts of the field's detectors and the 69-joint skeleton of Sigma, as frozen tables.

A *layout* says in which order a detector writes its keypoints. Sigma reads 69 of them, its *joints*, in four
*parts*. Supporting a new detector means adding one `SkeletonLayout` to `LAYOUTS`; no code changes.

Left and right are the signer's own left and right.

Source: arXiv:2509.21223, section on pose pre-processing (the joints of COCO-WholeBody that the paper uses).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType


PARTS = ("body", "left_hand", "right_hand", "face")
PART_SIZES = MappingProxyType({"body": 9, "left_hand": 21, "right_hand": 21, "face": 18})
NUM_JOINTS = 69
# The layout of the joints themselves, in the order of the model, as our data sets store them.
SELECTED_LAYOUT = "sigma_69"

# A keypoint that a detector does not have.
MISSING = -1


def _part_slices() -> dict[str, slice]:
    slices, start = {}, 0
    for part in PARTS:
        slices[part] = slice(start, start + PART_SIZES[part])
        start += PART_SIZES[part]
    return slices


# Where each part lies on the joint axis of `pose_values` (T, 69, 3).
PART_SLICES = MappingProxyType(_part_slices())
# Both hands, which follow each other.
HANDS_SLICE = slice(PART_SLICES["left_hand"].start, PART_SLICES["right_hand"].stop)

# The joint, inside its part, that a part's coordinates are relative to. The body has none: it is placed by the
# bounding box of the clip.
PART_ORIGINS = MappingProxyType({"left_hand": 0, "right_hand": 0, "face": 17})

# The body joint that each other part hangs on: left wrist, right wrist, nose.
PART_ANCHORS = MappingProxyType({"left_hand": 7, "right_hand": 8, "face": 0})

BODY_JOINT_NAMES = (
    "nose",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
)

_HAND_EDGES = tuple(
    edge
    for finger in range(5)
    for edge in [(0, 4 * finger + 1)] + [(4 * finger + k, 4 * finger + k + 1) for k in (1, 2, 3)]
)

# Undirected bones inside each part, in joint numbers of that part.
PART_EDGES = MappingProxyType(
    {
        "body": ((0, 1), (0, 2), (0, 3), (0, 4), (3, 5), (5, 7), (4, 6), (6, 8)),
        "left_hand": _HAND_EDGES,
        "right_hand": _HAND_EDGES,
        "face": (
            *((k, k + 1) for k in range(8)),  # jaw, from the subject's right ear to the left
            *((k, k + 1) for k in range(9, 16)),  # inner lips
            (16, 9),
            *((17, k) for k in range(17)),  # nose tip to all others
        ),
    }
)

# Joint i of a mirrored clip is joint FLIP_PERMUTATION[i] of the clip.
_BODY_FLIP = (0, 2, 1, 4, 3, 6, 5, 8, 7)
_FACE_FLIP = (8, 7, 6, 5, 4, 3, 2, 1, 0, 13, 12, 11, 10, 9, 16, 15, 14, 17)
FLIP_PERMUTATION = (
    *_BODY_FLIP,
    *range(PART_SLICES["right_hand"].start, PART_SLICES["right_hand"].stop),
    *range(PART_SLICES["left_hand"].start, PART_SLICES["left_hand"].stop),
    *(PART_SLICES["face"].start + k for k in _FACE_FLIP),
)


@dataclass(frozen=True)
class SkeletonLayout:
    """One detector's keypoint order and where Sigma's 69 joints are in it.

    Args:
        name (`str`):
            The name that files, configs and `PoseClip.layout` use.
        num_keypoints (`int`):
            Number of keypoints K that the detector writes.
        body, left_hand, right_hand, face (`tuple[int, ...]`):
            For each joint of the part, its index among the K keypoints; `MISSING` (-1) where the detector has none.
        components (`tuple[tuple[str, int], ...]`):
            The blocks of keypoints, in order, with their sizes.
    """

    name: str
    num_keypoints: int
    body: tuple[int, ...]
    left_hand: tuple[int, ...]
    right_hand: tuple[int, ...]
    face: tuple[int, ...]
    components: tuple[tuple[str, int], ...]
    joint_indices: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        indices = (*self.body, *self.left_hand, *self.right_hand, *self.face)
        assert len(indices) == NUM_JOINTS and sum(size for _, size in self.components) == self.num_keypoints
        assert all(index == MISSING or 0 <= index < self.num_keypoints for index in indices)
        object.__setattr__(self, "joint_indices", indices)


def _span(start: int, count: int) -> tuple[int, ...]:
    return tuple(range(start, start + count))


def _fingers_from_the_tip(start: int) -> tuple[int, ...]:
    return tuple(start + 4 * finger + k for finger in range(5) for k in (3, 2, 1, 0))


def _mediapipe(num_face_points: int) -> SkeletonLayout:
    face_start, hands_start = 33, 33 + num_face_points
    mesh = (127, 93, 172, 150, 152, 379, 397, 323, 356, 78, 82, 13, 312, 308, 317, 14, 87, 4)
    return SkeletonLayout(
        name=f"mediapipe_holistic_{33 + num_face_points + 42}",
        num_keypoints=33 + num_face_points + 42,
        body=(0, 7, 8, 11, 12, 13, 14, 15, 16),
        left_hand=_span(hands_start, 21),
        right_hand=_span(hands_start + 21, 21),
        face=tuple(face_start + point for point in mesh) if num_face_points else (MISSING,) * 18,
        components=tuple(
            (name, size)
            for name, size in (("pose", 33), ("face", num_face_points), ("left_hand", 21), ("right_hand", 21))
            if size
        ),
    )


LAYOUTS = MappingProxyType(
    {
        layout.name: layout
        for layout in (
            SkeletonLayout(
                name="coco_wholebody_133",  # RTMPose, RTMW, DWPose
                num_keypoints=133,
                body=(0, *_span(3, 8)),
                left_hand=_span(91, 21),
                right_hand=_span(112, 21),
                face=(*range(23, 40, 2), *_span(83, 8), 53),
                components=(("body", 17), ("feet", 6), ("face", 68), ("left_hand", 21), ("right_hand", 21)),
            ),
            _mediapipe(468),
            _mediapipe(478),
            _mediapipe(0),  # the commonest reduced form: pose and hands
            SkeletonLayout(
                name="openpose_137",  # BODY_25, 70 face points, two hands
                num_keypoints=137,
                body=(0, 18, 17, 5, 2, 6, 3, 7, 4),
                left_hand=_span(95, 21),
                right_hand=_span(116, 21),
                face=tuple(25 + point for point in (*range(0, 17, 2), *_span(60, 8), 30)),
                components=(("body", 25), ("face", 70), ("left_hand", 21), ("right_hand", 21)),
            ),
            SkeletonLayout(
                name="halpe_136",  # AlphaPose: 26 body points (COCO's 17, head, neck, hip, feet), face, two hands
                num_keypoints=136,
                body=(0, *_span(3, 8)),
                left_hand=_span(94, 21),
                right_hand=_span(115, 21),
                face=tuple(26 + point for point in (*range(0, 17, 2), *_span(60, 8), 30)),
                components=(("body", 26), ("face", 68), ("left_hand", 21), ("right_hand", 21)),
            ),
            # Goliath's order, as Sapiens writes it: taken from its published names, not yet checked on pictures. A
            # hand's wrist is the body's, a finger is numbered from its tip, and half of the jaw does not exist. The
            # order of the points halfway along the lips is not published: our estimator sorts them, 208 to the
            # subject's right and 209 to the left on the upper lip, 211 and 210 on the lower one.
            SkeletonLayout(
                name="sapiens_308",
                num_keypoints=308,
                body=(0, 3, 4, 5, 6, 7, 8, 62, 41),
                left_hand=(62, *_fingers_from_the_tip(42)),
                right_hand=(41, *_fingers_from_the_tip(21)),
                face=(270, 269, MISSING, MISSING, 77, MISSING, MISSING, 243, 244)
                + (204, 208, 206, 209, 205, 210, 207, 211, 178),
                components=(("wholebody", 308),),
            ),
            SkeletonLayout(
                name="hands_42",  # hand detectors alone: left hand, then right hand
                num_keypoints=42,
                body=(MISSING,) * 9,
                left_hand=_span(0, 21),
                right_hand=_span(21, 21),
                face=(MISSING,) * 18,
                components=(("left_hand", 21), ("right_hand", 21)),
            ),
            SkeletonLayout(
                name=SELECTED_LAYOUT,
                num_keypoints=NUM_JOINTS,
                body=_span(0, 9),
                left_hand=_span(9, 21),
                right_hand=_span(30, 21),
                face=_span(51, 18),
                components=tuple((part, PART_SIZES[part]) for part in PARTS),
            ),
        )
    }
)


def get_layout(name: str) -> SkeletonLayout:
    """The layout called `name`.

    Raises:
        ValueError: if there is no such layout; the message lists the known ones.
    """
    if name not in LAYOUTS:
        raise ValueError(f"unknown keypoint layout {name!r}: expected one of {', '.join(LAYOUTS)}")
    return LAYOUTS[name]


def layout_for_num_keypoints(num_keypoints: int) -> str:
    """The name of the layout with `num_keypoints` keypoints (each known layout has a number of its own).

    Raises:
        ValueError: if no layout has that many.
    """
    for layout in LAYOUTS.values():
        if layout.num_keypoints == num_keypoints:
            return layout.name
    known = ", ".join(f"{layout.num_keypoints} ({layout.name})" for layout in LAYOUTS.values())
    raise ValueError(f"no known layout has {num_keypoints} keypoints: expected one of {known}")
