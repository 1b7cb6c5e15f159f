"""`SigmaModel` and `SigmaForPreTraining`: what reads what, which losses there are, and what trains."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from transformers import MT5Config, MT5ForConditionalGeneration

from modeling_sigma.model import modeling_sigma_pretraining
from modeling_sigma.model.configuration_sigma import SigmaConfig
from modeling_sigma.model.fusion_sigma import FusionLayer
from modeling_sigma.model.modeling_sigma import SigmaModel
from modeling_sigma.model.modeling_sigma_heads import SigmaForConditionalGeneration
from modeling_sigma.model.modeling_sigma_pretraining import SigmaForPreTraining
from modeling_sigma.model.outputs_sigma import SigmaForPreTrainingOutput
from tests.factories import TEXTS, random_clips, tiny_config, tiny_model, tiny_processor, tiny_text_config


LENGTHS = (12, 7, 9, 5)
SENTENCES = TEXTS[:4]
TERMS = ("global_alignment_loss", "local_alignment_loss", "matching_loss", "lm_loss")
SWITCHES = ("use_global_alignment", "use_local_alignment", "use_matching", "use_language_modelling")
Batch = dict[str, torch.Tensor]


def pairs(texts: Sequence[str] = SENTENCES, lengths: tuple[int, ...] = LENGTHS, seed: int = 0) -> Batch:
    """Clips with their sentences."""
    return dict(tiny_processor()(random_clips(lengths, seed), list(texts)))


def run(model: Any, batch: Batch, seed: int = 0, **kwargs: Any) -> SigmaForPreTrainingOutput:
    return model(**batch, **kwargs, negatives_generator=torch.Generator().manual_seed(seed))


def without_gradient(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()}


@pytest.fixture(scope="module")
def model() -> SigmaForPreTraining:
    """Read only."""
    return tiny_model(SigmaForPreTraining)


# --- what reads what


@torch.no_grad()
def test_text_cannot_reach_the_pose_only_path(model: SigmaForPreTraining) -> None:
    batch = pairs()
    other = {**pairs(reversed(SENTENCES)), "labels": batch["labels"]}
    first, second = run(model, batch), run(model, other)
    for name in ("encoder_last_hidden_state", "pose_embeds", "lm_logits", "lm_loss"):
        assert first[name].equal(second[name]), name
    assert not first.text_embeds.equal(second.text_embeds)
    assert not first.logits_per_pose.equal(second.logits_per_pose)
    assert not first.matching_logits.equal(second.matching_logits)
    features = model.get_pose_features(
        **{name: batch[name] for name in batch if name.startswith(("pose_", "prompt_"))}
    ).pooler_output
    torch.testing.assert_close(features, first.pose_embeds, rtol=0, atol=1e-6)


@torch.no_grad()
def test_text_reaches_the_fused_path() -> None:
    model = tiny_model(SigmaForPreTraining, alignment_source="fused", lm_source="fused")
    batch = pairs()
    other = {**pairs(reversed(SENTENCES)), "labels": batch["labels"]}
    first, second = run(model, batch), run(model, other)
    assert not first.lm_logits.equal(second.lm_logits)
    assert not first.pose_embeds.equal(second.pose_embeds)
    assert first.encoder_last_hidden_state.equal(second.encoder_last_hidden_state)


@pytest.mark.parametrize("source", ["pose_only", "fused"])
def test_language_modelling_trains_the_text_encoder_only_if_it_reads_it(source: str) -> None:
    """The leak seen from behind: a path without text sends no gradient into it."""
    model = tiny_model(SigmaForPreTraining, lm_source=source)
    run(model, pairs()).lm_loss.backward()
    silent = without_gradient(model)
    reading_text = {name for name, _ in model.named_parameters() if name.startswith(("text_", "fusion."))}
    assert (reading_text <= silent) == (source == "pose_only")
    assert not any(name.startswith(("encoder.", "pose_", "decoder.", "lm_head.")) for name in silent)


@torch.no_grad()
@pytest.mark.parametrize("source", [{}, {"alignment_source": "fused", "lm_source": "fused"}], ids=["default", "fused"])
def test_padding_changes_no_loss(source: dict[str, str]) -> None:
    model = tiny_model(SigmaForPreTraining, fusion_layers=2, **source)
    batch = pairs()
    padded = dict(batch)
    generator = torch.Generator().manual_seed(0)
    for name, amount, value in (
        ("pose_attention_mask", 5, 0),
        ("text_input_ids", 3, 0),
        ("text_attention_mask", 3, 0),
        ("text_word_ids", 3, -1),
        ("labels", 2, -100),
    ):
        padded[name] = nn.functional.pad(batch[name], (0, amount), value=value)
    garbage = torch.rand((len(LENGTHS), 5, 69, 3), generator=generator)
    padded["pose_values"] = torch.cat([batch["pose_values"], garbage], dim=1)
    first, second = run(model, batch), run(model, padded)
    for name in (*TERMS, "loss", "logits_per_pose", "matching_logits"):
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=1e-5)
    assert first.matching_labels.equal(second.matching_labels)


@torch.no_grad()
def test_permuting_the_batch_permutes_the_outputs(model: SigmaForPreTraining) -> None:
    batch, order = pairs(), torch.tensor([2, 0, 3, 1])
    first, second = run(model, batch), run(model, {name: value[order] for name, value in batch.items()})
    torch.testing.assert_close(second.logits_per_pose, first.logits_per_pose[order][:, order], rtol=0, atol=1e-5)
    torch.testing.assert_close(second.lm_logits, first.lm_logits[order], rtol=0, atol=1e-5)
    for name in ("global_alignment_loss", "local_alignment_loss", "lm_loss"):
        torch.testing.assert_close(second[name], first[name], rtol=0, atol=1e-5)


# --- losses


@torch.no_grad()
def test_total_loss_weighs_the_terms() -> None:
    model = tiny_model(SigmaForPreTraining, alpha=0.3, beta=0.9)
    out = run(model, pairs())
    terms = [out[name].item() for name in TERMS]
    assert out.loss.item() == pytest.approx(np.dot([0.7, 0.3, 0.1, 0.9], terms), abs=1e-5)
    assert all(np.isfinite(terms)) and min(terms) > 0
    expected = nn.functional.cross_entropy(out.matching_logits, out.matching_labels)
    assert out.matching_loss.item() == pytest.approx(expected.item(), abs=1e-6)
    assert out.matching_labels.tolist() == [1] * 4 + [0] * 8
    torch.testing.assert_close(out.logits_per_text, out.logits_per_pose.T)


@torch.no_grad()
def test_labels_are_the_sentences_when_left_out(model: SigmaForPreTraining) -> None:
    batch = pairs()
    first = run(model, batch)
    second = run(model, {name: value for name, value in batch.items() if name != "labels"})
    assert first.lm_loss.equal(second.lm_loss)


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"fusion_layers": 2, "share_fusion_weights": False, "sgt_layers": 2},
        {"fusion_layers": 0, "sgt_layers": 2},
        {"alignment_source": "fused"},
        {"lm_source": "fused"},
        {"text_config": tiny_text_config("t5")},
        *({switch: False} for switch in SWITCHES),
        {"use_global_alignment": False, "use_local_alignment": False},
        {"use_matching": False, "alignment_source": "fused"},
        {"use_matching": False, "use_language_modelling": False},
        dict.fromkeys(SWITCHES[:3], False),
        dict.fromkeys(SWITCHES[1:], False),
    ],
    ids=lambda overrides: "+".join(overrides) or "default",
)
def test_every_trainable_parameter_gets_a_gradient(overrides: dict[str, Any]) -> None:
    model = tiny_model(SigmaForPreTraining, **overrides)
    out = run(model, pairs())
    for switch, term in zip(SWITCHES, TERMS):
        assert (getattr(out, term) is None) == (not overrides.get(switch, True)), term
    assert torch.isfinite(out.loss)
    out.loss.backward()
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert without_gradient(model) == frozen

    modules = {name.partition(".")[0] for name in frozen}
    expected = set()
    if not overrides.get("use_matching", True):
        expected |= {"matching_encoder", "matching_head"}
        if "alignment_source" not in overrides:
            expected |= {"fusion"}
    if not overrides.get("use_language_modelling", True):
        expected |= {"decoder", "lm_head"}
    if not overrides.get("use_global_alignment", True):
        expected |= {"logit_scale"}
    if all(not overrides.get(switch, True) for switch in SWITCHES[:3]):
        expected |= {"text_encoder", "text_cls_token"}
    assert modules == expected


def test_gradients_flow_in_training_mode_too() -> None:
    model = tiny_model(SigmaForPreTraining).train()
    torch.manual_seed(0)
    run(model, pairs()).loss.backward()
    assert not without_gradient(model)


def test_batch_norm_sees_each_clip_once() -> None:
    """The lower layers run once for the pose-only and the fused path."""
    model = tiny_model(SigmaForPreTraining, lm_source="fused")
    calls = []
    model.pose_encoder.register_forward_hook(lambda *_: calls.append("pose"))
    model.encoder.block[0].register_forward_hook(lambda *_: calls.append("lower"))
    model.encoder.block[1].register_forward_hook(lambda *_: calls.append("upper"))
    run(model, pairs())
    assert calls == ["pose", "lower", "upper", "upper", "upper"]  # pose-only, fused for lm, matching


# --- matching


def test_duplicates_are_never_negatives(model: SigmaForPreTraining, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    real = modeling_sigma_pretraining.draw_hard_negatives

    def recording(*args: Any) -> torch.Tensor:
        drawn.append(real(*args))
        return drawn[-1]

    monkeypatch.setattr(modeling_sigma_pretraining, "draw_hard_negatives", recording)
    texts = ["hello world", "rain in the north", "hello world", "hello world"]
    batch = pairs(texts)
    for seed in range(10):
        with torch.no_grad():
            out = run(model, batch, seed)
        assert out.matching_labels.tolist() == [1] * 4 + [0] * 8
    assert len(drawn) == 20
    for negatives in drawn:
        assert all(texts[negative] != texts[row] for row, negative in enumerate(negatives.tolist()))
    assert len({tuple(negatives.tolist()) for negatives in drawn}) > 1


@pytest.mark.parametrize("texts", [["hello world"], ["hello world"] * 3], ids=["one clip", "one sentence"])
def test_nothing_to_tell_apart_skips_matching(texts: list[str]) -> None:
    model = tiny_model(SigmaForPreTraining)
    out = run(model, pairs(texts, LENGTHS[: len(texts)]))
    assert out.matching_loss.item() == 0 and (out.matching_labels == -100).all()
    assert torch.isfinite(out.loss) and out.lm_loss > 0
    out.loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


# --- sizes, checkpoints, initial weights


def test_number_of_parameters_at_the_papers_size() -> None:
    mt5_base = MT5Config(
        vocab_size=250112, d_model=768, num_layers=12, num_decoder_layers=12, num_heads=12, d_kv=64, d_ff=2048
    )
    with torch.device("meta"):
        model = SigmaForPreTraining(SigmaConfig(text_config=mt5_base))
    assert model.num_parameters() == 684_505_771 <= 690_000_000
    assert all(parameter.requires_grad for parameter in model.parameters())


@torch.no_grad()
def test_checkpoint_loads_into_writer_and_aligner(model: SigmaForPreTraining, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    batch = pairs()
    out = run(model, batch)
    writer, info = SigmaForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    found = writer(**{name: batch[name] for name in batch if not name.startswith("text_")})
    torch.testing.assert_close(found.logits, out.lm_logits, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.loss, out.lm_loss, rtol=0, atol=1e-5)

    aligner, info = SigmaModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    found = aligner(**{name: batch[name] for name in batch if name != "labels"})
    torch.testing.assert_close(found.logits_per_pose, out.logits_per_pose, rtol=0, atol=1e-5)


def test_text_backbone_starts_all_reading_parts(tmp_path: Path) -> None:
    torch.manual_seed(0)
    text_model = MT5ForConditionalGeneration(tiny_text_config())
    text_model.save_pretrained(tmp_path)
    model = SigmaForPreTraining.from_text_pretrained(str(tmp_path), fusion_layers=1, sgt_layers=2)
    source, own = text_model.state_dict(), model.state_dict()

    def equal(ours: str, theirs: str) -> bool:
        names = [name for name in own if name.startswith(ours)]
        return bool(names) and all(own[name].equal(source[theirs + name.removeprefix(ours)]) for name in names)

    assert equal("encoder.", "encoder.") and equal("text_encoder.", "encoder.") and equal("decoder.", "decoder.")
    assert equal("shared.", "shared.") and equal("lm_head.", "lm_head.")
    assert equal("fusion.layers.0.attention.", "decoder.block.0.layer.1.EncDecAttention.")
    for index in range(2):
        ours = f"matching_encoder.block.{index}.layer."
        assert equal(ours + "0.SelfAttention.", f"encoder.block.{index}.layer.0.SelfAttention.")
        assert equal(ours + "1.", f"decoder.block.{index}.layer.1.")
        assert equal(ours + "2.", f"encoder.block.{index}.layer.1.")


# --- retrieval and display


@torch.no_grad()
def test_similarities() -> None:
    model = tiny_model(SigmaModel, alpha=0.3)
    batch = {name: value for name, value in pairs().items() if name != "labels"}
    for name in [name for name in batch if name.startswith("text_")]:
        batch[name] = batch[name][:3]  # 4 clips, 3 sentences
    out = {kind: model(**batch, similarity=kind) for kind in ("global", "local", "combined")}
    cosines = out["global"].pose_embeds @ out["global"].text_embeds.T
    torch.testing.assert_close(
        out["global"].logits_per_pose, cosines * model.logit_scale.weight.exp(), rtol=0, atol=1e-5
    )
    torch.testing.assert_close(out["global"].logits_per_text, out["global"].logits_per_pose.T)
    for side, global_part in (("logits_per_pose", cosines), ("logits_per_text", cosines.T)):
        expected = 0.7 * global_part + 0.3 * out["local"][side]
        torch.testing.assert_close(out["combined"][side], expected, rtol=0, atol=1e-5)
    features = model.get_text_features(batch["text_input_ids"], batch["text_attention_mask"]).pooler_output
    torch.testing.assert_close(features, out["global"].text_embeds, rtol=0, atol=1e-6)
    torch.testing.assert_close(features.norm(dim=-1), torch.ones(3))


@torch.no_grad()
def test_alignment_for_display() -> None:
    model = tiny_model(SigmaModel)
    batch = {name: value for name, value in pairs().items() if name != "labels"}
    alignment = model(**batch, output_alignment=True).alignment
    num_words = [len(text.split()) for text in SENTENCES]
    assert alignment.shape == (4, max(num_words), max(LENGTHS))
    assert alignment.abs().max() <= 1 + 1e-5 and alignment[0].any()
    assert model(**batch).alignment is None


@torch.no_grad()
def test_every_token_is_a_word_without_word_ids() -> None:
    model = tiny_model(SigmaModel)
    batch = {name: value for name, value in pairs().items() if name not in ("labels", "text_word_ids")}
    content = batch["text_attention_mask"].bool() & (batch["text_input_ids"] != 1)
    word_ids = torch.where(content, content.long().cumsum(1) - 1, -1)
    first, second = (model(**batch, text_word_ids=ids, similarity="local") for ids in (None, word_ids))
    assert first.logits_per_pose.equal(second.logits_per_pose)


# --- fusion


@torch.no_grad()
def test_fusion_agrees_with_the_reference(goldens: Path) -> None:
    arrays = np.load(goldens / "cross_attention_function.npz")
    text_config = MT5Config(vocab_size=8, d_model=768, num_heads=4, d_kv=8, d_ff=8, num_layers=1, num_decoder_layers=1)
    layer = FusionLayer(SigmaConfig(text_config=text_config, fusion_layers=1)).eval()
    layer.pose_norm, layer.text_norm = nn.Identity(), nn.Identity()
    prefix = "w/cross_att."
    weights = {name.removeprefix(prefix): torch.from_numpy(arrays[name]) for name in arrays if name.startswith(prefix)}
    layer.attention.load_state_dict(weights)
    poses, texts = torch.from_numpy(arrays["vis_in"]), torch.from_numpy(arrays["txt_in"])
    fused, _ = layer(poses, torch.ones(poses.shape[:2]), texts, torch.ones(texts.shape[:2]))
    found = fused - poses  # the reference has no residual
    expected = torch.from_numpy(arrays["vis_out"])
    assert (found - expected).abs().max() <= 1e-5 * max(1.0, float(expected.abs().max()))


@torch.no_grad()
def test_fusion_reads_real_positions_only() -> None:
    torch.manual_seed(0)
    layer = FusionLayer(tiny_config()).eval()
    poses, texts = torch.randn(1, 6, 32), torch.randn(1, 4, 32)
    pose_mask, text_mask = torch.tensor([[1, 1, 1, 1, 0, 0]]), torch.tensor([[1, 1, 1, 0]])
    in_batch = layer(poses, pose_mask, texts, text_mask)
    alone = layer(poses[:, :4], pose_mask[:, :4], texts[:, :3], text_mask[:, :3])
    torch.testing.assert_close(in_batch[0][:, :4], alone[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(in_batch[1][:, :3], alone[1], rtol=0, atol=1e-6)


# --- bad input


def test_mistakes(model: SigmaForPreTraining) -> None:
    batch = pairs()
    poses = {name: value for name, value in batch.items() if name.startswith(("pose_", "prompt_"))}
    with pytest.raises(ValueError, match="expected text_input_ids"):
        model(**poses)
    with pytest.raises(ValueError, match="text_length >= 1.*received \\(4, 0\\)"):
        model(**poses, text_input_ids=batch["text_input_ids"][:, :0])
    with pytest.raises(ValueError, match="expected one text per clip, received 3 for 4 clips"):
        model(**poses, text_input_ids=batch["text_input_ids"][:3])
    with pytest.raises(ValueError, match="similarity to be one of .*received 'cosine'"):
        tiny_model(SigmaModel)(**poses, text_input_ids=batch["text_input_ids"], similarity="cosine")
    with pytest.raises(ValueError, match="use_cls_token=True"):
        SigmaModel(tiny_config(use_cls_token=False))
    for fusion_layers in (-1, 3):
        with pytest.raises(ValueError, match=f"fusion_layers from 0 to the encoder's 2, received {fusion_layers}"):
            SigmaForPreTraining(tiny_config(fusion_layers=fusion_layers))


@pytest.mark.parametrize("text", ["", "ΩΩΩ ΨΨ"], ids=["empty", "unknown"])
def test_a_sentence_without_known_words_trains_nothing_wrong(text: str) -> None:
    model = tiny_model(SigmaForPreTraining)
    out = run(model, pairs([*SENTENCES[:3], text]))
    assert all(torch.isfinite(out[name]) for name in (*TERMS, "loss"))
    out.loss.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


# --- data parallelism


def _eight_pairs() -> Batch:
    texts = [*TEXTS[:5], TEXTS[1], "rain in the south", "people who sign"]  # a duplicate across the ranks
    return pairs(texts, lengths=(12, 7, 9, 5, 6, 8, 3, 10))


def _loss_and_gradients(model: nn.Module, batch: Batch) -> dict[str, Any]:
    out = run(model, batch)
    out.loss.backward()
    gradients = {name.removeprefix("module."): parameter.grad for name, parameter in model.named_parameters()}
    return {"losses": torch.stack([out[name].detach() for name in ("loss", *TERMS)]), "gradients": gradients}


def _work_of_rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/rendezvous",
        rank=rank,
        world_size=2,
        timeout=datetime.timedelta(seconds=120),
    )
    # From the parent: no two processes train the same tokenizer.
    whole = torch.load(f"{folder}/batch.pt", weights_only=True)
    batch = {name: value[4 * rank : 4 * rank + 4] for name, value in whole.items()}
    if rank == 1:  # clips and sentences of the ranks differ in length
        batch["pose_values"], batch["pose_attention_mask"] = (
            batch[name][:, :10] for name in ("pose_values", "pose_attention_mask")
        )
        length = int(batch["text_attention_mask"].sum(dim=1).max())
        for name in ("text_input_ids", "text_attention_mask", "text_word_ids", "labels"):
            batch[name] = batch[name][:, :length]
    # No name holds the wrapped model, as in test_distributed_gather.py.
    results = _loss_and_gradients(DistributedDataParallel(SigmaForPreTraining.from_pretrained(folder).eval()), batch)
    torch.save(results, f"{folder}/results_{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_equal_one_with_the_whole_batch(tmp_path: Path) -> None:
    model, batch = tiny_model(SigmaForPreTraining), _eight_pairs()
    model.save_pretrained(tmp_path)
    torch.save(batch, tmp_path / "batch.pt")
    torch.multiprocessing.spawn(_work_of_rank, args=(str(tmp_path),), nprocs=2, daemon=True)
    single = _loss_and_gradients(model, batch)  # eval mode: no dropout, fixed statistics
    assert all(gradient.any() for gradient in single["gradients"].values())
    for rank in range(2):
        found = torch.load(tmp_path / f"results_{rank}.pt", weights_only=True)
        torch.testing.assert_close(found["losses"], single["losses"], rtol=0, atol=1e-5)
        torch.testing.assert_close(found["gradients"], single["gradients"], rtol=0, atol=1e-5)
