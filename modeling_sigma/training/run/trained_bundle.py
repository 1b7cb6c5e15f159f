"""What a run leaves, as a bundle: the model that it chose (the best step, the average, the adapter merged)."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path
from typing import Any

from modeling_sigma.hub.bundle import save_bundle
from modeling_sigma.model.extractor_checks import estimator_name
from modeling_sigma.registration import defined_class
from modeling_sigma.training.adapters.lora import save_adapter


def save_trained(trainer: Any, folder: str | Path, adapter_base: str | None = None) -> Any:
    """Saves the trained model as a bundle. Its extractor remembers the layout and the estimator of most clips.

    All processes of a run call this; one of them writes.

    Args:
        trainer ([`SigmaTrainer`]):
            The trainer, with the weights that the run ends with.
        folder (`str` or `Path`):
            The folder of the bundle. Weights that several processes share are gathered in the output folder.
        adapter_base (`str`, *optional*):
            Where the base model of an adapter is found. If given, the adapter alone goes into `adapter` too.

    Returns:
        `PreTrainedModel`: the model in the bundle; None in processes that write nothing.
    """
    is_sharded = trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled
    if is_sharded:
        trainer.save_model(_internal_call=True)  # all processes together
    if not trainer.args.should_save:
        return None
    processor: Any = trainer.processing_class
    rows: Any = getattr(trainer.train_dataset, "rows", None)
    model = trainer.accelerator.unwrap_model(trainer.model)
    if is_sharded:
        model = defined_class(trainer.task.kind).from_pretrained(trainer.args.output_dir)
    extractor = getattr(processor, "feature_extractor", processor)
    if rows is not None:
        extractor.training_layout = _most_common(rows, "source_layout")
        maker = _most_common(rows, "estimator") if "estimator" in rows.column_names else None
        extractor.training_estimator = None if maker is None else estimator_name(maker)
    if hasattr(model, "merge_and_unload"):
        if adapter_base is not None:
            languages = {f"{name}s": rows.unique(name) for name in ("sign_language", "spoken_language")}
            save_adapter(model, processor, Path(folder) / "adapter", adapter_base, **languages)
        # A copy: the trainer goes on with the adapter.
        model = copy.deepcopy(model).merge_and_unload()
    save_bundle(model, processor, folder)
    extractor.training_layout = extractor.training_estimator = None
    return model


def _most_common(rows: Any, column: str) -> str | None:
    (value, _), *_ = Counter(rows[column]).most_common(1)
    return value
