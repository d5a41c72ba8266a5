"""What a visitor takes home of a comparison, as files."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from brainseg.checkpoints.folder import file_stem
from brainseg.metrics import agreement
from brainseg.scans import rendering, segments
from brainseg.scans.labels import LABELS, write_labels
from brainseg.scans.masks import mask_suffix, write_mask
from brainseg.ui import receipt, view
from brainseg.ui.view import View


def write_files(found: View, folder: Path, index: int, level: int | None = None) -> list[Path]:
    """What a visitor takes home, written to ``folder``: a .zip of masks (of volumes also all in one
    file, for 3D Slicer), overlays and maps, the scores and the receipt.

    index: the slice of the overlays. level: a threshold in 255ths for all, or each model's own.
    """
    figures = view.report(found, level)
    threshold = None if level is None else level / 255
    slip = receipt.make(
        found.inputs,
        found.checkpoints,
        figures,
        threshold,
        doubts=found.doubts,
        anyway=found.is_stopped,
    )
    texts = {
        "scores.csv": receipt.to_csv(figures),
        "receipt.html": receipt.to_html(slip),
        "receipt.json": receipt.to_json(slip),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    pictures = folder / "pictures"
    pictures.mkdir()
    _write_pictures(found, pictures, index, level)
    archive = folder / "brainseg.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(pictures.rglob("*")):
            if path.is_file():
                packed.write(path, path.relative_to(pictures).as_posix())
        for name in texts:
            packed.write(folder / name, name)
    return [archive, *(folder / name for name in texts)]


def _write_pictures(found: View, folder: Path, index: int, level: int | None) -> None:
    masks_folder, overlays = folder / "masks", folder / "overlays"
    masks_folder.mkdir()
    overlays.mkdir()
    suffix = mask_suffix(found.scan)
    image, truth = view.decode(found.images[index]), found.truth_plane(index)
    votes, voters = np.zeros(image.shape, np.uint8), 0
    for name, entry in found.entries.items():
        mask, stem = entry.mask(level), file_stem(name)
        write_mask(mask, found.scan, masks_folder / f"{stem}{suffix}")
        if entry.classes:
            labels = np.where(mask, np.stack([view.decode(f) for f in entry.class_maps]), 0)
            path = masks_folder / f"{stem}{LABELS}{suffix}"
            write_labels(labels.astype(np.uint8), entry.classes, found.scan, path)
        picture = rendering.overlay(image, mask[index], truth)
        (overlays / f"{stem}-slice{index + 1}.png").write_bytes(rendering.png(picture))
        if entry.kind != "fusion":
            votes, voters = votes + mask[index], voters + 1
    if voters > 1:
        share = (votes * (255 / voters) + 0.5).astype(np.uint8)
        bits = (agreement.entropy(votes, voters) * 255 + 0.5).astype(np.uint8)
        (overlays / f"votes-slice{index + 1}.png").write_bytes(view.encode(share))
        (overlays / f"disagreement-slice{index + 1}.png").write_bytes(view.encode(bits))
    if found.truth is not None:
        write_mask(found.full_truth(), found.scan, masks_folder / f"truth{suffix}")
    if segments.can_hold_segments(found.scan):
        path = masks_folder / f"all{segments.SUFFIX}"
        segments.write_segments(_masks(found, level), found.scan, path)


def _masks(found: View, level: int | None) -> Iterator[tuple[str, np.ndarray]]:
    """All masks by name, one at a time, the truth last."""
    for name, entry in found.entries.items():
        yield name, entry.mask(level)
    if found.truth is not None:
        yield segments.TRUTH, found.full_truth()
