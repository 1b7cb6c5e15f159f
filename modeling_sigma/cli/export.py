"""`sigma-slu export`: exports a trained model to ONNX, or checks an exported one."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any


_EXAMPLES = """
examples:
  sigma-slu export checkpoints/sigma-wlasl-hands --to onnx --int8 --out sigma-onnx
  sigma-slu export --check sigma-onnx
  sigma-slu predict clip.npz --model sigma-onnx/model_int8.onnx
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `export`."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("model", metavar="DIR", help="folder of a trained model, or its name on the Hub")
    parser.add_argument("--to", choices=["onnx"], default="onnx", help="format to write (default onnx)")
    parser.add_argument(
        "--float16", action="store_true", help="also write each graph with its weights in float16, half of the size"
    )
    parser.add_argument(
        "--int8", action="store_true", help="also write each graph with its weights in int8, a quarter of the size"
    )
    parser.add_argument("--out", metavar="DIR", help="new folder to write (default: NAME-onnx in this folder)")
    parser.add_argument(
        "--check", action="store_true", help="check an exported model: its checksums, and that it answers as before"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Exports or checks a model, reports, and returns 0."""
    from modeling_sigma.cli.quiet_libraries import silence_transformers

    silence_transformers()
    if args.check and (args.float16 or args.int8 or args.out):
        raise ValueError("expected --check alone: it looks at an exported model and writes nothing")
    folder = Path(args.model) if args.check else _export(args)
    report = _report(folder)
    if args.json:
        print(json.dumps(report, indent=2))
        return 0
    if not args.check:
        print(f"Saved to {folder}.")
    for precision, facts in report["precisions"].items():
        worst = max(facts["differences"].values())
        print(f"{precision:8} {facts['megabytes']:9.2f} MB  largest difference to the model in torch {worst:.1e}")
    return 0


def _export(args: argparse.Namespace) -> Path:
    from modeling_sigma.conversion.export import check_packages, check_target, export_onnx
    from modeling_sigma.conversion.export_bundle import is_bundle
    from modeling_sigma.inference.load_pipeline import load_pipeline

    check_packages()
    out = Path(args.out or f"{Path(args.model).name}-onnx")
    check_target(out)
    if is_bundle(args.model):
        raise ValueError(f"{args.model}: expected a trained model, found an exported one: `--check` looks at it")
    pipe = load_pipeline(args.model, device="cpu", dtype="float32")
    folder = export_onnx(pipe.model, pipe.processor or pipe.feature_extractor, out, args.int8, args.float16)
    card = Path(args.model) / "README.md"
    if card.is_file():
        shutil.copyfile(card, folder / "README.md")  # its license stays
    return folder


def _report(folder: Path) -> dict[str, Any]:
    from modeling_sigma.conversion.export_bundle import graph_file_name, read_bundle
    from modeling_sigma.inference.onnx_model import check_golden

    bundle = read_bundle(folder)
    precisions = {}
    for precision in [bundle.precision] if folder.suffix == ".onnx" else bundle.facts["precisions"]:
        names = [graph_file_name(graph, precision) for graph in bundle.facts["graphs"]]
        sizes = [
            known["bytes"] for name, known in bundle.facts["files"].items() if name.removesuffix(".data") in names
        ]
        precisions[precision] = {"megabytes": sum(sizes) / 1e6, "differences": check_golden(folder, precision)}
    return {"folder": str(folder), "architecture": bundle.facts["architecture"], "precisions": precisions}
