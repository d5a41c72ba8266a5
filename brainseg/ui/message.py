"""What of a comparison travels to the browser.

One message tells everything but the pictures, and a few slices; the next ones hold only slices that
the browser asked for. Never a whole volume.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable

import cv2
import numpy as np

from brainseg.ui import words
from brainseg.ui.view import View, decode, encode, report

MAX_SIDE = 768
"""Longest side of a picture that travels; larger ones are shrunk for the page, not for scores."""
MAX_SLICES = 8  # in one message


def whole(view: View, index: int, *, radius: int = 2, **extra) -> dict:
    """The message that shows slice ``index``, from 0: all figures, and the planes around it.

    JSON-ready. ``extra`` goes along as it is, such as ``running`` and ``chosen``.
    """
    slices, height, width = view.shape
    index = int(np.clip(index, 0, slices - 1))
    near = range(max(0, index - radius), min(slices, index + radius + 1))
    top, left, bottom, right = view.frame
    return {
        "id": view.id,
        "source": view.scan.source,
        "slices": slices,
        "height": height,
        "width": width,
        "frame": [left / width, top / height, (right - left) / width, (bottom - top) / height],
        "index": index,
        "start": view.start,
        "spacing": view.scan.spacing_mm,
        "truth": view.truth is not None,
        "truthName": view.truth_name,
        "drawn": sorted(view.drawn),
        "sliceNames": list(view.slice_names),
        "cards": _cards(view),
        "pairs": None if view.pairs is None else [[_null(v) for v in row] for row in view.pairs],
        "apart": None if view.apart is None else view.apart.tolist(),
        "ruler": _ruler(view),
        "planes": {str(i): _planes(view, i) for i in near},
        **extra,
    }


def slices(view: View, wanted: Iterable[int]) -> dict:
    """The message with the planes of the slices that the browser asks for, from 0, the first
    ``MAX_SLICES`` of them that there are."""
    there = [i for i in dict.fromkeys(wanted) if 0 <= i < view.shape[0]]
    return {"id": view.id, "planes": {str(i): _planes(view, i) for i in there[:MAX_SLICES]}}


def _cards(view: View) -> list[dict]:
    figures = report(view)["models"]
    others = sum(kind != "fusion" for _, kind in view.order) - 1
    has_ensemble = any(kind == "ensemble" for _, kind in view.order)
    cards = []
    for name, kind in view.order:
        card = {"name": name, "kind": kind, "ready": name in view.entries}
        card["about"] = words.about(name, has_ensemble)
        if card["ready"]:
            entry = view.entries[name]
            card |= {
                "level": entry.level,
                "threshold": entry.threshold,
                "counts": entry.counts.tolist(),
                "dice": figures[name].get("dice"),
                "agreement": figures[name].get("agreement"),
                "others": others if kind != "fusion" else others + 1,
            }
            if entry.true_counts is not None:
                card |= {
                    "trueCounts": entry.true_counts.tolist(),
                    "seenCounts": entry.seen_counts.tolist(),
                    "truthPixels": int(entry.true_counts.sum()),
                }
        cards.append(card)
    return cards


def _ruler(view: View) -> dict | None:
    """Pixels by slice, at own thresholds: what each entry marks and of that rightly, the truth
    where it is known, and what is disputed. None until all are there."""
    if view.disputed is None or view.shape[0] < 2:
        return None
    known = set(view.known())
    true_at = view.true_at()
    return {
        "disputed": view.disputed.tolist(),
        "truth": None if true_at is None else [
            int(n) if i in known else None for i, n in enumerate(true_at)
        ],
        "marked": {name: entry.marked_at.tolist() for name, entry in view.entries.items()},
        "right": {
            name: entry.right_at.tolist()
            for name, entry in view.entries.items()
            if entry.right_at is not None
        },
    }  # fmt: skip


def _planes(view: View, index: int) -> dict:
    truth = view.truth_plane(index)
    return {
        "image": _url(view.images[index]),
        "truth": None if truth is None else _url(encode(truth.astype(np.uint8) * 255)),
        "maps": {name: _url(entry.maps[index]) for name, entry in view.entries.items()},
    }


def _url(file: bytes) -> str:
    # The pictures travel inside the message: none of a visitor's scan is written to a served file.
    height, width = (int.from_bytes(file[a : a + 4], "big") for a in (20, 16))
    if max(height, width) > MAX_SIDE:
        scale = MAX_SIDE / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        file = encode(cv2.resize(decode(file), size, interpolation=cv2.INTER_AREA))
    return "data:image/png;base64," + base64.b64encode(file).decode()


def _null(value: float) -> float | None:
    return None if value != value else round(float(value), 4)
