"""Label heads that learn mixtures of clips, and what teachers answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import factories
import pytest
import torch
from torch.nn import functional
from training_factories import label_task, tiny_classifier, tiny_rows, tiny_trainer

from modeling_sigma.hub.bundle import save_bundle
from modeling_sigma.model.modeling_sigma_heads import SigmaForSequenceClassification
from modeling_sigma.training import label_trainer
from modeling_sigma.training.optimization.mixed_clips import draw_mixture, mix_clips
from modeling_sigma.training.optimization.teachers import Teachers


LABELS = sorted({row["text"] for row in tiny_rows()})


@pytest.fixture(name="teacher")
def _teacher(tmp_path: Path) -> str:
    folder = tmp_path / "teacher"
    torch.manual_seed(7)
    model = tiny_classifier(LABELS)
    for parameter in model.classifier.parameters():
        torch.nn.init.normal_(parameter, std=3.0)  # an answer that is far from even
    save_bundle(model, factories.tiny_processor(max_frames=14), folder)
    return str(folder)


def _trainer(folder: Path, model: Any = None, **fields: Any) -> Any:
    task = label_task("islr", "classification", LABELS)
    return tiny_trainer(folder, task, model=model or tiny_classifier(LABELS), augmentation=None, **fields)


def _batch(trainer: Any) -> dict[str, Any]:
    batch = next(iter(trainer.get_train_dataloader()))
    batch.pop("sample_ids")
    trainer._step_clips = torch.tensor(float(len(batch["labels"])))
    return batch


# --- mixtures


def test_clips_keep_more_of_themselves_than_they_take() -> None:
    torch.manual_seed(0)
    shares, partners = draw_mixture(1000, 0.3)
    assert shares.min() >= 0.5 and shares.max() <= 1
    assert 0.12 < (1 - shares).mean() < 0.15  # of Beta(0.3, 0.3): the smaller share is 0.136 on average
    assert sorted(partners.tolist()) == list(range(1000))
    barely, _ = draw_mixture(1000, 0.05)
    assert 0.02 < (1 - barely).mean() < 0.04


def test_a_joint_lies_between_two_that_were_seen_and_else_where_it_was_seen() -> None:
    clips = torch.zeros(2, 1, 69, 3)
    clips[0, 0, :2] = torch.tensor([0.4, -0.8, 1.0])  # joints 0 and 1 of the first clip
    clips[1, 0, 1:3] = torch.tensor([0.0, 0.4, 0.5])  # joints 1 and 2 of the second
    mixed = mix_clips(clips, torch.tensor([0.75, 0.5]), torch.tensor([1, 0]))[:, 0, :4]
    expected = [
        [[0.4, -0.8, 1.0], [0.3, -0.5, 0.875], [0.0, 0.4, 0.5], [0.0, 0.0, 0.0]],
        [[0.4, -0.8, 1.0], [0.2, -0.2, 0.75], [0.0, 0.4, 0.5], [0.0, 0.0, 0.0]],
    ]
    torch.testing.assert_close(mixed, torch.tensor(expected))


def test_the_loss_of_a_mixture_is_that_of_both_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = _trainer(tmp_path, tiny_classifier(LABELS, label_smoothing=0.0), mixup=1.0)
    batch = _batch(trainer)
    shares, partners = torch.tensor([0.6, 0.7, 0.8, 1.0]), torch.tensor([1, 0, 3, 2])
    monkeypatch.setattr(label_trainer, "draw_mixture", lambda count, strength: (shares, partners))
    trainer.model.train()
    loss, outputs = trainer.compute_loss(trainer.model, batch, return_outputs=True)
    own = functional.cross_entropy(outputs.logits, batch["labels"], reduction="none")
    other = functional.cross_entropy(outputs.logits, batch["labels"][partners], reduction="none")
    torch.testing.assert_close(loss, (shares * own + (1 - shares) * other).mean())


def test_a_clip_goes_on_to_the_end_of_the_longer_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = _trainer(tmp_path, mixup=1.0)
    batch = _batch(trainer)
    lengths = batch["pose_attention_mask"].sum(dim=1)
    read = {}

    def reading(**clips: Any) -> Any:
        read.update(clips)
        return SigmaForSequenceClassification.forward(trainer.model, **clips)

    partners = torch.tensor([1, 2, 3, 0])
    monkeypatch.setattr(label_trainer, "draw_mixture", lambda count, strength: (torch.full((count,), 0.5), partners))
    monkeypatch.setattr(trainer.model, "forward", reading)
    trainer.model.train()
    trainer.compute_loss(trainer.model, batch)
    assert len(set(lengths.tolist())) > 1
    assert read["pose_attention_mask"].sum(dim=1).tolist() == torch.maximum(lengths, lengths[partners]).tolist()


def test_evaluation_mixes_nothing(tmp_path: Path) -> None:
    plain, mixed = (_trainer(tmp_path, mixup=strength).evaluate()["eval_loss"] for strength in (0.0, 1.0))
    assert plain == mixed


# --- teachers


def test_a_model_that_answers_like_its_teacher_has_nothing_to_learn(tmp_path: Path, teacher: str) -> None:
    student = SigmaForSequenceClassification.from_pretrained(teacher)
    trainer = _trainer(tmp_path, student, teachers=[teacher], teacher_weight=1.0)
    batch = _batch(trainer)
    trainer.model.train()
    trainer.model.pose_encoder.eval()  # the running statistics that the teacher has
    loss, outputs = trainer.compute_loss(trainer.model, batch, return_outputs=True)
    answer = outputs.logits.softmax(dim=-1)
    torch.testing.assert_close(loss, -(answer * answer.log()).sum(dim=-1).mean())
    to_learn = _largest_gradient(student, loss)
    label_loss = functional.cross_entropy(trainer.model(**batch).logits, batch["labels"])
    assert to_learn < 1e-3 * _largest_gradient(student, label_loss)


def _largest_gradient(model: Any, loss: torch.Tensor) -> float:
    model.zero_grad()
    loss.backward()
    return max(float(parameter.grad.abs().max()) for parameter in model.parameters() if parameter.grad is not None)


def test_the_answer_of_several_is_the_mean_of_their_logarithms(tmp_path: Path, teacher: str) -> None:
    torch.manual_seed(8)
    other = tiny_classifier(LABELS)
    save_bundle(other, factories.tiny_processor(max_frames=14), tmp_path / "other")
    teachers = Teachers([teacher, str(tmp_path / "other")], other.config, torch.device("cpu"))
    clips = {name: value for name, value in factories.tiny_inputs().items() if name.startswith("pose_")}
    chances = [model(**clips).logits.softmax(dim=-1) for model in teachers.models]
    expected = (chances[0] * chances[1]).sqrt()
    expected = expected / expected.sum(dim=-1, keepdim=True)
    torch.testing.assert_close(teachers.answer(clips).softmax(dim=-1), expected)
    assert not any(parameter.requires_grad for model in teachers.models for parameter in model.parameters())


def test_what_a_teacher_answers_is_learnt(tmp_path: Path) -> None:
    """One that gives every clip the same label; the clips' own labels have no part in it."""
    stubborn = tiny_classifier(LABELS)
    with torch.no_grad():
        stubborn.classifier.bias[2] += 6.0
    save_bundle(stubborn, factories.tiny_processor(max_frames=14), tmp_path / "stubborn")
    options = {"teachers": [str(tmp_path / "stubborn")], "teacher_weight": 1.0}
    trainer = _trainer(tmp_path / "run", **options, max_steps=20, learning_rate=1e-2)
    trainer.train()
    batch = _batch(trainer)
    assert trainer.model.eval()(**batch).logits.softmax(dim=-1)[:, 2].min() > 0.7


def test_a_teacher_of_other_labels_is_refused(tmp_path: Path, teacher: str) -> None:
    with pytest.raises(ValueError, match="expected a teacher with the 4 labels .* received .* with 4, first"):
        _trainer(tmp_path, tiny_classifier(LABELS[::-1]), teachers=[teacher])


# --- where they do not belong


@pytest.mark.parametrize("fields", [{"mixup": 0.2}, {"teachers": ["anything"]}])
def test_other_heads_refuse_them(tmp_path: Path, fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected mixup and teachers for heads that give a clip one label"):
        tiny_trainer(tmp_path, "slt", **fields)


def test_class_weights_do_not_go_with_them(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected no class_weights with mixup or teachers"):
        _trainer(tmp_path, tiny_classifier(LABELS, class_weights=[1.0] * len(LABELS)), mixup=0.2)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"mixup": 0.01}, "expected mixup 0, or at least"),
        ({"teacher_weight": 0.0}, "expected teacher_weight above 0"),
    ],
)
def test_values_out_of_range_are_refused(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _trainer(tmp_path, **fields)
