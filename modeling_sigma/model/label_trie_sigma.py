"""Isolated recognition with a generative model: it can write only the labels of a set, or all of them are scored.

Text that is generated freely may not be a label at all. [`LabelTrie`] makes that impossible in `generate`;
`score_labels` computes the likelihood of every label instead of searching.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .text_backbone_sigma import run_decoder_tree


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
        if isinstance(labels, str):
            raise ValueError(f"expected a list of labels, received the string {labels!r:.60}: put it in a list")
        encoded = tokenizer(list(labels), add_special_tokens=True)["input_ids"] if len(labels) else []
        # The closing token alone is an empty label.
        return cls([ids if len(ids) > 1 else [] for ids in encoded], tokenizer.pad_token_id, list(labels))

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


@torch.no_grad()
def score_labels(model: Any, encoder_outputs: Any, trie: LabelTrie, nodes_at_a_time: int = 256) -> Tensor:
    """The log-likelihood of every label for every clip.

    The encoder does not run again, and beginnings that labels share are computed once: the decoder reads the tree of
    the labels' tokens as one sequence, in which a token attends to those before it in its own label.

    Args:
        model ([`SigmaForConditionalGeneration`]):
            The model, in evaluation mode so that scores can be reproduced.
        encoder_outputs ([`SigmaEncoderOutput`]):
            Output of `model.encode_poses(...)` for B clips.
        trie ([`LabelTrie`]):
            The N labels to score.
        nodes_at_a_time (`int`, *optional*, defaults to 256):
            Number of tokens that the decoder reads together. It bounds the memory, which grows with this number times
            the size of the vocabulary.

    Returns:
        `torch.FloatTensor` of shape `(B, N)`: log p(label | clip), the closing token included; always below 0. The
        softmax over N is the probability of each label given that it is one of the set.
    """
    states = encoder_outputs.last_hidden_state
    scores = states.new_zeros((len(states), len(trie)), dtype=torch.float32)
    # Sorted, labels with the same beginning are neighbours.
    order = sorted(range(len(trie)), key=lambda number: trie.token_ids[number])
    start = 0
    while start < len(order):
        tree = _TokenTree(model.config.text_config.decoder_start_token_id)
        stop = start
        while stop < len(order) and (stop == start or len(tree) < nodes_at_a_time):
            tree.add(stop - start, trie.token_ids[order[stop]])
            stop += 1
        numbers = torch.tensor(order[start:stop], device=states.device)
        scores[:, numbers] = tree.score(model, encoder_outputs, stop - start)
        start = stop
    return scores


class _TokenTree:
    """Decoder inputs of some labels, with shared beginnings stored once: node 0 is the start token."""

    def __init__(self, start_token_id: int) -> None:
        self.tokens, self.parents = [start_token_id], [-1]
        self._nodes: dict[tuple[int, int], int] = {}
        # For every token of every label: the node that predicts it, the token, and the label's row.
        self.predictions: list[tuple[int, int, int]] = []

    def __len__(self) -> int:
        return len(self.tokens)

    def add(self, row: int, ids: Sequence[int]) -> None:
        node = 0
        for position, token in enumerate(ids):
            self.predictions.append((node, token, row))
            if position + 1 == len(ids):
                break  # nothing follows the closing token: it is predicted, never read
            key = (node, token)
            if key not in self._nodes:
                self._nodes[key] = len(self.tokens)
                self.tokens.append(token)
                self.parents.append(node)
            node = self._nodes[key]

    def score(self, model: Any, encoder_outputs: Any, num_labels: int) -> Tensor:
        states = encoder_outputs.last_hidden_state
        tokens = torch.tensor(self.tokens, device=states.device)
        embeddings = model.shared(tokens).to(states.dtype).expand(len(states), -1, -1)
        decoded = run_decoder_tree(model.decoder, embeddings, self.parents, states, encoder_outputs.attention_mask)
        logits = model.score_tokens(decoded).float()  # (B, nodes, vocabulary)
        nodes, next_tokens, rows = torch.tensor(self.predictions, device=states.device).T
        log_probabilities = logits[:, nodes, next_tokens] - logits.logsumexp(dim=-1)[:, nodes]
        return log_probabilities.new_zeros((len(states), num_labels)).index_add_(1, rows, log_probabilities)
