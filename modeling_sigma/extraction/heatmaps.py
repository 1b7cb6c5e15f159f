"""Top-down pose estimation around a network: crops of persons go in, keypoints come out of its heatmaps.

The geometry is that of "unbiased data processing" in training (arXiv:1911.07524): corner pixels map to corner pixels,
so that a crop of W pixels spans W - 1 steps. It is plain torch, so that it runs without torchvision, which the image
processors of transformers need.
"""

from __future__ import annotations

import torch
from torch.nn import functional


# The box of a person is enlarged by this factor, as in training.
BOX_PADDING = 1.25

_BLUR_SIZE = 11  # pixels of a heatmap
_BLUR_SIGMA = 0.3 * ((_BLUR_SIZE - 1) * 0.5 - 1) + 0.8  # OpenCV's default for this size
_SMALLEST_SHARE = 1e-3  # of the peak; the logarithm of anything smaller says nothing


def crop_windows(boxes: torch.Tensor, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """The windows of the picture to crop for persons' boxes: enlarged, and in the aspect ratio of the crops.

    Args:
        boxes (`torch.Tensor` of shape `(N, 4)`):
            The boxes: x_min, y_min, x_max, y_max in pixels.
        size (`tuple[int, int]`):
            The height and width of the crops.

    Returns:
        `tuple[torch.Tensor, torch.Tensor]`: the windows' top left corners and their sizes, each `(N, 2)`, x and y.
    """
    boxes = boxes.float()
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    extents = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1.0) * BOX_PADDING  # (N, 2)
    aspect = size[1] / size[0]
    width = torch.maximum(extents[:, 0], extents[:, 1] * aspect)
    extents = torch.stack([width, width / aspect], dim=1)
    return centres - extents / 2, extents


