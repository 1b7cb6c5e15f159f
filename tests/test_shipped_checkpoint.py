"""The checkpoint that ships: small, complete, its card current, and it reads clips without any training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors import safe_open
from transformers import AutoProcessor

from datasets_scripts.synthetic import SyntheticSigns
from modeling_sigma import SigmaFeatureExtractor, SigmaForSequenceClassification
from modeling_sigma.cli.main import main
from modeling_sigma.hub.bundle import remote_code_files
from modeling_sigma.io import save_clip
from modeling_sigma.metrics import recognition_scores


ROOT = Path(__file__).parents[1]
CHECKPOINT = ROOT / "checkpoints" / "sigma-wlasl-hands"
DATA = ROOT.parent / "shared" / "data" / "wlasl_hands"


def test_small_and_half_precision() -> None:
    weights = CHECKPOINT / "model.safetensors"
    assert weights.stat().st_size <= 12e6
    with safe_open(weights, framework="numpy") as file:
        kinds = {file.get_slice(name).get_dtype() for name in file.keys()}
    assert kinds == {"F16", "I64"}  # the counters of BatchNorm are integers


def test_its_code_is_the_package_s() -> None:
    """Links, so that it cannot differ: `python examples/export_checkpoint.py` makes them anew."""
    links = sorted(CHECKPOINT.glob("*.py"))
    assert [path.resolve() for path in links] == [path.resolve() for path in remote_code_files()]


def test_it_has_an_extractor_for_a_processor() -> None:
    assert type(AutoProcessor.from_pretrained(CHECKPOINT)) is SigmaFeatureExtractor


def test_card_is_current(tmp_path: Path) -> None:
    options = ["--name", "checkpoints/sigma-wlasl-hands", "--out", str(tmp_path / "card.md")]
    assert main(["card", str(CHECKPOINT), *options]) == 0
    for path in (CHECKPOINT / "README.md", ROOT / "MODEL_CARD.md"):
        assert path.read_text(encoding="utf-8") == (tmp_path / "card.md").read_text(encoding="utf-8"), (
            f"sigma-slu card checkpoints/sigma-wlasl-hands --name checkpoints/sigma-wlasl-hands --force --out {path}"
        )


def test_it_can_be_published_for_research_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["publish", str(CHECKPOINT), "lab/hands", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["licence"] == "cc-by-nc-4.0"
    assert main(["publish", str(CHECKPOINT), "lab/hands", "--dry-run", "--license", "apache-2.0"]) == 1
    assert "cc-by-nc-4.0" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_it_ranks_signs_for_any_clip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_clip(tmp_path / "clip.npz", SyntheticSigns(seed=0).isolated(0, split="test").clip)
    assert main(["predict", "--model", str(CHECKPOINT), str(tmp_path / "clip.npz"), "--top-k", "5", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    scores = [entry["score"] for entry in found["predictions"]]
    assert len(scores) == 5 and scores == sorted(scores, reverse=True) and 0 < sum(scores) < 1


@pytest.mark.data
@pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data/wlasl_hands")
def test_it_knows_american_signs() -> None:
    """On 165 validation clips of the 100 most frequent signs, among all 2,000 words."""
    from datasets_scripts.wlasl_hands import load_wlasl_hands

    model = SigmaForSequenceClassification.from_pretrained(CHECKPOINT).eval()
    extractor = SigmaFeatureExtractor.from_pretrained(CHECKPOINT)
    samples = load_wlasl_hands(DATA, "wlasl100", "validation")
    logits = model(**extractor([sample.clip for sample in samples])).logits
    ranked = [[model.config.id2label[label] for label in row] for row in logits.topk(5).indices.tolist()]
    assert recognition_scores(ranked, [sample.word for sample in samples])["top5_per_instance"] > 50
