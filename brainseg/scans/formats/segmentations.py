"""DICOM segmentations: frames of one or several segments, each with its own place.

Slices without tumour are usually left out, and segments share slices, so they are no even stack.
"""

from pathlib import Path

import numpy as np

from brainseg.scans.formats.dicom_frames import check_frames, count_of, decode, frame_headers
from brainseg.scans.formats.dicom_header import read_header
from brainseg.scans.formats.dicom_objects import SEGMENTATION, other_object
from brainseg.scans.notes import note
from brainseg.scans.scan import ScanError, check_size

_CONVERT = "Convert it to NIfTI with 3D Slicer or dcmqi's segimage2itkimage."


def is_only_segmentation(file: Path) -> bool:
    """Whether a DICOM file is a segmentation, and neither an image nor contours."""
    return other_object(read_header(file)) == SEGMENTATION


def is_segmentation(file: Path, name: str) -> bool:
    """Whether a DICOM file holds a segmentation. Raises ScanError when it holds contours."""
    found = other_object(read_header(file))
    if "RTSTRUCT" in found:
        raise ScanError(
            f"{name} holds contours (DICOM RTSTRUCT), expected voxels. Convert it to a NIfTI "
            "mask on the scan's grid with 3D Slicer or plastimatch."
        )
    return found == SEGMENTATION


def read_segmentation(file: Path, name: str):
    """SimpleITK image, uint8 3-D, of a DICOM segmentation: its segments joined, gaps filled by 0.

    Several segments are noted. Raises ScanError for frames that are not parallel or not evenly
    spaced, for more than MAX_PIXELS samples and for what can't be decoded.
    """
    import SimpleITK as sitk

    header = read_header(file)
    check_frames(file, header, name)
    frames = frame_headers(header, name)
    try:
        places = np.reshape([frame["position"] for frame in frames], (len(frames), 3))
        cosines = np.reshape([frame["orientation"] for frame in frames], (len(frames), 6))
        row_mm, column_mm = frames[0]["pixel_spacing"]
    except (KeyError, ValueError, TypeError) as error:
        raise ScanError(f"{name} does not state where its frames lie. {_CONVERT}") from error
    across, down = cosines[0].reshape(2, 3)
    normal = np.cross(across, down)
    heights = places @ normal
    step_mm = _step(frames[0], heights)
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
    plane = count_of(header, "rows"), count_of(header, "columns")
    check_size((int(numbers.max()) + 1 + len(numbers)) * plane[0] * plane[1], name)
    volume = np.zeros((numbers.max() + 1, *plane), np.uint8)
    for number, frame in zip(numbers, decode(file, header, name), strict=True):
        np.maximum(volume[number], frame, out=volume[number])
    note_segments([segment.get("segment", "?") for segment in header.get("segments", [])], name)
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


def _step(frame: dict, heights: np.ndarray) -> float:
    """Distance of slices in mm: what is stated, or else the smallest distance of frames."""
    apart = np.diff(np.unique(np.round(heights, 3)))
    for key in ("gap", "thickness"):
        stated = abs(frame.get(key, (0.0,))[0])
        # Frames closer than stated overlap, and between slices may be a gap, by a half of their
        # thickness at most: then the stated one is no step.
        nearest = apart.min(initial=np.inf)
        if stated > 0 and nearest > 0.9 * stated:
            has_gap = key == "thickness" and 1.05 * stated < nearest < 1.5 * stated
            return float(nearest) if has_gap else stated
    return float(apart.min()) if apart.size else 1.0
