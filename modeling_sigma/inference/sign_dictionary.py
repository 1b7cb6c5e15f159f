"""`SignDictionary`: teach it signs from a few clips each, search it by signing, and it says when it does not know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from modeling_sigma.inference.clip_vectors import ClipVector, clip_vectors
from modeling_sigma.inference.dictionary_clips import DictionaryClips
from modeling_sigma.inference.dictionary_entries import (
    COLUMNS,
    DictionaryEntry,
    as_columns,
    checked_facts,
    checked_text,
    from_columns,
)
from modeling_sigma.inference.dictionary_scores import score_dictionary
from modeling_sigma.inference.load_pipeline import load_pipeline
from modeling_sigma.inference.model_fingerprint import model_fingerprint
from modeling_sigma.inference.vector_folder import damaged, finish_replacing, read_vectors, replace_vectors
from modeling_sigma.jobs.atomic_files import lone_writer
from modeling_sigma.model.clip_making import split_clips
from modeling_sigma.model.model_kinds_sigma import FEATURES


DICTIONARY = "dictionary.json"
_FIELDS = {"model": str, "fingerprint": str, **COLUMNS}


class SignDictionary:
    """Signs as vectors of clips: searched by signing, taught without training, in any sign language.

    It holds no skeletons, only one vector per clip, and what you say about it. Make one with [`create`], or read one
    with [`from_pretrained`].

    Args:
        model (`str`):
            The folder of the model that makes the vectors, or its name on the Hub.
        fingerprint (`str`):
            What tells that model from others: vectors of two models cannot be compared.
        pipe ([`SignFeatureExtractionPipeline`], *optional*):
            That model, if it is loaded already; else it is when a clip is to be read.
        device (`str`, *optional*):
            The device to compute on; see [`load_pipeline`].

    Example:

    ```python
    >>> import numpy as np
    >>> from transformers import MT5Config
    >>> from modeling_sigma import SigmaConfig, SigmaFeatureExtractor, SigmaForSequenceClassification, save_bundle
    >>> from modeling_sigma import PoseClip, SignDictionary
    >>> text_config = MT5Config(vocab_size=8, d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=4)
    >>> config = SigmaConfig(text_config=text_config, use_prompt=False, num_labels=3)
    >>> folder = save_bundle(SigmaForSequenceClassification(config), SigmaFeatureExtractor(), "three-signs")
    >>> rng = np.random.default_rng(0)
    >>> house, rain = (PoseClip(rng.uniform(100, 400, (12, 133, 2)), np.ones((12, 133))) for _ in range(2))
    >>> dictionary = SignDictionary.create(folder, device="cpu")
    >>> [entry.sample_id for entry in dictionary.add("house", house) + dictionary.add("rain", rain)]
    ['house/1', 'rain/1']
    >>> dictionary.search(house, top_k=1)[0]["label"]
    'house'
    >>> dictionary.remove(label="house")
    1

    ```
    """

    def __init__(self, model: str, fingerprint: str, pipe: Any = None, device: Any = None) -> None:
        self.model, self.fingerprint = model, fingerprint
        self._pipe, self._device = pipe, device
        self._clips = DictionaryClips(np.zeros((0, 0), np.float32), [])

    @classmethod
    def create(cls, model: Any, device: Any = None) -> SignDictionary:
        """An empty dictionary for the vectors of a model.

        Args:
            model (`str`, `Path` or [`SignFeatureExtractionPipeline`]):
                The folder of a trained model of any kind, or its name on the Hub; or its pipeline
                `sign-feature-extraction`.
            device (`str`, *optional*):
                The device to compute on; see [`load_pipeline`].

        Raises:
            ValueError: as [`load_pipeline`], or for a pipeline of another task.
        """
        if getattr(model, "task", FEATURES) != FEATURES:
            raise ValueError(
                f"expected a pipeline {FEATURES}, received one for {model.task}: "
                f"load_pipeline(model, {FEATURES!r}) makes one of the same model"
            )
        is_loaded = hasattr(model, "task")
        pipe = model if is_loaded else load_pipeline(model, FEATURES, device)
        name = getattr(pipe.model, "name_or_path", "") if is_loaded else model
        return cls(str(name), model_fingerprint(pipe.model), pipe)

    def __len__(self) -> int:
        return len(self._clips)

    @property
    def entries(self) -> tuple[DictionaryEntry, ...]:
        """The clips, in the order in which they were added."""
        return tuple(self._clips.entries)

    @property
    def labels(self) -> list[str]:
        """The labels, each once, in the order in which they were added."""
        return list(dict.fromkeys(entry.label for entry in self._clips.entries))

    def load_model(self) -> Any:
        """The pipeline `sign-feature-extraction` of the model that made the dictionary, loaded once.

        Raises:
            ValueError: as [`load_pipeline`], or for a model other than the one that made the dictionary.
        """
        if self._pipe is None:
            self._pipe = self._checked_model(load_pipeline(self.model, FEATURES, self._device))
        return self._pipe

    def add(
        self,
        label: str,
        clips: Any,
        *,
        sample_ids: Sequence[str] | None = None,
        sign_language: str | None = None,
        **facts: str | float | bool | None,
    ) -> list[DictionaryEntry]:
        """Teaches a sign, or adds clips to one that it knows.

        A clip that does not resemble the others of its label becomes a variant of its own: people sign a word
        differently.

        Args:
            label (`str`):
                What is signed.
            clips (`PoseClip`, path, array, row of a data set, or a list of them):
                One or more clips of it.
            sample_ids (`Sequence[str]`, *optional*):
                A name for each clip, by which it can be removed again; by default the label and a number.
            sign_language (`str`, *optional*):
                The English name of the sign language, to search in this alone. The same label in two languages is two
                signs.
            **facts (`str`, `float` or `bool`, *optional*):
                What else you want to know about these clips, such as `signer_id` or `source`. They are published with
                the dictionary.

        Returns:
            `list[DictionaryEntry]`: one for each clip, in order; `variant` says how it was taken.

        Raises:
            ValueError: for a clip without hands, a clip that this label has already, a name that another clip has, or
                a label that is no text. Then nothing is added.
        """
        label = checked_text(label, "a label")
        language = None if sign_language is None else checked_text(sign_language, "a sign language")
        facts = checked_facts(facts)
        items, _ = split_clips(clips)
        names = self._clips.names_for(label, len(items), sample_ids)
        before = len(self)
        added = []
        try:
            for name, found in zip(names, self._read(items), strict=True):
                entry = DictionaryEntry(label, name, language, 1, found.layout, facts)
                added.append(self._clips.append(found.vector, entry))
        except Exception:
            if added:
                self._clips.keep(np.arange(len(self)) < before)
            raise
        return added

    def remove(
        self, label: str | None = None, *, sample_id: str | None = None, sign_language: str | None = None
    ) -> int:
        """Removes all clips of a label, or one clip: once saved, nothing of them is left in the folder.

        Args:
            label (`str`, *optional*):
                The label.
            sample_id (`str`, *optional*):
                The name of the clip, instead of a label.
            sign_language (`str`, *optional*):
                Remove the label from this language alone.

        Returns:
            `int`: how many clips were removed.

        Raises:
            ValueError: if there is no such clip, or if both or none of label and sample_id are given.
        """
        if (label is None) == (sample_id is None):
            received = "none" if label is None else "both"
            raise ValueError(f"expected a label or a sample_id to remove, received {received}: name one of them")
        name, wanted = ("label", label) if sample_id is None else ("sample_id", sample_id)
        wanted = checked_text(wanted, f"a {name}")
        is_kept = np.array(
            [
                getattr(entry, name) != wanted or sign_language not in (None, entry.sign_language)
                for entry in self._clips.entries
            ],
            bool,
        )
        if is_kept.all():
            raise ValueError(f"expected a {name} of this dictionary, received {wanted!r}: it has no such clip")
        self._clips.keep(is_kept)
        return int((~is_kept).sum())

    def search(
        self,
        clip: Any,
        top_k: int = 5,
        unknown: bool = True,
        *,
        false_alarm_rate: float = 0.1,
        sign_language: str | None = None,
    ) -> list[dict[str, Any]]:
        """The signs most like a clip.

        Args:
            clip (`PoseClip`, path, array, or row of a data set):
                The clip.
            top_k (`int`, *optional*, defaults to 5):
                The number of signs; fewer if the dictionary has fewer.
            unknown (`bool`, *optional*, defaults to `True`):
                Whether to say which signs are not similar enough to be the one that is signed.
            false_alarm_rate (`float`, *optional*, defaults to 0.1):
                The share of signs that are not in the dictionary and yet may be taken for one that is. It is met for
                signs like those in the dictionary, which it is learnt from.
            sign_language (`str`, *optional*):
                Search among the signs of this language alone.

        Returns:
            `list[dict]`: best first: `label`, `sign_language`, `similarity` (1 is the same clip; below 0 are unlike
            signs), `variant` (the most similar one) and `num_variants`, `sample_id` of the nearest clip of that
            variant, and with `unknown` the field `unknown`: `True`, `False`, or None if the dictionary has too few
            signs to tell (less than ten, or than 1 / false_alarm_rate).

        Raises:
            ValueError: for an empty dictionary, a language that it does not have, a clip without hands, or a model
                other than the one that made it.
        """
        self._check_search(top_k, false_alarm_rate, sign_language)
        return self.search_vector(
            self.embed(clip), top_k, unknown, false_alarm_rate=false_alarm_rate, sign_language=sign_language
        )

    def embed(self, clip: Any) -> np.ndarray:
        """A clip as a vector of the model `(hidden_size,)`, float32.

        Raises:
            ValueError: for a clip without hands, or a model other than the one that made the dictionary.
        """
        (found,) = self._read([clip])
        return found.vector

    def search_vector(
        self,
        vector: np.ndarray,
        top_k: int = 5,
        unknown: bool = True,
        *,
        false_alarm_rate: float = 0.1,
        sign_language: str | None = None,
    ) -> list[dict[str, Any]]:
        """As [`search`], for a vector `(hidden_size,)` of the model that made the dictionary."""
        self._check_search(top_k, false_alarm_rate, sign_language)
        searched = self._clips.searched
        matches = searched.search(np.asarray(vector, np.float32), top_k, sign_language)
        results: list[dict[str, Any]] = [
            {
                "label": match.sign[1],
                "sign_language": match.sign[0],
                "similarity": round(match.similarity, 4),
                "variant": match.variant,
                "num_variants": searched.num_variants(match.sign),
                "sample_id": self._clips.entries[match.row].sample_id,
            }
            for match in matches
        ]
        if unknown:
            threshold = searched.threshold(false_alarm_rate, sign_language)
            for result, match in zip(results, matches):
                result["unknown"] = None if threshold is None else match.similarity <= threshold
        return results

    def evaluate(
        self,
        clips: Any,
        labels: Sequence[str],
        *,
        false_alarm_rate: float = 0.1,
        sign_language: str | None = None,
    ) -> dict[str, Any]:
        """How well other clips find their signs.

        Args:
            clips (`list` of `PoseClip`, paths, arrays, or rows of a data set):
                Clips that are not in the dictionary.
            labels (`Sequence[str]`):
                The label of each. Those that the dictionary does not have show how often it takes an unknown sign for
                one that it has.
            false_alarm_rate, sign_language (*optional*):
                As in [`search`].

        Returns:
            `dict`: see [`score_dictionary`].

        Raises:
            ValueError: as [`search`], or for another number of labels than clips.
        """
        items, _ = split_clips(clips)
        vectors = [found.vector for found in self._read(items)]
        return self.evaluate_vectors(vectors, labels, false_alarm_rate=false_alarm_rate, sign_language=sign_language)

    def evaluate_vectors(
        self,
        vectors: Sequence[np.ndarray],
        labels: Sequence[str],
        *,
        false_alarm_rate: float = 0.1,
        sign_language: str | None = None,
    ) -> dict[str, Any]:
        """As [`evaluate`], for vectors `(hidden_size,)` of the model that made the dictionary."""
        self._check_search(1, false_alarm_rate, sign_language)
        wanted = [checked_text(label, "a label") for label in labels]
        if len(vectors) != len(wanted) or not wanted:
            raise ValueError(f"expected one label per clip, received {len(wanted)} labels of {len(vectors)} clips")
        return score_dictionary(self._clips.searched, np.stack(vectors), wanted, false_alarm_rate, sign_language)

    def save(self, folder: str | Path) -> Path:
        """Writes the dictionary into a folder, whole or not at all: vectors (safetensors) and entries (JSON).

        Raises:
            ValueError: if another process writes there.
        """
        folder = Path(folder)
        with lone_writer(folder):
            self._write(folder)
        return folder

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        model: Any = None,
        *,
        device: Any = None,
        revision: str | None = None,
        token: str | bool | None = None,
    ) -> SignDictionary:
        """Reads a dictionary from a folder or the Hub. Its model is loaded when a clip is to be read.

        Args:
            name_or_path (`str` or `Path`):
                The folder, or a name on the Hub.
            model (`str` or [`SignFeatureExtractionPipeline`], *optional*):
                Where the model is, if it has moved since; by default where it was. Or its pipeline, if it is loaded.
            device (`str`, *optional*):
                The device to compute on; see [`load_pipeline`].
            revision, token (*optional*):
                The branch, and a token in place of that of `hf auth login`, for a name on the Hub.

        Raises:
            ValueError: if it is no dictionary, is damaged, or was written by a newer version; for the pipeline of
                another model.
        """
        folder = Path(name_or_path)
        if not folder.is_dir() and str(name_or_path).count("/") == 1:
            from modeling_sigma.hub.dictionary_repo import download_dictionary

            folder = download_dictionary(str(name_or_path), DICTIONARY, revision=revision, token=token)
        if not (folder / DICTIONARY).is_file():
            raise ValueError(
                f"{name_or_path}: expected a dictionary, found no {DICTIONARY}: make one with "
                "`sigma-slu dictionary create`"
            )
        vectors, facts = read_vectors(folder, DICTIONARY, _FIELDS)
        is_loaded = hasattr(model, "task")
        dictionary = cls((None if is_loaded else model) or facts["model"], facts["fingerprint"], device=device)
        if is_loaded:
            dictionary._pipe = dictionary._checked_model(model)
        try:
            dictionary._clips = DictionaryClips(vectors, from_columns(facts, len(vectors)))
        except (TypeError, ValueError) as error:
            raise damaged(folder, error) from error
        return dictionary

    @classmethod
    @contextmanager
    def editing(cls, folder: str | Path, model: Any = None, *, device: Any = None) -> Iterator[SignDictionary]:
        """A dictionary that is saved at the end, and that no other process changes meanwhile.

        If the body fails, the folder stays as it was.

        Raises:
            ValueError: as [`from_pretrained`], or if another process writes there.
        """
        folder = Path(folder)
        if not (folder / DICTIONARY).is_file():
            cls.from_pretrained(folder)  # says what is wrong, and makes no folder
        with lone_writer(folder):
            finish_replacing(folder, DICTIONARY)  # a clip that was removed is gone, even if nothing changes now
            dictionary = cls.from_pretrained(folder, model, device=device)
            yield dictionary
            dictionary._write(folder)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        license: str | None = None,
        private: bool = True,
        commit_message: str = "Publish the dictionary with sigma-slu",
        token: str | bool | None = None,
    ) -> str:
        """Publishes the dictionary, with a card: labels, names of clips, facts and vectors, no skeletons.

        What is removed later stays in the history of the repository: to honour a withdrawal of consent there, delete
        the repository, or squash its history.

        Args:
            repo_id (`str`):
                The repository, as `ORG/NAME`, or as `NAME` for one of your own.
            license (`str`, *optional*):
                The terms, a name in `modeling_sigma.hub.licenses.LICENSES`. A public dictionary needs them.
            private (`bool`, *optional*, defaults to `True`):
                `False` makes the repository public.
            commit_message (`str`, *optional*):
                The commit message.
            token (`str`, *optional*):
                A token in place of that of `hf auth login`.

        Returns:
            `str`: the address of the repository.

        Raises:
            ValueError: for an empty dictionary, a model that is not on the Hub, a secret among the facts, a missing
                license, and if the Hub refuses.
        """
        import tempfile

        from modeling_sigma.hub.dictionary_repo import push_dictionary

        if not len(self):
            raise ValueError("expected a dictionary with signs to publish, received an empty one: add clips first")
        with tempfile.TemporaryDirectory() as scratch:
            folder = self.save(Path(scratch) / "dictionary")
            return push_dictionary(
                folder, DICTIONARY, repo_id, self.model, license=license, private=private, message=commit_message,
                token=token,
            )  # fmt: skip

    def _checked_model(self, pipe: Any) -> Any:
        if model_fingerprint(pipe.model) != self.fingerprint:
            raise ValueError(
                f"expected the model that made the dictionary, received one with other weights ({self.model}): "
                "name the model that made it, or make the dictionary again from the clips"
            )
        return pipe

    def _read(self, clips: Sequence[Any]) -> list[ClipVector]:
        found = clip_vectors(self.load_model(), clips)
        for one in found:
            self._clips.warn_of_layout(one.layout)
        return found

    def _check_search(self, top_k: int, false_alarm_rate: float, sign_language: str | None) -> None:
        if not len(self):
            raise ValueError("expected a dictionary with signs, received an empty one: add clips first")
        if top_k < 1:
            raise ValueError(f"expected top_k of at least 1, received {top_k}")
        if not 0 < false_alarm_rate < 1:
            raise ValueError(f"expected a false_alarm_rate between 0 and 1, received {false_alarm_rate}")
        if sign_language is not None and sign_language not in self._clips.languages:
            known = ", ".join(self._clips.languages) or "none are stated"
            raise ValueError(f"expected a sign_language of this dictionary ({known}), received {sign_language!r}")

    def _write(self, folder: Path) -> None:
        facts = {"model": self.model, "fingerprint": self.fingerprint, **as_columns(self._clips.entries)}
        replace_vectors(folder, self._clips.vectors, facts, DICTIONARY)
