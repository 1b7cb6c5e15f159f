"""A folder that recognises signs in a browser: the built page, an exported model, and MediaPipe's model file."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import modeling_sigma
from modeling_sigma.conversion.export_bundle import checksum, graph_file_name, is_bundle, read_bundle
from modeling_sigma.jobs.atomic_folders import atomic_folder


MODEL, FACTS, HOLISTIC = "model", "live.json", "holistic_landmarker.task"
_TASK = "isolated-sign-recognition"
_READ = {"pose_values", "pose_attention_mask"}
_CARD = "README.md"


def write_site(model: str, page: Path, holistic: Path, folder: Path, precision: str = "float32") -> Path:
    """Writes the site, ready for any static web server, such as a static Space of the Hub.

    Args:
        model (`str`):
            The folder of a trained model or its name on the Hub, which is exported first; or of an exported one.
        page (`Path`):
            The built page; see [`built_page`].
        holistic (`Path`):
            MediaPipe's `holistic_landmarker.task`.
        folder (`Path`):
            The folder to write; what an earlier site has left there is replaced.
        precision (`"float32"`, `"float16"` or `"int8"`, *optional*, defaults to `"float32"`):
            Which of the exported weights the page loads.

    Returns:
        `Path`: the folder.

    Raises:
        ValueError: for a model that does not recognise isolated signs, or reads more than a clip.
        ImportError: if it has to be exported, and the extra `onnx` is not installed.
    """
    with atomic_folder(folder, "index.html") as site:
        for path in page.rglob("*"):
            name = path.relative_to(page)
            if path.is_file() and name.parts[0] != MODEL and name.name not in (HOLISTIC, _CARD):
                _copy(path, site / name)
        _copy(holistic, site / HOLISTIC)
        facts = _export_into(model, site / MODEL, precision)
        facts["files"] = dict(_checksums([site / HOLISTIC, site / MODEL / facts["file"]]))
        _write_json(site / MODEL / FACTS, facts)
        (site / _CARD).write_text(_space_card(facts), encoding="utf-8")
    return folder


def cached_site(model: str, page: Path, holistic: Path, precision: str = "float32") -> Path:
    """As [`write_site`], in the cache of huggingface_hub: a model is exported once."""
    from huggingface_hub import cached_assets_path

    folder = model_folder(model)
    digest = hashlib.sha256(f"{modeling_sigma.__version__} {precision} {model}".encode())
    for path in sorted(
        path for path in folder.iterdir() if path.is_file() and path.suffix in (".safetensors", ".json")
    ):
        digest.update(f"{path.name} {checksum(path)}".encode())
    for path in sorted(path for path in page.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(page).as_posix()} {checksum(path)}".encode())
    site = cached_assets_path("sigma-slu", namespace="live", subfolder=digest.hexdigest()[:16])
    return site if (site / "index.html").is_file() else write_site(model, page, holistic, site, precision)


def model_folder(model: str) -> Path:
    """Where the files of a model are: its folder, or that of the Hub's cache.

    Raises:
        ValueError: if there is no such model.
    """
    path = Path(model)
    if path.is_dir():
        return path
    if path.exists() or model.count("/") != 1:
        raise ValueError(f"{model}: expected the folder of a model, found none: check the path")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as error:
        raise ValueError(f"{model}: no such folder here, and the Hub did not give a model of that name") from error


def _export_into(model: str, out: Path, precision: str) -> dict[str, Any]:
    """Exports a model, or copies an exported one; returns what the page has to know of it."""
    from modeling_sigma.inference.load_pipeline import load_pipeline
    from modeling_sigma.inference.model_fingerprint import model_fingerprint

    folder = model_folder(model)
    if is_bundle(folder):
        read_bundle(folder, precision)  # whole, and with this precision
        shutil.copytree(folder, out, copy_function=shutil.copyfile)
        pipe = load_pipeline(out, _TASK, dtype=precision)
    else:
        from modeling_sigma.conversion.export import check_packages, export_onnx

        check_packages()
        pipe = load_pipeline(folder, _TASK, device="cpu", dtype="float32")
        export_onnx(
            pipe.model, pipe.processor or pipe.feature_extractor, out, precision == "int8", precision == "float16"
        )
        if precision != "float32":  # its vectors are not quite those of the model
            pipe = load_pipeline(out, _TASK, dtype=precision)
    bundle = read_bundle(out, precision)
    graphs = bundle.facts["graphs"]
    if list(graphs) != ["model"] or set(graphs["model"]["inputs"]) != _READ:
        raise ValueError(f"{model}: expected a model that reads clips alone, found one that reads a prompt or writes")
    card = _read_json(folder / "card.json")
    config = bundle.read_json("config.json")
    return {
        "name": card.get("name") or Path(model).name,
        # Where Python finds it again, for dictionaries; a path of this machine would mean nothing elsewhere.
        "model": Path(model).name if Path(model).is_absolute() else Path(model).as_posix(),
        "fingerprint": model_fingerprint(pipe.model),
        "version": modeling_sigma.__version__,
        "about": card.get("summary"),
        "knows": _known_signs(config, card),
        "license": config.get("weights_license"),
        "file": graph_file_name("model", precision),
        "estimator": "mediapipe-holistic (in a browser)",
    }


def _known_signs(config: dict[str, Any], card: dict[str, Any]) -> str:
    """How many signs of which language, for whoever stands before the camera."""
    data = [entry for entry in card.get("training_data", []) if isinstance(entry, dict)]
    languages = dict.fromkeys(str(entry.get("sign_language", "")).split(",")[0] for entry in data)
    named = " and ".join(name for name in languages if name)
    return f"{len(config['id2label']):,} signs" + (f" of {named}" if named else "")


def _space_card(facts: dict[str, Any]) -> str:
    license_line = f"license: {facts['license']}\n" if facts["license"] else ""
    about = f"\n{facts['about']}\n" if facts["about"] else ""
    return (
        f"---\ntitle: Sigma live\nsdk: static\npinned: false\n{license_line}---\n\n"
        "# Signs in front of a camera, recognised on the device\n\n"
        f"A static page with the model {facts['name']}. After loading, it sends nothing.\n{about}"
    )


def _checksums(paths: list[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in paths:
        yield path.name, {"bytes": path.stat().st_size, "sha256": checksum(path)}


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    from modeling_sigma.io.json_text import read_json

    return dict(read_json(path, "the facts of a model card", dict))


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
