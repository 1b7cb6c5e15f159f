"""Arrays that were written part by part are those that safetensors reads."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from modeling_sigma.inference.streamed_tensors import write_tensors


def test_what_was_written_is_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    halves, singles = rng.normal(size=(7, 3)).astype(np.float16), rng.normal(size=(2, 3)).astype(np.float32)
    whole = rng.integers(99, size=5)
    write_tensors(
        tmp_path / "x.safetensors",
        {
            "halves": (halves.shape, halves.dtype, iter([halves[:4], halves[4:4], halves[4:]])),
            "whole": (whole.shape, whole.dtype, [whole]),
            "singles": (singles.shape, singles.dtype, [singles]),
            "none": ((0, 3), np.dtype(np.float16), []),
        },
    )
    found = load_file(tmp_path / "x.safetensors")
    assert set(found) == {"halves", "whole", "singles", "none"} and found["none"].shape == (0, 3)
    for name, expected in (("halves", halves), ("whole", whole), ("singles", singles)):
        assert found[name].dtype == expected.dtype and np.array_equal(found[name], expected)


def test_parts_that_do_not_make_up_the_shape_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"x: expected parts that make up \(3,\)"):
        write_tensors(tmp_path / "x.safetensors", {"x": ((3,), np.dtype(np.int64), [np.arange(2)])})
