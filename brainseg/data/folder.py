"""Your own data: ``images/`` and ``masks/`` with equal stems, optionally ``patients.csv``.

Any format ``read_scan`` takes, pictures or volumes. ``patients.csv`` has the columns
``image,patient`` (the image's stem or file name); without it every file is a patient of its own,
which leaks between folds where one patient has several files. ``classes.csv`` has the columns
``value,name``, for values 1 to n of the masks; without it everything marked is tumour and no more.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path, PureWindowsPath

from brainseg.data.case import Case, CaseRef, DataError, naming, usable
from brainseg.data.codes import Coding
from brainseg.data.tables import matched, read_table, tell_matched, values_of
from brainseg.scans.channels import channel_names
from brainseg.scans.listing import inmost, is_clutter, scan_files, stem_of, unpack_hint
from brainseg.scans.masks import read_mask
from brainseg.scans.notes import listed, note
from brainseg.scans.preprocessing import VOLUME_VERSION
from brainseg.scans.reading import read_scan

TITLE = "your own folder"
LICENCE = "your own"
LICENCE_ID = "other"
HOME = "docs/training.md"

_TABLES = tuple(f"patients{suffix}" for suffix in (".csv", ".tsv", ".xlsx", ".xls", ".ods"))
_MASK_ENDING = re.compile(r"[-_](mask|seg|label)$", re.IGNORECASE)
_WITHOUT_GEOMETRY = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".npy"}


def load(path: Path) -> list[CaseRef]:
    """One case per file in ``path/images``. Those without a mask are left out and noted."""
    path = path if (path / "images").is_dir() else inmost(path)
    images, masks = _by_stem(path / "images"), _by_stem(path / "masks")
    if not images:
        raise DataError(
            f"{path / 'images'} has no files: expected scans there, masks in masks/."
            + unpack_hint(path)
        )
    patients = _patients(path, images)
    coding = _coding(path)
    masks = _without_endings(masks)
    mask_of = matched(images, masks)
    tell_matched(path / "masks", mask_of, "masks")

    def reference(stem: str) -> CaseRef:
        image, patient = images[stem], patients[stem]
        if stem not in mask_of:
            raise DataError(f"{image} has no mask: expected {path / 'masks' / stem} with a suffix.")
        mask = masks[mask_of[stem]]
        read = partial(_read, patient, image, mask, coding)
        version = "" if image.suffix.lower() in _WITHOUT_GEOMETRY else VOLUME_VERSION
        version = " ".join(filter(None, (version, *channel_names(image))))  # of a dataset.json
        return CaseRef(patient, stem, (image, mask), read, version)

    return usable(images, reference, str)


def classes_in(path: Path) -> tuple[str, ...]:
    """The names in ``classes.csv``, in the order of their values; () without one."""
    coding = _coding(path if (path / "images").is_dir() else inmost(path))
    return coding.classes if coding else ()


def patients_named(stem: str) -> list[str]:
    """Without a table of patients the file is one itself."""
    return [stem]


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    if not folder.is_dir():
        return found
    files = scan_files(folder)
    for file in files:
        stem = stem_of(file)
        if stem in found:
            raise DataError(f"{found[stem]} and {file} share a stem: expected one file each.")
        found[stem] = file
    homes = {file.parent for file in files}
    folders = [f for f in sorted(folder.iterdir()) if f.is_dir() and f not in homes]
    folders = [f for f in folders if not is_clutter(f.name, is_folder=True)]
    inner = [f.name for f in folders if any(f.iterdir())]
    if inner:
        note(
            f"{folder} holds folders, which are not read: {listed(inner, 4)}. Put the scans "
            f"themselves into {folder.name}/."
        )
    return found


def _without_endings(masks: dict[str, Path]) -> dict[str, Path]:
    """By the stem of its image too where a mask is called ``a_mask``."""
    found = dict(masks)
    for stem, mask in masks.items():
        plain = _MASK_ENDING.sub("", stem)
        if plain not in masks and found.setdefault(plain, mask) != mask:
            raise DataError(f"{found[plain]} and {mask} are both masks of {plain}: expected one.")
    return found


def _patients(path: Path, images: dict[str, Path]) -> dict[str, str]:
    """The patient of each image, by stem; the stem itself where there is no table."""
    tables = [f for f in sorted(path.iterdir()) if f.name.lower() in _TABLES and f.is_file()]
    if not tables:
        return {stem: stem for stem in images}
    table = tables[0]
    if len(tables) > 1:
        raise DataError(f"{table} and {tables[1]} are two tables of patients: keep one of them.")
    stems = {image.name.lower(): stem for stem, image in images.items()}
    rows = []
    for row in read_table(table, ("image", "patient")):
        name = PureWindowsPath(row["image"]).name  # some write whole paths, of Windows too
        rows.append((stems.get(name.lower(), name), row["patient"]))
    patients = values_of(table, rows, "patient", images, "images")
    for stem, image in images.items():
        if stem not in patients:
            raise DataError(f"{image} has no row in {table}: add it.")
    return patients


def _coding(path: Path) -> Coding | None:
    """What ``classes.csv`` says. Raises DataError if its values are not 1 to n, or names repeat."""
    tables = [f for f in sorted(path.iterdir()) if f.name.lower() == "classes.csv" and f.is_file()]
    if not tables:
        return None
    table = tables[0]
    rows = [(row["value"], row["name"]) for row in read_table(table, ("value", "name"))]
    # Spreadsheets make decimals of numbers.
    rows = [(re.sub(r"\.0+$", "", value), name) for value, name in rows]
    rows = [(value, name) for value, name in rows if value != "0"]  # the background
    found = sorted((int(value), name) for value, name in rows if value.isdecimal())
    names = [name for _, name in found]
    if [value for value, _ in found] != [*range(1, 1 + len(rows))] or not rows:
        raise DataError(
            f"{table} has the values {listed(value for value, _ in rows) or 'of none'}: expected "
            "a row for each of 1, 2 and so on."
        )
    if not all(names) or len({name.casefold() for name in names}) < len(names):
        raise DataError(f"{table} has the names {listed(names)}: expected another for each value.")
    return Coding(tuple(names), dict(found), f"{table}")


def _read(patient_id: str, image: Path, mask: Path, coding: Coding | None) -> Case:
    with naming(image):
        scan = read_scan(image)
    with naming(mask):
        tumour = read_mask(mask, scan)
    classes = partial(coding.read, mask, scan, tumour) if coding else None
    return Case(patient_id, "folder", scan, tumour, classes)
