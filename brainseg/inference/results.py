"""What models and fusions say of one scan, and how right they are or how far they agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from brainseg.data import regions_of
from brainseg.files import finite
from brainseg.metrics import agreement, overlap
from brainseg.metrics.classes import kind, votes
from brainseg.scans.scan import Scan

# Of the models that a stack reads too, and last the mean of every single model.
FUSIONS = ("fusion_mean", "fusion_weighted", "fusion_vote", "fusion_staple", "fusion_all")


@dataclass(frozen=True, eq=False)
class Result:
    """What one model or fusion says of one scan.

    name: the checkpoint's label, or one of ``FUSIONS``.
    kind: ``"model"``, ``"ensemble"`` (a trained stack) or ``"fusion"``.
    probabilities: float32 in [0, 1], (slices, height, width), the scan's own grid.
    threshold: probabilities above it are tumour (chosen on validation patients).
    estimates: of STAPLE, the sensitivity and specificity it believes each mask to have.
    classes: names of the classes it tells apart, in the order of ``class_probabilities``: float32
        (classes, slices, height, width), whose sum over classes is ``probabilities``; () and None
        where it tells tumour only.
    """

    name: str
    kind: str
    probabilities: np.ndarray
    threshold: float
    estimates: dict[str, tuple[float, float]] | None = None
    classes: tuple[str, ...] = ()
    class_probabilities: np.ndarray | None = None

    @property
    def mask(self) -> np.ndarray:
        """bool, (slices, height, width)."""
        return self.probabilities > self.threshold

    @property
    def labels(self) -> np.ndarray | None:
        """uint8, (slices, height, width): where ``mask`` is, which class is the most probable,
        from 1; else 0. None where it tells tumour only."""
        if self.class_probabilities is None:
            return None
        return np.where(self.mask, self.class_probabilities.argmax(0) + 1, 0).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Every model and fusion on one scan. ``results`` by name, in the order they came; ``truth``
    bool or None; ``skipped`` says of each checkpoint that could not be used why."""

    scan: Scan
    truth: np.ndarray | None
    results: dict[str, Result]
    skipped: tuple[str, ...] = ()

    @property
    def newest(self) -> Result:
        """The result that came last."""
        return next(reversed(self.results.values()))

    def scores(self, name: str) -> dict[str, float] | None:
        """Dice, IoU, precision and recall against the truth, over the whole scan; None without."""
        if self.truth is None:
            return None
        return overlap.scores(overlap.count(self.results[name].mask, self.truth))

    def agreements(self) -> dict[str, float]:
        """By name the mean Dice of a mask with the other *models'* masks (fusions left out, because
        they are made of them): how much they agree, not how right they are. NaN for one that stands
        alone, or where all masks are empty."""
        table = agreement.pairwise_dice([result.mask for result in self.results.values()])
        models = [i for i, own in enumerate(self.results.values()) if own.kind != "fusion"]
        return {
            name: agreement.mean_agreement(table, i, models) for i, name in enumerate(self.results)
        }

    def to_json(self) -> dict:
        """One entry per model: mask area or volume, threshold, scores, and what ``class_figures``
        says. NaN becomes None."""
        entries, agreements = {}, self.agreements()
        for name, result in self.results.items():
            mask = result.mask
            entry = {
                "kind": result.kind,
                "threshold": result.threshold,
                "area_px": int(mask.sum()),
                "volume_ml": overlap.volume_ml(mask, self.scan.spacing_mm),
                "agreement": agreements[name],
                **(self.scores(name) or {}),
                **_class_figures_of(result, self.scan),
            }
            entries[name] = finite(entry)
        return {
            "source": self.scan.source,
            "slices": len(self.scan.pixels),
            "truth": self.truth is not None,
            "skipped": list(self.skipped),
            "models": entries,
        }


def class_figures(
    classes: tuple[str, ...], pixels: np.ndarray, spacing_mm: tuple[float, float, float] | None
) -> dict:
    """What is said of classes that ``pixels``, (classes,), are marked as: ``classes``, each with
    its ``area_px`` and ``volume_ml``; and ``tumour_kind`` with ``tumour_kind_share``, see
    ``metrics.classes.kind``, or where they are parts of one tumour ``regions``, in the manner of
    ``classes``. {} without classes."""
    if not classes:
        return {}
    one_ml = overlap.volume_ml(np.ones(1, bool), spacing_mm)

    def sizes(members: dict[str, tuple[int, ...]]) -> dict[str, dict]:
        areas = {name: int(sum(pixels[i - 1] for i in own)) for name, own in members.items()}
        return {name: {"area_px": n, "volume_ml": one_ml * n} for name, n in areas.items()}

    figures = {"classes": sizes({name: (i,) for i, name in enumerate(classes, start=1)})}
    if parts := regions_of(classes):
        return {**figures, "regions": sizes(parts)}
    number, share = kind(pixels)
    name = None if number is None else classes[number - 1]
    return {**figures, "tumour_kind": name, "tumour_kind_share": share}


def _class_figures_of(result: Result, scan: Scan) -> dict:
    if result.labels is None:
        return {}
    pixels = votes(result.labels, len(result.classes)).sum(0)
    return class_figures(result.classes, pixels, scan.spacing_mm)
