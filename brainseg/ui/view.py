"""What one visitor's page keeps of a comparison.

Every slice is kept as small PNG files: the picture, each model's probabilities in 8 bits, and the
truth. What of them travels is ``message``'s to say.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from brainseg.files import finite
from brainseg.inference.results import Result, class_figures
from brainseg.metrics import agreement, overlap
from brainseg.metrics.classes import renumbered
from brainseg.scans import heads, rendering
from brainseg.scans.scan import Scan
from brainseg.ui import words
from brainseg.ui.planes import ShownSequence, decode, encode, sequences_of

MENTIONED = 0.1
"""Pixels less probable than this need not be seen when a slice is cropped to the head."""
Box = tuple[int, int, int, int]


def new_id() -> str:
    """A name that nobody guesses, by which the browser tells one comparison from the next."""
    return secrets.token_hex(8)


@dataclass(frozen=True, eq=False)
class Entry:
    """One model or fusion.

    level: probabilities, in 255ths, above it are tumour; exact at the model's own threshold.
    maps: one grey PNG file for each slice.
    counts: int64 (256,), pixels of the whole scan at each 8-bit probability.
    marked_at: int64 (slices,), pixels it marks in each slice, at its own level.
    box: top, left, bottom, right of all that is more probable than ``MENTIONED``, or None.
    true_counts: ``counts`` among the pixels of the truth; None without a truth, as the next two.
    seen_counts: ``counts``, in the slices whose truth is known.
    right_at: int64 (slices,), those of ``marked_at`` that are in the truth.
    classes: names of the classes it tells apart, () for tumour only; then
    class_maps: one grey PNG file for each slice, the likeliest class from 1, 0 where next to none
        is likely; and class_pixels: int64 (classes,), pixels marked as each, at its own level.
    wrong_class: pixels rightly marked at its own level, but as another class than the truth's; None
        where that has none.
    """

    name: str
    kind: str
    threshold: float
    level: int
    maps: list[bytes]
    counts: np.ndarray
    marked_at: np.ndarray
    box: Box | None = None
    true_counts: np.ndarray | None = None
    seen_counts: np.ndarray | None = None
    right_at: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    class_maps: list[bytes] | None = None
    class_pixels: np.ndarray | None = None
    wrong_class: int | None = None

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
    sequences: its pictures, those to be seen first come first.
    order: name and kind of every entry to come, ensembles first and fusions last.
    about: what each fusion does, by its name.
    truth: bits packed along the width, (slices, height, bytes), or None.
    true_classes: of a truth that tells classes apart one grey PNG file for each slice, 1 and so on
        in the order of class_names; else None.
    drawn: the slices whose truth the visitor drew; empty where a file gave it.
    given_truth, given_classes: ``truth`` and ``true_classes`` as they came with the scan, before
        the visitor corrected them; None without.
    head: top, left, bottom, right of the head in all slices, and of the truth.
    pairs: Dice of each entry with each other in the order of ``order``, when all are there; None
        before, as are apart, disputed and shares.
    apart: the slice in which each entry differs most from each other, -1 where in none.
    disputed: int64 (slices,), pixels that some models mark and others do not.
    shares: of models that mark a pixel, in 255ths, above 127 more than half: one grey PNG file for
        each slice.
    cut: the row of a coronal plane to show first, where most is true or marked.
    start: the slice to show first; sample: its pixels, (height, width, channels), at the end.
    inputs, checkpoints: for the receipt.
    doubts: what speaks against the scan, in a word or two each; is_stopped: so much that it was
        compared only because the visitor insisted.
    not_run: names of those that did not run, because the visitor cancelled.
    slice_names: what the slices are called, where they are no slices of a volume.
    corruption: which one the slices are under, on the Stress page.
    """

    scan: Scan
    sequences: tuple[ShownSequence, ...]
    order: list[tuple[str, str]]
    about: dict[str, str] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    truth: np.ndarray | None = None
    true_classes: list[bytes] | None = None
    class_names: tuple[str, ...] = ()
    drawn: frozenset[int] = frozenset()
    start: int = 0
    head: Box | None = None
    pairs: np.ndarray | None = None
    apart: np.ndarray | None = None
    disputed: np.ndarray | None = None
    shares: list[bytes] | None = None
    cut: int = 0
    sample: np.ndarray | None = None
    skipped: tuple[str, ...] = ()
    inputs: dict = field(default_factory=dict)
    checkpoints: tuple[dict, ...] = ()
    doubts: tuple[str, ...] = ()
    is_stopped: bool = False
    not_run: tuple[str, ...] = ()
    slice_names: tuple[str, ...] = ()
    corruption: str = ""
    given_truth: np.ndarray | None = None
    given_classes: list[bytes] | None = None
    id: str = field(default_factory=new_id)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.scan.pixels.shape[:3]

    @property
    def images(self) -> list[bytes]:
        """The slices of the sequence to be seen first."""
        return self.sequences[0].images

    @property
    def truth_name(self) -> str:
        """The file that the truth is from; "" for one that is computed or drawn."""
        return self.inputs.get("truth", {}).get("file", "")

    @property
    def corrected(self) -> list[int]:
        """The slices, from 0, in which the visitor changed a truth that came with the scan."""
        if self.given_truth is None or self.truth is None or self.drawn:
            return []
        return np.flatnonzero((self.truth != self.given_truth).any(axis=(1, 2))).tolist()

    def truth_plane(self, index: int) -> np.ndarray | None:
        """The truth of one slice, bool (height, width), or None where it is not known."""
        if self.truth is None or (self.drawn and index not in self.drawn):
            return None
        return np.unpackbits(self.truth[index], axis=-1, count=self.shape[2]).astype(bool)

    def true_at(self) -> np.ndarray | None:
        """int64 (slices,), pixels of the truth in each slice; None without a truth."""
        if self.truth is None:
            return None
        return np.array([np.unpackbits(plane).sum(dtype=np.int64) for plane in self.truth])

    @property
    def frame(self) -> Box:
        """What of a slice is worth a look: the head, the truth, and all that is marked."""
        return _around(self.head, *(entry.box for entry in self.entries.values())) or (
            0, 0, *self.shape[1:],
        )  # fmt: skip

    def known(self) -> list[int]:
        """The slices whose truth is known, from 0."""
        return sorted(self.drawn) or list(range(self.shape[0]))

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
    """The view of a scan before any model has run. ``rest``: as in ``View``, but ``true_classes``
    as uint8 (slices, height, width)."""
    sequences, brightest = sequences_of(scan, rest.get("inputs", {}))
    head = heads.box(brightest)
    known = truth is not None and truth.any()
    shape = scan.pixels.shape
    true_classes = rest.pop("true_classes", None)
    packed = None if truth is None else np.packbits(truth, axis=-1)
    classes = None if true_classes is None else [encode(plane) for plane in true_classes]
    return View(
        scan=replace(scan, pixels=np.broadcast_to(scan.pixels.flat[0], shape)),
        sequences=sequences,
        head=_around(head, _box(truth.any(axis=0)) if known else None),
        order=sorted(order, key=lambda item: words.KIND_ORDER.index(item[1])),
        truth=packed,
        true_classes=classes,
        given_truth=packed,
        given_classes=classes,
        start=rendering.largest_slice(truth) if known else shape[0] // 2,
        **rest,
    )


