"""Batched, seeded augmentation on the device where the batch lies.

Image, mask and the base models' maps of a stack move together. Geometry and gamma act on the
stored grey levels, where 0 is black; contrast, brightness and noise on the z-scores.
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


def geometry(
    planes: torch.Tensor, generator: torch.Generator, size: int | None = None
) -> torch.Tensor:
    """Flip, rotate, scale and shift float (n, c, side, side), each sample its own way, bilinear.

    ``size`` makes the result (n, c, size, size) instead, of the same view. Outside becomes 0. Put
    images, masks and maps in one tensor so that they stay aligned, and threshold the mask at 0.5
    afterwards. Draws come from ``generator`` (CPU).
    """
    n = len(planes)
    angle = _uniform(n, math.radians(ROTATION_DEG), generator)
    scale = torch.exp(_uniform(n, SCALE, generator))
    flip = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
    shift = torch.stack([_uniform(n, 2 * SHIFT, generator) for _ in range(2)], dim=-1)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    rows = torch.stack([torch.stack([cos * flip, -sin], -1), torch.stack([sin * flip, cos], -1)], 1)
    affine = torch.cat([rows, shift[:, :, None]], dim=-1).to(planes.device, planes.dtype)
    shape = list(planes.shape) if size is None else [*planes.shape[:2], size, size]
    grid = F.affine_grid(affine, shape, align_corners=False)
    return F.grid_sample(planes, grid, align_corners=False)


def gamma(images: torch.Tensor, mean: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Grey levels (n, 3, size, size) raised to a random power per sample, about ``mean`` (n, 3).

    The mean of the head stays where it is, so that the statistics still fit the picture.
    """
    power = torch.exp(_uniform(len(images), GAMMA, generator))
    # Half of the samples keep their intensities.
    power = torch.where(torch.rand(len(images), generator=generator) < 0.5, 1.0, power)
    power = power.to(images.device)[:, None, None, None]
    mean = mean[:, :, None, None].clamp_min(1)
    return mean * (images / mean).clamp_min(1e-4) ** power


def intensity(
    z: torch.Tensor, generator: torch.Generator, noise_generator: torch.Generator
) -> torch.Tensor:
    """Contrast and brightness per sample and channel, noise per pixel, on z-scores (n, 3, ...)."""
    n, channels = z.shape[:2]
    shape = (n, channels, 1, 1)
    contrast = 1 + _uniform(n * channels, CONTRAST, generator).view(shape).to(z.device)
    brightness = _uniform(n * channels, BRIGHTNESS, generator).view(shape).to(z.device)
    strength = NOISE * torch.rand(n, generator=generator).to(z.device)[:, None, None, None]
    noise = torch.randn(z.shape, generator=noise_generator, device=z.device)
    return z * contrast + brightness + noise * strength


def grey_only(images: torch.Tensor, which: torch.Tensor, channel: torch.Tensor) -> torch.Tensor:
    """Where ``which`` (n,) is true, all three channels become channel ``channel`` (n,).

    Visitors often upload one sequence as a grey picture; this lets networks see such input.
    """
    index = torch.where(which[:, None], channel[:, None], torch.arange(3)[None].to(channel.device))
    index = index.to(images.device)[:, :, None, None]
    return torch.gather(images, 1, index.expand_as(images))


def _uniform(n: int, half_width: float, generator: torch.Generator) -> torch.Tensor:
    return (torch.rand(n, generator=generator) * 2 - 1) * half_width
