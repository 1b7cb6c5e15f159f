"""The data card: what a data set is, who signs in it, what made its keypoints, what is missing, how to read it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tabulate import tabulate

from datasets_scripts.building.length_histogram import draw_length_histogram
from datasets_scripts.reading.corpus_builder import CorpusBuilder
from datasets_scripts.reading.corpus_facts import CorpusFacts
from datasets_scripts.schema import DECODING_RECIPE, STEP
from modeling_sigma.io.json_fields import check_fields
from modeling_sigma.io.json_text import read_json
from modeling_sigma.io.reading_errors import naming_file
from modeling_sigma.jobs.atomic_files import atomic_file, write_text


CARD, HISTOGRAM = "README.md", "lengths.png"
_TASK_CATEGORIES = {"islr": "video-classification", "cslr": "other", "slt": "translation"}
_TASK_NAMES = {
    "islr": "isolated sign recognition",
    "cslr": "continuous sign recognition",
    "slt": "sign language translation",
}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def write_card(folder: Path, builder: CorpusBuilder, report: Mapping[str, Any], scratch: Path) -> None:
    """Writes `README.md` and `lengths.png`.

    Args:
        folder (`Path`):
            The folder of the data set.
        builder ([`CorpusBuilder`]):
            The builder of the corpus.
        report (`dict`):
            The content of `build_report.json`.
        scratch (`Path`):
            A folder for temporary files.
    """
    with atomic_file(folder / HISTOGRAM, scratch) as temporary:
        lengths = {split: counts["lengths"] for split, counts in report["splits"].items()}
        temporary.write_bytes(draw_length_histogram(lengths))
    facts = builder.FACTS
    terms = getattr(builder.config, "license", "unknown")  # of your own corpus
    if terms != "unknown":
        facts = replace(facts, license=terms)
    extractions = _read_extractions(builder)
    write_text(folder / CARD, make_card(facts, _languages(builder), report, extractions), scratch)


def make_card(
    facts: CorpusFacts,
    languages: tuple[str, str],
    report: Mapping[str, Any],
    extractions: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The text of a data card.

    Args:
        facts ([`CorpusFacts`]):
            The facts about the corpus.
        languages (`tuple[str, str]`):
            English names of the sign language and the spoken one, as in the rows.
        report (`dict`):
            The content of `build_report.json`.
        extractions (sequence, *optional*):
            What made the keypoints, where `sigma-slu extract-poses` did: `made_by` of its `extraction.json`.
    """
    return "\n\n".join(
        [
            _header(facts, report),
            f"# {report['title']}, {report['config']}: skeletons",
            _description(facts, languages),
            f"## Use\n\n{_usage(report)}",
            f"## Clips\n\n{_clips(report, facts.sizes.get(report['config'], {}))}",
            f"## Signers\n\n{_signers(report)}",
            f"## Keypoints\n\n{_keypoints(report, extractions)}",
            f"## Left out\n\n{_left_out(report)}",
            f"## License and citation\n\n{_license(facts)}",
        ]
    )


def _header(facts: CorpusFacts, report: Mapping[str, Any]) -> str:
    num_clips = sum(split["num_clips"] for split in report["splits"].values())
    size = next((name for limit, name in _SIZES if num_clips < limit), "n>1M")
    lines = [
        "---",
        f"pretty_name: {json.dumps(report['title'], ensure_ascii=False)}",
        "license: other",
        f"license_name: {json.dumps(facts.license[:100], ensure_ascii=False)}",
        *_yaml_list("language", [code for code in (facts.spoken_language_code,) if code]),
        *_yaml_list("task_categories", dict.fromkeys(_TASK_CATEGORIES[task] for task in facts.tasks)),
        *_yaml_list("size_categories", [size]),
        *_yaml_list("tags", ["sign-language", "skeleton", "pose", "sigma-slu", *facts.tasks]),
        "configs:",
        f"- config_name: {json.dumps(report['config'])}",
        "  default: true",
        "  data_files:",
    ]
    for split in report["splits"]:
        if report["splits"][split]["num_clips"]:  # a pattern without a file is an error
            lines += [f"  - split: {split}", f"    path: data/{split}-*.parquet"]
    return "\n".join([*lines, "---"])


def _yaml_list(name: str, values: Iterable[str]) -> list[str]:
    items = [f"- {json.dumps(value)}" for value in values]
    return [f"{name}:", *items] if items else []


def _description(facts: CorpusFacts, languages: tuple[str, str]) -> str:
    tasks = ", ".join(_TASK_NAMES[task] for task in facts.tasks)
    text = (
        f"{facts.title} as skeletons: {languages[0]}, with text in {languages[1]}; for {tasks}. Not the videos: the "
        "keypoints that a pose estimator found in them."
    )
    return f"{text} {facts.notes}".strip()


def _usage(report: Mapping[str, Any]) -> str:
    split = next(iter(report["splits"]))
    return f"""```python
from datasets import load_dataset

dataset = load_dataset("FOLDER_OR_ORG/NAME", split="{split}")  # streaming=True reads it piece by piece
```

With the package sigma-slu (see its README), `datasets_scripts.schema.decode_clip(dataset[0])` gives the clip. Without
it, numpy does:

```python
{DECODING_RECIPE}```

Coordinates were rounded to a grid of {STEP:g} of the image's shorter side (of the clip's extent where the size is not
known), scores to about 1/255; a score never crosses 0.3."""


