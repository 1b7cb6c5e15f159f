"""The small parts of training: tasks, run folder, curves, paths of CTC, models of a run."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import factories
import numpy as np
import pytest
import torch
from training_factories import WORDS, label_task, tiny_arguments, tiny_rows, tiny_trainer

from modeling_sigma.hub.bundle import save_bundle
from modeling_sigma.model.feature_extraction_sigma import SigmaFeatureExtractor
from modeling_sigma.model.model_kinds_sigma import MODEL_KINDS, ModelKind
from modeling_sigma.model.modeling_sigma_heads import (
    SigmaForConditionalGeneration,
    SigmaForCTC,
    SigmaForSequenceClassification,
)
from modeling_sigma.model.modeling_sigma_pretraining import SigmaForPreTraining
from modeling_sigma.training.arguments import DataArguments, ModelArguments
from modeling_sigma.training.data.clip_dataset import ClipDataset
from modeling_sigma.training.data.word_tokenizer import unigram_tokenizer
from modeling_sigma.training.model_building import build_model
from modeling_sigma.training.optimization.weight_average import WeightAverage
from modeling_sigma.training.run.checkpoints import is_complete, last_complete_checkpoint
from modeling_sigma.training.run.run_folder import RunFolder
from modeling_sigma.training.run.training_run import run_training
from modeling_sigma.training.task import choose_task


SIZES = {
    "text_config": {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_heads": 4, "num_layers": 2},
    "pose_config": {"joint_hidden_size": 8, "spatial_hidden_sizes": [8], "temporal_hidden_sizes": [16]},
    "fusion_layers": 1,
    "max_frames": 16,
}


# --- tasks


def test_a_new_kind_of_model_has_its_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry in the table of kinds is enough, whatever Auto class loads it."""
    kind = ModelKind("SigmaForToys", "toys", "AutoModelForToys", head="toys", tasks=("islr",), label_layer="toy_layer")
    monkeypatch.setitem(MODEL_KINDS, kind.class_name, kind)
    task = choose_task("islr", "toys")
    assert (task.kind, task.best_metric) == (kind, ("top1_per_instance", True))
    task.set_labels(["one", "two"])
    assert task.texts(np.array([[0.1, 0.9]]), processor=None) == ["two"]


def test_targets_of_the_tasks() -> None:
    data, processor = ClipDataset(tiny_rows(3)), factories.tiny_processor()
    clips = [data[number] for number in range(3)]
    for name, first in (("slt", "hello world"), ("cslr", "HELLO WORLD"), ("islr", "hello world")):
        batch = choose_task(name).collate(processor, clips)
        expected = processor(text=[first])["labels"][0]
        assert torch.equal(batch["labels"][0, : len(expected)], expected)
        assert not any(name.startswith("text_") for name in batch)
        assert batch["sample_ids"] == ["train_0", "train_1", "train_2"]
    assert "text_word_ids" in choose_task("pretrain").collate(processor, clips)
    labels = sorted(WORDS)
    batch = label_task("islr", "classification", labels).collate(processor, clips)
    assert batch["labels"].tolist() == [labels.index(text) for text in WORDS[:3]]
    glosses = ["<blank>", *sorted(" ".join(WORDS).upper().split())]
    batch = label_task("cslr", "ctc", glosses).collate(processor, clips)
    numbers = {gloss: number for number, gloss in enumerate(glosses)}
    assert batch["labels"][0].tolist() == [numbers["HELLO"], numbers["WORLD"], -100, -100, -100]


def test_prompts_name_the_language() -> None:
    data, processor = ClipDataset(tiny_rows(1)), factories.tiny_processor()
    own = choose_task("slt").collate(processor, [data[0]])
    other = choose_task("slt", language="Chinese").collate(processor, [data[0]])
    assert torch.equal(own["prompt_input_ids"], processor(poses=data[0].clip)["prompt_input_ids"])
    assert torch.equal(
        other["prompt_input_ids"], processor(poses=data[0].clip, language="Chinese")["prompt_input_ids"]
    )


