"""Published, then used as a stranger would: fresh interpreters, a fresh cache, no package of ours, the test hub."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import pipeline

from modeling_sigma import SigmaForConditionalGeneration, SigmaForPreTraining, SigmaModel, save_bundle
from tests.factories import random_clip, tiny_model, tiny_processor
from tests.hub_server import HubServer


ROOT = Path(__file__).resolve().parents[1]
REPO = "tester/sigma-slu"
CARD = "---\nlicense: apache-2.0\n---\n\n# A tiny model\n"

pytestmark = pytest.mark.slow

BLOCK = """
import importlib.abc, json, sys

class NoPackage(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "modeling_sigma":
            raise ModuleNotFoundError(f"No module named {name!r} (blocked by the test)", name=name)

sys.meta_path.insert(0, NoPackage())
"""
LOAD = """
import numpy as np
import torch
from transformers import AutoModel, AutoProcessor, pipeline

clip = np.load("clip.npy")
model = AutoModel.from_pretrained("tester/sigma-slu", trust_remote_code=True)
processor = AutoProcessor.from_pretrained("tester/sigma-slu", trust_remote_code=True)
with torch.no_grad():
    inputs = processor(poses=clip, text="hello world")
    inputs.pop("labels")
    similarity = model(**inputs).logits_per_pose.item()
translate = pipeline("sign-language-translation", model="tester/sigma-slu", trust_remote_code=True)
text = translate(clip, max_new_tokens=6)["text"]
print(json.dumps({"class": type(model).__name__, "similarity": similarity, "text": text}))
"""
ADAPT = """
import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForSeq2SeqLM, AutoProcessor

torch.manual_seed(0)
clip = np.load("clip.npy")
model = AutoModelForSeq2SeqLM.from_pretrained("tester/sigma-slu", trust_remote_code=True)
processor = AutoProcessor.from_pretrained("tester/sigma-slu", trust_remote_code=True)
lora = LoraConfig(task_type="SEQ_2_SEQ_LM", r=4, target_modules=r"(encoder|decoder)\\..*\\.(q|v)")
adapted = get_peft_model(model, lora)
batch = processor(poses=clip, text="hello world")
batch = {name: value for name, value in batch.items() if not name.startswith("text_")}
optimizer = torch.optim.AdamW([p for p in adapted.parameters() if p.requires_grad], lr=1e-2)
for _ in range(3):
    loss = adapted(**batch).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
adapted.eval()
with torch.no_grad():
    after = adapted(**batch).loss.item()
adapted.push_to_hub("tester/adapter")
print(json.dumps({"before": loss.item(), "after": after}))
"""
LOAD_ADAPTER = """
import numpy as np
import torch
from peft import PeftModel
from transformers import AutoModelForSeq2SeqLM, AutoProcessor

clip = np.load("clip.npy")
model = AutoModelForSeq2SeqLM.from_pretrained("tester/sigma-slu", trust_remote_code=True)
processor = AutoProcessor.from_pretrained("tester/sigma-slu", trust_remote_code=True)
batch = processor(poses=clip, text="hello world")
batch = {name: value for name, value in batch.items() if not name.startswith("text_")}
with torch.no_grad():
    plain = model.eval()(**batch).loss.item()
    adapted = PeftModel.from_pretrained(model, "tester/adapter").eval()(**batch).loss.item()
print(json.dumps({"plain": plain, "adapted": adapted}))
"""


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture(scope="module")
def run(hub: HubServer, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Runs a script or a module in a fresh interpreter with a cache of its own."""

    def run_fresh(*arguments: str, isolated: bool = True) -> str:
        home = tmp_path_factory.mktemp("home")
        np.save(home / "clip.npy", _array())
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "OMP_NUM_THREADS": "1", **hub.environment(home)}
        if not isolated:
            environment["PYTHONPATH"] = str(ROOT)
        command = [sys.executable, *(["-I"] if isolated else []), *arguments]
        done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run_fresh


@pytest.fixture(scope="module")
def published(hub: HubServer, run: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = save_bundle(tiny_model(SigmaForPreTraining), tiny_processor(), tmp_path_factory.mktemp("saved") / "s")
    (folder / "README.md").write_text(CARD)
    return run("-m", "modeling_sigma.cli.main", "publish", str(folder), REPO, "--json", isolated=False)


def _array() -> np.ndarray:
    clip = random_clip(9)
    return np.concatenate([clip.keypoints, clip.scores[..., None]], axis=-1)


def _last_json(output: str) -> Any:
    return json.loads(output.strip().splitlines()[-1])


def test_publishing_from_the_command_line(hub: HubServer, published: str) -> None:
    result = json.loads(published)
    assert result["url"] == f"{hub.url}/{REPO}" and result["is_private"]
    assert len(hub.repos[("model", REPO)].refs["main"]) == 2


@torch.no_grad()
def test_a_stranger_loads_and_uses_it(published: str, run: Any) -> None:
    found = _last_json(run("-c", BLOCK + LOAD))
    model = tiny_model(SigmaForPreTraining)
    inputs = tiny_processor()(poses=_array(), text="hello world")
    inputs.pop("labels")
    assert found["class"] == "SigmaModel"
    expected = SigmaModel.forward(model, **inputs).logits_per_pose.item()
    assert found["similarity"] == pytest.approx(expected, abs=1e-4)
    writer = SigmaForConditionalGeneration(model.config)
    writer.load_state_dict(model.state_dict(), strict=False)
    ours = pipeline("sign-language-translation", model=writer.eval(), processor=tiny_processor())
    assert found["text"] == ours(_array(), max_new_tokens=6)["text"]


def test_an_adapter_goes_up_and_comes_down(hub: HubServer, published: str, run: Any) -> None:
    trained = _last_json(run("-c", BLOCK + ADAPT))
    assert trained["after"] < trained["before"]
    assert {"adapter_config.json", "adapter_model.safetensors"} <= set(hub.repos[("model", "tester/adapter")].files())
    loaded = _last_json(run("-c", BLOCK + LOAD_ADAPTER))
    assert loaded["adapted"] == pytest.approx(trained["after"], abs=1e-4)
    assert abs(loaded["plain"] - loaded["adapted"]) > 1e-3
