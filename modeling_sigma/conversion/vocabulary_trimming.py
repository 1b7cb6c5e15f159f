"""Vocabulary trimming: reduces a multilingual vocabulary to the tokens that a corpus and a safety list need.

Two thirds of mT5-base are rows of the input and output matrices for tokens that a corpus never uses. Without them the
model is smaller and each decoding step cheaper. The logits of the remaining tokens do not change.

Texts whose tokens are all kept are tokenised as before: the Unigram tokenizer picks the segmentation with the highest
score, which stays the highest when others are removed. The penalty for unknown characters follows from the lowest
score in the vocabulary, so the token with that score is kept too.
"""

from __future__ import annotations

import json
import re
import tempfile
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from modeling_sigma.model.processing_sigma import PROMPT_TEMPLATE


# Spoken languages of public sign language corpora: prompts that name them are tokenised as before.
LANGUAGES = (
    "English", "German", "Chinese", "French", "Spanish", "Portuguese", "Italian", "Dutch", "Greek", "Polish", "Czech",
    "Russian", "Ukrainian", "Turkish", "Arabic", "Persian", "Hebrew", "Hindi", "Bengali", "Urdu", "Japanese", "Korean",
    "Vietnamese", "Thai", "Indonesian", "Swedish", "Norwegian", "Danish", "Finnish", "Hungarian", "Romanian",
)  # fmt: skip

_WORD_START = "\u2581"
_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")


@dataclass(frozen=True)
class TrimmingReport:
    """What was removed.

    Args:
        num_tokens_before, num_tokens (`int`):
            The number of rows of the vocabulary matrices; before trimming there may be rows without a token.
        num_corpus_tokens (`int`):
            The number of different tokens in the texts.
        num_parameters_before, num_parameters (`int`):
            The number of parameters of the model.
    """

    num_tokens_before: int
    num_tokens: int
    num_corpus_tokens: int
    num_parameters_before: int
    num_parameters: int

    @property
    def removed_share(self) -> float:
        """The share of the parameters that was removed, 0 to 1."""
        return 1 - self.num_parameters / self.num_parameters_before


def trim_vocabulary(
    model: Any, processor: Any, texts: Iterable[str], languages: Sequence[str] = LANGUAGES, size: int | None = None
) -> TrimmingReport:
    """Removes the tokens that nothing needs from a model and its processor, both changed in place.

    Args:
        model ([`SigmaPreTrainedModel`]):
            The model; it must have a vocabulary matrix.
        processor ([`SigmaProcessor`]):
            The processor of the model; its tokenizer must be a Unigram model (T5, mT5).
        texts (`Iterable[str]`):
            All texts that must be tokenised as before: sentences, glosses or labels of the corpora.
        languages (`Sequence[str]`, *optional*):
            The names of languages that prompts may contain.
        size (`int`, *optional*):
            The number of tokens to keep: those needed, then the likeliest others in the scripts of the texts.

    Raises:
        ValueError: for a tokenizer of another kind, no text, a `size` below what is needed or above what there is, or
            a model that does not belong to the tokenizer.
    """
    texts = list(texts)
    tokenizer = processor.tokenizer
    prompts = [processor.prompt_template.format(language=language) for language in languages]
    kept_ids = tokens_to_keep(tokenizer, texts, prompts, size)
    rows = int(model.get_input_embeddings().weight.shape[0])
    if rows < len(tokenizer):
        raise ValueError(f"expected a model with the tokenizer's {len(tokenizer)} tokens, received one with {rows}")
    trimmed = trim_tokenizer(tokenizer, kept_ids)
    new_ids = {old: new for new, old in enumerate(kept_ids)}
    for text in [*texts, *prompts]:
        expected = [new_ids[old] for old in tokenizer(text, verbose=False)["input_ids"]]
        if trimmed(text, verbose=False)["input_ids"] != expected:
            raise ValueError(f"the trimmed tokenizer splits {text!r:.60} in another way: is its model really Unigram?")
    num_parameters_before = sum(parameter.numel() for parameter in model.parameters())
    trim_model(model, kept_ids)
    processor.tokenizer = trimmed
    used = {token for text in texts for token in tokenizer(text, verbose=False)["input_ids"]}
    return TrimmingReport(
        num_tokens_before=rows,
        num_tokens=len(kept_ids),
        num_corpus_tokens=len(used),
        num_parameters_before=num_parameters_before,
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
    )


