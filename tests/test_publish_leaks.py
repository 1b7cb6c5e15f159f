"""What lies in a folder beside a model, and what of it reaches the Hub: a red team's folder, through every door.

The table in docs/publishing.md is made of `PLANTED`.
"""

import json
import os
import pickle
import shutil
import sqlite3
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import load_file, save_file
from training_factories import tiny_trainer

from datasets_scripts.building.build import build_dataset, push_dataset
from modeling_sigma import SigmaForConditionalGeneration, SigmaProcessor, load_pipeline, save_bundle
from modeling_sigma.cli.main import main
from modeling_sigma.hub.bundle import remote_code_files
from modeling_sigma.hub.bundle_checks import check_bundle
from modeling_sigma.hub.publish import plan_publication
from tests.factories import tiny_model, tiny_processor
from tests.hub_server import TOKEN, HubServer


REPO = "tester/sigma-slu"
SECRET = "hf_LEAKEDleaked0123456789"
PERSON = "ada-lovelace"
CARD = "---\nlicense: apache-2.0\n---\n\n# A tiny model\n"
BUNDLE = {
    *("README.md", "config.json", "generation_config.json", "model.safetensors"),
    *("preprocessor_config.json", "processor_config.json", "tokenizer.json", "tokenizer_config.json"),
    *(path.name for path in remote_code_files()),
}


def png(**texts: str) -> bytes:
    """A white pixel with notes, and more behind its end."""

    def part(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    notes = b"".join(part(b"tEXt", f"{name}\0{text}".encode()) for name, text in texts.items())
    pixel = part(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)) + part(b"IDAT", zlib.compress(b"\0\xff"))
    return b"\x89PNG\r\n\x1a\n" + notes + pixel + part(b"IEND", b"") + texts.get("comment", "").encode()


def _link(path: Path) -> None:
    outside = path.parent.parent / "elsewhere.txt"
    outside.write_text(f"{SECRET} {PERSON}")
    path.symlink_to(outside)


def _folder(path: Path) -> None:
    path.mkdir()
    (path / "inside.json").write_text(SECRET)
    (path / "model.safetensors").write_bytes(SECRET.encode())


