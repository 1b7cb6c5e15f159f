"""The page of examples/browser, built: where it is, and how npm makes it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import modeling_sigma


# Files that a built page has, and nothing else is.
_KEY_FILES = ("index.html", "page.js", "tracker_worker.js", "recognizer_worker.js", "wasm/vision_wasm_internal.wasm")
_SOURCES = ("package-lock.json", "build.mjs", "src/*")
_STAMP = "sources.sha256"


def built_page(page: Path | None = None) -> Path:
    """The folder of the built page: the one that is named, or that of the repository, built first if need be.

    Args:
        page (`Path`, *optional*):
            A folder that `npm run build` or `sigma-slu live --out` wrote.

    Raises:
        ValueError: if there is no such page, and none can be built: without the repository, or without npm.
    """
    if page is not None:
        missing = [name for name in _KEY_FILES if not (page / name).is_file()]
        if missing:
            raise ValueError(f"{page}: expected the built page, found no {missing[0]}: name its folder dist")
        return page
    sources = Path(modeling_sigma.__file__).parents[1] / "examples" / "browser"
    if not (sources / "package.json").is_file():
        raise ValueError(
            "the page is not part of the installed package: get the repository of sigma-slu, run `npm ci && npm run "
            "build` in its folder examples/browser, and name the folder dist there with --page"
        )
    built, stamp = sources / "dist", _stamp(sources)
    if (built / _STAMP).is_file() and (built / _STAMP).read_text(encoding="ascii") == stamp:
        return built
    npm = shutil.which("npm")
    if npm is None:
        raise ValueError(
            "building the page needs npm: install Node.js 20 or later, or build it on another machine (`npm ci && npm "
            f"run build` in {sources}) and name its folder dist with --page"
        )
    sys.stderr.write("Building the page (once)\n")
    for arguments in (["ci"], ["run", "build"]):
        ended = subprocess.run(
            [npm, *arguments], cwd=sources, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if ended.returncode:
            told = (ended.stderr.strip() or ended.stdout.strip()).splitlines() or ["no message"]
            raise ValueError(f"npm {' '.join(arguments)} failed in {sources}: {told[-1]}")
    (built / _STAMP).write_text(stamp, encoding="ascii")
    return built


def _stamp(sources: Path) -> str:
    """A checksum of what the page is built from."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in _SOURCES for path in sources.glob(pattern) if path.is_file()):
        digest.update(f"{path.relative_to(sources).as_posix()} {path.stat().st_size} ".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
