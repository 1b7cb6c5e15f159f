"""The skeleton strip, by facts about its pixels."""

import numpy as np
import pytest
from PIL import Image

from datasets_scripts.synthetic import SyntheticSigns
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.skeleton_layouts import LAYOUTS, MISSING
from modeling_sigma.viz.picture_style import DARK, LIGHT, font_for, wrap
from modeling_sigma.viz.skeleton_strip import draw_skeleton_strip


@pytest.fixture(scope="module")
def clip() -> PoseClip:
    return SyntheticSigns().isolated(0).clip


def panels_area(image: Image.Image, height: int = 240) -> np.ndarray:
    """The pixels (height, W, 3) of the panels' rows of a strip without a title."""
    return np.asarray(image)[14 : 14 + height]


def has_color(pixels: np.ndarray, color: tuple[int, int, int]) -> bool:
    return bool((np.abs(pixels.astype(int) - color).max(axis=-1) <= 3).any())


def count_color(pixels: np.ndarray, color: tuple[int, int, int]) -> int:
    return int((np.abs(pixels.astype(int) - color).max(axis=-1) <= 3).sum())


def test_panels_stand_side_by_side(clip: PoseClip) -> None:
    one, four = draw_skeleton_strip(clip.frames(slice(0, 1))), draw_skeleton_strip(clip, num_frames=4)
    assert one.mode == four.mode == "RGB"
    panel = (four.width - 2 * 14 - 3 * 6) / 4
    assert panel == int(panel) and 0.6 * 240 <= panel <= 1.35 * 240
    assert four.height < 240 + 100
    assert draw_skeleton_strip(clip, num_frames=4, height=120).height < four.height
    # A short clip has as many panels as frames.
    assert draw_skeleton_strip(clip.frames(slice(0, 3)), num_frames=9).width < 3 * 1.35 * 240 + 2 * 14 + 2 * 6 + 1


@pytest.mark.parametrize(("dark", "theme"), [(False, LIGHT), (True, DARK)])
def test_every_part_has_its_color(clip: PoseClip, dark: bool, theme: object) -> None:
    pixels = panels_area(draw_skeleton_strip(clip, num_frames=3, dark=dark))
    assert len(set(theme.parts.values())) == 4
    for color in theme.parts.values():
        assert has_color(pixels, color)
    assert tuple(np.asarray(draw_skeleton_strip(clip, dark=dark))[0, 0]) == theme.background


def test_left_and_right_hand() -> None:
    keypoints, scores = np.zeros((1, 42, 2)), np.ones((1, 42))
    keypoints[0, :21, 0] = 100.0  # the left hand on the right of the picture
    keypoints[0, :, 1] = np.tile(np.arange(21.0), 2)
    pixels = panels_area(draw_skeleton_strip(PoseClip(keypoints, scores, "hands_42")))
    middle = pixels.shape[1] // 2
    assert has_color(pixels[:, middle:], LIGHT.parts["left_hand"])
    assert not has_color(pixels[:, :middle], LIGHT.parts["left_hand"])
    assert has_color(pixels[:, :middle], LIGHT.parts["right_hand"])


def test_up_is_up() -> None:
    keypoints, scores = np.zeros((1, 133, 2)), np.zeros((1, 133))
    keypoints[0, [0, 9]] = [[50.0, 0.0], [50.0, 100.0]]  # nose above a wrist, no bone between them
    scores[0, [0, 9]] = 1.0
    scores[0, 9] = 0.2
    scores[0, 112] = 1.0
    keypoints[0, 112] = [50.0, 100.0]
    pixels = panels_area(draw_skeleton_strip(PoseClip(keypoints, scores)))
    assert has_color(pixels[:120], LIGHT.parts["body"]) and not has_color(pixels[120:], LIGHT.parts["body"])
    assert has_color(pixels[120:], LIGHT.parts["right_hand"])


def test_joints_that_were_not_found_are_hollow_or_absent() -> None:
    keypoints = np.zeros((1, 133, 2))
    keypoints[0, [3, 4, 7]] = [[0.0, 0.0], [100.0, 100.0], [50.0, 50.0]]
    pictures = {}
    for score in (0.0, 0.3, 0.31):
        scores = np.zeros((1, 133))
        scores[0, [3, 4]] = 1.0
        scores[0, 7] = score
        # The middle of the only panel, and a ring around it.
        pixels = panels_area(draw_skeleton_strip(PoseClip(keypoints, scores), height=400), 400)
        y, x = 200, pixels.shape[1] // 2
        pictures[score] = pixels[y - 9 : y + 9, x - 9 : x + 9]
    body, panel = LIGHT.parts["body"], LIGHT.panel
    assert count_color(pictures[0.0], panel) == 18 * 18
    assert tuple(pictures[0.3][9, 9]) == panel and count_color(pictures[0.3], panel) < 18 * 18 - 15
    assert tuple(pictures[0.31][9, 9]) == body


