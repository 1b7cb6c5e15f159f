"""The folder of an exported model: its manifest, its checksums, and what is wrong with it. No torch is needed here.

A bundle holds one ONNX file per graph (and smaller ones in float16 and int8), the configuration with its labels, the
settings of the feature extractor, the tokenizer of a model that reads text, `golden.json` (inputs, and what the model
answered before it was exported), and `onnx_bundle.json`, which lists all of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


MANIFEST, GOLDEN = "onnx_bundle.json", "golden.json"
FORMAT = 1
# Precision -> what its files are called behind the name of the graph.
SUFFIXES = {"float32": "", "float16": "_float16", "int8": "_int8"}
# Files that a user may edit, and that change no answer.
_NOT_COUNTED = (MANIFEST, "README.md", ".gitattributes")
_FACTS: dict[str, type] = {"architecture": str, "pipelines": list, "precisions": list, "graphs": dict, "files": dict}


@dataclass(frozen=True)
class OnnxBundle:
    """An exported model on disk.

    Args:
        folder (`Path`): Where it lies.
        facts (`dict`): Its manifest.
        precision (`str`): Which of its files are to run: `"float32"`, `"float16"` or `"int8"`.
    """

    folder: Path
    facts: dict[str, Any]
    precision: str

    def graph_file(self, graph: str) -> Path:
        """The ONNX file of one of its graphs."""
        return self.folder / graph_file_name(graph, self.precision)

    def read_json(self, name: str) -> dict[str, Any]:
        """One of its JSON files; empty if there is none."""
        path = self.folder / name
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return content

    def golden(self) -> dict[str, dict[str, Any]]:
        """`"inputs"` and `"outputs"` of the model before it was exported, by name."""
        return self.read_json(GOLDEN)


def graph_file_name(graph: str, precision: str) -> str:
    """The name of the ONNX file of a graph."""
    return f"{graph}{SUFFIXES[precision]}.onnx"


def is_bundle(path: str | Path) -> bool:
    """Whether a path means an exported model: its folder, or an ONNX file in it."""
    path = Path(path)
    return path.suffix == ".onnx" or (path / MANIFEST).is_file()


def read_bundle(path: str | Path, precision: str | None = None) -> OnnxBundle:
    """Reads the manifest of an exported model, and compares all files with their checksums.

    Args:
        path (`str` or `Path`):
            Its folder, or one of its ONNX files, which then chooses the precision.
        precision (`"float32"`, `"float16"` or `"int8"`, *optional*):
            Which files to run; by default those that the path names, or float32.

    Raises:
        ValueError: if it is no exported model, damaged, from a newer version, or not there in this precision.
    """
    path = Path(path)
    folder = path.parent if path.suffix == ".onnx" else path
    if not path.exists():
        raise ValueError(f"{path}: expected an exported model, found nothing: check the path")
    if not (folder / MANIFEST).is_file():
        raise ValueError(
            f"{path}: expected a model that `sigma-slu export` wrote, found no {MANIFEST} beside it: export the model "
            "again, and keep the files of the folder together"
        )
    facts = _read_manifest(folder)
    problems = list(bundle_problems(folder, facts))
    if problems:
        raise ValueError(f"{folder} is damaged: {'; '.join(problems)}: copy or export it again")
    if path.suffix == ".onnx":
        named = next(name for name in reversed(SUFFIXES) if path.stem.endswith(SUFFIXES[name]))
        if precision not in (None, named):
            raise ValueError(f"expected {path.name}, which is {named}, or a precision, received both with {precision}")
        precision = named
    precision = precision or "float32"
    if precision not in facts["precisions"]:
        raise ValueError(
            f"{folder}: expected a precision among {', '.join(facts['precisions'])}, received {precision!r}: "
            "`sigma-slu export --float16 --int8` writes all"
        )
    return OnnxBundle(folder, facts, precision)


def _read_manifest(folder: Path) -> dict[str, Any]:
    advice = "copy or export it again"
    try:
        facts = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{folder / MANIFEST} is damaged ({error}): {advice}") from error
    if not isinstance(facts, dict) or not isinstance(facts.get("format"), int):
        raise ValueError(f"{folder / MANIFEST} is damaged (no format): {advice}")
    if facts["format"] > FORMAT:
        raise ValueError(
            f"{folder}: expected a bundle of format {FORMAT}, found {facts['format']}: a newer sigma-slu wrote it, "
            "upgrade yours"
        )
    for name, kind in _FACTS.items():
        if not isinstance(facts.get(name), kind):
            raise ValueError(f"{folder / MANIFEST} is damaged (no {name}): {advice}")
    return facts


def bundle_problems(folder: Path, facts: dict[str, Any]) -> Iterator[str]:
    """What differs from the manifest: files that are missing or whose bytes have changed."""
    needed = {graph_file_name(graph, precision) for graph in facts["graphs"] for precision in facts["precisions"]}
    for name in sorted(needed - facts["files"].keys()):
        yield f"{name} has no checksum"
    for name, known in facts["files"].items():
        path = folder / name
        if Path(name).name != name or not isinstance(known, dict):
            yield f"{name!r:.80} is no file of a bundle"
        elif not path.is_file():
            yield f"{name} is missing"
        elif path.stat().st_size != known.get("bytes"):
            yield f"{name} has {path.stat().st_size} bytes instead of {known.get('bytes')}"
        elif checksum(path) != known.get("sha256"):
            yield f"{name} does not have the checksum that it was written with"


def write_manifest(folder: Path, **facts: Any) -> None:
    """Writes the manifest of a folder whose other files are complete: `facts`, sizes and checksums."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name not in _NOT_COUNTED)
    sums = {path.name: {"bytes": path.stat().st_size, "sha256": checksum(path)} for path in files}
    content = {"format": FORMAT, **facts, "files": sums}
    (folder / MANIFEST).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
