"""`sigma-slu index`: embeds clips or texts once, to search among them with `sigma-slu search`."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modeling_sigma.cli.video_options import add_video_options, estimator_for


if TYPE_CHECKING:
    from modeling_sigma.inference.embedding_index import EmbeddingIndex


_EXAMPLES = """
examples:
  sigma-slu index clips/ --model pretrained --out clips-index
  sigma-slu index --texts sentences.txt --model pretrained --out texts-index
  sigma-slu index part-1-index part-2-index --merge --out clips-index
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `index`."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="clips to embed, or folders of clips")
    parser.add_argument("--texts", type=Path, metavar="FILE", help="file of texts to embed instead, one per line")
    parser.add_argument("--merge", action="store_true", help="join indexes, which FILE names, instead of embedding")
    parser.add_argument("--model", metavar="DIR", help="folder of a pre-trained model, or its name on the Hub")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to write the index to")
    parser.add_argument(
        "--batch-size", type=int, default=16, metavar="N", help="number of clips or texts per batch (default 16)"
    )
    parser.add_argument("--device", default="cpu", help="device to compute on: cpu (default), cuda, cuda:1, mps")
    add_video_options(parser, has_device=True)


def run(args: argparse.Namespace) -> int:
    """Writes the index; returns 1 if some clips could not be read, else 0."""
    from modeling_sigma.cli.quiet_libraries import silence_transformers
    from modeling_sigma.inference.embedding_index import ENTRIES
    from modeling_sigma.jobs.atomic_folders import atomic_folder
    from modeling_sigma.jobs.torch_devices import usable_device

    if (args.texts is None) == (not args.files):
        raise ValueError("expected either clips or --texts FILE")
    if args.merge == (args.model is not None) or (args.merge and args.texts is not None):
        raise ValueError("expected --model DIR, or indexes and --merge: an index knows its model")
    if args.batch_size < 1:
        raise ValueError(f"expected --batch-size of at least 1, received {args.batch_size}")
    silence_transformers()
    usable_device(args.device)  # before the clips are read
    with atomic_folder(args.out, key_file=ENTRIES) as folder:  # locked from the start: the work may take hours
        index, num_failed = _write_index(args, folder)
    print(f"Wrote {args.out}: {len(index)} {index.kind}, vectors of {index.embeddings.shape[1]} numbers.")
    return 1 if num_failed else 0


def _write_index(args: argparse.Namespace, folder: Path) -> tuple[EmbeddingIndex, int]:
    """The index that is now in `folder`, and the number of clips that could not be read."""
    from modeling_sigma.inference.embedding_index import EmbeddingIndex, build_index
    from modeling_sigma.inference.load_pipeline import load_pipeline
    from modeling_sigma.io.text_files import read_lines

    if args.merge:
        index = EmbeddingIndex.joined([EmbeddingIndex.load(path) for path in args.files])
        index.save(folder)
        return index, 0
    num_failed = 0
    if args.texts is not None:
        entries = read_lines(args.texts, "texts, one per line")
        items: list[Any] = list(entries)
    else:
        items, entries, num_failed = _read_clips(args)
    if not items:
        raise ValueError("expected at least one clip or text, found none that can be read")
    pipe = load_pipeline(args.model, "sign-text-retrieval", args.device)
    kind = "clips" if args.texts is None else "texts"
    index = build_index(pipe, items, entries, kind, str(args.model), args.batch_size)
    index.save(folder)
    return index, num_failed


def _read_clips(args: argparse.Namespace) -> tuple[list[Any], list[str], int]:
    from modeling_sigma.io import load_clip
    from modeling_sigma.io.clip_paths import clip_paths
    from modeling_sigma.jobs.retrying import with_retries

    paths = [path for file in args.files for path in clip_paths(file)]
    estimator = estimator_for(args, paths)
    clips, entries, num_failed = [], [], 0
    for path in paths:
        try:
            clips.append(with_retries(partial(load_clip, path, estimator=estimator)))
            entries.append(str(path))
        except (ValueError, OSError, ImportError) as error:
            if args.debug:
                raise
            num_failed += 1
            print(f"sigma-slu index: error: {' '.join(str(error).split())}", file=sys.stderr)
    return clips, entries, num_failed
