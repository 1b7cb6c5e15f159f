"""All corpora by name; the synthetic one through the builder, the cache, Parquet, streaming and load_corpus."""

from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, DatasetDict, IterableDatasetDict

import modeling_sigma
from datasets_scripts.corpora import CORPORA, load_corpus
from datasets_scripts.reading.corpus_builder import CorpusBuilder
from datasets_scripts.schema import decode_clip, encode_sample, features
from datasets_scripts.synthetic import Synthetic, SyntheticSigns
from tests.factories import random_clip
from tests.import_graph import cycles, imported_files, source_files


def test_the_two_doors_of_the_package() -> None:
    assert modeling_sigma.load_corpus is load_corpus and modeling_sigma.decode_clip is decode_clip
    assert {"load_corpus", "decode_clip"} <= set(modeling_sigma.__all__) & set(dir(modeling_sigma))


def test_folders_have_no_circle() -> None:
    files = source_files()
    ours = {name: path for name, path in files.items() if name.startswith("datasets_scripts.")}
    folders = {path.parent.name for path in ours.values()} - {"datasets_scripts"}
    assert folders == {"reading", "building", "auditing", "synthetic_language"}
    arrows: dict[str, set[str]] = {folder: set() for folder in folders}
    for name, path in ours.items():
        for target, _ in imported_files(name, path, files):
            if target in ours and path.parent != ours[target].parent:
                arrows.setdefault(path.parent.name, set()).add(ours[target].parent.name)
    arrows.pop("datasets_scripts")  # the corpora are built of these folders, which know their row and their table
    assert cycles({folder: others - {"datasets_scripts"} for folder, others in arrows.items()}) == []
    assert arrows["reading"] == {"datasets_scripts"} and "building" not in arrows["auditing"]


def test_every_corpus_is_a_builder_with_facts() -> None:
    for name, builder in CORPORA.items():
        assert issubclass(builder, CorpusBuilder), name
        assert builder.FACTS.title and builder.FACTS.license and builder.FACTS.homepage, name
        assert set(builder.FACTS.tasks) <= {"islr", "cslr", "slt"} and builder.FACTS.tasks, name
        assert builder.BUILDER_CONFIGS and builder.DEFAULT_CONFIG_NAME in builder.builder_configs, name


def test_synthetic_builder_and_load_corpus_agree(tmp_path: Path) -> None:
    sizes = {"num_train": 5, "num_validation": 2, "num_test": 3}
    builder = Synthetic(config_name="sentences", cache_dir=tmp_path, **sizes)
    builder.download_and_prepare()
    dataset = builder.as_dataset(split="train")
    assert len(dataset) == 5 and dataset.features == features()
    sample = SyntheticSigns().sentence(2, split="train")
    assert (dataset[2]["text"], dataset[2]["gloss"], dataset[2]["signer_id"]) == (
        sample.text,
        sample.gloss,
        sample.signer_id,
    )
    assert np.array_equal(decode_clip(dataset[2]).scores > 0, sample.clip.scores[:, _SIGMA_JOINTS] > 0)
    loaded = load_corpus("synthetic", "sentences", cache_dir=tmp_path, **sizes)
    assert isinstance(loaded, DatasetDict)
    assert {split: len(part) for split, part in loaded.items()} == {"train": 5, "validation": 2, "test": 3}
    assert loaded["train"][2] == dataset[2]


def test_streaming_and_processes_give_the_same_rows(tmp_path: Path) -> None:
    def builder(folder: str) -> Synthetic:
        return Synthetic(
            config_name="isolated", cache_dir=tmp_path / folder, num_train=6, num_validation=0, num_test=1
        )

    one, two = builder("one"), builder("two")
    one.download_and_prepare()
    two.download_and_prepare(num_proc=2)
    rows = list(one.as_dataset(split="train"))
    assert list(two.as_dataset(split="train")) == rows
    sizes = {"num_train": 6, "num_validation": 0, "num_test": 1}
    stream = load_corpus("synthetic", "isolated", cache_dir=tmp_path / "three", streaming=True, **sizes)
    assert isinstance(stream, IterableDatasetDict) and set(stream) == {"train", "test"}
    assert list(stream["train"]) == rows
    assert list(load_corpus("synthetic", "isolated", "train", streaming=True, **sizes)) == rows
    assert len(decode_clip(next(iter(stream["train"].with_format("torch"))))) == rows[0]["num_frames"]
    assert set(one.as_dataset()) == {"train", "test"}


