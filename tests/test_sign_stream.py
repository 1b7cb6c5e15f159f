"""Signs in a stream: where they begin and end, what is said of them, and that hours of it need little memory."""

import json

import numpy as np
import pytest
import transformers
from factories import tiny_model

from modeling_sigma import PoseClip, SigmaFeatureExtractor, SigmaForSequenceClassification, load_clip
from modeling_sigma.inference import SignStream, segment_signs
from modeling_sigma.inference.sign_segmentation import SignSegmenter


LAYOUT = "sigma_69"
LEFT_HAND, RIGHT_HAND = slice(9, 30), slice(30, 51)
FPS = 25


def frame(drop: float | None, other: float | None = None, body: bool = True) -> np.ndarray:
    """Keypoints (69, 3) of somebody whose shoulders are 100 apart, at 100: right (and left) hand `drop` below them."""
    points = np.zeros((69, 3), np.float32)
    if body:
        points[3], points[4] = (200, 100, 0.9), (100, 100, 0.9)
    for hand, place, x in ((RIGHT_HAND, drop, 120), (LEFT_HAND, other, 180)):
        if place is not None:
            # In the mean at this height, and not all in one place.
            points[hand] = (x, 100 + 100 * place, 1)
            points[hand.start, 1] += 6
            points[hand.start + 1, 1] -= 6
    return points


def borders(drops, times=None, body=True):
    """(kind, start, stop) for frames with these drops."""
    segmenter = SignSegmenter()
    times = np.arange(len(drops)) / FPS if times is None else times
    found = []
    for drop, time in zip(drops, times):
        points = frame(*(drop if isinstance(drop, tuple) else (drop,)), body=body)
        found += segmenter.push(points[:, :2].astype(float), points[:, 2].astype(float), time)
    found += segmenter.finish()
    return [(border.kind, border.start, border.stop) for border in found]


@pytest.mark.parametrize(
    ("drops", "expected"),
    [
        ([1.2] * 50, []),
        ([None] * 50, []),
        # Up for 20 frames: the beginning is told after 0.2 s, with the frame it began in.
        ([1.2] * 10 + [0.3] * 20 + [1.2] * 20, [(10, 30)]),
        # To be raised, the hand must be above 0.8; to stay so, above 0.95.
        ([1.2] * 10 + [0.9] * 20 + [1.2] * 20, []),
        ([1.2] * 10 + [0.7] * 3 + [0.9] * 17 + [1.2] * 20, [(10, 30)]),
        # Five frames last 0.16 s, six 0.2 s.
        ([1.2] * 10 + [0.3] * 5 + [1.2] * 20, []),
        ([1.2] * 10 + [0.3] * 6 + [1.2] * 20, [(10, 16)]),
        # The detector loses the hand for nine frames, 0.4 s from last to next: one sign. For ten: two.
        ([0.3] * 20 + [None] * 9 + [0.3] * 20, [(0, 49)]),
        ([0.3] * 20 + [None] * 10 + [0.3] * 20, [(0, 20), (30, 50)]),
        # Either hand will do.
        ([(1.2, 1.2)] * 10 + [(1.2, 0.2)] * 20 + [(1.2, 1.2)] * 20, [(10, 30)]),
        ([(0.2, 1.2)] * 20 + [(1.2, 0.2)] * 20, [(0, 40)]),
        # Still up at the end.
        ([1.2] * 10 + [0.3] * 20, [(10, 30)]),
    ],
)
def test_signs_begin_and_end(drops, expected):
    found = borders(drops)
    assert [(start, stop) for kind, start, stop in found if kind == "ended"] == expected
    assert [start for kind, start, _ in found if kind == "began"] == [start for start, _ in expected]


def test_a_long_sign_is_cut():
    found = [border for border in borders([0.3] * 600) if border[0] == "ended"]
    assert found == [("ended", 0, 251), ("ended", 251, 502), ("ended", 502, 600)]


