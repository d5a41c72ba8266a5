"""Figshare brain tumour set (Cheng et al.): T1 post-contrast slices of three tumour types.

Two layouts: the original ``*.mat`` files (HDF5), which know their patients, and the PNG copies
(``images/N.png``, ``masks/N.png``, ``labels.csv`` with ``id,tumor_type``), which lost them. There
the patient id is ``<type>-<N // 20>``, an approximation: say so beside every score. The name of a
file alone, ``345.png``, says nothing of its patient: the type is in the table.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from brainseg.data.case import Case, CaseRef, DataError, leave_out, naming
from brainseg.data.copies import without_copies
from brainseg.data.slices import slices_ref
from brainseg.data.tables import read_table, values_of
from brainseg.scans.listing import scan_files, unpack_hint, walk
from brainseg.scans.notes import listed, note
from brainseg.scans.reading import picture_size
from brainseg.scans.scan import Scan, natural_key

TITLE = "Brain Tumor Dataset (figshare, Cheng et al.)"
LICENCE = "CC BY 4.0"
LICENCE_ID = "cc-by-4.0"
HOME = "https://figshare.com/articles/dataset/brain_tumor_dataset/1512427"
NOTE = (  # on ids of the PNG copies, see ``note_on``
    "The PNG copies of figshare lost the patient ids: patients of these are blocks of 20 "
    "consecutive numbers within a tumour type, an approximation that lets most patients at the "
    "edge of a block into two folds."
)
NOTE_OF_MAT = (
    "These ids are those of the .mat files. Models that were trained on the PNG copies, as the "
    "shipped ones were, know other ids, and have seen most of these pictures, though nothing tells "
    "on whom."
)
SEQUENCES = ("T1c",)
CLASSES = ("meningioma", "glioma", "pituitary")  # as cjdata/label counts them, from 1
SLICES_PER_BLOCK = 20
_OF_MAT = "figshare_"  # how ids of the .mat files begin


def note_on(ids: Iterable[str]) -> str:
    """What must stand beside scores on these patients."""
    return NOTE_OF_MAT if all(name.startswith(_OF_MAT) for name in ids) else NOTE


def load(path: Path) -> list[CaseRef]:
    """One case per patient (and picture size), from ``.mat`` files or the PNG layout. Files that
    can't be read and pictures without a mask are left out and noted."""
    if (path / "figshare").is_dir():
        path = path / "figshare"
    if (path / "images").is_dir():
        return _load_pictures(path)
    files = [(folder, file) for folder, inside in walk(path) for file in inside]
    # cvind.mat comes with the set: which slice is in which fold, without pictures.
    mats = [f for _, f in files if f.suffix.lower() == ".mat" and f.name.lower() != "cvind.mat"]
    if mats:
        return _load_mats(sorted(mats, key=lambda f: natural_key(f.name)))
    for folder in sorted(folder for folder, _ in files):
        if folder.name == "images" and (folder.parent / "labels.csv").is_file():
            return _load_pictures(folder.parent)
    raise DataError(
        f"{path} holds neither .mat files nor images/, masks/ and labels.csv: expected the "
        f"layout published at {HOME}." + unpack_hint(path)
    )


def _load_pictures(path: Path) -> list[CaseRef]:
    images, masks = _pictures(path / "images"), _pictures(path / "masks")
    if not images:
        raise DataError(f"{path / 'images'} has no pictures: expected 1.png etc.")
    types = _types(path / "labels.csv", images)
    blocks, faults = defaultdict(list), []
    for stem, image in images.items():
        try:
            if not stem.isdecimal():
                raise DataError(
                    f"{image} has no number for a name: expected {image.parent}/1.png etc."
                )
            mask = masks.get(stem)
            if mask is None:
                raise DataError(f"{image} has no mask: expected {path / 'masks' / image.name}.")
            with naming(image):
                size = picture_size(image)
        except DataError as error:
            faults.append((image.name, str(error)))
            continue
        blocks[f"{types[stem]}-{int(stem) // SLICES_PER_BLOCK}", size].append((image, mask))
    leave_out(faults, len(images) - len(faults), "pictures")
    refs = []
    for (patient, size), pairs in blocks.items():
        ref = slices_ref(patient, "figshare", pairs, f"{patient} {size[0]}x{size[1]}")
        kind = types[pairs[0][0].stem]  # of the whole block
        refs.append(replace(ref, read=partial(_read_block, ref.read, kind, path / "labels.csv")))
    return refs


def _read_block(read: Callable[[], Case], kind: str, table: Path) -> Case:
    case = read()
    return replace(case, classes=partial(_of_type, case.mask, kind, table))


