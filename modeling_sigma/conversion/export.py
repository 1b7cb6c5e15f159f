"""Exports a trained model to ONNX: one folder that runs without torch, in Python and in a browser."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import io
import json
import logging
import os
import re
import shutil
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import modeling_sigma
from modeling_sigma.conversion.export_bundle import GOLDEN, graph_file_name, write_manifest
from modeling_sigma.conversion.export_float16 import weights_to_float16
from modeling_sigma.conversion.export_int8 import weights_to_int8
from modeling_sigma.model.model_kinds_sigma import FEATURES, MODEL_KINDS, ModelKind


if TYPE_CHECKING:
    from modeling_sigma.conversion.export_graphs import Graph

OPSET = 20
# Largest difference to torch, in units of the largest number of an output, or of 1.
TOLERANCE = 1e-4
# Above this, weights lie in a file beside the graph: a protocol buffer holds 2 GB.
MAX_BYTES_INSIDE = 1.5e9
_SMALLER = {"float16": weights_to_float16, "int8": weights_to_int8}
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
# Clips that a graph is compared on: one frame, padding, more clips and frames than it was traced with.
CHECKED_LENGTHS: tuple[tuple[int, ...], ...] = ((1,), (9, 4), (20, 3, 1, 8))
_GOLDEN_LENGTHS, _GOLDEN_TOKENS = (5, 3), 8
# Options of generation that change a text and that the runtime does not have, and what they must be.
_NOT_SUPPORTED = {
    "do_sample": False,
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "min_length": 0,
    "min_new_tokens": 0,
    "num_beam_groups": 1,
    "bad_words_ids": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
}


def export_onnx(model: Any, processor: Any, directory: str | Path, int8: bool = False, float16: bool = False) -> Path:
    """Writes a model as ONNX, and compares what it then answers with torch.

    Args:
        model ([`SigmaPreTrainedModel`]):
            A label head (logits and a vector per clip), a model that writes (encoder and decoder), or any other Sigma
            model (a vector per clip). It is exported in float32 and evaluation mode, and does not change.
        processor ([`SigmaProcessor`] or [`SigmaFeatureExtractor`]):
            The processor, or for a label head without a prompt the feature extractor.
        directory (`str` or `Path`):
            The folder to write; it must not exist, or be empty. It appears once everything in it is complete.
        int8 (`bool`, *optional*, defaults to `False`):
            Whether to write each graph a second time with its weights in int8, a quarter of the size.
        float16 (`bool`, *optional*, defaults to `False`):
            Whether to write each graph once more with its weights in float16, half of the size.

    Returns:
        `Path`: the folder. [`load_pipeline`] opens it.

    Raises:
        ImportError: if the packages of the extra `onnx` are not installed.
        ValueError: for a folder that is not empty, an unknown kind of model, an adapter that is not merged, or options
            of generation that the runtime does not have.
        RuntimeError: if the exported model answers otherwise than torch.
    """
    directory = Path(directory)
    kind = _checked_kind(model)
    check_packages()
    check_target(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    scratch = directory.parent / f".{os.getpid()}-{directory.name}"
    try:
        scratch.mkdir()
        _write_bundle(_ready_to_trace(model), kind, processor, scratch, {"float16": float16, "int8": int8})
        if directory.exists():
            directory.rmdir()
        scratch.rename(directory)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return directory


def check_packages() -> None:
    """Whether everything that exporting needs is installed.

    Raises:
        ImportError: if not.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(f'exporting needs {", ".join(missing)}: pip install -e ".[onnx]" in the folder of sigma-slu')