def test_clips_without_a_target_are_named() -> None:
    rows = tiny_rows(2).remove_columns("gloss").add_column("gloss", [["A"], []])
    data, processor = ClipDataset(rows), factories.tiny_processor()
    for task in (choose_task("cslr"), label_task("cslr", "ctc", ["<blank>", "A"])):
        with pytest.raises(ValueError, match="sample train_1: expected glosses for cslr"):
            task.collate(processor, [data[0], data[1]])
    with pytest.raises(ValueError, match="sample train_1: expected one of the model's 1 labels"):
        label_task("islr", "classification", [WORDS[0]]).collate(processor, [data[0], data[1]])


def test_labels_come_from_all_splits(caplog: pytest.LogCaptureFixture) -> None:
    def labels(name: str, head: str, **splits: Any) -> list[str] | None:
        task = choose_task(name, head)
        task.number_labels(splits)
        return task.labels

    assert labels("islr", "classification", train=tiny_rows(4)) == sorted(WORDS)
    assert labels("cslr", "ctc", train=tiny_rows(1)) == ["<blank>", "HELLO", "WORLD"]
    assert labels("islr", "generation", train=tiny_rows(4)) is None
    assert not caplog.records
    # A sign of the test split alone has a number, and clips of it count as mistakes.
    assert labels("islr", "classification", train=tiny_rows(2), test=tiny_rows(4)) == sorted(WORDS)
    assert f"2 of {len(WORDS)} labels have no training clip" in caplog.text


# --- CTC


def test_best_paths_by_hand() -> None:
    paths = np.array([[0, 1, 1, 0, 1, 2, 2, -100], [0, 0, 0, 0, 0, -100, -100, -100]])
    task = label_task("cslr", "ctc", ["<blank>", "A", "B"])
    assert task.texts(paths, None) == ["A A B", ""]
    found = task.scores(SimpleNamespace(predictions=paths, references=["A A B", "B"]), None)
    assert found["wer"] == 25.0 and found["num_deletions"] == 1


def test_ctc_trains_and_scores(tmp_path: Path) -> None:
    labels = ["<blank>", *sorted(set(" ".join(WORDS).upper().split()))]
    numbers = {name: number for number, name in enumerate(labels)}
    model = factories.tiny_model(SigmaForCTC, id2label=dict(enumerate(labels)), label2id=numbers)
    trainer = tiny_trainer(tmp_path, label_task("cslr", "ctc", labels), model=model, max_steps=2)
    trainer.train()
    scores = trainer.evaluate()
    assert 0 <= scores["eval_wer"] and scores["eval_num_reference_words"] == 3 * 15 + 2
    output = trainer.predict(trainer.eval_dataset)
    mask = trainer.data_collator([trainer.eval_dataset[0]])["pose_attention_mask"][0]
    assert (output.predictions[0] >= 0).sum() == mask.sum()


# --- models of a run


def test_new_model_from_sizes() -> None:
    model, processor = build_model(
        ModelArguments(model_config=SIZES, max_text_length=9), choose_task("slt"), tiny_rows()
    )
    assert isinstance(model, SigmaForConditionalGeneration)
    assert model.config.text_config.vocab_size == len(processor.tokenizer) == model.shared.num_embeddings
    assert processor.feature_extractor.max_frames == 16 and processor.max_text_length == 9
    ids = processor(text="hello world")["labels"][0].tolist()
    assert len(ids) == 3 and processor.decode(ids, skip_special_tokens=True) == "hello world"
    with pytest.raises(ValueError, match="max_frames up to the model's 16, received 64"):
        build_model(
            ModelArguments(model_config=SIZES, feature_extractor={"max_frames": 64}), choose_task("slt"), tiny_rows()
        )


