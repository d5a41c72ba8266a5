"""What every data set yields: cases, and the references from which they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from brainseg.scans.notes import note
from brainseg.scans.scan import Scan, ScanError

T = TypeVar("T")
_TOLD = 5  # faults that are told in full; of more the names


class DataError(ValueError):
    """A data set that is missing or not as expected; the message names the file and the remedy."""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn a ScanError into a DataError that names the whole path: stems repeat in data sets."""
    try:
        yield
    except ScanError as error:
        raise DataError(f"{path}: {error}") from error


@dataclass(frozen=True, eq=False)
class Case:
    """One scan with its true tumour mask.

    ``mask`` is bool, (slices, height, width), on the grid of ``scan.pixels``.
    Several cases may share a ``patient_id``; scores are per patient.
    ``classes`` are those of its pixels where the data set tells some apart (its ``CLASSES``): uint8
    like the mask, 0 where that is False, else 1 to their number.
    """

    patient_id: str
    dataset: str
    scan: Scan
    mask: np.ndarray
    classes: np.ndarray | None = None


@dataclass(frozen=True)
class CaseRef:
    """A case that has not been read yet.

    ``files`` are all files ``read`` opens; together with ``version`` they say what the case
    contains, so a cache can tell whether it is stale. ``version`` matters for generated cases,
    which have no files.
    """

    patient_id: str
    name: str
    files: tuple[Path, ...]
    read: Callable[[], Case]
    version: str = ""


def usable(found: Iterable[T], make: Callable[[T], CaseRef], name: Callable[[T], str]):
    """The references that ``make`` gives, without those for which it raises a DataError: see
    ``leave_out``."""
    refs: list[CaseRef] = []
    faults: list[tuple[str, str]] = []
    for each in found:
        try:
            refs.append(make(each))
        except DataError as error:
            faults.append((name(each), str(error)))
    leave_out(faults, len(refs))
    return refs


def leave_out(faults: Sequence[tuple[str, str]], used: int, what: str = "cases") -> None:
    """Say who is left out of a data set and why, in one note.

    faults: the name of each, and a sentence that says what is wrong. used: how many of ``what``
        are left.
    Raises DataError with the first sentence if nobody is.
    """
    if not faults:
        return
    if not used:
        others = f" None of {len(faults)} {what} can be used." if len(faults) > 1 else ""
        raise DataError(faults[0][1] + others)
    told = " ".join(sentence for _, sentence in faults[:_TOLD])
    if rest := [name for name, _ in faults[_TOLD:]]:
        told += f" The same or the like of {', '.join(rest)}."
    note(f"{len(faults)} of {used + len(faults)} {what} are left out. {told}")
