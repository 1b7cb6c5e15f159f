"""Configuration of Sigma: a pose encoder, a T5 / mT5 text backbone, and how pre-training joins them."""

# No `from __future__ import annotations` here: @strict checks values against the annotations themselves.
from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

from .calibration_sigma import Calibration
from .configuration_sigma_pose import SigmaPoseConfig
from .publishing_sigma import CheckedPush


TEXT_MODEL_TYPES = ("mt5", "t5")


@strict
class SigmaConfig(CheckedPush, PreTrainedConfig):
    r"""Configuration of every Sigma model.

    Args:
        text_config (`MT5Config`, `T5Config` or `dict`, *optional*, defaults to mT5-small's sizes):
            The encoder-decoder that reads poses and writes text.
        pose_config ([`SigmaPoseConfig`] or `dict`, *optional*):
            The part-wise pose encoder.
        pad_mode (`"mask"` or `"repeat"`, *optional*, defaults to `"mask"`):
            What the pose encoder sees after the end of a padded clip: nothing, so that a clip's result does
            not depend on its batch; or its last frame again and again, as the checkpoints of Uni-Sign and of the
            Sigma reference were trained.
        use_cls_token (`bool`, *optional*, defaults to `True`):
            Put a learned [CLS] before prompt and frames. Converted Uni-Sign checkpoints have none.
        use_prompt (`bool`, *optional*, defaults to `True`):
            Read a prompt before the frames. `False` is for label heads that have no tokenizer.
        max_frames (`int`, *optional*, defaults to 256):
            Longest clip the processor passes on; 64 is the paper's choice for isolated signs.
        label_smoothing (`float`, *optional*, defaults to 0.2):
            Label smoothing of the language-modelling loss and of the label loss.
        classifier_dropout (`float`, *optional*, defaults to 0.0):
            Dropout before the label head of [`SigmaForSequenceClassification`] and [`SigmaForCTC`].
        class_weights (`list[float]`, *optional*):
            Weight of each label in the loss of [`SigmaForSequenceClassification`], for unbalanced data: one number per
            label, as in `torch.nn.CrossEntropyLoss`.
        ctc_blank_id (`int`, *optional*, defaults to 0):
            Which entry of `id2label` is [`SigmaForCTC`]'s blank; the other entries are glosses.
        ctc_loss_reduction (`"mean"` or `"sum"`, *optional*, defaults to `"mean"`):
            Mean over the clips of the loss per gloss, or sum over the clips. `Wav2Vec2Config` sums by default, which
            ties the learning rate to the batch size.
        ctc_zero_infinity (`bool`, *optional*, defaults to `False`):
            Count infinite losses, and their gradients, as zero.
        ctc_short_clips (`"error"` or `"skip"`, *optional*, defaults to `"error"`):
            What to do with clips that have fewer frames than their glosses need, whose loss is infinite: refuse the
            batch, or leave them out of the loss and count them in the output.
        fusion_layers (`int`, *optional*, defaults to 3):
            k: sign-aware early fusion happens before each of the top k encoder layers. 0 leaves it out (ablation): the
            matching encoder then reads states that have not met.
        share_fusion_weights (`bool`, *optional*, defaults to `True`):
            One set of cross-attention weights for all of them.
        sgt_layers (`int`, *optional*, defaults to 1):
            Blocks of the sign-text matching encoder.
        alpha (`float`, *optional*, defaults to 0.5):
            Alignment loss = (1 - alpha) global + alpha local.
        beta (`float`, *optional*, defaults to 0.5):
            Sign-grounded text loss = (1 - beta) matching + beta language modelling.
        use_global_alignment, use_local_alignment, use_matching, use_language_modelling (`bool`, *optional*):
            Switch single terms of the pre-training loss off (ablation). All `True` by default.
        alignment_source (`"unimodal"` or `"fused"`, *optional*, defaults to `"unimodal"`):
            Which states the alignment losses compare. `"fused"` is the paper's reading: the pose states have then
            read the sentence that they are aligned with.
        lm_source (`"pose_only"` or `"fused"`, *optional*, defaults to `"pose_only"`):
            Which states the decoder reads in pre-training. `"fused"` lets it read the sentence it must predict.
        local_row_strategy (`"max"`, `"mean"`, `"topk_mean"` or `"softmax"`, *optional*, defaults to `"max"`):
            How a frame's cosines with the words of a sentence become one number.
        local_score_strategy (`"softmax"`, `"sum"`, `"mean"` or `"logsumexp"`, *optional*, defaults to `"softmax"`):
            How the frames' numbers become the score of the pair.
        local_temperature (`float`, *optional*, defaults to 0.05):
            Divides the local logits. With None, the paper's choice, the loss of 32 pairs cannot fall below 2.52 of
            3.47, and few words find their sign.
        local_score_temperature (`float`, *optional*):
            Temperature of the softmax in the local score strategy. None means 1 (the paper's choice), at which the
            softmax weights of cosines are nearly a plain mean.
        logit_scale_init (`float`, *optional*, defaults to 2.6592):
            Start of the global alignment's learned log scale: ln(1 / 0.07).
        initializer_range (`float`, *optional*, defaults to 0.02):
            Standard deviation for the parts that belong to neither backbone.
        calibration (`dict`, *optional*):
            What the scores of [`SigmaForSequenceClassification`] mean: the fields of [`Calibration`], which
            `sigma-slu evaluate --calibrate` fits. None: the scores are not calibrated.
        weights_license (`str`, *optional*):
            License that these weights inherited, such as `"cc-by-nc-4.0"` for converted Uni-Sign weights; it stays
            with whatever is trained from them.

    Example:

    ```python
    >>> from transformers import MT5Config
    >>> from modeling_sigma import SigmaConfig
    >>> config = SigmaConfig(text_config=MT5Config(d_model=768), max_frames=64)
    >>> config.text_config.d_model, config.pose_config.joint_hidden_size
    (768, 64)

    ```
    """

    model_type = "sigma"
    # Of predictions a Trainer keeps scores, not the states behind them (`ignore_keys` of `predict` asks for others).
    keys_to_ignore_at_inference = ["past_key_values", "num_skipped_clips", "pose_embeds"]
    sub_configs_defaults = {
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="mt5"),
        "pose_config": SubConfigSpec(config_class=SigmaPoseConfig),
    }

    # Given as a dict, a configuration or None; always configurations afterwards.
    text_config: Any = None
    pose_config: Any = None
    pad_mode: Literal["mask", "repeat"] = "mask"
    use_cls_token: bool = True
    use_prompt: bool = True
    max_frames: int = 256
    label_smoothing: float | int = 0.2
    classifier_dropout: float | int = 0.0
    class_weights: list[float] | None = None
    ctc_blank_id: int = 0
    ctc_loss_reduction: Literal["mean", "sum"] = "mean"
    ctc_zero_infinity: bool = False
    ctc_short_clips: Literal["error", "skip"] = "error"
    fusion_layers: int = 3
    share_fusion_weights: bool = True
    sgt_layers: int = 1
    alpha: float | int = 0.5
    beta: float | int = 0.5
    use_global_alignment: bool = True
    use_local_alignment: bool = True
    use_matching: bool = True
    use_language_modelling: bool = True
    alignment_source: Literal["unimodal", "fused"] = "unimodal"
    lm_source: Literal["pose_only", "fused"] = "pose_only"
    local_row_strategy: Literal["max", "mean", "topk_mean", "softmax"] = "max"
    local_score_strategy: Literal["softmax", "sum", "mean", "logsumexp"] = "softmax"
    local_temperature: float | None = 0.05
    local_score_temperature: float | None = None
    logit_scale_init: float = 2.6592
    initializer_range: float = 0.02
    calibration: dict[str, Any] | None = None
    weights_license: str | None = None
    is_encoder_decoder: bool = True
    # mT5 has an output matrix of its own, although its configuration class claims that it is tied.
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        # The name of the field in bundles of 0.1.0.
        self.weights_license = kwargs.pop("weights_licence", self.weights_license)
        super().__post_init__(**kwargs)
        self.validate_architecture()  # see SigmaPoseConfig

    @property
    def pad_token_id(self) -> int:
        """The text backbone's: here is where trainers look for it."""
        return int(self.text_config.pad_token_id)

    @pad_token_id.setter
    def pad_token_id(self, value: int) -> None:
        self.text_config.pad_token_id = value

    @property
    def hidden_size(self) -> int:
        """`d_model` of the text backbone: the width of all states."""
        return int(self.text_config.d_model)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """As everywhere in transformers; every model, pipeline and command that loads a bundle comes through here.

        Raises:
            ValueError: if a newer version of the package has written the bundle. Only the bundle's own code
                (`trust_remote_code=True`, and this package not imported) then reads it.
        """
        if cls.__module__.startswith("modeling_sigma."):
            _check_version(config_dict, str(kwargs.get("name_or_path") or "this model"))
        return super().from_dict(config_dict, **kwargs)

    @classmethod
    def from_text_pretrained(cls, name_or_path: str, **kwargs: Any) -> "SigmaConfig":
        """A Sigma configuration around the text backbone of a T5 or mT5 checkpoint.

        Args:
            name_or_path (`str`):
                A name on the Hub, such as `"google/mt5-base"`, or a local folder.
            kwargs:
                Other fields of this class.

        Raises:
            ValueError: when the checkpoint is neither T5 nor mT5.
        """
        return cls(text_config=AutoConfig.from_pretrained(name_or_path), **kwargs)

    @classmethod
    def from_paper(cls, **kwargs: Any) -> "SigmaConfig":
        """The objectives as the paper has them, where the defaults of this class depart from it for a measured reason.

        No temperature in the local alignment, and alignment and language modelling read the fused states. These have
        read the sentence that they are aligned with or that the decoder has to write, which is not there at inference:
        use this to compare, not to train a model for use.

        Args:
            kwargs:
                Other fields of this class.

        Source: arXiv:2509.21223, sections on hierarchical alignment learning and the sign-grounded text decoder.
        """
        paper = {"local_temperature": None, "alignment_source": "fused", "lm_source": "fused"}
        return cls(**{**paper, **kwargs})

    def validate_architecture(self) -> None:
        """Part of `@strict` validation.

        Raises:
            ValueError: for a backbone that is neither T5 nor mT5, weights and rates outside [0, 1], or a calibration
                that is none.
        """
        text_type = getattr(self.text_config, "model_type", None)
        if text_type not in TEXT_MODEL_TYPES:
            raise ValueError(f"expected text_config to be one of {TEXT_MODEL_TYPES}, received {text_type!r}")
        if self.max_frames < 1:
            raise ValueError(f"expected max_frames >= 1, received {self.max_frames}")
        for name in ("alpha", "beta", "label_smoothing", "classifier_dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"expected {name} between 0 and 1, received {getattr(self, name)}")
        if self.class_weights is not None and not all(0 <= weight < float("inf") for weight in self.class_weights):
            raise ValueError(f"expected class_weights >= 0, received {self.class_weights}")
        if self.calibration is not None:
            Calibration.from_dict(self.calibration)
        if self.ctc_blank_id < 0:
            raise ValueError(f"expected ctc_blank_id >= 0, received {self.ctc_blank_id}")
        for name in ("local_temperature", "local_score_temperature"):
            temperature = getattr(self, name)
            if temperature is not None and temperature <= 0:
                raise ValueError(f"expected {name} > 0 or None, received {temperature}")


def _check_version(config_dict: dict[str, Any], source: str) -> None:
    try:
        from modeling_sigma.hub.bundle_config import check_version
    except ImportError:  # these files alone, copied into a checkpoint's folder
        return
    check_version(config_dict, source)
