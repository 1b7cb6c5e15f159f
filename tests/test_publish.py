"""`publish`: what may go, what arrives, and what a taken name or a failing network does. Against the test hub."""

import io
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import numpy as np
import pytest
import yaml
from huggingface_hub import CommitOperationAdd, HfApi
from safetensors.numpy import load_file

from modeling_sigma import SigmaFeatureExtractor, SigmaForSequenceClassification, __version__, save_bundle
from modeling_sigma.cli.main import main
from modeling_sigma.hub.bundle_checks import check_bundle
from modeling_sigma.hub.card_facts import Measurement
from modeling_sigma.hub.licenses import choose_license
from modeling_sigma.hub.model_card import write_results
from modeling_sigma.hub.publish import NUM_TRIES, PublishError, plan_publication, publish
from tests.factories import tiny_model, tiny_processor
from tests.hub_server import TOKEN, HubServer, Repo


REPO = "tester/sigma-slu"
API = f"/api/models/{REPO}"
CARD = "---\nlicense: apache-2.0\n---\n\n# A tiny model\n"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_bundle(tiny_model(), tiny_processor(), tmp_path_factory.mktemp("saved") / "sigma-slu")
    (folder / "README.md").write_text(CARD)
    return folder


@pytest.fixture
def bundle(saved: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(saved, tmp_path / "sigma-slu"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    with HubServer() as server:
        yield server


@pytest.fixture
def send(hub: HubServer) -> Callable[..., Any]:
    def send_to_hub(folder: Path, repo_id: str = REPO, **options: Any) -> Any:
        api = HfApi(endpoint=hub.url, token=options.pop("token", TOKEN))
        return publish(folder, repo_id, api=api, wait=lambda seconds: None, **options)

    return send_to_hub


def _repo(hub: HubServer, repo_id: str = REPO) -> Repo:
    return hub.repos[("model", repo_id)]


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _change_json(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


# --- what arrives


def test_everything_arrives_in_one_private_commit(hub: HubServer, send: Callable[..., Any], bundle: Path) -> None:
    result = send(bundle)
    repo = _repo(hub)
    assert len(repo.refs["main"]) == 2, "the Hub's own commit and ours"
    files = {name: content for name, content in repo.files().items() if name != ".gitattributes"}
    assert files == {path.name: path.read_bytes() for path in bundle.iterdir()}
    assert result.is_private and repo.private
    assert (result.url, result.commit) == (f"{hub.url}/{REPO}", repo.refs["main"][-1].oid)


def test_results_arrive_as_the_hubs_own_files(hub: HubServer, send: Callable[..., Any], bundle: Path) -> None:
    one = Measurement(
        task="slt", dataset="Village", dataset_id="lab/village", split="test", num_samples=5, scores={"bleu4": 12.0},
        signature="tok:13a", command="sigma-slu evaluate",
    )  # fmt: skip
    write_results(bundle, [one])
    send(bundle)
    assert yaml.safe_load(_repo(hub).files()[".eval_results/lab__village.yaml"])[0]["value"] == 12.0
    assert not (bundle / ".eval_results").exists()


def test_public_only_after_everything_is_there(hub: HubServer, send: Callable[..., Any], bundle: Path) -> None:
    assert send(bundle, is_public=True).is_private is False
    assert not _repo(hub).private
    order = [hub.requests.index(what) for what in (f"POST {API}/commit/main", f"PUT {API}/settings")]
    assert order == sorted(order)


def test_a_branch_and_a_pull_request(hub: HubServer, send: Callable[..., Any], bundle: Path) -> None:
    send(bundle)
    (bundle / "README.md").write_text(CARD + "\nMore.\n")
    assert send(bundle, revision="v2", exist_ok=True).revision == "v2"
    assert _repo(hub).files("v2")["README.md"] != _repo(hub).files("main")["README.md"]
    asked = send(bundle, create_pr=True)  # changes nothing that is there: no exist_ok needed
    assert asked.pull_request == f"{hub.url}/{REPO}/discussions/1"
    assert _repo(hub).files("refs/pr/1") == _repo(hub).files("v2")
    assert len(_repo(hub).refs["main"]) == 2
    with pytest.raises(PublishError, match="expected an existing repository for a pull request"):
        send(bundle, "tester/new", create_pr=True)
    with pytest.raises(ValueError, match="expected a pull request to main, received revision 'v2'"):
        send(bundle, create_pr=True, revision="v2")


def test_files_of_an_older_version_go(hub: HubServer, send: Callable[..., Any], bundle: Path) -> None:
    """An old whole file of weights would be loaded in place of new shards."""
    send(bundle)
    api = HfApi(endpoint=hub.url, token=TOKEN)
    old = ("pytorch_model.bin", "model-00001-of-00002.safetensors", "old_code_sigma.py", "notes.txt")
    api.create_commit(REPO, [CommitOperationAdd(name, b"old") for name in old], commit_message="older files")
    assert sorted(send(bundle, exist_ok=True).deleted) == sorted(old[:3])
    assert set(old) & set(_repo(hub).files()) == {"notes.txt"}, "what is not ours stays"


def test_code_is_added_to_a_folder_without(
    hub: HubServer, send: Callable[..., Any], bundle: Path, tmp_path: Path
) -> None:
    """What arrives is what `save_bundle` would have written with its code."""
    folder = save_bundle(tiny_model(), tiny_processor(), tmp_path / "no-code", include_code=False)
    (folder / "README.md").write_text(CARD)
    before = _contents(folder)
    send(folder)
    assert _contents(folder) == before
    arrived, expected = _repo(hub).files(), _contents(bundle)
    assert set(arrived) == {*expected, ".gitattributes"}
    for name, content in expected.items():
        same = json.loads(arrived[name]) == json.loads(content) if name.endswith(".json") else arrived[name] == content
        assert same, name


def test_training_leftovers_stay_at_home(hub: HubServer, send: Callable[..., Any], bundle: Path) -> None:
    (bundle / "training_args.bin").write_bytes(b"\x80\x04.")
    (bundle / "optimizer.pt").write_bytes(b"PK")
    (bundle / "trainer_state.json").write_text("{}")
    (bundle / ".env").write_text("HF_TOKEN=secret")
    (bundle / "checkpoint-10").mkdir()
    (bundle / "checkpoint-10" / "model.safetensors").write_bytes(b"old")
    plan = plan_publication(bundle, REPO)
    names = {"training_args.bin", "optimizer.pt", "trainer_state.json", ".env", "checkpoint-10"}
    assert {path.name for path in plan.bundle.left_out} == names
    send(bundle)
    assert not names & {name.split("/")[0] for name in _repo(hub).files()}


def test_an_adapter(
    hub: HubServer,
    send: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from safetensors.numpy import save_file

    folder = tmp_path / "adapter"
    folder.mkdir()
    save_file({"lora_A": np.zeros((2, 2), np.float32)}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "sigma-slu"}))
    (folder / "README.md").write_text(CARD)
    with pytest.raises(ValueError, match="the adapter's base model is 'sigma-slu', which nobody else can find"):
        send(folder)
    _change_json(folder / "adapter_config.json", base_model_name_or_path=REPO)
    send(folder, "tester/adapter")
    assert "adapter_model.safetensors" in _repo(hub, "tester/adapter").files()
    (folder / "config.json").write_text(json.dumps({"model_type": "sigma", "weights_license": "cc-by-nc-4.0"}))
    with pytest.raises(ValueError, match="forbids commercial use"):
        send(folder, "tester/adapter", exist_ok=True)
    (folder / "config.json").unlink()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert main(["publish", str(folder), "tester/adapter", "--exist-ok"]) == 0
    assert 'Load it: modeling_sigma.training.adapters.lora.load_adapted("tester/adapter")' in capsys.readouterr().out


# --- what may go


def _truncate(bundle: Path) -> None:
    weights = bundle / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda b: (b / "config.json").unlink(), r"expected a bundle, found no config\.json"),
        (lambda b: (b / "config.json").write_text("{"), r"config\.json: expected JSON"),
        (
            lambda b: (b / "config.json").write_text("[]"),
            "expected a configuration as an object in JSON, received a list",
        ),
        (
            lambda b: _change_json(b / "config.json", model_type="bert"),
            "expected a Sigma model, found one of type 'bert'",
        ),
        (lambda b: _change_json(b / "config.json", architectures=["SigmaForCooking"]), "found SigmaForCooking"),
        (
            lambda b: _change_json(b / "config.json", sigma_slu_version="99.0"),
            "written by sigma-slu 99.0, and this is",
        ),
        (
            lambda b: _change_json(b / "config.json", sigma_slu_version="new"),
            "expected a version in sigma_slu_version",
        ),
        (lambda b: (b / "model.safetensors").unlink(), r"model\.safetensors missing: these are the weights"),
        (_truncate, r"model\.safetensors is damaged"),
        (lambda b: (b / "fusion_sigma.py").unlink(), r"fusion_sigma\.py missing: its code would not load elsewhere"),
        (lambda b: (b / "tokenizer.json").unlink(), r"tokenizer\.json missing: save model and processor"),
        (lambda b: (b / "pytorch_model.bin").write_bytes(b"x"), r"pytorch_model\.bin may hold a pickle"),
        (lambda b: (b / "README.md").unlink(), r"expected a model card README\.md, found none"),
        (lambda b: (b / "README.md").write_text("---\na: [\n---\n"), "is not valid YAML"),
        (lambda b: (b / "README.md").write_text("# Only a title"), "no license is stated"),
        (lambda b: (b / "README.md").write_text("---\nlicense: free\n---\n"), "expected a license such as apache-2.0"),
        (lambda b: _change_json(b / "config.json", weights_license="cc-by-nc-4.0"), "forbids commercial use"),
        (lambda b: _change_json(b / "config.json", weights_licence="cc-by-nc-4.0"), "forbids commercial use"),
        (lambda b: _change_json(b / "config.json", weights_license="other"), "their authors' own terms"),
    ],
)
def test_bad_folders_are_refused_before_anything_is_sent(
    damage: Callable[[Path], Any], message: str, hub: HubServer, send: Callable[..., Any], bundle: Path
) -> None:
    damage(bundle)
    before = _contents(bundle)
    with pytest.raises(ValueError, match=message):
        send(bundle)
    assert hub.requests == [] and _contents(bundle) == before


