"""The frozen tables: which keypoint of a detector is which joint, how joints hang together, what mirroring swaps."""

from dataclasses import FrozenInstanceError

import pytest

from modeling_sigma.model.skeleton_layouts import (
    BODY_JOINT_NAMES,
    FLIP_PERMUTATION,
    LAYOUTS,
    MISSING,
    NUM_JOINTS,
    PART_ANCHORS,
    PART_EDGES,
    PART_ORIGINS,
    PART_SIZES,
    PART_SLICES,
    PARTS,
    SkeletonLayout,
    get_layout,
    layout_for_num_keypoints,
)


def test_parts_are_slices_of_69_joints_in_order() -> None:
    assert PARTS == ("body", "left_hand", "right_hand", "face")
    assert [PART_SIZES[part] for part in PARTS] == [9, 21, 21, 18]
    joints = list(range(NUM_JOINTS))
    assert [joint for part in PARTS for joint in joints[PART_SLICES[part]]] == joints


def test_coco_wholebody_indices() -> None:
    layout = get_layout("coco_wholebody_133")
    assert layout.body == (0, 3, 4, 5, 6, 7, 8, 9, 10)
    assert layout.left_hand == tuple(range(91, 112)) and layout.right_hand == tuple(range(112, 133))
    jaw, lips, nose = (23, 25, 27, 29, 31, 33, 35, 37, 39), tuple(range(83, 91)), (53,)
    assert layout.face == jaw + lips + nose


def test_mediapipe_and_openpose_indices() -> None:
    for num_face_points in (468, 478):
        layout = get_layout(f"mediapipe_holistic_{33 + num_face_points + 42}")
        assert layout.body == (0, 7, 8, 11, 12, 13, 14, 15, 16)
        assert layout.left_hand == tuple(range(33 + num_face_points, 33 + num_face_points + 21))
        assert layout.right_hand[-1] == layout.num_keypoints - 1
        assert [index - 33 for index in layout.face[:3]] == [127, 93, 172] and layout.face[-1] - 33 == 4
    layout = get_layout("openpose_137")
    assert layout.body == (0, 18, 17, 5, 2, 6, 3, 7, 4)
    assert [index - 25 for index in layout.face] == [0, 2, 4, 6, 8, 10, 12, 14, 16, *range(60, 68), 30]
    assert layout.left_hand[0] == 95 and layout.right_hand[0] == 116


def test_mediapipe_without_a_face_and_halpe() -> None:
    layout = get_layout("mediapipe_holistic_75")
    assert layout.body == get_layout("mediapipe_holistic_543").body and set(layout.face) == {MISSING}
    assert (layout.left_hand[0], layout.right_hand[0]) == (33, 54)
    # Halpe's body has 26 points, COCO-WholeBody's 17 and 6 feet: all after them stands 3 places later.
    halpe, coco = get_layout("halpe_136"), get_layout("coco_wholebody_133")
    assert halpe.body == coco.body
    for part in ("left_hand", "right_hand", "face"):
        assert getattr(halpe, part) == tuple(index + 3 for index in getattr(coco, part))


def test_hands_alone_miss_body_and_face() -> None:
    layout = get_layout("hands_42")
    assert set(layout.body) == set(layout.face) == {MISSING}
    assert layout.left_hand + layout.right_hand == tuple(range(42))


def test_sapiens_indices() -> None:
    layout = get_layout("sapiens_308")
    assert layout.body == (0, 3, 4, 5, 6, 7, 8, 62, 41)
    assert layout.left_hand == (62, 45, 44, 43, 42, 49, 48, 47, 46, 53, 52, 51, 50, 57, 56, 55, 54, 61, 60, 59, 58)
    assert layout.right_hand == (41, 24, 23, 22, 21, 28, 27, 26, 25, 32, 31, 30, 29, 36, 35, 34, 33, 40, 39, 38, 37)
    jaw = (270, 269, MISSING, MISSING, 77, MISSING, MISSING, 243, 244)
    assert layout.face == (*jaw, 204, 208, 206, 209, 205, 210, 207, 211, 178)


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_consistent(name: str) -> None:
    layout = LAYOUTS[name]
    assert layout.name == name
    assert len(layout.joint_indices) == NUM_JOINTS
    for part in PARTS:
        assert layout.joint_indices[PART_SLICES[part]] == getattr(layout, part)
    present = [index for index in layout.joint_indices if index != MISSING]
    wrists = {layout.left_hand[0]} & {layout.body[7]} | {layout.right_hand[0]} & {layout.body[8]}
    num_shared = len(wrists - {MISSING})  # a detector may have one wrist for body and hand
    assert len(set(present)) == len(present) - num_shared, "one keypoint, one joint"
    assert sum(size for _, size in layout.components) == layout.num_keypoints
    assert layout_for_num_keypoints(layout.num_keypoints) == name


