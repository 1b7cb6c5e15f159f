"""Released checkpoints of Uni-Sign and of the Sigma reference under our names, and the command that converts them."""

import io
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModelForSeq2SeqLM, AutoProcessor, BertConfig, MT5Config

from modeling_sigma import SigmaForConditionalGeneration, SigmaForPreTraining
from modeling_sigma.cli import main as cli
from modeling_sigma.conversion.released_checkpoints import (
    _SIGMA_NAMES,
    _UNI_SIGN_NAMES,
    _our_name,
    convert_sigma_pretraining,
    convert_uni_sign,
    load_foreign_checkpoint,
)
from tests.factories import tiny_inputs, tiny_tokenizer


ARTIFACTS = Path(__file__).parent / "artifacts"
State = dict[str, torch.Tensor]


def _text_config(**overrides: Any) -> MT5Config:
    """The tiny mT5 that the recorded names belong to."""
    sizes = {"vocab_size": 384, "d_model": 768, "num_heads": 4, "d_kv": 8, "d_ff": 32}
    return MT5Config(**{**sizes, "num_layers": 5, "num_decoder_layers": 5, **overrides})


def _random_state(kind: str) -> State:
    """Random arrays under the recorded names and shapes; what the reference shares is shared."""
    recorded = json.loads((ARTIFACTS / f"{kind}_state_dict_names.json").read_text())
    generator = torch.Generator().manual_seed(0)
    state: State = {}
    for name, shape in recorded["shapes"].items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
        else:
            state[name] = 0.1 * torch.randn(shape, generator=generator)
            if name.endswith("running_var"):
                state[name] = 0.5 + state[name].abs()
    for name, source in recorded["aliases"].items():
        state[name] = state[source]
    for name in recorded["shapes"]:
        if ".left." in name:
            state[name] = state[name.replace(".left.", ".right.")]
    if kind == "unisign":
        for stack in ("encoder", "decoder"):
            state[f"mt5_model.{stack}.embed_tokens.weight"] = state["mt5_model.shared.weight"]
    return state


@pytest.fixture(scope="module")
def uni_sign() -> State:
    return _random_state("unisign")


@pytest.fixture(scope="module")
def converted(uni_sign: State) -> SigmaForConditionalGeneration:
    return convert_uni_sign(uni_sign, _text_config())


@pytest.fixture(scope="module")
def sigma() -> State:
    return _random_state("sigma")


@pytest.fixture(scope="module")
def converted_sigma(sigma: State) -> SigmaForPreTraining:
    return convert_sigma_pretraining(sigma, _text_config())


# --- names


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        ("part_para", "pose_encoder.part_bias"),
        ("pose_proj.weight", "pose_encoder.projection.weight"),
        ("proj_linear.right.bias", "pose_encoder.parts.hand.joint_projection.bias"),
        ("proj_linear.face_all.weight", "pose_encoder.parts.face.joint_projection.weight"),
        ("gcn_modules.body.layer0_0.gcn.A", "pose_encoder.parts.body.spatial_chain.blocks.0.adjacency"),
        (
            "gcn_modules.right.layer2_0.gcn.bn.running_var",
            "pose_encoder.parts.hand.spatial_chain.blocks.2.spatial_norm.running_var",
        ),
        (
            "gcn_modules.body.layer1_0.residual.0.weight",
            "pose_encoder.parts.body.spatial_chain.blocks.1.residual_conv.weight",
        ),
        (
            "fusion_gcn_modules.face_all.layer0_2.tcn.0.weight",
            "pose_encoder.parts.face.temporal_chain.blocks.2.temporal_conv.weight",
        ),
        (
            "fusion_gcn_modules.body.layer0_1.tcn.1.running_mean",
            "pose_encoder.parts.body.temporal_chain.blocks.1.temporal_norm.running_mean",
        ),
        ("mt5_model.shared.weight", "shared.weight"),
        ("mt5_model.lm_head.weight", "lm_head.weight"),
        ("mt5_model.decoder.block.1.layer.1.layer_norm.weight", "decoder.block.1.layer.1.layer_norm.weight"),
        ("mt5_model.encoder.embed_tokens.weight", None),
        ("something.else", None),
    ],
)
def test_names_of_uni_sign(foreign: str, ours: str | None) -> None:
    assert _our_name(foreign, _UNI_SIGN_NAMES) == ours


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        ("hcl.early_fusion_encoder.vis_encrd.final_layer_norm.weight", "encoder.final_layer_norm.weight"),
        ("hcl.early_fusion_encoder.vis_encrd.embed_tokens.weight", "shared.weight"),
        ("hcl.early_fusion_encoder.txt_encrd.final_layer_norm.weight", "text_encoder.final_layer_norm.weight"),
        ("hcl.early_fusion_encoder.txt_encrd.embed_tokens.weight", None),
        ("hcl.early_fusion_encoder.vis_cls_token", "pose_cls_token.weight"),
        ("hcl.early_fusion_encoder.txt_cls_token", "text_cls_token.weight"),
        ("hcl.logit_scale", "logit_scale.weight"),
        ("stm.stm_head.bias", "matching_head.bias"),
        (
            "stm.sgt_encoder.block.0.layer.1.DenseReluDense.wo.weight",
            "matching_encoder.block.0.layer.2.DenseReluDense.wo.weight",
        ),
        ("stm.sgt_encoder.cross_attns.0.layer_norm.weight", "matching_encoder.block.0.layer.1.layer_norm.weight"),
        ("sgt_dec.block.4.layer.0.SelfAttention.q.weight", "decoder.block.4.layer.0.SelfAttention.q.weight"),
        ("sgt_dec_lm_head.weight", "lm_head.weight"),
        ("stm.temp", None),
    ],
)
def test_names_of_sigma(foreign: str, ours: str | None) -> None:
    assert _our_name(foreign, _SIGMA_NAMES) == ours


