"""Moving skeletons, alignment and attention maps, curves, confusions, search results: by facts about their pixels."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageFont

from datasets_scripts.synthetic import SyntheticSigns
from modeling_sigma import SigmaForPreTraining, SigmaForSequenceClassification, SigmaModel, save_bundle
from modeling_sigma.cli.main import main
from modeling_sigma.io import save_clip
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.viz import script_fonts
from modeling_sigma.viz.alignment_map import _apart, draw_alignment_map
from modeling_sigma.viz.attention_map import draw_attention_map
from modeling_sigma.viz.confusion_matrix import count_confusions, draw_confusion_matrix
from modeling_sigma.viz.curve_kinds import panels_of, short_names
from modeling_sigma.viz.model_maps import alignment_of, attention_of
from modeling_sigma.viz.picture_style import (
    DARK,
    LIGHT,
    font_for,
    nice_ticks,
    ramp_colors,
    shorten,
    theme_of,
    tick_text,
)
from modeling_sigma.viz.retrieval_examples import RetrievalExample, draw_retrieval_examples
from modeling_sigma.viz.skeleton_animation import save_animation, skeleton_frames
from modeling_sigma.viz.training_curves import _smooth, _spread, draw_training_curves, read_curves
from tests.factories import random_clip, tiny_model, tiny_processor


@pytest.fixture(scope="module")
def clip() -> PoseClip:
    return SyntheticSigns().isolated(0).clip.frames(slice(0, 12))


def _pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def _count(image: Image.Image, color: Any, tolerance: int = 3) -> int:
    return int((np.abs(_pixels(image) - color).max(axis=-1) <= tolerance).sum())


# --- style


def test_ramps_are_ordered_and_text_has_contrast() -> None:
    for theme in (LIGHT, DARK):
        grey = ramp_colors(np.linspace(0, 1, 50), theme) @ np.array([0.299, 0.587, 0.114])
        steps = np.diff(grey)
        assert (steps <= 1).all() or (steps >= -1).all(), "readable also without colours"
        for ink in (theme.text, theme.faint, theme.right, theme.wrong):
            assert _contrast(ink, theme.background) >= 4.5, ink  # WCAG AA
        for ink in (*theme.series, *theme.parts.values()):
            assert _contrast(ink, theme.background) >= 3, ink  # lines
    assert theme_of(True) is DARK and theme_of(False) is LIGHT


def _contrast(one: Any, other: Any) -> float:
    def luminance(color: Any) -> float:
        channels = np.asarray(color) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ (0.2126, 0.7152, 0.0722))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_ticks_are_round() -> None:
    assert nice_ticks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert nice_ticks(3, 47) == pytest.approx([10, 20, 30, 40])
    assert nice_ticks(2, 2) == [2]
    assert [tick_text(value, 0.2) for value in (0, 0.2)] == ["0.0", "0.2"] and tick_text(20, 10) == "20"
    font = font_for(14)
    assert shorten("short", font, 100) == "short"
    long = shorten("a very long text indeed", font, 60)
    assert long.endswith("…") and font.getlength(long) <= 60


# --- moving skeletons


def test_frames_show_parts_time_and_captions(clip: PoseClip) -> None:
    frames = list(skeleton_frames(clip, captions="a caption", height=160))
    assert len(frames) == len(clip) and len({frame.size for frame in frames}) == 1
    assert frames[0].size[0] % 2 == frames[0].size[1] % 2 == 0
    for color in LIGHT.parts.values():
        assert _count(frames[5], color) > 5
    bar = [_count(frame, LIGHT.text) for frame in frames]
    assert all(later > earlier for earlier, later in zip(bar, bar[1:])), "the bar fills"
    assert (_pixels(frames[0]) != _pixels(frames[6])).any()
    assert next(skeleton_frames(clip, dark=True)).getpixel((0, 0)) == DARK.background


def test_captions_come_and_go(clip: PoseClip) -> None:
    fps = clip.fps
    frames = list(skeleton_frames(clip, captions=[("HELLO", 0.0, 4 / fps), ("WORLD", 8 / fps, 12 / fps)], height=160))
    plain = list(skeleton_frames(clip, captions=[("", 0.0, 1.0)], height=160))
    size = frames[0].size
    ink = [_count(frame.crop((0, 200, *size)), LIGHT.text) for frame in frames]
    assert min(ink[:4]) > max(ink[4:8]) and min(ink[8:]) > max(ink[4:8])
    assert plain[0].size[0] == size[0]
    with pytest.raises(ValueError, match="to end after its start, received 2 to 1 s"):
        next(skeleton_frames(clip, captions=[("x", 2, 1)]))


def test_a_clip_without_joints() -> None:
    empty = PoseClip(np.zeros((3, 133, 2)), np.zeros((3, 133)), fps=25.0)
    frames = list(skeleton_frames(empty, height=160))
    assert len(frames) == 3 and _count(frames[0], LIGHT.faint) > 20


def test_gif(clip: PoseClip, tmp_path: Path) -> None:
    path = save_animation(tmp_path / "x.gif", clip, height=120, captions="hello")
    with Image.open(path) as image:
        assert image.n_frames == len(clip) and image.info["loop"] == 0
        durations = []
        for frame in range(image.n_frames):
            image.seek(frame)
            durations.append(image.info["duration"])
        assert sum(durations) == pytest.approx(1000 * len(clip) / clip.fps, abs=10), "no drift"
        assert _count(image.convert("RGB"), LIGHT.parts["left_hand"], 25) > 5


def test_mp4(clip: PoseClip, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = save_animation(tmp_path / "x.mp4", clip, height=120, fps=10)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert float(stream.average_rate) == 10 and stream.codec_context.pix_fmt == "yuv420p"
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    expected = list(skeleton_frames(clip, height=120))
    assert len(frames) == len(clip)
    assert np.abs(frames[6].astype(int) - _pixels(expected[6])).mean() < 3


def test_bad_files(clip: PoseClip, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected a \.gif or \.mp4 file, received \.webp"):
        save_animation(tmp_path / "x.webp", clip)
    with pytest.raises(ValueError, match="expected a positive number of frames per second"):
        save_animation(tmp_path / "x.gif", clip, fps=-1)


# --- maps


def test_alignment_map_is_dark_where_values_are_high(clip: PoseClip) -> None:
    values = np.full((2, 12), -0.5)
    values[0, 2], values[1, 9] = 0.9, 0.4
    image = draw_alignment_map(values, ["hello", "world"], clip=clip)
    strongest = np.argwhere(np.abs(_pixels(image) - LIGHT.ramp[-1]).max(-1) <= 3)
    upper, lower = (
        strongest[np.abs(strongest[:, 0] - y) < 10] for y in (_row_middle(image, 0), _row_middle(image, 1))
    )
    assert upper[:, 1].mean() < lower[:, 1].mean(), "each word has its own scale and place"
    assert _count(image, LIGHT.series[1]) > 50, "the best frames are framed"
    assert _count(image, LIGHT.parts["body"]) > 50, "and drawn"
    plain = draw_alignment_map(values, ["hello", "world"])
    assert plain.height < image.height and _count(plain, LIGHT.parts["face"]) == 0
    flat = draw_alignment_map(np.zeros((1, 12)), ["x"], dark=True, title="nothing")
    assert _count(flat, DARK.ramp[0]) > 1000


def _row_middle(image: Image.Image, row: int) -> int:
    return image.height - 46 - (2 - row) * 38 + 17


def test_figures_do_not_overlap() -> None:
    assert _apart([0, 1, 2], 10, 0, 100) == [0, 10, 20]
    assert _apart([95, 96, 97], 10, 0, 100) == [80, 90, 100]
    assert _apart([5, 50], 10, 0, 100) == [5, 50]


def test_attention_map_has_a_curve_and_a_figure_a_word(clip: PoseClip) -> None:
    weights = np.zeros((2, 12))
    weights[0, 3], weights[1, 8] = 0.8, 0.2
    image = draw_attention_map(weights, ["hello", "world"], clip, title="looks")
    dots = np.argwhere(np.abs(_pixels(image) - LIGHT.series[1]).max(-1) <= 3)
    assert len(dots) > 50
    one = draw_attention_map(weights[:1], ["hello"], clip)
    assert image.height > one.height
    for color in (LIGHT.series[0], LIGHT.parts["face"]):
        assert _count(image, color, 8) > 20


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda c: draw_alignment_map(np.zeros(3), ["a"]), r"expected finite values of shape"),
        (lambda c: draw_alignment_map(np.full((1, 3), np.nan), ["a"]), r"expected finite values"),
        (lambda c: draw_alignment_map(np.zeros((2, 3)), ["a"]), "expected 2 words, one per row, received 1"),
        (lambda c: draw_alignment_map(np.zeros((1, 3)), ["a"], frames=[1]), "expected 3 frames, one per column"),
        (lambda c: draw_attention_map(-np.ones((1, 3)), ["a"], c), "not negative"),
        (lambda c: draw_attention_map(np.ones((1, 3)), ["a", "b"], c), "expected 1 words"),
        (lambda c: draw_attention_map(np.ones((1, 3)), ["a"], c, frames=[0]), "expected 3 frames"),
        (lambda c: draw_confusion_matrix(["a"], []), "expected one prediction per reference"),
        (lambda c: draw_confusion_matrix(["a"], ["a"], max_labels=1), "max_labels of at least 2"),
        (lambda c: draw_retrieval_examples([]), "at least one example"),
        (lambda c: draw_retrieval_examples([RetrievalExample("a", [])]), "at least one result per query"),
        (lambda c: draw_retrieval_examples([RetrievalExample("a", [("b", 1.0)], [])]), "expected 1 marks"),
        (lambda c: draw_training_curves({"loss": [(0, 1.0)]}), "at least one curve with two finite values"),
    ],
)
def test_mistakes(draw: Callable[[PoseClip], Any], message: str, clip: PoseClip) -> None:
    with pytest.raises(ValueError, match=message):
        draw(clip)


@torch.no_grad()
def test_alignment_of_a_model_is_its_own() -> None:
    model, processor, clip = tiny_model(SigmaModel), tiny_processor(max_frames=8), random_clip(20)
    found = alignment_of(model, processor, clip, "hello world today")
    assert found.words == ["hello", "world", "today"] and found.values.shape == (3, 8)
    assert found.frames.tolist() == sorted(set(found.frames.tolist())) and len(found.frames) == 8
    inputs = processor(poses=clip, text="hello world today")
    inputs.pop("labels")
    expected = model(**inputs, output_alignment=True).alignment[0]
    assert np.allclose(found.values, expected.numpy(), atol=1e-5)
    with pytest.raises(ValueError, match="at least one word"):
        alignment_of(model, processor, clip, " ")


@torch.no_grad()
@pytest.mark.parametrize("use_prompt", [True, False])
def test_attention_of_a_model_covers_what_it_writes(use_prompt: bool) -> None:
    model, processor, clip = tiny_model(seed=2, use_prompt=use_prompt), tiny_processor(), random_clip(9)
    found = attention_of(model, processor, clip, num_beams=1, max_new_tokens=6)
    inputs = dict(processor(poses=clip))
    inputs = {name: value for name, value in inputs.items() if use_prompt or not name.startswith("prompt_")}
    text = processor.batch_decode(model.generate(**inputs, num_beams=1, max_new_tokens=6), skip_special_tokens=True)[0]
    assert "".join(found.words) == text.replace(" ", "")
    assert found.values.shape == (len(found.words), 9) and (found.values >= 0).all()
    assert (found.values.sum(axis=1) <= 1 + 1e-5).all(), "prompt and [CLS] have the rest"
    assert model.decoder.config._attn_implementation == "sdpa", "as it was"


# --- curves


def test_curves_of_a_log(tmp_path: Path) -> None:
    log = [{"step": step, "loss": 3.0 / step, "learning_rate": 0.1, "frames": 900} for step in range(1, 6)]
    log.append({"step": 5, "eval_bleu4": 12.0, "eval_runtime": 3.0})
    log.append({"step": 9, "train_loss": 1.0, "total_flos": 1})
    for name, text in (
        ("trainer_state.json", json.dumps({"log_history": log})),
        ("log.json", json.dumps(log)),
        ("log.jsonl", "\n".join(map(json.dumps, log))),
    ):
        (tmp_path / name).write_text(text)
        curves = read_curves(tmp_path / name)
        assert curves == {"loss": [(step, 3.0 / step) for step in range(1, 6)], "eval_bleu4": [(5.0, 12.0)]}
    for text in ("{}", "[]", "no json"):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(ValueError, match=r"bad\.json: expected"):
            read_curves(tmp_path / "bad.json")


def test_losses_and_scores_have_panels_of_their_own() -> None:
    losses = {"loss": [(0, 3.0), (10, 1.0)], "eval_loss": [(0, 3.5), (10, 2.0)]}
    both = {**losses, "eval_bleu4": [(0, 0.0), (10, 20.0)]}
    one, two = draw_training_curves(losses), draw_training_curves(both)
    assert two.height > 1.8 * one.height and two.width == one.width
    assert _count(one, LIGHT.series[0], 8) > 100 and _count(one, LIGHT.series[1], 8) > 100


def test_curves_share_a_panel_only_with_their_kind() -> None:
    retrieval = [
        f"eval_{way}_{name}" for way in ("pose_to_text", "text_to_pose") for name in ("r1", "r10", "mean_rank")
    ]
    terms = [f"{prefix}{name}_loss" for prefix in ("", "eval_") for name in ("lm", "matching", "local", "global")]
    names = ["loss", "eval_loss", "eval_top1_per_class", "matching_accuracy", *terms, *retrieval]
    panels = dict(panels_of(names, len(LIGHT.series)))
    assert sorted(name for members in panels.values() for name in members) == sorted(names), "each once"
    assert panels["Loss"] == ["loss", "eval_loss"] and panels["Shares, from 0 to 1"] == ["matching_accuracy"]
    assert panels["Terms of the loss, training"] == terms[:4] and panels["Terms of the loss, evaluation"] == terms[4:]
    assert panels["Clip to text, rank of the right one"] == ["eval_pose_to_text_mean_rank"]
    assert all(len(members) <= len(LIGHT.series) for members in panels.values()), "no colour twice"
    assert [len(members) for _, members in panels_of([f"x{number}" for number in range(14)], 6)] == [6, 6, 2]
    assert short_names(["loss", "eval_loss"], "Loss") == {"loss": "loss", "eval_loss": "loss (evaluation)"}
    assert short_names(["eval_pose_to_text_r1"], "Clip to text")["eval_pose_to_text_r1"] == "r1"
    both = ["eval_pose_to_text_r1", "eval_text_to_pose_r1"]
    assert short_names(both, "Other numbers") == {name: name for name in both}, "no curve is lost"


def test_no_label_of_a_curve_is_cut_off() -> None:
    long = "eval_a_very_long_name_of_a_score_that_somebody_logged_once"
    image = draw_training_curves({long: [(0, 1.0), (10, 2.0)]})
    edge = _pixels(image)[:, -6:]
    assert (edge == LIGHT.background).all() and image.width > 560 + 66 + 300


def test_a_training_that_broke_shows_where() -> None:
    points = [(step, 1.0 if step < 20 else float("nan")) for step in range(40)]
    image = draw_training_curves({"loss": points})
    crosses = np.argwhere(np.abs(_pixels(image) - LIGHT.wrong).max(-1) <= 12)
    assert len(crosses) > 30 and crosses[:, 1].min() > 66 + 0.45 * 560


def test_no_seconds_are_invented(clip: PoseClip) -> None:
    """A clip without a frame rate shows its frames: the same picture at whatever rate it is drawn."""
    with_rate, without = (
        [_pixels(frame) for frame in skeleton_frames(replace(clip, fps=fps), height=80)] for fps in (25.0, None)
    )
    assert (with_rate[0] != without[0]).any() and with_rate[0].shape == without[0].shape


def test_a_script_without_a_font_is_told_once_and_one_with_a_font_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    script_fonts.font_of_script.cache_clear()
    monkeypatch.setattr(script_fonts, "_installed", lambda name, size: None)
    with pytest.warns(UserWarning, match=r"can draw .* \(Bengali\), which become boxes: .*fonts-noto-core"):
        assert font_for(14, "আমি") is not None
    script_fonts.font_of_script.cache_clear()
    with pytest.warns(UserWarning, match="fonts-noto-cjk"):
        font_for(14, "天气")
    ours = ImageFont.load_default(14)  # a stand-in for an installed font, which has Latin letters alone
    monkeypatch.setattr(script_fonts, "_installed", lambda name, size: ours)
    script_fonts.font_of_script.cache_clear()
    with pytest.warns(UserWarning, match="'天'"):
        assert font_for(14, "天a") is ours
    script_fonts.font_of_script.cache_clear()


def test_smoothing_and_labels() -> None:
    points = np.stack([np.arange(300.0), np.tile([0.0, 2.0], 150)], axis=1)
    assert np.abs(_smooth(points)[20:-20, 1] - 1).max() < 0.2
    assert _spread([100, 100, 100], 230) == [100, 118, 136]
    low = _spread([220, 225, 228], 230)
    assert max(low) <= 224 and min(np.diff(low)) >= 18 - 1e-9


# --- confusions


def test_confusions_are_counted() -> None:
    labels, counts = count_confusions(["a", "a", "b", "c"], ["a", "b", "b", "a"], 20)
    assert labels == ["a", "b", "c"] and counts.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]
    labels, counts = count_confusions(["a", "a", "b", "c", "c"], ["a", "b", "b", "x", "y"], 2)
    assert labels == ["c", "a"], "the most confused first"
    assert counts.tolist() == [[0, 0, 2], [0, 1, 1]], "with one column for all else"


def test_confusion_matrix_is_dark_on_a_good_diagonal() -> None:
    image = draw_confusion_matrix(["a", "b", "c"] * 5, ["a", "b", "c"] * 5)
    assert _count(image, LIGHT.ramp[-1]) > 3 * 600 and _count(image, LIGHT.right) > 3 * 100
    wrong = draw_confusion_matrix(["a", "b", "c"] * 5, ["b", "c", "a"] * 5, dark=True, title="all wrong")
    assert _count(wrong, DARK.ramp[-1]) > 3 * 600
    many = draw_confusion_matrix([f"label {n}" for n in range(60)], ["other"] * 60)
    assert many.width < 1000


# --- search results


def test_right_results_are_marked(clip: PoseClip) -> None:
    results = [(clip, 0.9), (clip, 0.5)]
    marked = draw_retrieval_examples([RetrievalExample("hello", results, [False, True])])
    plain = draw_retrieval_examples([RetrievalExample("hello", results)])
    assert marked.size == plain.size
    assert _count(marked, LIGHT.right) > 500 > 100 > _count(plain, LIGHT.right)
    texts = draw_retrieval_examples(
        [RetrievalExample(clip, [("hello", 0.5), ("a much longer sentence that takes lines", -0.2)])], dark=True
    )
    assert _count(texts, DARK.parts["face"], 8) > 20
    both = draw_retrieval_examples([RetrievalExample("hello", results)] * 2, title="found")
    assert both.height > 2 * plain.height - 60


# --- the command


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, clip: PoseClip) -> Path:
    path = tmp_path_factory.mktemp("view")
    save_clip(path / "clip.npz", clip)
    save_bundle(tiny_model(SigmaForPreTraining, seed=2), tiny_processor(), path / "pretrained")
    model = tiny_model(SigmaForSequenceClassification, use_prompt=False, num_labels=2)
    save_bundle(model, tiny_processor().feature_extractor, path / "labels")
    (path / "trainer_state.json").write_text(json.dumps({"log_history": [{"step": n, "loss": 1 / n} for n in (1, 2)]}))
    (path / "predictions.txt").write_text("a\nb\nb\n")
    (path / "references.txt").write_text("a\nb\na\n")
    return path


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["clip.npz", "--caption", "hello", "--height", "80"], "x.gif"),
        (["clip.npz", "--fps", "5", "--height", "80"], "x.mp4"),
        (["clip.npz", "--frames", "3", "--dark"], "x.png"),
        (["clip.npz", "--model", "pretrained"], "attention.png"),
        (["clip.npz", "--model", "pretrained", "--align", "hello world"], "alignment.png"),
        (["trainer_state.json", "--title", "a run"], "curves.png"),
        (["predictions.txt", "--references", "references.txt"], "confusions.png"),
    ],
)
def test_view(arguments: list[str], name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name.endswith(".mp4"):
        pytest.importorskip("av")
    monkeypatch.chdir(folder)
    out = tmp_path / name
    assert main(["view", *arguments, "--out", str(out)]) == 0
    assert out.stat().st_size > 500


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.npz", "--out", "x.gif"], "nothing.npz: no such file"),
        (["clip.npz", "--out", "x.bmp"], "expected .gif or .mp4 or .png for this picture, received .bmp"),
        (["trainer_state.json", "--out", "x.gif"], "expected .png for this picture, received .gif"),
        (["clip.npz", "--align", "hello", "--out", "x.png"], "--align needs --model DIR"),
        (["clip.npz", "--model", "labels", "--out", "x.png"], "expected a model for sign-language-translation (Sigma"),
        (
            ["clip.npz", "--model", "labels", "--align", "a", "--out", "x.png"],
            "expected a model for sign-text-retrieval (SigmaM",
        ),
        (["clip.npz", "--out", "x.gif", "--height", "3"], "at least 40 pixels"),
    ],
)
def test_view_tells_mistakes(
    arguments: list[str],
    message: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    assert main(["view", *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
