"""The facts about a corpus that a data card states."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class CorpusFacts:
    """What a data card has to say about a corpus.

    Args:
        title (`str`):
            The name that its authors use.
        sign_language, spoken_language (`str`):
            English names, as in the rows.
        sign_language_code, spoken_language_code (`str`):
            ISO 639-3 of the sign language and BCP 47 of the spoken one; empty where there is none.
        tasks (`tuple[str, ...]`):
            The tasks that it serves, among `islr`, `cslr` and `slt`.
        license (`str`):
            The terms, in one line; they are those of the corpus, not of this package.
        homepage, citation (`str`):
            The address where it can be had, and its citation in BibTeX.
        sizes (`dict[str, dict[str, int]]`):
            For each config the number of clips that the authors state for a split, where they do.
        notes (`str`):
            Anything else that a user has to know.
    """

    title: str
    sign_language: str
    spoken_language: str
    sign_language_code: str
    spoken_language_code: str
    tasks: tuple[str, ...]
    license: str
    homepage: str
    citation: str
    sizes: dict[str, dict[str, int]] = field(default_factory=dict)
    notes: str = ""
