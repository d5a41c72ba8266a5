"""Decoders behind `read_scan`: what a file is by its content, and its pixels by kind.

Pictures go through Pillow (OpenCV where Pillow would cut the bit depth), medical formats through
SimpleITK. Every decoder checks the size stated in the header before it decodes anything.
"""

import gzip
import math
import re
import struct
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from brainseg.scans.geometry import to_patient_axes
from brainseg.scans.scan import ScanError, check_finite, check_size

PICTURES = ("png", "jpeg", "tiff", "bmp", "webp")
VOLUMES = {
    "nifti": "NiftiImageIO",
    "dicom": "GDCMImageIO",
    "mha": "MetaImageIO",
    "nrrd": "NrrdImageIO",
}
READABLE = "PNG, JPEG, TIFF, BMP, WebP, NIfTI, DICOM, MHA, NRRD or .npy"
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"BM", "bmp"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"\x93NUMPY", "npy"),
    (b"NRRD000", "nrrd"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x08\0", "dicom"),  # a DICOM file without preamble starts at group 0008
)
_DETACHED = "{} keeps its voxels in another file. Save it as one file (.nii.gz or .mha)."


def sniff(file: Path) -> str:
    """Kind of a file by its first bytes: a picture, a volume, "npy", "zip", or "" when unknown."""
    head = _head(file)
    if head.startswith(b"\x1f\x8b"):
        with gzip.open(file) as stream:
            head = stream.read(512)
        return "nifti" if _is_nifti(head) else ""
    if _is_nifti(head):
        return "nifti"
    if head[128:132] == b"DICM":
        return "dicom"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if re.match(rb"\s*(ObjectType|NDims|Comment)\s*=", head):
        return "mha"
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), "")


def describe(file: Path) -> str:
    """What an unreadable file holds, in a few words."""
    head = _head(file)
    if not head:
        return "is empty (0 bytes)"
    if head.startswith(b"\x1f\x8b"):
        return "holds gzip data that is not NIfTI"
    if all(byte in b"\t\n\r\f" or byte >= 32 for byte in head):
        return "holds plain text"
    return f"holds unknown data (it begins with {head[:4].hex(' ')})"


def read_picture(file: Path, name: str, kind: str) -> np.ndarray:
    """Pixels (pages, height, width, channels) of a PNG, JPEG, TIFF, BMP or WebP file.

    EXIF orientation is applied, palettes are expanded, alpha is dropped, order is R, G, B. Only
    TIFF has pages: of an animation the first frame is read.
    """
    if kind == "tiff":
        return _read_tiff(file, name)
    depth, colour = _head(file)[24:26]
    frames = _pillow_frames(file, name, first_only=True)
    # Pillow keeps 16 bits only for plain grey; it still had to prove that the file is complete.
    if kind == "png" and depth == 16 and colour in (2, 4, 6):
        frames = _opencv_frames(file)
        if colour == 4:
            frames = [frame[..., 0] for frame in frames]
    return _stack(frames, name)


