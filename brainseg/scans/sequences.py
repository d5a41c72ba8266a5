"""Reading the sequences of one examination into the channels of one scan."""

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np

from brainseg.scans.channels import filled
from brainseg.scans.geometry import apart_mm, as_image, tell_unplaced, voxel_for_voxel
from brainseg.scans.notes import note
from brainseg.scans.reading import read_stored
from brainseg.scans.roles import TITLES, role_of
from brainseg.scans.scan import Scan, ScanError

_FEW_VALUES = 8  # fewer different values than a scan has
_MOST_MISSING = 0.5  # of the grid, beyond which a sequence shows less of the head than it lacks


def read_sequences(*, flair=None, t1=None, t1c=None) -> Scan:
    """Read up to three single-channel files into one scan with channels (T1, FLAIR, T1c).

    A missing sequence is replaced by FLAIR, or by the first given of (flair, t1, t1c), whose
    grid is also that of the result. Files on another grid are resampled onto it (linear,
    float32; outside their field of view their minimum) when both state their geometry; without
    geometry the shapes must match. Of one size, a file is laid voxel for voxel where it or the
    first has the identity matrix as its place, which is noted. Raises ScanError otherwise, for a
    file that covers less than half of the grid or is a mask by its name and values, and as
    `read_scan` does. A name that says another sequence, a file that looks like a mask and one
    image given twice are noted.
    """
    paths = {"flair": flair, "t1": t1, "t1c": t1c}
    scans = {key: read_stored(path) for key, path in paths.items() if path is not None}
    if not scans:
        raise ScanError("No sequence was given. Give at least one of flair, t1 and t1c.")
    for key, scan in scans.items():
        _check_role(scan, key, Path(paths[key]))
    reference = next(iter(scans.values()))
    tell_unplaced(reference)
    planes = {key: _on_grid(scan, reference) for key, scan in scans.items()}
    for one, other in combinations(scans, 2):
        if np.array_equal(planes[one], planes[other]):
            note(
                f"{scans[one].source}, given as {TITLES[one]}, and {scans[other].source}, given "
                f"as {TITLES[other]}, hold the same image. It was read as both; give each "
                "sequence its own file, or leave one out."
            )
    return replace(
        reference, pixels=filled(planes), source=", ".join(scan.source for scan in scans.values())
    )


def _check_role(scan: Scan, given: str, path: Path) -> None:
    """Say where a file is, by its name or its values, not the sequence that it was given as."""
    named = role_of(path.name, path.resolve().parent.name)
    count = _few_values(scan.pixels)
    is_mask = named in ("label", "mask")
    if is_mask and count:
        raise ScanError(
            f"{scan.source} was given as {TITLES[given]}, but by its name it is a {TITLES[named]}, "
            f"and it holds only {count} different values. Give the scan itself."
        )
    if count > 1:
        note(
            f"{scan.source} holds only {count} different values, as a mask does, and was read as "
            f"{TITLES[given]} nevertheless. If it is a mask, give the scan instead."
        )
    elif named and named != given:
        article = "a " if is_mask else ""
        note(
            f"{scan.source} was given and read as {TITLES[given]}, but by its name it is "
            f"{article}{TITLES[named]}. If the name is right, give the file as what it is."
        )


def _few_values(pixels: np.ndarray) -> int:
    """How many different values there are, if they are too few for a scan; else 0."""
    if len(np.unique(pixels.ravel()[:: max(1, pixels.size // 10_000)])) > _FEW_VALUES:
        return 0
    count = len(np.unique(pixels))
    return count if count <= _FEW_VALUES else 0


def _on_grid(scan: Scan, reference: Scan) -> np.ndarray:
    """The single channel (slices, height, width) of a scan on the reference's grid."""
    scan = voxel_for_voxel(scan, reference)
    plane = scan.pixels[..., 0]
    if (scan.pixels != plane[..., None]).any():
        raise ScanError(
            f"{scan.source} has {scan.pixels.shape[-1]} different channels, expected "
            "one sequence. Give it as one scan, and name its channels (--channels, channels=)."
        )
    shape, expected = plane.shape, reference.pixels.shape[:3]
    if scan.affine is None or reference.affine is None:
        if shape != expected:
            raise ScanError(
                f"{scan.source} has size {shape} (slices, height, width), but "
                f"{reference.source} has {expected}. Give sequences of one size, or "
                "volumes that state their geometry."
            )
        return plane
    how = f"size {shape} and not {expected}"
    if shape == expected:
        distance = apart_mm(scan, reference)
        if distance < 0.1 * min(reference.spacing_mm):
            return plane
        how = f"up to {distance:.3g} mm away"
    return _resample(scan, plane, reference, how)


def _resample(scan: Scan, plane: np.ndarray, reference: Scan, how: str) -> np.ndarray:
    import SimpleITK as sitk

    moving = as_image(plane.astype(np.float32), scan.affine)
    grid = as_image(np.zeros(reference.pixels.shape[:3], np.uint8), reference.affine)
    moved = sitk.GetArrayFromImage(
        sitk.Resample(moving, grid, sitk.Transform(), sitk.sitkLinear, float("nan"))
    )
    outside = np.isnan(moved)
    missing = outside.mean()
    if missing > _MOST_MISSING:
        found = "do not overlap in space" if missing == 1 else f"overlap by {1 - missing:.0%} only"
        raise ScanError(
            f"{scan.source} and {reference.source} {found} ({how}), expected at least half of the "
            "latter's grid. Give sequences of one examination with their original headers."
        )
    moved[outside] = plane.min()
    tell_unplaced(scan)
    note(
        f"{scan.source} lies on another grid than {reference.source} ({how}) and was resampled "
        f"onto it, {missing:.0%} of which it does not cover. If they are not of one "
        "examination, or the patient moved between them, register them first.",
        "resampled",
    )
    return moved
