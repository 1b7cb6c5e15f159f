"""The model that finds signs, as it ships: small, complete, its card current, and it finds signs in a recording."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from modeling_sigma import PoseClip, load_pipeline
from modeling_sigma.cli.main import main
from modeling_sigma.metrics.segmentation import Span, segmentation_scores
from modeling_sigma.model.sign_boundaries_sigma import TAGS


ROOT = Path(__file__).parents[1]
CHECKPOINT = ROOT / "checkpoints" / "sigma-sign-segments"
DATA = ROOT.parent / "shared" / "data"


def test_small_complete_and_without_code() -> None:
    names = {"config.json", "preprocessor_config.json", "model.safetensors", "README.md", "card.json", "results.json"}
    assert {path.name for path in CHECKPOINT.iterdir()} == names
    assert (CHECKPOINT / "model.safetensors").stat().st_size <= 1e6
    with safe_open(CHECKPOINT / "model.safetensors", framework="numpy") as file:
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"F16", "I64"}
    config = json.loads((CHECKPOINT / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["SigmaForSignSegmentation"] and config["weights_license"] == "cc-by-nc-4.0"
    assert list(config["id2label"].values()) == list(TAGS) and not {"auto_map", "custom_pipelines"} & config.keys()


def test_card_is_current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # the card says how to use a folder that is there
    name, out = "checkpoints/sigma-sign-segments", tmp_path / "card.md"
    assert main(["card", str(CHECKPOINT), "--name", name, "--out", str(out)]) == 0
    is_current = (CHECKPOINT / "README.md").read_text(encoding="utf-8") == out.read_text(encoding="utf-8")
    assert is_current, f"sigma-slu card {name} --name {name} --force"


def test_rests_without_hands_divide_signs() -> None:
    """A hand that draws circles for a second at a time, at a frame rate that the model has not learnt at."""
    fps, shape = 40.0, np.random.default_rng(0).uniform(-30, 30, (21, 2))
    turns = np.linspace(0, 4 * np.pi, 40)
    circle = 300 + 60 * np.stack([np.cos(turns), np.sin(turns)], axis=-1)[:, None] + shape
    gone = np.zeros((40, 21, 2))
    right = np.concatenate([gone, circle, gone, circle, gone, circle, gone])
    scores = np.repeat(right.any(axis=(1, 2))[:, None], 21, axis=1).astype(float)
    clip = PoseClip(
        np.concatenate([np.zeros_like(right), right], axis=1), np.hstack([0 * scores, scores]), "hands_42", fps=fps
    )
    found = load_pipeline(CHECKPOINT, device="cpu")(clip)
    truth = [Span(1, 2), Span(3, 4), Span(5, 6)]
    scores_found = segmentation_scores([[Span(one["start"], one["end"]) for one in found]], [truth], 0.1)
    assert scores_found["recall@0.5"] == 100


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data/nsl_alphabet")
def test_it_finds_the_letters_of_a_signer_whom_it_has_not_seen(tmp_path: Path) -> None:
    from datasets_scripts.nsl_alphabet import NslAlphabet

    data = DATA / "nsl_alphabet"
    builder = NslAlphabet(config_name="continuous_test4", data_dir=data, cache_dir=tmp_path)
    pipe, found, there, seconds = load_pipeline(CHECKPOINT, device="cpu"), [], [], 0.0
    for entry in builder.list_clips("test"):
        clip = builder.read_clip(entry)
        assert clip.fps is not None
        found.append([Span(one["start"], one["end"]) for one in pipe(clip)])
        there.append([Span(start / clip.fps, stop / clip.fps) for start, stop in entry.gloss_spans])
        seconds += len(clip) / clip.fps
    assert segmentation_scores(found, there, seconds / 60)["f1@0.5"] > 80
