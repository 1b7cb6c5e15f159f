"""transformers' own trainers and `generate` with what our processor makes: nothing of ours but model and processor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import factories
import numpy as np
import pytest
import torch
from training_factories import WORDS, label_task, losses, tiny_trainer
from transformers import GenerationConfig, Seq2SeqTrainer, Seq2SeqTrainingArguments, Trainer, TrainingArguments

from modeling_sigma import SigmaForConditionalGeneration, SigmaForCTC, SigmaForPreTraining
from modeling_sigma import SigmaForSequenceClassification as Classifier
from modeling_sigma.metrics import build_compute_metrics


CLIPS = [{"clip": factories.random_clip(5 + number, seed=number), "text": WORDS[number % 4]} for number in range(6)]


def _batch(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """All that the processor makes of clips and texts."""
    processor = factories.tiny_processor()
    return dict(processor(poses=[row["clip"] for row in rows], text=[row["text"] for row in rows]))


def _arguments(cls: type, folder: Path, **fields: Any) -> Any:
    return cls(
        str(folder), max_steps=1, per_device_train_batch_size=3, per_device_eval_batch_size=3, use_cpu=True,
        report_to="none", remove_unused_columns=False, disable_tqdm=True, **fields,
    )  # fmt: skip


def test_seq2seq_trainer_takes_the_processor(tmp_path: Path) -> None:
    """Trains, evaluates with metrics and predicts; no text is longer than it may be."""
    processor = factories.tiny_processor()
    trainer = Seq2SeqTrainer(
        factories.tiny_model(),
        _arguments(Seq2SeqTrainingArguments, tmp_path, predict_with_generate=True, generation_max_length=6),
        train_dataset=CLIPS,
        eval_dataset=CLIPS,
        data_collator=_batch,
        processing_class=processor,
        compute_metrics=build_compute_metrics(processor, "slt"),
    )
    trainer.train()
    assert 0 <= trainer.evaluate()["eval_bleu4"] <= 100
    predictions = trainer.predict(CLIPS).predictions
    assert len(predictions) == 6 and (predictions[:, 6:] == processor.pad_token_id).all()


def test_a_length_that_is_asked_for_counts() -> None:
    """Against the model's own 100 new tokens; with the token that starts the text, as everywhere."""
    model, inputs = factories.tiny_model(), factories.tiny_inputs()
    ask = {"num_beams": 1, "eos_token_id": None}
    assert model.generate(**inputs, **ask, max_length=8).shape[1] == 8
    assert model.generate(**inputs, generation_config=GenerationConfig(**ask, max_length=7)).shape[1] == 7
    assert model.generate(**inputs, **ask, max_length=8, max_new_tokens=3).shape[1] == 4
    start = torch.zeros(len(inputs["pose_values"]), 3, dtype=torch.long)
    assert model.generate(**inputs, **ask, decoder_input_ids=start, max_length=8).shape[1] == 8
    assert model.generation_config.max_new_tokens == 100
    with pytest.raises(ValueError, match="not used by the model"):
        model.generate(**inputs, max_lenght=8)


def test_text_of_the_processor_does_not_reach_what_is_written() -> None:
    model, batch = factories.tiny_model(), _batch(CLIPS[:2])
    alone = {name: value for name, value in batch.items() if name.startswith(("pose_", "prompt_"))}
    options = {"num_beams": 1, "max_new_tokens": 5}
    assert torch.equal(model.generate(**batch, **options), model.generate(**alone, **options))


@pytest.mark.parametrize(("cls", "shape"), [(Classifier, (6, 4)), (SigmaForCTC, (6, 10, 4))], ids=["label", "ctc"])
def test_label_heads_predict_their_scores_alone(cls: type, shape: tuple[int, ...], tmp_path: Path) -> None:
    model = factories.tiny_model(cls, num_labels=4)

    def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        batch = factories.tiny_processor()(poses=[row["clip"] for row in rows])
        numbers = torch.tensor([1 + WORDS.index(row["text"]) % 3 for row in rows])
        return {**batch, "labels": numbers if cls is Classifier else numbers[:, None]}

    output = Trainer(model, _arguments(TrainingArguments, tmp_path), data_collator=collate).predict(CLIPS)
    assert isinstance(output.predictions, np.ndarray) and output.predictions.shape == shape
    assert np.isfinite(output.metrics["test_loss"])


@pytest.mark.parametrize("label_names", [None, []], ids=["labels of the processor", "no labels, as for CLIP"])
def test_pretraining_has_a_loss_to_evaluate(label_names: list[str] | None, tmp_path: Path) -> None:
    def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        return {name: value for name, value in _batch(rows).items() if label_names is None or name != "labels"}

    model = factories.tiny_model(SigmaForPreTraining)
    arguments = _arguments(TrainingArguments, tmp_path, label_names=label_names)
    trainer = Trainer(model, arguments, data_collator=collate, train_dataset=CLIPS, eval_dataset=CLIPS)
    trainer.train()
    assert np.isfinite(trainer.evaluate()["eval_loss"])
    assert model(**collate(CLIPS[:3]), return_loss=False).loss is None


def test_label_smoothing_of_the_arguments_counts(tmp_path: Path) -> None:
    """As the configuration's does, for our trainers; a plain one says where it belongs."""
    runs = []
    for fields, smoothing in (({}, 0.3), ({"label_smoothing_factor": 0.3}, 0.0)):
        model = factories.tiny_model(
            text_config=factories.tiny_text_config(dropout_rate=0.0), label_smoothing=smoothing
        )
        trainer = tiny_trainer(tmp_path, model=model, max_steps=2, **fields)
        trainer.train()
        runs.append(losses(trainer))
    assert runs[0] == runs[1]
    task = label_task("cslr", "ctc", ["<blank>", "A"])
    with pytest.raises(ValueError, match="expected label_smoothing_factor 0 for CTC"):
        tiny_trainer(tmp_path, task, model=factories.tiny_model(SigmaForCTC), label_smoothing_factor=0.1)
    plain = Seq2SeqTrainer(
        factories.tiny_model(SigmaForConditionalGeneration),
        _arguments(Seq2SeqTrainingArguments, tmp_path, label_smoothing_factor=0.1),
        train_dataset=CLIPS,
        data_collator=_batch,
    )
    with pytest.raises(ValueError, match="set label_smoothing in the configuration"):
        plain.train()


def test_generate_without_clips_says_what_is_missing() -> None:
    with pytest.raises(ValueError, match="expected pose_values to write text for, received max_new_tokens"):
        factories.tiny_model().generate(max_new_tokens=2)
