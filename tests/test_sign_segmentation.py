"""Where signs begin and end: tags, windows at one frame rate, the pipeline, training on recordings with times."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from factories import tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_scripts.reading.joined_clips import join_clips
from datasets_scripts.schema import decode_clip, encode_sample, features
from modeling_sigma import (
    SigmaFeatureExtractor,
    SigmaForSequenceClassification,
    SigmaForSignSegmentation,
    load_corpus,
    save_bundle,
)
from modeling_sigma.inference.load_pipeline import load_pipeline
from modeling_sigma.inference.transcription import Transcriber
from modeling_sigma.model.frame_resampling import at_frame_rate
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.sign_boundaries_sigma import (
    _BEGIN_SHARE,
    _SPREAD,
    _TAG_WEIGHT,
    _USUAL_SECONDS,
    BEGIN,
    INSIDE,
    OUTSIDE,
    TAGS,
    join_windows,
    signs_in,
    tag_frames,
)
from modeling_sigma.model.sign_windows_sigma import windows_of
from modeling_sigma.training.data.recording_windows import RecordingWindows
from modeling_sigma.training.task import choose_task


RATE = 25.0
HANDS: dict[str, Any] = {"scale_reference": "hands", "fill_wrists": True, "max_frames": 64, "frame_rate": RATE}
NAMES = {"id2label": dict(enumerate(TAGS)), "label2id": {tag: number for number, tag in enumerate(TAGS)}}


def recording(seconds: float, fps: float, *signs: tuple[float, float], seed: int = 0) -> PoseClip:
    """Both hands all the time; the left one 100 pixels higher while it signs."""
    times = (np.arange(round(seconds * fps)) + 0.5) / fps
    is_sign = np.any([(start <= times) & (times < end) for start, end in signs], axis=0)
    shape = np.random.default_rng(seed).uniform(200, 300, (42, 2))
    shape[[0, 21]] = 250  # the wrists
    keypoints = np.repeat(shape[None], len(times), axis=0)
    keypoints[is_sign, :21, 1] -= 100
    return PoseClip(keypoints, np.ones(keypoints.shape[:2]), "hands_42", fps=fps, coordinates="pixels")


# --- tags


def test_tags_by_hand() -> None:
    # 25 frames a second: a sign begins for two frames.
    tags = tag_frames([(2, 6), (6, 7), (9.4, 12.6)], 14, RATE)
    assert tags.tolist() == [0, 0, 1, 1, 2, 2, 1, 0, 0, 1, 1, 2, 2, 0]
    # A sign that began before the window has no beginning in it; one that lies outside leaves no tag.
    assert tag_frames([(-3, 2), (4, 9), (20, 30), (-9, -2)], 6, RATE).tolist() == [2, 2, 0, 0, 1, 1]
    assert tag_frames([(0, 3)], 4, 50.0).tolist() == [1, 1, 1, 0]  # four frames, but the sign has three


def _sure(*runs: tuple[int, int]) -> np.ndarray:
    """Probabilities of runs of `(tag, frames)` that are certain."""
    return np.eye(3)[[tag for tag, count in runs for _ in range(count)]]


def test_signs_by_hand() -> None:
    tags = _sure((0, 5), (1, 2), (2, 18), (1, 2), (2, 28), (0, 10), (1, 2), (2, 10), (0, 1))
    signs = [(5, 25, 1.0), (25, 55, 1.0), (65, 77, 1.0)]
    assert signs_in(tags, RATE) == signs
    assert signs_in(np.repeat(tags, 2, axis=0), 2 * RATE) == [(2 * start, 2 * stop, 1.0) for start, stop, _ in signs]
    unsure = 0.6 * tags + 0.4 * np.array([1.0, 0.0, 0.0])
    assert signs_in(unsure, RATE)[0] == (5, 25, pytest.approx(0.6))
    assert signs_in(_sure((0, 5)), RATE) == [] == signs_in(np.zeros((0, 3)), RATE) == signs_in(_sure((2, 1)), RATE)


def test_what_divides_a_sign() -> None:
    def found(seconds: float, begin: float) -> int:
        """How many signs there are where a new one may begin in the middle."""
        tags = _sure((0, 10), (1, 2), (2, round(seconds * RATE) - 2), (0, 10))
        middle = 10 + round(seconds * RATE / 2)
        tags[middle : middle + 2] = [0.0, begin, 1 - begin]
        return len(signs_in(tags, RATE))

    # A beginning must be nearly certain where the halves would be shorter than signs usually are, but need only be
    # possible in a stretch that is long for one sign.
    assert [found(1.4, begin) for begin in (0.5, 0.8, 1.0)] == [1, 1, 2]
    assert [found(4.0, begin) for begin in (0.0, 0.3, 1.0)] == [1, 2, 2]
    assert found(5.4, 0.0) == 2, "longer than any sign"


def test_signs_are_the_likeliest_of_all_ways_to_lay_them() -> None:
    rng, rate = np.random.default_rng(0), 4.0  # of which one frame begins a sign, and one is a sign at least

    def gain(signs: list[tuple[int, int]], tags: np.ndarray) -> float:
        total = np.log(tags[:, OUTSIDE]).sum() * _TAG_WEIGHT
        for start, stop in signs:
            total += _TAG_WEIGHT * np.log(tags[start, BEGIN] * _BEGIN_SHARE / tags[start, OUTSIDE])
            total += _TAG_WEIGHT * np.log(tags[start + 1 : stop, INSIDE] / tags[start + 1 : stop, OUTSIDE]).sum()
            total -= (np.log((stop - start) / rate / _USUAL_SECONDS) / _SPREAD) ** 2 / 2
        return float(total)

    def all_ways(first: int, count: int) -> list[list[tuple[int, int]]]:
        if first == count:
            return [[]]
        ways = all_ways(first + 1, count)
        for stop in range(first + 1, count + 1):
            ways = ways + [[(first, stop), *others] for others in all_ways(stop, count)]
        return ways

    ways, lengths = all_ways(0, 8), set()
    for _ in range(40):
        tags = rng.dirichlet((0.5, 0.3, 0.7), 8).clip(1e-6)
        tags /= tags.sum(axis=1, keepdims=True)
        found = [(start, stop) for start, stop, _ in signs_in(tags, rate)]
        assert gain(found, tags) == pytest.approx(max(gain(way, tags) for way in ways))
        lengths.add(len(found))
    assert len(lengths) > 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(12, 80)), min_size=1, max_size=8))
def test_signs_come_back_from_their_tags(steps: list[tuple[int, int]]) -> None:
    spans, place = [], 0
    for rest, length in steps:
        spans.append((place + rest, place + rest + length))
        place += rest + length
    found = signs_in(np.eye(3)[tag_frames(spans, place + 3, RATE)], RATE)
    assert [(start, stop) for start, stop, _ in found] == spans


def test_windows_are_joined_by_hand() -> None:
    inside, outside = np.eye(3)[[INSIDE] * 4], np.eye(3)[[OUTSIDE] * 4]
    # One frame a second, so that two seconds are a margin of two frames: weights 1/2, 1, 1, 1/2.
    joined = join_windows([(0, 4), (2, 6)], [inside, outside], 8, 1.0)
    assert joined[:, INSIDE] == pytest.approx([1, 1, 2 / 3, 1 / 3, 0, 0, 0, 0])
    assert joined.sum(axis=1) == pytest.approx(1) and (joined[6:, OUTSIDE] == 1).all()


# --- one frame rate


def test_a_movement_is_the_same_at_any_frame_rate() -> None:
    def moving(fps: float) -> PoseClip:
        times = (np.arange(round(4 * fps)) + 0.5) / fps
        keypoints = np.stack([50 + 30 * times, 80 - 10 * times], axis=-1)[:, None].repeat(42, axis=1)
        return PoseClip(keypoints, np.ones(keypoints.shape[:2]), "hands_42", fps=fps)

    at_25 = moving(25).keypoints
    for fps in (50.0, 59.94, 30.0, 24.0):
        found = at_frame_rate(moving(fps), 25)
        assert found.fps == 25 and len(found) in (99, 100, 101)
        count = min(len(found), 100) - 2  # the ends may lie outside of the recorded frames
        assert np.abs(found.keypoints[1:count] - at_25[1:count]).max() < 0.3
    clip = moving(50)
    whole = at_frame_rate(clip, 25)
    part = at_frame_rate(clip, 25, 30, 61)
    assert len(part) == 31 and np.allclose(part.keypoints, whole.keypoints[30:61])
    assert at_frame_rate(whole, 25).keypoints is not None and len(at_frame_rate(whole, 25)) == len(whole)
    with pytest.raises(ValueError, match="expected a clip with a frame rate"):
        at_frame_rate(PoseClip(np.zeros((3, 42, 2)), np.zeros((3, 42)), "hands_42"), 25)


def test_lost_hands_stay_lost_at_another_rate() -> None:
    clip = recording(2, 50, (0, 2))
    scores = clip.scores.copy()
    scores[40:60, 21:] = 0
    found = at_frame_rate(PoseClip(clip.keypoints, scores, "hands_42", fps=50.0), 25)
    lost = (found.scores[:, 21:] == 0).all(axis=1)
    assert lost.tolist() == [20 <= frame < 30 for frame in range(50)]


def test_the_extractor_reads_at_its_own_rate() -> None:
    extractor = SigmaFeatureExtractor(**HANDS)
    slow, fast = (extractor(recording(2, fps, (0.4, 1.2)))["pose_values"] for fps in (25.0, 50.0))
    assert slow.shape == fast.shape == (1, 50, 69, 3)
    assert (slow - fast).abs().amax(dim=(0, 2, 3)).gt(
        1e-4
    ).sum() <= 2  # but for the two frames in which the hand moves
    again = SigmaFeatureExtractor.from_dict(extractor.to_dict())
    assert again.frame_rate == RATE
    with pytest.raises(ValueError, match="expected frame_rate"):
        SigmaFeatureExtractor(frame_rate=-1.0)


# --- the model


def test_loss_by_hand() -> None:
    model = tiny_model(SigmaForSignSegmentation, use_prompt=False, label_smoothing=0.0, **NAMES)
    values = torch.rand(2, 6, 69, 3)
    labels = torch.tensor([[0, 1, 2, 2, -100, -100], [2, 2, 0, 0, 1, 2]])
    with torch.no_grad():
        out = model(pose_values=values, labels=labels)
        model.config.class_weights = [1.0, 3.0, 1.0]
        weighed = model(pose_values=values, labels=labels)
    assert out.logits.shape == (2, 6, 3)
    known = labels >= 0
    losses = -out.logits.log_softmax(-1)[known].gather(1, labels[known][:, None])[:, 0]
    assert out.loss.item() == pytest.approx(losses.mean().item(), rel=1e-5)
    weights = torch.tensor([1.0, 3.0, 1.0])[labels[known]]
    assert weighed.loss.item() == pytest.approx((losses * weights).sum().item() / weights.sum().item(), rel=1e-5)
    with pytest.raises(ValueError, match="expected 3 labels"):
        tiny_model(SigmaForSignSegmentation, use_prompt=False, num_labels=2)


# --- the pipeline


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = tiny_model(SigmaForSignSegmentation, use_prompt=False, **NAMES)
    return Path(save_bundle(model, SigmaFeatureExtractor(**HANDS), tmp_path_factory.mktemp("segmenter")))


@pytest.fixture
def pipe(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A pipeline whose model knows the signs of `recording`: the left wrist is far above the right one."""
    loaded = load_pipeline(folder, device="cpu")
    assert loaded.task == "sign-segmentation" and type(loaded.model) is SigmaForSignSegmentation

    def forward(inputs: dict[str, torch.Tensor]) -> dict[str, Any]:
        values, mask = inputs["pose_values"], inputs["pose_attention_mask"]
        is_sign = (values[..., 8, 1] - values[..., 7, 1] > 0.3) & (values[..., 7, 2] > 0)
        earlier = torch.nn.functional.pad(is_sign, (2, 0))[:, :-2]  # a sign begins for two frames
        tags = is_sign.long() * (1 + (earlier | (torch.arange(is_sign.shape[1]) < 2)).long())
        return {"logits": 20 * torch.nn.functional.one_hot(tags, 3).float(), "num_frames": mask.sum(1)}

    monkeypatch.setattr(loaded, "_forward", forward)
    return loaded


