"""How well a sign dictionary finds, says that it does not know, and how fast it is.

    python benchmarks/dictionary.py [--data ../shared/data] [--only bangla letters unknown speed] [--output FILE]

- bangla: words of Bangla Sign Language, taught with 1, 2, 4 or 8 clips each of a first session (fewer where there are
  fewer), searched with all clips of a second one. Same signer; three random choices of the clips. Also beside 2,000
  American signs of one clip each.
- letters: of Nepali Sign Language; each of four signers searches what the other three taught, then with one clip per
  letter of their own as well (signers 3 and 4, whose recordings are not there twice; one of signer 3's four recordings
  of consonants, S3_all_Consonant_RealWorld_2, resembles none of the others).
- unknown: half of the words or letters are taught, the clips of the other half and American signs are not known.
- speed: among 100,000 clips of 20,000 signs, random vectors of which those of one sign resemble each other, in CPU
  time of one thread; and how often the first sign is the one that comparing every clip finds. The exit code is 1 if
  the median search takes over 20 ms, or the median addition over 100.

Numbers are R@1 / R@5 in percent; ties count as failures. `dictionary` is what ships. The model has seen American signs
alone, and reads hands alone. What a sceptic would try, on the same clips: `warped joints` is the nearest clip by
dynamic time warping of the joints, normalised by the body or by the hands, `straight joints` by evenly spaced frames.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from reports import machine_facts, print_report
from tabulate import tabulate

from datasets_scripts.corpora import CORPORA
from modeling_sigma.inference.dictionary_clips import DictionaryClips
from modeling_sigma.inference.dictionary_entries import DictionaryEntry, as_columns
from modeling_sigma.inference.load_pipeline import load_pipeline
from modeling_sigma.inference.similarity_space import unit_rows
from modeling_sigma.inference.vector_folder import replace_vectors
from modeling_sigma.model.pose_augmentation import flip_horizontally
from modeling_sigma.model.pose_transforms import normalize_joints, select_joints


SEEDS = (0, 1, 2)
NUM_DISTRACTORS, NUM_STORED, NUM_SIGNS, WIDTH = 2000, 100_000, 20_000, 512
SEARCH_LIMIT, ADD_LIMIT = 0.020, 0.100  # seconds
FRAME_MOMENTS, JOINT_MOMENTS = 12, 24  # joints need more: with 12, 5 points fewer of the words are found
BEST = 50


@dataclass
class Clips:
    """Clips of a corpus, as a model and as joints show them.

    Args:
        labels, signers, splits, names (`np.ndarray` of shape `(N,)`): What, who, where the corpus puts it, and its id.
        vectors, mirrored (`np.ndarray` of shape `(N, hidden_size)`): Of the clips, and of the same in a mirror.
        frames (`np.ndarray` of shape `(N, 12, hidden_size)`): The encoder's states at evenly spaced moments.
        by_body, by_hands (`np.ndarray` of shape `(N, 24, 138)`): Joints at these moments, normalised.
    """

    labels: np.ndarray
    signers: np.ndarray
    splits: np.ndarray
    names: np.ndarray
    vectors: np.ndarray
    mirrored: np.ndarray
    frames: np.ndarray
    by_body: np.ndarray
    by_hands: np.ndarray


def read_clips(
    pipe: Any, name: str, config: str, splits: tuple[str, ...], data: Path, words: set[str] | None = None
) -> Clips:
    """Reads the clips of a corpus, or those of some of its words."""
    with tempfile.TemporaryDirectory() as cache:
        builder = CORPORA[name](config_name=config, data_dir=data / name, cache_dir=cache)
        entries = [entry for split in splits for entry in builder.list_clips(split)]
        entries = [entry for entry in entries if words is None or entry.text in words]
        columns: dict[str, list[Any]] = defaultdict(list)
        for entry in entries:
            clip = builder.read_clip(entry)
            values = pipe.extractor(clip, return_tensors="np")["pose_values"][0]
            for kind, seen in (("vectors", values), ("mirrored", flip_horizontally(values))):
                inputs = torch.from_numpy(np.ascontiguousarray(seen))[None]
                with torch.no_grad():
                    found = pipe.model.get_pose_features(inputs, torch.ones(1, len(seen), dtype=torch.long))
                columns[kind].append(found.pooler_output[0].numpy())
                if kind == "vectors":
                    columns["frames"].append(moments(found.last_hidden_state[0].numpy(), FRAME_MOMENTS))
            for kind, reference in (("by_body", "body"), ("by_hands", "hands")):
                joints = normalize_joints(*select_joints(clip), scale_reference=reference, fill_wrists=True)
                columns[kind].append(moments(joints[..., :2].reshape(len(joints), -1), JOINT_MOMENTS))
            columns["labels"].append(entry.text)
            columns["signers"].append(entry.signer_id)
            columns["splits"].append(entry.split)
            columns["names"].append(entry.sample_id)
    return Clips(**{kind: np.array(values) for kind, values in columns.items()})


def read_distractors(pipe: Any, data: Path) -> np.ndarray:
    """Vectors of 2,000 American signs, one clip each."""
    with tempfile.TemporaryDirectory() as cache:
        builder = CORPORA["wlasl_hands"](config_name="wlasl2000", data_dir=data / "wlasl_hands", cache_dir=cache)
        entries = {entry.text: entry for entry in builder.list_clips("train")}
        clips = (builder.read_clip(entry) for entry in list(entries.values())[:NUM_DISTRACTORS])
        return np.stack([pipe(clip, allow_unseen=True).numpy() for clip in clips])


def moments(frames: np.ndarray, number: int) -> np.ndarray:
    """So many evenly spaced frames, `(T, D)` -> `(number, D)`."""
    return frames[np.linspace(0, len(frames) - 1, number).round().astype(int)].astype(np.float32)


# --- similarities of queries (Q) and stored clips (D), or labels


def warped(queries: np.ndarray, stored: np.ndarray) -> np.ndarray:
    """Minus the cost of dynamic time warping over Euclidean distances of frames: (Q, T, D), (N, T, D) -> (Q, N)."""
    length = stored.shape[1]
    squares = np.square(stored).sum(axis=2)  # (N, T)
    rows = []
    for query in queries:
        costs = np.square(query).sum(axis=1) + squares[..., None] - 2 * (stored @ query.T)  # (N, T, T)
        costs = np.sqrt(np.maximum(costs, 0))
        best = np.full((len(stored), length + 1, length + 1), np.inf, np.float32)
        best[:, 0, 0] = 0
        for one in range(length):
            for other in range(length):
                before = np.minimum(np.minimum(best[:, one, other + 1], best[:, one + 1, other]), best[:, one, other])
                best[:, one + 1, other + 1] = costs[:, one, other] + before
        rows.append(-best[:, -1, -1] / (2 * length))
    return np.stack(rows)


def straight(queries: np.ndarray, stored: np.ndarray) -> np.ndarray:
    """Minus Euclidean distances, frame by frame."""
    flat, other = queries.reshape(len(queries), -1), stored.reshape(len(stored), -1)
    squares = np.square(flat).sum(axis=1)[:, None] + np.square(other).sum(axis=1) - 2 * flat @ other.T
    return -np.sqrt(np.maximum(squares, 0))


def best_of_label(similarities: np.ndarray, labels: np.ndarray, names: list[str]) -> np.ndarray:
    """(Q, D) -> (Q, labels), by the nearest clip of each label."""
    return np.stack([similarities[:, labels == name].max(axis=1) for name in names], axis=1)


def taught(clips: Clips, rows: np.ndarray, distractors: np.ndarray | None = None) -> DictionaryClips:
    """A dictionary of these clips, added one by one; distractors are signs of one clip each."""
    dictionary = DictionaryClips(np.zeros((0, 0), np.float32), [])
    for number, vector in enumerate(() if distractors is None else distractors):
        dictionary.append(vector, DictionaryEntry(f"distractor {number}", f"distractor {number}"))
    for row in rows:
        dictionary.append(clips.vectors[row], DictionaryEntry(str(clips.labels[row]), str(row)))
    return dictionary


def whitened(vectors: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A space without the directions in which all clips differ, half and half with the plain one."""
    centre = vectors.mean(axis=0)
    covariance = np.cov((vectors - centre).T)
    size = len(covariance)
    values, directions = np.linalg.eigh(covariance / 2 + np.trace(covariance) / (2 * size) * np.eye(size))
    projection = directions / np.sqrt(values)
    return lambda some: unit_rows((some - centre) @ projection)


