"""BraTS and the like: a folder per patient with NIfTI modalities and a label volume.

Modalities are recognised by a word in the file's name, old or new style: ``_flair``/``-t2f``,
``_t1``/``-t1n``, ``_t1ce``/``-t1c``, ``_seg``. Label values above 0 are tumour.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import partial
from pathlib import Path

from brainseg.data.case import Case, CaseRef, DataError, naming, usable
from brainseg.data.examinations import Examination, examinations
from brainseg.scans.listing import file_of, unpack_hint, volume_entries, walk
from brainseg.scans.masks import read_mask
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
    """One case per examination, anywhere below ``path``: see ``examinations``. Those without a
    label or a usable sequence are left out and noted."""
    folders = [folder for folder, _ in walk(path) if volume_entries(folder)]
    if not folders:
        raise DataError(
            f"{path} holds no NIfTI files: expected a folder per patient, as published at {HOME}."
            + unpack_hint(path)
        )
    return usable(examinations(path, sorted(folders)), _reference, lambda exam: exam.name)


def _reference(exam: Examination) -> CaseRef:
    folder = exam.folder
    _check_one(folder)
    files = {kind: _find(folder, words) for kind, words in _WORDS.items()}
    if files["label"] is None:
        files = _with_label_of_others(exam, files)
    files = {kind: _present(file) for kind, file in files.items() if file}
    label = files.pop("label", None)
    if label is None:
        raise DataError(f"{folder} has no mask: expected a file such as {folder.name}_seg.nii.gz.")
    if not files:
        raise DataError(f"{folder} has no flair, t1 or t1ce volume: expected at least one of them.")
    read = partial(_read, exam.patient_id, files, label)
    return CaseRef(exam.patient_id, exam.name, (*files.values(), label), read)


def _with_label_of_others(exam: Examination, files: dict) -> dict:
    """With the label from another folder of the examination, and the sequences that lie beside it,
    which are on its grid, if there are any."""
    found = []
    for folder in exam.others:
        own = {kind: _find(folder, words) for kind, words in _WORDS.items()}
        if own["label"] and "brain" not in own["label"].name.lower():  # of a skull-stripping
            found.append(own)
    if not found:
        return files
    if len(found) > 1:
        labels = " and ".join(str(own["label"]) for own in found[:2])
        raise DataError(f"{exam.name} has several masks, {labels}: expected one. Keep one of them.")
    (own,) = found
    return (
        own
        if any(own[kind] for kind in own if kind != "label")
        else {**files, "label": own["label"]}
    )


def _check_one(folder: Path) -> None:
    """Raise DataError if several names in a folder come with both a sequence and a label."""
    kinds: dict[str, set[bool]] = defaultdict(set)
    for file in volume_entries(folder):
        parts = re.split(r"[^a-z0-9]+", file.name.lower().split(".nii")[0])
        for kind, words in _WORDS.items():
            if words & set(parts):
                kinds["_".join(part for part in parts if part not in words)].add(kind == "label")
    whole = [name for name, found in kinds.items() if len(found) == 2]
    if len(whole) > 1:
        raise DataError(
            f"{folder} holds volumes of {len(whole)} patients or days, such as {whole[0]} and "
            f"{whole[1]}: expected a folder for each."
        )


def _present(file: Path) -> Path:
    file = file_of(file)
    if not file.is_file():
        raise DataError(f"{file} is a link to a file that is not there: fetch or copy it.")
    return file


def _find(folder: Path, words: set[str]) -> Path | None:
    for file in volume_entries(folder):
        stem = file.name.split(".nii")[0].lower()
        if words & set(re.split(r"[^a-z0-9]+", stem)):
            return file
    return None


def _read(patient_id: str, sequences: dict[str, Path], label: Path) -> Case:
    with naming(label.parent):
        scan = read_sequences(**sequences)
    with naming(label):
        return Case(patient_id, "brats", scan, read_mask(label, scan))
