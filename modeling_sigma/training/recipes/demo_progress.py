"""What somebody sees who waits for the demo: what is learnt just now, and how long it will take on this machine."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from datasets_scripts.synthetic import SyntheticSigns
from modeling_sigma.training.recipes.synthetic_demo import DemoRecipe, PrintedProgress


# Steps before the time left is told: the first one warms up.
_FIRST_STEPS = 3
_NUM_MEASURED = 20  # clips, for the mean number of frames


class DemoProgress(PrintedProgress):
    """Progress of the demo's training and tests.

    Args:
        stream: The file to write to, such as `sys.stderr`.
        language ([`SyntheticSigns`]): The language that is learnt.
        recipe ([`DemoRecipe`]): The steps that are to come.
    """

    def __init__(self, stream: Any, language: SyntheticSigns, recipe: DemoRecipe) -> None:
        super().__init__(stream)
        self.recipe = recipe
        self._costs = _step_costs(language, recipe)
        self._begin: tuple[int, float] | None = None

    def __call__(self, what: str, done: int, total: int, loss: float | None) -> None:
        """Names what is learnt or tested, and after the first steps the minutes left."""
        if what == "training":
            what = "learning single signs" if done <= self.recipe.isolated_steps else "learning sentences"
            left = self._seconds_left(done)
            self.note = "" if left is None else f", {_in_words(left)} left to learn"
        else:
            what, self.note = "reading clips of signers it has never seen", ""
        super().__call__(what, done, total, loss)

    def _seconds_left(self, done: int) -> float | None:
        """From the time that the steps so far took, weighted by the frames in them."""
        if self._begin is None:
            self._begin = (done, time.monotonic())
        first, began = self._begin
        if done - first < _FIRST_STEPS - 1:
            return None
        per_frame = (time.monotonic() - began) / self._costs[first:done].sum()
        return float(per_frame * self._costs[done:].sum())


def _step_costs(language: SyntheticSigns, recipe: DemoRecipe) -> np.ndarray:
    """How many frames each step is expected to show `(steps,)`."""
    means = []
    for make in (language.isolated, language.sentence):
        clips = [make(index, split="train", seed=recipe.seed).clip for index in range(_NUM_MEASURED)]
        means.append(float(np.mean([min(len(clip), recipe.max_frames) for clip in clips])))
    isolated, sentences = 2 * recipe.batch_size * means[0], recipe.batch_size * means[1]
    costs = np.full(recipe.steps, isolated)
    share = recipe.isolated_share
    costs[recipe.isolated_steps :] = share * isolated + (1 - share) * sentences
    return costs


def _in_words(seconds: float) -> str:
    return f"about {seconds:.0f} s" if seconds < 90 else f"about {seconds / 60:.0f} minutes"