@pytest.mark.parametrize("fps", [10.0, 25.0, 29.97, 59.94])
def test_signs_are_found_at_their_times_whatever_the_frame_rate(pipe: Any, fps: float) -> None:
    signs = [(0.5, 1.5), (2.0, 2.6), (3.4, 5.8), (30.2, 31.4), (58.0, 59.5)]  # windows are 2.56 s long
    clip = recording(60, fps, *signs)
    found = pipe(clip)
    assert len(found) == len(signs)
    for sign, (start, end) in zip(found, signs):
        assert max(abs(sign["start"] - start), abs(sign["end"] - end)) <= 1.5 / min(fps, RATE)
        assert sign["score"] > 0.99


def test_batches_progress_and_lists(pipe: Any) -> None:
    clips = [recording(9, 30, (1, 2), (4, 5)), recording(3, 25, (1, 2), seed=1)]
    calls: list[tuple[int, int]] = []
    one = pipe(clips[0], batch_size=3, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1][0] == calls[-1][1] > 3
    assert pipe(clips) == [one, pipe(clips[1])] == list(pipe(iter(clips)))


def test_rests_are_not_read(pipe: Any) -> None:
    clip = recording(40, 25, (1, 2))
    scores = clip.scores.copy()
    scores[75:] = 0
    calls: list[tuple[int, int]] = []
    found = pipe(PoseClip(clip.keypoints, scores, "hands_42", fps=25.0), progress=lambda *call: calls.append(call))
    assert len(found) == 1 and calls[-1][1] == 3  # windows that overlap with the first three seconds


