"""The answer of a model of any kind: what it read, captions for the skeleton, a picture of what it saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from page_pieces import figure, gloss_captions, gloss_table, ranking, sentence

from modeling_sigma.inference.load_pipeline import load_pipeline
from modeling_sigma.inference.model_config import saved_kind
from modeling_sigma.model.model_kinds_sigma import served_pipelines
from modeling_sigma.model.pipeline_sigma import IsolatedSignRecognitionPipeline
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.viz.alignment_map import draw_alignment_map
from modeling_sigma.viz.attention_map import draw_attention_map
from modeling_sigma.viz.model_maps import alignment_of, attention_of
from modeling_sigma.viz.skeleton_animation import Caption


COMPARING = "sign-text-retrieval"
NUM_BEST = 5
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
    """What the page shows: HTML of the result, captions of the skeleton, HTML of the picture, if there is one."""

    result: str
    captions: str | list[Caption]
    picture: str = ""


class Answerer:
    """A model of any kind, and what can be asked of it."""

    def __init__(self, name_or_path: str) -> None:
        tasks = list(served_pipelines(saved_kind(name_or_path)))
        self.comparing = load_pipeline(name_or_path, COMPARING) if COMPARING in tasks else None
        self.reading = None if tasks[0] == COMPARING else load_pipeline(name_or_path, tasks[0])
        names = list((self.reading or self.comparing).model.config.id2label.values())
        self.labels = [name for number, name in enumerate(names) if name != f"LABEL_{number}"]

    def answer(self, clip: PoseClip, language: str, texts: Sequence[str] = (), dark: bool = False) -> Answer:
        """Reads a clip; with `texts`, generative and pre-trained models choose among them.

        Raises:
            ValueError: for texts that the model needs or cannot use.
        """
        if self.comparing is not None and (texts or self.reading is None):
            return self._compare(clip, language, texts, dark)
        assert self.reading is not None
        if self.reading.task == "sign-language-translation":
            return self._write(clip, language, texts or self.labels, dark)
        if texts:
            raise ValueError("This model has signs of its own to choose from: leave the texts empty.")
        if self.reading.task == "isolated-sign-recognition":
            found = self.reading(clip, language=language, top_k=NUM_BEST)
            if found[0].get("unknown"):
                return Answer(sentence(f"(The model is not sure: {found[0]['reason']}.)"), "")
            return Answer(ranking("Most likely signs", found), found[0]["label"])
        spans = self.reading(clip, language=language)["spans"]
        if not spans:
            return Answer(sentence("(The model found no signs.)"), "")
        return Answer(gloss_table(spans, clip), gloss_captions(spans, clip))

    def _compare(self, clip: PoseClip, language: str, texts: Sequence[str], dark: bool) -> Answer:
        if not texts:
            raise ValueError("This model compares clips with texts: write one or more, one per line, then press Read.")
        found = self.comparing(clip, texts=list(texts), language=language, top_k=NUM_BEST)
        best = found[0]["text"]
        result = ranking("Most similar texts", [{"label": one["text"], **one} for one in found], is_share=False)
        return Answer(result, best, self._alignment(clip, best, language, dark))

    def _write(self, clip: PoseClip, language: str, labels: Sequence[str], dark: bool) -> Answer:
        if labels:
            choose = IsolatedSignRecognitionPipeline(model=self.reading.model, processor=self.reading.processor)
            found = choose(clip, labels=list(labels), language=language, top_k=NUM_BEST)
            return Answer(ranking("Most likely signs or texts", found), found[0]["label"])
        text = self.reading(clip, language=language)["text"]
        if not text:
            return Answer(sentence("(The model wrote nothing.)"), "")
        if self.comparing is not None:
            return Answer(sentence(text), text, self._alignment(clip, text, language, dark))
        decoding = self.reading._prepare_generate_kwargs({})  # as the pipeline did: the words of the text
        found = attention_of(self.reading.model, self.reading.processor, clip, language, **decoding)
        picture = draw_attention_map(found.values, found.words, clip, frames=found.frames, width=400, dark=dark)
        return Answer(sentence(text), text, figure(picture, ATTENTION))

    def _alignment(self, clip: PoseClip, text: str, language: str, dark: bool) -> str:
        found = alignment_of(self.comparing.model, self.comparing.processor, clip, text, language)
        picture = draw_alignment_map(found.values, found.words, clip=clip, frames=found.frames, width=400, dark=dark)
        return figure(picture, ALIGNMENT)
