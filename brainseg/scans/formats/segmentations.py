"""DICOM segmentations: frames of one or several segments, each with its own place.

Their library decodes the frames but does not tell their places where slices are left out or
several segments share them, so those are read here.
"""

import re
import struct
from pathlib import Path

import numpy as np

from brainseg.scans.formats.sniffing import VOLUMES
from brainseg.scans.notes import note
from brainseg.scans.scan import ScanError, check_size

_SEGMENTATION = re.compile(rb"1\.2\.840\.10008\.5\.1\.4\.1\.1\.66\.4(?![\d.])")
_CONTOURS = re.compile(rb"1\.2\.840\.10008\.5\.1\.4\.1\.1\.481\.3(?![\d.])")
_READ_SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
_CONVERT = "Convert it to NIfTI with 3D Slicer or dcmqi's segimage2itkimage."

_SHARED, _PER_FRAME, _SEGMENTS = 0x52009229, 0x52009230, 0x00620002
_PLACE, _ORIENTATION, _MEASURES = 0x00209113, 0x00209116, 0x00289110
_SEQUENCES = {_SHARED, _PER_FRAME, _SEGMENTS, _PLACE, _ORIENTATION, _MEASURES}
_ROWS, _COLUMNS = 0x00280010, 0x00280011
_VOXELS, _ITEM_END, _OPEN = 0x7FE00010, 0xFFFEE00D, 0xFFFFFFFF
_SPACING, _STEP, _THICKNESS, _LABEL = 0x00280030, 0x00180088, 0x00180050, 0x00620005
_LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")


def is_segmentation(file: Path, name: str) -> bool:
    """Whether a DICOM file holds a segmentation. Raises ScanError when it holds contours."""
    with file.open("rb") as stream:
        head = stream.read(2048)
    if _CONTOURS.search(head):
        raise ScanError(
            f"{name} holds contours (DICOM RTSTRUCT), expected voxels. Convert it to a NIfTI "
            "mask on the scan's grid with 3D Slicer or plastimatch."
        )
    return bool(_SEGMENTATION.search(head))


def read_segmentation(file: Path, name: str):
    """SimpleITK image, uint8 3-D, of a DICOM segmentation: its segments joined, gaps filled by 0.

    Several segments are noted. Raises ScanError for a transfer syntax that is not read, frames
    that are not parallel or not evenly spaced, and more than MAX_PIXELS samples.
    """
    import SimpleITK as sitk

    top = _data_set(file.read_bytes(), name)
    shared, *_ = *top.get(_SHARED, []), {}
    per_frame = [{**shared, **item} for item in top.get(_PER_FRAME, [])]
    try:
        places = [_numbers(frame[_PLACE][0], 0x00200032) for frame in per_frame]
        cosines = [_numbers(frame[_ORIENTATION][0], 0x00200037) for frame in per_frame]
        places = np.reshape(places, (len(per_frame), 3))
        cosines = np.reshape(cosines, (len(per_frame), 6))
        measures = per_frame[0][_MEASURES][0]
        row_mm, column_mm = _numbers(measures, _SPACING)
    except (KeyError, IndexError, ValueError) as error:
        raise ScanError(f"{name} does not state where its frames lie. {_CONVERT}") from error
    across, down = cosines[0].reshape(2, 3)
    normal = np.cross(across, down)
    heights = places @ normal
    step_mm = _step(measures, heights)
    numbers = np.rint((heights - heights.min()) / step_mm).astype(int)
    off_mm = heights - heights.min() - numbers * step_mm
    aside_mm = (places - places[0]) @ np.array([across, down]).T
    if (
        np.ptp(cosines, axis=0).max() > 1e-3
        or np.abs(off_mm).max() > 0.1 * step_mm
        or np.abs(aside_mm).max() > 0.1 * min(row_mm, column_mm)
    ):
        raise ScanError(
            f"{name} has frames that are not parallel, evenly spaced and in line with one "
            f"another. {_CONVERT}"
        )
    plane = tuple(struct.unpack("<H", top[tag])[0] for tag in (_ROWS, _COLUMNS))
    check_size((int(numbers.max()) + 1 + len(numbers)) * plane[0] * plane[1], name)
    volume = np.zeros((numbers.max() + 1, *plane), np.uint8)
    for number, frame in zip(numbers, _frames(file), strict=True):
        np.maximum(volume[number], frame, out=volume[number])
    note_segments([_text(item, _LABEL) for item in top.get(_SEGMENTS, [])], name)
    image = sitk.GetImageFromArray(volume)
    image.SetSpacing((column_mm, row_mm, step_mm))
    image.SetOrigin(places[heights.argmin()].tolist())
    image.SetDirection(np.array([across, down, normal]).T.ravel().tolist())
    return image


