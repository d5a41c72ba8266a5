"""Fusions that learn nothing: the yardsticks a trained stack has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from brainseg.inference.results import Result

MOST_IN_STAPLE = 63  # masks: which of them mark a pixel is a number of 64 bits


def fuse(name: str, results: Sequence[Result], weights: Sequence[float] = ()) -> Result:
    """The fusion of this name, one of ``FUSIONS``, of these results, tumour alone. A mean has the
    mean of their thresholds, weighted alike.

    weights: of ``fusion_weighted``, their models' Dice on validation patients, above 0.
    ``fusion_staple`` takes ``MOST_IN_STAPLE`` results or fewer.
    """
    if name == "fusion_vote":
        return Result(name, "fusion", vote([result.mask for result in results]), 0.5)
    if name == "fusion_staple":
        probabilities, *beliefs = staple([result.mask for result in results])
        models = [result.name for result in results]
        estimates = dict(zip(models, zip(*beliefs, strict=True), strict=True))
        return Result(name, "fusion", probabilities, 0.5, estimates)
    shares = weights if name == "fusion_weighted" else None
    threshold = float(np.average([result.threshold for result in results], weights=shares))
    return Result(name, "fusion", mean([r.probabilities for r in results], shares), threshold)


def with_classes(fused: Result, results: Sequence[Result]) -> Result:
    """A fusion of results that tell the same classes apart tells them too: its probability of
    tumour, in the shares that theirs have on average. Other fusions stay as they are."""
    classes = {result.classes for result in results}
    if len(classes) > 1 or classes == {()}:
        return fused
    tiny = np.finfo(np.float32).tiny
    shares = sum(r.class_probabilities / np.maximum(r.probabilities, tiny) for r in results)
    shares /= np.maximum(shares.sum(0), tiny)
    return replace(
        fused, classes=results[0].classes, class_probabilities=shares * fused.probabilities
    )


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
    """STAPLE (Warfield et al. 2004) over bool masks (slices, height, width), ``MOST_IN_STAPLE`` or
    fewer.

    Returns the probability of tumour per pixel, float32 in [0, 1], and each mask's estimated
    sensitivity and specificity. Where no mask marks anything there is nothing to estimate: the
    map is 0 and the estimates are NaN; where all masks are equal, they are right.
    """
    stacked = np.stack(masks)
    marked = stacked.any(axis=0)
    unknown = [float("nan")] * len(masks)
    if not marked.any():
        return np.zeros(marked.shape, np.float32), unknown, unknown
    if (stacked == stacked[0]).all():  # nothing to estimate either, but agreed
        agreed = [1.0] * len(masks)
        return stacked[0].astype(np.float32), agreed, agreed
    # Pixels that the same masks mark have the same probability: a few patterns stand for millions
    # of pixels, the first of them for all that no mask marks.
    codes = np.zeros(np.count_nonzero(marked), np.int64)
    for bit, mask in enumerate(stacked):
        codes |= mask[marked].astype(np.int64) << bit
    patterns, which, counts = np.unique(codes, return_inverse=True, return_counts=True)
    patterns = np.append(0, patterns)
    counts = np.append(marked.size - len(codes), counts)
    decisions = (patterns[:, None] >> np.arange(len(masks)) & 1).astype(bool)
    weights, sensitivity, specificity = _estimate(decisions, counts)
    probabilities = np.full(marked.shape, weights[0], np.float32)
    probabilities[marked] = weights[1:][which]
    return probabilities, sensitivity.tolist(), specificity.tolist()


def _estimate(decisions: np.ndarray, counts: np.ndarray, rounds: int = 500):
    """Expectation maximisation over patterns of decisions, bool (patterns, masks), that occur
    ``counts`` times: probability of each pattern, sensitivity and specificity of each mask."""
    marked_share = counts @ decisions / counts.sum()
    prior = marked_share.mean()
    sensitivity = specificity = np.full(decisions.shape[1], 0.99999)
    tiny = np.finfo(float).tiny
    for _ in range(rounds):
        tumour = prior * np.where(decisions, sensitivity, 1 - sensitivity).prod(1)
        healthy = (1 - prior) * np.where(decisions, 1 - specificity, specificity).prod(1)
        weights = tumour / np.maximum(tumour + healthy, tiny)
        is_tumour, is_healthy = weights * counts, (1 - weights) * counts
        before = sensitivity
        sensitivity = is_tumour @ decisions / np.maximum(is_tumour.sum(), tiny)
        specificity = is_healthy @ ~decisions / np.maximum(is_healthy.sum(), tiny)
        if np.abs(sensitivity - before).max() < 1e-7:
            break
    return weights, sensitivity, specificity
