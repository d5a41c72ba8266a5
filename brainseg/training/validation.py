"""Scores during training, from histograms of probabilities: Dice by threshold, and temperature."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from scipy.special import logit

from brainseg.config import Config
from brainseg.data.cache import PreparedSet
from brainseg.data.splits import fold_of
from brainseg.files import replacing
from brainseg.metrics.calibration import fit_temperature
from brainseg.models.classes import tumour_logits
from brainseg.training.batches import Batches

THRESHOLDS = np.arange(1, 100) / 100
COUNTS = "counts.npz"
# Of the logit: hundredths of the probability, and finer where it is nearly 1, for the temperature.
EDGES = np.concatenate([logit(THRESHOLDS), np.arange(5.0, 12.5, 0.5)])
_CENTRES = np.convolve([-5.0, *EDGES, 12.5], [0.5, 0.5], "valid")
BINS = len(_CENTRES)


class Choice(NamedTuple):
    """A threshold, the mean over data sets of the mean Dice over their patients there, that mean
    of each data set, the number of patients, and the temperature (``metrics/calibration.py``) that
    suits them."""

    threshold: float
    dice: float
    by_dataset: dict[str, float]
    patients: int
    temperature: float

    def to_json(self) -> dict:
        """As ``metrics.json`` has it; each data set's Dice only where there are several."""
        by_dataset = {"by_dataset": self.by_dataset} if len(self.by_dataset) > 1 else {}
        return {
            "patients": self.patients,
            "mean_dice": self.dice,
            "threshold": self.threshold,
            "temperature": self.temperature,
            **by_dataset,
        }


@torch.inference_mode()
def validate(
    model, config: Config, batches: Batches, rows: np.ndarray, accelerator: Accelerator
) -> np.ndarray:
    """Histograms of the predicted probabilities on slices ``rows``, int64 (patients, 2, BINS): of
    the pixels without and with tumour. Sums over all processes, so that their number does not
    matter."""
    model.eval()
    patients, owners = np.unique(batches.data.owners[rows], return_inverse=True)
    share = slice(accelerator.process_index, None, accelerator.num_processes)
    rows, owners = rows[share], torch.from_numpy(owners[share])
    counts = torch.zeros(len(patients) * 2 * BINS, dtype=torch.int64, device=accelerator.device)
    edges = torch.tensor(EDGES, dtype=torch.float32, device=accelerator.device)
    for start in range(0, len(rows), config.batch_size):
        batch = rows[start : start + config.batch_size]
        x, y = batches.plain(batch)
        with accelerator.autocast():
            logits = model(x)
        bins = torch.bucketize(tumour_logits(logits.float()), edges, right=True)
        y = y if y.ndim == 4 else y[:, None] > 0  # of several classes, tumour or not
        owner = owners[start : start + config.batch_size].to(bins.device)
        flat = (owner[:, None, None, None] * 2 + y.long()) * BINS + bins
        counts += torch.bincount(flat.flatten(), minlength=len(counts))
    return accelerator.reduce(counts).cpu().numpy().reshape(len(patients), 2, BINS)


def datasets_of_patients(data: PreparedSet, rows: np.ndarray) -> np.ndarray:
    """The data set of each patient of slices ``rows``, (patients,) str, in the order in which
    ``validate`` counts."""
    return data.datasets[_one_of_each(data, rows)]


def best_threshold(counts: np.ndarray, datasets: np.ndarray) -> Choice:
    """The threshold from 0.1 to 0.9 with the best mean Dice: over patients, then over data sets,
    so that a large one does not outvote a small one. Sets without tumour here have no say; where
    no patient has any there is nothing to choose by, and all are NaN. And the temperature, for
    which each set's pixels weigh as much as another's."""
    by_dataset = {
        str(name): mean_dice(counts[datasets == name])
        for name in np.unique(datasets)
        if counts[datasets == name, 1].any()
    }
    if not by_dataset:
        return Choice(math.nan, math.nan, {}, len(counts), math.nan)
    dice = np.mean(list(by_dataset.values()), axis=0)
    dice = np.where((THRESHOLDS >= 0.1) & (THRESHOLDS <= 0.9), dice, -1)
    chosen = int(np.argmax(dice))
    found = {name: float(values[chosen]) for name, values in by_dataset.items()}
    temperature = fit_temperature(_evenly(counts, datasets), _CENTRES)
    return Choice(float(THRESHOLDS[chosen]), float(dice[chosen]), found, len(counts), temperature)


def _evenly(counts: np.ndarray, datasets: np.ndarray) -> np.ndarray:
    """(patients, 2, BINS) pixels summed over patients, each data set's a share of 1: (2, BINS)."""
    sums = [counts[datasets == name].sum(0) for name in np.unique(datasets)]
    return sum(own / max(own.sum(), 1) for own in sums)


def save_counts(path: Path, counts: np.ndarray, data: PreparedSet, rows: np.ndarray) -> None:
    """Keep what ``validate`` counted on slices ``rows``, with each patient's data set and fold."""
    folds = [fold_of(patient) for patient in data.patients[_one_of_each(data, rows)]]
    datasets = datasets_of_patients(data, rows)
    with replacing(path) as aside, open(aside, "wb") as stream:
        np.savez_compressed(stream, counts=counts, datasets=datasets, folds=folds)


def _one_of_each(data: PreparedSet, rows: np.ndarray) -> np.ndarray:
    """Of slices ``rows`` one of each patient, in the order in which ``validate`` counts."""
    _, first = np.unique(data.owners[rows], return_index=True)
    return rows[first]


def read_counts(path: Path, fold: int) -> tuple[np.ndarray, np.ndarray]:
    """Of what ``save_counts`` kept the patients of one fold: counts and data sets."""
    with np.load(path) as kept:
        own = kept["folds"] == fold
        return kept["counts"][own], kept["datasets"][own]


def mean_dice(counts: np.ndarray) -> np.ndarray:
    """Mean Dice over patients with tumour, at each of THRESHOLDS, from ``validate``'s counts; NaN
    if there are none."""
    above = counts[:, :, ::-1].cumsum(-1)[:, :, ::-1]  # pixels in a bin or beyond it
    above = above[:, :, 1 : len(THRESHOLDS) + 1]  # at or above a threshold
    fp, tp = above[:, 0], above[:, 1]
    truth = counts[:, 1].sum(-1)
    sick = truth > 0
    if not sick.any():
        return np.full(len(THRESHOLDS), np.nan)
    return (2 * tp[sick] / (tp[sick] + fp[sick] + truth[sick, None])).mean(0)
