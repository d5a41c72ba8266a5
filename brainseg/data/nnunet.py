"""The layout of the Medical Segmentation Decathlon and nnU-Net, for volumes of brain tumours.

``imagesTr/CASE.nii.gz`` with all channels, or ``imagesTr/CASE_0000.nii.gz`` and so on, a file for
each; ``labelsTr/CASE.nii.gz``; ``dataset.json``, which names the channels. Label values above 0 are
tumour; which class each is, ``dataset.json`` says under ``labels``.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from functools import partial
from pathlib import Path

from brainseg.data.case import Case, CaseRef, DataError, naming, usable
from brainseg.data.codes import CLASSES, Coding, brats_names
from brainseg.data.examinations import patient_of, tell_dated
from brainseg.scans.channels import channel_names, roles_of_channels
from brainseg.scans.listing import stem_of, volume_entries
from brainseg.scans.masks import read_mask
from brainseg.scans.notes import listed, note
from brainseg.scans.preprocessing import VOLUME_VERSION
from brainseg.scans.reading import read_scan
from brainseg.scans.roles import USED
from brainseg.scans.scan import Scan
from brainseg.scans.sequences import read_sequences

IMAGES, LABELS = "imagesTr", "labelsTr"


def is_images(folder: Path) -> bool:
    """Whether a folder is an ``imagesTr`` with its ``labelsTr`` beside it."""
    return folder.name == IMAGES and (folder.parent / LABELS).is_dir()


def stated(images: Path) -> Coding | None:
    """What the ``labels`` of the dataset.json beside an ``imagesTr`` say of the values of masks;
    None where they name fewer than two classes.

    Where they mean those of BraTS, they are called so. Where regions overlap, as nnU-Net writes
    those of BraTS too, a value is of the smallest that has it.
    """
    table = images.parent / "dataset.json"
    regions = _regions(table)
    names = {
        value: min((r for r in regions if value in regions[r]), key=lambda r: len(regions[r]))
        for value in sorted(set().union(*regions.values()))
    }
    if len(regions) < 2:
        return None
    listed = ", ".join(f"{value} {name}" for value, name in names.items())
    if meant := brats_names(names):
        own = ", ".join(f"{value} {name}" for value, name in meant.items())
        return Coding(CLASSES, meant, f"{table}", f"{table} calls {listed}: read as {own}.")
    if sum(map(len, regions.values())) > len(names):  # what of a region is in no other has no name
        return None
    classes = tuple(dict.fromkeys(names.values()))
    return Coding(classes, names, f"{table}", f"{table} names the classes {listed}.")


def _regions(table: Path) -> dict[str, set[int]]:
    """The values of each label but the background, by name: ``{"1": "edema"}`` as the Decathlon
    writes it, ``{"edema": 1}`` or ``{"whole tumor": [1, 2, 3]}`` as nnU-Net does."""
    found = defaultdict(set)
    try:
        for key, value in json.loads(table.read_text("utf-8-sig"))["labels"].items():
            name, values = (value, key) if isinstance(value, str) else (key, value)
            found[name] |= {int(v) for v in (values if isinstance(values, list) else [values])}
    except (OSError, ValueError, AttributeError, TypeError, LookupError, RecursionError):
        return {}
    if not {value for values in found.values() for value in values} <= set(range(256)):
        return {}
    return {name: v for name, v in found.items() if 0 not in v and name.lower() != "ignore"}


def load_layout(images: Path, dataset: str, coding: Coding | None = None) -> list[CaseRef]:
    """One case for each label of the ``labelsTr`` beside the folder ``imagesTr``; those of which a
    file is missing are left out and noted. coding: of their masks, as ``stated``.

    Raises DataError where no dataset.json names one of flair, t1 and t1c.
    """
    root = images.parent
    names = channel_names(images)
    roles = roles_of_channels(names)
    if not {*USED} & {*roles}:
        found = f"names the channels {', '.join(names)}" if names else "is missing or names none"
        raise DataError(
            f"{root / 'dataset.json'} {found}: expected flair, t1 or t1c among its channel_names "
            "or modality, in the order of the channels."
        )
    labels = volume_entries(root / LABELS)
    if not labels:
        raise DataError(f"{root / LABELS} holds no NIfTI files: expected a label for each case.")
    cases = [stem_of(label) for label in labels]
    if several := [case for case in cases if patient_of(case) != case]:
        note(
            f"{root / LABELS}: {several[0]} ({len(several)} such) is read as a time point of "
            f"patient {patient_of(several[0])}, whose id and fold all of theirs have."
        )
    tell_dated(map(patient_of, cases))
    _tell_without_label(images, cases)
    note(f"{root}: dataset.json names the channels {', '.join(names)}; they are read as such.")

    def reference(label: Path) -> CaseRef:
        return _reference(images, label, roles, dataset, coding)

    return usable(labels, reference, lambda label: label.name)


def _tell_without_label(images: Path, cases: list[str]) -> None:
    known = set(cases)
    stems = {stem_of(file) for file in volume_entries(images)} - known
    if any(f"{case}_0000" in stems for case in known):  # a file for each channel
        stems = {re.sub(r"_\d{4}$", "", stem) for stem in stems}
    alone = sorted(stems - known)
    if alone:
        note(f"{images}: left out, as they have no label: {listed(alone, 4)}.")


def _reference(
    images: Path, label: Path, roles: list[str], dataset: str, coding: Coding | None
) -> CaseRef:
    case = stem_of(label)
    patient = patient_of(case)
    version = f"{VOLUME_VERSION} {' '.join(roles)}"  # what dataset.json says, is in no other file
    coded_by = (images.parent / "dataset.json",) if coding else ()
    suffix = label.name.removeprefix(case)
    whole = images / label.name
    if whole.is_file():
        read = partial(_read_whole, patient, dataset, whole, label, roles, coding)
        return CaseRef(patient, case, (whole, label), read, version, coded_by)
    files = {
        role: images / f"{case}_{number:04}{suffix}"
        for number, role in enumerate(roles)
        if role in USED
    }
    for file in files.values():
        if not file.is_file():
            raise DataError(f"{label} has no image: expected {whole}, or {file} and the like.")
    read = partial(_read_files, patient, dataset, files, label, coding)
    return CaseRef(patient, case, (*files.values(), label), read, version, coded_by)


def _read_whole(
    patient: str, dataset: str, image: Path, label: Path, roles: list[str], coding: Coding | None
) -> Case:
    with naming(image):
        scan = read_scan(image, channels=roles)
    return _with_mask(patient, dataset, scan, label, coding)


def _read_files(
    patient: str, dataset: str, files: dict[str, Path], label: Path, coding: Coding | None
) -> Case:
    with naming(label):
        scan = read_sequences(**files)
    return _with_mask(patient, dataset, scan, label, coding)


def _with_mask(patient: str, dataset: str, scan: Scan, label: Path, coding: Coding | None) -> Case:
    with naming(label):
        mask = read_mask(label, scan)
    classes = partial(coding.read, label, scan, mask) if coding else None
    return Case(patient, dataset, scan, mask, classes)
