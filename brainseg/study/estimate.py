"""A guess at a mask's Dice when there is no truth, from how far the models agree.

A straight line from agreement to Dice, fitted on validation patients, and the spread of its
errors there. It is an estimate for scans like those patients'; for others it can be far off.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from brainseg.files import write_json

FILE = "estimate.json"
MIN_PATIENTS = 10
_COVERAGE = 0.9


@dataclass(frozen=True)
class Estimate:
    """``intercept + slope * agreement``; ``low`` and ``high`` are the 5th and 95th percentile of
    the errors on ``patients`` validation patients; ``models`` are those that had to agree."""

    intercept: float
    slope: float
    low: float
    high: float
    patients: int
    models: tuple[str, ...]

    def dice(self, agreement: float) -> dict[str, float]:
        """The estimated Dice with its 90 % interval, all in [0, 1]."""
        centre = self.intercept + self.slope * agreement
        values = {"dice": centre, "low": centre + self.low, "high": centre + self.high}
        return {key: float(np.clip(value, 0, 1)) for key, value in values.items()}


def fit(
    agreements: Sequence[float], dices: Sequence[float], patients: int, models: Sequence[str]
) -> Estimate:
    """Fit on pairs of agreement and Dice, one for each model and patient; pairs with a NaN are
    left out. Raises ValueError where there are fewer than ``MIN_PATIENTS`` patients."""
    x, y = np.asarray(agreements, float), np.asarray(dices, float)
    known = ~np.isnan(x) & ~np.isnan(y)
    x, y = x[known], y[known]
    if patients < MIN_PATIENTS or len(x) < MIN_PATIENTS:
        raise ValueError(
            f"An estimate from {patients} patients and {len(x)} pairs says nothing: expected at "
            f"least {MIN_PATIENTS} of each. Fit it on a whole validation fold."
        )
    spread = x - x.mean()
    slope = float((spread * (y - y.mean())).sum() / max((spread**2).sum(), 1e-12))
    intercept = float(y.mean() - slope * x.mean())
    errors = y - (intercept + slope * x)
    tail = (1 - _COVERAGE) / 2
    low, high = np.quantile(errors, (tail, 1 - tail))
    return Estimate(intercept, slope, float(low), float(high), patients, tuple(models))


def write(estimate: Estimate, path: Path) -> None:
    """Write an estimate as JSON."""
    write_json(path, asdict(estimate), indent=2)


def read(path: Path, models: Sequence[str]) -> tuple[Estimate | None, str]:
    """The estimate that holds for these models, or None and a sentence that says why not."""
    if not path.is_file():
        return None, (
            "No Dice is estimated: how agreement and Dice go together has not been fitted on "
            "validation patients yet."
        )
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        found = Estimate(**{**fields, "models": tuple(fields["models"])})
    except (ValueError, TypeError, KeyError):
        return None, f"No Dice is estimated: {path.name} can't be read."
    if set(found.models) != set(models):
        return None, (
            "No Dice is estimated: it was fitted on the agreement of other models "
            f"({', '.join(found.models)}) than those compared here."
        )
    return found, ""
