"""Spellings and damaged texts: what is found, and what is left alone."""

import pytest

from datasets_scripts.auditing.label_checks import (
    count_labels,
    is_mojibake,
    one_letter_apart,
    spelling_variants,
    text_problems,
)


def test_spelling_variants():
    counts = {"ICE-CREAM": 9, "ice cream": 1, "IceCream": 2, "WATER": 3, "Café": 1, "Cafe\u0301": 2, "?": 1, "!": 1}
    assert spelling_variants(counts) == [["Cafe\u0301", "Café"], ["ICE-CREAM", "IceCream", "ice cream"]]
    assert spelling_variants({"ＡＢＣ": 1, "abc": 1}) == [["abc", "ＡＢＣ"]]
    assert spelling_variants({"书": 3, "本": 2, "schön": 1, "schon": 1}) == []


@pytest.mark.parametrize(
    "rare", ["TOMOROW", "TOMORRROW", "TOMORRAW", "TOMORRWO", "OMORROW", "TOMORROWX", "tomorroww", "OTMORROW"]
)
def test_one_letter_apart(rare):
    assert one_letter_apart({"TOMORROW": 40, rare: 2}) == [(rare, "TOMORROW")]


@pytest.mark.parametrize(
    "counts",
    [
        {"TOMORROW": 40, "TOMORROWS": 1},  # a plural
        {"PERSON1": 40, "PERSON2": 1},  # numbered
        {"PERSON": 40, "PERSON2": 1},
        {"HOUSE": 9, "MOUSE": 8},  # both frequent
        {"HOUSE": 4, "MOUSE": 1},  # not much more frequent
        {"BOOK": 40, "COOK": 1},  # short
        {"TOMORROW": 40, "TOMRROOW": 1},  # two letters
        {"BEACH": 40, "CHEAB": 1},
    ],
)
def test_words_that_are_left_alone(counts):
    assert one_letter_apart(counts) == []


def test_many_labels_are_fast():
    counts = {f"LABEL{''.join(chr(65 + (n // 26**k) % 26) for k in range(4))}": 1 + n % 7 for n in range(20_000)}
    assert len(one_letter_apart({**counts, "TOMORROW": 40, "TOMOROW": 1})) >= 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("I don’t know, naïve café.", []),
        ("今天天气很好", []),
        ("Über Ärger, ÖSTERREICH", []),
        ("donâ€™t", ["bytes read in the wrong encoding"]),
        ("cafÃ©", ["bytes read in the wrong encoding"]),
        ("ä»Šå¤©", ["bytes read in the wrong encoding"]),
        ("what\ufffd", ["replacement characters"]),
        ("one\ntwo", ["control characters or line ends"]),
        ("salt &amp; pepper", ["HTML entities"]),
        ("salt & pepper; more", []),
        (" hello", ["spaces at the ends or several in a row"]),
        ("  ", ["empty"]),
        ("", ["empty"]),
    ],
)
def test_damages(text, found):
    assert list(text_problems(text)) == found


def test_mojibake_of_every_script_is_found():
    for text in ("don’t", "naïve", "今天天气", "Привет", "مرحبا", "“quoted”"):
        assert not is_mojibake(text)
        assert is_mojibake(text.encode("utf-8").decode("latin-1"))


def test_count_labels():
    assert count_labels(["a", "b", "a", "", " "]) == {"a": 2, "b": 1}
