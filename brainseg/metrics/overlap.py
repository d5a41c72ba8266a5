"""Scores of a mask against the truth: pure functions of counts, nothing post-processed.

Everything here is per patient, over the whole volume. With an empty truth and an empty prediction
Dice, IoU, precision and recall are NaN, never silently 1; with only one of them empty they are 0
where they are defined (precision of an empty prediction and recall of an empty truth are NaN).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Counts:
    """Pixels of one patient: true positives, false positives, false negatives."""

    tp: int
    fp: int
    fn: int

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)


def count(prediction: np.ndarray, truth: np.ndarray) -> Counts:
    """Counts over two bool arrays of equal shape. Raises ValueError if the shapes differ."""
    prediction, truth = np.asarray(prediction, bool), np.asarray(truth, bool)
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction is {prediction.shape} and truth {truth.shape}: must agree.")
    tp = int(np.count_nonzero(prediction & truth))
    return Counts(tp, int(prediction.sum()) - tp, int(truth.sum()) - tp)


def dice(counts: Counts) -> float:
    """2 TP / (2 TP + FP + FN), in [0, 1]; NaN when both masks are empty."""
    return _ratio(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn)


def iou(counts: Counts) -> float:
    """TP / (TP + FP + FN), in [0, 1]; NaN when both masks are empty."""
    return _ratio(counts.tp, counts.tp + counts.fp + counts.fn)


def precision(counts: Counts) -> float:
    """TP / (TP + FP), in [0, 1]; NaN when nothing was predicted."""
    return _ratio(counts.tp, counts.tp + counts.fp)


def recall(counts: Counts) -> float:
    """TP / (TP + FN), in [0, 1]; NaN when there is no tumour."""
    return _ratio(counts.tp, counts.tp + counts.fn)


def scores(counts: Counts) -> dict[str, float]:
    """``dice``, ``iou``, ``precision`` and ``recall``."""
    return {
        "dice": dice(counts),
        "iou": iou(counts),
        "precision": precision(counts),
        "recall": recall(counts),
    }


def volume_error(counts: Counts) -> float:
    """(predicted - true) / true volume: 0 is right, -1 nothing marked; NaN without tumour."""
    return _ratio(counts.fp - counts.fn, counts.tp + counts.fn)


def false_positive_slices(prediction: np.ndarray, truth: np.ndarray) -> int:
    """Slices (first axis) without tumour in which something was predicted."""
    axes = tuple(range(1, np.ndim(truth)))
    return int(np.count_nonzero(np.any(prediction, axes) & ~np.any(truth, axes)))


def volume_ml(mask: np.ndarray, spacing_mm: tuple[float, float, float] | None) -> float:
    """Volume of a mask in millilitres; NaN without spacing."""
    if spacing_mm is None:
        return float("nan")
    return float(np.count_nonzero(mask) * np.prod(spacing_mm) / 1000)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
