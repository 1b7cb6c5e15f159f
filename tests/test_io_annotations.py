"""Files of annotations: ELAN, its table, subtitles, JSON and TSV, read, written, and refused where damaged."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_sigma.io.annotations import (
    ANNOTATION_SUFFIXES,
    AnnotatedRecording,
    Annotation,
    Tier,
    annotation_text,
    read_annotations,
)
from modeling_sigma.io.annotations.safe_xml import MAX_LEVELS, parsed_xml
from modeling_sigma.io.reading_errors import OverBudgetError


DAY = 86_400.0

# As ELAN 6 saves it: a sentence, its glosses (divided by symbols, then with times), and a translation of each gloss.
EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-01-02T03:04:05+01:00" FORMAT="3.0" VERSION="3.0">
    <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
        <MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/films/talk.mp4" MIME_TYPE="video/mp4" RELATIVE_MEDIA_URL="./talk.mp4"/>
    </HEADER>
    <TIME_ORDER>
        <TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1000"/>
        <TIME_SLOT TIME_SLOT_ID="ts2"/>
        <TIME_SLOT TIME_SLOT_ID="ts3"/>
        <TIME_SLOT TIME_SLOT_ID="ts4" TIME_VALUE="4000"/>
    </TIME_ORDER>
    <TIER LINGUISTIC_TYPE_REF="default-lt" PARTICIPANT="Ada" TIER_ID="sentence">
        <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts4">
            <ANNOTATION_VALUE>I go home.</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
    </TIER>
    <TIER LINGUISTIC_TYPE_REF="divided" PARENT_REF="sentence" PARTICIPANT="Ada" TIER_ID="gloss">
        <ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a3" ANNOTATION_REF="a1" PREVIOUS_ANNOTATION="a2">
            <ANNOTATION_VALUE>HOME</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
        <ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a2" ANNOTATION_REF="a1">
            <ANNOTATION_VALUE>I</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
    </TIER>
    <TIER LINGUISTIC_TYPE_REF="associated" PARENT_REF="gloss" TIER_ID="German">
        <ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a4" ANNOTATION_REF="a3">
            <ANNOTATION_VALUE>nach Hause</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
    </TIER>
    <TIER LINGUISTIC_TYPE_REF="timed" PARENT_REF="sentence" TIER_ID="hands">
        <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a5" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
            <ANNOTATION_VALUE>one</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
        <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a6" TIME_SLOT_REF1="ts2" TIME_SLOT_REF2="ts3">
            <ANNOTATION_VALUE/></ALIGNABLE_ANNOTATION></ANNOTATION>
        <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a7" TIME_SLOT_REF1="ts3" TIME_SLOT_REF2="ts4">
            <ANNOTATION_VALUE>both</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
    </TIER>
    <TIER LINGUISTIC_TYPE_REF="default-lt" PARTICIPANT="Ben" TIER_ID="empty"/>
</ANNOTATION_DOCUMENT>
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def written(recording: AnnotatedRecording, path: Path) -> AnnotatedRecording:
    return read_annotations(write(path, annotation_text(recording, path.suffix)))


RICH = AnnotatedRecording(
    (
        Annotation(0.5, 1.25, "HELLO <&> 今", "signs", "Ada", (("HELLO", 0.7), ("YOU 2 & me", 0.125))),
        Annotation(1.25, 2.0, "HOME", "signs", "Ada"),
        Annotation(1.5, DAY + 3.001, "two\nlines", "signs", "Ada"),
        Annotation(0.0, 0.0, "", "notes"),
    ),
    tiers=(Tier("nothing yet", "Ben"),),
    media=("my talk.mp4", "talk.pose"),
    model="three-signs",
    vocabulary=("HELLO", "HOME"),
    date="2026-11-29T14:00:00+00:00",
)


# --- ELAN, read


def test_tiers_that_hang_on_others_have_their_times(tmp_path):
    found = read_annotations(write(tmp_path / "a.eaf", EAF))
    rows = [(row.tier, row.value, row.start, row.end, row.participant) for row in found.annotations]
    assert rows == [
        ("sentence", "I go home.", 1.0, 4.0, "Ada"),
        ("gloss", "HOME", 2.5, 4.0, "Ada"),
        ("gloss", "I", 1.0, 2.5, "Ada"),
        ("German", "nach Hause", 2.5, 4.0, None),
        ("hands", "one", 1.0, 2.0, None),
        ("hands", "", 2.0, 3.0, None),
        ("hands", "both", 3.0, 4.0, None),
    ]
    assert found.tiers[1] == Tier("gloss", "Ada", "sentence") and found.tiers[-1] == Tier("empty", "Ben")
    assert found.media == ("talk.mp4",) and found.model is None
    assert [row.value for row in found.in_tier("gloss")] == ["I", "HOME"]


def test_a_broken_chain_keeps_the_order_of_the_file(tmp_path):
    text = EAF.replace(' PREVIOUS_ANNOTATION="a2"', "")
    found = read_annotations(write(tmp_path / "a.eaf", text))
    assert [(row.value, row.start) for row in found.in_tier("gloss")] == [("HOME", 1.0), ("I", 2.5)]


def test_tiers_that_divide_the_same_time_share_its_first_slot(tmp_path):
    """As two tiers of the type Time_Subdivision do; and tiers may stand in any order."""
    feet = """    <TIER LINGUISTIC_TYPE_REF="timed" PARENT_REF="sentence" TIER_ID="feet">
        <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a8" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts5">
            <ANNOTATION_VALUE>left</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
        <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a9" TIME_SLOT_REF1="ts5" TIME_SLOT_REF2="ts4">
            <ANNOTATION_VALUE>right</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
    </TIER>
