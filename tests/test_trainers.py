"""Trainers: what a step is, where randomness comes from, and what happens when something goes wrong."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path
from typing import Any

import factories
import pytest
import torch
from torch import nn
from training_factories import label_task, losses, tiny_arguments, tiny_classifier, tiny_rows, tiny_trainer

from modeling_sigma.jobs.atomic_files import lone_writer
from modeling_sigma.metrics import recognition_scores, translation_scores, word_error_rates
from modeling_sigma.metrics.trainer_metrics import decode_token_ids
from modeling_sigma.model.frame_batch_norm_sigma import FrameBatchNorm
from modeling_sigma.model.modeling_sigma_pretraining import SigmaForPreTraining
from modeling_sigma.training.arguments import DataArguments, ModelArguments
from modeling_sigma.training.data.clip_dataset import ClipDataset
from modeling_sigma.training.optimization.batch_normalization import synchronize_batch_norm
from modeling_sigma.training.optimization.optimizer_groups import part_of
from modeling_sigma.training.run import training_run
from modeling_sigma.training.run.callbacks import RunRecorder
from modeling_sigma.training.run.checkpoints import last_complete_checkpoint, remove_incomplete_checkpoints
from modeling_sigma.training.run.interruptions import command_to_resume
from modeling_sigma.training.run.run_folder import RunFolder
from modeling_sigma.training.run.training_run import run_training
from modeling_sigma.training.task import choose_task
from modeling_sigma.training.trainers import SigmaPreTrainer, SigmaSeq2SeqTrainer


def _weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


LABELS = sorted({row["text"] for row in tiny_rows()})


# --- what a step is


@pytest.mark.parametrize("head", ["generation", "classification"])
def test_accumulation_is_exact(head: str, tmp_path: Path) -> None:
    """Two accumulated batches, of different numbers of clips and tokens, give the step of one batch with all of them.
    The running statistics do not train here: BatchNorm alone sees how clips are batched."""
    runs = []
    for clips, accumulation in ((10, 1), (5, 2)):
        task, model = choose_task("slt"), None
        if head == "classification":
            task, model = label_task("islr", head, LABELS), tiny_classifier(LABELS)
        trainer = tiny_trainer(
            tmp_path,
            task,
            rows=tiny_rows(9),
            model=model,
            per_device_train_batch_size=clips,
            gradient_accumulation_steps=accumulation,
            freeze_batch_norm=True,
            adam_epsilon=1e-4,  # the paper's 1e-9 makes a whole step of a gradient that is nothing but rounding
            max_steps=3,
        )
        trainer.train()
        runs.append((losses(trainer), _weights(trainer.model)))
    assert runs[0][0] == pytest.approx(runs[1][0], abs=2e-6)
    torch.testing.assert_close(runs[0][1], runs[1][1], atol=2e-5, rtol=1e-4)


def test_loss_is_the_mean_over_clips(tmp_path: Path) -> None:
    model = tiny_classifier(LABELS)
    trainer = tiny_trainer(
        tmp_path, label_task("islr", "classification", LABELS), rows=tiny_rows(7), model=model,
        augmentation=None, per_device_train_batch_size=4, gradient_accumulation_steps=2, max_steps=1,
        freeze_batch_norm=True,
    )  # fmt: skip
    # As in the first epoch: one clip is longer than `max_frames`, and training chooses its frames at random.
    rows = [trainer.train_dataset[0, number] for number in range(7)]
    batch = trainer.data_collator(rows)
    batch.pop("sample_ids")
    expected = model.eval()(**batch).loss.item()
    trainer.train()
    assert losses(trainer)[0] == pytest.approx(expected, abs=1e-5)


def test_pretraining_logs_all_terms_and_adds_them_up(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path, "pretrain", max_steps=2)
    trainer.train()
    config = trainer.model.config
    for line in trainer.state.log_history[:2]:
        total = (1 - config.alpha) * line["global_alignment_loss"] + config.alpha * line["local_alignment_loss"]
        total += (1 - config.beta) * line["matching_loss"] + config.beta * line["lm_loss"]
        assert line["loss"] == pytest.approx(total, abs=1e-4)
        assert 0 <= line["matching_accuracy"] <= 1 and 2 <= line["clips"] <= 4


def test_accumulated_language_modelling_of_pretraining_is_the_mean_over_tokens(tmp_path: Path) -> None:
    fields = {"use_global_alignment": False, "use_local_alignment": False, "use_matching": False}
    runs = []
    for clips, accumulation in ((10, 1), (5, 2)):
        model = factories.tiny_model(
            SigmaForPreTraining, text_config=factories.tiny_text_config(dropout_rate=0.0), **fields
        )
        trainer = tiny_trainer(
            tmp_path, "pretrain", rows=tiny_rows(9), model=model, max_steps=2,
            per_device_train_batch_size=clips, gradient_accumulation_steps=accumulation, freeze_batch_norm=True,
        )  # fmt: skip
        trainer.train()
        runs.append(losses(trainer))
    assert runs[0] == pytest.approx(runs[1], abs=2e-6)


def test_the_scale_of_the_global_alignment_is_brought_back_after_a_step(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path, "pretrain", max_steps=1)
    trainer.model.logit_scale.weight.data.fill_(6.0)
    trainer.train()
    assert trainer.model.logit_scale.weight.item() <= math.log(100) + 1e-6


def test_pretraining_evaluates_terms_and_retrieval(tmp_path: Path) -> None:
    scores = tiny_trainer(tmp_path, "pretrain").evaluate()
    assert scores["eval_num_poses"] == 13 and 0 < scores["eval_pose_to_text_r10"] <= 100
    assert all(math.isfinite(scores[f"eval_{name}"]) for name in SigmaPreTrainer.TERMS)


def test_written_labels_can_be_constrained(tmp_path: Path) -> None:
    """An untrained model writes nonsense; with the trie of the labels it can only write labels."""
    tokenizer = factories.tiny_tokenizer()
    labels = sorted({row["text"] for row in tiny_rows()})
    texts = []
    for is_constrained in (False, True):
        task = choose_task("islr", constrain_labels=is_constrained)
        trainer = tiny_trainer(tmp_path, task, generation_max_length=40, generation_num_beams=1)
        output = trainer.predict(trainer.eval_dataset)
        texts.append(set(decode_token_ids(output.predictions, tokenizer)))
    assert not texts[0] & set(labels) and texts[1] <= set(labels)


# --- what an evaluation compares with


class _Parrot(SigmaSeq2SeqTrainer):
    """Predicts the label ids that it is given: the best that a model can do which learns from them."""

    def prediction_step(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        loss, _, labels = super().prediction_step(model, inputs, True)
        labels = inputs["labels"] if labels is None else labels
        return loss, labels, labels


@pytest.mark.parametrize("task", ["slt", "cslr", "islr"])
def test_references_are_the_texts_themselves(task: str, tmp_path: Path) -> None:
    """Texts are cut off at 4 tokens and have characters that the tokenizer lacks. Of 7 clips the last batch has 3, and
    training leaves such batches out; the scores are those of the files that the run writes."""
    rows = tiny_rows(7)
    texts = ["hello world", "\u0436\u0436\u0436", *(f"tomorrow  it will be unbelievable {n}" for n in range(5))]
    rows = rows.remove_columns(["text", "gloss"])
    rows = rows.add_column("text", texts).add_column("gloss", [text.split() for text in texts])
    processor = factories.tiny_processor(max_text_length=4)
    trainer = tiny_trainer(
        tmp_path, task, _Parrot, rows=rows, processor=processor, per_device_eval_batch_size=4,
        dataloader_drop_last=True, train_sampling_strategy="group_by_length",
    )  # fmt: skip
    output = trainer.predict(trainer.eval_dataset)
    trainer.task.write_predictions(output.predictions, rows, processor, tmp_path, "test")
    predictions, references = (
        (tmp_path / f"{name}_test.txt").read_text().splitlines() for name in ("predictions", "references")
    )
    assert references == [" ".join(text.split()) for text in texts] and len(predictions) == 7
    assert predictions[:2] == ["hell", ""]  # of "hello world", and of what has no known character
    score = {"slt": translation_scores, "cslr": word_error_rates, "islr": recognition_scores}[task]
    expected = {
        name: value for name, value in score(predictions, references).items() if isinstance(value, (int, float))
    }
    assert {name: output.metrics[f"test_{name}"] for name in expected} == expected
    if task == "islr":
        assert output.metrics["test_top1_per_instance"] == 0


def test_retrieval_tells_texts_apart_that_are_cut_off_alike(tmp_path: Path) -> None:
    rows = tiny_rows(6).remove_columns("text")
    rows = rows.add_column("text", [f"understanding people who sign {n}" for n in range(5)] + ["\u0436"])
    trainer = tiny_trainer(
        tmp_path, "pretrain", rows=rows, processor=factories.tiny_processor(max_text_length=4)
    )  # fmt: skip
    assert trainer.evaluate()["eval_num_distinct_texts"] == 6


# --- randomness


def test_what_happens_to_a_clip_does_not_depend_on_its_batch(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path)
    data, collate = trainer.train_dataset, trainer.data_collator
    together = collate([data[(2, number)] for number in (0, 3, 5)])
    alone = collate([data[(2, 3)]])
    length = int(alone["pose_attention_mask"].sum())
    assert torch.equal(together["pose_values"][1, :length], alone["pose_values"][0, :length])
    again = collate([data[(3, 3)]])
    assert alone["pose_values"].shape != again["pose_values"].shape or not torch.equal(
        alone["pose_values"], again["pose_values"]
    )
    still = [collate([data[3]])["pose_values"] for _ in range(2)]
    assert torch.equal(*still)


@pytest.mark.parametrize(
    ("stop_at", "matrix_rate"), [(3, None), (4, None), (3, 1e-3)],
    ids=["within an epoch", "at the end of an epoch", "with Muon"],
)  # fmt: skip
def test_resumed_run_equals_the_undisturbed_one(stop_at: int, matrix_rate: float | None, tmp_path: Path) -> None:
    """13 clips, 4 a batch: 4 steps an epoch. With dropout, augmentation and a moving average."""

    def trainer(folder: str, **fields: Any) -> Any:
        model = factories.tiny_model(text_config=factories.tiny_text_config(dropout_rate=0.2), seed=1)
        return tiny_trainer(
            tmp_path / folder, model=model, max_steps=9, save_strategy="steps", save_steps=1, save_total_limit=None,
            ema_decay=0.5, pose_learning_rate=2e-3, matrix_learning_rate=matrix_rate, **fields,
        )  # fmt: skip

    whole = trainer("whole")
    whole.train()
    # The second folder holds what a killed run leaves: whole checkpoints, and the beginning of the next.
    shutil.copytree(tmp_path / "whole" / f"checkpoint-{stop_at}", tmp_path / "broken" / f"checkpoint-{stop_at}")
    interrupted = tmp_path / "broken" / f"checkpoint-{stop_at + 1}"
    shutil.copytree(tmp_path / "whole" / f"checkpoint-{stop_at + 1}", interrupted)
    (interrupted / "trainer_state.json").unlink()
    (interrupted / "model.safetensors").write_bytes(b"half")

    checkpoint = last_complete_checkpoint(tmp_path / "broken")
    assert checkpoint is not None and checkpoint.name == f"checkpoint-{stop_at}"
    assert remove_incomplete_checkpoints(tmp_path / "broken") == [interrupted]
    torch.manual_seed(12345)
    resumed = trainer("broken")
    resumed.train(resume_from_checkpoint=str(checkpoint))
    assert losses(resumed) == pytest.approx(losses(whole), abs=1e-6)
    assert len(losses(resumed)) == 9
    torch.testing.assert_close(_weights(resumed.model), _weights(whole.model), atol=1e-6, rtol=1e-6)


# --- parts


@pytest.mark.parametrize("max_steps", [3, 4, 6], ids=str)
def test_a_finished_run_is_not_trained_further(max_steps: int, tmp_path: Path) -> None:
    """Four steps an epoch: it ended within an epoch, with one, and within the next."""
    fields: dict[str, Any] = {"max_steps": max_steps, "save_strategy": "steps", "save_steps": 1}
    trainer = tiny_trainer(tmp_path, **fields)
    trainer.train()
    resumed = tiny_trainer(tmp_path, **fields)
    resumed.train(resume_from_checkpoint=str(last_complete_checkpoint(tmp_path)))
    assert resumed.state.global_step == max_steps
    torch.testing.assert_close(_weights(resumed.model), _weights(trainer.model), atol=0, rtol=0)


def test_parts_have_learning_rates_of_their_own(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path, pose_learning_rate=3e-3, head_learning_rate=5e-4, max_steps=1)
    optimizer = trainer.create_optimizer()
    rates = {"pose_encoder": 3e-3, "embeddings": 1e-3, "text_backbone": 1e-3, "heads": 5e-4}
    names = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
    found = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            found[names.pop(id(parameter))] = group["lr"]
    assert not names  # every parameter is in one group
    assert all(rate == rates[part_of(name)] for name, rate in found.items())
    assert part_of("base_model.model.decoder.block.0.layer.0.SelfAttention.q.lora_A.default.weight") == "text_backbone"
    assert part_of("pose_cls_token.weight") == "heads"


def test_matrices_train_with_muon(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path, matrix_learning_rate=2e-3, max_steps=1)
    optimizer = trainer.create_optimizer()
    kinds = {name: type(one).__name__ for name, one in optimizer.optimizers.items()}
    assert kinds == {"muon": "Muon", "adamw": "AdamW"}
    owners = {}
    for name, one in optimizer.optimizers.items():
        for group in one.param_groups:
            owners.update({id(parameter): (name, group["lr"]) for parameter in group["params"]})
    found = {name: owners[id(parameter)] for name, parameter in trainer.model.named_parameters()}
    assert found["encoder.block.0.layer.0.SelfAttention.q.weight"] == ("muon", 2e-3)
    assert found["shared.weight"] == found["lm_head.weight"] == ("adamw", 1e-3)
    trainer.train()
    line = trainer.state.log_history[0]
    assert line["learning_rate_matrices"] < 2e-3 and line["learning_rate_pose_encoder"] < 1e-3  # scheduled alike


def test_frozen_parts_keep_weights_and_statistics(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path, freeze=["pose_encoder", "embeddings"], weight_decay=0.1)
    before = _weights(trainer.model)
    trainer.train()
    for name, tensor in _weights(trainer.model).items():
        part = part_of(name)
        if part in ("pose_encoder", "embeddings"):
            assert torch.equal(tensor, before[name]), name
    assert not torch.equal(trainer.model.encoder.block[0].layer[0].SelfAttention.q.weight,
                           before["encoder.block.0.layer.0.SelfAttention.q.weight"])  # fmt: skip
    with pytest.raises(ValueError, match="expected parts to freeze among .* received 'decoder'"):
        tiny_trainer(tmp_path, freeze=["decoder"])


def test_frozen_statistics_leave_the_weights_free(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path, freeze_batch_norm=True)
    before = _weights(trainer.model)
    trainer.train()
    after = _weights(trainer.model)
    assert all(torch.equal(after[name], before[name]) for name in after if "running_" in name)
    name = next(name for name in after if name.endswith("spatial_norm.weight"))
    assert not torch.equal(after[name], before[name])


def test_average_is_evaluated_and_ends_the_run(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path, ema_decay=0.5, max_steps=3)
    states: list[dict[str, torch.Tensor]] = []
    step = trainer.training_step
    trainer.training_step = lambda *args: (states.append(_weights(trainer.model)), step(*args))[1]
    finish = trainer._finalize_training
    trainer._finalize_training = lambda *args: (states.append(_weights(trainer.model)), finish(*args))[1]
    trainer.train()
    name = "encoder.block.0.layer.0.SelfAttention.q.weight"
    first, second, third = (state[name] for state in states[1:])  # after steps 1, 2, 3
    # The average starts as the first step's weights, and keeps 2 / 11 and 3 / 12 of itself in the next two.
    expected = 3 / 12 * (2 / 11 * first + 9 / 11 * second) + 9 / 12 * third
    torch.testing.assert_close(trainer.model.state_dict()[name], expected)


# --- what goes wrong


class _Poison(nn.Module):
    """Wraps a loss: not finite in chosen calls of training."""

    def __init__(self, calls: set[int], value: float) -> None:
        super().__init__()
        self.calls, self.value, self.number = calls, value, 0


def _poison(trainer: Any, calls: set[int], value: float = math.nan) -> None:
    forward, state = trainer.model.forward, _Poison(calls, value)

    def poisoned(*args: Any, **kwargs: Any) -> Any:
        outputs = forward(*args, **kwargs)
        state.number += 1
        if state.number in state.calls:
            outputs["loss"] = outputs["loss"] * state.value
        return outputs

    trainer.model.forward = poisoned


def test_a_loss_that_is_no_number_stops_with_the_clips(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path)
    batches = [[trainer.train_dataset[key].sample_id for key in batch] for batch in _order(trainer)]
    _poison(trainer, {2})
    with pytest.raises(ValueError, match="loss of step 2 is nan") as error:
        trainer.train()
    assert ", ".join(batches[1]) in str(error.value)


def _order(trainer: Any) -> list[list[tuple[int, int]]]:
    trainer.get_train_dataloader()
    return list(trainer._epochs.sampler)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_steps_that_are_no_number_are_skipped_and_counted(value: float, tmp_path: Path) -> None:
    """As if the poisoned step had not been: weights and running statistics are those before it."""
    trainer = tiny_trainer(tmp_path, on_non_finite="skip", max_steps=3)
    states: list[dict[str, torch.Tensor]] = []
    step = trainer.training_step
    trainer.training_step = lambda *args: (states.append(_weights(trainer.model)), step(*args))[1]
    _poison(trainer, {2}, value)
    trainer.train()
    torch.testing.assert_close(states[2], states[1], atol=0, rtol=0)
    assert not torch.equal(states[1]["shared.weight"], states[0]["shared.weight"])
    assert trainer.guard.num_skipped == 1
    assert trainer.state.log_history[1]["num_skipped_steps"] == 1
    assert all(math.isfinite(entry.get("loss", entry.get("train_loss"))) for entry in trainer.state.log_history)
    assert all(torch.isfinite(tensor).all() for tensor in trainer.model.state_dict().values())


def _spoil(trainer: Any, value: float) -> None:
    """From the second batch on, the second clip has a frame in which one coordinate is `value`."""
    collate, batches = trainer.data_collator, []

    def spoilt(samples: Any) -> Any:
        batch = collate(samples)
        batches.append(batch["sample_ids"])
        if len(batches) == 2:
            batch["pose_values"][1, 2, 3, 0] = value
        return batch

    trainer.data_collator, trainer.seen = spoilt, batches


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_clip_that_is_no_number_stops_before_the_model_sees_it(value: float, tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path)
    _spoil(trainer, value)
    with pytest.raises(ValueError, match="batch of step 2 has values that are not finite, and nothing has") as error:
        trainer.train()
    assert f"clips with such values: {trainer.seen[1][1]}. Mend these clips" in " ".join(str(error.value).split())
    assert all(torch.isfinite(tensor).all() for tensor in trainer.model.state_dict().values())


def test_a_step_with_a_clip_that_is_no_number_is_left_out(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path, on_non_finite="skip", max_steps=3)
    states: list[dict[str, torch.Tensor]] = []
    step = trainer.training_step
    trainer.training_step = lambda *args: (states.append(_weights(trainer.model)), step(*args))[1]
    _spoil(trainer, math.nan)
    trainer.train()
    torch.testing.assert_close(states[2], states[1], atol=0, rtol=0)
    assert trainer.guard.num_skipped == 1
    assert all(torch.isfinite(tensor).all() for tensor in trainer.model.state_dict().values())


def test_an_evaluation_set_without_clips_is_refused(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path)
    with pytest.raises(ValueError, match="expected an eval_dataset with clips, received one without clips"):
        trainer.evaluate(ClipDataset(tiny_rows().select([])))
    task = choose_task("slt")
    with pytest.raises(ValueError, match="expected clips in the validation split, received none: add clips, or leave"):
        run_training(
            task, {"train": tiny_rows(), "validation": tiny_rows().select([])}, ModelArguments(), DataArguments(),
            tiny_arguments(tmp_path),
        )  # fmt: skip


def test_two_runs_do_not_write_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_run, "_PATIENCE", 0)
    with lone_writer(tmp_path), pytest.raises(ValueError, match="another process is writing here"):
        run_training(
            choose_task("slt"), {"train": tiny_rows()}, ModelArguments(), DataArguments(), tiny_arguments(tmp_path)
        )


def test_a_full_disk_does_not_end_the_run_for_a_line_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "log.jsonl").mkdir()  # cannot be written to, even by root
    trainer = tiny_trainer(tmp_path)
    trainer.add_callback(RunRecorder(RunFolder(tmp_path)))
    trainer.train()
    assert trainer.state.global_step == 4 and "log.jsonl cannot be written" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["/bin/sigma-slu", "finetune", "c.yaml"], "sigma-slu finetune c.yaml --resume true"),
        (["f.py", "c.yaml", "--overwrite", "--seed", "1"], "f.py c.yaml --seed 1 --resume true"),
        (["f.py", "--overwrite", "true", "c.yaml", "--resume=true"], "f.py c.yaml --resume true"),
        (["f.py", "a b.yaml", "--resume", "true"], "f.py 'a b.yaml' --resume true"),
        (["f.py", "c.yaml", "--hub_token", "hf_x"], "the same command and --resume true"),
    ],
)
def test_the_command_to_go_on(arguments: list[str], command: str) -> None:
    assert command_to_resume(arguments) == command


def test_out_of_memory_names_the_batch(tmp_path: Path) -> None:
    trainer = tiny_trainer(tmp_path, frames_per_batch=56)

    def forward(*args: Any, **kwargs: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    trainer.model.forward = forward
    with pytest.raises(MemoryError, match=r"4 clips x 14 frames = 56 frames .* lower frames_per_batch, now 56"):
        trainer.train()


def test_full_disk_leaves_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = tiny_trainer(tmp_path, save_strategy="steps", save_steps=1, save_total_limit=1, max_steps=3)
    save = torch.save

    def full_disk(content: Any, path: Any, *args: Any, **kwargs: Any) -> None:
        if "checkpoint-2" in os.fspath(path):
            Path(path).write_bytes(b"half of it")
            raise OSError(28, "No space left on device")
        save(content, path, *args, **kwargs)

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match=r"checkpoint-2 could not be written .*No space left.*checkpoint-1 is complete"):
        trainer.train()
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-1"]
    monkeypatch.undo()
    resumed = tiny_trainer(tmp_path, max_steps=3)
    resumed.train(resume_from_checkpoint=str(last_complete_checkpoint(tmp_path)))
    assert resumed.state.global_step == 3


# --- BatchNorm


def test_synchronised_batch_norm_alone_is_batch_norm() -> None:
    torch.manual_seed(0)
    model, plain = nn.Sequential(FrameBatchNorm(4), nn.Linear(4, 2)), nn.BatchNorm1d(4)
    synchronize_batch_norm(model)
    values = torch.randn(7, 4)
    torch.testing.assert_close(model[0](values), plain(values))
    torch.testing.assert_close(dict(model[0].state_dict()), dict(plain.state_dict()))


def test_arguments_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="use --freeze"):
        tiny_arguments(tmp_path, pose_learning_rate=0.0)
    with pytest.raises(ValueError, match="ema_decay between 0 and 1"):
        tiny_arguments(tmp_path, ema_decay=1.5)
