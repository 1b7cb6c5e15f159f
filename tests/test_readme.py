"""The Python blocks of README.md run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import factories
import pytest

from modeling_sigma import SigmaForConditionalGeneration
from modeling_sigma.hub.bundle import save_bundle
from modeling_sigma.io import save_clip


README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_block_runs(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # What the demo leaves behind, with an untrained model.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    model = factories.tiny_model(SigmaForConditionalGeneration, seed=0)
    model.generation_config.max_new_tokens = 5
    save_bundle(model, factories.tiny_processor(), "sigma-slu")
    save_clip("sigma-slu/unseen_clip.npz", factories.random_clip(12))
    exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out.strip()
