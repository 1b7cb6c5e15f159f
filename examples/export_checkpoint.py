"""From the folder of a run to a small checkpoint: half precision, the licence of its data, code linked, not copied.

    python examples/export_checkpoint.py runs/wlasl2000 checkpoints/sigma-wlasl-hands --licence cc-by-nc-4.0
    sigma-slu card checkpoints/sigma-wlasl-hands        # from card.json and results.json in it

Weights are stored in float16 and read as float32: half the size, and processors are slow in float16. Inside a checkout
of the project the modules that travel with a bundle become links to the package's, so that they cannot differ from it.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import torch
from transformers import AutoFeatureExtractor, AutoModelForSequenceClassification

from modeling_sigma.hub.bundle import remote_code_files, save_bundle
from modeling_sigma.hub.licences import LICENCES
from modeling_sigma.registration import register_sigma


ROOT = Path(__file__).resolve().parents[1]


def export(source: Path, target: Path, licence: str) -> Path:
    """Writes the bundle; returns the file of weights."""
    register_sigma()
    model = AutoModelForSequenceClassification.from_pretrained(source, dtype=torch.float32)
    extractor = AutoFeatureExtractor.from_pretrained(source)
    extractor.augmentation = None  # a matter of training
    if extractor.training_layout == "hands_42":
        extractor.parts = ["left_hand", "right_hand"]  # bodies would be news to it
    model.config.weights_licence = licence
    for name, values in model.state_dict().items():
        if not torch.isfinite(values.half()).all():
            raise ValueError(f"{source}: {name} does not fit into float16")
    for path in target.glob("*.py"):
        path.unlink()
    save_bundle(model.half(), extractor, target)
    config = target / "config.json"
    fields = {**json.loads(config.read_text(encoding="utf-8")), "dtype": "float32"}
    config.write_text(json.dumps(fields, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if target.resolve().is_relative_to(ROOT):
        for path in remote_code_files():
            link = target / path.name
            link.unlink()
            link.symlink_to(os.path.relpath(path, target.resolve()))
    return target / "model.safetensors"


def main() -> None:
    """Exports, and says how large it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder of examples/finetune.py, with a label head")
    parser.add_argument("target", type=Path)
    parser.add_argument("--licence", required=True, choices=LICENCES, help="what the training data allows")
    args = parser.parse_args()
    weights = export(args.source, args.target, args.licence)
    print(f"{weights}: {weights.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