def test_the_pipeline_refuses(pipe: Any) -> None:
    with pytest.raises(ValueError, match="expected a recording with a frame rate"):
        pipe(PoseClip(np.ones((9, 42, 2)), np.ones((9, 42)), "hands_42"))
    nobody = PoseClip(np.zeros((9, 42, 2)), np.zeros((9, 42)), "hands_42", fps=25.0)
    with pytest.raises(ValueError):
        pipe(nobody)
    assert pipe(nobody, allow_unseen=True) == []


def test_windows_of_spans() -> None:
    assert windows_of([(0.0, 0.5), (0.9, 7.0), (0.51, 0.52)], 10.0, 20) == [(0, 5), (9, 20), (5, 6)]
    for span in ((1.0, 1.0), (-1.0, 1.0), (2.0, 3.0)):
        with pytest.raises(ValueError, match="expected spans within the 2.00 s"):
            windows_of([span], 10.0, 20)


def test_a_label_head_names_what_a_segmenter_finds(folder: Path, pipe: Any, tmp_path: Path) -> None:
    labels = {0: "KA", 1: "GA"}
    head = tiny_model(SigmaForSequenceClassification, use_prompt=False, num_labels=2, id2label=labels)
    save_bundle(
        head, SigmaFeatureExtractor(scale_reference="hands", fill_wrists=True, max_frames=8), tmp_path / "head"
    )
    transcriber = Transcriber(tmp_path / "head", segmenter=folder)
    transcriber._finder = pipe
    found = transcriber(recording(6, 30, (1, 2), (3, 4)))
    assert [(round(one.start, 1), round(one.end, 1)) for one in found] == [(1.0, 2.0), (3.0, 4.0)]
    assert {one.value for one in found} <= set(labels.values()) and all(len(one.scores) == 2 for one in found)
    with pytest.raises(ValueError, match="expected a model for sign-segmentation"):
        Transcriber(tmp_path / "head", segmenter=tmp_path / "head")


