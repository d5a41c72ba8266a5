"""Figshare brain tumour set (Cheng et al.): T1 post-contrast slices of three tumour types.

Two layouts: the original ``*.mat`` files (HDF5), which know their patients, and the PNG copies
(``images/N.png``, ``masks/N.png``, ``labels.csv`` with ``id,tumor_type``), which lost them. There
the patient id is ``<type>-<N // 20>``, an approximation: say so beside every score.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np

from brainseg.data.case import Case, CaseRef, DataError, naming
from brainseg.data.slices import slices_ref
from brainseg.scans.reading import picture_size
from brainseg.scans.scan import Scan, natural_key

TITLE = "Brain Tumor Dataset (figshare, Cheng et al.)"
LICENCE = "CC BY 4.0"
LICENCE_ID = "cc-by-4.0"
HOME = "https://figshare.com/articles/dataset/brain_tumor_dataset/1512427"
NOTE = (
    "The PNG copies of figshare lost the patient ids: patients here are blocks of 20 consecutive "
    "numbers within a tumour type, an approximation that may let one patient into two folds."
)
SEQUENCES = ("T1c",)
SLICES_PER_BLOCK = 20


def load(path: Path) -> list[CaseRef]:
    """One case per patient (and picture size), from ``.mat`` files or the PNG layout."""
    if (path / "figshare").is_dir():
        path = path / "figshare"
    if (path / "images").is_dir():
        return _load_pictures(path)
    mats = sorted(path.rglob("*.mat"), key=lambda f: natural_key(f.name))
    if not mats:
        raise DataError(
            f"{path} holds neither .mat files nor images/, masks/ and labels.csv: expected the "
            f"layout published at {HOME}."
        )
    return _load_mats(mats)


def _load_pictures(path: Path) -> list[CaseRef]:
    try:
        with open(path / "labels.csv", newline="", encoding="utf-8-sig") as stream:
            types = {row["id"]: row["tumor_type"] for row in csv.DictReader(stream)}
    except (OSError, KeyError) as error:
        raise DataError(
            f"{path / 'labels.csv'} can't be read: expected the columns id,tumor_type."
        ) from error
    blocks = defaultdict(list)
    for image in sorted((path / "images").glob("*.png"), key=lambda f: natural_key(f.name)):
        if image.stem not in types:
            raise DataError(f"{image} has no row in {path / 'labels.csv'}: add id {image.stem}.")
        if not image.stem.isdecimal():
            raise DataError(f"{image} has no number for a name: expected {image.parent}/1.png etc.")
        block = f"{types[image.stem]}-{int(image.stem) // SLICES_PER_BLOCK}"
        with naming(image):
            size = picture_size(image)
        blocks[block, size].append((image, path / "masks" / image.name))
    return [
        slices_ref(patient, "figshare", pairs, f"{patient} {size[0]}x{size[1]}")
        for (patient, size), pairs in blocks.items()
    ]


def _load_mats(files: list[Path]) -> list[CaseRef]:
    groups = defaultdict(list)
    for file in files:
        with _open(file) as mat:
            pid = "".join(chr(int(code)) for code in np.ravel(mat["cjdata/PID"]))
            groups[pid, mat["cjdata/image"].shape].append(file)
    refs = []
    for (pid, shape), members in groups.items():
        name = f"{pid} {shape[1]}x{shape[0]}"
        read = partial(_read_mats, f"figshare_{pid}", tuple(members))
        refs.append(CaseRef(f"figshare_{pid}", name, tuple(members), read))
    return refs


def _read_mats(patient_id: str, files: tuple[Path, ...]) -> Case:
    images, masks = [], []
    for file in files:
        with _open(file) as mat:
            # MATLAB stores columns first, so HDF5 readers see the transpose.
            image, mask = mat["cjdata/image"][()].T, mat["cjdata/tumorMask"][()].T
        if mask.shape != image.shape:
            raise DataError(f"{file}: mask is {mask.shape}, image {image.shape}: expected equal.")
        if not np.isin(mask, (0, 1)).all():
            raise DataError(f"{file}: the mask is not binary: expected only 0 and 1.")
        images.append(image)
        masks.append(mask.astype(bool))
    pixels = np.stack(images)[..., None]
    return Case(patient_id, "figshare", Scan(pixels, None, None, str(files[0])), np.stack(masks))


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
