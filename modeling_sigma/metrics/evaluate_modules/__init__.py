"""Metrics for the `evaluate` library: thin wrappers around the functions in `modeling_sigma.metrics`.

They load offline, from their files:

```python
import evaluate
from modeling_sigma.metrics import evaluate_module_path

metric = evaluate.load(evaluate_module_path("sign_translation"))
```
"""

from __future__ import annotations

from pathlib import Path


EVALUATE_MODULES = ("sign_recognition", "sign_retrieval", "sign_translation", "sign_word_errors")


def evaluate_module_path(name: str) -> str:
    """The file to pass to `evaluate.load`.

    Args:
        name (`str`):
            `"sign_translation"`, `"sign_word_errors"`, `"sign_recognition"` or `"sign_retrieval"`.

    Raises:
        ValueError: for another name.
    """
    if name not in EVALUATE_MODULES:
        raise ValueError(
            f"expected an evaluate module of {list(EVALUATE_MODULES)}, received {name!r}: choose one of them"
        )
    return str(Path(__file__).with_name(f"{name}.py"))
