"""Where voxels lie: between the grid that a file stores and the axes of the patient."""

from dataclasses import replace

import numpy as np

from brainseg.scans.notes import note
from brainseg.scans.scan import Scan, ScanError

# One slice along another axis than the patient's length is kept whole, in its usual view.
_VIEW = {"L": "PIL", "R": "PIL", "P": "LIP", "A": "LIP", "S": "LPS", "I": "LPS"}
_RUNS = {
    "L": "from the patient's right to the left",
    "R": "from the patient's left to the right",
    "P": "from front to back",
    "A": "from back to front",
    "S": "from the feet up",
    "I": "from the head down",
}
_NEARLY_SQUARE = 0.02  # pixels whose sides differ by a smaller share are left as they are


def to_patient_axes(
    image,
    *,
    name: str = "",
    is_placed: bool = True,
    has_spacing: bool = True,
    is_identity: bool = False,
    counts_down: bool = False,
    others: tuple[np.ndarray, ...] = (),
    nifti: dict | None = None,
) -> tuple[np.ndarray, np.ndarray | None, dict]:
    """Pixels, affine and source grid of a SimpleITK image of 2, 3 or 4 dimensions.

    Pixels are (slices, height, width, channels) of the image's own dtype, axial slices in LPS or,
    of a single coronal or sagittal slice, its own plane; the fourth dimension or the components of
    a vector are the channels. The affine, (4, 4) float64, takes (column, row, slice, 1) to LPS mm;
    it is None where the file states no place (``is_placed``). The source grid is what
    `restore_grid`, `voxel_for_voxel` and `apart_mm` need.

    name: of the file, for messages. has_spacing: whether it states a voxel size. is_identity:
    whether its place is the identity matrix, which programs write that know none. counts_down:
    whether its slices are numbered against their order, which is kept where they stay slices.
    others: other places that it states, (4, 4), (column, row, slice, 1) as stored to LPS mm. nifti:
    its header's fields, kept for masks.

    A lean of the axes that moves no voxel by half its size is straightened, and said; ScanError
    for more.
    """
    import SimpleITK as sitk

    parts = [image]
    if image.GetDimension() == 4:
        parts = [image[:, :, :, channel] for channel in range(image.GetSize()[3])]
    grid = {
        "size": parts[0].GetSize(),
        "spacing": parts[0].GetSpacing(),
        "origin": parts[0].GetOrigin(),
        "direction": parts[0].GetDirection(),
    }
    if image.GetDimension() == 2:
        parts = [sitk.JoinSeries(image)]
    parts = _straightened(parts, name)
    stored = _affine(parts[0])
    cosines = parts[0].GetDirection()
    code = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(cosines)
    thin = [letter for letter, count in zip(code, parts[0].GetSize(), strict=True) if count == 1]
    view = _VIEW[thin[0]] if len(thin) == 1 else "LPS"
    parts = [sitk.DICOMOrient(part, view) for part in parts]

    pixels = np.stack([sitk.GetArrayViewFromImage(part) for part in parts], axis=-1)
    if pixels.ndim == 5:  # a vector image: its components are the channels
        pixels = pixels[..., 0]
    affine = _affine(parts[0])
    grid |= {
        "orientation": code,
        "view": view,
        "spacing_mm": parts[0].GetSpacing()[::-1] if has_spacing else None,
        "is_identity": is_identity,
        "counts_down": counts_down and code == view,
        "others": [other @ np.linalg.inv(stored) @ affine for other in others],
        "nifti": nifti,
    }
    return pixels, affine if is_placed else None, grid


def tell_unplaced(scan: Scan) -> None:
    """Say how the axes of a file that knows no place are taken to run, where no other file tells
    (``voxel_for_voxel``)."""
    if not scan.geometry or _knows(scan) == 2:
        return
    runs = ", ".join(_RUNS[letter] for letter in scan.geometry["orientation"])
    if scan.affine is None:
        note(
            f"{scan.source} {_unknown(scan)}: its axes are taken to run {runs}. If the pictures "
            "are turned or mirrored, state that in its header."
        )
    else:
        note(
            f"{scan.source} {_unknown(scan)}: its axes are taken to run {runs}, in steps of 1 mm. "
            "If the pictures are upside down or mirrored, or volumes in ml wrong, give it the "
            "header of its original."
        )


def restore_grid(mask: np.ndarray, grid: dict):
    """SimpleITK image, uint8, of a (slices, height, width) mask, bool or of labels, on the grid it
    was read from."""
    image = _as_stored(mask.astype(np.uint8), grid)
    if len(grid["size"]) == 2:
        image = image[:, :, 0]
    image.SetSpacing(grid["spacing"])
    image.SetOrigin(grid["origin"])
    image.SetDirection(grid["direction"])
    return image


def voxel_for_voxel(scan: Scan, reference: Scan) -> Scan:
    """A scan as it lies on a reference where one of the two does not know how it lies in the
    patient: stored voxel on stored voxel, and said. Others are given back as they are."""
    import SimpleITK as sitk

    one, other = scan.geometry, reference.geometry
    if not (one and other) or one["size"] != other["size"] or _agree(scan, reference):
        return scan
    if _knows(scan) != _knows(reference):
        unplaced, placed = sorted((scan, reference), key=_knows)
        note(
            f"{unplaced.source} {_unknown(unplaced)}: it is laid voxel for voxel on "
            f"{placed.source}. If the two do not fit, state its place in its header."
        )
    if (one["orientation"], one["view"]) == (other["orientation"], other["view"]):
        return replace(scan, affine=reference.affine)
    planes = []
    for channel in np.moveaxis(scan.pixels, -1, 0):
        numbers = channel.astype(np.uint8) if channel.dtype == bool else channel
        image = _as_stored(np.ascontiguousarray(numbers), one)
        image.SetDirection(_cosines(other["orientation"]))
        planes.append(sitk.GetArrayFromImage(sitk.DICOMOrient(image, other["view"])))
    pixels = np.stack(planes, -1).astype(scan.pixels.dtype)
    return replace(scan, pixels=pixels, affine=reference.affine, geometry=other)


