"""Reading the tumour masks of scans, and writing masks back where the scans came from."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from brainseg.scans.formats.nifti import write_like
from brainseg.scans.formats.sniffing import PICTURES
from brainseg.scans.geometry import as_image, restore_grid
from brainseg.scans.scan import Scan, ScanError
from brainseg.scans.truth.files import read_drawn
from brainseg.scans.truth.places import check_plausible, placed

_MASK_SUFFIXES = (".nii.gz", ".nii", ".mha", ".nrrd", ".png", ".tif", ".tiff", ".npy")
PICTURE_SUFFIXES = (".png", ".tif", ".tiff")


def read_mask(path, scan: Scan) -> np.ndarray:
    """Read the tumour mask of a scan: bool (slices, height, width) on the grid of `scan.pixels`.

    A mask of another size is placed by its geometry where both state one. In volumes and arrays
    every label above 0 is tumour, in pictures the brighter of two values, of one-hot channels
    all but the background's. What else had to be assumed is noted.

    Raises ScanError for what is no mask of a tumour (a scan, a map of probabilities, an atlas, an
    inverted mask), when the size differs and can't be placed, when both state a geometry and lie
    more than a voxel apart, and as `read_scan` does.
    """
    mask = read_drawn(path, scan)
    tumour = placed(mask, scan)
    check_plausible(tumour, scan, mask.source)
    return tumour


def read_labels(path, scan: Scan) -> np.ndarray:
    """Read the labels of a mask: uint8 (slices, height, width) on the grid of `scan.pixels`, 0 for
    the background and others where `read_mask` has tumour.

    Raises ScanError where values are no labels (colours, soft edges, several channels, lossy
    pictures, DICOM segmentations), and as `read_mask` does for masks that can't be placed.
    """
    return placed(read_drawn(path, scan, as_labels=True), scan)


def write_mask(mask: np.ndarray, scan: Scan, path) -> Path:
    """Write a mask so that it overlays the scan's source, and return the path.

    mask: bool (slices, height, width), on the grid of `scan.pixels`. The suffix of `path` sets
    the format: .png (one slice), .tif or .tiff (a page per slice, of DICOM in the order of its
    numbers) with 0 and 255; .npy (slices,
    height, width), .nii, .nii.gz, .mha or .nrrd with 0 and 1, uint8. Medical formats get the
    source's own size, orientation, spacing and origin; a NIfTI mask of a NIfTI scan both its forms,
    sform and qform, as they are. The file appears whole or not at all.

    Raises ScanError for another shape, dtype or suffix, and when the file cannot be written.
    """
    mask, path = np.asarray(mask), Path(path)
    if mask.dtype != bool:
        raise ScanError(
            f"The mask for {path.name} holds {mask.dtype}, expected bool. Threshold it first."
        )
    suffix = suffix_for(mask, scan, path)
    with whole_file(path, suffix) as temporary:
        _write(mask, scan, temporary, suffix)
    return path


def suffix_for(mask: np.ndarray, scan: Scan, path: Path) -> str:
    """Of a file that a mask, bool or of labels, is to be written to, the suffix that sets its
    format. Raises ScanError where the mask isn't of the scan's shape or the file can't hold it."""
    if mask.shape != scan.pixels.shape[:3]:
        raise ScanError(
            f"The mask for {path.name} has shape {mask.shape}, but the scan "
            f"{scan.source} has {scan.pixels.shape[:3]}. Give a mask of that shape."
        )
    suffix = next((s for s in _MASK_SUFFIXES if path.name.lower().endswith(s)), None)
    if suffix is None:
        raise ScanError(
            f"{path.name} has no suffix a mask can be written to. "
            f"Use one of {', '.join(_MASK_SUFFIXES)}."
        )
    if suffix == ".png" and len(mask) > 1:
        raise ScanError(
            f"{path.name} can hold one slice, the mask has {len(mask)}. "
            "Use .tif or a volume format."
        )
    return suffix


@contextmanager
def whole_file(path: Path, suffix: str) -> Iterator[Path]:
    """A temporary sibling to write to, with this suffix; it becomes ``path`` when the block ends
    without error. Raises ScanError where that can't be written."""
    if not path.parent.is_dir():
        raise ScanError(
            f"{path.name} cannot be written: there is no folder {path.parent}. Create it first."
        )
    temporary = path.with_name(f".{uuid.uuid4().hex}{suffix}")
    try:
        yield temporary
        temporary.replace(path)  # atomic
    except (OSError, RuntimeError) as error:
        raise ScanError(
            f"{path.name} could not be written ({error}). Check the folder's rights and free space."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def mask_suffix(scan: Scan) -> str:
    """Suffix of the mask format that matches the scan's own; DICOM gets ".nii.gz"."""
    if scan.format in PICTURES:
        return ".png" if len(scan.pixels) == 1 else ".tif"
    return ".nii.gz" if scan.format in ("nifti", "dicom") else f".{scan.format}"


def _write(mask: np.ndarray, scan: Scan, path: Path, suffix: str) -> None:
    if suffix in PICTURE_SUFFIXES:
        from PIL import Image

        pages = [Image.fromarray(page.astype(np.uint8) * 255) for page in mask]
        write_pages(pages, scan, path)
    else:
        write_values(mask.astype(np.uint8), scan, path, suffix)


def write_pages(pages: list, scan: Scan, path: Path) -> None:
    """Write Pillow's pictures of a scan's slices as the pages of a TIFF, those of DICOM in the
    order of its numbers, as `read_mask` takes them; or the only one as a PNG."""
    counts_down = (scan.geometry or {}).get("counts_down")
    first, *rest = pages[::-1] if counts_down else pages
    if path.suffix == ".png":
        first.save(path)
    else:
        first.save(path, save_all=True, append_images=rest, compression="tiff_adobe_deflate")


def write_values(values: np.ndarray, scan: Scan, path: Path, suffix: str) -> None:
    """Write uint8 (slices, height, width) as an array, or as a volume on the scan's own grid."""
    if suffix == ".npy":
        np.save(path, values)
        return
    import SimpleITK as sitk

    if scan.geometry is not None:
        image = restore_grid(values, scan.geometry)
    else:
        image = as_image(values, np.eye(4) if scan.affine is None else scan.affine)
    source = (scan.geometry or {}).get("nifti")
    if source and suffix.startswith(".nii"):
        write_like(sitk.GetArrayViewFromImage(image), source, path)
    else:
        sitk.WriteImage(image, str(path), useCompression=True)
