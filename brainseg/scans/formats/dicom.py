"""DICOM: which of some files are the slices of one series, and their pixels in true values."""

import math
from collections import Counter
from pathlib import Path

import numpy as np

from brainseg.scans.formats.dicom_header import read_header
from brainseg.scans.formats.dicom_objects import (
    DIRECTORY,
    check_image,
    compression,
    foreign_modality,
    is_capture,
    other_object,
)
from brainseg.scans.formats.dicom_stack import DIFFERENCES, Grid, Slice, stack
from brainseg.scans.formats.sniffing import VOLUMES, sniff
from brainseg.scans.notes import note
from brainseg.scans.scan import ScanError, check_size, natural_key

_MAX_FILES = 50_000  # that are looked at below a folder
# Enhanced MR, CT and PET, and those made of classic series. GDCM rescales them by what is said of
# all frames, or else of the first.
_ENHANCED = {
    f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("4.1", "4.4", "2.1", "2.2", "130", "128.1")
}


def files_below(folder: Path) -> list[Path]:
    """DICOM files in the folders below a folder, in natural order; hidden ones are left out."""
    found: list[Path] = []
    for count, file in enumerate(folder.rglob("*")):
        inner = file.relative_to(folder).parts
        if count > _MAX_FILES:
            break
        if any(part.startswith(".") or part == "__MACOSX" for part in inner):
            continue
        if len(inner) > 1 and file.is_file() and file.stat().st_size and sniff(file) == "dicom":
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
    images = [file for file in files if not others[file]]
    if not images:
        _refuse_others([others[file] for file in files], name)
    series: dict[str, list[Path]] = {}
    for file in images:
        if "cut_off" in headers[file]:  # and so may lack its series
            check_image(headers[file], _told(file, files, name))
        series.setdefault(headers[file].get("series", ""), []).append(file)
    if len(series) > 1:
        _refuse_several([[headers[file] for file in group] for group in series.values()], name)
    images, left_out = _without_captures(images, headers)
    left_out += [
        f"{others[file]}, {file.name}" for file in files if others[file] not in ("", DIRECTORY)
    ]
    if left_out:
        listed = "; ".join(left_out[:4]) + ("; ..." if len(left_out) > 4 else "")
        note(f"{name} also holds what is no slice of the scan and was left out: {listed}.")
    for file in images:
        check_image(headers[file], _told(file, files, name))
    check_size(sum(_samples(headers[file]) for file in images), name)
    images = _without_copies(images, headers, name)
    slices = [
        Slice(file, number, frame)
        for file in images
        for number, frame in enumerate(_frames(headers[file], _told(file, files, name)))
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
        frames = _true_values(file, ours, _told(file, list(by_file), name))
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


def _true_values(file: Path, slices: list[Slice], name: str) -> np.ndarray:
    """All frames of a file, (frames, height, width) and colours if any, each in its own scale."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO(VOLUMES["dicom"])
    reader.SetFileName(str(file))
    try:
        frames = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        how = compression(slices[0].header)
        how = f", or its {how} compression is of a variant that is not supported" if how else ""
        raise ScanError(
            f"{name} cannot be decoded: it is truncated or damaged{how}. Copy, download or export "
            "it again, uncompressed if possible."
        ) from error
    if max(one.frame for one in slices) >= len(frames):
        raise ScanError(
            f"{name} states more frames than the {len(frames)} that it holds. Copy, download or "
            "export it again."
        )
    # GDCM rescales a file by one slope, whatever its other frames state.
    (slope, intercept) = applied = slices[0].header["applied_scale"]
    if all(_scale(one.header) == applied for one in slices):
        return frames
    stored = (frames - intercept) / slope
    if np.abs(stored - stored.round()).max() > 0.01:
        raise ScanError(
            f"{name} has a rescale slope for each frame that can't be applied. Export it as a "
            "classic series, or convert it with dcm2niix."
        )
    true = np.zeros(frames.shape, np.float32)
    for one in slices:
        slope, intercept = _scale(one.header)
        true[one.frame] = stored[one.frame].round() * slope + intercept
    return true


def _frames(header: dict, name: str) -> list[dict]:
    """What is said of each frame of a file: the file's header with that of the frame on top."""
    top = {key: value for key, value in header.items() if key not in ("shared", "frames")}
    shared = dict(*header.get("shared", [])[:1])
    own = header.get("frames", [])
    count = _count(header, "frame_count")
    enhanced = header["sop_class"] in _ENHANCED
    top["applied_scale"] = _scale({**top, **own[0], **shared} if enhanced and own else top)
    frames = [{**top, **shared, **one} for one in own]
    placed = sum("position" in one for one in frames)
    if (own and len(own) != count) or (enhanced and count > 1 and placed < count):
        raise ScanError(
            f"{name} states {count} frames but tells where {placed} of them lie. Export it as a "
            "classic series, one file for each slice, or convert it with dcm2niix."
        )
    if own:
        return frames
    if count == 1:
        return [{**top, **shared}]
    # What an old multi-frame file says of its place holds for the first frame only.
    top["corner"] = top.pop("position", None)
    top.pop("instance_number", None)
    top.pop("location", None)
    return [top] * count


def _scale(header: dict) -> tuple[float, float]:
    """Rescale slope and intercept; a slope of 0 is none, as for GDCM."""
    return header.get("slope", (1.0,))[0] or 1.0, header.get("intercept", (0.0,))[0]


def _count(header: dict, key: str) -> int:
    return max(1, int(header.get(key, (1,))[0]))


def _samples(header: dict) -> int:
    return math.prod(_count(header, key) for key in ("rows", "columns", "samples", "frame_count"))


def _told(file: Path, files: list[Path], name: str) -> str:
    return name if len(files) == 1 else f"{name}/{file.name}"


def _without_captures(images, headers) -> tuple[list[Path], list[str]]:
    """Images less the screenshots among them, and these in words; all where all are captures."""
    captures = [file for file in images if is_capture(headers[file])]
    if len(captures) == len(images):
        return images, []
    told = [
        f"a secondary capture of {_count(headers[file], 'columns')} x "
        f"{_count(headers[file], 'rows')} pixels, {file.name}"
        for file in captures
    ]
    return [file for file in images if file not in captures], told


def _without_copies(images: list[Path], headers: dict, name: str) -> list[Path]:
    """Images without those that repeat another, whose pixels, place and settings they share."""
    kept: dict[tuple, list[Path]] = {}
    copies = []
    for file in sorted(images, key=lambda file: (len(file.name), natural_key(file.name))):
        header = headers[file]
        place = header.get("position") or (
            header.get("instance_number"),
            header.get("sop_instance"),
        )
        alike = kept.setdefault((place, *(header.get(key) for key in DIFFERENCES)), [])
        if any(_pixel_bytes(file, header) == _pixel_bytes(o, headers[o]) for o in alike):
            copies.append(file)
        else:
            alike.append(file)
    if copies:
        some = "1 file repeats" if len(copies) == 1 else f"{len(copies)} files repeat"
        note(
            f"{name}: {some} another slice exactly, such as {copies[0].name}; each slice was read "
            "once."
        )
    return [file for file in images if file not in set(copies)]


def _pixel_bytes(file: Path, header: dict) -> bytes:
    return file.read_bytes()[header["pixels"] :]


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
    mask = " To use a segmentation as a mask, convert it to NIfTI." if "SEG" in what else ""
    raise ScanError(
        f"{name} holds no image of the patient but {what}, expected MR images. Give the files of "
        f"one MR series.{mask}"
    )


def _refuse_several(series: list[list[dict]], name: str) -> None:
    listed = sorted(
        f"{group[0].get('description') or 'no description'} "
        f"({sum(_count(header, 'frame_count') for header in group)} slices)"
        for group in series
    )
    found = "; ".join(listed[:12]) + ("; ..." if len(listed) > 12 else "")
    raise ScanError(
        f"{name} holds {len(series)} DICOM series, expected one: {found}. "
        "Give the files of one series only."
    )
