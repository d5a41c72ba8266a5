"""What one visitor's page keeps of a comparison, and what of it travels to the browser.

Every slice is kept as small PNG files: the picture, each model's probabilities in 8 bits, and the
truth. A message to the browser holds those of the slice shown and its neighbours, never a volume.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from brainseg.inference.results import Result
from brainseg.metrics import agreement, overlap
from brainseg.scans import rendering
from brainseg.scans.scan import Scan
from brainseg.ui import words

MAX_SIDE = 768
"""Longest side of a picture that travels; larger ones are shrunk for the page, not for scores."""


def new_id() -> str:
    """A name that nobody guesses, by which the browser tells one comparison from the next."""
    return secrets.token_hex(8)


@dataclass(frozen=True, eq=False)
class Entry:
    """One model or fusion.

    level: probabilities, in 255ths, above it are tumour; exact at the model's own threshold.
    maps: one grey PNG file for each slice.
    counts: int64 (256,), pixels of the whole scan at each 8-bit probability.
    true_counts: the same among the pixels of the truth; None without a truth.
    seen_counts: ``counts``, in the slices whose truth is known.
    """

    name: str
    kind: str
    threshold: float
    level: int
    maps: list[bytes]
    counts: np.ndarray
    true_counts: np.ndarray | None = None
    seen_counts: np.ndarray | None = None

    def plane(self, index: int) -> np.ndarray:
        """Probabilities of one slice in 255ths, uint8 (height, width)."""
        return decode(self.maps[index])

    def mask(self, level: int | None = None) -> np.ndarray:
        """bool (slices, height, width), above a level or the model's own."""
        level = self.level if level is None else level
        return np.stack([decode(file) > level for file in self.maps])

    def marked(self, level: int | None = None) -> int:
        return int(self.counts[(self.level if level is None else level) + 1 :].sum())


@dataclass(frozen=True, eq=False)
class View:
    """One comparison of one visitor.

    scan: its geometry; the pixels are gone, only their shape is left.
    order: name and kind of every entry to come, ensembles first and fusions last.
    truth: bits packed along the width, (slices, height, bytes), or None.
    drawn: the slices whose truth the visitor drew; empty where a file gave it.
    pairs: Dice of each entry with each other in the order of ``order``, when all are there.
    start: the slice to show first; sample: its pixels, (height, width, channels), at the end.
    inputs, checkpoints: for the receipt.
    doubts: what speaks against the scan, in a word or two each; is_stopped: so much that it was
        compared only because the visitor insisted.
    not_run: names of those that did not run, because the visitor cancelled.
    slice_names: what the slices are called, where they are no slices of a volume.
    """

    scan: Scan
    images: list[bytes]
    order: list[tuple[str, str]]
    entries: dict[str, Entry] = field(default_factory=dict)
    truth: np.ndarray | None = None
    drawn: frozenset[int] = frozenset()
    start: int = 0
    pairs: np.ndarray | None = None
    sample: np.ndarray | None = None
    skipped: tuple[str, ...] = ()
    inputs: dict = field(default_factory=dict)
    checkpoints: tuple[dict, ...] = ()
    doubts: tuple[str, ...] = ()
    is_stopped: bool = False
    not_run: tuple[str, ...] = ()
    slice_names: tuple[str, ...] = ()
    id: str = field(default_factory=new_id)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.scan.pixels.shape[:3]

    @property
    def truth_name(self) -> str:
        """The file that the truth is from; "" for one that is computed or drawn."""
        return self.inputs.get("truth", {}).get("file", "")

    def truth_plane(self, index: int) -> np.ndarray | None:
        """The truth of one slice, bool (height, width), or None where it is not known."""
        if self.truth is None or (self.drawn and index not in self.drawn):
            return None
        return np.unpackbits(self.truth[index], axis=-1, count=self.shape[2]).astype(bool)

    def full_truth(self) -> np.ndarray | None:
        if self.truth is None:
            return None
        return np.unpackbits(self.truth, axis=-1, count=self.shape[2]).astype(bool)


def begin(
    scan: Scan,
    truth: np.ndarray | None,
    order: Sequence[tuple[str, str]],
    **rest,
) -> View:
    """The view of a scan before any model has run."""
    images = [encode(plane) for plane in rendering.display_volume(scan)]
    known = truth is not None and truth.any()
    shape = scan.pixels.shape
    return View(
        scan=replace(scan, pixels=np.broadcast_to(scan.pixels.flat[0], shape)),
        images=images,
        order=sorted(order, key=lambda item: words.KIND_ORDER.index(item[1])),
        truth=None if truth is None else np.packbits(truth, axis=-1),
        start=rendering.largest_slice(truth) if known else shape[0] // 2,
        **rest,
    )


def add(view: View, result: Result) -> View:
    """The view with one more model's result."""
    level = int(np.floor(result.threshold * 255))
    maps, counts = [], np.zeros(256, np.int64)
    for plane in result.probabilities:
        eight_bit = (plane * 255 + 0.5).astype(np.uint8)
        # Exact at the trained threshold, half a step of 1/255 off elsewhere.
        marked = plane > result.threshold
        eight_bit = np.where(marked, eight_bit.clip(level + 1), eight_bit.clip(0, level))
        eight_bit = eight_bit.astype(np.uint8)
        counts += np.bincount(eight_bit.ravel(), minlength=256)
        maps.append(encode(eight_bit))
    entry = Entry(result.name, result.kind, result.threshold, level, maps, counts)
    return replace(view, entries={**view.entries, result.name: _scored(view, entry)})