def read_npy(file: Path, name: str) -> np.ndarray:
    """Pixels (slices, height, width, channels) of a .npy array, by the rule in `read_scan`."""
    try:
        stored = np.load(file, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        if "Python objects" in str(error):
            raise ScanError(
                f"{name} holds Python objects, expected numbers. "
                "Save a plain numeric array with numpy.save."
            ) from error
        raise
    check_size(stored.size, name)
    if stored.ndim == 2:
        return np.array(stored)[None, ..., None]
    if stored.ndim == 3:
        return np.array(stored)[None] if stored.shape[-1] in (3, 4) else np.array(stored)[..., None]
    if stored.ndim == 4:
        return np.array(stored)
    raise ScanError(
        f"{name} holds an array of shape {stored.shape}, expected (height, width), "
        "(slices, height, width) or (slices, height, width, channels). Reshape it."
    )


def read_volume(files: list[Path], name: str, kind: str) -> tuple[np.ndarray, np.ndarray, dict]:
    """Pixels (slices, height, width, channels), affine and source grid of a medical image.

    `files` is one file, or the ordered files of a DICOM series. The affine (4, 4) takes (column,
    row, slice, 1) to LPS mm; the source grid (a dict) is what `restore_grid` needs.
    """
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    with _openable(files[0], kind) as first:
        reader = sitk.ImageFileReader()
        reader.SetImageIO(VOLUMES[kind])
        reader.SetFileName(str(first))
        reader.ReadImageInformation()
        size = reader.GetSize()
        check_size(math.prod(size) * reader.GetNumberOfComponents() * len(files), name)
        if len(size) > 4 or (len(size) == 4 and size[3] > 4):
            raise ScanError(
                f"{name} has size {size}: it looks like a time series, expected one "
                "volume. Save a single time point as 3-D."
            )
        pixel_type = sitk.GetPixelIDValueAsString(reader.GetPixelID())
        if "complex" in pixel_type:
            raise ScanError(
                f"{name} holds {pixel_type} values, expected real numbers. Save its magnitude."
            )
        _check_content(first, name, kind)
        image = reader.Execute() if len(files) == 1 else _read_series(files, name)
    return to_patient_axes(image)


def series_files(folder: Path, name: str) -> list[Path]:
    """Files of the one DICOM series in a folder, ordered by position in the patient."""
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = sitk.ImageSeriesReader
    series = [
        reader.GetGDCMSeriesFileNames(str(folder), uid)
        for uid in reader.GetGDCMSeriesIDs(str(folder))
    ]
    if not series:
        raise ScanError(
            f"{name} holds DICOM files without an image series. Give the files of one MR series."
        )
    if len(series) > 1:
        found = "; ".join(
            sorted(f"{_description(files[0])} ({len(files)} slices)" for files in series)
        )
        raise ScanError(
            f"{name} holds {len(series)} DICOM series, expected one: {found}. "
            "Give the files of one series only."
        )
    return [Path(file) for file in series[0]]


def _head(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(512)


def _is_nifti(head: bytes) -> bool:
    return head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] in (b"n+2\0", b"ni2\0")


def _pillow_frames(file: Path, name: str, first_only: bool = False) -> list[np.ndarray]:
    from PIL import Image, ImageOps, ImageSequence

    formats = [kind.upper() for kind in PICTURES]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # size is checked here; odd metadata does not matter
        try:
            with Image.open(file, formats=formats) as picture:
                check_size(picture.width * picture.height * len(picture.getbands()), name)
                frames = [picture] if first_only else ImageSequence.Iterator(picture)
                return [_pillow_array(ImageOps.exif_transpose(frame)) for frame in frames]
        except Image.DecompressionBombError as error:
            most = 2 * Image.MAX_IMAGE_PIXELS
            raise ScanError(
                f"{name} states more than the {most:,} pixels that one picture may "
                "have. Crop it or reduce its resolution."
            ) from error


def _pillow_array(picture) -> np.ndarray:
    if picture.mode in ("1", "L", "I", "F") or picture.mode.startswith("I;16"):
        return np.asarray(picture)
    if picture.mode in ("LA", "La"):
        return np.asarray(picture)[..., 0]
    return np.asarray(picture.convert("RGB"))


def _opencv_frames(file: Path) -> list[np.ndarray]:
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    _, frames = cv2.imdecodemulti(np.fromfile(file, np.uint8), cv2.IMREAD_UNCHANGED)
    return [frame[..., 2::-1] if frame.ndim == 3 else frame for frame in frames]


def _read_tiff(file: Path, name: str) -> np.ndarray:
    pages = _tiff_pages(file)
    check_size(sum(page["width"] * page["height"] * page["samples"] for page in pages), name)
    if all(page["bits"] <= 8 and page["format"] == 1 for page in pages):
        return _stack(_pillow_frames(file, name), name)
    # OpenCV misreads these layouts without a word.
    if any(
        page["samples"] == 2
        or (page["planes"] == 2 and page["samples"] > 1)
        or page["photometric"] not in (0, 1, 2)
        for page in pages
    ):
        raise ScanError(
            f"{name} is a TIFF with more than 8 bits in a layout that is not read "
            "(grey with alpha, separate planes, or palette). Save it as plain grey "
            "or RGB."
        )
    frames = _opencv_frames(file)
    if len(frames) != len(pages):
        raise ScanError(
            f"{name} states {len(pages)} pages, of which {len(frames)} can be "
            "decoded. It may be truncated; export it again."
        )
    frames = [
        ~frame if page["photometric"] == 0 and frame.dtype.kind in "iu" else frame
        for frame, page in zip(frames, pages, strict=True)
    ]  # 0: white is zero
    return _stack(frames, name)


def _tiff_pages(file: Path) -> list[dict]:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    pages, seen = [], set()
    with file.open("rb") as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        head = stream.read(8)
        tags = ImageFileDirectory_v2(head + stream.read(8) if b"+" in head[2:4] else head)
        while tags.next and tags.next not in seen:
            seen.add(tags.next)
            stream.seek(tags.next)
            tags.load(stream)
            pages.append(
                {
                    "width": tags[256],
                    "height": tags[257],
                    "samples": tags.get(277, 1),
                    "bits": max(tags.get(258, (1,))),
                    "format": max(tags.get(339, (1,))),
                    "planes": tags.get(284, 1),
                    "photometric": tags.get(262, 1),
                }
            )
    return pages


def _stack(frames: list[np.ndarray], name: str) -> np.ndarray:
    frames = [frame if frame.ndim == 3 else frame[..., None] for frame in frames]
    shapes = sorted({frame.shape for frame in frames})
    if len(shapes) > 1:
        raise ScanError(
            f"{name} holds pages of different shapes {shapes}, expected one size. "
            "Save the slices of one scan with the same size and channels."
        )
    return np.stack(frames)


@contextmanager
def _openable(file: Path, kind: str):
    """The file under a name that the NIfTI library accepts: it goes by the suffix alone."""
    if kind != "nifti":
        yield file
        return
    suffix = ".nii.gz" if _head(file).startswith(b"\x1f\x8b") else ".nii"
    if file.name.endswith(suffix):
        yield file
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / f"scan{suffix}"
        try:
            link.symlink_to(file.resolve())
        except OSError:  # Windows without the privilege
            link.write_bytes(file.read_bytes())
        yield link


def _check_content(file: Path, name: str, kind: str) -> None:
    """Refuse what the libraries let pass: lost or NaN NIfTI voxels, headers naming other files."""
    if kind == "nifti":
        _check_nifti(file, name)
    elif kind in ("mha", "nrrd"):
        with file.open("rb") as stream:
            head = stream.read(2**20)
        if kind == "mha":
            attached = set(re.findall(rb"ElementDataFile\s*[=:]?\s*(\S+)", head)) == {b"LOCAL"}
        else:
            head, *voxels = re.split(rb"\r?\n\r?\n", head, maxsplit=1)
            attached = voxels and not re.search(rb"data ?file", head, re.IGNORECASE)
        if not attached:
            raise ScanError(_DETACHED.format(name))


def _check_nifti(file: Path, name: str) -> None:
    """The NIfTI library fills missing voxels and NaN with zeros without a word."""
    with file.open("rb") as raw:
        stream = gzip.GzipFile(fileobj=raw) if raw.peek(2)[:2] == b"\x1f\x8b" else raw
        head = stream.read(348)
        order = "<" if struct.unpack("<i", head[:4])[0] in (348, 540) else ">"
        if head[4:7] in (b"n+2", b"ni2"):
            magic, head = head[4:6], head + stream.read(192)
            places = ((12, "h"), (14, "h"), (168, "q"), (16, "8q"))
        else:
            magic, places = head[344:346], ((70, "h"), (72, "h"), (108, "f"), (40, "8h"))
        (code,), (bits,), (offset,), dims = (
            struct.unpack_from(order + form, head, place) for place, form in places
        )
        if magic != b"n+":
            raise ScanError(_DETACHED.format(name))
        need = int(offset) + math.prod(max(1, n) for n in dims[1 : dims[0] + 1]) * bits // 8
        if not 0 <= offset < 2**26:
            raise ValueError(f"voxel offset {offset}")
        found = len(head) + len(stream.read(max(0, int(offset) - len(head))))
        dtype = {16: f"{order}f4", 64: f"{order}f8"}.get(code)
        bad = 0
        # To the end, so that gzip compares its checksum; not much further, it may be a bomb.
        while found < need + 2**24 and (chunk := stream.read(2**20)):
            voxels = chunk[: max(0, need - found)]
            if dtype:
                count = len(voxels) * 8 // bits
                bad += count - int(np.isfinite(np.frombuffer(voxels, dtype, count)).sum())
            found += len(chunk)
    if found < need:
        raise ScanError(
            f"{name} is truncated: {found:,} of {need:,} bytes are there. "
            "Copy, download or export it again."
        )
    check_finite(bad, name)


def _read_series(files: list[Path], name: str):
    import SimpleITK as sitk

    reader = sitk.ImageSeriesReader()
    reader.SetImageIO(VOLUMES["dicom"])
    reader.SetFileNames([str(file) for file in files])
    reader.MetaDataDictionaryArrayUpdateOn()
    image = reader.Execute()
    key = "0020|0032"  # position of each slice in the patient
    if all(reader.HasMetaDataKey(number, key) for number in range(len(files))):
        places = [reader.GetMetaData(number, key).split("\\") for number in range(len(files))]
        normal = np.reshape(image.GetDirection(), (3, 3))[:, 2]
        steps_mm = np.diff(np.array(places, float) @ normal)
        if np.ptp(steps_mm) > 0.1 * abs(steps_mm.mean()) or not steps_mm.all():
            raise ScanError(
                f"{name} has unevenly spaced slices (steps of {steps_mm.min():.3g} to "
                f"{steps_mm.max():.3g} mm): slices are missing or several time "
                "points are mixed. Give one complete series."
            )
    return image


def _description(file: str) -> str:
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO(VOLUMES["dicom"])
    reader.SetFileName(file)
    reader.ReadImageInformation()
    key = "0008|103e"
    text = reader.GetMetaData(key).strip() if reader.HasMetaDataKey(key) else ""
    return text or "no description"
