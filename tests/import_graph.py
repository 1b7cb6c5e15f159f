"""The import graph of the project, drawn from its code: files, the rooms (folders) they lie in, and arrows."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path


ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "modeling_sigma"
OUTSIDE = ("datasets_scripts", "examples", "benchmarks")

# From the top floor down; a room imports rooms of lower floors alone.
FLOORS = (
    ("examples", "benchmarks"),
    ("cli",),
    ("serving",),
    ("training",),
    ("inference",),
    ("datasets_scripts",),
    ("conversion",),
    ("hub",),
    ("metrics", "viz"),
    ("extraction",),
    ("jobs",),
    ("io",),
    ("registration",),
    ("model",),
)
# The arrows that go up: optional, taken inside a function, and each with its reason.
UPWARD: Mapping[tuple[str, str], str] = {
    ("modeling_sigma/model/configuration_sigma.py", "hub"): "with the package installed, newer bundles are refused",
    ("modeling_sigma/model/publishing_sigma.py", "hub"): "with the package installed, what is pushed is checked",
    ("modeling_sigma/model/clip_making.py", "io"): "with the package installed, clips may be paths",
    ("modeling_sigma/io/load_clip.py", "extraction"): "a video's poses are estimated, with an extra",
}


def source_files() -> dict[str, Path]:
    """Dotted name -> file, of everything but the tests. The package's own `__init__` is its door, not in a room."""
    files = {}
    for folder in (PACKAGE, *OUTSIDE):
        for path in sorted((ROOT / folder).rglob("*.py")):
            relative = path.relative_to(ROOT)
            parts = relative.parent.parts if path.name == "__init__.py" else (*relative.parent.parts, path.stem)
            files[".".join(parts)] = path
    del files[PACKAGE]
    return files


def room_of(name: str) -> str:
    """The room that a module lies in."""
    top, _, rest = name.partition(".")
    return top if top in OUTSIDE else rest.partition(".")[0]


def imported_files(name: str, path: Path, files: Mapping[str, Path]) -> Iterator[tuple[str, bool]]:
    """The files of the project that a file imports, and whether it does so as soon as it is imported itself."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    at_once = {id(node) for statement in tree.body for node in _outside_functions(statement)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            wanted = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in wanted:
            # `from a.b import c` loads the module a.b.c, or else a.b.
            found = target if target in files else target.rpartition(".")[0]
            if found in files and found != name:
                yield found, id(node) in at_once


def _outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _outside_functions(child)


def cycles(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of nodes that reach each other (strongly connected components of more than one node)."""
    order: list[str] = []
    seen: set[str] = set()

    def visit(node: str, follow: Mapping[str, set[str]], into: list[str]) -> None:
        seen.add(node)
        for other in sorted(follow.get(node, ())):
            if other not in seen:
                visit(other, follow, into)
        into.append(node)

    for node in sorted(arrows):
        if node not in seen:
            visit(node, arrows, order)
    back: dict[str, set[str]] = {}
    for node, others in arrows.items():
        for other in others:
            back.setdefault(other, set()).add(node)
    seen.clear()
    found = []
    for node in reversed(order):
        if node not in seen:
            group: list[str] = []
            visit(node, back, group)
            if len(group) > 1:
                found.append(sorted(group))
    return found
