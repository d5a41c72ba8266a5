"""Which models are fused, and what becomes of them.

Fusions are of the models that a stack reads, so that both start from the same predictions, or of
every single model where there is no stack. With one, ``fusion_all`` is the mean of every single
model beside them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from brainseg import fusion
from brainseg.comparison import FUSIONS, Result

if TYPE_CHECKING:
    from brainseg.inference import Predictor


def fused_results(predictors: dict[str, Predictor], results: dict[str, Result]) -> Iterator[Result]:
    """All fusions of the models' results, by label; none of a single one."""
    labels = _fused(predictors)
    weights = [predictors[label].validation_dice for label in labels]
    yield from _fuse([results[label] for label in labels], weights)
    if _fuses_more(predictors):
        yield _mean("fusion_all", [results[label] for label in _singles(predictors)])


def expected_results(predictors: dict[str, Predictor]) -> list[tuple[str, str]]:
    """Name and kind of each result that ``predict_all`` gives for these, in its order."""
    kinds = [(label, predictor.kind) for label, predictor in predictors.items()]
    kinds.sort(key=lambda item: item[1] != "model")
    fused = _fused(predictors)
    if len(fused) < 2:
        return kinds
    missing = set()
    if not all(predictors[label].validation_dice for label in fused):
        missing.add("fusion_weighted")
    if not _fuses_more(predictors):
        missing.add("fusion_all")
    return [*kinds, *((name, "fusion") for name in FUSIONS if name not in missing)]


def _fused(predictors: dict[str, Predictor]) -> list[str]:
    """Labels of the models a stack reads, so that fusions and stack start from the same
    predictions; or else of every single model."""
    labels = {p.checkpoint.folder.resolve(): label for label, p in predictors.items()}
    for predictor in predictors.values():
        bases = [labels.get(base.checkpoint.folder.resolve()) for base in predictor.bases]
        if bases and all(bases):
            return bases
    return _singles(predictors)


def _singles(predictors: dict[str, Predictor]) -> list[str]:
    return [label for label, predictor in predictors.items() if predictor.kind == "model"]


def _fuses_more(predictors: dict[str, Predictor]) -> bool:
    """Whether there are single models beside those that the other fusions read."""
    fused = _fused(predictors)
    return len(fused) > 1 and set(fused) < set(_singles(predictors))


def _fuse(results: list[Result], weights: list[float | None]) -> Iterator[Result]:
    if len(results) < 2:
        return
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
