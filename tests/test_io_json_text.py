"""The door for JSON: depth, size, text and numbers are bounded; messages name the file, or its line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modeling_sigma.io.json_fields import check_fields
from modeling_sigma.io.json_text import MAX_LEVELS, parsed_json, read_json, read_json_lines


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize("content", [{"a": [1, 2.5, None, True, "é😀"]}, [], "text", 3, None, {"[{": "[" * 500}])
def test_what_is_json_is_read(content, tmp_path):
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path = tmp_path / f"{encoding}.json"
        path.write_text(json.dumps(content, ensure_ascii=False), encoding=encoding)
        assert read_json(path, "anything") == content


def test_brackets_in_texts_open_nothing():
    content = [{"a": '"[{' * 300, "b\\": "\\" * 9 + "["}] * 100
    assert parsed_json(json.dumps(content)) == content


def test_levels():
    assert parsed_json(nested(MAX_LEVELS))
    for text in (nested(MAX_LEVELS + 1), nested(1_000_000), "[" * 1_000_000, '{"a":' * 100_000, '["]",' + nested(100)):
        with pytest.raises(ValueError, match="expected JSON of at most 64 levels, received more"):
            parsed_json(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected JSON, received something else"),
        ("", "expected JSON, received something else"),
        ("1 2", "expected JSON, received something else"),
        ("[" + "9" * 5000 + "]", "expected numbers of ordinary length"),
        ('["\\ud800"]', r"expected whole characters, received half of one, '\\ud800'"),
        ('{"\\udfff": 1}', "expected whole characters"),
        ("[NaN]", "expected finite numbers, received nan"),
        ('{"a": [1e999]}', "expected finite numbers, received inf"),
        ("[-Infinity]", "expected finite numbers, received -inf"),
    ],
)
def test_other_content_is_refused_in_one_line(text, message, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_json(path, "settings")
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_pairs_of_surrogates_are_characters():
    assert parsed_json('"\\ud83d\\ude00"') == "😀"


def test_numbers_without_end_are_read_where_they_may_be(tmp_path):
    (tmp_path / "a.json").write_text("[Infinity]")
    assert read_json(tmp_path / "a.json", "a log", is_finite=False) == [float("inf")]


def test_kinds(tmp_path):
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"a.json: expected a card as an object in JSON, received a list: check"):
        read_json(tmp_path / "a.json", "a card", dict)
    (tmp_path / "a.json").write_text("7")
    with pytest.raises(ValueError, match="expected a card as a list in JSON, received a int"):
        read_json(tmp_path / "a.json", "a card", list)


def test_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n\n[2]\n')
    assert read_json_lines(path, "rows") == parsed_json(path.read_text(), may_have_lines=True) == [{"a": 1}, [2]]
    path.write_text('{"a": 1}\n' + nested(3000))
    with pytest.raises(ValueError, match=r"a.jsonl: line 2: expected JSON of at most 64 levels"):
        read_json_lines(path, "rows")


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (str, ["", "a"], [1, None, [], True]),
        (int, [0, -3], [1.5, "1", True, None]),
        (float, [0, 1.5], ["1.5", True, [1.5]]),
        (bool, [True], [0, "true"]),
        (str | None, ["a", None], [1]),
        (list[str], [[], ["a"]], ["a", [1], {"a": "b"}, [["a"]]]),
        (dict[str, list[float]], [{}, {"a": [1, 2.5]}], [[], {"a": 1}, {"a": ["1"]}]),
        (dict[str, Any], [{"a": object()}], [[], "a", None]),
    ],
)
def test_types_of_fields(kind, good, bad):
    for value in good:
        check_fields({"x": value}, {"x": kind})
    for value in bad:
        with pytest.raises(ValueError, match="expected x as .*, received .*: correct it"):
            check_fields({"x": value}, {"x": kind})
    check_fields({}, {"x": kind})
