"""The page of examples/browser: it computes what Python computes, Python reads what it saves, and it asks nobody.

What runs in node needs no package of npm; the page itself is built and driven in slow tests.
"""

import json
import os
import re
import shutil
import subprocess
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from browser_goldens import FOLDER, GOLDENS, LAYOUTS
from factories import tiny_model
from odd_videos import write_camera, write_odd_videos

from modeling_sigma import (
    SigmaFeatureExtractor,
    SigmaForSequenceClassification,
    SignDictionary,
    load_clip,
    save_bundle,
)
from modeling_sigma.cli.main import main
from modeling_sigma.inference.model_fingerprint import model_fingerprint
from modeling_sigma.serving.live_site import write_site
from modeling_sigma.serving.static_server import static_server


ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "examples" / "browser"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def node_version():
    node = shutil.which("node")
    return (
        0 if node is None else int(subprocess.check_output([node, "--version"], text=True).strip("v\n").split(".")[0])
    )


needs_node = pytest.mark.skipif(node_version() < 20, reason="needs node 20 or later")


def same(one, other):
    """Equal, but for rounding of numbers."""
    if isinstance(one, dict):
        return (
            isinstance(other, dict) and one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
        )
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) or isinstance(other, float):
        return one == pytest.approx(other, abs=2e-6)
    return one == other


@pytest.mark.parametrize("name", GOLDENS)
def test_the_cases_hold_what_python_answers(name):
    stored = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert same(stored, json.loads(json.dumps(GOLDENS[name]()))), "python tests/browser_goldens.py writes them anew"


@needs_node
def test_the_page_answers_alike():
    done = subprocess.run(["node", "--test", "test/"], cwd=PAGE, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"pass (\d+)", done.stdout)[1]) >= 8


def test_the_page_may_reach_its_own_server_alone():
    page = (PAGE / "src" / "index.html").read_text(encoding="utf-8")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)[1]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and rules["connect-src"] == "'self' blob:"
    # A worker made from an address has a policy of its own, which nobody writes; one made from a blob has the page's.
    assert rules["worker-src"] == "blob:"
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page)


def test_packages_are_pinned_and_name_no_host():
    lock = json.loads((PAGE / "package-lock.json").read_text(encoding="utf-8"))
    wanted = json.loads((PAGE / "package.json").read_text(encoding="utf-8"))
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted["dependencies"].values())
    packages = {name: facts for name, facts in lock["packages"].items() if name}
    assert packages and all("integrity" in facts and "resolved" not in facts for facts in packages.values())


# --- what the page saves


_SAVING = """
import { writeFileSync } from "node:fs";
import { dictionaryArchive, recordingsArchive } from %r;
const [folder, given] = process.argv.slice(-2);
const { clips, model } = JSON.parse(given);
for (const clip of clips) {
  clip.frames = clip.frames.map((frame) => Float32Array.from(frame));
  clip.vector = Float32Array.from(clip.vector);
}
writeFileSync(`${folder}/recordings.zip`, recordingsArchive(clips));
writeFileSync(`${folder}/dictionary.zip`, await dictionaryArchive(clips, model));
"""


