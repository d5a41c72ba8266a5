"""DICOM: which of some files are the slices of one series, and their pixels in true values."""

import hashlib
import math
from collections import Counter
from pathlib import Path

import numpy as np

from brainseg.scans.formats.dicom_frames import check_frames, count_of, frame_headers, true_values
from brainseg.scans.formats.dicom_header import read_header
from brainseg.scans.formats.dicom_objects import (
    DIRECTORY,
    check_image,
    foreign_modality,
    is_capture,
    other_object,
)
from brainseg.scans.formats.dicom_stack import DIFFERENCES, Grid, Slice, stack
from brainseg.scans.formats.sniffing import sniff_or_damaged
from brainseg.scans.listing import is_clutter_within
from brainseg.scans.notes import listed, note
from brainseg.scans.scan import ScanError, check_size, natural_key

_MAX_FILES = 50_000  # that are looked at below a folder


def files_below(folder: Path) -> list[Path]:
    """DICOM files in the folders below a folder, in natural order, without clutter.

    Raises ScanError where there are too many files to look at.
    """
    found: list[Path] = []
    for count, file in enumerate(folder.rglob("*")):
        if count > _MAX_FILES:
            raise ScanError(
                f"{folder.name} holds no scan itself and more than {_MAX_FILES:,} files in folders "
                "below. Give the folder of one series."
            )
        inner = file.relative_to(folder).parts
        is_below = len(inner) > 1 and file.is_file() and not is_clutter_within(inner)
        if is_below and sniff_or_damaged(file) == "dicom":
            found.append(file)
    return sorted(found, key=lambda file: natural_key(file.relative_to(folder)))


def has_image(files: list[Path]) -> bool:
    """Whether one of some DICOM files holds an image of the patient."""
    return any(not other_object(read_header(file)) for file in files)


def series_slices(files: list[Path], name: str) -> tuple[list[Slice], Grid]:
    """The slices of the one DICOM series among some files, in order, and where they lie.

    Notes what else there was and was left out: other objects, copies, secondary captures. Raises
    ScanError for no series, or several, which it lists; images that are not read; too many voxels;
    and as `stack` does.
    """
    headers = {file: read_header(file) for file in files}
    others = {file: other_object(header) for file, header in headers.items()}
    images, left_out = _without_captures([file for file in files if not others[file]], headers)
    if not images:
        _refuse_others([others[file] for file in files], name)
    series: dict[str, list[Path]] = {}
    for file in images:
        if "cut_off" in headers[file]:  # and so may lack its series
            check_image(headers[file], _told(file, files, name))
        series.setdefault(headers[file].get("series", ""), []).append(file)
    if len(series) > 1:
        _refuse_several(list(series.values()), headers, name)
    left_out += [
        f"{others[file]}, {file.name}" for file in files if others[file] not in ("", DIRECTORY)
    ]
    if left_out:
        what = listed(left_out, 4, "; ")
        note(f"{name} also holds what is no slice of the scan and was left out: {what}.")
    for file in images:
        check_image(headers[file], _told(file, files, name))
        check_frames(file, headers[file], _told(file, files, name))
    check_size(sum(_samples(headers[file]) for file in images), name)
    images = _without_copies(images, headers, name)
    slices = [
        Slice(file, number, frame)
        for file in images
        for number, frame in enumerate(frame_headers(headers[file], _told(file, files, name)))
    ]
    _note_what_it_is(slices[0].header, name)
    return stack(slices, name)


