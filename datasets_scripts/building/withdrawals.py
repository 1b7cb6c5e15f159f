"""People who take back their signing, and people who never agreed that it is published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pyarrow import parquet

from datasets_scripts.reading.clip_entry import ClipEntry
from modeling_sigma.io.reading_errors import listed
from modeling_sigma.io.text_files import read_lines


# What the column `consent` of a table may hold where somebody agrees to publication; everything else is a no.
AGREEING = ("yes", "true", "1", "publish", "public")


def without_withdrawn(
    clips: Mapping[str, Sequence[ClipEntry]], path: Path
) -> tuple[dict[str, list[ClipEntry]], dict[str, int]]:
    """The clips by split without those that a file lists, and how many of each split these were.

    Args:
        clips (`dict[str, list[ClipEntry]]`):
            Split to its clips.
        path (`Path`):
            A text file with one `sample_id` or `signer_id` per line; a signer stands for all clips of theirs.

    Raises:
        ValueError: for a line that is neither: a misspelt name would publish what was to be left out.
        OSError: if the file cannot be read.
    """
    names = set(read_lines(path, "clips or signers to leave out, one per line"))
    entries = [entry for found in clips.values() for entry in found]
    unknown = names - {entry.sample_id for entry in entries} - {entry.signer_id for entry in entries}
    if not names or unknown:
        received = listed(sorted(unknown)) if unknown else "no line"
        raise ValueError(
            f"{path}: expected a sample_id or signer_id of this corpus in each line, received {received}: correct the "
            "name, or remove it if its clips are gone"
        )
    kept = {
        split: [entry for entry in found if not {entry.sample_id, entry.signer_id} & names]
        for split, found in clips.items()
    }
    return kept, {split: len(found) - len(kept[split]) for split, found in clips.items()}


def check_consent(files: Iterable[Path]) -> None:
    """Refuses to publish a data set with clips whose signer has not agreed, as its column `consent` says.

    A data set in which nobody's consent is stated is its owner's to judge.

    Args:
        files (iterable of `Path`):
            The Parquet files of the data set.

    Raises:
        ValueError: if some clips have consent and others do not; the message names those.
    """
    refused, is_stated = [], False
    for path in files:
        if "consent" not in parquet.read_schema(path).names:
            continue
        for row in parquet.read_table(path, columns=["sample_id", "consent"]).to_pylist():
            is_stated |= row["consent"] is not None
            if (row["consent"] or "").strip().lower() not in AGREEING:
                refused.append(row["sample_id"])
    if is_stated and refused:
        raise ValueError(
            f"expected consent to publish ({', '.join(AGREEING)}) for every clip, received none for {len(refused)}: "
            f"{listed(refused)}: leave them out with --without FILE, or ask"
        )
