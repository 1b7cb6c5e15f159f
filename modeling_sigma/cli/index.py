"""`sigma-slu index`: embeds clips or texts once, to search among them with `sigma-slu search`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


_EXAMPLES = """
examples:
  sigma-slu index clips/ --model pretrained --out clips-index
  sigma-slu index --texts sentences.txt --model pretrained --out texts-index
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="clips, or folders of clips")
    parser.add_argument("--texts", type=Path, metavar="FILE", help="a file with one text a line, instead of clips")
    parser.add_argument("--model", required=True, metavar="DIR", help="pre-trained model folder, or a name on the Hub")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="where the index goes")
    parser.add_argument("--batch-size", type=int, default=16, metavar="N", help="computed together (default 16)")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, mps")


def run(args: argparse.Namespace) -> int:
    """Writes the index; 1 if some clips could not be read."""
    from modeling_sigma.inference.embedding_index import build_index
    from modeling_sigma.io.text_files import read_lines
    from modeling_sigma.jobs.torch_devices import usable_device

    if (args.texts is None) == (not args.files):
        raise ValueError("expected clips or --texts FILE, one of them")
    if args.batch_size < 1:
        raise ValueError(f"expected --batch-size of at least 1, received {args.batch_size}")
    usable_device(args.device)  # before the clips are read
    num_failed = 0
    if args.texts is not None:
        entries = read_lines(args.texts, "texts, one a line")
        items: list[Any] = list(entries)
    else:
        items, entries, num_failed = _read_clips(args)
    if not items:
        raise ValueError("expected at least one clip or text, found none that can be read")
    pipe = load_retriever(args.model, args.device)
    kind = "clips" if args.texts is None else "texts"
    index = build_index(pipe, items, entries, kind, str(args.model), args.batch_size)
    index.save(args.out)
    print(f"Wrote {args.out}: {len(index)} {kind}, {index.embeddings.shape[1]} numbers each.")
    return 1 if num_failed else 0


def load_retriever(name_or_path: str, device: str = "cpu") -> Any:
    """The `sign-text-retrieval` pipeline of a folder or Hub name. No code from there is run.

    Raises:
        ValueError: if there is no Sigma model that was trained on pairs of clips and texts.
    """
    from transformers import pipeline
    from transformers.utils import logging

    from modeling_sigma.inference.model_config import load_model_config, saved_class
    from modeling_sigma.jobs.torch_devices import usable_device
    from modeling_sigma.model.pipeline_retrieval_sigma import SignTextRetrievalPipeline

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    architecture = saved_class(load_model_config(name_or_path))
    able = ("SigmaModel", "SigmaForPreTraining")
    if architecture not in able:
        raise ValueError(
            f"{name_or_path}: expected a model that compares clips and texts ({', '.join(able)}), found {architecture}"
        )
    return pipeline(
        "sign-text-retrieval",
        model=str(name_or_path),
        device=usable_device(device),
        pipeline_class=SignTextRetrievalPipeline,
        dtype="auto",
    )


def _read_clips(args: argparse.Namespace) -> tuple[list[Any], list[str], int]:
    from modeling_sigma.io import load_clip
    from modeling_sigma.io.clip_paths import clip_paths

    paths = [path for file in args.files for path in clip_paths(file)]
    clips, entries, num_failed = [], [], 0
    for path in paths:
        try:
            clips.append(load_clip(path))
            entries.append(str(path))
        except (ValueError, OSError, ImportError) as error:
            if args.debug:
                raise
            num_failed += 1
            print(f"sigma-slu index: error: {' '.join(str(error).split())}", file=sys.stderr)
    return clips, entries, num_failed
