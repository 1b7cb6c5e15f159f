"""One budget bounds what a file may take: in proportion to its size, for all readers, by a factor that users set."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest

from modeling_sigma.io import load_clip, load_label_file
from modeling_sigma.io.reading_budget import (
    SMALL_BYTES,
    SMALL_FILE,
    ReadingBudget,
    check_time,
    file_bytes,
    reading_budget,
    take_bytes,
    take_objects,
)
from modeling_sigma.io.reading_errors import OverBudgetError, naming_file


def test_two_hours_of_holistic_keypoints_fit():
    num_points = 2 * 60 * 60 * 30 * 543
    for numbers, size in ((3, 4), (4, 4), (4, 8)):
        num_bytes = num_points * numbers * size
        # The content, x and y and a score of one person and of all, and the clip.
        assert ReadingBudget(num_bytes).bytes_limit > num_bytes + 3 * num_points * 12
        # Files are compressed to a third of that, as a rule.
        assert ReadingBudget(num_bytes // 3).bytes_limit > num_bytes + 3 * num_points * 12
    # The instructions of a pickle with two arrays in each frame.
    assert ReadingBudget(num_points * 12).objects_limit > 216_000 * 50


def test_limits_grow_with_the_file_up_to_an_end():
    small, larger, huge = (ReadingBudget(size) for size in (1000, 3 * SMALL_FILE, 10**13))
    assert small.bytes_limit == SMALL_BYTES == ReadingBudget(SMALL_FILE).bytes_limit
    for name in ("bytes_limit", "objects_limit", "seconds_limit"):
        assert getattr(larger, name) == 3 * getattr(small, name)
        assert getattr(larger, name) < getattr(huge, name) == getattr(ReadingBudget(10**14), name)


@pytest.mark.parametrize("factor", ["0.5", "4"])
def test_a_factor_for_all_limits(factor, monkeypatch):
    plain = ReadingBudget(0)
    monkeypatch.setenv("SIGMA_READING_BUDGET", factor)
    for name in ("bytes_limit", "objects_limit", "seconds_limit"):
        assert getattr(ReadingBudget(0), name) == float(factor) * getattr(plain, name)


@pytest.mark.parametrize("factor", ["", "0", "-1", "nan", "inf", "much"])
def test_an_impossible_factor_is_named(factor, monkeypatch, tmp_path):
    monkeypatch.setenv("SIGMA_READING_BUDGET", factor)
    (tmp_path / "a.npy").write_bytes(b"")
    with pytest.raises(ValueError, match=f"expected SIGMA_READING_BUDGET as a positive number, received '{factor}'"):
        load_clip(tmp_path / "a.npy")


def test_what_is_taken_counts_until_nothing_is_left(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(bytes(2_000_000))
    for take, limit in ((take_bytes, "600 MB of memory"), (take_objects, "3,000,000 objects")):
        left = {take_bytes: 600_000_000, take_objects: 3_000_000}[take]
        with reading_budget(path):
            take(left)
            with pytest.raises(OverBudgetError, match=f"expected a file of 2.0 MB to take at most {limit}, received"):
                take(1)
        with reading_budget(path):
            take(left)  # the next file has a budget of its own
        take(10 * left)  # and without one, anything goes


def test_budgets_do_not_add_up(tmp_path):
    with reading_budget(tmp_path / "one"):
        take_bytes(400_000_000)
        with reading_budget(tmp_path / "two"), pytest.raises(OverBudgetError):
            take_bytes(400_000_000)


def test_time_is_that_of_the_work(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGMA_READING_BUDGET", "0.01")
    with reading_budget(tmp_path), pytest.raises(OverBudgetError, match="at most 0 seconds of work"):
        while True:
            check_time()


def test_threads_have_budgets_of_their_own(tmp_path):
    faults = []

    def read() -> None:
        try:
            with reading_budget(tmp_path):
                take_bytes(400_000_000)
        except OverBudgetError as error:
            faults.append(error)

    with reading_budget(tmp_path):
        take_bytes(400_000_000)
        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not faults


def test_the_error_passes_through_and_names_the_file(tmp_path):
    with pytest.raises(OverBudgetError, match=r"^clip\.x: expected a file") as caught:
        with reading_budget(tmp_path), naming_file("clip.x", "a clip"):
            take_bytes(10**10)
    assert "\n" not in str(caught.value) and "SIGMA_READING_BUDGET=4" in str(caught.value)


def test_a_device_without_end_is_not_read_to_the_end(monkeypatch):
    monkeypatch.setenv("SIGMA_READING_BUDGET", "0.01")
    with pytest.raises(OverBudgetError, match="/dev/zero: expected a file"):
        file_bytes("/dev/zero")


def test_a_pipe_is_read(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(b"abc" * 100_000))
    writer.start()
    assert file_bytes(path) == b"abc" * 100_000
    writer.join()


def _over(tmp_path: Path, name: str) -> Path:
    """A file of that kind that needs more than a thousandth of the budget."""
    points = np.zeros((3000, 133, 2), np.float32)
    path = tmp_path / name
    if name.endswith(".npz"):
        np.savez_compressed(path, keypoints=points)
    elif name.endswith(".npy"):
        np.save(path, points)
    elif name.endswith(".json"):
        path.write_text(json.dumps({"keypoints": points[:200].tolist()}))
    elif name.endswith("labels.test"):
        path.write_bytes(gzip.compress(pickle.dumps({str(i): {"text": "x"} for i in range(2000)})))
    else:
        path.write_bytes(pickle.dumps({"keypoints": [None, *points], "scores": [None, *points[..., 0]]}))
    return path


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.json", "a.pkl"])
def test_every_reader_has_the_budget(name, tmp_path, monkeypatch):
    path = _over(tmp_path, name)
    assert load_clip(path).keypoints.shape[1:] == (133, 2)
    monkeypatch.setenv("SIGMA_READING_BUDGET", "0.001")
    with pytest.raises(OverBudgetError, match=rf"{name}: expected a file of .* SIGMA_READING_BUDGET=4"):
        load_clip(path)


def test_label_files_have_the_budget(tmp_path, monkeypatch):
    path = _over(tmp_path, "labels.test")
    assert len(load_label_file(path)) == 2000
    monkeypatch.setenv("SIGMA_READING_BUDGET", "0.001")
    with pytest.raises(OverBudgetError, match=r"labels.test: expected a file of"):
        load_label_file(path)
