"""The Python blocks of README.md and docs/ run as they stand, and their links lead somewhere."""

from __future__ import annotations

import csv
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import factories
import pytest
from hub_server import HubServer

from modeling_sigma import SigmaForConditionalGeneration, SigmaModel
from modeling_sigma.hub.bundle import save_bundle
from modeling_sigma.io import save_clip


ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    block
    for page in PAGES
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
]
HUB_REPO = "my-lab/sigma-slu"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the demo leaves behind, with an untrained model, and a few clips of one's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    Path("checkpoints").symlink_to(ROOT / "checkpoints")
    model = factories.tiny_model(SigmaForConditionalGeneration, seed=0)
    model.generation_config.max_new_tokens = 5
    save_bundle(model, factories.tiny_processor(), "sigma-slu")
    save_clip("sigma-slu/unseen_clip.npz", factories.random_clip(12))
    save_clip("my_sign.npz", factories.random_clip(12, seed=1))
    Path("sigma-slu/README.md").write_text("---\nlicense: apache-2.0\n---\n\n# A tiny model\n")
    Path("my_clips").mkdir()
    with open("my_clips/metadata.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "signer"])
        for number in range(9):
            save_clip(f"my_clips/{number}.npz", factories.random_clip(8, seed=number))
            table.writerow([f"{number}.npz", ("Haus", "Regen", "Schnee")[number % 3], "ABC"[number // 3]])
    return tmp_path


@pytest.mark.parametrize("block", [block for block in BLOCKS if HUB_REPO not in block])
def test_block_runs(
    block: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("modeling_sigma.training.recipes.adapt._MIN_STEPS", 1)  # 40 passes over six clips
    exec(compile(block, "documentation", "exec"), {})
    assert capsys.readouterr().out.strip()


def test_what_is_published_can_be_loaded(folder: Path) -> None:
    """In a fresh interpreter with a fresh cache, against the test hub."""
    (block,) = [block for block in BLOCKS if HUB_REPO in block]
    shown = "print(type(model).__name__, type(processor).__name__, model.num_parameters())"
    with HubServer() as hub:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **hub.environment(folder)}
        command = [sys.executable, "-c", f"{block}\n{shown}"]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
        repo = hub.repos[("model", HUB_REPO)]
        assert repo.private and "model.safetensors" in repo.files()
    *_, url, loaded = done.stdout.splitlines()
    assert url == f"{hub.url}/{HUB_REPO}"
    assert loaded == f"SigmaModel SigmaProcessor {factories.tiny_model(SigmaModel).num_parameters()}"


@pytest.mark.parametrize(
    "line",
    [
        'pipeline("isolated-sign-recognition", model=folder)',
        'SignDictionary.create("sigma-wlasl-hands")',
        "AutoFeatureExtractor.from_pretrained(name), AutoModelForSequenceClassification.from_pretrained(name)",
        'pipeline("sign-language-translation", model=model',
        'load_pipeline("sigma-slu")',
        "adapt(AdaptOptions(",
        "load_adapted(",
        f'publish("sigma-slu", "{HUB_REPO}"',
        f'AutoModel.from_pretrained("{HUB_REPO}", trust_remote_code=True)',
    ],
)
def test_first_steps_are_blocks_that_run(line: str) -> None:
    assert any(line in block for block in BLOCKS)


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "MODEL_CARD.md"], ids=lambda page: page.name
)
def test_links_and_pictures_are_there(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if "://" not in target and not (page.parent / target).exists()] == []


def test_commands_of_the_documentation_exist() -> None:
    """Each `sigma-slu COMMAND` is one, and its options are ones that the command has."""
    from modeling_sigma.cli.main import build_parser

    lines = [
        line
        for page in PAGES
        for block in re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for line in block.replace("\\\n", " ").splitlines()
        if line.startswith("sigma-slu ")
    ]
    assert len(lines) > 20
    for line in lines:
        words = shlex.split(line, comments=True)
        if words[1] not in ("pretrain", "finetune"):  # they take every training argument of transformers
            build_parser(words[1]).parse_args(words[1:])


def _prose(page: Path) -> str:
    """Running text: no code, tables, headings, pictures and addresses."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = re.sub(r"^([|#!].*|\*\*?[^.]*\*\*?)$", "", text, flags=re.MULTILINE)
    return re.sub(r"[*`_]|\[|\]\([^)]*\)", "", text)


@pytest.mark.parametrize("page", ["README.md", "docs/who_decides.md", "docs/tutorials.md"])
def test_first_pages_are_easy_to_read(page: str) -> None:
    """Flesch's reading ease, with groups of vowels as syllables: 60 is plain English, 30 a journal."""
    text = _prose(ROOT / page)
    sentences = [sentence for sentence in re.split(r"[.!?:;]\s", text) if re.search(r"[a-z]", sentence)]
    words = re.findall(r"[A-Za-z]+", text)
    syllables = sum(max(1, len(re.findall(r"[aeiouy]+", re.sub(r"e$", "", word.lower())))) for word in words)
    ease = 206.835 - 1.015 * len(words) / len(sentences) - 84.6 * syllables / len(words)
    assert len(words) > 300 and ease > 50, (len(words), ease)


def test_the_front_page_installs_before_it_runs_anything_and_is_short() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.index("## Install") < readme.index("```")
    assert len(readme.splitlines()) <= 210
    assert "docs/who_decides.md" in readme and "Deaf" in readme.partition("## Install")[0]
