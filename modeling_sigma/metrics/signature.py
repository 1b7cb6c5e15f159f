"""Signatures: one line that says how a score was computed, in the spirit of sacrebleu.

Two scores may be compared when their signatures are equal.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def make_signature(**fields: object) -> str:
    """Joins fields into a signature and appends the version of this package.

    Args:
        fields:
            Name and value of each choice, in the order of the signature. A value None leaves the field out.

    Returns:
        `str`: `name:value` pairs between bars.

    Raises:
        ValueError: if a value holds a bar, which separates the fields.

    Example:

    ```python
    >>> from modeling_sigma.metrics.signature import make_signature
    >>> make_signature(task="cslr", preset="none", costs="3/3/4")
    'task:cslr|preset:none|costs:3/3/4|sigma-slu:...'

    ```
    """
    texts = {name: str(value) for name, value in fields.items() if value is not None}
    for name, text in texts.items():
        if "|" in text:
            raise ValueError(f"expected a signature field without '|', received {name}={text!r}: rename it")
    texts["sigma-slu"] = package_version("sigma-slu")
    return "|".join(f"{name}:{text}" for name, text in texts.items())


def package_version(name: str) -> str:
    """The version of an installed distribution; of this package also where it runs from a checkout."""
    try:
        return version(name)
    except PackageNotFoundError:
        if name != "sigma-slu":
            return "absent"
    import modeling_sigma

    return str(getattr(modeling_sigma, "__version__", "unknown"))
