"""`.pose` files: every keypoint arrives in its place by name, whatever the file holds and leaves out."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_format import Pose
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeader, PoseHeaderComponent, PoseHeaderDimensions
from pose_format.utils import alphapose, alphapose_133, cocowholebody133_header, openpose, openpose_135

from modeling_sigma.io import load_clip
from modeling_sigma.model.skeleton_layouts import get_layout


BODY = """NOSE LEFT_EYE_INNER LEFT_EYE LEFT_EYE_OUTER RIGHT_EYE_INNER RIGHT_EYE RIGHT_EYE_OUTER LEFT_EAR RIGHT_EAR
    MOUTH_LEFT MOUTH_RIGHT LEFT_SHOULDER RIGHT_SHOULDER LEFT_ELBOW RIGHT_ELBOW LEFT_WRIST RIGHT_WRIST LEFT_PINKY
    RIGHT_PINKY LEFT_INDEX RIGHT_INDEX LEFT_THUMB RIGHT_THUMB LEFT_HIP RIGHT_HIP LEFT_KNEE RIGHT_KNEE LEFT_ANKLE
    RIGHT_ANKLE LEFT_HEEL RIGHT_HEEL LEFT_FOOT_INDEX RIGHT_FOOT_INDEX""".split()
HAND = """WRIST THUMB_CMC THUMB_MCP THUMB_IP THUMB_TIP INDEX_FINGER_MCP INDEX_FINGER_PIP INDEX_FINGER_DIP
    INDEX_FINGER_TIP MIDDLE_FINGER_MCP MIDDLE_FINGER_PIP MIDDLE_FINGER_DIP MIDDLE_FINGER_TIP RING_FINGER_MCP
    RING_FINGER_PIP RING_FINGER_DIP RING_FINGER_TIP PINKY_MCP PINKY_PIP PINKY_DIP PINKY_TIP""".split()


def component(name: str, points: list[str], numbers: str = "XYC") -> PoseHeaderComponent:
    return PoseHeaderComponent(name, points, [], [], numbers)


def mediapipe(num_face_points: int, world: bool = False) -> list[PoseHeaderComponent]:
    components = [
        component("POSE_LANDMARKS", BODY, "XYZC"),
        component("FACE_LANDMARKS", [str(i) for i in range(num_face_points)], "XYZC"),
        component("LEFT_HAND_LANDMARKS", HAND, "XYZC"),
        component("RIGHT_HAND_LANDMARKS", HAND, "XYZC"),
    ]
    return components + [component("POSE_WORLD_LANDMARKS", BODY, "XYZC")] * world


def write(path: Path, components, data, confidence, fps=25.0, size=(640, 480), version=0.2) -> Path:
    """Writes data (T, N, K, dims) and confidence (T, N, K) as a `.pose` file."""
    header = PoseHeader(0.2, PoseHeaderDimensions(*size), components)
    stream = io.BytesIO()
    data, confidence = np.asarray(data, np.float32), np.asarray(confidence, np.float32)
    Pose(header, NumPyPoseBody(fps, data, confidence)).write(stream)
    raw = stream.getvalue()
    if version != 0.2:  # pose-format writes 0.2 only
        body = len(raw) - 10 - data.nbytes - confidence.nbytes
        raw = struct.pack("<f", version) + raw[4:body] + old_body(version, components, data, confidence, int(fps))
    path.write_bytes(raw)
    return path


def old_body(version: float, components, data, confidence, fps: int) -> bytes:
    frames, people = data.shape[:2]
    if version == 0.1:
        return struct.pack("<HHH", fps, frames, people) + data.tobytes() + confidence.tobytes()
    parts = [struct.pack("<HH", fps, frames)]
    for t in range(frames):
        parts.append(struct.pack("<H", people))
        for person in range(people):
            parts.append(struct.pack("<h", person))
            parts.append(np.concatenate([data[t, person], confidence[t, person][:, None]], axis=1).tobytes())
    return b"".join(parts)


def numbered(num_frames: int, num_points: int, dims: int = 2, num_people: int = 1):
    """Coordinates that tell frame, person, point and axis, and confidences that tell the point."""
    t, n, k, d = np.ogrid[:num_frames, :num_people, :num_points, :dims]
    confidence = (np.arange(num_points) + 1) / (num_points + 1)
    return (t * 10_000 + n * 5_000 + k * 4 + d + 1.0), np.broadcast_to(
        confidence, (num_frames, num_people, num_points)
    )


def shuffled(components, data, confidence):
    """The same file with its components, and the points of each, in reverse order."""
    backwards = [component(c.name, c.points[::-1], c.format) for c in components[::-1]]
    return backwards, data[:, :, ::-1], confidence[:, :, ::-1]


LAYOUTS = {
    "mediapipe_holistic_543": mediapipe(468),
    "mediapipe_holistic_553": mediapipe(478),
    "openpose_137": openpose.OpenPose_Components,
    "coco_wholebody_133": cocowholebody133_header.cocowholebody_components(),
}


@pytest.mark.parametrize("version", [0.0, 0.1, 0.2])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_keypoint_by_value(layout, version, tmp_path):
    components = LAYOUTS[layout]
    size = get_layout(layout).num_keypoints
    dims = len(components[0].format) - 1
    data, confidence = numbered(3, size, dims)
    path = write(tmp_path / "clip.pose", *shuffled(components, data, confidence), version=version)
    clip = load_clip(path)
    assert (clip.layout, clip.fps, clip.width, clip.height, len(clip)) == (layout, 25.0, 640, 480, 3)
    np.testing.assert_array_equal(clip.keypoints, data[:, 0, :, :2])
    expected = confidence[:, 0].astype(np.float32)
    if layout.startswith("mediapipe"):
        expected[:, 33:] = 1  # hands and face have no confidence of their own
    np.testing.assert_array_equal(clip.scores, expected)


def test_the_world_landmarks_are_not_taken(tmp_path):
    components = mediapipe(478, world=True)
    data, confidence = numbered(2, 586, 3)
    clip = load_clip(write(tmp_path / "clip.pose", components[::-1], data[:, :, ::-1], confidence[:, :, ::-1]))
    assert clip.layout == "mediapipe_holistic_553"
    # Backwards, the world landmarks come first; the left shoulder is point 11 from the end of the pose.
    assert clip.keypoints.shape == (2, 553, 2)
    np.testing.assert_array_equal(clip.keypoints[0, 33 + 478, 0], data[0, 0, ::-1][33 + 21, 0])


def test_openpose_135_and_alphapose_by_name(tmp_path):
    points = openpose_135.BODY_135_POINTS
    data, confidence = numbered(1, 135)
    clip = load_clip(write(tmp_path / "a.pose", openpose_135.OpenPose_Components, data, confidence))
    assert clip.layout == "openpose_137"
    names = get_layout("openpose_137")
    expected = ["Nose", "LEar", "REar", "LShoulder", "RShoulder", "LElbow", "RElbow", "LWrist", "RWrist"]
    assert clip.keypoints[0, list(names.body), 0].tolist() == [points.index(name) * 4 + 1 for name in expected]
    assert clip.keypoints[0, names.left_hand[0], 0] == points.index("LWrist") * 4 + 1
    assert clip.keypoints[0, names.right_hand[8], 0] == points.index("RIndex4FingerTip") * 4 + 1
    assert clip.keypoints[0, names.face[0], 0] == points.index("FaceContour0") * 4 + 1
    assert clip.keypoints[0, names.face[9], 0] == points.index("IMouth0") * 4 + 1
    assert clip.keypoints[0, names.face[17], 0] == points.index("NoseUpper3") * 4 + 1
    assert clip.scores[0, 1] == clip.scores[0, 8] == 0  # neck and hip centre

    data, confidence = numbered(1, 133)
    clip = load_clip(write(tmp_path / "b.pose", alphapose_133.AlphaPose133_Components, data, confidence))
    np.testing.assert_array_equal(clip.keypoints, data[:, 0])

    data, confidence = numbered(1, 136)
    clip = load_clip(write(tmp_path / "c.pose", alphapose.AlphaPose_Components, data, confidence))
    assert clip.layout == "coco_wholebody_133"
    assert clip.keypoints[0, 17:23, 0].tolist() == [(k * 4) + 1 for k in (20, 22, 24, 21, 23, 25)]  # feet
    np.testing.assert_array_equal(clip.keypoints[0, 23:], data[0, 0, 26:])


def test_missing_components_and_points_have_score_0(tmp_path):
    kept = [0, 11, 12, 13, 14, 15, 16]
    components = [component("POSE_LANDMARKS", [BODY[k] for k in kept], "XYZC"), mediapipe(468)[3]]
    data, confidence = numbered(2, len(kept) + 21, 3)
    clip = load_clip(write(tmp_path / "clip.pose", components, data, confidence))
    assert clip.layout == "mediapipe_holistic_543"
    present = [*kept, *range(543 - 21, 543)]
    np.testing.assert_array_equal(clip.keypoints[:, present], data[:, 0, :, :2])
    absent = np.setdiff1d(np.arange(543), present)
    assert not clip.scores[:, absent].any() and not clip.keypoints[:, absent].any()


def test_a_face_of_some_points(tmp_path):
    for names, layout in ((["4", "78", "467"], "mediapipe_holistic_543"), (["4", "473"], "mediapipe_holistic_553")):
        components = [component("POSE_LANDMARKS", BODY), component("FACE_LANDMARKS", names)]
        data, confidence = numbered(1, 33 + len(names))
        clip = load_clip(write(tmp_path / "clip.pose", components, data, confidence))
        assert clip.layout == layout
        assert clip.keypoints[0, [33 + int(name) for name in names], 0].tolist() == data[0, 0, 33:, 0].tolist()
        assert clip.scores[0, 33:].sum() == len(names)


def test_masked_and_invalid_values_are_missing(tmp_path):
    data, confidence = numbered(4, 133)
    data, confidence = data.copy(), confidence.copy()
    confidence[0, 0, 91] = 0
    data[1, 0, 92] = np.nan
    data[2, 0, 93, 1] = np.inf
    confidence[3, 0, 94] = np.nan
    clip = load_clip(write(tmp_path / "clip.pose", LAYOUTS["coco_wholebody_133"], data, confidence))
    for t, k in enumerate((91, 92, 93, 94)):
        assert clip.scores[t, k] == 0 and clip.keypoints[t, k].tolist() == [0, 0]
    assert (clip.scores > 0).sum() == 4 * 133 - 4


def test_unknown_rates_and_sizes(tmp_path):
    for fps in (0.0, -1.0, np.nan, np.inf):
        path = write(tmp_path / "clip.pose", LAYOUTS["openpose_137"], *numbered(1, 137), fps=fps, size=(0, 0))
        clip = load_clip(path)
        assert clip.fps is clip.width is clip.height is None


def test_several_persons(tmp_path):
    data, confidence = numbered(2, 137, num_people=3)
    data[1] = data[0] + 1  # nobody moves to where somebody else was
    path = write(tmp_path / "clip.pose", LAYOUTS["openpose_137"], data, confidence)
    clips = [load_clip(path, person).keypoints for person in range(3)]
    assert sorted(float(clip[0, 0, 0]) for clip in clips) == sorted(data[0, :, 0, 0].tolist())
    for clip in clips:
        place = data[0, :, 0, 0].tolist().index(clip[0, 0, 0])
        np.testing.assert_array_equal(clip, data[:, place])
    with pytest.raises(ValueError, match=r"clip.pose: expected person below 3 .*, received 3"):
        load_clip(path, person=3)
    with pytest.raises(ValueError, match=r"clip.pose: expected person as an integer from 0, received -1"):
        load_clip(path, person=-1)
    path = write(tmp_path / "empty.pose", LAYOUTS["openpose_137"], data[:, :0], confidence[:, :0])
    with pytest.raises(ValueError, match=r"empty.pose: expected a person in at least one frame, received none"):
        load_clip(path)
    path = write(tmp_path / "old.pose", LAYOUTS["openpose_137"], data, confidence, version=0.0)
    np.testing.assert_array_equal(load_clip(path).keypoints, data[:, 0])
    with pytest.raises(ValueError, match="expected person below 1 "):
        load_clip(path, person=1)


@pytest.mark.parametrize(
    ("components", "found"),
    [
        (mediapipe(468)[1:2], r"'FACE_LANDMARKS' \(468 points\)"),
        ([component("SMPL", ["a", "b"])], r"'SMPL' \(2 points\)"),
    ],
    ids=["a face only", "unknown"],
)
def test_other_components_are_listed(components, found, tmp_path):
    num_points = sum(len(c.points) for c in components)
    path = write(tmp_path / "clip.pose", components, *numbered(1, num_points, len(components[0].format) - 1))
    with pytest.raises(ValueError, match=rf"clip.pose: expected the components of MediaPipe .*, received {found}"):
        load_clip(path)


@pytest.mark.parametrize("layout", ["mediapipe_holistic_543", "openpose_137", "coco_wholebody_133"])
@pytest.mark.parametrize("parts", [("left_hand", "right_hand"), ("right_hand",)])
def test_hands_alone(layout, parts, tmp_path):
    names = [name for name, _ in get_layout(layout).components]
    components = [c for c in LAYOUTS[layout] if any(part.split("_")[0].lower() in c.name.lower() for part in parts)]
    components = [c for c in components if "hand" in c.name.lower()]
    assert len(components) == len(parts) and "left_hand" in names
    data, confidence = numbered(2, 21 * len(parts), len(components[0].format) - 1)
    clip = load_clip(write(tmp_path / "clip.pose", components, data, confidence))
    assert clip.layout == "hands_42"
    joints = slice(42 - 21 * len(parts), 42)
    np.testing.assert_array_equal(clip.keypoints[:, joints], data[:, 0, :, :2])
    assert (clip.scores[:, joints] > 0).all() and not clip.scores[:, : joints.start].any()


def test_hands_and_a_face_without_a_body(tmp_path):
    components = mediapipe(468)[1:4]
    clip = load_clip(write(tmp_path / "clip.pose", components, *numbered(1, 468 + 42, 3)))
    assert clip.layout == "mediapipe_holistic_543" and clip.scores[0, 33:].all() and not clip.scores[0, :33].any()


def test_components_without_x_and_y(tmp_path):
    path = write(tmp_path / "clip.pose", [component("POSE_LANDMARKS", BODY, "ZWC")], *numbered(1, 33))
    with pytest.raises(ValueError, match="expected components with X and Y in one order, received 'ZWC'"):
        load_clip(path)


def test_no_frames(tmp_path):
    path = write(tmp_path / "clip.pose", LAYOUTS["openpose_137"], *numbered(0, 137))
    with pytest.raises(ValueError, match=r"clip.pose: expected 1 to 500,000 frames, received 0"):
        load_clip(path)


def small_file(path: Path, version: float) -> bytes:
    points = [component("pose_keypoints_2d", ["Nose", "Neck", "LWrist"])]
    return write(path, points, *numbered(3, 3), version=version).read_bytes()


@pytest.mark.parametrize("version", [0.1, 0.2])
def test_files_are_known_by_their_first_bytes(version, tmp_path):
    raw = small_file(tmp_path / "clip.pose", version)
    (tmp_path / "clip").write_bytes(raw)
    assert len(load_clip(tmp_path / "clip")) == 3


@pytest.mark.parametrize("version", [0.0, 0.1, 0.2])
def test_truncated_at_every_byte(version, tmp_path):
    path = tmp_path / "clip.pose"
    raw = small_file(path, version)
    assert len(load_clip(path)) == 3
    for length in range(len(raw)):
        path.write_bytes(raw[:length])
        with pytest.raises(ValueError, match=r"clip.pose: "):
            load_clip(path)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_changed_bytes_load_or_raise_value_errors(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "changed.pose"
    raw = bytearray(small_file(path, data.draw(st.sampled_from([0.0, 0.1, 0.2]))))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    try:
        assert load_clip(path).layout == "openpose_137"
    except ValueError as error:
        assert str(error).startswith(f"{path}: ")


def test_absurd_sizes_end_in_errors(tmp_path):
    path = tmp_path / "clip.pose"
    header = small_file(path, 0.2)[: -10 - 3 * 3 * 3 * 4]
    for version, body in (
        (0.2, struct.pack("<fIH", 25.0, 2**32 - 1, 65535)),
        (0.2, struct.pack("<fIH", 25.0, 2**32 - 1, 0)),
        (0.1, struct.pack("<HHH", 25, 65535, 65535)),
        (0.1, struct.pack("<HHH", 25, 10, 0)),
        (0.0, struct.pack("<HH", 25, 65535)),
        (0.3, struct.pack("<HH", 25, 1)),
    ):
        path.write_bytes(struct.pack("<f", version) + header[4:] + body)
        with pytest.raises(ValueError, match=r"clip.pose: "):
            load_clip(path)
    # Two bytes a frame, and a thousand points in each.
    points = [component("pose_keypoints_2d", ["Nose", *(f"n{i}" for i in range(1000))])]
    raw = write(path, points, *numbered(1, 1001)).read_bytes()
    path.write_bytes(
        struct.pack("<f", 0) + raw[4 : -10 - 1001 * 12] + struct.pack("<HH", 25, 65535) + bytes(2 * 65535)
    )
    with pytest.raises(ValueError, match=r"expected a file of 0.1 MB to take at most 600 MB of memory"):
        load_clip(path)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "layout", "num_frames", "fps", "size"),
    [
        ("pose_mediapipe/sample_01", "mediapipe_holistic_553", 22, 24, (734, 590)),
        ("pose_mediapipe/sample_02", "mediapipe_holistic_553", 16, 24, (704, 586)),
        ("pose_mediapipe/refined_586", "mediapipe_holistic_553", 172, 22.392, (1280, 720)),
        ("pose_mediapipe/mediapipe", "mediapipe_holistic_543", 170, 24, (1250, 1250)),
        ("pose_openpose/openpose", "openpose_137", 93, 24, (1000, 1000)),
    ],
)
def test_samples(shared_data, name, layout, num_frames, fps, size):
    path = shared_data / "samples" / f"{name}.pose"
    clip = load_clip(path)
    assert (clip.layout, len(clip), clip.width, clip.height) == (layout, num_frames, *size)
    assert clip.fps == pytest.approx(fps, abs=1e-3)
    pose = Pose.read(path.read_bytes())
    names = {(c.name, p) for c in pose.header.components for p in c.points}
    body = {"openpose_137": ("pose_keypoints_2d", "LWrist")}.get(layout, ("POSE_LANDMARKS", "LEFT_WRIST"))
    hand = {"openpose_137": ("hand_left_keypoints_2d", "BASE")}.get(layout, ("LEFT_HAND_LANDMARKS", "WRIST"))
    assert {body, hand} <= names
    for point, k in ((body, get_layout(layout).body[7]), (hand, get_layout(layout).left_hand[0])):
        column = pose.body.data[:, 0, pose.header.get_point_index(*point), :2]
        np.testing.assert_array_equal(clip.keypoints[:, k], np.ma.filled(column, 0))
    # The wrist of the body and that of the hand are one and the same, seen by two networks.
    names = get_layout(layout)
    apart = []
    for wrist, hand in ((names.body[7], names.left_hand[0]), (names.body[8], names.right_hand[0])):
        both = (clip.scores[:, wrist] > 0.1) & (clip.scores[:, hand] > 0.1)
        apart.extend(np.linalg.norm(clip.keypoints[both, wrist] - clip.keypoints[both, hand], axis=1))
    assert len(apart) > 5 and np.median(apart) < 0.06 * max(size)


@pytest.mark.data
def test_the_full_samples_have_every_keypoint_in_file_order(shared_data):
    path = shared_data / "samples" / "pose_mediapipe" / "sample_01.pose"
    pose = Pose.read(path.read_bytes())
    np.testing.assert_array_equal(load_clip(path).keypoints, pose.body.data[:, 0, :553, :2].filled(0))
    path = shared_data / "samples" / "pose_openpose" / "openpose.pose"
    pose = Pose.read(path.read_bytes())
    np.testing.assert_array_equal(load_clip(path).keypoints, pose.body.data[:, 0, :, :2].filled(0))