@pytest.mark.parametrize("part", PARTS)
def test_edges_connect_every_joint_of_a_part(part: str) -> None:
    edges, size = PART_EDGES[part], PART_SIZES[part]
    undirected = {frozenset(edge) for edge in edges}
    assert len(undirected) == len(edges) and all(len(edge) == 2 for edge in undirected)
    reached, frontier = {0}, [0]
    while frontier:
        joint = frontier.pop()
        neighbours = {other for edge in undirected if joint in edge for other in edge} - reached
        reached |= neighbours
        frontier += neighbours
    assert reached == set(range(size))


def test_edges_of_the_method() -> None:
    assert PART_EDGES["body"] == ((0, 1), (0, 2), (0, 3), (0, 4), (3, 5), (5, 7), (4, 6), (6, 8))
    hand = PART_EDGES["left_hand"]
    assert hand == PART_EDGES["right_hand"] and len(hand) == 20
    assert [b for a, b in hand if a == 0] == [1, 5, 9, 13, 17]
    assert all(b == a + 1 for a, b in hand if a != 0)
    face = PART_EDGES["face"]
    assert len(face) == 8 + 8 + 17
    assert sum(17 in edge for edge in face) == 17


def test_origins_and_anchors() -> None:
    assert dict(PART_ORIGINS) == {"left_hand": 0, "right_hand": 0, "face": 17}
    assert {part: BODY_JOINT_NAMES[joint] for part, joint in PART_ANCHORS.items()} == {
        "left_hand": "left_wrist",
        "right_hand": "right_wrist",
        "face": "nose",
    }


def test_mirroring_swaps_left_and_right() -> None:
    assert sorted(FLIP_PERMUTATION) == list(range(NUM_JOINTS))
    assert all(FLIP_PERMUTATION[FLIP_PERMUTATION[joint]] == joint for joint in range(NUM_JOINTS)), "twice: identity"
    mirrored_names = [BODY_JOINT_NAMES[joint] for joint in FLIP_PERMUTATION[PART_SLICES["body"]]]
    swapped = {"left": "right", "right": "left"}
    expected = ["_".join(swapped.get(word, word) for word in name.split("_")) for name in BODY_JOINT_NAMES]
    assert mirrored_names == expected
    left, right = (range(NUM_JOINTS)[PART_SLICES[hand]] for hand in ("left_hand", "right_hand"))
    assert [FLIP_PERMUTATION[joint] for joint in left] == list(right)
    # On the face, the middle of the chin, the middles of both lips and the nose stay.
    face = PART_SLICES["face"].start
    assert [joint - face for joint in range(face, NUM_JOINTS) if FLIP_PERMUTATION[joint] == joint] == [4, 11, 15, 17]


@pytest.mark.parametrize("part", ["body", "face"])
def test_mirroring_maps_bones_to_bones(part: str) -> None:
    start = PART_SLICES[part].start
    mirrored = {frozenset(FLIP_PERMUTATION[start + joint] - start for joint in edge) for edge in PART_EDGES[part]}
    assert mirrored == {frozenset(edge) for edge in PART_EDGES[part]}


def test_tables_are_frozen() -> None:
    with pytest.raises(TypeError):
        LAYOUTS["new"] = LAYOUTS["sigma_69"]  # type: ignore[index]
    with pytest.raises(TypeError):
        PART_SIZES["body"] = 10  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        LAYOUTS["sigma_69"].num_keypoints = 70  # type: ignore[misc]


def test_a_wrong_table_is_noticed() -> None:
    hands = LAYOUTS["hands_42"]
    with pytest.raises(AssertionError):
        SkeletonLayout("wrong", 42, hands.body, hands.left_hand, hands.right_hand, (99,) * 18, hands.components)
    with pytest.raises(AssertionError):
        SkeletonLayout("wrong", 42, hands.body[1:], hands.left_hand, hands.right_hand, hands.face, hands.components)


def test_unknown_layouts_are_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown keypoint layout 'coco': expected one of coco_wholebody_133, .*"):
        get_layout("coco")
    with pytest.raises(
        ValueError, match=r"no known layout has 17 keypoints: expected one of 133 \(coco_wholebody_133"
    ):
        layout_for_num_keypoints(17)
