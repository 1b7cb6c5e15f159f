"""The HTTP service, asked within this process: answers as the command line gives them, and what is refused."""

from __future__ import annotations

import asyncio
import io
import json
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from modeling_sigma import (
    SigmaFeatureExtractor,
    SigmaForCTC,
    SigmaForPreTraining,
    SigmaForSequenceClassification,
    SigmaModel,
    load_pipeline,
    save_bundle,
)
from modeling_sigma.cli import main as cli
from modeling_sigma.io import load_clip, save_clip
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.serving.app import MAX_FILES, make_app
from modeling_sigma.serving.settings import ServiceSettings
from tests.factories import random_clip, random_clips, tiny_model, tiny_processor


LABELS = {0: "hello", 1: "rain", 2: "snow"}
TOKEN = "a-token"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("serving")
    writer = tiny_model(seed=2, id2label=LABELS)
    writer.generation_config.max_new_tokens, writer.generation_config.num_beams = 6, 1
    save_bundle(writer, tiny_processor(), path / "writer")
    head = tiny_model(SigmaForSequenceClassification, use_prompt=False, id2label=LABELS)
    save_bundle(head, SigmaFeatureExtractor(), path / "head")
    glosses = tiny_model(SigmaForCTC, use_prompt=False, seed=1, id2label={0: "<blank>", 1: "RAIN", 2: "SNOW"})
    save_bundle(glosses, SigmaFeatureExtractor(), path / "glosses")
    save_bundle(tiny_model(SigmaModel), tiny_processor(), path / "compares")
    save_bundle(tiny_model(SigmaModel, seed=5), tiny_processor(), path / "others")
    save_bundle(tiny_model(SigmaForPreTraining, seed=2), tiny_processor(), path / "both")
    for row, clip in enumerate(random_clips()):
        save_clip(path / f"clip{row}.npz", clip)
    (path / "uploads").mkdir()
    return path


def service(folder: Path, model: str, **settings: Any) -> TestClient:
    index = settings.pop("index", None)
    found = ServiceSettings(str(folder / model), None if index is None else str(folder / index), **settings)
    return TestClient(make_app(found, folder / "uploads"))


@pytest.fixture(scope="module")
def head(folder: Path) -> Iterator[TestClient]:
    with service(folder, "head", max_frames=100) as client:
        yield client


@pytest.fixture(scope="module")
def searching(folder: Path) -> Iterator[TestClient]:
    clips = [str(folder / f"clip{row}.npz") for row in range(3)]
    assert cli.main(["index", *clips, "--model", str(folder / "compares"), "--out", str(folder / "index")]) == 0
    with service(folder, "compares", index="index") as client:
        yield client


def upload(*paths: Path, field: str = "files") -> list[tuple[str, tuple[str, bytes]]]:
    return [(field, (path.name, path.read_bytes())) for path in paths]


