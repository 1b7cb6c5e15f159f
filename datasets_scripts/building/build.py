"""Turns a corpus into a data set that `datasets.load_dataset` opens: Parquet files, a data card and a report.

Which clip goes into which file is decided before anything is written, and every file is written as a whole or not at
all. A run that was killed resumes where it stopped, and ends with the same bytes as an undisturbed one.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError

from datasets_scripts.building import large_push
from datasets_scripts.building.clip_statistics import LABEL_COUNTERS, length_quantile, merge_statistics, part_rates
from datasets_scripts.building.data_card import CARD, HISTOGRAM, write_card
from datasets_scripts.building.shard_writer import Shard, ShardWriter, plan_shards
from datasets_scripts.building.withdrawals import check_consent, without_withdrawn
from datasets_scripts.corpora import CORPORA, did_you_mean
from datasets_scripts.reading.corpus_builder import ClipEntry, CorpusBuilder
from datasets_scripts.schema import SPLITS
from modeling_sigma import __version__
from modeling_sigma.hub.bundle_files import is_plain_file
from modeling_sigma.hub.public_contents import public_content, secret_problems
from modeling_sigma.io.json_text import parsed_json, read_json
from modeling_sigma.io.reading_errors import DeviceError, PassingError, one_line
from modeling_sigma.jobs.atomic_files import sync_file, write_json
from modeling_sigma.jobs.progress import no_progress
from modeling_sigma.jobs.result_folder import Note, ResultFolder, is_whole
from modeling_sigma.jobs.worker_processes import TaskMaker, WorkerDeath, run_in_processes


REPORT = "build_report.json"
CLIPS_PER_SHARD = 500
# Runs a task for every shard in parallel: `run_in_processes`, or `run_on_cluster`, bound to their options.
Engine = Callable[[TaskMaker[Shard, Note], Sequence[Shard], int], Iterator[tuple[Shard, "Note | WorkerDeath"]]]
_WORK, _STATE = ".build", ".build.json"  # an unfinished build; what a finished one was made from


def build_dataset(
    corpus: str,
    out_dir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
    config_name: str | None = None,
    num_proc: int = 1,
    clips_per_shard: int = CLIPS_PER_SHARD,
    progress: Callable[[int, int], None] = no_progress,
    engine: Engine = run_in_processes,
    without: Path | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Builds a data set.

    `out_dir` gets `data/SPLIT-NUMBER-of-COUNT.parquet` with the columns of `datasets_scripts.schema.features`,
    `README.md` (the data card), `lengths.png` and `build_report.json`. Clips that are missing or cannot be read are
    left out, and the report names each of them. So are, for now, clips that could not be read for a reason that may
    pass, such as a failing disk (`postponed` in the report): the same call takes them up again.

    Args:
        corpus (`str`):
            A name of `datasets_scripts.corpora.CORPORA`.
        out_dir, data_dir (`str` or `os.PathLike`):
            The folder of the data set to build, and the folder of the corpus's own files.
        config_name (`str`, *optional*):
            A config of the corpus.
        num_proc (`int`, *optional*, defaults to 1):
            Number of processes.
        clips_per_shard (`int`, *optional*, defaults to 500):
            Largest number of clips in a file. A stream is divided among ranks and workers by files.
        progress (*optional*):
            Function that is called with the number of clips done and of all clips, at the start and after each file.
        engine (*optional*):
            What runs the work: processes on this machine, or `modeling_sigma.jobs.datatrove_engine.run_on_cluster`.
        without (`Path`, *optional*):
            A text file with the clips or signers to leave out, one `sample_id` or `signer_id` per line. Building again
            with it removes them from a data set that has them.
        **options:
            Options of the corpus: the fields of its config.

    Returns:
        `dict`: the content of `build_report.json`.

    Raises:
        ValueError: for an unknown corpus, config or option, labels that cannot be read, a split without a readable
            clip, and an `out_dir` that holds another data set or is being written.
        OSError: if a folder cannot be read or written.
    """
    if corpus not in CORPORA:
        if Path(corpus).is_dir():
            raise ValueError(
                f"expected the name of a corpus, received the folder {corpus!r}: clips of your own are the corpus "
                f"folder, `sigma-slu build-dataset folder --data-dir {corpus}`"
            )
        raise ValueError(
            f"expected corpus to be one of {', '.join(sorted(CORPORA))}, received {corpus!r}{did_you_mean(corpus)}"
        )
    folder = Path(out_dir)
    builder_options = {"config_name": config_name, "data_dir": data_dir, **options}
    writer = ShardWriter(corpus, builder_options, ResultFolder(folder, _WORK))
    with writer.results.writing():
        _check_folder(folder)
        builder = writer.make_builder()
        clips = {split: builder.list_clips(split) for split in SPLITS if split in builder.available_splits()}
        withdrawn: dict[str, int] = {}
        if without is not None:
            clips, withdrawn = without_withdrawn(clips, without)
        shards = plan_shards(builder, clips, clips_per_shard)
        num_clips = sum(len(shard.entries) for shard in shards)
        if num_clips == 0:
            raise ValueError(f"{builder.FACTS.title}: expected clips, found none in {builder.config.data_dir}")
        state = _state(shards, builder)
        if _is_finished(folder, state):
            progress(num_clips, num_clips)
            writer.results.finish()
            report: dict[str, Any] = read_json(folder / REPORT, "the report of a build", dict)
            return report
        notes = _write_shards(writer, shards, folder / "data", num_proc, progress, engine)
        report = _report(corpus, builder, clips, [notes[shard.name] for shard in shards])
        report["num_withdrawn"] = sum(withdrawn.values())  # not who they are
        return _finish(folder, writer, builder, report, state)


