"""`SigmaForPreTraining`: the losses that put clips and sentences into one space, and matching and writing on top."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions
from transformers.utils import can_return_tuple, logging

from .distributed_gather_sigma import gather_ragged, gathered_positions, mean_over_ranks
from .fusion_sigma import SignAwareFusion
from .modeling_sigma import LABEL_HEAD_KEYS, SigmaModel, required_text
from .objectives_sigma import (
    contrastive_loss,
    draw_hard_negatives,
    global_alignment_logits,
    hierarchical_alignment_loss,
    label_smoothed_cross_entropy,
    same_text,
)
from .outputs_sigma import SigmaForPreTrainingOutput
from .streams_sigma import cls_of, frames_of
from .text_backbone_sigma import CrossAttendingEncoder, EncoderPass, build_stack, shift_right
from .word_pooling_sigma import pool_words


logger = logging.get_logger(__name__)


class SigmaForPreTraining(SigmaModel):
    """Alignment, sign-text matching and language modelling in one step.

    What predicts the text never reads it: the alignment and language-modelling losses use states of the pose-only
    path; the fused path feeds the matching encoder. `alignment_source="fused"` and `lm_source="fused"` are the paper's
    reading, for ablation.

    Source: arXiv:2509.21223, sections on SignEF, HAL and SGT.
    """

    fusion: SignAwareFusion
    matching_encoder: CrossAttendingEncoder
    matching_head: nn.Linear
    decoder: Any
    lm_head: nn.Module
    _tied_weights_keys = {"lm_head.weight": "shared.weight"}  # if the configuration says tie_word_embeddings
    _keys_to_ignore_on_load_unexpected = LABEL_HEAD_KEYS
    # A mean over pairs, not tokens: the Trainer must divide the loss by the number of accumulated batches.
    accepts_loss_kwargs = False

    def _build_objectives(self) -> None:
        config = self.config
        layers = config.text_config.num_layers
        if not 0 <= config.fusion_layers <= layers:
            raise ValueError(
                f"expected fusion_layers from 0 to the encoder's {layers}, received {config.fusion_layers}"
            )
        self.fusion = SignAwareFusion(config)
        self.matching_encoder = CrossAttendingEncoder(self.text_encoder.config, config.sgt_layers)
        self.matching_head = nn.Linear(config.hidden_size, 2)
        self.decoder = build_stack(config.text_config, is_decoder=True)
        self.lm_head = nn.Linear(config.hidden_size, config.text_config.vocab_size, bias=False)
        self._freeze_unused()

    def _freeze_unused(self) -> None:
        """Modules whose term is switched off keep their weights (a later task may need them) and do not train."""
        config = self.config
        aligns = config.use_global_alignment or config.use_local_alignment
        fused = (aligns and config.alignment_source == "fused") or (
            config.use_language_modelling and config.lm_source == "fused"
        )
        unused: list[nn.Module] = []
        if not config.use_matching:
            unused += [self.matching_encoder, self.matching_head]
        if not config.use_matching and not fused:
            unused += [self.fusion]
        if not config.use_language_modelling:
            unused += [self.decoder, self.lm_head]
        if not config.use_global_alignment:
            unused += [self.logit_scale]
        if not config.use_matching and not fused and not aligns:
            unused += [self.text_encoder, self.text_cls_token]
        for part in unused:
            part.requires_grad_(False)

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        self.lm_head = new_embeddings

    @torch.no_grad()
    def load_text_backbone(self, text_model: PreTrainedModel) -> None:
        """As in [`SigmaModel`]. The fusion starts from the decoder's first cross-attention; the matching encoder from
        the top of the text encoder and the decoder's cross-attentions.

        Their norms start with them: attention has no 1 / sqrt(d) in T5, so norms of 1 where the backbone has 0.15
        would multiply its logits by up to 44.
        """
        super().load_text_backbone(text_model)
        cross = [block.layer[1] for block in self.decoder.block]
        fusion: Any
        for fusion in self.fusion.layers:
            fusion.attention.load_state_dict(cross[0].EncDecAttention.state_dict())
            # Where the backbone's cross-attention finds its queries and its keys.
            fusion.pose_norm.load_state_dict(cross[0].layer_norm.state_dict())
            fusion.text_norm.load_state_dict(self.text_encoder.final_layer_norm.state_dict())
        self.matching_encoder.final_layer_norm.load_state_dict(self.text_encoder.final_layer_norm.state_dict())
        top = self.text_encoder.block[-len(self.matching_encoder.block) :]
        block: Any
        for block, source, reading in zip(self.matching_encoder.block, top, cross, strict=False):
            own = block.layer[0].state_dict()
            own.update({name: value for name, value in source.layer[0].state_dict().items() if name in own})
            block.layer[0].load_state_dict(own)
            block.layer[1].load_state_dict(reading.state_dict())
            block.layer[2].load_state_dict(source.layer[1].state_dict())

    @can_return_tuple
    def forward(
        self,
        pose_values: torch.Tensor,
        pose_attention_mask: torch.Tensor | None = None,
        prompt_input_ids: torch.Tensor | None = None,
        prompt_attention_mask: torch.Tensor | None = None,
        text_input_ids: torch.Tensor | None = None,
        text_attention_mask: torch.Tensor | None = None,
        text_word_ids: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        negatives_generator: torch.Generator | None = None,
        return_loss: bool = True,
        **kwargs: Any,
    ) -> SigmaForPreTrainingOutput:
        r"""All pre-training losses of a batch of pairs.

        Under data parallelism features and negatives come from all ranks, and the loss is that of the whole batch.

        Args:
            pose_values, pose_attention_mask, prompt_input_ids, prompt_attention_mask, text_word_ids:
                See [`SigmaModel`].
            text_input_ids, text_attention_mask (`torch.LongTensor` of shape `(batch_size, text_length)`):
                The sentence of each clip.
            labels (`torch.LongTensor` of shape `(batch_size, target_length)`, *optional*):
                What the decoder has to write; -100 is ignored. The sentences by default.
            negatives_generator (`torch.Generator`, *optional*):
                Randomness of the hard negatives; equally seeded on all ranks, the draws are those of one process.
            return_loss (`bool`, *optional*, defaults to `True`):
                Add the terms up. A Trainer with `label_names=[]` evaluates the loss of batches without `labels` by it.
            output_hidden_states, output_attentions (`bool`, *optional*):
                Also return the states between the layers, or the attention weights, of the pose-only and text-only
                paths and of the decoder.

        Raises:
            TypeError: for any other argument.
            ValueError: without text, or when there is not one sentence per clip.
        """
        text_input_ids = required_text(text_input_ids)
        if len(text_input_ids) != len(pose_values):
            counts = f"{len(text_input_ids)} for {len(pose_values)} clips"
            raise ValueError(f"expected one text per clip, received {counts}")
        config = self.config
        shared_layers = len(self.encoder.block) - config.fusion_layers
        recording = self.take_known(kwargs)
        poses = self.start_pose_pass(
            pose_values, pose_attention_mask, prompt_input_ids, prompt_attention_mask, **recording
        )
        texts = self.start_text_pass(text_input_ids, text_attention_mask, **recording)
        # The lower layers run once; pose-only, text-only and fused paths go on from there.
        poses.run(0, shared_layers)
        texts.run(0, shared_layers)
        pose_run = poses.fork().run(shared_layers, len(self.encoder.block))
        text_run = texts.fork().run(shared_layers, len(self.text_encoder.block))
        pose_states, text_states = pose_run.finish(), text_run.finish()
        unimodal = fused = (pose_states, text_states)
        if "fused" in (config.alignment_source, config.lm_source):
            fused = self.fusion(poses.fork(), texts.fork())

        aligned = fused if config.alignment_source == "fused" else unimodal
        word_ids = self._word_ids(text_input_ids, texts, text_word_ids)
        # Equal sentences are right for each other's clips, and never negatives.
        same_texts = same_text(
            gather_ragged(text_input_ids, pad_value=config.text_config.pad_token_id),
            gather_ragged(texts.attention_mask[:, 1:].contiguous()),
        )
        masks = (poses.attention_mask, texts.attention_mask)
        pose_cls, text_cls = map(cls_of, aligned, masks)
        logits = global_alignment_logits(gather_ragged(pose_cls), gather_ragged(text_cls), self.logit_scale())
        terms: dict[str, torch.Tensor | None] = dict.fromkeys(
            ("global_alignment_loss", "local_alignment_loss", "matching_loss", "lm_loss")
        )
        if config.use_global_alignment:
            terms["global_alignment_loss"] = contrastive_loss(logits, same_texts)
        if config.use_local_alignment:
            frames = frames_of(aligned[0], poses.attention_mask, pose_values.shape[1])
            terms["local_alignment_loss"] = self._local_alignment_loss(*frames, aligned[1], word_ids, same_texts)
        matching_logits = matching_labels = None
        if config.use_matching:
            # The similarities that choose the negatives are those of the pose-only path, as at inference.
            pair_logits = logits.detach()
            if config.alignment_source == "fused":
                pose_alone, text_alone = (
                    gather_ragged(cls_of(states.detach(), mask)) for states, mask in zip(unimodal, masks)
                )
                pair_logits = global_alignment_logits(pose_alone, text_alone, self.logit_scale().detach())
            terms["matching_loss"], matching_logits, matching_labels = self._matching(
                poses, texts, pair_logits, same_texts, negatives_generator
            )
        decoded = lm_logits = None
        if config.use_language_modelling:
            if labels is None:
                labels = text_input_ids.masked_fill(texts.attention_mask[:, 1:] == 0, -100)
            read = fused[0] if config.lm_source == "fused" else pose_states
            decoded = self._decode(read, poses.attention_mask, labels, recording)
            lm_logits = self.score_tokens(decoded.last_hidden_state)
            terms["lm_loss"] = _token_mean(lm_logits, labels, config.label_smoothing)
        return SigmaForPreTrainingOutput(
            loss=self._total(terms) if return_loss else None,
            **terms,
            logits_per_pose=logits,
            logits_per_text=logits.T,
            matching_logits=matching_logits,
            matching_labels=matching_labels,
            lm_logits=lm_logits,
            pose_embeds=nn.functional.normalize(pose_cls, dim=-1),
            text_embeds=nn.functional.normalize(text_cls, dim=-1),
            encoder_last_hidden_state=pose_states,
            encoder_hidden_states=pose_run.all_hidden_states,
            encoder_attentions=pose_run.attentions,
            text_encoder_hidden_states=text_run.all_hidden_states,
            text_encoder_attentions=text_run.attentions,
            decoder_hidden_states=None if decoded is None else decoded.hidden_states,
            decoder_attentions=None if decoded is None else decoded.attentions,
            cross_attentions=None if decoded is None else decoded.cross_attentions,
        )

    def _total(self, terms: dict[str, torch.Tensor | None]) -> torch.Tensor:
        """L = (1 - alpha) global + alpha local + (1 - beta) matching + beta lm, without the terms that are off."""
        # On the device of the terms: parts of a model may lie on several.
        zero = torch.zeros((), device=self.device)
        zero = next((torch.zeros_like(value) for value in terms.values() if value is not None), zero)
        present = {name: zero if value is None else value.to(zero.device) for name, value in terms.items()}
        aligned = hierarchical_alignment_loss(
            present["global_alignment_loss"], present["local_alignment_loss"], self.config.alpha
        )
        grounded = (1 - self.config.beta) * present["matching_loss"] + self.config.beta * present["lm_loss"]
        return aligned + grounded

    def _local_alignment_loss(
        self,
        frames: torch.Tensor,
        frame_mask: torch.Tensor,
        text_states: torch.Tensor,
        word_ids: torch.Tensor,
        same_texts: torch.Tensor,
    ) -> torch.Tensor:
        words, word_mask = pool_words(text_states[:, 1:], word_ids)
        parts = (frames, frame_mask, words, word_mask)
        pose_to_text, text_to_pose = self._local_similarity(*(gather_ragged(part.contiguous()) for part in parts))
        return contrastive_loss(pose_to_text, same_texts, text_to_pose, self.config.local_temperature)

    def _matching(
        self,
        poses: EncoderPass,
        texts: EncoderPass,
        similarity: torch.Tensor,
        same_texts: torch.Tensor,
        generator: torch.Generator | None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The matching loss over own pairs, hard negative clips for own texts, and hard negative texts for own clips.

        `poses` and `texts` stand below the fused layers; `similarity` and `same_texts` are of the gathered batch.
        """
        own = gathered_positions(len(poses.hidden_states), poses.hidden_states.device)
        positive = torch.arange(len(similarity), device=similarity.device)
        negative_texts = draw_hard_negatives(similarity, positive, same_texts, generator)[own]
        negative_clips = draw_hard_negatives(similarity.T, positive, same_texts, generator)[own]
        clip_index = torch.cat([own, negative_clips.clamp(min=0), own])
        text_index = torch.cat([own, own, negative_texts.clamp(min=0)])
        # Shapes do not depend on the draw: a pair that does not exist is the first one, without a label.
        wrong = torch.where(torch.cat([negative_clips, negative_texts]) >= 0, 0, -100)
        has_wrong = (wrong == 0).any()
        labels = torch.cat([torch.where(has_wrong, 1, -100).expand(len(own)), wrong])
        if own.device.type == "cpu" and not torch.compiler.is_compiling() and not has_wrong:
            logger.warning_once("a batch without any wrong pair (one clip, or one sentence) trains no matching")

        # Only states of the chosen pairs go on: gathered by index, not computed again.
        all_poses, all_texts = (
            (gather_ragged(run.hidden_states.contiguous()), gather_ragged(run.attention_mask.contiguous()))
            for run in (poses, texts)
        )
        pose_pass = EncoderPass(self.encoder, all_poses[0][clip_index], all_poses[1][clip_index], is_input=False)
        text_pass = EncoderPass(self.text_encoder, all_texts[0][text_index], all_texts[1][text_index], is_input=False)
        pose_states, text_states = self.fusion(pose_pass, text_pass)
        read = self.matching_encoder(text_states, text_pass.attention_mask, pose_states, pose_pass.attention_mask)
        logits = self.matching_head(read[:, 0])
        return _token_mean(logits, labels, smoothing=0.0), logits, labels

    def _decode(
        self, pose_states: torch.Tensor, pose_mask: torch.Tensor, labels: torch.Tensor, recording: dict[str, bool]
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        inputs = self.shared(shift_right(labels, self.config.text_config)).to(pose_states)
        return self.decoder(
            inputs_embeds=inputs,
            encoder_hidden_states=pose_states,
            encoder_attention_mask=pose_mask,
            use_cache=False,
            **recording,
        )


def _token_mean(logits: torch.Tensor, labels: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Cross-entropy as the mean over the counted labels of all ranks."""
    total = label_smoothed_cross_entropy(logits, labels, smoothing, num_items_in_batch=1)
    return mean_over_ranks(total, (labels != -100).sum().to(total.device))
