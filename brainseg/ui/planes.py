"""Grey planes as small PNG files, and the sequences of a scan as such."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from brainseg.scans import rendering
from brainseg.scans.channels import ORDER, roles_of_channels
from brainseg.scans.scan import Scan

_NAMES = {"t1": "T1", "flair": "FLAIR", "t1c": "T1c"}
_NOISE = 10  # of 255 grey levels: what JPEG leaves between channels that hold one image


@dataclass(frozen=True, eq=False)
class ShownSequence:
    """One sequence of a scan, or one image that stands for several.

    name: "FLAIR"; "FLAIR = T1" for one image of which nothing tells whose it is; "" for the only
        one, where nothing tells its name.
    images: one grey PNG file for each slice.
    low, high: the values, as the file has them, at grey levels 0 and 255.
    """

    name: str
    images: list[bytes]
    low: float
    high: float


def sequences_of(
    scan: Scan, files: Mapping[str, Mapping]
) -> tuple[tuple[ShownSequence, ...], np.ndarray]:
    """The sequences of a scan that look different, FLAIR or what stands for it first, and how
    bright that is at most along the slices, uint8 (height, width).

    files: what was given, by role, as in ``Inputs``; it tells which sequences there were.
    """
    shown: list[tuple[np.ndarray, float, float]] = []
    groups: list[list[int]] = []
    first = rendering.shown_channel(scan)
    others = (channel for channel in range(scan.pixels.shape[-1]) if channel != first)
    for channel in (first, *others):
        levels = rendering.display_channel(scan, channel)
        same = [i for i, known in enumerate(shown) if _is_alike(known[0], levels[0])]
        if same:
            groups[same[0]].append(channel)
        else:
            shown.append(levels)
            groups.append([channel])
    given = _given(files)
    found = tuple(
        ShownSequence(_name(group, scan, given), [encode(plane) for plane in volume], low, high)
        for group, (volume, low, high) in zip(groups, shown, strict=True)
    )
    return found, shown[0][0].max(axis=0)


def encode(plane: np.ndarray) -> bytes:
    """A grey PNG file of uint8 (height, width)."""
    return cv2.imencode(".png", plane, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].tobytes()


def decode(file: bytes) -> np.ndarray:
    """The uint8 (height, width) of a grey PNG file."""
    return cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_GRAYSCALE)


def size_of(file: bytes) -> tuple[int, int]:
    """Height and width of a PNG file, read without decoding it. ValueError for another file."""
    if not file.startswith(b"\x89PNG\r\n\x1a\n") or len(file) < 24:
        raise ValueError("expected a PNG file")
    return int.from_bytes(file[20:24], "big"), int.from_bytes(file[16:20], "big")


def across(files: list[bytes], row: int) -> np.ndarray:
    """One row of every slice, from the first slice on: uint8 (slices, width)."""
    return np.stack([decode(file)[row] for file in files])


def _is_alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two volumes, uint8, look the same."""
    return all(cv2.absdiff(a, b).max() <= _NOISE for a, b in zip(one, other, strict=True))


def _given(files: Mapping[str, Mapping]) -> set[str]:
    """Which of flair, t1 and t1c there were; empty where that is not known."""
    named = files.get("scan", {}).get("channels", "")
    return {*ORDER} & {*files, *roles_of_channels(named.split(","))}


def _name(group: list[int], scan: Scan, given: set[str]) -> str:
    """What the image of some channels is called."""
    if scan.pixels.shape[-1] != len(ORDER):
        return _NAMES[min(given)] if len(given) == 1 else ""
    roles = [ORDER[channel] for channel in group]
    if len(group) == len(ORDER) and not given:
        return ""
    return " = ".join(_NAMES[role] for role in roles if role in given or not given & {*roles})
