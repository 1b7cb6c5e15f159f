"""Sign-text matching learns whether a sentence belongs to a clip, and learns it from the clip."""

import pytest
import torch

from modeling_sigma.model.modeling_sigma_pretraining import SigmaForPreTraining
from modeling_sigma.training.optimization.muon_adamw import one_cycle_muon
from tests.factories import tiny_config, tiny_text_config


NUM_SIGNS, FRAMES_A_SIGN, STEPS = 12, 4, 150


def _batch(generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Every sign once, each a place of the joints with noise, and its word."""
    signs = torch.rand(NUM_SIGNS, 69, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    order = torch.randperm(NUM_SIGNS, generator=generator)
    values = signs[order].unsqueeze(1).expand(-1, FRAMES_A_SIGN, -1, -1)
    noise = 0.1 * torch.randn(values.shape, generator=generator)
    words = torch.stack([order + 3, torch.ones_like(order)], dim=1)  # word, </s>
    return {"pose_values": (values + noise).clamp(-1, 1), "text_input_ids": words}


def _accuracy(model: SigmaForPreTraining, generator: torch.Generator, wrong_clips: bool) -> float:
    right = []
    for _ in range(5):
        batch = _batch(generator)
        if wrong_clips:
            batch["pose_values"] = batch["pose_values"].roll(1, 0)
        out = model(**batch, negatives_generator=generator)
        right.append((out.matching_logits.argmax(dim=1) == out.matching_labels).float().mean())
    return torch.stack(right).mean().item()


@pytest.mark.slow
def test_matching_learns_from_the_clip() -> None:
    torch.manual_seed(0)
    model = SigmaForPreTraining(tiny_config(text_config=tiny_text_config(dropout_rate=0.0))).train()
    optimizer, schedule = one_cycle_muon(model, STEPS, 5e-3, 7e-3)
    generator = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        model(**_batch(generator), negatives_generator=generator).loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    model.eval()
    with torch.no_grad():
        assert _accuracy(model, generator, wrong_clips=False) > 0.95
        # One pair of three is said to be right, and now none is: what it knows, it knows from the clips.
        assert _accuracy(model, generator, wrong_clips=True) < 0.75
