"""The files that ``python -m brainseg predict`` writes: masks, overlays and scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from brainseg.checkpoints.folder import file_stem
from brainseg.files import replacing, write_json
from brainseg.inference.predictor import Predictor, predict_all
from brainseg.inference.results import Comparison
from brainseg.scans.labels import LABELS, write_labels
from brainseg.scans.masks import mask_suffix, write_mask
from brainseg.scans.rendering import display_volume, in_proportion, largest_slice, overlay
from brainseg.scans.scan import Scan
from brainseg.scans.segments import SUFFIX, TRUTH, can_hold_segments, write_segments


def predict_to_folder(
    scan: Scan,
    truth: np.ndarray | None,
    predictors: dict[str, Predictor],
    out: Path,
    *,
    flips: bool = False,
    findings: Sequence[str] = (),
    skipped: Sequence[str] = (),
) -> dict:
    """Run all predictors and write one mask file each, ``overlay.png`` and ``scores.json``; of
    volumes all masks and the truth in one file too, ``all.seg.nrrd``, for 3D Slicer. The classes of
    a result that has some are in ``<name>-labels`` with the mask's suffix, and of volumes as named
    segments in ``<name>-labels.seg.nrrd``.

    ``findings``: sentences on the scan, by the guard and its reader, to go with the scores;
    ``skipped``: why other checkpoints were left out, likewise. Masks are in the scan's own format
    and geometry; the overlay shows the slice with most tumour. Returns what is in ``scores.json``.
    """
    results = {result.name: result for result in predict_all(scan, predictors, flips=flips)}
    comparison = Comparison(scan, truth, results, tuple(skipped))
    out.mkdir(parents=True, exist_ok=True)
    for name, result in results.items():
        stem = file_stem(name)
        write_mask(result.mask, scan, out / f"{stem}{mask_suffix(scan)}")
        if result.classes:
            suffixes = [mask_suffix(scan), *([SUFFIX] if can_hold_segments(scan) else [])]
            for suffix in suffixes:
                write_labels(result.labels, result.classes, scan, out / f"{stem}{LABELS}{suffix}")
    if can_hold_segments(scan):
        masks = {name: result.mask for name, result in results.items()}
        masks |= {} if truth is None else {TRUTH: truth}
        write_segments(masks.items(), scan, out / f"all{SUFFIX}")
    with replacing(out / "overlay.png") as aside:
        _, data = cv2.imencode(".png", _sheet(comparison)[..., ::-1])
        aside.write_bytes(data.tobytes())
    report = {**comparison.to_json(), "findings": list(findings)}
    write_json(out / "scores.json", report, indent=2)
    return report


def describe(report: dict) -> list[str]:
    """One line per model for the terminal; ``report`` as of ``predict_to_folder``."""
    lines = []
    for name, entry in report["models"].items():
        size = f"{entry['area_px']} px"
        if entry["volume_ml"] is not None:
            size += f", {entry['volume_ml']:.1f} ml"
        if report["truth"]:
            score = entry["dice"]
            told = "no tumour marked, none in truth" if score is None else f"Dice {score:.3f}"
        elif entry["agreement"] is not None:
            told = f"agreement with the other models {entry['agreement']:.3f}"
        else:
            told = "nothing to compare with"
        lines.append(f"  {name}: {size}, {told}{_kind_text(entry)}")
    return lines


def _kind_text(entry: dict) -> str:
    if "tumour_kind" not in entry:
        return ""
    if entry["tumour_kind"] is None:
        return ", kind: can't tell"
    return f", kind: {entry['tumour_kind']}, {entry['tumour_kind_share']:.0%} of what is marked"


def _sheet(comparison: Comparison) -> np.ndarray:
    """All overlays of one slice side by side under their names, uint8 (height, width, 3)."""
    truth = comparison.truth
    votes = np.sum([result.mask for result in comparison.results.values()], axis=0)
    index = largest_slice(truth if truth is not None and truth.any() else votes)
    image = display_volume(comparison.scan)[index]
    tiles = []
    for name, result in comparison.results.items():
        tile = overlay(image, result.mask[index], None if truth is None else truth[index])
        tile = in_proportion(tile, comparison.scan.spacing_mm)
        strip = np.zeros((22, tile.shape[1], 3), np.uint8)
        cv2.putText(strip, name, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255,) * 3, 1, cv2.LINE_AA)
        tiles.append(np.vstack([strip, tile]))
    return np.hstack(tiles)
