"""What of a comparison travels to the browser.

One message tells everything but the pictures, and a few slices; the next ones hold only slices that
the browser asked for. Never a whole volume.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping

import cv2
import numpy as np

from brainseg.scans import rendering
from brainseg.ui import words
from brainseg.ui.planes import across, decode, encode, size_of
from brainseg.ui.view import View, report

MAX_SIDE = 768
"""Longest side of a picture that travels; larger ones are shrunk for the page, not for scores."""
MAX_SLICES = 8  # in one message
MIN_CUT = 8  # slices; fewer are no coronal plane
_SIDES = (("R", "L"), ("A", "P"), ("F", "H"))  # from and towards which the axes of LPS run


def whole(view: View, index: int, *, radius: int = 2, **extra) -> dict:
    """The message that shows slice ``index``, from 0: all figures, and the planes around it.

    JSON-ready. ``extra`` goes along as it is, such as ``running`` and ``chosen``; with ``jump``,
    that of a comparison just finished, goes its coronal plane.
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
        "sides": _sides(view),
        "sequences": [
            {"name": one.name, "low": one.low, "high": one.high} for one in view.sequences
        ],
        "sequence": 0,
        "truth": view.truth is not None,
        "truthName": view.truth_name,
        "drawn": sorted(view.drawn),
        "corrected": view.corrected,
        "sliceNames": list(view.slice_names),
        "cards": _cards(view),
        "isCut": bool(view.not_run),
        "classNames": list(view.class_names) if view.true_classes else [],
        "classColours": [list(colour) for colour in rendering.CLASS_COLOURS],
        "pairs": None if view.pairs is None else [[_null(v) for v in row] for row in view.pairs],
        "apart": None if view.apart is None else view.apart.tolist(),
        "ruler": _ruler(view),
        "cut": view.cut if _has_coronal(view) else None,
        "coronal": coronal(view, view.cut)["coronal"] if extra.get("jump") else None,
        "planes": {str(i): _planes(view, i, 0) for i in near},
        **extra,
    }


def slices(
    view: View, wanted: Iterable[int], pictures: Iterable[int] = (), sequence: int = 0
) -> dict:
    """The message with the slices that the browser asks for, from 0, the first ``MAX_SLICES`` of
    them that there are: all planes of those ``wanted``, and of ``pictures`` the picture alone.

    sequence: of the pictures; the number of one of ``View.sequences``.
    """
    sequence = _sequence(view, sequence)
    of = {**dict.fromkeys(pictures, _picture), **dict.fromkeys(wanted, _planes)}
    there = [i for i in of if 0 <= i < view.shape[0]]
    planes = {str(i): of[i](view, i, sequence) for i in there[:MAX_SLICES]}
    return {"id": view.id, "sequence": sequence, "planes": planes}


def asked(view: View, data: Mapping) -> dict:
    """``slices``, as the data of the viewer's event ask for them."""
    wanted, pictures = ([int(i) for i in data.get(key, ())] for key in ("wanted", "pictures"))
    return slices(view, wanted, pictures, int(data.get("sequence", 0)))


def coronal(view: View, row: int, sequence: int = 0, name: str = "") -> dict:
    """The message with a coronal plane of a finished comparison, through one row of all slices.

    ``image``, ``truth`` and ``map``, each (slices, width) with the first slice, at the feet, on
    top. The map holds the probabilities of the model or fusion called ``name``, or else the share
    of models that mark a pixel, above 127 more than half. None where there is no such plane.
    """
    if not _has_coronal(view):
        return {"id": view.id, "coronal": None}
    row, sequence = int(np.clip(row, 0, view.shape[1] - 1)), _sequence(view, sequence)
    is_known = name in view.entries
    maps = view.entries[name].maps if is_known else view.shares
    truth = view.truth
    if truth is not None:
        truth = np.unpackbits(truth[:, row], axis=-1, count=view.shape[2]) * 255
    plane = {
        "row": row,
        "sequence": sequence,
        "name": name if is_known else "",
        "image": _url(encode(across(view.sequences[sequence].images, row))),
        "map": _url(encode(across(maps, row))),
        "truth": None if truth is None else _url(encode(truth)),
    }
    return {"id": view.id, "coronal": plane}


def _cards(view: View) -> list[dict]:
    figures = report(view)["models"]
    others = sum(kind != "fusion" for _, kind in view.order) - 1
    trained_on = {told["name"]: told["trained_on"] for told in view.checkpoints}
    cards = []
    for name, kind in view.order:
        card = {"name": name, "kind": kind, "ready": name in view.entries}
        card["trained"] = words.trained_on_alone(trained_on.get(name, ""))
        card["about"] = view.about.get(name, "")
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
            if entry.classes:
                card |= {
                    "classes": list(entry.classes),
                    "classPixels": entry.class_pixels.tolist(),
                    "tumourKind": figures[name].get("tumour_kind"),
                    "tumourShare": figures[name].get("tumour_kind_share"),
                    "isKind": "tumour_kind" in figures[name],
                    "wrongClass": entry.wrong_class if view.true_classes else None,
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


def _sides(view: View) -> tuple[str, str] | None:
    """Which side of the patient lies at the left and at the right edge of a slice: "R" and "L" in
    axial ones. None where the file states no place."""
    if view.scan.affine is None:
        return None
    along = view.scan.affine[:3, 0]
    axis = int(np.abs(along).argmax())
    return _SIDES[axis] if along[axis] > 0 else _SIDES[axis][::-1]


def _has_coronal(view: View) -> bool:
    return view.shares is not None and view.shape[0] >= MIN_CUT


def _sequence(view: View, number: int) -> int:
    return number if 0 <= number < len(view.sequences) else 0


def _picture(view: View, index: int, sequence: int) -> dict:
    return {"image": _url(view.sequences[sequence].images[index])}


def _planes(view: View, index: int, sequence: int) -> dict:
    truth = view.truth_plane(index)
    return {
        **_picture(view, index, sequence),
        "truth": None if truth is None else _url(encode(truth.astype(np.uint8) * 255)),
        "maps": {name: _url(entry.maps[index]) for name, entry in view.entries.items()},
        "classes": {
            name: _url(entry.class_maps[index], cv2.INTER_NEAREST)
            for name, entry in view.entries.items()
            if entry.class_maps
        },
        "trueClasses": None
        if view.true_classes is None
        else _url(view.true_classes[index], cv2.INTER_NEAREST),
    }


def _url(file: bytes, how: int = cv2.INTER_AREA) -> str:
    # The pictures travel inside the message: none of a visitor's scan is written to a served file.
    height, width = size_of(file)
    if max(height, width) > MAX_SIDE:
        scale = MAX_SIDE / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        file = encode(cv2.resize(decode(file), size, interpolation=how))
    return "data:image/png;base64," + base64.b64encode(file).decode()


def _null(value: float) -> float | None:
    return None if value != value else round(float(value), 4)
