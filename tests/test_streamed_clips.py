"""Training clips from a stream: each once an epoch, exactly resumed, mixed by weight, and with the same losses."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from datasets_scripts.building.build import build_dataset
from datasets_scripts.corpora import load_corpus
from datasets_scripts.schema import decode_clip
from modeling_sigma import SigmaFeatureExtractor
from modeling_sigma.training.arguments import DataArguments, ModelArguments
from modeling_sigma.training.data.clip_dataset import BatchStream, ClipSample
from modeling_sigma.training.data.corpus_splits import load_splits
from modeling_sigma.training.data.streamed_clips import StreamedClips, StreamedCorpus, StreamLoader
from modeling_sigma.training.model_building import build_model
from modeling_sigma.training.recipes.finetune import finetune
from modeling_sigma.training.task import choose_task
from modeling_sigma.training.training_arguments import SigmaTrainingArguments


NUM_CLIPS = 46


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built data set: 46 clips in files of at most 6."""
    folder = tmp_path_factory.mktemp("streamed")
    build_dataset(
        "synthetic", folder / "data", config_name="isolated", clips_per_shard=6, num_train=NUM_CLIPS,
        num_validation=4, num_test=4,
    )  # fmt: skip
    return folder / "data"


def streamed(folder: Path, window: int = 16, **options: Any) -> StreamedCorpus:
    return StreamedCorpus([(str(folder), None, None)], "train", window=window, **options)


def loader(
    corpus: StreamedCorpus,
    rank: int = 0,
    world_size: int = 1,
    num_workers: int = 0,
    place: Any = None,
    collate: Any = None,
) -> StreamLoader:
    clips = StreamedClips(corpus, seed=3)
    clips.prepare(SigmaFeatureExtractor(max_frames=32), rank, world_size, max_clips=4)
    return StreamLoader(clips, collate or _names, num_workers, place)


def _texts(samples: list[ClipSample]) -> list[str]:
    return [sample.text for sample in samples]


def _names(samples: list[ClipSample]) -> list[tuple[str, float]]:
    return [(sample.sample_id, float(sample.generator.random())) for sample in samples]


def _names_in(batches: Any) -> list[str]:
    return [name for batch in batches for name, _ in batch]


def test_each_clip_comes_once_an_epoch_in_another_order_and_to_one_process(corpus: Path) -> None:
    found = []
    for epoch_batches in (islice(loader(streamed(corpus)), 12), islice(loader(streamed(corpus)), 12, 24)):
        names = _names_in(epoch_batches)
        assert len(names) == len(set(names)) == NUM_CLIPS
        found.append(names)
    assert found[0] != found[1]
    parts = [set(_names_in(islice(loader(streamed(corpus), rank, 2), 4))) for rank in (0, 1)]
    assert not parts[0] & parts[1]


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("taken", [3, 13])  # in the middle of a window; in the second epoch
def test_a_stream_goes_on_exactly_where_it_was_left(corpus: Path, num_workers: int, taken: int) -> None:
    whole = loader(streamed(corpus), num_workers=num_workers)
    wanted = list(islice(whole, taken + 14))
    first = loader(streamed(corpus), num_workers=num_workers)
    assert list(islice(first, taken)) == wanted[:taken]
    place = json.loads(json.dumps(first.place))  # as in a checkpoint
    again = loader(streamed(corpus), num_workers=num_workers, place=place)
    assert list(islice(again, 14)) == wanted[taken:]
    assert again.place["num_batches"] == whole.place["num_batches"] == taken + 14


def test_a_place_of_another_loader_is_refused(corpus: Path) -> None:
    first = loader(streamed(corpus))
    list(islice(first, 2))
    for change in ({"num_workers": 2}, {"world_size": 2}):
        with pytest.raises(ValueError, match=r"as when the checkpoint was written"):
            loader(streamed(corpus), place=first.place, **change)
    with pytest.raises(ValueError, match="expected corpus_window 16"):
        loader(streamed(corpus, window=8), place=first.place)


@pytest.mark.slow
def test_corpora_are_mixed_by_weight_and_resumed(corpus: Path, tmp_path: Path) -> None:
    build_dataset(
        "synthetic", tmp_path / "other", config_name="sentences", num_train=40, num_validation=2, num_test=2,
        clips_per_shard=10,
    )  # fmt: skip
    sources = [(str(corpus), None, None), (str(tmp_path / "other"), None, None)]
    mixed = StreamedCorpus(sources, "train", weights=[3, 1], window=20)
    texts = [text for batch in islice(loader(mixed, collate=_texts), 50) for text in batch]
    assert 0.65 < sum(" " not in text for text in texts) / len(texts) < 0.85  # single signs; the others are sentences
    batches = list(islice(loader(mixed), 50))
    begun = loader(mixed)
    list(islice(begun, 21))
    again = loader(mixed, place=json.loads(json.dumps(begun.place)))
    assert list(islice(again, 29)) == batches[21:]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"corpus": ["a/b", "c/d"]}, "a positive weight for each of 2 streamed corpora, received"),
        ({"corpus": ["a/b"], "shuffle_window": 0}, "shuffle_window of at least 1"),
        ({"corpus": ["a/b"], "max_train_clips": 3}, "no max_train_clips with streaming"),
    ],
)
def test_options_that_a_stream_cannot_have_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_splits(DataArguments(streaming=True, validation_split="none", test_split="none", **options))