def _knows(scan: Scan) -> int:
    """How much a volume knows of its place: nothing (0), the identity that stands in for it (1) or
    the place itself (2)."""
    return 0 if scan.affine is None else 1 if scan.geometry["is_identity"] else 2


def _unknown(scan: Scan) -> str:
    if scan.affine is None:
        return "does not state how it lies in the patient"
    return "states the identity matrix as its place, as programs write that know none"


def _agree(one: Scan, other: Scan) -> bool:
    """Whether both state a place, and one that can be relied on, or the same."""
    if one.affine is None or other.affine is None:
        return False
    return _knows(one) == _knows(other) or np.allclose(one.affine, other.affine, atol=0.01)


def _as_stored(pixels: np.ndarray, grid: dict):
    """SimpleITK image, its axes as the file has them, of (slices, height, width) read from it."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(pixels)
    # Exact axes, not the true direction: at 45 degrees rounding could pick another permutation.
    image.SetDirection(_cosines(grid["view"]))
    return sitk.DICOMOrient(image, grid["orientation"])


def _cosines(orientation: str) -> tuple[float, ...]:
    import SimpleITK as sitk

    return sitk.DICOMOrientImageFilter.GetDirectionCosinesFromOrientation(orientation)


def as_image(pixels: np.ndarray, affine: np.ndarray):
    """SimpleITK image of a (slices, height, width) array placed in the patient by its affine."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(pixels)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    return image


def distance_mm(one: np.ndarray, other: np.ndarray, shape: tuple) -> float:
    """Largest distance between the corners of one grid placed by two affines.

    one, other: (4, 4), (column, row, slice, 1) to LPS mm. shape: (slices, height, width).
    """
    last = np.array(shape[::-1]) - 1
    corners = np.array([[*(np.array(corner) * last), 1] for corner in np.ndindex(2, 2, 2)])
    return float(np.linalg.norm((corners @ (one - other).T)[:, :3], axis=1).max())


def apart_mm(one: Scan, other: Scan) -> float:
    """Largest distance between the corners of two scans of one size that state their place, by
    whichever of the places that each states fit best."""
    shape = one.pixels.shape[:3]
    return min(distance_mm(a, b, shape) for a in _places(one) for b in _places(other))


def apart_voxels(one: Scan, other: Scan) -> float:
    """The same in voxels of the other, along the axis on which they are furthest apart."""
    size = np.array(one.pixels.shape[:3][::-1])
    corners = np.array(list(np.ndindex(2, 2, 2))) * (size - 1)
    corners = np.column_stack([corners, np.ones(len(corners))])

    def apart(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.abs(np.linalg.solve(b, (a - b) @ corners.T)[:3]).max())

    return min(apart(a, b) for a in _places(one) for b in _places(other))


def nearest_right_angles(affine: np.ndarray, size: tuple) -> tuple[np.ndarray, float]:
    """The nearest affine with right angles, voxel size and middle kept, and by how many voxels it
    moves a corner at most. size: (columns, rows, slices)."""
    sides = np.linalg.norm(affine[:3, :3], axis=0)
    left, _, right = np.linalg.svd(affine[:3, :3] / sides)
    straight = np.eye(4)
    straight[:3, :3] = left @ right * sides
    middle = (np.array(size) - 1) / 2
    straight[:3, 3] = affine[:3, 3] + (affine[:3, :3] - straight[:3, :3]) @ middle
    corners = np.array(list(np.ndindex(2, 2, 2))) * 2 * middle - middle
    moved_mm = (straight[:3, :3] - affine[:3, :3]) @ corners.T
    return straight, float(np.abs(np.linalg.solve(affine[:3, :3], moved_mm)).max())


def pixel_sides(spacing_mm: tuple[float, float, float] | None) -> tuple[float, float]:
    """Height and width of a slice's pixels, in any unit: (1, 1) where they are square within 2 %
    or not known."""
    if spacing_mm is None:
        return 1.0, 1.0
    height, width = spacing_mm[1:]
    is_known = np.isfinite([height, width]).all() and min(height, width) > 0
    if not is_known or max(height, width) < (1 + _NEARLY_SQUARE) * min(height, width):
        return 1.0, 1.0
    return height, width


def _places(scan: Scan) -> list[np.ndarray]:
    return [scan.affine, *(scan.geometry or {}).get("others", ())]


def _affine(image) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return affine


def _straightened(parts: list, name: str) -> list:
    """3-D images on the nearest grid with right angles, said where that moves voxels."""
    straight, moved = nearest_right_angles(_affine(parts[0]), parts[0].GetSize())
    if moved < 0.01:  # rounding of the file's own numbers
        return parts
    if moved >= 0.5:
        raise ScanError(
            f"{name} has a sheared voxel grid, expected right angles. "
            "Resample it to a regular grid."
        )
    note(
        f"{name} has axes that are not quite at right angles: it is read on the nearest grid that "
        f"has them, which moves no voxel by more than {moved:.2g} of its size. If that matters, "
        "resample it to a regular grid."
    )
    sides = np.linalg.norm(straight[:3, :3], axis=0)
    for part in parts:
        part.SetSpacing(sides.tolist())
        part.SetDirection((straight[:3, :3] / sides).ravel().tolist())
        part.SetOrigin(straight[:3, 3].tolist())
    return parts
