"""Sapiens2 behind a detector: transformers' real classes at tiny random size, and the geometry between them."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from dot_videos import dot_path, dot_picture, write_dot_video
from torch.nn import functional
from transformers import (
    RTDetrConfig,
    RTDetrForObjectDetection,
    RTDetrImageProcessorPil,
    RTDetrResNetConfig,
    Sapiens2Config,
    Sapiens2ForPoseEstimation,
)

from modeling_sigma.cli import main as cli
from modeling_sigma.extraction.heatmaps import crop_persons, crop_windows, decode_heatmaps, place_in_image
from modeling_sigma.extraction.sapiens2_estimator import Sapiens2Estimator, sort_lip_pairs
from modeling_sigma.io import load_clip
from modeling_sigma.model.skeleton_layouts import get_layout


def save_pose_network(folder, num_labels=308, **fields):
    torch.manual_seed(0)
    config = Sapiens2Config(
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads_per_layer=[4, 4],
        image_size=[64, 48],
        patch_size=16,
        num_labels=num_labels,
        head_config={"upsample_out_channels": [16, 16], "conv_out_channels": [16]},
        **fields,
    )
    Sapiens2ForPoseEstimation(config).save_pretrained(folder)
    return str(folder)


def save_detector(folder, labels=("person", "cup")):
    torch.manual_seed(0)
    backbone = RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], layer_type="basic", out_indices=[2, 3, 4]
    )
    config = RTDetrConfig(
        backbone_config=backbone,
        encoder_hidden_dim=16,
        encoder_in_channels=[8, 8, 8],
        encoder_ffn_dim=16,
        encoder_attention_heads=2,
        d_model=16,
        decoder_in_channels=[16, 16, 16],
        decoder_ffn_dim=16,
        decoder_layers=1,
        decoder_attention_heads=2,
        num_queries=6,
        anchor_image_size=[64, 64],
        id2label=dict(enumerate(labels)),
    )
    RTDetrForObjectDetection(config).save_pretrained(folder)
    RTDetrImageProcessorPil(size={"height": 64, "width": 64}).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    return {
        "model": save_pose_network(folder / "tiny-pose"),
        "detector": save_detector(folder / "tiny-detector"),
        "box_threshold": 0.0,  # random networks are not sure of anything
    }


@pytest.fixture(scope="module")
def frames():
    return list(np.random.default_rng(0).integers(0, 255, (5, 64, 96, 3), np.uint8))


def test_real_classes_find_the_same_alone_and_in_batches(networks, frames):
    estimator = Sapiens2Estimator(**networks, batch_size=2, max_persons=2)
    assert estimator.name == "sapiens2-tiny-pose" and estimator.layout == "sapiens_308"
    alone = [estimator(frame) for frame in frames]
    together = estimator.detect_batch(frames)
    for (keypoints, scores), (keypoints_too, scores_too) in zip(alone, together, strict=True):
        assert keypoints.shape == (2, 308, 2) and scores.shape == (2, 308)
        assert np.isfinite(keypoints).all() and 0 <= scores.min() <= scores.max() <= 1
        np.testing.assert_allclose(keypoints, keypoints_too, atol=1e-3)
        np.testing.assert_allclose(scores, scores_too, atol=1e-5)


def test_is_the_network_on_the_detectors_boxes(networks, frames):
    estimator = Sapiens2Estimator(**networks, max_persons=1)
    detector = RTDetrForObjectDetection.from_pretrained(networks["detector"]).eval()
    processor = RTDetrImageProcessorPil.from_pretrained(networks["detector"])
    network = Sapiens2ForPoseEstimation.from_pretrained(networks["model"]).eval()
    with torch.inference_mode():
        outputs = detector(**processor(images=frames[0], return_tensors="pt"))
        result = processor.post_process_object_detection(outputs, threshold=0, target_sizes=[(64, 96)])[0]
        boxes = result["boxes"][result["labels"] == 0]
        largest = boxes[(boxes[:, 2:] - boxes[:, :2]).prod(dim=1).argmax()][None]
        image = torch.from_numpy(frames[0]).permute(2, 0, 1).float()
        pixels = crop_persons(image, largest, (64, 48)) / 255
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        heatmaps = network((pixels - mean[:, None, None]) / std[:, None, None]).heatmaps
        points, scores = decode_heatmaps(heatmaps)
        placed = place_in_image(points, (16, 12), *crop_windows(largest, (64, 48)))
    expected, expected_scores = sort_lip_pairs(placed.numpy(), scores.numpy())
    keypoints, found_scores = estimator(frames[0])
    np.testing.assert_allclose(keypoints, expected, atol=1e-3)
    np.testing.assert_allclose(found_scores, expected_scores, atol=1e-5)


def brightness_as_heatmaps(pixel_values):
    """In place of the pose network: every heatmap is the crop's brightness."""
    brightness = functional.interpolate(pixel_values.mean(1, keepdim=True), scale_factor=0.25, mode="area")
    return SimpleNamespace(heatmaps=(brightness / 3).expand(-1, 308, -1, -1))


def test_keypoints_return_to_where_they_are_in_the_picture(networks):
    estimator = Sapiens2Estimator(**networks, max_persons=1)
    estimator._pose = brightness_as_heatmaps
    estimator._find_persons = lambda frames: [torch.tensor([[10.0, 5, 70, 60]])] * len(frames)
    estimator._size = (256, 192)
    for place in ((30, 20), (50, 40)):
        keypoints, _ = estimator(dot_picture(place))
        np.testing.assert_allclose(keypoints[0, 0], place, atol=1.0)


