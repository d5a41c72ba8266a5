"""Means with intervals over patients."""

from __future__ import annotations

import numpy as np
from scipy.stats import bootstrap


def summarise(values: np.ndarray, *, seed: int = 0) -> dict:
    """Mean, median and the 95 % bootstrap interval of the mean over patients.

    values: one score per patient, (n,); NaN are left out and counted. The interval is SciPy's
    percentile bootstrap with 10,000 resamples; with fewer than two values it is NaN.
    """
    values = np.asarray(values, float)
    defined = values[~np.isnan(values)]
    low = high = float("nan")
    if len(defined) > 1:
        rng = np.random.default_rng(seed)
        interval = bootstrap(
            (defined,), np.mean, n_resamples=10_000, method="percentile", rng=rng, batch=1000
        ).confidence_interval
        low, high = float(interval.low), float(interval.high)
    return {
        "mean": float(defined.mean()) if len(defined) else float("nan"),
        "low": low,
        "high": high,
        "median": float(np.median(defined)) if len(defined) else float("nan"),
        "patients": len(defined),
        "undefined": int(np.isnan(values).sum()),
    }
