"""How sure a generative model is of the texts that it has written."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .outputs_sigma import SigmaEncoderOutput


@torch.no_grad()
def sequence_scores(model: Any, encoder_outputs: SigmaEncoderOutput, tokens: Tensor) -> Tensor:
    """The geometric mean of the probabilities of a text's tokens, the closing token included.

    It does not depend on how the text was found, nor on its length as the probability of the whole text does. It is
    not calibrated: it ranks texts by how much there is to expect of them.

    Args:
        model ([`SigmaForConditionalGeneration`]):
            The model, in evaluation mode.
        encoder_outputs ([`SigmaEncoderOutput`]):
            Output of `model.encode_poses(...)` for B clips.
        tokens (`torch.LongTensor` of shape `(B, S, L)`):
            S texts for each clip, as `generate` returns them: with the token that starts the decoder.

    Returns:
        `torch.FloatTensor` of shape `(B, S)`: scores in [0, 1].
    """
    text_config = model.config.text_config
    ends = text_config.eos_token_id
    rows = []
    # Clip by clip: the scores of the whole vocabulary are large.
    for states, mask, texts in zip(encoder_outputs.last_hidden_state, encoder_outputs.attention_mask, tokens):
        targets = texts[:, 1:]  # (S, L - 1)
        is_end = targets == ends
        is_real = is_end.cumsum(dim=1) - is_end.long() == 0  # up to the closing token, and with it
        of_clip = SigmaEncoderOutput(
            last_hidden_state=states.expand(len(texts), -1, -1), attention_mask=mask.expand(len(texts), -1)
        )
        logits = model(encoder_outputs=of_clip, decoder_input_ids=texts[:, :-1]).logits.float()
        log_probabilities = logits.log_softmax(dim=-1).gather(-1, targets[..., None])[..., 0]
        means = (log_probabilities * is_real).sum(dim=1) / is_real.sum(dim=1)
        rows.append(means.exp())
    return torch.stack(rows)