def add(view: View, result: Result) -> View:
    """The view with one more model's result."""
    level = int(np.floor(result.threshold * 255))
    maps, marked_at, counts = [], [], np.zeros(256, np.int64)
    mentioned = np.zeros(view.shape[1:], bool)
    for plane in result.probabilities:
        eight_bit = (plane * 255 + 0.5).astype(np.uint8)
        # Exact at the trained threshold, half a step of 1/255 off elsewhere.
        marked = plane > result.threshold
        mentioned |= plane > MENTIONED
        eight_bit = np.where(marked, eight_bit.clip(level + 1), eight_bit.clip(0, level))
        eight_bit = eight_bit.astype(np.uint8)
        in_slice = np.bincount(eight_bit.ravel(), minlength=256)
        counts += in_slice
        marked_at.append(in_slice[level + 1 :].sum())
        maps.append(encode(eight_bit))
    entry = Entry(
        result.name, result.kind, result.threshold, level, maps, counts,
        np.array(marked_at, np.int64), _box(mentioned),
    )  # fmt: skip
    if result.classes:
        entry = _with_classes(view, entry, result)
    return replace(view, entries={**view.entries, result.name: scored(view, entry)})


def finish(view: View) -> View:
    """The view once all models are there: how far they agree, and where to look first."""
    order = [item for item in view.order if item[0] in view.entries]
    masks = [view.entries[name].mask() for name, _ in order]
    packed = [np.packbits(mask, axis=-1) for mask in masks]
    # By a truth, ``begin`` chose: where its tumour is, or the middle of a head without any. The
    # most votes for a tumour that is not there are often on a blurred slice at the top.
    start = view.start
    if view.truth is None:
        start = rendering.largest_slice(agreement.votes(masks))
    models = [mask for mask, (_, kind) in zip(masks, order, strict=True) if kind != "fusion"]
    models = models or masks
    votes = agreement.votes(models)
    return replace(
        view,
        order=order,
        start=start,
        pairs=agreement.pairwise_dice(packed),
        apart=agreement.most_different(packed),
        disputed=agreement.disputed(votes, len(models)),
        shares=[encode((plane * 255.0 // len(models)).astype(np.uint8)) for plane in votes],
        cut=_cut(view, votes),
    )


def report(view: View, level: int | None = None) -> dict:
    """The figures of a view as ``Comparison.to_json()`` gives them, at each model's own level or
    at one for all; with ``drawn_slices``, from 1, where only those have a truth, and
    ``corrected_slices`` where the visitor changed one that came with the scan."""
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
        if view.pairs is not None and level is None:  # pairs are of own levels
            figures["agreement"] = agreement.mean_agreement(view.pairs, position, models)
        if entry.true_counts is not None:
            figures |= _scores(entry, entry.level if level is None else level)
        if entry.classes and level is None:  # of other levels nobody counted
            figures |= class_figures(entry.classes, entry.class_pixels, view.scan.spacing_mm)
        entries[name] = finite(figures)
    found = {
        "source": view.scan.source,
        "slices": view.shape[0],
        "truth": view.truth is not None,
        "skipped": list(view.skipped),
        "models": {name: entries[name] for name in names if name in entries},
    }
    if view.drawn:
        found["drawn_slices"] = [index + 1 for index in sorted(view.drawn)]
    if view.corrected:
        found["corrected_slices"] = [index + 1 for index in view.corrected]
    return found


def _with_classes(view: View, entry: Entry, result: Result) -> Entry:
    likeliest = (result.class_probabilities.argmax(0) + 1).astype(np.uint8)
    likeliest[result.probabilities <= MENTIONED] = 0
    labels, wrong = result.labels, None
    if view.true_classes is not None:
        planes = np.stack([decode(file) for file in view.true_classes])
        if (truth := renumbered(planes, view.class_names, result.classes)) is not None:
            wrong = int(((labels > 0) & (truth > 0) & (labels != truth)).sum())
    return replace(
        entry,
        classes=result.classes,
        class_maps=[encode(plane) for plane in likeliest],
        class_pixels=np.bincount(labels.ravel(), minlength=len(result.classes) + 1)[1:],
        wrong_class=wrong,
    )


def scored(view: View, entry: Entry) -> Entry:
    """The entry with its counts inside the truth."""
    if view.truth is None:
        return entry
    inside, seen = np.zeros(256, np.int64), np.zeros(256, np.int64)
    right_at = np.zeros(view.shape[0], np.int64)
    for index in view.known():
        plane = entry.plane(index)
        seen += np.bincount(plane.ravel(), minlength=256)
        in_slice = np.bincount(plane[view.truth_plane(index)], minlength=256)
        inside += in_slice
        right_at[index] = in_slice[entry.level + 1 :].sum()
    return replace(entry, true_counts=inside, seen_counts=seen, right_at=right_at)


def _scores(entry: Entry, level: int) -> dict[str, float]:
    tp = int(entry.true_counts[level + 1 :].sum())
    marked, true = int(entry.seen_counts[level + 1 :].sum()), int(entry.true_counts.sum())
    return overlap.scores(overlap.Counts(tp, marked - tp, true - tp))


def _cut(view: View, votes: np.ndarray) -> int:
    """The row with most of the truth, or of the votes (slices, height, width); the middle of the
    head where there is neither."""
    for marks in (view.full_truth(), votes):
        if marks is not None and marks.any():
            return int(marks.sum(axis=(0, 2)).argmax())
    top, _, bottom, _ = view.frame
    return (top + bottom) // 2


def _box(marks: np.ndarray) -> Box | None:
    """The smallest box round what a bool plane marks."""
    left, top, width, height = cv2.boundingRect(marks.astype(np.uint8))
    return (top, left, top + height, left + width) if width else None


def _around(*boxes: Box | None) -> Box | None:
    """The smallest box round several."""
    given = [box for box in boxes if box]
    if not given:
        return None
    top, left, bottom, right = zip(*given, strict=True)
    return min(top), min(left), max(bottom), max(right)
