"""Bundles of exported models: checksums, int8 weights, and messages. No model is exported here."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from modeling_sigma import SigmaForConditionalGeneration, SigmaForCTC, SigmaForSequenceClassification, load_pipeline
from modeling_sigma.cli.main import main
from modeling_sigma.conversion import export
from modeling_sigma.conversion.export import export_onnx
from modeling_sigma.conversion.export_bundle import MANIFEST, is_bundle, read_bundle, write_manifest
from modeling_sigma.conversion.export_float16 import weights_to_float16
from modeling_sigma.conversion.export_graphs import DecoderGraph, EncoderGraph, example_clips
from modeling_sigma.conversion.export_int8 import weights_to_int8
from modeling_sigma.inference.onnx_generation import score_texts, write_greedily, write_with_beams
from modeling_sigma.model.label_trie_sigma import LabelTrie
from tests.factories import tiny_model, tiny_processor


# --- the folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    for name in ("model.onnx", "model_int8.onnx", "config.json"):
        (folder / name).write_bytes(name.encode())
    write_manifest(
        folder,
        architecture=SigmaForCTC.__name__,
        pipelines=["continuous-sign-recognition"],
        precisions=["float32", "int8"],
        graphs={"model": {}},
    )
    return folder


def test_the_path_chooses_the_precision(bundle: Path) -> None:
    assert is_bundle(bundle) and is_bundle(bundle / "model.onnx") and not is_bundle(bundle.parent)
    assert read_bundle(bundle).precision == read_bundle(bundle / "model.onnx").precision == "float32"
    for found in (read_bundle(bundle, "int8"), read_bundle(bundle / "model_int8.onnx")):
        assert found.graph_file("model") == bundle / "model_int8.onnx"
    with pytest.raises(ValueError, match="model.onnx, which is float32, .* received both with int8"):
        read_bundle(bundle / "model.onnx", "int8")
    with pytest.raises(ValueError, match="a precision among float32, int8, received 'bfloat16'"):
        read_bundle(bundle, "bfloat16")
    (bundle / "README.md").write_text("a card may change")
    read_bundle(bundle)


def _flip(folder: Path) -> None:
    content = bytearray((folder / "model_int8.onnx").read_bytes())
    content[3] ^= 1
    (folder / "model_int8.onnx").write_bytes(content)


def _edit_manifest(folder: Path, **changes: Any) -> None:
    facts = json.loads((folder / MANIFEST).read_text())
    facts.update(changes)
    (folder / MANIFEST).write_text(json.dumps(facts))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_flip, "model_int8.onnx does not have the checksum that it was written with: copy or export it again"),
        (lambda folder: (folder / "config.json").write_text("{}"), "config.json has 2 bytes instead of 11"),
        (lambda folder: (folder / "model_int8.onnx").unlink(), "is damaged: model_int8.onnx is missing"),
        (lambda folder: (folder / MANIFEST).write_text("{"), "onnx_bundle.json is damaged"),
        (lambda folder: (folder / MANIFEST).write_text("[]"), "is damaged .no format"),
        (lambda folder: (folder / MANIFEST).write_text("[" * 100_000), "onnx_bundle.json is damaged"),
        (lambda folder: _edit_manifest(folder, format=99), "expected a bundle of format 1, found 99"),
        (lambda folder: _edit_manifest(folder, files=None), "is damaged .no files"),
        (lambda folder: _edit_manifest(folder, files={}), "model.onnx has no checksum"),
        (
            lambda folder: _edit_manifest(folder, files={"../model.onnx": {}, "model.onnx": 3}),
            "'../model.onnx' is no file of a bundle",
        ),
        (
            lambda folder: (folder / MANIFEST).unlink(),
            "expected a model that `sigma-slu export` wrote, found no onnx_b",
        ),
    ],
)
def test_a_damaged_bundle(damage: Any, message: str, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(bundle)
    with pytest.raises(ValueError, match=message):
        read_bundle(bundle / "model.onnx")
    assert main(["export", "--check", str(bundle)]) == 1
    assert capsys.readouterr().err.startswith("sigma-slu export: error: ")


def test_files_that_are_no_graph(bundle: Path, tmp_path: Path) -> None:
    facts = json.loads((bundle / MANIFEST).read_text())
    (bundle / "config.json").write_text("{}")
    write_manifest(bundle, **{name: facts[name] for name in facts.keys() - {"files", "format"}})
    with pytest.raises(ValueError, match="ONNX Runtime cannot read it"):
        load_pipeline(bundle)
    with pytest.raises(ValueError, match="expected an exported model, found nothing: check the path"):
        load_pipeline(tmp_path / "nowhere.onnx")


# --- what is refused


def test_what_cannot_be_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, processor = tiny_model(), tiny_processor()
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "something").touch()
    with pytest.raises(ValueError, match="expected a new or an empty folder, found files"):
        export_onnx(model, processor, taken)
    with pytest.raises(ValueError, match="expected a model of one of the classes Sigma.*, received Linear"):
        export_onnx(torch.nn.Linear(1, 1), processor, tmp_path / "out")
    with pytest.raises(
        ValueError, match=r"received an adapter on one: merge it first, model = model.merge_and_unload"
    ):
        export_onnx(SimpleNamespace(peft_config={}), processor, tmp_path / "out")
    model.generation_config.repetition_penalty = 1.5
    with pytest.raises(ValueError, match="found repetition_penalty in generation_config.json"):
        export_onnx(model, processor, tmp_path / "out")
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(ImportError, match=r'exporting needs onnxscript: pip install -e "\.\[onnx\]"'):
        export_onnx(tiny_model(), processor, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_commands_name_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    for name, message in (
        ("adapter", "expected a whole model, found an adapter"),
        ("empty", "expected the folder of a model, found no config.json in it"),
    ):
        assert main(["export", str(tmp_path / name), "--out", str(tmp_path / "out")]) == 1
        assert message in capsys.readouterr().err
    assert main(["export", "--check", str(tmp_path / "empty")]) == 1
    assert "expected a model that `sigma-slu export` wrote" in capsys.readouterr().err
    assert main(["export", "--check", "x", "--int8"]) == 1
    assert "expected --check alone" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# --- int8


def test_weights_in_int8_are_off_by_half_a_step(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table, matrix, gemm, kernel, small = (
        rng.normal(size=shape).astype(np.float32) for shape in ((64, 32), (48, 32), (40, 48), (32, 40, 1, 1), (4, 4))
    )
    table[7] *= 100  # its own scale: the other rows lose nothing
    nodes = [
        helper.make_node("Gather", ["table", "rows"], ["found"]),
        helper.make_node("Transpose", ["matrix"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["found", "turned"], ["product"]),
        helper.make_node("Gemm", ["product", "gemm"], ["scaled"], transB=1),
        helper.make_node("Reshape", ["scaled", "shape"], ["picture"]),
        helper.make_node("Conv", ["picture", "kernel"], ["out"]),
    ]
    arrays = {"table": table, "matrix": matrix, "gemm": gemm, "kernel": kernel, "shape": np.array([-1, 40, 1, 1])}
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("rows", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 32, 1, 1])],
        [numpy_helper.from_array(array, name) for name, array in {**arrays, "small": small}.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    rows = {"rows": np.array([7, 3, 3])}
    expected = onnxruntime.InferenceSession(model.SerializeToString()).run(None, rows)[0]
    size = len(model.SerializeToString())
    assert weights_to_int8(model) == 4
    onnx.checker.check_model(model)
    assert len(model.SerializeToString()) < 0.4 * size
    found = onnxruntime.InferenceSession(model.SerializeToString()).run(None, rows)[0]

    def rounded(values: np.ndarray, axis: int) -> np.ndarray:
        step = np.abs(values).max(axis=axis, keepdims=True) / 127
        return np.round(values / step) * step

    by_hand = rounded(table, 1)[rows["rows"]] @ rounded(matrix, 1).T @ rounded(gemm, 1).T
    by_hand = by_hand @ rounded(kernel[:, :, 0, 0], 1).T
    np.testing.assert_allclose(found[:, :, 0, 0], by_hand, rtol=1e-4, atol=1e-2)
    assert 0 < np.abs(found - expected).max() < 0.02 * np.abs(expected).max()


def test_weights_in_float16_are_off_by_a_2048th() -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "one": rng.normal(size=(48, 48)).astype(np.float32),
        "large": np.full((48, 48), 1e6, np.float32),  # no number of float16
        "small": np.full((2, 48), 1.0001, np.float32),
    }
    names = [*arrays]
    nodes = [
        helper.make_node("MatMul", ["in" if not k else f"out{k}", name], [f"out{k + 1}"])
        for k, name in enumerate(names[:2])
    ]
    nodes.append(helper.make_node("Gemm", ["out2", "small"], ["out"], transB=1))
    graph = helper.make_graph(
        nodes, "test",
        [helper.make_tensor_value_info("in", TensorProto.FLOAT, ["n", 48])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    assert weights_to_float16(model) == 1
    onnx.checker.check_model(model)
    rows = {"in": np.eye(48, dtype=np.float32)}
    (found,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, rows)
    half = arrays["one"].astype(np.float16).astype(np.float64)
    assert 0 < np.abs(half - arrays["one"]).max() <= np.abs(arrays["one"]).max() / 2048
    np.testing.assert_allclose(found, half @ arrays["large"] @ arrays["small"].T, rtol=1e-3, atol=1e3)


# --- writing, with torch in place of ONNX Runtime


class TorchGraphs:
    """An `OnnxModel` whose graphs are those that would be exported."""

    def __init__(self, model: Any) -> None:
        self.graphs = {"encoder": EncoderGraph(model).eval(), "decoder": DecoderGraph(model).eval()}
        self.text_config = model.config.text_config.to_dict()
        self.bundle = SimpleNamespace(read_json=lambda name: {})

    def run(self, graph: str, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        with torch.no_grad():
            found = self.graphs[graph](**{name: torch.from_numpy(value) for name, value in feeds.items()})
        return {name: value.numpy() for name, value in found.items()}


@pytest.mark.parametrize(
    "options",
    [
        {"num_beams": 1},
        {"num_beams": 4},
        {"num_beams": 4, "num_return_sequences": 3, "length_penalty": 2.0},
        {"num_beams": 3, "early_stopping": True},
        {"num_beams": 3, "early_stopping": "never"},
        {"num_beams": 2, "length_penalty": -1.0, "max_new_tokens": 5},
    ],
    ids=str,
)
def test_searches_find_what_generate_finds(options: dict[str, Any]) -> None:
    model = tiny_model(SigmaForConditionalGeneration).eval()
    clips = example_clips(model, (9, 4, 1))[0]
    options = {"max_new_tokens": 12, **options}
    sequences = model.generate(**clips, do_sample=False, **options).reshape(3, -1, 1 + options["max_new_tokens"])
    graphs = TorchGraphs(model)
    encoded = graphs.run("encoder", {name: value.numpy() for name, value in clips.items()})
    if options["num_beams"] == 1:
        found = [[text] for text in write_greedily(graphs, encoded, options["max_new_tokens"])]
    else:
        found = write_with_beams(graphs, encoded, **options)
    end = model.config.text_config.eos_token_id
    for texts, expected in zip(found, sequences.tolist(), strict=True):
        for text, row in zip(texts, expected, strict=True):
            written = row[1:]
            assert text == (written[: written.index(end) + 1] if end in written else written)


def test_likelihoods_of_labels_are_those_of_torch() -> None:
    from modeling_sigma.model import pipeline_sigma

    model = tiny_model(SigmaForConditionalGeneration).eval()
    clips = example_clips(model, (9, 4))[0]
    tokens = [[5, 6, 1], [7, 1], [5, 8, 9, 1], [5, 6, 9, 1]]
    with torch.no_grad():
        expected = pipeline_sigma.score_labels(model, model.encode_poses(**clips), LabelTrie(tokens, pad_token_id=0))
    graphs = TorchGraphs(model)
    encoded = graphs.run("encoder", {name: value.numpy() for name, value in clips.items()})
    np.testing.assert_allclose(score_texts(graphs, encoded, tokens), expected.numpy(), atol=1e-4)


def test_label_graphs_give_logits_and_vectors() -> None:
    from modeling_sigma.conversion.export_graphs import graphs_of
    from modeling_sigma.model.model_kinds_sigma import MODEL_KINDS

    for cls in (SigmaForSequenceClassification, SigmaForCTC):
        model = tiny_model(cls, num_labels=3).eval()
        [graph] = graphs_of(model, MODEL_KINDS[cls.__name__])
        with torch.no_grad():
            found = graph.module.eval()(**graph.inputs)
            torch.testing.assert_close(found["logits"], model(**graph.inputs).logits)
            torch.testing.assert_close(found["pose_embeds"], model.get_pose_features(**graph.inputs).pooler_output)
