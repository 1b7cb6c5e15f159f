"""Adapters: what trains, round trips through folders, several languages on one base, and the recipe for few clips."""

from __future__ import annotations

import copy
import csv
import json
from pathlib import Path
from typing import Any

import datasets
import factories
import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from training_factories import WORDS, tiny_rows

import modeling_sigma
from modeling_sigma.cli import main as cli
from modeling_sigma.hub.bundle import save_bundle
from modeling_sigma.hub.bundle_checks import check_bundle
from modeling_sigma.io import save_clip
from modeling_sigma.model.modeling_sigma_heads import (
    SigmaForConditionalGeneration,
    SigmaForCTC,
    SigmaForSequenceClassification,
)
from modeling_sigma.training.adapters.label_means import start_from_means
from modeling_sigma.training.adapters.lora import add_adapter, load_adapted, lora_config, save_adapter
from modeling_sigma.training.arguments import AdapterArguments, ModelArguments
from modeling_sigma.training.data.corpus_splits import hold_out
from modeling_sigma.training.model_building import build_model
from modeling_sigma.training.optimization.optimizer_groups import freeze_parts, part_of
from modeling_sigma.training.recipes.adapt import choose_method, first_clips_per_text, guess_task
from modeling_sigma.training.task import choose_task, kind_of


peft = pytest.importorskip("peft")