# --- training


def corpus(*clips: PoseClip, spans: list[list[tuple[int, int]]]) -> datasets.Dataset:
    frames = datasets.List(datasets.Value("int32"))
    rows = [
        encode_sample(
            clip, sample_id=f"r{n}", sign_language="a", spoken_language="b", split="train", gloss=["x"] * len(spans[n])
        )
        | {"gloss_start": [a for a, _ in spans[n]], "gloss_end": [b for _, b in spans[n]]}
        for n, clip in enumerate(clips)
    ]
    kinds = datasets.Features({**features(), "gloss_start": frames, "gloss_end": frames})
    return datasets.Dataset.from_list(rows, features=kinds)


def test_windows_of_a_corpus_have_the_tags_of_their_frames() -> None:
    clips = recording(6, 50, (1, 2), (4, 5.5)), recording(1, 30, (0.2, 0.8))
    rows = corpus(*clips, spans=[[(50, 100), (200, 275)], [(6, 24)]])
    extractor = SigmaFeatureExtractor(**HANDS)
    task = choose_task("segmentation")
    task.number_labels({"train": rows})
    data = task.dataset(rows, 0, extractor, False)
    assert isinstance(data, RecordingWindows) and len(data) == 3 + 1  # 150 frames in windows of 64, and 25
    batch = task.collate(extractor, [data[index] for index in range(4)])
    assert batch["pose_values"].shape == (4, 64, 69, 3)
    tags = [row[row >= 0] for row in batch["labels"]]
    assert [len(row) for row in tags] == [64, 64, 64, 25]
    seen = np.zeros(150, int)
    for start, row in zip((0, 64, 86), tags):
        seen[start : start + 64] = np.maximum(seen[start : start + 64], row.numpy() > 0)
    assert np.flatnonzero(np.diff(seen)).tolist() == [24, 49, 99, 137]  # 1, 2, 4 and 5.5 s at 25 frames per second

    # In training the hand is up where the tags say so, whatever the tempo and the place of the window.
    data = task.dataset(rows, 0, extractor, True)
    assert len(data) > 4 and max(data.lengths(extractor)) == 64
    starts, shares = set(), []
    for epoch in range(6):
        for sample in (data[epoch, index] for index in range(len(data))):
            assert len(sample.clip) <= 64
            starts.add(sample.sample_id)
            up = sample.clip.keypoints[:, 9, 1] < sample.clip.keypoints[:, 30, 1] - 40
            tagged = tag_frames(sample.gloss_spans, len(sample.clip), RATE) > 0
            assert (up != tagged).sum() <= 4  # one for each border
            shares.append(tagged.mean())
    assert len(starts) > 10 and np.std(shares) > 0