class Corpus:
    """Clips, with the time-warped similarities of all pairs, which take the longest."""

    def __init__(self, clips: Clips) -> None:
        self.clips = clips
        self.warped_body = warped(clips.by_body, clips.by_body)
        self.warped_hands = warped(clips.by_hands, clips.by_hands)
        frames = clips.frames - clips.frames.mean(axis=(0, 1))
        frames /= np.linalg.norm(frames, axis=2, keepdims=True)
        self.warped_frames = warped(frames, frames)

    def methods(self, stored: np.ndarray, asked: np.ndarray) -> Iterator[tuple[str, list[str], np.ndarray]]:
        """Each method's names of labels, and similarities (Q, labels)."""
        clips = self.clips
        names, labels = sorted(set(clips.labels[stored])), clips.labels[stored]
        vectors, queries = clips.vectors[stored], clips.vectors[asked]

        def nearest(name: str, similarities: np.ndarray) -> tuple[str, list[str], np.ndarray]:
            return name, names, best_of_label(similarities, labels, names)

        dictionary = taught(clips, stored)
        signs, found = dictionary.searched.sign_similarities(queries)
        order = [label for _, label in signs]
        yield "dictionary", order, found
        _, mirrored = dictionary.searched.sign_similarities(clips.mirrored[asked])
        yield "dictionary, and the query in a mirror", order, np.maximum(found, mirrored)
        yield "dictionary, query in a mirror alone", order, mirrored
        yield "dictionary, and frames of the best fifty warped", order, self._with_frames(found, order, stored, asked)
        yield nearest("cosine", queries @ vectors.T)
        centre = vectors.mean(axis=0)
        yield nearest("centred cosine", unit_rows(queries - centre) @ unit_rows(vectors - centre).T)
        place = whitened(vectors)
        yield nearest("whitened cosine", place(queries) @ place(vectors).T)
        yield nearest("warped frames of the model", self.warped_frames[np.ix_(asked, stored)])
        yield nearest("warped joints, by the body", self.warped_body[np.ix_(asked, stored)])
        yield nearest("warped joints, by the hands", self.warped_hands[np.ix_(asked, stored)])
        yield nearest("straight joints, by the body", straight(clips.by_body[asked], clips.by_body[stored]))

    def _with_frames(self, found: np.ndarray, order: list[str], stored: np.ndarray, asked: np.ndarray) -> np.ndarray:
        nearest = best_of_label(self.warped_frames[np.ix_(asked, stored)], self.clips.labels[stored], order)
        kept = np.argsort(np.argsort(-found, axis=1), axis=1) < BEST
        return np.where(kept, found + nearest, found - 10)


