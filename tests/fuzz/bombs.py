"""Files of less than ten megabytes that ask for far more memory or time than they should get."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

from datasets_scripts.reading.label_cells import glosses_of, sentence_of
from datasets_scripts.reading.label_tables import read_table
from modeling_sigma.hub.bundle_checks import check_bundle
from modeling_sigma.hub.card_facts import read_facts
from modeling_sigma.inference.embedding_index import EmbeddingIndex
from modeling_sigma.inference.sign_dictionary import SignDictionary
from modeling_sigma.io import load_label_file
from modeling_sigma.io.annotations import read_annotations
from modeling_sigma.io.text_files import read_lines
from modeling_sigma.metrics.prediction_files import read_sample_texts
from modeling_sigma.training.arguments import ModelArguments, read_config
from modeling_sigma.viz.training_curves import read_curves
from tests.fuzz.targets import Target, read_clip


_SIZE = 9_000_000


@dataclass(frozen=True)
class Bomb:
    """A file: how it is made, and, as a target, how it is read."""

    target: Target
    make: Callable[[], bytes]


def bombs() -> Iterator[Bomb]:
    """All of them."""
    for name, file, make, read in (*_pickles(), *_arrays(), *_dot_poses(), *_jsons(), *_landmarks(), *_texts()):
        yield Bomb(Target(name, file, [], lambda raw, rng: raw, read or partial(read_clip, name=file)), make)


_Rows = Iterator[tuple[str, str, Callable[[], bytes], Callable[[Path], Any] | None]]


def _pickles() -> _Rows:
    def shared(levels: int, width: int) -> bytes:
        content: Any = [0.5] * width
        for _ in range(levels):
            content = [content] * width
        return pickle.dumps({"keypoints": content}, 4)

    array = np.ones((1, 133, 2), np.float32)
    yield "pickle: lists of the same lists", "a.pkl", lambda: shared(3, 1000), None
    yield "pickle: lists of two of the same", "a.pkl", lambda: shared(60, 2), None
    yield (
        "pickle: the same array in each frame",
        "a.pkl",
        lambda: pickle.dumps({"keypoints": [array] * 450_000, "scores": [array[..., 0]] * 450_000}),
        None,
    )
    yield "pickle: nobody in most frames", "a.pkl", lambda: pickle.dumps([None] * 450_000 + [np.ones((543, 2))]), None
    yield (
        "pickle: nobody, and one large frame",
        "a.pkl",
        lambda: pickle.dumps({"keypoints": [None] * 450_000 + [np.ones((900, 543, 2), np.float32)]}),
        None,
    )
    yield (
        "pickle: one long text among numbers",
        "a.pkl",
        lambda: pickle.dumps({"keypoints": ["x" * 8_000_000, *[1.0] * 90_000]}),
        None,
    )
    yield (
        "pickle: a long frame rate",
        "a.pkl",
        lambda: pickle.dumps({"keypoints": array, "fps": ["x" * 8_000_000, *["y"] * 90_000]}),
        None,
    )
    yield (
        "pickle: a crowd in one frame",
        "a.pkl",
        lambda: pickle.dumps(
            {"keypoints": [np.ones((9000, 42, 2), np.float32)], "scores": [np.ones((9000, 42), np.float32)]}
        ),
        None,
    )
    yield (
        "pickle: some people in many frames",
        "a.pkl",
        lambda: pickle.dumps(
            {"keypoints": [_people(t) for t in range(7000)], "scores": [np.ones((3, 42), np.float32)] * 7000}
        ),
        None,
    )
    for name, piece in {
        "marks": b"(",
        "nothings": b"N",
        "dictionaries": b"}",
        "lists": b"]",
        "sets": b"\x8f",
        "remembered lists": b"]\x94",
        "tuples in tuples": b"\x85",
        "long numbers": b"L" + b"9" * 4000 + b"L\n",
        "copies": b"2",
        "dictionaries of one": b"}NNs",
    }.items():
        yield f"pickle: {name}", "a.pkl", lambda piece=piece: b"\x80\x04N" + piece * (_SIZE // len(piece)) + b".", None
    yield (
        "pickle: a named list in a set",
        "a.pkl",
        lambda: (
            b"]("
            + b"".join(b"M" + struct.pack("<H", i) for i in range(60_000))
            + b"eq\x010"
            + b"("
            + b"c__builtin__\nset\nh\x01\x85R" * 300_000
            + b"l."
        ),
        None,
    )
    member = gzip.compress(bytes(100_000_000))
    yield "gzip: zeros", "a.pkl", lambda: member * (_SIZE // len(member)), None
    yield (
        "gzip: a long text",
        "a.pkl",
        lambda: gzip.compress(
            b"\x80\x04\x8d" + struct.pack("<Q", 250_000_004) + b"\xf0\x9f\x98\x80" + bytes(250_000_000) + b"."
        ),
        None,
    )
    yield (
        "gzip: arrays of zeros",
        "a.pkl",
        lambda: gzip.compress(pickle.dumps({"keypoints": np.zeros((270_000, 133, 2), np.float32)}, 4)),
        None,
    )
    labels = {str(i): {"name": str(i), "text": "", "gloss": []} for i in range(400_000)}
    yield (
        "label file: empty samples",
        "labels.test",
        lambda: gzip.compress(pickle.dumps(labels)),
        lambda folder: load_label_file(folder / "labels.test"),
    )


def _people(t: int) -> np.ndarray:
    return np.random.default_rng(t % 9).uniform(0, 900, (3, 42, 2)).astype(np.float32)


def _npy_header(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue()


def _zip(names: list[str], content: Iterator[bytes], size: int) -> bytes:
    """An archive in which all members are the same compressed bytes."""
    packer, crc, packed = zlib.compressobj(1, zlib.DEFLATED, -15), 0, b""
    for piece in content:
        crc = zlib.crc32(piece, crc)
        packed += packer.compress(piece)
    packed += packer.flush()
    whole, listed = b"", b""
    for name in names:
        facts = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0, crc, len(packed), size, len(name), 0)
        listed += (
            b"PK\x01\x02"
            + struct.pack("<H", 20)
            + facts
            + struct.pack("<HHHII", 0, 0, 0, 0, len(whole))
            + name.encode()
        )
        whole += b"PK\x03\x04" + facts + name.encode() + packed
    end = struct.pack("<HHHHIIH", 0, 0, len(names) & 0xFFFF, len(names) & 0xFFFF, len(listed), len(whole), 0)
    return whole + listed + b"PK\x05\x06" + end


def _zeros(shape: tuple[int, ...], descr: str = "<f4") -> tuple[Iterator[bytes], int]:
    header, num_bytes = _npy_header(shape, descr), int(np.prod(shape)) * np.dtype(descr).itemsize
    rest = [bytes(min(1 << 20, num_bytes - start)) for start in range(0, num_bytes, 1 << 20)]
    return iter([header, *rest]), len(header) + num_bytes


def _arrays() -> _Rows:
    yield "npz: one array of zeros", "a.npz", lambda: _zip(["keypoints.npy"], *_zeros((200_000, 543, 2))), None
    yield (
        "npz: zeros just within the budget",
        "a.npz",
        lambda: _zip(["keypoints.npy"], *_zeros((68_000, 543, 2))),
        None,
    )
    yield (
        "npz: bytes that become floats",
        "a.npz",
        lambda: _zip(["keypoints.npy"], *_zeros((270_000, 543, 2), "|i1")),
        None,
    )
    yield (
        "npz: twenty arrays of zeros",
        "a.npz",
        lambda: _zip([f"{i}.npy" for i in range(20)], *_zeros((15_000, 543, 2))),
        None,
    )
    yield "npz: many members", "a.npz", lambda: _zip([f"{i}.npy" for i in range(50_000)], *_zeros((1, 42, 2))), None
    yield "npz: text of great width", "a.npz", lambda: _zip(["keypoints.npy"], *_zeros((1,), "<U30000000")), None
    yield "npy: a shape without end", "a.npy", lambda: _npy_header((1 << 50, 133, 2)) + bytes(1000), None
    yield "npy: a shape with nothing in it", "a.npy", lambda: _npy_header((400_000, 133, 0)), None
    yield "npy: rows of no width", "a.npy", lambda: _npy_header((1 << 40, 0)), None
    yield (
        "npy: a long header",
        "a.npy",
        lambda: b"\x93NUMPY\x02\x00" + struct.pack("<I", 8_000_000) + b"(" * 8_000_000,
        None,
    )
    yield (
        "npy: small numbers",
        "a.npy",
        lambda: _npy_header((_SIZE // 266, 133, 2), "|u1") + bytes(_SIZE // 266 * 266),
        None,
    )
    yield "npy: a crowd", "a.npy", lambda: _npy_header((1, 26_000, 42, 2), "<f4") + bytes(26_000 * 42 * 8), None


def _dot_poses() -> _Rows:
    def pose(version: float, body: bytes, points: int = 1, components: int = 1, point_format: str = "XYC") -> bytes:
        names = ["WRIST", *(f"n{i}" for i in range(points - 1))]
        text = lambda value: struct.pack("<H", len(value)) + value.encode()
        part = (
            text("LEFT_HAND_LANDMARKS")
            + text(point_format)
            + struct.pack("<HHH", points, 0, 0)
            + b"".join(map(text, names))
        )
        return struct.pack("<fHHHH", version, 640, 480, 0, components) + part * components + body

    yield (
        "pose 0.0: frames of nobody",
        "a.pose",
        lambda: pose(0.0, struct.pack("<HH", 25, 65535) + bytes(2 * 65535), 2000),
        None,
    )
    yield (
        "pose 0.0: people of nothing",
        "a.pose",
        lambda: pose(0.0, struct.pack("<HH", 25, 100) + (struct.pack("<H", 40_000) + bytes(80_000)) * 100, 0),
        None,
    )
    yield (
        "pose 0.0: many people",
        "a.pose",
        lambda: pose(0.0, struct.pack("<HH", 25, 10) + (struct.pack("<H", 60_000) + bytes(60_000 * 14)) * 10),
        None,
    )
    yield (
        "pose 0.1: one point in each frame",
        "a.pose",
        lambda: pose(0.1, struct.pack("<HHH", 25, 400_000 % 65536, 1) + bytes(400_000 * 12)),
        None,
    )
    yield (
        "pose 0.2: one point in each frame",
        "a.pose",
        lambda: pose(0.2, struct.pack("<fIH", 25, 400_000, 1) + bytes(400_000 * 12)),
        None,
    )
    yield (
        "pose 0.2: a crowd",
        "a.pose",
        lambda: pose(0.2, struct.pack("<fIH", 25, 12, 60_000) + bytes(12 * 60_000 * 12)),
        None,
    )
    yield "pose 0.2: no bytes a frame", "a.pose", lambda: pose(0.2, struct.pack("<fIH", 25, 1 << 31, 0)), None
    yield (
        "pose: many components",
        "a.pose",
        lambda: pose(0.1, struct.pack("<HHH", 25, 1, 1) + bytes(4 * 3 * 60_000), 1, 60_000),
        None,
    )


def _jsons() -> _Rows:
    def text(start: str, piece: str, end: str) -> Callable[[], bytes]:
        return lambda: (
            (start + piece * ((_SIZE - len(start) - len(end)) // len(piece))).encode().rstrip(b",") + end.encode()
        )

    hand = json.dumps([{"x": 0.1, "y": 0.2, "z": 0.0}] * 21)
    person = json.dumps({"pose_keypoints_2d": [1] * 75, "hand_left_keypoints_2d": [1] * 63}).replace(" ", "")
    yield "json: open brackets", "a.json", lambda: b"[" * _SIZE, None
    yield "json: brackets in brackets", "a.json", lambda: b"[" * (_SIZE // 2) + b"]" * (_SIZE // 2), None
    yield "json: objects in objects", "a.json", lambda: b'{"a":' * 1_500_000 + b"1" + b"}" * 1_500_000, None
    yield "json: empty lists", "a.json", text("[", "[],", "]"), None
    yield "json: empty objects", "a.json", text("[", "{},", "]"), None
    yield "json: small objects", "a.json", text("[", '{"a":1},', "]"), None
    yield "json: zeros", "a.json", text('{"keypoints":[', "0,", "]}"), None
    yield "json: zeros at depth", "a.json", text('{"keypoints":' + "[" * 60, "0,", "]" * 60 + "}"), None
    yield (
        "json: lists of unequal length at depth",
        "a.json",
        text('{"keypoints":' + "[[1]," * 50 + "[", "0,[],", "]" * 51 + "}"),
        None,
    )
    yield "json: short texts", "a.json", text('{"keypoints":[', '"ab",', "]}"), None
    yield (
        "json: one long text among short ones",
        "a.json",
        lambda: json.dumps({"keypoints": ["x" * 4_000_000, *["y"] * 1_000_000]}).encode(),
        None,
    )
    yield "json: a number of many digits", "a.json", lambda: b'{"fps":' + b"9" * _SIZE + b"}", None
    yield "json: OpenPose people of nothing", "a.json", text('[{"people":[', "{},", "]}]"), None
    yield "json: OpenPose crowds", "a.json", text("[", '{"people":[' + ",".join([person] * 150) + "]},", "]"), None
    yield (
        "json: OpenPose frames of nobody",
        "a.json",
        text('[{"people":[' + person + "]},", '{"people":[]},', "]"),
        None,
    )
    yield (
        "json: AlphaPose crowd",
        "a.json",
        text("[", '{"image_id":"1","keypoints":' + json.dumps([1] * 399).replace(" ", "") + "},", "]"),
        None,
    )
    yield (
        "json: hands in the first frame",
        "a.json",
        text('[{"left_hand":' + hand + ',"face":' + json.dumps([[0.1, 0.1]] * 478) + "},", "{},", "]"),
        None,
    )
    yield (
        "json: hands to be tracked",
        "a.json",
        text("[", '{"hands":[' + json.dumps([[0, 0]] * 21).replace(" ", "") + "]},", "]"),
        None,
    )
    yield (
        "json: many clips",
        "a.json",
        lambda: json.dumps({str(i): {"keypoints": [[[1, 1]] * 42]} for i in range(25_000)}).encode(),
        None,
    )
    yield "json lines: small values", "a.json", lambda: b"1\n" * (_SIZE // 2), None


def _landmarks() -> _Rows:
    def parquet(columns: dict[str, Any], **options: Any) -> bytes:
        file = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.table(columns), file, **{"compression": "zstd", **options})
        return file.getvalue()

    def rows(count: int, **changed: Any) -> dict[str, Any]:
        zeros = np.zeros(count, np.int32)
        columns = {
            "frame": zeros,
            "type": pyarrow.array(["pose"] * count) if count < 10**6 else _same("pose", count),
            "landmark_index": zeros,
            "x": zeros,
            "y": zeros,
        }
        return {**columns, **changed}

    large = {
        "use_dictionary": False,
        "data_page_size": 2_000_000_000,
        "write_batch_size": 1 << 30,
        "max_rows_per_page": 1 << 30,
        "row_group_size": 1 << 30,
    }
    frames = 400_000
    yield "parquet: many rows", "a.parquet", lambda: parquet(rows(20_000_000)), None
    yield "parquet: large pages", "a.parquet", lambda: parquet(rows(20_000_000), **large), None
    yield (
        "parquet: large pages, said to be small",
        "a.parquet",
        lambda: _with_small_counts(parquet(rows(20_000_000), **large), 20_000_000),
        None,
    )
    yield (
        "parquet: a long name in each row",
        "a.parquet",
        lambda: parquet(rows(900_000, path=_same("x" * 2_000_000, 900_000))),
        None,
    )
    yield (
        "parquet: one point in each frame",
        "a.parquet",
        lambda: parquet(rows(frames, frame=np.arange(frames), landmark_index=np.zeros(frames, int))),
        None,
    )
    yield (
        "parquet: clips that take turns",
        "a.parquet",
        lambda: parquet(rows(frames, frame=np.arange(frames), sequence_id=np.arange(frames) % (frames // 2))),
        None,
    )
    yield (
        "parquet: lists in cells",
        "a.parquet",
        lambda: parquet(
            {
                **rows(1000),
                "x": pyarrow.ListArray.from_arrays(np.arange(1001, dtype=np.int32) * 9000, np.zeros(9_000_000)),
            }
        ),
        None,
    )
    csv = "frame,type,landmark_index,x,y\n"
    yield (
        "csv: one point in each frame",
        "a.csv",
        lambda: (csv + "".join(f"{t},pose,0,1,1\n" for t in range(450_000))).encode(),
        None,
    )
    yield (
        "csv: clips that take turns",
        "a.csv",
        lambda: ("sequence_id," + csv + "".join(f"{t % 200_000},{t},pose,0,1,1\n" for t in range(380_000))).encode(),
        None,
    )
    yield "csv: a line without end", "a.csv", lambda: b"frame,x_pose_0,y_pose_0," + b"a," * (_SIZE // 2), None
    yield (
        "csv: empty cells",
        "a.csv",
        lambda: (
            ",".join(["frame", *(f"{a}_face_{i}" for i in range(478) for a in "xy"), "x_pose_0", "y_pose_0"])
            + "\n"
            + ("1" + "," * 958 + "\n") * 9000
        ).encode(),
        None,
    )
    yield "skels: short lines", "a.skels", lambda: b" ".join([b"1"] * 150) + b"\n" + b"1\n" * (_SIZE // 2), None
    yield "skels: a long line", "a.skels", lambda: b"1 " * (_SIZE // 300 * 150), None
    yield "skels: a long word", "a.skels", lambda: b"1 " * 149 * 15_000 + b"1" * 4_000_000 + b" 1" * 14_999, None


def _same(text: str, count: int) -> Any:
    return pyarrow.DictionaryArray.from_arrays(np.zeros(count, np.int32), [text])


def _with_small_counts(raw: bytes, count: int) -> bytes:
    """The same file, whose end says that it holds ten rows."""

    def varint(number: int, length: int) -> bytes:
        groups = [number >> 7 * place & 127 | (128 if place < length - 1 else 0) for place in range(length)]
        return bytes(groups)

    start = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    length = next(size for size in range(1, 10) if 2 * count < 1 << 7 * size)
    return raw[:start] + raw[start:].replace(varint(2 * count, length), varint(20, length))


def _many_attributes() -> bytes:
    return b"<a " + b" ".join(b'a%d=""' % number for number in range(700_000)) + b"/>"


def _long_chain() -> bytes:
    row = (
        '<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a%d" ANNOTATION_REF="a%d" PREVIOUS_ANNOTATION="a%d"/></ANNOTATION>'
    )
    rows = "".join(row % (number, 1, number - 1) for number in range(2, 80_000))
    return f'<ANNOTATION_DOCUMENT><TIER TIER_ID="t">{rows}</TIER></ANNOTATION_DOCUMENT>'.encode()


def _texts() -> _Rows:
    annotations = lambda file: lambda folder: read_annotations(folder / file)
    yield "eaf: elements", "a.eaf", lambda: b"<a>" + b"<b/>" * (_SIZE // 4) + b"</a>", annotations("a.eaf")
    yield "eaf: deep", "a.eaf", lambda: b"<a>" * (_SIZE // 3), annotations("a.eaf")
    yield "eaf: attributes", "a.eaf", _many_attributes, annotations("a.eaf")
    yield "eaf: one long chain", "a.eaf", _long_chain, annotations("a.eaf")
    yield (
        "vtt: cues",
        "a.vtt",
        lambda: b"WEBVTT\n\n" + b"00:01.000 --> 00:02.000\na\n\n" * 300_000,
        annotations("a.vtt"),
    )
    yield "srt: arrows", "a.srt", lambda: b"1\n00:00:01,000" + b" -->" * (_SIZE // 4), annotations("a.srt")
    yield (
        "annotations, tsv: times",
        "a.tsv",
        lambda: b"start\tend\tvalue\n" + b"1\t2\t\n" * (_SIZE // 5),
        annotations("a.tsv"),
    )
    table = lambda folder, name: [
        (glosses_of(text), sentence_of(text, "x")) for row in read_table(folder / name) for text in row.cells.values()
    ]
    yield (
        "table: short rows",
        "a.csv",
        lambda: b"path,text\n" + b"a,b\n" * (_SIZE // 4),
        lambda folder: table(folder, "a.csv"),
    )
    yield (
        "table: many columns",
        "a.csv",
        lambda: b",".join(b"%d" % i for i in range(600_000)) + b"\n" + b"," * 599_999 + b"\n",
        lambda folder: table(folder, "a.csv"),
    )
    yield (
        "table: spaces",
        "a.tsv",
        lambda: b"path\ttext\na\tb" + b" " * _SIZE + b"c\n",
        lambda folder: table(folder, "a.tsv"),
    )
    yield (
        "table: brackets",
        "a.tsv",
        lambda: b"path\ttext\na\t['" + b"x'][" * (_SIZE // 5) + b"\n",
        lambda folder: table(folder, "a.tsv"),
    )
    yield (
        "table: quotes",
        "a.tsv",
        lambda: b"path\ttext\na\t" + b'"' * _SIZE + b"\n",
        lambda folder: table(folder, "a.tsv"),
    )
    yield (
        "table: commas",
        "a.tsv",
        lambda: b"path\ttext\na\t" + b"a," * (_SIZE // 2) + b"\n",
        lambda folder: table(folder, "a.tsv"),
    )
    yield (
        "table: bars and semicolons",
        "a.tsv",
        lambda: b"path\ttext\na\t" + b"; |" * (_SIZE // 3) + b"\n",
        lambda folder: table(folder, "a.tsv"),
    )
    yield (
        "table: array(",
        "a.tsv",
        lambda: b"path\ttext\na\tarray([" + b"], a=" * (_SIZE // 5) + b"\n",
        lambda folder: table(folder, "a.tsv"),
    )
    yield "table: json lines", "a.jsonl", lambda: b'{"a":1}\n' * (_SIZE // 8), lambda folder: table(folder, "a.jsonl")
    yield (
        "table: deep json line",
        "a.jsonl",
        lambda: b'{"a":' + b"[" * 4_000_000 + b"]" * 4_000_000 + b"}",
        lambda folder: table(folder, "a.jsonl"),
    )
    yield (
        "predictions: short texts",
        "a.json",
        lambda: b"[" + b'"",' * (_SIZE // 3) + b'""]',
        lambda folder: read_sample_texts(folder / "a.json"),
    )
    yield (
        "predictions: deep",
        "a.json",
        lambda: b"[" * 100_000 + b"]" * 100_000,
        lambda folder: read_sample_texts(folder / "a.json"),
    )
    yield "predictions: lines", "a.txt", lambda: b"\n" * _SIZE, lambda folder: read_sample_texts(folder / "a.txt")
    yield (
        "predictions: a dump of one text",
        "a.txt",
        lambda: b"sample: 1, prediction: a\n" + b"b\n" * (_SIZE // 2),
        lambda folder: read_sample_texts(folder / "a.txt"),
    )
    yield (
        "predictions: json lines",
        "a.jsonl",
        lambda: b"1\n" * (_SIZE // 2),
        lambda folder: read_sample_texts(folder / "a.jsonl"),
    )
    yield (
        "texts: short lines",
        "a.txt",
        lambda: b"a\n" * (_SIZE // 2),
        lambda folder: read_lines(folder / "a.txt", "texts"),
    )
    yield (
        "yaml: long",
        "a.yaml",
        lambda: b"model: a\n" * (_SIZE // 9),
        lambda folder: read_config(folder / "a.yaml", (ModelArguments,)),
    )
    yield (
        "yaml: deep",
        "a.yaml",
        lambda: b"model: " + b"[" * 190_000,
        lambda folder: read_config(folder / "a.yaml", (ModelArguments,)),
    )
    laughs = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" if i else "a0: &a0 [lol]\n" for i in range(30))
    yield (
        "yaml: lists of the same lists",
        "a.yaml",
        lambda: laughs.encode(),
        lambda folder: read_config(folder / "a.yaml", (ModelArguments,)),
    )
    yield (
        "training log: short lines",
        "a.json",
        lambda: b'{"loss":1}\n' * (_SIZE // 11),
        lambda folder: read_curves(folder / "a.json"),
    )
    yield "card: deep", "card.json", lambda: b'{"name":' * 900_000, lambda folder: read_facts(folder / "card.json")
    yield "config: deep", "config.json", lambda: b'{"model_type":' * 600_000, check_bundle
    yield (
        "index: many entries",
        "index.json",
        lambda: b'{"entries":[' + b'"",' * (_SIZE // 3) + b'""]}',
        EmbeddingIndex.load,
    )
    yield (
        "dictionary: many facts",
        "dictionary.json",
        lambda: b'{"label":["a"],"facts":[{' + b'"":{},' * (_SIZE // 6) + b'"":0}]}',
        SignDictionary.from_pretrained,
    )