LABELS = torch.tensor([[5, 6, 1], [5, 1, -100], [7, 1, -100]])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny model that writes, as a bundle."""
    folder = tmp_path_factory.mktemp("base")
    return str(save_bundle(factories.tiny_model(), factories.tiny_processor(), folder))


def _adapted(base: str, seed: int = 0, **options: Any) -> Any:
    model = SigmaForConditionalGeneration.from_pretrained(base)
    adapted = peft.get_peft_model(model, lora_config(model, rank=4, **options))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return adapted.eval()


def _logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(**factories.tiny_inputs(), labels=LABELS).logits


@pytest.mark.parametrize("pose_encoder", ["full", "frozen", "lora"])
def test_what_trains(base: str, pose_encoder: str) -> None:
    model = _adapted(base, pose_encoder=pose_encoder)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    text = {name for name in trained if part_of(name) == "text_backbone"}
    pose = {name for name in trained if part_of(name) == "pose_encoder"}
    assert text and all("lora_" in name for name in text) and trained == text | pose
    assert any(".encoder." in name for name in text) and any("EncDecAttention" in name for name in text)
    plain = {name for name in pose if "lora_" not in name}
    if pose_encoder == "full":
        assert pose and all("modules_to_save" in name for name in pose)
    elif pose_encoder == "frozen":
        assert not pose
    else:
        assert any("lora_" in name and "spatial_conv" in name for name in pose)
        assert plain and all("_norm.modules_to_save" in name for name in plain)


@pytest.mark.parametrize("pose_encoder", ["full", "lora"])
def test_round_trip_and_merge(base: str, pose_encoder: str, tmp_path: Path) -> None:
    model = _adapted(base, pose_encoder=pose_encoder)
    expected, plain = _logits(model), _logits(SigmaForConditionalGeneration.from_pretrained(base).eval())
    assert not torch.allclose(expected, plain, atol=1e-2)
    save_adapter(model, factories.tiny_processor(), tmp_path / "adapter", base)
    loaded = load_adapted(tmp_path / "adapter")
    torch.testing.assert_close(_logits(loaded.eval()), expected)
    by_name = peft.AutoPeftModelForSeq2SeqLM.from_pretrained(tmp_path / "adapter")
    torch.testing.assert_close(_logits(by_name.eval()), expected)
    tokens = loaded.generate(**factories.tiny_inputs(), num_beams=1, max_new_tokens=4)
    merged = loaded.merge_and_unload()
    torch.testing.assert_close(_logits(merged), expected, atol=1e-5, rtol=1e-4)
    save_bundle(merged, factories.tiny_processor(), tmp_path / "merged")
    again = SigmaForConditionalGeneration.from_pretrained(tmp_path / "merged").eval()
    torch.testing.assert_close(_logits(again), expected, atol=1e-5, rtol=1e-4)
    assert torch.equal(again.generate(**factories.tiny_inputs(), num_beams=1, max_new_tokens=4), tokens)


def test_languages_on_one_base(base: str, tmp_path: Path) -> None:
    expected = {}
    for seed, language in enumerate(("german", "bangla")):
        model = _adapted(base, seed, pose_encoder="lora")
        expected[language] = _logits(model)
        save_adapter(model, factories.tiny_processor(), tmp_path / language, base)
    model = load_adapted(tmp_path / "german")
    model.load_adapter(str(tmp_path / "bangla"), "bangla")
    model.eval()
    torch.testing.assert_close(_logits(model), expected["german"])
    model.set_adapter("bangla")
    torch.testing.assert_close(_logits(model), expected["bangla"])
    assert not torch.allclose(expected["german"], expected["bangla"], atol=1e-2)


def test_new_labels_travel_with_the_adapter(base: str, tmp_path: Path) -> None:
    config = SigmaForSequenceClassification.config_class.from_pretrained(base, id2label={0: "a", 1: "b", 2: "c"})
    model = SigmaForSequenceClassification.from_pretrained(base, config=config)
    adapted = peft.get_peft_model(model, lora_config(model, pose_encoder="frozen")).eval()
    with torch.no_grad():
        adapted.get_base_model().classifier.modules_to_save["default"].bias += 0.1  # as training does
    expected = adapted(**factories.tiny_inputs()).logits
    save_adapter(adapted, factories.tiny_processor(), tmp_path, base)
    loaded = load_adapted(tmp_path).eval()
    assert model.untrained_weights == [] and loaded.merge_and_unload().untrained_weights == []
    loaded = load_adapted(tmp_path).eval()
    assert loaded.config.id2label == {0: "a", 1: "b", 2: "c"}
    torch.testing.assert_close(loaded(**factories.tiny_inputs()).logits, expected)


def test_the_adapter_has_a_card(base: str, tmp_path: Path) -> None:
    """What it needs, what binds it and what it knows; nothing that points into this machine."""
    labels = [f"sign {number}" for number in range(40)]
    numbers = {label: number for number, label in enumerate(labels)}
    config = SigmaForSequenceClassification.config_class.from_pretrained(
        base, id2label=dict(enumerate(labels)), label2id=numbers, weights_license="cc-by-nc-4.0"
    )
    model = SigmaForSequenceClassification.from_pretrained(base, config=config)
    adapted = peft.get_peft_model(model, lora_config(model))
    languages = {"sign_languages": ["Swiss German Sign Language"], "spoken_languages": ["German"]}
    for name, header in (("my-lab/sigma", "my-lab/sigma"), (base, None)):
        save_adapter(adapted, factories.tiny_processor(), tmp_path, name, **languages)
        card = ModelCard.load(tmp_path / "README.md")
        assert card.data.base_model == header and card.data.license == "cc-by-nc-4.0"
        assert card.data.library_name == "peft" and "sigma-slu" in card.data.tags
        assert str(Path(base).parent) not in card.content
        for text in ("Swiss German Sign Language", "German", "40 labels", "sign 0", "load_adapted(", "NonCommercial"):
            assert text in card.text
        assert "sign 39" not in card.text and "not stated" in card.text and "[More Information" not in card.text
    assert f'load_adapted("ORG/NAME", base="{Path(base).name}")' in card.text
    writer = _adapted(base)
    save_adapter(writer, factories.tiny_processor(), tmp_path, "my-lab/sigma")
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.license is None and "license of these weights is not stated yet" in card.text
    assert "labels" not in card.text and 'load_adapted("ORG/NAME")' in card.text


def test_adapters_of_a_newer_version_are_refused(base: str, tmp_path: Path) -> None:
    save_adapter(_adapted(base), factories.tiny_processor(), tmp_path, base)
    model = load_adapted(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["sigma_slu_version"] == modeling_sigma.__version__
    (tmp_path / "config.json").write_text(json.dumps({**config, "sigma_slu_version": "99.0"}))
    for load in (load_adapted, check_bundle, lambda folder: model.load_adapter(str(folder), "other")):
        with pytest.raises(ValueError, match="written by sigma-slu 99.0, and this is"):
            load(tmp_path)


def _labelled(base: str, labels: str, folder: Path, head: type = SigmaForSequenceClassification, seed: int = 0) -> Any:
    """Logits of an adapter with a label a letter, which is saved."""
    numbers = {label: number for number, label in enumerate(labels)}
    config = head.config_class.from_pretrained(base, id2label=dict(enumerate(labels)), label2id=numbers)
    torch.manual_seed(seed)
    model = head.from_pretrained(base, config=config)
    adapted = peft.get_peft_model(model, lora_config(model)).eval()
    save_adapter(adapted, factories.tiny_processor(), folder, base)
    return _scores(adapted)


def _scores(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(**factories.tiny_inputs()).logits


@pytest.mark.parametrize("head", [SigmaForSequenceClassification, SigmaForCTC])
def test_every_adapter_keeps_its_labels(base: str, head: type, tmp_path: Path) -> None:
    """Also where their numbers differ: on one base, after switching to and fro, training further and merging."""
    names = {"german": "abc", "bangla": "vwxyz", "dutch": "klm"}
    expected = {name: _labelled(base, names[name], tmp_path / name, head, seed) for seed, name in enumerate(names)}
    model = load_adapted(tmp_path / "german")
    model.load_adapter(str(tmp_path / "bangla"), "bangla", is_trainable=True)
    model.load_adapter(str(tmp_path / "dutch"), "dutch")
    for adapter, name in (("default", "german"), ("bangla", "bangla"), ("dutch", "dutch"), ("bangla", "bangla")):
        model.set_adapter(adapter)
        assert "".join(model.config.id2label.values()) == names[name]
        assert model.config.label2id == {label: number for number, label in enumerate(names[name])}
        torch.testing.assert_close(_scores(model), expected[name])
    assert "modules_to_save.bangla" in "".join(n for n, p in model.named_parameters() if p.requires_grad)
    model.set_adapter("dutch")
    model.delete_adapter("dutch")  # PEFT chooses which one is active now
    name = {"default": "german", "bangla": "bangla"}[model.active_adapters[0]]
    assert "".join(model.config.id2label.values()) == names[name]
    torch.testing.assert_close(_scores(model), expected[name])
    model.set_adapter("bangla")
    save_adapter(model, factories.tiny_processor(), tmp_path / "again", base)
    assert sorted(path.name for path in (tmp_path / "again").iterdir()) == sorted(
        path.name for path in (tmp_path / "bangla").iterdir()
    )
    again = load_adapted(tmp_path / "again").eval()
    assert "".join(again.config.id2label.values()) == names["bangla"]
    torch.testing.assert_close(_scores(again), expected["bangla"])
    merged = copy.deepcopy(model).merge_and_unload()
    assert merged.num_labels == 5 and type(merged) is head
    torch.testing.assert_close(_scores(merged), expected["bangla"], atol=1e-5, rtol=1e-4)
    save_adapter(_adapted(base), factories.tiny_processor(), tmp_path / "writer", base)
    with pytest.raises(ValueError, match=f"an adapter of a {head.__name__}, found one of a SigmaForConditionalGen"):
        model.load_adapter(str(tmp_path / "writer"), "writer")
    (tmp_path / "dutch" / "config.json").unlink()
    with pytest.raises(
        ValueError, match="dutch: expected the adapter .* that save_adapter wrote, found no config.json"
    ):
        model.load_adapter(str(tmp_path / "dutch"), "dutch")


@pytest.mark.parametrize("way", ["a run", "a loop of one's own", "training further"])
def test_a_frozen_pose_encoder_keeps_its_statistics(base: str, way: str, tmp_path: Path) -> None:
    """They are not saved with the adapter: if they moved, it would not give back what was trained."""
    model = SigmaForConditionalGeneration.from_pretrained(base)
    before = {name: tensor.clone() for name, tensor in model.pose_encoder.state_dict().items()}
    if way == "a run":
        adapted = add_adapter(model, AdapterArguments(pose_encoder="frozen"))
    else:
        adapted = peft.get_peft_model(model, lora_config(model, pose_encoder="frozen"))
    if way == "training further":
        save_adapter(adapted, factories.tiny_processor(), tmp_path, base)
        adapted = load_adapted(tmp_path, is_trainable=True)
    adapted.train()(**factories.tiny_inputs(), labels=LABELS)
    after = adapted.get_base_model().pose_encoder.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert adapted.get_base_model().encoder.training


def test_freezing_sees_the_parts_of_the_base_model(base: str) -> None:
    """A wrapper's own child is none of the parts: neither all of the model nor nothing may stop training."""
    adapted = _adapted(base, pose_encoder="full").train()
    freeze_parts(adapted, ["pose_encoder", "heads"])
    before = {name: tensor.clone() for name, tensor in adapted.state_dict().items()}
    adapted(**factories.tiny_inputs(), labels=LABELS)
    model = adapted.get_base_model()
    assert all(torch.equal(tensor, before[name]) for name, tensor in adapted.state_dict().items())
    assert not any(module.training for module in model.pose_encoder.modules()) and model.encoder.training
    trained = {part_of(name) for name, parameter in adapted.named_parameters() if parameter.requires_grad}
    assert trained == {"text_backbone"}


