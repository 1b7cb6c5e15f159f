"""A fresh process that fuzzes for the test suite: `with Host() as host: host.spoilt("npz", 100)`.

Fuzzing forks, and a fork of a process in which torch has computed on several threads may hang or die: the threads are
gone, but their locks and pools are not. The suite has computed by the time it fuzzes. This process imports the
readers, computes on one thread, and forks.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.fuzz.run import Findings


ROOT = Path(__file__).resolve().parents[2]


class Host:
    """Runs on one thread, and ends with the `with` block, forks included."""

    def __enter__(self) -> Host:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.host"], cwd=ROOT, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:  # closes its pipes, and waits
            os.killpg(self._process.pid, signal.SIGKILL)

    def spoilt(self, name: str, count: int) -> Findings:
        """Reads so many spoilt files of a format."""
        return self._ask("spoilt", name, count)

    def samples(self, name: str) -> Findings:
        """Reads the valid files of a format."""
        return self._ask("samples", name)

    def explode(self, name: str) -> Findings:
        """Reads a bomb."""
        return self._ask("explode", name)

    def known_faults(self) -> Findings:
        """Reads files whose readers have faults."""
        return self._ask("known_faults")

    def _ask(self, *question: Any) -> Findings:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the process that fuzzes has died"
        values = json.loads(answer)
        return Findings(**{**values, "faults": {int(number): fault for number, fault in values["faults"].items()}})


def _serve() -> None:
    from tests.fuzz import known_faults
    from tests.fuzz.bombs import bombs
    from tests.fuzz.run import content_of, explode, fuzz
    from tests.fuzz.targets import targets

    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what readers print is no answer
    formats = {target.name: target for target in targets()}
    known_bombs = {bomb.target.name: bomb for bomb in bombs()}

    def spoilt(name: str, count: int) -> Findings:
        return fuzz(formats[name], range(count), lambda number: content_of(formats[name], number, seed=0))

    def samples(name: str) -> Findings:
        contents = formats[name].samples
        return fuzz(formats[name], range(len(contents)), lambda number: contents[number])

    work = {
        "spoilt": spoilt,
        "samples": samples,
        "explode": lambda name: explode(known_bombs[name]),
        "known_faults": known_faults.fuzz_them,
    }
    for line in sys.stdin:
        what, *arguments = json.loads(line)
        print(json.dumps(asdict(work[what](*arguments))), file=answers, flush=True)


if __name__ == "__main__":
    _serve()