# --- Uni-Sign


def test_the_documented_name_leads_to_the_same_functions() -> None:
    from modeling_sigma.hub import convert_checkpoint

    assert convert_checkpoint.convert_uni_sign is convert_uni_sign
    assert convert_checkpoint.convert_sigma_pretraining is convert_sigma_pretraining


def test_every_array_of_uni_sign_is_used_or_tied(uni_sign: State, converted: SigmaForConditionalGeneration) -> None:
    report = converted.conversion_report
    assert not report.left_over and not report.missing
    assert set(report.used) | set(report.tied) == set(uni_sign) and not set(report.used) & set(report.tied)
    assert set(report.used.values()) == set(converted.state_dict()), "all of ours are filled, each once"
    assert len(report.used) == len(set(report.used.values()))
    assert all(".left." in name or name.endswith("embed_tokens.weight") for name in report.tied)
    for foreign, ours in report.used.items():
        assert torch.equal(uni_sign[foreign], converted.state_dict()[ours]), foreign
    first_line = str(report).splitlines()[0]
    assert (
        first_line == f"{len(report.used)} arrays used, {len(report.tied)} tied to one of them, 0 left over, 0 missing"
    )


def test_a_converted_model_is_ready(converted: SigmaForConditionalGeneration) -> None:
    assert not converted.training
    assert converted.config.pad_mode == "repeat" and converted.config.use_cls_token is False
    inputs = tiny_inputs((4, 2))
    assert converted.generate(**inputs, max_new_tokens=2, num_beams=1).shape == (2, 3)


def test_overrides_go_to_the_configuration(uni_sign: State) -> None:
    model = convert_uni_sign(uni_sign, _text_config().to_dict(), pad_mode="mask", use_cls_token=True, max_frames=64)
    assert (model.config.pad_mode, model.config.max_frames) == ("mask", 64)
    assert model.conversion_report.missing == ["pose_cls_token.weight"]
    assert "  missing:   pose_cls_token.weight" in str(model.conversion_report).splitlines()


def test_what_has_no_place_is_left_over(uni_sign: State) -> None:
    state = dict(uni_sign)
    state["rgb_proj.weight"] = torch.zeros(3)  # the stage with video
    name = "gcn_modules.left.layer0_0.gcn.conv.weight"
    state[name] = state[name] + 1  # a left hand with weights of its own
    state["mt5_model.decoder.embed_tokens.weight"] = state["mt5_model.shared.weight"] + 1
    report = convert_uni_sign(state, _text_config()).conversion_report
    assert sorted(report.left_over) == sorted(["rgb_proj.weight", name, "mt5_model.decoder.embed_tokens.weight"])
    assert f"  left over: {name}" in str(report).splitlines()


