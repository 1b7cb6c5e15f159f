"""A corpus for the tests, in a module of its own: `datasets` changes `os` and `open` in modules that have builders."""

from datasets_scripts.reading.corpus_builder import ClipEntry, CorpusBuilder, CorpusConfig
from datasets_scripts.reading.corpus_facts import CorpusFacts
from modeling_sigma.io import load_clip
from modeling_sigma.model.pose_clip import PoseClip


class Archive(CorpusBuilder):
    """A corpus of `.npz` files whose names are their labels: SPLIT_SIGNER_WORD_NUMBER.npz."""

    FACTS = CorpusFacts(
        title="Archive of tests",
        sign_language="Test Sign Language",
        spoken_language="English",
        sign_language_code="",
        spoken_language_code="en",
        tasks=("islr",),
        license="Nobody may pass it on",
        homepage="https://example.org",
        citation="@misc{archive}",
        sizes={"all": {"train": 31, "test": 10}},
        notes="Made up.",
    )
    BUILDER_CONFIGS = [CorpusConfig(name="all")]
    DEFAULT_CONFIG_NAME = "all"

    def available_splits(self):
        return ("train", "test")

    def list_clips(self, split: str) -> list[ClipEntry]:
        names = (self.folder / "labels.txt").read_text().split()
        entries, missing = [], []
        for name in (name for name in names if name.startswith(split)):
            path = self.folder / f"{name}.npz"
            _, signer, word, _ = name.split("_")
            if path.is_file():
                entries.append(ClipEntry(name, split, str(path), word, (word.upper(),), signer))
            else:
                missing.append(name)
        self.report_missing(split, missing, len(entries) + len(missing))
        return entries

    def read_clip(self, entry: ClipEntry) -> PoseClip:
        return load_clip(entry.source)
