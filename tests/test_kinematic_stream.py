"""The kinematic stream: features with known answers, and an encoder that has it behaves like one that has not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from modeling_sigma import SigmaForSequenceClassification
from modeling_sigma.model.configuration_sigma import SigmaPoseConfig
from modeling_sigma.model.kinematic_features_sigma import kinematic_features, num_kinematic_features
from modeling_sigma.model.pose_augmentation import flip_horizontally
from modeling_sigma.model.pose_encoder_sigma import SigmaPoseEncoder
from modeling_sigma.model.skeleton_layouts import PART_SLICES, PARTS
from tests.factories import tiny_config, tiny_inputs, tiny_model


KINEMATIC = {"kinematic_hidden_size": 12, "kinematic_layers": 2, "kinematic_kernel_size": 5}
HANDS = ("left_hand", "right_hand")
RIGHT = PART_SLICES["right_hand"]


def one_hand(num_frames: int = 3) -> torch.Tensor:
    """A right hand of length 0.5, alone: fingers along y, wrist at (0.2 t, 0) of the body's box."""
    values = torch.zeros(1, num_frames, 69, 3)
    values[:, :, RIGHT, 2] = 1
    values[:, :, RIGHT.start + 1 : RIGHT.stop, 1] = 0.5
    values[:, :, 8, 0] = 0.2 * torch.arange(num_frames)
    values[:, :, 8, 2] = 1
    return values


@pytest.mark.parametrize("parts", [PARTS, HANDS, ("body",), ("right_hand",), ("body", "face")])
def test_as_many_features_as_promised(parts: tuple[str, ...]) -> None:
    values = tiny_inputs((4, 6))["pose_values"]
    assert kinematic_features(values, parts).shape == (2, 6, num_kinematic_features(parts))


def test_features_by_hand() -> None:
    features = kinematic_features(one_hand(), ("right_hand",))[0]
    shape, directions, shape_velocity, distances, path, velocity, velocity_2, found, apart = features.split(
        (42, 40, 42, 15, 2, 2, 2, 1, 2), dim=-1
    )
    # In hands: every joint but the wrist lies at (0, 1).
    assert shape[0].tolist() == [0.0, 0.0] + [0.0, 1.0] * 20
    torch.testing.assert_close(directions[0, :2], torch.tensor([0.0, 1.0]), atol=2e-3, rtol=0)  # wrist to thumb
    assert directions[0, 2:4].tolist() == [0.0, 0.0] and not shape_velocity.any()
    assert distances[0].tolist() == [0.0] * 10 + [1.0] * 5
    # The wrist moves by 0.2 of the box, which is 2 wide: 0.1 of the hands' unit, 0.2 hands. Paths are quartered.
    torch.testing.assert_close(path[:, 0], torch.tensor([-0.05, 0.0, 0.05]), atol=1e-6, rtol=0)
    torch.testing.assert_close(velocity[:, 0], torch.tensor([0.0, 0.2, 0.2]), atol=1e-6, rtol=0)
    torch.testing.assert_close(velocity_2[:, 0], torch.tensor([0.0, 0.0, 0.2]), atol=1e-6, rtol=0)
    assert found.flatten().tolist() == [1, 1, 1] and not apart.any(), "there is no other hand"


def test_without_shoulders_the_nose_is_the_origin() -> None:
    values = torch.zeros(1, 2, 69, 3)
    values[:, :, [0, 8], 2] = 1  # nose and right wrist
    values[:, :, 0, 1] = -0.5
    values[0, 1, 8, 0] = 0.3
    places, velocities, seen = kinematic_features(values, ("body",))[0, :, :45].split((18, 18, 9), dim=-1)
    assert places[:, 1].tolist() == [0, 0] and not places[:, 2:16].any(), "the nose itself, and what nobody saw"
    torch.testing.assert_close(places[:, 16:], torch.tensor([[0.0, 0.5], [0.3, 0.5]]))
    torch.testing.assert_close(velocities[1, 16:], torch.tensor([0.6, 0.0]))
    assert seen[0].tolist() == [1.0] + [0.0] * 7 + [1.0]


