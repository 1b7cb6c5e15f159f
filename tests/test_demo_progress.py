"""What the demo says while it learns: what, and how long it will still take."""

import io

import pytest

from datasets_scripts.synthetic import SyntheticSigns
from modeling_sigma.training.recipes import demo_progress, synthetic_demo
from modeling_sigma.training.recipes.demo_progress import DemoProgress
from modeling_sigma.training.recipes.synthetic_demo import DemoRecipe


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    for module in (demo_progress, synthetic_demo):
        monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_it_names_what_is_learnt_and_the_time_left(clock: list[float]) -> None:
    said = io.StringIO()
    progress = DemoProgress(said, SyntheticSigns(seed=0), DemoRecipe(steps=40, isolated_steps=10))
    for step in range(1, 41):
        clock[0] += 2.0 if step <= 10 else 3.0
        progress("training", step, 40, 1.0)
    progress("evaluating", 50, 200, None)
    lines = said.getvalue().splitlines()
    assert lines[0] == "learning single signs 1/40  loss 1.000  2 s", "the first step says nothing of the time"
    assert any(line.startswith("learning single signs") and "about" in line for line in lines)
    sentences = [line for line in lines if line.startswith("learning sentences")]
    assert sentences and all("left to learn" in line for line in sentences)
    assert lines[-1].startswith("reading clips of signers it has never seen 50/200") and "left" not in lines[-1]


def test_the_estimate_is_right_where_frames_take_equal_time(clock: list[float]) -> None:
    recipe = DemoRecipe(steps=100, isolated_steps=20)
    progress = DemoProgress(io.StringIO(), SyntheticSigns(seed=0), recipe)
    costs = progress._costs
    for step in range(1, 11):
        clock[0] += costs[step - 1] / 100
        left = progress._seconds_left(step)
        assert (left is None) == (step < 3)
    assert left == pytest.approx(costs[10:].sum() / 100)
    assert costs[-1] > costs[0], "sentences take longer than as many single signs"


def test_a_log_hears_of_slow_work_too(clock: list[float]) -> None:
    said = io.StringIO()
    progress = DemoProgress(said, SyntheticSigns(seed=0), DemoRecipe(steps=1000, isolated_steps=200))
    for step in range(1, 5):
        clock[0] += 40.0
        progress("training", step, 1000, 1.0)
    assert len(said.getvalue().splitlines()) == 4
