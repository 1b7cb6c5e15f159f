"""How to store poses: size on disk, speed from Arrow to `pose_values`, and the speed of building, in one run.

Run: `python benchmarks/pose_storage.py` (about a minute). Prints JSON. The clips are synthetic signing of 150 frames:
133 keypoints with the jitter of a detector in a folder of float32 pickles, as the field stores them, and the 69 joints
that the model reads in each candidate for our schema.
"""

from __future__ import annotations

import argparse
import json
import pickle
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow
import pyarrow.parquet
from datasets import Array3D, Dataset, Features, List, Value

from datasets_scripts.schema import decode_clip, encode_sample, features
from datasets_scripts.synthetic import SyntheticSigns
from modeling_sigma import SigmaFeatureExtractor
from modeling_sigma.io import load_clip
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.pose_transforms import select_joints


NUM_FRAMES = 150
LONG_CLIP = 256
KNOWN = {"sign_language": "synthetic", "spoken_language": "English", "split": "train"}


def synthetic_clips(num_clips: int, num_frames: int) -> Iterator[PoseClip]:
    """Sentences in sequence, cut into clips of equal length."""
    samples = SyntheticSigns().generate_sentences(1_000_000)
    for _ in range(num_clips):
        pieces: list[PoseClip] = []
        while sum(map(len, pieces)) < num_frames:
            pieces.append(next(samples).clip)
        keypoints = np.concatenate([piece.keypoints for piece in pieces])[:num_frames]
        scores = np.concatenate([piece.scores for piece in pieces])[:num_frames]
        yield PoseClip(keypoints, scores, fps=25.0, width=pieces[0].width, height=pieces[0].height)


def field_pickle(clip: PoseClip) -> bytes:
    """A clip as the field's pickles hold it: one array per frame, keypoints in shares of the image."""
    size = np.array([clip.width, clip.height], np.float32)
    frames = [frame[None] for frame in (clip.keypoints / size).astype(np.float32)]
    return pickle.dumps({"keypoints": frames, "scores": [frame[None] for frame in clip.scores.astype(np.float32)]})


def as_array(clip: PoseClip) -> np.ndarray:
    """`(T, 69, 3)` of x, y in shares of the image, and score: what float16 can hold best."""
    keypoints, scores = select_joints(clip)
    return np.concatenate([keypoints / (clip.width or 1, clip.height or 1), scores[..., None]], axis=-1)


def unpacked(array: np.ndarray) -> PoseClip:
    """The clip of `as_array`."""
    array = np.asarray(array, np.float32)
    return PoseClip(array[..., :2], array[..., 2], "sigma_69")


CANDIDATES: dict[str, tuple[Features, Callable[[PoseClip], dict[str, Any]], Callable[[dict[str, Any]], PoseClip]]] = {
    "list of float32": (
        Features({"pose": List(Value("float32")), "num_frames": Value("int32")}),
        lambda clip: {"pose": as_array(clip).astype(np.float32).ravel(), "num_frames": len(clip)},
        lambda row: unpacked(np.array(row["pose"]).reshape(row["num_frames"], 69, 3)),
    ),
    "Array3D of float16": (
        Features({"pose": Array3D((None, 69, 3), "float16")}),
        lambda clip: {"pose": as_array(clip).astype(np.float16)},
        lambda row: unpacked(row["pose"]),
    ),
    "binary of float16": (
        Features({"pose": Value("binary")}),
        lambda clip: {"pose": as_array(clip).astype(np.float16).tobytes()},
        lambda row: unpacked(np.frombuffer(row["pose"], np.float16).reshape(-1, 69, 3)),
    ),
    "schema: binary, quantised moves": (
        features(),
        lambda clip: encode_sample(clip, sample_id="clip", **KNOWN),
        decode_clip,
    ),
}


def median_milliseconds(run: Callable[[int], object], count: int, repeats: int = 5) -> float:
    """Median over items of the fastest of `repeats` passes, after a warm-up pass."""
    passes = []
    for _ in range(repeats + 1):
        times = []
        for index in range(count):
            start = time.perf_counter()
            run(index)
            times.append(time.perf_counter() - start)
        passes.append(float(np.median(times)))
    return 1e3 * min(passes[1:])