def test_more_readers_than_files_are_refused(corpus: Path) -> None:
    with pytest.raises(ValueError, match="expected a Parquet file for each reader, received 8 for 9"):
        list(islice(loader(streamed(corpus), num_workers=9), 1))


SIZES = {
    "text_config": {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_heads": 4, "num_layers": 1, "dropout_rate": 0.1},
    "pose_config": {"joint_hidden_size": 8, "spatial_hidden_sizes": [8], "temporal_hidden_sizes": [16]},
    "fusion_layers": 1,
    "max_frames": 32,
}


def _arguments(folder: Path, steps: int, **options: Any) -> SigmaTrainingArguments:
    return SigmaTrainingArguments(
        output_dir=str(folder), do_train=True, max_steps=steps, logging_steps=1, eval_strategy="no",
        load_best_model_at_end=False, use_cpu=True, disable_tqdm=True, per_device_train_batch_size=4, report_to=[],
        **{"save_strategy": "no", **options},
    )  # fmt: skip


def _losses(folder: Path) -> list[float]:
    lines = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if "loss" in line]


def test_losses_are_those_of_local_files_in_the_same_order(corpus: Path, tmp_path: Path) -> None:
    """And a run that goes on in the middle of an epoch ends with the same losses."""
    data = DataArguments(
        task="islr", corpus=[str(corpus)], streaming=True, shuffle_window=16, validation_split="none",
        test_split="none", augmentation={"rotation": 10, "noise": 0.01},
    )  # fmt: skip
    model = ModelArguments(model_config=SIZES, head="classification")
    finetune(model, data, _arguments(tmp_path / "streamed", 8))
    losses = _losses(tmp_path / "streamed")
    assert len(losses) == 8

    order = islice(loader_like_a_run(corpus), 8)
    local = load_corpus(str(corpus), split="train")
    rows = {row["sample_id"]: row for row in local}
    batches = []
    for samples in order:
        batches.append(
            [
                ClipSample(decode_clip(row := rows[one.sample_id]), row["sample_id"], row["text"], row["gloss"],
                           row["spoken_language"], generator=one.generator)
                for one in samples
            ]
        )  # fmt: skip
    from transformers import set_seed

    args = _arguments(tmp_path / "local", 8)
    task = choose_task("islr", "classification")
    set_seed(args.seed)
    task.number_labels({"train": local})
    net, processor = build_model(model, task, local, {"rotation": 10, "noise": 0.01})
    trainer = task.trainer_class(
        task=task, model=net, args=args, train_dataset=BatchStream(batches), processing_class=processor
    )
    trainer.train()
    assert [line["loss"] for line in trainer.state.log_history if "loss" in line] == losses

    options = {"save_strategy": "steps", "save_steps": 3, "resume": True, "lr_scheduler_type": "constant"}
    for steps in (3, 8):
        finetune(model, data, _arguments(tmp_path / "resumed", steps, **options))
    finetune(model, data, _arguments(tmp_path / "whole", 8, lr_scheduler_type="constant"))
    assert _losses(tmp_path / "resumed") == _losses(tmp_path / "whole")


def loader_like_a_run(corpus: Path) -> Any:
    """The samples of each batch, as `finetune` reads them with its seed."""
    clips = StreamedClips(streamed(corpus), seed=42)
    clips.prepare(SigmaFeatureExtractor(max_frames=32), 0, 1, max_clips=4)
    return StreamLoader(clips, list, 0)


@pytest.mark.slow
def test_two_processes_go_on_in_the_middle_of_an_epoch(corpus: Path, tmp_path: Path) -> None:
    """Each reads files of its own; a run that was stopped has the losses of one that was not."""
    import os
    import subprocess
    import sys

    root = Path(__file__).resolve().parents[1]
    launcher = ["-m", "accelerate.commands.launch", "--config_file",
                str(root / "examples" / "accelerate" / "two_cpu_processes.yaml")]  # fmt: skip
    fields = {
        "task": "islr", "head": "classification", "corpus": [str(corpus)], "streaming": True, "shuffle_window": 8,
        "validation_split": "none", "test_split": "none", "model_config": SIZES, "augmentation": {"noise": 0.01},
        "do_train": True, "logging_steps": 1, "eval_strategy": "no", "load_best_model_at_end": False, "use_cpu": True,
        "disable_tqdm": True, "per_device_train_batch_size": 2, "lr_scheduler_type": "constant",
        "dataloader_num_workers": 1, "save_strategy": "steps", "save_steps": 3, "resume": True,
    }  # fmt: skip
    (tmp_path / "config.yaml").write_text(json.dumps(fields))
    for name, steps in (("whole", 16), ("resumed", 6), ("resumed", 16)):
        done = subprocess.run(
            [sys.executable, *launcher, str(root / "examples" / "finetune.py"), str(tmp_path / "config.yaml"),
             "--output_dir", str(tmp_path / name), "--max_steps", str(steps)],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
    assert len(list((tmp_path / "resumed").glob("checkpoint-*/stream_*.json"))) >= 2
    assert len(_losses(tmp_path / "whole")) == 16  # 46 clips, 4 a step: the second epoch has begun
    assert _losses(tmp_path / "resumed") == _losses(tmp_path / "whole")