@needs_node
def test_python_reads_what_was_taught(tmp_path, capsys):
    head = tiny_model(SigmaForSequenceClassification, use_prompt=False, num_labels=3)
    model = save_bundle(head, SigmaFeatureExtractor(scale_reference="hands", fill_wrists=True), tmp_path / "model")
    dictionary = SignDictionary.create(str(model), device="cpu")
    layout, rng, clips = "mediapipe_holistic_75", np.random.default_rng(0), []
    for label, number in (("Haus", 1), ("Haus", 2), ('a "b", c', 1)):
        points = rng.uniform(100, 400, (6, LAYOUTS[layout].num_keypoints, 3)).round(1)
        points[..., 2] = 1
        facts = {"layout": layout, "fps": 12.5, "width": 640, "height": 480, "estimator": "mediapipe (page)"}
        frames = points.reshape(6, -1).tolist()
        clips.append({"label": label, "sampleId": f"{label}/{number}", "frames": frames, "points": points, **facts})
    from modeling_sigma import PoseClip

    for clip in clips:
        points = clip.pop("points").astype(np.float32)
        clip["vector"] = dictionary.embed(PoseClip(points[..., :2], points[..., 2], layout, fps=12.5)).tolist()
    script = tmp_path / "save.mjs"
    script.write_text(_SAVING % (PAGE / "src" / "taught_files.js").as_uri())
    facts = {"model": str(model), "fingerprint": model_fingerprint(head), "version": "0.1.0"}
    given = json.dumps({"clips": clips, "model": facts})
    subprocess.run(["node", str(script), str(tmp_path), given], check=True, timeout=60)
    for name in ("recordings", "dictionary"):
        with zipfile.ZipFile(tmp_path / f"{name}.zip") as archive:
            assert archive.testzip() is None
            archive.extractall(tmp_path / name)

    first = load_clip(tmp_path / "recordings" / "clips" / "001.npz")
    assert (first.layout, first.fps, first.width, first.height) == (layout, 12.5, 640, 480)
    assert first.coordinates == "pixels" and first.estimator == "mediapipe (page)"
    assert np.allclose(first.keypoints[0].ravel(), np.reshape(clips[0]["frames"][0], (-1, 3))[:, :2].ravel())

    taught = SignDictionary.from_pretrained(tmp_path / "dictionary", device="cpu")
    assert taught.labels == ["Haus", 'a "b", c']
    best = taught.search(first, top_k=1)[0]
    assert (best["label"], best["sample_id"]) == ("Haus", "Haus/1") and best["similarity"] > 0.5

    # The folder of recordings is what `dictionary add --data` and `adapt --data` take.
    assert main(["dictionary", "create", str(tmp_path / "again"), "--model", str(model)]) == 0
    assert main(["dictionary", "add", str(tmp_path / "again"), "--data", str(tmp_path / "recordings")]) == 0
    assert SignDictionary.from_pretrained(tmp_path / "again").labels == ["Haus", 'a "b", c']
    capsys.readouterr()


# --- the page itself


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The page with a tiny model, and a stand-in for MediaPipe's file where that cannot be fetched is no use: skip."""
    if CHROMIUM is None or node_version() < 20 or shutil.which("npm") is None:
        pytest.skip("needs Chromium, node and npm")
    from modeling_sigma.extraction.holistic_model import holistic_model
    from modeling_sigma.serving.live_page import built_page

    folder = tmp_path_factory.mktemp("live")
    try:
        page, holistic = built_page(), holistic_model()
    except ValueError as error:
        pytest.skip(str(error))
    head = tiny_model(SigmaForSequenceClassification, use_prompt=False, num_labels=7)
    extractor = SigmaFeatureExtractor(
        max_frames=16,
        scale_reference="hands",
        fill_wrists=True,
        frame_sampling="interpolate",
        training_layout="hands_42",
    )
    site = write_site(str(save_bundle(head, extractor, folder / "model")), page, holistic, folder / "site")
    rng = np.random.default_rng(0)
    hand = rng.uniform(100, 300, (42, 2))
    frames = [None] * 15
    for t in range(40):
        points = np.column_stack([hand + 10 * np.sin(t / 5) * rng.normal(0, 1, (42, 2)).round(), np.ones(42)])
        frames.append(points.ravel().round(2).tolist())
    content = {"layout": "hands_42", "width": 640, "height": 480, "fps": 25, "frames": frames + [None] * 15}
    (site / "replay.json").write_text(json.dumps(content))
    return site


