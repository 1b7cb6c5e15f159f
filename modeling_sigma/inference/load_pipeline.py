"""`load_pipeline`: the pipeline of a trained model, whatever its kind, from a folder or the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modeling_sigma.conversion.export_bundle import is_bundle, read_bundle
from modeling_sigma.hub.shipped_files import model_folder
from modeling_sigma.inference.model_config import naming_model, saved_kind
from modeling_sigma.model.model_kinds_sigma import MODEL_KINDS, PIPELINE_KINDS, served_pipelines
from modeling_sigma.registration import defined_class


def load_pipeline(name_or_path: str | Path, task: str | None = None, device: Any = None, dtype: Any = None) -> Any:
    """Loads a trained model as a pipeline: call it with clips. No code from the folder or the Hub is run.

    An exported model (`sigma-slu export`) runs in ONNX Runtime, without torch, and answers alike.

    Args:
        name_or_path (`str` or `Path`):
            The folder of a model, or its name on the Hub; the folder of an exported model, or one of its ONNX files;
            or `"sigma-wlasl-hands"`, the checkpoint that comes with the package.
        task (`str`, *optional*):
            The name of a pipeline, such as `"sign-language-translation"`; by default what the model was trained for.
        device (`str` or `torch.device`, *optional*):
            The device to compute on, such as `"cpu"` or `"cuda:1"`; by default that of `transformers.pipeline`: the
            first accelerator of this machine, or the CPU if there is none.
        dtype (`str` or `torch.dtype`, *optional*):
            The precision of the weights, such as `"bfloat16"`; by default that of `config.json`. Of an exported model
            `"float32"` (the default), `"float16"` or `"int8"`.

    Returns:
        [`SigmaPipeline`]: the pipeline of that task.

    Raises:
        ValueError: if there is no Sigma model, if it is damaged (weights that are missing, not expected, of another
            shape or not finite) or from a newer version, if it does not serve the task, or if this machine lacks the
            device.
        OSError: if the model cannot be read.

    Example:

    ```python
    >>> from transformers import MT5Config
    >>> from modeling_sigma import SigmaConfig, SigmaFeatureExtractor, SigmaForSequenceClassification, save_bundle
    >>> text_config = MT5Config(vocab_size=8, d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=4)
    >>> config = SigmaConfig(text_config=text_config, use_prompt=False, num_labels=3)
    >>> folder = save_bundle(SigmaForSequenceClassification(config), SigmaFeatureExtractor(), "three-signs")
    >>> load_pipeline(folder, device="cpu").task
    'isolated-sign-recognition'

    ```
    """
    if task is not None and task not in PIPELINE_KINDS:
        raise ValueError(f"expected a task among {', '.join(PIPELINE_KINDS)}, received {task!r}")
    name_or_path = model_folder(str(name_or_path))
    if is_bundle(name_or_path):
        from modeling_sigma.inference.onnx_pipelines import load_onnx_pipeline

        precision = None if dtype is None else str(dtype).removeprefix("torch.")
        return load_onnx_pipeline(read_bundle(name_or_path, precision), task, None if device is None else str(device))

    import transformers

    from modeling_sigma.jobs.torch_devices import usable_device

    kind = saved_kind(name_or_path)
    served = served_pipelines(kind)
    task = task or next(iter(served))
    if task not in served:
        able = [name for name, other in MODEL_KINDS.items() if task in served_pipelines(other)]
        raise ValueError(f"{name_or_path}: expected a model for {task} ({', '.join(able)}), found {kind.class_name}")
    if device is not None:
        device = usable_device(str(device))
    auto_class = getattr(transformers, served[task])
    with naming_model(name_or_path):
        model = _whole_model(auto_class, name_or_path, dtype or "auto")
        if kind.has_labels and not model.config.use_prompt:  # such a model comes without a tokenizer
            extractor = transformers.AutoFeatureExtractor.from_pretrained(name_or_path, trust_remote_code=False)
            reader = {"feature_extractor": extractor}
        else:
            reader = {"processor": transformers.AutoProcessor.from_pretrained(name_or_path, trust_remote_code=False)}
    return defined_class(PIPELINE_KINDS[task])(model=model, task=task, device=device, **reader)


def _whole_model(auto_class: Any, name_or_path: str | Path, dtype: Any) -> Any:
    """The model, if its weights are those of its configuration. The pipeline looks at their values."""
    from modeling_sigma.hub.weight_checks import shape_problems

    model, info = auto_class.from_pretrained(
        name_or_path,
        trust_remote_code=False,
        dtype=dtype,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # told below, with all that is wrong
    )
    wrong = {name: (tuple(found), tuple(expected)) for name, found, expected in info["mismatched_keys"]}
    found = {**dict.fromkeys(info["unexpected_keys"], ()), **{name: shapes[0] for name, shapes in wrong.items()}}
    expected = {**dict.fromkeys(info["missing_keys"], ()), **{name: shapes[1] for name, shapes in wrong.items()}}
    problems = shape_problems(found, expected)
    if problems:
        raise ValueError(f"{name_or_path} cannot be loaded: {'; '.join(problems)}: copy or convert the model again")
    return model
