"""Scores of models that tell classes apart: pure functions of labels.

Labels are uint8 (slices, height, width), 0 where nothing is marked, else 1 to ``classes``, how many
classes there are. What is counted is pixels, over whole scans.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from brainseg.metrics.overlap import Counts


def crossed(labels: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """Pixels by true label and by what they were marked as: int64 (classes + 1, classes + 1), to
    be added over the scans of a patient.

    labels, truth: of one scan. Raises ValueError if their shapes differ, or for a label above
    ``classes``.
    """
    labels, truth = np.asarray(labels), np.asarray(truth)
    if labels.shape != truth.shape:
        raise ValueError(f"labels are {labels.shape} and truth {truth.shape}: must agree.")
    for one in (labels, truth):
        _check(one, classes)
    pairs = truth.astype(np.int64).ravel() * (classes + 1) + labels.ravel()
    return np.bincount(pairs, minlength=(classes + 1) ** 2).reshape(classes + 1, classes + 1)


def renumbered(
    labels: np.ndarray, names: Sequence[str], classes: Sequence[str]
) -> np.ndarray | None:
    """Labels as one numbers them who has other ``classes``, or the same in another order: uint8 of
    the same shape; None where one of ``names``, of labels 1 to n, is no class there."""
    if not names or not set(names) <= set(classes):
        return None
    return np.array([0, *(classes.index(name) + 1 for name in names)], np.uint8)[labels]


def counts(crossed: np.ndarray, members: Sequence[int]) -> Counts:
    """Of ``crossed`` pixels those of a class, ``(2,)``, or of several taken as one, ``(1, 3)``."""
    own = list(members)
    tp = int(crossed[np.ix_(own, own)].sum())
    return Counts(tp, int(crossed[:, own].sum()) - tp, int(crossed[own].sum()) - tp)


def votes(labels: np.ndarray, classes: int) -> np.ndarray:
    """Pixels of each class in each slice, int64 (slices, classes). Their sum over slices are the
    votes of a scan, and over scans those of a patient. Raises ValueError for a label above
    ``classes``."""
    labels = np.asarray(labels)
    _check(labels, classes)
    rows = [np.bincount(plane.ravel(), minlength=classes + 1)[1:] for plane in labels]
    return np.array(rows, np.int64).reshape(len(labels), classes)


def kind(votes: np.ndarray) -> tuple[int | None, float]:
    """Of which class a slice or a patient is: that with most votes, and its share of them.

    votes: pixels of each class, (classes,). Returns the class, from 1 (of equal ones the first),
    and a share above 0 up to 1, which says how much the pixels agree, not how likely the class is;
    (None, NaN) where nothing is marked: nobody can tell.
    """
    total = int(np.sum(votes))
    if not total:
        return None, float("nan")
    most = int(np.argmax(votes))
    return most + 1, float(votes[most] / total)


def confusion(true: Sequence[int | None], found: Sequence[int | None], classes: int) -> np.ndarray:
    """How many of each true kind were taken for which: int64 (classes, classes + 1), rows by the
    true kind; the last column are those of whom nobody could tell.

    true, found: one kind per patient in the same order, as ``kind`` gives it. Patients without a
    true kind have no tumour that could be taken for another, and are left out.
    """
    table = np.zeros((classes, classes + 1), np.int64)
    for own, taken in zip(true, found, strict=True):
        if own is not None:
            table[own - 1, classes if taken is None else taken - 1] += 1
    return table


def macro_recall(
    true: Sequence[int | None],
    found: Sequence[int | None],
    owners: Sequence[str] | None = None,
) -> dict:
    """How often the kind is right: the share of patients in each true kind, and then the mean over
    kinds, so that a rare one counts as much as a frequent one.

    true, found: as of ``confusion``; None is never right. owners: the patient each is of, if they
    are slices, of whom a patient may have many. Returns what ``summarise_groups`` does; NaN without
    patients.
    """
    from brainseg.metrics.statistics import summarise_groups  # SciPy's, which takes a while to load

    owners = range(len(true)) if owners is None else owners
    rows = [
        (own, own == taken, owner)
        for own, taken, owner in zip(true, found, owners, strict=True)
        if own is not None
    ]
    kinds, right, whose = zip(*rows, strict=True) if rows else ((), (), ())
    return summarise_groups(right, kinds, whose)


def _check(labels: np.ndarray, classes: int) -> None:
    if labels.size and labels.max() > classes:
        raise ValueError(f"A label is {labels.max()}: expected at most {classes}.")
