"""What ends a run from outside: a signal to stop, or the death of another of its processes."""

from __future__ import annotations

import logging
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback


logger = logging.getLogger(__name__)


# How a run is asked to stop, in words: by the system, or by the person in front of it.
_REQUESTS = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C"}


class RunStopped(ValueError):
    """A run was asked to stop, by `request`. What it has learnt is in `checkpoint`."""

    def __init__(self, message: str, checkpoint: Path | None, request: signal.Signals) -> None:
        super().__init__(message)
        self.checkpoint = checkpoint
        self.request = request
        self.exit_code = 128 + request


class EvaluationCut(Exception):
    """An evaluation within training was cut short to stop in time."""


class StopOnRequest(TrainerCallback):
    """Ends training after the step under way, with a checkpoint, when the system asks the process to end (SIGTERM) or
    somebody presses Ctrl-C; pressed twice, it interrupts at once.

    Clusters ask half a minute or so before they kill: an evaluation under way is cut short.
    """

    def __init__(self) -> None:
        self.is_asked = False
        self.has_stopped = False
        self.request = signal.SIGTERM  # of the other processes, which only vote, where this one was not asked itself

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within this context the signals are taken as a request. Only the main thread can listen."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        earlier = {number: signal.signal(number, self._ask) for number in _REQUESTS}
        try:
            yield
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)

    def _ask(self, number: int, frame: Any) -> None:
        self.is_asked, self.request = True, signal.Signals(number)
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            logger.warning("stopping after this step; Ctrl-C again stops at once")

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._is_any_asked(args):
            self.has_stopped = control.should_save = control.should_training_stop = True
            control.should_evaluate = False

    def on_prediction_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._is_any_asked(args):
            self.has_stopped = True
            raise EvaluationCut

    def _is_any_asked(self, args: Any) -> bool:
        """Whether one of the processes was asked: all of them stop after the same step."""
        if args.world_size == 1:
            return self.is_asked
        votes = torch.tensor(int(self.is_asked), device=args.device)
        torch.distributed.all_reduce(votes, op=torch.distributed.ReduceOp.MAX)
        return bool(votes.item())


def stopped(step: int, checkpoint: Path | None, request: signal.Signals) -> RunStopped:
    """The error that ends a run which was asked to stop after `step`."""
    kept = "there is no checkpoint" if checkpoint is None else f"{checkpoint} has everything up to there"
    how, command = _REQUESTS[request], command_to_resume(sys.argv)
    message = f"asked to stop ({how}) after step {step}: {kept}; go on with: {command}"
    return RunStopped(message, checkpoint, request)


def is_lost_peer(error: RuntimeError) -> bool:
    """Whether an error of a collective operation says that another process of the run is gone."""
    if isinstance(error, torch.distributed.DistError):
        return True
    text = str(error)
    return "gloo" in text.lower() or "NCCL" in text or "Connection closed by peer" in text


def peer_lost(step: int, checkpoint: Path | None) -> OSError:
    """The error that ends the other processes of a run of which one has died."""
    kept = "there is no checkpoint" if checkpoint is None else f"{checkpoint} is complete"
    return OSError(
        f"another process of this run ended after step {step}, of what it says itself (killed, out of memory, an "
        f"error); {kept}; go on with: {command_to_resume(sys.argv)}"
    )


def command_to_resume(arguments: Sequence[str]) -> str:
    """The command line of this process with `--resume true`; without secrets, since logs are shown around."""
    if any("token" in argument for argument in arguments):
        return "the same command and --resume true"
    kept, is_value = [], False
    for argument in [Path(arguments[0]).name, *arguments[1:]]:
        name, is_value_of = argument.partition("=")[0], is_value
        is_value = name in ("--overwrite", "--resume") and "=" not in argument
        if name not in ("--overwrite", "--resume") and not (is_value_of and argument.lower() in ("true", "false")):
            kept.append(argument)
    return f"{shlex.join(kept)} --resume true"