def note_segments(names: list[str], name: str) -> None:
    """Say which segments of a file are counted together, where there are several."""
    if len(names) > 1:
        note(
            f"{name} holds the segments {', '.join(names)}: all are counted together as tumour. "
            "If one of them is something else, export it without."
        )


def _frames(file: Path) -> np.ndarray:
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    image = sitk.ReadImage(str(file), imageIO=VOLUMES["dicom"])
    frames = sitk.GetArrayFromImage(image)
    return frames.reshape(-1, *frames.shape[-2:])


def _step(measures: dict, heights: np.ndarray) -> float:
    """Distance of slices in mm: what is stated, or else the smallest distance of frames."""
    apart = np.diff(np.unique(np.round(heights, 3)))
    for tag in (_STEP, _THICKNESS):
        stated = abs(_numbers(measures, tag)[0]) if tag in measures else 0
        # Frames closer than stated overlap: then the stated thickness is no step.
        if stated > 0 and apart.min(initial=np.inf) > 0.9 * stated:
            return stated
    return float(apart.min()) if apart.size else 1.0


def _data_set(data: bytes, name: str) -> dict:
    """Elements of a DICOM file by tag, up to its voxels: bytes, or the items of a sequence."""
    length = struct.unpack_from("<I", data, 140)[0]  # of the group that names the transfer syntax
    meta, start = _elements(data, 132, 144 + length, True)
    syntax = _text(meta, 0x00020010)
    if syntax not in _READ_SYNTAXES:
        raise ScanError(
            f"{name} is a DICOM segmentation in the transfer syntax {syntax or 'unknown'}, which "
            f"is not read. {_CONVERT}"
        )
    return _elements(data, start, len(data), syntax == _READ_SYNTAXES[1])[0]


def _elements(data: bytes, start: int, end: int, explicit: bool) -> tuple[dict, int]:
    """Elements by tag from one place to another or to an item's end, and where they end."""
    elements = {}
    while start + 8 <= end:
        group, element = struct.unpack_from("<HH", data, start)
        tag = group << 16 | element
        if tag == _VOXELS:
            break
        if tag == _ITEM_END:
            return elements, start + 8
        kind = data[start + 4 : start + 6] if explicit else b""
        if kind and kind not in _LONG:
            length, start = struct.unpack_from("<H", data, start + 6)[0], start + 8
        else:
            place = start + 8 if kind else start + 4
            length, start = struct.unpack_from("<I", data, place)[0], place + 4
        if kind == b"SQ" or tag in _SEQUENCES or length == _OPEN:
            stop = end if length == _OPEN else start + length
            elements[tag], start = _items(data, start, stop, explicit)
        else:
            elements[tag] = data[start : start + length]
            start += length
    return elements, start


def _items(data: bytes, start: int, end: int, explicit: bool) -> tuple[list[dict], int]:
    """Items of a sequence, and where it ends."""
    items = []
    while start + 8 <= end:
        element, length = struct.unpack_from("<2xHI", data, start)
        start += 8
        if element == 0xE0DD:  # the end of a sequence of open length
            break
        item, start = _elements(data, start, end if length == _OPEN else start + length, explicit)
        items.append(item)
    return items, start


def _text(elements: dict, tag: int) -> str:
    return elements.get(tag, b"").decode("utf-8", "replace").strip(" \0")


def _numbers(elements: dict, tag: int) -> list[float]:
    return [float(part) for part in _text(elements, tag).split("\\")]
