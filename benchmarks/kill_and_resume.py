"""Kills commands at random moments, and lets two of them write one folder: the results must be those of a quiet run.

    python benchmarks/kill_and_resume.py kill [--command index ...] [--rounds 20] [--seed 0]
    python benchmarks/kill_and_resume.py race [--command index ...] [--rounds 100] [--seed 0]

`kill`: a command is killed (SIGKILL) at a random moment of its usual time and started again until as many kills as
rounds have hit it; then it runs to its end, and its result is compared byte by byte (training: final weights) with
that of a run that nobody has disturbed. One to three kills fall on each result. Commands that change a folder start
from a copy of one, and after each kill what is read from it must be what it was before, or what it should become.

`race`: two processes start the command on one output, the second some random time later, where possible with other
inputs. Each must end well or refuse, and the result must be that of the one or of the other, never a mixture.

Inputs are tiny and made here. Processes are forked from one that has imported the libraries; every tenth round starts
real commands instead. Prints one line per command, and with `--output` writes the counts as JSON. The exit code is 1
if a result differs. Without arguments, both kinds run with few rounds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


ROOT = Path(__file__).resolve().parents[1]
_START = "import sys; from benchmarks.kill_and_resume import command; sys.exit(command(sys.argv[1:]))"
_REFUSALS = ("another process is writing here", "was extracted with", "already exists: --force")
_REAL_EVERY = 10
_TRAINING = """
corpus: [{data}]
validation_split: none
test_split: none
model_config:
  text_config: {{d_model: 16, d_kv: 8, d_ff: 24, num_heads: 2, num_layers: 1, dropout_rate: 0.1}}
  pose_config: {{joint_hidden_size: 4, spatial_hidden_sizes: [4], temporal_hidden_sizes: [8]}}
  fusion_layers: 1
  max_frames: 16
