"""Decoding PNG, JPEG, TIFF, BMP and WebP.

They go through Pillow, and through OpenCV where Pillow would cut the bit depth.
"""

import warnings
from pathlib import Path

import numpy as np

from brainseg.scans.formats import tiff
from brainseg.scans.formats.arrays import note_slices
from brainseg.scans.formats.sniffing import PICTURES, read_head
from brainseg.scans.formats.transparency import flatten
from brainseg.scans.notes import note
from brainseg.scans.scan import ScanError, check_size

_ORIENTATION = 0x0112  # EXIF and TIFF alike


def read_picture(file: Path, name: str, kind: str) -> np.ndarray:
    """Pixels (pages, height, width, channels) of a PNG, JPEG, TIFF, BMP or WebP file.

    What is read is what a viewer shows: turned as EXIF says, palettes expanded, transparency on
    black; order is R, G, B. Only TIFF has pages: of an animation the first frame is read.

    Raises ScanError for too many pixels, pages of different shapes and TIFF layouts that are not
    read; Pillow's and OpenCV's errors for damage.
    """
    if kind == "tiff":
        return _read_tiff(file, name)
    depth, colour = read_head(file)[24:26]
    frames = _pillow_frames(file, name)
    # Pillow keeps 16 bits only for plain grey; it still had to prove that the file is complete.
    if kind == "png" and depth == 16 and colour in (2, 4, 6):
        (frame, *_) = _opencv_frames(file)
        if frame.shape[-1] == 4:
            grey = frame[..., :1] if colour == 4 else frame[..., :3]
            frame = flatten(grey, frame[..., 3], name)
        frames = [_turned(frame, _stated_orientation(file))]
    return _stack(frames, name)


def _pillow_frames(file: Path, name: str, pages: list[int] | None = None) -> list[np.ndarray]:
    """The first frame of a picture, or these pages of a TIFF."""
    from PIL import Image

    formats = [kind.upper() for kind in PICTURES]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # size is checked here; odd metadata does not matter
        try:
            # A stream, since Pillow misreads grey TIFF that lie on their side when given a name.
            with file.open("rb") as stream, Image.open(stream, formats=formats) as picture:
                check_size(picture.width * picture.height * len(picture.getbands()), name)
                if pages is None:
                    _note_first(picture, name)
                    return [_pillow_array(picture, name)]
                frames = []
                for page in pages:
                    picture.seek(page)
                    frames.append(_pillow_array(picture, name))
                return frames
        except Image.DecompressionBombError as error:
            most = 2 * Image.MAX_IMAGE_PIXELS
            raise ScanError(
                f"{name} states more than the {most:,} pixels that one picture may "
                "have. Crop it or reduce its resolution."
            ) from error


def _pillow_array(picture, name: str) -> np.ndarray:
    """(height, width) or (height, width, channels) of the frame that is open."""
    picture = _upright(picture, name)
    mode, key = picture.mode, picture.info.get("transparency")
    if mode.startswith("I;16") and isinstance(key, int):
        values = np.asarray(picture)
        alpha = np.where(values == key, 0, 65535).astype(np.uint16)
        return flatten(values[..., None], alpha, name)
    if picture.has_transparency_data:
        is_grey = mode in ("1", "L", "LA", "La")
        layers = np.asarray(picture.convert("LA" if is_grey else "RGBA"))
        return flatten(layers[..., :-1], layers[..., -1], name)
    if mode in ("1", "L", "I", "F") or mode.startswith("I;16"):
        return np.asarray(picture)
    if mode == "RGBX":
        _note_fourth(name)
    return np.asarray(picture.convert("RGB"))


def _upright(picture, name: str):
    """The picture as viewers show it; broken EXIF data are no reason to refuse a sound picture."""
    from PIL import ImageOps

    orientation = _orientation(picture)
    picture.load()
    if orientation == 1:
        return picture
    _note_turned(name)
    return ImageOps.exif_transpose(picture)  # of TIFF, loading has done it already


def _orientation(picture) -> int:
    try:
        orientation = picture.getexif().get(_ORIENTATION, 1)
    except OSError:
        raise
    except Exception:  # whatever its parser makes of broken data
        return 1
    return orientation if orientation in range(1, 9) else 1