def as_printed(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    cli.main([*argv, "--json"])
    return json.loads(capsys.readouterr().out)


def nothing_is_left(folder: Path) -> bool:
    return not any((folder / "uploads").iterdir())


# --- answers


@pytest.mark.parametrize(
    ("model", "fields", "options"),
    [
        ("head", {"top_k": "2"}, ["--top-k", "2"]),
        ("writer", {"language": "Chinese"}, ["--language", "Chinese"]),
        ("writer", {"top_k": "3"}, ["--top-k", "3"]),
        ("writer", {"labels": ["rain", "snow"], "top_k": "2"}, ["--labels", "labels.txt", "--top-k", "2"]),
        ("glosses", {}, []),
        ("both", {}, []),
    ],
)
def test_predictions_are_those_of_the_command_line(
    model: str,
    fields: dict[str, Any],
    options: list[str],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    Path("labels.txt").write_text("rain\nsnow\n")
    clips = [Path(f"clip{row}.npz") for row in range(3)]
    printed = as_printed(capsys, "predict", "--model", model, *options, *map(str, clips))
    with service(folder, model) as client:
        answer = client.post("/predict", files=upload(*clips), data=fields)
    assert answer.status_code == 200
    found = answer.json()
    assert [one["file"] for one in found] == [one["file"] for one in printed]
    for one, other in zip(found, printed, strict=True):
        for candidate, expected in zip(one["predictions"], other["predictions"], strict=True):
            # Batches differ, and with them the last digits.
            assert candidate.keys() == expected.keys()
            assert candidate.get("score") == pytest.approx(expected.get("score"), abs=1e-5)
            assert candidate.get("text") == expected.get("text") and candidate.get("label") == expected.get("label")
    assert nothing_is_left(folder)


def test_vectors(head: TestClient, folder: Path) -> None:
    answer = head.post("/embed", files=upload(folder / "clip0.npz", folder / "clip1.npz"))
    expected = load_pipeline(folder / "head", "sign-feature-extraction", device="cpu")
    for entry, name in zip(answer.json(), ("clip0.npz", "clip1.npz"), strict=True):
        assert entry["file"] == name
        assert entry["vector"] == pytest.approx(expected(load_clip(folder / name)).tolist(), abs=1e-5)


@pytest.mark.parametrize("query", ["text", "clip"])
def test_search(query: str, searching: TestClient, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = folder / "clip1.npz"
    arguments = ["hello world"] if query == "text" else ["--clip", str(clip)]
    printed = as_printed(capsys, "search", str(folder / "index"), *arguments, "--top-k", "2")
    if query == "text":
        answer = searching.post("/search", data={"text": "hello world", "top_k": "2"})
    else:
        answer = searching.post("/search", data={"top_k": "2"}, files=upload(clip, field="file"))
    assert answer.status_code == 200 and len(printed) == 2
    assert [one["clip"] for one in answer.json()] == [one["clip"] for one in printed]
    assert [one["score"] for one in answer.json()] == pytest.approx([one["score"] for one in printed], abs=2e-4)


def test_there_is_no_route_for_what_a_model_cannot_do(searching: TestClient, head: TestClient, folder: Path) -> None:
    assert searching.post("/predict", files=upload(folder / "clip0.npz")).status_code == 404
    assert head.post("/search", data={"text": "hello"}).status_code == 404
    assert head.get("/health").json() == {
        "status": "ok",
        "model": "head",
        "task": "isolated-sign-recognition",
        "answers": ["predict", "embed"],
    }
    assert searching.get("/health").json()["answers"] == ["embed", "search"]
    assert head.get("/docs").status_code == 404, "it would load scripts from elsewhere"
    assert {"/predict", "/embed", "/health", "/metrics"} == set(head.get("/openapi.json").json()["paths"])


def test_an_index_of_another_model_is_refused(searching: TestClient, folder: Path) -> None:
    with pytest.raises(ValueError, match="expected an index that this model made"):
        service(folder, "others", index="index")


def test_concurrent_requests_are_answered_in_batches(head: TestClient, folder: Path) -> None:
    before = _metric(head, "sigma_batch_clips_count")
    clips = upload(*[folder / "clip0.npz"] * MAX_FILES)
    entries = head.post("/predict", files=clips).json()
    assert len(entries) == MAX_FILES and len({json.dumps(entry) for entry in entries}) <= 2  # alike but for rounding
    assert _metric(head, "sigma_batch_clips_count") - before < MAX_FILES


def test_metrics_count_routes_and_statuses(head: TestClient, folder: Path) -> None:
    before = _metric(head, 'sigma_requests_total{route="other",status="404"}')
    for number in range(3):
        head.get(f"/no-such-{number}")
    assert _metric(head, 'sigma_requests_total{route="other",status="404"}') == before + 3
    assert _metric(head, "sigma_requests_waiting") == 0


def _metric(client: TestClient, name: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name), 0.0)


# --- files that are no clips


def _bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("keypoints.npy", "w") as member:
            shape = {"descr": "<f4", "fortran_order": False, "shape": (700_000, 133, 2)}
            np.lib.format.write_array_header_1_0(member, shape)
            for _ in range(700):
                member.write(bytes(1_000_000))
    return file.getvalue()


class _Harm:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("harm"),))


def _clip_bytes(clip: PoseClip, folder: Path) -> bytes:
    save_clip(folder / "made.npz", clip)
    return (folder / "made.npz").read_bytes()


