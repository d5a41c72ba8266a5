"""TIFF: what its tags say of its pages, for the decoders do not ask."""

import json
import math
import re
import warnings
import zlib
from pathlib import Path

import numpy as np

from brainseg.scans.notes import note
from brainseg.scans.scan import ScanError

_DEFLATE = (8, 32946)  # Compression
_MOST_CHANNELS = 4  # that a scan may have


def read_pages(file: Path) -> list[dict]:
    """For each page its width, height and layout, and the description of its pixels' order."""
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
                    "is_unsaid": 262 not in tags,
                    "is_cut": _is_cut(tags),
                    "deflated": _parts(tags) if tags.get(259, 1) in _DEFLATE else [],
                    "orientation": tags.get(274, 1),
                    "alpha": tuple(tags.get(338, ())),
                    # A thumbnail, a smaller copy or a transparency mask of another page.
                    "is_copy": bool(tags.get(254, 0) & 5) or tags.get(255) == 2,
                    "description": str(tags.get(270, "")),
                }
            )
    return pages


def _parts(tags) -> list[tuple[int, int]]:
    """Where the strips or tiles of a page lie in the file, and how many bytes they have."""
    found = (
        tags.get(of_tiles, tags.get(other, ())) for of_tiles, other in ((324, 273), (325, 279))
    )
    places, counts = (own if isinstance(own, tuple) else (own,) for own in found)
    return list(zip(places, counts, strict=False))


def check_deflated(file: Path, pages: list[dict], name: str) -> None:
    """Raise ScanError where compressed pixels are damaged: their checksum is in the file, and
    decoders do not look at it."""
    most: dict[tuple[int, int], int] = {}  # bytes that each holds, several pages may share one
    for page in pages:
        size = page["width"] * page["height"] * page["samples"] * page["bits"] // 8
        for part in page["deflated"]:
            most[part] = max(size, most.get(part, 0))
    if sum(count for _, count in most) > file.stat().st_size:
        return  # they overlap, and would be read for ever
    with file.open("rb") as stream:
        for (place, count), size in most.items():
            stream.seek(place)
            if not _is_sound(stream.read(count), size + 2**20):  # tiles go beyond the page
                raise ScanError(
                    f"{name} cannot be decoded: its compressed pixels are truncated or damaged. "
                    "Copy, download or export it again."
                )


def _is_sound(packed: bytes, most: int) -> bool:
    """Whether this is Deflate to the end, its sum included, which of more than ``most`` bytes is
    not looked at."""
    unpacker = zlib.decompressobj()
    try:
        for start in range(0, len(packed), 2**16):  # what is not consumed yet is copied each time
            piece = packed[start : start + 2**16]
            while piece and not unpacker.eof and most > 0:
                most -= len(unpacker.decompress(piece, 2**20))
                piece = unpacker.unconsumed_tail
    except zlib.error:
        return False
    return unpacker.eof or most <= 0


