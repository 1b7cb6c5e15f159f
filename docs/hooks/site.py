"""What `mkdocs build` does beyond rendering docs/: pages out of other files, the commands' help, the public names.

The Markdown files of the project link to each other as they lie in the repository. Here a link to a file that is a
page leads to the page, a picture is brought along, and what is neither stays a path in words.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File


sys.path.insert(0, str(Path(__file__).parent))  # mkdocs runs this file alone
from docstrings import reference  # noqa: E402


ROOT = Path(__file__).resolve().parents[2]
# Files of the repository that are pages.
PAGES = {
    "benchmarks/RESULTS.md": "results.md",
    "MODEL_CARD.md": "model_card.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "README.md": "index.md",
}
PICTURES = "examples/pictures"
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")
_FILE = re.compile(r"<!-- file: (\S+) -->")


def on_files(files: Any, config: Any) -> Any:
    """Brings the pictures along."""
    for picture in sorted((ROOT / PICTURES).glob("*.*")):
        files.append(File.generated(config, f"pictures/{picture.name}", abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fills a page in, and turns its links."""
    folder = Path("docs")
    if included := _FILE.search(markdown):
        path = Path(included[1])
        folder, markdown = path.parent, (ROOT / path).read_text(encoding="utf-8")
        markdown = re.sub(r"\A---\n.*?\n---\n", "", markdown, flags=re.DOTALL)  # a card's metadata
    if "<!-- commands -->" in markdown:
        markdown = markdown.replace("<!-- commands -->", _commands())
    if "<!-- reference -->" in markdown:
        markdown = markdown.replace("<!-- reference -->", reference())
    return _LINK.sub(lambda link: _turned(link, folder), markdown)


def _turned(link: re.Match[str], folder: Path) -> str:
    mark, text, target, anchor = link.groups()
    if re.match(r"[a-z]+:", target):
        return link[0]
    path = os.path.normpath(folder / target)
    if path in PAGES:
        return f"{mark}[{text}]({PAGES[path]}{anchor or ''})"
    if Path(path).parent == Path(PICTURES):
        return f"{mark}[{text}](pictures/{Path(path).name})"
    if Path(path).parent == Path("docs"):
        return f"{mark}[{text}]({Path(path).name}{anchor or ''})"
    return f"{text} (`{path}`)"


def _commands() -> str:
    from modeling_sigma.cli.commands import COMMANDS
    from modeling_sigma.cli.main import build_parser

    os.environ["COLUMNS"] = "100"
    sections = []
    for name in COMMANDS:
        parsers: Any = build_parser(name)._subparsers
        text = parsers._group_actions[0].choices[name].format_help()
        sections.append(f"## {name}\n\n```text\n{text.rstrip()}\n```\n")
    return "\n".join(sections)
