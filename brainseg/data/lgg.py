"""TCGA lower-grade glioma (Buda et al. 2019), the Kaggle set "LGG MRI Segmentation".

Layout: ``kaggle_3m/TCGA_<patient>_<date>/TCGA_<patient>_<date>_<slice>.tif`` with channels
pre-contrast, FLAIR, post-contrast, and ``..._<slice>_mask.tif`` beside it.
"""

from __future__ import annotations

import filecmp
import re
from collections import Counter
from pathlib import Path

from brainseg.data.case import CaseRef, DataError, usable
from brainseg.data.copies import without_copies
from brainseg.data.slices import slices_ref
from brainseg.scans.listing import inmost, scan_files, unpack_hint, walk
from brainseg.scans.notes import note

TITLE = "LGG MRI Segmentation (TCGA lower-grade glioma, Buda et al. 2019)"
LICENCE = "CC BY-NC-SA 4.0"
LICENCE_ID = "cc-by-nc-sa-4.0"
HOME = "https://www.kaggle.com/datasets/mateuszbuda/lgg-mri-segmentation"

_PATIENT = re.compile(r"TCGA_[A-Z0-9]{2}_[A-Z0-9]{4}_\d{8}(?![^_])", re.IGNORECASE)


def load(path: Path) -> list[CaseRef]:
    """One case per patient folder, anywhere below ``path``. Those with a slice that has no mask are
    left out and noted."""
    folders = _folders(path)
    if not folders:
        raise DataError(
            f"{path} holds no patient folders: expected {path}/TCGA_*/ with .tif slices, as "
            f"published at {HOME}." + unpack_hint(path)
        )
    names = Counter(folder.name for folder in folders)
    if twice := [name for name, times in names.items() if times > 1]:
        note(
            f"{twice[0]} lies in several places below {path}, with different files: they are taken "
            "as several scans of that patient. Keep one if they are the same."
        )

    def reference(folder: Path) -> CaseRef:
        place = "" if names[folder.name] == 1 else f"{folder.parent.relative_to(path)}/"
        return _reference(folder, place + folder.name)

    return usable(folders, reference, lambda folder: folder.name)


def patients_named(stem: str) -> list[str]:
    """The patient of ``TCGA_CS_4941_19960909`` and of slices of theirs, ``..._12``: the folder's
    name, with the date."""
    return [found[0].upper()] if (found := _PATIENT.match(stem)) else []


def _folders(path: Path) -> list[Path]:
    """The folders of patients, each once: the archive holds all of them twice."""
    for root in (path / "kaggle_3m", path):
        if folders := sorted(f for f in root.glob("TCGA_*") if f.is_dir()):
            return folders
    found = [f for f, _ in walk(path) if _is_patient(f) and not _is_patient(f.parent)]
    return sorted(without_copies((folder.name, folder) for folder in found))


def _is_patient(folder: Path) -> bool:
    return folder.name.startswith("TCGA_")


def _reference(folder: Path, name: str) -> CaseRef:
    files: dict[str, Path] = {}
    for file in scan_files(inmost(folder)):
        if file.suffix.lower() in (".tif", ".tiff"):
            stem = file.stem.lower()
            other = files.setdefault(stem, file)
            if other is not file and not filecmp.cmp(file, other, shallow=False):
                raise DataError(f"{other} and {file} are both slice {stem}: keep one.")
    images = {stem: file for stem, file in files.items() if not stem.endswith("_mask")}
    if not images:
        raise DataError(f"{folder} holds no .tif slices: expected {folder.name}_<number>.tif.")
    alone = [files[s].name for s in files if s not in images and s[: -len("_mask")] not in images]
    if alone:
        note(f"{folder} has masks without their slices, which are missing: {', '.join(alone)}.")
    pairs = [
        (image, files.get(f"{stem}_mask", image.with_name(f"{image.stem}_mask.tif")))
        for stem, image in images.items()
    ]
    return slices_ref(folder.name, "lgg", pairs, name)
