"""Files and folders that appear whole or not at all, whatever stands in their place and whoever writes beside."""

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modeling_sigma.jobs.atomic_files import atomic_file, fitting_name, lone_writer, write_json, write_text
from modeling_sigma.jobs.atomic_folders import atomic_folder


ROOT = Path(__file__).resolve().parents[1]


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("num_bytes", range(240, 256))
def test_long_names_are_written(num_bytes, tmp_path):
    path = tmp_path / ("é" * ((num_bytes - 4) // 2) + "x" * (num_bytes % 2) + ".txt")
    with atomic_file(path) as temporary:
        assert temporary.suffix == ".txt"
        temporary.write_text("whole")
    assert path.read_text() == "whole" and len(names(tmp_path)) == 1


def test_a_name_that_fits_is_kept_and_others_differ():
    assert fitting_name("a" * 255) == "a" * 255
    one, other = fitting_name("a" * 252 + ".npz"), fitting_name("b" + "a" * 251 + ".npz")
    assert one != other and one.endswith(".npz") and len(one) < 60
    assert len(fitting_name("x." + "y" * 300)) < 60


def test_links_stay_links_and_devices_stay_devices(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "file")
    write_text(tmp_path / "link", "through the link")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / "file").read_text() == "through the link"
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_text(tmp_path / "pipe", "into the pipe")
    assert os.read(reader, 99) == b"into the pipe" and (tmp_path / "pipe").is_fifo()
    os.close(reader)
    write_text(Path("/dev/null"), "nowhere")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(IsADirectoryError, match="real: expected the name of a file to write, found a folder"):
        write_text(tmp_path / "real", "x")


def test_bytes_of_names_come_back(tmp_path):
    name = os.fsdecode(b"caf\xe9 \xf0\x9f\x91\x8b")
    write_json(tmp_path / "names.json", {name: "👋"})
    assert json.loads((tmp_path / "names.json").read_text(encoding="utf-8")) == {name: "👋"}


def test_a_folder_changes_as_a_whole(tmp_path):
    out = tmp_path / "out"
    with atomic_folder(out, "key") as staged:
        (staged / "key").write_text("1")
        (staged / "weights-1").write_text("1")
        (staged / "sub").mkdir()
        (staged / "sub" / "more").write_text("1")
        assert names(out) == [".lock", ".unfinished/key", ".unfinished/sub/more", ".unfinished/weights-1"]
    (out / "mine").write_text("stays")
    assert names(out) == ["key", "mine", "sub/more", "weights-1"]
    with pytest.raises(KeyboardInterrupt), atomic_folder(out, "key", ["weights-*"]) as staged:
        (staged / "key").write_text("half")
        raise KeyboardInterrupt
    assert names(out) == ["key", "mine", "sub/more", "weights-1"] and (out / "key").read_text() == "1"
    with atomic_folder(out, "key", ["weights-*"]) as staged:
        (staged / "key").write_text("2")
        (staged / "weights-2").write_text("2")
    assert names(out) == ["key", "mine", "sub/more", "weights-2"] and (out / "key").read_text() == "2"


class Killed(BaseException):
    pass


def test_a_kill_between_two_files_leaves_no_mixture(tmp_path, monkeypatch):
    """Old and new files are never together with the key: that is how readers know that a folder is whole."""
    replace = os.replace

    def write(out: Path, content: str) -> None:
        with atomic_folder(out, "key") as staged:
            for name in ("a", "key", "z"):
                (staged / name).write_text(content)

    for num_steps in range(4):
        out, steps = tmp_path / str(num_steps), []
        write(out, "old")

        def step(source, target, steps=steps, last=num_steps):
            if len(steps) == last:
                raise Killed
            steps.append(target)
            replace(source, target)

        monkeypatch.setattr(os, "replace", step)
        if num_steps < 3:
            with pytest.raises(Killed):
                write(out, "new")
            assert not (out / "key").exists()
        else:
            write(out, "new")
        monkeypatch.setattr(os, "replace", replace)
        write(out, "new")
        assert {(out / name).read_text() for name in ("a", "key", "z")} == {"new"}


def test_a_new_folder_of_a_failure_is_removed_and_an_old_one_stays(tmp_path):
    with pytest.raises(ValueError, match="no"), atomic_folder(tmp_path / "new", "key"):
        raise ValueError("no")
    assert not (tmp_path / "new").exists()
    (tmp_path / "old").mkdir()
    with pytest.raises(ValueError, match="no"), atomic_folder(tmp_path / "old", "key"):
        raise ValueError("no")
    assert list((tmp_path / "old").iterdir()) == []


def test_a_patient_writer_waits_and_a_kill_frees_the_folder(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from modeling_sigma.jobs.atomic_files import lone_writer\n"
        "with lone_writer(Path(sys.argv[1])): print('locked', flush=True); time.sleep(float(sys.argv[2]))"
    )

    def hold(seconds: float) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), str(seconds)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None and process.stdout.readline() == "locked\n"
        return process

    with hold(1):
        with pytest.raises(ValueError, match="another process is writing here"), lone_writer(tmp_path):
            pass
        with lone_writer(tmp_path, patience=30):
            pass
    with hold(600) as process:
        process.kill()
        process.wait()
        started = time.monotonic()
        with lone_writer(tmp_path, patience=30):
            assert time.monotonic() - started < 20


def test_a_full_disk_names_the_file_and_leaves_the_old_one(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with (
        pytest.raises(OSError, match="No space left on device: .*a.txt"),
        atomic_file(tmp_path / "a.txt") as temporary,
    ):
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert names(tmp_path) == ["a.txt"] and (tmp_path / "a.txt").read_text() == "old"