def read_series(slices: list[Slice], grid: Grid, name: str):
    """SimpleITK image, 3-D, of ordered slices in true values: rescaled by what each slice states.

    Raises ScanError naming the file that can't be decoded.
    """
    import SimpleITK as sitk

    by_file: dict[Path, list[Slice]] = {}
    for one in slices:
        by_file.setdefault(one.file, []).append(one)
    planes = {}
    for file, ours in by_file.items():
        frames = true_values(file, ours, _told(file, list(by_file), name))
        planes.update({(file, one.frame): frames[one.frame] for one in ours})
    dtype = np.result_type(*{plane.dtype for plane in planes.values()})
    pixels = np.stack(
        [planes[one.file, one.frame] for one in slices],
        dtype=np.float32 if dtype.kind == "f" else dtype,
        casting="same_kind",
    )
    if pixels.ndim == 4 and (pixels != pixels[..., :1]).any():
        note(
            f"{name} is a colour picture: its red, green and blue were taken for T1, FLAIR and "
            "T1c. If it shows one sequence, give the scanner's own grey series."
        )
    image = sitk.GetImageFromArray(pixels, isVector=pixels.ndim == 4)
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction)
    return image


def _samples(header: dict) -> int:
    return math.prod(count_of(header, key) for key in ("rows", "columns", "samples", "frame_count"))


def _told(file: Path, files: list[Path], name: str) -> str:
    return name if len(files) == 1 else f"{name}/{file.name}"


def _without_captures(images, headers) -> tuple[list[Path], list[str]]:
    """Images less the screenshots among them, and these in words; all where all are captures."""
    captures = [file for file in images if is_capture(headers[file])]
    if len(captures) == len(images):
        return images, []
    told = [
        f"a secondary capture of {count_of(headers[file], 'columns')} x "
        f"{count_of(headers[file], 'rows')} pixels, {file.name}"
        for file in captures
    ]
    return [file for file in images if file not in captures], told


def _without_copies(images: list[Path], headers: dict, name: str) -> list[Path]:
    """Images without those that repeat another, whose pixels, place and settings they share."""
    alike: dict[tuple, list[Path]] = {}
    copies = []
    for file in sorted(images, key=lambda file: (len(file.name), natural_key(file.name))):
        header = headers[file]
        place = header.get("position") or (
            header.get("instance_number"),
            header.get("sop_instance"),
        )
        settings = tuple(header.get(key) for key in DIFFERENCES)
        alike.setdefault((place, *settings), []).append(file)
    for own in alike.values():
        seen = set()
        for file in own if len(own) > 1 else ():
            pixels = hashlib.sha256(file.read_bytes()[headers[file]["pixels"] :]).digest()
            if pixels in seen:
                copies.append(file)
            seen.add(pixels)
    if copies:
        some = "1 file repeats" if len(copies) == 1 else f"{len(copies)} files repeat"
        note(
            f"{name}: {some} another slice exactly, such as {copies[0].name}; each slice was read "
            "once."
        )
    return [file for file in images if file not in set(copies)]


def _note_what_it_is(header: dict, name: str) -> None:
    if what := foreign_modality(header):
        note(
            f"{name} is {what}, and the models know MRI only: their masks mean nothing here. Give "
            "FLAIR, T1 or T1c."
        )
    elif is_capture(header):
        note(
            f"{name} is a secondary capture, such as a screenshot, whose grey values, place and "
            "size may not be the scanner's. Give the scanner's own series if there is one."
        )


def _refuse_others(found: list[str], name: str) -> None:
    counts = Counter(found)
    what = ", ".join(
        words if count == 1 else f"{count} times {words}" for words, count in counts.most_common(6)
    )
    mask = " Give a segmentation by itself, as the true mask of its scan." if "SEG" in what else ""
    raise ScanError(
        f"{name} holds no image of the patient but {what}, expected MR images. Give the files of "
        f"one MR series.{mask}"
    )


def _refuse_several(series: list[list[Path]], headers: dict, name: str) -> None:
    spread = len({file.parent for group in series for file in group}) > 1
    told = []
    for group in series:
        count = sum(count_of(headers[file], "frame_count") for file in group)
        what = headers[group[0]].get("description") or "no description"
        where = f" in {group[0].parent.name}" if spread else ""
        told.append(f"{what} ({count} slice{'s' if count > 1 else ''}{where})")
    raise ScanError(
        f"{name} holds {len(series)} DICOM series, expected one: {listed(sorted(told), 12, '; ')}. "
        "Give the files of one series only."
    )