BAD_FILES: dict[str, tuple[str, Any, str]] = {
    "empty": ("a.npz", lambda folder: b"", "a.npz: "),
    "truncated": ("a.npz", lambda folder: (folder / "clip0.npz").read_bytes()[:700], "a.npz: "),
    "something else": ("a.jpg", lambda folder: b"\xff\xd8\xff\xe0", "make a video of the pictures"),
    "no extension": ("a", lambda folder: b"hello", "a file without extension"),
    "unicode": ("手语 ✋.npz", lambda folder: b"PK\x03\x04nothing", "手语 ✋.npz: "),
    "a path": ("../../etc/passwd", lambda folder: b"x", "passwd: "),
    "a long name": ("x" * 300 + ".npz", lambda folder: b"x", "xxx.npz: "),
    "a video": ("a.mp4", lambda folder: b"\0\0\0 ftypisom", "extract-poses"),
    "code": ("a.pkl", lambda folder: pickle.dumps(_Harm()), "a.pkl: "),
    "a bomb": ("a.npz", lambda folder: _bomb(), "to take at most 600 MB"),
    "too long": ("a.npz", lambda folder: _clip_bytes(random_clip(101), folder), "please cut it to 2 seconds and 100"),
    "nobody": (
        "a.npz",
        lambda folder: _clip_bytes(PoseClip(np.zeros((5, 133, 2)), np.zeros((5, 133))), folder),
        "expected a clip in which somebody is seen",
    ),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_harms_no_other(
    kind: str, head: TestClient, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name, make, message = BAD_FILES[kind]
    content = make(folder)
    answer = head.post("/predict", files=[("files", (name, content)), *upload(folder / "clip0.npz")])
    bad, good = answer.json()
    assert answer.status_code == 200 and good["predictions"] and "predictions" not in bad
    assert message in bad["error"] and "\n" not in bad["error"] and str(folder) not in bad["error"]
    assert "clip." not in bad["error"], "the name that the server gives to uploads"
    alone = head.post("/embed", files=[("files", (name, content))])
    assert alone.status_code == 422 and message in alone.json()[0]["error"]
    assert nothing_is_left(folder) and not (tmp_path / "harm").exists()


# --- requests that are none


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"top_k": "0"}, "greater than or equal to 1"),
        ({"top_k": "21"}, "less than or equal to 20"),
        ({"top_k": "many"}, "valid integer"),
        ({"person": "-1"}, "greater than or equal to 0"),
        ({"language": "x" * 101}, "at most 100"),
    ],
)
def test_bad_fields(fields: dict[str, str], message: str, head: TestClient, folder: Path) -> None:
    answer = head.post("/predict", files=upload(folder / "clip0.npz"), data=fields)
    assert answer.status_code == 422 and message in answer.text


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"labels": ["fog"]}, "expected some of the model's 3 labels"),
        ({"labels": ["a"] * 501}, "please choose among up to 500 texts"),
        ({"person": "1"}, "clip0.npz: "),
    ],
)
def test_what_one_file_cannot_be_asked(fields: dict[str, Any], message: str, head: TestClient, folder: Path) -> None:
    answer = head.post("/predict", files=upload(folder / "clip0.npz"), data=fields)
    assert answer.status_code == 422 and message in answer.json()[0]["error"]


def test_labels_for_a_model_without(folder: Path) -> None:
    with service(folder, "glosses") as client:
        answer = client.post("/predict", files=upload(folder / "clip0.npz"), data={"labels": "RAIN"})
    assert answer.status_code == 422 and "does not choose among labels" in answer.json()["detail"]


def test_requests_without_files_or_with_too_many(head: TestClient, folder: Path) -> None:
    assert head.post("/predict").status_code == 422
    assert head.post("/predict", content=b"{}", headers={"Content-Type": "application/json"}).status_code == 422
    wrong = {"Content-Type": "multipart/form-data; boundary=x"}
    assert head.post("/predict", content=b"--x\r\nnonsense", headers=wrong).status_code in (400, 422)
    many = head.post("/predict", files=upload(*[folder / "clip0.npz"] * (MAX_FILES + 1)))
    assert many.status_code == 422 and "at most 16 files" in many.json()["detail"]


@pytest.mark.parametrize(
    "fields", [{}, {"text": ""}, {"text": "  "}, {"text": "x" * 501}, {"text": "a", "top_k": "0"}]
)
def test_bad_searches(fields: dict[str, str], searching: TestClient) -> None:
    assert searching.post("/search", data=fields).status_code == 422


# --- the gate


