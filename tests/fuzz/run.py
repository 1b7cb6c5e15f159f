"""Spoils valid files and reads them: `python -m tests.fuzz.run --inputs 1000000` (`make fuzz`).

Every input must be read, or refused in one line that names the file, within ten seconds of work and a gigabyte, and
nothing in it may run. An input follows from the seed, the name of its format and its number alone, so a fault can be
seen again: `--only NAME --first NUMBER --inputs 1`. Formats are read in processes of their own; if one dies, that
input is a fault, and the next process goes on after it. They are forks, so this process must not have computed on
several threads (`OMP_NUM_THREADS=1`): those would be gone in them, but not what the threads held.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import random
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.fuzz.bombs import Bomb, bombs
from tests.fuzz.targets import Target, targets


MAX_SECONDS, MAX_BYTES = 10.0, 1_000_000_000
# So much more memory than at the beginning is refused to a process, for the machine's sake.
_HARD_LIMIT = 4_000_000_000
# Whatever reads a file has no business with these.
_FORBIDDEN = frozenset(
    ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "pickle.find_class", "socket.connect")
)

_LONGEST_MESSAGE = 3000
# What the process that reads writes for the one that waits.
_COUNTS = ("number", "num_read", "num_refused", "slowest", "largest")
_is_reading = False


class Ran(BaseException):
    """An input has made the interpreter do something that no reader does."""


@dataclass
class Findings:
    """What became of the inputs of one format: how many were read and refused, and which were faults, and why."""

    num_read: int = 0
    num_refused: int = 0
    slowest: float = 0.0
    largest: int = 0
    faults: dict[int, str] = field(default_factory=dict)


def content_of(target: Target, number: int, seed: int) -> bytes:
    """The input of that number."""
    rng = random.Random(f"{seed} {target.name} {number}")
    return target.mutation(rng.choice(target.samples), rng)


def fuzz(target: Target, numbers: range, make: Callable[[int], bytes]) -> Findings:
    """Reads the inputs of these numbers, each in turn."""
    findings, first = Findings(), numbers.start
    context = multiprocessing.get_context("fork")
    counts = context.Array("d", len(_COUNTS), lock=False)
    while first < numbers.stop:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(
            target=_read_all, args=(target, range(first, numbers.stop), make, counts, theirs), daemon=True
        )
        process.start()
        theirs.close()
        try:
            while True:
                findings.faults.update([ours.recv()])
        except EOFError:  # it has ended
            process.join()
        if process.exitcode == 0:
            break
        number = int(counts[_COUNTS.index("number")])
        findings.faults[number] = f"the process died with exit code {process.exitcode}"
        first = number + 1
    for name in ("num_read", "num_refused", "slowest", "largest"):
        setattr(findings, name, type(getattr(findings, name))(counts[_COUNTS.index(name)]))
    return findings


def explode(bomb: Bomb) -> Findings:
    """Reads a bomb. It is made in another process, whose memory does not count."""
    with tempfile.NamedTemporaryFile() as file:
        process = multiprocessing.get_context("fork").Process(target=lambda: Path(file.name).write_bytes(bomb.make()))
        process.start()
        process.join()
        assert process.exitcode == 0, f"{bomb.target.name}: could not be made"
        assert Path(file.name).stat().st_size <= 10_000_000, f"{bomb.target.name}: is no small file"
        return fuzz(bomb.target, range(1), lambda number: Path(file.name).read_bytes())


def _read_all(target: Target, numbers: range, make: Callable[[int], bytes], counts: Any, faults: Connection) -> None:
    sys.addaudithook(_watch)
    logging.disable()
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # progress bars
    size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (size + _HARD_LIMIT, size + _HARD_LIMIT))
    base = peak = _peak()
    place_of = {name: place for place, name in enumerate(_COUNTS)}
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        os.chdir(folder)
        path = target.prepare(Path(folder))
        for number in numbers:
            counts[place_of["number"]] = number
            try:
                path.write_bytes(make(number))
            except Exception as error:  # of the suite itself
                faults.send((number, f"could not be made: {type(error).__name__}: {error}"[:500]))
                continue
            start = time.process_time()  # of work: other programs may run beside it
            result = _result(target, Path(folder), path)
            seconds, before, peak = time.process_time() - start, peak, _peak()
            grown = peak - base if peak > before else 0
            counts[place_of["slowest"]] = max(counts[place_of["slowest"]], seconds)
            counts[place_of["largest"]] = max(counts[place_of["largest"]], grown)
            if seconds > MAX_SECONDS or grown > MAX_BYTES:
                faults.send((number, f"{seconds:.1f} s and {grown / 1e6:.0f} MB; {result}"))
            elif result in ("read", "refused"):
                counts[place_of[f"num_{result}"]] += 1
            else:
                faults.send((number, result))
            if Path("harm").exists():
                raise Ran("a payload")


def _result(target: Target, folder: Path, path: Path) -> str:
    global _is_reading
    _is_reading = True
    try:
        target.read(folder)
        return "read"
    except (ValueError, OSError) as error:
        message = str(error)
        if len(message) > _LONGEST_MESSAGE:
            return f"more than a line: {type(error).__name__}: {message[:500]!a}"
        if path.name not in message and str(path.parent) not in message:
            return f"without the file: {type(error).__name__}: {message[:500]!a}"
        return "refused"
    except BaseException as error:  # whatever it is: that is the question
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {str(error)[:300]!a} at {Path(place.filename).name}:{place.lineno}"
    finally:
        _is_reading = False


def _watch(event: str, arguments: Any) -> None:
    if event in _FORBIDDEN and _is_reading:
        raise Ran(f"{event} {arguments}"[:200])


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> int:
    """Prints a table of counts, and the faults; returns 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--inputs", type=int, default=20_000, help="number of inputs of all formats together")
    parser.add_argument("--first", type=int, default=0, help="number of the first input of each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="name of the only format to read, or bombs")
    args = parser.parse_args()
    chosen = [target for target in targets() if args.only in (None, target.name)]
    weight = sum(target.weight for target in chosen)
    total = num_faults = 0
    print("| format | inputs | read | refused | faults | slowest (s) | memory (MB) |\n|---|--:|--:|--:|--:|--:|--:|")
    for target in chosen:
        count = max(1, round(args.inputs * target.weight / weight))
        findings = fuzz(
            target,
            range(args.first, args.first + count),
            lambda number, target=target: content_of(target, number, args.seed),
        )
        total, num_faults = total + count, num_faults + len(findings.faults)
        _print_row(target.name, count, findings)
    for bomb in bombs():
        if args.only in (None, "bombs", bomb.target.name):
            findings = explode(bomb)
            total, num_faults = total + 1, num_faults + len(findings.faults)
            _print_row(f"bomb: {bomb.target.name}", 1, findings)
    print(f"{total:,} inputs, {num_faults} faults")
    return int(num_faults > 0)


def _print_row(name: str, count: int, findings: Findings) -> None:
    numbers = f"{count:,} | {findings.num_read:,} | {findings.num_refused:,} | {len(findings.faults)}"
    print(f"| {name} | {numbers} | {findings.slowest:.2f} | {findings.largest / 1e6:.0f} |", flush=True)
    for number, fault in list(findings.faults.items())[:20]:
        print(f"  {number}: {fault}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
