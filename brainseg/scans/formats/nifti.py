"""NIfTI: its voxels as stored, and masks written so that they overlay their scan.

SimpleITK reads neither NIfTI-2 nor two forms that differ, so the voxels are taken by numpy.
"""

import gzip
import math
from pathlib import Path

import numpy as np

from brainseg.scans.formats.nifti_header import (
    is_identity,
    mask_header,
    places,
    read_header,
    sides_mm,
)
from brainseg.scans.notes import note
from brainseg.scans.scan import ScanError, check_size

_TYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8",
    1280: "u8", 128: "u1", 2304: "u1",
}  # fmt: skip
_COLOURS = {128: 3, 2304: 4}  # bytes of a colour, side by side in the file
_UNREADABLE = {
    0: "values of no stated type", 1: "single bits", 32: "complex values", 1536: "128-bit floats",
    1792: "complex values", 2048: "complex values",
}  # fmt: skip


def read_nifti(file: Path, name: str, most: int | None = 4):
    """SimpleITK image of a NIfTI file, 3-D, or 4-D with channels last; what it states of its place:
    a dict for ``to_patient_axes``. most: as of ``read_image``.

    Raises ScanError for too many or missing voxels, a time series, complex values and a detached
    header; ValueError, struct.error and OSError for damage.
    """
    import SimpleITK as sitk

    with file.open("rb") as raw:
        stream = gzip.GzipFile(fileobj=raw) if raw.peek(2)[:2] == b"\x1f\x8b" else raw
        fields, order = read_header(stream, name)
        dims, channels = _size(fields, name, most)
        dtype = np.dtype(_TYPES[fields["code"][0]])
        need = math.prod(dims) * channels * dtype.itemsize
        data = _voxels(stream, fields, need, name)
    voxels = np.frombuffer(data, dtype.newbyteorder(order)).astype(dtype, copy=False)
    if fields["code"][0] in _COLOURS:
        voxels = np.moveaxis(voxels.reshape(*dims[::-1], channels), -1, 0)
    else:
        voxels = _scaled(voxels.reshape(channels, *dims[::-1]), fields)
    image = sitk.GetImageFromArray(voxels if channels > 1 else voxels[0], isVector=False)
    stated = {"name": name, "nifti": fields, "is_identity": is_identity(fields)}
    return _placed(image, fields, dims, name, stated), stated


def write_like(voxels: np.ndarray, source: dict, path: Path) -> None:
    """Write uint8 (slices, rows, columns), as stored, with both forms of the scan's header."""
    data = mask_header(source, voxels.shape[::-1]) + voxels.tobytes()
    path.write_bytes(gzip.compress(data, 6, mtime=0) if path.name.endswith(".gz") else data)


def _size(fields: dict, name: str, most: int | None) -> tuple[tuple[int, int, int], int]:
    """(columns, rows, slices), and the number of channels."""
    count, *dims = fields["dim"]
    stated = tuple(dims[:count])
    dims = [max(1, n) for n in stated] + [1] * (7 - count)
    code = fields["code"][0]
    check_size(math.prod(dims) * _COLOURS.get(code, 1), name)
    # Time, then values of a vector: either may stand for the channels.
    times, values, *more = dims[3:]
    if (most and max(times, values) > most) or min(times, values) > 1 or max(more) > 1:
        raise ScanError(
            f"{name} has size {stated}: it looks like a time series, expected one "
            "volume. Save a single time point as 3-D."
        )
    if max(dims[:3]) > 32767:  # what a mask's header can tell
        raise ScanError(
            f"{name} has size {stated}, expected at most 32,767 voxels along an axis. Crop it."
        )
    if code not in _TYPES:
        raise ScanError(
            f"{name} holds {_UNREADABLE.get(code, f'values of the unknown type {code}')}, expected "
            "real numbers of up to 64 bits. Save its magnitude as integers or 32-bit floats."
        )
    if 0 in stated:
        note(
            f"{name} states the size {stated}: axes of 0 are read as 1. If slices are missing, "
            "export it again."
        )
    channels = max(times, values)
    if code in _COLOURS and channels > 1:
        raise ScanError(
            f"{name} has size {stated} in colour, expected one volume. Save one sequence per file."
        )
    return tuple(dims[:3]), channels * _COLOURS.get(code, 1)


def _voxels(stream, fields: dict, need: int, name: str) -> bytearray:
    """The bytes of all voxels. Reads on to the end, so that gzip compares its checksum, but not
    much further: it may be a bomb."""
    head = 348 if stream.tell() == 348 else 540
    start = max(head, int(fields["offset"][0]))
    found = head + len(stream.read(start - head))
    data = bytearray()
    while len(data) < need and (chunk := stream.read(min(2**24, need - len(data)))):
        data += chunk
    if len(data) < need:
        raise ScanError(
            f"{name} is truncated: {found + len(data):,} of {start + need:,} bytes are there. "
            "Copy, download or export it again."
        )
    for _ in range(16):
        if not stream.read(2**20):
            break
    return data


def _scaled(voxels: np.ndarray, fields: dict) -> np.ndarray:
    """Stored values times the slope plus the intercept; a slope of 0, or none, leaves them."""
    slope, inter = fields["slope"][0], fields["inter"][0]
    inter = inter if np.isfinite(inter) else 0.0
    if not np.isfinite(slope) or slope == 0 or (slope, inter) == (1, 0):
        return voxels
    dtype = np.float32 if voxels.dtype.itemsize <= 2 or voxels.dtype == "f4" else np.float64
    return voxels.astype(dtype) * dtype(slope) + dtype(inter)


def _placed(image, fields: dict, dims: tuple, name: str, stated: dict):
    """The image where the header places it; ``stated`` is told the rest."""
    forms = places(fields, dims, name)
    if forms:
        affine, *stated["others"] = forms
        sides = np.linalg.norm(affine[:3, :3], axis=0)
    else:
        sides = sides_mm(fields, name)
        stated |= {"is_placed": False, "has_spacing": not np.isnan(sides).any()}
        sides = np.where(np.isnan(sides), 1.0, sides)
        affine = np.diag([*sides, 1.0])
        sides = np.abs(sides)
    count = image.GetDimension()
    direction, origin, spacing = np.eye(count), np.zeros(count), np.ones(count)
    direction[:3, :3], origin[:3], spacing[:3] = affine[:3, :3] / sides, affine[:3, 3], sides
    image.SetDirection(direction.ravel().tolist())
    image.SetOrigin(origin.tolist())
    image.SetSpacing(spacing.tolist())
    return image
