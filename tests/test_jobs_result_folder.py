"""A folder of results: what is written is whole, what a kill left is found again, one process writes at a time."""

from pathlib import Path

import pytest

from modeling_sigma.jobs.atomic_files import atomic_file, write_text
from modeling_sigma.jobs.result_folder import ResultFolder, is_whole


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_results_and_notes(tmp_path):
    results = ResultFolder(tmp_path / "out", ".job")
    with results.writing():
        assert results.notes() == [] and results.read_note("sub/b") is None
        path = results.path / "sub" / "b.txt"
        size, digest = results.write_result(path, lambda temporary: temporary.write_text("four"))
        # echo -n four | sha256sum
        assert (size, digest[:16]) == (4, "04efaf080f5a3e74")
        results.write_note("sub/b", {"size": size})
        results.write_note("a", {"error": "é"})
        assert results.notes() == [{"error": "é"}, {"size": 4}] and results.read_note("sub/b") == {"size": 4}
        assert is_whole(path, size, digest)
        path.write_text("fivE")
        assert not is_whole(path, size, digest) and not is_whole(path, 5, digest)
        path.unlink()
        assert not is_whole(path, size, digest)
        write_text(results.path / "summary", "done\n", results.scratch)
        results.finish()
    assert names(results.path) == ["summary"]


def test_what_a_kill_left(tmp_path):
    results = ResultFolder(tmp_path, ".job")
    results.scratch.mkdir(parents=True)
    (results.scratch / "1-half").write_bytes(b"x")
    results.write_note("a", {"size": 1})
    (results.work / "notes" / "b.json").write_bytes(b"")  # lost its content with the power
    with results.writing():
        assert names(tmp_path / ".job") == ["notes/a.json", "notes/b.json"]
        assert results.notes() == [{"size": 1}] and results.read_note("b") is None


def test_one_process_writes(tmp_path):
    results = ResultFolder(tmp_path, ".job")
    with results.writing(), pytest.raises(ValueError, match="another process is writing here"), results.writing():
        pass
    with results.writing():
        pass


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with pytest.raises(KeyboardInterrupt), atomic_file(path) as temporary:
        assert temporary.parent == path.parent and temporary.suffix == ".txt"
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert names(tmp_path) == []
    write_text(path, "one\n")
    write_text(path, "two\n")
    assert names(tmp_path) == ["new/a.txt"] and path.read_bytes() == b"two\n"
