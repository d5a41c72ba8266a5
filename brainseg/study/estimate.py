"""A guess at a mask's Dice when there is no truth, from how far the models agree.

A straight line from agreement to Dice, fitted on the volumes of validation patients, and the
spread of its errors there. It holds for such volumes only: on single slices and on scans of another
kind the same line is far off, so ``read`` gives it for nothing else.
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
    the errors on ``patients`` validation patients; ``models`` are those that had to agree.
    ``min_slices``: the fewest slices of a volume it was fitted on; ``dataset``: where they are
    from."""

    intercept: float
    slope: float
    low: float
    high: float
    patients: int
    models: tuple[str, ...]
    min_slices: int
    dataset: str

    def dice(self, agreement: float) -> dict[str, float]:
        """The estimated Dice with its 90 % interval, all in [0, 1]."""
        centre = self.intercept + self.slope * agreement
        values = {"dice": centre, "low": centre + self.low, "high": centre + self.high}
        return {key: float(np.clip(value, 0, 1)) for key, value in values.items()}

    @property
    def about(self) -> str:
        """On what it was fitted, and what its interval is, in a sentence."""
        return (
            "Dice ≈ is guessed from the agreement, by a line through the models' scores on volumes "
            f"of {self.patients} validation patients of {self.dataset}; the range holds "
            f"{_COVERAGE:.0%} of its errors on these same patients."
        )


def fit(
    agreements: Sequence[float],
    dices: Sequence[float],
    patients: int,
    models: Sequence[str],
    *,
    min_slices: int,
    dataset: str,
) -> Estimate:
    """Fit on pairs of agreement and Dice, one for each model and volume; pairs with a NaN are
    left out, and where all agree alike the line is level. ``min_slices`` and ``dataset`` say what
    the volumes were.

    Raises ValueError where there are fewer than ``MIN_PATIENTS`` patients.
    """
    x, y = np.asarray(agreements, float), np.asarray(dices, float)
    known = ~np.isnan(x) & ~np.isnan(y)
    x, y = x[known], y[known]
    if patients < MIN_PATIENTS or len(x) < MIN_PATIENTS:
        raise ValueError(
            f"An estimate from {patients} patients and {len(x)} pairs says nothing: expected at "
            f"least {MIN_PATIENTS} of each. Fit it on a whole validation fold."
        )
    slope, intercept = np.polyfit(x, y, 1) if np.ptp(x) > 1e-6 else (0.0, y.mean())
    errors = y - (intercept + slope * x)
    tail = (1 - _COVERAGE) / 2
    low, high = np.quantile(errors, (tail, 1 - tail))
    found = map(float, (intercept, slope, low, high))
    return Estimate(*found, patients, tuple(models), min_slices, dataset)


def write(estimate: Estimate, path: Path) -> None:
    """Write an estimate as JSON."""
    write_json(path, asdict(estimate), indent=2)


def read(
    path: Path, models: Sequence[str], slices: int, doubts: Sequence[str] = ()
) -> tuple[Estimate | None, str]:
    """The estimate that holds among these models on a scan, or None and a sentence that says why
    not. It is of the agreement of its own ``models``; others beside them change nothing.

    slices: how many the scan has. doubts: what was found that speaks against the scan.
    """
    if not path.is_file():
        return None, (
            "No Dice is estimated: how agreement and Dice go together has not been fitted on "
            "validation patients yet."
        )
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        found = Estimate(**{**fields, "models": tuple(fields["models"])})
    except (ValueError, TypeError, KeyError):
        return None, (
            f"No Dice is estimated: {path.name} can't be read, or does not say on what it was "
            "fitted."
        )
    if not set(found.models) <= set(models):
        return None, (
            f"No Dice is estimated: it was fitted on the agreement of {', '.join(found.models)}, "
            "which are not all compared here."
        )
    fitted_on = f"volumes of {found.min_slices} slices and more of {found.dataset}"
    if slices < found.min_slices:
        return None, (
            f"No Dice is estimated: it was fitted on {fitted_on}, and does not hold on "
            f"{'one slice' if slices == 1 else f'{slices} slices'}."
        )
    if doubts:
        return None, (
            f"No Dice is estimated: it was fitted on {fitted_on}, whole and sound, and of this "
            f"scan something else was found ({', '.join(doubts)})."
        )
    return found, ""
