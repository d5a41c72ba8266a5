"""Reading a scan from a file, a folder or an archive.

A file is known by its content; its suffix only matters where the content says nothing.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from brainseg.scans.archives import unpacked
from brainseg.scans.channels import arranged
from brainseg.scans.formats.arrays import read_npy
from brainseg.scans.formats.dicom import files_below, has_image
from brainseg.scans.formats.foreign import not_read
from brainseg.scans.formats.picture_stack import read_stack
from brainseg.scans.formats.pictures import read_picture
from brainseg.scans.formats.sniffing import PICTURES, READABLE, VOLUMES, sniff
from brainseg.scans.formats.volumes import read_volume
from brainseg.scans.geometry import tell_unplaced
from brainseg.scans.listing import inmost, scan_files
from brainseg.scans.notes import listed, note
from brainseg.scans.roles import roles_in
from brainseg.scans.scan import Scan, ScanError, check_values, decoding


def read_scan(path, channels=None) -> Scan:
    """Read one scan.

    `path` is a PNG, JPEG, TIFF (pages are slices), BMP, WebP, NIfTI, DICOM, MHA, NRRD or .npy
    file; a folder or .zip holding one DICOM series, in folders below it too; one such file; or
    pictures that are the slices of one volume in natural order (those aside that are masks by
    their names, such as `*_mask*`).

    An array (.npy) is (height, width), (slices, height, width), (slices, height, width,
    channels), or, when it has three axes of which the last is 1, 3 or 4, (height, width, channels);
    channels before the rows are moved to the end. A .npz holds one such array. A 4-D NIfTI with a
    last axis of up to 4 has channels. A single coronal or sagittal slice keeps its plane.

    `channels` names the stored channels in their order, "flair,t1,t1c,t2" or a list of such, "-"
    for one that is not used; without it a dataset.json beside the file does (Medical Segmentation
    Decathlon, nnU-Net). Three without names are taken for T1, FLAIR, T1c, with a note; two and
    four must have them.

    Raises ScanError for whatever cannot be read whole and trusted: missing, empty, truncated or
    foreign files, more than MAX_PIXELS samples, NaN or Inf, several series or time points, and
    channels whose sequences are unknown.
    """
    scan = read_stored(path)
    tell_unplaced(scan)
    return arranged(scan, channels, Path(path))


def read_stored(path) -> Scan:
    """As `read_scan`, with the 1 to 4 channels that the file stores, whatever they are."""
    path = Path(path)
    with decoding(path):
        return _read(path, path.resolve().name)


def picture_size(path) -> tuple[int, int]:
    """(width, height) in pixels of a picture file, from its header alone. Raises ScanError."""
    from PIL import Image

    with decoding(Path(path)), Image.open(path) as picture:
        return picture.size


def _read(path: Path, name: str) -> Scan:
    if path.is_dir():
        return _read_folder(path, name)
    kind = sniff(path)
    if kind == "zip":
        with unpacked(path, name) as folder:
            return replace(_read_folder(folder, name), source=name)
    return _read_file(path, name, kind)


def _read_file(path: Path, name: str, kind: str) -> Scan:
    if kind in PICTURES:
        return _checked(read_picture(path, name, kind), name, kind)
    if kind in VOLUMES:
        return _checked(*_volume_parts([path], name, kind))
    if kind == "npy":
        return _checked(read_npy(path, name), name, kind)
    raise not_read(path, name, kind)


def _volume_parts(files: list[Path], name: str, kind: str) -> tuple:
    pixels, affine, geometry = read_volume(files, name, kind)
    return pixels, name, kind, affine, geometry


def _checked(pixels, name: str, kind: str, affine=None, geometry=None) -> Scan:
    """The Scan of decoded pixels, or the ScanError that says why they are no scan."""
    check_values(pixels, name)
    if pixels.shape[-1] not in (1, 2, 3, 4):
        raise ScanError(
            f"{name} has {pixels.shape[-1]} channels, expected at most 4. "
            "Save one sequence per file."
        )
    pixels = _in_single_precision(pixels, name)
    dtype = np.uint8 if pixels.dtype == bool else pixels.dtype.newbyteorder("=")
    spacing_mm = None if geometry is None else geometry["spacing_mm"]
    return Scan(np.ascontiguousarray(pixels, dtype), spacing_mm, affine, name, kind, geometry)


def _in_single_precision(pixels: np.ndarray, name: str) -> np.ndarray:
    """Pixels whose differences survive float32, in which everything is computed from here on."""
    if pixels.dtype.itemsize < 4 or pixels.dtype == np.float32:
        return pixels
    low, high = pixels.min(), pixels.max()
    largest = max(abs(float(low)), abs(float(high)))
    if largest > float(np.finfo(np.float32).max):
        raise ScanError(
            f"{name} holds values up to {largest:.3g}, more than single precision can hold. "
            "Divide them by a power of ten and save it again."
        )
    if low == high or np.spacing(np.float32(largest)) * 1000 < float(high) - float(low):
        return pixels
    note(
        f"{name} holds large values that differ little ({low:,} to {high:,}), so the smallest was "
        "subtracted from all."
    )
    return pixels - low


def _read_folder(folder: Path, name: str) -> Scan:
    folder = inmost(folder)
    files = scan_files(folder)
    kinds = {}
    for file in files:
        with decoding(file):  # names the one that is damaged
            kinds[file] = sniff(file)
    dicom = [file for file in files if kinds[file] == "dicom"]
    kinds_of_others = {*VOLUMES, *PICTURES, "npy", "zip"} - {"dicom"}
    scans = [file for file in files if kinds[file] in kinds_of_others]
    pictures = [file for file in scans if kinds[file] in PICTURES]
    # A medium keeps its images in folders below, beside a table of contents or a viewer's picture.
    if not has_image(dicom) and (dicom or len(scans) == len(pictures) <= 1):
        dicom += files_below(folder)
    if dicom and (has_image(dicom) or not scans):
        if pictures:
            note(
                f"{name} holds DICOM files, and pictures, which were left out: {_names(pictures)}."
            )
        return _checked(*_volume_parts(dicom, name, "dicom"))
    if dicom:
        note(f"{name} also holds DICOM files without an image, left out: {_names(dicom)}.")
    if not scans:
        raise ScanError(
            f"{name} holds no scan among its {len(files)} files, expected {READABLE}. "
            "Give the folder or archive that directly holds the files."
        )
    if len(pictures) < len(scans) > 1:
        scans = _without_masks(scans, name)
    if len(scans) == 1:
        inner = f"{name}/{scans[0].name}"
        return replace(_read_file(scans[0], inner, kinds[scans[0]]), source=name)
    if len(pictures) < len(scans):
        raise ScanError(
            f"{name} holds {len(scans)} scans, expected one: {_names(scans)}. Give one of them, or "
            "the sequences of one patient each in its place (FLAIR, T1, T1c; --flair, --t1, --t1c)."
        )
    return _checked(read_stack(pictures, kinds, name), name, kinds[pictures[0]])


def _names(files: list[Path]) -> str:
    return listed(file.name for file in files)


def _without_masks(scans: list[Path], name: str) -> list[Path]:
    """The one of several files that is no mask by its name, if there is one; else all."""
    roles = roles_in(scans)
    rest = [file for file in scans if roles[file] not in ("label", "mask")]
    if len(rest) != 1:
        return scans
    masks = ", ".join(file.name for file in scans if file not in rest)
    note(f"{name} holds {rest[0].name}, which was read, and by their names masks: {masks}.")
    return rest
