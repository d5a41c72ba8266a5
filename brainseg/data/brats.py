"""BraTS and the like: a folder per patient with NIfTI modalities and a label volume.

What a file is, its name says: ``_flair`` or ``-t2f``, ``_t1`` or ``-t1n``, ``_t1ce`` or ``-t1c``,
``_seg``, and others (``scans/roles.py``). T2 and masks of the brain are not used. Label values
above 0 are tumour; which class each is depends on the release (``codes.py``).
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import partial
from pathlib import Path

from brainseg.data import codes, nnunet
from brainseg.data.case import Case, CaseRef, DataError, naming, usable, volume_version
from brainseg.data.codes import Coding, Release, by_release
from brainseg.data.examinations import Examination, beginnings, examinations
from brainseg.scans.listing import file_of, unpack_hint, volume_entries, walk
from brainseg.scans.masks import read_mask
from brainseg.scans.notes import listed, note, noting
from brainseg.scans.roles import USED, by_role, patients, role_of, roles_in
from brainseg.scans.scan import ScanError
from brainseg.scans.sequences import read_sequences

TITLE = "BraTS, Brain Tumor Segmentation challenge"
LICENCE = "the terms of its release (CC BY-NC-SA or CC BY, registration needed)"
LICENCE_ID = "other"
HOME = "https://www.synapse.org/brats"
CLASSES, REGIONS = codes.CLASSES, codes.REGIONS


def load(path: Path) -> list[CaseRef]:
    """One case per examination, anywhere below ``path``: see ``examinations``; or as ``nnunet``
    says where there is an ``imagesTr``. Those without a label or a usable sequence, or with two
    files for one of these, are left out and noted."""
    return [ref for ref, _ in _coded(path)]


def classes_in(path: Path) -> tuple[str, ...]:
    """``CLASSES``; those of its dataset.json where that has others, () where it can't be told what
    the values of masks mean. What tells is noted. Raises DataError as ``load`` does, and where
    parts of the set have different classes."""
    with noting():  # what `load` says too
        codings = list(dict.fromkeys(coding for _, coding in _coded(path) if coding))
    found = list(dict.fromkeys(coding.classes for coding in codings if coding.classes))
    for told in (coding.told for coding in codings if isinstance(coding, Coding)):
        note(told)
    if len(found) > 1:
        one, other = (", ".join(names) for names in found[:2])
        raise DataError(f"{path} holds sets of different classes, {one} and {other}: give one.")
    return found[0] if found else ()


def _coded(path: Path) -> list[tuple[CaseRef, Coding | Release | None]]:
    """The references, each with what the values of its mask mean."""
    folders = [folder for folder, _ in walk(path)]
    if layouts := sorted(folder for folder in folders if nnunet.is_images(folder)):
        _tell_outside(path, folders, layouts)
        codings = {images: nnunet.stated(images) for images in layouts}
        return [
            (ref, coding)
            for images, coding in codings.items()
            for ref in nnunet.load_layout(images, "brats", coding)
        ]
    folders = [folder for folder in folders if volume_entries(folder)]
    if not folders:
        raise DataError(
            f"{path} holds no NIfTI files: expected a folder per patient, as published at {HOME}."
            + unpack_hint(path)
        )
    apart = _labels_apart(folders)
    folders = sorted({*folders} - {label.parent for own in apart.values() for label in own})
    refer = partial(_reference, apart)
    return by_release(usable(examinations(path, folders), refer, lambda exam: exam.name))


def _tell_outside(path: Path, folders: list[Path], layouts: list[Path]) -> None:
    """Folders of volumes beside a layout of nnU-Net's, which is read alone."""
    own = [images.with_name(kind + part) for images in layouts
           for kind in ("images", "labels") for part in ("Tr", "Ts", "Val")]  # fmt: skip
    others = [f for f in folders if not any(f.is_relative_to(folder) for folder in own)]
    if others := [folder for folder in others if volume_entries(folder)]:
        note(
            f"{path} holds data as nnU-Net lays them out, which alone are read: not "
            f"{others[0]} ({len(others)} such). Give these in a folder of their own."
        )


