"""OpenPose folders: frames in order, parts in place, one person followed."""

import json
from pathlib import Path

import numpy as np
import pytest

from modeling_sigma.io import load_clip


SIZES = {
    "pose_keypoints_2d": 25,
    "face_keypoints_2d": 70,
    "hand_left_keypoints_2d": 21,
    "hand_right_keypoints_2d": 21,
}


def person(offset: float = 0.0, **replaced) -> dict:
    """A person whose keypoint k (of the layout) is at (offset + k, offset + k + 0.5) with score (k + 1) / 200."""
    fields, k = {}, 0
    for name, size in SIZES.items():
        numbers = [(offset + i, offset + i + 0.5, (i + 1) / 200) for i in range(k, k + size)]
        fields[name] = [value for triple in numbers for value in triple]
        k += size
    return fields | replaced


def write(folder: Path, frames: list[list[dict]], name: str = "clip_{:012d}_keypoints.json", first: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    for t, people in enumerate(frames, first):
        (folder / name.format(t)).write_text(json.dumps({"version": 1.3, "people": people}), encoding="utf-8")
    return folder


def test_every_keypoint_by_value(tmp_path):
    clip = load_clip(write(tmp_path / "a", [[person()], [person(100)]]))
    assert (clip.layout, clip.fps, clip.width, clip.height) == ("openpose_137", None, None, None)
    k = np.arange(137)
    np.testing.assert_array_equal(clip.keypoints[0], np.stack([k, k + 0.5], -1))
    np.testing.assert_array_equal(clip.keypoints[1], np.stack([k + 100, k + 100.5], -1))
    np.testing.assert_allclose(clip.scores[0], (k + 1) / 200, rtol=1e-6)


def test_empty_and_missing_parts(tmp_path):
    first, second = person(face_keypoints_2d=[], hand_left_keypoints_2d=[]), person()
    del second["hand_right_keypoints_2d"], second["pose_keypoints_2d"]
    clip = load_clip(write(tmp_path / "a", [[first], [second]]))
    found = clip.scores > 0
    assert found[0].tolist() == [True] * 25 + [False] * (70 + 21) + [True] * 21
    assert found[1].tolist() == [False] * 25 + [True] * (70 + 21) + [False] * 21
    assert not clip.keypoints[~found].any()


def test_frames_go_by_number_not_by_name(tmp_path):
    folder = write(tmp_path / "a", [[person(offset)] for offset in range(0, 1200, 100)], name="c1_{}_keypoints.json")
    (folder / "notes.txt").write_text("x")
    (folder / "settings.json").write_text("{}")
    assert load_clip(folder).keypoints[:, 0, 0].tolist() == list(range(0, 1200, 100))


def test_other_names_of_json_files(tmp_path):
    folder = write(tmp_path / "a", [[person(1)], [person(2)]], name="{}.json", first=9)
    assert load_clip(folder).keypoints[:, 0, 0].tolist() == [1, 2]


def test_frames_without_anybody(tmp_path):
    clip = load_clip(write(tmp_path / "a", [[], [person(5)], []]))
    assert clip.scores.any(1).tolist() == [False, True, False]
    assert clip.keypoints[:, 0, 0].tolist() == [0, 5, 0]


def test_persons_in_changing_order_are_followed(tmp_path):
    left = [person(0 + t) for t in range(6)]
    right = [person(800 - t) for t in range(6)]
    frames = [[l, r] if t % 2 == 0 else [r, l] for t, (l, r) in enumerate(zip(left, right, strict=True))]
    frames[3] = [right[3]]  # the left one is out of sight
    frames[4] = []
    folder = write(tmp_path / "a", frames)
    assert load_clip(folder, person=1).keypoints[:, 0, 0].tolist() == [0, 1, 2, 0, 0, 5]
    assert load_clip(folder).keypoints[:, 0, 0].tolist() == [800, 799, 798, 797, 0, 795]  # there in more frames
    with pytest.raises(ValueError, match=r"a: expected person below 2 \(people seen in this clip\), received 2"):
        load_clip(folder, person=2)
    with pytest.raises(ValueError, match=r"a: expected person as an integer from 0, received -1"):
        load_clip(folder, person=-1)


def test_the_signer_is_who_is_there_most_not_who_is_listed_first(tmp_path):
    folder = write(tmp_path / "a", [[person(801)], [person(0), person(800)], [person(2), person(799)]])
    assert load_clip(folder).keypoints[:, 0, 0].tolist() == [801, 800, 799]
    assert load_clip(folder, person=1).keypoints[:, 0, 0].tolist() == [0, 0, 2]


def test_fragments_never_win(tmp_path):
    """Reported for OpenPose with one person before the camera: bits of furniture, or of the person, listed first."""
    fragment = person(pose_keypoints_2d=[*[0.0] * 30, 40.0, 700.0, 0.21, 44.0, 716.0, 0.15, *[0.0] * 39])
    for name in ("face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d"):
        fragment[name] = []
    for place, number in ((0, 1), (0, 5), (3, 1)):
        frames = [[person(100 + t)] for t in range(6)]
        for t in range(place, place + number):
            frames[t].insert(0, fragment) if t < 6 else None
        folder = write(tmp_path / f"{place}-{number}", frames)
        assert load_clip(folder).keypoints[:, 0, 0].tolist() == [100 + t for t in range(6)]


def test_a_lone_person_may_jump(tmp_path):
    folder = write(tmp_path / "a", [[person(0)], [person(5000)]])
    assert load_clip(folder).keypoints[:, 0, 0].tolist() == [0, 5000]


def test_nan_and_infinite_numbers_were_not_found(tmp_path):
    numbers = person()["pose_keypoints_2d"]
    numbers[0], numbers[4], numbers[8] = float("nan"), float("inf"), 1e300
    clip = load_clip(write(tmp_path / "a", [[person(pose_keypoints_2d=numbers)]]))
    assert clip.scores[0, :4].tolist() == pytest.approx([0, 0, 0, 4 / 200])
    assert clip.keypoints[0, :3].tolist() == [[0, 0]] * 3


@pytest.mark.parametrize(
    ("people", "message"),
    [
        (
            [person(pose_keypoints_2d=[1.0] * 54)],
            r"expected 75 numbers in pose_keypoints_2d, received 54 \(the COCO body",
        ),
        (
            [person(pose_keypoints_2d=[1.0] * 45)],
            r"received 45 \(the MPI body with 15 points\): run OpenPose with --model",
        ),
        (
            [person(face_keypoints_2d=[1.0] * 68)],
            "expected 210 numbers in face_keypoints_2d, received 68: run OpenPose",
        ),
        ([person(pose_keypoints_2d=["1.0"] * 75)], "expected pose_keypoints_2d as a list of numbers"),
        ([person(pose_keypoints_2d=[[1.0, 2.0, 3.0]] * 25)], "expected pose_keypoints_2d as a list of numbers"),
        ([person(pose_keypoints_2d=[10**400] * 75)], "cannot be read as an OpenPose frame"),
        ([{"pose_keypoints": [1.0] * 54}], "expected pose_keypoints_2d, received pose_keypoints: run OpenPose 1.2"),
        (["person"], r"expected OpenPose's \{'people': \[\{...\}\]\}, received other JSON"),
        ({"a": 1}, r"expected OpenPose's \{'people': \[\{...\}\]\}, received other JSON"),
    ],
)
def test_other_content_names_the_frame(people, message, tmp_path):
    folder = write(tmp_path / "a", [[person()], people])
    with pytest.raises(ValueError, match=rf"clip_000000000001_keypoints.json: .*{message}"):
        load_clip(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"people": 3}', "\x00", '{"people": [{}'])
def test_broken_json(text, tmp_path):
    folder = write(tmp_path / "a", [[person()]])
    (folder / "clip_000000000007_keypoints.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"clip_000000000007_keypoints.json: ") as caught:
        load_clip(folder)
    assert "\n" not in str(caught.value)


def test_truncated_frames(tmp_path):
    folder = write(tmp_path / "a", [[person(face_keypoints_2d=[], hand_left_keypoints_2d=[])]])
    path = next(folder.iterdir())
    raw = path.read_bytes()
    for length in range(0, len(raw), 29):
        path.write_bytes(raw[:length])
        with pytest.raises(ValueError, match=r"_keypoints.json: "):
            load_clip(folder)


def test_folders_that_are_none(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty: expected OpenPose files .*, received a folder without .json files"):
        load_clip(tmp_path / "empty")
    with pytest.raises(ValueError, match=r"expected a frame number in every file name, received x_keypoints.json"):
        load_clip(write(tmp_path / "x", [[]], name="x_keypoints.json"))
    folder = write(tmp_path / "two", [[person()]], name="a_{}_keypoints.json")
    write(folder, [[person()]], name="b_{}_keypoints.json")
    with pytest.raises(ValueError, match=r"two: expected one file per frame, received .*: give each clip a folder"):
        load_clip(folder)
    with pytest.raises(ValueError, match=r"nobody: expected a person in at least one frame, received none"):
        load_clip(write(tmp_path / "nobody", [[], []]))


@pytest.mark.data
def test_sample(shared_data):
    folder = next((shared_data / "samples" / "openpose_json").iterdir())
    clip = load_clip(folder)
    assert clip.layout == "openpose_137" and len(clip) == 62
    first = json.loads((folder / f"{folder.name}_000000000000_keypoints.json").read_text())["people"][0]
    np.testing.assert_allclose(clip.keypoints[0, 0], first["pose_keypoints_2d"][:2], rtol=1e-6)
    np.testing.assert_allclose(clip.keypoints[0, 25 + 70], first["hand_left_keypoints_2d"][:2], rtol=1e-6)
    nose, left_shoulder, right_shoulder = clip.keypoints[:, [0, 5, 2]].transpose(1, 0, 2)
    assert (left_shoulder[:, 0] > right_shoulder[:, 0]).all()  # the signer's left is on our right
    assert (nose[:, 1] < left_shoulder[:, 1]).all() and (clip.keypoints <= [1280, 720]).all()
