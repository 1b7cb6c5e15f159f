"""The checkpoint that ships: small, complete, its card current, and it reads clips without any training."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
from huggingface_hub import HfApi
from safetensors import safe_open
from transformers import AutoProcessor

from datasets_scripts.synthetic import SyntheticSigns
from modeling_sigma import SigmaFeatureExtractor, SigmaForSequenceClassification, load_pipeline
from modeling_sigma.cli.main import main
from modeling_sigma.hub.publish import publish
from modeling_sigma.io import save_clip
from modeling_sigma.metrics import recognition_scores
from tests.hub_server import TOKEN, HubServer


ROOT = Path(__file__).parents[1]
CHECKPOINT = ROOT / "checkpoints" / "sigma-wlasl-hands"
DATA = ROOT.parent / "shared" / "data" / "wlasl_hands"


STRANGER = """
import json, sys

sys.modules["modeling_sigma"] = None  # importing it fails
import numpy as np
from transformers import pipeline

recognize = pipeline("isolated-sign-recognition", model="tester/hands", trust_remote_code=True, device="cpu")
assert type(recognize).__module__.startswith("transformers_modules.")
clip = np.random.default_rng(0).uniform(0.2, 0.8, (8, 42, 3))
print(json.dumps(recognize(clip, top_k=3)))
"""


def test_small_and_half_precision() -> None:
    weights = CHECKPOINT / "model.safetensors"
    assert weights.stat().st_size <= 12e6
    with safe_open(weights, framework="numpy") as file:
        kinds = {file.get_slice(name).get_dtype() for name in file.keys()}
    assert kinds == {"F16", "I64"}  # the counters of BatchNorm are integers


def test_it_holds_no_code_and_no_links() -> None:
    """Links become files of text in a zip and on Windows; `publish` adds the code to what it sends."""
    facts = {"README.md", "card.json", "results.json"}
    assert {path.name for path in CHECKPOINT.iterdir()} == {
        "config.json", "preprocessor_config.json", "model.safetensors", *facts
    }  # fmt: skip
    assert not any(path.is_symlink() for path in CHECKPOINT.iterdir())
    for name in ("config.json", "preprocessor_config.json"):
        assert not {"auto_map", "custom_pipelines"} & set(json.loads((CHECKPOINT / name).read_text(encoding="utf-8")))


def test_exporting_it_again_gives_the_same_folder(tmp_path: Path) -> None:
    export = runpy.run_path(str(ROOT / "examples" / "export_checkpoint.py"))["export"]
    export(CHECKPOINT, tmp_path, "cc-by-nc-4.0")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"config.json", "preprocessor_config.json", "model.safetensors"}
    for name in names:
        assert (tmp_path / name).read_bytes() == (CHECKPOINT / name).read_bytes(), name


def _unpacked_zip(target: Path) -> None:
    archive = target.parent / "tree.zip"
    subprocess.run(["git", "archive", "--format=zip", f"--output={archive}", "HEAD"], cwd=ROOT, check=True)
    with zipfile.ZipFile(archive) as tree:
        tree.extractall(target)


def _clone_without_links(target: Path) -> None:
    command = ["git", "clone", "--quiet", "--depth=1", "-c", "core.symlinks=false", ROOT.as_uri(), str(target)]
    subprocess.run(command, check=True)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs a clone of the project")
@pytest.mark.parametrize("copy", [_unpacked_zip, _clone_without_links])
def test_the_first_example_of_the_readme_runs_in_a_copy(copy: Callable[[Path], None], tmp_path: Path) -> None:
    """As it stands there, on the package, the checkpoint and the clip of the copy: what is committed counts."""
    copy(tmp_path / "copy")
    readme = (tmp_path / "copy" / "README.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    answer = re.search(r"```text\n(.*?)```", readme, flags=re.DOTALL)
    assert example is not None and "sigma-wlasl-hands" in example[1] and answer is not None
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "copy"), "HF_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", example[1]],
        cwd=tmp_path / "copy",
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == answer[1], "the answer that README.md shows is the one that comes"


def test_it_has_an_extractor_for_a_processor() -> None:
    assert type(AutoProcessor.from_pretrained(CHECKPOINT)) is SigmaFeatureExtractor


def test_card_is_current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # the card says how to use a folder that is there
    options = ["--name", "checkpoints/sigma-wlasl-hands", "--out", str(tmp_path / "card.md")]
    assert main(["card", str(CHECKPOINT), *options]) == 0
    for path in (CHECKPOINT / "README.md", ROOT / "MODEL_CARD.md"):
        assert path.read_text(encoding="utf-8") == (tmp_path / "card.md").read_text(encoding="utf-8"), (
            f"sigma-slu card checkpoints/sigma-wlasl-hands --name checkpoints/sigma-wlasl-hands --force --out {path}"
        )


def test_a_stranger_loads_what_is_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a fresh interpreter without our package: the code has come with it, and the folder has none still."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    before = sorted(CHECKPOINT.iterdir())
    with HubServer() as hub:
        publish(CHECKPOINT, "tester/hands", api=HfApi(endpoint=hub.url, token=TOKEN))
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **hub.environment(tmp_path)}
        command = [sys.executable, "-I", "-c", STRANGER]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    clip = np.random.default_rng(0).uniform(0.2, 0.8, (8, 42, 3))
    expected = load_pipeline(CHECKPOINT, device="cpu")(clip, top_k=3)
    assert [entry["label"] for entry in found] == [entry["label"] for entry in expected]
    assert sorted(CHECKPOINT.iterdir()) == before


def test_it_can_be_published_for_research_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["publish", str(CHECKPOINT), "lab/hands", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["license"] == "cc-by-nc-4.0"
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
