"""A truth that the visitor draws, or corrects, slice by slice."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from brainseg.ui.view import View, scored


def draw_truth(view: View, index: int, plane: np.ndarray) -> View:
    """The view with the truth of one slice drawn by hand: bool, any size of the same shape. One
    that is the given truth again, at that size, is it."""
    slices, height, width = view.shape
    if not 0 <= index < slices:
        raise ValueError(f"There is no slice {index + 1}: the scan has {slices}.")
    if view.truth is None:
        truth = np.zeros((slices, height, -(-width // 8)), np.uint8)
    else:
        truth = view.truth.copy()
    if _is_as_given(view, index, plane):
        truth[index] = view.given_truth[index]
    else:
        plane = plane.astype(np.uint8)
        resized = cv2.resize(plane, (width, height), interpolation=cv2.INTER_NEAREST)
        truth[index] = np.packbits(resized > 0, axis=-1)
    # A truth that came as a file stays the truth of all slices, corrected in one of them.
    drawn = view.drawn | {index} if view.truth is None or view.drawn else frozenset()
    changed = replace(view, truth=truth, drawn=drawn)
    # Nobody draws classes.
    is_given = not (drawn or changed.corrected)
    changed = replace(changed, true_classes=view.given_classes if is_given else None)
    entries = {name: scored(changed, entry) for name, entry in view.entries.items()}
    return replace(changed, entries=entries)


def _is_as_given(view: View, index: int, plane: np.ndarray) -> bool:
    if view.given_truth is None:
        return False
    given = np.unpackbits(view.given_truth[index], axis=-1, count=view.shape[2]) * 255
    # As the browser got it, see ``message``.
    seen = cv2.resize(given, plane.shape[::-1], interpolation=cv2.INTER_AREA) > 127
    return bool((seen == (plane > 0)).all())


def forget_drawing(view: View, index: int) -> View:
    """The view without the truth that the visitor drew on a slice, as if they never had."""
    if index not in view.drawn:
        return view
    drawn = view.drawn - {index}
    if drawn:
        truth = view.truth.copy()
        truth[index] = 0
        changed = replace(view, truth=truth, drawn=drawn)
        entries = {name: scored(changed, entry) for name, entry in view.entries.items()}
    else:
        changed = replace(view, truth=None, drawn=frozenset())
        unknown = {"true_counts": None, "seen_counts": None, "right_at": None}
        entries = {name: replace(entry, **unknown) for name, entry in view.entries.items()}
    return replace(changed, entries=entries)
