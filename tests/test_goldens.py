"""Agreement with the numbers recorded from the reference implementations (see METHOD.md, and goldens/README.md).

Small arrays lie in `tests/artifacts`. What needs the reference's weights (32 MB) reads `../shared/goldens` and is
skipped where that folder is absent.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import MT5Config

from modeling_sigma.conversion.released_checkpoints import convert_uni_sign
from modeling_sigma.model.configuration_sigma import SigmaConfig, SigmaPoseConfig
from modeling_sigma.model.feature_extraction_sigma import SigmaFeatureExtractor
from modeling_sigma.model.graph_convolution_sigma import build_adjacency
from modeling_sigma.model.modeling_sigma_heads import SigmaForConditionalGeneration
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.model.pose_encoder_sigma import SigmaPoseEncoder
from modeling_sigma.model.pose_transforms import normalize_joints, random_frame_indices, select_joints
from modeling_sigma.model.skeleton_layouts import PART_EDGES, PART_SIZES, PARTS


ARTIFACTS = Path(__file__).parent / "artifacts"
# The reference's names of the parts, in our order.
PART_NAMES = ("body", "left", "right", "face_all")
CASES = (
    "random_f64",
    "random_f32",
    "pixel_coords",
    "low_scores",
    "all_below_thr",
    "three_valid_body_pts",
    "four_valid_body_pts",
    "single_frame",
    "zero_extent_body",
    "scores_exactly_float32_0p3_f64kp",
    "scores_above_one",
    "out_of_range_hands_face",
    "two_persons",
)
ALL_ZERO = {"all_below_thr", "three_valid_body_pts", "zero_extent_body"}
# The reference compares float32 scores with the threshold in float32 when keypoints are float32.
BY_DESIGN = "scores_exactly_float32_0p3_f32kp"


def _joined(arrays: Any, prefix: str) -> np.ndarray:
    """(..., 69, 3) out of the reference's four arrays."""
    return np.concatenate([arrays[f"{prefix}/{part}"] for part in PART_NAMES], axis=-2)


def _normalised(clip: PoseClip) -> np.ndarray:
    return normalize_joints(*select_joints(clip))


@pytest.fixture(scope="module")
def preprocessing() -> Any:
    return np.load(ARTIFACTS / "pose_preprocessing.npz")


def _clip(arrays: Any, case: str) -> PoseClip:
    return PoseClip(arrays[f"{case}/keypoints"][:, 0], arrays[f"{case}/scores"][:, 0])


# --- preprocessing


def test_every_recorded_case_is_tested(preprocessing: Any) -> None:
    assert {name.split("/")[0] for name in preprocessing.files} == {*CASES, BY_DESIGN}


@pytest.mark.parametrize("case", CASES)
def test_preprocessing(preprocessing: Any, case: str) -> None:
    clip, expected = _clip(preprocessing, case), _joined(preprocessing, case)
    assert np.abs(_normalised(clip) - expected).max() <= 1e-6
    assert expected.any() == (case not in ALL_ZERO)
    features = SigmaFeatureExtractor()(clip, return_tensors="np")
    assert np.abs(features["pose_values"][0] - expected).max() <= 1e-6


def test_preprocessing_at_the_threshold_in_float32_differs_by_design(preprocessing: Any) -> None:
    """float32(0.3) is above 0.3: we say so for every dtype of the keypoints, the reference for float64 ones only."""
    clip, expected = _clip(preprocessing, BY_DESIGN), _joined(preprocessing, BY_DESIGN)
    at_threshold = clip.scores == np.float32(0.3)
    assert 0.4 < at_threshold.mean() < 0.6
    assert (select_joints(clip)[1][expected[..., 2] == 0] == np.float32(0.3)).all()

    ours = _normalised(clip)
    assert (ours[..., 2] > 0).all()
    kept = _joined(preprocessing, "scores_exactly_float32_0p3_f64kp")  # the same clip in float64
    assert np.abs(ours - kept).max() <= 1e-6

    below = np.where(at_threshold, np.float32(0.2), clip.scores)
    assert np.abs(_normalised(PoseClip(clip.keypoints, below)) - expected).max() <= 1e-6


def test_sampled_frames() -> None:
    arrays = np.load(ARTIFACTS / "pose_load_window.npz")
    clip = PoseClip(arrays["sampled/keypoints"], arrays["sampled/scores"], layout="sigma_69")
    indices = arrays["sampled/frame_indices"].astype(int)
    values = _normalised(clip.frames(indices))  # frames are chosen first: they alone fix the box
    assert np.abs(values[::8] - arrays["sampled/values_of_every_8th"]).max() <= 1e-6
    ours = random_frame_indices(len(clip), 256, np.random.default_rng(0))
    assert ours.shape == indices.shape == (256,)
    for drawn in (ours, indices):
        assert (np.diff(drawn) > 0).all() and drawn[0] >= 0 and drawn[-1] < 300


