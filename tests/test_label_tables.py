"""Tables and cells of labels as programs and people write them."""

import json
from pathlib import Path

import pytest

from datasets_scripts.auditing.label_checks import text_problems
from datasets_scripts.reading.clip_times import frame_rate_of, time_of
from datasets_scripts.reading.label_cells import glosses_of, sentence_of
from datasets_scripts.reading.label_tables import find_column, read_table
from modeling_sigma.io.text_files import read_text


def cells_of(folder: Path, content: str, name: str = "labels.csv", **options: object) -> list[list[str]]:
    path = folder / name
    path.write_bytes(content.encode())
    return [list(row.cells.values()) for row in read_table(path, **options)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "cell",
    [
        "HELLO WORLD",
        "  HELLO\tWORLD ",
        "['HELLO', 'WORLD']",
        '["HELLO", "WORLD"]',
        "['HELLO' 'WORLD']",
        "['HELLO'\n 'WORLD']",
        "('HELLO', 'WORLD')",
        "array(['HELLO', 'WORLD'], dtype='<U5')",
        "array(['HELLO', 'WORLD'], dtype=object)",
        "[np.str_('HELLO'), np.str_('WORLD')]",
        "{'HELLO', 'WORLD'}",
        "Index(['HELLO', 'WORLD'], dtype='object')",
        "list(['HELLO', 'WORLD'])",
        "deque(['HELLO', 'WORLD'], maxlen=2)",
        "[HELLO, WORLD]",
        "[HELLO WORLD]",
        "HELLO,WORLD",
        "HELLO, WORLD",
        "HELLO;WORLD",
        "HELLO ; WORLD;",
        "HELLO|WORLD",
        "HELLO | WORLD",
    ],
)
def test_glosses_however_a_list_was_written(cell: str) -> None:
    assert glosses_of(cell) == ("HELLO", "WORLD")


@pytest.mark.parametrize(
    ("cell", "glosses"),
    [
        ("", ()),
        (None, ()),
        ("[]", ()),
        (["ICE CREAM", "A"], ("ICE CREAM", "A")),
        ("['ICE CREAM', 'A']", ("ICE CREAM", "A")),
        ("['BYE']", ("BYE",)),
        ("""["DON'T", 'SAY "NO"']""", ("DON'T", 'SAY "NO"')),
        (r"['DON\'T', 'caf\u00e9']", ("DON'T", "café")),
        ("[12, 5]", ("12", "5")),
        ("COST 3,50 EURO", ("COST", "3,50", "EURO")),
        ("3,50", ("3,50",)),
        # These are glosses and no lists.
        ("[UNKNOWN]", ("[UNKNOWN]",)),
        ("[UNKNOWN] [LAUGHS]", ("[UNKNOWN]", "[LAUGHS]")),
        ("(HELLO) YOU", ("(HELLO)", "YOU")),
        ("GUT1A* ||ICH1", ("GUT1A*", "||ICH1")),
        ("__ON__ loc-REGION IX-1p HOUSE(2h)", ("__ON__", "loc-REGION", "IX-1p", "HOUSE(2h)")),
        ("今天 天气", ("今天", "天气")),
        ("{HELLO}", ("{HELLO}",)),
        ("NONE", ("NONE",)),
        ("None", ()),
        ("nan", ()),
    ],
)
def test_glosses_that_are_one(cell: object, glosses: tuple[str, ...]) -> None:
    assert glosses_of(cell) == glosses


@pytest.mark.parametrize(
    "cell", ["['A', None]", "[['A'], ['B']]", '[{"gloss": "A"}]', "['A' ... 'Z']", "['A', nan]", "['A, 'B']"]
)
def test_lists_that_are_no_glosses_name_their_line(cell: str) -> None:
    with pytest.raises(ValueError, match="t.csv, line 3: expected glosses, received something like a list"):
        glosses_of(cell, "t.csv, line 3")


def test_a_printed_list_is_no_sentence() -> None:
    assert sentence_of('["Hello, you."]', "") == "Hello, you." and sentence_of(" [sic] Hello ", "") == "[sic] Hello"
    assert sentence_of("nan", "") == "" and sentence_of("none", "") == "none"
    assert sentence_of("[music]", "") == "[music]" and sentence_of('"Hi" she said', "") == '"Hi" she said'
    with pytest.raises(ValueError, match="line 3: expected a text, received a list of 2, .*: write one text, or call"):
        sentence_of("['HELLO', 'WORLD']", "line 3")


def test_the_audit_sees_printed_lists() -> None:
    assert list(text_problems("['HELLO',")) == list(text_problems("'WORLD']")) == ["a piece of a printed list"]
    assert list(text_problems("['HELLO', 'WORLD']")) == ["a piece of a printed list"]
    assert not [
        *text_problems("[UNKNOWN]"),
        *text_problems("don't [laughs] 'quoted'"),
        *text_problems("'tis the dogs'"),
    ]


