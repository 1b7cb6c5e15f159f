"""The answer of a model of any kind: what it read, captions for the skeleton, a picture of what it saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from page_pieces import figure, gloss_captions, gloss_table, headline, ranking, sentence, word_list

from modeling_sigma.inference.load_pipeline import load_pipeline
from modeling_sigma.inference.model_config import saved_kind
from modeling_sigma.model.calibration_sigma import NOT_MOVING
from modeling_sigma.model.model_kinds_sigma import FEATURES, served_pipelines
from modeling_sigma.model.pipeline_sigma import IsolatedSignRecognitionPipeline
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.viz.alignment_map import draw_alignment_map
from modeling_sigma.viz.attention_map import draw_attention_map
from modeling_sigma.viz.model_maps import alignment_of, attention_of
from modeling_sigma.viz.skeleton_animation import Caption


COMPARING = "sign-text-retrieval"
NUM_BEST = 5
SURE, HARDLY = 0.7, 0.4  # calibrated scores: from the first on "probably", below the second "not sure"
NOBODY = (
    "Nobody was found in this clip. Let the whole upper body and both hands be seen, in good light, and try again. "
    "If it is a skeleton file, it holds nothing that this model looks at."
)
NOT_CALIBRATED = "Nobody has measured how far the scores of this model can be believed, so none are shown."
ATTENTION = (
    "Where the model looked while it wrote each word. A row is a word, from left to right runs the clip: the higher "
    "the curve, the more it looked there. The small skeleton is the moment of the dot."
)
ALIGNMENT = (
    "Which moments of the clip fit each word. A row is a word, from left to right runs the clip. The framed moment "
    "fits best, and its skeleton stands above."
)


@dataclass(frozen=True)
class Answer:
    """What the page shows, and what a program is told.

    Args:
        result (`str`): HTML.
        captions (`str` or `list[Caption]`): For the skeleton.
        picture (`str`): HTML of a picture, if there is one.
        plain (`dict`): The answer for programs.
    """

    result: str
    captions: str | list[Caption] = ""
    picture: str = ""
    plain: dict[str, Any] = field(default_factory=dict)


class Answerer:
    """A model of any kind, and what can be asked of it."""

    def __init__(self, name_or_path: str) -> None:
        tasks = list(served_pipelines(saved_kind(name_or_path)))
        self.comparing = load_pipeline(name_or_path, COMPARING) if COMPARING in tasks else None
        self.reading = None if tasks[0] == COMPARING else load_pipeline(name_or_path, tasks[0])
        self.features = load_pipeline(name_or_path, FEATURES)  # for signs that visitors teach
        names = list((self.reading or self.comparing).model.config.id2label.values())
        self.labels = [name for number, name in enumerate(names) if name != f"LABEL_{number}"]

    def answer(
        self,
        clip: PoseClip,
        language: str,
        texts: Sequence[str] = (),
        dark: bool = False,
        coverage: float | None = None,
    ) -> Answer:
        """Reads a clip; with `texts`, generative and pre-trained models choose among them.

        With `coverage`, a calibrated model lists all labels that hold the true one in this share of such clips.

        Raises:
            ValueError: for texts that the model needs or cannot use, and where nobody is seen.
        """
        extractor = self.features.extractor
        if not extractor.extract(clip, extractor.max_frames).any():
            raise ValueError(NOBODY)
        if self.comparing is not None and (texts or self.reading is None):
            return self._compare(clip, language, texts, dark)
        assert self.reading is not None
        if self.reading.task == "sign-language-translation":
            return self._write(clip, language, texts or self.labels, dark)
        if texts:
            raise ValueError("This model has signs of its own to choose from: leave the texts empty.")
        if self.reading.task == "isolated-sign-recognition":
            return self._name(clip, language, coverage)
        spans = self.reading(clip, language=language)["spans"]
        if not spans:
            return Answer(headline("No sign was found.", ""), plain={"spans": []})
        return Answer(gloss_table(spans, clip), gloss_captions(spans, clip), plain={"spans": spans})

    def _name(self, clip: PoseClip, language: str, coverage: float | None) -> Answer:
        """One sign, in words: how sure it is comes before what it is."""
        found = self.reading(clip, language=language, top_k=NUM_BEST)
        is_calibrated = self.reading.calibration is not None
        best, plain = found[0], {"answers": found, "is_calibrated": is_calibrated}
        guesses = ranking("Its best guesses", found, "share" if is_calibrated else None)
        if not is_calibrated:
            said = headline(f"Its first guess: {escape(best['label'])}", NOT_CALIBRATED)
            return Answer(said + guesses, best["label"], plain=plain)
        if best["unknown"]:
            is_still = best["reason"] == NOT_MOVING
            what = "Nobody seems to sign." if is_still else "Not sure. This looks like no sign that it knows."
            why = "The hands hardly move." if is_still else "It may be a sign outside its vocabulary, or badly seen."
            hidden = f"<details><summary>What it would guess all the same</summary>{guesses}</details>"
            return Answer(headline(what, why) + ("" if is_still else hidden), plain=plain)
        tenths = round(10 * best["score"])
        often = f"{'About' if tenths else 'Fewer than'} {max(tenths, 1)} in 10 answers like this one are right."
        caption = "not sure"
        if best["score"] >= HARDLY:
            caption = f"{'Probably' if best['score'] >= SURE else 'Perhaps'}: {best['label']}"
            said = headline(escape(caption), often)
        else:
            said = headline("Not sure. It may be one of these.", often)
        listed = ""
        if coverage is not None:
            labels = [one["label"] for one in self.reading(clip, language=language, prediction_set=coverage)]
            plain["prediction_set"] = {"coverage": coverage, "labels": labels}
            promise = f"For {coverage:.0%} of clips like those it was measured on, the true word is in such a list."
            listed = word_list(f"All words that it could be ({len(labels)})", labels, promise)
        return Answer(said + guesses + listed, caption, plain=plain)

    def _compare(self, clip: PoseClip, language: str, texts: Sequence[str], dark: bool) -> Answer:
        if not texts:
            raise ValueError("This model compares clips with texts: write one or more, one per line.")
        found = self.comparing(clip, texts=list(texts), language=language, top_k=NUM_BEST)
        best = found[0]["text"]
        result = ranking("Most similar texts", [{"label": one["text"], **one} for one in found], "cosine")
        return Answer(result, best, self._alignment(clip, best, language, dark), {"texts": found})

    def _write(self, clip: PoseClip, language: str, labels: Sequence[str], dark: bool) -> Answer:
        if labels:
            choose = IsolatedSignRecognitionPipeline(model=self.reading.model, processor=self.reading.processor)
            found = choose(clip, labels=list(labels), language=language, top_k=NUM_BEST)
            said = headline(f"Its first guess: {escape(found[0]['label'])}", NOT_CALIBRATED)
            return Answer(said + ranking("Its best guesses", found, None), found[0]["label"], plain={"answers": found})
        text = self.reading(clip, language=language)["text"]
        plain = {"text": text}
        if not text:
            return Answer(headline("It wrote nothing.", ""), plain=plain)
        if self.comparing is not None:
            return Answer(sentence(text), text, self._alignment(clip, text, language, dark), plain)
        decoding = self.reading._prepare_generate_kwargs({})  # as the pipeline did: the words of the text
        found = attention_of(self.reading.model, self.reading.processor, clip, language, **decoding)
        picture = draw_attention_map(found.values, found.words, clip, frames=found.frames, width=400, dark=dark)
        return Answer(sentence(text), text, figure(picture, ATTENTION), plain)

    def _alignment(self, clip: PoseClip, text: str, language: str, dark: bool) -> str:
        found = alignment_of(self.comparing.model, self.comparing.processor, clip, text, language)
        picture = draw_alignment_map(found.values, found.words, clip=clip, frames=found.frames, width=400, dark=dark)
        return figure(picture, ALIGNMENT)
