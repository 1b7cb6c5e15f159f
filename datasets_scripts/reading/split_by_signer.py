"""Making splits: nobody who signs in one is in another."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence


# A signer is taken into a split if it stays below this multiple of its share; else the one with the fewest clips is.
_TOLERANCE = 1.5


def split_by_signer(
    signers: Sequence[str | None], validation_share: float = 0.1, test_share: float = 0.1, seed: int = 0
) -> list[str]:
    """The split of each clip, by its signer.

    Clips whose signer is unknown go into `train`: the same person may be known elsewhere, but only there. With two
    signers there is no validation split, with one there is `train` alone.

    Args:
        signers (sequence of `str`):
            The signer of each clip; None where it is unknown.
        validation_share, test_share (`float`, *optional*, defaults to 0.1):
            Share of the clips, as near as whole signers allow.
        seed (`int`, *optional*, defaults to 0):
            Other seeds choose other signers. Equal arguments give equal splits.

    Returns:
        `list[str]`: `train`, `validation` or `test` for each clip.

    Raises:
        ValueError: for shares out of range.

    Example:

    ```python
    >>> from datasets_scripts.reading.split_by_signer import split_by_signer
    >>> sorted(zip(split_by_signer(["Ada", "Ben", "Cy", "Ada"]), ["Ada", "Ben", "Cy", "Ada"]))
    [('test', 'Cy'), ('train', 'Ada'), ('train', 'Ada'), ('validation', 'Ben')]

    ```
    """
    _check_shares(validation_share, test_share)
    counts: dict[str, int] = {}
    for signer in signers:
        if signer is not None:
            counts[signer] = counts.get(signer, 0) + 1
    pool = sorted(counts, key=lambda signer: _draw(signer, seed))
    split_of: dict[str, str] = {}
    for split, share in (("test", test_share), ("validation", validation_share)):
        others = 2 if split == "test" and validation_share > 0 and len(pool) > 2 else 1
        for signer in _choose(pool, counts, share * len(signers), others):
            split_of[signer] = split
            pool.remove(signer)
    return ["train" if signer is None else split_of.get(signer, "train") for signer in signers]


def split_by_clip(
    sample_ids: Sequence[str], validation_share: float = 0.1, test_share: float = 0.1, seed: int = 0
) -> list[str]:
    """The split of each clip, by its id alone: where signers are not known. A clip keeps its split when others come.

    Raises:
        ValueError: for shares out of range.
    """
    _check_shares(validation_share, test_share)
    places = [_draw(sample_id, seed) for sample_id in sample_ids]
    return [
        "test" if place < test_share else "validation" if place < test_share + validation_share else "train"
        for place in places
    ]


def _choose(pool: Sequence[str], counts: Mapping[str, int], wanted: float, others: int) -> list[str]:
    """Signers with about `wanted` clips; at least `others` signers are left for other splits."""
    chosen: list[str] = []
    num_clips = 0
    while num_clips < wanted and len(pool) - len(chosen) > others:
        left = [signer for signer in pool if signer not in chosen]
        fitting = [signer for signer in left if num_clips + counts[signer] <= _TOLERANCE * wanted]
        if not fitting and chosen:
            break
        signer = fitting[0] if fitting else min(left, key=lambda signer: counts[signer])
        chosen.append(signer)
        num_clips += counts[signer]
    return chosen


def _draw(name: str, seed: int) -> float:
    """A number from 0 to 1 that depends on the name and the seed alone, on every machine."""
    digest = hashlib.blake2b(f"{seed} {name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _check_shares(validation_share: float, test_share: float) -> None:
    if not (0 <= validation_share < 1 and 0 <= test_share < 1 and validation_share + test_share < 1):
        raise ValueError(
            f"expected shares from 0 to 1 that leave something for train, received validation {validation_share} and "
            f"test {test_share}"
        )
