"""Our side of the comparison. It runs in a process of its own, as ``plain_comparison`` does."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from brainseg.bench.processes import forget_peak, peak_gb
from brainseg.data.phantom import make_case
from brainseg.inference.loading import load_usable
from brainseg.inference.predictor import AUTO, predict_all
from brainseg.metrics import overlap
from brainseg.scans.scan import Scan


def make(folder: Path) -> Callable:
    """All checkpoints in a folder, tuned: a task's name and its arguments to what it found.

    ``compare``: a scan to seconds, masks by name and the most memory held meanwhile.
    ``network``: a model's name and a number of rounds to its backend and the median seconds of one
    slice.
    ``agreement``: the LGG set or None, and the names of models with random weights, to figures.
    """
    logging.basicConfig(level=logging.WARNING)
    predictors, _ = load_usable(folder, AUTO)
    for predictor in predictors.values():
        predictor.tune()

    def compare(scan: Scan) -> tuple[float, dict[str, np.ndarray], float]:
        return timed(scan, predictors)

    def network(name: str, rounds: int) -> tuple[str, float]:
        predictor = predictors[name]
        planes = predictor.example_planes()[:1]
        predictor.forward(planes)
        times = []
        for _ in range(rounds):
            began = time.perf_counter()
            predictor.forward(planes)
            times.append(time.perf_counter() - began)
        return predictor.backend, statistics.median(times)

    def agreement(data: Path | None, random: set[str]) -> dict:
        return _agreement(folder, predictors, data, random)

    tasks = {"compare": compare, "network": network, "agreement": agreement}
    return lambda task, *arguments: tasks[task](*arguments)


def timed(scan: Scan, predictors: dict) -> tuple[float, dict[str, np.ndarray], float]:
    """Seconds, masks by name, and the most memory held meanwhile, of a comparison."""
    forget_peak()
    began = time.perf_counter()
    masks = {}
    for result in predict_all(scan, predictors):
        masks[result.name] = result.mask
    return time.perf_counter() - began, masks, peak_gb()


def _agreement(folder: Path, predictors: dict, data: Path | None, random: set[str]) -> dict:
    """Largest difference in Dice between fast masks and those of float32 PyTorch: against the
    truth per patient for trained models on LGG, mask against mask for all models on phantoms."""
    slow, _ = load_usable(folder, "pytorch")
    phantoms = [make_case(seed, "large", slices=9).scan for seed in range(3)]
    pairs = [
        (fast.mask, right.mask)
        for scan in phantoms
        for fast, right in zip(predict_all(scan, predictors), predict_all(scan, slow), strict=True)
    ]
    dices = [overlap.dice(overlap.count(one, other)) for one, other in pairs]
    result = {
        "phantom_mask_dice": min(d for d in dices if not np.isnan(d)),
        "lgg_dice_difference": None,
        "lgg_changes": {},
    }
    trained = set(predictors) - random
    if data is None or not trained:
        return result
    from brainseg.data import load_dataset
    from brainseg.study.score import evaluate, select_patients

    refs = select_patients(load_dataset("lgg", data), fold=0)
    both = [
        evaluate({name: models[name] for name in trained}, refs, distances=False)
        for models in (predictors, slow)
    ]
    differences: dict[str, list[float]] = {}
    for fast, right in zip(*both, strict=True):
        differences.setdefault(fast["checkpoint"], []).append(fast["dice"] - right["dice"])
    table = np.array(list(differences.values()))
    return result | {
        "lgg_changes": {
            name: [float(np.nanmean(own)), float(np.nanmax(np.abs(own)))]
            for name, own in differences.items()
        },
        "lgg_dice_difference": float(np.nanmax(np.abs(table))),
        "lgg_mean_dice_difference": float(np.abs(np.nanmean(table, axis=1)).max()),
        "lgg_patients": len({ref.patient_id for ref in refs}),
    }