def drive(site, task, **options):
    with static_server(site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        command = ["node", "drive.mjs", f"http://127.0.0.1:{server.server_address[1]}/", task]
        done = subprocess.run(
            [*command, json.dumps(options)],
            cwd=PAGE,
            capture_output=True,
            text=True,
            timeout=900,
            env={**os.environ, "CHROMIUM": str(CHROMIUM)},
        )
        server.shutdown()
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.slow
def test_signs_are_named_and_nothing_is_asked_for(site):
    told = drive(site, "stream", replay="replay.json", signs=3)
    assert told["errors"] == [] and told["requests"]["later"] == []
    assert len(told["history"]) >= 3 and all(len(sign["answers"]) == 5 for sign in told["history"])
    assert told["state"] in ("watching", "slow")


@pytest.mark.slow
def test_a_taught_sign_is_found_kept_saved_and_deleted(site, tmp_path):
    told = drive(site, "teach", replay="replay.json", label="Haus", folder=str(tmp_path))
    assert told["teaching"]["state"] == "teaching" and told["teaching"]["phase"] in ("ready", "recording")
    assert (told["found"]["verdict"], told["found"]["answer"]) == ("Haus", "taught")
    assert told["again"]["taught"] == ["Haus"] and told["deleted"]["taught"] == []
    with zipfile.ZipFile(tmp_path / "dictionary.zip") as archive:
        archive.extractall(tmp_path / "dictionary")
    assert SignDictionary.from_pretrained(tmp_path / "dictionary").labels == ["Haus"]
    assert "-->" in (tmp_path / "signs.srt").read_text() and "signs" in json.loads(
        (tmp_path / "signs.json").read_text()
    )


@pytest.mark.slow
def test_what_is_missing_is_said(site):
    told = drive(site, "missing")
    assert told["noSimd"]["state"] == "unsupported" and "SIMD" in told["noSimd"]["text"]
    assert told["noCamera"]["state"] == "no-camera" and "No camera was found" in told["noCamera"]["text"]
    assert told["refused"]["state"] == "refused" and "Allow it in the address bar" in told["refused"]["text"]
    assert told["gone"]["state"] == "no-camera" and "The camera has gone" in told["gone"]["text"]
    assert all(one["errors"] == [] and one["requests"]["later"] == [] for one in told.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "damage", "told"),
    [
        (
            "model/model.onnx",
            lambda raw: raw[:500] + b"?" + raw[501:],
            "model/model.onnx is damaged: it does not have",
        ),
        (
            "holistic_landmarker.task",
            lambda raw: raw[:100_000],
            "holistic_landmarker.task is damaged: it does not have",
        ),
        ("model/config.json", lambda raw: raw[:100], "model/config.json is damaged"),
        ("wasm/vision_wasm_internal.wasm", lambda raw: raw[:1000], "MediaPipe's model could not be used"),
        ("model/model.onnx", None, "model/model.onnx is missing (404)"),
    ],
)
def test_a_damaged_site_says_which_file_and_what_to_do(site, tmp_path, name, damage, told):
    folder = tmp_path / "site"
    shutil.copytree(site, folder)
    path = folder / name
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    shown = drive(folder, "loaded")
    assert shown["state"] == "damaged" and shown["title"] == "It could not be loaded"
    assert told in shown["text"] and "uild the page again with sigma-slu live" in shown["text"]


# --- real videos, which are not part of the repository


@pytest.fixture(scope="module")
def signer(shared_data):
    """A second of rest, a sentence of two seconds, and a second of rest."""
    av = pytest.importorskip("av", reason="needs PyAV")
    with av.open(str(shared_data / "samples" / "video" / "signer_crop480.mp4")) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.slow
@pytest.mark.data
def test_a_person_in_front_of_a_camera(site, signer, tmp_path):
    camera = write_camera(tmp_path / "camera.mjpeg", [*signer, *[signer[-1]] * 24])
    told = drive(site, "camera", camera=str(camera), seconds=120, signs=2)
    phases = {one["phase"] for one in told["pictures"]}
    assert "signing" in phases and "rest" in phases
    assert any(one["isDrawn"] for one in told["pictures"]), "the skeleton"
    assert len(told["history"]) >= 2 and all(len(sign["answers"]) == 5 for sign in told["history"])
    assert all(0.4 < sign["delay"] for sign in told["history"])
    assert told["requests"]["later"] == [] and told["errors"] == []


@pytest.mark.slow
@pytest.mark.timeout(1200)  # some 600 pictures
@pytest.mark.data
def test_videos_as_people_have_them(site, signer, tmp_path):
    files = write_odd_videos(tmp_path, signer)
    del files["plain"]
    told = drive(site, "files", files=[str(path) for path in files.values()], seconds=120)
    assert told["requests"]["later"] == [] and told["errors"] == []
    shown = {name: told["results"][path.name] for name, path in files.items()}
    for name in ("portrait", "five_people", "variable_rate", "4k"):
        assert (shown[name]["state"], shown[name]["warning"]) == ("off", ""), name
        assert shown[name]["signs"] == 1, name
    assert shown["nobody"]["warning"] == "Nobody was seen in nobody.mp4."
    for name in ("no_frames", "truncated", "truncated_head", "no_video"):
        assert (
            shown[name]["state"] == "bad-video" and "is not a video that this browser can read" in shown[name]["text"]
        )
    assert "it may hold sound alone" in shown["sound_alone"]["text"]
