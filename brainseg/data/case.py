"""What every data set yields: cases, and the references from which they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from brainseg.scans.notes import note
from brainseg.scans.preprocessing import VOLUME_VERSION
from brainseg.scans.roles import USED
from brainseg.scans.scan import Scan, ScanError

T = TypeVar("T")
UNLABELLED = "unlabelled"  # in the place of a data set's name, of scans without a mask
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


def check_channels(path: Path, scan: Scan) -> None:
    """Raise DataError where these are not one, for all sequences, or three, T1, FLAIR and T1c."""
    if (channels := scan.pixels.shape[-1]) not in (1, 3):
        raise DataError(
            f"{path} has {channels} channels: expected one, or three, T1, FLAIR and T1c in this "
            "order."
        )


class _WhenAsked:
    """A field that may be given as a function, which is called when the field is first asked for:
    who needs no classes shall neither wait for them nor hear what is wrong with them."""

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance, owner=None):
        if instance is None:
            return None  # the default, as dataclasses ask for it
        value = instance.__dict__[self.name]
        if callable(value):
            value = instance.__dict__[self.name] = value()
        return value

    def __set__(self, instance, value):
        instance.__dict__[self.name] = value


@dataclass(frozen=True, eq=False)
class Case:
    """One scan with its true tumour mask, or, if its ``dataset`` is ``UNLABELLED``, without one.

    ``mask`` is bool, (slices, height, width), on the grid of ``scan.pixels``, or None.
    ``classes`` is uint8, of the same shape: 1 to n, in the order in which the data set names its
    classes, where ``mask`` is set, and 0 elsewhere. None where they are not known. May be given as
    a function; asking for it raises DataError for masks with values of no class.
    Several cases may share a ``patient_id``; scores are per patient.
    """

    patient_id: str
    dataset: str
    scan: Scan
    mask: np.ndarray | None
    classes: np.ndarray | Callable[[], np.ndarray | None] | None = _WhenAsked()


@dataclass(frozen=True)
class CaseRef:
    """A case that has not been read yet.

    ``files`` are all files ``read`` opens; together with ``version`` they say what the case
    contains, so a cache can tell whether it is stale. ``version`` matters for generated cases,
    which have no files. ``coded_by`` are files that say what the values of its mask mean.
    """

    patient_id: str
    name: str
    files: tuple[Path, ...]
    read: Callable[[], Case]
    version: str = ""
    coded_by: tuple[Path, ...] = ()


def volume_version(roles: Iterable[str]) -> str:
    """``CaseRef.version`` of volumes that are these sequences: it names them where some are
    missing, for then neither the files nor their order tells which they are."""
    roles = list(roles)
    all_or_none = len(roles) in (0, len(USED))
    return VOLUME_VERSION if all_or_none else f"{VOLUME_VERSION} {' '.join(roles)}"


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
