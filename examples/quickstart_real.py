"""Real signing on two CPU cores: 100 signs of WLASL from hand skeletons alone.

Trains the classification head on the official train split, then looks at validation and test once each:

    python examples/quickstart_real.py --data ../shared/data/wlasl_hands --out outputs/wlasl100

The data's terms are WLASL's (academic use); so is a model trained on them. Clips have no body, no face: the signer's
size comes from the hands (`scale_reference="hands"`), their place from the wrists (`fill_wrists=True`).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from transformers import T5Config

from datasets_scripts.wlasl_hands import WlaslHandsSample, load_wlasl_hands
from modeling_sigma import SigmaConfig, SigmaFeatureExtractor, SigmaForSequenceClassification, save_clip
from modeling_sigma.hub.bundle import save_bundle
from modeling_sigma.metrics import recognition_scores
from modeling_sigma.training.data.clip_dataset import ClipSample
from modeling_sigma.training.optimization.muon_adamw import one_cycle_muon
from modeling_sigma.training.run.streamed_training import train_on_stream
from modeling_sigma.training.task import choose_task


AUGMENTATION = {
    "rotation": 12.0, "scale": 0.15, "stretch": 0.15, "shift": 0.1, "noise": 0.01, "frame_dropout": 0.1,
    "joint_dropout": 0.03, "speed": 0.2, "flip": 0.5,
}  # fmt: skip


def build_model(words: list[str], max_frames: int, width: int) -> SigmaForSequenceClassification:
    """A label head without prompt and tokenizer; `width` channels in the pose encoder."""
    return SigmaForSequenceClassification(
        SigmaConfig(
            text_config=T5Config(
                vocab_size=2, d_model=128, d_kv=32, d_ff=256, num_heads=4, num_layers=1, dropout_rate=0.2
            ),
            pose_config={
                "parts": ["body", "left_hand", "right_hand"],
                "joint_hidden_size": 32,
                "spatial_hidden_sizes": [32, 64, width],
                "temporal_hidden_sizes": [width, width],
                "mirror_left_hand": True,
                "dropout": 0.1,
            },
            use_prompt=False,
            use_cls_token=False,
            max_frames=max_frames,
            label_smoothing=0.1,
            classifier_dropout=0.3,
            id2label=dict(enumerate(words)),
            label2id={word: number for number, word in enumerate(words)},
        )
    )


def train(
    model: SigmaForSequenceClassification,
    extractor: SigmaFeatureExtractor,
    samples: list[WlaslHandsSample],
    words: list[str],
    args: argparse.Namespace,
) -> None:
    """One-cycle training for as many epochs as asked for."""
    task = choose_task("islr", "classification")
    task.set_labels(words)
    steps_per_epoch = len(samples) // args.batch_size
    num_steps = args.epochs * steps_per_epoch
    started, losses = time.monotonic(), []

    def batches() -> Iterator[list[ClipSample]]:
        generator = np.random.default_rng(args.seed)
        for _ in range(args.epochs):
            order = generator.permutation(len(samples))
            for chosen in order[: steps_per_epoch * args.batch_size].reshape(-1, args.batch_size):
                clips = [samples[index] for index in chosen]
                yield [ClipSample(one.clip, one.video_id, one.word, [], "English", (), generator) for one in clips]

    def report(step: int, loss: float) -> None:
        losses.append(loss)
        if step % steps_per_epoch == 0:
            mean, seconds = np.mean(losses[-steps_per_epoch:]), time.monotonic() - started
            print(f"epoch {step // steps_per_epoch}/{args.epochs}  loss {mean:.3f}  {seconds:.0f} s", flush=True)

    optimizers = one_cycle_muon(model, num_steps, args.learning_rate, 3e-3, weight_decay=0.05)
    train_on_stream(task, model, extractor, batches(), optimizers, num_steps, on_step=report)


def evaluate(
    model: SigmaForSequenceClassification, extractor: SigmaFeatureExtractor, samples: list[WlaslHandsSample]
) -> dict[str, float]:
    """Top-1 and top-5 in percent, per instance and per class."""
    ranked: list[list[str]] = []
    for start in range(0, len(samples), 50):
        inputs = extractor([sample.clip for sample in samples[start : start + 50]])
        with torch.no_grad():
            best = model(**inputs).logits.topk(5).indices.tolist()
        ranked += [[model.config.id2label[label] for label in row] for row in best]
    return recognition_scores(ranked, [sample.word for sample in samples])


def nearest_centroid(
    extractor: SigmaFeatureExtractor, train: list[WlaslHandsSample], test: list[WlaslHandsSample]
) -> float:
    """Top-1 in percent of the nearest class mean over 24 evenly spaced frames: what any model must beat.

    Where a joint was not seen, the way between the frames where it was is taken to be straight.
    """

    def features(samples: list[WlaslHandsSample]) -> np.ndarray:
        rows = np.zeros((len(samples), 69, 2, 24), np.float32)
        for row, sample in zip(rows, samples):
            values = extractor(sample.clip, max_frames=256, return_tensors="np")["pose_values"][0]
            frames, wanted = np.arange(len(values)), np.linspace(0, len(values) - 1, 24)
            for joint, seen in enumerate(values[..., 2].T > 0):
                if seen.any():
                    row[joint] = [np.interp(wanted, frames[seen], values[seen, joint, axis]) for axis in (0, 1)]
        return rows.reshape(len(samples), -1)

    labels = np.array([sample.label for sample in train])
    known, points = features(train), features(test)
    centroids = np.stack([known[labels == label].mean(axis=0) for label in np.unique(labels)])
    nearest = np.linalg.norm(points[:, None] - centroids[None], axis=-1).argmin(axis=1)
    return float(100 * np.mean(np.unique(labels)[nearest] == [sample.label for sample in test]))


def main() -> None:
    """Trains, evaluates once on test, saves the model and five test clips beside it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="../shared/data/wlasl_hands", help="folder with wlasl2000_hands_f16.npz")
    parser.add_argument("--out", default="outputs/wlasl100", help="where the model goes")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--max-frames", type=int, default=32)
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=None, help="CPU threads (default: all)")
    args = parser.parse_args()
    started = time.monotonic()
    torch.manual_seed(args.seed)
    if args.threads:
        torch.set_num_threads(args.threads)
    splits = {name: load_wlasl_hands(args.data, "wlasl100", name) for name in ("train", "validation", "test")}
    print({name: len(samples) for name, samples in splits.items()}, f"read in {time.monotonic() - started:.0f} s")
    words = [word for _, word in sorted({(sample.label, sample.word) for sample in splits["train"]})]
    extractor = SigmaFeatureExtractor(
        max_frames=args.max_frames, scale_reference="hands", fill_wrists=True, augmentation=AUGMENTATION,
        training_layout="hands_42",
    )  # fmt: skip
    model = build_model(words, args.max_frames, args.width)
    train(model, extractor, splits["train"], words, args)
    validation, test = (evaluate(model, extractor, splits[name]) for name in ("validation", "test"))
    scores = {name: value for name, value in test.items() if isinstance(value, (int, float))}
    scores.update({f"validation_{name}": validation[f"{name}_per_instance"] for name in ("top1", "top5")})
    scores["nearest_centroid_top1"] = nearest_centroid(extractor, splits["train"], splits["test"])
    scores["minutes"] = round((time.monotonic() - started) / 60, 1)
    print(json.dumps(scores, indent=2))
    folder = save_bundle(model, extractor, args.out)
    (folder / "test_clips").mkdir(exist_ok=True)
    for sample in splits["test"][:5]:
        save_clip(folder / "test_clips" / f"{sample.word}_{sample.video_id}.npz", sample.clip)
    (folder / "results.json").write_text(json.dumps({**scores, **vars(args)}, indent=2), encoding="utf-8")
    print(f"Try: sigma-slu predict --model {folder} {Path(folder) / 'test_clips'}/*.npz --top-k 3")


if __name__ == "__main__":
    main()
