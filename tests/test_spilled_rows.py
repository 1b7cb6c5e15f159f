"""Rows that lie on the disk are those that were added, and near pairs are the same from there."""

import numpy as np
import pytest

from datasets_scripts.auditing import near_duplicates
from datasets_scripts.auditing.spilled_rows import SpilledRows


def spilled(rows: np.ndarray) -> SpilledRows:
    table = SpilledRows(rows.shape[1])
    for row in rows:
        table.append(row)
    return table


def test_rows_come_back_also_between_additions():
    rows = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
    table = spilled(rows[:4])
    assert len(table) == 4 and np.array_equal(table[1:3], rows[1:3])
    for row in rows[4:]:
        table.append(row)
    assert len(table) == 9 and np.array_equal(table[0:99], rows) and np.array_equal(table[7:9], rows[7:])
    assert table[9:12].shape == (0, 5)


def test_a_row_of_another_width_is_refused():
    with pytest.raises(ValueError, match=r"shape \(5,\), received \(4,\)"):
        SpilledRows(5).append(np.zeros(4))


def test_near_pairs_do_not_depend_on_where_rows_lie_or_how_many_are_compared_at_a_time(monkeypatch):
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(2, 30, 384)).astype(np.float32)
    planted = [(0, 29), (13, 4), (13, 17), (29, 0)]
    for row, other in planted:
        second[other] = first[row] + rng.normal(0, 0.01, 384)
    found = []
    for at_a_time in (2048, 7):
        monkeypatch.setattr(near_duplicates, "_ROWS_AT_A_TIME", at_a_time)
        for tables in ((first, second), (spilled(first), spilled(second))):
            pairs = sorted((pair.first, pair.second) for pair in near_duplicates.near_pairs(*tables))
            found.append(pairs)
    assert found == [planted] * 4
