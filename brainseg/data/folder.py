"""Your own data: ``images/`` and ``masks/`` with equal stems, optionally ``patients.csv``.

Any format ``read_scan`` takes, pictures or volumes. ``patients.csv`` has the columns
``image,patient`` (the image's stem or file name); without it every file is a patient of its own,
which leaks between folds where one patient has several files.
"""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

from brainseg.data.case import Case, CaseRef, DataError, naming
from brainseg.scans.masks import read_mask
from brainseg.scans.preprocessing import VOLUME_VERSION
from brainseg.scans.reading import read_scan
from brainseg.scans.scan import natural_key

TITLE = "your own folder"
LICENCE = "your own"
LICENCE_ID = "other"
HOME = "the README's section on data"

_WITHOUT_GEOMETRY = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".npy"}


def load(path: Path) -> list[CaseRef]:
    """One case per file in ``path/images``."""
    images, masks = _by_stem(path / "images"), _by_stem(path / "masks")
    if not images:
        raise DataError(f"{path / 'images'} has no files: expected scans there, masks in masks/.")
    patients = _patients(path / "patients.csv")
    refs = []
    for stem, image in images.items():
        if stem not in masks:
            raise DataError(f"{image} has no mask: expected {path / 'masks' / stem} with a suffix.")
        patient = stem
        if patients is not None:
            patient = patients.get(stem) or patients.get(image.name)
            if not patient:
                raise DataError(f"{image} has no row in {path / 'patients.csv'}: add it.")
        read = partial(_read, patient, image, masks[stem])
        version = "" if image.suffix.lower() in _WITHOUT_GEOMETRY else VOLUME_VERSION
        refs.append(CaseRef(patient, stem, (image, masks[stem]), read, version))
    return refs


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    if not folder.is_dir():
        return found
    for file in sorted(folder.iterdir(), key=lambda f: natural_key(f.name)):
        if file.is_file() and not file.name.startswith("."):
            stem = Path(file.name.removesuffix(".gz")).stem
            if stem in found:
                raise DataError(f"{found[stem]} and {file} share a stem: expected one file each.")
            found[stem] = file
    return found


def _patients(path: Path) -> dict[str, str] | None:
    if not path.is_file():
        return None
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            return {row["image"]: row["patient"] for row in csv.DictReader(stream)}
    except KeyError as error:
        raise DataError(f"{path} lacks the column {error}: expected image,patient.") from error


def _read(patient_id: str, image: Path, mask: Path) -> Case:
    with naming(image):
        scan = read_scan(image)
    with naming(mask):
        return Case(patient_id, "folder", scan, read_mask(mask, scan))
