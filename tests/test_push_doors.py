"""Every way to the Hub sends the checked bundle of `publish`, to a private repository: models, pipelines, trainers."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
import transformers.utils.hub
from safetensors.torch import load as load_tensors
from training_factories import WORDS, label_task, tiny_arguments, tiny_trainer

from modeling_sigma import (
    SigmaForConditionalGeneration,
    SigmaForCTC,
    SigmaForPreTraining,
    SigmaForSequenceClassification,
    SigmaModel,
    load_pipeline,
    save_bundle,
)
from modeling_sigma.hub.bundle import remote_code_files
from modeling_sigma.hub.publish import PublishError
from tests.factories import tiny_model, tiny_processor
from tests.hub_server import TOKEN, HubServer, Repo


REPO = "tester/sigma-slu"
BUNDLE = {
    *(".gitattributes", "README.md", "config.json", "generation_config.json", "model.safetensors"),
    *("preprocessor_config.json", "processor_config.json", "tokenizer.json", "tokenizer_config.json"),
    *(path.name for path in remote_code_files()),
}
STRANGER = """
import json, sys
sys.modules["modeling_sigma"] = None  # importing it fails
import numpy as np
from transformers import pipeline
read = pipeline(sys.argv[2], model=sys.argv[1], trust_remote_code=True, device="cpu")
clip = np.random.default_rng(0).uniform(0.2, 0.8, (9, 133, 3))
options = {"texts": ["hello", "world"]} if sys.argv[2] == "sign-text-retrieval" else {}
print(json.dumps([type(read.model).__module__.split(".")[0], str(read(clip, **options))]))
"""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with HubServer() as server:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.url)
        monkeypatch.setattr(
            transformers.utils.hub, "_hf_api", None
        )  # it keeps the first address that it was used with
        template = f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield server


def _repo(hub: HubServer, repo_id: str = REPO) -> Repo:
    return hub.repos[("model", repo_id)]


def _check(hub: HubServer, names: set[str] = BUNDLE) -> dict[str, bytes]:
    repo = _repo(hub)
    assert repo.private and len(repo.refs["main"]) == 2, "one commit, to a private repository"
    assert set(repo.files()) == names
    config = json.loads(repo.files()["config.json"])
    assert config["auto_map"] and config["custom_pipelines"] and "_name_or_path" not in config
    return repo.files()


# --- models, pipelines, processors


@pytest.mark.parametrize("cls", [SigmaForConditionalGeneration, SigmaForPreTraining, SigmaModel])
def test_a_model_with_its_processor(cls: type, hub: HubServer) -> None:
    info = tiny_model(cls).push_to_hub(REPO, processor=tiny_processor(), commit_message="First")
    files = _check(hub, BUNDLE - (set() if cls is SigmaForConditionalGeneration else {"generation_config.json"}))
    assert info.oid == _repo(hub).refs["main"][-1].oid and _repo(hub).refs["main"][-1].message == "First"
    card = files["README.md"].decode()
    assert cls.__name__ in card and "This card is a draft" in card and "weights is not stated yet" in card
    assert f'model="{REPO}", trust_remote_code=True' in card


@pytest.mark.parametrize("cls", [SigmaForSequenceClassification, SigmaForCTC])
def test_a_head_without_a_tokenizer(cls: type, hub: HubServer) -> None:
    model = tiny_model(cls, use_prompt=False, num_labels=3)
    model.push_to_hub(REPO, processor=tiny_processor().feature_extractor)
    tokenizers = {"tokenizer.json", "tokenizer_config.json", "processor_config.json", "generation_config.json"}
    card = _check(hub, BUNDLE - tokenizers)["README.md"].decode()
    assert "It chooses among 3 labels: LABEL_0, LABEL_1, LABEL_2." in card


def test_a_model_finds_its_processor_where_it_was_loaded(hub: HubServer, tmp_path: Path) -> None:
    folder = save_bundle(tiny_model(), tiny_processor(), tmp_path / "secret-folder")
    model = SigmaForConditionalGeneration.from_pretrained(folder)
    model.push_to_hub("sigma-slu", license="mit", tags=["bangla"])
    files = _check(hub)
    card = files["README.md"].decode()
    assert "license: mit" in card and "MIT License" in card and "- bangla" in card
    assert not any(b"secret-folder" in content for content in files.values())


def test_a_pipeline(hub: HubServer, tmp_path: Path) -> None:
    load_pipeline(save_bundle(tiny_model(), tiny_processor(), tmp_path), device="cpu").push_to_hub(REPO)
    _check(hub)


@pytest.mark.parametrize("what", ["model", "pipeline"])
def test_saving_with_push_to_hub(what: str, hub: HubServer, tmp_path: Path) -> None:
    folder = save_bundle(tiny_model(), tiny_processor(), tmp_path / "saved")
    pipe = load_pipeline(folder, device="cpu")
    (pipe.model if what == "model" else pipe).save_pretrained(tmp_path / "copy", push_to_hub=True, repo_id=REPO)
    _check(hub)
    assert (tmp_path / "copy" / "model.safetensors").is_file()
    tiny_model().save_pretrained(tmp_path / "named", push_to_hub=True, processor=tiny_processor())
    assert _repo(hub, "tester/named").private


def test_a_processor_goes_to_its_model_alone(hub: HubServer) -> None:
    processor = tiny_processor(max_frames=20)
    for push in (processor.push_to_hub, processor.feature_extractor.push_to_hub):
        with pytest.raises(ValueError, match="expected a repository with a Sigma model, found none"):
            push(REPO)
    assert hub.repos == {}
    tiny_model().push_to_hub(REPO, processor=tiny_processor(max_frames=10))
    before = _repo(hub).files()
    assert processor.push_to_hub(REPO).oid == _repo(hub).refs["main"][-1].oid
    after = _repo(hub).files()
    assert set(after) == set(before)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"preprocessor_config.json", "processor_config.json"}
    for name in changed:
        assert json.loads(after[name])["auto_map"] == json.loads(before[name])["auto_map"]


def test_what_nobody_can_load_alone(hub: HubServer) -> None:
    with pytest.raises(ValueError, match="SigmaConfig: nobody can load it alone"):
        tiny_model().config.push_to_hub(REPO)
    with pytest.raises(ValueError, match="expected a processor to publish with the model"):
        tiny_model().push_to_hub(REPO)
    assert hub.repos == {}


def test_public_only_with_a_license(hub: HubServer) -> None:
    model, processor = tiny_model(), tiny_processor()
    with pytest.raises(ValueError, match="no license is stated"):
        model.push_to_hub(REPO, processor=processor, private=False)
    assert hub.repos == {}
    model.push_to_hub(REPO, processor=processor, private=False, license="mit")
    assert not _repo(hub).private
    model.config.weights_license = "cc-by-nc-4.0"
    with pytest.raises(ValueError, match="forbids commercial use"):
        model.push_to_hub("tester/other", processor=processor, license="mit")


def test_the_card_of_the_repository_stays(hub: HubServer) -> None:
    model, processor = tiny_model(), tiny_processor()
    model.push_to_hub(REPO, processor=processor)
    card = b"---\nlicense: apache-2.0\n---\n# Ours\n"
    _repo(hub).files()["README.md"] = card
    tiny_model(seed=2).push_to_hub(REPO, processor=processor)
    assert _repo(hub).files()["README.md"] == card


def test_damaged_weights_stay(hub: HubServer) -> None:
    model = tiny_model()
    with torch.no_grad():
        model.lm_head.weight[0, 0] = float("nan")
    with pytest.raises(ValueError, match=rf"^{REPO} cannot be published: lm_head\.weight: expected finite"):
        model.push_to_hub(REPO, processor=tiny_processor())
    assert hub.repos == {}


def test_refusals_are_one_sentence(hub: HubServer) -> None:
    with pytest.raises(PublishError, match="the Hub refused .401.*log in"):
        tiny_model().push_to_hub("sigma-slu", processor=tiny_processor(), token="hf_wrong")


def test_code_without_the_package_pushes_privately(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "modeling_sigma.hub.push", None)
    tiny_processor().push_to_hub(REPO)
    assert _repo(hub).private


# --- trainers


def _trainer(folder: Path, *args: Any, **fields: Any) -> Any:
    return tiny_trainer(folder, *args, push_to_hub=True, hub_model_id=REPO, **fields)


def test_a_trainer_sends_its_best_step(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of four steps is the best one, by decree."""
    fields = {"eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 1}
    trainer = _trainer(
        tmp_path / "run", **fields, load_best_model_at_end=True, metric_for_best_model="loss", greater_is_better=False,
        predict_with_generate=False, save_total_limit=4,
    )  # fmt: skip
    monkeypatch.setattr(
        trainer, "evaluate", lambda *args, **kwargs: _report(trainer, {"eval_loss": float(trainer.state.global_step)})
    )
    trainer.train()
    assert hub.repos == {}, "nothing goes before the run is over"
    trainer.push_to_hub()
    sent = load_tensors(_check(hub)["model.safetensors"])
    best, last = (
        SigmaForConditionalGeneration.from_pretrained(tmp_path / "run" / f"checkpoint-{step}").state_dict()
        for step in (1, 4)
    )
    assert all(torch.equal(sent[name], best[name]) for name in sent)
    assert any(not torch.equal(sent[name], last[name]) for name in sent)
    processor = json.loads(_repo(hub).files()["preprocessor_config.json"])
    assert processor["training_layout"] == "coco_wholebody_133"


def _report(trainer: Any, scores: dict[str, float]) -> dict[str, float]:
    trainer.log(scores)
    return scores


def test_saving_a_model_pushes_as_in_transformers(hub: HubServer, tmp_path: Path) -> None:
    trainer = _trainer(tmp_path / "run")
    (tmp_path / "run").mkdir(exist_ok=True)
    (tmp_path / "run" / "README.md").write_text("---\nlicense: mit\n---\n# My card\n")
    (tmp_path / "run" / "secrets.json").write_text("{}")
    trainer.save_model()
    assert (tmp_path / "run" / "training_args.bin").is_file()
    assert _check(hub)["README.md"].decode().endswith("# My card\n")


def test_an_adapter_is_merged(hub: HubServer, tmp_path: Path) -> None:
    from modeling_sigma.training.adapters.lora import add_adapter
    from modeling_sigma.training.arguments import AdapterArguments

    model = add_adapter(tiny_model(), AdapterArguments(adapter="lora"))
    trainer = _trainer(tmp_path / "run", model=model)
    trainer.train()
    trainer.push_to_hub()
    assert not any("lora" in name for name in load_tensors(_check(hub)["model.safetensors"]))


def test_a_label_head(hub: HubServer, tmp_path: Path) -> None:
    model = tiny_model(SigmaForSequenceClassification, num_labels=len(WORDS))
    trainer = _trainer(tmp_path / "run", label_task("islr", "classification", WORDS), model=model)
    with pytest.raises(ValueError, match="no license is stated"):
        trainer.push_to_hub(private=False)
    trainer.push_to_hub(private=False, license="mit", revision="v2")
    assert not _repo(hub).private and "model.safetensors" in _repo(hub).files("v2")


@pytest.mark.parametrize("strategy", ["every_save", "checkpoint", "all_checkpoints"])
def test_checkpoints_are_not_published(strategy: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"expected hub_strategy end, received {strategy}: checkpoints hold pickles"):
        tiny_arguments(tmp_path, push_to_hub=True, hub_strategy=strategy)


def test_who_sends_is_asked_before_training(hub: HubServer, tmp_path: Path) -> None:
    for name in (None, REPO):
        with pytest.raises(PublishError, match="the Hub refused .401"):
            tiny_trainer(tmp_path / "run", push_to_hub=True, hub_token="hf_wrong", hub_model_id=name)
    assert tiny_trainer(tmp_path / "my-run", push_to_hub=True).hub_model_id == "tester/my-run"
    assert hub.repos == {}


def test_the_token_is_in_no_file_of_a_run(hub: HubServer, tmp_path: Path) -> None:
    trainer = _trainer(tmp_path / "run", hub_token=TOKEN, save_strategy="steps", save_steps=2)
    trainer.train()
    saved = torch.load(tmp_path / "run" / "checkpoint-4" / "training_args.bin", weights_only=False)
    assert saved.hub_token is None and saved.learning_rate == 1e-3 and trainer.args.hub_token == TOKEN
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 10 and not [path.name for path in files if TOKEN.encode() in path.read_bytes()]


# --- as a stranger


@pytest.mark.slow
@pytest.mark.parametrize("door", ["model", "pipeline", "trainer", "processor", "command"])
def test_a_stranger_loads_what_any_door_sends(
    door: str, hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    environment.update(hub.environment(tmp_path / "home"))
    task = "sign-language-translation"
    if door == "model":
        tiny_model(SigmaForPreTraining).push_to_hub(REPO, processor=tiny_processor())
        task = "sign-text-retrieval"
    elif door == "pipeline":
        load_pipeline(save_bundle(tiny_model(), tiny_processor(), tmp_path / "saved"), device="cpu").push_to_hub(REPO)
    elif door == "trainer":
        _trainer(tmp_path / "run").push_to_hub()
    elif door == "processor":
        tiny_model().push_to_hub(REPO, processor=tiny_processor(max_frames=10))
        tiny_processor(max_frames=20).push_to_hub(REPO)
    else:
        command = [
            sys.executable, "-m", "modeling_sigma.cli.main", "finetune", "--corpus", "synthetic:isolated", "--task",
            "islr", "--output_dir", str(tmp_path / "sigma-slu"), "--max_steps", "1", "--use_cpu", "--push_to_hub",
            "true", "--hub_token", TOKEN, "--report_to", "none", "--hub_model_id", REPO, "--do_train", "true",
            "--do_eval", "false", "--eval_strategy", "no", "--save_strategy", "no",
            "--load_best_model_at_end", "false", "--model_config",
            json.dumps({"text_config": {"d_model": 32, "d_kv": 8, "d_ff": 32, "num_layers": 1}}),
            "--per_device_train_batch_size", "2", "--do_predict", "false", "--corpus_options", '{"num_train": 8}',
        ]  # fmt: skip
        root = str(Path(__file__).resolve().parents[1])
        done = subprocess.run(
            command, cwd=tmp_path, env={**environment, "PYTHONPATH": root}, capture_output=True, text=True, timeout=400
        )
        assert done.returncode == 0, done.stderr[-3000:]
        run = json.loads((tmp_path / "sigma-slu" / "run.json").read_text())
        assert "--hub_token ***" in run["command"] and run["command"].startswith("python main.py ")
        assert str(tmp_path) not in json.dumps(run)
        assert TOKEN not in (tmp_path / "sigma-slu" / "config.yaml").read_text()
    assert _repo(hub).private
    done = subprocess.run(
        [sys.executable, "-I", "-c", STRANGER, REPO, task],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1])[0] == "transformers_modules"