def tokens_to_keep(
    tokenizer: Any,
    texts: Sequence[str],
    prompts: Sequence[str] = (PROMPT_TEMPLATE.format(language="English"),),
    size: int | None = None,
) -> list[int]:
    """The ids of the tokens that the texts and the safety list need, in increasing order.

    The safety list: special and added tokens, bytes (`<0x0A>`), digits, punctuation, ASCII letters, the letters of the
    texts' scripts, the tokens of the prompts, and the token with the lowest score.

    For the arguments see [`trim_vocabulary`].
    """
    if not texts:
        raise ValueError("expected at least one text, received none: everything but the safety list would go")
    vocabulary = _unigram_vocabulary(tokenizer)
    scripts = {_script(character) for text in texts for character in text if character.isalpha()}
    kept = {token for text in [*texts, *prompts] for token in tokenizer(text, verbose=False)["input_ids"]}
    kept |= {*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}
    kept |= {number for number, (token, _) in enumerate(vocabulary) if _is_safe(token, scripts)}
    kept.add(min(range(len(vocabulary)), key=lambda number: vocabulary[number][1]))
    if size is not None:
        if not len(kept) <= size <= len(tokenizer):
            raise ValueError(
                f"expected a size from {len(kept)} (what texts and safety list need) to {len(tokenizer)} (the whole "
                f"vocabulary), received {size}"
            )
        likeliest = sorted(range(len(vocabulary)), key=lambda number: -vocabulary[number][1])
        others = [number for number in likeliest if number not in kept and _is_of(vocabulary[number][0], scripts)]
        kept |= set(others[: size - len(kept)])
    return sorted(kept)


def trim_tokenizer(tokenizer: Any, kept_ids: Sequence[int]) -> Any:
    """A tokenizer of the same class with only these tokens, numbered in their order.

    Args:
        tokenizer (`PreTrainedTokenizerBase`):
            The tokenizer to trim; it must be a Unigram model.
        kept_ids (`Sequence[int]`):
            The ids to keep, in increasing order, among them all special and added tokens.
    """
    _unigram_vocabulary(tokenizer)
    new_ids = {old: new for new, old in enumerate(kept_ids)}
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        file = Path(folder) / "tokenizer.json"
        content = json.loads(file.read_text(encoding="utf-8"))
        model = content["model"]
        model["vocab"] = [token for number, token in enumerate(model["vocab"]) if number in new_ids]
        model["unk_id"] = new_ids[model["unk_id"]]
        for token in content["added_tokens"]:
            token["id"] = new_ids[token["id"]]
        for token in (content["post_processor"] or {}).get("special_tokens", {}).values():
            token["ids"] = [new_ids[number] for number in token["ids"]]
        file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        return type(tokenizer).from_pretrained(folder)


@torch.no_grad()
def trim_model(model: Any, kept_ids: Sequence[int]) -> None:
    """Keeps only these rows of the input and output matrices, in place, and renumbers the configurations' token ids.

    Works on the meta device too, to count the parameters that would remain.
    """
    for name in ("shared", "lm_head"):
        module = getattr(model, name, None)
        if module is None:
            continue
        rows = torch.tensor(kept_ids, device=module.weight.device)
        trimmed = nn.Parameter(module.weight.index_select(0, rows), requires_grad=module.weight.requires_grad)
        module.weight = trimmed
        if isinstance(module, nn.Embedding):
            module.num_embeddings = len(kept_ids)
        else:
            module.out_features = len(kept_ids)
    model.config.text_config.vocab_size = len(kept_ids)
    new_ids = {old: new for new, old in enumerate(kept_ids)}
    for config in (model.config, model.config.text_config, getattr(model, "generation_config", None)):
        for name, value in vars(config).items() if config is not None else ():
            if name.endswith("_token_id") and value is not None:
                numbers = [new_ids[number] for number in value] if isinstance(value, list) else new_ids[value]
                setattr(config, name, numbers)


def _unigram_vocabulary(tokenizer: Any) -> list[tuple[str, float]]:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    content = {} if backend is None else json.loads(backend.to_str())["model"]
    if content.get("type") != "Unigram":
        raise ValueError(
            f"expected a Unigram tokenizer (T5, mT5), received {type(tokenizer).__name__} of the kind "
            f"{content.get('type')}: other kinds may need tokens that never occur in a text"
        )
    return [(str(token), float(score)) for token, score in content["vocab"]]


def _is_safe(token: str, scripts: set[str]) -> bool:
    """Whether a token is a byte, or a single character that any text may need."""
    if _BYTE.fullmatch(token):
        return True
    character = token.removeprefix(_WORD_START)
    if len(character) > 1:
        return False
    kind = unicodedata.category(character)[0] if character else "P"
    if kind in "LM":
        return character.isascii() or _script(character) in scripts
    return kind in "NP" or character.isascii()


def _is_of(token: str, scripts: set[str]) -> bool:
    return all(_script(character) in scripts for character in token if character.isalpha())


def _script(character: str) -> str:
    """The script of a character, the first word of its Unicode name: LATIN, CYRILLIC, CJK, HANGUL, ..."""
    return unicodedata.name(character, "UNKNOWN").split(" ", 1)[0]
