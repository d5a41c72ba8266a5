"""What every data set yields: cases, and the references from which they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from brainseg.scans.scan import Scan, ScanError


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
    """

    patient_id: str
    dataset: str
    scan: Scan
    mask: np.ndarray


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
