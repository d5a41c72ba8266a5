"""Which models are fused, and what becomes of them.

Fusions are of the models that a stack reads, so that both start from the same predictions, or of
every single model where there is no stack. With one, ``fusion_all`` is the mean of every single
model beside them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from brainseg.inference import fusion
from brainseg.inference.results import FUSIONS, Result

if TYPE_CHECKING:
    from brainseg.inference.predictor import Predictor


def fused_results(predictors: dict[str, Predictor], results: dict[str, Result]) -> Iterator[Result]:
    """All fusions, one by one; ``results`` holds what each of the predictors found, by label."""
    fused, singles = _members(predictors)
    if len(fused) < 2:
        return
    weights = [predictors[label].validation_dice for label in fused]
    yield from _fuse([results[label] for label in fused], weights)
    if set(fused) < set(singles):
        yield _mean("fusion_all", [results[label] for label in singles])


def expected_results(predictors: dict[str, Predictor]) -> list[tuple[str, str]]:
    """Name and kind of each result that ``predict_all`` gives for these, in its order."""
    kinds = [(label, predictor.kind) for label, predictor in predictors.items()]
    kinds.sort(key=lambda item: item[1] != "model")
    fused, singles = _members(predictors)
    if len(fused) < 2:
        return kinds
    missing = set()
    if not all(predictors[label].validation_dice for label in fused):
        missing.add("fusion_weighted")
    if not set(fused) < set(singles):
        missing.add("fusion_all")
    return [*kinds, *((name, "fusion") for name in FUSIONS if name not in missing)]


def _members(predictors: dict[str, Predictor]) -> tuple[list[str], list[str]]:
    """Labels of the models that are fused, and of every single model."""
    singles = [label for label, predictor in predictors.items() if predictor.kind == "model"]
    labels = {p.checkpoint.folder.resolve(): label for label, p in predictors.items()}
    for predictor in predictors.values():
        bases = [labels.get(base.checkpoint.folder.resolve()) for base in predictor.bases]
        if bases and all(bases):
            return bases, singles
    return singles, singles


def _fuse(results: list[Result], weights: list[float | None]) -> Iterator[Result]:
    masks = [result.mask for result in results]
    maps = [result.probabilities for result in results]
    thresholds = [result.threshold for result in results]
    yield _mean("fusion_mean", results)
    if all(weights):
        threshold = float(np.average(thresholds, weights=weights))
        yield Result("fusion_weighted", "fusion", fusion.mean(maps, weights), threshold)
    yield Result("fusion_vote", "fusion", fusion.vote(masks), 0.5)
    probabilities, *beliefs = fusion.staple(masks)
    names = [result.name for result in results]
    estimates = dict(zip(names, zip(*beliefs, strict=True), strict=True))
    yield Result("fusion_staple", "fusion", probabilities, 0.5, estimates)


def _mean(name: str, results: list[Result]) -> Result:
    threshold = float(np.mean([result.threshold for result in results]))
    return Result(name, "fusion", fusion.mean([r.probabilities for r in results]), threshold)
