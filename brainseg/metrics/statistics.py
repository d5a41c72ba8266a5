"""Means, differences and ranks over patients, with intervals.

Intervals are percentiles over 10,000 draws of the patients, seeded: of means by SciPy's bootstrap.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import bootstrap, rankdata, wilcoxon

RESAMPLES = 10_000
_SEED = 0  # the same scores have the same intervals


def summarise(values: np.ndarray) -> dict:
    """Mean, median and the 95 % bootstrap interval of the mean over patients.

    values: one score per patient, (n,); NaN are left out and counted. With fewer than two values
    the interval is NaN.
    """
    values = np.asarray(values, float)
    defined = values[~np.isnan(values)]
    low, high = _interval((defined,), np.mean)
    return {
        "mean": float(defined.mean()) if len(defined) else float("nan"),
        "low": low,
        "high": high,
        "median": float(np.median(defined)) if len(defined) else float("nan"),
        "patients": len(defined),
        "undefined": int(np.isnan(values).sum()),
    }


def summarise_groups(
    values: np.ndarray, groups: np.ndarray, owners: np.ndarray | None = None
) -> dict:
    """Mean over groups of the mean in each, and its 95 % bootstrap interval over patients.

    values: one score each, (n,), without NaN; groups: which one each score is of, (n,); owners: the
    patient each is of, (n,), who is drawn with all of his or her scores; without it each score is a
    patient's. A group of which a resample has nobody is left out of that resample's mean. With
    fewer than two patients the interval is NaN, with none the mean too.
    """
    values, groups = np.asarray(values, float), np.asarray(groups)
    owners = np.arange(len(values)) if owners is None else np.asarray(owners)
    patients, of = np.unique(owners, return_inverse=True)
    own = [groups == group for group in np.unique(groups)]
    sums = [np.bincount(of, np.where(mask, values, 0), len(patients)) for mask in own]
    counts = [np.bincount(of, mask, len(patients)) for mask in own]

    def mean(*tallies: np.ndarray, axis: int = -1) -> np.ndarray:
        sums, counts = tallies[: len(own)], tallies[len(own) :]
        with np.errstate(invalid="ignore"):  # 0 / 0 where a resample lacks a group
            means = [a.sum(axis) / b.sum(axis) for a, b in zip(sums, counts, strict=True)]
        return np.nanmean(means, axis=0)

    low, high = _interval((*sums, *counts), mean) if own else (float("nan"),) * 2
    return {
        "mean": float(mean(*sums, *counts)) if own else float("nan"),
        "low": low,
        "high": high,
        "patients": len(patients),
    }


def paired_difference(first: np.ndarray, second: np.ndarray) -> dict:
    """Mean of ``first - second`` over the same patients, its interval, and Wilcoxon's p.

    first, second: one score per patient in the same order, (n,); patients for whom one of them is
    NaN are left out, so of those without tumour whoever was left empty by one, and the false alarms
    of the other cost it nothing here. The test is two-sided; with no difference at all its p is 1.
    """
    differences = np.asarray(first, float) - np.asarray(second, float)
    differences = differences[~np.isnan(differences)]
    low, high = _interval((differences,), np.mean)
    p = float(wilcoxon(differences).pvalue) if differences.any() else 1.0
    return {
        "difference": float(differences.mean()) if len(differences) else float("nan"),
        "low": low,
        "high": high,
        "p": p,
        "patients": len(differences),
    }


def holm(p_values: list[float]) -> list[float]:
    """Holm's step-down correction of several tests' p, in the order given (Holm 1979)."""
    order = np.argsort(p_values)
    corrected = np.empty(len(p_values))
    highest = 0.0
    for position, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - position) * p_values[index]))
        corrected[index] = highest
    return corrected.tolist()


def rank_stability(scores: dict[str, np.ndarray]) -> dict[str, dict]:
    """How firm a ranking by mean score is when the patients are drawn anew.

    scores: by name, one score per patient in the same order, (n,); patients with a NaN are left
    out. Returns by name ``first_share``, the share of resamples in which it has the best mean, and
    the 95 % interval ``low`` to ``high`` of its rank, 1 being best.
    """
    table = np.array(list(scores.values()), float)
    table = table[:, ~np.isnan(table).any(0)]
    if not table.size:
        nothing = {"first_share": float("nan"), "low": float("nan"), "high": float("nan")}
        return dict.fromkeys(scores, nothing)
    rng = np.random.default_rng(_SEED)
    drawn = rng.integers(table.shape[1], size=(RESAMPLES, table.shape[1]))
    ranks = rankdata(-np.round(table[:, drawn].mean(-1), 12), axis=0)  # ties share their rank
    first = ranks == ranks.min(0)
    share = (first / first.sum(0)).mean(1)
    low, high = np.percentile(ranks, (2.5, 97.5), axis=1)
    return {
        name: {"first_share": float(share[i]), "low": float(low[i]), "high": float(high[i])}
        for i, name in enumerate(scores)
    }


def _interval(samples: tuple[np.ndarray, ...], statistic) -> tuple[float, float]:
    """Of a statistic of one or several arrays (n,) with an entry per patient."""
    if len(samples[0]) < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(_SEED)
    found = bootstrap(
        samples, statistic, n_resamples=RESAMPLES, method="percentile", rng=rng, batch=1000,
        paired=len(samples) > 1,
    ).confidence_interval  # fmt: skip
    return float(found.low), float(found.high)
