"""Signs that visitors teach: a dictionary in a folder that lasts as long as a visit, or one that its owner keeps."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from html import escape
from pathlib import Path
from typing import Any

from modeling_sigma.inference.sign_dictionary import DICTIONARY, SignDictionary
from modeling_sigma.inference.vector_folder import VECTORS


MAX_CLIPS, MAX_UPLOAD = 2000, 20_000_000  # of a dictionary: clips, and bytes unpacked
NUM_BEST = 3


def is_there(folder: Path) -> bool:
    """Whether anything has been taught yet."""
    return (folder / DICTIONARY).is_file()


def teach(folder: Path, pipe: Any, label: str, clip: Any) -> str:
    """Adds a clip to a sign, and says what happened.

    Raises:
        ValueError: without a name, for a clip without hands, or one that this sign has already.
    """
    label = " ".join(label.split())
    if not label:
        raise ValueError("What does the sign mean? Write a word, then press Teach.")
    if not is_there(folder):
        SignDictionary.create(pipe).save(folder)
    with SignDictionary.editing(folder, pipe) as dictionary:
        if len(dictionary) >= MAX_CLIPS:
            raise ValueError(f"This page keeps {MAX_CLIPS} clips: remove some first.")
        (added,) = dictionary.add(label, clip)
        count = sum(entry.label == label for entry in dictionary.entries)
    if added.variant > 1:
        return (
            f"Taught “{label}”, {count} clips. This one looks unlike the others: it is kept as another way to sign it."
        )
    return f"Taught “{label}”" + ("." if count == 1 else f", {count} clips.")


def forget(folder: Path, pipe: Any, label: str) -> str:
    """Removes all clips of a sign.

    Raises:
        ValueError: if there is no such sign.
    """
    with SignDictionary.editing(folder, pipe) as dictionary:
        dictionary.remove(label=label)
    return f"Removed “{label}”: nothing of it is left."


def pack(folder: Path, visit: Path, pipe: Any, model_name: str) -> str:
    """The dictionary as an archive to take home. It names the model as the page does, not where it lies here."""
    target = visit / "to-take-home"
    shutil.rmtree(target, ignore_errors=True)
    dictionary = SignDictionary.from_pretrained(folder, pipe)
    dictionary.model = model_name
    dictionary.save(target / "my-signs")
    return shutil.make_archive(str(target / "my-signs"), "zip", target, "my-signs")


def unpack(folder: Path, pipe: Any, archive: str) -> str:
    """Takes a dictionary that somebody has brought, in place of the one that is there.

    Raises:
        ValueError: for another archive, or a dictionary of another model.
    """
    with tempfile.TemporaryDirectory() as scratch:
        try:
            with zipfile.ZipFile(archive) as opened:
                members = {Path(one.filename).name: one for one in opened.infolist() if not one.is_dir()}
                if not {DICTIONARY, VECTORS} <= set(members):
                    raise ValueError(
                        f"expected {DICTIONARY} and {VECTORS} in the archive: download one from this page"
                    )
                for name in (DICTIONARY, VECTORS):
                    if members[name].file_size > MAX_UPLOAD:
                        raise ValueError(f"This dictionary is too large: {MAX_UPLOAD // 1_000_000} MB are the most.")
                    Path(scratch, name).write_bytes(opened.read(members[name]))
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise ValueError(f"expected a dictionary as a .zip file, received another one: {error}") from error
        brought = SignDictionary.from_pretrained(scratch, pipe)
        if len(brought) > MAX_CLIPS:
            raise ValueError(f"This dictionary has {len(brought)} clips: {MAX_CLIPS} are the most.")
        brought.save(folder)
    return f"Loaded {len(brought.labels)} signs, {len(brought)} clips."


def find(folder: Path, pipe: Any, clip: Any) -> str:
    """What a clip resembles most among the signs that were taught, as HTML; empty without signs."""
    if not is_there(folder):
        return ""
    dictionary = SignDictionary.from_pretrained(folder, pipe)
    if not len(dictionary):
        return ""
    found = dictionary.search(clip, top_k=NUM_BEST)
    best = found[0]
    if best["unknown"]:
        said = f"Not one of your signs. The nearest is “{escape(best['label'])}”."
    elif best["unknown"] is None:
        said = f"Most like “{escape(best['label'])}”. With so few signs it cannot tell whether it is one of them."
    else:
        said = f"This is most likely your sign “{escape(best['label'])}”."
    rows = "".join(
        f'<tr><th scope="row">{escape(one["label"])}</th><td>similarity {one["similarity"]:.2f}</td></tr>'
        for one in found
    )
    return f'<h3>Among your signs</h3><p class="said">{said}</p><table>{rows}</table>'


def labels(folder: Path) -> list[tuple[str, int]]:
    """The signs and the number of clips of each."""
    if not is_there(folder):
        return []
    dictionary = SignDictionary.from_pretrained(folder)
    return [(label, sum(entry.label == label for entry in dictionary.entries)) for label in dictionary.labels]