def patients_named(stem: str) -> list[str]:
    """Patients of published sets, of ``BraTS-GLI-00012-000-t1c`` or ``UPENN-GBM-00001_11_FLAIR``:
    every beginning of the name, since the id is that of a folder and the rest free."""
    return beginnings(stem)


def _labels_apart(folders: list[Path]) -> dict[str, list[Path]]:
    """Labels in folders that hold those of several patients and nothing else, by the name of the
    folder with which theirs begins: ``segm/P1_segm.nii.gz`` is of ``images/P1``."""
    names = {folder.name for folder in folders}
    found = defaultdict(list)
    for folder in folders:
        owners = {}
        for file in volume_entries(folder):
            beginnings = {file.name[: match.start()] for match in re.finditer("[-_.]", file.name)}
            owners[file] = max(names & beginnings, key=len, default="")
        are_labels = all(role_of(file.name, owner) == "label" for file, owner in owners.items())
        known = {file: owner for file, owner in owners.items() if owner}
        if are_labels and len({*known.values()}) == len(known) > 1:
            for file, owner in known.items():
                found[owner].append(file)
    return found


def _reference(apart: dict[str, list[Path]], exam: Examination) -> CaseRef:
    folder = exam.folder
    entries = volume_entries(folder)
    roles = roles_in(entries)
    _check_one(folder, roles)
    files = _by_role(folder, entries)
    if unknown := [f.name for f in entries if not roles[f] and f not in files.values()]:
        note(f"{folder}: left out, as their names say no sequence or mask: {', '.join(unknown)}.")
    names = listed(file.name for file in entries)
    if "label" not in files:
        files = _with_label_of_others(exam, files, apart.get(folder.name, []))
    files = {role: _present(file) for role, file in files.items()}
    label = files.pop("label", None)
    if label is None:
        raise DataError(
            f"{folder} has no mask among {names}: expected a file such as {folder.name}_seg.nii.gz."
        )
    sequences = {role: files[role] for role in USED if role in files}
    if not sequences:
        raise DataError(
            f"{folder} has no flair, t1 or t1ce volume among {names}: expected at least one of "
            "them."
        )
    read = partial(_read, exam.patient_id, sequences, label)
    files = (*sequences.values(), label)
    return CaseRef(exam.patient_id, exam.name, files, read, volume_version(sequences))


def _by_role(folder: Path, entries: list[Path]) -> dict[str, Path]:
    try:
        return by_role(entries)
    except ScanError as error:
        raise DataError(f"{folder}: {error}") from error


def _with_label_of_others(
    exam: Examination, files: dict[str, Path], apart: list[Path]
) -> dict[str, Path]:
    """With the label from another folder of the examination, and the sequences that lie beside it,
    which are on its grid, if there are any; or the one that lies ``apart``."""
    drawn = [file for file in apart if "automated" not in file.name.lower()] or apart
    for file in apart:
        if file not in drawn:
            note(f"{file} is left out, since {drawn[0]} is another mask of that examination.")
    others = (_by_role(folder, volume_entries(folder)) for folder in exam.others)
    found = [own for own in others if "label" in own] + [{"label": file} for file in drawn]
    if not found:
        return files
    if len(found) > 1:
        labels = " and ".join(str(own["label"]) for own in found[:2])
        raise DataError(f"{exam.name} has several masks, {labels}: expected one. Keep one of them.")
    (own,) = found
    return own if own.keys() & {*USED} else {**files, "label": own["label"]}


def _check_one(folder: Path, roles: dict[Path, str]) -> None:
    """Raise DataError if the names in a folder are of several patients with sequence and label."""
    whole = [
        own[0].name
        for own in patients(list(roles))
        if {roles[file] for file in own} >= {"label"} and len({roles[file] for file in own}) > 1
    ]
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


def _read(patient_id: str, sequences: dict[str, Path], label: Path, release: Release) -> Case:
    with naming(label.parent):
        scan = read_sequences(**sequences)
    with naming(label):
        mask = read_mask(label, scan)
    return Case(patient_id, "brats", scan, mask, partial(release.read, label, scan, mask))
