"""What is fuzzed: for each reader and each text format its valid files, how they are spoilt, and how they are read."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import pickle
import struct
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.csv
import pyarrow.parquet
from safetensors.numpy import save

from datasets_scripts.folder import Folder
from datasets_scripts.reading.named_arrays import read_named_arrays
from modeling_sigma import SigmaConfig, SigmaFeatureExtractor, SigmaForSequenceClassification, save_bundle
from modeling_sigma.cli.main import main
from modeling_sigma.extraction.pose_extraction import MANIFEST, read_manifest
from modeling_sigma.hub.bundle_checks import check_bundle
from modeling_sigma.hub.card_facts import CardFacts, Measurement, TrainingData
from modeling_sigma.inference.embedding_index import EmbeddingIndex
from modeling_sigma.inference.load_pipeline import load_pipeline
from modeling_sigma.inference.model_config import load_model_config
from modeling_sigma.inference.sign_dictionary import SignDictionary
from modeling_sigma.io import load_clip, load_label_file
from modeling_sigma.io.annotations import (
    ANNOTATION_SUFFIXES,
    AnnotatedRecording,
    Annotation,
    annotation_text,
    read_annotations,
)
from modeling_sigma.io.dot_pose_names import MEDIAPIPE_HAND
from modeling_sigma.io.load_clip import clip_names
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.training.arguments import DataArguments, ModelArguments, read_config
from tests.factories import tiny_text_config
from tests.fuzz.mutations import (
    Mutation,
    one_of,
    spoil_archive,
    spoil_bytes,
    spoil_json,
    spoil_pickle,
    spoil_text,
    within_gzip,
)


@dataclass(frozen=True)
class Target:
    """One format.

    Args:
        name (`str`): What the table calls it.
        file (`str`): The name of the spoilt file in the folder of this target.
        samples (`list[bytes]`): Valid contents of it.
        mutation (`Mutation`): How they are spoilt.
        read (`Callable`): Reads the file; gets the folder.
        around (`dict[str, bytes]`): The other files of the folder.
        weight (`float`): How many inputs it gets, relative to the others.
    """

    name: str
    file: str
    samples: Sequence[bytes]
    mutation: Mutation
    read: Callable[[Path], Any]
    around: Mapping[str, bytes] = field(default_factory=dict)
    weight: float = 1.0

    def prepare(self, folder: Path) -> Path:
        """Makes the folder with everything in it but the spoilt file, whose path it returns."""
        for name, content in self.around.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (folder / self.file).parent.mkdir(parents=True, exist_ok=True)
        return folder / self.file


def targets() -> list[Target]:
    """All of them."""
    return [*_clip_files(), *_tables_and_texts(), *_files_of_models()]


# --- skeletons


def _points(num_keypoints: int = 133, num_frames: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(num_keypoints)
    return rng.uniform(0, 640, (num_frames, num_keypoints, 2)).astype(np.float32), np.ones(
        (num_frames, num_keypoints), np.float32
    )


def read_clip(folder: Path, name: str) -> None:
    """Reads a clip, or the first two of a file that holds several."""
    path = folder / name
    names = None if path.is_dir() else clip_names(path)
    for clip in (names or [])[:2]:
        load_clip(f"{path}::{clip}")
    if not names:
        load_clip(path)


def _clip_target(name: str, file: str, samples: Sequence[bytes], mutation: Mutation, weight: float = 1.0) -> Target:
    return Target(name, file, samples, mutation, partial(read_clip, name=file), weight=weight)


def _clip_files() -> list[Target]:
    keypoints, scores = _points()
    hands = _points(42)
    people = {"keypoints": [k[None] for k in keypoints], "scores": [s[None] for s in scores]}
    many = {
        "a": {"keypoints": hands[0], "scores": hands[1]},
        "annotations": [{"frame_dir": "x", "keypoint": keypoints[None], "keypoint_score": scores[None]}],
    }
    parts = {"pose": _points(33)[0], "left_hand": _points(21)[0], "right_hand": _points(21)[0], "fps": 25.0}
    window = {"keypoints": hands[0], "scores": hands[1], "start": 1, "end": 3, "fps": 25, "img_shape": (480, 640)}
    listed = {"keypoints": hands[0][:1].tolist(), "scores": hands[1][:1].tolist()}
    pickles = [
        pickle.dumps(content, protocol)
        for content in (people, {"clips": many["a"]}, many["annotations"], parts, window, listed, [None, *hands[0]])
        for protocol in (0, 2, 4)
    ]
    return [
        _clip_target("pickle", "a.pkl", pickles, spoil_pickle, 5),
        _clip_target(
            "pickle, gzip", "a.pkl", [gzip.compress(raw, 1) for raw in pickles], within_gzip(spoil_pickle), 2
        ),
        _clip_target("npz", "a.npz", _archives(), spoil_archive, 3),
        _clip_target("npy", "a.npy", [_npy(hands[0]), _npy(np.float16(hands[0].reshape(3, -1)))], spoil_bytes, 3),
        _clip_target("pose", "a.pose", [_pose(version) for version in (0.0, 0.1, 0.2)], spoil_bytes, 4),
        _clip_target("skeleton JSON", "a.json", _jsons(), one_of(spoil_json, spoil_json, spoil_bytes), 2),
        Target(
            "OpenPose folder",
            "clip/a_000000000001_keypoints.json",
            [_openpose()],
            one_of(spoil_json, spoil_bytes),
            partial(read_clip, name="clip"),
            {f"clip/a_{number:012d}_keypoints.json": _openpose() for number in (0, 2)},
            2,
        ),
        Target(
            "folder of .npy frames",
            "clip/1.npy",
            [_npy(hands[0][1].ravel())],
            spoil_bytes,
            partial(read_clip, name="clip"),
            {f"clip/{number}.npy": _npy(hands[0][0].ravel()) for number in (0, 2)},
        ),
        _clip_target("landmarks, parquet", "a.parquet", _parquets(), spoil_bytes, 3),
        _clip_target("landmarks, csv", "a.csv", _landmark_csvs(), one_of(spoil_text, spoil_bytes), 2),
        Target(
            "skels",
            "a.skels",
            [_skels()],
            one_of(spoil_text, spoil_bytes),
            partial(read_clip, name="a.skels"),
            {"a.files": b"one\ntwo\n"},
        ),
        _clip_target("no known extension", "a.bin", [*pickles[1:3], *_archives()[:1], _pose(0.1)], spoil_bytes),
    ]


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _archives() -> list[bytes]:
    keypoints, scores = _points(42)
    found = []
    for arrays in (
        {"keypoints": keypoints, "scores": scores, "fps": 25.0, "layout": np.array("hands_42")},
        {"arr_0": np.concatenate([keypoints, scores[..., None]], -1)},
        {"a": keypoints, "b": keypoints, "notes": np.array([{}], object)},
        {"pose": _points(33)[0], "left_hand": _points(21)[0], "start": np.array(1)},
    ):
        file = io.BytesIO()
        np.savez_compressed(file, **arrays)
        found.append(file.getvalue())
    return found


def _pose(version: float) -> bytes:
    def text(value: str) -> bytes:
        return struct.pack("<H", len(value)) + value.encode()

    names = [("LEFT_HAND_LANDMARKS", MEDIAPIPE_HAND), ("RIGHT_HAND_LANDMARKS", MEDIAPIPE_HAND)]
    header = struct.pack("<fHHHH", version, 640, 480, 0, len(names))
    for name, points in names:
        header += text(name) + text("XYC") + struct.pack("<HHH", len(points), 1, 1)
        header += b"".join(map(text, points)) + struct.pack("<HH", 0, 1) + struct.pack("<HHH", 255, 0, 0)
    numbers = np.random.default_rng(0).uniform(0, 400, (2, 1, 42, 3)).astype("<f4")
    if version == 0.0:
        frame = struct.pack("<HH", 1, 0) + numbers[0].tobytes()
        return header + struct.pack("<HH", 25, 2) + frame * 2
    sizes = struct.pack("<HHH", 25, 2, 1) if version == 0.1 else struct.pack("<fIH", 25.0, 2, 1)
    return header + sizes + numbers[..., :2].tobytes() + numbers[..., 2].tobytes()


def _openpose() -> bytes:
    sizes = {"pose": 25, "face": 70, "hand_left": 21, "hand_right": 21}
    person = {f"{name}_keypoints_2d": [1.5, 2.5, 0.9] * size for name, size in sizes.items()}
    return json.dumps({"version": 1.3, "people": [person]}).encode()


def _jsons() -> list[bytes]:
    keypoints, scores = _points(133, 2)
    flat = np.concatenate([keypoints, scores[..., None]], -1).reshape(2, -1).round(1).tolist()
    hand = [{"x": 0.1 * (i % 5), "y": 0.2, "z": 0.0} for i in range(21)]
    contents = (
        [{"image_id": f"{t}.jpg", "keypoints": row, "score": 1.0} for t, row in enumerate(flat)],
        {
            "instance_info": [
                {"frame_id": 1, "instances": [{"keypoints": keypoints[0].tolist(), "keypoint_scores": [1.0] * 133}]}
            ]
        },
        [{"left_hand_landmarks": hand, "right_hand_landmarks": hand}, {}],
        {
            "fps": 25,
            "width": 640,
            "height": 480,
            "frames": [
                {"multi_hand_landmarks": [hand, hand], "handedness": ["Left", {"label": "Right", "score": 0.9}]}
            ],
        },
        {
            "frames": [
                {"people": [{"pose_keypoints_2d": [1.0] * 75, "hand_left_keypoints_2d": [1.0] * 63}]},
                {"people": []},
            ]
        },
        {
            "keypoints": _points(42, 2)[0].tolist(),
            "scores": [[1.0] * 42] * 2,
            "layout": "hands_42",
            "metadata": {"fps": 30},
        },
        {"a": {"keypoints": _points(42, 2)[0].tolist()}, "b": {"keypoints": _points(42, 2)[0].tolist()}},
    )
    return [json.dumps(content).encode() for content in contents]


def _landmarks() -> list[pyarrow.Table]:
    parts = [("left_hand", 21), ("right_hand", 21)]
    rows = [
        (clip, frame, part, i, 0.1 * i, 0.5)
        for clip in (7, 8)
        for frame in (0, 1)
        for part, size in parts
        for i in range(size)
    ]
    names = ("sequence_id", "frame", "type", "landmark_index", "x", "y")
    wide = {f"{axis}_left_hand_{i}": [0.1, None] for axis in "xy" for i in range(21)}
    return [pyarrow.table(dict(zip(names, map(list, zip(*rows))))), pyarrow.table({"frame": [0, 1], **wide})]


def _parquets() -> list[bytes]:
    found = []
    for table in _landmarks():
        for compression in ("snappy", "zstd", "none"):
            file = io.BytesIO()
            pyarrow.parquet.write_table(table, file, compression=compression)
            found.append(file.getvalue())
    return found


def _landmark_csvs() -> list[bytes]:
    found = []
    for table in _landmarks():
        file = io.BytesIO()
        pyarrow.csv.write_csv(table, file)
        found.append(file.getvalue())
    return found


def _skels() -> bytes:
    frames = [[*(0.01 * i for i in range(150)), t / 2] for t in range(2)]
    line = " ".join(f"{number:.3f}" for frame in frames for number in frame)
    return f"{line}\n{line}\n".encode()


# --- tables and texts


def _run(arguments: Sequence[str], folder: Path) -> None:
    """A command, whose error counts only if it is one line: a traceback would come out of `main`."""
    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        code = main([argument.replace("DIR/", f"{folder}/") for argument in arguments])
    if code:
        raise ValueError(said.getvalue().strip().split("error: ", 1)[-1])


def _command(*arguments: str) -> Callable[[Path], None]:
    return partial(_run, arguments)


def _evaluate(task: str, *arguments: str) -> Callable[[Path], None]:
    return _command("evaluate", "--task", task, "--references", "DIR/references.json", "--json", *arguments)


def _annotations(words: Mutation, trees: Mutation) -> list[Target]:
    rows = (
        Annotation(0.5, 1.25, "HELLO", "signs", "Ada", (("HELLO", 0.7), ("YOU", 0.2))),
        Annotation(1.0, 2.0, "I & you", "signs"),
    )
    recording = AnnotatedRecording(rows, media=("a.mp4",), model="m", vocabulary=("HELLO",))
    return [
        Target(
            f"annotations, {suffix[1:]}",
            f"a{suffix}",
            [annotation_text(recording, suffix).encode()],
            trees if suffix == ".json" else words,
            lambda folder, suffix=suffix: read_annotations(folder / f"a{suffix}"),
        )
        for suffix in ANNOTATION_SUFFIXES
    ]


def _read_folder(folder: Path, table: str) -> None:
    builder = Folder(data_dir=folder, cache_dir=folder / "cache", metadata=table)
    for split in builder.available_splits():
        for entry in builder.list_clips(split):
            builder.encode(entry)


def _tables_and_texts() -> list[Target]:
    file = io.BytesIO()
    clip = PoseClip(*_points(42, 30), "hands_42", fps=25.0)
    np.savez(file, keypoints=clip.keypoints, scores=clip.scores, layout=np.array(clip.layout), fps=25.0)
    clips = {f"clips/{name}.npz": file.getvalue() for name in "ab"}
    head = ("id", "path", "text", "gloss", "signer", "split", "start", "end", "fps")
    rows = (
        ("1", "clips/a", "Hello, you", "HELLO YOU", "Ada", "train", "0.1", "0.9", "25"),
        ("2", "clips/b.npz", "Bye", "['BYE', 'NOW']", "Ben", "test", "00:00:00.2", "1 s", "30000/1001"),
        ("3", "clips/b", "Bye; now", "BYE; NOW", "Cy", "dev", "", "", ""),
    )
    csv = "\n".join(",".join(f'"{cell}"' for cell in row) for row in (head, *rows)).encode()
    tsv = "\n".join("\t".join(row) for row in (head, *rows)).encode()
    lines = "\n".join(json.dumps(dict(zip(head, row))) for row in rows).encode()
    texts = ["the cat", "a dog", "two birds"]
    references = {"references.json": json.dumps(texts).encode()}
    named = [{"sample_id": str(i), "prediction": text, "candidates": [text, "x"]} for i, text in enumerate(texts)]
    dump = "\n".join(f"sample: {i}, prediction: {text}" for i, text in enumerate(texts)).encode()
    as_json = [json.dumps(content).encode() for content in (texts, named, dict(enumerate(texts)))]
    as_lines = ["\n".join(map(json.dumps, content)).encode() for content in (texts, named)]
    groups = {"source": "mine", "groups": [["the cat", "a dog"]], "twins": {"test": ["0"]}}
    labels = {
        "a": {"name": "a", "gloss": ["A", "B"], "text": "Hi", "video_path": "a.mp4"},
        "b": {"text": "x", "gloss": "C"},
    }
    config = "model: null\nlanguage: English\ncorpus: [synthetic]\naugmentation: {rotate: 0.1, scale: [0.9, 1.1]}\n"
    report = {
        "video": "a.mp4",
        "video_bytes": 3,
        "file": "a.npz",
        "num_frames": 2,
        "estimator": "x",
        "versions": {"a": "1"},
    }
    log = [{"loss": 1.5, "step": 1}, {"eval_wer": 3.0, "step": 2, "loss": 0.5}]
    trees = one_of(spoil_json, spoil_json, spoil_bytes, spoil_text)
    words = one_of(spoil_text, spoil_text, spoil_bytes)

    def table(name: str, content: bytes, mutation: Mutation) -> Target:
        return Target(
            f"table, {name}",
            f"labels.{name}",
            [content],
            mutation,
            partial(_read_folder, table=f"labels.{name}"),
            clips,
            0.15,
        )

    return [
        table("csv", csv, words),
        table("tsv", tsv, words),
        table("jsonl", lines, words),
        Target(
            "predictions, json",
            "predictions.json",
            as_json,
            trees,
            _evaluate("slt", "--predictions", "DIR/predictions.json"),
            references,
            0.18,
        ),
        Target(
            "candidates, json",
            "predictions.json",
            as_json,
            trees,
            _evaluate("islr", "--predictions", "DIR/predictions.json"),
            references,
            0.18,
        ),
        Target(
            "predictions, jsonl",
            "predictions.jsonl",
            as_lines,
            words,
            _evaluate("cslr", "--predictions", "DIR/predictions.jsonl"),
            references,
            0.18,
        ),
        Target(
            "predictions, text",
            "predictions.txt",
            [dump, "\n".join(texts).encode()],
            words,
            _evaluate("slt", "--predictions", "DIR/predictions.txt"),
            references,
            0.18,
        ),
        Target(
            "label groups",
            "groups.json",
            [json.dumps(groups).encode()],
            trees,
            _evaluate("islr", "--predictions", "DIR/predictions.json", "--label-groups", "DIR/groups.json"),
            {**references, "predictions.json": as_json[1]},
            0.15,
        ),
        *_annotations(one_of(spoil_text, spoil_text, spoil_bytes), trees),
        Target(
            "label file",
            "labels.test",
            [gzip.compress(pickle.dumps(labels, p), 1) for p in (0, 2, 4)],
            within_gzip(spoil_pickle),
            lambda folder: load_label_file(folder / "labels.test"),
            weight=2,
        ),
        Target(
            "arrays of a corpus",
            "a.npz",
            _archives()[:1],
            spoil_archive,
            lambda folder: read_named_arrays(folder / "a.npz", ("keypoints", "scores")),
        ),
        Target(
            "training configuration",
            "run.yaml",
            [config.encode()],
            words,
            lambda folder: read_config(folder / "run.yaml", (ModelArguments, DataArguments)),
            weight=0.7,
        ),
        Target(
            "training log",
            "trainer_state.json",
            [json.dumps({"log_history": log}).encode(), "\n".join(map(json.dumps, log)).encode()],
            one_of(spoil_text, spoil_bytes),
            _command("view", "DIR/trainer_state.json", "--out", "DIR/a.png"),
            weight=0.1,
        ),
        Target("extraction manifest", MANIFEST, ["\n".join([json.dumps(report)] * 2).encode()], words, read_manifest),
    ]


# --- files of models


def _files_of_models() -> list[Target]:
    bundle = _bundle()
    corpus = TrainingData("Mine", "ASL", "3", "2 h", "CC BY 4.0", "yes", "rtmlib", "coco_wholebody_133")
    facts = CardFacts(
        "m", "It reads signs.", ["islr"], ["ase"], [corpus], ["children"], "nobody", "by hand", "me", "mit"
    )
    result = Measurement(
        "islr",
        "Mine",
        "test",
        3,
        {"top1_per_instance": 50.0},
        "a|b",
        "sigma-slu evaluate",
        {"x": {"top1_per_instance": 1.0}},
        {"top1_per_instance": [1.0, 2.0]},
    )
    card = ("card", "--facts", "DIR/card.json", "--results", "DIR/results.json", "--out", "DIR/README.md", "--force")
    both = {"card.json": json.dumps(asdict(facts)).encode(), "results.json": json.dumps([asdict(result)]).encode()}
    trees = one_of(spoil_json, spoil_json, spoil_json, spoil_bytes, spoil_text)

    def of_bundle(name: str, file: str, read: Callable[[Path], Any], weight: float) -> Target:
        return Target(name, file, [bundle[file]], trees, read, {n: c for n, c in bundle.items() if n != file}, weight)

    def check(folder: Path) -> None:
        check_bundle(folder)
        load_model_config(folder)

    return [
        Target(
            "card.json",
            "card.json",
            [both["card.json"]],
            trees,
            _command(*card),
            {"results.json": both["results.json"]},
            0.15,
        ),
        Target(
            "results.json",
            "results.json",
            [both["results.json"]],
            trees,
            _command(*card),
            {"card.json": both["card.json"]},
            0.15,
        ),
        of_bundle("config.json", "config.json", check, 0.04),
        of_bundle(
            "preprocessor_config.json",
            "preprocessor_config.json",
            lambda folder: load_pipeline(folder, device="cpu"),
            0.01,
        ),
        Target(
            "index.json", "index.json", [_INDEX], trees, EmbeddingIndex.load, {"embeddings.safetensors": _vectors()}
        ),
        Target(
            "dictionary.json",
            "dictionary.json",
            [_DICTIONARY],
            trees,
            SignDictionary.from_pretrained,
            {"embeddings.safetensors": _vectors()},
        ),
    ]


_INDEX = json.dumps(
    {"sigma_slu_version": "0.1.0", "kind": "texts", "model": "m", "fingerprint": "f", "entries": ["a", "b"]}
).encode()

_DICTIONARY = json.dumps(
    {
        **{"sigma_slu_version": "0.1.0", "model": "m", "fingerprint": "f"},
        **{"label": ["a", "b"], "sample_id": ["a/1", "b/1"], "sign_language": [None, "X"], "variant": [1, 2]},
        **{"layout": ["sigma_69", "x"], "facts": [{}, {"signer_id": "7", "age": 30.5}]},
    }
).encode()


def _vectors() -> bytes:
    return save({"embeddings": np.eye(2, dtype=np.float32)})


def _bundle() -> dict[str, bytes]:
    config = SigmaConfig(text_config=tiny_text_config(), use_prompt=False, num_labels=3)
    with tempfile.TemporaryDirectory() as folder:
        save_bundle(SigmaForSequenceClassification(config), SigmaFeatureExtractor(), folder)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}
