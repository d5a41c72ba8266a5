"""Where the slices of a DICOM series lie, and whether they are one evenly spaced stack.

Classic files and the frames of enhanced ones are alike here: a slice is a header, as `read_header`
gives it, with what is said of its frame put on top.
"""

import math
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from brainseg.scans.notes import note
from brainseg.scans.scan import ScanError, natural_key

# What tells slices at one place apart, by the names of `read_header`, in words and with its unit.
DIFFERENCES = {
    "series_number": ("series number", ""),
    "description": ("series description", ""),
    "echo_time": ("echo time", " ms"),
    "echo_number": ("echo number", ""),
    "b_value": ("b-value", " s/mm²"),
    "gradient": ("direction of diffusion", ""),
    "inversion_time": ("inversion time", " ms"),
    "repetition_time": ("repetition time", " ms"),
    "flip_angle": ("flip angle", " degrees"),
    "complex_component": ("component", ""),
    "image_type": ("image type", ""),
    "time_point": ("time point", ""),
    "acquisition_number": ("acquisition number", ""),
    "trigger_time": ("trigger time", " ms"),
    "stack": ("stack", ""),
    "dimension_index": ("dimension index", ""),
    "acquisition_time": ("acquisition time", ""),
}
_SAME_PLACE_MM = 0.01
_AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


class Slice(NamedTuple):
    """One slice: the file it lies in, which of its frames it is, and what is said of it."""

    file: Path
    frame: int
    header: dict


class Grid(NamedTuple):
    """Where a stack lies: (column, row, slice) spacing in mm, origin in LPS mm, and direction, the
    nine cosines as SimpleITK has them. is_placed: whether its slices state a place at all.
    counts_down: whether their numbers fall where their places rise, as of scans from the head down.
    """

    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    direction: tuple[float, ...]
    is_placed: bool = True
    counts_down: bool = False


def stack(slices: list[Slice], name: str) -> tuple[list[Slice], Grid]:
    """The slices in order of their place along the stack's normal, and where the stack lies.

    Notes what had to be assumed where headers say too little. Raises ScanError for slices of
    different sizes or orientations, several at one place, uneven steps and sheared stacks.
    """
    _check_alike(slices, name, "columns", "rows", what="sizes", form="{:.0f} x {:.0f}")
    _check_alike(slices, name, "samples", what="numbers of colours")
    spacing = _pixel_spacing(slices, name)
    across, down = _orientation(slices, name)
    normal = np.cross(across, down)
    direction = tuple(np.column_stack([across, down, normal]).ravel().tolist())

    unplaced = [one for one in slices if len(one.header.get("position", ())) != 3]
    if len(slices) == 1 or len(unplaced) == len(slices):
        slices, step = _by_number(slices, name)
        origin = slices[0].header.get("position") or slices[0].header.get("corner")
        is_placed = bool(origin) and len(origin) == 3
        origin = tuple(origin) if is_placed else (0.0, 0.0, 0.0)
        return slices, Grid((*spacing, step), origin, direction, is_placed)
    if unplaced:
        raise ScanError(
            f"{name} holds {len(unplaced)} of {len(slices)} slices that state no position in the "
            f"patient, such as {unplaced[0].file.name}. Give the slices of one scan only."
        )
    slices = sorted(slices, key=lambda one: float(np.dot(one.header["position"], normal)))
    places = np.array([one.header["position"] for one in slices], float)
    step = _even_step(slices, places, normal, name)
    _check_straight(places, across, down, max(spacing), name)
    numbers = [(*one.header.get("instance_number", ()), one.frame) for one in slices]
    counts_down = all(below > above for below, above in pairwise(numbers))
    origin = tuple(places[0].tolist())
    return slices, Grid((*spacing, step), origin, direction, counts_down=counts_down)


def _check_alike(slices, name, *keys, what, form="{:.4g}") -> None:
    found = Counter(
        tuple(one.header[key][0] for key in keys) for one in slices if keys[0] in one.header
    )
    if len(found) > 1:
        odd = min(found, key=found.get)
        file = next(
            one.file
            for one in slices
            if keys[0] in one.header and tuple(one.header[key][0] for key in keys) == odd
        )
        listed = ", ".join(
            f"{count} of {form.format(*value)}" for value, count in found.most_common(6)
        )
        raise ScanError(
            f"{name} holds slices of different {what} ({listed}; {file.name} is one of "
            f"{form.format(*odd)}): a screenshot, a localizer or another scan is among them. Give "
            "the slices of one scan only."
        )


def _pixel_spacing(slices, name) -> tuple[float, float]:
    """(column, row) spacing in mm."""
    found = set()
    for one in slices:
        pair = one.header.get("pixel_spacing") or one.header.get("imager_spacing") or ()
        found.add(pair if len(pair) == 2 and min(pair) > 0 else (0.0, 0.0))
    pairs = np.array(sorted(found))
    if not pairs.any():
        note(
            f"{name} states no pixel size: 1 mm was assumed, which areas, volumes and distances "
            "rest on. Give the scanner's own series if they matter."
        )
        return 1.0, 1.0
    if np.ptp(pairs, axis=0).max() > 0.01 * pairs.max():
        listed = ", ".join(f"{row:.4g} x {column:.4g}" for row, column in pairs[:6])
        raise ScanError(
            f"{name} holds slices of different pixel sizes ({listed} mm; 0 where none is stated). "
            "Give the slices of one scan only."
        )
    row, column = slices[0].header.get("pixel_spacing") or slices[0].header["imager_spacing"]
    return column, row


