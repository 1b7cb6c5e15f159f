"""`sigma-slu live`: the site that it writes and serves, and a camera without a browser."""

import json
import threading
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from factories import tiny_model

import modeling_sigma
from modeling_sigma import (
    SigmaFeatureExtractor,
    SigmaForCTC,
    SigmaForSequenceClassification,
    load_pipeline,
    save_bundle,
)
from modeling_sigma.cli.main import main
from modeling_sigma.inference.model_fingerprint import model_fingerprint
from modeling_sigma.serving.live_page import built_page
from modeling_sigma.serving.live_site import cached_site, write_site
from modeling_sigma.serving.static_server import static_server


PAGE_FILES = ("index.html", "page.js", "tracker_worker.js", "recognizer_worker.js", "wasm/vision_wasm_internal.wasm")


@pytest.fixture
def page(tmp_path):
    return write_page(tmp_path / "dist")


def write_page(folder):
    """Files with the names of a built page."""
    for name in PAGE_FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


@pytest.fixture
def holistic(tmp_path):
    path = tmp_path / "holistic.task"
    path.write_bytes(b"networks")
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    pytest.importorskip("onnx")
    folder = tmp_path_factory.mktemp("models")
    head = tiny_model(SigmaForSequenceClassification, use_prompt=False, num_labels=3)
    save_bundle(head, SigmaFeatureExtractor(scale_reference="hands"), folder / "trained")
    card = {"name": "three-signs", "summary": "Knows three signs."}
    card |= {"training_data": [{"sign_language": "Test Sign Language, single signs"}]}
    (folder / "trained" / "card.json").write_text(json.dumps(card))
    glosses = tiny_model(SigmaForCTC, use_prompt=False, id2label={0: "<blank>", 1: "RAIN"})
    save_bundle(glosses, SigmaFeatureExtractor(), folder / "glosses")
    (folder / "holistic.task").write_bytes(b"networks")
    write_site(str(folder / "trained"), write_page(folder / "dist"), folder / "holistic.task", folder / "site")
    return folder


@pytest.mark.slow
def test_the_site_of_a_model(models, page, holistic, tmp_path):
    site = models / "site"
    facts = json.loads((site / "model" / "live.json").read_text())
    assert (facts["name"], facts["about"]) == ("three-signs", "Knows three signs.")
    assert facts["knows"] == "3 signs of Test Sign Language"
    assert facts["model"] == "trained", "no path of this machine"
    pipe = load_pipeline(models / "trained", device="cpu")
    assert facts["fingerprint"] == model_fingerprint(pipe.model), "dictionaries of the page are of this model"
    assert facts["files"]["holistic_landmarker.task"]["bytes"] == 8 and facts["file"] == "model.onnx"
    assert all((site / name).read_text() == name for name in PAGE_FILES)
    assert (site / "README.md").read_text().startswith("---\ntitle: Sigma live\nsdk: static\n")
    assert load_pipeline(site / "model").task == "isolated-sign-recognition", "Python reads the same files"
    # An exported model is taken as it is; the site that was served before makes a page for another one.
    other = write_site(str(site / "model"), built_page(site), holistic, tmp_path / "other")
    assert (other / "model" / "model.onnx").read_bytes() == (site / "model" / "model.onnx").read_bytes()
    with pytest.raises(ValueError, match="precision"):
        write_site(str(site / "model"), page, holistic, tmp_path / "none", precision="int8")
    assert not (tmp_path / "none" / "index.html").exists()


@pytest.mark.slow
def test_a_model_is_exported_once(models, page, holistic, tmp_path, monkeypatch):
    def cache(library, namespace, subfolder):
        folder = tmp_path / library / namespace / subfolder
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    monkeypatch.setattr("huggingface_hub.cached_assets_path", cache)
    calls = []
    monkeypatch.setattr(
        "modeling_sigma.serving.live_site.write_site",
        lambda model, page, holistic, site, precision: calls.append(site) or (site / "index.html").touch() or site,
    )
    first = cached_site(str(models / "trained"), page, holistic)
    assert cached_site(str(models / "trained"), page, holistic) == first and len(calls) == 1
    (page / "page.js").write_text("another page")
    assert cached_site(str(models / "trained"), page, holistic) != first


def test_which_models_are_refused(models, page, holistic, tmp_path):
    with pytest.raises(ValueError, match="isolated-sign-recognition"):
        write_site(str(models / "glosses"), page, holistic, tmp_path / "site")
    with pytest.raises(ValueError, match="expected the folder of a model, found none: check the path"):
        write_site(str(tmp_path / "nothing"), page, holistic, tmp_path / "site")