def _clips(report: Mapping[str, Any], official: Mapping[str, int]) -> str:
    rows = []
    for split, counts in report["splits"].items():
        hours = f"{counts['seconds'] / 3600:.2f}" if counts["num_timed"] == counts["num_clips"] else "unknown"
        rows.append(
            [
                split,
                f"{counts['num_clips']:,}" + (f" of {official[split]:,}" if split in official else ""),
                hours,
                f"{counts['num_texts']:,}",
                f"{counts['num_glosses']:,}" if counts["num_glosses"] else "-",
                f"{counts['frames_median']} / {counts['frames_95_percent']}",
                _counted(counts["frame_rates"]),
            ]
        )
    head = [
        "split",
        "clips (of the official number)" if official else "clips",
        "hours",
        "distinct texts",
        "glosses",
        "frames: median / 95 %",
        "frame rate",
    ]
    return f"{_table(head, rows)}\n\n![Lengths of the clips]({HISTOGRAM})"


def _signers(report: Mapping[str, Any]) -> str:
    splits = report["splits"]
    if not any(counts["num_signers"] for counts in splits.values()):
        return "Who signs is not known: the same person may be in several splits."
    rows = [
        [split, str(counts["num_signers"]), str(counts["num_clips_without_signer"])]
        for split, counts in splits.items()
    ]
    text = _table(["split", "signers", "clips without a signer"], rows)
    shared = {pair: signers for pair, signers in report["signer_overlap"].items() if signers}
    if not shared:
        return f"{text}\n\nNo known signer is in two splits."
    overlaps = "; ".join(f"{pair}: {len(signers)}" for pair, signers in shared.items())
    warning = "scores say little about signers that a model has never seen."
    return f"{text}\n\n**Signers in two splits** ({overlaps}): {warning}"


def _keypoints(report: Mapping[str, Any], extractions: Sequence[Mapping[str, Any]]) -> str:
    layouts: dict[str, int] = {}
    for counts in report["splits"].values():
        for layout, number in counts["source_layouts"].items():
            layouts[layout] = layouts.get(layout, 0) + number
    lines = [f"Layout of the detector: {_counted(layouts)}."]
    for maker in extractions:
        versions = ", ".join(f"{name} {version}" for name, version in maker["versions"].items())
        lines.append(f"{maker['num_clips']:,} clips by {maker['estimator']} ({versions}).")
    if not extractions:
        lines.append("Who made the keypoints, with which weights, is what the corpus says; it is not recorded here.")
    rows = []
    for split, counts in report["splits"].items():
        for part, rates in counts["part_rates"].items():
            detected, missing = (_percent(rates[name]) for name in ("detected_rate", "missing_rate"))
            rows.append([split, part.replace("_", " "), detected, missing])
    table = _table(["split", "part", "frames with any of it", "missing joints"], rows)
    return " ".join(lines) + "\n\nA joint counts as seen where its score exceeds 0.3.\n\n" + table


def _left_out(report: Mapping[str, Any]) -> str:
    rows = [
        [split, str(counts["num_missing"]), str(counts["num_set_aside"])] for split, counts in report["splits"].items()
    ]
    table = _table(["split", "labels without a clip", "clips that cannot be read"], rows)
    if number := report.get("num_withdrawn", 0):
        table += f"\n\n{number} clips were left out because their signers took them back or did not agree."
    if report["postponed"]:
        number = len(report["postponed"])
        table += f"\n\n**Not finished**: {number} more could not be read for now; building again takes them up."
    elif not report["missing"] and not report["set_aside"]:
        return f"{table}\n\nNothing."
    return f"{table}\n\n`build_report.json` names each of them with the reason. Published figures may be on all clips."


def _license(facts: CorpusFacts) -> str:
    terms = (
        f"{facts.license}\n\nThese are the terms of the corpus ({facts.homepage}); the keypoints are made from it. "
        "Ask its owners before you pass them on."
    )
    return terms + (f"\n\n```bibtex\n{facts.citation.strip()}\n```\n" if facts.citation.strip() else "\n")


def _languages(builder: CorpusBuilder) -> tuple[str, str]:
    return builder.sign_language, builder.spoken_language


def _read_extractions(builder: CorpusBuilder) -> list[Mapping[str, Any]]:
    for folder in (builder.config.pose_dir, builder.config.data_dir):
        path = Path(folder or "") / "extraction.json"
        if folder is not None and path.is_file():
            made_by: list[Mapping[str, Any]] = read_json(path, "the record of an extraction", dict).get("made_by", [])
            with naming_file(path, "the record of an extraction"):
                check_fields({"made_by": made_by}, {"made_by": list[dict[str, Any]]})
            return made_by
    return []


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return tabulate(rows, head, tablefmt="github", disable_numparse=True)


def _counted(counts: Mapping[str, int]) -> str:
    """The values, the most frequent first, with their numbers where there are several."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if len(ordered) == 1:
        return ordered[0][0]
    shown = ", ".join(f"{value} ({count:,})" for value, count in ordered[:4])
    return shown + (f" and {len(ordered) - 4} more" if len(ordered) > 4 else "")


def _percent(share: float | None) -> str:
    return "not in this layout" if share is None else f"{100 * share:.1f} %"
