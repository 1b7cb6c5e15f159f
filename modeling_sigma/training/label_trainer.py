"""The trainer of label heads: targets that are mixtures of labels, and teachers."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from modeling_sigma.training.optimization.mixed_clips import draw_mixture, mix_clips
from modeling_sigma.training.optimization.teachers import Teachers
from modeling_sigma.training.trainers import SigmaTrainer


class SigmaLabelTrainer(SigmaTrainer):
    """Trains [`SigmaForSequenceClassification`]. With `mixup` clips are mixed in pairs; with `teachers` the model also
    learns what trained models answer to the clips that it reads, augmented and mixed as they are.

    The loss is the cross-entropy against mixed, smoothed labels, and `teacher_weight` of it is that against the
    teachers' mean answer.
    """

    softens_labels = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        args = self.args
        if args.softens_labels and self.model.config.class_weights is not None:
            raise ValueError("expected no class_weights with mixup or teachers, which leave no clip a single label")
        self.teachers = Teachers(args.teachers, self.model.config, args.device) if args.teachers else None

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        args = self.args
        if not (model.training and args.softens_labels):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        clips = dict(inputs)
        config = self.model.config
        targets = functional.one_hot(clips.pop("labels"), config.num_labels).float()
        if args.mixup:
            shares, partners = (drawn.to(targets.device) for drawn in draw_mixture(len(targets), args.mixup))
            clips["pose_values"] = mix_clips(clips["pose_values"], shares, partners)
            clips["pose_attention_mask"] = torch.maximum(
                clips["pose_attention_mask"], clips["pose_attention_mask"][partners]
            )
            targets = torch.lerp(targets[partners], targets, shares[:, None])
        outputs = model(**clips)
        logits = outputs.logits.float()
        loss = functional.cross_entropy(logits, targets, label_smoothing=config.label_smoothing)
        if self.teachers:
            loss = torch.lerp(loss, self.teachers.cross_entropy(logits, clips), args.teacher_weight)
        loss = self.scale_loss(loss, outputs, len(targets))
        return (loss, outputs) if return_outputs else loss
