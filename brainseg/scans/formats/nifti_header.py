"""The header of a NIfTI file: its fields, the places that they state, and the header of a mask.

A NIfTI file may place its voxels twice, by a matrix (the sform) and by a quaternion (the qform),
or not at all. The sform is taken where both are there, as most viewers do.
"""

import struct

import numpy as np

from brainseg.scans.formats.foreign import detached
from brainseg.scans.geometry import distance_mm, nearest_right_angles
from brainseg.scans.notes import note

_NIFTI1 = {
    "dim": (40, "8h"), "code": (70, "h"), "bits": (72, "h"), "pixdim": (76, "8f"),
    "offset": (108, "f"), "slope": (112, "f"), "inter": (116, "f"), "units": (123, "B"),
    "qform_code": (252, "h"), "sform_code": (254, "h"), "qform": (256, "6f"),
    "sform": (280, "12f"),
}  # fmt: skip
_NIFTI2 = {
    "dim": (16, "8q"), "code": (12, "h"), "bits": (14, "h"), "pixdim": (104, "8d"),
    "offset": (168, "q"), "slope": (176, "d"), "inter": (184, "d"), "units": (500, "i"),
    "qform_code": (344, "i"), "sform_code": (348, "i"), "qform": (352, "6d"),
    "sform": (400, "12d"),
}  # fmt: skip
_KEPT = ("pixdim", "units", "qform_code", "sform_code", "qform", "sform")
_MM = {1: 1000.0, 3: 0.001}  # metres and microns; 2 is mm, 0 not told
_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # NIfTI counts to the right and to the front


def read_header(stream, name: str) -> tuple[dict, str]:
    """The fields of a header by name, each a tuple, and the byte order, "<" or ">".

    Reads the stream to the header's end. Raises ScanError when the voxels are in another file,
    ValueError and struct.error for what is no header.
    """
    head = stream.read(348)
    order = next((o for o in "<>" if struct.unpack_from(f"{o}i", head)[0] in (348, 540)), None)
    if head[4:7] in (b"n+2", b"ni2"):
        layout, magic, head = _NIFTI2, head[4:6], head + stream.read(192)
    else:
        layout, magic = _NIFTI1, head[344:346]
    if magic != b"n+":
        raise detached(name)
    if order is None:
        raise ValueError("neither byte order gives a header's size")
    fields = {key: struct.unpack_from(order + form, head, at) for key, (at, form) in layout.items()}
    count, *dims = fields["dim"]
    offset = fields["offset"][0]
    if not 1 <= count <= 7 or min(dims[:count]) < 0 or not 0 <= offset < 2**26:
        raise ValueError(f"dim {fields['dim']}, voxel offset {offset}")
    return fields, order


def mask_header(source: dict, size: tuple[int, int, int]) -> bytes:
    """The NIfTI-1 header of one uint8 volume of this size (columns, rows, slices)
    that lies where both forms of ``source``, the fields of its scan, place it."""
    head = bytearray(352)  # the last four bytes say that nothing else follows
    fields = {key: source[key] for key in _KEPT}
    fields |= {
        "dim": (min(3, source["dim"][0]), *size, 1, 1, 1, 1), "code": (2,), "bits": (8,),
        "offset": (352,), "slope": (1,), "inter": (0,),
    }  # fmt: skip
    struct.pack_into("<i", head, 0, 348)
    head[344:348] = b"n+1\0"
    for key, values in fields.items():
        at, form = _NIFTI1[key]
        struct.pack_into(f"<{form}", head, at, *values)
    return bytes(head)


def places(fields: dict, size: tuple[int, int, int], name: str) -> list[np.ndarray]:
    """Where a header places its voxels: affines (4, 4), (column, row, slice, 1) to LPS mm, the one
    that is taken first; none if it states no place. Says what had to be chosen or mended."""
    found = {}
    for kind, affine in (("sform", _sform(fields)), ("qform", _qform(fields))):
        if fields[f"{kind}_code"][0] <= 0:
            continue
        if _is_place(affine):
            found[kind] = affine
        else:
            note(
                f"{name} states a place that can't be ({kind}: its numbers are missing, or axes "
                "fall together): that is left out. If the result lies elsewhere than the scan, "
                "mend its header."
            )
    if len(found) == 2:
        found = _in_order(found, size, name)
    if found:
        _compare_sides(*next(iter(found.items())), fields, size, name)
    unit = _unit_mm(fields, name)
    return [np.diag([unit, unit, unit, 1.0]) @ _TO_LPS @ affine for affine in found.values()]


