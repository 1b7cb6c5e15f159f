"""The configuration in a model's folder: is it one, is it Sigma's, and can this version read it?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

import modeling_sigma
from modeling_sigma.io.json_fields import check_fields
from modeling_sigma.io.json_text import read_json
from modeling_sigma.io.reading_errors import naming_file, shown


# What is looked at in a configuration.
_FIELDS: Mapping[str, Any] = {
    "architectures": list[str] | None,
    "auto_map": dict[str, Any] | None,
    "custom_pipelines": dict[str, dict[str, Any]] | None,
    "base_model_name_or_path": str | None,
    "weights_license": str | None,
    "weights_licence": str | None,
}


def check_version(config: Mapping[str, Any], source: str | Path) -> None:
    """Refuses what a newer version of this package has written.

    Raises:
        ValueError: if it is newer, or its version cannot be read.
    """
    written_by = config.get("sigma_slu_version")
    if written_by is None:
        return
    try:
        is_newer = Version(str(written_by)) > Version(modeling_sigma.__version__)
    except InvalidVersion as error:
        raise ValueError(f"{source}: expected a version in sigma_slu_version, found {shown(written_by)}") from error
    if is_newer:
        raise ValueError(
            f"{source} was written by sigma-slu {written_by}, and this is {modeling_sigma.__version__}: "
            "install a newer one (see its README)"
        )


def read_config(folder: Path, name: str) -> dict[str, Any]:
    """The configuration in a folder: `config.json` of a model, or `adapter_config.json` of an adapter.

    Raises:
        ValueError: if there is none, it is damaged, or it is that of another model.
        OSError: if it cannot be read.
    """
    advice = "make one with modeling_sigma.save_bundle(model, processor, folder)"
    if not (folder / name).is_file():
        raise ValueError(f"{folder}: expected a bundle, found no config.json: {advice}")
    config: dict[str, Any] = read_json(folder / name, "a configuration", dict, is_finite=False)
    with naming_file(folder / name, "a configuration"):
        check_fields(config, _FIELDS)
    if name == "config.json" and config.get("model_type") != "sigma":
        found = config.get("model_type")
        raise ValueError(
            f"{folder}: expected a Sigma model, found one of type {shown(found)}: give the folder of a Sigma model; "
            "convert-checkpoint makes one from a released checkpoint"
        )
    return config
