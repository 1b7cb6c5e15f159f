"""`score_labels`: how likely a generative model is to write each label of a set, as far as it matters."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .decoder_tree_sigma import DecoderTree
from .label_trie_sigma import LabelTrie


# Labels that are left out have at most this share of the probability of all labels together: float32 cannot tell.
LEFT_OUT = 1e-7
# Until a label is found, nothing can be left out: the likeliest few beginnings find one.
_FIRST_NODES = 16
# Scores of the vocabulary that are computed at a time: 256 MB in float32.
_SCORES_AT_A_TIME = 2**26
_MOST_NODES = 1024


@torch.no_grad()
def score_labels(
    model: Any, encoder_outputs: Any, trie: LabelTrie, top_k: int | None = None, nodes_at_a_time: int | None = None
) -> Tensor:
    """The log-likelihoods of labels for every clip.

    The encoder does not run again, and beginnings that labels share are computed once. With `top_k`, beginnings are
    left out that cannot change the answer: no label that they begin is among the `top_k` likeliest, and all of them
    together have less than `LEFT_OUT` of the probability of the set, which float32 does not show.

    Args:
        model ([`SigmaForConditionalGeneration`]):
            The model, in evaluation mode so that scores can be reproduced.
        encoder_outputs ([`SigmaEncoderOutput`]):
            Output of `model.encode_poses(...)` for B clips.
        trie ([`LabelTrie`]):
            The N labels to score.
        top_k (`int`, *optional*):
            The number of labels to find; all by default.
        nodes_at_a_time (`int`, *optional*):
            Number of tokens that the decoder reads together. It bounds the memory, which grows with this number times
            the size of the vocabulary. Up to 1024 by default, fewer for large vocabularies.

    Returns:
        `torch.FloatTensor` of shape `(B, N)`: log p(label | clip), the closing token included; always below 0, and
        minus infinity for labels that were left out. The softmax over N is the probability of each label given that
        it is one of the set.
    """
    states, mask = encoder_outputs.last_hidden_state, encoder_outputs.attention_mask.bool()
    vocab_size = model.config.text_config.vocab_size
    num_nodes = nodes_at_a_time or min(_MOST_NODES, max(1, _SCORES_AT_A_TIME // vocab_size))
    num_wanted = len(trie) if top_k is None else min(top_k, len(trie))
    rows = [_Search(model, states[row, mask[row]], trie, num_wanted).run(num_nodes) for row in range(len(states))]
    return torch.stack(rows).to(states.device)


class _Search:
    """The labels of one clip, likeliest beginnings first, to the end of each before the next."""

    def __init__(self, model: Any, encoder_states: Tensor, trie: LabelTrie, num_wanted: int) -> None:
        self.model, self.tree = model, trie.arrays
        # The closing token is predicted, never read: the start token takes its place in the longest path.
        self.decoder = DecoderTree(model.decoder, encoder_states, trie.max_length)
        self.tokens = self.tree.tokens.clone()
        self.tokens[0] = model.config.text_config.decoder_start_token_id
        self.scores = torch.full((len(trie),), -math.inf)
        self.num_wanted = num_wanted
        self.best = torch.empty(0)  # the scores of the likeliest labels so far
        self.log_found = torch.tensor(-math.inf)  # of the probability of all labels so far

    def run(self, num_nodes: int) -> Tensor:
        """The scores `(N,)`, reading up to `num_nodes` nodes at a time."""
        root = torch.zeros(1, dtype=torch.long)
        waiting = [(root, torch.zeros(1), torch.empty((0, 1), dtype=torch.long))]  # nodes, log p, rows of their paths
        while waiting:
            nodes, values, rows = waiting.pop()
            keep = self._can_matter(nodes, values)
            nodes, values, rows = nodes[keep], values[keep], rows[:, keep]
            size = min(num_nodes, _FIRST_NODES) if len(self.best) == 0 else num_nodes
            if len(nodes) > size:
                waiting.append((nodes[size:], values[size:], rows[:, size:]))
            if len(nodes):
                waiting.append(self._read(nodes[:size], values[:size], rows[:, :size]))
        return self.scores

    def _can_matter(self, nodes: Tensor, values: Tensor) -> Tensor:
        if len(self.best) < self.num_wanted:
            return torch.ones(len(nodes), dtype=torch.bool)
        # No label is likelier than its beginning. Each may leave out its part of what may be left out.
        share = self.tree.num_labels[nodes] / len(self.scores)
        return (values > self.best[-1]) | (values > self.log_found + torch.log(LEFT_OUT * share))

    def _read(self, nodes: Tensor, values: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores the labels that end after these nodes; returns the other nodes that follow them, likeliest first."""
        device = self.model.device
        embeddings = self.model.shared(self.tokens[nodes].to(device)).to(self.decoder.dtype)
        logits = self.model.score_tokens(self.decoder.read(embeddings, rows.to(device))).float()  # (nodes, vocabulary)
        first, counts = self.tree.first_child[nodes], self.tree.first_child[nodes + 1] - self.tree.first_child[nodes]
        parents = torch.repeat_interleave(torch.arange(len(nodes)), counts)
        within = torch.arange(len(parents)) - torch.repeat_interleave(counts.cumsum(0) - counts, counts)
        children = self.tree.children[first[parents] + within]
        chosen = logits[parents.to(device), self.tokens[children].to(device)]
        found = values[parents] + (chosen - logits.logsumexp(dim=-1)[parents.to(device)]).cpu()
        labels = self.tree.labels[children]
        is_label = labels >= 0
        self._add(labels[is_label], found[is_label])
        order = found.masked_fill(is_label, -math.inf).argsort(descending=True)[: int((~is_label).sum())]
        parents = parents[order]
        return children[order], found[order], torch.cat([rows[:, parents], parents[None]])

    def _add(self, labels: Tensor, scores: Tensor) -> None:
        self.scores[labels] = scores
        self.log_found = torch.logaddexp(self.log_found, scores.logsumexp(dim=0))
        best = torch.cat([self.best, scores])
        self.best = best.topk(min(self.num_wanted, len(best))).values
