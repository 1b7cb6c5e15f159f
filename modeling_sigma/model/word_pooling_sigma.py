"""Pools sub-words into words with an exact pooling matrix.

Source: arXiv:2509.21223, section on hierarchical alignment learning (word clusters).
Departure: an exact matrix per sentence; the reference offsets the clusters, cuts them to the shortest sentence of the
batch, and does not mask them.
"""

from __future__ import annotations

import torch
from torch import Tensor


def word_pooling_matrix(text_word_ids: Tensor) -> Tensor:
    """The matrix that sums sub-words into words.

    Args:
        text_word_ids (`torch.LongTensor` of shape `(batch_size, text_length)`):
            The word of its sentence that each token belongs to, counted from 0; negative for a token outside of words
            (padding, [CLS], `</s>`, prompt).

    Returns:
        `torch.FloatTensor` of shape `(batch_size, num_words, text_length)`: 1 where the token belongs to the word,
        else 0. `num_words` is what the longest sentence needs, and at least 1; on accelerators and in traced graphs,
        where no shape may depend on values, it is `text_length`. The row of a word without tokens is 0.

    Raises:
        ValueError: for ids that are not a matrix of integers.

    Example:

    ```python
    >>> import torch
    >>> from modeling_sigma.model.word_pooling_sigma import word_pooling_matrix
    >>> word_pooling_matrix(torch.tensor([[-1, 0, 0, 1]])).tolist()
    [[[0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]]

    ```

    Source: arXiv:2509.21223, section on hierarchical alignment learning (word clusters).
    """
    if text_word_ids.dim() != 2 or text_word_ids.dtype not in (torch.int64, torch.int32, torch.int16):
        raise ValueError(
            "expected integer `text_word_ids` of shape (batch_size, text_length), received "
            f"{text_word_ids.dtype} of shape {tuple(text_word_ids.shape)}"
        )
    num_words = text_word_ids.shape[1]
    if text_word_ids.device.type == "cpu" and not torch.compiler.is_compiling():
        num_words = max(1, int(text_word_ids.max()) + 1) if text_word_ids.numel() else 1
    words = torch.arange(num_words, device=text_word_ids.device)
    return (text_word_ids[:, None, :] == words[None, :, None]).to(torch.float32)  # (B, W, L)


def pool_words(token_states: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
    """Sum the states of a word's tokens.

    Args:
        token_states (`torch.Tensor` of shape `(batch_size, text_length, hidden_size)`):
            One state per token; those of padding must be finite.
        words (`torch.Tensor` of shape `(batch_size, text_length)` or `(batch_size, num_words, text_length)`):
            Either the word of each token (see [`word_pooling_matrix`]) or a ready pooling matrix, whose weights may be
            any numbers.

    Returns:
        `word_features` of shape `(batch_size, num_words, hidden_size)` in the dtype of `token_states`, and
        `word_mask`, a `torch.BoolTensor` of shape `(batch_size, num_words)`: True for a word that has at least one
        token. An empty sentence has no True at all.

    Raises:
        ValueError: when the shapes do not belong together.

    Source: arXiv:2509.21223, section on hierarchical alignment learning (word clusters).
    """
    matrix = words if words.dim() == 3 else word_pooling_matrix(words)
    if token_states.dim() != 3 or (matrix.shape[0], matrix.shape[2]) != token_states.shape[:2]:
        raise ValueError(
            "expected (batch_size, text_length, hidden_size) token states and (batch_size, text_length) word ids or a "
            "(batch_size, num_words, text_length) matrix, received "
            f"{tuple(token_states.shape)} and {tuple(words.shape)}"
        )
    with torch.autocast(device_type=token_states.device.type, enabled=False):
        word_features = matrix.to(token_states.dtype) @ token_states  # (B, W, D)
    return word_features, (matrix != 0).any(dim=-1)