def test_frames_without_persons(networks, frames):
    sees_nobody = Sapiens2Estimator(**{**networks, "box_threshold": 1.0})
    for keypoints, scores in sees_nobody.detect_batch(frames[:2]):
        assert keypoints.shape == (0, 308, 2) and scores.shape == (0, 308)
    estimator = Sapiens2Estimator(**networks)
    boxes = [torch.zeros(0, 4), torch.tensor([[0.0, 0, 60, 60], [50, 0, 90, 60]]), torch.zeros(0, 4)]
    estimator._find_persons = lambda frames: boxes
    assert [len(scores) for _, scores in estimator.detect_batch(frames[:3])] == [0, 2, 0]


def test_a_video_becomes_a_clip(networks, tmp_path):
    pytest.importorskip("av", reason="needs PyAV")
    path = write_dot_video(tmp_path / "a.mkv", dot_path(5))
    clip = load_clip(path, estimator=Sapiens2Estimator(**networks, batch_size=2, max_persons=1))
    assert (clip.layout, len(clip), clip.width, clip.height, clip.fps) == ("sapiens_308", 5, 96, 64, 25)


def test_extract_poses_from_the_command_line(networks, tmp_path, capsys):
    pytest.importorskip("av", reason="needs PyAV")
    write_dot_video(tmp_path / "videos" / "a.mkv", dot_path(5))
    command = ["extract-poses", str(tmp_path / "videos"), "--out", str(tmp_path / "clips"), "--estimator", "sapiens2"]
    command += ["--model", networks["model"], "--detector", networks["detector"], "--box-threshold", "0"]
    assert cli.main([*command, "--batch-size", "2", "--max-persons", "1"]) == 0
    assert "1 of 1 videos became clips" in capsys.readouterr().out
    assert load_clip(tmp_path / "clips" / "a.npz").layout == "sapiens_308"
    report = json.loads((tmp_path / "clips" / "manifest.jsonl").read_text())
    assert (report["estimator"], report["versions"]["detector"]) == ("sapiens2-tiny-pose", "tiny-detector")
    settings = json.loads((tmp_path / "clips" / "extraction.json").read_text())["options"]
    assert settings == {"box_threshold": 0.0, "detector": "tiny-detector", "max_persons": 1, "model": "tiny-pose"}


def test_lip_points_are_sorted_by_the_mouth_however_it_is_turned():
    rng = np.random.default_rng(0)
    for degrees in (0, 60, 180, 300):
        turn = np.radians(degrees)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        mouth = {204: (0, 0), 205: (4, 0), 208: (1, -1), 209: (3, -1), 211: (1, 1), 210: (3, 1)}
        keypoints, scores = rng.uniform(0, 9, (1, 308, 2)), np.full((1, 308), 0.5)
        for index, place in mouth.items():
            keypoints[0, index] = rotation @ np.array(place) + 20
            scores[0, index] = index / 308
        sorted_keypoints, sorted_scores = sort_lip_pairs(keypoints, scores)
        np.testing.assert_array_equal(sorted_keypoints, keypoints)
        for pair in ([208, 209], [210, 211]):
            mixed, mixed_scores = keypoints.copy(), scores.copy()
            mixed[:, pair], mixed_scores[:, pair] = mixed[:, pair[::-1]], mixed_scores[:, pair[::-1]]
            np.testing.assert_array_equal(sort_lip_pairs(mixed, mixed_scores)[0], keypoints)
            np.testing.assert_array_equal(sort_lip_pairs(mixed, mixed_scores)[1], scores)
    # Where the mouth stands in the layout of the 69 joints: corner, halfway, centre, halfway, corner, and back.
    assert get_layout("sapiens_308").face[9:17] == (204, 208, 206, 209, 205, 210, 207, 211)


def test_what_is_not_found_lies_at_the_origin():
    scores = np.full((1, 308), 0.5)
    scores[0, 7] = 0
    keypoints, _ = sort_lip_pairs(np.full((1, 308, 2), 9.0), scores)
    assert keypoints[0, 7].tolist() == [0, 0] and keypoints[0, 8].tolist() == [9, 9]


def test_versions_name_networks_without_this_machines_folders(networks):
    versions = Sapiens2Estimator(**networks).versions
    assert versions["model"] == "tiny-pose" and versions["detector"] == "tiny-detector"
    assert set(versions) == {"transformers", "torch", "model", "detector", "dtype"}


def test_wrong_networks_and_options(networks, tmp_path):
    with pytest.raises(ValueError, match="expected a Sapiens2 network with 308 keypoints, found one with 17"):
        Sapiens2Estimator(**{**networks, "model": save_pose_network(tmp_path / "pose", num_labels=17)})
    with pytest.raises(ValueError, match="expected a detector with the label person, found none"):
        Sapiens2Estimator(**{**networks, "detector": save_detector(tmp_path / "detector", ("cat", "cup"))})
    with pytest.raises(ValueError, match="nowhere could not be loaded .*: go online once, or give a folder") as caught:
        Sapiens2Estimator(**{**networks, "model": str(tmp_path / "nowhere")})
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="expected a device of this machine .*, received 'abacus': use one"):
        Sapiens2Estimator(**networks, device="abacus")
    with pytest.raises(ValueError, match="expected batch_size and max_persons from 1, received 0 and 3"):
        Sapiens2Estimator(**networks, batch_size=0)
    with pytest.raises(ValueError, match="expected dtype float32, bfloat16 or float16, received 'int8'"):
        Sapiens2Estimator(**networks, dtype="int8")