def _is_cut(tags) -> bool:
    """Whether a page has fewer strips or tiles than its size needs, or empty ones."""
    height, width = tags[257], tags[256]
    if 322 in tags and 323 in tags:
        counts, wanted = tags.get(325, ()), -(-width // tags[322]) * -(-height // tags[323])
    else:
        counts, wanted = tags.get(279, ()), -(-height // min(tags.get(278, height), height))
    counts = counts if isinstance(counts, tuple) else (counts,)
    wanted *= tags.get(277, 1) if tags.get(284, 1) == 2 else 1
    return bool(counts) and (len(counts) < wanted or 0 in counts)


def check_pages(pages: list[dict], name: str) -> None:
    """Raise ScanError for pages that decoders fill up with black or with what lies in memory, and
    for those that do not say whether 0 is black."""
    if any(page["is_cut"] for page in pages):
        raise ScanError(
            f"{name} has pages with fewer strips of pixels than their size needs: it is truncated "
            "or damaged. Copy, download or export it again."
        )
    if any(page["is_unsaid"] for page in pages):
        raise ScanError(
            f"{name} does not say whether 0 is black or white (no PhotometricInterpretation). Save "
            "it again as plain grey or RGB."
        )


def slice_pages(pages: list[dict], name: str) -> list[int]:
    """Numbers of the pages that are slices: not the smaller copies of others."""
    kept = [number for number, page in enumerate(pages) if not page["is_copy"]]
    if not kept or len(kept) == len(pages):
        return list(range(len(pages)))
    note(
        f"{name} has {len(pages)} pages, of which {len(pages) - len(kept)} say that they are "
        f"thumbnails or smaller copies; {len(kept)} were read."
    )
    return kept


def check_layout(pages: list[dict], name: str) -> None:
    """Raise ScanError for layouts of more than 8 bits that OpenCV misreads without a word."""
    for page in pages:
        odd = (
            page["samples"] not in (1, 3, 4)
            or (page["planes"] == 2 and page["samples"] > 1)
            or page["photometric"] not in (0, 1, 2)
            or (page["photometric"] < 2 and page["samples"] > 1)
            or (page["format"] == 3 and page["bits"] < 32)
            or page["format"] > 3
        )
        if odd:
            raise unread(name)


def unread(name: str) -> ScanError:
    """The error for a layout that no decoder here reads right."""
    return ScanError(
        f"{name} is a TIFF in a layout that is not read (grey with alpha or of several samples, "
        "separate planes, a palette or half precision). Save it as plain grey or RGB."
    )


def in_order(pixels: np.ndarray, page: dict, name: str) -> np.ndarray:
    """Pixels (pages, height, width, samples) as (slices, height, width, channels).

    ImageJ, OME and tifffile say in the first page's description what the pages are. Raises
    ScanError when they are not those of one volume.
    """
    count, samples = len(pixels), pixels.shape[-1]
    axes = _imagej(page) or _ome(page, samples, name) or _shaped(page, name)
    if axes is None:
        return pixels
    order = "".join(axis for axis, _ in axes)  # the fastest first
    sizes = dict(axes)
    if math.prod(sizes.values()) != count:
        raise ScanError(
            f"{name} states {_told(sizes)} in its description, and has {count} pages. It is one "
            "file of several, or was cut: save the volume as one TIFF with a page for each slice."
        )
    if sizes["T"] > 1 and sizes["Z"] > 1:
        raise ScanError(
            f"{name} holds {_told(sizes)}, expected one volume. Save a single time point."
        )
    if sizes["T"] > 1:
        note(
            f"{name} states {sizes['T']} time points, which were read as the slices of one volume. "
            "If they are not, save a single one."
        )
    if sizes["C"] == 1:
        return pixels
    if sizes["C"] > _MOST_CHANNELS and sizes["Z"] == sizes["T"] == 1:
        note(  # tifffile calls the first of three axes so, unless it is told their names
            f"{name} states {sizes['C']} channels of one slice, which were read as the slices of "
            "one volume. If they are not, save one sequence per file."
        )
        return pixels
    if samples > 1:
        raise ScanError(
            f"{name} holds {sizes['C']} channels of {samples} samples each, expected one sequence "
            "or three. Save one sequence as plain grey."
        )
    stacked = pixels[..., 0].reshape(*(sizes[axis] for axis in order[::-1]), *pixels.shape[1:3])
    last = np.moveaxis(stacked, order[::-1].index("C"), -1)
    return last.reshape(-1, *pixels.shape[1:3], sizes["C"])


def _told(sizes: dict[str, int]) -> str:
    words = (("C", "channel"), ("Z", "slice"), ("T", "time point"))
    parts = [(sizes[axis], word) for axis, word in words if sizes[axis] > 1 or axis == "Z"]
    return " x ".join(f"{count} {word}{'s' * (count > 1)}" for count, word in parts)


def _imagej(page: dict) -> list[tuple[str, int]] | None:
    text = page["description"]
    if not text.startswith("ImageJ="):
        return None
    said = {key: int(value) for key, value in re.findall(r"^(\w+)=(\d+)\s*$", text, re.MULTILINE)}
    keys = {"C": "channels", "Z": "slices", "T": "frames"}
    sizes = {axis: said.get(key, 1) for axis, key in keys.items()}
    if math.prod(sizes.values()) == 1:  # older versions only say how many there are
        sizes["Z"] = said.get("images", 1)
    return list(sizes.items())


def _ome(page: dict, samples: int, name: str) -> list[tuple[str, int]] | None:
    text = page["description"]
    found = re.findall(r"<(?:\w{1,40}:)?Pixels\b([^<>]*)>", text) if "<OME" in text else []
    if not found:
        return None
    if len(found) > 1:
        raise ScanError(
            f"{name} holds {len(found)} images, expected one scan. Save one of them by itself."
        )
    said = dict(re.findall(r"\b(\w{1,40})\s{0,9}=\s{0,9}[\"']([^\"']*)", found[0]))
    sizes = {axis: int(said.get(f"Size{axis}", 1)) for axis in "CZT"}
    sizes["C"] = max(1, sizes["C"] // samples)
    order = said.get("DimensionOrder", "XYZCT")[2:]
    return [(axis, sizes[axis]) for axis in order]


def _shaped(page: dict, name: str) -> list[tuple[str, int]] | None:
    """The array's shape that tifffile notes; which of several axes are slices it leaves out."""
    try:
        shape = [int(count) for count in json.loads(page["description"])["shape"]]
    except (ValueError, KeyError, TypeError):
        return None
    within = [page["height"], page["width"]]
    if page["samples"] > 1:
        within = [page["samples"], *within] if page["planes"] == 2 else [*within, page["samples"]]
    if shape[-len(within) :] != within:
        return None
    several = [count for count in shape[: -len(within)] if count > 1]
    if len(several) > 1:
        raise ScanError(
            f"{name} was written from an array of shape {tuple(shape)}, expected (slices, height, "
            "width). Save one sequence of one time point, or the array as .npy."
        )
    return [("C", 1), ("Z", math.prod(several)), ("T", 1)]
