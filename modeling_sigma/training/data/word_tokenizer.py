"""Tokenizers for small languages, made from their texts alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from string import ascii_letters

from transformers import T5Tokenizer


def word_tokenizer(texts: Sequence[str]) -> T5Tokenizer:
    """A T5 tokenizer with one token per word of `texts`, and with their letters for other words.

    It is for small languages, in scripts that put spaces between words: a trained vocabulary would split them into
    letters, which makes sequences two and a half times as long.
    """
    counts = Counter(word for text in texts for word in text.split())
    total = sum(counts.values())
    words = [("\u2581" + word, math.log(count / total)) for word, count in sorted(counts.items())]
    letters = sorted({*"".join(counts), *ascii_letters, "\u2581"})
    rare = 2 * min(score for _, score in words)
    specials = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    known = {piece for piece, _ in words}
    return T5Tokenizer(
        vocab=specials + words + [(letter, rare) for letter in letters if letter not in known], extra_ids=0
    )


def unigram_tokenizer(texts: Sequence[str], vocabulary_size: int) -> T5Tokenizer:
    """A T5 tokenizer with sub-words trained on `texts`: for many words, and for scripts without spaces."""
    return T5Tokenizer(extra_ids=0).train_new_from_iterator(texts, vocab_size=vocabulary_size)
