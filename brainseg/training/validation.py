"""Scores during training: Dice at every threshold from histograms of probabilities."""

from __future__ import annotations

import numpy as np
import torch
from accelerate import Accelerator

from brainseg.config import Config
from brainseg.training.batches import Batches

THRESHOLDS = np.arange(1, 100) / 100
_BINS = 100


@torch.inference_mode()
def validate(
    model, config: Config, batches: Batches, rows: np.ndarray, accelerator: Accelerator
) -> np.ndarray:
    """Histograms of the predicted probabilities on slices ``rows``, int64 (patients, 2, 100): of
    the pixels without and with tumour. Sums over all processes, so that their number does not
    matter."""
    model.eval()
    patients, owners = np.unique(batches.data.patients[rows], return_inverse=True)
    share = slice(accelerator.process_index, None, accelerator.num_processes)
    rows, owners = rows[share], torch.from_numpy(owners[share])
    counts = torch.zeros(len(patients) * 2 * _BINS, dtype=torch.int64, device=accelerator.device)
    for start in range(0, len(rows), config.batch_size):
        batch = rows[start : start + config.batch_size]
        x, y = batches.plain(batch)
        with accelerator.autocast():
            logits = model(x)
        bins = (torch.sigmoid(logits.float()) * _BINS).long().clamp_max(_BINS - 1)
        owner = owners[start : start + config.batch_size].to(bins.device)
        flat = (owner[:, None, None, None] * 2 + y.long()) * _BINS + bins
        counts += torch.bincount(flat.flatten(), minlength=len(counts))
    return accelerator.reduce(counts).cpu().numpy().reshape(len(patients), 2, _BINS)


def best_threshold(counts: np.ndarray) -> tuple[float, float]:
    """The threshold from 0.1 to 0.9 with the best mean Dice over patients, and that Dice."""
    dice = np.where((THRESHOLDS >= 0.1) & (THRESHOLDS <= 0.9), mean_dice(counts), -1)
    chosen = int(np.argmax(dice))
    return float(THRESHOLDS[chosen]), float(dice[chosen])


def mean_dice(counts: np.ndarray) -> np.ndarray:
    """Mean Dice over patients with tumour, at each of THRESHOLDS, from ``validate``'s counts."""
    above = counts[:, :, ::-1].cumsum(-1)[:, :, ::-1][:, :, 1:]  # pixels at or above a threshold
    fp, tp = above[:, 0], above[:, 1]
    truth = counts[:, 1].sum(-1)
    sick = truth > 0
    if not sick.any():
        return np.zeros(len(THRESHOLDS))
    return (2 * tp[sick] / (tp[sick] + fp[sick] + truth[sick, None])).mean(0)