def _stated_orientation(file: Path) -> int:
    from PIL import Image

    with Image.open(file) as picture:
        return _orientation(picture)


def _turned(frame: np.ndarray, orientation: int) -> np.ndarray:
    """A frame (height, width, channels) as viewers show it: what Pillow does to its own."""
    if orientation in (5, 6, 7, 8):
        frame = frame.swapaxes(0, 1)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return frame[::rows, ::columns]


def _opencv_frames(file: Path) -> list[np.ndarray]:
    """All frames or pages as stored, (height, width) or in the order R, G, B and alpha."""
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    _, frames = cv2.imdecodemulti(np.fromfile(file, np.uint8), cv2.IMREAD_UNCHANGED)
    return [frame[..., [2, 1, 0, 3][: frame.shape[-1]]] if frame.ndim == 3 else frame
            for frame in frames]  # fmt: skip


def _read_tiff(file: Path, name: str) -> np.ndarray:
    from PIL import UnidentifiedImageError

    pages = tiff.read_pages(file)
    tiff.check_pages(pages, name)
    check_size(sum(page["width"] * page["height"] * page["samples"] for page in pages), name)
    tiff.check_deflated(file, pages, name)
    numbers = tiff.slice_pages(pages, name)
    slices = [pages[number] for number in numbers]
    if all(page["bits"] <= 8 and page["format"] == 1 for page in slices):
        try:
            frames = _pillow_frames(file, name, numbers)
        except UnidentifiedImageError as error:
            raise tiff.unread(name) from error
    else:
        tiff.check_layout(slices, name)
        frames = _opencv_frames(file)
        if len(frames) != len(pages):
            raise ScanError(
                f"{name} states {len(pages)} pages, of which {len(frames)} can be decoded. It may "
                "be truncated, or compressed in a way that is not read; export it again."
            )
        frames = [_deep_frame(frames[number], pages[number], name) for number in numbers]
    pixels = tiff.in_order(_stack(frames, name), slices[0], name)
    note_slices(pixels.shape, name)  # programs write arrays as pages, whichever axis is the first
    return pixels


def _deep_frame(frame: np.ndarray, page: dict, name: str) -> np.ndarray:
    """A page of more than 8 bits that OpenCV has decoded, which turns it, but no more."""
    if page["orientation"] in range(2, 9):
        _note_turned(name)
    if page["photometric"] == 0 and frame.dtype.kind in "iu":
        return ~frame  # white is zero
    if frame.ndim == 2 or frame.shape[-1] < 4:
        return frame
    if page["alpha"] == (2,) and frame.dtype.kind == "u":
        return flatten(frame[..., :3], frame[..., 3], name)
    if page["alpha"] != (1,):  # colours that are stored as seen need no alpha
        _note_fourth(name)
    return frame[..., :3]


def _note_first(picture, name: str) -> None:
    count = getattr(picture, "n_frames", 1)
    if count > 1 and picture.format in ("PNG", "WEBP"):
        note(
            f"{name} is an animation of {count} frames, of which the first was read. If the frames "
            "are slices, save them as the pages of a TIFF, or as pictures in one folder."
        )


def _note_turned(name: str) -> None:
    note(
        f"{name} was turned as its orientation tag says, which is how viewers show it. A mask must "
        "have been drawn on it as shown."
    )


def _note_fourth(name: str) -> None:
    note(f"{name} has a fourth channel that is no transparency; red, green and blue were read.")


def _stack(frames: list[np.ndarray], name: str) -> np.ndarray:
    frames = [frame if frame.ndim == 3 else frame[..., None] for frame in frames]
    shapes = sorted({frame.shape for frame in frames})
    if len(shapes) > 1:
        raise ScanError(
            f"{name} holds pages of different shapes {shapes}, expected one size. "
            "Save the slices of one scan with the same size and channels."
        )
    depths = sorted({str(frame.dtype) for frame in frames})
    if len(depths) > 1:
        raise ScanError(
            f"{name} holds pages of different depths ({', '.join(depths)}), expected one. Save the "
            "slices of one scan with the same depth."
        )
    return np.stack(frames)
