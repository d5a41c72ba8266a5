"""NIfTI files byte by byte, with every field that a program may have left in an odd state."""

import gzip
import struct
from pathlib import Path

import numpy as np

_CODES = {
    "u1": 2, "i2": 4, "i4": 8, "f4": 16, "c8": 32, "f8": 64, "i1": 256, "u2": 512, "u4": 768,
    "i8": 1024, "u8": 1280, "f16": 1536, "c16": 1792,
}  # fmt: skip


def nifti(
    path: Path,
    array: np.ndarray,
    *,
    sform=None,
    sform_code=None,
    qform=None,
    qform_code=None,
    pixdim=(1.0, 1.0, 1.0),
    qfac=1.0,
    dims=None,
    units=2,
    slope=0.0,
    inter=0.0,
    intent=0,
    code=None,
    order="<",
    version=1,
    magic=None,
) -> Path:
    """A file of (slices, rows, columns) or more axes before them, first axis of the file last.

    sform: (3, 4) rows to RAS mm. qform: (b, c, d, x, y, z). A form given has code 1 unless told.
    dims: what dim[] states instead of the array's own shape. units: of xyzt_units, 2 is mm.
    """
    dims = tuple(array.shape[::-1]) if dims is None else dims
    code = _CODES[array.dtype.str[1:]] if code is None else code
    bits = {128: 24, 2304: 32, 1: 1}.get(code, array.dtype.itemsize * 8)
    sform_code = int(sform is not None) if sform_code is None else sform_code
    qform_code = int(qform is not None) if qform_code is None else qform_code
    shape = (len(dims), *dims, *[1] * (7 - len(dims)))
    sides = (qfac, *pixdim, *[1.0] * (7 - len(pixdim)))
    rows = np.zeros(12) if sform is None else np.ravel(sform)
    quaternion = (0,) * 6 if qform is None else qform
    if version == 1:
        head = bytearray(352)
        fields = (
            (0, "i", [348]), (40, "8h", shape), (68, "h", [intent]), (70, "hh", (code, bits)),
            (76, "8f", sides), (108, "3f", (352, slope, inter)), (123, "B", [units]),
            (252, "2h", (qform_code, sform_code)), (256, "6f", quaternion), (280, "12f", rows),
            (344, "4s", [magic or b"n+1\0"]),
        )  # fmt: skip
    else:
        head = bytearray(544)
        fields = (
            (0, "i", [540]), (4, "8s", [magic or b"n+2\0\r\n\x1a\n"]), (12, "hh", (code, bits)),
            (16, "8q", shape), (104, "8d", sides), (168, "q", [544]), (176, "2d", (slope, inter)),
            (344, "2i", (qform_code, sform_code)), (352, "6d", quaternion), (400, "12d", rows),
            (500, "i", [units]), (504, "i", [intent]),
        )  # fmt: skip
    for place, form, values in fields:
        struct.pack_into(order + form, head, place, *values)
    data = bytes(head) + array.astype(array.dtype.newbyteorder(order)).tobytes()
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
    return path


def forms(path: Path) -> dict:
    """The codes and forms that a NIfTI-1 file states."""
    data = path.read_bytes()
    data = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    qform_code, sform_code = struct.unpack_from("<2h", data, 252)
    return {
        "codes": (qform_code, sform_code),
        "pixdim": struct.unpack_from("<4f", data, 76),
        "qform": struct.unpack_from("<6f", data, 256),
        "sform": np.reshape(struct.unpack_from("<12f", data, 280), (3, 4)),
    }
