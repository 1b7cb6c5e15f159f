"""What nobody else is to see in a file or a recorded command: secrets, and paths of this machine."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import get_token


HIDDEN = "***"
# Fields, options and environment variables that hold a secret, by the last word of their names.
_SECRET_NAME = re.compile(r"(?i)(^|[^a-z])(api)?(token|key|auth|(password|passwd|secret|credential)s?)$")
# Of a tokenizer: the names of its special tokens.
_SPECIAL_TOKEN = re.compile(r"(?i)^(bos|eos|unk|sep|pad|cls|mask)_token$")
# A word that could be a secret: long, and not a plain one.
_SECRET_VALUE = re.compile(r"(?=\S*[\dA-Z])[\w.\-+/=:@!#$%^&*]{8,}")
# What a text holds that may hold a secret of this kind -> the secret. Texts of many megabytes are looked through.
_SECRETS = {
    # The cue itself, at the beginning of a word: letters that come first are found fast.
    **{
        cue: re.compile(rf"{cue}(?<!\w{cue}){rest}")
        for cue, rest in {
            "hf_": r"(?=\w{0,99}[\dA-Z])\w{8,}",  # Hugging Face
            "api_org_": r"\w{16,}",
            "gh": r"[pousr]_\w{16,}",
            "github_pat_": r"\w{16,}",
            "glpat-": r"[\w-]{16,}",
            "sk-": r"(?=[\w-]{0,99}\d)[\w-]{16,}",
            "AKIA": r"[0-9A-Z]{16}\b",  # Amazon
            "ASIA": r"[0-9A-Z]{16}\b",
            "AIza": r"[\w-]{30,}",  # Google
            "xox": r"[abprs]-[\w-]{10,}",  # Slack
            "eyJ": r"[\w-]{10,999}\.[\w-]{10,}",  # JSON web tokens
            "-----BEGIN": r" [A-Z ]{0,40}PRIVATE KEY-----",
            "Bearer": r"\s{1,9}[\w.\-]{16,}",
        }.items()
    },
    **{
        cue: re.compile(pattern)
        for cue, pattern in {
            # https://user:password@host, https://token@host
            "://": r"(?<=://)([^\s/:@'\"]{0,200}:[^\s/@'\"]{1,200}|[\w-]{20,200})(?=@)",
            "=": r"(?<=[?&])(?i:(access_|auth_)?(token|key|sig|signature|secret|password))=[^&\s'\"]{8,}",
            **{
                # password = "..." in words and code; a digit tells it from a name
                cue: rf"(?i:{cue})\w{{0,20}}[\"']?\s{{0,9}}[:=]\s{{0,9}}[\"']?(?=[\w.\-+/=]{{0,99}}\d)[\w.\-+/=]{{8,}}"
                for cue in (
                    "passw",
                    "secret",
                    "apikey",
                    "api_key",
                    "access_token",
                    "auth_token",
                    "hub_token",
                    "hf_token",
                )
            },
        }.items()
    },
}
# Folders that hold the files of people and machines; others are told by whether they exist here.
_ROOTS = frozenset(
    "home Users root tmp var opt mnt media data scratch workspace content kaggle gpfs lustre nfs srv private".split()
)
_PATHS = re.compile(
    r"""(?<![\w/.:*\])>}-])(?:file://)?(?:~(?=/)|[A-Za-z]:(?=[\\/]))?(?:[\\/][^\\/\s"'`<>|:;,()\[\]{}*?]+)+[\\/]?"""
)


def is_secret(name: str, value: Any = None) -> bool:
    """Whether a field, option or environment variable holds a secret, told by its name, and by its value if given.

    Args:
        name (`str`):
            Such as `"hub_token"`, `"--wandb-api-key"` or `"HF_TOKEN"`.
        value (*optional*):
            Numbers, switches and plain words (`"yes"`) are no secrets, nor are the special tokens of a tokenizer.
    """
    if not _SECRET_NAME.search(name) or _SPECIAL_TOKEN.match(name):
        return False
    return value is None or (isinstance(value, str) and _SECRET_VALUE.fullmatch(value) is not None)


