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

from brainseg.data.case import CaseRef
from brainseg.files import write_json, write_table
from brainseg.inference.predictor import Predictor
from brainseg.metrics.calibration import fit_temperature, reliability
from brainseg.scans.notes import note
from brainseg.study import estimate
from brainseg.study.cost import cost
from brainseg.study.observers import Agreements, Calibration, StapleBeliefs
from brainseg.study.score import COLUMNS, evaluate

if TYPE_CHECKING:
    from pandas import DataFrame

TOLERANCE = 0.002  # mean Dice may differ so much between two machines


def write_study(
    out: Path,
    predictors: dict[str, Predictor],
    validation_refs: Sequence[CaseRef],
    calibration: Calibration,
    beliefs: StapleBeliefs,
) -> None:
    """Everything but ``per_patient.csv`` and ``summary.json``, which ``write_results`` writes.

    validation_refs: cases of patients on whom no predictor was trained.
    calibration, beliefs: have observed the test patients.
    """
    on_validation, agreements = Calibration(), Agreements()
    rows = evaluate(predictors, validation_refs, observers=[on_validation, agreements])
    write_table(out / "validation.csv", rows, COLUMNS)
    agreements.write_estimate(out / estimate.FILE)
    write_table(out / "calibration.csv", calibration_rows(calibration, on_validation))
    if beliefs.rows:  # there are two models to fuse
        write_table(out / "staple.csv", beliefs.rows)
    else:  # what an earlier study left here is of other models
        (out / "staple.csv").unlink(missing_ok=True)
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
    how much. Those that were not there then are not compared, and noted. Raises ValueError if one
    of them is missing, or the patients are others."""
    import pandas as pd

    keys = ["checkpoint", "patient"]
    mine, theirs = (pd.DataFrame(table, columns=[*keys, "dice"]) for table in (rows, earlier))
    is_new = ~mine["checkpoint"].isin(theirs["checkpoint"])
    if is_new.any() and not is_new.all():
        note(f"Not there to compare with: {', '.join(mine['checkpoint'][is_new].unique())}.")
        mine = mine[~is_new]
    mine, theirs = (table.set_index(keys)["dice"] for table in (mine, theirs))
    if len(missing := mine.index.symmetric_difference(theirs.index)):
        name, patient = missing[0]
        raise ValueError(
            f"The two evaluations differ in what they score, such as {name} on {patient} "
            f"({len(missing)} such): give the same checkpoints and patients."
        )
    now, before = (dice.groupby("checkpoint", sort=False).mean() for dice in (mine, theirs))
    gaps = (now - before).abs()
    # Without any Dice in both there is no gap; in one of them, there is no greater one.
    gaps = gaps.mask(now.isna() & before.isna(), 0.0).fillna(float("inf"))
    worst = max(gaps.index, key=gaps.get)
    return worst, float(gaps[worst])
