"""All corpora by name, and one function that loads any of them."""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import pyarrow
from pyarrow import parquet

from datasets_scripts.schema import LATER_COLUMNS, SPLITS, features
from modeling_sigma.io.reading_errors import one_line


if TYPE_CHECKING:
    from datasets_scripts.reading.corpus_builder import CorpusBuilder


class _LazyClasses(Mapping[str, "type[CorpusBuilder]"]):
    """Name to class; the module of a corpus, which has the corpus's name, is imported when it is asked for."""

    def __init__(self, **class_names: str) -> None:
        self._class_names = class_names

    def __getitem__(self, name: str) -> type[CorpusBuilder]:
        class_name = self._class_names[name]
        builder: type[CorpusBuilder] = getattr(importlib.import_module(f"datasets_scripts.{name}"), class_name)
        return builder

    def __iter__(self) -> Iterator[str]:
        return iter(self._class_names)

    def __len__(self) -> int:
        return len(self._class_names)


# A new corpus is a file of this folder and one line here.
CORPORA: Mapping[str, type[CorpusBuilder]] = _LazyClasses(
    wlasl="Wlasl",
    msasl="Msasl",
    csl_daily="CslDaily",
    csl_news="CslNews",
    how2sign="How2Sign",
    openasl="OpenAsl",
    phoenix2014t="Phoenix2014T",
    youtube_asl="YoutubeAsl",
    wlasl_hands="WlaslHands",
    bdsl_words="BdslWords",
    boston104="Boston104",
    nsl_alphabet="NslAlphabet",
    fingerspelling="Fingerspelling",
    joined_signs="JoinedSigns",
    synthetic="Synthetic",
    folder="Folder",
)


def load_corpus(
    name_or_path: str | os.PathLike[str],
    config_name: str | None = None,
    split: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    streaming: bool = False,
    **options: Any,
) -> datasets.Dataset | datasets.DatasetDict | datasets.IterableDataset | datasets.IterableDatasetDict:
    """Loads a corpus from its own files, a folder that `sigma-slu build-dataset` made, or the Hub.

    Args:
        name_or_path (`str` or `os.PathLike`):
            A name of [`CORPORA`] (`"wlasl_hands"`, `"folder"`, `"synthetic"`, ...), an existing folder of Parquet
            files, or a name on the Hub (`"org/name"`).
        config_name (`str`, *optional*):
            A config of the corpus, such as `"wlasl100"`.
        split (`str`, *optional*):
            `"train"`, `"validation"` or `"test"`, also with datasets' slices: `"train[:10%]"`.
        data_dir (`str` or `os.PathLike`, *optional*):
            The folder with the corpus's own files; only for names of [`CORPORA`].
        streaming (`bool`, *optional*, defaults to `False`):
            Read clips when they are asked for, instead of reading all of them into the cache first.
        **options:
            Options of the corpus: the fields of its config, and `cache_dir`.

    Returns:
        `datasets.Dataset` with the columns of `datasets_scripts.schema.features`; without `split` a
        `datasets.DatasetDict` of all splits. With `streaming`, the iterable ones.

    Raises:
        ValueError: for an unknown name, data of another schema, or a damaged file.
        FileNotFoundError: if a folder or all files of a corpus are missing.

    Example:

    ```python
    >>> import tempfile
    >>> from datasets_scripts.corpora import load_corpus
    >>> from datasets_scripts.schema import decode_clip
    >>> with tempfile.TemporaryDirectory() as cache:
    ...     dataset = load_corpus("synthetic", "isolated", "test", num_test=3, cache_dir=cache)
    ...     decode_clip(dataset[0]).layout
    'sigma_69'

    ```
    """
    name = os.fspath(name_or_path)
    if name in CORPORA:
        builder = CORPORA[name](config_name=config_name, data_dir=data_dir, **options)
        if streaming:
            return builder.as_streaming_dataset(split=split)
        builder.download_and_prepare()
        found = builder.info.splits
        if split is not None and split.partition("[")[0] in set(SPLITS) - set(found):
            raise ValueError(
                f"{builder.FACTS.title}: expected a split that has clips ({', '.join(found)}), received {split!r}: "
                "the warnings of the load say what was left out"
            )
        return builder.as_dataset(split=split)
    # The name first: where it is misspelt, data_dir is right.
    if not Path(name).is_dir() and name.count("/") != 1:
        raise ValueError(
            f"{name}: no such folder, and no corpus has this name{did_you_mean(name) or ': check the path'} "
            f"(corpora: {', '.join(CORPORA)}; org/name for one on the Hub)"
        )
    if data_dir is not None:
        raise ValueError(
            f"data_dir belongs to the corpora {', '.join(CORPORA)}, received {name!r}: leave it out, or name a corpus"
        )
    if Path(name).is_dir() and not any(Path(name).rglob("*.parquet")):
        raise FileNotFoundError(f"{name}: no Parquet files: a folder of clips needs load_corpus('folder', data_dir=)")
    try:
        dataset = datasets.load_dataset(name, config_name, split=split, streaming=streaming, **options)
    except Exception as error:
        damaged = _damaged_file(Path(name))
        if damaged is None:
            raise
        raise ValueError(
            f"{damaged}: cannot be read ({one_line(error)[:200]}): the file is damaged or cut short: copy it "
            "again, or build the data set again"
        ) from error
    for part in dataset.values() if isinstance(dataset, dict) else [dataset]:
        needed = [column for column in features() if column not in LATER_COLUMNS]
        missing = [column for column in needed if column not in (part.features or ())]
        if missing:
            raise ValueError(f"{name}: expected the columns of datasets_scripts.schema, {', '.join(missing)} missing")
    return _without_decoding(dataset)


def _without_decoding(dataset: Any) -> Any:
    """Pictures are for people: whoever reads clips need not decode them."""
    parts = dataset.values() if isinstance(dataset, dict) else [dataset]
    if all("picture" not in (part.features or ()) for part in parts):
        return dataset
    return dataset.cast_column("picture", datasets.Image(decode=False))


def _damaged_file(folder: Path) -> Path | None:
    """The first Parquet file in a folder that cannot be read to its end."""
    for path in sorted(folder.rglob("*.parquet")):
        try:
            for _ in parquet.ParquetFile(path).iter_batches():
                pass
        except (pyarrow.ArrowException, OSError) as error:
            if getattr(error, "errno", None) is not None:
                raise  # the disk's own error, not one of the content
            return path
    return None


def did_you_mean(name: str) -> str:
    """The end of a message about a name that no corpus has: the nearest one, if any is near."""
    near = difflib.get_close_matches(name.strip().lower().replace("-", "_"), CORPORA, n=1)
    return f": did you mean {near[0]}?" if near else ""
