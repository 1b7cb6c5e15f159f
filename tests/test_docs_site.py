"""The documentation is a site that builds without a warning, and asks nobody for anything."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest


pytest.importorskip("mkdocs", reason="needs the extra `docs`")
ROOT = Path(__file__).resolve().parents[1]
DOCSTRINGS = runpy.run_path(str(ROOT / "docs" / "hooks" / "docstrings.py"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make docs` does: strictly, so that a link to nowhere is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


def test_every_page_is_there(site: Path) -> None:
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert {"index", "commands", "reference", "results"} <= pages
    assert pages <= {path.stem for path in site.glob("*.html")}
    navigation = (site / "index.html").read_text(encoding="utf-8")
    for page in pages:
        assert f'href="{page}.html"' in navigation, page


def test_commands_and_names_are_described(site: Path) -> None:
    from modeling_sigma import __all__
    from modeling_sigma.cli.commands import COMMANDS

    commands = (site / "commands.html").read_text(encoding="utf-8")
    assert all(f'id="{name}"' in commands and f"usage: sigma-slu {name}" in commands for name in COMMANDS)
    reference = (site / "reference.html").read_text(encoding="utf-8")
    classes = [name for name in __all__ if name[0].isupper()]
    assert classes and all(f'id="{name.lower()}"' in reference for name in classes)


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    for page in site.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        foreign = re.findall(r"<(?:script|img|iframe|source)[^>]+src=\"(?:https?:)?//[^\"]*\"", text)
        foreign += re.findall(r"<link[^>]+rel=\"(?:stylesheet|preconnect)\"[^>]+href=\"(?:https?:)?//[^\"]*\"", text)
        assert not foreign, (page.name, foreign)


def test_docstrings_as_markdown() -> None:
    text = DOCSTRINGS["markdown"](
        "Counts.\n\nArgs:\n    clip (`str`, *optional*):\n        The clip,\n        whole.\n    **more: Others.\n\n"
        "Returns:\n    `int`: how many.\n\nRaises:\n    ValueError: for none."
    )
    assert text == (
        "Counts.\n\n**Args**\n\n- **`clip`** (`str`, *optional*): The clip, whole.\n- **more: Others. \n\n"
        "**Returns**\n\n`int`: how many.\n\n**Raises**\n\n- `ValueError`: for none.\n"
    )