def check_target(directory: Path) -> None:
    """Whether a folder may be written: it does not exist yet, or is empty.

    Raises:
        ValueError: if not.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ValueError(f"{directory}: expected a new or an empty folder, found files: delete it or choose another")


def _checked_kind(model: Any) -> ModelKind:
    if hasattr(model, "peft_config"):
        raise ValueError(
            "expected a whole model, received an adapter on one: merge it first, model = model.merge_and_unload()"
        )
    name = type(model).__name__
    if name not in MODEL_KINDS:
        raise ValueError(f"expected a model of one of the classes {', '.join(MODEL_KINDS)}, received {name}")
    kind = MODEL_KINDS[name]
    if getattr(model, "untrained_weights", []):
        raise ValueError(f"expected a trained model, received a {name} with random weights: train it first")
    if kind.writes:
        options = model.generation_config.to_dict()
        wrong = [
            option
            for option, plain in _NOT_SUPPORTED.items()
            if options.get(option) is not None and options[option] != plain
        ]
        if wrong:
            raise ValueError(
                f"expected greedy or beam search, found {', '.join(wrong)} in generation_config.json: exported models "
                "cannot do that, remove it"
            )
    return kind


def _ready_to_trace(model: Any) -> Any:
    """The model in float32 on the CPU in evaluation mode: itself, or a copy where it is something else."""
    import torch

    parameters = list(model.parameters())
    if getattr(model, "is_quantized", False):
        raise ValueError("expected float weights, received a quantised model: load it as it was trained")
    is_ready = all(one.dtype == torch.float32 and one.device.type == "cpu" for one in parameters)
    return model if is_ready and not model.training else copy.deepcopy(model).float().cpu().eval()


def _write_bundle(model: Any, kind: ModelKind, processor: Any, folder: Path, smaller: dict[str, bool]) -> None:
    from modeling_sigma.conversion.export_graphs import graphs_of

    graphs = graphs_of(model, kind)
    precisions = ["float32", *(name for name, is_asked in smaller.items() if is_asked)]
    described = {graph.name: _write_graph(graph, folder, precisions) for graph in graphs}
    _compare(model, graphs, folder)
    config = copy.deepcopy(model.config)
    config.architectures = [kind.class_name]
    config.save_pretrained(folder)
    processor.save_pretrained(folder)
    getattr(processor, "feature_extractor", processor).save_pretrained(folder)
    if kind.writes:
        model.generation_config.save_pretrained(folder)
    (folder / GOLDEN).write_text(json.dumps(_golden(model, kind)) + "\n", encoding="utf-8")
    write_manifest(
        folder,
        sigma_slu_version=modeling_sigma.__version__,
        architecture=kind.class_name,
        pipelines=[*kind.pipelines] if kind.has_labels or kind.writes else [FEATURES],
        opset=OPSET,
        precisions=precisions,
        graphs=described,
        packages={name: version(name) for name in ("torch", "transformers", *PACKAGES)},
    )


def _write_graph(graph: Graph, folder: Path, precisions: list[str]) -> dict[str, Any]:
    """Writes the files of a graph; returns what the manifest says of it: shapes of inputs and outputs."""
    import onnx
    import onnx_ir

    program = _traced(graph)
    _name_axes(program, graph)
    for one in program.graphs():
        one.metadata_props.clear()
        for node in one:  # where in the source it comes from, with paths of this machine
            node.metadata_props.clear()
            node.doc_string = None
            for value in node.outputs:
                value.metadata_props.clear()
    path = folder / graph_file_name(graph.name, "float32")
    size = sum(value.const_value.nbytes for value in program.graph.initializers.values() if value.const_value)
    onnx_ir.save(program, str(path), external_data=f"{path.name}.data" if size > MAX_BYTES_INSIDE else None)
    for precision in precisions[1:]:
        proto = onnx.load(str(path))
        _SMALLER[precision](proto)
        target = folder / graph_file_name(graph.name, precision)
        is_large = proto.ByteSize() > MAX_BYTES_INSIDE
        onnx.save(proto, str(target), save_as_external_data=is_large, location=f"{target.name}.data")
    values = {"inputs": program.graph.inputs, "outputs": program.graph.outputs}
    return {
        side: {
            value.name: [str(size) if not isinstance(size, int) else size for size in value.shape] for value in them
        }
        for side, them in values.items()
    }


def _traced(graph: Graph) -> Any:
    """The graph as an `onnx_ir.Model`, by transformers' exporter."""
    from torch.export import Dim
    from transformers.exporters.exporter_onnx import OnnxConfig, OnnxExporter

    shapes = {name: dict.fromkeys(axes, Dim.DYNAMIC) for name, axes in graph.axes.items()}
    with _quietly():
        exported = OnnxExporter().export(
            graph.module.eval(), dict(graph.inputs), OnnxConfig(dynamic_shapes=shapes, opset_version=OPSET)
        )
    return exported.program


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without the exporters' reports on their own progress and on operators that no model here has."""
    from transformers.utils import logging as transformers_logging

    loggers = [logging.getLogger("torch.onnx"), logging.getLogger("torch.onnx._internal.exporter._registration")]
    levels, verbosity = [one.level for one in loggers], transformers_logging.get_verbosity()
    for one in loggers:
        one.setLevel(logging.ERROR)
    transformers_logging.set_verbosity_error()
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        for one, level in zip(loggers, levels):
            one.setLevel(level)


