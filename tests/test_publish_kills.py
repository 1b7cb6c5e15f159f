"""`publish` that is killed, or runs twice at once: the Hub has the old version or the new one, never a mixture."""

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modeling_sigma import save_bundle
from modeling_sigma.hub.publish import plan_publication
from tests.factories import tiny_model, tiny_processor
from tests.hub_server import HubServer


ROOT = Path(__file__).resolve().parents[1]
REPO = "tester/sigma-slu"
NUM_KILLS, NUM_RACES, SEED = 20, 20, 20261129

pytestmark = pytest.mark.slow

# Forks a process for each line of its input, so that what is imported is imported once. A line is a JSON object:
# folders to publish at the same moment, and after how many seconds they are killed, if at all.
HOST = """
import json, os, signal, sys, time
from huggingface_hub.utils import disable_progress_bars
from modeling_sigma.hub.publish import publish

disable_progress_bars()

def start(folder, begin):
    child = os.fork()
    if child == 0:
        time.sleep(max(0.0, begin - time.monotonic()))
        try:
            publish(folder, "tester/sigma-slu", exist_ok=True, wait=lambda seconds: None)
        except ValueError as error:
            print(f"refused: {error}", file=sys.stderr, flush=True)
            os._exit(3)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(4)
        os._exit(0)
    return child

for line in sys.stdin:
    task = json.loads(line)
    begin = time.monotonic() + 0.05
    children = [start(folder, begin) for folder in task["folders"]]
    if task["kill_after"] is not None:
        time.sleep(max(0.0, begin + task["kill_after"] - time.monotonic()))
        for child in children:
            os.kill(child, signal.SIGKILL)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    print(json.dumps({"codes": codes, "seconds": time.monotonic() - begin}), flush=True)
"""


class Host:
    """Publishes in processes of its own."""

    def __init__(self, hub: HubServer, home: Path) -> None:
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        self.errors = (home / "errors.txt").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOST], env={**environment, **hub.environment(home)}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
        )  # fmt: skip

    def publish(self, *folders: Path, kill_after: float | None = None) -> dict[str, Any]:
        """Exit codes and seconds; -9 is a kill, 3 a refusal."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"folders": [str(f) for f in folders], "kill_after": kill_after}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> str:
        """Ends it; what it has said of errors."""
        self.process.communicate()
        self.errors.seek(0)
        with self.errors:
            return self.errors.read()


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two versions of a model that differ in weights, code and card."""
    folders = []
    for number in (1, 2):
        folder = save_bundle(tiny_model(seed=number), tiny_processor(), tmp_path_factory.mktemp("v") / "sigma-slu")
        (folder / "README.md").write_text(f"---\nlicense: mit\n---\n# Version {number}\n")
        with (folder / "outputs_sigma.py").open("a") as file:
            file.write(f"\n# Version {number}\n")
        folders.append(folder)
    return folders


def contents(folder: Path) -> dict[str, bytes]:
    """What publishing a folder puts on the Hub."""
    return {name: (folder / name).read_bytes() for name in plan_publication(folder, REPO).sizes}


def on_hub(hub: HubServer) -> dict[str, bytes]:
    repo = hub.repos.get(("model", REPO))
    return {} if repo is None else _ours(repo.files())


def _ours(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name != ".gitattributes"}


def test_a_kill_leaves_the_old_version_or_the_new_one(hub: HubServer, versions: list[Path], tmp_path: Path) -> None:
    """The first kills find no repository; later ones an old version, which the other replaces."""
    states = {"none": {}, "first": contents(versions[0]), "second": contents(versions[1])}
    rng, host, counts = random.Random(SEED), Host(hub, tmp_path), Counter[str]()
    undisturbed = min(host.publish(versions[0])["seconds"] for _ in range(2))
    hub.repos.clear()
    hub.large_files.clear()
    before, names = "none", ["first", "second"]
    for number in range(NUM_KILLS):
        new = names[number % 2]
        done = host.publish(versions[number % 2], kill_after=rng.uniform(0, 1.1 * undisturbed))
        found = [name for name, state in states.items() if state == on_hub(hub)]
        assert found in ([before], [new]), f"kill {number}: neither the old version nor the new one, whole"
        repo = hub.repos.get(("model", REPO))
        assert repo is None or repo.private
        counts[f"{'killed' if done['codes'] == [-9] else 'done'}, {'new' if found == [new] else 'old'}"] += 1
        before = found[0]
    assert host.publish(versions[0])["codes"] == [0], "the same command goes on"
    assert on_hub(hub) == states["first"]
    errors = host.close()
    print(f"{NUM_KILLS} kills within {1.1 * undisturbed:.2f} s: {dict(counts)}")
    assert counts["killed, old"] >= 3 and sum(counts.values()) == NUM_KILLS, counts
    assert "Traceback" not in errors, errors


def test_two_at_once_are_equal_or_refused(hub: HubServer, versions: list[Path], tmp_path: Path) -> None:
    """The same folder twice, and two folders under one name."""
    host, counts = Host(hub, tmp_path), Counter[str]()
    states = [contents(folder) for folder in versions]
    for number in range(NUM_RACES):
        hub.repos.clear()
        hub.large_files.clear()
        pair = (versions[0], versions[0] if number % 2 else versions[1])
        codes = host.publish(*pair)["codes"]
        assert set(codes) <= {0, 3} and 0 in codes, (codes, host.close())
        assert on_hub(hub) in states, f"race {number}: a mixture"
        for commit in hub.repos[("model", REPO)].refs["main"][1:]:
            assert _ours(commit.files) in states, f"race {number}: a mixture on the way"
        counts["one refused" if 3 in codes else "one after the other"] += 1
    errors = host.close()
    print(f"{NUM_RACES} races: {dict(counts)}")
    assert "Traceback" not in errors and errors.count("somebody else committed") == counts["one refused"], errors
