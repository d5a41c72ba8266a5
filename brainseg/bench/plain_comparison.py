"""The plain comparison that ours is measured against.

It is what a first version does: PyTorch as it comes (eager, float32, NCHW, its own choice of
threads), one model after another, each preparing the scan for itself, stacks running their bases
again, fusions by SimpleITK. Kept simple on purpose; nobody should use it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from brainseg.checkpoints.folder import Checkpoint, find_base, find_checkpoints, load_module
from brainseg.models.classes import to_probabilities
from brainseg.scans.preprocessing import normalise, prepare, restore
from brainseg.scans.scan import Scan

_BATCH = 16


class Plain:
    """One checkpoint and, for a stack, its own copies of its bases."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.module = load_module(checkpoint)
        self.bases = [Plain(find_base(checkpoint, base)) for base in checkpoint.bases]

    def probabilities(self, planes: np.ndarray) -> np.ndarray:
        """Image planes, float32 (n, 3, size, size), to float32 (n, size, size)."""
        if self.bases:
            planes = np.stack([base.probabilities(planes) for base in self.bases], axis=1)
        with torch.no_grad():
            # Of a network that tells classes apart: that of any of them.
            return to_probabilities(self.module(torch.from_numpy(planes))).sum(1).numpy()

    def predict(self, scan: Scan) -> np.ndarray:
        """Probabilities on the scan's own grid, float32 (slices, height, width)."""
        prepared = prepare(scan.pixels, self.checkpoint.settings.size, scan.spacing_mm)
        parts = []
        for start in range(0, len(scan.pixels), _BATCH):
            part = slice(start, start + _BATCH)
            parts.append(
                self.probabilities(normalise(prepared.images[part], prepared.statistics[part]))
            )
        return restore(np.concatenate(parts), *scan.pixels.shape[1:3], scan.spacing_mm)


def make(folder: Path) -> Callable[[Scan], tuple[float, dict[str, np.ndarray]]]:
    """All checkpoints in a folder, ready to compare: a scan to seconds and masks by name."""
    models = [Plain(checkpoint) for checkpoint in find_checkpoints(folder)[0]]

    def compare(scan: Scan) -> tuple[float, dict[str, np.ndarray]]:
        began = time.perf_counter()
        maps = {model.checkpoint.name: model.predict(scan) for model in models}
        masks = {
            model.checkpoint.name: maps[model.checkpoint.name] > model.checkpoint.settings.threshold
            for model in models
        }
        stacks = [model for model in models if model.bases]
        stack = max(stacks, key=lambda one: one.checkpoint.validation_dice or 0, default=None)
        fused = [base.checkpoint.name for base in stack.bases] if stack else list(maps)
        masks["fusion_mean"] = np.mean([maps[name] for name in fused], axis=0) > 0.5
        masks["fusion_vote"] = np.mean([masks[name] for name in fused], axis=0) > 0.5
        masks["fusion_staple"] = _staple([masks[name] for name in fused]) > 0.5
        singles = [
            maps[model.checkpoint.name]
            for model in models
            if not model.bases and not model.checkpoint.settings.classes
        ]
        masks["fusion_all"] = np.mean(singles, axis=0) > 0.5
        return time.perf_counter() - began, masks

    return compare


def _staple(masks: list[np.ndarray]) -> np.ndarray:
    if not any(mask.any() for mask in masks) or all((mask == masks[0]).all() for mask in masks):
        return masks[0].astype(np.float32)
    images = [sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in masks]
    staple_filter = sitk.STAPLEImageFilter()
    staple_filter.SetForegroundValue(1)
    staple_filter.SetMaximumIterations(500)
    return sitk.GetArrayFromImage(staple_filter.Execute(images))