def test_mistakes_are_told(base: str, tmp_path: Path) -> None:
    model = factories.tiny_model()
    with pytest.raises(ValueError, match="pose_encoder among full, frozen, lora, received 'none'"):
        lora_config(model, pose_encoder="none")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="rank of at least 1"):
        lora_config(model, rank=0)


# --- data of the recipe


def test_signers_are_held_out_where_texts_allow_it() -> None:
    train, held, how = hold_out(tiny_rows(24), share=0.3)
    assert not set(train["signer_id"]) & set(held["signer_id"]) and how.startswith("by signer")
    assert set(train["text"]) == set(WORDS) and len(train) + len(held) == 24
    # Each text has a signer of its own: nobody can be held out.
    rows = tiny_rows(24)
    rows = rows.remove_columns("signer_id").add_column("signer_id", [f"of {text}" for text in rows["text"]])
    train, held, how = hold_out(rows, share=0.25)
    assert how.startswith("by clip") and sorted(held["text"]) == sorted(2 * WORDS) and set(train["text"]) == set(WORDS)
    with pytest.raises(ValueError, match="too few|enough clips"):
        hold_out(tiny_rows(1))


def _named_rows(texts: list[str]) -> datasets.Dataset:
    """What `hold_out` looks at, of clips whose signers nobody knows."""
    signers = datasets.Value("string")
    columns = datasets.Features({"text": datasets.Value("string"), "signer_id": signers})
    return datasets.Dataset.from_dict({"text": texts, "signer_id": [None] * len(texts)}, features=columns)


