"""An exported model in ONNX Runtime: arrays in, arrays out. No torch is needed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from modeling_sigma.conversion.export_bundle import OnnxBundle, read_bundle


# Unit vectors and logits of an exported model, against those before: smaller precisions round weights.
_CLOSE = {"float32": 1e-3, "float16": 1e-2, "int8": 0.2}
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxModel:
    """The graphs of an exported model, and what its configuration says.

    Args:
        bundle ([`OnnxBundle`]):
            The folder.
        device (`str`, *optional*, defaults to `"cpu"`):
            `"cpu"`, or `"cuda"` where this build of ONNX Runtime has it.
        num_threads (`int`, *optional*):
            Threads to compute with; all cores by default.

    Attributes:
        config (`SimpleNamespace`): Of `config.json`: `id2label`, `ctc_blank_id`, `hidden_size`, `use_prompt` and
            `calibration`.

    Raises:
        ImportError: if ONNX Runtime is not installed.
        ValueError: if it cannot compute on the device, or cannot read a graph.
    """

    def __init__(self, bundle: OnnxBundle, device: str = "cpu", num_threads: int | None = None) -> None:
        self.bundle = bundle
        saved = bundle.read_json("config.json")
        self.text_config: dict[str, Any] = saved.get("text_config", {})
        labels = {int(number): label for number, label in saved.get("id2label", {}).items()}
        self.config = SimpleNamespace(
            id2label=labels,
            ctc_blank_id=saved.get("ctc_blank_id", 0),
            use_prompt=saved.get("use_prompt", True),
            hidden_size=self.text_config.get("d_model"),
            calibration=saved.get("calibration"),
        )
        self._sessions = {
            graph: _session(bundle.graph_file(graph), device, num_threads) for graph in bundle.facts["graphs"]
        }

    def can_generate(self) -> bool:
        """Whether it writes text."""
        return "decoder" in self._sessions

    def run(self, graph: str, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs of a graph, by name. Inputs that it does not have are left aside."""
        session = self._sessions[graph]
        wanted = {entry.name for entry in session.get_inputs()}
        missing = wanted - feeds.keys()
        if missing:
            raise ValueError(f"expected {', '.join(sorted(wanted))}, received no {', '.join(sorted(missing))}")
        names = [entry.name for entry in session.get_outputs()]
        values = session.run(names, {name: feeds[name] for name in wanted})
        return dict(zip(names, values, strict=True))

    def read_clips(self, clips: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the graph that reads clips makes of them: `pose_embeds`, and `logits` or what the decoder looks up."""
        return self.run("encoder" if self.can_generate() else "model", clips)


def _session(path: Path, device: str, num_threads: int | None) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            "exported models run in ONNX Runtime: pip install onnxruntime, or "
            'pip install -e ".[onnx]" in the folder of sigma-slu'
        ) from error
    provider = _PROVIDERS.get(device.partition(":")[0])
    available = onnxruntime.get_available_providers()
    if provider not in available:
        able = [name for name, known in _PROVIDERS.items() if known in available]
        raise ValueError(f"expected a device that this ONNX Runtime has ({', '.join(able)}), received {device!r}")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = num_threads or 0
    # int8 weights are multiplied out once, when the graph is read, and not for every clip.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=[provider])
    except Exception as error:  # ONNX Runtime has a class of its own for each reason
        raise ValueError(f"{path}: ONNX Runtime cannot read it ({error}): export it again") from error


def check_golden(path: str | Path, precision: str | None = None) -> dict[str, float]:
    """Compares an exported model with what it answered before it was exported.

    Args:
        path (`str` or `Path`), precision (`str`, *optional*):
            As in [`read_bundle`].

    Returns:
        `dict[str, float]`: output -> the largest difference, in units of its largest number (for `tokens`, how many
        are not the same).

    Raises:
        ValueError: if the folder is damaged, or answers otherwise than before.
    """
    from modeling_sigma.inference.onnx_generation import write_greedily

    bundle = read_bundle(path, precision)
    model = OnnxModel(bundle)
    golden = bundle.golden()
    types = {"pose_values": np.float32}
    feeds = {name: np.array(value, types.get(name, np.int64)) for name, value in golden["inputs"].items()}
    found = model.read_clips(feeds)
    differences: dict[str, float] = {}
    for name, value in golden["outputs"].items():
        if name == "tokens":
            if bundle.precision == "float32":  # one token that rounding changes changes all that follow
                texts = write_greedily(model, found, max_new_tokens=len(value[0]) - 1)
                pairs = [(text, [*row, *[0] * len(text)][1 : len(text) + 1]) for text, row in zip(texts, value)]
                differences[name] = float(sum(one != other for pair in pairs for one, other in zip(*pair)))
            continue
        expected = np.array(value, np.float32)
        differences[name] = float(np.abs(found[name] - expected).max() / np.abs(expected).max())
    wrong = [name for name, difference in differences.items() if not difference <= _CLOSE[bundle.precision]]
    if wrong:
        raise ValueError(
            f"{bundle.folder}: {', '.join(wrong)} in {bundle.precision} differ from what the model answered before it "
            f"was exported ({', '.join(f'{differences[name]:.2g}' for name in wrong)}): export it again"
        )
    return differences
