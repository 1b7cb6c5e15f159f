"""What the pages of a parquet file unpack to is read from their own headers, whatever the end of the file says."""

from __future__ import annotations

import io

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from modeling_sigma.io import load_clip
from modeling_sigma.io.parquet_pages import unpacked_bytes


def parquet(columns: dict, **options) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), file, **options)
    return file.getvalue()


COLUMNS = {
    "x": np.random.default_rng(0).random(5000),
    "name": ["a", "bc"] * 2500,
    "n": pyarrow.array([1, None] * 2500, pyarrow.int16()),
}


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "brotli"])
def test_as_the_writer_says(compression, version):
    options = {"data_page_size": 1000, "row_group_size": 1500, "data_page_version": version}
    raw = parquet(COLUMNS, compression=compression, **options)
    metadata = pyarrow.parquet.read_metadata(io.BytesIO(raw))
    for name in COLUMNS:
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        chunks = [group.column(number) for group in groups for number in range(group.num_columns)]
        stated = sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema == name)
        # The writer counts the headers of the pages too, some fifty bytes each.
        assert 0.5 * stated < unpacked_bytes(raw, [name]) <= stated
    parts = [unpacked_bytes(raw, [name]) for name in COLUMNS]
    assert unpacked_bytes(raw, list(COLUMNS)) == sum(parts)
    assert unpacked_bytes(raw, ["other"]) == 0


def test_cells_hold_one_value():
    for values in ([[0.0, 1.0]], [{"a": 1.0}]):
        with pytest.raises(ValueError, match="expected one value in each cell, received"):
            unpacked_bytes(parquet({"x": values}), ["x"])
        assert unpacked_bytes(parquet({"x": values, "y": [1]}), ["y"]) > 0


def test_damaged_ends(tmp_path):
    raw = parquet(COLUMNS)
    rng = np.random.default_rng(0)
    for _ in range(2000):
        changed = bytearray(raw)
        for place in rng.integers(len(raw) - 2000, len(raw), 2):
            changed[place] = rng.integers(256)
        try:
            unpacked_bytes(bytes(changed), list(COLUMNS))
        except ValueError as error:
            assert str(error).startswith("expected ")


def test_sizes_that_make_arrow_abort_are_refused(tmp_path):
    """A column whose statistics are of another size than its levels ended the interpreter."""
    rows = 8
    raw = parquet({"frame": [0] * rows, "x_pose_0": [0.1] * rows, "y_pose_0": [0.1] * rows})
    path = tmp_path / "a.parquet"
    for place in range(len(raw) - 700, len(raw) - 8):
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 0x15]) + raw[place + 1 :])
        try:
            load_clip(path)
        except ValueError as error:
            assert str(error).startswith(f"{path}: ")