def test_every_problem_is_named_at_once(bundle: Path) -> None:
    for name in ("model.safetensors", "outputs_sigma.py", "tokenizer.json"):
        (bundle / name).unlink()
    with pytest.raises(
        ValueError, match=r"(?s)tokenizer\.json missing.*outputs_sigma\.py.*model\.safetensors missing"
    ):
        check_bundle(bundle)


@pytest.mark.parametrize("name", ["sigma-slu", "a/b/c", "-bad/name", "my lab/sigma", ""])
def test_names_are_checked(name: str, bundle: Path) -> None:
    with pytest.raises(ValueError, match=r"expected (a name such as|ORG/NAME)"):
        plan_publication(bundle, name)


def test_what_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected the folder of a model, found nothing"):
        check_bundle(tmp_path / "nowhere")


def test_label_heads_need_no_tokenizer(tmp_path: Path) -> None:
    model = tiny_model(SigmaForSequenceClassification, use_prompt=False, num_labels=3)
    save_bundle(model, SigmaFeatureExtractor(), tmp_path)
    assert check_bundle(tmp_path).config["sigma_slu_version"] == __version__


def test_saved_shards_are_checked(tmp_path: Path) -> None:
    save_bundle(tiny_model(), tiny_processor(), tmp_path)
    (tmp_path / "model.safetensors").unlink()
    tiny_model().save_pretrained(tmp_path / "sharded", max_shard_size="200kB")
    for path in (tmp_path / "sharded").glob("model*"):
        path.rename(tmp_path / path.name)
    shutil.rmtree(tmp_path / "sharded")
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 1 and len(load_file(shards[0])) > 0
    check_bundle(tmp_path)
    shards[-1].unlink()
    with pytest.raises(ValueError, match=re.escape(f"{shards[-1].name} missing")):
        check_bundle(tmp_path)


