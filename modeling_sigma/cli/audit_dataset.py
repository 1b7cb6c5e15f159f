"""`sigma-slu audit-dataset`: reports what is suspicious about a data set."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from modeling_sigma.jobs.atomic_files import write_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `audit-dataset`."""
    parser.add_argument(
        "dataset", metavar="DATASET", help="folder that build-dataset wrote, name on the Hub, or name of a corpus"
    )
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="folder of the corpus's own files")
    parser.add_argument("--config", metavar="NAME", help="configuration of the data set")
    parser.add_argument(
        "--task", choices=("islr", "cslr", "slt"), help="task to audit for (default: as the texts suggest)"
    )
    parser.add_argument(
        "--tokenizer", metavar="DIR", help="folder of a tokenizer to check the texts with, or its name on the Hub"
    )
    parser.add_argument("--min-frames", type=int, default=8, metavar="N", help="report shorter clips (default 8)")
    parser.add_argument("--max-frames", type=int, default=256, metavar="N", help="report longer clips (default 256)")
    parser.add_argument("--max-tokens", type=int, default=50, metavar="N", help="report longer texts (default 50)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the report to this file as JSON")
    parser.add_argument(
        "--label-groups",
        type=Path,
        metavar="FILE",
        help="file to write label groups to: labels that share a train recording, and all twins",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if anything was found")


def run(args: argparse.Namespace) -> int:
    """Audits the data set; returns 1 if `--strict` is given and something was found, else 0."""
    from datasets_scripts.auditing.audit import AuditLimits, audit_dataset, format_audit
    from modeling_sigma.jobs.progress import ProgressBar

    limits = AuditLimits(args.min_frames, args.max_frames, max_text_tokens=args.max_tokens)
    tokenizer = _tokenizer(args.tokenizer) if args.tokenizer else None
    with ProgressBar("clip") as bar:
        report = audit_dataset(_splits(args), args.task, tokenizer, limits, bar.show, name=_name(args))
    text = json.dumps(report, indent=2, ensure_ascii=False)
    if args.out is not None:
        write_text(args.out, text + "\n")
    if args.label_groups is not None:
        _write_label_groups(report, args.label_groups)
    print(text if args.json else format_audit(report))
    return 1 if args.strict and report["num_findings"] else 0


def _name(args: argparse.Namespace) -> str:
    """The data set's name without its folder: signatures must not depend on the machine."""
    name = Path(args.dataset).name
    return f"train of {name}" if args.config is None else f"train of {name} {args.config}"


def _write_label_groups(report: dict[str, Any], path: Path) -> None:
    from modeling_sigma.metrics.label_groups import LabelGroups

    if "label_groups" not in report:
        raise ValueError(
            f"--label-groups is for isolated signs, but this data set was audited for {report['task']}: "
            "give --task islr"
        )
    LabelGroups(**report["label_groups"]).save(path)


def _splits(args: argparse.Namespace) -> Any:
    from datasets.utils import logging

    from datasets_scripts.corpora import load_corpus

    logging.disable_progress_bar()
    return load_corpus(args.dataset, args.config, data_dir=args.data_dir, streaming=True)


def _tokenizer(name: str) -> Any:
    from transformers import AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    return AutoTokenizer.from_pretrained(name, trust_remote_code=False)
