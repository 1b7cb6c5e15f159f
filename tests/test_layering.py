"""The architecture: what may import what, where names come from, how long a core file may get.

The model (the flat files of `modeling_sigma/model/`) is copied beside a checkpoint and loaded as remote code where our
package is not installed. Tools are the other folders.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest


ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "modeling_sigma"
DATASETS = ROOT / "datasets_scripts"
CORE_FILES = sorted(path for path in (PACKAGE / "model").glob("*.py") if path.name != "__init__.py")
TOOL_FILES = sorted(path for path in PACKAGE.rglob("*.py") if path not in CORE_FILES and path.parent != PACKAGE)
DATASET_FILES = sorted(DATASETS.rglob("*.py"))
ALL_FILES = [*CORE_FILES, *TOOL_FILES, *DATASET_FILES]

CORE_DEPENDENCIES = {"numpy", "torch", "transformers", "huggingface_hub"}
NOT_FOR_TOOLS = {"examples", "tests", "benchmarks"}

# Rough ceilings in lines; a quarter more is tolerated. A file that outgrows its ceiling is split by concept.
CEILINGS = {
    "skeleton_layouts.py": 250,
    "pose_clip.py": 120,
    "pose_transforms.py": 300,
    "configuration_sigma.py": 250,
    "feature_extraction_sigma.py": 250,
    "processing_sigma.py": 215,
    "outputs_sigma.py": 150,
    "graph_convolution_sigma.py": 250,
    "pose_encoder_sigma.py": 300,
    "text_backbone_sigma.py": 250,
    "fusion_sigma.py": 200,
    "objectives_sigma.py": 350,
    "modeling_sigma.py": 480,
    "ctc_sigma.py": 400,
    "modeling_sigma_heads.py": 400,
    "modeling_sigma_pretraining.py": 300,
    "pipeline_sigma.py": 300,
}
CEILING_OF_OTHERS = 250
TOLERANCE = 1.25

# The scanner of remote code is a regular expression: it takes such a line for an import, in a docstring too.
LOOKS_LIKE_AN_IMPORT = re.compile(r"^\s*(from\s+\.\S*\s+import\b|(from|import)\s+modeling_sigma\b)")


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def each(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=_name)


def _tree(source: str) -> ast.Module:
    return ast.parse(source)


def _imports(tree: ast.Module) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Every import statement, at any depth, and whether it stands in the body of a `try` that catches something."""

    def walk(node: ast.AST, in_try: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, in_try
        for field, value in ast.iter_fields(node):
            inside = in_try or (isinstance(node, ast.Try) and field == "body" and bool(node.handlers))
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from walk(child, inside)

    yield from walk(tree, False)


def _absolute_names(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Dotted names that an absolute import may load: `from a.b import c` may load `a.b.c`."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [] if node.level else [f"{node.module}.{alias.name}" for alias in node.names]


def core_violations(source: str, siblings: set[str]) -> list[str]:
    """What a file of the hub core may not do, one line each."""
    found = []
    for node, in_try in _imports(_tree(source)):
        statement = f"line {node.lineno}: {ast.unparse(node)}"
        if isinstance(node, ast.ImportFrom) and node.level:
            if node.level > 1 or node.module is None or "." in node.module or node.module not in siblings:
                found.append(f"{statement}: only `from .sibling import name` can be copied as remote code")
            continue
        for name in _absolute_names(node):
            top = name.split(".")[0]
            if top == "modeling_sigma" and in_try:
                continue
            if top not in CORE_DEPENDENCIES and top not in sys.stdlib_module_names:
                hint = ": optional readers go inside `try`" if top == "modeling_sigma" else ""
                found.append(f"{statement}: the hub core does not depend on {top}{hint}")
                break
    for node in ast.walk(_tree(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for line in node.value.splitlines():
                if LOOKS_LIKE_AN_IMPORT.match(line):
                    found.append(f"line {node.lineno}: the text {line.strip()!r} looks like an import to the scanner")
    return found


def tool_violations(source: str, forbidden: set[str]) -> list[str]:
    """What a tool or a corpus may not import: relative names, and `forbidden` packages."""
    found = []
    for node, _ in _imports(_tree(source)):
        statement = f"line {node.lineno}: {ast.unparse(node)}"
        if isinstance(node, ast.ImportFrom) and node.level:
            found.append(f"{statement}: write the absolute name")
        elif any(
            name == other or name.startswith(other + ".") for name in _absolute_names(node) for other in forbidden
        ):
            found.append(f"{statement}: not from here")
    return found


@each(CORE_FILES)
def test_hub_core_can_be_copied(path: Path) -> None:
    siblings = {sibling.stem for sibling in CORE_FILES}
    assert core_violations(path.read_text(encoding="utf-8"), siblings) == []


@each(CORE_FILES)
def test_scanner_of_remote_code_sees_what_python_sees(path: Path) -> None:
    from transformers.dynamic_module_utils import get_imports, get_relative_imports

    relative = {
        node.module
        for node, _ in _imports(_tree(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level == 1
    }
    assert set(get_relative_imports(str(path))) == relative
    assert set(get_imports(str(path))) <= CORE_DEPENDENCIES | sys.stdlib_module_names


@each(TOOL_FILES)
def test_tools_import_by_absolute_name_and_no_examples(path: Path) -> None:
    assert tool_violations(path.read_text(encoding="utf-8"), NOT_FOR_TOOLS) == []


@each(DATASET_FILES)
def test_corpora_import_no_command_line_and_no_examples(path: Path) -> None:
    assert tool_violations(path.read_text(encoding="utf-8"), NOT_FOR_TOOLS | {"modeling_sigma.cli"}) == []


@each(ALL_FILES)
def test_a_file_is_named_after_its_concept(path: Path) -> None:
    words = set(path.relative_to(ROOT).with_suffix("").as_posix().replace("/", "_").split("_"))
    assert not words & {"utils", "util", "misc", "common", "helpers", "helper"}


@each(CORE_FILES)
def test_core_files_stay_short(path: Path) -> None:
    num_lines = len(path.read_text(encoding="utf-8").splitlines())
    ceiling = CEILINGS.get(path.name, CEILING_OF_OTHERS)
    assert num_lines <= TOLERANCE * ceiling, f"{num_lines} lines, the ceiling is {ceiling}: split it by concept"


def test_every_core_file_is_type_checked_strictly() -> None:
    overrides = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]["overrides"]
    strict = {name for section in overrides if section.get("disallow_untyped_defs") for name in section["module"]}
    assert {"modeling_sigma", "modeling_sigma.model.*"} <= strict


def test_every_package_folder_is_a_package() -> None:
    folders = {path.parent for path in [*TOOL_FILES, *DATASET_FILES]} | {PACKAGE}
    assert [_name(folder) for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


# --- the rules themselves, on small sources


@pytest.mark.parametrize(
    "source",
    [
        "import os\nimport numpy as np\nfrom torch import nn\nfrom transformers import AutoConfig",
        "from .sibling import name",
        "def f():\n    try:\n        from modeling_sigma.io import load_clip\n    except ImportError:\n        pass",
        '"""Loads things.\n\n>>> from modeling_sigma import PoseClip\n"""',
    ],
)
def test_rules_accept(source: str) -> None:
    assert core_violations(source, {"sibling"}) == []


@pytest.mark.parametrize(
    "source",
    [
        "from . import sibling",
        "from .sibling.deeper import name",
        "from ..sibling import name",
        "from .stranger import name",
        "import pandas",
        "def f():\n    import datasets",
        "from modeling_sigma.io import load_clip",
        "import modeling_sigma.io",
        "try:\n    x = 1\nexcept ImportError:\n    from modeling_sigma.io import load_clip",
        "try:\n    from modeling_sigma.io import load_clip\nfinally:\n    x = 1",
        '"""Loads things.\n\n    from .sibling import name\n"""',
        '"""import modeling_sigma"""',
    ],
)
def test_rules_refuse(source: str) -> None:
    assert len(core_violations(source, {"sibling"})) == 1


@pytest.mark.parametrize(
    ("source", "num_violations"),
    [
        ("from modeling_sigma.io import load_clip", 0),
        ("import datasets", 0),
        ("from .reader import read", 1),
        ("import examples.quickstart", 1),
        ("from tests.factories import tiny_model", 1),
        ("from modeling_sigma.cli import main", 1),
        ("from modeling_sigma.cli.main import main", 1),
    ],
)
def test_rules_for_tools(source: str, num_violations: int) -> None:
    assert len(tool_violations(source, NOT_FOR_TOOLS | {"modeling_sigma.cli"})) == num_violations
