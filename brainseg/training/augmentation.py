"""Batched, seeded augmentation on the device where the batch lies.

Image, mask and the base models' maps of a stack move together. Skulls, geometry and gamma act on
the stored grey levels, where 0 is black; contrast, brightness and noise on the z-scores.
``strength`` multiplies the widths that stand here.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

ROTATION_DEG = 20.0
SCALE = 0.15
SHIFT = 0.06  # of the image side
GAMMA = 0.3
CONTRAST = 0.15
BRIGHTNESS = 0.15
NOISE = 0.08
SKULL = (0.04, 0.09)  # of the image side: how deep below the skin a stripped head begins
HEAD = 12  # grey levels above black: tissue


def depth_in_head(images: torch.Tensor, limit: int) -> torch.Tensor:
    """How many pixels deep each pixel of float (n, c, side, side) grey levels lies in the head,
    (n, 1, side, side) float, up to ``limit``; 0 outside.

    Inside is what has tissue of most sequences, or such tissue on all four sides. Depth grows by
    rounds of erosion, by a cross and a square in turn.
    """
    tissue = ((images > HEAD).float().mean(1, keepdim=True) > 0.5).float()
    sides = [_reach(tissue, axis, back) for axis in (2, 3) for back in (False, True)]
    inside = torch.stack(sides).amin(0)
    depth = inside.clone()
    for turn in range(limit - 1):
        outside = 1 - inside
        if turn % 2:
            grown = F.max_pool2d(outside, 3, 1, 1)
        else:
            rows = F.max_pool2d(outside, (3, 1), 1, (1, 0))
            grown = rows.maximum(F.max_pool2d(outside, (1, 3), 1, (0, 1)))
        inside = 1 - grown
        depth += inside
    return depth


def strip_skull(
    images: torch.Tensor, masks: torch.Tensor, statistics: torch.Tensor,
    which: torch.Tensor, generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
    """Grey levels (n, 3, side, side) as a skull-stripped scan has them, black but for the brain.

    which: bool (n,), the samples to strip; those of which hardly anything would be left stay.
    masks: (n, 1 or more, side, side); tumour outside of what is left goes too.
    statistics: (n, 3, 2), mean and standard deviation of the head; both change by the factors by
        which those of the slice itself do.

    What BraTS ships is stripped; LGG and figshare are not. Erosion from the skin stands for a brain
    extraction: no brain is outlined here, so too much or too little is taken away, by chance.
    """
    low, high = (share * images.shape[-1] for share in SKULL)
    limits = low + (high - low) * torch.rand(len(images), generator=generator)
    chosen = which.nonzero()[:, 0]
    if not len(chosen):
        return images, masks, statistics
    images, masks, statistics = images.clone(), masks.clone(), statistics.clone()
    own, place = images[chosen.to(images.device)], chosen.to(images.device)
    depth = depth_in_head(own, math.ceil(high) + 1)
    kept = (depth > limits[chosen].to(own.device)[:, None, None, None]).float()
    enough = kept.mean((1, 2, 3)) > 0.05
    kept[~enough] = 1.0
    (mean, std), (old_mean, old_std) = _tissue(own * kept), _tissue(own)
    factors = torch.stack([mean / old_mean, std / old_std], -1).clamp(0.5, 2)
    images[place] = own * kept
    masks[place] = masks[place] * kept
    statistics[place] = statistics[place] * factors
    return images, masks, statistics


def geometry(
    planes: torch.Tensor, generator: torch.Generator, size: int | None = None, strength: float = 1.0
) -> torch.Tensor:
    """Flip, rotate, scale and shift float (n, c, side, side), each sample its own way, bilinear.

    ``size`` makes the result (n, c, size, size) instead, of the same view. Outside becomes 0. Put
    images, masks and maps in one tensor so that they stay aligned, and threshold the mask at 0.5
    afterwards. Draws come from ``generator`` (CPU).
    """
    n = len(planes)
    angle = _uniform(n, strength * math.radians(ROTATION_DEG), generator)
    scale = torch.exp(_uniform(n, strength * SCALE, generator))
    flip = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
    shift = [_uniform(n, strength * 2 * SHIFT, generator) for _ in range(2)]
    shift = torch.stack(shift, dim=-1)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    rows = torch.stack([torch.stack([cos * flip, -sin], -1), torch.stack([sin * flip, cos], -1)], 1)
    affine = torch.cat([rows, shift[:, :, None]], dim=-1).to(planes.device, planes.dtype)
    shape = list(planes.shape) if size is None else [*planes.shape[:2], size, size]
    grid = F.affine_grid(affine, shape, align_corners=False)
    return F.grid_sample(planes, grid, align_corners=False)


def gamma(
    images: torch.Tensor, mean: torch.Tensor, generator: torch.Generator, strength: float = 1.0
) -> torch.Tensor:
    """Grey levels (n, 3, size, size) raised to a random power per sample, about ``mean`` (n, 3).

    The mean of the head stays where it is, so that the statistics still fit the picture.
    """
    power = torch.exp(_uniform(len(images), strength * GAMMA, generator))
    # Half of the samples keep their intensities.
    power = torch.where(torch.rand(len(images), generator=generator) < 0.5, 1.0, power)
    power = power.to(images.device)[:, None, None, None]
    mean = mean[:, :, None, None].clamp_min(1)
    return mean * (images / mean).clamp_min(1e-4) ** power


def intensity(
    z: torch.Tensor,
    generator: torch.Generator,
    noise_generator: torch.Generator,
    strength: float = 1.0,
) -> torch.Tensor:
    """Contrast and brightness per sample and channel, noise per pixel, on z-scores (n, 3, ...)."""
    n, channels = z.shape[:2]
    shape = (n, channels, 1, 1)
    contrast = 1 + _uniform(n * channels, strength * CONTRAST, generator).view(shape).to(z.device)
    brightness = _uniform(n * channels, strength * BRIGHTNESS, generator).view(shape).to(z.device)
    sigma = strength * NOISE * torch.rand(n, generator=generator).to(z.device)
    noise = torch.randn(z.shape, generator=noise_generator, device=z.device)
    return z * contrast + brightness + noise * sigma[:, None, None, None]


def sequences(images: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
    """(n, 3, side, side) with the channels that ``shown`` (n, 3) names, of each sample's own.

    (1, 1, 1) shows FLAIR alone, as a grey picture does that visitors upload; (1, 1, 2) a scan
    without T1, whose place FLAIR takes, as in ``scans.sequences``.
    """
    index = shown.to(images.device)[:, :, None, None]
    return torch.gather(images, 1, index.expand_as(images))


def cutmix(planes: list[torch.Tensor], generator: torch.Generator) -> list[torch.Tensor]:
    """A box of the sample before it put into each second sample, by chance; the same in all of
    ``planes``, float (n, ?, side, side) each (CutMix, Yun et al. 2019).

    A box has 2 to 40 % of the area and sides of up to 3 to 1.
    """
    n, side = len(planes[0]), planes[0].shape[-1]
    mixed = torch.rand(n, generator=generator) < 0.5
    area = 0.02 + 0.38 * torch.rand(n, generator=generator)
    ratio = torch.exp(_uniform(n, math.log(3), generator))
    places = (torch.arange(side) + 0.5) / side
    inside = []
    for length in ((area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)):
        start = (1 - length) * torch.rand(n, generator=generator)
        inside.append((places >= start[:, None]) & (places < (start + length)[:, None]))
    box = (inside[0][:, :, None] & inside[1][:, None] & mixed[:, None, None])[:, None]
    box = box.to(planes[0].device)
    return [torch.where(box, plane.roll(1, 0), plane) for plane in planes]


def _reach(tissue: torch.Tensor, axis: int, back: bool) -> torch.Tensor:
    """Where there is tissue at or before each pixel along an axis, or at or behind it."""
    tissue = tissue.flip(axis) if back else tissue
    reached = tissue.cummax(axis).values
    return reached.flip(axis) if back else reached


def _tissue(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation (n, 3) over what is brighter than black."""
    weight = (images > HEAD).float()
    count = weight.sum((2, 3)).clamp_min(1)
    mean = (images * weight).sum((2, 3)) / count
    var = ((images - mean[:, :, None, None]).square() * weight).sum((2, 3)) / count
    return mean.clamp_min(1), var.sqrt().clamp_min(1)


def _uniform(n: int, half_width: float, generator: torch.Generator) -> torch.Tensor:
    return (torch.rand(n, generator=generator) * 2 - 1) * half_width