"""
    text = EAF.replace(
        '<TIME_SLOT TIME_SLOT_ID="ts3"/>', '<TIME_SLOT TIME_SLOT_ID="ts3"/><TIME_SLOT TIME_SLOT_ID="ts5"/>'
    )
    tiers = [*re.findall(r"    <TIER .*?(?:</TIER>|/>)\n", text, re.DOTALL), feet]
    head = text[: text.index("    <TIER")]
    for order in (tiers, tiers[::-1]):
        found = read_annotations(write(tmp_path / "a.eaf", head + "".join(order) + "</ANNOTATION_DOCUMENT>"))
        assert [(row.value, row.start, row.end) for row in found.in_tier("feet")] == [
            ("left", 1, 2.5),
            ("right", 2.5, 4),
        ]
        assert [row.start for row in found.in_tier("hands")] == [1, 2, 3]
        assert [(row.value, row.start) for row in found.in_tier("gloss")] == [("I", 1), ("HOME", 2.5)]


def test_vocabularies_that_lie_elsewhere_are_passed_over(tmp_path):
    vocabularies = """<CONTROLLED_VOCABULARY CV_ID="far" EXT_REF="er1"/>
    <CONTROLLED_VOCABULARY CV_ID="near"><DESCRIPTION LANG_REF="und"/>
        <CV_ENTRY_ML CVE_ID="c1"><CVE_VALUE DESCRIPTION="" LANG_REF="und">HOME</CVE_VALUE></CV_ENTRY_ML>
    </CONTROLLED_VOCABULARY>
    <EXTERNAL_REF EXT_REF_ID="er1" TYPE="ecv" VALUE="http://example.org/signs.ecv"/></ANNOTATION_DOCUMENT>"""
    found = read_annotations(write(tmp_path / "a.eaf", EAF.replace("</ANNOTATION_DOCUMENT>", vocabularies)))
    assert found.vocabulary == ("HOME",) and len(found.annotations) == 7


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'ANNOTATION_ID="a7"',
            'ANNOTATION_ID="a4"',
            "every ANNOTATION_ID once, received 'a4' in the tiers 'German' and",
        ),
        ("ANNOTATION_DOCUMENT", "TRANSCRIPT", "expected ANNOTATION_DOCUMENT as its root, received 'TRANSCRIPT'"),
        ('"milliseconds"', '"PAL-frames"', "expected times in milliseconds, received 'PAL-frames'"),
        ('TIME_VALUE="1000"', 'TIME_VALUE="1.5"', "expected whole milliseconds in TIME_VALUE, received '1.5'"),
        (
            'TIME_VALUE="1000"',
            'TIME_VALUE="9000"',
            "expected annotation 'a1' to end after its start, received 9 to 4 s",
        ),
        ('ID="ts4" TIME_VALUE="4000"', 'ID="ts4"', "expected a time after the time slot 'ts1', received none"),
        ('TIME_SLOT_REF1="ts1"', 'TIME_SLOT_REF1="ts9"', "'a1' refers to the time slot 'ts9', which has no time"),
        ('ANNOTATION_REF="a3"', 'ANNOTATION_REF="a9"', "annotation 'a4' hangs on 'a9', which is not there"),
        ('ANNOTATION_REF="a3"', 'ANNOTATION_REF="a4"', "annotation 'a4' hangs on itself in the end"),
        ('TIER_ID="German"', 'TIER_ID="gloss"', "expected every TIER_ID once among 5 tiers"),
        ('ANNOTATION_ID="a4"', "", "expected REF_ANNOTATION with ANNOTATION_ID, received none"),
        ("</ANNOTATION_DOCUMENT>", "", "expected XML, received something else"),
        ("<ANNOTATION_DOCUMENT", '<!DOCTYPE a [<!ENTITY b "b">]><ANNOTATION_DOCUMENT', "without a document type"),
    ],
)
def test_damaged_elan_files_are_refused(old, new, message, tmp_path):
    path = write(tmp_path / "a.eaf", EAF.replace(old, new))
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        read_annotations(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def test_xml_is_bounded(tmp_path):
    assert parsed_xml(b"<a>" * MAX_LEVELS + b"</a>" * MAX_LEVELS).tag == "a"
    with pytest.raises(ValueError, match="at most 64 levels"):
        parsed_xml(b"<a>" * (MAX_LEVELS + 1) + b"</a>" * (MAX_LEVELS + 1))
    bomb = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><a>&b;</a>'
    with pytest.raises(ValueError, match="without a document type"):
        read_annotations(write(tmp_path / "bomb.eaf", bomb))
    outside = '<!DOCTYPE a SYSTEM "file:///etc/hostname"><a/>'
    with pytest.raises(ValueError, match="without a document type"):
        read_annotations(write(tmp_path / "outside.eaf", outside))
    with pytest.raises(OverBudgetError, match="objects"):
        read_annotations(write(tmp_path / "many.eaf", "<a>" + "<b/>" * 2_200_000 + "</a>"))


def test_other_encodings_of_elan_files_are_read(tmp_path):
    path = tmp_path / "a.eaf"
    path.write_bytes(EAF.replace("UTF-8", "UTF-16").encode("utf-16"))
    assert len(read_annotations(path).annotations) == 7
    path.write_bytes(b"\xef\xbb\xbf" + EAF.encode())
    assert len(read_annotations(path).annotations) == 7


# --- ELAN, written


def test_written_elan_files_come_back_and_stay_the_same(tmp_path):
    path = tmp_path / "a.eaf"
    found = written(RICH, path)
    # Annotations of one tier cannot overlap in ELAN: the later one goes into a tier of its own.
    assert [row.tier for row in found.annotations] == ["signs", "signs", "signs 2", "notes"]
    assert [row.value for row in found.annotations] == [row.value for row in RICH.annotations]
    assert [row.scores for row in found.annotations] == [row.scores for row in RICH.annotations]
    assert found.annotations[2].end == DAY + 3.001
    assert [tier.name for tier in found.tiers] == ["nothing yet", "signs", "signs 2", "notes"]
    assert (found.media, found.model, found.vocabulary, found.date) == (
        RICH.media,
        RICH.model,
        RICH.vocabulary,
        RICH.date,
    )
    assert annotation_text(found, ".eaf") == path.read_text(encoding="utf-8")


def test_what_is_written_is_what_elan_writes():
    """EAF 3.0, as far as it can be known without its schema: names, order, required attributes, references."""
    text = annotation_text(RICH, ".eaf")
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-11-29T')
    assert 'FORMAT="3.0" VERSION="3.0"' in text and "EAFv3.0.xsd" in text
    root = fromstring(text)
    order = [
        "LICENSE", "HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE", "LOCALE", "LANGUAGE", "CONSTRAINT",
        "CONTROLLED_VOCABULARY",
    ]  # fmt: skip
    places = [order.index(element.tag) for element in root]
    assert places == sorted(places)
    assert [e.tag for e in root.find("HEADER")] == ["MEDIA_DESCRIPTOR", "LINKED_FILE_DESCRIPTOR", *["PROPERTY"] * 3]
    assert [e.get("STEREOTYPE") for e in root.findall("CONSTRAINT")] == [
        "Time_Subdivision",
        "Symbolic_Subdivision",
        "Symbolic_Association",
        "Included_In",
    ]
    for element in root.iter():
        assert list(element.attrib) == sorted(element.attrib, key=lambda name: name.rpartition("}")[2])
    identifiers = [
        value
        for element in root.iter()
        for name, value in element.attrib.items()
        if name in ("TIME_SLOT_ID", "ANNOTATION_ID", "CVE_ID")
    ]
    assert len(identifiers) == len(set(identifiers)) and all(re.fullmatch(r"[A-Za-z_][\w.-]*", i) for i in identifiers)
    slots = [int(slot.get("TIME_VALUE")) for slot in root.iter("TIME_SLOT")]
    assert slots == sorted(slots) and len(slots) == 2 * len(RICH.annotations), "no slot has two owners"
    known = set(identifiers)
    for element in root.iter():
        for name in ("TIME_SLOT_REF1", "TIME_SLOT_REF2", "ANNOTATION_REF", "PREVIOUS_ANNOTATION", "CVE_REF"):
            assert element.get(name) is None or element.get(name) in known
    types = {e.get("LINGUISTIC_TYPE_ID"): e for e in root.findall("LINGUISTIC_TYPE")}
    assert (
        types["guess"].get("CONSTRAINTS") == "Symbolic_Subdivision" and types["guess"].get("TIME_ALIGNABLE") == "false"
    )
    assert {tier.get("LINGUISTIC_TYPE_REF") for tier in root.findall("TIER")} == set(types)
    assert types["default-lt"].get("CONTROLLED_VOCABULARY_REF") == root.find("CONTROLLED_VOCABULARY").get("CV_ID")
    assert root.find("CONTROLLED_VOCABULARY/DESCRIPTION").get("LANG_REF") == root.find("LANGUAGE").get("LANG_ID")
    last = int(next(e.text for e in root.iter("PROPERTY") if e.get("NAME") == "lastUsedAnnotationId"))
    assert last == max(int(i[1:]) for i in identifiers if re.fullmatch(r"a\d+", i))


@pytest.mark.skipif("EAF_SCHEMA" not in os.environ, reason="needs ELAN's schema: set EAF_SCHEMA to EAFv3.0.xsd")
def test_elans_schema_accepts_what_we_write():
    """The schema has no license, so it is not here; the sources of `pympi-ling` on PyPI have it (test/EAFv3.0.xsd)."""
    etree = pytest.importorskip("lxml.etree", reason="needs lxml")
    schema = etree.XMLSchema(etree.parse(os.environ["EAF_SCHEMA"]))
    plain = AnnotatedRecording((Annotation(0, 1, "HELLO"),))
    for recording in (RICH, plain, AnnotatedRecording(())):
        schema.assertValid(etree.fromstring(annotation_text(recording, ".eaf").encode()))
    broken = annotation_text(RICH, ".eaf").replace('TIME_SLOT_REF1="ts1"', 'TIME_SLOT_REF1="ts999"')
    assert not schema.validate(etree.fromstring(broken.encode()))


def test_pympi_opens_what_we_write(tmp_path):
    import pympi

    path = write(tmp_path / "a.eaf", annotation_text(RICH, ".eaf"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = pympi.Eaf(str(path))
    assert list(found.get_tier_names()) == ["nothing yet", "signs", "signs guesses", "signs 2", "notes"]
    assert found.get_annotation_data_for_tier("signs") == [(500, 1250, "HELLO <&> 今"), (1250, 2000, "HOME")]
    guesses = found.get_ref_annotation_data_for_tier("signs guesses")
    assert [(row[0], row[1], row[2]) for row in guesses] == [
        (500, 1250, "HELLO 0.700"),
        (500, 1250, "YOU 2 & me 0.125"),
    ]
    assert found.controlled_vocabularies["signs"][1].keys() == {
        e.get("CVE_ID") for e in fromstring(path.read_text(encoding="utf-8")).iter("CV_ENTRY_ML")
    }


def test_we_open_what_pympi_writes(tmp_path):
    import pympi

    made = pympi.Eaf(author="Ada")
    made.add_tier("signs")
    made.add_annotation("signs", 100, 900, "HELLO")
    made.to_file(str(tmp_path / "a.eaf"))
    assert read_annotations(tmp_path / "a.eaf").annotations == (Annotation(0.1, 0.9, "HELLO", "signs"),)


def test_a_corrected_sign_keeps_what_the_model_took_it_for(tmp_path):
    path = tmp_path / "a.eaf"
    text = annotation_text(RICH, ".eaf").replace("HELLO &lt;&amp;&gt; 今", "THANKS")
    first = read_annotations(write(path, text)).annotations[0]
    assert first.value == "THANKS" and first.scores[0] == ("HELLO", 0.7)


def test_recordings_without_anything_are_written():
    for suffix in ANNOTATION_SUFFIXES:
        assert "None" not in annotation_text(AnnotatedRecording(()), suffix)


def test_text_that_xml_cannot_hold_is_refused():
    for value in ("a\0b", "\ud800", "\x1b[31m"):
        with pytest.raises(ValueError, match="expected text that XML can hold"):
            annotation_text(AnnotatedRecording((Annotation(0, 1, value),)), ".eaf")


# --- the table


ELAN_TABLES = {
    "with names": "Tier\tParticipant\tBegin Time - hh:mm:ss.ms\tBegin Time - ss.msec\tEnd Time - hh:mm:ss.ms\t"
    "End Time - ss.msec\tDuration - hh:mm:ss.ms\tDuration - ss.msec\tAnnotation\n"
    "gloss\tAda\t00:00:01.500\t1.5\t24:00:02.250\t86402.25\t24:00:00.750\t86400.75\tHELLO\n",
    "in French": "Acteur\tTemps de départ - msec\tTemps de fin - msec\tgloss\n\t1500\t86402250\tHELLO\n",
    "without names": "gloss\tAda\t00:00:01.500\t24:00:02.250\t24:00:00.750\tHELLO\n",
    "without names, all formats": "gloss\tAda\t00:00:01.500\t1.5\t1500\t24:00:02.250\t86402.25\t86402250\t"
    "24:00:00.750\t86400.75\t86400750\tHELLO\n",
    "without names and durations": "gloss\t\t00:00:01.500\t24:00:02.250\tHELLO\n",
    "in milliseconds": "gloss\tAda\t1500\t86402250\t86400750\tHELLO\n",
    "a column for each tier": "Begin Time - ss.msec\tEnd Time - ss.msec\tgloss\tsentence\n1.5\t86402.25\tHELLO\t\n",
    "below the file": '"#file:///C:/films/talk.eaf"\n\ngloss\tAda\t00:00:01.500\t24:00:02.250\t24:00:00.750\tHELLO\n',
    "one format of frames": "gloss\tAda\t00:00:01.500\t00:00:01:12\t24:00:02.250\t24:00:02:06\tHELLO\n",
    "in Dutch": "Rij\tDeelnemer\tBegintijd - msec\tEindtijd - msec\tAnnotatie\ngloss\tAda\t1500\t86402250\tHELLO\n",
    "in German": "Zeile\tAnfangszeit - ss.msec\tDauer - ss.msec\tAnnotation\ngloss\t1.5\t86400.75\tHELLO\n",
    "of several files": "Begin Time - msec\tEnd Time - msec\tgloss\tFile Path\n1500\t86402250\tHELLO\t/talk.eaf\n",
    "from a spreadsheet": "Begin Time - ss.msec;End Time - ss.msec;gloss\n1,5;86402,25;HELLO\n",
    "csv": 'Tier,Begin Time - ss.msec,End Time - ss.msec,Annotation\ngloss,1.5,86402.25,"HELLO"\n',
}


@pytest.mark.parametrize("name", ELAN_TABLES)
def test_elans_tables_are_read(name, tmp_path):
    found = read_annotations(write(tmp_path / "a.txt", ELAN_TABLES[name])).annotations
    assert [(row.start, row.end, row.value, row.tier) for row in found] == [(1.5, DAY + 2.25, "HELLO", "gloss")]
    assert found[0].participant in ("Ada", None)


def test_tiers_may_be_left_out(tmp_path):
    for cells in ("00:00:01.500\t00:00:02.500\t00:00:01.000\tHELLO", "1.5\t2.5\tHELLO"):
        found = read_annotations(write(tmp_path / "a.txt", f"{cells}\n")).annotations
        assert found == (Annotation(1.5, 2.5, "HELLO"),)


def test_numbers_may_be_annotations(tmp_path):
    for cells in ("0\t500\t500\t12", "0\t500\t12"):
        found = read_annotations(write(tmp_path / "a.txt", f"count\tAda\t{cells}\n")).annotations
        assert found == (Annotation(0.0, 0.5, "12", "count", "Ada"),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Begin Time - hh:mm:ss:ff PAL\tEnd Time - hh:mm:ss:ff PAL\tgloss\n", "received frames alone (hh:mm:ss:ff)"),
        ("gloss\tAda\t00:00:01:12\t00:00:02:00\tA\n", "with times as hh:mm:ss.ms, seconds or milliseconds"),
        ("", "expected a table of annotations, received an empty file"),
        ("hello world\n", "expected a table with a row of names or ELAN's tab-delimited export"),
        ("start\tend\n1\t2\n", "expected a column value beside start and end, received start, end"),
        ("Begin Time - ss.msec\tgloss\n1.5\tA\n", "expected begin and end times"),
        ("Begin Time - ss.msec\tEnd Time - ss.msec\n1.5\t2.5\n", "expected a column for each tier"),
        ("start\tend\tvalue\n1\tsoon\tA\n", "line 2: expected a time as hh:mm:ss.ms, seconds or milliseconds"),
        ("start\tend\tvalue\n1\n", "line 2: expected at least 2 cells, received 1"),
        ("start\tend\tvalue\n3\t2\tA\n", "line 2: expected an annotation from 0 s or later"),
        ("gloss\tAda\t5.0\t2.0\t3.0\tA\n", "with times as hh:mm:ss.ms, seconds or milliseconds"),
    ],
)
def test_other_tables_are_refused(text, message, tmp_path):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_annotations(write(tmp_path / "a.txt", text))


# --- subtitles


def test_subtitles_are_read(tmp_path):
    srt = (
        "1\n00:00:01,000 --> 00:00:02,500\n<i>Hello</i>, a < b & c\n{\\an8}you\n\n"
        "2\n100:00:00,000 --> 100:00:01,000\n1999\n"
    )
    found = read_annotations(write(tmp_path / "a.srt", srt)).annotations
    assert [(row.start, row.end, row.value) for row in found] == [
        (1.0, 2.5, "Hello, a < b & c\nyou"),
        (360_000.0, 360_001.0, "1999"),
    ]
    vtt = "WEBVTT\n\nNOTE by Ada\n\n00:01.000 --> 00:02.500 align:start\n<v Ada>Tom &amp; <b>Jerry</b>\n"
    found = read_annotations(write(tmp_path / "a.vtt", vtt)).annotations
    assert found == (Annotation(1.0, 2.5, "Tom & Jerry", "subtitles", "Ada"),)


def test_subtitles_without_text_are_passed_over(tmp_path):
    srt = (
        "1\n00:00:01,000 --> 00:00:02,000\n\n2\n00:00:03,000 --> 00:00:04,000\nA\n\n3\n00:00:05,000 --> 00:00:06,000\n"
    )
    assert [row.value for row in read_annotations(write(tmp_path / "a.srt", srt)).annotations] == ["A"]


@pytest.mark.parametrize(
    ("suffix", "text", "message"),
    [
        (".srt", "", "received an empty file"),
        (".vtt", "1\n00:00:01,000 --> 00:00:02,500\nHello\n", "expected VTT subtitles"),
        (".srt", "WEBVTT\n\n00:01.000 --> 00:02.500\nHello\n", "expected SRT subtitles"),
        (".srt", "1\n00:00:05,000 --> 00:00:02,500\nHello\n", "expected a subtitle to end after its start"),
        (".srt", "1\n00:00:01,000 --> 00:00:02,500\nA\n\n2\n00:99:01,000 --> soon\nB\n", "expected 2 subtitles"),
    ],
)
def test_other_subtitles_are_refused(suffix, text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_annotations(write(tmp_path / f"a{suffix}", text))


def test_subtitles_that_we_write_are_read_by_another_parser():
    import pysubs2

    for suffix in (".srt", ".vtt"):
        text = annotation_text(AnnotatedRecording(RICH.annotations[1:]), suffix)
        found = pysubs2.SSAFile.from_string(text, format_=suffix[1:])
        assert [(cue.start, cue.end) for cue in found] == [(1250, 2000), (1500, 86_403_001)]
        assert [cue.plaintext for cue in found] == ["HOME", "two\nlines"]


def test_ffmpeg_reads_the_subtitles_that_we_write(tmp_path):
    import av

    for suffix in (".srt", ".vtt"):
        path = write(tmp_path / f"a{suffix}", annotation_text(RICH, suffix))
        with av.open(str(path)) as file:
            times = [packet.pts for packet in file.demux() if packet.pts is not None]
        assert times == [500, 1250, 1500]


# --- all of them


def test_what_each_format_keeps(tmp_path):
    assert written(RICH, tmp_path / "a.json").annotations == RICH.annotations
    assert [row.scores for row in written(RICH, tmp_path / "a.tsv").annotations] == [
        r.scores for r in RICH.annotations
    ]
    for suffix in ANNOTATION_SUFFIXES:
        path = tmp_path / f"b{suffix}"
        first = written(RICH, path)
        assert annotation_text(first, suffix) == annotation_text(written(first, path), suffix), (
            "settled after one turn"
        )


_TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc"), max_codepoint=0x1FFFF), max_size=20)
_MILLISECONDS = st.integers(0, 100 * 86_400_000)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(_MILLISECONDS, _MILLISECONDS, _TEXT, st.sampled_from(["signs", "mouth"])), max_size=6))
def test_times_and_texts_survive_elan_and_json(tmp_path_factory, rows):
    recording = AnnotatedRecording(
        tuple(Annotation(min(a, b) / 1000, max(a, b) / 1000, text, tier) for a, b, text, tier in rows)
    )
    for suffix in (".eaf", ".json"):
        path = tmp_path_factory.mktemp("a") / f"a{suffix}"
        found = written(recording, path).annotations
        assert sorted((r.start, r.end, r.value.replace("\uffff", "")) for r in found) == sorted(
            (r.start, r.end, r.value) for r in recording.annotations
        )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "expected annotations as an object"),
        ("{}", 'expected an object with "annotations"'),
        ('{"annotations": 3}', "expected annotations as a list"),
        ('{"annotations": [{"start": 1, "end": 2}]}', "received none for value"),
        ('{"annotations": [{"start": "1", "end": 2, "value": ""}]}', "expected start as a number"),
        (
            '{"annotations": [{"start": 1, "end": 2, "value": "a", "scores": [{"label": "a"}]}]}',
            "scores with label and",
        ),
        (
            '{"annotations": [{"start": 1, "end": 2, "value": "", "scores": [{"label": "a", "score": 7}]}]}',
            "from 0 to 1",
        ),
        ('{"annotations": [], "tiers": [{}]}', "expected a tier with a name"),
        ('{"annotations": [{"start": -1, "end": 2, "value": ""}]}', "expected an annotation from 0 s or later"),
    ],
)
def test_other_json_is_refused(content, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        read_annotations(write(tmp_path / "a.json", content))


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="expected a file of annotations"):
        read_annotations(tmp_path / "a.mp4")
    with pytest.raises(FileNotFoundError):
        read_annotations(tmp_path / "a.eaf")
    with pytest.raises(ValueError, match="expected one of .eaf"):
        annotation_text(RICH, ".docx")
    for start, end in ((2, 1), (-1, 1), (0, float("inf")), (float("nan"), 1)):
        with pytest.raises(ValueError, match="expected an annotation from 0 s"):
            Annotation(start, end, "")
