"""Distances between the outlines of a mask and the truth, by MONAI's metrics.

With spacing they are three-dimensional, in millimetres; of a single slice, which has an outline but
no surface, two-dimensional. Without it they are two-dimensional, in pixels, one per slice in which
both masks have something; the slices in which only one has are counted beside them, because no
distance can be given there.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

TOLERANCE = 2  # of surface Dice, in the unit of the distances: pixels or millimetres


@dataclass(frozen=True)
class Surface:
    """One patient's distances, one entry per slice (2-D) or scan (3-D) that has both outlines.

    hd95: 95th percentile of the distances between the outlines (the larger direction), in ``unit``.
    dice: share of both outlines within ``TOLERANCE`` of the other one, in [0, 1].
    one_sided: slices or scans in which only one of the two masks has something.
    unit: ``"px"`` or ``"mm"``.
    """

    hd95: tuple[float, ...]
    dice: tuple[float, ...]
    one_sided: int
    unit: str


def surface(
    prediction: np.ndarray, truth: np.ndarray, spacing_mm: tuple[float, float, float] | None
) -> Surface:
    """Compare two bool masks (slices, height, width) of one scan."""
    import torch
    from monai.metrics import compute_hausdorff_distance, compute_surface_dice

    pair = [np.asarray(mask, bool) for mask in (prediction, truth)]
    spacing = spacing_mm
    if spacing_mm is not None:
        if len(pair[0]) == 1:
            spacing = spacing_mm[1:]
        else:
            pair = [mask[None] for mask in pair]
    has = [mask.reshape(len(mask), -1).any(1) for mask in pair]
    both = has[0] & has[1]
    one_sided = int((has[0] ^ has[1]).sum())
    unit = "px" if spacing_mm is None else "mm"
    if not both.any():
        return Surface((), (), one_sided, unit)
    tensors = [torch.from_numpy(np.ascontiguousarray(mask[both, None])) for mask in pair]
    common = {"include_background": True, "spacing": spacing}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of MONAI to itself
        hd95 = compute_hausdorff_distance(*tensors, percentile=95, **common)
        dice = compute_surface_dice(*tensors, [float(TOLERANCE)], **common)
    return Surface(tuple(hd95[:, 0].tolist()), tuple(dice[:, 0].tolist()), one_sided, unit)