def test_checkpoints_carry_over(tmp_path: Path) -> None:
    """From pre-training to a head: weights, processor and sizes stay; what the run changes, changes."""
    pretrained = factories.tiny_model(SigmaForPreTraining)
    folder = save_bundle(pretrained, factories.tiny_processor(max_frames=20, scale_reference="image"), tmp_path)
    arguments = ModelArguments(model=str(folder), model_config={"label_smoothing": 0.05, "max_frames": 12})
    task = label_task("islr", "classification", sorted(WORDS))
    model, processor = build_model(arguments, task, tiny_rows(), {"noise": 0.1})
    torch.testing.assert_close(model.encoder.state_dict(), pretrained.encoder.state_dict())
    assert model.config.id2label[0] == sorted(WORDS)[0] and model.config.num_labels == 4
    assert model.config.label_smoothing == 0.05
    extractor = processor.feature_extractor
    assert (extractor.max_frames, extractor.scale_reference, extractor.augmentation) == (12, "image", {"noise": 0.1})
    with pytest.raises(ValueError, match="SigmaConfig has no field 'smoothing'"):
        build_model(ModelArguments(model=str(folder), model_config={"smoothing": 1}), choose_task("slt"), tiny_rows())


@pytest.mark.parametrize(
    ("given", "expected"), [(None, {"noise": 0.1}), ({}, None), ({"flip": 0.5}, {"flip": 0.5})], ids=str
)
def test_a_run_decides_about_augmentation(given: dict | None, expected: dict | None, tmp_path: Path) -> None:
    """What the run says wins over the checkpoint, nothing included; a run that says nothing keeps it."""
    save_bundle(factories.tiny_model(), factories.tiny_processor(augmentation={"noise": 0.1}), tmp_path)
    arguments = ModelArguments(model=str(tmp_path))
    data = DataArguments(augmentation=given)
    _, processor = build_model(arguments, choose_task("slt"), tiny_rows(), data.augmentation)
    assert processor.feature_extractor.augmentation == expected
    arguments = ModelArguments(model=str(tmp_path), feature_extractor={"augmentation": {"speed": 0.2}})
    _, processor = build_model(arguments, choose_task("slt"), tiny_rows(), data.augmentation)
    assert processor.feature_extractor.augmentation == ({"speed": 0.2} if given is None else expected)


def test_known_labels_keep_their_rows(tmp_path: Path) -> None:
    """Of other signs, in another order: what the head knew of a sign stays with the sign."""
    config = {"id2label": {0: "bye", 1: "hello", 2: "rain"}, "label2id": {"bye": 0, "hello": 1, "rain": 2}}
    old = factories.tiny_model(SigmaForSequenceClassification, **config)
    save_bundle(old, factories.tiny_processor(), tmp_path)
    labels = ["apple", "hello", "bye", "zebra"]
    task = label_task("islr", "classification", labels)
    model, _ = build_model(ModelArguments(model=str(tmp_path)), task, tiny_rows())
    assert model.classifier.weight.shape[0] == 4
    torch.testing.assert_close(model.classifier.weight[[1, 2]], old.classifier.weight[[1, 0]])
    torch.testing.assert_close(model.classifier.bias[[1, 2]], old.classifier.bias[[1, 0]])
    assert not any(torch.equal(model.classifier.weight[3], row) for row in old.classifier.weight)


def test_unigram_tokenizer_knows_scripts_without_spaces() -> None:
    tokenizer = unigram_tokenizer(["今天天气很好", "今天很好"] * 4, vocabulary_size=20)
    assert tokenizer.decode(tokenizer("今天天气很好")["input_ids"], skip_special_tokens=True).strip() == "今天天气很好"


# --- a run and its folder


