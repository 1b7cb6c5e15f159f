"""Untrusted pickles read as data: `load_restricted_pickle`, and `load_label_file` for the field's label files.

Inside: `reader` (files, compression, errors), `instructions` (what a pickle consists of), `functions` (the few that it
may name) and `machine` (which carries the instructions out). Nothing outside this folder imports these. Not here: what
the data mean (`io.clip_dictionary`, `datasets_scripts`).
"""

from __future__ import annotations

from modeling_sigma.io.pickles.functions import UnsafePickleError
from modeling_sigma.io.pickles.reader import load_label_file, load_restricted_pickle


__all__ = ["UnsafePickleError", "load_label_file", "load_restricted_pickle"]
