"""Muon with AdamW: which parameters each gets, and that all of them move."""

import pytest
import torch
from torch import nn

from modeling_sigma.model.modeling_sigma_heads import SigmaForCTC, SigmaForSequenceClassification
from modeling_sigma.model.modeling_sigma_pretraining import SigmaForPreTraining
from modeling_sigma.training.optimization.muon_adamw import is_map, one_cycle_muon
from tests.factories import tiny_model


def test_muon_gets_the_maps_between_states() -> None:
    maps = {name for name, value in tiny_model(SigmaForPreTraining).named_parameters() if is_map(name, value)}
    assert "encoder.block.0.layer.0.SelfAttention.q.weight" in maps
    assert "pose_encoder.projection.weight" in maps and "fusion.layers.0.attention.o.weight" in maps
    tables = ("shared.weight", "lm_head.weight", "matching_head.weight", "logit_scale.weight")
    assert not maps & set(tables) and not any("relative_attention_bias" in name for name in maps)


def test_output_layers_of_labels_are_tables() -> None:
    for cls, layer in ((SigmaForCTC, "ctc_head.weight"), (SigmaForSequenceClassification, "classifier.weight")):
        maps = {name for name, value in tiny_model(cls, num_labels=3).named_parameters() if is_map(name, value)}
        assert layer not in maps and "pose_encoder.projection.weight" in maps


def test_every_trainable_parameter_moves_and_nothing_else() -> None:
    model = tiny_model(SigmaForSequenceClassification, num_labels=3)
    model.shared.requires_grad_(False)
    before = {name: value.clone() for name, value in model.named_parameters()}
    optimizer, _ = one_cycle_muon(model, 4, learning_rate=1e-2, matrix_learning_rate=1e-2)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter) if parameter.requires_grad else None
    optimizer.step()
    moved = {name for name, value in model.named_parameters() if not value.equal(before[name])}
    assert moved == {name for name, value in model.named_parameters() if value.requires_grad}


def test_rates_rise_and_end_near_zero() -> None:
    layer = nn.Linear(2, 2)
    optimizer, schedule = one_cycle_muon(layer, 50, learning_rate=1.0, matrix_learning_rate=2.0)
    rates = []
    for _ in range(49):
        layer(torch.ones(1, 2)).sum().backward()
        rates.append([inner.param_groups[0]["lr"] for inner in optimizer.optimizers.values()])
        optimizer.step()
        schedule.step()
    muon, adamw = zip(*rates)
    assert max(muon) == pytest.approx(2.0) and max(adamw) == pytest.approx(1.0)
    assert rates[-1][0] < 0.01 and muon[0] < muon[1] and muon.index(max(muon)) == 3


def test_models_without_maps_or_without_tables() -> None:
    assert list(one_cycle_muon(nn.BatchNorm1d(2), 10, 1e-3, 1e-3)[0].optimizers) == ["adamw"]
    assert list(one_cycle_muon(nn.Linear(2, 2, bias=False), 10, 1e-3, 1e-3)[0].optimizers) == ["muon"]
