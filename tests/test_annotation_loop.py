"""The example of an annotation loop, in a tiny form: what it counts, and what it learns from."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import tiny_model

from modeling_sigma import SigmaFeatureExtractor, SigmaForSequenceClassification, save_bundle
from modeling_sigma.io import load_clip, save_clip
from modeling_sigma.io.annotations import AnnotatedRecording, Annotation, annotation_text
from modeling_sigma.model.pose_clip import PoseClip


EXAMPLE = Path(__file__).parents[1] / "examples" / "annotation_loop.py"
# Two letters that no model can confuse once it has seen them: the hand moves up, or to the right.
MOVES = {"KA": (0.0, -8.0), "GA": (8.0, 0.0)}
FPS, LETTERS = 25.0, ("KA", "GA", "KA", "GA")


def write_recording(folder: Path, name: str, seed: int) -> None:
    """Four letters of a second each, with rests without hands between them, and the annotations."""
    rng = np.random.default_rng(seed)
    shape, frames, rows = rng.uniform(0, 60, (21, 2)), [], []
    for letter in LETTERS:
        frames += [np.zeros((21, 2))] * 20
        rows.append(Annotation(len(frames) / FPS, (len(frames) + 25) / FPS, letter, "signs", "Ada"))
        frames += [shape + 300 + np.array(MOVES[letter]) * step + rng.normal(0, 0.5, (21, 2)) for step in range(25)]
    right = np.array(frames + [np.zeros((21, 2))] * 20)
    scores = right.any(axis=2).astype(float)
    keypoints = np.concatenate([np.zeros_like(right), right], axis=1)
    save_clip(folder / f"{name}.npz", PoseClip(keypoints, np.hstack([0 * scores, scores]), "hands_42", fps=FPS))
    (folder / f"{name}.eaf").write_text(annotation_text(AnnotatedRecording(tuple(rows)), ".eaf"), encoding="utf-8")


def test_the_loop_learns_from_corrections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    for seed, name in enumerate(("a", "b", "c")):
        write_recording(archive, name, seed)
    fields: dict[str, Any] = {"scale_reference": "hands", "fill_wrists": True, "frame_sampling": "interpolate"}
    model = tiny_model(
        SigmaForSequenceClassification, use_prompt=False, num_labels=2, id2label={0: "HELLO", 1: "BYE"}, max_frames=12
    )
    save_bundle(model, SigmaFeatureExtractor(max_frames=12, **fields), tmp_path / "first", include_code=False)
    words = [str(archive), "--out", str(tmp_path / "loop"), "--model", str(tmp_path / "first"), "--steps", "12"]
    monkeypatch.setattr(sys, "argv", ["annotation_loop.py", *words])
    runpy.run_path(str(EXAMPLE), run_name="__main__")

    reports = json.loads((tmp_path / "loop" / "corrections.json").read_text(encoding="utf-8"))
    assert [report["recording"] for report in reports] == ["a", "b", "c"]
    seconds = load_clip(archive / "a.npz").duration or 0.0
    for report in reports:
        assert report["signs"] == len(LETTERS) and report["total"] == sum(
            report[k] for k in ("add", "remove", "rename")
        )
        assert report["corrections_per_minute"] == pytest.approx(60 * report["total"] / seconds, abs=0.06)
    # The first model knows none of the letters; what comes after names letters.
    assert reports[0]["total"] >= len(LETTERS)
    learnt = json.loads((tmp_path / "loop" / "model-1" / "config.json").read_text(encoding="utf-8"))
    assert set(learnt["id2label"].values()) == set(LETTERS)
    assert sorted(path.name for path in (tmp_path / "loop" / "corrected").iterdir()) == [
        f"{name}.{kind}" for name in "abc" for kind in ("eaf", "npz")
    ]
    assert "c " in capsys.readouterr().out.splitlines()[-1]
