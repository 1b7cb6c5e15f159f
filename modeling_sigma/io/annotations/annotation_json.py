"""Annotations as JSON: everything that we know about them, to be read back without loss."""

from __future__ import annotations

import json
import os
from typing import Any

from modeling_sigma.io.annotations.annotation import DEFAULT_TIER, AnnotatedRecording, Annotation, Tier
from modeling_sigma.io.json_fields import check_fields
from modeling_sigma.io.json_text import read_json
from modeling_sigma.io.reading_errors import naming_file


_FIELDS = {
    "annotations": list[dict[str, Any]],
    "tiers": list[dict[str, Any]],
    "media": list[str],
    "model": str | None,
    "vocabulary": list[str],
    "date": str | None,
}
_ANNOTATION_FIELDS = {
    "start": float,
    "end": float,
    "value": str,
    "tier": str,
    "participant": str | None,
    "scores": list[dict[str, Any]],
}
_TIER_FIELDS = {"name": str, "participant": str | None, "parent": str | None}


def read_annotation_json(path: str | os.PathLike[str]) -> AnnotatedRecording:
    """The annotations of a file that `json_text` has written, or that somebody else has written alike.

    Raises:
        ValueError: for anything else.
        OSError: if the file cannot be read.
    """
    content = read_json(path, "annotations", dict)
    with naming_file(path, "annotations"):
        if "annotations" not in content:
            raise ValueError('expected an object with "annotations", received one without: is it another JSON file?')
        check_fields(content, _FIELDS)
        return AnnotatedRecording(
            tuple(map(_annotation_of, content["annotations"])),
            tuple(_tier_of(tier) for tier in content.get("tiers", ())),
            tuple(content.get("media", ())),
            content.get("model"),
            tuple(content.get("vocabulary", ())),
            content.get("date"),
        )


def json_text(recording: AnnotatedRecording) -> str:
    """The content of a `.json` file."""
    content: dict[str, Any] = {
        "annotations": [
            {
                "start": float(row.start),
                "end": float(row.end),
                "value": row.value,
                "tier": row.tier,
                "participant": row.participant,
                "scores": [{"label": label, "score": score} for label, score in row.scores],
            }
            for row in recording.annotations
        ],
        "tiers": [{"name": t.name, "participant": t.participant, "parent": t.parent} for t in recording.all_tiers()],
        "media": list(recording.media),
        "model": recording.model,
        "vocabulary": list(recording.vocabulary),
        "date": recording.date,
    }
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def _annotation_of(fields: dict[str, Any]) -> Annotation:
    check_fields(fields, _ANNOTATION_FIELDS)
    if missing := [name for name in ("start", "end", "value") if name not in fields]:
        raise ValueError(f"expected an annotation with start, end and value, received none for {missing[0]}: add it")
    scores = []
    for guess in fields.get("scores", ()):
        check_fields(guess, {"label": str, "score": float})
        if not {"label", "score"} <= guess.keys():
            raise ValueError("expected scores with label and score, received others: add them")
        scores.append((guess["label"], float(guess["score"])))
    return Annotation(
        float(fields["start"]),
        float(fields["end"]),
        fields["value"],
        fields.get("tier", DEFAULT_TIER),
        fields.get("participant"),
        tuple(scores),
    )


def _tier_of(fields: dict[str, Any]) -> Tier:
    check_fields(fields, _TIER_FIELDS)
    if "name" not in fields:
        raise ValueError("expected a tier with a name, received one without: add it")
    return Tier(fields["name"], fields.get("participant"), fields.get("parent"))
