"""What the page does, without Gradio: files in; a comparison, its view and its cards out.

Nothing here is kept between calls, except the phantoms, which belong to nobody. Importing this
must not import torch: the first page shall not wait for it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from brainseg.checkpoint import CheckpointError, find_checkpoints
from brainseg.data.case import Case, DataError
from brainseg.data.phantom import KINDS, make_example
from brainseg.inference import Comparison, compare
from brainseg.scan import ScanError, read_mask, read_scan
from brainseg.ui import rendering
from brainseg.ui.words import KIND_ORDER, caption

EXAMPLES = KINDS
EXPECTED_ERRORS = (ScanError, CheckpointError, DataError)  # their messages are for the visitor
# A probability map of this many voxels takes 160 MB, and there is one for each model and fusion.
MAX_VOXELS = 40_000_000


@dataclass(frozen=True, eq=False)
class View:
    """What one visitor's page keeps of a comparison: enough to draw any slice of it, no more.

    images: uint8 (slices, height, width).
    masks: by name, ensembles first and fusions last; eight pixels to a byte along the width.
    truth: packed like a mask, or None.
    captions: by name, the figure beside the picture.
    start: index of the slice to show first.
    report: ``Comparison.to_json()``.
    """

    images: np.ndarray
    masks: dict[str, np.ndarray]
    truth: np.ndarray | None
    captions: dict[str, str]
    start: int
    report: dict


@dataclass(frozen=True, eq=False)
class Card:
    """One model's picture of one slice. ``image`` is uint8 (height, width, 3)."""

    name: str
    kind: str
    caption: str
    image: np.ndarray


def compare_files(
    scan_path: str | None, truth_path: str | None, checkpoints: str | Path
) -> Comparison:
    """Compare all checkpoints on a scan file and, where given, the file of its true mask.

    Raises one of ``EXPECTED_ERRORS``, with a sentence for whoever gave the files.
    """
    require_checkpoints(checkpoints)
    if not scan_path:
        raise ScanError("There is no scan yet: choose a file, or try a phantom.")
    scan = read_scan(scan_path)
    voxels = int(np.prod(scan.pixels.shape[:3]))
    if voxels > MAX_VOXELS:
        raise ScanError(
            f"{scan.source} has {voxels:,} voxels, and this page compares up to {MAX_VOXELS:,}. "
            "Crop the scan, or run python -m brainseg predict on it, one model at a time."
        )
    truth = read_mask(truth_path, scan) if truth_path else None
    return compare(scan, truth, checkpoints)


def compare_example(kind: str, checkpoints: str | Path) -> Comparison:
    """Compare all checkpoints on the phantom of a kind, one of ``EXAMPLES``, with its truth."""
    require_checkpoints(checkpoints)
    case = _example(kind)
    return compare(case.scan, case.mask, checkpoints)


def require_checkpoints(folder: str | Path) -> None:
    """Raise CheckpointError, saying what to do, if a folder holds no checkpoint at all."""
    if not Path(folder).is_dir() or find_checkpoints(folder) == ([], []):
        raise CheckpointError(
            f"There is no trained model yet: {folder} holds no checkpoint. Train one (python "
            "train.py --help), or name another folder in the environment variable "
            "BRAINSEG_CHECKPOINTS."
        )


def make_view(comparison: Comparison) -> View:
    """The part of a comparison that a page keeps."""
    report, truth = comparison.to_json(), comparison.truth
    results = sorted(comparison.results.values(), key=lambda r: KIND_ORDER.index(r.kind))
    masks = {result.name: result.mask for result in results}
    marked = truth if truth is not None and truth.any() else sum(masks.values(), np.uint8(0))
    return View(
        images=rendering.display_volume(comparison.scan),
        masks={name: np.packbits(mask, axis=-1) for name, mask in masks.items()},
        truth=None if truth is None else np.packbits(truth, axis=-1),
        captions={name: caption(name, report) for name in masks},
        start=rendering.largest_slice(marked),
        report=report,
    )


def cards(view: View, index: int) -> list[Card]:
    """One card per model and fusion, drawn on slice ``index`` (from 0)."""
    image = view.images[index]

    def plane(packed: np.ndarray) -> np.ndarray:
        mask = np.unpackbits(packed[index], axis=-1, count=image.shape[1]).astype(bool)
        return rendering.enlarge(mask)

    truth = None if view.truth is None else plane(view.truth)
    return [
        Card(
            name,
            view.report["models"][name]["kind"],
            view.captions[name],
            rendering.overlay(rendering.enlarge(image), plane(mask), truth),
        )
        for name, mask in view.masks.items()
    ]


@functools.lru_cache(maxsize=len(KINDS))
def _example(kind: str) -> Case:
    return make_example(kind)
