"""Does the shipped checkpoint read left-handed signing as well as right-handed?

All test clips of WLASL-hands as they are and mirrored: left and right hand change places, and x changes sides, as if
the signer had the other dominant hand. Then the clips as they are, by the hand that moves more in them:

    python benchmarks/handedness.py --data ../shared/data/wlasl_hands
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

import numpy as np
import torch

from datasets_scripts.wlasl_hands import load_wlasl_hands
from modeling_sigma import PoseClip, SigmaFeatureExtractor, SigmaForSequenceClassification, shipped_model


BATCH_SIZE = 100
# Hands that move less apart than this share of the other's way are both busy: nobody knows which one leads.
MARGIN = 1.25


def mirrored(clip: PoseClip) -> PoseClip:
    """The clip as a mirror shows it; its coordinates are shares of the image, its layout is `hands_42`."""
    sides = np.r_[21:42, 0:21]
    keypoints = clip.keypoints[:, sides].copy()
    keypoints[..., 0] = 1 - keypoints[..., 0]
    return replace(clip, keypoints=keypoints, scores=clip.scores[:, sides])


def leading_hand(clip: PoseClip) -> str:
    """The hand that is seen longer and moves more: the sum of its wrist's ways between frames in which it is seen."""
    ways = []
    for wrist in (0, 21):
        points = clip.keypoints[clip.scores[:, wrist] > 0, wrist]
        ways.append(float(np.linalg.norm(np.diff(points, axis=0), axis=-1).sum()) if len(points) > 1 else 0.0)
    left, right = ways
    return "left" if left > MARGIN * right else "right" if right > MARGIN * left else "both"


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="Folder of the WLASL-hands data.")
    parser.add_argument("--split", default="test", help="Split to score.")
    options = parser.parse_args()
    model = SigmaForSequenceClassification.from_pretrained(shipped_model()).eval()
    extractor = SigmaFeatureExtractor.from_pretrained(shipped_model())
    samples = load_wlasl_hands(options.data, "wlasl2000", options.split)
    labels = np.array([model.config.label2id[sample.word] for sample in samples])

    def ranks(clips: list[PoseClip]) -> np.ndarray:
        """Of each clip, how many words are ranked before its own: `(N,)`."""
        found = []
        for start in range(0, len(clips), BATCH_SIZE):
            with torch.no_grad():
                logits = model(**extractor(clips[start : start + BATCH_SIZE])).logits
            own = logits.gather(1, torch.tensor(labels[start : start + BATCH_SIZE, None]))
            found.append((logits > own).sum(1).numpy())
        return np.concatenate(found)

    def scores(of: np.ndarray) -> dict[str, float]:
        error = 100 * np.sqrt((of < 1).mean() * (1 - (of < 1).mean()) / len(of))
        top1, top5 = (round(100 * float((of < k).mean()), 1) for k in (1, 5))
        return {"clips": len(of), "top1": top1, "top1_standard_error": round(float(error), 1), "top5": top5}

    as_is, turned = ranks([sample.clip for sample in samples]), ranks([mirrored(sample.clip) for sample in samples])
    hands = np.array([leading_hand(sample.clip) for sample in samples])
    result = {
        "as recorded": scores(as_is),
        "mirrored": scores(turned),
        "right first, mirrored wrong": int(((as_is < 1) & (turned >= 1)).sum()),
        "wrong first, mirrored right": int(((as_is >= 1) & (turned < 1)).sum()),
        **{f"leading hand: {hand}": scores(as_is[hands == hand]) for hand in ("left", "right", "both")},
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