def sizes(clips: list[PoseClip], folder: Path) -> dict[str, Any]:
    """Megabytes of 1,000 clips, and the largest error of a coordinate as a share of the image's shorter side."""
    pickles = sum(len(field_pickle(clip)) for clip in clips)
    result: dict[str, Any] = {"float32 pickles, 133 keypoints": {"megabytes": pickles * 1000 / len(clips) / 1e6}}
    for name, (columns, encode, decode) in CANDIDATES.items():
        dataset = Dataset.from_list([encode(clip) for clip in clips], features=columns)
        entry: dict[str, Any] = {}
        for compression in ("snappy", "zstd"):
            path = folder / f"{compression}.parquet"
            pyarrow.parquet.write_table(dataset.data.table, path, compression=compression, use_dictionary=False)
            entry[f"megabytes_{compression}"] = path.stat().st_size * 1000 / len(clips) / 1e6
        path = folder / "datasets.parquet"
        dataset.to_parquet(str(path))
        entry["megabytes_to_parquet"] = path.stat().st_size * 1000 / len(clips) / 1e6
        entry["times_smaller_zstd"] = pickles / len(clips) * 1e-3 / entry["megabytes_zstd"]
        errors = []
        numpy_format = dataset.with_format("numpy") if "Array3D" in name else dataset
        for clip, row in zip(clips[:20], numpy_format):
            decoded = decode(row)
            unit = np.array([1, 1] if decoded.width else [clip.width, clip.height])
            keypoints, scores = select_joints(clip)
            found = scores > 0
            errors.append(np.abs(decoded.keypoints * unit - keypoints)[found].max() / min(clip.width, clip.height))
        entry["largest_error"] = float(max(errors))
        result[name] = entry
    return result


def reading_speed(clips: list[PoseClip], folder: Path) -> dict[str, float]:
    """Milliseconds from a row or a file of 256 frames to `pose_values`, one process, files in the page cache."""
    extractor = SigmaFeatureExtractor(max_frames=LONG_CLIP)
    paths = []
    for number, clip in enumerate(clips):
        paths.append(folder / f"{number}.pkl")
        paths[-1].write_bytes(field_pickle(clip))

    def by_free_unpickling(index: int) -> None:
        with paths[index].open("rb") as file:
            data = pickle.load(file)
        keypoints, scores = np.concatenate(data["keypoints"]), np.concatenate(data["scores"])
        extractor.extract(PoseClip(keypoints, scores), LONG_CLIP)

    result = {
        "one pickle per clip, unpickled freely": median_milliseconds(by_free_unpickling, len(clips)),
        "one pickle per clip, our restricted reader": median_milliseconds(
            lambda index: extractor.extract(load_clip(paths[index]), LONG_CLIP), len(clips), repeats=2
        ),
    }
    for name, (columns, encode, decode) in CANDIDATES.items():
        Dataset.from_list([encode(clip) for clip in clips], features=columns).save_to_disk(str(folder / "arrow"))
        dataset = datasets.load_from_disk(str(folder / "arrow"))  # memory-mapped, as builders leave it
        if "Array3D" in name:
            dataset = dataset.with_format("numpy")

        def by_row(index: int, dataset: Any = dataset, decode: Any = decode) -> None:
            extractor.extract(decode(dataset[index]), LONG_CLIP)

        result[f"Arrow, {name}"] = median_milliseconds(by_row, len(clips))
    return result


def main() -> None:
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=200, help="clips of 150 frames for the sizes (default 200)")
    args = parser.parse_args()
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as scratch:
        clips = list(synthetic_clips(args.clips, NUM_FRAMES))
        start = time.perf_counter()
        for clip in clips:
            encode_sample(clip, sample_id="clip", **KNOWN)
        encoded = time.perf_counter() - start
        result = {
            "clips": args.clips,
            "megabytes_per_1000_clips_of_150_frames": sizes(clips, Path(scratch)),
            "milliseconds_to_pose_values_256_frames": reading_speed(
                list(synthetic_clips(40, LONG_CLIP)), Path(scratch)
            ),
            "encoded_clips_per_second": len(clips) / encoded,
            "versions": {library.__name__: library.__version__ for library in (datasets, pyarrow, np)},
            "machine": f"{platform.machine()}, Python {platform.python_version()}",
        }
    print(json.dumps(json.loads(json.dumps(result), parse_float=lambda value: float(f"{float(value):.3g}")), indent=2))


if __name__ == "__main__":
    main()
