"""Where a mask lies: put on its scan's grid, and whether a tumour could look like that."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from brainseg.scans.formats.sniffing import PICTURES
from brainseg.scans.geometry import apart_mm, apart_voxels, as_image, tell_unplaced, voxel_for_voxel
from brainseg.scans.notes import note
from brainseg.scans.scan import Scan, ScanError
from brainseg.scans.truth.values import border_of

LARGEST_ML = 600
"""Hardly a tumour is larger, with its oedema; a brain has twice as much."""


def placed(mask: Scan, scan: Scan) -> np.ndarray:
    """Tumour of a mask, bool (slices, height, width), on the grid of `scan.pixels`.

    mask: `pixels` bool (slices, height, width), on the mask's own grid; or its labels, uint8, which
        stay such. Of the same size, it is taken voxel by voxel; of another, it is placed by its
        geometry.

    Raises ScanError when the geometries of one size differ by more than a voxel along an axis (the
    identity matrix, which stands in for one, does not count), when sizes differ and not both state
    a place, and when more than a tenth of the tumour lies outside the scan.
    """
    mask = voxel_for_voxel(replace(mask, pixels=mask.pixels[..., None]), scan)
    mask = replace(mask, pixels=mask.pixels[..., 0])
    mask = _as_numbered(mask, scan)
    if scan.geometry is None:
        tell_unplaced(mask)
    found, expected = mask.pixels.shape, scan.pixels.shape[:3]
    both_placed = mask.affine is not None and scan.affine is not None
    if found != expected:
        # An origin of 0 is what programs write that know no place.
        is_placed = both_placed and (mask.format == "dicom" or any(mask.geometry["origin"]))
        if not is_placed:
            raise wrong_size(mask, scan)
        return _by_geometry(mask, scan)
    if both_placed:
        distance = apart_mm(mask, scan)
        if apart_voxels(mask, scan) > 1:
            raise ScanError(
                f"{mask.source} lies up to {distance:.1f} mm away from the scan "
                f"{scan.source}. Resample the mask onto the scan, or copy the scan's "
                "geometry into its header if it was drawn on its voxels."
            )
        if distance > 0.1 * min(scan.spacing_mm):
            note(
                f"{mask.source} lies {distance:.2g} mm away from the scan {scan.source} of the "
                "same size, and is taken voxel by voxel. If it was not drawn on this scan's "
                "voxels, resample it."
            )
    return mask.pixels


def wrong_size(mask: Scan, scan: Scan) -> ScanError:
    """The error to raise for a mask of another size, with what may have happened to it."""
    found, expected = mask.pixels.shape[:3], scan.pixels.shape[:3]
    remedy = "Give the mask drawn on this scan."
    scales = {one / other for one, other in zip(found[1:], expected[1:], strict=True)}
    if sorted(found) == sorted(expected):
        remedy = "Its axes seem to be swapped: transpose it to the scan's order."
    elif (
        found[0] == expected[0] and max(scales) - min(scales) < 0.02 and not 0.9 < max(scales) < 1.1
    ):
        remedy = (
            f"It seems to be drawn on this scan at {max(scales):.3g} times its size: export it "
            "with the scan's own number of pixels."
        )
    elif mask.affine is not None and scan.affine is not None:
        remedy = "Its header states no place (origin 0): give it on the scan's grid."
    elif found[0] == expected[0] == 1 and mask.format in PICTURES:
        remedy = "Give the mask drawn on this picture, neither cropped nor resized."
    return ScanError(
        f"{mask.source} has size {found} (slices, height, width), but the scan "
        f"{scan.source} has {expected}. {remedy}"
    )


def check_plausible(tumour: np.ndarray, scan: Scan, name: str) -> None:
    """Raise ScanError for a mask of nearly everything; note what a tumour seldom looks like."""
    share = np.count_nonzero(tumour) / tumour.size
    if share > 0.5 and border_of(tumour).mean() > 0.9:
        raise ScanError(
            f"{name} is not a mask of a tumour: it marks {share:.0%} of {scan.source}, its border "
            "included. If it is inverted or its background has a label of its own, give the "
            "background the value 0 (black) and tumour a higher one."
        )
    volume_ml = share * tumour.size * np.prod(scan.spacing_mm) / 1000 if scan.spacing_mm else 0
    if share > 0.4 or volume_ml > LARGEST_ML:
        size = f"{share:.0%}" + (f" ({volume_ml:.0f} ml)" if volume_ml else "")
        note(
            f"{name} marks {size} of {scan.source}, which is taken for tumour. If it is the brain, "
            "the head or tissue, give the mask of the tumour alone."
        )
    elif share > 0.05:
        head = (scan.pixels != scan.pixels[0, 0, 0]).any(axis=-1)
        if np.count_nonzero(tumour & head) > 0.95 * np.count_nonzero(tumour | head):
            note(
                f"{name} marks nearly all of {scan.source} that is not empty, as a mask of the "
                "brain does, and is taken for tumour. If it is one, give that of the tumour."
            )
    marked = np.flatnonzero(tumour.reshape(len(tumour), -1).any(axis=1))
    outlines = sum(_is_outline(tumour[index]) for index in marked)
    if outlines > len(marked) / 2:
        where = "" if len(tumour) == 1 else f" in {outlines} of {len(marked)} slices"
        note(
            f"{name} marks thin closed lines{where}, and only these are taken for tumour, not what "
            "they enclose. If they are the tumour's outline, fill it and give the filled mask."
        )


def _by_geometry(mask: Scan, scan: Scan) -> np.ndarray:
    """Tumour of a mask of another size, put where its affine says."""
    found, expected = mask.pixels.shape, scan.pixels.shape[:3]
    sizes = f"{mask.source} has size {found} (slices, height, width), the scan {scan.source} "
    sizes += f"{expected}"
    to_scan = np.linalg.inv(scan.affine) @ mask.affine  # (column, row, slice, 1) to the same
    is_marked = mask.pixels.any()
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(found) - 1)
    # Slice by slice, since each voxel takes a hundred bytes here. Of a mask that marks nothing its
    # corners say whether it is one of this scan.
    count = left_out = 0
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for voxels in _marked(mask.pixels) if is_marked else [corners]:
        cells, inside = _cells(voxels, to_scan, expected)
        count, left_out = count + len(cells), left_out + int((~inside).sum())
        low, high = np.minimum(low, cells.min(axis=0)), np.maximum(high, cells.max(axis=0))
    if is_marked and left_out > 0.1 * count:
        raise ScanError(
            f"{sizes}, and by their headers {left_out / count:.0%} of what the mask marks lies "
            "outside the scan. Give the mask drawn on this scan."
        )
    if ((high < 0) | (low >= expected)).any():
        raise ScanError(
            f"{sizes}, and by their headers they do not overlap. Give the mask drawn on this scan."
        )
    is_cut = is_marked and left_out
    beyond = f" {left_out} marked voxels outside the scan are left out." if is_cut else ""
    tumour = np.zeros(expected, mask.pixels.dtype)
    if _is_aligned(to_scan, found):
        note(
            f"{sizes}: the mask is placed by its header, and where it does not reach there is no "
            f"tumour.{beyond} If that is wrong, give a mask of the scan's size."
        )
        for voxels in _marked(mask.pixels):
            cells, inside = _cells(voxels, to_scan, expected)
            tumour[tuple(cells[inside].T)] = mask.pixels[tuple(voxels[inside].T)]
        return tumour
    tumour = _resampled(mask, scan)
    if is_marked and not tumour.any():
        raise ScanError(
            f"{sizes}, and nothing of what the mask marks meets a voxel of the scan. Resample "
            "the mask onto the scan."
        )
    note(
        f"{sizes} on another grid: each voxel of the scan takes the mask's nearest value.{beyond} "
        "If that is too coarse, resample the mask onto the scan."
    )
    return tumour


def _marked(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """Slice, row and column of what is marked, int (n, 3), of each slice in which something is."""
    for number, plane in enumerate(pixels):
        rows, columns = np.nonzero(plane)
        if len(rows):
            yield np.column_stack([np.full(len(rows), number), rows, columns])


def _cells(
    voxels: np.ndarray, to_scan: np.ndarray, size: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """The scan's voxels in which these lie, int (n, 3), and which of them are inside it."""
    places = voxels[:, ::-1] @ to_scan[:3, :3].T + to_scan[:3, 3]
    cells = np.rint(places).astype(int)[:, ::-1]
    return cells, ((cells >= 0) & (cells < size)).all(axis=1)


