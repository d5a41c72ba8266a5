"""From a patient to what a scanner would export."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from brainseg.data.phantom.head import (
    brain_depths,
    head_depth,
    paint_brain,
    paint_head,
    paint_lesion,
)
from brainseg.data.phantom.patient import Patient
from brainseg.data.phantom.shapes import noise_volume


def rotation(degrees) -> np.ndarray:
    """Matrix from the scanner to the head frame for nod, roll and turn."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    nod = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    roll = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    turn = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return (nod @ roll @ turn).astype(np.float32)


def slice_affine(patient: Patient, size: int) -> np.ndarray:
    """(4, 4) from (column, row, slice, 1) to scanner mm (LPS): the top slice is over the vertex."""
    dz, dy, dx = patient.spacing_mm
    middle = (size - 1) / 2
    affine = np.diag([dx, dy, dz, 1.0])
    affine[:3, 3] = -dx * middle, -dy * middle, 83 - dz * (patient.slices - 1)
    return affine


def settle(patient: Patient, affine: np.ndarray, turn: np.ndarray) -> Patient:
    """Move each focus up or down onto its nearest slice, or a small one could fall between two."""
    lesions = []
    for lesion in patient.lesions:
        scanner = turn.T @ (np.array(lesion.centre_mm) * patient.head_scale) - patient.shift_mm
        k = np.clip(round((scanner[2] - affine[2, 3]) / affine[2, 2]), 0, patient.slices - 1)
        scanner[2] = affine[2, 3] + affine[2, 2] * k
        centre = turn @ (scanner + patient.shift_mm) / patient.head_scale
        lesions.append(replace(lesion, centre_mm=tuple(centre.tolist())))
    return replace(patient, lesions=tuple(lesions))


def expose(signal: np.ndarray, patient: Patient, rng: np.random.Generator) -> np.ndarray:
    """Signal (3, slices, height, width) -> uint8 (slices, height, width, 3) off the scanner.

    Coil shading, gain, Rician noise, the blur of the reconstruction and the export window, which
    cuts off most of the noise floor.
    """
    _, slices, height, width = signal.shape
    axes = np.ix_(*(np.linspace(-1, 1, n, dtype=np.float32) for n in (slices, height, width)))
    noise = rng.standard_normal((2, *signal.shape), np.float32) * np.float32(patient.noise)
    pixels = np.empty((slices, height, width, 3), np.uint8)
    for channel in range(3):
        tilt = rng.normal(0, 0.6, 3).astype(np.float32)
        # The coil's elements lie around the head: brighter towards them, darker at its two ends.
        along, *across = (a * a for a in axes)
        shade = sum(t * a for t, a in zip(tilt, axes, strict=True)) + 1.5 * sum(across) - along
        shade = np.exp(np.float32(patient.bias) * (shade - 0.5))
        gain = np.float32(patient.gain[channel])
        floor = gain * patient.noise * rng.uniform(0.6, 1.8)
        magnitude = np.hypot(signal[channel] * shade + noise[0, channel], noise[1, channel]) * gain
        for k in range(slices):
            sharp = cv2.GaussianBlur(magnitude[k], (3, 3), 0.6)
            pixels[k, ..., channel] = np.clip(sharp - floor, 0, 255)
    return pixels


def render(patient: Patient, *, size: int = 256) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels uint8 (slices, size, size, 3), affine (4, 4) and, between them, the tumour's classes
    uint8 (slices, size, size): 1 oedema, 2 core, 3 enhancing, 0 elsewhere."""
    seeds = np.random.SeedSequence([patient.seed, 2]).spawn(3 + len(patient.lesions))
    rngs = [np.random.default_rng(seed) for seed in seeds]
    # The field of view stays the same when the matrix is smaller.
    pixel_mm = patient.spacing_mm[1] * 256 / size
    patient = replace(patient, spacing_mm=(patient.spacing_mm[0], pixel_mm, pixel_mm))
    affine, turn = slice_affine(patient, size), rotation(patient.rotation_deg)
    patient = settle(patient, affine, turn)

    shape = (patient.slices, size, size)
    k, j, i = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape), indexing="ij")
    scanner = affine[:3, :3].astype(np.float32) @ np.stack([a.ravel() for a in (i, j, k)])
    scanner += (affine[:3, 3] + patient.shift_mm).astype(np.float32)[:, None]
    p = (turn @ scanner) / np.array(patient.head_scale, np.float32)[:, None]

    skin = head_depth(p)
    head = np.flatnonzero(skin > -0.5 - (1 + patient.spacing_mm[0]) / 2)  # its blurred border too
    p, skin = p[:, head], skin[head]
    depths = brain_depths(p)
    cavity = depths[2]
    signal = paint_head(p, skin, cavity, patient, noise_volume(rngs[0], 16))
    brain = np.flatnonzero(cavity > -4)
    p, depths = p[:, brain], [depth[brain] for depth in depths]
    inner = signal[:, brain]
    tissue = paint_brain(inner, p, depths, patient, rngs[1])
    drawn = np.zeros(brain.size, np.uint8)
    for lesion, rng in zip(patient.lesions, rngs[3:], strict=True):
        share, focus = paint_lesion(inner, p, head[brain], shape, tissue, lesion, rng)
        drawn = np.where(share >= 0.5, focus, drawn)  # painted over those before
    signal[:, brain] = inner

    classes = np.zeros(np.prod(shape), np.uint8)
    classes[head[brain]] = drawn
    image = np.zeros((3, classes.size), np.float32)
    image[:, head] = signal
    return expose(image.reshape(3, *shape), patient, rngs[2]), classes.reshape(shape), affine
