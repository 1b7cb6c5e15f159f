"""`compute_metrics` for the Trainer and the Seq2SeqTrainer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeling_sigma.metrics.edit_distance import DEFAULT_COSTS
from modeling_sigma.metrics.recognition import recognition_scores, word_error_rates
from modeling_sigma.metrics.rouge_l import DEFAULT_ROUGE_VARIANT
from modeling_sigma.metrics.text_normalization import get_preset
from modeling_sigma.metrics.translation import translation_scores


logger = logging.getLogger(__name__)

Decode = Callable[[NDArray[Any]], list[str]]


def build_compute_metrics(
    processing_class: Any,
    task: str,
    preset: str = "none",
    *,
    rouge_variant: str | int = DEFAULT_ROUGE_VARIANT,
    costs: str = DEFAULT_COSTS,
    label_names: Sequence[str] | None = None,
    decode: Decode | None = None,
) -> Callable[[Any], dict[str, float]]:
    """Makes the `compute_metrics` of a trainer.

    Args:
        processing_class:
            The tokenizer, or a processor with a `tokenizer`; None if nothing is decoded.
        task (`str`):
            - `"slt"`: scores of [`translation_scores`] on generated token ids;
            - `"cslr"`: rates of [`word_error_rates`] on generated token ids;
            - `"islr"`: accuracies of [`recognition_scores`] on class scores, or on generated token ids.
        preset (`str`, defaults to `"none"`):
            The normalisation of the corpus.
        rouge_variant, costs:
            The variant of ROUGE-L and the edit costs, as in the functions above.
        label_names (`Sequence[str]`, *optional*):
            The names of the classes of a classifier; by default its numbers are compared.
        decode (`Callable`, *optional*):
            Turns the predictions into texts instead of the tokenizer, for example a CTC decoder. Label ids still go
            through the tokenizer.

    Texts are compared with `evaluation.references` (`list[str]`) if the trainer adds them, as ours do, else with the
    decoded label ids. These are truncated, and lack what the tokenizer does not know: only the former give the scores
    of `sigma-slu evaluate`.

    Returns:
        `Callable`: takes an `EvalPrediction` and returns numbers only, as trainers log nothing else. The signature
        goes to this module's logger at level INFO.

    Raises:
        ValueError: for an unknown task or preset.

    With a Seq2SeqTrainer set `predict_with_generate=True`, and a `max_length` or `max_new_tokens` in the generation
    configuration: its default of 20 tokens cuts sentences off.

    Example:

    ```python
    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> from modeling_sigma.metrics import build_compute_metrics
    >>> compute_metrics = build_compute_metrics(None, task="islr")
    >>> evaluation = SimpleNamespace(predictions=np.eye(6), label_ids=np.array([0, 1, 2, 3, 4, 4]))
    >>> compute_metrics(evaluation)["top1_per_instance"]
    83.33...

    ```
    """
    get_preset(preset, task)

    def compute_metrics(evaluation: Any) -> dict[str, float]:
        predictions, label_ids = evaluation.predictions, np.asarray(evaluation.label_ids)
        # Models return more than their logits, which come first.
        predictions = np.asarray(predictions[0] if isinstance(predictions, tuple) else predictions)
        if task == "islr" and label_ids.ndim == 1 and decode is None:
            labels = label_ids.tolist() if label_names is None else [label_names[index] for index in label_ids]
            result = recognition_scores(None, labels, scores=predictions, label_names=label_names)
        else:
            texts = decode(predictions) if decode is not None else decode_token_ids(predictions, processing_class)
            references = given_references(evaluation)
            if references is None:
                references = decode_token_ids(label_ids, processing_class)
            if task == "slt":
                result = translation_scores(texts, references, preset, rouge_variant)
            elif task == "cslr":
                result = word_error_rates(texts, references, costs, preset)
            else:
                result = recognition_scores(texts, references)
        logger.info("metric signature: %s", result["signature"])
        return {name: float(value) for name, value in result.items() if isinstance(value, int | float)}

    return compute_metrics


def given_references(evaluation: Any) -> list[str] | None:
    """The texts that a trainer added to its `EvalPrediction`: one for each prediction, in the same order."""
    references: list[str] | None = getattr(evaluation, "references", None)
    return references


def decode_token_ids(token_ids: NDArray[Any], processing_class: Any) -> list[str]:
    """Decodes token ids after turning every negative id (-100, ignored by the loss) into padding.

    Args:
        token_ids (`np.ndarray` of shape `(N, length)`, integers):
            Generated ids or labels.
        processing_class:
            A tokenizer, or a processor with a `tokenizer`.

    Returns:
        `list[str]`: N texts in one line each, without special tokens and without white space around them.

    Raises:
        ValueError: for an array that holds no token ids, or a tokenizer without a padding token.
    """
    if token_ids.ndim != 2 or not np.issubdtype(token_ids.dtype, np.integer):
        raise ValueError(
            f"expected token ids of shape (samples, length), received {token_ids.dtype} of shape {token_ids.shape}: "
            "set `predict_with_generate=True` in Seq2SeqTrainingArguments, or give `decode`"
        )
    tokenizer = getattr(processing_class, "tokenizer", processing_class)
    padding = getattr(tokenizer, "pad_token_id", None)
    if padding is None:
        raise ValueError(
            f"expected a tokenizer with a padding token, received {type(tokenizer).__name__}: "
            "pass the tokenizer or processor of the model as `processing_class`"
        )
    texts: list[str] = tokenizer.batch_decode(np.where(token_ids < 0, padding, token_ids), skip_special_tokens=True)
    return [" ".join(text.split()) for text in texts]
