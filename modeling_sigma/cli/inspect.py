"""`sigma-slu inspect`: describes a skeleton file or a label file, and what the model would see of it."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from modeling_sigma.cli.video_options import add_video_options, estimator_for


if TYPE_CHECKING:
    from modeling_sigma.extraction.estimator_protocol import PoseEstimator
    from modeling_sigma.io.recording import Recording
    from modeling_sigma.model.pose_clip import PoseClip

NUM_EXAMPLES = 3
NUM_PEOPLE = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `inspect`."""
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="video, skeleton file, OpenPose folder, label file, or a folder of these",
    )
    parser.add_argument(
        "--person", type=int, default=0, metavar="N", help="index of the person to describe (default 0, the signer)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON array with one object per file")
    parser.add_argument(
        "--png",
        type=Path,
        metavar="OUT",
        help="picture to draw eight frames of the clip into; a folder if there are several clips",
    )
    add_video_options(parser, has_device=False)


def run(args: argparse.Namespace) -> int:
    """Inspects every file; returns 1 if some could not be read, else 0."""
    paths = list(_expand(args.files))
    pictures = _picture_paths(paths, args.png)
    estimator = estimator_for(args, paths)
    reports, num_failed = [], 0
    for path in paths:
        try:
            report = _inspect_file(path, args.person, pictures.get(path), estimator)
        except (ValueError, OSError, ImportError) as error:
            if args.debug:
                raise
            num_failed += 1
            report = {"file": str(path), "error": " ".join(str(error).split()) or type(error).__name__}
            where = "" if str(path) in report["error"] else f"{path}: "
            print(f"sigma-slu inspect: error: {where}{report['error']}", file=sys.stderr)
        else:
            if not args.json:
                print(format_report(report))
        reports.append(report)
    if args.json:
        print(json.dumps(reports, indent=2, ensure_ascii=False, default=str))  # label fields may be anything
    if num_failed and len(paths) > 1:
        print(f"sigma-slu inspect: {num_failed} of {len(paths)} files could not be read", file=sys.stderr)
    return 1 if num_failed else 0


def inspect_clip(clip: PoseClip) -> dict[str, Any]:
    """Describes a clip in plain values that JSON can hold.

    Args:
        clip ([`PoseClip`]):
            The clip to describe.

    Returns:
        `dict`: `layout`, `num_keypoints`, `num_frames`; `fps`, `duration` (seconds), `width` and `height` (pixels),
        None where unknown; `estimator`, what found the keypoints, None where unknown;
        `coordinates`, `"pixels"` or `"shares"` of the image, as the file states or as its numbers
        suggest (`coordinates_are_stated`); `parts`, what the detector saw of each part:

        - `num_joints`, `num_joints_of_layout`: how many joints Sigma reads, and how many of these the layout has;
        - `detected_rate`: share of the frames in which at least one joint was seen (score above 0.3);
        - `missing_rate`: share of the layout's joints, over all frames, that were not seen; None without any joint;
        - `mean_score`: mean score of the joints that were seen;
        - `box`: `[x_min, y_min, x_max, y_max]` around these, in the clip's image coordinates;

        `num_valid_body_points`; and `scale_references`: for each `scale_reference` of the feature extractor, whether
        it finds a scale (if not, it would turn the clip into zeros, or, for `"image"`, needs the image's size).
    """
    from modeling_sigma.model.clip_units import image_size_of, unit_of
    from modeling_sigma.model.pose_transforms import (
        SCORE_THRESHOLD,
        ScaleReference,
        normalize_joints,
        select_joints,
    )
    from modeling_sigma.model.skeleton_layouts import MISSING, PART_SLICES, get_layout

    layout = get_layout(clip.layout)
    keypoints, scores = select_joints(clip)  # (T, 69, 2), (T, 69)
    seen = scores > SCORE_THRESHOLD
    parts: dict[str, Any] = {}
    for part, joints in PART_SLICES.items():
        found = seen[:, joints]  # (T, V)
        points = keypoints[:, joints][found]  # (num_seen, 2)
        num_available = sum(index != MISSING for index in layout.joint_indices[joints])
        parts[part] = {
            "num_joints": found.shape[1],
            "num_joints_of_layout": num_available,
            "detected_rate": float(found.any(axis=1).mean()),
            "missing_rate": 1 - float(found.sum()) / (len(clip) * num_available) if num_available else None,
            "mean_score": float(scores[:, joints][found].mean()) if found.any() else None,
            "box": [float(value) for value in (*points.min(axis=0), *points.max(axis=0))] if found.any() else None,
        }
    image_size = image_size_of(clip)
    return {
        "layout": clip.layout,
        "num_keypoints": layout.num_keypoints,
        "num_frames": len(clip),
        "fps": None if clip.fps is None else float(clip.fps),
        "duration": None if clip.duration is None else float(clip.duration),
        "width": None if clip.width is None else int(clip.width),
        "height": None if clip.height is None else int(clip.height),
        "estimator": clip.estimator,
        "coordinates": unit_of(clip),
        "coordinates_are_stated": clip.coordinates is not None,
        "parts": parts,
        "num_valid_body_points": int(seen[:, PART_SLICES["body"]].sum()),
        "scale_references": {
            reference: (reference != "image" or image_size is not None)
            and bool(
                normalize_joints(keypoints, scores, scale_reference=reference, image_size=image_size or (1, 1)).any()
            )
            for reference in get_args(ScaleReference)
        },
    }


