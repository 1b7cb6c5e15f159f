"""The command line: dispatch, help, exit codes, errors in one line; and `sigma-slu inspect`."""

import argparse
import gzip
import importlib.util
import inspect
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import modeling_sigma
from modeling_sigma.cli import main as cli
from modeling_sigma.cli.inspect import format_report, inspect_clip, inspect_labels
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.skeleton_layouts import LAYOUTS


ROOT = Path(__file__).resolve().parents[1]


COMMAND = [sys.executable, "-m", "modeling_sigma.cli.main"]
# Prints the help of every command in one interpreter, and what that has imported.
ALL_HELP = """
import sys
from modeling_sigma.cli.main import COMMANDS, main

# Options of extract-poses are those of the estimators, whose files need numpy: it comes last.
names = sorted(COMMANDS, key=lambda name: name == "extract-poses")
for arguments in [["--help"], *([name, "--help"] for name in names)]:
    try:
        main(arguments)
    except SystemExit:
        pass
    heavy = {"torch", "transformers", "datasets", "numpy", "PIL", "tqdm"} & set(sys.modules)
    if arguments[0] == "extract-poses":
        heavy -= {"numpy"}
    if heavy:
        sys.exit(f"{arguments} imports {heavy}")
"""


def _sigma_slu(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.fixture
def subcommand(monkeypatch: pytest.MonkeyPatch):
    """Replaces all subcommands by one named `try-it` that does what the test says."""

    def install(run) -> None:
        module = SimpleNamespace(
            add_arguments=lambda parser: parser.add_argument("--number", type=int, default=0), run=run
        )
        monkeypatch.setattr(cli, "COMMANDS", {"try-it": ("the_module", "tries it")})
        monkeypatch.setitem(sys.modules, "the_module", module)

    monkeypatch.delenv("SIGMA_DEBUG", raising=False)
    return install


def _raise(error: BaseException):
    def run(args: argparse.Namespace) -> int:
        raise error

    return run


def test_help_lists_every_subcommand() -> None:
    result = _sigma_slu("--help")
    assert result.returncode == 0
    listed = " ".join(result.stdout.split())
    assert all(f"{name} {text}" in listed for name, (_, text) in cli.COMMANDS.items())


def test_no_help_imports_anything_heavy() -> None:
    """Each takes a fifth of a second so, and seconds with torch or transformers."""
    command = [sys.executable, "-c", ALL_HELP]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("usage: sigma-slu") == len(cli.COMMANDS) + 1


def test_version() -> None:
    result = _sigma_slu("--version")
    assert (result.returncode, result.stdout.strip()) == (0, f"sigma-slu {modeling_sigma.__version__}")


@pytest.mark.parametrize("arguments", [[], ["no-such-command"], ["--no-such-option"], ["inspect"]])
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    result = _sigma_slu(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith("usage: sigma-slu") and "Traceback" not in result.stderr


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_subcommand_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    module = importlib.import_module(cli.COMMANDS[name][0])
    assert list(inspect.signature(module.run).parameters) == ["args"]
    with pytest.raises(SystemExit) as exit_info:
        cli.main([name, "--help"])
    assert exit_info.value.code == 0
    assert f"usage: sigma-slu {name}" in capsys.readouterr().out


@pytest.mark.parametrize("exit_code", [0, 1])
def test_exit_code_is_the_one_of_the_subcommand(subcommand, exit_code: int) -> None:
    subcommand(lambda args: exit_code)
    assert cli.main(["try-it"]) == exit_code


def test_arguments_reach_the_subcommand(subcommand) -> None:
    subcommand(lambda args: args.number)
    assert cli.main(["try-it", "--number", "1"]) == 1
    assert cli.main(["--debug", "try-it", "--number", "1"]) == 1
    assert cli.main(["try-it", "--debug"]) == 0


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("expected this,\n  received that"), "expected this, received that"),
        (FileNotFoundError(2, "No such file or directory", "a.pose"), "[Errno 2] No such file or directory: 'a.pose'"),
        (
            ImportError("reading video needs PyAV: pip install sigma-slu[video]"),
            "reading video needs PyAV: pip install",
        ),
        (OSError(), "OSError"),
    ],
)
def test_error_takes_one_line(subcommand, capsys: pytest.CaptureFixture[str], error: Exception, message: str) -> None:
    subcommand(_raise(error))
    assert cli.main(["try-it"]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert captured.err.startswith(f"sigma-slu try-it: error: {message}")


@pytest.mark.parametrize("how", ["before", "after", "environment"])
def test_debug_shows_the_traceback(subcommand, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    subcommand(_raise(ValueError("broken")))
    arguments = {"before": ["--debug", "try-it"], "after": ["try-it", "--debug"], "environment": ["try-it"]}[how]
    if how == "environment":
        monkeypatch.setenv("SIGMA_DEBUG", "1")
    with pytest.raises(ValueError, match="broken"):
        cli.main(arguments)


def test_mistakes_of_ours_keep_their_traceback(subcommand) -> None:
    subcommand(_raise(KeyError("a bug")))
    with pytest.raises(KeyError):
        cli.main(["try-it"])


def test_interrupt_exits_with_130(subcommand) -> None:
    subcommand(_raise(KeyboardInterrupt()))
    assert cli.main(["try-it"]) == 130


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_output_that_nobody_reads_ends_quietly(tmp_path: Path, options: list[str]) -> None:
    """As in `sigma-slu inspect FILES | head`."""
    clip = _write_pickle(tmp_path / "clip.pkl", _clip())
    command = [*COMMAND, "inspect", *[str(clip)] * 100, *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == "" and process.wait(timeout=120) == 1


def test_a_broken_pipe_of_another_kind_is_told(subcommand, capsys: pytest.CaptureFixture[str]) -> None:
    subcommand(_raise(BrokenPipeError(32, "Broken pipe")))
    assert cli.main(["try-it"]) == 1
    assert capsys.readouterr().err == "sigma-slu try-it: error: [Errno 32] Broken pipe\n"


def test_main_stays_small() -> None:
    assert len(Path(cli.__file__).read_text(encoding="utf-8").splitlines()) < 60


# --- inspect


def _clip(num_frames: int = 4) -> PoseClip:
    """Body everywhere, left hand in the second half, one right wrist too uncertain to count, no face."""
    layout = LAYOUTS["coco_wholebody_133"]
    keypoints = np.zeros((num_frames, 133, 2), np.float32)
    scores = np.zeros((num_frames, 133), np.float32)
    body, left_hand = list(layout.body), list(layout.left_hand)
    keypoints[:, body, 0] = np.linspace(100, 500, 9)
    keypoints[:, body, 1] = np.linspace(50, 650, 9)
    scores[:, body] = 0.5
    keypoints[num_frames // 2 :, left_hand] = (300.0, 400.0)
    scores[num_frames // 2 :, left_hand] = 0.75
    scores[0, layout.right_hand[0]] = 0.25
    return PoseClip(keypoints, scores, fps=20, width=640, height=720)


def _write_pickle(path: Path, clip: PoseClip) -> Path:
    frames = {"keypoints": [frame[None] for frame in clip.keypoints], "scores": [frame[None] for frame in clip.scores]}
    path.write_bytes(pickle.dumps(frames))
    return path


def test_inspect_clip_counts_what_was_seen() -> None:
    report = inspect_clip(_clip())
    assert (report["layout"], report["num_keypoints"], report["num_frames"]) == ("coco_wholebody_133", 133, 4)
    assert (report["fps"], report["duration"], report["width"], report["height"]) == (20, 0.2, 640, 720)
    assert report["parts"]["body"] == {
        "num_joints": 9,
        "num_joints_of_layout": 9,
        "detected_rate": 1.0,
        "missing_rate": 0.0,
        "mean_score": 0.5,
        "box": [100.0, 50.0, 500.0, 650.0],
    }
    left_hand, right_hand = report["parts"]["left_hand"], report["parts"]["right_hand"]
    assert (left_hand["detected_rate"], left_hand["missing_rate"], left_hand["mean_score"]) == (0.5, 0.5, 0.75)
    assert (right_hand["detected_rate"], right_hand["missing_rate"]) == (0.0, 1.0)
    assert right_hand["mean_score"] is None and right_hand["box"] is None
    assert report["num_valid_body_points"] == 36
    # All points of the only hand are the same one: its box has no size.
    assert report["scale_references"] == {"body": True, "hands": False, "image": True}
    json.dumps(report)


def test_inspect_clip_of_hands_alone() -> None:
    keypoints = np.random.default_rng(0).uniform(0, 1, (3, 42, 2))
    report = inspect_clip(PoseClip(keypoints, np.ones((3, 42)), layout="hands_42"))
    assert report["scale_references"]["body"] is False and report["scale_references"]["hands"] is True
    assert report["parts"]["face"]["num_joints_of_layout"] == 0 and report["parts"]["face"]["missing_rate"] is None
    text = format_report({"file": "clip.npz", "kind": "clip", **report})
    assert "0 valid body points" in text and 'use scale_reference="hands" and fill_wrists=True' in text
    assert "frame rate unknown" in text


def test_inspect_clip_in_pixels_of_an_unknown_image() -> None:
    clip = _clip()
    report = inspect_clip(PoseClip(clip.keypoints, clip.scores))
    assert report["scale_references"] == {"body": True, "hands": False, "image": False}
    assert report["width"] is None and report["fps"] is None
    half = inspect_clip(PoseClip(clip.keypoints, clip.scores, width=640))
    assert half["scale_references"]["image"] is False, "half a size is none"
    assert "image   unknown" in format_report({"file": "clip.npz", "kind": "clip", **half})


def test_inspect_clip_of_nobody() -> None:
    report = inspect_clip(PoseClip(np.zeros((1, 133, 2)), np.zeros((1, 133))))
    assert not any(report["scale_references"].values())
    assert "nobody was seen" in format_report({"file": "clip.npz", "kind": "clip", **report})


def test_inspect_labels_describes_the_fields() -> None:
    entries = {
        f"clip-{k}": {"name": f"clip-{k}", "gloss": "", "text": text}
        for k, text in enumerate(["one two", "three", "", "你好"])
    }
    report = inspect_labels(entries)
    assert report["num_entries"] == 4 and report["fields"] == {"name": 4, "gloss": 0, "text": 3}
    assert report["mean_text_characters"] == pytest.approx(14 / 3)
    assert report["mean_text_words"] == pytest.approx(4 / 3)
    assert list(report["examples"]) == ["clip-0", "clip-1", "clip-2"]


def test_inspect_prints_clips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _write_pickle(tmp_path / "clip.pkl", _clip())
    assert cli.main(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(str(path)) and "coco_wholebody_133" in out and "4 frames" in out


def test_inspect_says_how_many_people_there_are_and_who_was_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = _clip()
    assert cli.main(["inspect", str(_write_pickle(tmp_path / "one.pkl", clip))]) == 0
    out = capsys.readouterr().out
    assert "people  1, seen in 4 of 4 frames" in out and "unit    pixels" in out
    far = clip.keypoints * 0.25 + np.float32([0, 600])
    frames = {"keypoints": [np.stack([far[t], clip.keypoints[t]]) for t in range(4)]}
    frames["scores"] = [np.stack([clip.scores[t]] * 2) for t in range(4)]
    frames["keypoints"][3], frames["scores"][3] = frames["keypoints"][3][1:], frames["scores"][3][1:]
    (tmp_path / "two.pkl").write_bytes(pickle.dumps(frames))
    assert cli.main(["inspect", str(tmp_path / "two.pkl")]) == 0
    out = capsys.readouterr().out
    assert "people  2 seen; person 0, the signer, is the one seen most often, largest and best" in out
    assert re.search(r"person 0: in 4 of 4 frames, size 600, weight 8\d% \(shown here\)", out)
    assert re.search(r"person 1: in 3 of 4 frames, size 150, weight 1\d%\n", out)
    assert cli.main(["inspect", "--json", "--person", "1", str(tmp_path / "two.pkl")]) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert [person["is_shown"] for person in report["people"]] == [False, True]
    assert report["parts"]["body"]["detected_rate"] == 0.75


def test_inspect_walks_through_a_file_of_many_clips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = _clip()
    clips = {name: {"keypoints": clip.keypoints, "scores": clip.scores} for name in ("hello", "world")}
    (tmp_path / "many.pkl").write_bytes(pickle.dumps(clips))
    assert cli.main(["inspect", "--json", str(tmp_path / "many.pkl")]) == 0
    reports = json.loads(capsys.readouterr().out)
    assert [report["file"].split("::")[1] for report in reports] == ["hello", "world"]
    assert cli.main(["inspect", "--json", f"{tmp_path}/many.pkl::world"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1


def test_inspect_json_and_files_that_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = _write_pickle(tmp_path / "good.pkl", _clip())
    bad = tmp_path / "bad.pkl"
    bad.write_bytes(good.read_bytes()[:100])
    missing = tmp_path / "missing.pkl"
    assert cli.main(["inspect", "--json", str(bad), str(missing), str(good)]) == 1
    captured = capsys.readouterr()
    reports = {Path(report["file"]).stem: report for report in json.loads(captured.out)}
    assert "error" in reports["bad"] and "error" in reports["missing"] and reports["good"]["num_frames"] == 4
    lines = captured.err.splitlines()
    assert len(lines) == 3 and "2 of 3 files" in lines[2]
    assert all(line.startswith("sigma-slu inspect: error: ") for line in lines[:2])
    assert "bad.pkl" in lines[0] and "missing.pkl" in lines[1]


def test_inspect_debug_stops_at_the_first_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGMA_DEBUG", "1")
    with pytest.raises(FileNotFoundError):
        cli.main(["inspect", str(tmp_path / "missing.pkl")])


def test_inspect_walks_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "deep").mkdir()
    _write_pickle(tmp_path / "deep" / "a.pkl", _clip())
    _write_pickle(tmp_path / "b.pkl", _clip())
    (tmp_path / "notes.txt").write_text("not a clip")
    entries = {"x": {"name": "x", "text": "hello there", "gloss": ["HELLO"]}}
    with gzip.open(tmp_path / "corpus.labels.dev", "wb") as file:
        pickle.dump(entries, file)
    assert cli.main(["inspect", "--json", str(tmp_path)]) == 0
    reports = json.loads(capsys.readouterr().out)
    assert sorted(Path(report["file"]).name for report in reports) == ["a.pkl", "b.pkl", "corpus.labels.dev"]
    labels = next(report for report in reports if report["kind"] == "labels")
    assert labels["num_entries"] == 1 and labels["mean_text_words"] == 2.0


def test_inspect_takes_a_table_for_what_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "labels.csv").write_text("path,text\na.npz,Hello\n")
    assert cli.main(["inspect", str(tmp_path / "labels.csv")]) == 1
    assert "this is a table of labels: build a data set of it with build-dataset" in capsys.readouterr().err


def test_inspect_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["inspect", str(tmp_path)]) == 1
    assert "found none" in capsys.readouterr().err


def test_inspect_draws_pictures(tmp_path: Path) -> None:
    first = _write_pickle(tmp_path / "clip.pkl", _clip())
    (tmp_path / "other").mkdir()
    second = _write_pickle(tmp_path / "other" / "clip.pkl", _clip(12))
    assert cli.main(["inspect", str(first), "--png", str(tmp_path / "new" / "one.png")]) == 0
    assert cli.main(["inspect", str(first), str(second), "--png", str(tmp_path / "many")]) == 0
    pictures = [tmp_path / "new" / "one.png", tmp_path / "many" / "clip.png", tmp_path / "many" / "clip-2.png"]
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)


@pytest.mark.data
def test_inspect_reads_every_sample(shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = shared_data / "samples"
    videos = sorted((samples / "video").iterdir())
    others = [path for path in sorted(samples.iterdir()) if path.name != "video"]
    assert cli.main(["inspect", "--json", "--png", str(tmp_path), *map(str, others)]) == 0
    reports = json.loads(capsys.readouterr().out)
    assert sum(report["kind"] == "labels" for report in reports) == 3
    assert len(list(tmp_path.glob("*.png"))) == sum(report["kind"] == "clip" for report in reports) == 7
    if importlib.util.find_spec("rtmlib") is None:
        assert cli.main(["inspect", *map(str, videos)]) == 1
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == len(videos) + 1 and all("rtmlib" in line for line in lines[:-1])


def _write_text_inputs(folder: Path, content: str) -> None:
    for name in ("texts.json", "groups.json", "card.json", "results.json", "run.yaml", "log.json", "clip.json"):
        (folder / name).write_text(content)
    for name in ("model/config.json", "index/index.json", "signs/dictionary.json", "corpus/metadata.jsonl"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    (folder / "labels.json").write_text('["a"]')
    (folder / "corpus" / "a.npz").write_bytes(b"")


ODD_TEXTS = {
    "deep lists": "[" * 100_000,
    "deep objects": '{"a":' * 100_000,
    "surrogate": '["\\ud800"]',
    "digits": "9" * 5000,
    "number": "3",
    "list": "[[]]",
    "number for text": '{"name": 3}',
    "list for text": '{"model_type": ["sigma"]}',
}
SLT, ISLR = "evaluate --task slt --predictions DIR/", "evaluate --task islr --predictions DIR/"


@pytest.mark.parametrize("content", ODD_TEXTS.values(), ids=ODD_TEXTS)
@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (f"{SLT}texts.json --references DIR/labels.json", "texts.json"),
        (f"{ISLR}labels.json --references DIR/texts.json", "texts.json"),
        (f"{ISLR}labels.json --references DIR/labels.json --label-groups DIR/groups.json", "groups.json"),
        ("card --facts DIR/card.json --out DIR/README.md", "card.json"),
        ("card DIR/model --facts DIR/card.json", "model"),
        ("predict --model DIR/model DIR/clip.json", "model"),
        ("publish DIR/model a/b --dry-run", "model"),
        ("search DIR/index hello", "index"),
        ("dictionary search DIR/signs DIR/clip.json", "signs"),
        ("inspect DIR/clip.json", "clip.json"),
        ("view DIR/log.json --out DIR/a.png", "log.json"),
        ("build-dataset folder --data-dir DIR/corpus --out DIR/out", "metadata.jsonl"),
        ("finetune DIR/run.yaml", "run.yaml"),
    ],
    ids=lambda value: value.replace("DIR/", "") if " " in value else "",
)
def test_odd_text_inputs_end_in_one_line(arguments, file, content, tmp_path, capsys):
    _write_text_inputs(tmp_path, content)
    try:
        code = cli.main([argument.replace("DIR/", f"{tmp_path}/") for argument in arguments.split()])
    except SystemExit as error:  # argparse
        code = error.code
    said = capsys.readouterr().err.strip().split("\n")
    assert code in (1, 2)
    assert "error: " in said[-1] and file in said[-1] and len(said[-1]) < 3000
    assert not any(line.startswith("Traceback") for line in said)
