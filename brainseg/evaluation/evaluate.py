"""Score checkpoints and fusions per patient, at each scan's own size."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from tqdm import tqdm

from brainseg.checkpoint import Checkpoint, replacing
from brainseg.data.case import Case, CaseRef, DataError
from brainseg.data.splits import fold_of
from brainseg.evaluation import metrics
from brainseg.evaluation.statistics import summarise
from brainseg.inference import Predictor, Result, predict_all

COLUMNS = (
    "checkpoint", "model", "loss", "encoder", "seed", "fold", "patient", "dice", "iou",
    "precision", "recall", "false_positive_slices", "slices", "tumour_px", "predicted_px",
    "tumour_ml", "predicted_ml",
)  # fmt: skip
SCORES = ("dice", "iou", "precision", "recall")


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


def evaluate(
    predictors: dict[str, Predictor], refs: Sequence[CaseRef], *, slicewise: bool = False
) -> list[dict]:
    """One row (see COLUMNS) per patient and predictor, fusions included.

    ``slicewise`` scores each slice as if it had been uploaded alone, still summed per patient.
    """
    rows = []
    by_patient = groupby(sorted(refs, key=lambda r: r.patient_id), key=lambda r: r.patient_id)
    progress = tqdm(total=len(refs), desc="scoring", unit="case", leave=False, disable=None)
    for patient, cases in by_patient:
        tallies: dict[str, dict] = {}
        for ref in cases:
            case = ref.read()
            for result in predict_all(case.scan, predictors, slicewise=slicewise):
                _add(tallies.setdefault(result.name, _empty_tally()), case, result)
            progress.update()
        rows += [_row(name, predictors.get(name), patient, t) for name, t in tallies.items()]
    progress.close()
    return rows


def score_test_fold(
    checkpoint: Checkpoint, refs: Sequence[CaseRef], *, slicewise: bool = False
) -> dict:
    """Summary of one checkpoint on the patients of its own test fold."""
    fold = checkpoint.settings["fold"]
    chosen = select_patients(refs, fold=fold)
    predictor = Predictor(checkpoint)
    rows = evaluate({predictor.name: predictor}, chosen, slicewise=slicewise)
    return {"fold": fold, **summary(rows).get(predictor.name, {})}


def summary(rows: Sequence[dict]) -> dict:
    """Per predictor: mean, interval and median of each score, false-positive slices in all."""
    result = {}
    for name in dict.fromkeys(row["checkpoint"] for row in rows):
        own = [row for row in rows if row["checkpoint"] == name]
        result[name] = {key: summarise(np.array([row[key] for row in own])) for key in SCORES}
        result[name]["false_positive_slices"] = sum(row["false_positive_slices"] for row in own)
        result[name]["empty_slices"] = sum(row["empty_slices"] for row in own)
    return result


def write_results(rows: Sequence[dict], out: Path, description: dict) -> None:
    """``per_patient.csv``, ``summary.json`` and ``report.md`` into ``out``."""
    scores = summary(rows)
    with replacing(out / "per_patient.csv") as aside, open(aside, "w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows({k: _plain(v) for k, v in row.items()} for row in rows)
    with replacing(out / "summary.json") as aside:
        aside.write_text(json.dumps(_finite({**description, "scores": scores}), indent=2))
    with replacing(out / "report.md") as aside:
        aside.write_text(report(scores, description), encoding="utf-8")


def report(scores: dict, description: dict) -> str:
    """The summary as a Markdown table, best mean Dice first."""
    lines = [
        f"# Scores on {description['dataset']}",
        "",
        f"{description['patients']} patients ({description['selection']}), "
        f"{'each slice alone' if description['slicewise'] else 'whole volumes'}. Dice per patient "
        "over the whole volume; intervals are 95 % bootstrap intervals of the mean over patients. "
        "Patients without tumour in whom nothing was marked have no Dice and are counted as "
        "undefined.",
        "",
        "| predictor | mean Dice | 95 % interval | median | IoU | precision | recall | "
        "false-positive slices | undefined |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    if description.get("note"):
        lines[3:3] = ["", description["note"]]
    order = sorted(scores, key=lambda n: -np.nan_to_num(scores[n]["dice"]["mean"], nan=-1))
    for name in order:
        s = scores[name]
        d = s["dice"]
        lines.append(
            f"| {name} | {d['mean']:.3f} | {d['low']:.3f} to {d['high']:.3f} | {d['median']:.3f} | "
            f"{s['iou']['mean']:.3f} | {s['precision']['mean']:.3f} | {s['recall']['mean']:.3f} | "
            f"{s['false_positive_slices']} of {s['empty_slices']} | {d['undefined']} |"
        )
    return "\n".join(lines) + "\n"


def _empty_tally() -> dict:
    zero = dict.fromkeys(
        ("false_positive_slices", "empty_slices", "slices", "tumour_ml", "predicted_ml"), 0
    )
    return {"counts": metrics.Counts(0, 0, 0), **zero}


def _add(tally: dict, case: Case, result: Result) -> None:
    mask, truth = result.mask, case.mask
    tally["counts"] += metrics.count(mask, truth)
    tally["false_positive_slices"] += metrics.false_positive_slices(mask, truth)
    tally["empty_slices"] += int((~truth.any((1, 2))).sum())
    tally["slices"] += len(truth)
    tally["tumour_ml"] += metrics.volume_ml(truth, case.scan.spacing_mm)
    tally["predicted_ml"] += metrics.volume_ml(mask, case.scan.spacing_mm)


def _row(name: str, predictor: Predictor | None, patient: str, tally: dict) -> dict:
    settings = predictor.checkpoint.settings if predictor else {}
    counts = tally.pop("counts")
    return {
        "checkpoint": name,
        "model": settings.get("model", name),
        "loss": settings.get("loss", ""),
        "encoder": settings.get("encoder") or "",
        "seed": settings.get("run", {}).get("seed", ""),
        "fold": settings.get("fold", ""),
        "patient": patient,
        **{key: getattr(metrics, key)(counts) for key in SCORES},
        "tumour_px": counts.tp + counts.fn,
        "predicted_px": counts.tp + counts.fp,
        **tally,
    }


def _plain(value):
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.6g}"
    return value


def _finite(value):
    """NaN is no JSON: None instead."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    return None if isinstance(value, float) and np.isnan(value) else value