def ranks(names: list[str], similarities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The rank of the right label of each query; what is as similar comes first."""
    own = similarities[np.arange(len(labels)), [names.index(label) for label in labels]]
    return (similarities >= own[:, None]).sum(axis=1)


def shown(found: list[np.ndarray]) -> str:
    """R@1 / R@5."""
    joined = np.concatenate(found)
    return f"{100 * (joined <= 1).mean():.1f} / {100 * (joined <= 5).mean():.1f}"


def chosen(labels: np.ndarray, allowed: np.ndarray, number: int, seed: int) -> np.ndarray:
    """So many random rows of each label among the allowed ones."""
    rng = np.random.default_rng(seed)
    rows = [
        rng.permutation(np.flatnonzero(allowed & (labels == name)))[:number] for name in sorted(set(labels[allowed]))
    ]
    return np.concatenate(rows)


def table(corpus: Corpus, settings: dict[str, list[tuple[np.ndarray, np.ndarray]]]) -> str:
    """One line per method, one column per setting: pairs of what is stored and what is asked."""
    cells: dict[str, dict[str, str]] = defaultdict(dict)
    for setting, pairs in settings.items():
        found: dict[str, list[np.ndarray]] = defaultdict(list)
        for stored, asked in pairs:
            asked = asked[np.isin(corpus.clips.labels[asked], corpus.clips.labels[stored])]
            for method, names, similarities in corpus.methods(stored, asked):
                found[method].append(ranks(names, similarities, corpus.clips.labels[asked]))
        for method, values in found.items():
            cells[method][setting] = shown(values)
    rows = [[method, *row.values()] for method, row in cells.items()]
    return tabulate(rows, ["", *settings], tablefmt="github", disable_numparse=True)


def distracted(clips: Clips, settings: dict[str, list[tuple[np.ndarray, np.ndarray]]], distractors: np.ndarray) -> str:
    """The dictionary with 2,000 signs more."""
    row = []
    for pairs in settings.values():
        found = []
        for stored, asked in pairs:
            asked = asked[np.isin(clips.labels[asked], clips.labels[stored])]
            signs, similarities = taught(clips, stored, distractors).searched.sign_similarities(clips.vectors[asked])
            found.append(ranks([label for _, label in signs], similarities, clips.labels[asked]))
        row.append(shown(found))
    name = f"dictionary, beside {len(distractors)} American signs"
    return tabulate([[name, *row]], ["", *settings], tablefmt="github", disable_numparse=True)


def unknown_table(clips: Clips, settings: dict[str, list[tuple[np.ndarray, np.ndarray]]], foreign: np.ndarray) -> str:
    """Half of the labels are taught, three times."""
    lines = []
    for setting, pairs in settings.items():
        scores: dict[str, list[float]] = defaultdict(list)
        for number, (stored, asked) in enumerate(pairs):
            for seed in SEEDS:
                names = np.random.default_rng([number, seed]).permutation(sorted(set(clips.labels[stored])))
                kept = stored[np.isin(clips.labels[stored], names[: len(names) // 2])]
                searched = taught(clips, kept).searched
                signs, similarities = searched.sign_similarities(clips.vectors[asked])
                order = [label for _, label in signs]
                is_known = np.isin(clips.labels[asked], order)
                is_right = np.array(order)[similarities.argmax(axis=1)] == clips.labels[asked]
                top, abroad = similarities.max(axis=1), searched.sign_similarities(foreign)[1].max(axis=1)
                scores["area, other labels"].append(area(top[is_known], top[~is_known]))
                scores["area, American signs"].append(area(top[is_known], abroad))
                for rate in (0.05, 0.1, 0.2):
                    threshold = searched.threshold(rate)
                    scores[f"{rate:.0%}: other labels taken"].append(100 * float((top[~is_known] > threshold).mean()))
                    scores[f"{rate:.0%}: American signs taken"].append(100 * float((abroad > threshold).mean()))
                    scores[f"{rate:.0%}: known taken"].append(100 * float((top[is_known] > threshold).mean()))
                    taken = is_known & (top > threshold)
                    shares = scores[f"{rate:.0%}: right among these"]
                    if taken.any():
                        shares.append(100 * float(is_right[taken].mean()))
        lines.append(
            [setting, *(f"{np.mean(values):.{3 if 'area' in name else 1}f}" for name, values in scores.items())]
        )
    return tabulate(list(zip(["", *scores], *lines))[1:], ["", *settings], tablefmt="github", disable_numparse=True)


def area(known: np.ndarray, unknown: np.ndarray) -> float:
    """Area under the ROC: the share of pairs in which the known one is more similar."""
    return float((known[:, None] > unknown).mean() + (known[:, None] == unknown).mean() / 2)


def measure_speed() -> list[dict[str, Any]]:
    """CPU milliseconds among 100,000 clips of 20,000 signs: fastest and median of a hundred."""
    rng = np.random.default_rng(0)
    middles = rng.standard_normal((NUM_SIGNS, WIDTH), dtype=np.float32)

    def random_clips(numbers: np.ndarray, alike: float) -> np.ndarray:
        """Vectors that have this cosine with the middle of their sign."""
        others = rng.standard_normal((len(numbers), WIDTH), dtype=np.float32)
        return unit_rows(alike * middles[numbers] + (1 - alike**2) ** 0.5 * others)

    numbers = np.arange(NUM_STORED + 100) % NUM_SIGNS
    vectors = random_clips(numbers, 0.8)
    entries = [DictionaryEntry(f"sign {number}", str(row)) for row, number in enumerate(numbers)]
    seconds: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        started = time.thread_time()
        yield
        seconds[name].append(time.thread_time() - started)

    with timed("first search"):
        dictionary = DictionaryClips(vectors[:NUM_STORED], entries[:NUM_STORED])
        dictionary.searched.threshold(0.1)
    for vector, entry in zip(vectors[NUM_STORED:], entries[NUM_STORED:]):
        with timed("one product with all vectors"):
            dictionary.vectors @ vector
        with timed("search"):
            dictionary.searched.search(vector, 10)
            dictionary.searched.threshold(0.1)
        with timed("add"):
            dictionary.append(vector, entry)
    with tempfile.TemporaryDirectory() as folder, timed("save"):
        replace_vectors(Path(folder), dictionary.vectors, as_columns(dictionary.entries), "dictionary.json")
    limits = {"search": SEARCH_LIMIT, "add": ADD_LIMIT}
    rows: list[dict[str, Any]] = [
        {"case": name, "fastest_ms": 1e3 * min(values), "median_ms": 1e3 * float(np.median(values)),
         "limit_ms": 1e3 * limits[name] if name in limits else None}
        for name, values in seconds.items()
    ]  # fmt: skip
    for alike in (0.8, 0.5, 0.3):
        queries = random_clips(rng.permutation(NUM_SIGNS)[:200], alike)
        signs, similarities = dictionary.searched.sign_similarities(queries)
        best = [signs[column] for column in similarities.argmax(axis=1)]
        found = [dictionary.searched.search(query, 1)[0].sign for query in queries]
        rows.append(
            {"case": f"first sign as by comparing all, cosine with the sign's middle {alike}",
             "percent": 100 * float(np.mean([one == other for one, other in zip(found, best)]))}
        )  # fmt: skip
    return rows


def main() -> int:
    """Measures, prints, and returns 1 if a limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ("bangla", "letters", "unknown", "speed")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the corpora")
    parser.add_argument("--model", default="checkpoints/sigma-wlasl-hands", help="model to measure")
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts), help="what to measure")
    parser.add_argument("--output", type=Path, help="write the speed as JSON here too")
    args = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)  # WLASL has one recording under several words
    if set(args.only) - {"speed"}:
        print_accuracy(args)
    if "speed" not in args.only:
        return 0
    rows = measure_speed()
    print(tabulate(rows, headers="keys", floatfmt=".1f", tablefmt="github"))
    report = {"benchmark": "dictionary", "num_stored": NUM_STORED, "width": WIDTH, "results": rows}
    print_report({**report, **machine_facts("numpy")}, args.output)
    return int(any(row.get("limit_ms") is not None and row["median_ms"] > row["limit_ms"] for row in rows))