def inspect_people(recording: Recording, person: int) -> list[dict[str, Any]]:
    """Describes the people of a recording in plain values that JSON can hold, the signer first.

    Args:
        recording (`Recording`):
            The recording to describe.
        person (`int`):
            The index of the person who is shown.

    Returns:
        `list[dict]`: for each person, `num_frames` in which they are seen; `size`, the median over the frames of the
        longer side of the box around their seen keypoints, in the clip's image coordinates; `weight`, their share of
        the sum over all people of size times score (the signer has most); and `is_shown`.
    """
    people = recording.people()
    total = sum(track.weight for track in people) or 1.0
    return [
        {
            "num_frames": track.num_frames,
            "size": track.size,
            "weight": track.weight / total,
            "is_shown": number == person,
        }
        for number, track in enumerate(people)
    ]


def inspect_labels(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Describes a label file in plain values that JSON can hold.

    Args:
        entries (`Mapping[str, Mapping]`):
            The fields of each sample by its id, as `modeling_sigma.io.load_label_file` returns them.

    Returns:
        `dict`: `num_entries`; `fields`, the number of entries in which each field is filled; `mean_text_characters`
        and `mean_text_words` (split at spaces) of the field `text`, None without one; `examples`, the first three
        entries.
    """
    fields: dict[str, int] = {}
    for entry in entries.values():
        for name, value in entry.items():
            fields[name] = fields.get(name, 0) + (value not in (None, "", [], ()))
    texts = [str(entry["text"]) for entry in entries.values() if entry.get("text")]
    return {
        "num_entries": len(entries),
        "fields": fields,
        "mean_text_characters": sum(map(len, texts)) / len(texts) if texts else None,
        "mean_text_words": sum(len(text.split()) for text in texts) / len(texts) if texts else None,
        "examples": {str(key): dict(entries[key]) for key in list(entries)[:NUM_EXAMPLES]},
    }


def format_report(report: Mapping[str, Any]) -> str:
    """The report of one file as text for a terminal."""
    lines = _labels_lines(report) if report["kind"] == "labels" else _clip_lines(report)
    return "\n".join([report["file"], *("  " + line for line in lines)])


def _expand(files: list[str]) -> Iterator[Path]:
    """The clips and label files that the arguments name; paths that do not exist are left for the reader to refuse."""
    from modeling_sigma.io.clip_paths import clip_paths, is_clip

    for file in files:
        yield from clip_paths(Path(file), lambda path: _is_label_file(path) or is_clip(path))


def _is_label_file(path: Path) -> bool:
    """Whether a file is named like the field's label files: `labels.test`, `csl_daily.labels.dev`, ..."""
    is_table = path.suffix.lower() in (".csv", ".tsv", ".json", ".txt", ".parquet")
    return re.search(r"(^|\.)labels[.-]", path.name) is not None and not is_table


def _picture_paths(paths: list[Path], out: Path | None) -> dict[Path, Path]:
    """Where the picture of each clip goes, a different file for each."""
    clips = [path for path in dict.fromkeys(paths) if not _is_label_file(path)]
    if out is None or len(clips) == 0:
        return {}
    if len(clips) == 1 and not out.is_dir():
        return {clips[0]: out}
    pictures: dict[Path, Path] = {}
    for path in clips:
        target, number = out / f"{path.stem}.png", 1
        while target in pictures.values():
            number += 1
            target = out / f"{path.stem}-{number}.png"
        pictures[path] = target
    return pictures


def _inspect_file(path: Path, person: int, picture: Path | None, estimator: PoseEstimator | None) -> dict[str, Any]:
    from modeling_sigma.io import load_clip, load_label_file
    from modeling_sigma.io.load_clip import VIDEO_SUFFIXES, load_recording
    from modeling_sigma.io.many_clips import split_name
    from modeling_sigma.io.reading_budget import reading_budget
    from modeling_sigma.io.reading_errors import naming_file

    if _is_label_file(path):
        return {"file": str(path), "kind": "labels", **inspect_labels(load_label_file(path))}
    people = []
    if path.suffix.lower() in VIDEO_SUFFIXES:
        clip = load_clip(path, person=person, estimator=estimator)
    else:
        with reading_budget(split_name(path)[0]):
            recording = load_recording(path)
            with naming_file(path, "a clip"):
                clip, people = recording.clip(person), inspect_people(recording, person)
    report = {"file": str(path), "kind": "clip", **inspect_clip(clip), "people": people}
    if picture is not None:
        from modeling_sigma.jobs.atomic_files import atomic_file
        from modeling_sigma.viz.skeleton_strip import draw_skeleton_strip

        caption = f"{clip.layout}, {len(clip)} frames"
        with atomic_file(picture) as temporary:
            draw_skeleton_strip(clip, num_frames=8, title=path.name, captions=caption).save(temporary, format="PNG")
        report["png"] = str(picture)
    return report


def _clip_lines(report: Mapping[str, Any]) -> Iterator[str]:
    yield f"layout  {report['layout']}, {report['num_keypoints']} keypoints"
    if report["fps"] is None:
        yield f"length  {report['num_frames']} frames, frame rate unknown"
    else:
        rate = f"{report['fps']:g} frames per second"
        yield f"length  {report['num_frames']} frames, {report['duration']:.2f} s at {rate}"
    if report["estimator"] is not None:
        yield f"made by {report['estimator']}"
    sides = (report["width"], report["height"])
    size = "unknown" if None in sides else f"{sides[0]} x {sides[1]} pixels"
    yield f"image   {size}"
    unit = {"pixels": "pixels, or another unit of x and y alike", "shares": "shares of the image"}
    how = "" if report["coordinates_are_stated"] else " (by their size; the file does not say)"
    yield f"unit    {unit[report['coordinates']]}{how}"
    if report.get("people"):
        yield from _people_lines(report)
    yield f"{'part':<12}{'joints':>8}{'frames seen':>13}{'joints missing':>16}{'mean score':>12}   box"
    for name, part in report["parts"].items():
        joints = f"{part['num_joints_of_layout']}/{part['num_joints']}"
        missing = "-" if part["missing_rate"] is None else f"{part['missing_rate']:.1%}"
        score = "-" if part["mean_score"] is None else f"{part['mean_score']:.2f}"
        box = "-" if part["box"] is None else _box_text(part["box"])
        yield f"{name:<12}{joints:>8}{part['detected_rate']:>13.1%}{missing:>16}{score:>12}   {box}"
    yield _scale_line(report)
    if "png" in report:
        yield f"picture {report['png']}"


def _people_lines(report: Mapping[str, Any]) -> Iterator[str]:
    people = report["people"]
    if len(people) == 1:
        yield f"people  1, seen in {people[0]['num_frames']} of {report['num_frames']} frames"
        return
    yield f"people  {len(people)} seen; person 0, the signer, is the one seen most often, largest and best"
    for number, person in enumerate(people[:NUM_PEOPLE]):
        digits = 0 if person["size"] > 10 else 3
        shown = " (shown here)" if person["is_shown"] else ""
        yield (
            f"        person {number}: in {person['num_frames']} of {report['num_frames']} frames, size "
            f"{person['size']:.{digits}f}, weight {person['weight']:.0%}{shown}"
        )
    if len(people) > NUM_PEOPLE:
        yield f"        and {len(people) - NUM_PEOPLE} more with less weight"


def _box_text(box: list[float]) -> str:
    digits = 0 if max(map(abs, box)) > 10 else 3  # pixels, or shares of the image
    x_min, y_min, x_max, y_max = (f"{value:.{digits}f}" for value in box)
    return f"({x_min}, {y_min}) to ({x_max}, {y_max})"


def _scale_line(report: Mapping[str, Any]) -> str:
    works = [f'"{reference}"' for reference, does in report["scale_references"].items() if does]
    if report["scale_references"]["body"]:
        return f"scale   scale_reference={' or '.join(works)} works"
    advice = (
        'use scale_reference="hands" and fill_wrists=True'
        if report["scale_references"]["hands"]
        else f"use scale_reference={' or '.join(works)}"
        if works
        else "nobody was seen in this clip"
    )
    return (
        f'scale   scale_reference="body" (the default) would erase this clip, which has '
        f"{report['num_valid_body_points']} valid body points (4 needed): {advice}"
    )


def _labels_lines(report: Mapping[str, Any]) -> Iterator[str]:
    yield f"label file with {report['num_entries']} entries"
    yield "fields  " + ", ".join(f"{name} (filled in {count})" for name, count in report["fields"].items())
    if report["mean_text_words"] is not None:
        characters, words = report["mean_text_characters"], report["mean_text_words"]
        yield f"text    {characters:.1f} characters, {words:.1f} words on average"
    for key, entry in report["examples"].items():
        yield f"{key}: {entry.get('text') or entry.get('gloss') or entry}"