def test_where_the_page_comes_from(page, tmp_path, monkeypatch):
    assert built_page(page) == page
    with pytest.raises(ValueError, match=r"expected the built page, found no index\.html: name its folder dist"):
        built_page(tmp_path)
    # Installed from a wheel, there is no folder examples.
    monkeypatch.setattr(modeling_sigma, "__file__", str(tmp_path / "site-packages" / "modeling_sigma" / "__init__.py"))
    with pytest.raises(ValueError, match="the page is not part of the installed package: get the repository"):
        built_page()
    sources = tmp_path / "site-packages" / "examples" / "browser"
    sources.mkdir(parents=True)
    (sources / "package.json").write_text("{}")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="building the page needs npm: install Node"):
        built_page()
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho no network >&2; exit 1\n")
    npm.chmod(0o755)
    with pytest.raises(ValueError, match="npm ci failed in .*: no network"):
        built_page()
    npm.write_text("#!/bin/sh\n[ $1 = ci ] || echo built >> dist/log\n")
    (sources / "dist").mkdir()
    assert built_page() == built_page() == sources / "dist"
    assert (sources / "dist" / "log").read_text() == "built\n", "once"


def test_files_are_served_to_this_machine(page):
    (page / "secret").mkdir()
    with static_server(page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host, port = server.server_address
        assert host == "127.0.0.1"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/wasm/vision_wasm_internal.wasm") as answer:
            assert answer.headers["Content-Type"] == "application/wasm", "browsers compile nothing else while it comes"
            assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        for path in ("secret/", "../holistic.task", "%2e%2e/holistic.task"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}")
            assert refused.value.code == 404
        server.shutdown()


@pytest.mark.slow
def test_the_command_writes_a_site(models, page, holistic, tmp_path, capsys):
    arguments = [
        "live",
        "--model",
        str(models / "site" / "model"),
        "--page",
        str(page),
        "--estimator-model",
        str(holistic),
    ]
    assert main([*arguments, "--out", str(tmp_path / "site")]) == 0
    assert capsys.readouterr().out == f"Saved to {tmp_path / 'site'}.\n"
    assert main([*arguments, "--json"]) == 1
    assert "expected --json together with --camera" in capsys.readouterr().err
    assert main([*arguments, "--port", "70000"]) == 1
    assert main(["live", "--model", "m", "--page", str(page), "--estimator-model", str(tmp_path / "none")]) == 1
    assert "no such model file" in capsys.readouterr().err


class _Estimator:
    """Finds a hand in bright pictures."""

    layout = "hands_42"

    def video(self, fps):
        import contextlib

        return contextlib.nullcontext()

    def __call__(self, picture):
        if picture.mean() < 100:
            return np.zeros((0, 42, 2)), np.zeros((0, 42))
        points = np.random.default_rng(int(picture.mean())).uniform(0, 100, (1, 42, 2))
        return points, np.ones((1, 42))


def test_a_camera_without_a_browser(models, monkeypatch, capsys):
    bright, dark = np.full((8, 8, 3), 200, np.uint8), np.zeros((8, 8, 3), np.uint8)
    pictures = [dark] * 5 + [bright + np.uint8(t) for t in range(20)] + [dark] * 15
    monkeypatch.setattr(
        "modeling_sigma.extraction.camera.read_camera", lambda camera: ((p, t / 25) for t, p in enumerate(pictures))
    )
    monkeypatch.setattr("modeling_sigma.extraction.mediapipe_estimator.MediapipeEstimator", lambda model: _Estimator())
    assert main(["live", "--model", str(models / "trained"), "--camera", "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["kind"] for event in events] == ["began", "ended"]
    assert (events[1]["start"], events[1]["end"]) == (0.2, 24 / 25) and len(events[1]["answers"]) == 3
    monkeypatch.setattr("modeling_sigma.extraction.camera.read_camera", lambda camera: iter(()))
    assert main(["live", "--model", str(models / "trained"), "--camera", "1"]) == 1
    assert "received none: is it in use elsewhere?" in capsys.readouterr().err


def test_reading_a_camera(tmp_path):
    cv2 = pytest.importorskip("cv2")
    from modeling_sigma.extraction.camera import read_camera

    path = str(tmp_path / "camera.avi")  # OpenCV reads a file as it reads a camera
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    for _ in range(3):
        writer.write(np.full((48, 64, 3), (250, 0, 0), np.uint8))  # blue, in OpenCV's order
    writer.release()
    pictures = list(read_camera(path))
    assert len(pictures) == 3 and pictures[0][0].shape == (48, 64, 3)
    assert pictures[0][0][..., 2].mean() > 200 > pictures[0][0][..., 0].mean()
    assert [time for _, time in pictures] == sorted({time for _, time in pictures})
    with pytest.raises(ValueError, match="expected a camera, found none at"):
        next(read_camera(str(Path(path).with_name("none.avi"))))
