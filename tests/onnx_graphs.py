"""Tiny ONNX files that are right about very simple pictures: a person is where something bright is.

They are written byte by byte (an ONNX file is a protocol buffer), so that the tests need no package for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _tensor(name: str, array: np.ndarray) -> bytes:
    kind = {"float32": 1, "int64": 7}[str(array.dtype)]
    dims = b"".join(_field(1, size) for size in array.shape)
    return dims + _field(2, kind) + _field(8, name) + _field(9, array.tobytes())


def _value(name: str, shape: Sequence[int]) -> bytes:
    dims = b"".join(_field(1, _field(1, size)) for size in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, dims)))


def _node(kind: str, inputs: Sequence[str], output: str, **attributes: int | list[int]) -> bytes:
    encoded = b"".join(_field(1, name) for name in inputs) + _field(2, output) + _field(4, kind)
    for name, value in attributes.items():
        if isinstance(value, int):
            attribute = _field(1, name) + _field(3, value) + _field(20, 2)
        else:
            attribute = _field(1, name) + b"".join(_field(8, item) for item in value) + _field(20, 7)
        encoded += _field(5, attribute)
    return encoded


def _write(path: Path, nodes: Sequence[bytes], constants: dict[str, np.ndarray], picture, outputs) -> str:
    graph = b"".join(_field(1, node) for node in nodes) + _field(2, "graph")
    graph += b"".join(_field(5, _tensor(name, array)) for name, array in constants.items())
    graph += _field(11, _value("picture", picture))
    graph += b"".join(_field(12, _value(name, shape)) for name, shape in outputs.items())
    path.write_bytes(_field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 13)))
    return str(path)


def write_detector(path: Path, box: Sequence[float], size: int = 64) -> str:
    """A YOLOX with suppression inside: one person in `box` (of its own picture) if any pixel is brighter than 165."""
    constants = {
        "middle": np.float32([127]),
        "range": np.float32([128]),
        "flat": np.int64([1, 1, 1]),
        "box": np.float32(box).reshape(1, 1, 4),
    }
    nodes = [
        _node("ReduceMax", ["picture"], "brightest", axes=[0, 1, 2, 3], keepdims=0),
        _node("Sub", ["brightest", "middle"], "above"),
        _node("Div", ["above", "range"], "share"),
        _node("Reshape", ["share", "flat"], "score"),
        _node("Concat", ["box", "score"], "detections", axis=2),
    ]
    return _write(path, nodes, constants, (1, 3, size, size), {"detections": (1, 1, 5)})


def write_pose_network(path: Path, height: int = 64, width: int = 48, num_keypoints: int = 133) -> str:
    """An RTMPose whose keypoints all lie on the brightest pixel."""
    constants = {"everywhere": np.ones((1, num_keypoints, 1), np.float32)}
    nodes, outputs = [], {}
    for name, size, other_axis in (("simcc_x", width, 2), ("simcc_y", height, 3)):
        finer = np.zeros((size, 2 * size), np.float32)  # the network counts half pixels
        finer[np.arange(size), 2 * np.arange(size)] = 0.3
        constants[f"{name}_finer"] = finer
        constants[f"{name}_shape"] = np.int64([1, 1, 2 * size])
        nodes += [
            _node("ReduceMax", ["picture"], f"{name}_profile", axes=[1, other_axis], keepdims=0),
            _node("MatMul", [f"{name}_profile", f"{name}_finer"], f"{name}_fine"),
            _node("Reshape", [f"{name}_fine", f"{name}_shape"], f"{name}_row"),
            _node("Mul", [f"{name}_row", "everywhere"], name),
        ]
        outputs[name] = (1, num_keypoints, 2 * size)
    return _write(path, nodes, constants, (1, 3, height, width), outputs)
