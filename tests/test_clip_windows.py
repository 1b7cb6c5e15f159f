"""Long clips: cut at pauses, or into overlapping windows; stitched with times; through the translation pipeline."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import pipeline

from modeling_sigma.model.clip_windows_sigma import cut_at_pauses, hand_speed, overlapping_windows, stitch_texts
from modeling_sigma.model.pose_clip import PoseClip
from tests.factories import random_clip, tiny_model, tiny_processor


FPS = 20.0


def _moving_clip(*stretches: tuple[float, bool]) -> PoseClip:
    """Hands that move at 2 widths a second, or rest, for so many seconds each."""
    moving = np.concatenate([np.full(round(seconds * FPS), is_moving) for seconds, is_moving in stretches])
    steps = np.where(moving, 2.0 * 400 / FPS, 0.0)
    sign = np.where(np.arange(len(steps)) // 5 % 2 == 0, 1.0, -1.0)
    height = np.cumsum(steps * sign)
    keypoints = np.zeros((len(steps), 133, 2))
    keypoints[:, :91] = np.random.default_rng(0).uniform((100, 0), (500, 300), (91, 2))
    keypoints[:, [5, 6]] = [[500, 200], [100, 200]]  # shoulders: the signer is 400 wide
    keypoints[:, 91:112], keypoints[:, 112:] = [400, 300], [200, 300]
    keypoints[:, 112:, 1] += height[:, None]
    return PoseClip(keypoints, np.ones((len(steps), 133)), fps=FPS)


# --- windows


def test_windows_by_hand() -> None:
    assert overlapping_windows(10, 4, 3) == [(0, 4), (3, 7), (6, 10)]
    assert overlapping_windows(11, 4, 4) == [(0, 4), (4, 8), (7, 11)]
    assert overlapping_windows(3, 4, 2) == [(0, 3)]
    for size, stride in ((0, 1), (3, 0), (3, 4)):
        with pytest.raises(ValueError, match="expected 1 <= stride <= window"):
            overlapping_windows(10, size, stride)


@given(st.integers(1, 300), st.integers(1, 60), st.data())
def test_windows_cover_every_frame(num_frames: int, size: int, data: st.DataObject) -> None:
    windows = overlapping_windows(num_frames, size, data.draw(st.integers(1, size)))
    assert windows[0][0] == 0 and windows[-1][1] == num_frames
    assert all(0 < stop - start <= size for start, stop in windows)
    assert all(start <= before for (_, before), (start, _) in zip(windows, windows[1:]))


# --- pauses


def test_speed_of_hands_has_a_unit() -> None:
    speed = hand_speed(_moving_clip((1, True), (1, False)))
    assert speed[2:4] == pytest.approx([2.0, 2.0], rel=0.1), "widths of the signer a second"
    assert np.abs(speed[22:]).max() == 0
    unseen = PoseClip(np.zeros((5, 133, 2)), np.zeros((5, 133)), fps=FPS)
    assert hand_speed(unseen).tolist() == [0.0] * 5
    far = _moving_clip((1, True))
    far = PoseClip(0.1 * far.keypoints, far.scores, fps=FPS)
    assert np.allclose(hand_speed(far), hand_speed(_moving_clip((1, True))), rtol=1e-4), "distance does not matter"


def test_cuts_lie_in_pauses() -> None:
    clip = _moving_clip((3, True), (1, False), (2, True), (0.6, False), (3, True))
    pieces = cut_at_pauses(clip, window_seconds=7)
    assert len(pieces) == 2
    (start, cut), (again, stop) = pieces
    assert (start, stop) == (0, len(clip)) and cut == again, "no overlap at a pause"
    assert 6.0 * FPS <= cut <= 6.6 * FPS, "as late as the window allows"
    assert len(cut_at_pauses(clip, window_seconds=5)) == 3
    assert 3 * FPS <= cut_at_pauses(clip, window_seconds=5)[0][1] <= 4 * FPS
    assert cut_at_pauses(clip, window_seconds=60) == [(0, len(clip))]


def test_without_pauses_windows_overlap() -> None:
    clip = _moving_clip((10, True))
    assert cut_at_pauses(clip, 4, 3) == [(0, 80), (60, 140), (120, 200)]
    short_rest = _moving_clip((3, True), (0.15, False), (3, True))
    assert cut_at_pauses(short_rest, 4, 3)[0] == (0, 80), "a hold inside a sign is no pause"


@given(st.lists(st.tuples(st.floats(0.2, 3), st.booleans()), min_size=1, max_size=6), st.floats(0.5, 5))
def test_pieces_cover_every_frame(stretches: list[tuple[float, bool]], window: float) -> None:
    clip = _moving_clip(*stretches)
    pieces = cut_at_pauses(clip, window)
    assert pieces[0][0] == 0 and pieces[-1][1] == len(clip)
    assert all(0 < stop - start <= round(window * FPS) for start, stop in pieces)
    assert all(before[0] < after[0] <= before[1] for before, after in zip(pieces, pieces[1:]))


def test_lengths_are_checked() -> None:
    for window, stride in ((0, None), (-1, None), (2, 3), (2, 0)):
        with pytest.raises(ValueError, match="expected 0 < stride_seconds <= window_seconds"):
            cut_at_pauses(_moving_clip((1, True)), window, stride)
    with pytest.raises(ValueError, match="expected a clip with a frame rate"):
        cut_at_pauses(random_clip(30, fps=None), 1)


# --- stitching


def test_shared_words_are_written_once() -> None:
    assert stitch_texts(["i go home", "go home today"], [False, True]) == "i go home today"
    assert (
        stitch_texts(["i go home", "home today", "today it rains"], [False, True, True]) == "i go home today it rains"
    )
    assert stitch_texts(["no", "no"], [False, False]) == "no no", "apart in time: said twice"
    assert stitch_texts(["a b", ""], [False, True]) == "a b"
    with pytest.raises(ValueError, match="zip"):
        stitch_texts(["a"], [])


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("今天天气很好", "天气很好我们", "今天天气很好我们"),
        ("今天天气很好。", "很好。我们走", "今天天气很好。我们走"),
        ("きょうは天気が", "天気がいい", "きょうは天気がいい"),
        ("สวัสดีครับ ผมชื่อ", "ครับ ผมชื่อเอก", "สวัสดีครับ ผมชื่อเอก"),
        ("我喜欢 New York", "喜欢 New York 吗", "我喜欢 New York 吗"),
        ("天气 很 好", "很 好 我们", "天气 很 好 我们"),
        ("今天 好", "好 我们", "今天 好 我们"),  # one character, but a word between spaces
        ("我爱你", "你好", "我爱你 你好"),  # one character is shared by chance
        ("เขาเป็นคน", "คนึงหา", "เขาเป็นคน คนึงหา"),  # half a letter is not shared
        ("i go home", "me today", "i go home me today"),  # nor half a word
        ("no", "north", "no north"),
        ("天气很好", "天气很好", "天气很好"),
    ],
)
def test_shared_text_of_any_script_is_written_once(before: str, after: str, expected: str) -> None:
    assert stitch_texts([before, after], [False, True]) == expected
    assert stitch_texts([before, after], [False, False]) == f"{before} {after}"


# --- the pipeline


@pytest.fixture(scope="module")
def translate() -> Any:
    return pipeline("sign-language-translation", model=tiny_model(seed=2), processor=tiny_processor())


def test_long_clips_are_translated_with_times(translate: Any) -> None:
    clip = _moving_clip((2, True), (1, False), (2, True))
    options: dict[str, Any] = {"max_new_tokens": 6, "num_beams": 1}
    result = translate(clip, window_seconds=3.0, batch_size=2, **options)
    first, second = result["segments"]
    assert first["start"] == 0 and 2.0 <= first["end"] <= 3.0
    assert second["start"] == first["end"] and second["end"] == 5.0
    cut = round(first["end"] * FPS)
    assert first["text"] == translate(clip.frames(slice(0, cut)), **options)["text"]
    assert second["text"] == translate(clip.frames(slice(cut, None)), **options)["text"]
    assert result["text"] == " ".join(f"{first['text']} {second['text']}".split())
    assert translate([clip, clip], window_seconds=3.0, **options) == [result, result]
    generated = translate((one for one in [clip, clip]), window_seconds=3.0, **options)
    assert next(generated) == result
    best = translate(clip, window_seconds=3.0, num_return_sequences=2, max_new_tokens=6, num_beams=2)
    assert len(best["segments"]) == 2
    assert "segments" not in translate(clip, **options)


def test_pieces_without_a_signer_have_no_text(translate: Any) -> None:
    clip = _moving_clip((2, True), (1, False), (2, True))
    scores = clip.scores.copy()
    scores[: round(3.0 * FPS)] = 0
    half = PoseClip(clip.keypoints, scores, clip.layout, clip.fps)
    options: dict[str, Any] = {"max_new_tokens": 6, "num_beams": 1, "window_seconds": 1.0}
    result = translate(half, **options)
    texts = {segment["end"] <= 3.0: segment["text"] for segment in result["segments"]}
    assert texts[True] == "" and texts[False], "the pieces before somebody is seen, and after"
    assert all(segment["text"] for segment in translate(half, allow_unseen=True, **options)["segments"])
    with pytest.raises(ValueError, match="expected a clip in which somebody is seen"):
        translate(PoseClip(clip.keypoints, np.zeros_like(scores), clip.layout, clip.fps), **options)


def test_windows_need_a_frame_rate(translate: Any) -> None:
    with pytest.raises(ValueError, match="expected a clip with a frame rate"):
        translate(random_clip(30, fps=None), window_seconds=1.0)
    with pytest.raises(ValueError, match="expected window_seconds together with stride_seconds"):
        translate(random_clip(30), stride_seconds=1.0)
