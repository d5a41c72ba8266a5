"""Scores of classes, where a model tells some apart and the data set does too.

``per_class.csv``  Dice of each class for each patient, and of each region where the classes are
                   parts of one tumour
``kinds.csv``      of which kind each patient is, and each of their slices that has something: in
                   truth, and by the class with most of what is marked; not where the classes are
                   parts of one tumour
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from brainseg.data import regions_of
from brainseg.data.case import Case, DataError
from brainseg.files import write_table
from brainseg.inference.results import Result
from brainseg.metrics import overlap
from brainseg.metrics.classes import counts, crossed, kind, macro_recall, renumbered, votes
from brainseg.metrics.statistics import summarise
from brainseg.scans.notes import note

CLASSES_FILE, KINDS_FILE = "per_class.csv", "kinds.csv"
CLASS_COLUMNS = ("checkpoint", "dataset", "patient", "class", "dice", "true_px", "marked_px")
KIND_COLUMNS = (
    "checkpoint", "dataset", "patient", "slice", "true_kind", "predicted_kind", "share",
)  # fmt: skip


class ClassScores:
    """Collects how right results with classes are on cases with classes; an observer of
    ``evaluate``. A patient's scans are taken together, in the order in which they come.

    names: gives the names of the classes 1 to n of ``Case.classes``, as ``data.classes_of`` does;
        asked once there is a result with classes, so that they matter to nobody else.
    """

    def __init__(self, names: Callable[[], Sequence[str]]) -> None:
        self._names = cache(names)
        self._tallies: dict[tuple[str, str, str], _Tally] = {}

    def __call__(self, case: Case, result: Result) -> None:
        truth = self._truth_for(case, result.classes)
        if truth is not None:
            key = (result.name, case.dataset, case.patient_id)
            self._tallies.setdefault(key, _Tally(result.classes)).add(result.labels, truth)

    def figures(self) -> dict:
        """What the card of a model says of its classes, {} if it has none: ``dice``, by class, as
        ``summarise`` gives it for those who have it, and where classes are kinds ``kind_right``, as
        ``macro_recall`` gives it for slices."""
        rows, found = list(self._rows(_Tally.class_rows)), {}
        for row in rows:
            found.setdefault(row["class"], []).extend([row["dice"]] if row["true_px"] else [])
        figures = {"dice": {name: summarise(own) for name, own in found.items()}} if rows else {}
        slices = [row for row in self._rows(_Tally.kind_rows) if row["slice"] and row["true_kind"]]
        if slices:
            number_of = {name: number for number, name in enumerate(found, start=1)}
            true, taken = (
                [number_of.get(row[key]) for row in slices]
                for key in ("true_kind", "predicted_kind")
            )
            owners = [row["patient"] for row in slices]
            figures["kind_right"] = macro_recall(true, taken, owners) | {"slices": len(slices)}
        return figures

    def _rows(self, rows_of: Callable[[_Tally], Iterator[dict]]) -> Iterator[dict]:
        for key, tally in self._tallies.items():
            for row in rows_of(tally):
                yield {**dict(zip(CLASS_COLUMNS[:3], key, strict=True)), **row}

    def _truth_for(self, case: Case, classes: tuple[str, ...]) -> np.ndarray | None:
        """The true labels of a case, numbered as a model with these classes does; None where the
        case has none, or one that the model does not know by its name, and, with a note, where what
        its mask says of classes is wrong."""
        if not classes or not self._names():
            return None
        try:
            labels = case.classes
        except DataError as error:
            note(str(error))
            return None
        return None if labels is None else renumbered(labels, self._names(), classes)

    def write(self, out: Path, scored: Sequence[dict]) -> None:
        """Write both files into ``out``, each if there is something to say; else none is there.

        scored: the rows of ``score.evaluate``; who is not among them is left out.
        """
        kept = {(row["checkpoint"], row["patient"]) for row in scored}
        for file, columns, rows_of in (
            (CLASSES_FILE, CLASS_COLUMNS, _Tally.class_rows),
            (KINDS_FILE, KIND_COLUMNS, _Tally.kind_rows),
        ):
            rows = [
                row for row in self._rows(rows_of) if (row["checkpoint"], row["patient"]) in kept
            ]
            if rows:
                write_table(out / file, rows, columns)
            else:  # what an earlier evaluation left here is not of these models
                (out / file).unlink(missing_ok=True)


@dataclass
class _Tally:
    """What is summed over the scans of one patient."""

    classes: tuple[str, ...]
    pixels: np.ndarray | int = 0  # see ``crossed``
    true: list[np.ndarray] = field(default_factory=list)  # votes of each slice
    found: list[np.ndarray] = field(default_factory=list)

    def add(self, labels: np.ndarray, truth: np.ndarray) -> None:
        count = len(self.classes)
        self.pixels = self.pixels + crossed(labels, truth, count)
        self.true += [*votes(truth, count)]
        self.found += [*votes(labels, count)]

    def class_rows(self) -> Iterator[dict]:
        members = {name: (number,) for number, name in enumerate(self.classes, start=1)}
        for name, own in {**regions_of(self.classes), **members}.items():
            found = counts(self.pixels, own)
            yield {
                "class": name,
                "dice": overlap.dice(found),
                "true_px": found.tp + found.fn,
                "marked_px": found.tp + found.fp,
            }

    def kind_rows(self) -> Iterator[dict]:
        if regions_of(self.classes):
            return
        yield self._kinds("", sum(self.true), sum(self.found))
        for number, (true, found) in enumerate(zip(self.true, self.found, strict=True), start=1):
            if true.any() or found.any():
                yield self._kinds(number, true, found)

    def _kinds(self, number: int | str, true: np.ndarray, found: np.ndarray) -> dict:
        (own, _), (taken, share) = kind(true), kind(found)
        return {
            "slice": number,
            "true_kind": self._name(own),
            "predicted_kind": self._name(taken),
            "share": share,
        }

    def _name(self, number: int | None) -> str:
        return "" if number is None else self.classes[number - 1]