def test_a_run_leaves_its_record(tmp_path: Path) -> None:
    args = tiny_arguments(tmp_path / "run", do_train=True, do_eval=True, do_predict=True, generation_max_length=5)
    splits = {"train": tiny_rows(8), "validation": tiny_rows(4, "validation", 1), "test": tiny_rows(3, "test", 2)}
    scores = run_training(choose_task("slt"), splits, ModelArguments(model_config=SIZES), DataArguments(), args)
    assert (args.metric_for_best_model, args.greater_is_better) == ("bleu4", True)
    folder = tmp_path / "run"
    names = {path.name for path in folder.iterdir()}
    assert names >= {"run.json", "config.yaml", "log.jsonl", "metrics.json", "curves.png", "model.safetensors"}
    run = json.loads((folder / "run.json").read_text())
    assert run["data"]["train"]["clips"] == 8 and len(run["data"]["train"]["sha256"]) == 64
    assert run["data"]["test"]["texts"] == 3 and run["model"]["class"] == "SigmaForConditionalGeneration"
    assert json.loads((folder / "metrics.json").read_text())["test"]["bleu4"] == scores["test"]["bleu4"]
    lines = (folder / "predictions_test.txt").read_text().splitlines()
    assert len(lines) == len((folder / "references_test.txt").read_text().splitlines()) == 3
    assert SigmaForConditionalGeneration.from_pretrained(folder).config.max_frames == 16
    assert json.loads((folder / "preprocessor_config.json").read_text())["training_layout"] == "coco_wholebody_133"
    assert json.loads((folder / "preprocessor_config.json").read_text())["training_estimator"] is None
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_another_runs_checkpoints_are_not_mixed(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path, save_strategy="steps", save_steps=1, max_steps=1)
    trainer.train()
    assert last_complete_checkpoint(tmp_path) == tmp_path / "checkpoint-1"
    args = tiny_arguments(tmp_path, do_train=True)
    with pytest.raises(ValueError, match="continue with --resume, start again with --overwrite"):
        run_training(choose_task("slt"), {"train": tiny_rows(4)}, ModelArguments(), DataArguments(), args)
    state = tmp_path / "checkpoint-1" / "trainer_state.json"
    state.write_text(state.read_text()[:100])
    assert not is_complete(tmp_path / "checkpoint-1") and last_complete_checkpoint(tmp_path) is None


def test_run_folder_draws_and_leaves_writing_to_one_process(tmp_path: Path) -> None:
    history = [{"loss": 3.0, "epoch": 0.5, "step": 1}, {"loss": 2.0, "step": 2}, {"eval_bleu4": 7.0, "step": 2}]
    RunFolder(tmp_path).draw_curves(history)
    assert (tmp_path / "curves.png").is_file()
    RunFolder(tmp_path / "other", is_writer=False).write("x.json", {})
    assert not (tmp_path / "other").exists()


def test_the_average_soon_forgets_how_it_began() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    average = WeightAverage(model, 0.9)
    values = []
    for value in (1.0, 2.0, 3.0):
        torch.nn.init.constant_(model.weight, value)
        average.update()
        values.append(average.averaged.module.weight.item())
    # The first step is copied; then 2 / 11 of the average stay, then 3 / 12.
    assert values[0] == 1
    assert values[1] == pytest.approx(1 * 2 / 11 + 2 * 9 / 11)
    assert values[2] == pytest.approx(values[1] * 3 / 12 + 3 * 9 / 12)


def test_average_needs_its_file(tmp_path: Path) -> None:
    average = WeightAverage(torch.nn.Linear(2, 2), 0.9)
    with pytest.raises(ValueError, match="written without ema_decay"):
        average.load(tmp_path)


def test_lengths_are_the_most_that_a_model_may_read() -> None:
    data = ClipDataset(tiny_rows(3))
    frames = data.rows["num_frames"]
    extractor = SigmaFeatureExtractor(max_frames=6, augmentation={"speed": 0.5})
    assert data.lengths(extractor) == [min(6, -(-3 * count // 2)) for count in frames]
    assert data.lengths(SigmaFeatureExtractor(max_frames=40, frame_sampling="interpolate")) == [40] * 3
