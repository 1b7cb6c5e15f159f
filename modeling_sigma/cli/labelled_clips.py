"""Clips with labels for a command: files of one label, a folder with a table, or a corpus."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class LabelledClip:
    """A clip, not yet read.

    Args:
        clip (path or row of a data set): The clip.
        label (`str`): What is signed in it.
        sample_id (`str`, *optional*): Its name in the corpus.
        sign_language, signer_id (`str`, *optional*): What the corpus says about it.
    """

    clip: Any
    label: str
    sample_id: str | None = None
    sign_language: str | None = None
    signer_id: str | None = None


def add_clip_arguments(parser: argparse.ArgumentParser, split: str) -> None:
    """Adds the arguments that say which clips, with the split to take if there are several."""
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="clips of one label, or folders of them")
    parser.add_argument("--label", metavar="LABEL", help="label of all FILEs")
    parser.add_argument("--signer", metavar="NAME", help="name or number of who signs in the FILEs")
    parser.add_argument(
        "--data",
        metavar="FOLDER",
        help="folder of clips with a table (metadata.csv: path, label; signer), folder that build-dataset wrote, or "
        "NAME[:CONFIG] of a corpus, instead of FILEs",
    )
    parser.add_argument("--data-dir", metavar="DIR", help="folder of a corpus that --data names")
    parser.add_argument(
        "--split", default=split, metavar="NAME", help=f"split of --data to take, or all (default {split})"
    )
    parser.add_argument("--sign-language", metavar="NAME", help="English name of the sign language")


def labelled_clips(args: argparse.Namespace) -> Iterator[LabelledClip]:
    """The clips that the arguments name.

    Raises:
        ValueError: for files without a label, both or none of FILEs and --data, or a split without labelled clips.
    """
    if bool(args.files) == (args.data is not None):
        raise ValueError("expected either FILEs with --label or --data")
    if args.data is not None:
        yield from _of_corpus(args)
        return
    if args.label is None:
        raise ValueError("expected --label LABEL for the FILEs")
    from modeling_sigma.io.clip_paths import clip_paths

    for file in args.files:
        for path in clip_paths(file):
            yield LabelledClip(path, args.label, None, args.sign_language, args.signer)


def read_clip(clip: LabelledClip) -> Any:
    """The clip of a file, or the row of a data set as it is."""
    from modeling_sigma.io import load_clip
    from modeling_sigma.jobs.retrying import with_retries

    return with_retries(partial(load_clip, clip.clip)) if isinstance(clip.clip, Path) else clip.clip


def _of_corpus(args: argparse.Namespace) -> Iterator[LabelledClip]:
    from datasets_scripts.corpora import CORPORA, load_corpus
    from datasets_scripts.folder import UNKNOWN

    if args.label is not None or args.signer is not None:
        raise ValueError("expected labels and signers from --data, received --label or --signer: leave it out")
    path, name, config = Path(args.data), args.data, None
    if args.data not in CORPORA and path.is_dir() and not any(path.rglob("*.parquet")):
        # Without shares the table's own splits are used, or all clips are train.
        splits = load_corpus("folder", data_dir=path, validation_share=0.0, test_share=0.0)
    else:
        if not path.exists():
            name, _, config = args.data.partition(":")
        splits = load_corpus(name, config or None, data_dir=args.data_dir)
    chosen = list(splits) if args.split == "all" else [args.split]
    missing = [split for split in chosen if split not in splits]
    if missing:
        raise ValueError(f"{args.data}: expected a split among {', '.join(splits)} or all, received {missing[0]!r}")
    num_labelled = 0
    for split in chosen:
        for row in splits[split]:
            if not row["text"].strip():
                continue
            num_labelled += 1
            language = args.sign_language or row["sign_language"]
            yield LabelledClip(
                row, row["text"], row["sample_id"], None if language == UNKNOWN else language, row["signer_id"]
            )
    if not num_labelled:
        raise ValueError(f"{args.data}: expected clips with a label, found none in {args.split}")