def test_a_folder_of_parquet_files(tmp_path: Path) -> None:
    dataset = load_corpus(
        "synthetic", split="test", num_test=2, num_train=0, num_validation=0, cache_dir=tmp_path / "a"
    )
    (tmp_path / "built").mkdir()
    dataset.to_parquet(str(tmp_path / "built" / "test-00000-of-00001.parquet"))
    for streaming in (False, True):
        options = {"cache_dir": str(tmp_path / "b"), "streaming": streaming}
        assert list(load_corpus(tmp_path / "built", split="test", **options)) == list(dataset)
        assert list(load_corpus(tmp_path / "built", **options)["test"]) == list(dataset)


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="wlsal: no such folder, and no corpus .*did you mean wlasl.*synthetic"):
        load_corpus("wlsal")
    with pytest.raises(FileNotFoundError, match="no Parquet files: a folder of clips needs"):
        load_corpus(tmp_path)
    with pytest.raises(ValueError, match="data_dir belongs to the corpora wlasl, .* leave it out, or name a corpus"):
        load_corpus(tmp_path, data_dir=tmp_path)
    with pytest.raises(ValueError, match="belongs to the corpora .*, received 'org/name': leave it out"):
        load_corpus("org/name", data_dir=tmp_path)
    with pytest.raises(ValueError, match="unknown option 'num_trian'"):
        load_corpus("synthetic", num_trian=3)
    with pytest.raises(ValueError, match="'sentence' not found. Available: .*'sentences'"):
        load_corpus("synthetic", "sentence")
    folder = tmp_path / "other"
    folder.mkdir()
    Dataset.from_dict({"text": ["a"]}).to_parquet(str(folder / "train.parquet"))
    for streaming in (False, True):
        with pytest.raises(ValueError, match="expected the columns of datasets_scripts.schema, sample_id"):
            load_corpus(folder, cache_dir=str(tmp_path / "cache"), streaming=streaming)


def test_data_sets_of_earlier_versions_are_read(tmp_path: Path) -> None:
    row = encode_sample(
        random_clip(4), sample_id="a", sign_language="synthetic", spoken_language="English", split="train"
    )
    Dataset.from_list([row], features=features()).remove_columns("estimator").to_parquet(tmp_path / "train.parquet")
    rows = load_corpus(tmp_path, split="train", cache_dir=str(tmp_path / "cache"))
    assert decode_clip(rows[0]).estimator is None


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("wlsal_hands", "wlasl_hands"),
        ("CSL-Daily", "csl_daily"),
        ("how2sing", "how2sign"),
        ("phoenix", "phoenix2014t"),
    ],
)
@pytest.mark.parametrize("has_folder", [False, True])
def test_a_misspelt_name_meets_the_nearest(tmp_path: Path, name: str, meant: str, has_folder: bool) -> None:
    """Also with a folder: it is the name that is wrong, and not data_dir."""
    with pytest.raises(ValueError) as caught:
        load_corpus(name, data_dir=tmp_path if has_folder else None)
    message = str(caught.value)
    assert message.startswith(f"{name}: no such folder, and no corpus has this name: did you mean {meant}? (corpora: ")
    assert "leave it out" not in message


def test_a_name_like_no_other_gets_the_list(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="^zzz: no such folder, and no corpus .* check the path .corpora: wlasl, "):
        load_corpus("zzz", data_dir=tmp_path)


_SIGMA_JOINTS = [0, *range(3, 11), *range(91, 133), *range(23, 40, 2), *range(83, 91), 53]
