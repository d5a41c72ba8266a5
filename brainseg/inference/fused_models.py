"""Which models of a comparison are fused, and which fusions there are of them.

predictors: by label, as ``predict_all`` takes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from brainseg.inference.fusion import MOST_IN_STAPLE, fuse, with_classes
from brainseg.inference.results import FUSIONS, Result


def fusion_members(predictors: Mapping) -> tuple[list[str], list[str]]:
    """Labels of the models that are fused, and of every single model that may be. With several
    stacks of two or more bases which are all there, they are those of the one with the best
    validation Dice.

    Models that tell classes apart are not, where there are others to fuse: with one beside them,
    fusions stay what they are.
    """
    singles = [label for label, predictor in predictors.items() if predictor.kind == "model"]
    plain = [label for label in singles if not predictors[label].classes]
    singles = plain if len(plain) > 1 else singles
    labels = {p.checkpoint.folder.resolve(): label for label, p in predictors.items()}
    read = [
        (predictor.validation_dice or 0.0, bases)
        for predictor in predictors.values()
        if (bases := [labels.get(b.checkpoint.folder.resolve()) for b in predictor.bases])
        and all(bases)
        and len(bases) > 1
    ]
    if not read:
        return singles, singles
    _, bases = max(read, key=lambda one: one[0])  # the first of equal ones
    return bases, singles


def expected_results(predictors: Mapping) -> list[tuple[str, str]]:
    """Name and kind of each result that ``predict_all`` gives for these, in its order."""
    kinds = [(label, predictor.kind) for label, predictor in predictors.items()]
    kinds.sort(key=lambda item: item[1] != "model")
    return [*kinds, *((name, "fusion") for name in _names(predictors))]


def fusions(predictors: Mapping, results: Mapping[str, Result]) -> Iterator[Result]:
    """All fusions there are, of the results of all predictors, one by one."""
    fused, singles = fusion_members(predictors)
    weights = [predictors[label].validation_dice for label in fused]
    for name in _names(predictors):
        members = [results[label] for label in (singles if name == "fusion_all" else fused)]
        yield with_classes(fuse(name, members, weights), members)


def _names(predictors: Mapping) -> list[str]:
    """Of the fusions, in the order of ``FUSIONS``; none where fewer than two models are fused."""
    fused, singles = fusion_members(predictors)
    if len(fused) < 2:
        return []
    missing = set()
    if not all(predictors[label].validation_dice for label in fused):
        missing.add("fusion_weighted")
    if not set(fused) < set(singles):  # it would be ``fusion_mean`` again
        missing.add("fusion_all")
    if len(fused) > MOST_IN_STAPLE:
        missing.add("fusion_staple")
    return [name for name in FUSIONS if name not in missing]