def work_folder(out_dir: str | os.PathLike[str]) -> Path:
    """The folder of an unfinished build of `out_dir`."""
    return ResultFolder(Path(out_dir), _WORK).work


def push_dataset(
    folder: str | os.PathLike[str], repo_id: str, *, is_public: bool = False, api: HfApi | None = None
) -> str:
    """Sends a data set to the Hub: the files that were built and no others, without paths of this machine. Files of an
    older build there are removed. All of it appears in one commit. More than 5 GB are sent to a branch before, in
    parts: after a kill the same call sends what had not arrived.

    Args:
        folder (`str` or `os.PathLike`):
            The folder that `build_dataset` has made. If its column `consent` says for some clips that their signers
            agree to publication, they all have to.
        repo_id (`str`):
            Name of the repository on the Hub, `ORG/NAME`.
        is_public (`bool`, *optional*, defaults to `False`):
            Whether a new repository is open to everybody. Most corpora may not be passed on: ask their owners.
        api (`huggingface_hub.HfApi`, *optional*):
            Client to use in place of the default one.

    Returns:
        `str`: the repository's address.

    Raises:
        ValueError: for a folder without a finished data set, clips without consent, and for a Hub that refuses or
            cannot be reached.
    """
    path = Path(folder)
    if (path / _WORK).is_dir():
        raise ValueError(f"{folder}: expected a finished data set, found one that is being built: build it to its end")
    contents, shards = _checked_files(path)
    message = f"Build with sigma-slu {__version__}"
    is_large = sum((path / name).stat().st_size for name in shards) > large_push.PART_BYTES
    check_consent(path / name for name in shards)
    api = api or HfApi()
    try:
        url = api.create_repo(repo_id, repo_type="dataset", private=not is_public, exist_ok=True)
        there = api.list_repo_files(repo_id, repo_type="dataset")
        old = [name for name in there if re.fullmatch(r"data/[^/]+\.parquet", name) and name not in shards]
        sent: Sequence[CommitOperationAdd | CommitOperationCopy] = (
            large_push.send_in_parts(api, repo_id, path, shards, message)
            if is_large
            else [CommitOperationAdd(name, str(path / name)) for name in shards]
        )
        added = [CommitOperationAdd(name, content) for name, content in contents.items()]
        removed = [CommitOperationDelete(name) for name in old]
        api.create_commit(repo_id, [*added, *sent, *removed], repo_type="dataset", commit_message=message)
        if is_large:
            large_push.remove_branch(api, repo_id)
    except HfHubHTTPError as error:
        raise ValueError(f"{repo_id}: the Hub refused ({one_line(error)[:200]}): are you logged in?") from error
    except Exception as error:
        # By name: huggingface_hub has changed its HTTP library, and we need not know which it has now.
        if not any(kind.__name__ == "TransportError" for kind in type(error).__mro__):
            raise
        raise ValueError(
            f"{repo_id}: the Hub cannot be reached ({one_line(error)[:120]}): nothing has changed there; the same "
            "command goes on"
        ) from error
    return str(url)


