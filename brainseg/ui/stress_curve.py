"""One slice under every severity of a corruption: the runs, their curve and what it says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from brainseg.inference.fused_models import expected_results
from brainseg.inference.predictor import predict_all
from brainseg.metrics import overlap
from brainseg.scans import corruptions, rendering
from brainseg.scans.scan import Scan, ScanError
from brainseg.ui import view
from brainseg.ui.inputs import read_example
from brainseg.ui.session import Step, next_step, require_checkpoints, usable
from brainseg.ui.view import View

COMPARED = "the scan in Compare"
_STAPLE = "fusion_staple"  # it weighs the masks over a whole scan, and severities are no scan
# Okabe and Ito's colours that stand out on white and on black, with dashes to tell lines apart
# without them; twelve lines differ in one or the other.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_DASHES = ("none", "8 4", "2 3", "12 3 2 3")


@dataclass(frozen=True, eq=False)
class Subject:
    """One slice, (height, width, channels), its truth or None, what it is called, and how large
    its voxels are, where that is known."""

    pixels: np.ndarray
    truth: np.ndarray | None
    name: str
    spacing_mm: tuple[float, float, float] | None = None


def subject(source: str, compared: View | None) -> Subject:
    """The slice with most tumour of a phantom, or the slice where the visitor's own comparison
    began. Raises ScanError if there is none."""
    if source == COMPARED:
        if compared is None or compared.sample is None:
            raise ScanError("There is no finished comparison yet: compare a scan first.")
        scan = compared.scan
        truth = compared.truth_plane(compared.start)
        return Subject(compared.sample, truth, scan.source, scan.spacing_mm)
    inputs = read_example(source)
    index = rendering.largest_slice(inputs.truth)
    scan = inputs.scan
    return Subject(scan.pixels[index], inputs.truth[index], scan.source, scan.spacing_mm)


def run(chosen: Subject, corruption: str, checkpoints: str | Path) -> Iterator[Step]:
    """All models on all severities, one more model with each step; severities are the slices."""
    require_checkpoints(checkpoints)
    predictors, skipped = usable(checkpoints)
    pixels, truth = corruptions.series(chosen.pixels, chosen.truth, corruption)
    scan = Scan(pixels, chosen.spacing_mm, source=f"{corruption} on {chosen.name}")
    order = [(name, kind) for name, kind in expected_results(predictors) if name != _STAPLE]
    names = tuple(f"{severity:.0%}" for severity in corruptions.severities())
    found = view.begin(
        scan, truth, order, skipped=tuple(skipped), slice_names=names, corruption=corruption
    )
    yield next_step(found, order)
    for result in predict_all(scan, predictors, slicewise=True):
        if result.name != _STAPLE:
            found = view.add(found, result)
            yield next_step(found, order)


def scores(found: View) -> dict[str, list[float]]:
    """Dice at each severity by name: with the truth, or without one with the model's own mask of
    the clean slice. NaN where both masks are empty."""
    truth = found.full_truth()
    curves = {}
    for name, entry in found.entries.items():
        masks = entry.mask()
        wanted = truth if truth is not None else corruptions.moved(masks[0], found.corruption)
        pairs = zip(masks, wanted, strict=True)
        curves[name] = [overlap.dice(overlap.count(mask, real)) for mask, real in pairs]
    return curves


def verdict(found: View, curves: dict[str, list[float]]) -> str:
    """Which model breaks first, in words."""
    falls = {name: corruptions.first_fall(values) for name, values in curves.items()}
    known = {name: fall for name, fall in falls.items() if fall is not None}
    unfit = [name for name, values in curves.items() if not values[0] > 0]
    kinds = dict(found.order)
    what = "Dice" if found.truth is not None else "overlap with its own mask of the clean slice"
    parts = []
    if known:
        first = min(known.values())
        names = [name for name, fall in known.items() if fall == first]
        parts.append(
            f"First below 90 % of its clean {what}: {', '.join(names)}, at severity {first:.0%}."
        )
    steady = [name for name, fall in falls.items() if fall is None and name not in unfit]
    if steady:
        parts.append(f"Not below it at any severity: {', '.join(steady)}.")
    ensembles = [name for name, kind in kinds.items() if kind == "ensemble" and name in known]
    singles = [fall for name, fall in known.items() if kinds[name] == "model"]
    for name in ensembles:
        if singles:
            later = sum(known[name] > fall for fall in singles)
            parts.append(f"{name} breaks later than {later} of {len(singles)} single models.")
    if unfit:
        parts.append(f"Nothing to lose on this slice, where they find nothing: {', '.join(unfit)}.")
    return " ".join(parts) + " One slice shows how, not how often: no ranking follows from it."


def curve(found: View, curves: dict[str, list[float]]) -> str:
    """Dice against severity as a drawing, HTML; ``rows`` are the same for a table."""
    left, top, width, height = 46, 12, 520, 250
    levels = corruptions.severities()

    def at(severity: float, score: float) -> str:
        return f"{left + severity * width:.1f},{top + (1 - score) * height:.1f}"

    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = top + (1 - share) * height
        parts.append(
            f'<line class="grid" x1="{left}" x2="{left + width}" y1="{y}" y2="{y}"/>'
            f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{share:.2f}</text>'
        )
    for severity in (0, 0.5, 1):
        parts.append(
            f'<text x="{left + severity * width}" y="{top + height + 18}" '
            f'text-anchor="middle">{severity:.0%}</text>'
        )
    for number, (name, values) in enumerate(_sorted(found, curves)):
        colour = _COLOURS[number % len(_COLOURS)]
        dash = f' stroke-dasharray="{_DASHES[number % len(_DASHES)]}"'
        known = [(s, v) for s, v in zip(levels, values, strict=True) if not np.isnan(v)]
        points = " ".join(at(s, v) for s, v in known)
        row = top + 14 + 20 * number
        parts.append(
            f'<polyline points="{points}" stroke="{colour}"{dash}/>'
            f'<line x1="{left + width + 16}" x2="{left + width + 40}" y1="{row - 4}" '
            f'y2="{row - 4}" stroke="{colour}" stroke-width="3"{dash}/>'
            f'<text x="{left + width + 46}" y="{row}">{escape(name)}</text>'
        )
    total = max(top + height + 30, top + 20 * len(curves) + 10)
    return (
        f'<div class="scrolls" tabindex="0" role="region" aria-label="Curve"><svg class="curve" '
        f'viewBox="0 0 790 {total}" role="img" aria-label="Dice against severity, one line for '
        f'each model; the curve as a table, below, holds the same numbers">'
        f'{"".join(parts)}<text x="{left + 0.75 * width}" y="{top + height + 18}" '
        f'text-anchor="middle">severity</text></svg></div>'
    )


def rows(found: View, curves: dict[str, list[float]]) -> tuple[list[str], list[list[str]]]:
    """The curve as headings and rows of text."""
    headings = ["Severity", *(f"{severity:.0%}" for severity in corruptions.severities())]
    cells = [
        [name, *("both empty" if np.isnan(v) else f"{v:.2f}" for v in values)]
        for name, values in _sorted(found, curves)
    ]
    return headings, cells


def _sorted(found: View, curves: dict[str, list[float]]) -> list[tuple[str, list[float]]]:
    return [(name, curves[name]) for name, _ in found.order if name in curves]
