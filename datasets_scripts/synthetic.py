"""A small invented sign language: it generates as many clips of 133 keypoints as you want, without a download.

It is for tests, demonstrations and ablations: its signs, its grammar and the true frames of every sign are known. It
does not model any language that people sign, and scores on it say nothing about one.

Signs consist of handshape, location, movement, orientation, handedness and mouthing; most have a partner that differs
in one of these alone. Sentences have a grammar of their own; their English has another word order, inflection and
function words. Signers differ in body, speed, habits, handedness, camera and quality of detection. Signers and
sentences of one split occur in no other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from datasets_scripts.reading.clip_entry import ClipEntry
from datasets_scripts.reading.corpus_builder import CorpusBuilder, CorpusConfig
from datasets_scripts.reading.corpus_facts import CorpusFacts
from datasets_scripts.synthetic_language.grammar import CATEGORIES, SPLITS, SyntheticGrammar
from datasets_scripts.synthetic_language.signing import SigningPlan, SyntheticSigner, draw_signer, sign
from datasets_scripts.synthetic_language.vocabulary import SignForm, SyntheticVocabulary
from modeling_sigma.model.pose_clip import PoseClip


SIGN_LANGUAGE = "synthetic"
SPOKEN_LANGUAGE = "English"

NUM_SIGNERS = {"train": 20, "validation": 4, "test": 6}  # nobody signs in two splits

_SIGN_SECONDS = 0.42  # of an average sign within a sentence
_ISOLATED_SLOWNESS = 1.2
_SENTENCE_REST_SECONDS, _ISOLATED_REST_SECONDS = 0.3, 0.12

# What a random stream is for.
_SIGNERS, _SENTENCES, _ISOLATED, _ORDER = range(2, 6)


@dataclass(frozen=True, eq=False)
class SyntheticSample:
    """One clip with everything that is known about it.

    Args:
        clip ([`PoseClip`]):
            Keypoints `(T, 133, 2)` in pixels and scores, layout `coco_wholebody_133`, with frame rate and image size.
        sample_id (`str`):
            Unique among all samples of one language.
        text (`str`):
            The English sentence in lower case without punctuation; of an isolated sign, its word.
        gloss (`list[str]`):
            The signs in signed order.
        sign_spans (`list[tuple[int, int]]`):
            For each gloss its first frame and the frame after its last. Transitions and rest belong to no sign.
        text_alignment (`list[int | None]`):
            For each word of `text.split()` the position in `gloss` that it comes from; None for function words.
        signer_id, split (`str`):
            Who signs, and the split that signer and sentence belong to.
        sign_language, spoken_language (`str`):
            `"synthetic"` and `"English"`.
    """

    clip: PoseClip
    sample_id: str
    text: str
    gloss: list[str]
    sign_spans: list[tuple[int, int]]
    text_alignment: list[int | None]
    signer_id: str
    split: str
    sign_language: str = SIGN_LANGUAGE
    spoken_language: str = SPOKEN_LANGUAGE

    @property
    def fps(self) -> float | None:
        return self.clip.fps

    @property
    def width(self) -> int | None:
        return self.clip.width

    @property
    def height(self) -> int | None:
        return self.clip.height


class SyntheticSigns:
    """An invented sign language and the people who sign it.

    Equal arguments give equal arrays. A sample depends on the language, `seed`, `split` and its index alone, not on
    how many are drawn with it.

    Args:
        seed (`int`, *optional*, defaults to 0):
            Seed that decides the forms of the signs, the signers, and which sentences belong to which split.
        num_signs (`int`, *optional*, defaults to 48):
            Size of the vocabulary, 24 to 64.

    Raises:
        ValueError: for a number of signs out of range, or a negative seed.

    Example:

    ```python
    >>> from datasets_scripts.synthetic import SyntheticSigns
    >>> language = SyntheticSigns()
    >>> sample = next(language.generate_sentences(1, split="test"))
    >>> sample.clip.keypoints.shape[1:], len(sample.gloss) == len(sample.sign_spans)
    ((133, 2), True)

    ```
    """

    def __init__(self, seed: int = 0, num_signs: int = 48) -> None:
        _check_seed(seed)
        self.seed = seed
        self.num_signs = num_signs
        self.grammar = SyntheticGrammar(seed, num_signs)
        self.glosses = tuple(word.gloss for word in self.grammar.words)
        self.vocabulary = SyntheticVocabulary(
            seed,
            tuple(
                tuple(word.gloss for word in self.grammar.words if word.category == category)
                for category in CATEGORIES
            ),
        )
        self._number = {gloss: number for number, gloss in enumerate(self.glosses)}
        self._tables = self.vocabulary.motion_tables(self.glosses)
        forms = [self.vocabulary.forms[gloss] for gloss in self.glosses]
        self._durations = _SIGN_SECONDS * np.array([*(form.relative_duration for form in forms), 1.0])
        self._signers = {split: self.signers(n, seed=number) for number, (split, n) in enumerate(NUM_SIGNERS.items())}

    @property
    def forms(self) -> Mapping[str, SignForm]:
        """For each gloss its six parameters."""
        return self.vocabulary.forms

    @property
    def minimal_pairs(self) -> Mapping[str, tuple[tuple[str, str], ...]]:
        """For each parameter the pairs of glosses that differ in it alone."""
        return self.vocabulary.minimal_pairs

    @property
    def english(self) -> Mapping[str, str]:
        """For each gloss the English word that is its label as an isolated sign."""
        return MappingProxyType({word.gloss: word.english for word in self.grammar.words})

    def signers(self, n: int, seed: int) -> tuple[SyntheticSigner, ...]:
        """`n` signers; equal seeds give equal signers, however many. Seeds 0, 1, 2 are those of the splits."""
        _check_seed(seed)
        return tuple(
            draw_signer(
                f"signer_{seed}_{k:02d}", k, self.num_signs, np.random.default_rng([self.seed, _SIGNERS, seed, k])
            )
            for k in range(n)
        )

    def sentence(
        self, index: int, *, split: str = "train", seed: int = 0, signers: str | None = None
    ) -> SyntheticSample:
        """The sentence number `index` of a split; the arguments are those of `generate_sentences`.

        `signers` names the split whose people sign it, by default the same: with another one, sentences that training
        has are told apart from people whom it knows.
        """
        rng = self._stream(_SENTENCES, index, split, seed)
        signer = self._draw_signer(split if signers is None else _check_split(signers), rng)
        sentence = self.grammar.draw(split, rng)
        plan = SigningPlan(
            signs=tuple(self._number[gloss] for gloss in sentence.gloss),
            repeated=sentence.repeated,
            shaken=sentence.shaken,
            is_question=sentence.is_question,
            rest_seconds=_SENTENCE_REST_SECONDS,
        )
        clip, spans = self._perform(plan, self._durations, signer, rng)
        return SyntheticSample(
            clip=clip,
            sample_id=self._sample_id("sentence", index, split, seed) + (f"_by_{signers}" if signers else ""),
            text=sentence.text,
            gloss=list(sentence.gloss),
            sign_spans=spans,
            text_alignment=list(sentence.alignment),
            signer_id=signer.signer_id,
            split=split,
        )

    def isolated(self, index: int, *, split: str = "train", seed: int = 0) -> SyntheticSample:
        """The isolated sign number `index` of a split; the arguments are those of `generate_isolated`."""
        rng = self._stream(_ISOLATED, index, split, seed)
        signer = self._draw_signer(split, rng)
        block, place = divmod(index, self.num_signs)
        number = int(self._stream(_ORDER, block, split, seed).permutation(self.num_signs)[place])
        plan = SigningPlan(signs=(number,), rest_seconds=_ISOLATED_REST_SECONDS)
        clip, spans = self._perform(plan, _ISOLATED_SLOWNESS * self._durations, signer, rng)
        return SyntheticSample(
            clip=clip,
            sample_id=self._sample_id("isolated", index, split, seed),
            text=self.grammar.words[number].english,
            gloss=[self.glosses[number]],
            sign_spans=spans,
            text_alignment=[0],
            signer_id=signer.signer_id,
            split=split,
        )

    def generate_sentences(
        self, num_samples: int, *, split: str = "train", seed: int = 0
    ) -> Iterator[SyntheticSample]:
        """Signed sentences.

        Args:
            num_samples (`int`):
                Number of samples.
            split (`"train"`, `"validation"` or `"test"`, *optional*, defaults to `"train"`):
                Split, which decides who may sign and what may be said. No signer and no sentence is in two splits.
            seed (`int`, *optional*, defaults to 0):
                Seed of the samples; other seeds give other samples.

        Yields:
            [`SyntheticSample`], about 40 to 100 frames each.

        Raises:
            ValueError: for an unknown split or a negative seed.
        """
        _check_split(split)
        _check_seed(seed)
        return (self.sentence(index, split=split, seed=seed) for index in range(num_samples))

    def generate_isolated(self, num_samples: int, *, split: str = "train", seed: int = 0) -> Iterator[SyntheticSample]:
        """Single signs, each equally often; see `generate_sentences`. About 12 to 35 frames each."""
        _check_split(split)
        _check_seed(seed)
        return (self.isolated(index, split=split, seed=seed) for index in range(num_samples))

    def _stream(self, purpose: int, index: int, split: str, seed: int) -> np.random.Generator:
        _check_seed(seed)
        return np.random.default_rng([self.seed, purpose, SPLITS.index(_check_split(split)), seed, index])

    def _draw_signer(self, split: str, rng: np.random.Generator) -> SyntheticSigner:
        signers = self._signers[split]
        return signers[int(rng.integers(len(signers)))]

    def _perform(
        self, plan: SigningPlan, durations: np.ndarray, signer: SyntheticSigner, rng: np.random.Generator
    ) -> tuple[PoseClip, list[tuple[int, int]]]:
        keypoints, scores, spans = sign(plan, self._tables, durations, signer, rng)
        clip = PoseClip(
            keypoints, scores, fps=signer.fps, width=signer.width, height=signer.height, coordinates="pixels"
        )
        return clip, spans

    def _sample_id(self, kind: str, index: int, split: str, seed: int) -> str:
        return f"synthetic{self.seed}_{split}{seed}_{kind}_{index:06d}"


def _check_split(split: str) -> str:
    if split not in SPLITS:
        raise ValueError(f"expected split to be one of {', '.join(SPLITS)}, received {split!r}")
    return split


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise ValueError(f"expected a seed of 0 or more, received {seed}")


@dataclass
class SyntheticConfig(CorpusConfig):
    """Which clips of the synthetic language: how many of each split, and the seed of the language."""

    num_train: int = 800
    num_validation: int = 100
    num_test: int = 200
    seed: int = 0


class Synthetic(CorpusBuilder):
    """The synthetic language as a corpus: `sentences` (default; gloss and text) or `isolated` (single signs).

    Args:
        config_name (`str`, *optional*, defaults to `"sentences"`):
            `"sentences"` or `"isolated"`.
        num_train, num_validation, num_test, seed:
            Fields of [`SyntheticConfig`].
        **kwargs:
            See [`CorpusBuilder`]; no `data_dir` is needed.
    """

    FACTS = CorpusFacts(
        title="Synthetic signing",
        sign_language=SIGN_LANGUAGE,
        spoken_language=SPOKEN_LANGUAGE,
        sign_language_code="",
        spoken_language_code="en",
        tasks=("islr", "cslr", "slt"),
        license="Apache-2.0",
        homepage="https://arxiv.org/abs/2509.21223",
        citation="",
        notes="An invented language for tests and demonstrations; scores on it say nothing about real signing.",
    )
    BUILDER_CONFIG_CLASS = SyntheticConfig
    BUILDER_CONFIGS = [SyntheticConfig(name="sentences"), SyntheticConfig(name="isolated")]
    DEFAULT_CONFIG_NAME = "sentences"

    def available_splits(self) -> tuple[str, ...]:
        return tuple(split for split in SPLITS if getattr(self.config, f"num_{split}") > 0)

    def list_clips(self, split: str) -> list[ClipEntry]:
        number = getattr(self.config, f"num_{split}")
        return [ClipEntry(f"{split}_{index:06d}", split, str(index)) for index in range(number)]

    def read_clip(self, entry: ClipEntry) -> PoseClip:
        return self._sample(entry).clip

    def encode(self, entry: ClipEntry) -> dict[str, Any]:
        sample = self._sample(entry)
        return self.encode_clip(
            sample.clip, replace(entry, text=sample.text, gloss=tuple(sample.gloss), signer_id=sample.signer_id)
        )

    def _sample(self, entry: ClipEntry) -> SyntheticSample:
        draw = self._language.isolated if self.config.name == "isolated" else self._language.sentence
        return draw(int(entry.source), split=entry.split)

    @cached_property
    def _language(self) -> SyntheticSigns:
        return SyntheticSigns(self.config.seed)
