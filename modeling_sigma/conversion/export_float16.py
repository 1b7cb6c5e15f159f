"""An exported graph with its weights in float16: half of the size, and the same answers.

Weights alone are stored in float16, and turned into float32 when the graph is read; all that is computed is float32.
The five likeliest signs of the shipped checkpoint, which is stored in 16 bits itself, do not change
(`benchmarks/live_page.py answers`), where int8 exchanges neighbours.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from modeling_sigma.conversion.export_int8 import SMALLEST_WEIGHT


def weights_to_float16(model: Any) -> int:
    """Stores the weights in float16. Changes the graph in place.

    Args:
        model (`onnx.ModelProto`):
            A graph in float32, with its weights in memory.

    Returns:
        `int`: the number of weights that are now float16; those that hold larger numbers than it has stay.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    graph_outputs = {output.name for output in graph.output}
    num_done = 0
    for tensor in list(graph.initializer):
        name = tensor.name
        if name in graph_outputs or tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < SMALLEST_WEIGHT:
            continue
        values = numpy_helper.to_array(tensor)
        if not np.abs(values).max() <= np.finfo(np.float16).max:
            continue
        graph.initializer.remove(tensor)
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), f"{name}_float16"))
        graph.node.insert(0, helper.make_node("Cast", [f"{name}_float16"], [name], to=TensorProto.FLOAT))
        num_done += 1
    return num_done
