"""The test suites of transformers and PEFT, out of their source distributions: downloaded once, never copied in here.

They lie in the user's cache (`$XDG_CACHE_HOME/sigma-slu/peer_suites`). `SIGMA_PEER_SUITES` names another folder, for
instance one that was filled where there is a network.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@dataclass(frozen=True)
class SourceDistribution:
    """A release on the package index, with the sum of its archive."""

    version: str
    sha256: str


PINNED = {
    "transformers": SourceDistribution("5.23.0", "19d647a4d5d903a7c644ca5cde2d86efc3dde7d8c687ae7988806ff2205efa71"),
    "peft": SourceDistribution("0.21.2", "b803ccfb3f3f316004d850284306687833a2235ea278fb56abc856203456142e"),
}

# Modules of the suites that the source distributions leave out, and what the suites import from them.
_LEFT_OUT: dict[str, dict[str, Any]] = {
    "transformers.generation.test_utils": {"GenerationTesterMixin": type("GenerationTesterMixin", (), {})},
    "fetch_hub_objects_for_ci": {"url_to_local_path": str},
    "transformers.exporters.test_export": {"ExportTesterMixin": type("ExportTesterMixin", (), {})},
    "transformers.utils.test_configuration_utils": {
        "config_common_kwargs": {
            "return_dict": False,
            "output_hidden_states": True,
            "dtype": "float16",
            "architectures": ["SigmaModel"],
            "chunk_size_feed_forward": 5,
            "problem_type": "regression",
        }
    },
}


def peer_module(project: str, name: str) -> ModuleType:
    """A module of a project's test suite: `peer_module("transformers", "test_modeling_common")`.

    Skips the calling test module without the pinned release, or without a network where the suite is not cached yet.
    """
    pinned = PINNED[project]
    installed = pytest.importorskip(project).__version__
    if installed != pinned.version:
        pytest.skip(f"needs {project} {pinned.version}, found {installed}", allow_module_level=True)
    package = f"{project}_{pinned.version.replace('.', '_')}_tests"
    folder = _cache() / package
    if not folder.is_dir():
        _download(project, pinned, folder)
    if str(_cache()) not in sys.path:
        sys.path.append(str(_cache()))
    for module, content in _LEFT_OUT.items():
        if module.partition(".")[0] in (project, module):
            _stand_in(module.replace(project, package, 1), content)
    return importlib.import_module(f"{package}.{name}")


def _cache() -> Path:
    own = os.environ.get("SIGMA_PEER_SUITES")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sigma-slu" / "peer_suites"


def _download(project: str, pinned: SourceDistribution, folder: Path) -> None:
    """Unpacks `tests/` of the archive, and nothing else, as a package."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        try:
            subprocess.run([*command, "--dest", temporary, f"{project}=={pinned.version}"], check=True, timeout=240)
        except (subprocess.SubprocessError, OSError) as error:
            reason = f"needs the source distribution of {project}, which did not load: {error}"
            pytest.skip(reason, allow_module_level=True)
        archive = next(Path(temporary).glob("*.tar.gz"))
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != pinned.sha256:
            raise ValueError(f"{archive.name}: expected sha256 {pinned.sha256}, received {found}")
        with tarfile.open(archive) as content:
            tests = [member for member in content if member.name.split("/")[1:2] == ["tests"]]
            content.extractall(temporary, filter="data", members=tests)
        unpacked = Path(temporary) / f"{project}-{pinned.version}" / "tests"
        (unpacked / "__init__.py").touch()
        unpacked.rename(folder)


def _stand_in(name: str, content: dict[str, Any]) -> None:
    """A module that holds `content` alone, unless the suite has the real one."""
    parent = name.rpartition(".")[0]
    if name in sys.modules or (_cache() / f"{name.replace('.', '/')}.py").is_file():
        return
    if parent:
        sys.modules.setdefault(parent, ModuleType(parent))
    sys.modules[name] = ModuleType(name)
    sys.modules[name].__dict__.update(content)
