"""Text normalisation by corpus, and the checks of predictions and references."""

import json
import warnings
from pathlib import Path

import pytest

from modeling_sigma.metrics.prediction_files import (
    PREDICTION_FIELDS,
    REFERENCE_FIELDS,
    SampleTexts,
    pair_samples,
    read_sample_texts,
)
from modeling_sigma.metrics.signature import make_signature
from modeling_sigma.metrics.text_normalization import PRESETS, get_preset, repair_mojibake
from modeling_sigma.metrics.text_pairs import make_text_pairs, warn_if_unsegmented


# --- sentences


def test_csl_daily_separates_characters_and_maps_punctuation_in_references_alone() -> None:
    preset = get_preset("csl_daily", "slt")
    assert preset.prediction("你 好，吗\n？ ") == "你 好 ， 吗 ？"
    assert preset.reference("你 好，吗？") == "你 好 , 吗 ?"


@pytest.mark.parametrize("name", sorted(PRESETS["slt"]))
def test_a_translation_preset_changes_nothing_the_second_time(name: str) -> None:
    preset = get_preset(name, "slt")
    for text in ("今 天，5 0 岁？", "youâ€™re  going.", "", " "):
        assert preset.prediction(preset.prediction(text)) == preset.prediction(text)
        assert preset.reference(preset.reference(text)) == preset.reference(text)


@pytest.mark.parametrize("name", ["none", "how2sign", "openasl", "phoenix2014t"])
def test_presets_that_keep_the_text(name: str) -> None:
    text = " Cased,  with â\x80\x99 broken characters.\n"
    assert get_preset(name, "slt").prediction(text) == get_preset(name, "slt").reference(text) == text


@pytest.mark.parametrize(
    ("broken", "repaired"),
    [
        ("youâ\x80\x99re", "you're"),  # UTF-8 read as Latin-1
        ("youâ€™re", "you're"),  # UTF-8 read as Windows-1252
        ("â€œquotedâ€\x9d", '"quoted"'),
        ("where you?re going?", "where you're going?"),
        ("Is it?so he asked. Really?", "Is it?so he asked. Really?"),
        ("café, naïve, Ærø, 50 % â", "café, naïve, Ærø, 50 % â"),
        ("cafÃ©", "café"),
        ("Ã\x80 \xf4\xbf\xbf\xbf", "À \xf4\xbf\xbf\xbf"),  # the second run is no UTF-8
    ],
)
def test_mojibake_repair(broken: str, repaired: str) -> None:
    assert repair_mojibake(broken) == repaired


# --- glosses


@pytest.mark.parametrize(
    ("glosses", "cleaned_2014", "cleaned_2014_t"),
    [
        ("REGEN __LEFTHAND__ __EMOTION__ __PU__", "REGEN", "REGEN"),
        ("__ON__ REGEN __OFF__ __EPENTHESIS__", "REGEN", "REGEN"),
        ("loc-NORD cl-KOMMEN", "NORD KOMMEN", "NORD KOMMEN"),
        ("qu-NACHT poss-MEIN lh-WIND", "NACHT MEIN WIND", "qu-NACHT poss-MEIN lh-WIND"),
        ("loc-cl-BERG NORD+loc-WEST", "BERG NORD+WEST", "BERG NORD+WEST"),
        ("loc-loc-X", "X", "loc-X"),
        ("S0NNE HABEN2", "SONNE HABEN", "S0NNE HABEN2"),
        ("ZEIGEN WIND ZEIGEN", "ZEIGEN-BILDSCHIRM WIND ZEIGEN-BILDSCHIRM", "ZEIGEN WIND ZEIGEN"),
        ("ZEIGEN-BILDSCHIRM", "ZEIGEN-BILDSCHIRM", "ZEIGEN-BILDSCHIRM"),
        ("WOLKE-PLUSPLUS", "WOLKE", "WOLKE"),
        ("A-PLUSPLUS+B-PLUSPLUS", "A+B", "A-PLUSPLUS+B"),
        ("NORDRAUM RAUM loc-ALPENRAUM", "NORD RAUM ALPEN", "NORD RAUM ALPEN"),
        ("XRAUM WELTRAUMSCHIFF", "XRAUM WELTSCHIFF", "X WELTRAUMSCHIFF"),
        ("WIE AUSSEHEN WIE MORGEN AUSSEHEN", *2 * ("WIE-AUSSEHEN WIE MORGEN AUSSEHEN",)),
        ("A S WETTER", "A+S WETTER", "A+S WETTER"),
        ("WETTER A S", "WETTER A+S", "WETTER A+S"),
        ("S T U R M", "S T+U+R+M", "S T+U+R+M"),  # a peculiarity of the scripts
        ("A+B C REGEN IX", "A B+C REGEN IX", "A B+C REGEN IX"),
        ("X A B C", "X A+B+C", "X A+B+C"),
        ("ICH SCH N REGEN", "ICH SCH+N REGEN", "ICH SCH+N REGEN"),
        ("ICH M NN A REGEN", "ICH M+NN+A REGEN", "ICH M+NN+A REGEN"),
        ("SCH NN", "SCH NN", "SCH NN"),
        ("REGEN REGEN REGEN WIND REGEN", "REGEN WIND REGEN", "REGEN WIND REGEN"),
        ("WOLKE-PLUSPLUS WOLKE", "WOLKE", "WOLKE"),
        ("neg-HABEN neg-HABEN", "neg-HABEN", "neg-HABEN"),
        ("REGEN+WIND WIND", "REGEN+WIND", "REGEN+WIND"),
        ("  TAG   \n NACHT ", "TAG NACHT", "TAG NACHT"),
        ("__ON__", "", ""),
        ("", "", ""),
    ],
)
def test_phoenix_rules(glosses: str, cleaned_2014: str, cleaned_2014_t: str) -> None:
    for name, cleaned in (("phoenix2014", cleaned_2014), ("phoenix2014t", cleaned_2014_t)):
        assert get_preset(name, "cslr").prediction(glosses) == cleaned
        assert get_preset(name, "cslr").reference(glosses) == cleaned


