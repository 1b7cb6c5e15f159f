"""Subtitles with loose times: which signs belong to which, by hand and by simulation; the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import tiny_model

from modeling_sigma import SigmaFeatureExtractor, SigmaForSequenceClassification, save_bundle
from modeling_sigma.cli.main import main
from modeling_sigma.inference.subtitle_aligner import SubtitleAligner
from modeling_sigma.inference.subtitle_alignment import place_subtitles
from modeling_sigma.inference.subtitle_scores import label_scores, mentioned_labels
from modeling_sigma.io import save_clip
from modeling_sigma.io.annotations import AnnotatedRecording, Annotation, annotation_text, read_annotations
from modeling_sigma.model.pose_clip import PoseClip


Span = tuple[float, float]


# --- which signs belong to which subtitle


def test_pauses_alone_place_subtitles() -> None:
    signs = [(2.0, 2.6), (2.7, 3.4), (5.0, 5.8), (5.9, 6.5), (6.6, 7.0), (9.0, 10.0)]
    true = [(2.0, 3.4), (5.0, 7.0), (9.0, 10.0)]
    for shift in (-2.5, 0.0, 1.2):
        loose = [(start + shift + 2.5, end + shift + 2.5) for start, end in true]
        placed = place_subtitles(loose, [(a + 2.5, b + 2.5) for a, b in signs], np.zeros((3, 6)))
        assert [(one.start, one.end) for one in placed] == [(a + 2.5, b + 2.5) for a, b in true]
        assert [one.signs for one in placed] == [(0, 2), (2, 5), (5, 6)]


def test_words_decide_where_there_are_no_pauses() -> None:
    signs = [(float(number), float(number + 1)) for number in range(6)]
    scores = np.full((2, 6), -1.0)
    scores[0, 1:3] = scores[1, 3:6] = 3.0  # the first sign belongs to nobody
    placed = place_subtitles([(0.2, 2.2), (2.2, 5.2)], signs, scores)
    assert [one.signs for one in placed] == [(1, 3), (3, 6)]


def test_what_has_no_signs_moves_like_its_neighbours() -> None:
    signs = [(2.0, 3.0), (12.0, 13.0)]
    placed = place_subtitles([(0.0, 1.0), (4.0, 9.0), (10.0, 11.0)], signs, np.zeros((3, 2)))
    assert [one.signs for one in placed] == [(0, 1), None, (1, 2)]
    assert (placed[1].start, placed[1].end) == (6.0, 11.0)
    assert place_subtitles([(1.0, 2.0)], [], np.zeros((1, 0))) == [(1.0, 2.0, None)]
    assert place_subtitles([], signs, np.zeros((0, 2))) == []
    # Nothing moves further than it may.
    assert place_subtitles([(50.0, 51.0)], signs, np.zeros((1, 2)), max_shift=5.0) == [(50.0, 51.0, None)]
    with pytest.raises(ValueError, match="expected a score for each of 1 subtitles and 2 signs"):
        place_subtitles([(0.0, 1.0)], signs, np.zeros((2, 1)))


def simulated(seed: int, knows_words: bool) -> tuple[list[Span], list[Span], list[Span], np.ndarray]:
    """True and loose subtitles, the signs, and scores that are right in seven of ten."""
    rng = np.random.default_rng(seed)
    true, signs, owners, place = [], [], [], 1.0
    for number in range(12):
        first = place
        for _ in range(rng.integers(2, 6)):
            length = rng.uniform(0.4, 0.9)
            signs.append((place, place + length))
            owners.append(number)
            place += length + rng.uniform(0.05, 0.2)
        true.append((first, signs[-1][1]))
        place += rng.uniform(0.3, 1.5)
    shift = rng.uniform(-4, 4)
    loose = [(a + shift + move, b + shift + move) for (a, b), move in zip(true, rng.normal(0, 0.5, len(true)))]
    scores = np.zeros((len(true), len(signs)))
    if knows_words:
        scores -= 0.5
        for sign, owner in enumerate(owners):
            scores[owner if rng.random() < 0.7 else rng.integers(len(true)), sign] = 2.5
    return true, loose, signs, scores


def test_loose_times_become_true_ones() -> None:
    errors: dict[str, list[float]] = {"loose": [], "pauses": [], "words": []}
    for seed in range(6):
        for way, knows_words in (("pauses", False), ("words", True)):
            true, loose, signs, scores = simulated(seed, knows_words)
            placed = place_subtitles(loose, signs, scores)
            errors[way] += [abs(one.start - start) for one, (start, _) in zip(placed, true)]
        errors["loose"] += [abs(a - start) for (a, _), (start, _) in zip(loose, true)]
    medians = {way: float(np.median(values)) for way, values in errors.items()}
    assert medians["words"] < 0.05 and medians["pauses"] < 0.5 * medians["loose"]
    assert np.mean(np.array(errors["words"]) < 0.2) > 0.9


# --- scores


def test_labels_that_a_text_mentions() -> None:
    labels = ["book", "thank you", "go", "año", "-"]
    texts = ["A BOOK? Thank  you!", "books go", "el año", "you thank", ""]
    assert mentioned_labels(texts, labels) == [[0, 1], [2], [3], [], []]


def test_scores_by_hand() -> None:
    candidates = [{"a": 0.9, "b": 0.1}, {"a": 0.1, "b": 0.9}, {}]
    scores = label_scores([["a"], [], ["a", "b"]], candidates)
    mean = (0.9 + 0.1) / 3
    assert scores[0] == pytest.approx(np.log(np.array([0.92, 0.12, 0.02]) / (mean + 0.02)))
    assert (scores[1] == 0).all() and scores[2, 0] == scores[2, 1] > 0 > scores[2, 2]


# --- the command


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("align")
    head = tiny_model(SigmaForSequenceClassification, use_prompt=False, num_labels=2, id2label={0: "KA", 1: "GA"})
    extractor = SigmaFeatureExtractor(scale_reference="hands", fill_wrists=True, max_frames=8)
    save_bundle(head, extractor, path / "head", include_code=False)
    rng = np.random.default_rng(0)
    flags = np.concatenate([np.full(20, place % 2) for place in range(10)])  # signs and rests of a second each
    scores = np.repeat(flags[:, None].astype(float), 42, axis=1)
    save_clip(path / "talk.npz", PoseClip(rng.uniform(10, 400, (200, 42, 2)), scores, "hands_42", fps=20.0))
    rows = [Annotation(2.0 * n + 0.4, 2.0 * n + 1.4, f"ka {n}") for n in range(5)]
    (path / "talk.srt").write_text(annotation_text(AnnotatedRecording(tuple(rows)), ".srt"), encoding="utf-8")
    return path


def test_command(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["align", str(folder / "talk.npz"), str(folder / "talk.srt"), "--model", str(folder / "head")]
    out = tmp_path / "talk.eaf"
    assert main([*command, "--out", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    moved = read_annotations(out).annotations
    assert [one.value for one in moved] == [f"ka {n}" for n in range(5)]
    assert [row["to"] for row in report["subtitles"]] == [[one.start, one.end] for one in moved]
    # Hands are seen in every other second, beginning with the second one.
    starts = [one.start for one in moved]
    assert np.abs(np.array(starts) - [1, 3, 5, 7, 9]).max() < 0.3 and report["median_shift"] == pytest.approx(
        0.6, abs=0.3
    )

    assert main([*command, "--out", str(out)]) == 1
    assert "exists already" in capsys.readouterr().err
    assert main([*command, "--out", str(out), "--force"]) == 0
    assert "5 subtitles, moved by +0." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--out": "talk.txt"}, "expected --out as one of .eaf"),
        ({"--model": None}, "expected a model that names signs"),
        ({"--tier": "other"}, "expected the tier 'other', found subtitles"),
        ({"--max-shift": "0"}, "expected --max-shift"),
        ({"--segmenter": "head"}, "expected a model for sign-segmentation"),
    ],
)
def test_command_refuses(
    change: dict[str, Any], message: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(folder)
    options: dict[str, Any] = {"--model": "head", "--out": str(tmp_path / "a.srt"), **change}
    words = [word for name, value in options.items() if value is not None for word in (name, value)]
    assert main(["align", "talk.npz", "talk.srt", *words]) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_other_tiers_stay_as_they_are(folder: Path, tmp_path: Path) -> None:
    others = (Annotation(0.5, 1.5, "no", "notes"), Annotation(7.0, 8.0, "KA", "signs", "Ada", (("KA", 0.5),)))
    rows = (*others, Annotation(2.2, 3.2, "ka", "text"))
    (tmp_path / "a.eaf").write_text(annotation_text(AnnotatedRecording(rows), ".eaf"), encoding="utf-8")
    command = ["align", str(folder / "talk.npz"), str(tmp_path / "a.eaf"), "--model", str(folder / "head")]
    assert main([*command, "--out", str(tmp_path / "b.eaf")]) == 1  # which tier?
    assert main([*command, "--out", str(tmp_path / "b.eaf"), "--tier", "text"]) == 0
    found = read_annotations(tmp_path / "b.eaf")
    assert set(others) <= set(found.annotations) and len(found.annotations) == 3
    assert found.in_tier("text")[0].start != 2.2


def test_an_aligner_needs_a_model_that_finds_signs(folder: Path) -> None:
    with pytest.raises(ValueError, match="received none"):
        SubtitleAligner()