def finish(view: View) -> View:
    """The view once all models are there: how far they agree, and where to look first."""
    order = [item for item in view.order if item[0] in view.entries]
    masks = [view.entries[name].mask() for name, _ in order]
    pairs = agreement.pairwise_dice([np.packbits(mask, axis=-1) for mask in masks])
    # By a truth, ``begin`` chose: where its tumour is, or the middle of a head without any. The
    # most votes for a tumour that is not there are often on a blurred slice at the top.
    start = view.start
    if view.truth is None:
        start = rendering.largest_slice(agreement.votes(masks))
    return replace(view, order=order, pairs=pairs, start=start)


def draw_truth(view: View, index: int, plane: np.ndarray) -> View:
    """The view with the truth of one slice drawn by hand: bool, any size of the same shape."""
    slices, height, width = view.shape
    if not 0 <= index < slices:
        raise ValueError(f"There is no slice {index + 1}: the scan has {slices}.")
    resized = cv2.resize(plane.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    if view.truth is None:
        truth = np.zeros((slices, height, -(-width // 8)), np.uint8)
    else:
        truth = view.truth.copy()
    truth[index] = np.packbits(resized > 0, axis=-1)
    # A truth that came as a file stays the truth of all slices, corrected in one of them.
    drawn = view.drawn | {index} if view.truth is None or view.drawn else frozenset()
    changed = replace(view, truth=truth, drawn=drawn)
    entries = {name: _scored(changed, entry) for name, entry in view.entries.items()}
    return replace(changed, entries=entries)


def report(view: View, level: int | None = None) -> dict:
    """The figures of a view as ``Comparison.to_json()`` gives them, at each model's own level or
    at one for all; with ``drawn_slices``, from 1, where only those have a truth."""
    names = [name for name, _ in view.order]
    models = [i for i, (_, kind) in enumerate(view.order) if kind != "fusion"]
    entries = {}
    for position, (name, kind) in enumerate(view.order):
        if name not in view.entries:
            continue
        entry = view.entries[name]
        area = entry.marked(level)
        volume = overlap.volume_ml(np.ones(1, bool), view.scan.spacing_mm) * area
        figures = {
            "kind": kind,
            "threshold": entry.threshold if level is None else level / 255,
            "area_px": area,
            "volume_ml": volume,
        }
        if view.pairs is not None:
            figures["agreement"] = agreement.mean_agreement(view.pairs, position, models)
        if entry.true_counts is not None:
            figures |= _scores(entry, entry.level if level is None else level)
        entries[name] = {key: None if value != value else value for key, value in figures.items()}
    found = {
        "source": view.scan.source,
        "slices": view.shape[0],
        "truth": view.truth is not None,
        "skipped": list(view.skipped),
        "models": {name: entries[name] for name in names if name in entries},
    }
    if view.drawn:
        found["drawn_slices"] = [index + 1 for index in sorted(view.drawn)]
    return found


def payload(view: View, index: int, *, radius: int = 2, **extra) -> dict:
    """The message that shows slice ``index``, from 0: figures, and the planes around it.

    JSON-ready. ``extra`` goes along as it is, such as ``running`` and ``chosen``.
    """
    slices, height, width = view.shape
    index = int(np.clip(index, 0, slices - 1))
    figures = report(view)
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
                "agreement": figures["models"][name].get("agreement"),
                "others": others if kind != "fusion" else others + 1,
            }
            if entry.true_counts is not None:
                card |= {
                    "trueCounts": entry.true_counts.tolist(),
                    "seenCounts": entry.seen_counts.tolist(),
                    "truthPixels": int(entry.true_counts.sum()),
                }
        cards.append(card)
    near = range(max(0, index - radius), min(slices, index + radius + 1))
    return {
        "id": view.id,
        "source": view.scan.source,
        "slices": slices,
        "height": height,
        "width": width,
        "index": index,
        "start": view.start,
        "spacing": view.scan.spacing_mm,
        "truth": view.truth is not None,
        "truthName": view.truth_name,
        "drawn": sorted(view.drawn),
        "sliceNames": list(view.slice_names),
        "cards": cards,
        "pairs": None if view.pairs is None else [[_null(v) for v in row] for row in view.pairs],
        "planes": {str(i): _planes(view, i) for i in near},
        **extra,
    }


def encode(plane: np.ndarray) -> bytes:
    """A grey PNG file of uint8 (height, width)."""
    return cv2.imencode(".png", plane, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].tobytes()


def decode(file: bytes) -> np.ndarray:
    """The uint8 (height, width) of a grey PNG file."""
    return cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_GRAYSCALE)


def _scored(view: View, entry: Entry) -> Entry:
    """The entry with its counts inside the truth."""
    if view.truth is None:
        return entry
    inside, seen = np.zeros(256, np.int64), np.zeros(256, np.int64)
    for index in sorted(view.drawn) or range(view.shape[0]):
        plane = entry.plane(index)
        seen += np.bincount(plane.ravel(), minlength=256)
        inside += np.bincount(plane[view.truth_plane(index)], minlength=256)
    return replace(entry, true_counts=inside, seen_counts=seen)


def _scores(entry: Entry, level: int) -> dict[str, float]:
    tp = int(entry.true_counts[level + 1 :].sum())
    marked, true = int(entry.seen_counts[level + 1 :].sum()), int(entry.true_counts.sum())
    counts = overlap.Counts(tp, marked - tp, true - tp)
    return {
        "dice": overlap.dice(counts),
        "iou": overlap.iou(counts),
        "precision": overlap.precision(counts),
        "recall": overlap.recall(counts),
    }


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
