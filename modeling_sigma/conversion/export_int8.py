"""An exported graph with its weights in int8: a quarter of the size.

Weights alone are stored in int8, with one scale per output channel (per row of an embedding), and multiplied out where
they are used; activations stay float32. That needs no calibration clips, works for every head, and changes few
answers: 0.9 % of the shipped checkpoint's first ones, where int8 activations, which are faster, changed 1.8 to 3.1 %
(`benchmarks/onnx_latency.py --activations`).
"""

from __future__ import annotations

from typing import Any

import numpy as np


# Smaller weights are not worth a node of their own.
SMALLEST_WEIGHT = 1024
_LEVELS = 127


def weights_to_int8(model: Any) -> int:
    """Stores the weights of convolutions, matrix products and embeddings in int8. Changes the graph in place.

    Args:
        model (`onnx.ModelProto`):
            A graph in float32, with its weights in memory.

    Returns:
        `int`: the number of weights that are now int8.
    """
    from onnx import numpy_helper

    graph = model.graph
    _fold_transposes(graph)
    weights = {tensor.name: tensor for tensor in graph.initializer}
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in set(node.input) & weights.keys():
            readers.setdefault(name, []).append(node)
    graph_outputs = {output.name for output in graph.output}
    num_done = 0
    for name, nodes in readers.items():
        axis, *others = {_channel_axis(node, name, len(weights[name].dims)) for node in nodes}
        if axis is None or others or name in graph_outputs or np.prod(weights[name].dims) < SMALLEST_WEIGHT:
            continue
        values = numpy_helper.to_array(weights[name])
        if values.dtype != np.float32:
            continue
        _replace(graph, weights[name], values, axis, nodes)
        num_done += 1
    return num_done


def _fold_transposes(graph: Any) -> None:
    """Stores weights that are transposed before they are used as they are used."""
    from onnx import numpy_helper

    weights = {tensor.name: tensor for tensor in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "Transpose" and node.input[0] in weights]:
        order = next((list(entry.ints) for entry in node.attribute if entry.name == "perm"), None)
        values = np.ascontiguousarray(numpy_helper.to_array(weights[node.input[0]]).transpose(order))
        graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
        graph.node.remove(node)
    read = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in read]:
        graph.initializer.remove(tensor)


def _channel_axis(node: Any, weight: str, num_axes: int) -> int | None:
    """The axis of a weight that gets one scale per entry; None where the weight stays in float32."""
    if node.op_type == "Gather":
        is_rows = node.input[0] == weight and not any(entry.name == "axis" and entry.i for entry in node.attribute)
        return 0 if is_rows and num_axes == 2 else None
    if node.op_type not in ("Conv", "MatMul", "Gemm") or node.input[1] != weight or num_axes < 2:
        return None
    is_transposed = any(entry.name == "transB" and entry.i for entry in node.attribute)
    return 0 if node.op_type == "Conv" or is_transposed else num_axes - 1


def _replace(graph: Any, tensor: Any, values: np.ndarray, axis: int, nodes: list[Any]) -> None:
    from onnx import helper, numpy_helper

    name = tensor.name
    others = tuple(other for other in range(values.ndim) if other != axis)
    scales = (np.abs(values).max(axis=others) / _LEVELS).astype(np.float32)
    scales[scales == 0] = 1.0
    shape = [-1 if other == axis else 1 for other in range(values.ndim)]
    levels = np.clip(np.round(values / scales.reshape(shape)), -_LEVELS, _LEVELS).astype(np.int8)
    graph.initializer.remove(tensor)
    graph.initializer.append(numpy_helper.from_array(levels, f"{name}_int8"))
    if any(node.op_type != "Gather" for node in nodes):
        graph.initializer.append(numpy_helper.from_array(scales, f"{name}_scale"))
        dequantize = helper.make_node("DequantizeLinear", [f"{name}_int8", f"{name}_scale"], [name], axis=axis)
        graph.node.insert(0, dequantize)
    lookups = [node for node in nodes if node.op_type == "Gather"]
    if lookups:
        graph.initializer.append(numpy_helper.from_array(scales[:, None], f"{name}_row_scale"))
    for node in lookups:  # only the rows that are looked up are multiplied out
        _look_up_rows(graph, node, name)


def _look_up_rows(graph: Any, node: Any, name: str) -> None:
    from onnx import TensorProto, helper

    result, indices = node.output[0], node.input[1]
    rows = [
        helper.make_node("Gather", [f"{name}_int8", indices], [f"{result}_int8"]),
        helper.make_node("Cast", [f"{result}_int8"], [f"{result}_levels"], to=TensorProto.FLOAT),
        helper.make_node("Gather", [f"{name}_row_scale", indices], [f"{result}_scale"]),
        helper.make_node("Mul", [f"{result}_levels", f"{result}_scale"], [result]),
    ]
    place = list(graph.node).index(node)
    graph.node.remove(node)
    for offset, replacement in enumerate(rows):
        graph.node.insert(place + offset, replacement)