@pytest.mark.parametrize("num_repeated", [0, 1, 20])
def test_sentences_are_held_out_whole(num_repeated: int) -> None:
    """A sentence that comes twice is on one side, and few of them do not change how many clips are held out."""
    texts = [f"sentence {number}" for number in range(100 - num_repeated)]
    rows = _named_rows(texts + texts[:num_repeated])
    choices = set()
    for seed in range(10):
        train, held, how = hold_out(rows, share=0.2, seed=seed)
        assert (len(train), len(held)) == (80, 20) and how.startswith("by text")
        assert not set(train["text"]) & set(held["text"])
        choices.add(tuple(held["text"]))
    assert len(choices) == 10
    assert hold_out(rows, seed=3)[1]["text"][:] == hold_out(rows, seed=3)[1]["text"][:]
    with pytest.raises(ValueError, match="received 2 of 2 texts"):
        hold_out(_named_rows(texts[:2]))


def test_signs_are_held_out_of_every_text_that_repeats() -> None:
    """A sign with one clip is trained on: nobody could name it otherwise."""
    often, once = [f"sign {number}" for number in range(20)], [f"rare {number}" for number in range(9)]
    train, held, how = hold_out(_named_rows(5 * often + once), share=0.2)
    assert how.startswith("by clip") and sorted(held["text"]) == sorted(often)
    assert set(train["text"]) == {*often, *once}


