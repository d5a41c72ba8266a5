"""The raw figures of a study, as ``evaluate --study`` writes them and the report reads them.

``per_patient.csv``  every score of every model and fusion for each test patient
``validation.csv``   the same for the validation patients
``calibration.csv``  reliability curves on the test patients, before and after the temperature
                     that was fitted on the validation patients
``estimate.json``    Dice guessed from how far models agree, fitted on the validation patients
``staple.csv``       what STAPLE believes of each model, and what is true
``models.json``      what each checkpoint is, how it was trained and what it costs
``summary.json``     what was scored: data set, fold, patients
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from brainseg.data.case import Case, CaseRef
from brainseg.files import write_json, write_table
from brainseg.inference.predictor import Predictor
from brainseg.inference.results import Result
from brainseg.metrics.agreement import mean_agreement, pairwise_dice
from brainseg.metrics.calibration import fit_temperature, histogram, reliability
from brainseg.metrics.overlap import count, dice
from brainseg.study import estimate
from brainseg.study.cost import cost
from brainseg.study.score import COLUMNS, evaluate

if TYPE_CHECKING:
    from pandas import DataFrame

TOLERANCE = 0.002  # mean Dice may differ so much between two machines


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
                    "true_sensitivity": _share(mask & truth, truth),
                    "estimated_specificity": specificity,
                    "true_specificity": _share(~mask & ~truth, ~truth),
                }
            )
        self._masks[result.name] = result.mask


class Agreements:
    """Collects how far each model agrees with the others beside its Dice, once per scan; an
    observer of ``evaluate``. Fusions are left out, because they are made of the models."""

    def __init__(self) -> None:
        self.models: tuple[str, ...] = ()
        self.pairs: list[tuple[float, float]] = []
        self.patients: set[str] = set()
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
            self.patients.add(self._case.patient_id)
            table = pairwise_dice(list(self._masks.values()))
            for position, mask in enumerate(self._masks.values()):
                agreed = mean_agreement(table, position, range(len(table)))
                self.pairs.append((agreed, dice(count(mask, self._case.mask))))
        self._case, self._masks = None, {}

    def write_estimate(self, path: Path) -> None:
        """Fit Dice to agreement (``brainseg.estimate``) and keep it, if there is enough to fit."""
        self.close()
        if len(self.patients) >= estimate.MIN_PATIENTS:
            agreements, dices = zip(*self.pairs, strict=True)
            fitted = estimate.fit(agreements, dices, len(self.patients), self.models)
            estimate.write(fitted, path)


def _share(part: np.ndarray, whole: np.ndarray) -> float:
    return float(part.sum() / whole.sum()) if whole.any() else float("nan")


def write_study(
    out: Path,
    predictors: dict[str, Predictor],
    validation_refs: Sequence[CaseRef],
    calibration: Calibration,
    beliefs: StapleBeliefs,
) -> None:
    """Everything but ``per_patient.csv`` and ``summary.json``, which ``write_results`` writes.

    calibration, beliefs: have observed the test patients.
    """
    on_validation, agreements = Calibration(), Agreements()
    rows = evaluate(predictors, validation_refs, observers=[on_validation, agreements])
    agreements.write_estimate(out / estimate.FILE)
    write_table(out / "validation.csv", rows, COLUMNS)
    write_table(out / "calibration.csv", calibration_rows(calibration, on_validation))
    if beliefs.rows:  # there are two models to fuse
        write_table(out / "staple.csv", beliefs.rows)
    write_json(out / "models.json", describe_models(predictors))


def calibration_rows(test: Calibration, validation: Calibration) -> list[dict]:
    """Reliability curves on test patients, each before and after temperature scaling."""
    rows = []
    for name, counts in test.counts.items():
        fitted = fit_temperature(validation.counts[name])
        for scaled, temperature in ((False, 1.0), (True, fitted)):
            head = {"checkpoint": name, "scaled": int(scaled), "temperature": temperature}
            rows += [{**head, **row} for row in reliability(counts, temperature)]
    return rows


def describe_models(predictors: dict[str, Predictor]) -> dict[str, dict]:
    """What each checkpoint is, how it was trained and what it costs."""
    described = {}
    for label, predictor in predictors.items():
        settings = predictor.checkpoint.settings
        run = settings.run
        described[label] = {
            "kind": predictor.kind,
            "loss": settings.loss,
            "size_px": predictor.size,
            "encoder_weights": run.encoder_weights,
            "init_from": run.init_from,
            "stack_inputs": settings.stack_inputs,
            "bases": [base.name for base in settings.bases],
            "stack_folds": run.stack_folds if predictor.bases else None,
            "started_from": asdict(settings.started_from) if settings.started_from else None,
            "epochs": settings.epochs_done,
            "total_epochs": settings.total_epochs,
            "small_epochs": run.small_epochs,
            "small_size_px": run.small_size if run.small_epochs else None,
            "seed": run.seed,
            "fold": settings.fold,
            "patients": settings.patients,
            "threshold": predictor.threshold,
            "validation_dice": predictor.validation_dice,
            "sha256": predictor.checkpoint.sha256(),
            **cost(predictor),
        }
    return described


def disagreement(
    rows: DataFrame | Sequence[dict], earlier: DataFrame | Sequence[dict]
) -> tuple[str, float]:
    """The checkpoint or fusion whose mean Dice differs most from an earlier evaluation, and by
    how much. Raises ValueError if the two do not score the same ones on the same patients."""
    import pandas as pd

    keys = ["checkpoint", "patient"]
    mine, theirs = (
        pd.DataFrame(table, columns=[*keys, "dice"]).set_index(keys)["dice"]
        for table in (rows, earlier)
    )
    if len(missing := mine.index.symmetric_difference(theirs.index)):
        name, patient = missing[0]
        raise ValueError(
            f"The two evaluations differ in what they score, such as {name} on {patient} "
            f"({len(missing)} such): give the same checkpoints and patients."
        )
    now, before = (dice.groupby("checkpoint", sort=False).mean() for dice in (mine, theirs))
    gaps = (now - before).abs()
    worst = max(gaps.index, key=gaps.get)
    return worst, float(gaps[worst])
