"""The old, documented name of `modeling_sigma.conversion`, where checkpoints of other projects are converted."""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    return getattr(importlib.import_module("modeling_sigma.conversion.released_checkpoints"), name)
