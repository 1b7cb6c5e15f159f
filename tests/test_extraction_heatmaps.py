"""Crops and heatmaps: known points come back, to a fraction of a pixel."""

import numpy as np
import pytest
import torch

from modeling_sigma.extraction.heatmaps import BOX_PADDING, crop_persons, crop_windows, decode_heatmaps, place_in_image


def gaussian(x: float, y: float, height: int = 64, width: int = 48, sigma: float = 2.0, peak: float = 0.9):
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return peak * torch.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))


@pytest.mark.parametrize("sigma", [1.5, 2.0, 6.0])
def test_gaussians_are_found_to_a_hundredth_of_a_pixel(sigma):
    places = np.random.default_rng(0).uniform([8, 8], [39, 55], (20, 2))
    heatmaps = torch.stack([gaussian(x, y, sigma=sigma) for x, y in places])[None]
    points, scores = decode_heatmaps(heatmaps)
    assert points.shape == (1, 20, 2)
    np.testing.assert_allclose(points[0], places, atol=0.01)
    assert (scores > 0.8).all() and (scores <= 0.9).all()


def test_turned_gaussians():
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(48), indexing="ij")
    x, y = columns - 20.3, rows - 30.4
    heatmap = torch.exp(-(x**2 + y**2 + x * y) / 20)
    np.testing.assert_allclose(decode_heatmaps(heatmap[None, None])[0][0, 0], [20.3, 30.4], atol=0.01)


def test_maps_without_a_peak_keep_the_highest_pixel():
    flat = torch.full((64, 48), 0.5)
    negative = torch.full((64, 48), -1.0)
    on_the_border = gaussian(0, 10.4)
    slope = torch.arange(48.0).expand(64, 48)
    one_pixel = torch.zeros(64, 48)
    one_pixel[10, 20] = 0.7
    points, scores = decode_heatmaps(torch.stack([flat, negative, on_the_border, slope, one_pixel])[None])
    assert points[0, 2].tolist() == [0, 10] and points[0, 4].tolist() == [20, 10]
    assert torch.isfinite(points).all() and points[0, 3, 0] == 47
    np.testing.assert_allclose(scores[0], [0.5, 0, 0.9 * np.exp(-0.02), 1, 0.7], atol=1e-6)


def test_no_persons():
    points, scores = decode_heatmaps(torch.zeros(0, 5, 16, 12))
    assert points.shape == (0, 5, 2) and scores.shape == (0, 5)
    assert crop_persons(torch.zeros(3, 20, 30), torch.zeros(0, 4), (16, 12)).shape == (0, 3, 16, 12)


def test_windows_are_enlarged_to_the_aspect_ratio():
    boxes = torch.tensor([[10.0, 20, 30, 100], [0, 0, 100, 10], [5, 5, 5, 5]])
    corners, extents = crop_windows(boxes, (64, 48))
    np.testing.assert_allclose(extents[0], [80 * BOX_PADDING * 0.75, 80 * BOX_PADDING])
    np.testing.assert_allclose(extents[1], [125, 125 / 0.75], rtol=1e-6)
    np.testing.assert_allclose(corners + extents / 2, [[20, 60], [50, 5], [5, 5]], atol=1e-5)
    assert (extents[2] > 0).all(), "an empty box is still a place"


@pytest.mark.parametrize("size", [(32, 24), (256, 192)], ids=["reduced", "enlarged"])
def test_crops_keep_their_place(size):
    # A picture whose colours are its coordinates: every pixel of a crop says where it comes from.
    rows, columns = torch.meshgrid(torch.arange(120.0), torch.arange(160.0), indexing="ij")
    boxes = torch.tensor([[60.0, 40, 90, 80], [50, 50, 100, 70]])
    crops = crop_persons(torch.stack([columns, rows]), boxes, size)
    corners, extents = crop_windows(boxes, size)
    for crop, corner, extent in zip(crops.numpy(), corners.numpy(), extents.numpy()):
        # Bicubic weights bend a straight line a little.
        np.testing.assert_allclose(crop[0, 0], corner[0] + np.linspace(0, 1, size[1]) * extent[0], atol=0.06)
        np.testing.assert_allclose(crop[1, :, 0], corner[1] + np.linspace(0, 1, size[0]) * extent[1], atol=0.06)


def test_outside_of_the_picture_is_black():
    crops = crop_persons(torch.ones(1, 20, 20), torch.tensor([[-20.0, -20, 10, 20]]), (16, 12))
    assert crops[0, 0, 0, 0] == 0 and crops[0, 0, 12, 9] == 1


def test_points_return_to_the_picture():
    boxes = torch.tensor([[30.0, 20, 130, 220], [200, 30, 260, 90]])
    corners, extents = crop_windows(boxes, (256, 192))
    truth = torch.tensor([[[50.0, 100], [90.5, 33.3]], [[210, 40], [233.3, 77.7]]])  # (2, 2, 2)
    in_heatmap = (truth - corners[:, None]) / extents[:, None] * torch.tensor([47.0, 63.0])
    heatmaps = torch.stack([torch.stack([gaussian(*point.tolist()) for point in person]) for person in in_heatmap])
    points, _ = decode_heatmaps(heatmaps)
    np.testing.assert_allclose(place_in_image(points, (64, 48), corners, extents), truth, atol=0.05)


def test_agrees_with_transformers():
    pytest.importorskip("torchvision", reason="the image processor of transformers needs torchvision")
    from transformers import Sapiens2ImageProcessor
    from transformers.models.sapiens2.modeling_sapiens2 import Sapiens2PoseEstimatorOutput

    processor = Sapiens2ImageProcessor(size={"height": 256, "width": 192})
    picture = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    boxes = torch.tensor([[20.0, 10, 80, 110], [60, 20, 150, 70]])
    as_coco = [torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], dim=1).tolist()]
    theirs = processor(picture, boxes=as_coco, return_tensors="pt")["pixel_values"]
    mean, std = (torch.tensor(values)[:, None, None] for values in (processor.image_mean, processor.image_std))
    image = torch.from_numpy(picture).permute(2, 0, 1).float()
    torch.testing.assert_close((crop_persons(image, boxes, (256, 192)) / 255 - mean) / std, theirs, atol=1e-3, rtol=0)
    places = np.random.default_rng(1).uniform([5, 5], [42, 58], (2, 9, 2))
    heatmaps = torch.stack([torch.stack([gaussian(*place) for place in person]) for person in places])
    results = processor.post_process_pose_estimation(Sapiens2PoseEstimatorOutput(heatmaps=heatmaps), boxes=as_coco)
    points, _ = decode_heatmaps(heatmaps)
    placed = place_in_image(points, (64, 48), *crop_windows(boxes, (256, 192)))
    torch.testing.assert_close(placed, torch.stack([person["keypoints"] for person in results[0]]), atol=0.02, rtol=0)
