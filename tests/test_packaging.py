"""What an installation promises: versions, requirements, entry points, and the commands of README.md."""

import ast
import configparser
import importlib
import importlib.metadata
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import modeling_sigma


ROOT = Path(__file__).resolve().parents[1]


def _read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read_string(_read("setup.cfg"))
    return parser


@pytest.fixture(scope="module")
def constraints() -> dict[str, Version]:
    pins = [line.split("==") for line in _read("constraints.txt").splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pins}


def _lines(value: str) -> list[str]:
    return [line for line in value.split("\n") if line]


def _requirements(setup_cfg: configparser.ConfigParser) -> list[Requirement]:
    extras = setup_cfg["options.extras_require"]
    values = [setup_cfg["options"]["install_requires"], *(extras[name] for name in extras)]
    return [Requirement(line) for value in values for line in _lines(value)]


@dataclass(frozen=True)
class _Import:
    package: str  # as pip calls it
    place: str
    is_optional: bool  # inside a function, or in a `try`


# Where the name to import is not the one to install.
_PACKAGE_NAMES = {
    "PIL": "pillow",
    "cv2": "mediapipe",  # which brings the one build of OpenCV
    "faiss": "faiss-cpu",
    "pympi": "pympi-ling",
    "webvtt": "webvtt-py",
    "yaml": "pyyaml",
}

_NOT_IMPORTED = {
    "accelerate": "transformers' Trainer wants it",
    "sentencepiece": "the tokenizers of mT5 want it",
    "tensorboard": "report_to: tensorboard",
    "onnxscript": "transformers' exporter wants it",
    "pytest-timeout": "an option in pyproject.toml",
    "pytest-xdist": "an option in pyproject.toml",
    "python-multipart": "the forms of FastAPI want it",
    "parameterized": "transformers' common tests want it",
    "mkdocs": "a command",
    "mkdocs-material": "the theme of the documentation",
    "mypy": "a command",
    "pre-commit": "a command",
    "ruff": "a command",
    "setuptools": "builds the wheel",
    "twine": "a command",
}
_ONLY_WHERE_INSTALLED = {
    "mcp": "asks the Space as its client does",
    "selenium": "clicks through the Space where there is a browser",
    "trackio": "gets the numbers of a run",
}


# Folders whose files import each other by name alone.
_OWN_NAMES = ("examples/space", "examples/serving", "benchmarks", "tests")


def _imports(*folders: str) -> list[_Import]:
    """Packages of others that the files of some folders import."""
    ours = {path.stem for folder in _OWN_NAMES for path in (ROOT / folder).glob("*.py")}
    ours |= {"modeling_sigma", "datasets_scripts", "examples", "benchmarks", "tests"}
    found = []
    for path in [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        optional = {
            id(inside)
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Try)
            for inside in ast.walk(node)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            for top in {name.split(".")[0] for name in names} - ours - sys.stdlib_module_names:
                place = f"{path.relative_to(ROOT)}, line {node.lineno}"
                found.append(_Import(canonicalize_name(_PACKAGE_NAMES.get(top, top)), place, id(node) in optional))
    return found


def _names(requirements: str) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in _lines(requirements)}


def test_what_is_imported_is_declared(setup_cfg: configparser.ConfigParser) -> None:
    """Of the packages in an extra alone, imports are optional, so that everything else works without them."""
    core = _names(setup_cfg["options"]["install_requires"])
    extras = {name: _names(value) for name, value in setup_cfg["options.extras_require"].items()}
    of_users = set().union(*(packages for name, packages in extras.items() if name not in ("test", "dev")))
    imports = _imports("modeling_sigma", "datasets_scripts")
    assert len({one.package for one in imports}) > 15
    assert [one for one in imports if one.package not in core | of_users] == []
    assert [one for one in imports if one.package not in core and not one.is_optional] == []
    assert [one for one in _imports("examples", "benchmarks") if one.package not in core | of_users] == []
    of_tests = core | extras["dev"] | set(_ONLY_WHERE_INSTALLED)
    assert [one for one in _imports("tests") if one.package not in of_tests] == []


def test_what_is_declared_is_imported(setup_cfg: configparser.ConfigParser) -> None:
    """Otherwise there is a reason; and what tests alone use is in their extra alone."""
    core = _names(setup_cfg["options"]["install_requires"])
    extras = {name: _names(value) for name, value in setup_cfg["options.extras_require"].items()}
    by_us = {one.package for one in _imports("modeling_sigma", "datasets_scripts")}
    by_others = {one.package for one in _imports("examples", "benchmarks", "tests")}
    assert core - by_us - set(_NOT_IMPORTED) == set()
    for name, packages in extras.items():
        assert packages - by_us - by_others - set(_NOT_IMPORTED) == set(), name
    assert extras["test"] & (core | by_us) == set()
    assert set(_NOT_IMPORTED) & by_us == set(), "a reason that is none"


