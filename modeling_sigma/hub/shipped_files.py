"""What comes with the package besides code: the training configurations, and a small trained checkpoint.

In the repository they lie where people look for them, in `examples/configs` and `checkpoints`. A wheel carries the
same files inside the package; `setup.py` puts them there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


SHIPPED_MODEL = "sigma-wlasl-hands"

_PACKAGE = Path(__file__).resolve().parents[1]
_FOLDERS = {"configs": "examples/configs", "checkpoints": "checkpoints"}


def shipped_folder(kind: str) -> Path:
    """The folder of the shipped `"configs"` or `"checkpoints"`: of this wheel, or of the checkout."""
    inside = _PACKAGE / "shipped" / kind
    return inside if inside.is_dir() else _PACKAGE.parent / _FOLDERS[kind]


def shipped_model(name: str = SHIPPED_MODEL) -> str:
    """The folder of a checkpoint that comes with the package, for `from_pretrained` and `transformers.pipeline`.

    Args:
        name (`str`, *optional*, defaults to `"sigma-wlasl-hands"`):
            The name of the checkpoint.

    Raises:
        ValueError: for a name that is not shipped.
    """
    found = shipped_models()
    if name not in found:
        raise ValueError(f"expected a checkpoint that comes with sigma-slu ({', '.join(found)}), received {name!r}")
    return str(found[name])


def shipped_models() -> dict[str, Path]:
    """The checkpoints that come with the package, by name."""
    return {path.parent.name: path.parent for path in sorted(shipped_folder("checkpoints").glob("*/config.json"))}


def model_folder(name_or_path: str) -> str:
    """The folder of a shipped checkpoint for its name; everything else, also a folder of that name here, as it is."""
    if Path(name_or_path).exists():
        return name_or_path
    return str(shipped_models().get(name_or_path, name_or_path))


def find_shipped_model(args: Any) -> None:
    """Puts the folder of a shipped checkpoint in place of its name in `args.model`, where a command has one."""
    if isinstance(getattr(args, "model", None), str):
        args.model = model_folder(args.model)


def recipe_files(command: str) -> dict[str, Path]:
    """The training configurations for `"pretrain"` or `"finetune"`, by the name that `--recipe` takes."""
    files = sorted(shipped_folder("configs").glob("*.yaml"))
    own = [path for path in files if path.stem.startswith("pretrain_") == (command == "pretrain")]
    return {path.stem.removeprefix(f"{command}_"): path for path in own}


def recipe_summary(path: Path) -> str:
    """What a configuration says about itself in its first line."""
    with open(path, encoding="utf-8") as file:
        return file.readline().lstrip("# ").strip()
