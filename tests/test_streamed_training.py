"""Training on batches that come one per step: the trainer's arithmetic is that of a plain loop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from datasets_scripts.synthetic import SyntheticSigns
from modeling_sigma.jobs.torch_devices import fast_precision
from modeling_sigma.training.optimization.muon_adamw import one_cycle_muon
from modeling_sigma.training.recipes.synthetic_demo import (
    DemoRecipe,
    build_demo,
    train_demo,
    training_clips,
)
from modeling_sigma.training.task import choose_task


RECIPE = replace(
    DemoRecipe(), steps=3, isolated_steps=2, batch_size=2, max_frames=16, hidden_size=32, num_layers=1, pose_size=12,
    precision="bf16",
)  # fmt: skip


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_the_demo_takes_the_steps_of_a_plain_loop(precision: str) -> None:
    """Same batches in the same order, same losses, same weights; nothing stays under autocast."""
    recipe, language, seen = replace(RECIPE, precision=precision), SyntheticSigns(seed=0), []
    model, processor = build_demo(language, recipe)
    state = torch.get_rng_state()
    losses = train_demo(model, processor, language, recipe, lambda *step: seen.append(step))
    assert seen == [("training", step + 1, 3, loss) for step, loss in enumerate(losses)]
    assert torch.equal(torch.get_rng_state(), state) and not model.training

    plain, _ = build_demo(language, recipe)
    optimizer, schedule = one_cycle_muon(plain.train(), 3, recipe.learning_rate, recipe.matrix_learning_rate)
    expected = []
    for step in range(3):
        batch = choose_task("slt").collate(processor, training_clips(language, recipe, step))
        del batch["sample_ids"]
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = plain(**batch).loss
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        expected.append(loss.item())
    assert losses == expected
    torch.testing.assert_close(model.state_dict(), plain.state_dict(), atol=0, rtol=0)
    with torch.no_grad():
        assert model(**batch).logits.equal(plain.eval()(**batch).logits)
    assert np.isfinite(losses).all()


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [({"avx512_bf16": True}, "bf16"), ({"amx_bf16": False, "avx2": True}, "fp32"), ({}, "fp32")],
)
def test_training_uses_what_the_cpu_computes_fast(
    capabilities: dict[str, bool], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: capabilities, raising=False)
    assert fast_precision() == expected