def _of_type(mask: np.ndarray, kind: str, table: Path) -> np.ndarray:
    """The classes of a mask whose tumour is of the type that the table names."""
    plain = re.sub(r"[\s_-]*tumou?r$", "", kind.casefold())
    if plain not in CLASSES:
        raise DataError(f"{table} names the tumour_type {kind!r}: expected {', '.join(CLASSES)}.")
    return mask * np.uint8(1 + CLASSES.index(plain))


def _pictures(folder: Path) -> dict[str, Path]:
    files = list(scan_files(folder)) if folder.is_dir() else []
    found = {file.stem: file for file in files if file.suffix.lower() == ".png"}
    if others := [file.name for file in files if file.suffix.lower() != ".png"]:
        note(f"{folder}: left out, as they are no .png: {listed(others, 4)}.")
    return found


def _types(table: Path, images: dict[str, Path]) -> dict[str, str]:
    """The tumour type of each image, by stem."""
    if not table.is_file():
        raise DataError(f"{table} can't be read: expected the columns id,tumor_type.")
    rows = [(row["id"], row["tumor_type"]) for row in read_table(table, ("id", "tumor_type"))]
    # Some name the file, and spreadsheets make decimals of numbers.
    rows = [(re.sub(r"(\.0+|\.png)$", "", number), kind) for number, kind in rows]
    types = values_of(table, rows, "tumor_type", images, "pictures")
    for stem, image in images.items():
        if stem not in types:
            raise DataError(f"{image} has no row in {table}: add id {stem}.")
    return types


def _load_mats(files: list[Path]) -> list[CaseRef]:
    groups, faults = defaultdict(list), []
    files = without_copies((file.name, file) for file in files)
    for file in files:
        try:
            with _open(file) as mat:
                pid = "".join(chr(int(code)) for code in np.ravel(mat["cjdata/PID"]))
                groups[pid, mat["cjdata/image"].shape].append(file)
        except DataError as error:
            faults.append((file.name, str(error)))
    leave_out(faults, len(files) - len(faults), "files")
    refs = []
    for (pid, shape), members in groups.items():
        name = f"{pid} {shape[1]}x{shape[0]}"
        read = partial(_read_mats, _OF_MAT + pid, tuple(members))
        refs.append(CaseRef(_OF_MAT + pid, name, tuple(members), read))
    return refs


def _read_mats(patient_id: str, files: tuple[Path, ...]) -> Case:
    images, masks, labels = [], [], []
    for file in files:
        with _open(file) as mat:
            # MATLAB stores columns first, so HDF5 readers see the transpose.
            try:
                image, mask = mat["cjdata/image"][()].T, mat["cjdata/tumorMask"][()].T
                label = np.ravel(mat["cjdata/label"][()]) if "cjdata/label" in mat else []
            except OSError as error:
                raise DataError(f"{file} is damaged: download it again.") from error
        if mask.shape != image.shape:
            raise DataError(f"{file}: mask is {mask.shape}, image {image.shape}: expected equal.")
        if not np.isin(mask, (0, 1)).all():
            raise DataError(f"{file}: the mask is not binary: expected only 0 and 1.")
        images.append(image)
        masks.append(mask.astype(bool))
        labels.append(float(label[0]) if len(label) == 1 else None)
    scan, mask = Scan(np.stack(images)[..., None], None, None, str(files[0])), np.stack(masks)
    return Case(patient_id, "figshare", scan, mask, partial(_of_labels, mask, labels, files))


def _of_labels(mask: np.ndarray, labels: list[float | None], files: tuple[Path, ...]) -> np.ndarray:
    """The classes of slices whose tumours are of the types that their files' labels name."""
    for label, file in zip(labels, files, strict=True):
        if label not in range(1, 1 + len(CLASSES)):
            found = "no cjdata/label" if label is None else f"cjdata/label {label:g}"
            expected = ", ".join(f"{number} ({name})" for number, name in enumerate(CLASSES, 1))
            raise DataError(f"{file} has {found}: expected {expected}.")
    return mask * np.array(labels, np.uint8)[:, None, None]


def _open(file: Path):
    try:
        import h5py
    except ImportError as error:
        raise DataError(f"{file} needs h5py: pip install h5py") from error
    try:
        mat = h5py.File(file)
    except OSError as error:
        raise DataError(f"{file} is no HDF5 .mat file: download it again.") from error
    for key in ("cjdata/image", "cjdata/PID", "cjdata/tumorMask"):
        if key not in mat:
            mat.close()
            raise DataError(f"{file} lacks {key}: expected a file as published at {HOME}.")
    return mat
