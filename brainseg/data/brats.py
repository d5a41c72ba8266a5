"""BraTS and the like: a folder per patient with NIfTI modalities and a label volume.

Modalities are recognised by a word in the file's name, old or new style: ``_flair``/``-t2f``,
``_t1``/``-t1n``, ``_t1ce``/``-t1c``, ``_seg``. Label values above 0 are tumour.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from brainseg.data.case import Case, CaseRef, DataError, naming
from brainseg.scans.masks import read_mask
from brainseg.scans.preprocessing import VOLUME_VERSION
from brainseg.scans.sequences import read_sequences

TITLE = "BraTS, Brain Tumor Segmentation challenge"
LICENCE = "the terms of its release (CC BY-NC-SA or CC BY, registration needed)"
LICENCE_ID = "other"
HOME = "https://www.synapse.org/brats"

_WORDS = {
    "flair": {"flair", "t2f"},
    "t1": {"t1", "t1n"},
    "t1c": {"t1c", "t1ce", "t1gd"},
    "label": {"seg", "label", "mask", "otmulticlass"},
}


def load(path: Path) -> list[CaseRef]:
    """One case per folder that holds NIfTI files, anywhere below ``path``."""
    folders = sorted({file.parent for file in path.rglob("*.nii*") if file.is_file()})
    if not folders:
        raise DataError(
            f"{path} holds no NIfTI files: expected a folder per patient, as published at {HOME}."
        )
    return [_reference(folder) for folder in folders]


def _reference(folder: Path) -> CaseRef:
    files = {kind: _find(folder, words) for kind, words in _WORDS.items()}
    label = files.pop("label")
    sequences = {kind: file for kind, file in files.items() if file}
    if label is None:
        raise DataError(f"{folder} has no mask: expected a file such as {folder.name}_seg.nii.gz.")
    if not sequences:
        raise DataError(f"{folder} has no flair, t1 or t1ce volume: expected at least one of them.")
    # BraTS-GLI-00008-001 is a time point of patient BraTS-GLI-00008.
    patient_id = re.sub(r"^(BraTS-\w+-\d+)-\d+$", r"\1", folder.name)
    read = partial(_read, patient_id, sequences, label)
    return CaseRef(patient_id, folder.name, (*sequences.values(), label), read, VOLUME_VERSION)


def _find(folder: Path, words: set[str]) -> Path | None:
    for file in sorted(folder.glob("*.nii*")):
        stem = file.name.split(".nii")[0].lower()
        if words & set(re.split(r"[^a-z0-9]+", stem)):
            return file
    return None


def _read(patient_id: str, sequences: dict[str, Path], label: Path) -> Case:
    with naming(label.parent):
        scan = read_sequences(**sequences)
    with naming(label):
        return Case(patient_id, "brats", scan, read_mask(label, scan))