def test_gloss_presets_of_other_corpora_keep_the_glosses() -> None:
    for name in ("none", "csl_daily", "how2sign", "openasl"):
        assert get_preset(name, "cslr").prediction("今天 星期五  __ON__") == "今天 星期五  __ON__"


def test_unknown_presets_say_what_exists() -> None:
    with pytest.raises(ValueError, match="received 'phoenix2014': 'phoenix2014' belongs to the task cslr"):
        get_preset("phoenix2014", "slt")
    with pytest.raises(ValueError, match="'none' for another corpus"):
        get_preset("bsl", "slt")
    with pytest.raises(ValueError, match="expected a task"):
        get_preset("none", "s2t")


# --- pairs


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        (["a"], ["a", "b"], "as many predictions as references, received 1 and 2"),
        ([], [], "at least one text in predictions"),
        ("a", ["a"], r"expected predictions to be a list of strings, received a str"),
        (["a"], {"a": 1}, r"expected references to be a list of strings, received a dict"),
        (7, ["a"], "received a int"),
        (["a", None], ["a", "b"], r"predictions\[1\] to be a string, received None \(NoneType\): decode"),
        (["a"], [["a", "b"]], r"references\[0\] to be a string, received \['a', 'b'\] \(list\): give one text"),
        ([1.5], ["a"], r"predictions\[0\] to be a string, received 1.5"),
        (["a", "b"], ["", " \n"], "references with text, received 2 empty ones"),
    ],
)
def test_bad_pairs(predictions: object, references: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_text_pairs(predictions, references)  # type: ignore[arg-type]


def test_references_that_the_clean_up_empties() -> None:
    with pytest.raises(ValueError, match="after the preset 'phoenix2014'"):
        make_text_pairs(["TAG"], ["__ON__"], "phoenix2014", "cslr")


def test_empty_texts_are_counted_and_told_once() -> None:
    with pytest.warns(UserWarning, match="2 of 4 predictions are empty and 1 of 4 references are empty") as caught:
        pairs = make_text_pairs(["", " ", "a", "b"], ["a", "b", "", "d"])
    assert len(caught) == 1
    assert pairs.counts() == {"num_sentences": 4, "num_empty_predictions": 2, "num_empty_references": 1}


def test_unsegmented_references_are_told() -> None:
    with pytest.warns(UserWarning, match="a single word: take characters"):
        warn_if_unsegmented(make_text_pairs(["今天星期五。"], ["今天星期几？"]), "take characters")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for predictions, references, preset, task in (
            (["今天星期五。"], ["今天星期几？"], "csl_daily", "slt"),
            (["今天 星期五"], ["今天 星期几"], "csl_daily", "cslr"),
            (["اليوم الجمعة"], ["اليوم السبت"], "none", "slt"),
        ):
            warn_if_unsegmented(make_text_pairs(predictions, references, preset, task), "take characters")


def test_any_iterable_of_strings_will_do() -> None:
    assert len(make_text_pairs((text for text in "ab"), ("a", "b"))) == 2


def test_signature() -> None:
    assert make_signature(b=1, a="x", c=None).startswith("b:1|a:x|sigma-slu:")
    with pytest.raises(ValueError, match="without '|'"):
        make_signature(a="x|y")


# --- files


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_text_files_keep_empty_lines_and_odd_characters(tmp_path: Path) -> None:
    texts = ["one", "", "two\u2028still two\x0b", "", ""]
    assert read_sample_texts(write(tmp_path / "a.txt", "\n".join(texts) + "\n")).values == texts
    assert read_sample_texts(write(tmp_path / "b.txt", "one\ntwo")).values == ["one", "two"]
    (tmp_path / "c.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n")
    assert read_sample_texts(tmp_path / "c.txt").values == ["one", "two"]
    assert read_sample_texts(write(tmp_path / "d.txt", "")).values == []


def test_dumps(tmp_path: Path) -> None:
    dump = "sample: a.mp4, prediction: Yes, prediction: no.\nsample: b, prediction: \nsample: c, prediction:\n\nmore\n"
    assert read_sample_texts(write(tmp_path / "p.txt", dump)) == SampleTexts(
        str(tmp_path / "p.txt"), ["Yes, prediction: no.", "", "\nmore"], ["a.mp4", "b", "c"]
    )
    references = "sample: c, ground-truth: C\nsample: a.mp4, ground-truth: A\nsample: b, ground-truth: B\n"
    pairs = pair_samples(
        read_sample_texts(tmp_path / "p.txt"), read_sample_texts(write(tmp_path / "r.txt", references))
    )
    assert pairs == (["\nmore", "Yes, prediction: no.", ""], ["C", "A", "B"])


@pytest.mark.parametrize(
    ("name", "content", "values", "sample_ids"),
    [
        ("a.json", ["x", "y"], ["x", "y"], None),
        ("a.json", {"1": "x", "2": "y"}, ["x", "y"], ["1", "2"]),
        ("a.json", {"1": {"text": "x"}, "2": {"text": "y"}}, ["x", "y"], ["1", "2"]),
        ("a.json", [{"name": "1", "gloss": "G", "text": "x"}, {"id": 2, "text": "y"}], ["x", "y"], ["1", "2"]),
        ("a.json", [{"sample_id": "1", "prediction": "x", "text": "z"}, {"text": "y"}], ["x", "y"], None),
        ("a.jsonl", '"x"\n{"text": "y\\nz"}\n\n', ["x", "y\nz"], None),
    ],
)
def test_json_files(
    tmp_path: Path, name: str, content: object, values: list[str], sample_ids: list[str] | None
) -> None:
    read = read_sample_texts(write(tmp_path / name, content), PREDICTION_FIELDS["slt"])
    assert (read.values, read.sample_ids) == (values, sample_ids)


def test_each_task_reads_its_field(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", [{"text": "sentence", "gloss": "GLOSS", "label": "word"}])
    read = {task: read_sample_texts(path, fields).values[0] for task, fields in REFERENCE_FIELDS.items()}
    assert read == {"slt": "sentence", "cslr": "GLOSS", "islr": "word"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "{", "expected JSON"),
        ("a.json", "7", "expected a list or an object"),
        ("a.json", [{"txt": "x"}], r"one of the fields \['prediction', 'text', 'translation'\]"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_sample_texts(write(tmp_path / name, content), PREDICTION_FIELDS["slt"])


def test_files_that_are_not_utf_8(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("schön".encode("latin-1"))
    with pytest.raises(ValueError, match="as UTF-8 text, received byte 0x"):
        read_sample_texts(tmp_path / "a.txt")
    with pytest.raises(OSError):
        read_sample_texts(tmp_path / "absent.txt")


def test_pairing_by_id() -> None:
    def texts(values: str, sample_ids: str | None) -> SampleTexts:
        return SampleTexts("file", list(values), None if sample_ids is None else list(sample_ids))

    assert pair_samples(texts("xy", "12"), texts("ab", "21")) == (["y", "x"], ["a", "b"])
    assert pair_samples(texts("xy", "12"), texts("ab", None)) == (["x", "y"], ["a", "b"])
    assert pair_samples(texts("xy", "11"), texts("ab", "11")) == (["x", "y"], ["a", "b"])
    with pytest.raises(ValueError, match="1 are missing, such as '3'"):
        pair_samples(texts("xy", "12"), texts("ab", "13"))
    with pytest.raises(ValueError, match="some occur twice"):
        pair_samples(texts("xyz", "122"), texts("abc", "121"))
    with pytest.raises(ValueError, match="received 1 and 2"):
        pair_samples(texts("x", "1"), texts("ab", "12"))