def test_corpora_and_extractors_that_cannot_be_used() -> None:
    rows, extractor = corpus(recording(1, 30, (0, 1)), spans=[[(0, 30)]]), SigmaFeatureExtractor(**HANDS)
    cases: list[tuple[Any, Any, str]] = [
        (rows, SigmaFeatureExtractor(), "expected an extractor with a frame_rate"),
        (rows, SigmaFeatureExtractor(**HANDS, augmentation={"speed": 0.2}), "received speed"),
        (rows.remove_columns("gloss_end"), extractor, "expected a corpus whose signs have times"),
        (rows.map(lambda row: {"fps": None}), extractor, "r0: expected a frame rate"),
    ]
    for data, reader, message in cases:
        with pytest.raises(ValueError, match=message):
            RecordingWindows(data, 0, reader, True)
    with pytest.raises(ValueError, match="expected the head segmentation"):
        choose_task("segmentation", "ctc")


_SIGN_AND_REST = [0] + 2 * [1] + 15 * [2] + 6 * [0]
_LATE_SIGN = 2 * [1] + 12 * [2]


def test_scores_of_a_run_by_hand() -> None:
    task, extractor = choose_task("segmentation"), SigmaFeatureExtractor(**HANDS)

    class Evaluation:
        label_ids = np.array([_SIGN_AND_REST + 6 * [-100], 2 * [1] + 10 * [2] + 4 * [0] + _LATE_SIGN])
        predictions = 9 * np.eye(3)[[_SIGN_AND_REST + 6 * [0], 16 * [0] + _LATE_SIGN]]

    scores = task.scores(Evaluation(), extractor)
    assert scores["f1@0.5"] == pytest.approx(200 * 2 / (2 + 3))  # two of three signs, and nothing else


def test_joined_clips_by_hand() -> None:
    pieces = [(np.full((count, 42, 2), float(count)), np.ones((count, 42))) for count in (5, 8, 3)]
    keypoints, scores, spans = join_clips(pieces, 25.0, np.random.default_rng(0))
    assert [stop - start for start, stop in spans] == [5, 8, 3] and spans[-1][1] == len(keypoints) == len(scores)
    for (points, _), (start, stop) in zip(pieces, spans):
        assert (keypoints[start:stop] == points).all()
    assert all(before[1] < after[0] for before, after in zip(spans, spans[1:]))
    kinds = set()
    for seed in range(12):
        keypoints, scores, spans = join_clips(pieces[:2], 25.0, np.random.default_rng(seed))
        between = slice(spans[0][1], spans[1][0])
        if not scores[between].any():
            kinds.add("gone")
        else:
            moves = np.ptp(keypoints[between, 0, 0])
            kinds.add("movement" if moves > 0 else "still")
        assert np.isfinite(keypoints).all() and (keypoints[scores == 0] == 0).all()
    assert kinds == {"gone", "movement", "still"}


