"""Curves of a training run: loss, its terms, learning rates and scores over the steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


# Numbers of the log that are no curves.
_NO_CURVES = ("runtime", "per_second", "epoch", "total_flos", "step", "num_", "preparation_time", "train_loss")


def collect_curves(history: Sequence[Mapping[str, Any]]) -> dict[str, tuple[list[int], list[float]]]:
    """For each logged number its steps and values.

    Args:
        history (`Sequence[Mapping[str, Any]]`):
            Lines of a Trainer's log, each with its `step`.
    """
    curves: dict[str, tuple[list[int], list[float]]] = {}
    for line in history:
        for name, value in line.items():
            if isinstance(value, (int, float)) and not any(word in name for word in _NO_CURVES):
                steps, values = curves.setdefault(name, ([], []))
                steps.append(int(line["step"]))
                values.append(float(value))
    return curves


def draw_training_curves(history: Sequence[Mapping[str, Any]], path: str | Path) -> None:
    """Writes a picture with three panels: losses, learning rates, and scores of the validation split."""
    curves = collect_curves(history)
    panels = {
        "loss": [name for name in curves if name.endswith("loss")],
        "learning rate": [name for name in curves if "learning_rate" in name],
        "validation": [name for name in curves if name.startswith("eval_") and not name.endswith("loss")],
    }
    figure = Figure(figsize=(15, 4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, names) in zip(figure.subplots(1, len(panels)), panels.items()):
        for name in names:
            steps, values = curves[name]
            axes.plot(steps, values, label=name.removeprefix("eval_"), marker="." if len(steps) < 30 else None)
        axes.set_title(title)
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        if names:
            axes.legend(fontsize="small")
    figure.savefig(path, dpi=100)
