"""Reading scans and masks, and writing masks back where they came from.

Volumes are brought to axial slices in LPS: rows run front to back, columns from the patient's
right to the left, slices from the feet to the head. A picture is a scan of one slice, as stored.
A file is known by its content; its suffix only matters where the content says nothing.
"""

import re
import stat
import tempfile
import uuid
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from brainseg.scans.formats import (
    MAX_PIXELS,
    PICTURES,
    READABLE,
    VOLUMES,
    ScanError,
    as_image,
    check_finite,
    check_size,
    describe,
    read_npy,
    read_picture,
    read_volume,
    restore_grid,
    series_files,
    sniff,
)

__all__ = [
    "MAX_PIXELS",
    "MAX_UNPACKED_BYTES",
    "Scan",
    "ScanError",
    "mask_suffix",
    "natural_key",
    "read_mask",
    "read_scan",
    "read_sequences",
    "write_mask",
]

MAX_UNPACKED_BYTES = 8 * MAX_PIXELS
"""Largest total size of the files in a .zip."""

_MASK_SUFFIXES = (".nii.gz", ".nii", ".mha", ".nrrd", ".png", ".tif", ".tiff", ".npy")


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan in memory; a 2-D image is a scan of one slice.

    pixels: (slices, height, width, channels), 1 or 3 channels, numeric dtype of the source (bool
        becomes uint8), finite, C-contiguous.
    spacing_mm: (slice, row, column) in mm, or None where the file states none.
    affine: (4, 4) float64, index (column, row, slice, 1) of `pixels` to LPS position in mm.
    source: file name, for messages.
    format: kind of the source: "png", "jpeg", "tiff", "bmp", "webp", "npy", "nifti", "dicom",
        "mha" or "nrrd".
    geometry: the source's own voxel grid, opaque; lets `write_mask` give a mask back on it.
    """

    pixels: np.ndarray
    spacing_mm: tuple[float, float, float] | None = None
    affine: np.ndarray | None = None
    source: str = ""
    format: str = "npy"
    geometry: dict | None = None


def natural_key(name) -> list:
    """Sort key that puts `slice_2` before `slice_10`."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part.lower())
        for part in re.split(r"(\d+)", str(name))
    ]


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


def read_mask(path, scan: Scan) -> np.ndarray:
    """Read the tumour mask of a scan: bool (slices, height, width) on the grid of `scan.pixels`.

    In volumes and arrays every value above 0 is tumour. Pictures must hold two values, 0 and
    another, give or take compression noise; the threshold is half of the larger.

    Raises ScanError when the size differs, when both state a geometry and lie more than a voxel
    apart, when a picture is not binary, and as `read_scan` does.
    """
    mask = read_scan(path)
    found, expected = mask.pixels.shape[:3], scan.pixels.shape[:3]
    if found != expected:
        raise ScanError(
            f"{mask.source} has size {found} (slices, height, width), but the scan "
            f"{scan.source} has {expected}. Give the mask drawn on this scan."
        )
    if mask.affine is not None and scan.affine is not None:
        apart_mm = _apart_mm(mask.affine, scan.affine, expected)
        if apart_mm > max(scan.spacing_mm):
            raise ScanError(
                f"{mask.source} lies up to {apart_mm:.1f} mm away from the scan "
                f"{scan.source}. Resample the mask onto the scan, or copy the scan's "
                "geometry into its header."
            )
    values = mask.pixels.max(axis=-1)
    if mask.format not in PICTURES:
        return values > 0
    if _looks_grey(values):
        raise ScanError(
            f"{mask.source} is not a mask: it holds {len(np.unique(values))} grey "
            "values, expected 0 and one other. Save it with tumour white and the "
            "rest black."
        )
    return values > values.max() / 2