def test_window_of_frames() -> None:
    arrays = np.load(ARTIFACTS / "pose_load_window.npz")
    clip = PoseClip(arrays["window/keypoints"], arrays["window/scores"])
    values = _normalised(clip.frames(slice(*arrays["window/start_end"])))
    assert values.shape == (26, 69, 3)
    assert np.abs(values - arrays["window/values"]).max() <= 1e-6


def test_collated_batch(preprocessing: Any) -> None:
    arrays = np.load(ARTIFACTS / "collated_batch.npz")
    expected, mask = _joined(arrays, "src"), arrays["src/attention_mask"]
    features = SigmaFeatureExtractor()([_clip(preprocessing, name) for name in arrays["names"]], return_tensors="np")
    assert (features["pose_attention_mask"] == mask).all()
    assert (mask.sum(axis=1) == arrays["src/src_length_batch"]).all()
    real = mask.astype(bool)
    assert np.abs(features["pose_values"] - expected)[real].max() <= 1e-6
    # Departure: the reference repeats the last frame behind a clip; we keep zeros; pad_mode="repeat" fills them in.
    assert not features["pose_values"][~real].any()
    last = expected[np.arange(len(mask)), mask.sum(axis=1) - 1]
    assert (expected[~real] == np.broadcast_to(last[:, None], expected.shape)[~real]).all()


# --- pose encoder


@pytest.mark.parametrize(("part", "theirs"), list(zip(PARTS, PART_NAMES)))
def test_graph_adjacency(part: str, theirs: str) -> None:
    expected = np.load(ARTIFACTS / "pose_graph.npz")[theirs]
    assert np.abs(build_adjacency(PART_SIZES[part], PART_EDGES[part]) - expected).max() <= 1e-7


def test_number_of_parameters_at_full_size() -> None:
    with torch.device("meta"):
        encoder = SigmaPoseEncoder(SigmaPoseConfig(), hidden_size=768)
        mt5_base = MT5Config(
            vocab_size=250112, d_model=768, num_layers=12, num_decoder_layers=12, num_heads=12, d_kv=64, d_ff=2048
        )
        model = SigmaForConditionalGeneration(SigmaConfig(text_config=mt5_base, use_cls_token=False))
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 5_346_088
    assert model.num_parameters() == 587_747_368
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.fixture(scope="module")
def model(goldens: Path) -> SigmaForConditionalGeneration:
    """The reference's weights as our model, with its padding (`pad_mode="repeat"`)."""
    text_config = MT5Config(
        vocab_size=384, d_model=768, num_heads=4, d_kv=8, d_ff=32, num_layers=5, num_decoder_layers=5
    )
    state = load_file(goldens / "pose_encoder_state.safetensors")
    for name, tensor in load_file(goldens / "unisign_mt5_state.safetensors").items():
        state[f"mt5_model.{name.removeprefix('mt5_model.')}"] = tensor
    model = convert_uni_sign(state, text_config)
    assert not model.conversion_report.left_over and not model.conversion_report.missing
    return model


@pytest.fixture(scope="module")
def pose_encoder_arrays(goldens: Path) -> Any:
    return np.load(goldens / "pose_encoder.npz")


@pytest.fixture(scope="module")
def finetune(goldens: Path) -> Any:
    return np.load(goldens / "unisign_finetune.npz")


def _relative_error(ours: torch.Tensor, expected: np.ndarray) -> float:
    """Largest deviation as a share of the largest number."""
    return float((ours.detach() - torch.from_numpy(expected)).abs().max() / np.abs(expected).max())


