"""`push_to_hub` and `save_pretrained(push_to_hub=True)` of Sigma's classes: what they send is checked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from transformers.utils import logging


_PUSH_OPTIONS = (
    "repo_id",
    "processor",
    "license",
    "commit_message",
    "private",
    "token",
    "revision",
    "create_pr",
    "tags",
)

logger = logging.get_logger(__name__)


class CheckedPush:
    """Publishes what `sigma-slu publish` would: a complete bundle, checked, in one commit, to a private repository.

    Code of a bundle that runs where this package is not installed cannot check: it publishes as transformers does, but
    to a private repository.
    """

    def push_to_hub(self, repo_id: str, **kwargs: Any) -> Any:
        """Publishes the model with its processor.

        Args:
            repo_id (`str`):
                The repository, as `ORG/NAME`, or as `NAME` for one of your own.
            kwargs:
                `processor`, `license`, `commit_message`, `private` (`True` by default), `token`, `revision`,
                `create_pr`, `max_shard_size`: see `modeling_sigma.hub.push.push_to_hub`.

        Raises:
            ValueError: for what is no complete bundle, damaged weights, a wrong license, and if the Hub refuses.
        """
        try:
            from modeling_sigma.hub.push import push_to_hub
        except ImportError:  # these files alone, copied beside a checkpoint
            logger.warning_once("published unchecked, because sigma-slu is not installed here")
            if kwargs.get("private") is None:
                kwargs["private"] = True
            return super().push_to_hub(repo_id, **kwargs)  # type: ignore[misc]
        return push_to_hub(self, repo_id, **kwargs)

    def save_pretrained(self, save_directory: str | os.PathLike[str], *args: Any, **kwargs: Any) -> Any:
        """As in transformers; with `push_to_hub=True` the checked bundle is published too, as [`push_to_hub`] does."""
        is_pushed = kwargs.pop("push_to_hub", False)
        options = {name: kwargs.pop(name) for name in _PUSH_OPTIONS if is_pushed and name in kwargs}
        saved = super().save_pretrained(save_directory, *args, **kwargs)  # type: ignore[misc]
        if is_pushed:
            self.push_to_hub(options.pop("repo_id", None) or Path(save_directory).resolve().name, **options)
        return saved