def is_identity(fields: dict) -> bool:
    """Whether a header states the identity matrix as nibabel writes numpy.eye(4), which stands in
    for a place that nobody knew."""
    codes = fields["sform_code"][0], fields["qform_code"][0]
    return codes == (2, 0) and np.array_equal(_sform(fields), np.eye(4))


def sides_mm(fields: dict, name: str) -> np.ndarray:
    """Voxel size along each axis of the file, (3,) in mm with its sign; NaN where none is told."""
    sides = np.array(fields["pixdim"][1:4]) * _unit_mm(fields, name)
    return np.where(np.isfinite(sides) & (sides != 0), sides, np.nan)


def _in_order(found: dict, size: tuple, name: str) -> dict:
    """Both forms, the one to take first; says so where they differ by more than half a voxel."""
    sform, qform = found["sform"], found["qform"]
    apart = distance_mm(sform, qform, size[::-1])
    if apart <= 0.5 * np.linalg.norm(sform[:3, :3], axis=0).min():
        return found
    taken, other, why = "sform", "qform", "as most viewers do"
    is_sheared = [nearest_right_angles(form, size)[1] >= 0.5 for form in (sform, qform)]
    if is_sheared == [True, False]:
        taken, other, why = other, taken, "because the other has no right angles"
    note(
        f"{name} states two places that lie up to {apart:.1f} mm apart: its {taken} is taken, "
        f"{why}. If the scan belongs where its {other} says, remove the {taken} from its header."
    )
    return {taken: found[taken], other: found[other]}


def _compare_sides(kind: str, affine: np.ndarray, fields: dict, size: tuple, name: str) -> None:
    """Say so where the voxel size is not the one that the header states."""
    stated = np.array(fields["pixdim"][1:4])
    sides = np.linalg.norm(affine[:3, :3], axis=0)
    is_told = np.isfinite(stated) & (stated != 0)
    counts = np.array(size) > 1
    if kind == "qform" and (counts & ~(is_told & (stated > 0))).any():
        note(
            f"{name} states voxels of {_sides(stated)} mm: {_sides(sides)} mm are assumed. If "
            "that is wrong, mend the voxel size (pixdim) in its header."
        )
    elif (counts & is_told & (np.abs(sides - np.abs(stated)) > 0.01 * sides)).any():
        note(
            f"{name} states voxels of {_sides(stated)} mm (pixdim), and places them "
            f"{_sides(sides)} mm apart ({kind}): the latter is taken. If volumes in ml are wrong, "
            "mend its header."
        )


def _sform(fields: dict) -> np.ndarray:
    return np.vstack([np.reshape(fields["sform"], (3, 4)), [0, 0, 0, 1]])


def _qform(fields: dict) -> np.ndarray:
    *bcd, x, y, z = fields["qform"]
    stated = np.array(fields["pixdim"][1:4])
    sides = np.where(np.isfinite(stated) & (stated != 0), np.abs(stated), 1.0)
    b, c, d = bcd / np.sqrt(max(1.0, np.dot(bcd, bcd)))
    a = np.sqrt(max(0.0, 1.0 - b * b - c * c - d * d))
    turn = np.array([
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
    ])  # fmt: skip
    affine = np.eye(4)
    affine[:3, :3] = turn * sides * [1, 1, -1 if fields["pixdim"][0] < 0 else 1]
    affine[:3, 3] = x, y, z
    return affine


def _is_place(affine: np.ndarray) -> bool:
    sides = np.linalg.norm(affine[:3, :3], axis=0)
    if not (np.isfinite(affine).all() and sides.all()):
        return False
    return abs(np.linalg.det(affine[:3, :3] / sides)) > 1e-3


def _unit_mm(fields: dict, name: str) -> float:
    """Millimetres in the header's unit of length; 1 where that would make no voxel of a scan."""
    unit = _MM.get(fields["units"][0] & 7, 1.0)
    sides = np.abs(fields["pixdim"][1:4])
    if unit == 1.0 or 0.01 < np.nan_to_num(sides).max() * unit < 100:
        return unit
    note(
        f"{name} states its lengths in {'metres' if unit > 1 else 'microns'}, with voxels of "
        f"{_sides(sides)}: mm are assumed. If volumes in ml are wrong, mend its header."
    )
    return 1.0


def _sides(values: np.ndarray) -> str:
    return " x ".join(f"{value:.3g}" for value in values)
