"""Which channel of a file is which sequence: named by the user or beside the file, or assumed.

A Scan has the channels (T1, FLAIR, T1c). Files store what they like in any order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from brainseg.scans.formats.sniffing import PICTURES
from brainseg.scans.notes import note
from brainseg.scans.roles import SEQUENCES, TITLES, USED, role_of
from brainseg.scans.scan import Scan, ScanError

ORDER = ("t1", "flair", "t1c")
HOW_TO_NAME = (
    "name the channels in their order, such as flair,t1,t1c,t2 (- for others): on the page under "
    "Order of channels, in a terminal by --channels, in Python by channels="
)
_DATASET = "dataset.json"  # of the Medical Segmentation Decathlon and nnU-Net
_MAX_BYTES = 2**25
# Slices of the TCGA set are published as pre-contrast, FLAIR, post-contrast.
_PUBLISHED_ORDER = re.compile(r"TCGA_\w\w_\w{4}_\d{8}")


def arranged(scan: Scan, channels: str | Sequence[str] | None, path: Path) -> Scan:
    """A scan as stored, (slices, height, width, n), with 1 channel, or 3 in (T1, FLAIR, T1c).

    channels: the sequence of each stored channel, as "flair,t1,t1c,t2" or names in a list; "-" is
        one that is not used. None: as a dataset.json beside ``path`` says; else three are taken
        for T1, FLAIR, T1c, which is noted where they differ.

    A sequence that is not there is replaced by FLAIR, or by the first of (FLAIR, T1, T1c) that is.
    Raises ScanError for another number of names, and for two or four channels without any.
    """
    count = scan.pixels.shape[-1]
    if channels:
        return _ordered(scan, _named(channels, scan))
    if count == 1:
        return scan
    beside = channel_names(path)
    roles = roles_of_channels(beside)
    if len(beside) == count and {*roles} & {*ORDER}:
        told = ", ".join(TITLES.get(role, "not used") for role in roles)
        note(
            f"{scan.source} holds {count} channels, which {_DATASET} beside it names "
            f"{', '.join(beside)}: they were read as {told}. If that is wrong, {HOW_TO_NAME}."
        )
        return _ordered(scan, roles)
    if _has_alpha(scan):
        note(
            f"{scan.source} is an array of one picture with four channels: the first three were "
            "read as T1, FLAIR and T1 after contrast, the fourth left out as transparency. If "
            f"they are four sequences, {HOW_TO_NAME}."
        )
        return replace(scan, pixels=np.ascontiguousarray(scan.pixels[..., :3]))
    if count != 3:
        raise ScanError(
            f"{scan.source} holds {count} channels, and nothing says which sequences they are. To "
            f"read them, {HOW_TO_NAME}, or under channel_names in a {_DATASET} beside it."
        )
    _tell_assumed(scan)
    return scan


def channel_names(path: Path) -> list[str]:
    """Names of the channels, in order, in the dataset.json beside a file or a folder above; empty
    if there is none, or none that says so."""
    folder = path if path.is_dir() else path.parent
    for file in (folder / _DATASET, folder.parent / _DATASET):
        try:
            if file.stat().st_size > _MAX_BYTES:
                continue
            content = json.loads(file.read_text("utf-8-sig"))
            names = content.get("channel_names") or content.get("modality")
            if not isinstance(names, dict):
                names = dict(enumerate(names))
            numbered = {int(number): str(name) for number, name in names.items()}
        except (OSError, ValueError, AttributeError, TypeError, RecursionError):
            continue
        if sorted(numbered) == list(range(len(numbered))):
            return [numbered[number] for number in range(len(numbered))]
    return []


def roles_of_channels(names: Sequence[str]) -> list[str]:
    """The sequence of each channel by its name, "-" for one that is none of flair, t1, t1c, t2."""
    roles = [role_of(name) for name in names]
    return [role if role in SEQUENCES else "-" for role in roles]


def filled(planes: dict[str, np.ndarray]) -> np.ndarray:
    """The planes (slices, height, width) of sequences, by role, as (slices, height, width, 3).

    A missing one is replaced by FLAIR, or by the first there is of (FLAIR, T1, T1c).
    """
    first = next(planes[role] for role in USED if role in planes)
    return np.stack([planes.get(role, first) for role in ORDER], axis=-1)


def _has_alpha(scan: Scan) -> bool:
    """Whether the last of four channels is a picture's transparency: one slice of bytes."""
    is_picture = len(scan.pixels) == 1 and scan.pixels.shape[-1] == 4
    return scan.format == "npy" and scan.pixels.dtype == np.uint8 and is_picture


def _named(channels: str | Sequence[str], scan: Scan) -> list[str]:
    """The role of each channel by names that somebody gave, "-" where it is not used."""
    names = channels.split(",") if isinstance(channels, str) else channels
    names = [str(name).strip() for name in names]
    roles = roles_of_channels(names)
    for name, role in zip(names, roles, strict=True):
        if role == "-" and name not in ("-", ""):
            raise ScanError(
                f"{name!r} is no sequence that a channel can be: expected flair, t1, t1c, t2, or - "
                "for another."
            )
    used = [role for role in roles if role in ORDER]
    if len(used) > len(set(used)):
        raise ScanError(f"The order of channels {','.join(names)} names one of them twice.")
    if not used:
        raise ScanError(f"The order of channels {','.join(names)} names none of flair, t1 and t1c.")
    count = scan.pixels.shape[-1]
    if len(names) != count:
        raise ScanError(
            f"{scan.source} has {count} channel{'s' if count > 1 else ''}, but the order "
            f"{','.join(names)} names {len(names)}. Name each channel once, - for one that is "
            "not used."
        )
    return roles


def _ordered(scan: Scan, roles: list[str]) -> Scan:
    if len(roles) == 1:
        return scan
    planes = {role: scan.pixels[..., n] for n, role in enumerate(roles) if role in ORDER}
    return replace(scan, pixels=filled(planes))


def _tell_assumed(scan: Scan) -> None:
    pixels = scan.pixels
    if scan.format in PICTURES:
        # Grey within the noise that JPEG and screens leave is one sequence in three channels.
        if _PUBLISHED_ORDER.match(Path(scan.source).name) or _is_grey(pixels):
            return
        note(
            f"{scan.source} is in colour: its red, green and blue were read as T1, FLAIR and T1 "
            f"after contrast. If they are not, save it in grey, or {HOW_TO_NAME}."
        )
    elif (pixels != pixels[..., :1]).any():
        note(
            f"{scan.source} holds three channels without names: they were read as T1, FLAIR and "
            f"T1 after contrast, in that order. If they are not, {HOW_TO_NAME}."
        )


def _is_grey(pixels: np.ndarray) -> bool:
    largest = max(float(np.abs(pixels).max()), 1e-12)
    return all(
        np.ptp(plane.astype(np.float32), axis=-1).max() <= 0.04 * largest for plane in pixels
    )
