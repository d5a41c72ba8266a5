"""What an evaluation collects beside the scores: observers that ``evaluate`` shows each result."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from brainseg.data.case import Case
from brainseg.inference.results import Result
from brainseg.metrics.agreement import mean_agreement, pairwise_dice
from brainseg.metrics.calibration import histogram
from brainseg.metrics.overlap import count, dice, recall
from brainseg.study import estimate


class Calibration:
    """Collects the pixels of every result that has real probabilities; an observer of
    ``evaluate``. ``counts`` by name, see ``calibration.histogram``."""

    def __init__(self) -> None:
        self.counts: dict[str, np.ndarray] = {}

    def __call__(self, case: Case, result: Result) -> None:
        if result.name not in ("fusion_vote", "fusion_staple"):
            found = histogram(result.probabilities, case.mask)
            self.counts[result.name] = self.counts.get(result.name, 0) + found


class StapleBeliefs:
    """Collects what STAPLE estimates of each mask it fuses beside what is true; an observer of
    ``evaluate``. ``rows``: one per scan and model."""

    def __init__(self) -> None:
        self.rows: list[dict] = []
        self._masks: dict[str, np.ndarray] = {}

    def __call__(self, case: Case, result: Result) -> None:
        for name, (sensitivity, specificity) in (result.estimates or {}).items():
            mask, truth = self._masks[name], case.mask
            self.rows.append(
                {
                    "patient": case.patient_id,
                    "checkpoint": name,
                    "estimated_sensitivity": sensitivity,
                    "true_sensitivity": recall(count(mask, truth)),
                    "estimated_specificity": specificity,
                    "true_specificity": recall(count(~mask, ~truth)),
                }
            )
        self._masks[result.name] = result.mask


class Agreements:
    """Collects how far each model agrees with the others beside its Dice, once per scan; an
    observer of ``evaluate``. Fusions are left out, because they are made of the models, and so is
    what has no Dice, or nothing to agree on: a healthy scan in which nothing was marked."""

    def __init__(self) -> None:
        self.models: tuple[str, ...] = ()
        self.pairs: list[tuple[float, float]] = []
        self.patients: set[str] = set()
        self.slices: list[int] = []
        self.datasets: set[str] = set()
        self._case: Case | None = None
        self._masks: dict[str, np.ndarray] = {}

    def __call__(self, case: Case, result: Result) -> None:
        if case is not self._case:
            self.close()
            self._case = case
        if result.kind != "fusion":
            self._masks[result.name] = result.mask

    def close(self) -> None:
        """Count the last scan."""
        if len(self._masks) > 1:
            self.models = tuple(self._masks)
            table = pairwise_dice(list(self._masks.values()))
            pairs = [
                (mean_agreement(table, i, range(len(table))), dice(count(mask, self._case.mask)))
                for i, mask in enumerate(self._masks.values())
            ]
            if known := [pair for pair in pairs if not np.isnan(pair).any()]:
                self.pairs += known
                self.patients.add(self._case.patient_id)
                self.slices.append(len(self._case.mask))
                self.datasets.add(self._case.dataset)
        self._case, self._masks = None, {}

    def write_estimate(self, path: Path) -> None:
        """Fit Dice to agreement (see ``estimate.py``) and keep it, if there is enough to fit; else
        none is there, for an earlier one was of other models."""
        self.close()
        if len(self.patients) >= estimate.MIN_PATIENTS:
            agreements, dices = zip(*self.pairs, strict=True)
            fitted = estimate.fit(
                agreements,
                dices,
                len(self.patients),
                self.models,
                min_slices=min(self.slices),
                dataset=" and ".join(sorted(self.datasets)),
            )
            estimate.write(fitted, path)
        else:
            path.unlink(missing_ok=True)
