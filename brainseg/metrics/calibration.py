"""Whether a probability means what it says: of all pixels given 0.7, do 70 % have tumour?

A model's probabilities are kept as counts of pixels over fine bins of their logit, without and
with tumour. These suffice for the reliability curve, the expected calibration error and the
temperature (Guo et al. 2017) that is fitted on validation patients.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

LIMIT = 12.0  # logits beyond it are counted as it
FINE = 960  # bins of the logit
CURVE = 10  # bins of the reliability curve, of equal width
FLOOR = 0.05  # pixels given less are left out: nearly all of a scan, they would decide alone
CENTRES = (np.arange(FINE) + 0.5) / FINE * 2 * LIMIT - LIMIT
_SHOWN = expit(CENTRES) >= FLOOR


def histogram(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Pixels by logit, without and with tumour: int64 (2, 960).

    probabilities: float32 in [0, 1]; truth: bool of the same shape.
    """
    with np.errstate(divide="ignore"):
        values = logit(probabilities.astype(np.float32).ravel())
    bins = ((values + LIMIT) * (FINE / (2 * LIMIT))).clip(0, FINE - 1).astype(np.int64)
    counts = np.bincount(bins + FINE * truth.ravel(), minlength=2 * FINE)
    return counts.reshape(2, FINE)


def fit_temperature(counts: np.ndarray, centres: np.ndarray = CENTRES) -> float:
    """The number by which logits are divided so that the log-likelihood of ``counts`` is best,
    over pixels that were given ``FLOOR`` or more.

    counts: (2, bins), as ``histogram`` gives it, or other bins of the logit around ``centres``.
    Above 1 the model was too sure, below 1 not sure enough. 1.0 for counts without tumour.
    """
    shown = expit(centres) >= FLOOR
    (without, tumour), z = counts[:, shown], centres[shown]
    if not tumour.any():
        return 1.0

    def negative_log_likelihood(log_t: float) -> float:
        scaled = z / np.exp(log_t)
        return float(without @ np.logaddexp(0, scaled) + tumour @ np.logaddexp(0, -scaled))

    bounds = (np.log(0.05), np.log(20))
    return float(np.exp(minimize_scalar(negative_log_likelihood, bounds=bounds).x))


def reliability(counts: np.ndarray, temperature: float = 1.0) -> list[dict]:
    """The reliability curve: for each bin with pixels its limits, number of pixels, mean
    probability and share of tumour. Pixels given less than ``FLOOR`` before scaling are left out.
    """
    counts, p = counts[:, _SHOWN], expit(CENTRES[_SHOWN] / temperature)
    bins = np.minimum((p * CURVE).astype(int), CURVE - 1)
    curve = []
    for number in range(CURVE):
        own = bins == number
        pixels = int(counts[:, own].sum())
        if pixels:
            curve.append(
                {
                    "low": number / CURVE,
                    "high": (number + 1) / CURVE,
                    "pixels": pixels,
                    "mean_probability": float((counts[:, own] * p[own]).sum() / pixels),
                    "tumour_share": float(counts[1, own].sum() / pixels),
                }
            )
    return curve


def expected_calibration_error(curve: list[dict]) -> float:
    """Mean distance of a reliability curve from the diagonal, weighted by pixels; in [0, 1]."""
    pixels = sum(row["pixels"] for row in curve)
    if not pixels:
        return float("nan")
    gaps = (abs(r["mean_probability"] - r["tumour_share"]) * r["pixels"] for r in curve)
    return sum(gaps) / pixels
