"""The label head's class weights, its loss under the Trainer, and its prompt in the pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import Trainer, TrainingArguments, pipeline

from modeling_sigma import SigmaForCTC, SigmaForSequenceClassification
from modeling_sigma.model.objectives_sigma import label_smoothed_cross_entropy
from tests.factories import random_clip, tiny_config, tiny_inputs, tiny_model, tiny_processor


WEIGHTS = [0.5, 2.0, 1.0]
CONFIG_ERRORS = (ValueError, StrictDataclassError)


def test_weighted_loss_by_hand() -> None:
    # Even scores over two classes: every loss is log 2, whatever the weights; one wrong score shows them.
    even = label_smoothed_cross_entropy(
        torch.zeros(2, 2), torch.tensor([0, 1]), class_weights=torch.tensor([1.0, 3.0])
    )
    assert even.item() == pytest.approx(0.6931, abs=1e-4)
    logits = torch.tensor([[0.0, 0.0], [0.0, 100.0]])
    loss = label_smoothed_cross_entropy(logits, torch.tensor([0, 1]), class_weights=torch.tensor([1.0, 3.0]))
    assert loss.item() == pytest.approx(0.6931 / 4, abs=1e-4)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_weighted_loss_equals_torch(smoothing: float) -> None:
    logits, labels, weights = torch.randn(8, 3), torch.tensor([0, 1, 2, -100, 1, 0, 0, 2]), torch.tensor(WEIGHTS)
    expected = torch.nn.CrossEntropyLoss(weights, label_smoothing=smoothing)(logits, labels)
    loss = label_smoothed_cross_entropy(logits, labels, smoothing, class_weights=weights)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    ignored = torch.full((8,), -100)
    assert label_smoothed_cross_entropy(logits, ignored, smoothing, class_weights=weights).item() == 0


@torch.no_grad()
def test_class_weights_of_the_configuration(tmp_path: Path) -> None:
    inputs, labels = tiny_inputs(), torch.tensor([0, 2, 1])
    model = tiny_model(SigmaForSequenceClassification, num_labels=3, class_weights=WEIGHTS)
    out = model(**inputs, labels=labels)
    weights = torch.tensor(WEIGHTS)
    expected = label_smoothed_cross_entropy(out.logits, labels, 0.2, class_weights=weights)
    assert out.loss.item() == pytest.approx(expected.item(), rel=1e-5)
    even = tiny_model(SigmaForSequenceClassification, num_labels=3)(**inputs, labels=labels)
    assert abs(out.loss - even.loss) > 1e-4
    model.save_pretrained(tmp_path)
    loaded = SigmaForSequenceClassification.from_pretrained(tmp_path)
    assert loaded.config.class_weights == WEIGHTS
    assert loaded(**inputs, labels=labels).loss.item() == pytest.approx(out.loss.item(), rel=1e-5)


def test_wrong_class_weights() -> None:
    with pytest.raises(ValueError, match="a class weight for each of the 4 labels, received 3"):
        tiny_model(SigmaForSequenceClassification, num_labels=4, class_weights=WEIGHTS)
    for bad in ([-1.0, 1.0], [float("nan")], [float("inf")]):
        with pytest.raises(CONFIG_ERRORS, match="expected class_weights >= 0"):
            tiny_config(class_weights=bad)


@pytest.mark.parametrize("cls", [SigmaForSequenceClassification, SigmaForCTC])
def test_accumulated_batches_equal_one(cls: type, tmp_path: Path) -> None:
    """Two batches of two clips with accumulation take the step that one batch of four takes."""
    inputs = tiny_inputs((8, 8, 8, 8), prompt=False)
    labels = torch.tensor([0, 1, 2, 1] if cls is SigmaForSequenceClassification else [[1, 2], [2, 1], [1, 1], [2, 2]])
    rows = [{"pose_values": inputs["pose_values"][row], "labels": labels[row]} for row in range(4)]

    def collate(batch: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        return {name: torch.stack([row[name] for row in batch]) for name in batch[0]}

    def weights_after_a_step(batch_size: int) -> torch.Tensor:
        model: Any = tiny_model(cls, use_prompt=False, num_labels=3)
        model.config.text_config.dropout_rate = 0.0
        for module in model.modules():
            module.train = lambda mode=True, module=module: module  # BatchNorm would see other batches
        arguments = TrainingArguments(
            str(tmp_path),
            max_steps=1,
            per_device_train_batch_size=batch_size,
            gradient_accumulation_steps=4 // batch_size,
            learning_rate=0.1,
            optim="sgd",
            lr_scheduler_type="constant",
            max_grad_norm=0.0,
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            remove_unused_columns=False,
        )
        Trainer(model, arguments, train_dataset=rows, data_collator=collate).train()
        return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])

    assert (weights_after_a_step(2) - weights_after_a_step(4)).abs().max() <= 1e-5


@torch.no_grad()
def test_a_head_with_a_prompt_reads_it_in_the_pipeline() -> None:
    model = tiny_model(SigmaForSequenceClassification, num_labels=3)
    recognize = pipeline("isolated-sign-recognition", model=model, processor=tiny_processor())
    clip = random_clip(9)
    for language in ("English", "Chinese"):
        expected = model(**tiny_processor()(clip, language=language)).logits.softmax(dim=-1)[0]
        result = recognize(clip, language=language)
        assert [entry["score"] for entry in result] == pytest.approx(expected.sort(descending=True).values.tolist())
