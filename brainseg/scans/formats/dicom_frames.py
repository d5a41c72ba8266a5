"""The frames of a DICOM file: what is said of each, and its pixels in true values."""

import math
from pathlib import Path

import numpy as np

from brainseg.scans.formats.dicom_objects import compression
from brainseg.scans.formats.dicom_stack import Slice
from brainseg.scans.formats.sniffing import VOLUMES
from brainseg.scans.scan import ScanError

_DEFLATED = "1.2.1.99"  # the end of this transfer syntax
# Enhanced MR, CT and PET, and those made of classic series. GDCM rescales them by what is said of
# all frames, or else of the first.
_ENHANCED = {
    f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("4.1", "4.4", "2.1", "2.2", "130", "128.1")
}


def frame_headers(header: dict, name: str) -> list[dict]:
    """What is said of each frame of a file: the file's header with that of the frame on top.

    Raises ScanError for an enhanced file that does not place each of its frames.
    """
    top = {key: value for key, value in header.items() if key not in ("shared", "frames")}
    shared = dict(*header.get("shared", [])[:1])
    own = header.get("frames", [])
    count = count_of(header, "frame_count")
    enhanced = header["sop_class"] in _ENHANCED
    first = dict(*own[:1])
    top["applied_scale"] = _scale({**top, **first, **shared} if enhanced else top)
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


def check_frames(file: Path, header: dict, name: str) -> None:
    """Raise ScanError for a file that is too small for what it states. To be asked before anything
    is made of each frame."""
    if not compression(header):
        _check_length(header, name)
    count, size = count_of(header, "frame_count"), file.stat().st_size
    if count > size:
        raise ScanError(
            f"{name} states {count:,} frames in {size:,} bytes: it is truncated or damaged. Copy, "
            "download or export it again."
        )


def true_values(file: Path, slices: list[Slice], name: str) -> np.ndarray:
    """All frames of a file, (frames, height, width) and colours if any, each in its own scale.

    `slices` are those that lie in the file. Raises ScanError when it can't be decoded.
    """
    frames = decode(file, slices[0].header, name)
    if max(one.frame for one in slices) >= len(frames):
        raise ScanError(
            f"{name} states more frames than the {len(frames)} that it holds. Copy, download or "
            "export it again."
        )
    # GDCM rescales a file by one slope, whatever its other frames state.
    slope, intercept = applied = slices[0].header["applied_scale"]
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


def decode(file: Path, header: dict, name: str) -> np.ndarray:
    """All frames of a file as GDCM gives them, (frames, height, width) and colours if any.

    Raises ScanError when it can't be decoded.
    """
    import SimpleITK as sitk

    if not compression(header):
        _check_length(header, name)
        is_deflated = header.get("transfer_syntax", "").endswith(_DEFLATED)
        if header.get("allocated", (8,))[0] == 1 and "pixel_bytes" in header and not is_deflated:
            return _bits(file, header, name)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = sitk.ImageFileReader()
    reader.SetImageIO(VOLUMES["dicom"])
    reader.SetFileName(str(file))
    try:
        return sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        how = compression(header)
        how = f", or its {how} compression is of a variant that is not supported" if how else ""
        raise ScanError(
            f"{name} cannot be decoded: it is truncated or damaged{how}. Copy, download or export "
            "it again, uncompressed if possible."
        ) from error


def _check_length(header: dict, name: str) -> None:
    """Raise ScanError where there are fewer pixels than stated: GDCM would fill them up with what
    lies in memory."""
    if "pixel_bytes" not in header:
        return
    samples = count_of(header, "samples")
    if header.get("photometric", "").startswith(("YBR_FULL_422", "YBR_PARTIAL")):
        samples = 2  # colours for every second pixel
    pixels = math.prod(count_of(header, key) for key in ("rows", "columns", "frame_count"))
    wanted = -(-pixels * samples * header.get("allocated", (8,))[0] // 8)
    if header["pixel_bytes"] < wanted:
        raise ScanError(
            f"{name} holds {header['pixel_bytes']:,} bytes of pixels where its header states "
            f"{wanted:,}: it is truncated or damaged. Copy, download or export it again."
        )


def _bits(file: Path, header: dict, name: str) -> np.ndarray:
    """Frames of single bits, which GDCM does not decode to the end."""
    shape = tuple(count_of(header, key) for key in ("frame_count", "rows", "columns"))
    with open(file, "rb") as stream:
        stream.seek(header["pixels"])
        stored = np.frombuffer(stream.read(header["pixel_bytes"]), np.uint8)
    if len(stored) < header["pixel_bytes"]:
        raise ScanError(
            f"{name} ends within its pixels, after {len(stored):,} of {header['pixel_bytes']:,} "
            "bytes: it is truncated. Copy, download or export it again."
        )
    return np.unpackbits(stored, count=math.prod(shape), bitorder="little").reshape(shape)


def _scale(header: dict) -> tuple[float, float]:
    """Rescale slope and intercept; a slope of 0 is none, as for GDCM."""
    return header.get("slope", (1.0,))[0] or 1.0, header.get("intercept", (0.0,))[0]


def count_of(header: dict, key: str) -> int:
    """A count that a header states; 1 where it states none."""
    return max(1, int(header.get(key, (1,))[0]))
