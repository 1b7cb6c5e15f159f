"""Clips whose hands lie in order of detection are sorted when they are read, and it is said; others are left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_io_hands import HAND

from modeling_sigma.io import load_clip
from modeling_sigma.model import clip_units


NUM_FRAMES = 40


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is said once for each clip like it."""
    messages: list[str] = []
    clip_units.warn_once.cache_clear()
    monkeypatch.setattr(clip_units.logger, "warning", lambda message, *args, **kwargs: messages.append(message))
    return messages


def sorted_hands(unit: float = 1.0) -> np.ndarray:
    """x, y and score `(T, 42, 3)`: a left hand that stays on one side, a right one that circles on the other."""
    angles = np.linspace(0, 4 * np.pi, NUM_FRAMES)
    left = np.repeat(HAND[None, :, :2], NUM_FRAMES, axis=0) + [0.7, 0.6]
    right = HAND[None, :, :2] * [-1, 1] + 0.1 * np.stack([np.cos(angles), np.sin(angles)], -1)[:, None] + [0.3, 0.5]
    points = np.concatenate([left, right], axis=1) * unit
    return np.concatenate([points, np.ones((NUM_FRAMES, 42, 1))], axis=-1)


def in_any_order(hands: np.ndarray) -> np.ndarray:
    """The same with left and right exchanged in about half of the frames."""
    swap = np.random.default_rng(0).random(len(hands)) < 0.5
    mixed = hands.copy()
    mixed[swap] = np.roll(hands[swap], 21, axis=1)
    return mixed


def read(folder: Path, array: np.ndarray) -> np.ndarray:
    """The keypoints that are read."""
    np.save(folder / "clip.npy", array)
    clip = load_clip(folder / "clip.npy")
    assert clip.layout == "hands_42"
    return clip.keypoints


@pytest.mark.parametrize("unit", [1.0, 720.0])
def test_hands_in_order_of_detection_are_sorted_and_it_is_said(tmp_path: Path, said: list[str], unit: float) -> None:
    hands = sorted_hands(unit)
    keypoints = read(tmp_path, in_any_order(hands))
    one_way, other_way = hands[..., :2], np.roll(hands, 21, axis=1)[..., :2]
    assert any(np.allclose(keypoints, way, atol=1e-4 * unit) for way in (one_way, other_way)), "the same all along"
    assert any("came in order of detection, and were tracked" in text for text in said)


def test_sorted_hands_stay_as_they_are(tmp_path: Path, said: list[str]) -> None:
    """Also where one is lost for a while, and where the hands meet once."""
    hands = sorted_hands()
    hands[10:20, :21] = 0
    hands[25:, :, 0] = 1 - hands[25:, :, 0]
    keypoints = read(tmp_path, hands)
    np.testing.assert_allclose(keypoints, hands[..., :2], atol=1e-6)
    assert not any("tracked" in text for text in said)