def _pose_inputs(arrays: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(_joined(arrays, "in")), torch.from_numpy(arrays["in/attention_mask"]).long()


@torch.no_grad()
def test_pose_embeddings(model: SigmaForConditionalGeneration, pose_encoder_arrays: Any) -> None:
    pose_values, mask = _pose_inputs(pose_encoder_arrays)
    # The recorded inputs are padded with repeated frames already; the reference reads them all.
    assert _relative_error(model.pose_encoder(pose_values), pose_encoder_arrays["pose_embeds"]) <= 1e-4
    # pad_mode="repeat" makes them itself, whatever lies behind the end of a clip.
    blanked = pose_values * mask[:, :, None, None]
    _, _, pose_embeds = model.embed_poses(blanked, mask)
    assert _relative_error(pose_embeds, pose_encoder_arrays["pose_embeds"]) <= 1e-4


@torch.no_grad()
def test_pose_embeddings_do_not_depend_on_the_batch(
    model: SigmaForConditionalGeneration, pose_encoder_arrays: Any
) -> None:
    pose_values, mask = _pose_inputs(pose_encoder_arrays)
    expected = pose_encoder_arrays["pose_embeds_sample1_unpadded_T12"]
    assert int(mask[1].sum()) == 12
    alone = model.pose_encoder(pose_values[1:2, :12])
    in_batch = model.pose_encoder(pose_values, mask)[1:2, :12]
    assert _relative_error(alone, expected) <= 1e-5
    assert _relative_error(in_batch, expected) <= 1e-5
    # The leak of the reference that these numbers are free of: its last frames see the padding.
    leaking = torch.from_numpy(pose_encoder_arrays["pose_embeds"][1:2, :12])
    difference = (leaking - in_batch).abs().amax(dim=(0, 2))
    assert (difference[:6] <= 1e-5).all() and (difference[6:] > 1e-4).all()


# --- fine-tuning model


def _inputs(arrays: Any) -> dict[str, torch.Tensor]:
    pose_values, mask = _pose_inputs(arrays)
    return {
        "pose_values": pose_values,
        "pose_attention_mask": mask,
        "prompt_input_ids": torch.from_numpy(arrays["prefix_input_ids"]),
        "prompt_attention_mask": torch.from_numpy(arrays["prefix_attention_mask"]),
    }


def test_loss_states_logits_and_gradients(model: SigmaForConditionalGeneration, finetune: Any, goldens: Path) -> None:
    assert model.config.label_smoothing == float(finetune["label_smoothing"]) == 0.2
    model.zero_grad()
    out = model(**_inputs(finetune), labels=torch.from_numpy(finetune["labels"]), output_hidden_states=True)
    assert out.loss.item() == pytest.approx(7.129457, abs=1e-4)
    assert out.loss.item() == pytest.approx(float(finetune["loss"]), abs=1e-5)
    assert _relative_error(out.logits, finetune["logits"]) <= 1e-4
    assert _relative_error(out.encoder_last_hidden_state, finetune["encoder_last_hidden_state"]) <= 1e-4
    assert _relative_error(out.decoder_hidden_states[-1], finetune["decoder_last_hidden_state"]) <= 1e-4

    out.loss.backward()
    expected = json.loads((goldens / "unisign_grad_norms.json").read_text())
    theirs = {ours: foreign for foreign, ours in model.conversion_report.used.items()}
    num_compared = 0
    for name, parameter in model.named_parameters():
        foreign = theirs[name]
        norm = expected.get(foreign, expected.get(foreign.replace(".right.", ".left.")))
        assert parameter.grad.norm().item() == pytest.approx(norm, rel=1e-3, abs=1e-9), name
        num_compared += 1
    model.zero_grad()
    assert num_compared == len(expected) - sum(".right." in name for name in expected if ".left." in expected)


@torch.no_grad()
def test_stream_and_unsmoothed_loss(model: SigmaForConditionalGeneration, finetune: Any) -> None:
    stream, mask, _ = model.embed_poses(**_inputs(finetune))
    assert _relative_error(stream, finetune["inputs_embeds"]) <= 1e-4  # prompt, then frames; no [CLS]
    assert (mask.numpy() == finetune["attention_mask"]).all()
    labels = torch.from_numpy(finetune["labels"])
    assert (model.prepare_decoder_input_ids_from_labels(labels).numpy() == finetune["decoder_input_ids"]).all()
    logits = torch.from_numpy(finetune["logits"])
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
    assert loss.item() == pytest.approx(float(finetune["hf_unsmoothed_loss"]), abs=1e-4)


@pytest.mark.parametrize(
    ("recorded", "options"),
    [
        ("generated_greedy_max32", {"num_beams": 1, "max_new_tokens": 32}),
        ("generated_beam4_max32", {"num_beams": 4, "max_new_tokens": 32}),
        # Without options: the paper's decoding is the model's own generation configuration.
        ("generated_beam4_max100", {}),
    ],
)
def test_generated_ids(
    model: SigmaForConditionalGeneration, finetune: Any, recorded: str, options: dict[str, int]
) -> None:
    ids = model.generate(**_inputs(finetune), do_sample=False, **options)
    assert ids.tolist() == finetune[recorded].tolist()
    assert model.generation_config.num_beams == 4 and model.generation_config.max_new_tokens == 100
