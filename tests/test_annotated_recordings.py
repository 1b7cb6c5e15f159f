"""Recordings with annotations beside them, as a corpus: ELAN's files and subtitles become clips with labels."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import random_clip

from datasets_scripts.corpora import load_corpus
from datasets_scripts.folder import Folder
from datasets_scripts.schema import decode_clip
from modeling_sigma.cli.main import main
from modeling_sigma.io import save_clip
from modeling_sigma.io.annotations import AnnotatedRecording, Annotation, annotation_text
from modeling_sigma.training.recipes.adapt import AdaptOptions, load_clips


LANGUAGES = {"sign_language": "Nepali Sign Language", "spoken_language": "Nepali"}
FPS = 25.0


def record(folder: Path, name: str, seconds: float = 4.0, seed: int = 0) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    save_clip(folder / f"{name}.npz", random_clip(round(seconds * FPS), seed=seed))


def annotate(folder: Path, name: str, *rows: Annotation, **fields: Any) -> Path:
    path = folder / name
    path.write_text(annotation_text(AnnotatedRecording(rows, **fields), path.suffix), encoding="utf-8")
    return path


def load(folder: Path, **options: Any) -> dict[str, dict[str, Any]]:
    builder = Folder(data_dir=folder, cache_dir=folder.parent / "cache", **{**LANGUAGES, **options})
    builder.download_and_prepare()
    return {row["sample_id"]: row for part in builder.as_dataset().values() for row in part}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "archive"
    path.mkdir()
    return path


def test_each_annotation_is_a_clip(folder: Path) -> None:
    record(folder, "talk")
    record(folder, "deep/walk", seed=1)
    rows = [Annotation(0.4, 1.2, "KA", "gloss", "Ada"), Annotation(2.0, 3.0, "KHA\nGA", "gloss", "Ada")]
    annotate(folder, "talk.eaf", *rows)
    annotate(folder, "deep/walk.eaf", Annotation(0.0, 0.8, "KA", "gloss", "Ben"))
    found = load(folder, validation_share=0.0, test_share=0.0)
    assert list(found) == ["deep/walk gloss 0.000-0.800", "talk gloss 0.400-1.200", "talk gloss 2.000-3.000"]
    first = found["talk gloss 0.400-1.200"]
    assert (first["text"], first["signer_id"], first["num_frames"]) == ("KA", "Ada", 20)
    whole = random_clip(100, seed=0)
    np.testing.assert_allclose(
        decode_clip(first).keypoints[:, 9:51], whole.keypoints[10:30][:, [*range(91, 133)]], rtol=1e-2, atol=1
    )
    assert found["talk gloss 2.000-3.000"]["text"] == "KHA GA"


def test_tiers_are_chosen_by_name(folder: Path) -> None:
    record(folder, "talk")
    rows = [
        Annotation(0.0, 1.0, "KA", "A_RH"),
        Annotation(0.0, 2.0, "a letter", "sentence"),
        Annotation(1.0, 2.0, "GA", "A_LH"),
    ]
    annotate(folder, "talk.eaf", *rows)
    with pytest.raises(ValueError, match=r"expected tiers=, .* received none and several .*A_RH \(1\), .*: name them"):
        load(folder)
    assert [row["text"] for row in load(folder, tiers="sentence").values()] == ["a letter"]
    assert sorted(row["text"] for row in load(folder, tiers="A_?H").values()) == ["GA", "KA"]
    assert len(load(folder, tiers="A_RH, sentence")) == 2
    for wrong in ("mouth", "a_rh", " , "):
        with pytest.raises(ValueError, match="expected tiers= among A_RH"):
            load(folder, tiers=wrong)


def test_what_cannot_be_a_clip_is_left_out_and_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    record(folder, "talk")
    rows = [
        Annotation(0.0, 1.0, "KA"),
        Annotation(1.0, 2.0, " "),
        Annotation(2.5, 2.5, "GA"),
        Annotation(3.5, 4.2, "a little beyond the end"),
        Annotation(86_400.0, 86_401.0, "far beyond the end"),
    ]
    annotate(folder, "talk.eaf", *rows)
    with caplog.at_level(logging.WARNING):
        found = load(folder, validation_share=0.0, test_share=0.0)
    assert sorted(row["text"] for row in found.values()) == ["KA", "a little beyond the end"]
    for said in (
        "1 annotations without a value are left out",
        "1 annotations that end where they start are left out",
        "received a recording of 4.0 s",
    ):
        assert said in caplog.text


def test_subtitles_are_sentences(folder: Path) -> None:
    record(folder, "news")
    annotate(folder, "news.srt", Annotation(0.0, 1.5, "Good evening."), Annotation(1.5, 3.0, "It rains."))
    found = load(folder, validation_share=0.0, test_share=0.0)
    assert [row["text"] for row in found.values()] == ["Good evening.", "It rains."]
    # Where somebody has annotated, subtitles are not looked at unless asked for.
    annotate(folder, "news.eaf", Annotation(0.0, 1.0, "KA"))
    assert [row["text"] for row in load(folder).values()] == ["KA"]
    assert len(load(folder, annotations="*.srt", validation_share=0.0, test_share=0.0)) == 2
    with pytest.raises(FileNotFoundError, match=r"expected files of annotations like \*.vtt, found none"):
        load(folder, annotations="*.vtt")


def test_elans_table_is_read_where_it_is_named(folder: Path) -> None:
    record(folder, "talk")
    (folder / "talk.txt").write_text("gloss\tAda\t00:00:00.000\t00:00:01.000\t00:00:01.000\tKA\n", encoding="utf-8")
    (row,) = load(folder, annotations="*.txt").values()
    assert (row["text"], row["signer_id"]) == ("KA", "Ada")


def test_the_recording_may_have_the_name_of_the_media(folder: Path) -> None:
    record(folder, "film_01")
    annotate(folder, "by Ada.eaf", Annotation(0.0, 1.0, "KA"), media=("film_01.mp4",))
    assert [row["text"] for row in load(folder).values()] == ["KA"]
    # What we have transcribed lies beside it, and is no recording.
    annotate(folder, "by Ada.json", Annotation(0.0, 1.0, "KA"))
    assert [row["text"] for row in load(folder).values()] == ["KA"]
    record(folder.parent / "elsewhere", "film_02", seed=1)
    annotate(folder, "far.eaf", Annotation(0.0, 1.0, "GA"), media=("../elsewhere/film_02.npz",))
    assert len(load(folder, validation_share=0.0, test_share=0.0)) == 2


def test_missing_recordings_are_reported(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    record(folder, "talk")
    annotate(folder, "talk.eaf", Annotation(0.0, 1.0, "KA"))
    annotate(folder, "lost.eaf", Annotation(0.0, 1.0, "GA"))
    with caplog.at_level(logging.WARNING):
        assert len(load(folder, validation_share=0.0, test_share=0.0)) == 1
    assert "1 of 2 clips not found: lost" in caplog.text


def test_a_table_goes_first_and_tiers_ask_for_annotations(folder: Path) -> None:
    record(folder, "talk")
    annotate(folder, "talk.eaf", Annotation(0.0, 1.0, "KA", "gloss"))
    (folder / "metadata.csv").write_text("path,label\ntalk,whole\n", encoding="utf-8")
    assert [row["text"] for row in load(folder).values()] == ["whole"]
    assert [row["text"] for row in load(folder, tiers="gloss").values()] == ["KA"]
    with pytest.raises(ValueError, match="expected metadata= or annotations=, received both"):
        load(folder, metadata="metadata.csv", annotations="*.eaf")


def test_equal_annotations_are_two_clips(folder: Path) -> None:
    record(folder, "talk")
    annotate(folder, "talk.srt", Annotation(0.0, 1.0, "KA"), Annotation(0.0, 1.0, "GA"))
    found = load(folder, validation_share=0.0, test_share=0.0)
    assert list(found) == ["talk subtitles 0.000-1.000", "talk subtitles 0.000-1.000 2"]


def test_changed_annotations_are_read_again(folder: Path) -> None:
    record(folder, "talk")
    annotate(folder, "talk.eaf", Annotation(0.0, 1.0, "KA"))
    assert [row["text"] for row in load(folder).values()] == ["KA"]
    annotate(folder, "talk.eaf", Annotation(0.0, 1.0, "GHA"))
    assert [row["text"] for row in load(folder).values()] == ["GHA"]


def test_damaged_annotations_name_their_file(folder: Path) -> None:
    record(folder, "talk")
    (folder / "talk.eaf").write_text("<ANNOTATION_DOCUMENT>", encoding="utf-8")
    with pytest.raises(ValueError, match="talk.eaf: expected XML"):
        load(folder)
    annotate(folder, "talk.eaf")
    with pytest.raises(ValueError, match="expected annotations with values, found none"):
        load(folder)


def test_build_dataset_and_adapt_read_them(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, name in enumerate(("one", "two", "three")):
        record(folder, name, seed=seed)
        rows = [
            Annotation(place, place + 1.0, label, "gloss", name) for place, label in enumerate(("KA", "GA", "KHA"))
        ]
        annotate(folder, f"{name}.eaf", *rows, Annotation(0.0, 3.0, "letters", "sentence", name))
    out = tmp_path / "built"
    assert main(["build-dataset", "folder", "--data-dir", str(folder), "--out", str(out), "--set", "tiers=gloss",
                 "--num-proc", "1", "--json"]) == 0  # fmt: skip
    report = json.loads(capsys.readouterr().out)
    assert sum(split["num_clips"] for split in report["splits"].values()) == 9
    assert len(load_corpus(str(out), split="train")) == 3
    options = AdaptOptions("a-model", str(folder), str(tmp_path / "adapted"), corpus_options={"tiers": "gloss"})
    splits, how = load_clips(options)
    assert sum(map(len, splits.values())) == 9 and "signer" in how
