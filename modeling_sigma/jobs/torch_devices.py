"""What this machine computes on: a torch device by its name, and the precision in which its CPU is fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from modeling_sigma.io.reading_errors import one_line


if TYPE_CHECKING:
    import torch


def usable_device(name: str) -> torch.device:
    """The device of that name, once a tensor has been read back from it.

    Args:
        name (`str`):
            The name that torch gives the device: `"cpu"`, `"cuda"`, `"cuda:1"`, `"mps"`, ...

    Raises:
        ValueError: for a name that torch does not know, or a device that this machine or this build of torch lacks.
    """
    import torch

    try:
        device = torch.device(name)
    except RuntimeError as error:  # its own message lists some twenty names, most of which nobody has
        raise ValueError(_message(name)) from error
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, ImportError) as error:  # a torch built without CUDA asserts
        raise ValueError(_message(name, f" ({one_line(error)[:99]})")) from error
    return device


def fast_precision() -> Literal["bf16", "fp32"]:
    """The precision in which this machine's CPU trains faster.

    Without instructions for it, bfloat16 takes five times (a linear layer) to ten times (a convolution) as long as
    float32.
    """
    import torch

    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    has_bfloat16 = any(there for name, there in capabilities.items() if str(name).endswith("bf16"))
    return "bf16" if has_bfloat16 else "fp32"


def _message(name: str, reason: str = "") -> str:
    import torch

    found = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        found.append("mps")
    return (
        f"expected a device of this machine ({', '.join(found)}), received {name!r}{reason}: use one of these, or a "
        "build of torch for your GPU"
    )