@pytest.mark.parametrize("delimiter", ["\t", ",", ";", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_every_dialect_gives_the_same_table(tmp_path: Path, delimiter: str, end: str, encoding: str) -> None:
    lines = [f'path{delimiter}"the text"', f'a{delimiter}"Größe{delimiter} ""klein"""', "", f"b{delimiter}bye"]
    path = tmp_path / "labels.txt"
    path.write_bytes((end.join(lines) + end).encode(encoding))
    rows = read_table(path)
    assert [row.cells for row in rows] == [
        {"path": "a", "the text": f'Größe{delimiter} "klein"'}, {"path": "b", "the text": "bye"}
    ]  # fmt: skip
    assert [row.line for row in rows] == [2, 4]
    assert read_text(path, "labels") == "\n".join([*lines, ""])


def test_quotes_in_tables_of_tabs(tmp_path: Path) -> None:
    literal = 'path\ttext\na\t"Hi" she said\nb\t"Bye\nc\tsay "no"\n'
    assert cells_of(tmp_path, literal) == [["a", '"Hi" she said'], ["b", '"Bye'], ["c", 'say "no"']]
    assert cells_of(tmp_path, literal.replace("\t", "|")) == cells_of(tmp_path, literal)
    written = 'path\ttext\na\t"""Hi"" she said"\nb\tBye\n'
    assert cells_of(tmp_path, written) == [["a", '"Hi" she said'], ["b", "Bye"]]
    assert cells_of(tmp_path, written, quoted=False)[0] == ["a", '"""Hi"" she said"']
    assert cells_of(tmp_path, 'path\ttext\na\t"one\ntwo"\nb\t"x\ty"\n') == [["a", "one\ntwo"], ["b", "x\ty"]]
    assert cells_of(tmp_path, 'path,text\na,"Hi" she said\n', quoted=False) == [["a", '"Hi" she said']]
    with pytest.raises(ValueError, match="line 2: .* is a double quote left open. .* give quoted=False"):
        cells_of(tmp_path, 'path,text\na,"Hi" she said\n')
    with pytest.raises(ValueError, match="line 3: expected 2 cells .path, text., received 3"):
        cells_of(tmp_path, "path\ttext\na\tx\nb\tx\ty\n")


def test_columns_without_a_name_are_passed_over(tmp_path: Path) -> None:
    """An index that pandas wrote, and the empty columns of a spreadsheet."""
    path = tmp_path / "labels.csv"
    path.write_text("\n,path,text,,\n0,a,hello,,\n")
    assert [(row.line, row.cells) for row in read_table(path)] == [(3, {"path": "a", "text": "hello"})]


def test_what_spreadsheets_add(tmp_path: Path) -> None:
    assert cells_of(tmp_path, "sep=;\npath;text\na;x, y\n") == [["a", "x, y"]]
    assert cells_of(tmp_path, "path,text\na,x,,\nb,y\n") == [["a", "x"], ["b", "y"]]


def test_lists_in_json_lines(tmp_path: Path) -> None:
    line = json.dumps({"path": "a", "gloss": ["ICE CREAM", "A"], "start": 0.5, "end": None})
    ((_, gloss, start, end),) = cells_of(tmp_path, line, "labels.jsonl")
    assert (glosses_of(gloss), start, end) == (("ICE CREAM", "A"), "0.5", "")


@pytest.mark.parametrize("name", ["signer_id", "Signer ID", " SIGNER-ID ", "signer.id", "signerId", "Signer__Id"])
def test_names_of_columns(name: str) -> None:
    assert find_column(["other", name], ("signer", "signer_id")) == name


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("1.5", None, (1.5, None)),
        ("1,5", "seconds", (1.5, "seconds")),
        ("1500", "milliseconds", (1.5, "seconds")),
        ("1500ms", None, (1.5, "seconds")),
        ("1.5 s", "frames", (1.5, "seconds")),
        ("37", "frames", (37, "frames")),
        ("01:02", None, (62, "seconds")),
        ("1:00:01.25", "milliseconds", (3601.25, "seconds")),
        ("00:00:01,250", None, (1.25, "seconds")),
        ("1 day 00:00:01", None, (86401, "seconds")),
        ("-1", None, (-1, None)),
        ("1e1", None, (10, None)),
        ("NaT", None, (None, None)),
    ],
)
def test_times(text: str, unit: str | None, expected: tuple[float | None, str | None]) -> None:
    assert time_of(text, unit, "line 3") == expected


@pytest.mark.parametrize("text", ["inf", "-inf", "1e999", "00:nan", "1:-30", "1:", "soon", "00:01:02:12", "1.2.3"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=f"line 3: expected seconds or hh:mm:ss, received '{text}': correct it, or"):
        time_of(text, None, "line 3")


def test_frame_rates() -> None:
    known = {
        "25": 25,
        "29.97": 29.97,
        "30000/1001": 30000 / 1001,
        "25 fps": 25,
        "25,0": 25,
        "": None,
        "0/0": None,
        "n/a": None,
    }
    assert {text: frame_rate_of(text, "") for text in known} == known
    for text in ("fast", "-5", "inf", "25/0"):
        with pytest.raises(ValueError, match=f"line 3: expected frames per second, received '{text}'"):
            frame_rate_of(text, "line 3")
