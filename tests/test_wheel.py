"""What people install: a wheel and a source distribution, built, checked, sent to an index, installed and used."""

from __future__ import annotations

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import factories
import pytest
from package_index import PackageIndex

from modeling_sigma import SigmaForConditionalGeneration
from modeling_sigma.hub.bundle import save_bundle
from modeling_sigma.io import save_clip


ROOT = Path(__file__).resolve().parents[1]
MAX_WHEEL = 12_000_000  # bytes
COMMAND = [sys.executable, "-m", "modeling_sigma.cli.main"]

# What a build reads; the rest of the repository is copied for nothing.
_SOURCES = ("modeling_sigma", "datasets_scripts", "checkpoints", "examples")


def _run(*command: str, cwd: Path, **environment: str) -> str:
    """The output of a command that succeeds."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def _build(tree: Path, kind: str, out: Path) -> Path:
    """A `"wheel"` or `"sdist"` of a tree, as pip builds it, with the setuptools that is here."""
    name = _run(
        sys.executable,
        "-c",
        f"from setuptools import build_meta; print(build_meta.build_{kind}({str(out)!r}))",
        cwd=tree,
    ).split()[-1]
    return out / name


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a source distribution and the wheel that is built from it, not from the repository."""
    folder = tmp_path_factory.mktemp("dist")
    tree = folder / "tree"
    for name in _SOURCES:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in [path for path in ROOT.iterdir() if path.is_file()]:
        shutil.copy(path, tree)
    archive = _build(tree, "sdist", folder)
    with tarfile.open(archive) as file:
        file.extractall(folder / "unpacked", filter="data")
    (source,) = (folder / "unpacked").iterdir()
    _build(source, "wheel", folder)
    shutil.rmtree(tree)
    shutil.rmtree(folder / "unpacked")
    return folder


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, sent to an index with twine and installed from there; its requirements are those of this
    interpreter."""
    target = tmp_path_factory.mktemp("installed")
    with PackageIndex() as index:
        upload = ["upload", "--non-interactive", "--disable-progress-bar", "--repository-url", index.upload_url]
        files = [str(path) for path in sorted(dist.glob("*.*"))]
        account = {"TWINE_USERNAME": "tester", "TWINE_PASSWORD": "none"}
        _run(sys.executable, "-m", "twine", *upload, *files, cwd=dist, **account)
        assert sorted(index.files) == sorted(path.name for path in dist.glob("*.*"))
        pip = [sys.executable, "-m", "pip", "--isolated", "install", "--quiet", "--no-deps", "--target", str(target)]
        _run(*pip, "--index-url", index.url, "sigma-slu", cwd=target)
    return target


def test_it_is_small_and_whole(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    assert wheel.stat().st_size <= MAX_WHEEL
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
        shipped = {name: file.read(name) for name in names if name.startswith("modeling_sigma/shipped/")}
    homes = {path: f"configs/{path.name}" for path in (ROOT / "examples" / "configs").glob("*.yaml")}
    homes |= {path: f"checkpoints/{path.parent.name}/{path.name}" for path in (ROOT / "checkpoints").glob("*/*")}
    assert shipped == {f"modeling_sigma/shipped/{name}": path.read_bytes() for path, name in homes.items()}
    modules = {str(path.relative_to(ROOT)) for name in _SOURCES[:2] for path in (ROOT / name).rglob("*.py")}
    assert modules == {name for name in names if name.endswith(".py")}
    assert {"modeling_sigma/py.typed", "datasets_scripts/py.typed"} <= names


def test_index_pages_can_show_it(dist: Path) -> None:
    """Its description renders, and its license covers the weights, too."""
    _run(sys.executable, "-m", "twine", "check", "--strict", *map(str, dist.glob("*.*")), cwd=dist)
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        (name,) = [name for name in file.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = file.read(name).decode()
    assert "License-Expression: Apache-2.0 AND CC-BY-NC-4.0" in metadata
    assert re.search("^Author: .+$", metadata, re.MULTILINE) and re.search("^Project-URL: .+$", metadata, re.MULTILINE)


def test_it_finds_what_it_brings_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    here = {"PYTHONPATH": str(installed)}
    recipes = _run(*COMMAND, "finetune", "--recipe", "list", cwd=tmp_path, **here)
    assert "wlasl_hands_300" in recipes.split()
    show = "import modeling_sigma; print(modeling_sigma.shipped_model())"
    assert _run(sys.executable, "-c", show, cwd=tmp_path, **here).startswith(str(installed))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A reader's folder: what the demo leaves behind, with an untrained model, and a few files of their own."""
    model = factories.tiny_model(SigmaForConditionalGeneration, seed=0)
    model.generation_config.max_new_tokens = 5
    save_bundle(model, factories.tiny_processor(), tmp_path / "sigma-slu")
    (tmp_path / "my_clips").mkdir()
    for name in ("sigma-slu/unseen_clip", "my_sign", "new_clip", *(f"my_clips/{number}" for number in range(9))):
        save_clip(tmp_path / f"{name}.npz", factories.random_clip(12, seed=len(name) + ord(name[-1])))
    with open(tmp_path / "my_clips" / "metadata.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "signer"])
        table.writerows(
            [f"{number}.npz", ("house", "rain", "snow")[number % 3], "ABC"[number // 3]] for number in range(9)
        )
    return tmp_path


@pytest.mark.slow
@pytest.mark.timeout(1800)  # a dozen programs, each of which loads torch: ten minutes on a busy machine
@pytest.mark.parametrize("set_up", ["checkout", "wheel"])
def test_everything_on_the_front_page_runs(set_up: str, installed: Path, folder: Path) -> None:
    """In a folder that has nothing of the repository; the demo has tests of its own, and so have videos."""
    here = {"PYTHONPATH": str(ROOT if set_up == "checkout" else installed)}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    for block in blocks:
        assert _run(sys.executable, "-c", block, cwd=folder, **here).strip()
    shell = "\n".join(re.findall(r"```bash\n(.*?)```", readme, flags=re.DOTALL))
    lines = [
        line
        for line in shell.replace("\\\n", " ").splitlines()
        if line.startswith("sigma-slu ") and line != "sigma-slu demo"
    ]
    assert len(blocks) == 3 and len(lines) >= 8
    for line in lines:
        words = shlex.split(re.sub(r"\.(pose|mp4)\b", ".npz", line))[1:]  # skeletons of any format are read alike
        fast = ["--steps", "2", "--cpu"] if words[0] == "adapt" else []
        assert _run(*COMMAND, *words, *fast, cwd=folder, **here).strip(), line