def write_mask(mask: np.ndarray, scan: Scan, path) -> Path:
    """Write a mask so that it overlays the scan's source, and return the path.

    mask: bool (slices, height, width), on the grid of `scan.pixels`. The suffix of `path` sets
    the format: .png (one slice), .tif or .tiff (a page per slice) with 0 and 255; .npy (slices,
    height, width), .nii, .nii.gz, .mha or .nrrd with 0 and 1, uint8. Medical formats get the
    source's own size, orientation, spacing and origin. The file appears whole or not at all.

    Raises ScanError for another shape, dtype or suffix, and when the file cannot be written.
    """
    mask, path = np.asarray(mask), Path(path)
    suffix = next((s for s in _MASK_SUFFIXES if path.name.lower().endswith(s)), None)
    if mask.dtype != bool:
        raise ScanError(
            f"The mask for {path.name} holds {mask.dtype}, expected bool. Threshold it first."
        )
    if mask.shape != scan.pixels.shape[:3]:
        raise ScanError(
            f"The mask for {path.name} has shape {mask.shape}, but the scan "
            f"{scan.source} has {scan.pixels.shape[:3]}. Give a mask of that shape."
        )
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
    if not path.parent.is_dir():
        raise ScanError(
            f"{path.name} cannot be written: there is no folder {path.parent}. Create it first."
        )
    temporary = path.with_name(f".{uuid.uuid4().hex}{suffix}")
    try:
        _write(mask, scan, temporary, suffix)
        temporary.replace(path)  # atomic
    except (OSError, RuntimeError) as error:
        raise ScanError(
            f"{path.name} could not be written ({error}). Check the folder's rights and free space."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def mask_suffix(scan: Scan) -> str:
    """Suffix of the mask format that matches the scan's own; DICOM gets ".nii.gz"."""
    if scan.format in PICTURES:
        return ".png" if len(scan.pixels) == 1 else ".tif"
    return ".nii.gz" if scan.format in ("nifti", "dicom") else f".{scan.format}"


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
        if "ortho" in str(error):
            raise ScanError(
                f"{name} has a sheared voxel grid, expected right angles. "
                "Resample it to a regular grid."
            ) from error
        raise ScanError(
            f"{name} cannot be decoded: it is truncated, damaged or of a variant that "
            "is not supported. Copy, download or export it again."
        ) from error


def _read(path: Path, name: str) -> Scan:
    if path.is_dir():
        return _read_folder(path, name)
    kind = sniff(path)
    if kind == "zip":
        return _read_zip(path, name)
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
    spacing_mm = None
    if affine is not None:
        spacing_mm = tuple(np.linalg.norm(affine[:3, :3], axis=0)[::-1].tolist())
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


def _read_zip(path: Path, name: str) -> Scan:
    with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        for entry in entries:
            _check_entry(entry, name)
        if sum(entry.file_size for entry in entries) > MAX_UNPACKED_BYTES:
            raise ScanError(
                f"{name} unpacks to more than the {MAX_UNPACKED_BYTES:,} bytes that "
                "are read. Put one scan into it only."
            )
        if path.suffix.lower() == ".npz" or any(e.filename.endswith(".npy") for e in entries):
            raise ScanError(
                f"{name} is a .npz archive of arrays, expected one array. "
                "Save the scan's pixels with numpy.save as .npy."
            )
        left = MAX_UNPACKED_BYTES
        entries.sort(key=lambda entry: natural_key(entry.filename))
        for number, entry in enumerate(entries):
            inner = PurePosixPath(entry.filename)
            if inner.name.startswith(".") or "__MACOSX" in inner.parts:
                continue
            # Flat, plain names: nothing in the archive decides where its files go.
            target = Path(folder) / re.sub(r"[^\w.-]", "_", inner.name)[-80:]
            if target.exists():
                target = target.with_name(f"{number}-{target.name}")
            with archive.open(entry) as packed:
                left -= _copy(packed, target, left, name)
        return replace(_read_folder(Path(folder), name), source=name)


def _check_entry(entry: zipfile.ZipInfo, name: str) -> None:
    inner = entry.filename.replace("\\", "/")
    if inner.startswith("/") or ".." in inner.split("/") or re.match(r"[A-Za-z]:", inner):
        raise ScanError(
            f"{name} holds an entry with an unsafe path ({entry.filename}). "
            "Pack the scan's files again, without parent or absolute paths."
        )
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise ScanError(
            f"{name} holds a symbolic link ({entry.filename}). Pack the files themselves."
        )
    if entry.flag_bits & 1:
        raise ScanError(f"{name} is protected by a password. Pack it without one.")


def _copy(packed, target: Path, limit: int, name: str) -> int:
    """Unpack one entry, whatever size it declared; returns the bytes written."""
    written = 0
    with target.open("wb") as out:
        while chunk := packed.read(2**20):
            written += len(chunk)
            if written > limit:
                raise ScanError(f"{name} unpacks to more than it declares. Pack it again.")
            out.write(chunk)
    return written


def _on_grid(scan: Scan, reference: Scan) -> np.ndarray:
    """The single channel (slices, height, width) of a scan on the reference's grid."""
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
    if shape == expected:
        apart_mm = _apart_mm(scan.affine, reference.affine, expected)
        if apart_mm < 0.1 * min(reference.spacing_mm):
            return plane
    return _resample(scan, plane, reference)


def _resample(scan: Scan, plane: np.ndarray, reference: Scan) -> np.ndarray:
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
    return moved


def _apart_mm(one: np.ndarray, other: np.ndarray, shape: tuple) -> float:
    """Largest distance in mm between the corners of a grid placed by two affines."""
    last = np.array(shape[::-1]) - 1
    corners = np.array([[*(np.array(corner) * last), 1] for corner in np.ndindex(2, 2, 2)])
    return float(np.linalg.norm((corners @ (one - other).T)[:, :3], axis=1).max())


def _looks_grey(values: np.ndarray) -> bool:
    """Whether a picture has in-between values that noise and soft edges do not explain."""
    top = float(values.max())
    between = (values > 0.15 * top) & (values < 0.85 * top)
    core = values[:, 1:-1, 1:-1]
    label = between[:, 1:-1, 1:-1]  # an even patch, which noise and edges do not have
    for neighbour in (
        values[:, :-2, 1:-1],
        values[:, 2:, 1:-1],
        values[:, 1:-1, :-2],
        values[:, 1:-1, 2:],
    ):
        label = label & (core == neighbour)
    return bool(between.mean() > 0.02 or label.any())


def _write(mask: np.ndarray, scan: Scan, path: Path, suffix: str) -> None:
    if suffix == ".npy":
        np.save(path, mask.astype(np.uint8))
    elif suffix in (".png", ".tif", ".tiff"):
        from PIL import Image

        first, *rest = [Image.fromarray(page.astype(np.uint8) * 255) for page in mask]
        if suffix == ".png":
            first.save(path)
        else:
            first.save(path, save_all=True, append_images=rest, compression="tiff_adobe_deflate")
    else:
        import SimpleITK as sitk

        if scan.geometry is not None:
            image = restore_grid(mask, scan.geometry)
        else:
            affine = np.eye(4) if scan.affine is None else scan.affine
            image = as_image(mask.astype(np.uint8), affine)
        sitk.WriteImage(image, str(path), useCompression=True)
