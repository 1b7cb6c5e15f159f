"""Isolated recognition with a generative model that can write only the labels of a set.

Text that is generated freely may not be a label at all. [`LabelTrie`] makes that impossible in `generate`;
`score_labels` computes the likelihoods of labels instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .text_inputs_sigma import check_texts


@dataclass(frozen=True)
class TrieArrays:
    """A trie of M nodes and N labels as arrays; node 0 is the root.

    Args:
        tokens (`torch.LongTensor` of shape `(M,)`):
            The token of each node.
        labels (`torch.LongTensor` of shape `(M,)`):
            The number of the label that ends in a node; -1 for the others.
        num_labels (`torch.LongTensor` of shape `(M,)`):
            How many labels go through a node.
        children (`torch.LongTensor` of shape `(M - 1,)`), first_child (`torch.LongTensor` of shape `(M + 1,)`):
            The children of node i are `children[first_child[i] : first_child[i + 1]]`.
    """

    tokens: Tensor
    labels: Tensor
    num_labels: Tensor
    children: Tensor
    first_child: Tensor


class LabelTrie:
    """The tokens of a set of labels as a tree: what may follow each beginning.

    It is a `prefix_allowed_tokens_fn` of `generate`: `model.generate(**inputs, prefix_allowed_tokens_fn=trie)`.

    Args:
        token_ids (`Sequence[Sequence[int]]`):
            The tokens of each label, the closing one included.
        pad_token_id (`int`):
            The token that follows a closed label.
        names (`Sequence[str]`, *optional*):
            The labels themselves, for error messages.

    Raises:
        ValueError: for no label, a label without tokens, two labels of the same tokens, or a label that begins with
            another one and its closing token.

    Example:

    ```python
    >>> import torch
    >>> from modeling_sigma.model.label_trie_sigma import LabelTrie
    >>> trie = LabelTrie([[5, 6, 1], [5, 1], [7, 1]], pad_token_id=0)
    >>> trie(0, torch.tensor([0])), trie(0, torch.tensor([0, 5])), trie(0, torch.tensor([0, 5, 1]))
    ([5, 7], [1, 6], [0])

    ```
    """

    def __init__(
        self, token_ids: Sequence[Sequence[int]], pad_token_id: int, names: Sequence[str] | None = None
    ) -> None:
        if not token_ids:
            raise ValueError("expected at least one label, received none")
        names = [str(list(ids)) for ids in token_ids] if names is None else names
        self.token_ids = [list(ids) for ids in token_ids]
        self.pad_token_id = pad_token_id
        self._children: list[dict[int, int]] = [{}]  # node -> token -> node
        self._label_of_leaf: dict[int, int] = {}
        for number, ids in enumerate(self.token_ids):
            leaf = self._add(ids)
            if not ids or leaf in self._label_of_leaf:
                other = f"reads the same tokens as {names[self._label_of_leaf[leaf]]!r}" if ids else "has no tokens"
                raise ValueError(
                    f"expected labels that the tokenizer tells apart, received {names[number]!r}, which {other}: "
                    "rename or merge them, or use a tokenizer that knows their characters"
                )
            self._label_of_leaf[leaf] = number
        if any(self._children[leaf] for leaf in self._label_of_leaf):
            raise ValueError("expected every label to end in the closing token, and to hold it nowhere else")

    @classmethod
    def from_labels(cls, labels: Sequence[str], tokenizer: Any) -> LabelTrie:
        """The trie of labels as a model was trained to write them.

        Args:
            labels (`Sequence[str]`):
                All labels that the model may write.
            tokenizer (`PreTrainedTokenizerBase`):
                The tokenizer of the model; it adds the closing token.
        """
        labels = check_texts(labels, "labels")
        encoded = tokenizer(labels, add_special_tokens=True)["input_ids"] if labels else []
        # The closing token alone is an empty label.
        return cls([ids if len(ids) > 1 else [] for ids in encoded], tokenizer.pad_token_id, labels)

    def __len__(self) -> int:
        return len(self.token_ids)

    def __call__(self, batch_id: int, input_ids: Tensor) -> list[int]:
        """The tokens that may follow `input_ids` (start token first): the signature that `generate` calls."""
        node = self._find(input_ids.tolist()[1:])
        return sorted(self._children[node]) if node is not None and self._children[node] else [self.pad_token_id]

    @property
    def max_length(self) -> int:
        """Tokens of the longest label, the closing one included."""
        return max(map(len, self.token_ids))

    def label_of(self, token_ids: Sequence[int]) -> int | None:
        """The number of the label that a generated sequence (start token first) spells, or None.

        Tokens after the closing one are not read: what `generate` pads with varies.
        """
        node = 0
        for token in list(token_ids)[1:]:
            if token not in self._children[node]:
                return None
            node = self._children[node][token]
            if node in self._label_of_leaf:
                return self._label_of_leaf[node]
        return None

    @cached_property
    def arrays(self) -> TrieArrays:
        """The same tree for `score_labels`."""
        counts = np.array([len(children) for children in self._children])
        parents = np.repeat(np.arange(len(counts)), counts)
        children = np.array([node for children in self._children for node in children.values()], dtype=np.int64)
        tokens = np.zeros(len(counts), dtype=np.int64)
        tokens[children] = [token for children in self._children for token in children]
        labels = np.full(len(counts), -1)
        labels[list(self._label_of_leaf)] = list(self._label_of_leaf.values())
        num_labels, parent_of = (labels >= 0).astype(np.int64), np.zeros(len(counts), dtype=np.int64)
        parent_of[children] = parents
        for node in range(len(counts) - 1, 0, -1):  # a child always has a higher number than its parent
            num_labels[parent_of[node]] += num_labels[node]
        first_child = np.concatenate([[0], counts.cumsum()])
        return TrieArrays(*map(torch.from_numpy, (tokens, labels, num_labels, children, first_child)))

    def _add(self, ids: Sequence[int]) -> int:
        node = 0
        for token in ids:
            if token not in self._children[node]:
                self._children[node][token] = len(self._children)
                self._children.append({})
            node = self._children[node][token]
        return node

    def _find(self, ids: Sequence[int]) -> int | None:
        node: int | None = 0
        for token in ids:
            node = self._children[node].get(token) if node is not None else None
        return node