def find_secrets(text: str) -> Iterator[tuple[int, str]]:
    """The line of each secret in a text, and its first letters.

    Found are keys of the common services, passwords in addresses and assignments, private keys, and the values of this
    machine's own: the token of `hf auth login`, and environment variables that [`is_secret`] knows by name.
    """
    patterns = [*_patterns_for(text), *(re.compile(re.escape(value)) for value in own_secrets())]
    found = {match.start(): match.group() for pattern in patterns for match in pattern.finditer(text)}
    for place, secret in sorted(found.items()):
        yield text.count("\n", 0, place) + 1, f"{secret[:3]}..."


def own_secrets() -> set[str]:
    """The secrets of this machine that have a name."""
    values = {value for name, value in os.environ.items() if is_secret(name, value)}
    return {value for value in (*values, get_token()) if value and len(value) >= 8}


def without_secrets(text: str) -> str:
    """The text with `***` in place of each secret."""
    for value in own_secrets():
        text = text.replace(value, HIDDEN)
    for pattern in _patterns_for(text):
        text = pattern.sub(HIDDEN, text)
    return text


def without_paths(text: str) -> str:
    """The text with the last name alone of each path of this machine: absolute ones, and those below `~`."""

    def shorten(match: re.Match[str]) -> str:
        path = match.group()
        return _last_name(path) if _is_of_machine(path) else path

    return _PATHS.sub(shorten, text)


def public_path(path: str | Path) -> str:
    """A path as others may see it: relative to the working directory if it lies there, else its last name; a relative
    path, and whatever is no path, as it is."""
    text = str(path)
    here = os.getcwd()
    if text.startswith(here + os.sep):
        return os.path.relpath(text, here)
    return _last_name(text) if os.path.isabs(os.path.expanduser(text)) else text


def public_command(arguments: Sequence[str]) -> str:
    """A command line as others may see it: no secrets, and no paths of this machine.

    Example:

    ```python
    >>> public_command(["finetune.py", "--hub_token", "hf_abcDEF123456", "--output_dir", "/home/ada/runs/first"])
    'finetune.py --hub_token *** --output_dir first'

    ```
    """
    shown = []
    is_hidden = False
    for argument in arguments:
        name, equals, value = argument.partition("=")
        is_option = argument.startswith("-")
        if is_hidden and not is_option:
            shown.append(HIDDEN)
        elif equals and is_secret(name.lstrip("-")):
            shown.append(f"{name}={HIDDEN}")
        elif equals:
            shown.append(f"{without_secrets(name)}={_public_text(value)}")
        else:
            shown.append(_public_text(argument))
        is_hidden = is_option and not equals and is_secret(argument.lstrip("-"))
    # Stars need no quotes where they stand for a secret.
    plain = [argument.replace(HIDDEN, "hidden") for argument in shown]
    return " ".join(one if shlex.quote(two) == two else shlex.quote(one) for one, two in zip(shown, plain))


def public_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a configuration without those that are secret, at any depth, and without secrets in the values."""

    def public(value: Any) -> Any:
        if isinstance(value, Mapping):
            return public_fields(value)
        if isinstance(value, list | tuple):
            return [public(one) for one in value]
        return without_secrets(value) if isinstance(value, str) else value

    return {str(name): public(value) for name, value in fields.items() if not _is_named_secret(name, value)}


def _patterns_for(text: str) -> list[re.Pattern[str]]:
    lower = text.lower()
    return [pattern for cue, pattern in _SECRETS.items() if cue.lower() in lower]


def _is_named_secret(name: Any, value: Any) -> bool:
    return isinstance(value, str) and is_secret(str(name))


def _public_text(text: str) -> str:
    if os.path.isabs(os.path.expanduser(text)) and not re.search(r"\s/", text):
        return without_secrets(public_path(text))
    return without_secrets(without_paths(text.replace(os.getcwd() + os.sep, "")))


def _is_of_machine(path: str) -> bool:
    if path.startswith(("file:", "~")) or path[1:2] == ":" or path.startswith("\\\\"):
        return True
    parts = re.split(r"[\\/]+", path.strip("\\/"))
    if len(parts) == 1 or path.startswith("\\"):
        return False  # a word, such as /api or \alpha
    return parts[0] in _ROOTS or Path("/", parts[0]).exists()


def _last_name(path: str) -> str:
    *folders, name = re.split(r"[\\/]+", path.rstrip("\\/"))
    return "~" if folders[-1:] in (["home"], ["Users"]) else name  # no name of a person