def crop_persons(image: torch.Tensor, boxes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Crops persons from a picture; pixels outside the picture are 0.

    Args:
        image (`torch.Tensor` of shape `(C, H, W)`):
            The picture, floating point.
        boxes (`torch.Tensor` of shape `(N, 4)`):
            The boxes: x_min, y_min, x_max, y_max in pixels.
        size (`tuple[int, int]`):
            The height and width of the crops. Enlarged crops are bicubic, reduced ones bilinear.

    Returns:
        `torch.Tensor` of shape `(N, C, *size)`.
    """
    height, width = size
    corners, extents = crop_windows(boxes, size)
    xs = corners[:, :1] + torch.linspace(0, 1, width, device=image.device) * extents[:, :1]  # (N, width)
    ys = corners[:, 1:] + torch.linspace(0, 1, height, device=image.device) * extents[:, 1:]  # (N, height)
    is_reduced = torch.minimum((width - 1) / extents[:, 0], (height - 1) / extents[:, 1]) < 1
    crops = []
    for x, y, reduced in zip(xs, ys, is_reduced.tolist()):
        grid = torch.stack(
            [
                (2 * x / max(image.shape[2] - 1, 1) - 1).expand(height, width),
                (2 * y / max(image.shape[1] - 1, 1) - 1)[:, None].expand(height, width),
            ],
            dim=-1,
        )  # (height, width, 2)
        mode = "bilinear" if reduced else "bicubic"
        crops.append(functional.grid_sample(image[None], grid[None], mode, "zeros", align_corners=True)[0])
    return torch.stack(crops) if crops else image.new_zeros((0, image.shape[0], height, width))


def decode_heatmaps(heatmaps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Keypoints from heatmaps, to a fraction of a pixel.

    The highest pixel is moved to the maximum of the parabola that fits the logarithm of the blurred heatmap around it
    (the logarithm of a Gaussian is a parabola). It stays if that is impossible, as on the border or on a flat map, or
    if the maximum is more than a pixel away.

    Source: arXiv:1910.06278, section 3.2.

    Args:
        heatmaps (`torch.Tensor` of shape `(N, K, height, width)`):
            One map per person and keypoint.

    Returns:
        `tuple[torch.Tensor, torch.Tensor]`: x and y in pixels of the heatmap, `(N, K, 2)`, and scores `(N, K)` from 0
        to 1, the height of the highest pixel. A keypoint with score 0 was not found; its coordinates mean nothing.
    """
    num_persons, num_keypoints, height, width = heatmaps.shape
    maps = heatmaps.float().reshape(num_persons * num_keypoints, height, width)
    peaks, places = maps.flatten(1).max(dim=1)
    x, y = places % width, places // width
    offsets = _peak_offsets(_blurred_neighbours(maps, x, y))
    is_inside = (x > 0) & (x < width - 1) & (y > 0) & (y < height - 1) & (offsets.abs() <= 1).all(dim=1)
    points = torch.stack([x, y], dim=1) + torch.where(is_inside[:, None], offsets, 0.0)
    shape = (num_persons, num_keypoints)
    return points.reshape(*shape, 2), peaks.clamp(0, 1).reshape(shape)


def place_in_image(
    points: torch.Tensor, heatmap_size: tuple[int, int], corners: torch.Tensor, extents: torch.Tensor
) -> torch.Tensor:
    """Converts points from pixels of the heatmaps to pixels of the picture.

    Args:
        points (`torch.Tensor` of shape `(N, K, 2)`):
            The points: x and y in pixels of the heatmaps.
        heatmap_size (`tuple[int, int]`):
            The height and width of the heatmaps.
        corners, extents (`torch.Tensor` of shape `(N, 2)`):
            The windows that were cropped, from `crop_windows`.

    Returns:
        `torch.Tensor` of shape `(N, K, 2)`.
    """
    steps = points.new_tensor([heatmap_size[1] - 1, heatmap_size[0] - 1])
    return points / steps * extents[:, None] + corners[:, None]


def _blurred_neighbours(maps: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The blurred maps around (x, y), `(M, 3, 3)`. To save time, only these pixels of the 49,152 are blurred."""
    reach = _BLUR_SIZE // 2 + 1
    padded = functional.pad(maps, (reach, reach, reach, reach))
    steps = torch.arange(2 * reach + 1, device=maps.device)
    rows, columns = (y[:, None] + steps)[:, :, None], (x[:, None] + steps)[:, None]
    patches = padded[torch.arange(len(maps), device=maps.device)[:, None, None], rows, columns]  # (M, 13, 13)
    distances = torch.arange(_BLUR_SIZE, device=maps.device) - _BLUR_SIZE // 2
    kernel = torch.exp(-0.5 * (distances / _BLUR_SIGMA) ** 2)
    kernel = kernel / kernel.sum()
    return functional.conv2d(patches[:, None], torch.outer(kernel, kernel)[None, None])[:, 0]


def _peak_offsets(values: torch.Tensor) -> torch.Tensor:
    """Where the parabola through the logarithms of `(M, 3, 3)` values has its extremum, `(M, 2)`: x and y from the
    centre. Infinite where it has none."""
    floor = (values[:, 1, 1] * _SMALLEST_SHARE).clamp(min=torch.finfo(values.dtype).tiny)
    logs = torch.maximum(values, floor[:, None, None]).log()
    centre = logs[:, 1, 1]
    slope_x, slope_y = (logs[:, 1, 2] - logs[:, 1, 0]) / 2, (logs[:, 2, 1] - logs[:, 0, 1]) / 2
    bend_x, bend_y = logs[:, 1, 2] + logs[:, 1, 0] - 2 * centre, logs[:, 2, 1] + logs[:, 0, 1] - 2 * centre
    twist = (logs[:, 2, 2] - logs[:, 2, 0] - logs[:, 0, 2] + logs[:, 0, 0]) / 4
    determinant = bend_x * bend_y - twist**2
    is_peak = (determinant > 0) & (bend_x < 0)
    offsets = torch.stack([twist * slope_y - bend_y * slope_x, twist * slope_x - bend_x * slope_y], dim=1)
    return torch.where(is_peak[:, None], offsets / determinant[:, None], torch.inf)
