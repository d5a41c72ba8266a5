"""The layout of the Medical Segmentation Decathlon and nnU-Net, for volumes of brain tumours.

``imagesTr/CASE.nii.gz`` with all channels, or ``imagesTr/CASE_0000.nii.gz`` and so on, a file for
each; ``labelsTr/CASE.nii.gz``; ``dataset.json``, which names the channels. Label values above 0 are
tumour.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from brainseg.data.case import Case, CaseRef, DataError, naming, usable
from brainseg.scans.channels import channel_names, roles_of_channels
from brainseg.scans.listing import stem_of, volume_entries
from brainseg.scans.masks import read_mask
from brainseg.scans.notes import note
from brainseg.scans.preprocessing import VOLUME_VERSION
from brainseg.scans.reading import read_scan
from brainseg.scans.roles import USED
from brainseg.scans.sequences import read_sequences

IMAGES, LABELS = "imagesTr", "labelsTr"


def is_images(folder: Path) -> bool:
    """Whether a folder is an ``imagesTr`` with its ``labelsTr`` beside it."""
    return folder.name == IMAGES and (folder.parent / LABELS).is_dir()


def load_layout(images: Path, dataset: str) -> list[CaseRef]:
    """One case for each label of the ``labelsTr`` beside the folder ``imagesTr``; those of which a
    file is missing are left out and noted.

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
    note(f"{root}: dataset.json names the channels {', '.join(names)}; they are read as such.")
    return usable(
        labels, lambda label: _reference(images, label, roles, dataset), lambda label: label.name
    )


def _reference(images: Path, label: Path, roles: list[str], dataset: str) -> CaseRef:
    case = stem_of(label)
    suffix = label.name.removeprefix(case)
    whole = images / label.name
    if whole.is_file():
        read = partial(_read_whole, case, dataset, whole, label, roles)
        return CaseRef(case, case, (whole, label), read, VOLUME_VERSION)
    files = {
        role: images / f"{case}_{number:04}{suffix}"
        for number, role in enumerate(roles)
        if role in USED
    }
    for file in files.values():
        if not file.is_file():
            raise DataError(f"{label} has no image: expected {whole}, or {file} and the like.")
    read = partial(_read_files, case, dataset, files, label)
    return CaseRef(case, case, (*files.values(), label), read, VOLUME_VERSION)


def _read_whole(case: str, dataset: str, image: Path, label: Path, roles: list[str]) -> Case:
    with naming(image):
        scan = read_scan(image, channels=roles)
    with naming(label):
        return Case(case, dataset, scan, read_mask(label, scan))


def _read_files(case: str, dataset: str, files: dict[str, Path], label: Path) -> Case:
    with naming(label):
        scan = read_sequences(**files)
        return Case(case, dataset, scan, read_mask(label, scan))
