"""The model file of MediaPipe Holistic: assembled once, whole or not at all, and said in one line if it cannot be."""

import hashlib
import subprocess
import zipfile
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import numpy as np
import pytest

from modeling_sigma.extraction import holistic_model as module
from modeling_sigma.extraction.holistic_model import MODEL_NAME, assemble_model, download_wheel, holistic_model
from modeling_sigma.extraction.holistic_parts import mesh_order


def test_mesh_order():
    order = mesh_order().reshape(478, 3)
    assert order.dtype == np.int32
    # Where the mesh is not refined, it stays: point 1 (the tip of the nose), and every depth.
    assert order[1].tolist() == [3, 4, 5]
    np.testing.assert_array_equal(order[:468, 2], 3 * np.arange(468) + 2)
    # The corner of the mouth is the first point of the lips, which follow the 468 points of the mesh.
    assert order[61].tolist() == [1404, 1405, 185]
    # Of 80 points of lips and 71 of each eye; then come five points of each iris, with the depth of an eyelid.
    assert order[33, :2].tolist() == [1404 + 160, 1404 + 161] and order[263, 0] == 1404 + 160 + 142
    assert order[468].tolist() == [1404 + 160 + 142 + 142, 1404 + 160 + 142 + 142 + 1, 3 * 159 + 2]
    assert order[477].tolist() == [1866, 1867, 3 * 386 + 2]
    values = order[:, :2].ravel()
    assert len(set(values)) == 2 * 478, "no value is used for two points"
    assert set(range(1404, 1868)) <= set(values), "all of the refined points are used"


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """An empty cache; downloads and assemblies are counted."""
    made = SimpleNamespace(folder=tmp_path / "cache", downloads=0)
    made.folder.mkdir()
    monkeypatch.setattr(huggingface_hub, "cached_assets_path", lambda **names: made.folder)

    def download(folder):
        made.downloads += 1
        return folder / "a.whl"

    monkeypatch.setattr(module, "download_wheel", download)
    monkeypatch.setattr(module, "assemble_model", lambda wheel, out: out.write_bytes(b"the networks"))
    return made


def test_it_is_made_once(cache, capsys):
    path = holistic_model()
    assert path == cache.folder / MODEL_NAME and path.read_bytes() == b"the networks"
    assert "Assembling holistic_landmarker.task (18 MB, once) from mediapipe==0.10.21" in capsys.readouterr().err
    assert holistic_model() == path and cache.downloads == 1
    assert capsys.readouterr() == ("", "")
    assert {file.name for file in cache.folder.iterdir()} == {MODEL_NAME, f"{MODEL_NAME}.sha256", ".lock"}


@pytest.mark.parametrize("content", [b"", b"the netw", b"other networks"])
def test_a_damaged_one_is_made_again(cache, content):
    holistic_model().write_bytes(content)
    assert holistic_model().read_bytes() == b"the networks" and cache.downloads == 2
    (cache.folder / f"{MODEL_NAME}.sha256").write_bytes(b"\xff?")
    assert holistic_model().read_bytes() == b"the networks" and cache.downloads == 3


def test_a_failure_leaves_nothing(cache, monkeypatch):
    def fail(wheel, out):
        out.write_bytes(b"half")
        raise ValueError("no networks")

    monkeypatch.setattr(module, "assemble_model", fail)
    with pytest.raises(ValueError, match="no networks"):
        holistic_model()
    assert [file.name for file in cache.folder.iterdir()] == [".lock"]


def test_offline(monkeypatch, tmp_path):
    ended = SimpleNamespace(returncode=1, stderr="WARNING: Retrying\nERROR: No matching distribution found\n\n")
    monkeypatch.setattr(subprocess, "run", lambda command, **options: ended)
    with pytest.raises(ValueError, match="pip could not download mediapipe==0.10.21") as caught:
        download_wheel(tmp_path)
    text = str(caught.value)
    assert "\n" not in text and "(ERROR: No matching distribution found): go online once" in text
    assert "--estimator-model" in text


def test_another_file_is_refused(monkeypatch, tmp_path):
    def fetch(command, **options):
        (Path(command[-2]) / module._WHEEL).write_bytes(b"something else")
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(subprocess, "run", fetch)
    found = hashlib.sha256(b"something else").hexdigest()[:16]
    with pytest.raises(ValueError, match=f"with the SHA-256 05dc4a9e593655a7..., received {found}...: pip's index"):
        download_wheel(tmp_path)


def test_packages_without_the_networks(tmp_path):
    wheel = tmp_path / "a.whl"
    wheel.write_bytes(b"no archive")
    with pytest.raises(ValueError, match="a.whl: expected the networks of mediapipe==0.10.21"):
        assemble_model(wheel, tmp_path / "out.task")
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("mediapipe/__init__.py", "")
    with pytest.raises(ValueError, match="a.whl: expected the networks of mediapipe==0.10.21"):
        assemble_model(wheel, tmp_path / "out.task")
    assert not (tmp_path / "out.task").exists()