def test_tasks_are_guessed_from_the_texts() -> None:
    rows = tiny_rows(12)
    short = rows.remove_columns("text").add_column("text", ["hello", "thanks", "rain"] * 4)
    assert guess_task(short) == "islr" and guess_task(rows) == "slt"
    assert guess_task(rows.remove_columns("text").add_column("text", [""] * 12)) == "cslr"


def test_a_head_says_what_it_is_for(base: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Four clips of four words look like sentences; a head of labels knows better. A model without tokenizer cannot
    learn to write."""
    head = factories.tiny_model(SigmaForSequenceClassification, use_prompt=False, num_labels=2)
    save_bundle(head, factories.tiny_processor().feature_extractor, tmp_path)
    kind = kind_of(str(tmp_path))
    assert kind is not None and kind.has_labels and kind.tasks == ("islr",)
    assert choose_task("islr", model=str(tmp_path)).kind is kind
    assert choose_task("islr", model=base).kind.head == choose_task("slt", model=str(tmp_path)).kind.head
    with pytest.raises(ValueError, match="this one has no tokenizer: use --head classification"):
        build_model(ModelArguments(model=str(tmp_path)), choose_task("slt"), tiny_rows())


def test_fewer_clips_of_each_text() -> None:
    few = first_clips_per_text(tiny_rows(13), 2)
    assert sorted(few["text"]) == sorted(2 * WORDS)
    with pytest.raises(ValueError, match="at least one clip per text"):
        first_clips_per_text(tiny_rows(4), 0)


# --- the label layer alone


def _recogniser() -> SigmaForSequenceClassification:
    labels = {0: "hello", 1: "rain", 2: "snow"}
    return factories.tiny_model(SigmaForSequenceClassification, id2label=labels, use_prompt=False, use_cls_token=False)


def test_a_label_layer_starts_at_the_means_of_its_clips() -> None:
    """Cosine, times ten, of a clip's state and the mean of its label's, both seen from the mean of all."""
    model = _recogniser()
    inputs = factories.tiny_inputs(prompt=False)
    states: list[torch.Tensor] = []
    model.classifier.register_forward_pre_hook(lambda _, read: states.append(read[0]))
    model(**inputs)
    labels = torch.tensor([0, 1, 0])[: len(states[0])]
    start_from_means(model.train(), [{**inputs, "labels": labels}])
    assert model.training
    centred = (states[0] - states[0].mean(dim=0)).detach()
    unit = torch.nn.functional.normalize(centred, dim=1)
    means = torch.stack([unit[labels == label].sum(dim=0) for label in (0, 1)])
    expected = 10 / centred.norm(dim=1).mean() * centred @ torch.nn.functional.normalize(means, dim=1).T
    logits = model.eval()(**inputs).logits
    torch.testing.assert_close(logits[:, :2], expected, atol=1e-4, rtol=1e-4)
    assert (logits[:, 2].abs() < 1e-4).all()  # no clips: zero, the logit of a clip like all others
    with pytest.raises(ValueError, match="expected clips"):
        start_from_means(model, [])
    with pytest.raises(ValueError, match="received a SigmaForConditionalGeneration"):
        start_from_means(factories.tiny_model(), [])


def test_the_method_is_chosen_by_model_and_clips(base: str, tmp_path: Path) -> None:
    """Few clips of a model that has learnt signs train the label layer alone; whatever is asked for is done."""
    rows, kind = (
        tiny_rows(13),
        kind_of(save_bundle(_recogniser(), factories.tiny_processor().feature_extractor, tmp_path)),
    )
    assert choose_method("auto", "islr", "classification", kind, rows) == "head"
    assert choose_method("auto", "islr", "classification", kind_of(base), rows) == "lora"
    assert choose_method("auto", "slt", "auto", kind_of(base), rows) == "lora"
    assert choose_method("full", "islr", "classification", kind, rows) == "full"
    many = datasets.concatenate_datasets([rows] * 30)
    assert choose_method("auto", "islr", "classification", kind, many) == "lora"
    with pytest.raises(ValueError, match="received the task slt .* use --method lora"):
        choose_method("head", "slt", "auto", kind, rows)


# --- the command


def test_adapt_a_folder(base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From a folder of files and a table to metrics, a merged model that predicts, and an adapter."""
    folder = tmp_path / "clips"
    folder.mkdir()
    with open(folder / "metadata.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "signer"])
        for number in range(18):
            save_clip(folder / f"{number}.npz", factories.random_clip(8 + number % 5, seed=number))
            table.writerow([f"{number}.npz", ("hello", "rain", "snow")[number % 3], "ABC"[number // 6]])
    out = tmp_path / "adapted"
    argv = ["adapt", "--model", base, "--data", str(folder), "--out", str(out), "--steps", "3", "--batch-size", "4",
            "--method", "lora", "--spoken-language", "English", "--sign-language", "Test Sign Language", "--cpu",
            "--json"]  # fmt: skip
    assert cli.main(argv) == 0
    results = json.loads(capsys.readouterr().out)
    assert results["task"] == "islr" and results["clips"] == {"train": 12, "test": 6}
    assert results["held_out"].startswith("by signer") and 0 < results["trainable"] < results["parameters"]
    assert np.isfinite(results["scores"]["test"]["loss"])
    assert json.loads((out / "metrics.json").read_text())["test"] == results["scores"]["test"]
    assert (out / "curves.png").is_file() and (out / "config.yaml").is_file()
    assert len((out / "predictions_test.txt").read_text().splitlines()) == 6
    merged = SigmaForSequenceClassification.from_pretrained(out).eval()
    assert sorted(merged.config.id2label.values()) == ["hello", "rain", "snow"]
    adapted = load_adapted(out / "adapter").eval()
    card = (out / "adapter" / "README.md").read_text()
    assert "Test Sign Language" in card and "English" in card and "hello, rain, snow" in card
    inputs = factories.tiny_inputs()
    torch.testing.assert_close(merged(**inputs).logits, adapted(**inputs).logits, atol=1e-5, rtol=1e-4)
    assert cli.main(["predict", "--model", str(out), str(folder / "0.npz"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["predictions"][0]["label"] in ("hello", "rain", "snow")


def test_adapt_the_label_layer_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything else stays as it is in the model, which knows the new signs and loads as any other."""
    model = _recogniser()
    base = save_bundle(model, factories.tiny_processor().feature_extractor, tmp_path / "base")
    (folder := tmp_path / "clips").mkdir()
    lines = ["path,label,signer"]
    for number in range(12):
        save_clip(folder / f"{number}.npz", factories.random_clip(8 + number % 5, seed=number))
        lines.append(f"{number}.npz,{('sun', 'boat')[number % 2]},{'AB'[number // 6]}")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    argv = ["adapt", "--model", str(base), "--data", str(folder), "--out", str(tmp_path / "out"), "--steps", "3",
            "--spoken-language", "English", "--cpu", "--json"]  # fmt: skip
    assert cli.main(argv) == 0
    results = json.loads(capsys.readouterr().out)
    assert results["method"] == "head" and results["adapter"] is None and not (tmp_path / "out" / "adapter").exists()
    adapted = SigmaForSequenceClassification.from_pretrained(tmp_path / "out")
    assert sorted(adapted.config.id2label.values()) == ["boat", "sun"]
    assert results["trainable"] == sum(weight.numel() for weight in adapted.classifier.parameters())
    old, new = model.state_dict(), adapted.state_dict()
    assert all(torch.equal(old[name], new[name]) for name in old if not name.startswith("classifier"))