def _orientation(slices, name) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors along the rows and the columns, in LPS."""
    found = [one.header.get("orientation", ()) for one in slices]
    found = [six if len(six) == 6 and any(six) else None for six in found]
    if not any(found):
        if any("position" in one.header for one in slices):
            note(
                f"{name} states no orientation: its slices were taken for axial ones. If they are "
                "not, give the scanner's own series."
            )
        return np.array(_AXIAL[:3]), np.array(_AXIAL[3:])
    planes = np.array([six or (0.0,) * 6 for six in found], float)
    apart = np.abs(planes - planes[0]).max(axis=1) > 0.02
    if apart.any():
        count = len(np.unique(planes.round(1), axis=0))
        raise ScanError(
            f"{name} holds slices of {max(2, count)} orientations, as a localizer has. Give the "
            "parallel slices of one scan."
        )
    across, down = planes[0, :3], planes[0, 3:]
    if abs(across @ down) > 0.01 * np.linalg.norm(across) * np.linalg.norm(down) or not (
        across.any() and down.any()
    ):
        raise ScanError(
            f"{name} states an orientation whose axes are not at right angles. Export it again, or "
            "convert it with dcm2niix."
        )
    across = across / np.linalg.norm(across)
    down = down - across * (across @ down)
    return across, down / np.linalg.norm(down)


def _by_number(slices, name) -> tuple[list[Slice], float]:
    """Slices without positions in the most likely order, and their assumed step in mm."""
    header = slices[0].header
    stated = [abs(value) for key in ("gap", "thickness") for value in header.get(key, ()) if value]
    step = stated[0] if stated else 1.0
    if len(slices) == 1:
        if not stated and ("pixel_spacing" in header or "imager_spacing" in header):
            note(
                f"{name} states no slice thickness: 1 mm was assumed, which volumes rest on. Give "
                "the scanner's own series if they matter."
            )
        return slices, step
    missing = ""
    order, by = "as stored", (lambda one: (natural_key(one.file.name), one.frame))
    for key, words in (("location", "by slice location"), ("instance_number", "by number")):
        numbers = {one.header.get(key) for one in slices}
        if None not in numbers and len(numbers) == len(slices):
            order, by = words, (lambda one, key=key: one.header[key])
            steps = np.diff(sorted(value[0] for value in numbers))
            if key == "location":
                step = float(np.median(steps))
            if steps.max() > 1.5 * np.median(steps):
                missing = " Some of their numbers lie further apart: slices may be missing."
            break
    note(
        f"{name} states no positions in the patient: its {len(slices)} slices were stacked "
        f"{order}, {step:.3g} mm apart, the first taken for the lowest.{missing} If that is wrong, "
        "give the scanner's own series."
    )
    return sorted(slices, key=by), step


def _even_step(slices, places, normal, name) -> float:
    """The distance from slice to slice in mm."""
    heights = places @ normal
    steps_mm = np.diff(heights)
    if (steps_mm < _SAME_PLACE_MM).any():
        groups = np.cumsum(np.concatenate([[0], steps_mm >= _SAME_PLACE_MM]))
        most = int(np.bincount(groups).max())
        raise ScanError(
            f"{name} has unevenly spaced slices: up to {most} of its {len(slices)} lie at one "
            f"place{_differing(slices, groups)}. Give one complete series, with one slice at each "
            "place, or convert it with dcm2niix and give one of the volumes."
        )
    if np.ptp(steps_mm) > 0.1 * steps_mm.mean():
        raise ScanError(
            f"{name} has unevenly spaced slices (steps of {steps_mm.min():.3g} to "
            f"{steps_mm.max():.3g} mm): slices are missing or several time "
            "points are mixed. Give one complete series."
        )
    return float(steps_mm.mean())


def _differing(slices, groups) -> str:
    """What tells slices at one place apart, as the end of a sentence."""
    for key, (words, unit) in DIFFERENCES.items():
        values = [one.header.get(key) for one in slices]
        pairs = {(group, value) for group, value in zip(groups, values, strict=True)}
        if len(pairs) == len(set(groups.tolist())):
            continue
        told = sorted({_text(value) for value in values if value is not None}, key=natural_key)
        if key in ("acquisition_time", "dimension_index", "gradient"):
            return f" and differ in {words}"
        return f" and differ in {words} ({', '.join(told[:6])}{unit})"
    return ", and their headers don't tell them apart"


def _text(value) -> str:
    if isinstance(value, str):
        return value.replace("\\", "/")
    first_only = len(value) == 4  # GE: a b-value and three more
    return "/".join(f"{number:.6g}" for number in (value[:1] if first_only else value))


def _check_straight(places, across, down, pixel_mm, name) -> None:
    """Raise ScanError where slices don't lie straight behind one another, to within a pixel."""
    aside = (places - places[0]) @ np.column_stack([across, down])
    aside_mm = float(np.abs(aside).max())
    if aside_mm > max(pixel_mm, 1e-3 * math.dist(places[0], places[-1])):
        raise ScanError(
            f"{name} is sheared: its slices are shifted sideways by up to {aside_mm:.3g} mm, as "
            "with a tilted gantry, expected straight behind one another. Resample it to a regular "
            "grid, for example with dcm2niix."
        )