def _is_aligned(to_scan: np.ndarray, size: tuple) -> bool:
    """Whether the voxels of one grid are voxels of the other, turned by right angles at most."""
    used = np.array(size[::-1]) > 1
    steps = to_scan[:3, :3][:, used]
    # Along an axis of n voxels, a step off by 1 % has drifted by n % of a voxel at the end.
    drift = np.abs(steps - np.rint(steps)) * (np.array(size[::-1])[used] - 1)
    offset = to_scan[:3, 3]
    is_step = (np.abs(np.rint(steps)).sum(axis=0) == 1).all()
    return bool(is_step and drift.max(initial=0) < 0.1 and np.abs(offset % 1 - 0.5).min() > 0.4)


def _resampled(mask: Scan, scan: Scan) -> np.ndarray:
    import SimpleITK as sitk

    moving = as_image(mask.pixels.astype(np.uint8), mask.affine)
    grid = as_image(np.zeros(scan.pixels.shape[:3], np.uint8), scan.affine)
    nearest = sitk.Resample(moving, grid, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    return sitk.GetArrayFromImage(nearest).astype(mask.pixels.dtype)


def _as_numbered(mask: Scan, scan: Scan) -> Scan:
    """A mask in the order of its scan's slices where one of the two knows how it lies in the
    patient and the other does not, with a note on what was assumed.

    Pictures are drawn one by one on the slices of a series, and numbered as it numbers these.
    """
    knows, other = (scan, mask) if mask.geometry is None else (mask, scan)
    if knows.geometry is None or other.geometry is not None or not mask.pixels.any():
        return mask
    grid = knows.geometry
    said = f"{other.source} states no orientation, {knows.source} does ({grid['orientation']}): "
    if grid["orientation"] != grid["view"]:
        note(
            f"{said}{other.source} is taken to be in the order that brainseg works in "
            f"({grid['view']}), not in that of {knows.source}'s file. If that is wrong, give both "
            "as NIfTI."
        )
    elif other is scan or len(mask.pixels) == 1:
        return mask
    elif grid["counts_down"] and mask.format in PICTURES:
        note(
            f"{said}{knows.source} numbers its slices from the head down, and {other.source} is "
            "taken to do so too. If that is wrong, give both as NIfTI."
        )
        return replace(mask, pixels=mask.pixels[::-1])
    elif mask.format in PICTURES and mask.format != "tiff":  # as write_mask has it
        note(
            f"{said}{other.source} is taken to run from the feet up, its rows from front to back "
            "and its columns from the patient's right to the left. If that is wrong, give both as "
            "NIfTI."
        )
    return mask


def _is_outline(tumour: np.ndarray) -> bool:
    """Whether a slice holds closed lines, at most four pixels thick, round much more than they."""
    count = np.count_nonzero(tumour)
    rows, columns = (np.flatnonzero(tumour.any(axis=axis)) for axis in (1, 0))
    box = tumour[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if box.size < 3 * count or count < 16:  # what they enclose lies in this box
        return False
    core = box
    for _ in range(2):  # what is five pixels thick outlasts both
        core = core[1:-1] & core[:-2] & core[2:]
        core = core[:, 1:-1] & core[:, :-2] & core[:, 2:]
    if core.any():
        return False
    from scipy.ndimage import binary_fill_holes

    return np.count_nonzero(binary_fill_holes(box)) > 3 * count