def test_a_gap_in_time_ends_a_sign():
    times = [*np.arange(20) / FPS, *(100 + np.arange(20) / FPS)]
    assert [b[1:] for b in borders([0.3] * 40, times) if b[0] == "ended"] == [(0, 20), (20, 40)]
    # Two frames far from each other are no sign.
    assert borders([0.3] * 3, [0.0, 100.0, 200.0]) == []


def test_a_slow_camera_finds_signs_too():
    # Two frames a second: up from 1.5 to 3 s; 0.5 s after the last one, a frame shows the hands at rest.
    drops = [1.2] * 3 + [0.3] * 4 + [1.2] * 3
    assert borders(drops, np.arange(10) / 2) == [("began", 3, None), ("ended", 3, 7)]
    # One frame more than a second after the other shows nothing.
    assert borders(drops, np.arange(10) * 1.01) == []
    # A camera that halts for 0.9 s amid a sign does not cut it, but a frame without the hand before it does.
    halting = np.concatenate([np.arange(10), np.arange(10) + 9 + 0.9 * FPS]) / FPS
    assert [b[1:] for b in borders([0.3] * 20, halting) if b[0] == "ended"] == [(0, 20)]
    lost = [0.3] * 9 + [None] + [0.3] * 10
    assert [b[1:] for b in borders(lost, halting) if b[0] == "ended"] == [(0, 9), (10, 20)]


def test_without_a_body_a_hand_that_is_seen_is_up():
    assert [b[1:] for b in borders([None] * 5 + [5.0] * 20 + [None] * 20, body=False) if b[0] == "ended"] == [(5, 25)]


def test_the_shoulders_last_seen_count():
    segmenter, found = SignSegmenter(), []
    for index, (drop, body) in enumerate([(1.2, True)] * 5 + [(1.2, False)] * 10 + [(0.3, False)] * 20):
        points = frame(drop, body=body)
        found += segmenter.push(points[:, :2].astype(float), points[:, 2].astype(float), index / FPS)
    assert [(border.kind, border.start) for border in found] == [("began", 15)]


def test_without_a_hand_its_wrist_counts():
    segmenter, found = SignSegmenter(), []
    for index in range(30):
        points = frame(None)
        points[8] = (120, 130 if index >= 10 else 220, 0.9)
        found += segmenter.push(points[:, :2].astype(float), points[:, 2].astype(float), index / FPS)
    assert [(border.kind, border.start) for border in found] == [("began", 10)]


def test_size_and_place_change_nothing():
    generator = np.random.default_rng(0)
    drops = np.cumsum(generator.normal(0, 0.2, 500)) % 1.6
    points = np.stack([frame(float(drop)) for drop in drops])
    spans = []
    for scale, shift in ((1, 0), (0.01, -3), (7, 1000)):
        spans.append(segment_signs(PoseClip(points[..., :2] * scale + shift, points[..., 2], LAYOUT, fps=FPS)))
    assert len(spans[0]) > 3 and spans[0] == spans[1] == spans[2]


def test_a_clip_needs_a_frame_rate():
    with pytest.raises(ValueError, match="expected a clip with a frame rate, received one without: set fps"):
        segment_signs(PoseClip(np.zeros((3, 69, 2)), np.zeros((3, 69)), LAYOUT))


# --- the stream


def count(clip, top_k):
    """In the place of a pipeline."""
    return [{"label": f"{len(clip)} frames of {clip.width} x {clip.height}", "score": 1.0}] * top_k


def test_events():
    stream, events = SignStream(count, LAYOUT, 640, 480), []
    drops = [1.2] * 10 + [0.3] * 20 + [1.2] * 20 + [0.3] * 10
    for index, drop in enumerate(drops):
        found = stream.push(frame(drop), index / FPS)
        events += [(index, event) for event in found]
    assert [(index, event.kind) for index, event in events] == [(15, "began"), (40, "ended"), (55, "began")]
    ended = events[1][1]
    assert (ended.start, ended.end) == (10 / FPS, 29 / FPS) and len(ended.answers) == 5
    assert ended.answers[0] == {"label": "20 frames of 640 x 480", "score": 1.0}
    (last,) = stream.finish()
    assert (last.kind, last.answers[0]["label"]) == ("ended", "10 frames of 640 x 480")
    assert stream.finish() == []
    assert stream.push(None, 0.0) == [], "another stream may begin"