def _name_axes(program: Any, graph: Graph) -> None:
    """Gives the axes that may have any length their names, in place of those that tracing made up."""
    import onnx_ir

    names: dict[str, str] = {}
    for value in program.graph.inputs:
        for axis, name in graph.axes[value.name].items():
            names.setdefault(str(value.shape[axis].value), name)
    for value in [*program.graph.inputs, *program.graph.outputs]:
        sizes = [size if isinstance(size, int) else _renamed(str(size.value), names) for size in value.shape]
        value.shape = onnx_ir.Shape(sizes)


def _renamed(expression: str, names: dict[str, str]) -> str:
    return re.sub(r"\w+", lambda match: names.get(match[0], match[0]), expression)


def _compare(model: Any, graphs: list[Graph], folder: Path) -> None:
    """Runs all graphs on clips of other numbers and lengths than they were traced with."""
    import torch

    from modeling_sigma.conversion.export_graphs import empty_past, example_clips

    for seed, lengths in enumerate(CHECKED_LENGTHS, start=1):
        feeds = example_clips(model, lengths, seed)[0]
        for graph in graphs:
            with torch.no_grad():
                expected = graph.module(**feeds)
            _compare_graph(graph, folder, feeds, expected)
            if graph.name == "encoder":
                feeds = {name: expected[name] for name in ("encoder_attention_mask", "cross_keys", "cross_values")}
                tokens = torch.arange(2 * len(lengths)).reshape(len(lengths), 2)
                feeds |= {"decoder_input_ids": tokens, **empty_past(expected["cross_keys"])}


def _compare_graph(graph: Graph, folder: Path, feeds: dict[str, Any], expected: dict[str, Any]) -> None:
    import numpy as np
    from onnxruntime import InferenceSession

    session = InferenceSession(
        str(folder / graph_file_name(graph.name, "float32")), providers=["CPUExecutionProvider"]
    )
    found = session.run(list(expected), {name: value.numpy() for name, value in feeds.items()})
    for (name, tensor), array in zip(expected.items(), found, strict=True):
        reference = tensor.numpy()
        error = float(np.abs(array - reference).max())
        if not error <= TOLERANCE * max(1.0, float(np.abs(reference).max())):
            raise RuntimeError(
                f"the exported {graph.name} gives other {name} than torch (difference {error:.2g}): please report it, "
                "with the versions of torch, transformers, onnx, onnxscript and onnxruntime"
            )


def _golden(model: Any, kind: ModelKind) -> dict[str, dict[str, Any]]:
    """Inputs and what the model answers in torch, small enough for JSON."""
    import torch

    from modeling_sigma.conversion.export_graphs import example_clips

    clips = example_clips(model, _GOLDEN_LENGTHS)[0]
    with torch.no_grad():
        outputs = {"pose_embeds": model.get_pose_features(**clips).pooler_output}
        if kind.has_labels:
            outputs["logits"] = model(**clips).logits
        if kind.writes:
            outputs["tokens"] = model.generate(**clips, num_beams=1, do_sample=False, max_new_tokens=_GOLDEN_TOKENS)
    return {
        side: {name: _listed(value) for name, value in them.items()}
        for side, them in (("inputs", clips), ("outputs", outputs))
    }


def _listed(tensor: Any) -> Any:
    """Nested lists, with as many digits as float32 has."""
    values = tensor.tolist()
    return values if not tensor.is_floating_point() else _rounded(values)


def _rounded(values: Any) -> Any:
    return [_rounded(value) for value in values] if isinstance(values, list) else float(f"{values:.9g}")
