"""Reading the sequences of one examination into the channels of one scan."""

from dataclasses import replace

import numpy as np

from brainseg.scans.geometry import apart_mm, as_image, voxel_for_voxel
from brainseg.scans.notes import note
from brainseg.scans.reading import read_scan
from brainseg.scans.scan import Scan, ScanError


def read_sequences(*, flair=None, t1=None, t1c=None) -> Scan:
    """Read up to three single-channel files into one scan with channels (T1, FLAIR, T1c).

    A missing sequence is replaced by FLAIR, or by the first given of (flair, t1, t1c), whose
    grid is also that of the result. Files on another grid are resampled onto it (linear,
    float32; outside their field of view their minimum) when both state their geometry; without
    geometry the shapes must match. Raises ScanError otherwise, and as `read_scan` does.
    """
    paths = {"flair": flair, "t1": t1, "t1c": t1c}
    scans = {key: read_scan(path) for key, path in paths.items() if path is not None}
    if not scans:
        raise ScanError("No sequence was given. Give at least one of flair, t1 and t1c.")
    reference = next(iter(scans.values()))
    planes = {key: _on_grid(scan, reference) for key, scan in scans.items()}
    first = next(iter(planes.values()))
    pixels = np.stack([planes.get(key, first) for key in ("t1", "flair", "t1c")], axis=-1)
    return replace(
        reference, pixels=pixels, source=", ".join(scan.source for scan in scans.values())
    )


def _on_grid(scan: Scan, reference: Scan) -> np.ndarray:
    """The single channel (slices, height, width) of a scan on the reference's grid."""
    scan = voxel_for_voxel(scan, reference)
    plane = scan.pixels[..., 0]
    if (scan.pixels != plane[..., None]).any():
        raise ScanError(
            f"{scan.source} has {scan.pixels.shape[-1]} different channels, expected "
            "one sequence. Read it on its own with read_scan."
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
    if outside.all():
        raise ScanError(
            f"{scan.source} and {reference.source} do not overlap in space. "
            "Give sequences of one examination with their original headers."
        )
    moved[outside] = plane.min()
    note(
        f"{scan.source} lies on another grid than {reference.source} ({how}) and was resampled "
        f"onto it, {outside.mean():.0%} of which it does not cover. If they are not of one "
        "examination, or the patient moved between them, register them first."
    )
    return moved
