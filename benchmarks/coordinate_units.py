"""Does the shipped checkpoint give a clip the same answer in whatever unit its coordinates are?

1,200 validation clips of WLASL-hands are read as shares of the image (as the corpus has them), in pixels with the
image size, in pixels of another resolution without it, and as rows of a data set:

    python benchmarks/coordinate_units.py --data ../shared/data/wlasl_hands
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from datasets_scripts.schema import decode_clip, encode_sample
from datasets_scripts.wlasl_hands import load_wlasl_hands
from modeling_sigma import PoseClip, SigmaFeatureExtractor, SigmaForSequenceClassification


# Widths over heights of 1.7, the corpus's own.
SIZE, OTHER_SIZE = (1224, 720), (408, 240)
BATCH_SIZE = 100


def in_pixels(clip: PoseClip, size: tuple[int, int], size_is_stated: bool = True) -> PoseClip:
    """The clip, in shares, as a detector on images of `size` would have written it."""
    width, height = size if size_is_stated else (None, None)
    keypoints = clip.keypoints * np.array(size, np.float32)
    return replace(clip, keypoints=keypoints, width=width, height=height, coordinates=None, aspect_ratio=None)


def stored_and_read(clip: PoseClip) -> PoseClip:
    """The clip after a round through a data set."""
    row = encode_sample(clip, sample_id="1", split="test", sign_language="a", spoken_language="b")
    return decode_clip(row)


FORMS: dict[str, Callable[[PoseClip], PoseClip]] = {
    "shares, as the corpus states them": lambda clip: clip,
    "shares, nothing stated": lambda clip: replace(clip, coordinates=None, aspect_ratio=None),
    "pixels of 1224 x 720": lambda clip: in_pixels(clip, SIZE),
    "pixels of 408 x 240, size not stated": lambda clip: in_pixels(clip, OTHER_SIZE, size_is_stated=False),
    "row of a data set": stored_and_read,
    "pixels of 1280 x 720, as if 16:9": lambda clip: in_pixels(clip, (1280, 720)),
}


def main() -> None:
    """Prints one line of JSON per form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="Folder of the WLASL-hands data.")
    parser.add_argument("--model", default="checkpoints/sigma-wlasl-hands", help="Checkpoint to ask.")
    parser.add_argument("--num_clips", type=int, default=1200, help="Validation clips, from the first.")
    options = parser.parse_args()
    model = SigmaForSequenceClassification.from_pretrained(options.model).eval()
    extractor = SigmaFeatureExtractor.from_pretrained(options.model)
    samples = load_wlasl_hands(options.data, "wlasl2000", "validation")[: options.num_clips]
    labels = torch.tensor([model.config.label2id[sample.word] for sample in samples])
    as_they_come = SigmaFeatureExtractor.from_pretrained(options.model, learnt_aspect_ratio=None)
    readings = [(name, form, extractor) for name, form in FORMS.items()]
    readings.append(
        ("pixels of 1280 x 720, read as they come", FORMS["pixels of 1280 x 720, as if 16:9"], as_they_come)
    )
    reference = None
    for name, form, reader in readings:
        clips = [form(sample.clip) for sample in samples]
        ranked = _ranked(model, reader, clips)
        reference = ranked if reference is None else reference
        hits = ranked == labels[:, None]
        figures = {
            "form": name,
            "top1": round(100 * hits[:, 0].float().mean().item(), 2),
            "top5": round(100 * hits.any(dim=1).float().mean().item(), 2),
            "same_first_answer": round(100 * (ranked[:, 0] == reference[:, 0]).float().mean().item(), 2),
            "same_five_answers": round(100 * (ranked == reference).all(dim=1).float().mean().item(), 2),
        }
        print(json.dumps(figures), flush=True)


@torch.no_grad()
def _ranked(model: SigmaForSequenceClassification, extractor: SigmaFeatureExtractor, clips: list) -> torch.Tensor:
    """The five best labels of each clip."""
    batches = [clips[start : start + BATCH_SIZE] for start in range(0, len(clips), BATCH_SIZE)]
    return torch.cat([model(**extractor(batch)).logits.topk(5).indices for batch in batches])


if __name__ == "__main__":
    main()
