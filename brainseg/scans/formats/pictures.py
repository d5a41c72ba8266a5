"""Decoding PNG, JPEG, TIFF, BMP and WebP.

They go through Pillow, and through OpenCV where Pillow would cut the bit depth.
"""

import warnings
from pathlib import Path

import numpy as np

from brainseg.scans.formats.sniffing import PICTURES, read_head
from brainseg.scans.scan import ScanError, check_size


def read_picture(file: Path, name: str, kind: str) -> np.ndarray:
    """Pixels (pages, height, width, channels) of a PNG, JPEG, TIFF, BMP or WebP file.

    EXIF orientation is applied, palettes are expanded, alpha is dropped, order is R, G, B. Only
    TIFF has pages: of an animation the first frame is read.

    Raises ScanError for too many pixels, pages of different shapes and TIFF layouts that are not
    read; Pillow's and OpenCV's errors for damage.
    """
    if kind == "tiff":
        return _read_tiff(file, name)
    depth, colour = read_head(file)[24:26]
    frames = _pillow_frames(file, name, first_only=True)
    # Pillow keeps 16 bits only for plain grey; it still had to prove that the file is complete.
    if kind == "png" and depth == 16 and colour in (2, 4, 6):
        frames = _opencv_frames(file)
        if colour == 4:
            frames = [frame[..., 0] for frame in frames]
    return _stack(frames, name)


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