def _database(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("create table t (x)")
        database.execute("insert into t values (?)", (SECRET,))
    database.close()


def _text(path: Path) -> None:
    path.write_text(f'{{"token": "{SECRET}", "person": "{PERSON}", "home": "/home/{PERSON}/runs"}}')


# What lies in the folder -> how it gets there. None of it is sent.
PLANTED: dict[str, Callable[[Path], Any]] = {
    **dict.fromkeys(("secrets.json", "token.txt", ".env", ".netrc", "credentials", "id_rsa", "notes.md"), _text),
    **dict.fromkeys(("references_test.txt", "predictions_test.txt", "labels.csv", "interviews.json"), _text),
    **dict.fromkeys(("run.json", "config.yaml", "log.jsonl", "metrics.json", "trainer_state.json"), _text),
    **dict.fromkeys(("train.log", "analysis.ipynb", "events.out.tfevents.1.host", "wandb-summary.json"), _text),
    **dict.fromkeys(("local_settings.py", "setup.py", "train.sh", "config.json.bak", "config (copy).json"), _text),
    **dict.fromkeys(("person.npz", "person.pose", "person.mp4", "person.gif", "person.jpg", "clips.parquet"), _text),
    **dict.fromkeys(("model-00001-of-00002.safetensors", "model.safetensors.index.json", "old.safetensors"), _text),
    **dict.fromkeys(("average.safetensors", "adapter_model.safetensors", "spiece.vocab", "model.onnx"), _text),
    **dict.fromkeys(("training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth"), _text),
    **dict.fromkeys((".git", ".cache", "checkpoint-10", "runs", "wandb", "adapter", "__pycache__"), _folder),
    "notes.sqlite": _database,
    "scores.png": lambda path: path.write_bytes(png(comment=SECRET)),  # the card does not show it
    "link.txt": _link,
    "link_sigma.py": _link,
    "link.safetensors": _link,
    "link-to-folder": lambda path: path.symlink_to("/etc"),
    "pipe": os.mkfifo,
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_bundle(tiny_model(), tiny_processor(), tmp_path_factory.mktemp(PERSON) / "sigma-slu")
    (folder / "README.md").write_text(CARD)
    return folder


@pytest.fixture
def bundle(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / PERSON / "sigma-slu"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with HubServer() as server:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.url)
        template = f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield server


def received(hub: HubServer) -> dict[str, bytes]:
    """Everything that the Hub has been sent, in a commit or not."""
    commits = {
        f"{repo_id}/{branch}/{number}/{name}": content
        for (_, repo_id), repo in hub.repos.items()
        for branch, commits in repo.refs.items()
        for number, commit in enumerate(commits)
        for name, content in {**commit.files, "commit message": commit.message.encode()}.items()
    }
    return {**commits, **hub.large_files}


def _door_command(folder: Path, tmp_path: Path) -> None:
    assert main(["publish", str(folder), REPO]) == 0


def _door_model(folder: Path, tmp_path: Path) -> None:
    SigmaForConditionalGeneration.from_pretrained(folder).push_to_hub(REPO)


def _door_pipeline(folder: Path, tmp_path: Path) -> None:
    load_pipeline(folder, device="cpu").push_to_hub(REPO)


def _door_processor(folder: Path, tmp_path: Path) -> None:
    tiny_model().push_to_hub(REPO, processor=tiny_processor(max_frames=10))
    SigmaProcessor.from_pretrained(folder).push_to_hub(REPO)


def _door_trainer(folder: Path, tmp_path: Path) -> None:
    """The folder is the output folder of a run."""
    trainer = tiny_trainer(folder, push_to_hub=True, hub_model_id=REPO, hub_token=TOKEN)
    trainer.save_model()


DOORS = [_door_command, _door_model, _door_pipeline, _door_processor, _door_trainer]


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__.removeprefix("_door_"))
def test_only_the_bundle_leaves(
    door: Callable[[Path, Path], None],
    hub: HubServer,
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, plant in PLANTED.items():
        plant(bundle / name)
    before = {path.name for path in bundle.iterdir()}
    door(bundle, tmp_path)
    assert set(hub.repos[("model", REPO)].files()) == {".gitattributes", *BUNDLE}
    leaks = [
        (name, mark)
        for name, content in received(hub).items()
        for mark in (SECRET, TOKEN, PERSON, str(tmp_path))
        if mark.encode() in content
    ]
    assert leaks == []
    if door is _door_command:
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Left out: ")]
        assert set(line.removeprefix("Left out: ").split(", ")) == before - BUNDLE == set(PLANTED)


def test_of_an_adapter_only_its_files_leave(hub: HubServer, tmp_path: Path) -> None:
    folder = tmp_path / PERSON / "adapter"
    folder.mkdir(parents=True)
    for name, plant in PLANTED.items():
        plant(folder / name)
    tensors = {"q.lora_A.weight": torch.ones(2, 8), "q.lora_B.weight": torch.ones(8, 2)}
    save_file(tensors, folder / "adapter_model.safetensors")
    own = {"adapter_config.json", "adapter_model.safetensors", "README.md"}
    (folder / "README.md").write_text(CARD)
    for base in (f"/home/{PERSON}/base", "/models", "../base", "~/base", str(folder), "./base"):
        (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base, "r": 2}))
        assert main(["publish", str(folder), REPO]) == 1, base
    assert hub.requests == []
    config = {"base_model_name_or_path": "my-lab/base", "r": 2, "parent_path": f"/home/{PERSON}/x"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    assert main(["publish", str(folder), REPO]) == 0
    files = hub.repos[("model", REPO)].files()
    assert set(files) == {".gitattributes", *own}
    assert json.loads(files["adapter_config.json"]) == {**config, "parent_path": "x"}
    marks = (SECRET, TOKEN, PERSON, str(tmp_path))
    assert [name for name, content in received(hub).items() for mark in marks if mark.encode() in content] == []


# --- files of the bundle that are not what they seem


def _json(name: str, **fields: Any) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(json.dumps({**json.loads((folder / name).read_text()), **fields}))


def _replaced(name: str, make: Callable[[Path], Any]) -> Callable[[Path], None]:
    def replace(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        make(folder / name)

    return replace


def _weights_with_notes(folder: Path) -> None:
    weights = folder / "model.safetensors"
    save_file(load_file(weights), weights, metadata={"format": "pt", "made_by": PERSON})


def _linked_inside(folder: Path) -> None:
    (folder / "secrets.json").write_text(SECRET)
    (folder / "special_tokens_map.json").symlink_to("secrets.json")


def _shards_elsewhere(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder.parent / "model.safetensors")
    index = {"weight_map": dict.fromkeys(load_file(folder.parent / "model.safetensors"), "../model.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


REFUSED: list[tuple[str, Callable[[Path], Any], str]] = [
    ("a link out of the folder", _replaced("README.md", _link), "README.md is a link or no plain file"),
    ("a linked configuration", _replaced("config.json", lambda p: p.symlink_to("README.md")), "config.json is a link"),
    ("linked weights", _replaced("model.safetensors", _link), "model.safetensors"),
    ("linked code", _replaced("fusion_sigma.py", _link), "fusion_sigma.py is a link"),
    ("a link inside the folder", _linked_inside, "special_tokens_map.json is a link"),
    ("a linked license", lambda folder: _link(folder / "LICENSE"), "LICENSE is a link"),
    ("a pipe as a card", _replaced("README.md", os.mkfifo), "README.md is a link or no plain file"),
    ("shards of another folder", _shards_elsewhere, "expected the names of safetensors files of this folder"),
    ("a token in the configuration", _json("config.json", hub_token=SECRET), "config.json, line 1: hub... looks"),
    ("a key in the configuration", _json("config.json", wandb_api_key="0123456789abcdef"), "the field wandb_api_key"),
    ("a deep password", _json("generation_config.json", a=[{"db_password": "Tr0ub4dor&3"}]), "the field db_password"),
    ("a token of the tokenizer", _json("tokenizer_config.json", auth_token="abcdefgh12345"), "the field auth_token"),
    (
        "a token in the card",
        _replaced("README.md", lambda path: path.write_text(CARD + SECRET)),
        "README.md, line 6: hf_... looks like a secret",
    ),
    (
        "an address with a password",
        _replaced("README.md", lambda p: p.write_text(f"{CARD}\nhttps://{PERSON}:x@host/data")),
        "README.md, line 7: ada... looks like a secret",
    ),
    (
        "a token in code",
        lambda folder: (folder / "fusion_sigma.py").write_text(f"KEY = '{SECRET}'\n"),
        "fusion_sigma.py, line 1: hf_... looks like a secret",
    ),
    ("notes in the weights", _weights_with_notes, "model.safetensors has notes in its header .made_by."),
    (
        "a pickle of weights",
        lambda folder: (folder / "pytorch_model.bin").write_bytes(pickle.dumps(0)),
        "pytorch_model.bin may hold a pickle",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("plant", "message"), [entry[1:] for entry in REFUSED], ids=[entry[0] for entry in REFUSED])
def test_what_is_refused(
    plant: Callable[[Path], Any], message: str, hub: HubServer, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(bundle)
    with pytest.raises(ValueError, match=message) as caught:
        plan_publication(bundle, REPO)
    assert SECRET not in str(caught.value)
    assert main(["publish", str(bundle), REPO]) == 1
    assert capsys.readouterr().err.count("\n") == 1 and hub.requests == []


def test_secrets_of_this_machine_are_known(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bundle / "README.md").write_text(f"{CARD}\nAsk for correct-horse-1 first.")
    assert plan_publication(bundle, REPO).license == "apache-2.0"
    monkeypatch.setenv("STORAGE_PASSWORD", "correct-horse-1")
    with pytest.raises(ValueError, match=r"README\.md, line 7: cor\.\.\. looks like a secret"):
        plan_publication(bundle, REPO)


def test_paths_of_this_machine_are_taken_out(hub: HubServer, bundle: Path) -> None:
    """Of whatever is sent; the folder itself does not change."""
    path = f"/home/{PERSON}/runs/first"
    _json("config.json", _name_or_path=path, source=f"{path}/model.bin", id2label={"0": "/b/", "1": "/home/"})(bundle)
    windows = f"C:\\Users\\{PERSON}\\x"
    _json("tokenizer_config.json", name_or_path=path, vocab_file=f"{path}/spiece.model", where=[windows])(bundle)
    _json("preprocessor_config.json", _name_or_path="my-lab/base")(bundle)
    header = f"---\nlicense: mit\nbase_model: {path}\n---\n"
    (bundle / "README.md").write_text(
        f"{header}\nTrained in `{path}`, see ![]({path}/x.png) and https://host/home/x/y.\n"
    )
    result = {
        "task": "slt", "dataset": "D", "split": "test", "num_samples": 1, "scores": {"bleu4": 1.0}, "signature": "s",
        "command": f"sigma-slu evaluate --model {path} --data-dir /data/{PERSON}/d",
    }  # fmt: skip
    (bundle / "results.json").write_text(json.dumps([result]))
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    assert main(["publish", str(bundle), REPO]) == 0
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before
    files = hub.repos[("model", REPO)].files()
    assert not [name for name, content in files.items() if PERSON.encode() in content]
    config, tokenizer, extractor = (
        json.loads(files[name]) for name in ("config.json", "tokenizer_config.json", "preprocessor_config.json")
    )
    assert "_name_or_path" not in config and config["source"] == "model.bin"
    assert config["id2label"] == {"0": "/b/", "1": "/home/"}, "labels may look like paths"
    assert "name_or_path" not in tokenizer and (tokenizer["vocab_file"], tokenizer["where"]) == ("spiece.model", ["x"])
    assert extractor["_name_or_path"] == "my-lab/base", "others find it"
    card = files["README.md"].decode()
    assert card == "---\nlicense: mit\n---\n\nTrained in `first`, see ![](x.png) and https://host/home/x/y.\n"
    assert json.loads(files["results.json"])[0]["command"] == "sigma-slu evaluate --model first --data-dir d"


def test_pictures_of_the_card_lose_their_notes(hub: HubServer, bundle: Path) -> None:
    (bundle / "curves.png").write_bytes(png(Author=PERSON, comment=SECRET))
    (bundle / "README.md").write_text(f"{CARD}![Curves](curves.png) ![](missing.png) ![](../x.png)\n")
    assert "curves.png" in plan_publication(bundle, REPO).sizes
    assert main(["publish", str(bundle), REPO]) == 0
    assert hub.repos[("model", REPO)].files()["curves.png"] == png()
    (bundle / "curves.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"curves\.png cannot be read .expected a PNG"):
        plan_publication(bundle, REPO)


def test_sources_of_the_card_are_what_they_say(bundle: Path) -> None:
    (bundle / "card.json").write_text(json.dumps({"name": "x", "people": [PERSON]}))
    (bundle / "results.json").write_text("[1, 2]")
    assert {"card.json", "results.json"} <= {path.name for path in check_bundle(bundle).left_out}


def test_a_folder_that_changes_meanwhile_is_refused(bundle: Path, tmp_path: Path) -> None:
    plan = plan_publication(bundle, REPO)
    plan.check_unchanged()
    torch.save({}, tmp_path / "x")
    (bundle / "model.safetensors").unlink()
    (bundle / "model.safetensors").symlink_to(tmp_path / "x")
    with pytest.raises(ValueError, match="changed while it was being published"):
        plan.check_unchanged()


# --- data sets


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(PERSON) / "signs"
    build_dataset("synthetic", folder, config_name="isolated", num_train=4, num_validation=2, num_test=2)
    return folder


@pytest.fixture
def dataset(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / PERSON / "signs"))


def test_of_a_data_set_only_what_was_built_leaves(hub: HubServer, dataset: Path, tmp_path: Path) -> None:
    for name in ("secrets.json", "interviews.json", ".env", "data/extra.parquet", "data/notes.txt"):
        _text(dataset / name)
    _link(dataset / "data" / "train-00009-of-00009.parquet")
    _folder(dataset / ".git")
    report = json.loads((dataset / "build_report.json").read_text())
    reason = f"/home/{PERSON}/clips/7.npz cannot be read"
    report["set_aside"] = [{"split": "train", "sample_id": "7", "reason": reason}]
    (dataset / "build_report.json").write_text(json.dumps(report))
    (dataset / "lengths.png").write_bytes(png(comment=SECRET))
    assert push_dataset(dataset, "tester/signs").endswith("/datasets/tester/signs")
    repo = hub.repos[("dataset", "tester/signs")]
    shards = {f"data/{shard['file']}" for shard in report["shards"]}
    assert repo.private and len(repo.refs["main"]) == 2
    assert set(repo.files()) == {".gitattributes", "README.md", "build_report.json", "lengths.png", *shards}
    sent = json.loads(repo.files()["build_report.json"])
    assert sent["set_aside"][0]["reason"] == "7.npz cannot be read"
    marks = (SECRET, TOKEN, PERSON, str(tmp_path))
    assert [
        (name, mark) for name, content in received(hub).items() for mark in marks if mark.encode() in content
    ] == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_replaced("README.md", _link), "found another one, a link or none: README.md"),
        (_replaced("data/test-00000-of-00001.parquet", _link), "a link or none: data/test-00000-of-00001.parquet"),
        (lambda folder: (folder / "data").rename(folder / "old"), "or none: data/train-00000-of-00001.parquet, data"),
        (_json("build_report.json", shards=[{"file": "../../x", "num_bytes": 1, "sha256": ""}]), "a link or none"),
        (_json("build_report.json", shards=["x"]), "expected the report of a build"),
        (
            _replaced("README.md", lambda path: path.write_text(SECRET)),
            "README.md, line 1: hf_... looks like a secret",
        ),
    ],
)
def test_data_sets_that_are_refused(
    damage: Callable[[Path], Any], message: str, hub: HubServer, dataset: Path
) -> None:
    damage(dataset)
    with pytest.raises(ValueError, match=message):
        push_dataset(dataset, "tester/signs")
    assert hub.requests == []