def test_bones_end_at_missing_joints() -> None:
    keypoints, scores = np.zeros((1, 133, 2)), np.zeros((1, 133))
    keypoints[0, [5, 7, 9]] = [[0.0, 0.0], [0.0, 50.0], [0.0, 100.0]]  # shoulder, elbow, wrist
    amounts = []
    for elbow in (1.0, 0.1):
        scores[0, [5, 7, 9]] = 1.0, elbow, 1.0
        amounts.append(count_color(panels_area(draw_skeleton_strip(PoseClip(keypoints, scores))), (101, 116, 139)))
    assert amounts[1] < 0.5 * amounts[0]


def test_scale_is_that_of_the_whole_clip() -> None:
    keypoints, scores = np.zeros((2, 42, 2)), np.ones((2, 42))
    keypoints[0, 4], keypoints[1, 4] = [10.0, 10.0], [100.0, 100.0]
    pixels = panels_area(draw_skeleton_strip(PoseClip(keypoints, scores, "hands_42"), num_frames=2))
    half = pixels.shape[1] // 2
    marked = [np.argwhere(np.abs(part.astype(int) - LIGHT.panel).max(-1) > 30) for part in np.split(pixels, [half], 1)]
    small, large = (np.ptp(points[points[:, 1] < half - 25], axis=0)[0] for points in marked)
    assert large > 6 * small


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_every_layout(name: str) -> None:
    count = LAYOUTS[name].num_keypoints
    clip = PoseClip(np.random.default_rng(0).random((5, count, 2)), np.ones((5, count)), name)
    pixels = panels_area(draw_skeleton_strip(clip, num_frames=2, height=160), 160)
    parts = {part for part in LIGHT.parts if set(getattr(LAYOUTS[name], part)) != {MISSING}}
    for part, color in LIGHT.parts.items():
        assert has_color(pixels, color) == (part in parts)


def test_nothing_found() -> None:
    clip = PoseClip(np.zeros((7, 133, 2)), np.full((7, 133), 0.3))
    image = draw_skeleton_strip(clip, num_frames=4, captions=["a", "b", "c", "d"])
    pixels = panels_area(image)
    assert image.width < 300
    assert not any(has_color(pixels, color) for color in LIGHT.parts.values())
    text = np.argwhere(np.abs(pixels.astype(int)[20:-20, 20:-20] - LIGHT.panel).max(-1) > 60)
    assert len(text) > 50 and abs(text[:, 0].mean() + 20 - 120) < 12  # the words in its middle


def test_one_point_alone() -> None:
    scores = np.zeros((1, 133))
    scores[0, 0] = 1.0
    pixels = panels_area(draw_skeleton_strip(PoseClip(np.zeros((1, 133, 2)), scores)))
    assert has_color(pixels[110:130], LIGHT.parts["body"])


def test_titles_and_captions_make_room(clip: PoseClip) -> None:
    plain = draw_skeleton_strip(clip, num_frames=3)
    assert draw_skeleton_strip(clip, num_frames=3, title="a title").height > plain.height
    below = draw_skeleton_strip(clip, num_frames=3, captions="a caption")
    longer = draw_skeleton_strip(clip, num_frames=3, captions="a long caption " * 20)
    assert plain.height < below.height < longer.height and plain.width == longer.width
    each = draw_skeleton_strip(clip, num_frames=3, captions=["one", "two", "three"])
    assert each.height == below.height


def test_lines_fit_and_lose_no_text() -> None:
    text = "a sentence with some words and averyveryverylongwordthatfitsnowhere at its end\nand a second line"
    font = font_for(13)
    lines = wrap(text, font, 120)
    assert all(font.getlength(line) <= 120 for line in lines)
    assert "".join(lines).replace(" ", "") == "".join(text.split())
    assert wrap("short", font, 120) == ["short"] and wrap("x", font, 0) == ["x"]


def test_bad_arguments(clip: PoseClip) -> None:
    with pytest.raises(ValueError, match="one caption for each of the 3 panels, received 2"):
        draw_skeleton_strip(clip, num_frames=3, captions=["a", "b"])
    with pytest.raises(ValueError, match="num_frames of at least 1, received 0"):
        draw_skeleton_strip(clip, num_frames=0)
    with pytest.raises(ValueError, match="at least 40 pixels, received 10"):
        draw_skeleton_strip(clip, height=10)
