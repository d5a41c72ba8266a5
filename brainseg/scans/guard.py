"""Is this picture one the models can say anything about? Plain rules on grey levels and shapes.

A finding is a hint, not a verdict: the rules know a head from a holiday photo, not one scanner from
another. What stops a comparison is that nothing like one head on a plain background is there.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from brainseg.scans import heads
from brainseg.scans.channels import ORDER
from brainseg.scans.notes import ASSUMED
from brainseg.scans.preprocessing import Spacing
from brainseg.scans.scan import Scan

_SLICES = 9  # so many, evenly spaced, from the middle half of a volume
# By whether there are several slices, of which the median counts; chosen on LGG and figshare.
_SAME_HEAD = {True: 0.94, False: 0.9}  # Dice: of sequences of one patient 0.96 and more
_SKULL = {True: 0.15, False: 0.08}  # see ``heads.rim``
_ENOUGH = 5  # slices of a volume among which three should show a tumour that is there
_STANDS_OUT = 3.0  # deviations, see ``heads.standing_out``
# LGG has 20 to 88 slices for a head of some 150 mm: no patient of it had thicker ones.
_THICK_MM = 7.5
# Axial slices follow the base of the skull or the commissures, up to some 20 degrees off the
# scanner's axes; what lies further off shows other anatomy than the models were trained on.
_OBLIQUE_DEGREES = 25
# Pixels are square as scanners take them, or nearly: what is so wide and so far from it was put
# together from thick slices of another plane.
_COARSE_MM = 2
_UNEVEN = 2
_ACQUIRED = ("sagittally", "coronally", "axially")  # by the patient's axis across the slices
_SHORT = {"t1": "T1", "flair": "FLAIR", "t1c": "T1c"}
_AIR = -900  # Hounsfield units, and what a CT scanner gives less than air has
_SMALLEST = 16  # pixels along an edge; no head can be told from anything else in fewer


@dataclass(frozen=True)
class Finding:
    """``code`` names the rule; ``stops`` says that the models' masks would mean nothing;
    ``text`` is a sentence for whoever gave the scan."""

    code: str
    stops: bool
    text: str


def inspect(scan: Scan, given: Collection[str] = ()) -> list[Finding]:
    """What speaks against a scan, the gravest first; an empty list if nothing does.

    given: which of flair, t1 and t1c there were, where that is known; others are stood in for.
    """
    height, width = scan.pixels.shape[1:3]
    if min(height, width) < _SMALLEST:
        return [_too_small(height, width)]
    chosen = scan.pixels[_chosen(len(scan.pixels))]
    planes = [_plane(image, scan.spacing_mm) for image in chosen]
    if all(np.ptp(plane) < 8 for plane in planes):
        return [_BLANK]
    if _half(planes, _is_inverted):
        return [_INVERTED]
    findings = []
    if scan.format != "dicom" and (chosen < _AIR).mean() > 0.1:  # DICOM says what it is
        findings.append(_CT)
    if not _half(planes, _is_head):
        findings.append(_NOT_A_HEAD)
    if _is_colourful(scan.pixels):
        findings.append(_COLOUR)
    if _half(planes, _has_text):
        findings.append(_TEXT)
    if not {*findings} - {_CT}:
        findings += _of_sequences(scan.pixels, given)
        findings += _of_heads(chosen, scan.spacing_mm, given)
    if not any(finding.stops for finding in findings):
        findings += _of_slices(scan)
    return findings


def _of_sequences(pixels: np.ndarray, given: Collection[str]) -> list[Finding]:
    """Which sequences are missing, by the channels that are the same."""
    if _is_one_sequence(pixels):
        return [_ONE_SEQUENCE]
    missing = [role for role in ORDER if given and role not in given]
    if len(missing) == 1:
        instead = _SHORT["flair" if "flair" in given else "t1"]
        return [_missing(_SHORT[missing[0]], instead)]
    for one, other in ((0, 1), (1, 2), (0, 2)):
        if (pixels[..., one] == pixels[..., other]).all():
            return [_same_image(_SHORT[ORDER[one]], _SHORT[ORDER[other]])]
    return []


def _of_heads(chosen: np.ndarray, spacing_mm: Spacing, given: Collection[str]) -> list[Finding]:
    """What the heads in some slices show that the models were not trained on."""
    shown = heads.planes(chosen, spacing_mm)
    is_one = _is_one_sequence(chosen)
    has_flair = "flair" in given if given else not is_one
    found, several = [], len(shown) > 1
    if not is_one and heads.overlap(shown) < _SAME_HEAD[several]:
        found.append(_DIFFERENT_HEADS)
    rims = [[heads.rim(image[..., c]) for c in range(shown.shape[-1])] for image in shown]
    if np.median(rims, axis=0).max() < _SKULL[several]:
        found.append(_SKULL_REMOVED)
    bright = sorted(heads.standing_out(image[..., 1]) for image in shown)
    if has_flair and len(bright) >= _ENOUGH and bright[-3] < _STANDS_OUT:
        found.append(_FAINT_FLAIR)
    return found


def _of_slices(scan: Scan) -> list[Finding]:
    """How the slices lie, where the file states it."""
    found = []
    if len(scan.pixels) > 1 and scan.spacing_mm is not None and scan.spacing_mm[0] > _THICK_MM:
        found.append(_thick(scan.spacing_mm[0]))
    if scan.spacing_mm is not None:
        sides = scan.spacing_mm[1:]
        if max(sides) > max(_COARSE_MM, _UNEVEN * min(sides)):
            found.append(_another_plane(scan))
    if scan.affine is not None:
        upright = abs(scan.affine[2, 2]) / np.linalg.norm(scan.affine[:3, 2])
        degrees = float(np.degrees(np.arccos(min(upright, 1.0))))
        if degrees > _OBLIQUE_DEGREES:
            found.append(_oblique(degrees))
    return found


def findings(scan: Scan, notes: Sequence[str], given: Collection[str] = ()) -> tuple[Finding, ...]:
    """What ``inspect`` finds and what reading the scan assumed, which speaks of colours itself.

    notes: as ``noting`` collects them; those with a code of their own have it here too.
    """
    seen = [finding for finding in inspect(scan, given) if finding.code != "colour"]
    told = [Finding(getattr(text, "code", ASSUMED), False, str(text)) for text in notes]
    return (*seen, *sorted(told, key=lambda finding: finding.code == ASSUMED))


def speak_against(found: Collection[Finding]) -> tuple[str, ...]:
    """The codes of those that speak against the scan itself, and not of what was assumed, or of the
    mask that came with it."""
    return tuple(f.code for f in found if f.code not in (ASSUMED, MASK_IN_DOUBT))


_BLANK = Finding(
    "blank",
    True,
    "This picture is nearly one shade of grey: there is nothing to segment. Check the export, or "
    "pick another slice.",
)
_INVERTED = Finding(
    "inverted",
    True,
    "This picture seems to be inverted: its background is brighter than what lies in front. The "
    "models know dark backgrounds only. Invert it, then compare again.",
)
_NOT_A_HEAD = Finding(
    "not a brain MRI",
    True,
    "This is probably not a brain MRI: no single head on a dark background was found. The models "
    "mark something in any picture, so their masks would mean nothing here.",
)
_COLOUR = Finding(
    "colour",
    False,
    "This looks like a colour picture. Its red, green and blue are read as T1, FLAIR and T1c; if "
    "they are not, save it in grey.",
)
_TEXT = Finding(
    "text",
    False,
    "There seems to be writing in this picture. The models may mark it; crop it away if you can, "
    "and check that it names nobody.",
)
_ONE_SEQUENCE = Finding(
    "one sequence",
    False,
    "One sequence stands for all three that the models were trained on (T1, FLAIR, T1c). Expect "
    "less, least of all from anything but FLAIR.",
)
_SKULL_REMOVED = Finding(
    "skull removed",
    False,
    "There is no skull round this brain: it seems to have been removed. Most models were trained "
    "on whole heads alone.",
)
_FAINT_FLAIR = Finding(
    "faint FLAIR",
    False,
    "Hardly anything stands out from the brain on FLAIR: there is no tumour, or a faint one.",
)
_DIFFERENT_HEADS = Finding(
    "different heads",
    False,
    "The heads in T1, FLAIR and T1c are not the same: they differ in outline or place, or one "
    "sequence covers little of the head. Check that all are of one patient and one visit, and "
    "register them.",
)

_CT = Finding(
    "CT numbers",
    False,
    "Much of it has values below -900, as air has in CT. The models know MRI only, so their masks "
    "mean nothing in CT.",
)


MASK_IN_DOUBT = "mask in doubt"
"""Of notes: the true mask may be that of another scan."""


def _thick(distance_mm: float) -> Finding:
    return Finding(
        "thick slices",
        False,
        f"The slices lie {distance_mm:.3g} mm apart, further than in LGG, on which most models "
        f"were trained (some {_THICK_MM:g} mm at most, by its numbers of slices): each "
        "blurs more of the head into one picture, and small tumours may lie between two.",
    )


def _another_plane(scan: Scan) -> Finding:
    height, width = scan.spacing_mm[1:]
    how = "in another plane"
    if scan.affine is not None:
        across = scan.affine[:3, 0 if width > height else 1]
        how = _ACQUIRED[np.abs(across).argmax()]
    return Finding(
        "another plane",
        False,
        f"The pixels of these slices are {width:.3g} mm wide and {height:.3g} mm high: the scan "
        f"seems to have been acquired {how}, in slices {max(height, width):.3g} mm apart, from "
        "which those shown are put together. The models know fine, square pixels.",
    )


def _oblique(degrees: float) -> Finding:
    return Finding(
        "oblique slices",
        False,
        f"The slices lie {degrees:.0f} degrees off the patient's axial plane. The models were "
        "trained on axial slices, and read each as it lies.",
    )


def _missing(name: str, instead: str) -> Finding:
    return Finding(f"{name} missing", False, f"{name} is missing, and {instead} stands in for it.")


def _same_image(one: str, other: str) -> Finding:
    return Finding(
        "same image",
        False,
        f"{one} and {other} are the same image: one of them seems to be missing, and the other to "
        "stand in for it.",
    )


def _too_small(height: int, width: int) -> Finding:
    return Finding(
        "too small",
        True,
        f"This picture has {width} x {height} pixels: a head cannot be seen in fewer than "
        f"{_SMALLEST} x {_SMALLEST}. Give the scan in its full size.",
    )


def _chosen(count: int) -> list[int]:
    if count == 1:
        return [0]
    first, last = count // 4, max(count // 4, 3 * count // 4 - 1)
    return sorted({round(x) for x in np.linspace(first, last, _SLICES)})


def _plane(image: np.ndarray, spacing_mm: Spacing) -> np.ndarray:
    """The brightest channel of a slice as uint8 (SIDE, SIDE), in its true proportions."""
    return heads.plane(image.astype(np.float32).max(axis=-1), spacing_mm)


def _half(planes: list[np.ndarray], rule) -> bool:
    return 2 * sum(map(rule, planes)) > len(planes)


def _is_inverted(plane: np.ndarray) -> bool:
    border = heads.border(plane)
    even = np.percentile(border, 75) - np.percentile(border, 25) < 25
    return bool(np.median(border) > 150 and even and plane.mean() < np.median(border) - 15)


def _is_head(plane: np.ndarray) -> bool:
    """One filled, rounded shape that covers a good part of the picture, textured inside, on an
    even background."""
    foreground = heads.foreground(plane)
    closed = cv2.morphologyEx(foreground, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    contours, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return False
    largest = max(contours, key=cv2.contourArea)
    area, hull = cv2.contourArea(largest), cv2.contourArea(cv2.convexHull(largest))
    share = area / plane.size
    (_, (one, other), _) = cv2.minAreaRect(largest)
    roundness = area / max(one * other, 1.0)  # an ellipse fills pi / 4 of its box, a square all
    inside = np.zeros(plane.shape, np.uint8)
    cv2.drawContours(inside, [largest], -1, 1, cv2.FILLED)
    outside = (foreground & (inside == 0)).sum() / plane.size
    levels = np.unique(plane[inside > 0] // 8).size
    border = np.percentile(
        np.abs(heads.border(plane).astype(int) - np.median(heads.border(plane))), 70
    )
    return bool(
        0.08 < share < 0.9
        and area > 0.82 * hull
        and max(one, other) < 2.2 * max(min(one, other), 1.0)
        and 0.55 < roundness < 0.95
        and outside < 0.06
        and levels >= 8
        and border < 30
    )


def _is_colourful(pixels: np.ndarray) -> bool:
    """Strong hues in one picture of three channels; the three sequences of a head share their
    outline and most of their greys."""
    if pixels.shape[-1] != 3 or len(pixels) > 1:
        return False
    image = pixels[0].astype(np.float32)
    spread = np.ptp(image, axis=-1)
    bright = image.max(axis=-1) > 0.2 * image.max()
    return bool(bright.any() and np.mean(spread[bright] > 0.6 * image.max()) > 0.15)


def _is_one_sequence(pixels: np.ndarray) -> bool:
    return pixels.shape[-1] == 1 or bool(
        (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all()
    )


def _has_text(plane: np.ndarray) -> bool:
    """Several small bright shapes in a row, away from the largest one."""
    level = np.percentile(plane, 99) * 0.5
    marks = (plane > max(level, 60)).astype(np.uint8)
    joined = cv2.morphologyEx(heads.foreground(plane), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    if count < 2:
        return False
    head = 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax())
    near = cv2.dilate((labels == head).astype(np.uint8), np.ones((5, 5), np.uint8))
    marks &= near == 0
    count, _, statistics, centres = cv2.connectedComponentsWithStats(marks, connectivity=8)
    small = [
        centres[i][1]
        for i in range(1, count)
        if 1 <= statistics[i, cv2.CC_STAT_AREA] <= 120 and statistics[i, cv2.CC_STAT_HEIGHT] <= 14
    ]
    return any(sum(abs(row - other) < 4 for other in small) >= 3 for row in small)