def _checked_files(folder: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    """What a data set consists of: the content of its small files without paths of this machine, and the names and
    SHA-256 of the Parquet files that the report lists. Nothing else in the folder is sent, and no link is followed.

    Raises:
        ValueError: for a folder without a finished data set, a file that is missing, a link or not the one that was
            built, and for secrets.
    """
    if not (folder / CARD).is_file() or not (folder / REPORT).is_file():
        raise ValueError(f"{folder}: expected a finished data set, found none: build it first")
    small = [name for name in (CARD, HISTOGRAM, REPORT) if os.path.lexists(folder / name)]
    linked = [name for name in small if not is_plain_file(folder / name)]
    contents = {name: public_content(name, (folder / name).read_bytes()) for name in small if name not in linked}
    if not linked:
        try:
            files = {f"data/{shard['file']}": shard for shard in parsed_json(contents[REPORT])["shards"]}
        except (KeyError, TypeError) as error:
            raise ValueError(f"{folder / REPORT}: expected the report of a build: build the data set again") from error
        linked = [name for name in files if not _is_built(folder / name, files[name])]
    if linked:
        raise ValueError(
            f"{folder}: expected the files that were built, found another one, a link or none: {', '.join(linked)}: "
            "build it again"
        )
    problems = [problem for name in small for problem in secret_problems(name, contents[name])]
    if problems:
        raise ValueError(f"{folder} cannot be sent: {'; '.join(problems)}")
    return contents, {name: shard["sha256"] for name, shard in files.items()}


def _is_built(path: Path, shard: Mapping[str, Any]) -> bool:
    is_there = is_plain_file(path) and not path.parent.is_symlink() and path.name == shard["file"]
    return is_there and is_whole(path, shard["num_bytes"], shard["sha256"])


def _check_folder(folder: Path) -> None:
    is_ours = (folder / _STATE).is_file() or (folder / _WORK).is_dir()
    strangers = [] if is_ours else sorted(path.name for path in folder.iterdir() if path.name != ".lock")
    if strangers:
        raise ValueError(
            f"{folder}: expected a new folder or a data set of build-dataset, found {strangers[0]!r} in it"
        )


def _state(shards: list[Shard], builder: CorpusBuilder) -> dict[str, Any]:
    fingerprints = "".join(f"{shard.name} {shard.fingerprint}\n" for shard in shards)
    problems = "".join(f"{problem}\n" for problem in builder.problems)
    return {"sources": hashlib.sha256((fingerprints + problems).encode()).hexdigest()}


def _is_finished(folder: Path, state: Mapping[str, Any]) -> bool:
    path = folder / _STATE
    if not path.is_file() or read_json(path, "the state of a build") != state:
        return False
    report = read_json(folder / REPORT, "the report of a build", dict)
    files = [(folder / "data" / shard["file"], shard["num_bytes"]) for shard in report["shards"]]
    return all(file.is_file() and file.stat().st_size == size for file, size in files)


def _write_shards(
    writer: ShardWriter,
    shards: list[Shard],
    final_dir: Path,
    num_proc: int,
    progress: Callable[[int, int], None],
    engine: Engine,
) -> dict[str, Note]:
    notes = {shard.name: note for shard in shards if (note := writer.finished(shard, final_dir)) is not None}
    total = sum(len(shard.entries) for shard in shards)
    waiting = [shard for shard in shards if shard.name not in notes]
    done = total - sum(len(shard.entries) for shard in waiting)
    progress(done, total)
    for shard, result in engine(writer.make_task, waiting, num_proc):
        if isinstance(result, WorkerDeath):
            raise DeviceError(
                f"{shard.name}: {result.reason}: for lack of memory? Use fewer processes; the same command goes on "
                "where it was"
            )
        notes[shard.name] = result
        done += len(shard.entries)
        progress(done, total)
    return notes


def _report(
    corpus: str, builder: CorpusBuilder, clips: Mapping[str, list[ClipEntry]], notes: list[Note]
) -> dict[str, Any]:
    """What `build_report.json` says."""
    set_aside = [problem for note in notes for problem in note["set_aside"]]
    postponed = [problem for note in notes for problem in note.get("postponed", ())]
    missing = [
        {"split": problem.split, "sample_id": problem.sample_id, "reason": problem.reason}
        for problem in builder.problems
    ]
    statistics = {
        split: merge_statistics(note["statistics"] for note in notes if _split_of(note["name"]) == split)
        for split in clips
    }
    splits = {}
    for split, counts in statistics.items():
        aside = [problem for problem in set_aside if problem["split"] == split]
        if aside and not counts["num_clips"]:
            raise ValueError(
                f"{builder.FACTS.title}, {split}: none of the {len(aside)} clips can be read, the first: "
                f"{aside[0]['reason']}"
            )
        later = [problem for problem in postponed if problem["split"] == split]
        if later and not counts["num_clips"]:
            raise PassingError(
                f"{builder.FACTS.title}, {split}: none of the {len(later)} clips can be read now, the first: "
                f"{later[0]['reason']}: the same command tries again"
            )
        splits[split] = {
            "num_missing": sum(problem["split"] == split for problem in missing),
            "num_set_aside": len(aside),
            **_split_report(counts),
        }
    names = list(clips)
    return {
        "corpus": corpus,
        "config": builder.config.name,
        "title": builder.FACTS.title,
        "package_version": __version__,
        "splits": splits,
        "signer_overlap": {
            f"{one} and {other}": sorted(set(statistics[one]["signers"]) & set(statistics[other]["signers"]))
            for number, one in enumerate(names)
            for other in names[number + 1 :]
        },
        "missing": missing,
        "set_aside": set_aside,
        "postponed": postponed,
        "shards": [
            {
                "file": f"{note['name']}.parquet",
                "num_rows": note["statistics"]["num_clips"],
                "num_bytes": note["num_bytes"],
                "sha256": note["sha256"],
            }
            for note in notes
            if note["num_bytes"]
        ],
    }


def _split_report(counts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "num_texts": len(counts["texts"]),
        "num_glosses": len(counts["glosses"]),
        "num_signers": len(counts["signers"]),
        "num_clips_without_signer": counts["num_clips"] - sum(counts["signers"].values()),
        "frames_median": length_quantile(counts["lengths"], 0.5),
        "frames_95_percent": length_quantile(counts["lengths"], 0.95),
        "part_rates": part_rates(dict(counts)),
        **{name: value for name, value in counts.items() if name not in LABEL_COUNTERS},
    }


def _split_of(shard_name: str) -> str:
    return re.sub(r"-\d+-of-\d+$", "", shard_name)


def _finish(
    folder: Path, writer: ShardWriter, builder: CorpusBuilder, report: dict[str, Any], state: Mapping[str, Any]
) -> dict[str, Any]:
    """Puts the finished files in their places, the state last. Every step may be repeated after a kill. With clips
    that are postponed there is no state, and the notes stay for the next run."""
    (folder / _STATE).unlink(missing_ok=True)
    staged, data = writer.staged, folder / "data"
    wanted = {shard["file"] for shard in report["shards"]}
    data.mkdir(exist_ok=True)
    for path in data.glob("*-of-*.parquet"):
        if path.name not in wanted or (staged / path.name).is_file():
            path.unlink()  # of an older build
    for name in sorted(wanted):
        if (staged / name).is_file():
            os.replace(staged / name, data / name)
    for name in wanted:
        sync_file(data / name)  # before the report says that it is there
    write_card(folder, builder, report, writer.results.scratch)
    write_json(folder / REPORT, report, writer.results.scratch)
    if not report["postponed"]:
        write_json(folder / _STATE, state, writer.results.scratch)
        writer.results.finish()
    return report
