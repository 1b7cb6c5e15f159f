"""What tells two models apart whose vectors cannot be compared: a hash of the weights."""

from __future__ import annotations

import hashlib
from typing import Any


def model_fingerprint(model: Any) -> str:
    """A hash of the weights of a [`SigmaModel`], or of the files of an exported model. It changes with every training
    step, and with a merged adapter.

    All weights and statistics count, since an adapter changes only a few matrices. Takes about a second per gigabyte.
    """
    digest = hashlib.sha256()
    if not hasattr(model, "state_dict"):  # exported: the manifest has the checksums
        names = sorted(name for name in model.bundle.facts["files"] if name.endswith(".onnx"))
        digest.update(model.bundle.precision.encode())
        for name in names:
            digest.update(f"{name} {model.bundle.facts['files'][name]}".encode())
        return digest.hexdigest()[:16]
    for name, tensor in sorted(model.state_dict().items()):
        if tensor.is_floating_point():  # leaves out BatchNorm's step counters, which change no vector
            digest.update(name.encode())
            digest.update(tensor.float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
