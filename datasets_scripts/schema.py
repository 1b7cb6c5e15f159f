"""The one schema of all corpora: which columns a row has, and how a clip is packed into it and out again.

Coordinates and scores are stored as bytes, because that was measured to be the smallest and fastest storage that plain
Parquet, `push_to_hub` and streaming carry unchanged (`benchmarks/pose_storage.py`). [`DECODING_RECIPE`] unpacks a row
with numpy alone; data cards print it, so that nobody needs this package to read the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from datasets import Features, List, Value

from modeling_sigma.model.clip_units import image_size_of
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.pose_transforms import SCORE_THRESHOLD, select_joints
from modeling_sigma.model.stored_rows import decode_clip as decode_clip  # the way back, for readers of this module


# Columns that data sets built by earlier versions lack.
LATER_COLUMNS = ("estimator",)
SPLITS = ("train", "validation", "test")
LAYOUT = "sigma_69"

# The grid's step as a share of the image's shorter side: rounding moves a keypoint by half of it at most.
STEP = 1e-4

DECODING_RECIPE = '''\
import numpy as np

def decode(row):
    """keypoints (T, K, 2) in image coordinates and scores (T, K); a keypoint that was not found is (0, 0), score 0."""
    scores = np.frombuffer(row["scores"], np.uint8).reshape(row["num_frames"], -1) * row["scores_step"]
    planes = np.frombuffer(row["keypoints"], np.uint8).reshape(-1, *scores.shape, 2)  # bytes, lowest first
    moves = np.ascontiguousarray(np.moveaxis(planes, 0, -1)).view(f"<u{len(planes)}")[..., 0]  # from frame to frame
    places = np.cumsum(moves, axis=0, dtype=moves.dtype)  # wraps around on purpose
    keypoints = places * row["keypoints_step"] + [row["x_offset"], row["y_offset"]]
    return np.where(scores[..., None] > 0, keypoints, 0), scores
'''


def features() -> Features:
    """The columns of every corpus.

    | column | content |
    |---|---|
    | `sample_id` | unique within a corpus |
    | `keypoints`, `scores` | packed arrays, see [`DECODING_RECIPE`] |
    | `keypoints_step`, `x_offset`, `y_offset` | the grid that the coordinates are rounded to, in their own unit |
    | `scores_step` | the unit of the stored scores |
    | `layout` | `sigma_69`, or the detector's own where all keypoints were kept |
    | `source_layout` | the layout that the detector wrote |
    | `estimator` | what found the keypoints in a video, with its versions (null: unknown) |
    | `num_frames`, `fps` | length in frames, frames per second (null: unknown) |
    | `width`, `height` | of the image in pixels (null: unknown) |
    | `coordinates` | `pixels` (or another unit that x and y share), or `shares` of the image (null: unknown) |
    | `aspect_ratio` | width over height of the image where only this is known, else null |
    | `text` | sentence, or the word of an isolated sign |
    | `gloss` | list of glosses, empty where there are none |
    | `signer_id` | null: unknown |
    | `sign_language`, `spoken_language` | English names: "American Sign Language", "English" |
    | `split` | `train`, `validation` or `test` |
    """
    return Features(
        {
            "sample_id": Value("string"),
            "keypoints": Value("binary"),
            "scores": Value("binary"),
            "keypoints_step": Value("float64"),
            "x_offset": Value("float64"),
            "y_offset": Value("float64"),
            "scores_step": Value("float64"),
            "layout": Value("string"),
            "source_layout": Value("string"),
            "estimator": Value("string"),
            "num_frames": Value("int32"),
            "fps": Value("float64"),
            "width": Value("int32"),
            "height": Value("int32"),
            "coordinates": Value("string"),
            "aspect_ratio": Value("float64"),
            "text": Value("string"),
            "gloss": List(Value("string")),
            "signer_id": Value("string"),
            "sign_language": Value("string"),
            "spoken_language": Value("string"),
            "split": Value("string"),
        }
    )


def encode_sample(
    clip: PoseClip,
    *,
    sample_id: str,
    sign_language: str,
    spoken_language: str,
    split: str,
    text: str = "",
    gloss: Sequence[str] = (),
    signer_id: str | None = None,
    keep_layout: bool = False,
) -> dict[str, Any]:
    """One row of the schema.

    Coordinates move by at most half of [`STEP`] of the image's shorter side; where the size is unknown, of the extent
    of the clip's points without the outermost 2 %. Points outside of the image keep their place. Scores move by about
    1/500 of the clip's highest score (or of 1) at most, and never across 0.3.

    Args:
        clip ([`PoseClip`]):
            Keypoints of any layout.
        sample_id, sign_language, spoken_language, split, text, gloss, signer_id:
            See [`features`].
        keep_layout (`bool`, *optional*, defaults to `False`):
            Store all keypoints of the detector's layout instead of the 69 joints.

    Raises:
        ValueError: for an empty `sample_id`, an unknown split, or a `gloss` that is one string.

    Example:

    ```python
    >>> import numpy as np
    >>> from datasets_scripts.schema import decode_clip, encode_sample
    >>> from modeling_sigma.model.pose_clip import PoseClip
    >>> clip = PoseClip(np.full((24, 133, 2), 320.0), np.ones((24, 133)), width=640, height=480)
    >>> row = encode_sample(
    ...     clip, sample_id="1", text="hello", split="train",
    ...     sign_language="American Sign Language", spoken_language="English",
    ... )
    >>> decode_clip(row).keypoints.shape, row["source_layout"]
    ((24, 69, 2), 'coco_wholebody_133')

    ```
    """
    if not sample_id:
        raise ValueError("expected a sample_id, received an empty one: give every clip a name of its own")
    if split not in SPLITS:
        raise ValueError(f"expected split to be one of {', '.join(SPLITS)}, received {split!r} of {sample_id}")
    if isinstance(gloss, str):
        raise ValueError(f"expected gloss of {sample_id} as a list of glosses, received one string: split it")
    if keep_layout:
        keypoints, scores = clip.keypoints.astype(np.float64), clip.scores.astype(np.float64)
    else:
        keypoints, scores = select_joints(clip)
    is_stated = clip.coordinates is not None or (clip.width is not None and clip.height is not None)
    return {
        "sample_id": sample_id,
        **_packed_scores(scores),
        # A unit that is only guessed is good enough to read a clip, not to choose what is stored of it.
        **_packed_keypoints(keypoints, scores > 0, image_size_of(clip) if is_stated else None),
        "layout": clip.layout if keep_layout else LAYOUT,
        "source_layout": clip.layout,
        "estimator": clip.estimator,
        "num_frames": len(clip),
        "fps": clip.fps,
        "width": clip.width,
        "height": clip.height,
        "coordinates": clip.coordinates,
        "aspect_ratio": clip.aspect_ratio,
        "text": text,
        "gloss": list(gloss),
        "signer_id": signer_id,
        "sign_language": sign_language,
        "spoken_language": spoken_language,
        "split": split,
    }


def _packed_scores(scores: np.ndarray) -> dict[str, Any]:
    # The threshold is an odd number of half steps, so it lies between two levels: rounding carries no score across it.
    highest = max(float(scores.max()), 1.0)
    halves = max(np.floor(255 * SCORE_THRESHOLD / highest - 0.5), 0.0) + 0.5
    step = SCORE_THRESHOLD / halves
    levels = np.rint(scores / step)
    # The division may round a score just above 0.3 onto the half, and the half to the even level below it.
    levels[(scores > SCORE_THRESHOLD) & (levels * step <= SCORE_THRESHOLD)] = halves + 0.5
    levels[scores > 0] = np.clip(levels[scores > 0], 1, 255)  # found stays found
    levels[scores <= 0] = 0
    return {"scores": levels.astype(np.uint8).tobytes(), "scores_step": step}


def _packed_keypoints(
    keypoints: np.ndarray, found: np.ndarray, image_size: tuple[float, float] | None
) -> dict[str, Any]:
    points = keypoints[found].T if found.any() else np.zeros((2, 1))  # x and y, (2, num_found)
    # float32, as decoded clips are: packing a clip again finds the same grid.
    offset = np.array([axis.min() for axis in points], np.float32).astype(np.float64)
    extent = float(max(axis.max() - start for axis, start in zip(points, offset)))
    step = _grid_step(points, extent, image_size)
    num_bytes = 2 if extent / step < 2**16 - 1 else 4
    places = np.maximum(np.rint((keypoints - offset) / step), 0)
    places = np.where(found[..., None], places, 0).astype(f"<u{num_bytes}")
    # A missing keypoint waits where it was last seen: standing still costs nothing, and its score hides it.
    last_seen = np.maximum.accumulate(np.where(found, np.arange(len(found))[:, None], 0), axis=0)
    places = np.take_along_axis(places, last_seen[..., None], axis=0)
    moves = np.diff(places, axis=0, prepend=np.zeros_like(places[:1]))
    planes = np.moveaxis(moves.view(np.uint8).reshape(*moves.shape, num_bytes), -1, 0)  # (bytes, T, K, 2)
    return {
        "keypoints": planes.tobytes(),
        "keypoints_step": step,
        "x_offset": float(offset[0]),
        "y_offset": float(offset[1]),
    }


def _grid_step(points: np.ndarray, extent: float, image_size: tuple[float, float] | None) -> float:
    if extent <= 0:
        return 1.0
    if image_size is not None:
        step = STEP * min(image_size)
    else:
        low, high = np.quantile(points, [0.01, 0.99], axis=1)
        inner = float((high - low).max()) or extent
        step = 2.0 ** np.floor(np.log2(STEP * inner))  # a power of two: packing again finds the same step
    return float(max(step, extent / (2**32 - 2)))
