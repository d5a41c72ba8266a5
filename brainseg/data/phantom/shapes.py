"""Noise and closed surfaces in the head frame.

Frame: x to the patient's left, y to the back, z up, origin between the thalami. ``p`` is always
float32 (3, points) in mm; "depth" is mm inside a surface, negative outside.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import scipy  # its parts are imported on first use

NOISE_GRID, NOISE_STEP_MM = 48, 3.0  # periodic noise volumes: 144 mm a side


def noise_volume(rng: np.random.Generator, wavelength_mm: float, *, phase: bool = False):
    """Periodic band-passed noise, float32 (48, 48, 48), standard deviation 1.

    ``phase`` returns it divided by its local amplitude, the sine of a phase that runs evenly
    through space: its zeros are sheets about half a wavelength apart, like the sulci.
    """
    n = NOISE_GRID
    spectrum = scipy.fft.rfftn(rng.standard_normal((n, n, n), np.float32))
    k = np.stack(
        np.meshgrid(
            scipy.fft.fftfreq(n), scipy.fft.fftfreq(n), scipy.fft.rfftfreq(n), indexing="ij"
        )
    ).astype(np.float32)
    radius = np.sqrt((k**2).sum(0)) + 1e-6
    centre = NOISE_STEP_MM / wavelength_mm
    spectrum *= np.exp(-(((radius - centre) / (0.3 * centre)) ** 2))
    field = scipy.fft.irfftn(spectrum, (n, n, n))
    if not phase:
        return (field / field.std()).astype(np.float32)
    riesz = sum(scipy.fft.irfftn(spectrum * (1j * axis / radius), (n, n, n)) ** 2 for axis in k)
    return (field / np.sqrt(field**2 + riesz + 1e-12)).astype(np.float32)


def sample(volume: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Noise at points ``p`` (3, points) in mm -> float32 (points,)."""
    return scipy.ndimage.map_coordinates(
        volume, p / np.float32(NOISE_STEP_MM), order=1, mode="grid-wrap", output=np.float32
    )


def ellipsoid(p: np.ndarray, centre=(0, 0, 0), axes=(1, 1, 1), square: bool = False) -> np.ndarray:
    """Depth in mm along the ray to the centre; ``square`` bulges the sides a little."""
    v = p - np.array(centre, np.float32)[:, None]
    u = v / np.array(axes, np.float32)[:, None]
    if square:  # a superellipsoid of exponent 2.5, without the slow power
        size = (u * u * np.sqrt(np.abs(u))).sum(0) ** np.float32(0.4)
    else:
        size = np.sqrt((u * u).sum(0))
    # At the very centre the ray has no direction; the shortest half axis is a fair answer.
    return np.maximum(np.sqrt((v * v).sum(0)), 1e-3 * min(axes)) * (1 / np.maximum(size, 1e-3) - 1)


def tube(p: np.ndarray, line) -> np.ndarray:
    """Depth in mm inside a tube through ``line``, rows of x, y, z, radius."""
    depth = np.full(p.shape[1], -np.inf, np.float32)
    line = np.array(line, np.float32)
    for a, b in pairwise(line):
        v, along = p - a[:3, None], (b - a)[:3]
        t = np.clip(along @ v / (along @ along), 0, 1)
        gap = np.sqrt(((v - along[:, None] * t) ** 2).sum(0))
        depth = np.maximum(depth, a[3] + (b[3] - a[3]) * t - gap)
    return depth


def mirrored(p: np.ndarray) -> np.ndarray:
    """The same points with |x|, so that a structure on the left is one on both sides."""
    return np.stack([np.abs(p[0]), p[1], p[2]])


def inside(depth: np.ndarray, width_mm: float = 1.2) -> np.ndarray:
    """Share of a voxel inside a surface, 0..1; ``width_mm`` is the blur of the border."""
    return np.clip(depth / np.float32(width_mm) + np.float32(0.5), 0, 1)


def paint(signal: np.ndarray, share: np.ndarray, value) -> None:
    """Mix ``value``, (3,) or (3, points), into ``signal`` (3, points) in place."""
    value = np.asarray(value, np.float32)
    signal += share * ((value[:, None] if value.ndim == 1 else value) - signal)
