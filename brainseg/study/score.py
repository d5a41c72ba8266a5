"""Score checkpoints and fusions per patient, at each scan's own size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from brainseg.checkpoints.card_scores import interval_text, mean_text
from brainseg.checkpoints.folder import Checkpoint
from brainseg.checkpoints.patients import has_seen, tells_patients
from brainseg.checkpoints.settings import Settings
from brainseg.data import notes_of
from brainseg.data.case import Case, CaseRef, DataError, leave_out
from brainseg.data.splits import fold_of
from brainseg.files import finite, markdown_table, write_json, write_table, write_text
from brainseg.inference.loading import open_together
from brainseg.inference.predictor import Predictor, predict_all
from brainseg.inference.results import Result
from brainseg.metrics import overlap
from brainseg.metrics.statistics import summarise
from brainseg.metrics.surface import Surface, surface
from brainseg.scans.notes import told_together
from brainseg.study.class_scores import ClassScores

if TYPE_CHECKING:
    from pandas import DataFrame

COLUMNS = (
    "checkpoint", "model", "loss", "encoder", "seed", "fold", "patient", "dice", "iou",
    "precision", "recall", "volume_error", "hd95_px", "hd95_mm", "surface_dice", "outlined",
    "one_sided", "false_positive_slices", "empty_slices", "slices", "tumour_px", "predicted_px",
    "tumour_ml", "predicted_ml",
)  # fmt: skip
COUNTED = ("dice", "iou", "precision", "recall", "volume_error")  # from the patient's pixel counts
SCORES = (*COUNTED, "hd95_px", "hd95_mm", "surface_dice")
_TEST_FOLD = (*COUNTED, "false_positive_slices", "empty_slices")
SUMS = ("false_positive_slices", "empty_slices", "outlined", "one_sided")
DICE_HEADINGS = ("mean Dice", "95 % interval", "median")

Observer = Callable[[Case, Result], None]


def select_patients(
    refs: Sequence[CaseRef], *, fold: int | None = None, patients: Sequence[str] | None = None
) -> list[CaseRef]:
    """The cases of one fold, or of the patients named, or all. DataError for unknown ones."""
    if patients is not None:
        known = {ref.patient_id for ref in refs}
        if unknown := sorted(set(patients) - known):
            raise DataError(
                f"Patient {unknown[0]!r} is not in the data set ({len(unknown)} such): expected "
                f"ids such as {min(known)!r}."
            )
        return [ref for ref in refs if ref.patient_id in set(patients)]
    if fold is not None:
        return [ref for ref in refs if fold_of(ref.patient_id) == fold]
    return list(refs)


@told_together()
def evaluate(
    predictors: dict[str, Predictor],
    refs: Sequence[CaseRef],
    *,
    slicewise: bool = False,
    distances: bool = True,
    observers: Sequence[Observer] = (),
) -> list[dict]:
    """One row (see COLUMNS) per patient and predictor, fusions included.

    slicewise: score each slice as if it had been uploaded alone, still summed per patient.
    distances: compute HD95 and surface Dice too, which needs MONAI; NaN otherwise.
    observers: are shown every case with every result.
    Cases that can't be read are left out and noted; DataError if none can.
    """
    rows, faults = [], []
    by_patient = groupby(sorted(refs, key=lambda r: r.patient_id), key=lambda r: r.patient_id)
    progress = tqdm(total=len(refs), desc="scoring", unit="case", leave=False, disable=None)
    for patient, cases in by_patient:
        tallies: dict[str, _Tally] = {}
        for ref in cases:
            progress.update()
            try:
                case = ref.read()
            except DataError as error:
                faults.append((ref.name, str(error)))
                continue
            for result in predict_all(case.scan, predictors, slicewise=slicewise):
                tallies.setdefault(result.name, _Tally()).add(case, result, distances)
                for observe in observers:
                    observe(case, result)
        rows += [_row(name, predictors.get(name), patient, t) for name, t in tallies.items()]
    progress.close()
    leave_out(faults, len(refs) - len(faults))
    return rows


def score_test_fold(
    checkpoint: Checkpoint, refs: Sequence[CaseRef], *, slicewise: bool = False
) -> dict:
    """Summary of one checkpoint on the patients of its own test fold, without distances."""
    fold = checkpoint.settings.fold
    chosen = select_patients(refs, fold=fold)
    predictor = open_together([checkpoint])[checkpoint.name]  # which no other run holds
    classes = ClassScores(lambda: checkpoint.settings.classes)  # those of what it was trained on
    options = {"slicewise": slicewise, "distances": False, "observers": [classes]}
    rows = evaluate({predictor.name: predictor}, chosen, **options)
    found = summary(rows).get(predictor.name, {})
    told = {"classes": figures} if (figures := classes.figures()) else {}
    return {"fold": fold, **{key: found[key] for key in found if key in _TEST_FOLD}, **told}


def note(predictors: dict[str, Predictor], dataset: str, refs: Sequence[CaseRef]) -> str:
    """What a reader of scores of these predictors on these cases must know, "" if nothing."""
    notes = notes_of(dataset, {ref.patient_id for ref in refs})
    seen = [
        label
        for label, predictor in predictors.items()
        if any(
            _has_seen(one.checkpoint.settings, dataset, refs)
            for one in (predictor, *predictor.bases)
        )
    ]
    if seen:
        notes.append(
            f"Not a fair test of {', '.join(seen)}: they, or models they read, were trained or "
            "validated on some of these patients."
        )
    return " ".join(notes)


def _has_seen(settings: Settings, dataset: str, refs: Sequence[CaseRef]) -> bool:
    """By the hashes of its patients, or, where it does not tell, by the folds it left out."""
    if tells_patients(settings):
        return any(has_seen(settings, dataset, ref) for ref in refs)
    unseen = settings.run.unseen_folds
    return dataset in settings.datasets and any(fold_of(r.patient_id) not in unseen for r in refs)


def summary(rows: DataFrame | Sequence[dict]) -> dict:
    """Per predictor: mean, interval and median of each score, sums of SUMS over all patients.

    rows: of ``evaluate``, or read back from ``per_patient.csv``; none give {}.
    """
    import pandas as pd

    if not len(rows):
        return {}
    return {
        name: {
            # By patient, since what a bootstrap draws depends on the order of its values.
            **{key: summarise(own.sort_values("patient")[key].to_numpy()) for key in SCORES},
            **{key: int(own[key].sum()) for key in SUMS},
        }
        for name, own in pd.DataFrame(rows).groupby("checkpoint", sort=False)
    }


def write_results(rows: Sequence[dict], out: Path, description: dict) -> None:
    """``per_patient.csv``, ``summary.json`` and ``report.md`` into ``out``."""
    scores = summary(rows)
    write_table(out / "per_patient.csv", rows, COLUMNS)
    write_json(out / "summary.json", finite({**description, "scores": scores}), indent=2)
    write_text(out / "report.md", report(scores, description))


def report(scores: dict, description: dict) -> str:
    """The summary as a Markdown table, best mean Dice first."""
    parts = [
        f"# Scores on {description['dataset']}",
        f"{description['patients']} patients ({description['selection']}), "
        f"{'each slice alone' if description['slicewise'] else 'whole volumes'}. Dice per patient "
        "over the whole volume; intervals are 95 % bootstrap intervals of the mean over patients. "
        "Patients without tumour in whom nothing was marked have no Dice and are counted as "
        "undefined.",
    ]
    if description.get("note"):
        parts.append(description["note"])
    headings = (
        "predictor", *DICE_HEADINGS, "IoU", "precision", "recall", "HD95", "surface Dice",
        "false-positive slices", "undefined",
    )  # fmt: skip
    order = sorted(scores, key=lambda n: -np.nan_to_num(scores[n]["dice"]["mean"], nan=-1))
    rows = [_report_row(name, scores[name]) for name in order]
    return "\n\n".join([*parts, markdown_table(headings, rows)]) + "\n"


def _report_row(name: str, scores: dict) -> list:
    surface_dice = scores["surface_dice"]["mean"]
    return [
        name,
        *dice_cells(scores["dice"]),
        *(f"{scores[key]['mean']:.3f}" for key in ("iou", "precision", "recall")),
        hd95_text(scores),
        "–" if np.isnan(surface_dice) else f"{surface_dice:.3f}",
        f"{scores['false_positive_slices']} of {scores['empty_slices']}",
        scores["dice"]["undefined"],
    ]


def dice_cells(dice: dict) -> list[str]:
    """Of a summary's Dice what goes below ``DICE_HEADINGS`` in a table."""
    mean, median = (mean_text(dice[key], dice["patients"]) for key in ("mean", "median"))
    return [mean, interval_text(dice), median]


