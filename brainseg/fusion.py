"""Fusions that learn nothing: the yardsticks a trained ensemble has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def mean(probabilities: Sequence[np.ndarray], weights: Sequence[float] | None = None) -> np.ndarray:
    """The mean of probability maps, float32 in [0, 1], all of one shape.

    weights: one number above 0 per map, such as its model's Dice on validation patients; equal
    weights without.
    """
    weights = np.ones(len(probabilities)) if weights is None else np.asarray(weights, float)
    shares = (weights / weights.sum()).astype(np.float32)
    summed = sum(share * p for share, p in zip(shares, probabilities, strict=True))
    return summed.astype(np.float32).clip(0, 1)  # shares may sum to a hair above 1


def vote(masks: Sequence[np.ndarray]) -> np.ndarray:
    """The share of bool masks that mark a pixel, float32 in [0, 1].

    A majority is a share above 0.5: of two masks, both.
    """
    return np.mean(np.asarray(masks, np.float32), axis=0)


def staple(masks: Sequence[np.ndarray]) -> tuple[np.ndarray, list[float], list[float]]:
    """STAPLE (Warfield et al. 2004, as in SimpleITK) over bool masks (slices, height, width).

    Returns the probability of tumour per pixel, float32 in [0, 1], and each mask's estimated
    sensitivity and specificity. Where no mask marks anything there is nothing to estimate: the
    map is 0 and the estimates are NaN; where all masks are equal, they are right.
    """
    import SimpleITK as sitk

    masks = [np.asarray(mask, np.uint8) for mask in masks]
    unknown = [float("nan")] * len(masks)
    if not any(mask.any() for mask in masks):
        return np.zeros(masks[0].shape, np.float32), unknown, unknown
    if all((mask == masks[0]).all() for mask in masks):  # nothing to estimate either, but agreed
        agreed = [1.0] * len(masks)
        return masks[0].astype(np.float32), agreed, agreed
    staple_filter = sitk.STAPLEImageFilter()
    staple_filter.SetForegroundValue(1)
    staple_filter.SetMaximumIterations(500)  # left alone it may take tens of thousands
    fused = staple_filter.Execute([sitk.GetImageFromArray(mask) for mask in masks])
    probabilities = np.nan_to_num(sitk.GetArrayFromImage(fused).astype(np.float32))
    return (
        probabilities.clip(0, 1),
        list(staple_filter.GetSensitivity()),
        list(staple_filter.GetSpecificity()),
    )