# --- licenses


@pytest.mark.parametrize(
    ("inherited", "card", "asked", "expected"),
    [
        (None, "mit", None, "mit"),
        (None, None, "mit", "mit"),
        (None, "mit", "mit", "mit"),
        ("cc-by-nc-4.0", None, None, "cc-by-nc-4.0"),
        ("cc-by-nc-4.0", "cc-by-nc-sa-4.0", None, "cc-by-nc-sa-4.0"),
        ("other", "other", None, "other"),
        ("apache-2.0", "mit", None, "mit"),
    ],
)
def test_licenses(inherited: str | None, card: str | None, asked: str | None, expected: str) -> None:
    assert choose_license(inherited, card, asked) == expected


@pytest.mark.parametrize(
    ("inherited", "card", "asked", "message"),
    [
        (None, None, None, "no license is stated"),
        (None, "mit", "apache-2.0", "the card says license: mit, but you ask for apache-2.0"),
        (None, None, "gpl", "received 'gpl'"),
        ("cc-by-nc-4.0", "cc-by-4.0", None, "which forbids commercial use"),
        ("cc-by-nc-4.0", None, "mit", "which forbids commercial use"),
    ],
)
def test_wrong_licenses(inherited: str | None, card: str | None, asked: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose_license(inherited, card, asked)


def test_a_license_goes_into_the_card_that_is_sent(hub: HubServer, send: Callable[..., Any], bundle: Path) -> None:
    (bundle / "README.md").write_text("---\ntags:\n- sign-language\n---\n# Ours\n")
    send(bundle, license="mit")
    sent = _repo(hub).files()["README.md"].decode()
    assert "license: mit" in sent and "- sign-language" in sent and "# Ours" in sent
    assert "mit" not in (bundle / "README.md").read_text(), "the folder is unchanged"
    _change_json(bundle / "config.json", weights_license="cc-by-nc-4.0")
    send(bundle, exist_ok=True)
    assert "license: cc-by-nc-4.0" in _repo(hub).files()["README.md"].decode()


# --- names that are taken, and networks that fail


def test_a_taken_name(hub: HubServer, send: Callable[..., Any], bundle: Path) -> None:
    send(bundle)
    before = list(_repo(hub).refs["main"])
    with pytest.raises(PublishError, match="tester/sigma-slu is taken: it holds files already"):
        send(bundle)
    assert _repo(hub).refs["main"] == before
    (bundle / "README.md").write_text(CARD + "\nSecond.\n")
    send(bundle, exist_ok=True)
    assert len(_repo(hub).refs["main"]) == 3


@pytest.mark.parametrize("how", ["503", "429", "drop", "late"])
@pytest.mark.parametrize("part", ["/repos/create", "/commit/", "/settings"])
def test_a_failure_in_the_middle_is_tried_again(
    part: str, how: str, hub: HubServer, send: Callable[..., Any], bundle: Path
) -> None:
    hub.fail("PUT" if part == "/settings" else "POST", part, times=2, how=how)
    result = send(bundle, is_public=True)
    repo = _repo(hub)
    assert len(repo.refs["main"]) == 2, "one commit, also where only the answer was lost"
    assert repo.refs["main"][-1].oid == result.commit
    assert set(repo.files()) == {path.name for path in bundle.iterdir()} | {".gitattributes"}
    assert not repo.private


@pytest.mark.parametrize("how", ["503", "drop"])
def test_weights_that_break_off(
    how: str, hub: HubServer, send: Callable[..., Any], bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # the client's own waits
    hub.fail("PUT", "/lfs/", times=3, how=how)
    send(bundle)
    assert _repo(hub).files()["model.safetensors"] == (bundle / "model.safetensors").read_bytes()


def test_a_network_that_stays_away(hub: HubServer, send: Callable[..., Any], bundle: Path) -> None:
    before = _contents(bundle)
    hub.fail("POST", "/commit/", times=NUM_TRIES, how="drop")
    with pytest.raises(PublishError, match=f"the network failed {NUM_TRIES} times .*run the same command again"):
        send(bundle, is_public=True)
    repo = _repo(hub)
    assert repo.private and set(repo.files()) == {".gitattributes"}, "nothing of it is visible"
    assert _contents(bundle) == before
    num_uploads = sum(request.startswith("PUT /lfs/") for request in hub.requests)
    send(bundle, is_public=True)  # the same command again: an empty repository of ours is not taken
    assert sum(request.startswith("PUT /lfs/") for request in hub.requests) == num_uploads == 1
    assert not _repo(hub).private and "model.safetensors" in _repo(hub).files()


@pytest.mark.parametrize(("method", "part"), [("PUT", "/lfs/"), ("POST", "/preupload/"), ("POST", "/commit/")])
def test_an_update_that_breaks_off_leaves_the_version_before(
    method: str, part: str, hub: HubServer, send: Callable[..., Any], bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # the client's own waits
    send(bundle)
    published = dict(_repo(hub).files())
    save_bundle(tiny_model(seed=1), tiny_processor(), bundle)
    (bundle / "README.md").write_text(CARD + "\nTrained again.\n")
    mine = _contents(bundle)
    hub.fail(method, part, times=10_000, how="drop")
    with pytest.raises(
        PublishError, match=f"the network failed {NUM_TRIES} times .*Nothing of this version is visible"
    ):
        send(bundle, exist_ok=True)
    assert _repo(hub).files() == published and _contents(bundle) == mine
    hub.failures.clear()
    send(bundle, exist_ok=True)
    assert _repo(hub).files()["model.safetensors"] == mine["model.safetensors"] != published["model.safetensors"]


def test_an_unclear_pull_request_is_not_sent_twice(hub: HubServer, send: Callable[..., Any], bundle: Path) -> None:
    send(bundle)
    (bundle / "README.md").write_text(CARD + "\nMore.\n")
    hub.fail("POST", "/commit/", how="late")
    with pytest.raises(PublishError, match="the connection broke before an answer came .*see whether .*/discussions"):
        send(bundle, create_pr=True)
    assert [name for name in _repo(hub).refs if name.startswith("refs/pr/")] == ["refs/pr/1"]


def test_a_commit_of_somebody_else_meanwhile(
    hub: HubServer, send: Callable[..., Any], bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(bundle)
    (bundle / "README.md").write_text(CARD + "\nMore.\n")
    theirs = hub.create("tester/elsewhere").refs["main"]

    def interrupt(api: HfApi, *args: Any, **kwargs: Any) -> Any:
        _repo(hub).refs["main"].extend(theirs)
        return original(api, *args, **kwargs)

    original = HfApi.create_commit
    monkeypatch.setattr(HfApi, "create_commit", interrupt)
    with pytest.raises(PublishError, match="412.*somebody else committed at the same time"):
        send(bundle, exist_ok=True)
    assert _repo(hub).refs["main"][-1] is theirs[-1]


@pytest.mark.parametrize(
    ("repo_id", "token", "message"),
    [
        (REPO, "hf_wrong", "the Hub refused .401.*log in with `hf auth login`"),
        ("stranger/sigma", TOKEN, "the Hub refused .403.*may not write to stranger/sigma"),
    ],
)
def test_refusals(
    repo_id: str, token: str, message: str, hub: HubServer, send: Callable[..., Any], bundle: Path
) -> None:
    with pytest.raises(PublishError, match=message):
        send(bundle, repo_id, token=token)
    assert hub.repos == {}


# --- the command


def test_dry_run_sends_nothing(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bundle / "training_args.bin").write_bytes(b"\x80\x04.")
    assert main(["publish", str(bundle), REPO, "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert "Would send to tester/sigma-slu (private, main), in one commit" in text
    assert "model.safetensors" in text and "License: apache-2.0" in text
    assert "Left out: training_args.bin" in text and text.endswith("Nothing was sent.\n")
    assert main(["publish", str(bundle), REPO, "--dry-run", "--json", "--public", "--revision", "v2"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["visibility"], report["revision"]) == ("public", "v2")
    assert report["files"]["model.safetensors"] == os.path.getsize(bundle / "model.safetensors")
    assert report["total_size"] == sum(report["files"].values())
    assert set(report["files"]) == {path.name for path in bundle.iterdir()} - {"training_args.bin"}


def test_the_command(
    hub: HubServer, bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert main(["publish", str(bundle), REPO]) == 0
    text = capsys.readouterr().out
    assert f"Published {bundle} at {hub.url}/{REPO} (private" in text
    assert 'AutoModelForSeq2SeqLM.from_pretrained("tester/sigma-slu", trust_remote_code=True)' in text
    assert main(["publish", str(bundle), REPO]) == 1
    assert capsys.readouterr().err.startswith("sigma-slu publish: error: tester/sigma-slu is taken")
    assert main(["publish", str(bundle), REPO, "--exist-ok", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["url"] == f"{hub.url}/{REPO}"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda b: (b / "README.md").write_text("# Only a title"), "no license is stated: write `license:` into"),
        (lambda b: (b / "config.json").unlink(), "expected a bundle, found no config.json: make one with"),
        (lambda b: shutil.rmtree(b), "expected the folder of a model, found nothing"),
        (
            lambda b: _change_json(b / "config.json", sigma_slu_version="99.0"),
            f"written by sigma-slu 99.0, and this is {__version__}: install a newer one (see its README)",
        ),
    ],
)
def test_the_command_tells_mistakes_in_one_line(
    damage: Callable[[Path], Any], message: str, hub: HubServer, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(bundle)
    assert main(["publish", str(bundle), REPO]) == 1
    error = capsys.readouterr().err
    assert error.startswith("sigma-slu publish: error: ") and message in error and error.count("\n") == 1
    assert hub.requests == []


def test_the_command_tells_of_a_failing_network(
    hub: HubServer, bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    hub.fail("POST", "/commit/", times=NUM_TRIES, how="503")
    assert main(["publish", str(bundle), REPO]) == 1
    *lines, last = capsys.readouterr().err.splitlines()  # among the client's own bars
    assert sum("the network failed, trying again in" in line for line in lines) == NUM_TRIES - 1
    assert last.startswith("sigma-slu publish: error: the network failed") and last.endswith("again later")
    assert main(["publish", str(bundle), REPO]) == 0, "the same command goes on"


@pytest.mark.parametrize(("answer", "expected"), [("mit\n", "mit"), ("\n", None)])
def test_the_command_asks_for_a_license_at_a_terminal(
    answer: str,
    expected: str | None,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (bundle / "README.md").write_text("# Only a title")
    terminal = io.StringIO(answer)
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdin", terminal)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert main(["publish", str(bundle), REPO, "--dry-run", "--json"]) == (0 if expected else 1)
    captured = capsys.readouterr()
    assert "The card states no license. One of: apache-2.0" in captured.err
    if expected:
        assert json.loads(captured.out)["license"] == expected
    else:
        assert "no license is stated" in captured.err