def print_accuracy(args: argparse.Namespace) -> None:
    """The tables of what is found."""
    pipe = load_pipeline(args.model, "sign-feature-extraction", "cpu")
    words = read_clips(pipe, "bdsl_words", "bdsl55", ("train", "test"), args.data)
    is_first = words.splits == "train"
    bangla = {
        f"{number} clips": [
            (chosen(words.labels, is_first, number, seed), np.flatnonzero(~is_first)) for seed in SEEDS
        ]
        for number in (1, 2, 4, 8)
    }
    letters = read_clips(pipe, "nsl_alphabet", "letters_new_signers", ("train",), args.data)
    nepali = {
        f"{number or 'all'} clips": [
            (
                chosen(letters.labels, letters.signers != signer, number or 99, 0),
                np.flatnonzero(letters.signers == signer),
            )
            for signer in sorted(set(letters.signers))
        ]
        for number in (1, 2, 4, 8, 0)
    }
    american = read_distractors(pipe, args.data)
    if "bangla" in args.only:
        print(f"\nBangla words, the same signer in another session\n\n{table(Corpus(words), bangla)}\n", flush=True)
        print(distracted(words, bangla, american), flush=True)
    if "letters" in args.only:
        own = {"all clips of others": [], "and one of one's own": []}
        for signer in ("3", "4"):
            is_own = letters.signers == signer
            mine = chosen(letters.labels, is_own, 1, 0)
            asked = np.setdiff1d(np.flatnonzero(is_own), mine)
            others = np.flatnonzero(~is_own)
            own["all clips of others"].append((others, asked))
            own["and one of one's own"].append((np.concatenate([others, mine]), asked))
        corpus = Corpus(letters)
        print(
            f"\nNepali letters, a signer whom nobody taught\n\n{table(corpus, nepali)}\n\n{table(corpus, own)}",
            flush=True,
        )
    if "unknown" in args.only:
        foreign = american[:400]
        print(f"\nBangla words of which half are taught\n\n{unknown_table(words, bangla, foreign)}")
        print(f"\nNepali letters of which half are taught, a new signer\n\n{unknown_table(letters, nepali, foreign)}")


if __name__ == "__main__":
    sys.exit(main())
