"""Turns the networks inside MediaPipe's older packages into those that its newer Holistic landmarker expects.

The weights stay as they are. Two networks get a note that says how pictures are scaled; the face mesh with attention,
which answers in seven arrays (mesh, lips, eyes, irises), gets two operators that sort these into one, 478 x 3.
"""

from __future__ import annotations

from typing import Any

import numpy as np


# The points of the face mesh that the network's refined outputs stand for, in their order.
# Source: google-ai-edge/mediapipe (Apache-2.0), tensors_to_face_landmarks_with_attention.pbtxt.
_LIPS = (
    *(61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409),
    *(78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415),
    *(76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306, 184, 74, 73, 72, 11, 302, 303, 304, 408),
    *(62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292, 183, 42, 41, 38, 12, 268, 271, 272, 407),
)
_LEFT_EYE = (
    *(33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173, 130, 25, 110, 24, 23, 22, 26, 112),
    *(243, 247, 30, 29, 27, 28, 56, 190, 226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221),
    *(189, 35, 124, 46, 53, 52, 65, 143, 111, 117, 118, 119, 120, 121, 128, 245, 156, 70, 63, 105, 66, 107, 55, 193),
)
_RIGHT_EYE = (
    *(263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398, 359, 255, 339, 254, 253, 252),
    *(256, 341, 463, 467, 260, 259, 257, 258, 286, 414, 446, 261, 448, 449, 450, 451, 452, 453, 464, 342, 445, 444),
    *(443, 442, 441, 413, 265, 353, 276, 283, 282, 295, 372, 340, 346, 347, 348, 349, 350, 357, 465, 383, 300, 293),
    *(334, 296, 336, 285, 417),
)
_NUM_MESH_POINTS, _LEFT_IRIS, _RIGHT_IRIS = 468, tuple(range(468, 473)), tuple(range(473, 478))
_REFINED = (_LIPS, _LEFT_EYE, _RIGHT_EYE, _LEFT_IRIS, _RIGHT_IRIS)
# An iris has no depth of its own: it takes that of a point of its eyelid, which nothing of ours reads.
_LEFT_EYELID, _RIGHT_EYELID = 159, 386

_PICTURE_NOTE = "TFLITE_METADATA"


def with_picture_note(network: bytes) -> bytes:
    """The network, with a note that its pictures hold values from 0 to 1."""
    model = _parsed(network)
    _add_picture_note(model)
    return _written(model, b"TFL3")


def with_one_mesh(network: bytes) -> bytes:
    """The face mesh with attention, whose seven outputs have become two: 478 points (x, y, z), and their certainty."""
    from mediapipe.tasks.metadata import schema_py_generated as tflite

    model = _parsed(network)
    graph = model.subgraphs[0]
    parts, certainty = list(graph.outputs)[:6], graph.outputs[6]
    order = mesh_order()
    num_values = 3 * _NUM_MESH_POINTS + 2 * sum(map(len, _REFINED))
    joined = _add_tensor(model, "joined", (1, 1, 1, num_values), tflite.TensorType.FLOAT32)
    places = _add_tensor(model, "places", (len(order),), tflite.TensorType.INT32, order.tobytes())
    mesh = _add_tensor(model, "mesh", (1, 1, 1, len(order)), tflite.TensorType.FLOAT32)
    join, gather = tflite.ConcatenationOptionsT(), tflite.GatherOptionsT()
    join.axis = gather.axis = 3
    _add_operator(model, "CONCATENATION", join, parts, joined)
    _add_operator(model, "GATHER", gather, [joined, places], mesh)
    graph.outputs = [mesh, certainty]
    model.signatureDefs = None  # they speak of the old outputs
    _add_picture_note(model)
    return _written(model, b"TFL3")


def mesh_order() -> np.ndarray:
    """For x, y and z of each of the 478 points, its place among all values of the six outputs: `(1434,)` int32."""
    order = np.zeros((_RIGHT_IRIS[-1] + 1, 3), np.int32)
    order[:_NUM_MESH_POINTS] = np.arange(3 * _NUM_MESH_POINTS).reshape(-1, 3)
    order[list(_LEFT_IRIS), 2] = order[_LEFT_EYELID, 2]
    order[list(_RIGHT_IRIS), 2] = order[_RIGHT_EYELID, 2]
    start = 3 * _NUM_MESH_POINTS
    for points in _REFINED:
        order[list(points), :2] = start + np.arange(2 * len(points)).reshape(-1, 2)
        start += 2 * len(points)
    return order.reshape(-1)


def _parsed(network: bytes) -> Any:
    from mediapipe.tasks.metadata import schema_py_generated as tflite

    return tflite.ModelT.InitFromObj(tflite.Model.GetRootAs(network, 0))


def _written(table: Any, kind: bytes) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(table.Pack(builder), file_identifier=kind)
    return bytes(builder.Output())


def _add_buffer(model: Any, content: bytes) -> int:
    from mediapipe.tasks.metadata import schema_py_generated as tflite

    buffer = tflite.BufferT()
    if content:
        buffer.data = np.frombuffer(content, np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def _add_tensor(model: Any, name: str, shape: tuple[int, ...], kind: int, content: bytes = b"") -> int:
    from mediapipe.tasks.metadata import schema_py_generated as tflite

    tensor = tflite.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), kind, _add_buffer(model, content)
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1


def _add_operator(model: Any, name: str, options: Any, inputs: list[int], output: int) -> None:
    from mediapipe.tasks.metadata import schema_py_generated as tflite

    code, operator = tflite.OperatorCodeT(), tflite.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(tflite.BuiltinOperator, name)
    code.version = 1
    model.operatorCodes.append(code)
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs, operator.outputs = inputs, [output]
    kind = type(options).__name__.removesuffix("T")
    operator.builtinOptionsType, operator.builtinOptions = getattr(tflite.BuiltinOptions, kind), options
    model.subgraphs[0].operators.append(operator)


def _add_picture_note(model: Any) -> None:
    """Says how many outputs the network has, and that colours from 0 to 255 become values from 0 to 1."""
    from mediapipe.tasks.metadata import metadata_schema_py_generated as notes
    from mediapipe.tasks.metadata import schema_py_generated as tflite

    scaling, unit, picture = notes.NormalizationOptionsT(), notes.ProcessUnitT(), notes.TensorMetadataT()
    scaling.mean, scaling.std = [0.0], [255.0]
    unit.optionsType, unit.options = notes.ProcessUnitOptions.NormalizationOptions, scaling
    colours, content = notes.ImagePropertiesT(), notes.ContentT()
    colours.colorSpace = notes.ColorSpaceType.RGB
    content.contentPropertiesType, content.contentProperties = notes.ContentProperties.ImageProperties, colours
    picture.name, picture.processUnits, picture.content = "picture", [unit], content
    graph, whole = notes.SubGraphMetadataT(), notes.ModelMetadataT()
    graph.inputTensorMetadata = [picture]
    graph.outputTensorMetadata = []
    for number in range(len(model.subgraphs[0].outputs)):
        output = notes.TensorMetadataT()
        output.name = f"output {number}"
        graph.outputTensorMetadata.append(output)
    whole.subgraphMetadata = [graph]
    entry = tflite.MetadataT()
    entry.name, entry.buffer = _PICTURE_NOTE, _add_buffer(model, _written(whole, b"M001"))
    others = [note for note in model.metadata or () if note.name not in (_PICTURE_NOTE, _PICTURE_NOTE.encode())]
    model.metadata = [*others, entry]