def test_joined_signs_of_another_corpus(tmp_path: Path) -> None:
    from test_wlasl_hands import write_archive

    (tmp_path / "data").mkdir()
    write_archive(tmp_path / "data")
    options = {"data_dir": tmp_path / "data", "cache_dir": tmp_path / "cache", "source_config": "wlasl300"}
    rows = load_corpus("joined_signs", split="train", repeats=2, signs=3, **options)
    assert len(rows) == 2 and sorted(rows[0]["gloss"] + rows[1]["gloss"]) == ["book", "book", "cool", "cool"]
    row = rows[0]
    assert row["fps"] == 25 and row["sign_language"] == "American Sign Language"
    assert len(row["gloss_start"]) == len(row["gloss"]) == 3
    clip = decode_clip(row)
    for start, end in zip(row["gloss_start"], row["gloss_end"]):
        assert (clip.scores[start:end, 9:51] > 0).any()
    # x and y in heights of the picture, which is 1.7 times as wide as high.
    assert 0.9 < clip.keypoints[clip.scores > 0][:, 0].max() < 1.4 > clip.keypoints[clip.scores > 0][:, 1].max()
    assert [
        list(one["gloss"]) for one in load_corpus("joined_signs", split="train", repeats=2, signs=3, **options)
    ] == [list(one["gloss"]) for one in rows]
    with pytest.raises(ValueError, match="expected source as one of"):
        load_corpus("joined_signs", split="train", source="joined_signs", **options)


@pytest.mark.slow
def test_a_model_learns_to_find_signs(tmp_path: Path) -> None:
    """Through `finetune`, from recordings at 50 frames per second, and is used at 30."""
    from modeling_sigma.training.recipes.finetune import main

    rng = np.random.default_rng(0)

    def made(seed: int) -> tuple[PoseClip, list[tuple[int, int]]]:
        times = np.cumsum(rng.uniform(0.5, 1.2, 16)).reshape(8, 2)
        spans = [(float(a), float(b)) for a, b in times]
        return recording(times[-1, 1] + 0.5, 50, *spans, seed=seed), [(round(50 * a), round(50 * b)) for a, b in spans]

    clips, spans = zip(*[made(seed) for seed in range(24)])
    (tmp_path / "data").mkdir()
    corpus(*clips, spans=list(spans)).to_parquet(tmp_path / "data" / "train.parquet")
    config = {
        "text_config": {"model_type": "t5", "d_model": 32, "d_kv": 8, "d_ff": 32, "num_heads": 2, "num_layers": 1},
        "pose_config": {
            "parts": ["left_hand", "right_hand"], "joint_hidden_size": 4, "spatial_hidden_sizes": [4],
            "temporal_hidden_sizes": [4], "kinematic_hidden_size": 16, "kinematic_layers": 2,
        },
        "use_prompt": False, "max_frames": 64, "label_smoothing": 0.0,
    }  # fmt: skip
    arguments = [
        "--task", "segmentation", "--corpus", str(tmp_path / "data"), "--validation_split", "none",
        "--test_split", "train", "--do_predict", "true",
        "--model_config", json.dumps(config), "--feature_extractor", json.dumps(HANDS),
        "--do_train", "true", "--max_steps", "60", "--learning_rate", "5e-3", "--per_device_train_batch_size", "8",
        "--output_dir", str(tmp_path / "run"), "--eval_strategy", "no", "--save_strategy", "no",
        "--load_best_model_at_end", "false", "--report_to", "none",
    ]  # fmt: skip
    scores = main(arguments)["test"]
    assert scores["f1@0.5"] > 80 and scores["num_references"] >= 24 * 8
    signs = [(0.5, 1.5), (2.0, 2.9), (4.0, 5.0), (6.1, 7.2)]
    found = load_pipeline(tmp_path / "run", device="cpu")(recording(8, 30, *signs, seed=99))
    assert len(found) == len(signs)
    assert np.abs(np.array([[one["start"], one["end"]] for one in found]) - signs).max() < 0.2
