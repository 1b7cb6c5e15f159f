"""Folders of videos to folders of clips: what is written, what is set aside, and that no kill changes the result."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from dot_videos import dot_path, write_dot_video
from onnx_graphs import write_detector, write_pose_network

from modeling_sigma.cli import main as cli
from modeling_sigma.extraction import pose_extraction
from modeling_sigma.extraction.estimator_protocol import EstimatorOption
from modeling_sigma.extraction.estimators import ESTIMATORS
from modeling_sigma.extraction.pose_extraction import PoseExtraction, extract_poses, read_manifest
from modeling_sigma.extraction.video_sources import find_videos
from modeling_sigma.io import load_clip
from modeling_sigma.io.reading_errors import DeviceError
from modeling_sigma.jobs import atomic_files, retrying


pytest.importorskip("av", reason="needs PyAV")

ROOT = Path(__file__).resolve().parents[1]


class DotEstimator:
    """All 133 keypoints lie on the white dot."""

    name, layout = "dots", "coco_wholebody_133"
    versions = {"dots": "1"}

    def __init__(self, device="cpu", **options):
        self.device, self.options = device, options

    def __call__(self, frame):
        rows, columns = np.nonzero(frame[..., 0] > 200)
        if not len(rows):
            return np.zeros((0, 133, 2), np.float32), np.zeros((0, 133), np.float32)
        place = np.float32([columns.mean(), rows.mean()])
        return np.broadcast_to(place, (1, 133, 2)), np.ones((1, 133), np.float32)


@pytest.fixture
def dots(monkeypatch):
    monkeypatch.setattr(pose_extraction, "make_estimator", lambda name, **options: DotEstimator(**options))


@pytest.fixture(scope="session")
def _videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for name, num_frames in (("b.mkv", 5), ("a.mkv", 3), ("sub/c.mkv", 4)):
        write_dot_video(folder / name, dot_path(num_frames))
    write_dot_video(folder / "nobody.mkv", [None] * 3)
    (folder / "broken.mp4").write_bytes(b"not a video")
    (folder / "._a.mkv").write_bytes(b"what macOS leaves on other disks")
    (folder / "labels.csv").write_text("path,text\n")
    return folder


@pytest.fixture
def videos(_videos, tmp_path):
    return Path(shutil.copytree(_videos, tmp_path / "videos"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_video_becomes_a_clip_or_a_line(dots, videos, tmp_path):
    done = []
    summary = extract_poses(
        PoseExtraction(videos, tmp_path / "out", "dots"), progress=lambda *counts: done.append(counts)
    )
    assert done == [(number, 5) for number in range(6)]
    assert set(contents(tmp_path / "out")) == {"a.npz", "b.npz", "sub/c.npz", "manifest.jsonl", "extraction.json"}
    clip = load_clip(tmp_path / "out" / "sub" / "c.npz")
    np.testing.assert_array_equal(clip.keypoints[:, 0], dot_path(4))
    assert (clip.fps, clip.width, clip.height, clip.layout) == (25, 96, 64, "coco_wholebody_133")
    lines = read_manifest(tmp_path / "out")
    assert [line["video"] for line in lines] == ["a.mkv", "b.mkv", "broken.mp4", "nobody.mkv", "sub/c.mkv"]
    assert lines[0] == {
        "video": "a.mkv",
        "video_bytes": (videos / "a.mkv").stat().st_size,
        "file": "a.npz",
        "file_bytes": (tmp_path / "out" / "a.npz").stat().st_size,
        "sha256": lines[0]["sha256"],
        "num_frames": 3,
        "num_broken_frames": 0,
        "num_frames_with_person": 3,
        "fps": 25.0,
        "width": 96,
        "height": 64,
        "estimator": "dots",
        "layout": "coco_wholebody_133",
        "versions": {"dots": "1"},
    }
    assert lines[2]["error"].startswith("broken.mp4: cannot be read as a video")
    assert lines[3]["error"].startswith("nobody.mkv: expected a person in at least one frame")
    assert str(tmp_path) not in json.dumps(lines), "the manifest can be published"
    assert {key: summary[key] for key in ("num_videos", "num_clips", "num_failed", "num_frames")} == {
        "num_videos": 5,
        "num_clips": 3,
        "num_failed": 2,
        "num_frames": 12,
    }
    assert summary["made_by"] == [
        {"estimator": "dots", "layout": "coco_wholebody_133", "versions": {"dots": "1"}, "num_clips": 3}
    ]
    assert json.loads((tmp_path / "out" / "extraction.json").read_text())["num_clips"] == 3


def test_a_second_run_does_only_what_is_new(dots, videos, tmp_path, monkeypatch):
    extraction = PoseExtraction(videos, tmp_path / "out", "dots")
    extract_poses(extraction)
    before = contents(tmp_path / "out")
    worked = []
    extract = pose_extraction._extract
    monkeypatch.setattr(pose_extraction, "_extract", lambda *args: worked.append(args[2]) or extract(*args))
    extract_poses(extraction)
    assert worked == [] and contents(tmp_path / "out") == before
    extract_poses(extraction, retry_failed=True)
    assert worked == ["broken.mp4", "nobody.mkv"] and contents(tmp_path / "out") == before
    # A new video, a changed one, a clip that was lost; and a video that is gone, whose clip stays.
    worked.clear()
    write_dot_video(videos / "d.mkv", dot_path(2))
    write_dot_video(videos / "a.mkv", dot_path(9))
    (videos / "b.mkv").unlink()
    (tmp_path / "out" / "sub" / "c.npz").unlink()
    extract_poses(extraction)
    assert worked == ["a.mkv", "d.mkv", "sub/c.mkv"]
    lengths = {line["video"]: line.get("num_frames") for line in read_manifest(tmp_path / "out")}
    assert lengths == {"a.mkv": 9, "b.mkv": 5, "broken.mp4": None, "d.mkv": 2, "nobody.mkv": None, "sub/c.mkv": 4}


def test_a_manifest_of_odd_names_is_read_back(dots, videos, tmp_path):
    """JSON keeps U+2028 and U+0085 as they are; editors of Windows put a byte order mark first."""
    name = "a\u2028b\x85c.mkv"
    os.rename(videos / "a.mkv", videos / name)
    extraction = PoseExtraction(videos, tmp_path / "out", "dots")
    extract_poses(extraction)
    manifest = tmp_path / "out" / "manifest.jsonl"
    manifest.write_bytes(b"\xef\xbb\xbf" + manifest.read_bytes())
    assert [line["video"] for line in read_manifest(tmp_path / "out")][0] == name
    assert extract_poses(extraction)["num_videos"] == 5
    manifest.write_bytes(b"\xff")
    with pytest.raises(ValueError, match="manifest.jsonl: cannot be read .*: remove it to extract everything again"):
        read_manifest(tmp_path / "out")


def test_one_folder_has_one_set_of_settings(dots, videos, tmp_path):
    extract_poses(PoseExtraction(videos, tmp_path / "out", "dots", {"size": 3}, {"batch_size": 2}))
    extract_poses(PoseExtraction(videos, tmp_path / "out", "dots", {"size": 3}, {"batch_size": 4}, ("cuda",)))
    with pytest.raises(ValueError, match=r"was extracted with options \{'size': 3\}, now \{'size': 4\} is asked for"):
        extract_poses(PoseExtraction(videos, tmp_path / "out", "dots", {"size": 4}))
    with pytest.raises(ValueError, match="was extracted with person 0, now 1 is asked for: choose another folder"):
        extract_poses(PoseExtraction(videos, tmp_path / "out", "dots", {"size": 3}, person=1))


def test_two_runs_do_not_write_one_folder(dots, videos, tmp_path):
    with atomic_files.lone_writer(tmp_path / "out"):
        with pytest.raises(ValueError, match="out: another process is writing here"):
            extract_poses(PoseExtraction(videos, tmp_path / "out", "dots"))
    extract_poses(PoseExtraction(videos, tmp_path / "out", "dots"))


def test_folders_that_cannot_be_extracted(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such file or folder: give a video"):
        find_videos(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"expected videos \(.mp4, .*\), found none"):
        find_videos(tmp_path)
    for name in ("a.mp4", "a.MOV", "b.mp4"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match="a.MOV, a.mp4 would all become a.npz: rename all but one"):
        find_videos(tmp_path)


def test_what_is_not_the_videos_fault_stops_everything(videos, tmp_path, monkeypatch):
    class OutOfMemory(DotEstimator):
        def __call__(self, frame):
            raise DeviceError("cuda is out of memory: use a batch size below 8")

    monkeypatch.setattr(pose_extraction, "make_estimator", lambda name, **options: OutOfMemory())
    with pytest.raises(ValueError, match="out of memory"):
        extract_poses(PoseExtraction(videos, tmp_path / "out", "dots"))
    monkeypatch.setattr(pose_extraction, "make_estimator", lambda name, **options: DotEstimator())
    assert extract_poses(PoseExtraction(videos, tmp_path / "out", "dots"))["num_clips"] == 3


def test_what_a_power_failure_took_is_done_again(dots, videos, tmp_path, monkeypatch):
    extraction = PoseExtraction(videos, tmp_path / "out", "dots")
    write_text = pose_extraction.write_text
    monkeypatch.setattr(pose_extraction, "write_text", lambda *args: 1 / 0)  # no manifest
    with pytest.raises(ZeroDivisionError):
        extract_poses(extraction)
    monkeypatch.setattr(pose_extraction, "write_text", write_text)
    whole = contents(tmp_path / "out")
    (tmp_path / "out" / "a.npz").write_bytes(bytes(len(whole["a.npz"])))  # its length, but not its content
    (extraction.results.work / "notes" / "b.mkv.json").write_bytes(b"")
    summary = extract_poses(extraction)
    assert summary["num_clips"] == 3
    assert {name: contents(tmp_path / "out")[name] for name in ("a.npz", "b.npz")} == {
        name: whole[name] for name in ("a.npz", "b.npz")
    }


# --- faults that pass, and files of others


class Unlucky(DotEstimator):
    """Fails a number of times, whatever it sees, and then works."""

    def __init__(self, error, num_failures):
        super().__init__()
        self.error, self.left = error, num_failures

    def __call__(self, frame):
        if self.left:
            self.left -= 1
            raise self.error
        return super().__call__(frame)


PASSING = [OSError(errno.EIO, "Input/output error"), OSError(errno.ESTALE, "Stale file handle"), MemoryError()]


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_a_fault_that_passes_costs_nothing(error, videos, tmp_path, monkeypatch):
    monkeypatch.setattr(pose_extraction, "make_estimator", lambda name, **options: Unlucky(error, 1))
    assert extract_poses(PoseExtraction(videos, tmp_path / "out", "dots"))["num_clips"] == 3


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_a_fault_that_lasts_for_a_run_is_tried_again_in_the_next(error, videos, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(ESTIMATORS, "dots", DotEstimator)
    monkeypatch.setattr(DotEstimator, "options", {}, raising=False)
    monkeypatch.setattr(pose_extraction, "with_retries", partial(retrying.with_retries, pauses=()))
    unlucky = Unlucky(error, 1)
    monkeypatch.setattr(pose_extraction, "make_estimator", lambda name, **options: unlucky)
    (videos / "broken.mp4").unlink()
    (videos / "nobody.mkv").unlink()
    command = ["extract-poses", str(videos), "--out", str(tmp_path / "out"), "--estimator", "dots"]
    assert cli.main(command) == 1
    printed = capsys.readouterr().err
    assert "extract-poses: a.mkv: " in printed and "the same command 1 of them that may only have had bad" in printed
    failed = [line for line in read_manifest(tmp_path / "out") if "error" in line]
    assert [(line["video"], line["is_passing"]) for line in failed] == [("a.mkv", True)]
    assert cli.main(command) == 0
    assert [line["video"] for line in read_manifest(tmp_path / "out") if "error" not in line] == [
        "a.mkv",
        "b.mkv",
        "sub/c.mkv",
    ]


@pytest.mark.parametrize("error", [FileNotFoundError(2, "gone"), PermissionError(13, "forbidden"), ValueError("odd")])
def test_a_fault_of_the_video_is_not_tried_again(error, videos, tmp_path, monkeypatch):
    monkeypatch.setattr(pose_extraction, "make_estimator", lambda name, **options: Unlucky(error, 1))
    assert extract_poses(PoseExtraction(videos, tmp_path / "out", "dots"))["num_clips"] == 2
    monkeypatch.setattr(pose_extraction, "make_estimator", lambda name, **options: DotEstimator())
    assert extract_poses(PoseExtraction(videos, tmp_path / "out", "dots"))["num_clips"] == 2
    assert extract_poses(PoseExtraction(videos, tmp_path / "out", "dots"), retry_failed=True)["num_clips"] == 3


@pytest.mark.parametrize("num_bytes", [200, *range(244, 256)])
def test_names_as_long_as_the_file_system_allows(num_bytes, dots, videos, tmp_path):
    name = "ü" * ((num_bytes - 4) // 2) + "x" * (num_bytes % 2) + ".mkv"
    assert len(os.fsencode(name)) == num_bytes
    os.rename(videos / "a.mkv", videos / name)
    extraction = PoseExtraction(videos, tmp_path / "out", "dots")
    assert extract_poses(extraction)["num_clips"] == 3
    before = contents(tmp_path / "out")
    assert Path(name).with_suffix(".npz").name in before
    assert extract_poses(extraction)["num_clips"] == 3 and contents(tmp_path / "out") == before


def test_a_name_that_is_not_utf8(dots, videos, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(ESTIMATORS, "dots", DotEstimator)
    monkeypatch.setattr(DotEstimator, "options", {}, raising=False)
    for name in ("a.mkv", "broken.mp4"):
        os.rename(os.fsencode(videos / name), os.fsencode(videos) + b"/caf\xe9" + name.encode())
    command = ["extract-poses", str(videos), "--out", str(tmp_path / "out"), "--estimator", "dots", "--json"]
    assert cli.main(command) == 1
    failed = json.loads(capsys.readouterr().out)["failed"]
    assert {line["video"] for line in failed} == {"caf\udce9broken.mp4", "nobody.mkv"}
    assert "caf\udce9a.npz" in {path.name for path in (tmp_path / "out").iterdir()}
    manifest = tmp_path / "out" / "manifest.jsonl"
    assert b"caf\\udce9a.mkv" in manifest.read_bytes()
    before = contents(tmp_path / "out")
    assert cli.main(command) == 1 and contents(tmp_path / "out") == before


def test_files_of_others_are_not_replaced(dots, videos, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "b.npz").write_bytes(b"somebody's")
    with pytest.raises(ValueError, match=r"b\.npz: this extraction has not written this file, and would replace it"):
        extract_poses(PoseExtraction(videos, out, "dots"))
    assert (out / "b.npz").read_bytes() == b"somebody's"
    (out / "b.npz").unlink()
    extract_poses(PoseExtraction(videos, out, "dots"))
    write_dot_video(videos / "d.mkv", dot_path(2))
    (out / "d.npz").write_bytes(b"somebody's")
    with pytest.raises(ValueError, match=r"d\.npz: this extraction has not written this file"):
        extract_poses(PoseExtraction(videos, out, "dots"))
    assert (out / "d.npz").read_bytes() == b"somebody's"


def test_a_clip_stays_ours_while_its_video_is_broken(dots, videos, tmp_path):
    out = tmp_path / "out"
    extract_poses(PoseExtraction(videos, out, "dots"))
    (videos / "b.mkv").write_bytes(b"?")
    for _ in range(2):
        assert extract_poses(PoseExtraction(videos, out, "dots"), retry_failed=True)["num_clips"] == 2
    assert load_clip(out / "b.npz").scores.shape[0] == 5
    write_dot_video(videos / "b.mkv", dot_path(6))
    assert extract_poses(PoseExtraction(videos, out, "dots"))["num_clips"] == 3
    assert len(load_clip(out / "b.npz")) == 6


class Killed(BaseException):
    pass


def test_a_kill_between_any_two_steps_changes_nothing(dots, videos, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # slow, and of no use against kills
    extract_poses(PoseExtraction(videos, tmp_path / "undisturbed", "dots"))
    expected = contents(tmp_path / "undisturbed")
    replace, steps = os.replace, []

    def killed_at(last_step):
        steps.clear()

        def step(source, target):
            if len(steps) == last_step:
                # What a kill leaves: half a file.
                Path(source).with_name("1-half.npz").write_bytes(Path(source).read_bytes()[:50])
                raise Killed
            steps.append(target)
            replace(source, target)

        monkeypatch.setattr(os, "replace", step)

    num_kills = 0
    while True:
        out = tmp_path / f"killed-{num_kills}"
        killed_at(num_kills)
        try:
            extract_poses(PoseExtraction(videos, out, "dots"))
        except Killed:
            monkeypatch.setattr(os, "replace", replace)
            extract_poses(PoseExtraction(videos, out, "dots"))
            assert contents(out) == expected, f"killed before step {num_kills}"
            num_kills += 1
        else:
            break
    assert num_kills == 1 + 3 * 2 + 2 + 2  # settings; clip and note each, or note alone; manifest and summary


# --- the real thing: processes, rtmlib's classes, the command line


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    pytest.importorskip("rtmlib", reason="needs rtmlib")
    folder = tmp_path_factory.mktemp("networks")
    return [
        *("--estimator", "rtmlib"),
        *("--detector", write_detector(folder / "detector.onnx", box=(0, 0, 64, 43))),
        *("--model", write_pose_network(folder / "pose.onnx")),
    ]


def test_command_line(networks, videos, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["extract-poses", str(videos), "--out", str(out), *networks]) == 1
    captured = capsys.readouterr()
    assert captured.out == f"3 of 5 videos became clips in {out}, a person in 100.0% of 12 frames\n"
    assert "sigma-slu extract-poses: broken.mp4: cannot be read as a video" in captured.err
    assert "2 of 5 videos failed: see" in captured.err
    np.testing.assert_allclose(load_clip(out / "a.npz").keypoints[:, 91], dot_path(3), atol=2.5)
    (videos / "broken.mp4").unlink()
    (videos / "nobody.mkv").unlink()
    assert cli.main(["extract-poses", str(videos), "--out", str(tmp_path / "all"), *networks, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["num_clips"] == 3 and summary["options"] == {"detector": "detector.onnx", "model": "pose.onnx"}
    assert summary["made_by"][0]["versions"]["model"].startswith("pose.onnx (sha256 ")


def test_command_line_errors(videos, tmp_path, capsys):
    assert cli.main(["extract-poses", str(videos), "--out", str(tmp_path / "out"), "--batch-size", "3"]) == 1
    assert "--batch-size is not an option of mediapipe: leave it out" in capsys.readouterr().err
    assert cli.main(["extract-poses", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]) == 1
    assert "no such file or folder" in capsys.readouterr().err
    (videos / "notes.txt").write_text("nothing")
    assert cli.main(["extract-poses", str(videos / "notes.txt")]) == 1
    assert "notes.txt: expected a video (.mp4, " in capsys.readouterr().err


def test_one_video_becomes_a_clip_in_a_folder_of_its_own(videos, capsys, monkeypatch):
    class NewEstimator(DotEstimator):
        options: dict[str, EstimatorOption] = {}

    monkeypatch.setitem(ESTIMATORS, "dots", NewEstimator)
    command = ["extract-poses", str(videos / "sub" / "c.mkv"), "--estimator", "dots"]
    for _ in range(2):
        assert cli.main(command) == 0
        assert "1 of 1 videos became clips" in capsys.readouterr().out
    assert set(contents(videos / "sub" / "c-poses")) == {"c.npz", "manifest.jsonl", "extraction.json"}
    clip = load_clip(videos / "sub" / "c-poses" / "c.npz")
    np.testing.assert_array_equal(clip.keypoints[:, 0], dot_path(4))
    assert clip.estimator == "dots (dots 1)"


def test_a_new_estimator_is_a_class_and_a_line_in_the_table(videos, tmp_path, capsys, monkeypatch):
    class NewEstimator(DotEstimator):
        options = {"size": EstimatorOption("of a dot", int), "haste": EstimatorOption("of work", float, False)}

    monkeypatch.setitem(ESTIMATORS, "dots", NewEstimator)
    command = ["extract-poses", str(videos), "--out", str(tmp_path / "out"), "--estimator", "dots", "--json"]
    assert cli.main([*command, "--size", "3", "--haste", "0.5"]) == 1
    assert json.loads(capsys.readouterr().out)["options"] == {"size": 3}, "haste decides no keypoints"
    assert cli.main([*command, "--size", "4"]) == 1
    assert "was extracted with options {'size': 3}, now {'size': 4} is asked for" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["extract-poses", "--help"])
    assert "dots (133 keypoints)" in capsys.readouterr().out.replace("\n" + " " * 24, " ")


def test_kill_and_resume(networks, tmp_path, capsys):
    videos = tmp_path / "videos"
    for number in range(6):
        write_dot_video(videos / f"{number}.mkv", dot_path(80, start=20 + number))
    (videos / "broken.mp4").write_bytes(b"?")
    # As the installed script does it, whose name keeps the package from registering models with transformers.
    start = "import sys; sys.argv[0] = 'sigma-slu'; from modeling_sigma.cli.main import main; sys.exit(main())"

    def command(out, num_proc):
        arguments = ["extract-poses", str(videos), "--out", str(out), *networks, "--num-proc", str(num_proc)]
        return [sys.executable, "-c", start, *arguments]

    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert cli.main([*command(undisturbed, 1)[3:]]) == 1
    notes = killed / ".extraction" / "notes"
    process = subprocess.Popen(command(killed, 2), cwd=ROOT, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while len(list(notes.glob("*.json"))) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    num_done = len(list(notes.glob("*.json")))
    assert 2 <= num_done < 7 and not (killed / "manifest.jsonl").exists(), process.stderr.read()
    assert cli.main([*command(killed, 1)[3:]]) == 1
    assert "1 of 7 videos failed" in capsys.readouterr().err
    assert contents(killed) == contents(undisturbed)


@pytest.mark.slow
def test_on_ray(networks, videos, tmp_path, capsys):
    pytest.importorskip("datatrove", reason="needs datatrove")
    pytest.importorskip("ray", reason="needs Ray")
    ray = ["--executor", "ray", "--workers", "2", "--tasks", "2"]
    here, on_ray = tmp_path / "here", tmp_path / "ray"
    assert cli.main(["extract-poses", str(videos), "--out", str(here), *networks]) == 1
    command = ["extract-poses", str(videos), "--out", str(on_ray), *networks, *ray]
    assert cli.main(command) == 1
    assert contents(on_ray) == contents(here) and len(contents(here)) == 5
    assert cli.main(command) == 1, "nothing left to do"
    capsys.readouterr()
    absent = ["--estimator", "rtmlib", "--detector", "nowhere.onnx", "--model", "nowhere.onnx"]
    command = ["extract-poses", str(videos), "--out", str(tmp_path / "absent"), *absent, *ray]
    assert cli.main(command) == 1
    assert "nowhere.onnx: no such ONNX file" in capsys.readouterr().err