augmentation: {{rotation: 10, noise: 0.01, speed: 0.1}}
task: islr
head: classification
do_train: true
max_steps: 8
logging_steps: 1
eval_strategy: "no"
save_strategy: steps
save_steps: 2
load_best_model_at_end: false
per_device_train_batch_size: 4
use_cpu: true
disable_tqdm: true
resume: true
"""


@dataclass(frozen=True)
class Case:
    """A command and what it is given.

    Args:
        arguments (`Callable`):
            The command line, from the output and which of two inputs is read (0 or 1).
        out (`str`):
            The name of the output.
        compared (`tuple[str, ...]`):
            Patterns of the files of an output folder that must be equal.
        num_inputs (`int`, *optional*, defaults to 2):
            1 if both processes are given the same.
        changed (`Path`, *optional*):
            For a command that changes a folder: what it starts from.
        read (`Callable[[Path], str]`, *optional*):
            What such a folder says to those who read it, whatever its files are.
    """

    arguments: Callable[[str, int], list[str]]
    out: str = "out"
    compared: tuple[str, ...] = ("**/*",)
    num_inputs: int = 2
    changed: Path | None = None
    read: Callable[[Path], str] | None = None

    def lay_out(self, out: Path) -> None:
        """Makes the place for an output, with what the command starts from."""
        out.parent.mkdir(parents=True)
        if self.changed is not None:
            shutil.copytree(self.changed, out)


def read_dictionary(folder: Path) -> str:
    """A hash of the clips and vectors of a sign dictionary."""
    from modeling_sigma import SignDictionary

    dictionary = SignDictionary.from_pretrained(folder)
    digest = hashlib.sha256(repr(dictionary.entries).encode())
    digest.update(dictionary._clips.vectors.tobytes())
    return digest.hexdigest()


class Dots:
    """An estimator without a network: all keypoints lie in the middle of what is bright."""

    name, layout, versions = "dots", "coco_wholebody_133", {"dots": "1"}
    options: Mapping[str, Any] = {}

    def __init__(self, device: str = "cpu") -> None:
        self.device = device

    def __call__(self, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows, columns = np.nonzero(frame[..., 0] > 200)
        place = np.array([columns.mean(), rows.mean()], np.float32)
        return np.broadcast_to(place, (1, 133, 2)), np.ones((1, 133), np.float32)


def command(arguments: Sequence[str]) -> int:
    """`sigma-slu` with one estimator more; returns the exit code."""
    from modeling_sigma.extraction.estimators import ESTIMATORS

    ESTIMATORS["dots"] = Dots  # type: ignore[index]
    sys.argv = ["sigma-slu", *arguments]
    try:
        runpy.run_module("modeling_sigma.cli.main", run_name="__main__")
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def make_cases(folder: Path) -> dict[str, Case]:
    """The command lines of all commands, for inputs in `folder`."""
    clips, videos, config = [folder / f"clips{n}" for n in (0, 1)], folder / "videos", folder / "training.yaml"
    model, data, predictions = folder / "model", folder / "data", [folder / f"predictions{n}.txt" for n in (0, 1)]
    config.write_text(_TRAINING.format(data=data), encoding="utf-8")
    seen = ["--dataset", str(data), "--task", "islr"]
    return {
        "build-dataset": Case(
            lambda out, n: ["build-dataset", "folder", "--data-dir", str(clips[n]), "--out", out, "--num-proc", "1",
                            "--clips-per-shard", "2", "--set", "sign_language=none", "--set", "spoken_language=X"]
        ),
        "extract-poses": Case(
            lambda out, n: ["extract-poses", str(videos), "--out", out, "--estimator", "dots", "--num-proc", "1"],
            num_inputs=1,
        ),
        "finetune": Case(
            lambda out, n: ["finetune", str(config), "--output_dir", out], compared=("model.safetensors",),
            num_inputs=1,
        ),
        "dictionary add": Case(
            lambda out, n: ["dictionary", "add", out, "--data", str(clips[n])], changed=folder / "signs",
            read=read_dictionary,
        ),
        "dictionary remove": Case(
            lambda out, n: ["dictionary", "remove", out, "--label", ("word0", "word1")[n]], changed=folder / "signs",
            read=read_dictionary,
        ),
        "index": Case(lambda out, n: ["index", str(clips[n]), "--model", str(model), "--out", out]),
        "search --png": Case(
            lambda out, n: ["search", str(folder / "index"), ("word0", "word1")[n], "--png", out], "found.png"
        ),
        "view": Case(
            lambda out, n: ["view", str(clips[0] / "0.npz"), "--caption", ("one", "two")[n], "--out", out], "clip.gif"
        ),
        "inspect --png": Case(lambda out, n: ["inspect", str(clips[n] / "0.npz"), "--png", out], "clip.png"),
        "audit-dataset --out": Case(
            lambda out, n: ["audit-dataset", str(data), "--max-frames", ("5", "500")[n], "--out", out], "audit.json"
        ),
        "audit-dataset --label-groups": Case(
            lambda out, n: ["audit-dataset", *seen[1:2], "--task", "islr", "--label-groups", out], "groups.json",
            num_inputs=1,
        ),
        "evaluate --save-predictions": Case(
            lambda out, n: ["evaluate", *seen, "--model", str(folder / "labels"), "--split", ("test", "train")[n],
                            "--bootstrap", "0", "--save-predictions", out],
            "predictions.json",
        ),
        "card --init": Case(
            lambda out, n: ["card", "--init", "--force", "--facts", out, str(model)], "card.json", num_inputs=1
        ),
        "trim-vocabulary": Case(
            lambda out, n: ["trim-vocabulary", "--model", str(model), "--texts", str(predictions[n]), "--out", out,
                            "--languages", "English"]
        ),
    }  # fmt: skip


def make_inputs(folder: Path) -> int:
    """Clips with labels, videos, a model, a label head, a data set and an index, all tiny. Returns 0."""
    import av

    from modeling_sigma.io import save_clip
    from modeling_sigma.model.pose_clip import PoseClip

    for number in (0, 1):
        clips, rng = folder / f"clips{number}", np.random.default_rng(number)
        clips.mkdir()
        lines = ["path,label,split"]
        for clip in range(16):
            keypoints = rng.uniform(100, 400, (8, 133, 2))
            save_clip(clips / f"{clip}.npz", PoseClip(keypoints, np.ones((8, 133)), fps=25, width=640, height=480))
            lines.append(f"{clip}.npz,word{clip % 4},{('train', 'train', 'train', 'test')[clip // 4]}")
        (clips / "metadata.csv").write_text("\n".join(lines) + "\n")
        (folder / f"predictions{number}.txt").write_text("".join(f"word{n % (3 + number)}\n" for n in range(8)))
    (folder / "videos").mkdir()
    for number in range(12):
        with av.open(str(folder / "videos" / f"{number}.mkv"), "w") as container:
            stream = container.add_stream("ffv1", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
            for frame in range(6):
                picture = np.zeros((48, 64, 3), np.uint8)
                picture[10 + frame, 20 + number] = 255
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))
    _make_models(folder)
    cases = make_cases(folder)
    commands = [
        cases["build-dataset"].arguments(str(folder / "data"), 0),
        cases["index"].arguments(str(folder / "index"), 0),
        ["dictionary", "create", str(folder / "signs"), "--model", str(folder / "model")],
        ["dictionary", "add", str(folder / "signs"), "--data", str(folder / "clips0"), "--split", "test"],
        [*cases["finetune"].arguments(str(folder / "labels"), 0), "--max_steps", "2", "--save_strategy", "no"],
    ]
    return max(command(arguments) for arguments in commands)


def _make_models(folder: Path) -> None:
    import torch
    from transformers import MT5Config

    from modeling_sigma import SigmaConfig, SigmaFeatureExtractor, SigmaForPreTraining, SigmaProcessor
    from modeling_sigma.hub.bundle import save_bundle
    from modeling_sigma.training.data.word_tokenizer import word_tokenizer

    tokenizer = word_tokenizer([f"word{n}" for n in range(40)])
    text_config = MT5Config(vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=24, num_heads=2, num_layers=1)
    pose_config = {"joint_hidden_size": 4, "spatial_hidden_sizes": [4], "temporal_hidden_sizes": [8]}
    torch.manual_seed(0)
    model = SigmaForPreTraining(SigmaConfig(text_config=text_config, pose_config=pose_config, fusion_layers=1))
    save_bundle(model.eval(), SigmaProcessor(SigmaFeatureExtractor(max_frames=16), tokenizer), folder / "model")


# --- processes


@dataclass
class Running:
    """A command that runs: forked from this process, or started as one types it."""

    pid: int
    log: Path
    code: int | None = None

    def wait(self, seconds: float | None = None) -> int | None:
        """The exit code, or None if it still runs after so many seconds; `-9` if it was killed."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while self.code is None:
            pid, status = os.waitpid(self.pid, 0 if deadline is None else os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            elif deadline is not None and time.monotonic() >= deadline:
                break
            else:
                time.sleep(0.001)
        return self.code

    def kill(self) -> bool:
        """Whether it was still running."""
        if self.wait(0) is not None:
            return False
        os.kill(self.pid, signal.SIGKILL)
        return self.wait() == -signal.SIGKILL


def start(arguments: Sequence[str], log: Path, is_real: bool = False) -> Running:
    """Starts a command whose output goes to `log`."""
    if is_real:
        with log.open("wb") as file:
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            process = subprocess.Popen(
                [sys.executable, "-c", _START, *arguments], stdout=file, stderr=file, cwd=ROOT, env=environment
            )
        process.returncode = 0  # we wait for it ourselves
        return Running(process.pid, log)
    return fork(lambda: command(arguments), log)


def fork(work: Callable[[], int], log: Path) -> Running:
    """Does the work in a copy of this process, which ends with the code that `work` returns."""
    pid = os.fork()
    if pid:
        return Running(pid, log)
    code = 70
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        code = work()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def result_of(path: Path, compared: Sequence[str]) -> str:
    """A hash of what lies there: of a file, or of the files of a folder that are compared, with their names."""
    if not path.exists():
        return "nothing"
    files = (
        [path] if path.is_file() else sorted({file for one in compared for file in path.glob(one) if file.is_file()})
    )
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(path)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def quiet_run(case: Case, folder: Path, *numbers: int) -> tuple[str, float, str]:
    """The result of commands, one after the other, that nobody disturbs, the seconds they take, and what is read."""
    name = "quiet" + "-".join(map(str, numbers))
    out = folder / name / case.out
    case.lay_out(out)
    started = time.monotonic()
    for number in numbers:
        running = start(case.arguments(str(out), number), folder / f"{name}.log")
        if running.wait() != 0:
            raise RuntimeError(f"a quiet run failed: {running.log.read_text()[-2000:]}")
    return result_of(out, case.compared), time.monotonic() - started, case.read(out) if case.read else ""


def kill_rounds(case: Case, folder: Path, num_kills: int, seed: str) -> dict[str, Any]:
    """Kills until as many kills have hit, and counts the results that differ from the quiet run's."""
    expected, seconds, after = quiet_run(case, folder, 0)
    before = case.read(case.changed) if case.read and case.changed else ""
    rng, counts, number = random.Random(seed), Counter(), 0
    while counts["kills"] < num_kills:
        out = folder / f"killed{number}" / case.out
        case.lay_out(out)
        is_real, is_saved = number % _REAL_EVERY == _REAL_EVERY - 1, False
        for _ in range(rng.randint(1, 3)):
            time_left = rng.uniform(0, 1.1 * seconds) + (_seconds_to_import(folder) * rng.random() if is_real else 0)
            running = start(case.arguments(str(out), 0), folder / f"killed{number}.log", is_real)
            if running.wait(time_left) is None and running.kill():
                counts["kills"] += 1
                counts["real"] += is_real
                if case.read:
                    found = case.read(out)
                    is_saved = found == after
                    counts["neither old nor new"] += found not in (before, after)
                    counts["after it was saved"] += is_saved
        running = start(case.arguments(str(out), 0), folder / f"killed{number}.log")
        code = running.wait()
        counts["results"] += 1
        # What is there already is not added again, and what is gone cannot be removed: then the command fails.
        if (code != 0 and not is_saved) or result_of(out, case.compared) != expected:
            counts["different"] += 1
            print(f"  {seed}, result {number}: exit code {code}: {running.log.read_text()[-500:]}", flush=True)
        number += 1
    return {"seconds": round(seconds, 2), **counts, "different": counts["different"]}


def race_rounds(case: Case, folder: Path, num_rounds: int, seed: str) -> dict[str, Any]:
    """Lets two processes write one output, and counts how they ended."""
    orders: list[tuple[int, ...]] = [(number,) for number in range(case.num_inputs)]
    if case.changed is not None:  # one may come after the other
        orders += [(0, 1), (1, 0)]
    quiet = [quiet_run(case, folder, *numbers) for numbers in orders]
    expected, seconds = {result for result, _, _ in quiet}, max(seconds for _, seconds, _ in quiet)
    rng, counts = random.Random(seed), Counter()
    for number in range(num_rounds):
        out = folder / f"race{number}" / case.out
        case.lay_out(out)
        is_real = number % _REAL_EVERY == _REAL_EVERY - 1
        running = []
        for process in (0, 1):
            arguments = case.arguments(str(out), process % case.num_inputs)
            running.append(start(arguments, folder / f"race{number}-{process}.log", is_real))
            time.sleep(rng.choice((0, rng.uniform(0, seconds))) if process == 0 else 0)
        codes = [one.wait() for one in running]
        failed = [one.log.read_text() for one in running if one.code != 0]
        is_right = all(any(words in text for words in _REFUSALS) for text in failed) and len(failed) < 2
        is_right = is_right and result_of(out, case.compared) in expected
        counts["rounds"] += 1
        counts["real"] += is_real
        counts["refused"] += len(failed)
        if not is_right:
            counts["wrong"] += 1
            print(f"  {seed}, round {number}: exit codes {codes}: {' '.join(failed)[-800:]}", flush=True)
    return {"seconds": round(seconds, 2), **counts, "wrong": counts["wrong"]}


_import_seconds: list[float] = []


def _seconds_to_import(folder: Path) -> float:
    """How long a real command takes before it does anything."""
    if not _import_seconds:
        started = time.monotonic()
        start(["--version"], folder / "version.log", is_real=True).wait()
        _import_seconds.append(2 * (time.monotonic() - started))
    return _import_seconds[0]


def _import_libraries() -> None:
    """What commands import, once. Nothing is computed: threads do not survive a fork."""
    os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    import torch
    import transformers  # noqa: F401

    import datasets_scripts.building.build  # noqa: F401
    import modeling_sigma.inference.corpus_predictions
    import modeling_sigma.inference.embedding_index
    import modeling_sigma.training.recipes.finetune  # noqa: F401

    torch.set_num_threads(1)


def main() -> int:
    """Runs the rounds; see the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", nargs="?", choices=("kill", "race"), help="what to do (default: both, few rounds)")
    parser.add_argument("--command", nargs="+", metavar="NAME", help="the commands (default: all)")
    parser.add_argument("--rounds", type=int, help="kills that hit, or races (default 20 and 100)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments (default 0)")
    parser.add_argument("--output", type=Path, help="file to add the counts to, as JSON")
    args = parser.parse_args()
    _import_libraries()
    kinds = {"kill": (kill_rounds, 20), "race": (race_rounds, 100)}
    chosen = {args.kind: kinds[args.kind]} if args.kind else {"kill": (kill_rounds, 2), "race": (race_rounds, 3)}
    has_failed = False
    with tempfile.TemporaryDirectory() as temporary:
        inputs = Path(temporary) / "inputs"
        inputs.mkdir()
        cases = make_cases(inputs)
        maker = fork(lambda: make_inputs(inputs), Path(temporary) / "inputs.log")
        if maker.wait() != 0:
            raise RuntimeError(f"the inputs could not be made: {maker.log.read_text()[-2000:]}")
        for kind, (run, usual) in chosen.items():
            names = args.command or (
                ["build-dataset", "dictionary add", "dictionary remove", "extract-poses", "finetune", "index"]
                if kind == "kill"
                else cases
            )
            for name in names:
                folder = Path(temporary) / f"{kind}-{name.replace(' ', '')}"
                folder.mkdir()
                counts = run(cases[name], folder, args.rounds or usual, f"{kind} {name} {args.seed}")
                print(f"{kind} {name}: {json.dumps(counts)}", flush=True)
                has_failed |= any(counts.get(name) for name in ("different", "neither old nor new", "wrong"))
                if args.output is not None:
                    known = json.loads(args.output.read_text()) if args.output.exists() else {}
                    known.setdefault(kind, {})[name] = {"seed": args.seed, **counts}
                    args.output.write_text(json.dumps(known, indent=2) + "\n")
    return 1 if has_failed else 0


if __name__ == "__main__":
    sys.exit(main())
