"""The clips of a run: training, validation and test splits of its corpora."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import Any

import datasets
import numpy as np

from datasets_scripts.corpora import load_corpus
from datasets_scripts.reading.split_by_signer import split_by_signer
from modeling_sigma.training.arguments import DataArguments
from modeling_sigma.training.data.joined_sentences import join_sentences
from modeling_sigma.training.data.streamed_clips import StreamedCorpus


def load_splits(data_args: DataArguments) -> dict[str, Any]:
    """Loads the split `train`, and `validation` and `test` unless they are `"none"`. With `streaming`, `train` is a
    [`StreamedCorpus`].

    Raises:
        ValueError, OSError: if a corpus or a split cannot be read, or a split has no clip.
    """
    folders: list[str | None] = [*data_args.data_dir] if data_args.data_dir else [None]
    sources = [
        (*split_name(name), folders[number if len(folders) > 1 else 0]) for number, name in enumerate(data_args.corpus)
    ]
    splits: dict[str, Any] = {
        "train": _streamed(sources, data_args) if data_args.streaming else _joined(sources, data_args)
    }
    if data_args.joined_sentences:
        splits["train"] = with_joined_sentences(splits["train"], data_args)
    judged = sources[-1]
    if data_args.validation_corpus is not None:
        named = [source for name, source in zip(data_args.corpus, sources) if name == data_args.validation_corpus]
        judged = named[0] if named else (*split_name(data_args.validation_corpus), folders[-1])
    for name, split in (("validation", data_args.validation_split), ("test", data_args.test_split)):
        if split != "none":
            splits[name] = _load(judged, split, data_args.corpus_options)
    for name in splits:
        if isinstance(splits[name], StreamedCorpus):
            continue
        limit = getattr(data_args, f"max_{name}_clips")
        if limit is not None:
            splits[name] = splits[name].select(range(min(limit, len(splits[name]))))
        if len(splits[name]) == 0:
            raise ValueError(f"expected clips in the {name} split of {', '.join(data_args.corpus)}, received none")
    return splits


def _joined(sources: Sequence[tuple[str, str | None, str | None]], data_args: DataArguments) -> datasets.Dataset:
    return datasets.concatenate_datasets(
        [_load(source, data_args.train_split, data_args.corpus_options) for source in sources]
    )


def _streamed(sources: Sequence[tuple[str, str | None, str | None]], data_args: DataArguments) -> StreamedCorpus:
    if data_args.max_train_clips is not None:
        raise ValueError("expected no max_train_clips with streaming: a stream ends with max_steps")
    return StreamedCorpus(
        sources,
        data_args.train_split,
        data_args.corpus_weights,
        data_args.shuffle_window,
        dict(data_args.corpus_options or {}),  # type: ignore[arg-type]
    )


def with_joined_sentences(rows: datasets.Dataset, data_args: DataArguments, seed: int = 0) -> datasets.Dataset:
    """Sentences of the corpus and joined ones; single signs, which have no glosses, are only joined."""
    joined = join_sentences(
        rows, data_args.joined_sentences, data_args.joined_piece, data_args.joined_length, seed=seed
    )
    sentences = [index for index, gloss in enumerate(rows["gloss"]) if gloss]
    if data_args.joined_alone or not sentences:
        return joined
    return datasets.concatenate_datasets([rows.select(sentences), joined])


def split_name(name: str) -> tuple[str, str | None]:
    """`NAME:CONFIG` -> (NAME, CONFIG). Paths keep their colons."""
    head, colon, config = name.rpartition(":")
    if not colon or "/" in config or "\\" in config or os.path.exists(name):
        return name, None
    return head, config


def _load(source: tuple[str, str | None, str | None], split: str, options: Any) -> datasets.Dataset:
    name, config, folder = source
    return load_corpus(name, config, split=split, data_dir=folder, **options)


def hold_out(
    rows: datasets.Dataset, share: float = 0.2, seed: int = 0
) -> tuple[datasets.Dataset, datasets.Dataset, str]:
    """Holds out clips for validation, for data that comes in one split.

    - If every text stays in training, whole signers are held out: new signers are what the model will meet.
    - Otherwise, if most texts occur more than once (signs), at least one clip of each of these is held out. A text
      that occurs once stays in training: no model can name a sign that it never saw.
    - Otherwise (sentences), whole texts are held out with all of their clips: a sentence that was trained on is easy
      to write again.

    Args:
        rows (`datasets.Dataset`):
            All clips.
        share (`float`, *optional*, defaults to 0.2):
            The approximate share of the clips to hold out.
        seed (`int`, *optional*, defaults to 0):
            The seed of the choice.

    Returns:
        `tuple`: the clips to train on, the clips held out, and a description of the choice.

    Raises:
        ValueError: if there are too few clips.
    """
    signers, texts = list(rows["signer_id"]), list(rows["text"])
    splits = split_by_signer(signers, validation_share=share, test_share=0.0, seed=seed)
    held = [index for index, split in enumerate(splits) if split == "validation"]
    left = {text for text, split in zip(texts, splits) if split == "train"}
    if held and left == set(texts):
        how = f"by signer: {', '.join(sorted({str(signers[index]) for index in held}))} are not trained on"
    else:
        held, unit = _choose_clips(texts, share, np.random.default_rng(seed))
        how = f"by {unit}: training and validation share signers, so expect lower scores for a new signer"
    kept = sorted(set(range(len(rows))) - set(held))
    if not held or not kept:
        raise ValueError(
            f"expected enough clips to hold some out for validation, received {len(rows)} of {len(set(texts))} texts: "
            "record at least two clips per text, or make a validation split"
        )
    return rows.select(kept), rows.select(sorted(held)), how


def _choose_clips(texts: Sequence[str], share: float, rng: np.random.Generator) -> tuple[list[int], str]:
    """The clips to hold out, and whether single clips or whole texts were chosen: `clip` or `text`."""
    groups: dict[str, list[int]] = {}
    for index, text in enumerate(texts):
        groups.setdefault(text, []).append(index)
    held: list[int] = []
    repeated = [members for members in groups.values() if len(members) > 1]
    # Most, not all: some signs of a collection have a single clip, and some sentences of a corpus occur twice.
    if len(repeated) > len(groups) / 2:
        for members in repeated:
            number = min(len(members) - 1, max(1, round(share * len(members))))
            held += [int(index) for index in rng.choice(members, number, replace=False)]
        return held, "clip"
    wanted, every_text = round(share * len(texts)), list(groups.values())
    for number in rng.permutation(len(every_text)):
        if len(held) + len(every_text[number]) <= wanted:
            held += every_text[number]
    return held, "text"


def fingerprint(rows: Any) -> dict[str, Any]:
    """Identifies the data of a run: sizes, a hash of ids, lengths, texts and splits, and that of `datasets`. Of a
    stream, what is known without reading it."""
    if isinstance(rows, StreamedCorpus):
        return rows.facts()
    digest = hashlib.sha256()
    columns = [list(rows[name]) for name in ("sample_id", "num_frames", "text", "split")]
    for values in zip(*columns):
        digest.update(repr(values).encode())
    return {
        "clips": len(rows),
        "frames": sum(columns[1]),
        "texts": len(set(columns[2])),
        "signers": len(set(rows["signer_id"]) - {None}),
        "sha256": digest.hexdigest(),
        "datasets_fingerprint": rows._fingerprint,
    }
