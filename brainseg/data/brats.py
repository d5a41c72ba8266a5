"""BraTS and the like: a folder per patient with NIfTI modalities and a label volume.

What a file is, its name says: ``_flair`` or ``-t2f``, ``_t1`` or ``-t1n``, ``_t1ce`` or ``-t1c``,
``_seg``, and others (``scans/roles.py``). T2 and masks of the brain are not used. Label values
above 0 are tumour.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import partial
from pathlib import Path

from brainseg.data import nnunet
from brainseg.data.case import Case, CaseRef, DataError, naming
from brainseg.scans.masks import read_mask
from brainseg.scans.notes import note
from brainseg.scans.roles import by_role, roles_in
from brainseg.scans.scan import ScanError
from brainseg.scans.sequences import read_sequences

TITLE = "BraTS, Brain Tumor Segmentation challenge"
LICENCE = "the terms of its release (CC BY-NC-SA or CC BY, registration needed)"
LICENCE_ID = "other"
HOME = "https://www.synapse.org/brats"

_SUFFIXES = (".nii", ".nii.gz")


def load(path: Path) -> list[CaseRef]:
    """One case per folder that holds NIfTI files, anywhere below ``path``, or as ``nnunet`` says
    where there is an ``imagesTr``.

    Raises DataError where two files of a folder fit one role, or none is the mask or a sequence.
    """
    layouts = sorted(folder for folder in (path, *path.rglob(nnunet.IMAGES)) if _is_images(folder))
    if layouts:
        return [ref for images in layouts for ref in nnunet.load_layout(images, "brats")]
    files = defaultdict(list)
    for file in sorted(path.rglob("*.nii*")):
        if file.is_file() and file.name.endswith(_SUFFIXES) and not file.name.startswith("."):
            files[file.parent].append(file)
    if not files:
        raise DataError(
            f"{path} holds no NIfTI files: expected a folder per patient, as published at {HOME}."
        )
    same = len(files) > 1 and len({folder.name for folder in files}) == 1
    return [
        _reference(folder, found, *_patient(folder.parent if same else folder, path))
        for folder, found in sorted(files.items())
    ]


def _is_images(folder: Path) -> bool:
    return folder.name == nnunet.IMAGES and (folder.parent / nnunet.LABELS).is_dir()


def _patient(folder: Path, root: Path) -> tuple[str, str]:
    """The patient's id and the case's name. Time points are of one patient:
    BraTS-GLI-00008-001 is of BraTS-GLI-00008, sub-01/ses-2/anat of sub-01."""
    parts = folder.relative_to(root).parts
    subjects = [part for part in parts if part.startswith("sub-")]
    if subjects:
        return subjects[0], "_".join(parts)
    return re.sub(r"^(BraTS-\w+-\d+)-\d+$", r"\1", folder.name), folder.name


def _reference(folder: Path, found: list[Path], patient_id: str, name: str) -> CaseRef:
    try:
        files = by_role(found)
    except ScanError as error:
        raise DataError(f"{folder}: {error}") from error
    roles = roles_in(found)
    if unknown := [f.name for f in found if not roles[f] and f not in files.values()]:
        note(f"{folder}: left out, as their names say no sequence or mask: {', '.join(unknown)}.")
    label = files.pop("label", None)
    sequences = {role: files[role] for role in ("flair", "t1", "t1c") if role in files}
    names = ", ".join(file.name for file in found[:8]) + (", ..." if len(found) > 8 else "")
    if label is None:
        raise DataError(
            f"{folder} has no mask among {names}: expected a file such as {folder.name}_seg.nii.gz."
        )
    if not sequences:
        raise DataError(
            f"{folder} has no flair, t1 or t1ce volume among {names}: expected at least one of "
            "them."
        )
    read = partial(_read, patient_id, sequences, label)
    return CaseRef(patient_id, name, (*sequences.values(), label), read)


def _read(patient_id: str, sequences: dict[str, Path], label: Path) -> Case:
    with naming(label.parent):
        scan = read_sequences(**sequences)
    with naming(label):
        return Case(patient_id, "brats", scan, read_mask(label, scan))