def test_version_is_the_same_everywhere(setup_cfg: configparser.ConfigParser) -> None:
    version = setup_cfg["metadata"]["version"]
    assert modeling_sigma.__version__ == version
    assert re.search(rf"^version: {re.escape(version)}$", _read("CITATION.cff"), re.MULTILINE)
    assert f"## [{version}]" in _read("CHANGELOG.md")


def test_console_script_points_at_a_function(setup_cfg: configparser.ConfigParser) -> None:
    name, target = _lines(setup_cfg["options.entry_points"]["console_scripts"])[0].split(" = ")
    module, function = target.split(":")
    assert name == "sigma-slu"
    assert callable(getattr(importlib.import_module(module), function))


def test_requirements_are_ranges_and_constraints_fulfil_them(
    setup_cfg: configparser.ConfigParser, constraints: dict[str, Version]
) -> None:
    for requirement in _requirements(setup_cfg):
        assert all(specifier.operator in (">=", "<") for specifier in requirement.specifier), str(requirement)
        assert requirement.specifier, f"{requirement} needs a lower bound"
        assert constraints[canonicalize_name(requirement.name)] in requirement.specifier, str(requirement)


def test_dev_holds_everything_that_tests_need(setup_cfg: configparser.ConfigParser) -> None:
    extras = {name: set(_lines(value)) for name, value in setup_cfg["options.extras_require"].items()}
    assert extras["test"] | extras["video"] | extras["viz"] | extras["peft"] <= extras["dev"]


def test_package_is_typed_and_licensed(setup_cfg: configparser.ConfigParser) -> None:
    assert (ROOT / "modeling_sigma" / "py.typed").is_file()
    assert setup_cfg["options.package_data"]["modeling_sigma"] == "py.typed"
    assert setup_cfg["metadata"]["license_expression"] == "Apache-2.0 AND CC-BY-NC-4.0"  # with the weights
    assert "Apache License" in _read("LICENSE") and "END OF TERMS AND CONDITIONS" in _read("LICENSE")


def test_continuous_integration_runs_the_test_command_of_the_readme() -> None:
    blocks = re.findall(r"^```(?:bash|shell|sh|console)?\n(.*?)^```$", _read("README.md"), re.MULTILINE | re.DOTALL)
    commands = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    test_commands = [command for command in commands if command.endswith("python -m pytest")]
    assert test_commands, "README.md has no fenced command that ends with `python -m pytest`"
    assert _lines(_read(".ci/run"))[-1] in test_commands


def test_no_message_sends_users_to_an_index_that_does_not_have_us() -> None:
    """The package is not on PyPI: messages install as the README does, from the folder (`pip install -e ".[viz]"`)."""
    paths = [path for name in ("modeling_sigma", "datasets_scripts") for path in (ROOT / name).rglob("*.*")]
    texts = {path: path.read_text(encoding="utf-8") for path in paths if path.suffix in (".py", ".md")}
    assert len(texts) > 100
    advice = re.compile(r"pip install (?!-)[^\n]*sigma-slu|pip install --upgrade")
    assert [f"{path}: {line}" for path, text in texts.items() for line in advice.findall(text)] == []


def test_the_space_installs_what_the_package_needs() -> None:
    """The package itself is uploaded with it, and gradio is the Space's own."""
    parser = configparser.ConfigParser()
    parser.read_string(_read("setup.cfg"))
    needed = parser["options"]["install_requires"].split() + parser["options.extras_require"]["space"].split()
    lines = [line for line in _read("examples/space/requirements.txt").splitlines() if not line.startswith("#")]
    assert lines == [name for name in needed if not name.startswith("gradio")]
    (gradio,) = re.findall(r"^sdk_version: (.*)$", _read("examples/space/README.md"), re.MULTILINE)
    assert f"gradio=={gradio}" in _read("constraints.txt")


def test_hooks_download_nothing() -> None:
    assert re.findall(r"^\s*- repo: (.*)$", _read(".pre-commit-config.yaml"), re.MULTILINE) == ["local"]


@pytest.mark.parametrize("extra", ["video", "viz", "space", "dev", "test"])
def test_an_extra_brings_one_build_of_opencv_at_most(extra: str, setup_cfg: configparser.ConfigParser) -> None:
    """All builds install into one folder, where the last one wins."""
    waiting, seen = _names(setup_cfg["options.extras_require"][extra]), set()
    while waiting - seen:
        name = (waiting - seen).pop()
        seen.add(name)
        try:
            needed = [Requirement(line) for line in importlib.metadata.requires(name) or ()]
        except importlib.metadata.PackageNotFoundError:
            continue
        waiting |= {
            canonicalize_name(one.name) for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})
        }
    assert len([name for name in seen if name.startswith("opencv")]) <= 1