def test_a_token_is_needed_where_one_is_set(folder: Path) -> None:
    with service(folder, "head", token=TOKEN) as client:
        assert client.get("/health").status_code == 200, "whoever starts the service asks whether it is well"
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": TOKEN},
            {"Authorization": "Bearer é"},
        ):
            encoded = {name: value.encode() for name, value in headers.items()}
            for path in ("/metrics", "/openapi.json", "/predict", "/nothing"):
                answer = client.get(path, headers=encoded)
                assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
        right = {"Authorization": f"Bearer {TOKEN}"}
        assert client.get("/metrics", headers=right).status_code == 200
        assert client.post("/predict", headers=right, files=upload(folder / "clip0.npz")).status_code == 200


def test_size_is_limited_with_and_without_its_statement(folder: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"--x\r\nContent-Disposition: form-data; name=files; filename=a.npz\r\n\r\n"
        for _ in range(30):
            yield bytes(100_000)

    form = {"Content-Type": "multipart/form-data; boundary=x"}
    with service(folder, "head", max_megabytes=1) as client:
        stated = client.post("/predict", files=[("files", ("a.npz", bytes(1_100_000)))])
        assert stated.status_code == 413 and "expected at most 1 MB" in stated.json()["detail"]
        unstated = client.post("/predict", content=pieces(), headers=form)
        assert unstated.status_code == 413 and "expected at most 1 MB" in unstated.json()["detail"]
        assert client.post("/predict", files=upload(folder / "clip0.npz")).status_code == 200


def test_time_is_limited(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    with service(folder, "head", max_seconds=1) as client:
        monkeypatch.setattr(
            "modeling_sigma.serving.served_model.clip_result",
            lambda output, top_k: time.sleep(1.5) or {"predictions": []},
        )
        answer = client.post("/predict", files=upload(folder / "clip0.npz"))
        assert answer.status_code == 503 and "longer than 1 seconds" in answer.json()["detail"]
        monkeypatch.undo()
        statuses = []
        while 200 not in statuses and len(statuses) < 30:  # a busy machine needs more than the second there is
            time.sleep(1)
            statuses.append(client.post("/predict", files=upload(folder / "clip0.npz")).status_code)
        assert 200 in statuses
    assert nothing_is_left(folder)


def test_who_waits_is_counted_and_further_requests_are_sent_away(folder: Path) -> None:
    app = make_app(ServiceSettings(str(folder / "head"), max_waiting=2), folder / "uploads")

    async def ask() -> list[int]:
        statuses: list[int] = []
        body = (folder / "clip0.npz").read_bytes()
        head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.npz"\r\n\r\n'
        content = head + body + b"\r\n--x--\r\n"

        async def one() -> None:
            async def receive() -> dict[str, Any]:
                return {"type": "http.request", "body": content, "more_body": False}

            async def send(message: dict[str, Any]) -> None:
                if message["type"] == "http.response.start":
                    statuses.append(message["status"])

            scope = {
                "type": "http",
                "method": "POST",
                "path": "/predict",
                "raw_path": b"/predict",
                "query_string": b"",
                "headers": [(b"content-type", b"multipart/form-data; boundary=x")],
                "http_version": "1.1",
                "scheme": "http",
                "root_path": "",
            }
            await app(scope, receive, send)

        async with app.router.lifespan_context(app):
            await asyncio.gather(*(one() for _ in range(6)))
            await one()
        return statuses

    statuses = asyncio.run(ask())
    assert sorted(statuses[:6]) == [200, 200, 503, 503, 503, 503] and statuses[6] == 200


# --- settings and command line


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_batch": 0}, "expected max_batch of at least 1"),
        ({"token": "two words"}, "expected a token of printable"),
        ({"token": "ü"}, "expected a token of printable"),
        ({"token": ""}, "expected a token of printable"),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ServiceSettings("model", **settings)


def test_a_token_is_not_shown() -> None:
    assert TOKEN not in repr(ServiceSettings("model", token=TOKEN))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "70000"], "expected --port from 0 to 65535"),
        (["--workers", "0"], "expected at least 1 process"),
        (["--model", "nothing"], "nothing: expected a model"),
        (["--token-file", "two.txt"], "two.txt: expected a token in one line, found 2 lines"),
        (["--max-frames", "0"], "expected max_frames of at least 1"),
    ],
)
def test_errors_of_the_command_take_one_line(
    arguments: list[str],
    message: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    Path("two.txt").write_text("a\nb\n")
    assert cli.main(["serve", "--model", "head", *arguments]) == 1
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
