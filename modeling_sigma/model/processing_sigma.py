"""`SigmaProcessor`: clips, prompts and texts -> everything that Sigma models read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from transformers import BatchFeature, ProcessorMixin
from transformers.processing_utils import ProcessingKwargs, Unpack
from transformers.utils import cached_file, logging

from .clip_making import PoseInput
from .feature_padding import pad_features, padding_values
from .publishing_sigma import CheckedPush
from .text_inputs_sigma import check_texts
from .word_spans_sigma import WordSegmenter, joined_spans, word_of_each_token, word_spans


logger = logging.get_logger(__name__)

# Tokenizer options that a caller may set; the processor sets the others itself.
TEXT_OPTIONS = ("padding", "truncation", "max_length", "pad_to_multiple_of", "padding_side", "add_special_tokens")
PROMPT_TEMPLATE = "Translate sign language video to {language}: "


class SigmaProcessor(CheckedPush, ProcessorMixin):
    """A feature extractor for clips and a tokenizer for texts in one.

    Args:
        feature_extractor ([`SigmaFeatureExtractor`]):
            Reads clips.
        tokenizer (`PreTrainedTokenizerBase`):
            The text backbone's tokenizer.
        prompt_template (`str`, *optional*):
            Text before the frames; `{language}` is the spoken language to write.
        max_text_length (`int`, *optional*, defaults to 50):
            Longest target in tokens, the closing one included.
        entities (`list[str]`, *optional*):
            Names and fixed expressions of several words that are signed as one, such as `"New York"`: each counts as
            one word in the word-frame alignment, in any case of letters. From left to right, the longest wins. In
            scripts without spaces a name is a word wherever it stands, whatever the segmenter makes of it.

    Source: arXiv:2509.21223, fine-tuning (prompt and target length).
    """

    def __init__(
        self,
        feature_extractor: Any,
        tokenizer: Any,
        prompt_template: str = PROMPT_TEMPLATE,
        max_text_length: int = 50,
        entities: list[str] | None = None,
    ) -> None:
        super().__init__(feature_extractor, tokenizer)
        self.prompt_template = prompt_template
        self.max_text_length = max_text_length
        self.entities = None if entities is None else [entity for entity in entities if entity.strip()]

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str], *args: Any, **kwargs: Any) -> Any:
        """Loads feature extractor and tokenizer.

        Raises:
            ValueError: if there is no tokenizer.
        """
        try:
            return super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
        except (ValueError, OSError) as error:
            # transformers asks for sentencepiece where a tokenizer is missing.
            names = ("cache_dir", "revision", "token", "subfolder", "local_files_only")
            hub = {name: kwargs[name] for name in names if name in kwargs}
            found = [
                cached_file(pretrained_model_name_or_path, name, _raise_exceptions_for_missing_entries=False, **hub)
                for name in ("preprocessor_config.json", "tokenizer_config.json", "tokenizer.json")
            ]
            if found[0] is None or any(found[1:]):
                raise
            raise ValueError(
                f"{pretrained_model_name_or_path}: expected a tokenizer with the feature extractor, found none: a "
                "label head without a prompt needs none, load it with AutoFeatureExtractor"
            ) from error

    @property
    def pad_token_id(self) -> int:
        """The tokenizer's; trainers look for it here."""
        return int(self.tokenizer.pad_token_id)

    @property
    def model_input_names(self) -> list[str]:
        return ["pose_values", "pose_attention_mask", "prompt_input_ids", "prompt_attention_mask"]

    def __call__(
        self,
        poses: PoseInput | Sequence[PoseInput] | None = None,
        text: str | Sequence[str] | None = None,
        language: str | Sequence[str] = "English",
        return_tensors: str | None = "pt",
        max_frames: int | None = None,
        training: bool = False,
        generator: np.random.Generator | Sequence[np.random.Generator] | int | None = None,
        word_segmenter: WordSegmenter | None = None,
        coordinates: str | None = None,
        aspect_ratio: float | None = None,
        **kwargs: Unpack[ProcessingKwargs],
    ) -> BatchFeature:
        """Prepares clips, texts, or pairs of both.

        Args:
            poses (*optional*):
                One clip or a list, see [`SigmaFeatureExtractor`].
            text (`str` or list of `str`, *optional*):
                One sentence, line of glosses or label per clip.
            language (`str` or list of `str`, *optional*, defaults to `"English"`):
                Spoken language of the prompt, for all clips or for each.
            return_tensors (`str`, *optional*, defaults to `"pt"`):
                `"pt"` or `"np"`.
            max_frames, training, generator, coordinates, aspect_ratio:
                See [`SigmaFeatureExtractor`].
            word_segmenter (`Callable`, *optional*):
                Splits a text into words, for scripts that write no spaces. Words stand between spaces otherwise.
            kwargs:
                How texts (not prompts) are tokenised: `padding` (`True` by default), `truncation` (`True`),
                `max_length` (`max_text_length`), `pad_to_multiple_of`, `padding_side` and `add_special_tokens`, each
                by itself or in `text_kwargs`.

        Returns:
            `BatchFeature`: for clips `pose_values`, `pose_attention_mask`, `prompt_input_ids` and
            `prompt_attention_mask`; for texts `text_input_ids`, `text_attention_mask`, `text_word_ids` (number of the
            word each token belongs to, -1 = special token or padding) and `labels` (the tokens, -100 = padding).

        Raises:
            TypeError: for any other argument.
            ValueError: for neither clips nor texts, numbers that do not match, or texts that are no strings.
        """
        if poses is None and text is None:
            raise ValueError("expected poses or text, received neither")
        text_options = _text_options({**kwargs})
        features: dict[str, Any] = {}
        num_clips = None
        if poses is not None:
            clips = self.feature_extractor(
                poses,
                max_frames=max_frames,
                training=training,
                generator=generator,
                coordinates=coordinates,
                aspect_ratio=aspect_ratio,
                return_tensors="np",
            )
            features.update(clips)
            num_clips = len(clips["pose_values"])
            features.update(self._encode_prompts(language, num_clips))
        if text is not None:
            texts = check_texts([text] if isinstance(text, str) else text, "text")
            if not texts:
                raise ValueError(f"expected text as a string or a list of strings, received {text!r:.80}")
            if num_clips is not None and len(texts) != num_clips:
                raise ValueError(f"expected one text per clip, received {len(texts)} texts for {num_clips} clips")
            features.update(self._encode_texts(texts, word_segmenter, text_options))
        return BatchFeature(features, tensor_type=return_tensors)

    @property
    def padding_side(self) -> str:
        """Where padding stands; what `DataCollatorForSeq2Seq` asks for."""
        return "right"

    def pad(
        self,
        processed_features: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        return_tensors: str | None = "pt",
        **kwargs: Any,
    ) -> BatchFeature:
        """A batch of clips, prompts and texts that were processed one by one; what `DataCollatorWithPadding` and
        `DataCollatorForSeq2Seq` call.

        Args:
            processed_features (list of dicts, or a dict of lists):
                What this processor made of each clip, with or without its axis of one clip.
            padding, max_length, pad_to_multiple_of, return_tensors:
                Of frames; see [`SigmaFeatureExtractor.pad`]. Prompts and texts are padded to the longest.

        Raises:
            ValueError: for clips without `pose_values`, or longer ones than `max_length`.
        """
        length = max_length or self.feature_extractor.max_frames if padding == "max_length" else None
        fills = padding_values(int(self.tokenizer.pad_token_id))
        features = pad_features(processed_features, length, pad_to_multiple_of, fills)
        return BatchFeature(features, tensor_type=return_tensors)

    def _encode_prompts(self, language: str | Sequence[str], num_clips: int) -> dict[str, np.ndarray]:
        languages = check_texts([language] * num_clips if isinstance(language, str) else language, "language")
        if len(languages) != num_clips:
            raise ValueError(f"expected one language or {num_clips}, received {len(languages)}")
        prompts = [self.prompt_template.format(language=name) for name in languages]
        encoded = self.tokenizer(prompts, padding=True, return_tensors="np")
        return {
            "prompt_input_ids": encoded["input_ids"].astype(np.int64),
            "prompt_attention_mask": encoded["attention_mask"].astype(np.int64),
        }

    def _encode_texts(
        self, texts: list[str], word_segmenter: WordSegmenter | None, options: dict[str, Any]
    ) -> dict[str, np.ndarray]:
        options = {"padding": True, "truncation": True, "max_length": self.max_text_length, **options}
        encoded = self.tokenizer(
            texts,
            **options,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
            return_tensors="np",
            verbose=False,
        )
        input_ids, mask = encoded["input_ids"].astype(np.int64), encoded["attention_mask"].astype(np.int64)
        if options["truncation"] and input_ids.shape[1] == options["max_length"]:
            self._tell_truncation(texts, options["max_length"])
        word_ids = np.full(input_ids.shape, -1, np.int64)
        content = (mask == 1) & (encoded["special_tokens_mask"] == 0)
        for row, text in enumerate(texts):
            columns = np.flatnonzero(content[row])
            spans = joined_spans(text, word_spans(text, word_segmenter), self.entities or ())
            word_ids[row, columns] = word_of_each_token(len(text), encoded["offset_mapping"][row][columns], spans)
        return {
            "text_input_ids": input_ids,
            "text_attention_mask": mask,
            "text_word_ids": word_ids,
            "labels": np.where(mask == 1, input_ids, -100),
        }

    def _tell_truncation(self, texts: list[str], max_length: int) -> None:
        lengths = [len(ids) for ids in self.tokenizer(texts, verbose=False)["input_ids"]]
        if max(lengths) > max_length:
            name = "max_text_length" if max_length == self.max_text_length else "max_length"
            logger.warning_once(
                f"a text of {max(lengths)} tokens was cut to {name}={max_length}; later ones are cut without a word"
            )

    def batch_decode(self, *args: Any, **kwargs: Any) -> list[str]:
        """Token ids -> texts: the tokenizer's `batch_decode`."""
        return self.tokenizer.batch_decode(*args, **kwargs)

    def decode(self, *args: Any, **kwargs: Any) -> str:
        """Token ids -> text: the tokenizer's `decode`."""
        return self.tokenizer.decode(*args, **kwargs)


def _text_options(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The options of a call, whether flat or in `text_kwargs`.

    Raises:
        TypeError: for one that does not exist.
    """
    options = {**(kwargs.pop("text_kwargs", None) or {}), **kwargs}
    unknown = [name for name in options if name not in TEXT_OPTIONS]
    if unknown:
        raise TypeError(
            f"SigmaProcessor received arguments that it does not know: {', '.join(unknown)}. Of the tokenizer's "
            f"arguments it takes {', '.join(TEXT_OPTIONS)}"
        )
    return options
