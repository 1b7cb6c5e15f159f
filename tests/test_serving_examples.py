"""What examples/serving offers: the handler of an inference endpoint, called, and the Dockerfile, read."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modeling_sigma import (
    SigmaFeatureExtractor,
    SigmaForSequenceClassification,
    SigmaModel,
    load_pipeline,
    save_bundle,
)
from modeling_sigma.cli.main import build_parser
from tests.factories import random_clip, tiny_model, tiny_processor


ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples" / "serving"
LABELS = {0: "hello", 1: "rain", 2: "snow"}

# In a fresh interpreter without our package, as on an endpoint.
ENDPOINT = """
import json, sys
sys.modules["modeling_sigma"] = None
sys.path.insert(0, sys.argv[1])
from handler import EndpointHandler
handler = EndpointHandler(sys.argv[1])
results = []
for request in json.load(sys.stdin):
    try:
        results.append(json.loads(json.dumps(handler(request), allow_nan=False)))
    except ValueError as error:
        results.append({"error": str(error)})
print(json.dumps(results))
"""


def as_json(seed: int = 0) -> dict[str, Any]:
    clip = random_clip(12, seed=seed)
    return {"keypoints": clip.keypoints.tolist(), "scores": clip.scores.tolist(), "fps": 25.0, "width": 640}


def ask(folder: Path, requests: list[Any]) -> list[Any]:
    shutil.copy(EXAMPLES / "handler.py", folder)
    command = [sys.executable, "-I", "-c", ENDPOINT, str(folder)]
    done = subprocess.run(command, input=json.dumps(requests), capture_output=True, text=True, timeout=300, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
def test_an_endpoint_answers_without_our_package(tmp_path: Path) -> None:
    head = tiny_model(SigmaForSequenceClassification, use_prompt=False, id2label=LABELS)
    save_bundle(head, SigmaFeatureExtractor(), tmp_path / "head")
    one, two = ask(tmp_path / "head", [{"inputs": as_json()}, {"inputs": [as_json(), as_json(1)], "parameters": None}])
    predict = load_pipeline(tmp_path / "head", device="cpu")
    expected = [predict(random_clip(12, seed=seed)) for seed in (0, 1)]
    for answer, other in zip([one, *two], [expected[0], *expected], strict=True):
        assert [entry["label"] for entry in answer] == [entry["label"] for entry in other]
        assert [entry["score"] for entry in answer] == pytest.approx([entry["score"] for entry in other], abs=1e-5)


@pytest.mark.slow
def test_an_endpoint_ranks_texts_and_gives_vectors(tmp_path: Path) -> None:
    save_bundle(tiny_model(SigmaModel), tiny_processor(), tmp_path / "compares")
    requests = [
        {"inputs": as_json(), "parameters": {"texts": ["hello world", "rain"], "top_k": 1}},
        {"inputs": as_json()},
        {"inputs": as_json(), "parameters": {"top_k": -1}},
    ]
    ranked, vector, refused = ask(tmp_path / "compares", requests)
    assert len(ranked) == 1 and ranked[0]["text"] in ("hello world", "rain")
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert "expected top_k as an integer >= 1" in refused["error"]


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Any]:
    """The handler with a pipeline that returns what it is given."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import handler as module

    found = module.EndpointHandler.__new__(module.EndpointHandler)
    found.pipe = lambda clips, **options: [(clip, options) for clip in clips]
    return found  # type: ignore[no-any-return]


def test_arguments_reach_the_pipeline(handler: Callable[[Any], Any]) -> None:
    clip, options = handler({"inputs": as_json(), "parameters": {"language": "German"}})
    assert clip["keypoints"].shape == (12, 133, 2) and clip["scores"].dtype == np.float32 and clip["fps"] == 25.0
    assert options == {"batch_size": 1, "language": "German"}
    assert len(handler({"inputs": [as_json()] * 3})) == 3


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "expected a clip as an object"),
        ({"inputs": []}, "expected 1 to 64 clips, received 0"),
        ({"inputs": [{}] * 65}, "expected 1 to 64 clips, received 65"),
        ({"inputs": "a clip"}, "expected a clip as an object"),
        ({"inputs": {"keypoints": [[[1, 2]]]}}, "expected a clip as an object"),
        ({"inputs": {"keypoints": [[[1, 2]], [[1]]], "scores": [[1]]}}, "expected keypoints as nested lists"),
        ({"inputs": {"keypoints": "many", "scores": [[1]]}}, "expected keypoints as nested lists"),
        ({"inputs": {"keypoints": [[[1, 2]]] * 3601, "scores": [[1]]}}, "of up to 3600 frames"),
        ({"inputs": {"keypoints": 3, "scores": [[1]]}}, "of up to 3600 frames"),
        ({"inputs": {"keypoints": [], "scores": []}, "parameters": [1]}, "expected parameters as an object"),
    ],
)
def test_what_an_endpoint_refuses(data: dict[str, Any], message: str, handler: Callable[[Any], Any]) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        handler(data)


def test_a_folder_without_a_pipeline_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from handler import EndpointHandler

    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="found no pipeline in its config.json"):
        EndpointHandler(str(tmp_path))


def test_the_image_copies_what_is_there_and_starts_the_command() -> None:
    """It cannot be built here."""
    text = (EXAMPLES / "Dockerfile").read_text(encoding="utf-8")
    copied = [name for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE) for name in line.split()[:-1]]
    ignored = (EXAMPLES / "Dockerfile.dockerignore").read_text(encoding="utf-8")
    assert copied and all((ROOT / name).exists() for name in copied)
    assert [name for name in copied if f"!{name}\n" not in ignored] == []
    (entry,) = re.findall(r"^ENTRYPOINT (.*)$", text, re.MULTILINE)
    program, command, *arguments = json.loads(entry)
    args = build_parser(command).parse_args([command, *arguments])
    assert (program, command, args.host, args.model) == ("sigma-slu", "serve", "0.0.0.0", "/model")
    assert f"EXPOSE {args.port}" in text and f":{args.port}/health" in text and "USER serve" in text
