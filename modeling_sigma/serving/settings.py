"""What a service is started with."""

from __future__ import annotations

from dataclasses import dataclass, field

from modeling_sigma.serving.request_limits import MAX_FRAMES


@dataclass(frozen=True)
class ServiceSettings:
    """The model of a service and its limits, each for one process.

    Args:
        model (`str`):
            The folder of a model, or its name on the Hub.
        index (`str`, *optional*):
            The folder of an index to search, as `sigma-slu index` writes it.
        device (`str`, *optional*, defaults to `"cpu"`):
            The device to compute on.
        token (`str`, *optional*):
            What clients have to send as `Authorization: Bearer`; without one, everybody is served.
        max_megabytes (`int`, *optional*, defaults to 20):
            The size of a request.
        max_frames (`int`, *optional*, defaults to 3600):
            The frames of a clip.
        max_seconds (`int`, *optional*, defaults to 60):
            How long a request that has arrived may wait and take.
        max_waiting (`int`, *optional*, defaults to 32):
            The number of requests that wait or are worked on; further ones are told to come back.
        max_batch (`int`, *optional*, defaults to 16):
            The number of clips that the model reads at once.

    Raises:
        ValueError: for a limit below 1, or a token that no client could send.
    """

    model: str
    index: str | None = None
    device: str = "cpu"
    token: str | None = field(default=None, repr=False)
    max_megabytes: int = 20
    max_frames: int = MAX_FRAMES
    max_seconds: int = 60
    max_waiting: int = 32
    max_batch: int = 16

    def __post_init__(self) -> None:
        for name in ("max_megabytes", "max_frames", "max_seconds", "max_waiting", "max_batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} of at least 1, received {getattr(self, name)}: raise it")
        token = self.token
        if token is not None and not (token.isascii() and token.isprintable() and token and " " not in token):
            raise ValueError(
                "expected a token of printable ASCII characters without spaces, received another: change it"
            )