def test_what_was_not_seen_is_zero() -> None:
    values = one_hand(4)
    values[:, 1, RIGHT] = 0
    values[:, 1, 8] = 0
    features = kinematic_features(values, ("right_hand",))[0]
    assert not features[1].any()
    assert not features[2, 124 + 15 + 2 : 124 + 15 + 4].any(), "no velocity out of nowhere"
    assert features[3, 124 + 15 + 2] > 0
    assert not kinematic_features(torch.zeros(1, 3, 69, 3), PARTS).any()


def test_the_size_of_a_hand_does_not_matter() -> None:
    values = tiny_inputs((6,))["pose_values"] * torch.tensor([0.4, 0.4, 1.0])
    small = values * torch.tensor([0.5, 0.5, 1.0])
    features = [kinematic_features(x, PARTS) for x in (values, small)]
    torch.testing.assert_close(*features, atol=1e-2, rtol=1e-2)


def test_a_mirrored_signer_has_the_same_hands() -> None:
    values = tiny_inputs((5,))["pose_values"]
    mirrored = torch.from_numpy(flip_horizontally(values.numpy()))
    left, right = (kinematic_features(values, (hand,))[..., :-2] for hand in HANDS)
    torch.testing.assert_close(kinematic_features(mirrored, ("left_hand",))[..., :-2], right)
    torch.testing.assert_close(kinematic_features(mirrored, ("right_hand",))[..., :-2], left)


# --- the stream


def encoder_with(layout: str = "packed", **fields: Any) -> SigmaPoseEncoder:
    torch.manual_seed(0)
    encoder = SigmaPoseEncoder(tiny_config(pose_config={**KINEMATIC, **fields}).pose_config, hidden_size=16)
    encoder.frame_layout = layout  # type: ignore[assignment]
    return encoder


def test_off_by_default_and_joined_before_the_projection() -> None:
    assert SigmaPoseEncoder(tiny_config().pose_config, 16).kinematic_stream is None
    assert encoder_with().projection.in_features == 4 * 16 + 12


def test_a_clip_alone_and_in_a_batch() -> None:
    encoder = encoder_with().eval()
    inputs = tiny_inputs((12, 7))
    inputs["pose_values"][1, 7:] = torch.nan
    batch = encoder(inputs["pose_values"], inputs["pose_attention_mask"])
    alone = encoder(inputs["pose_values"][1:, :7])
    torch.testing.assert_close(batch[1:, :7], alone, atol=1e-6, rtol=1e-5)
    assert not batch[1, 7:].any()


def test_every_parameter_gets_a_gradient_and_order_matters() -> None:
    encoder = encoder_with(kinematic_drop_path=0.0).train()
    inputs = tiny_inputs((9, 7))
    out = encoder(inputs["pose_values"], inputs["pose_attention_mask"])
    (out * torch.randn_like(out)).sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name
    stream: Any = encoder_with().eval().kinematic_stream
    values, mask = inputs["pose_values"][:1], torch.ones(1, 9)
    forward, backward = stream(values, mask).mean(1), stream(values.flip(1), mask).mean(1)
    assert (forward - backward).abs().max() > 1e-3


def test_blocks_are_left_out_in_training_only() -> None:
    stream: Any = encoder_with(kinematic_drop_path=0.9).kinematic_stream
    values, mask = tiny_inputs((8, 8, 8))["pose_values"], torch.ones(3, 8)
    assert torch.equal(stream.eval()(values, mask), stream(values, mask))
    stream.train()
    assert not torch.equal(stream(values, mask), stream(values, mask))


def test_saved_and_loaded(tmp_path: Any) -> None:
    model = tiny_model(SigmaForSequenceClassification, num_labels=3, pose_config=KINEMATIC)
    model.save_pretrained(tmp_path)
    loaded = SigmaForSequenceClassification.from_pretrained(tmp_path)
    inputs = tiny_inputs((6, 4))
    assert torch.equal(loaded(**inputs).logits, model(**inputs).logits)
    assert np.isfinite([p.detach().sum().item() for p in loaded.parameters()]).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kinematic_kernel_size": 4}, "expected an odd kinematic_kernel_size"),
        ({"kinematic_hidden_size": -1}, "expected kinematic_hidden_size >= 0"),
        ({"kinematic_drop_path": 1.0}, "expected kinematic_drop_path from 0 to below 1"),
    ],
)
def test_wrong_sizes_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SigmaPoseConfig(**fields)