def test_what_is_refused():
    with pytest.raises(ValueError, match="layout"):
        SignStream(count, "nothing")
    with pytest.raises(ValueError, match="expected a pipeline for isolated-sign-recognition, received one for slt"):
        translate = lambda clip, top_k: []  # noqa: E731
        translate.task = "slt"
        SignStream(translate)
    stream = SignStream(count, LAYOUT)
    for wrong in (np.zeros((69, 2)), np.zeros((133, 3)), np.zeros((1, 69, 3)), []):
        with pytest.raises(ValueError, match=r"expected keypoints \(69, 3\) of layout sigma_69 .*, received \("):
            stream.push(wrong, 0.0)
    stream.push(frame(0.3), 1.0)
    for time in (1.0, 0.5, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"expected a time after 1 s, received .*: push frames in their order"):
            stream.push(frame(0.3), time)
    bad = frame(0.3)
    bad[3] = np.nan
    assert stream.push(bad, 2.5) == [], "what is not finite was not found"


def test_only_the_frames_of_one_sign_are_kept():
    stream, num_ended = SignStream(count, LAYOUT), 0
    points = {drop: frame(drop) for drop in (1.2, 0.3)}
    for index in range(3_000):
        drop = 0.3 if index % 1500 < 900 else 1.2  # up for 36 s, then down for 24
        num_ended += sum(event.kind == "ended" for event in stream.push(points[drop], index / FPS))
        assert len(stream._frames) <= (0 if 920 <= index % 1500 else 10 * FPS + 1)
    assert num_ended == 2 * 4
    assert all(isinstance(value, (int, float, type(None))) for value in vars(stream._segmenter).values())


@pytest.mark.filterwarnings("ignore")
def test_what_a_stream_says_is_what_the_pipeline_says_of_the_clip():
    """On wandering hands that come and go."""
    model = tiny_model(SigmaForSequenceClassification, use_prompt=False, num_labels=6)
    extractor = SigmaFeatureExtractor(scale_reference="hands", fill_wrists=True)
    pipeline = transformers.pipeline("isolated-sign-recognition", model=model, feature_extractor=extractor)
    generator = np.random.default_rng(1)
    points = np.zeros((400, 42, 3), np.float32)
    points[..., :2] = 200 + np.cumsum(generator.normal(0, 3, (400, 1, 2)), axis=0) + generator.normal(0, 20, (42, 2))
    for start, stop in ((20, 60), (90, 100), (130, 131), (180, 300), (380, 400)):
        points[start:stop, :, 2] = 1
    clip = PoseClip(points[..., :2], points[..., 2], "hands_42", FPS, 640, 480, "pixels")
    spans = segment_signs(clip)
    assert spans == [(20, 60), (90, 100), (180, 300), (380, 400)]
    stream = SignStream(pipeline, "hands_42", 640, 480)
    events = [event for index, one in enumerate(points) for event in stream.push(one, index / FPS)]
    ended = [event for event in (*events, *stream.finish()) if event.kind == "ended"]
    assert [event.answers for event in ended] == [pipeline(clip.frames(slice(*span)), top_k=5) for span in spans]
    assert json.dumps([event.answers for event in ended]), "plain numbers"


@pytest.mark.data
def test_a_real_sign(shared_data):
    clip = load_clip(shared_data / "samples" / "pose_mediapipe" / "mediapipe.pose")
    ((start, stop),) = segment_signs(clip)
    assert 6 <= start <= 10 and 150 <= stop <= 160  # as one sees it: the hands leave the belly, and come back
