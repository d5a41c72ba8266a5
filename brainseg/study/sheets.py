"""Contact sheets: the best, the median and the worst patient of each model, to look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
from matplotlib.figure import Figure

from brainseg.data.case import Case, CaseRef, DataError
from brainseg.inference.predictor import Predictor, predict_all
from brainseg.scans.rendering import display_volume, in_proportion, largest_slice, overlay


def chosen_patients(rows: Sequence[dict], name: str) -> list[dict]:
    """The rows of the patients with the best, the median and the worst Dice of one predictor;
    fewer where there are not three with a Dice."""
    own = [row for row in rows if row["checkpoint"] == name and not np.isnan(row["dice"])]
    own.sort(key=lambda row: -row["dice"])
    places = dict.fromkeys((0, len(own) // 2, len(own) - 1)) if own else {}
    return [own[place] for place in places]


def contact_sheet(
    labels: Sequence[str],
    predictor_of: Callable[[dict], Predictor],
    refs: Sequence[CaseRef],
    rows: Sequence[dict],
    caption: str,
    *,
    slicewise: bool = False,
) -> Figure:
    """One line per label: its best, median and worst patient, each at the slice with most
    tumour (or, without any, with most marked), the mask filled in orange and the truth outlined
    in blue. Of a patient with several cases, the first that can be read.

    labels: of checkpoints in ``rows``, which are of ``evaluate`` on the same cases.
    predictor_of: the predictor that such a row is of. caption: says what these pictures are of.
    slicewise: as it was for these rows.
    """
    figure = Figure(figsize=(7, 0.5 + 2.45 * len(labels)), layout="constrained")
    grid = figure.subplots(len(labels), 3, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for line, label in zip(grid, labels, strict=True):
        for axes, row in zip(line, chosen_patients(rows, label), strict=False):
            case = _read_first([ref for ref in refs if ref.patient_id == row["patient"]])
            own = {label: predictor_of(row)}
            *_, result = predict_all(case.scan, own, fusions=False, slicewise=slicewise)
            index = largest_slice(case.mask if case.mask.any() else result.mask)
            image = display_volume(case.scan)[index]
            picture = overlay(image, result.mask[index], case.mask[index])
            axes.imshow(in_proportion(picture, case.scan.spacing_mm))
            axes.set_title(f"{row['patient']}: Dice {row['dice']:.2f}", fontsize=8)
        line[0].text(-0.04, 0.5, label, rotation=90, ha="right", va="center", fontsize=9,
                     transform=line[0].transAxes)  # fmt: skip
    figure.suptitle(caption, fontsize=9)
    return figure


def _read_first(refs: Sequence[CaseRef]) -> Case:
    """The first case that can be read. Raises DataError if none can."""
    *others, last = refs
    for ref in others:
        with suppress(DataError):  # said where it was left out of the scores
            return ref.read()
    return last.read()
