"""Reading a scan from a file, a folder or an archive.

A file is known by its content; its suffix only matters where the content says nothing.
"""

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from brainseg.scans.archives import unpacked
from brainseg.scans.formats.arrays import read_npy
from brainseg.scans.formats.dicom import series_files
from brainseg.scans.formats.pictures import read_picture
from brainseg.scans.formats.sniffing import PICTURES, READABLE, VOLUMES, describe, sniff
from brainseg.scans.formats.volumes import read_volume
from brainseg.scans.scan import Scan, ScanError, check_finite, check_size, natural_key


def read_scan(path) -> Scan:
    """Read one scan.

    `path` is a PNG, JPEG, TIFF (pages are slices), BMP, WebP, NIfTI, DICOM, MHA, NRRD or .npy
    file; a folder or .zip holding one DICOM series, one such file, or pictures that are the
    slices of one volume in natural order (`*_mask*` aside).

    An array (.npy) is (height, width), (slices, height, width), (slices, height, width,
    channels), or, when it has three axes of which the last is 3 or 4, (height, width, channels).
    A 4-D NIfTI with a last axis of 1, 3 or 4 has channels. Of four channels the first three are
    kept. A single coronal or sagittal slice keeps its plane.

    Raises ScanError for whatever cannot be read whole and trusted: missing, empty, truncated or
    foreign files, more than MAX_PIXELS samples, NaN or Inf, several series or time points.
    """
    path = Path(path)
    with _decoding(path):
        return _read(path, path.resolve().name)


def picture_size(path) -> tuple[int, int]:
    """(width, height) in pixels of a picture file, from its header alone. Raises ScanError."""
    from PIL import Image

    with _decoding(Path(path)), Image.open(path) as picture:
        return picture.size


@contextmanager
def _decoding(path: Path):
    """Turn whatever a decoder raises on damaged input into a ScanError."""
    name = path.name
    try:
        yield
    except ScanError:
        raise
    except FileNotFoundError as error:
        raise ScanError(f"{path} does not exist. Check the path.") from error
    except PermissionError as error:
        raise ScanError(f"{name} may not be read by this user. Check its rights.") from error
    except Exception as error:  # Pillow, SimpleITK, zlib and numpy raise nearly every type
        raise ScanError(
            f"{name} cannot be decoded: it is truncated, damaged or of a variant that "
            "is not supported. Copy, download or export it again."
        ) from error


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
    if kind == "zip":
        raise ScanError(f"{name} is an archive within another. Unpack it first.")
    raise ScanError(
        f"{name} {describe(path)}, expected {READABLE}. Give the scan itself, "
        "exported in one of these formats."
    )


def _volume_parts(files: list[Path], name: str, kind: str) -> tuple:
    pixels, affine, geometry = read_volume(files, name, kind)
    return pixels, name, kind, affine, geometry


def _checked(pixels, name: str, kind: str, affine=None, geometry=None) -> Scan:
    """The Scan of decoded pixels, or the ScanError that says why they are no scan."""
    if pixels.dtype.kind not in "biuf":
        raise ScanError(
            f"{name} holds values of type {pixels.dtype}, expected real numbers. "
            "Save its magnitude as integers or floats."
        )
    if pixels.size == 0:
        raise ScanError(f"{name} has no pixels (size {pixels.shape}). Export it again.")
    if pixels.shape[-1] not in (1, 3, 4):
        raise ScanError(
            f"{name} has {pixels.shape[-1]} channels, expected 1, 3 or 4. "
            "Save one sequence per file."
        )
    if pixels.dtype.kind == "f":
        check_finite(pixels.size - int(np.isfinite(pixels).sum()), name)
    pixels = pixels[..., :3] if pixels.shape[-1] == 4 else pixels
    dtype = np.uint8 if pixels.dtype == bool else pixels.dtype.newbyteorder("=")
    spacing_mm = None if geometry is None else geometry["spacing_mm"]
    return Scan(np.ascontiguousarray(pixels, dtype), spacing_mm, affine, name, kind, geometry)


def _read_folder(folder: Path, name: str) -> Scan:
    files = sorted(
        (file for file in folder.iterdir() if file.is_file() and not file.name.startswith(".")),
        key=lambda file: natural_key(file.name),
    )
    kinds = {file: sniff(file) for file in files}
    if "dicom" in kinds.values():
        return _checked(*_volume_parts(series_files(folder, name), name, "dicom"))
    scans = [file for file in files if kinds[file] in (*VOLUMES, *PICTURES, "npy", "zip")]
    pictures = [file for file in scans if kinds[file] in PICTURES]
    if not scans:
        raise ScanError(
            f"{name} holds no scan among its {len(files)} files, expected {READABLE}. "
            "Give the folder or archive that directly holds the files."
        )
    if len(scans) == 1:
        inner = f"{name}/{scans[0].name}"
        return replace(_read_file(scans[0], inner, kinds[scans[0]]), source=name)
    if len(pictures) < len(scans):
        listed = ", ".join(file.name for file in scans[:8]) + (", ..." if len(scans) > 8 else "")
        raise ScanError(
            f"{name} holds {len(scans)} scans, expected one: {listed}. Give one of them."
        )
    return _read_slices(pictures, kinds, name)


def _read_slices(pictures: list[Path], kinds: dict, name: str) -> Scan:
    pictures = [file for file in pictures if "_mask" not in file.stem] or pictures
    slices, samples = [], 0
    for file in pictures:
        slices.append(_read_file(file, f"{name}/{file.name}", kinds[file]).pixels)
        samples += slices[-1].size
        check_size(samples, name)
        if slices[-1].shape[1:] != slices[0].shape[1:]:
            raise ScanError(
                f"{name} holds pictures of different sizes: {pictures[0].name} "
                f"{slices[0].shape[1:]}, {file.name} {slices[-1].shape[1:]}. "
                "Give the slices of one scan."
            )
    return _checked(np.concatenate(slices), name, kinds[pictures[0]])