def test_what_is_not_there_is_missing(uni_sign: State) -> None:
    state = {name: tensor for name, tensor in uni_sign.items() if not name.startswith("mt5_model.lm_head")}
    assert convert_uni_sign(state, _text_config()).conversion_report.missing == ["lm_head.weight"]


def test_half_precision_checkpoints_become_float32(uni_sign: State) -> None:
    half = {name: t.bfloat16() if t.is_floating_point() else t for name, t in uni_sign.items()}
    model = convert_uni_sign(half, _text_config())
    assert model.dtype == torch.float32 and not model.conversion_report.left_over


def test_a_text_configuration_of_other_sizes_is_refused(uni_sign: State) -> None:
    message = r"has shape \(384, 768\), but .* needs \(500, 768\): does the text configuration belong"
    with pytest.raises(ValueError, match=message):
        convert_uni_sign(uni_sign, _text_config(vocab_size=500))
    with pytest.raises(ValueError, match="does the text configuration belong to this checkpoint"):
        convert_uni_sign(uni_sign, _text_config(d_model=512))


def test_a_transposed_array_is_refused(uni_sign: State) -> None:
    name = "mt5_model.encoder.block.0.layer.0.SelfAttention.q.weight"
    with pytest.raises(ValueError, match=r"has shape \(768, 32\), but .* needs \(32, 768\)"):
        convert_uni_sign({**uni_sign, name: uni_sign[name].T.contiguous()}, _text_config())


def test_fewer_layers_are_reported(uni_sign: State) -> None:
    report = convert_uni_sign(uni_sign, _text_config(num_layers=4)).conversion_report
    assert report.left_over and all(name.startswith("mt5_model.encoder.block.4.") for name in report.left_over)


def test_other_checkpoints_are_refused() -> None:
    state = {"bert.embeddings.weight": torch.zeros(3), "bert.pooler.bias": torch.zeros(2)}
    with pytest.raises(ValueError, match=r"expected a Uni-Sign checkpoint, received names such as \['bert"):
        convert_uni_sign(state, _text_config())
    with pytest.raises(ValueError, match="expected a Sigma pre-training checkpoint, received names such as"):
        convert_sigma_pretraining(state, _text_config())


# --- pre-training of the Sigma reference


def test_every_array_of_sigma_is_accounted_for(sigma: State, converted_sigma: SigmaForPreTraining) -> None:
    report = converted_sigma.conversion_report
    groups = [set(report.used), set(report.tied), set(report.left_over)]
    assert set.union(*groups) == set(sigma) and sum(map(len, groups)) == len(sigma)
    # What our model has no place for: an unused temperature, [CLS] and auxiliary encoder of the matching module, and
    # vocabulary matrices that differ from the one of the pose encoder.
    places = ("stm.temp", "stm.sgt_encoder.txt_enc_token", "stm.sgt_encoder.mt5_aux_enc.")
    assert all(name.startswith(places) or name.endswith("embed_tokens.weight") for name in report.left_over)
    assert {name.rsplit(".", 2)[-2] for name in report.missing} == {"pose_norm", "text_norm", "final_layer_norm"}
    assert [name for name in report.missing if "final" in name] == ["matching_encoder.final_layer_norm.weight"]
    own = converted_sigma.state_dict()
    for foreign, ours in report.used.items():
        assert torch.equal(sigma[foreign].reshape(own[ours].shape), own[ours]), foreign


def test_tied_vocabulary_matrices_of_sigma(sigma: State) -> None:
    shared = sigma["hcl.early_fusion_encoder.vis_encrd.embed_tokens.weight"]
    state = {name: shared if name.endswith("embed_tokens.weight") else tensor for name, tensor in sigma.items()}
    report = convert_sigma_pretraining(state, _text_config()).conversion_report
    assert not any(name.endswith("embed_tokens.weight") for name in report.left_over)
    assert sum(name.endswith("embed_tokens.weight") for name in report.tied) == 4


@torch.no_grad()
def test_a_converted_sigma_is_ready(converted_sigma: SigmaForPreTraining, tmp_path: Path) -> None:
    assert converted_sigma.config.pad_mode == "repeat" and converted_sigma.config.use_cls_token is True
    texts = {
        "text_input_ids": torch.tensor([[5, 6, 1], [7, 1, 0]]),
        "text_attention_mask": torch.tensor([[1, 1, 1], [1, 1, 0]]),
    }
    assert torch.isfinite(converted_sigma(**tiny_inputs((4, 2)), **texts).loss)
    converted_sigma.save_pretrained(tmp_path)
    writer = SigmaForConditionalGeneration.from_pretrained(tmp_path)
    assert torch.equal(writer.lm_head.weight, converted_sigma.lm_head.weight)