def dice_text(dice: float | None) -> str:
    """``"0.800"``, or an empty cell where there is none."""
    return "" if dice is None else f"{dice:.3f}"


def about_text(about: dict) -> str:
    """Of a description, as ``write_results`` takes it, what was scored, and its note."""
    told = f"On `{about['dataset']}`: {about['selection']}, {about['patients']} patients."
    return " ".join(filter(None, (told, about["note"])))


def gap_text(gap: dict) -> str:
    """Of a difference with an interval ``"+0.031 [+0.003, +0.059]"``."""
    return f"{gap['difference']:+.3f} [{gap['low']:+.3f}, {gap['high']:+.3f}]"


def hd95_text(scores: dict) -> str:
    """The mean HD95 of a summary with its unit, or a dash."""
    found = {unit: scores[f"hd95_{unit}"]["mean"] for unit in ("px", "mm")}
    return ", ".join(f"{v:.1f} {unit}" for unit, v in found.items() if not np.isnan(v)) or "–"


@dataclass
class _Tally:
    """What is summed over the scans of one patient."""

    counts: overlap.Counts = field(default_factory=lambda: overlap.Counts(0, 0, 0))
    false_positive_slices: int = 0
    empty_slices: int = 0
    slices: int = 0
    tumour_ml: float = 0
    predicted_ml: float = 0
    surfaces: list[Surface] = field(default_factory=list)

    def add(self, case: Case, result: Result, distances: bool) -> None:
        mask, truth, spacing_mm = result.mask, case.mask, case.scan.spacing_mm
        self.counts += overlap.count(mask, truth)
        self.false_positive_slices += overlap.false_positive_slices(mask, truth)
        self.empty_slices += int((~truth.any((1, 2))).sum())
        self.slices += len(truth)
        self.tumour_ml += overlap.volume_ml(truth, spacing_mm)
        self.predicted_ml += overlap.volume_ml(mask, spacing_mm)
        if distances:
            self.surfaces.append(surface(mask, truth, spacing_mm))

    def distances(self) -> dict:
        """Means over the patient's slices or scans that have both outlines."""
        hd95 = {
            f"hd95_{unit}": _mean(d for s in self.surfaces if s.unit == unit for d in s.hd95)
            for unit in ("px", "mm")
        }
        return {
            **hd95,
            "surface_dice": _mean(d for s in self.surfaces for d in s.dice),
            "outlined": sum(len(s.dice) for s in self.surfaces),
            "one_sided": sum(s.one_sided for s in self.surfaces),
        }


def _row(name: str, predictor: Predictor | None, patient: str, tally: _Tally) -> dict:
    about = {"model": name, "loss": "", "encoder": "", "seed": "", "fold": ""}  # of a fusion
    if predictor:
        settings = predictor.checkpoint.settings
        about = {key: getattr(settings, key) or "" for key in ("model", "loss", "encoder")}
        about |= {"seed": settings.run.seed, "fold": settings.fold}
    counts = tally.counts
    return {
        "checkpoint": name,
        **about,
        "patient": patient,
        **{key: getattr(overlap, key)(counts) for key in COUNTED},
        **tally.distances(),
        "false_positive_slices": tally.false_positive_slices,
        "empty_slices": tally.empty_slices,
        "slices": tally.slices,
        "tumour_px": counts.tp + counts.fn,
        "predicted_px": counts.tp + counts.fp,
        "tumour_ml": tally.tumour_ml,
        "predicted_ml": tally.predicted_ml,
    }


def _mean(values) -> float:
    values = list(values)
    return float(np.mean(values)) if values else float("nan")
