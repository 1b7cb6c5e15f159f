"""Several adapters on one base model, each with the labels that it was trained for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn
from transformers import AutoConfig

from modeling_sigma.model.model_kinds_sigma import MODEL_KINDS
from modeling_sigma.registration import register_sigma


# The fields of a configuration that an adapter's labels determine.
_LABEL_FIELDS = ("id2label", "label2id", "class_weights", "calibration")


class LabelledAdapters:
    """A mixin for classes of PEFT models, in which otherwise all adapters share the head's size and label names."""

    label_fields: dict[str, dict[str, Any]]  # by adapter

    def load_adapter(self: Any, model_id: Any, adapter_name: str, *args: Any, **kwargs: Any) -> Any:
        """As in PEFT, for a folder that `save_adapter` wrote, with its labels.

        Raises:
            ValueError: for the adapter of another class of models, or of a newer version of this package.
        """
        config, name = read_model_config(model_id), type(self.get_base_model()).__name__
        if name not in (config.architectures or ()):
            found = (config.architectures or ["another model"])[0]
            raise ValueError(
                f"{model_id}: expected an adapter of a {name}, found one of a {found}: load it with load_adapted"
            )
        self.label_fields[adapter_name] = _label_fields(config)
        return super().load_adapter(model_id, adapter_name, *args, **kwargs)  # type: ignore[misc]

    def add_adapter(self: Any, adapter_name: str, *args: Any, **kwargs: Any) -> None:
        """As in PEFT; the head gets one row per label of the adapter that is about to be loaded."""
        super().add_adapter(adapter_name, *args, **kwargs)  # type: ignore[misc]
        kind = MODEL_KINDS.get(type(self.get_base_model()).__name__)
        if kind is None or kind.label_layer is None or adapter_name not in self.label_fields:
            return
        heads = getattr(self.get_base_model(), kind.label_layer).modules_to_save
        old, num_labels = heads[adapter_name], len(self.label_fields[adapter_name]["id2label"])
        if old.out_features != num_labels:
            new = nn.Linear(old.in_features, num_labels, device=old.weight.device, dtype=old.weight.dtype)
            heads[adapter_name] = new.requires_grad_(old.weight.requires_grad)

    def set_adapter(self: Any, adapter_name: str, *args: Any, **kwargs: Any) -> None:
        """As in PEFT; the configuration has the labels of this adapter from now on."""
        super().set_adapter(adapter_name, *args, **kwargs)  # type: ignore[misc]
        self._show_labels()

    def delete_adapter(self: Any, adapter_name: str) -> None:
        """As in PEFT, which then activates another adapter."""
        super().delete_adapter(adapter_name)  # type: ignore[misc]
        self.label_fields.pop(adapter_name, None)
        self._show_labels()

    def _show_labels(self: Any) -> None:
        model = self.get_base_model()
        for name in self.active_adapters:
            for field, value in self.label_fields.get(name, {}).items():
                setattr(model.config, field, value)
        model.num_labels = model.config.num_labels


def keep_labels(model: Any) -> Any:
    """Lets a PEFT model with one adapter load others with other labels. Its labels are those of its adapter."""
    plain = type(model)
    model.__class__ = type(plain.__name__, (LabelledAdapters, plain), {"__module__": plain.__module__})
    model.label_fields = {model.active_adapter: _label_fields(model.get_base_model().config)}
    return model


def read_model_config(directory: str | Path) -> Any:
    """The configuration of the adapted model, from the folder of its adapter.

    Raises:
        ValueError, OSError: if there is none, or a newer version of this package has written it.
    """
    register_sigma()
    if Path(directory).is_dir() and not (Path(directory) / "config.json").is_file():
        raise ValueError(
            f"{directory}: expected the adapter of a Sigma model that save_adapter wrote, found no config.json: save "
            "it with modeling_sigma.training.adapters.lora.save_adapter"
        )
    return AutoConfig.from_pretrained(directory, trust_remote_code=False)


def _label_fields(config: Any) -> dict[str, Any]:
    return {field: getattr(config, field) for field in _LABEL_FIELDS}