# --- files


class _Malicious:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.environ["SIGMA_TEST_TRAP"],)


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that exists as soon as a malicious file was obeyed."""
    monkeypatch.setenv("SIGMA_TEST_TRAP", str(tmp_path / "trap"))
    return tmp_path / "trap"


SMALL = {"part_para": torch.arange(4.0), "pose_proj.bias": torch.ones(2)}


@pytest.mark.parametrize("key", ["model", "state_dict", "module", None])
@pytest.mark.parametrize("name", ["file.pth", "file.pt", "file.bin"])
def test_torch_files(key: str | None, name: str, tmp_path: Path) -> None:
    torch.save(SMALL if key is None else {key: SMALL, "epoch": 3}, tmp_path / name)
    loaded = load_foreign_checkpoint(tmp_path / name)
    assert loaded.keys() == SMALL.keys() and all(torch.equal(loaded[name], SMALL[name]) for name in SMALL)


def test_old_torch_files(tmp_path: Path) -> None:
    torch.save({"model": SMALL}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert load_foreign_checkpoint(tmp_path / "old.pth").keys() == SMALL.keys()


def test_safetensors_files(tmp_path: Path) -> None:
    save_file(SMALL, tmp_path / "file.safetensors")
    assert load_foreign_checkpoint(str(tmp_path / "file.safetensors")).keys() == SMALL.keys()


def _malicious_bytes(kind: str) -> bytes:
    if kind == "pickle":
        return pickle.dumps({"model": _Malicious()}, protocol=2)
    buffer = io.BytesIO()
    torch.save({"model": {**SMALL, "more": _Malicious()}}, buffer, _use_new_zipfile_serialization=kind == "zip")
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["pickle", "zip", "legacy"])
def test_malicious_files_are_refused_and_do_not_run(kind: str, tmp_path: Path, trap: Path) -> None:
    path = tmp_path / "bad.pth"
    path.write_bytes(_malicious_bytes(kind))
    with pytest.raises(ValueError, match="bad.pth: expected a file of tensors; it was not loaded") as error:
        load_foreign_checkpoint(path)
    assert "\n" not in str(error.value)
    assert not trap.exists()


def test_the_trap_works(trap: Path) -> None:
    pickle.loads(_malicious_bytes("pickle"))
    assert trap.exists()


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *((f"file.{suffix}", damage) for suffix in ("pth", "safetensors") for damage in ("cut", "text")),
        ("file.safetensors", "empty"),
        ("file.pth", "empty"),
    ],
)
def test_damaged_files(name: str, damage: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name.endswith(".pth"):
        torch.save({"model": SMALL}, path)
    else:
        save_file(SMALL, path)
    content = path.read_bytes()
    path.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "text": b"not a checkpoint"}[damage])
    with pytest.raises(ValueError, match=f"{name}: expected a file of tensors"):
        load_foreign_checkpoint(path)


def test_files_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    torch.save([1, 2, 3], path)
    with pytest.raises(ValueError, match="the file holds a list, not a state dict"):
        load_foreign_checkpoint(path)
    torch.save({"epoch": 3, "loss": 0.1}, path)
    with pytest.raises(ValueError, match=r"expected a state dict, received keys \['epoch', 'loss'\]"):
        load_foreign_checkpoint(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "hello")
    with pytest.raises(ValueError, match="expected a file of tensors"):
        load_foreign_checkpoint(path)
    with pytest.raises(FileNotFoundError, match="nothing.pth: no such checkpoint file"):
        load_foreign_checkpoint(tmp_path / "nothing.pth")


# --- the command


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mt5")
    _text_config().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, uni_sign: State) -> Path:
    path = tmp_path_factory.mktemp("released") / "released.pth"
    torch.save({"model": uni_sign}, path)
    return path


def _convert(checkpoint: Path, text_folder: Path, out: Path, *more: str, kind: str = "uni-sign") -> int:
    arguments = [str(checkpoint), "--kind", kind, "--text-config", str(text_folder), "--out", str(out)]
    return cli.main(["convert-checkpoint", *arguments, *more])


def test_command_writes_a_bundle(
    checkpoint: Path,
    text_folder: Path,
    tokenizer_folder: Path,
    converted: SigmaForConditionalGeneration,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    assert _convert(checkpoint, text_folder, out, "--tokenizer", str(tokenizer_folder)) == 0
    printed = capsys.readouterr().out
    assert str(converted.conversion_report) in printed
    assert str(out) in printed and "CC-BY-NC-4.0" in printed and "No tokenizer" not in printed
    model, processor = AutoModelForSeq2SeqLM.from_pretrained(out), AutoProcessor.from_pretrained(out)
    for name, tensor in converted.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name
    assert model.config.pad_mode == "repeat" and processor.tokenizer is not None
    assert (out / "pipeline_sigma.py").is_file()
    card = (out / "README.md").read_text()
    assert card.startswith("---\nlicense: cc-by-nc-4.0\n") and "Uni-Sign" in card


def test_command_without_tokenizer_says_so(
    checkpoint: Path, text_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _convert(checkpoint, text_folder, tmp_path / "out") == 0
    printed = capsys.readouterr().out
    assert "No tokenizer was found" in printed and "--tokenizer DIR" in printed
    assert not (tmp_path / "out" / "tokenizer.json").exists()
    assert (tmp_path / "out" / "preprocessor_config.json").is_file()


def test_command_as_json(
    checkpoint: Path,
    text_folder: Path,
    tokenizer_folder: Path,
    converted: SigmaForConditionalGeneration,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    assert _convert(checkpoint, text_folder, out, "--tokenizer", str(tokenizer_folder), "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["used"] == converted.conversion_report.used and report["left_over"] == report["missing"] == []
    assert report["out"] == str(out) and report["has_tokenizer"] is True and "CC-BY-NC-4.0" in report["license"]


def test_command_keeps_a_card_that_is_there(checkpoint: Path, text_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    assert _convert(checkpoint, text_folder, tmp_path) == 0
    assert (tmp_path / "README.md").read_text() == "mine"


def test_command_for_pretraining(
    sigma: State, text_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_file({name: tensor.clone() for name, tensor in sigma.items()}, tmp_path / "sigma.safetensors")
    assert _convert(tmp_path / "sigma.safetensors", text_folder, tmp_path / "out", kind="sigma") == 0
    assert "left over: stm.temp" in capsys.readouterr().out
    assert type(SigmaForPreTraining.from_pretrained(tmp_path / "out")) is SigmaForPreTraining
    card = (tmp_path / "out" / "README.md").read_text()
    assert "license: other" in card and "their authors' terms" in card and "sigma.safetensors" in card


@pytest.mark.parametrize("mistake", ["file", "malicious", "kind", "text", "sizes"])
def test_command_tells_mistakes_in_one_line(
    mistake: str,
    checkpoint: Path,
    text_folder: Path,
    tmp_path: Path,
    trap: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad, other, kind = tmp_path / "bad.pth", tmp_path / "other", "uni-sign"
    if mistake == "malicious":
        bad.write_bytes(_malicious_bytes("zip"))
    if mistake == "sizes":
        _text_config(vocab_size=500).save_pretrained(other)
    kind = "sigma" if mistake == "kind" else "uni-sign"
    file = bad if mistake in ("file", "malicious") else checkpoint
    folder = other if mistake in ("text", "sizes") else text_folder
    code = _convert(file, folder, tmp_path / "out", kind=kind)
    captured = capsys.readouterr()
    if mistake == "kind":  # the pose encoder has the same names in both: the report tells the rest
        assert code == 0 and "left over: mt5_model.shared.weight" in captured.out
        return
    assert code == 1 and not captured.out
    errors = [line for line in captured.err.splitlines() if line.startswith("sigma-slu")]
    assert len(errors) == 1 and errors[0].startswith("sigma-slu convert-checkpoint: error: ")
    assert not (tmp_path / "out").exists() and not trap.exists()


def test_command_refuses_other_backbones(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    BertConfig().save_pretrained(tmp_path / "bert")
    assert _convert(checkpoint, tmp_path / "bert", tmp_path / "out") == 1
    assert "expected text_config to be one of" in capsys.readouterr().err
