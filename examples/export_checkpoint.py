"""Make a small checkpoint of a training run: half precision, the license of its data, and no code.

    python examples/export_checkpoint.py runs/wlasl2000 checkpoints/sigma-wlasl-hands --license cc-by-nc-4.0
    python examples/export_checkpoint.py runs/segments checkpoints/sigma-sign-segments --license cc-by-nc-4.0
    sigma-slu card checkpoints/sigma-wlasl-hands --name checkpoints/sigma-wlasl-hands    # from card.json, results.json

Weights are stored in float16 and read as float32: half the size, and CPUs are slow in float16. The folder loads with
this package; `sigma-slu publish` adds the code that loads it elsewhere.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from transformers import AutoFeatureExtractor

from modeling_sigma.hub.bundle import save_bundle
from modeling_sigma.hub.licenses import LICENSES
from modeling_sigma.inference.model_config import saved_kind
from modeling_sigma.registration import defined_class


def export(source: Path, target: Path, license: str) -> Path:
    """Writes the folder; returns the file of weights."""
    cls = defined_class(saved_kind(source))
    model = cls.from_pretrained(source, dtype=torch.float32, trust_remote_code=False)
    extractor = AutoFeatureExtractor.from_pretrained(source, trust_remote_code=False)
    extractor.augmentation = None  # a matter of training
    if extractor.training_layout == "hands_42":
        extractor.parts = ["left_hand", "right_hand"]  # it has never seen a body
    model.config.weights_license = license
    for name, values in model.state_dict().items():
        if not torch.isfinite(values.half()).all():
            raise ValueError(f"{source}: {name} does not fit into float16")
    for path in target.glob("*.py"):  # of an earlier export
        path.unlink()
    save_bundle(model.half(), extractor, target, include_code=False)
    config = target / "config.json"
    fields = {**json.loads(config.read_text(encoding="utf-8")), "dtype": "float32"}
    config.write_text(json.dumps(fields, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return target / "model.safetensors"


def main() -> None:
    """Exports, and prints the size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder of examples/finetune.py, of a model with a label head")
    parser.add_argument("target", type=Path, help="folder to write")
    parser.add_argument("--license", required=True, choices=LICENSES, help="license that the training data allows")
    args = parser.parse_args()
    weights = export(args.source, args.target, args.license)
    print(f"{weights}: {weights.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
