"""Pictures of a folder as the slices of one volume: which, in which order, and how they fit."""

import hashlib
import re
from itertools import pairwise
from pathlib import Path

import numpy as np

from brainseg.scans.formats.pictures import read_picture
from brainseg.scans.notes import note
from brainseg.scans.roles import names_a_mask
from brainseg.scans.scan import NUMBER, ScanError, check_size

_SEQUENCE = re.compile(r"(?<![a-z0-9])(flair|t1(?:n|w|c|ce|gd)?|t2(?:f|w)?)(?![a-z0-9])")


def read_stack(pictures: list[Path], kinds: dict[Path, str], name: str) -> np.ndarray:
    """Pixels (slices, height, width, channels) of pictures in this order, masks left out.

    Notes say where the order is not certain, slices seem to be missing or to be there twice, and
    what was done to fit grey and coloured ones together. Raises ScanError for pictures of
    different sizes or depths, of several sequences, and for a slice that is there in two files.
    """
    slices = [file for file in pictures if not names_a_mask(file.stem)] or pictures
    left_out = [file.name for file in pictures if file not in slices and "_mask" not in file.stem]
    if left_out:
        note(
            f"{len(left_out)} of the files in {name} are named like masks, the first "
            f"{left_out[0]}, and were left out."
        )
    _check_names(slices, name)
    pixels, samples = [], 0
    for file in slices:
        pixels.append(read_picture(file, f"{name}/{file.name}", kinds[file]))
        samples += pixels[-1].size
        check_size(samples, name)
        if pixels[-1].shape[1:3] != pixels[0].shape[1:3]:
            raise ScanError(
                f"{name} holds pictures of different sizes: {slices[0].name} "
                f"{pixels[0].shape[1:]}, {file.name} {pixels[-1].shape[1:]}. "
                "Give the slices of one scan."
            )
    _note_copies(slices, pixels, name)
    return np.concatenate(_of_one_depth(slices, _of_equal_channels(slices, pixels, name), name))


def _check_names(slices: list[Path], name: str) -> None:
    """Notes on the order that the names give; ScanError where they are no slices of one volume."""
    seen: dict[str, Path] = {}
    for file in slices:
        if other := seen.get(_stem(file)):
            raise ScanError(
                f"{name} holds one slice twice, as {other.name} and {file.name}. Keep one of them."
            )
        seen[_stem(file)] = file
    sequences = [_SEQUENCE.search(_stem(file).lower()) for file in slices]
    if all(sequences) and len({found[1] for found in sequences}) > 1:
        raise ScanError(
            f"{name} holds pictures of several sequences, {slices[0].name} and {slices[-1].name} "
            "for instance. Give the sequences one by one (--flair, --t1, --t1c), or the slices of "
            "one sequence."
        )
    if len(slices) > 1:
        _note_order(slices, name)


def _stem(file: Path) -> str:
    """The name without its suffix; a number is none, as in ``I.001``."""
    return file.name if file.suffix[1:].isdecimal() else file.stem


def _note_order(slices: list[Path], name: str) -> None:
    said = (
        f"{len(slices)} slices of one volume, from {slices[0].name} to {slices[-1].name} in the "
        "order of their names"
    )
    texts = {NUMBER.sub("#", _stem(file).lower()) for file in slices}
    if len(texts) > 1 or "#" not in min(texts):
        note(
            f"The pictures in {name} are not numbered alike, and were read as {said}. If that is "
            "wrong, number them."
        )
        return
    columns = zip(*(map(int, NUMBER.findall(_stem(file))) for file in slices), strict=True)
    changing = [column for column in columns if len(set(column)) > 1]
    if not all(one < other for column in changing for one, other in pairwise(column)):
        note(
            f"The pictures in {name} differ in more than one number, and were read as {said}. If "
            "they are of several patients or scans, give each its own folder."
        )
        return
    steps = [[other - one for one, other in pairwise(column)] for column in changing]
    gaps = [[n for n, step in enumerate(column) if step > min(column)] for column in steps]
    missing = min(gaps, key=len, default=[])  # the number that counts most evenly counts slices
    if missing:
        before, after = slices[missing[0]], slices[missing[0] + 1]
        more = f" (and {len(missing) - 1} more such gaps)" if len(missing) > 1 else ""
        note(
            f"In {name}, slices seem to be missing between {before.name} and {after.name}{more}; "
            "these were read as neighbours."
        )


def _note_copies(slices: list[Path], pixels: list[np.ndarray], name: str) -> None:
    seen: dict[bytes, Path] = {}
    pairs = []
    for file, page in zip(slices, pixels, strict=True):
        if page.min() == page.max():  # empty slices are alike
            continue
        content = hashlib.sha256(np.ascontiguousarray(page)).digest()
        if other := seen.get(content):
            pairs.append(f"{other.name} and {file.name}")
        seen[content] = file
    if pairs:
        more = f" (and {len(pairs) - 1} more such pairs)" if len(pairs) > 1 else ""
        note(
            f"In {name}, {pairs[0]} hold the same picture{more}, and were read as two slices. If "
            "one is a copy, remove it."
        )


def _of_equal_channels(slices: list[Path], pixels: list[np.ndarray], name: str) -> list[np.ndarray]:
    channels = {page.shape[-1] for page in pixels}
    if channels != {1, 3}:
        return pixels
    if all((page == page[..., :1]).all() for page in pixels):
        return [page[..., :1] for page in pixels]
    grey = [file.name for file, page in zip(slices, pixels, strict=True) if page.shape[-1] == 1]
    note(
        f"{len(grey)} of the {len(slices)} pictures in {name} are grey among coloured ones, the "
        f"first {grey[0]}; their grey stands for all three channels."
    )
    return [np.broadcast_to(page, (*page.shape[:3], 3)) for page in pixels]


def _of_one_depth(slices: list[Path], pixels: list[np.ndarray], name: str) -> list[np.ndarray]:
    deep = {page.dtype: file for file, page in zip(slices, pixels, strict=True)}
    black_and_white = deep.pop(np.dtype(bool), None)
    if len(deep) > 1:
        listed = ", ".join(f"{file.name} {dtype}" for dtype, file in deep.items())
        raise ScanError(
            f"{name} holds pictures of different depths: {listed}. Save all of them with the same."
        )
    if not black_and_white or not deep:
        return pixels
    (dtype,) = deep
    white = np.iinfo(dtype).max if dtype.kind in "iu" else 1
    return [page * dtype.type(white) if page.dtype == bool else page for page in pixels]
