"""The comparison before there were int8 and slices that no network is asked about: the yardstick
for what these two gain. Like ``plain_comparison`` it is kept for that alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from brainseg.bench.our_comparison import timed
from brainseg.checkpoints.folder import Checkpoint, find_base, find_checkpoints
from brainseg.inference.backends import fastest, opening
from brainseg.inference.backends.names import INT8
from brainseg.inference.predictor import Predictor
from brainseg.scans.preprocessing import Prepared
from brainseg.scans.scan import Scan


class EverySlice(Predictor):
    """Asks its network about every slice."""

    def rows_to_ask(self, prepared: Prepared) -> np.ndarray:
        return np.arange(len(prepared.images))


def make(folder: Path) -> Callable[[Scan], tuple[float, dict[str, np.ndarray], float]]:
    """All checkpoints in a folder, ready to compare, on the fastest backends but int8, as they have
    been measured before: a scan to seconds, masks by name and the most memory held meanwhile."""
    opened: dict[str, EverySlice] = {}

    def once(checkpoint: Checkpoint) -> EverySlice:
        if checkpoint.name not in opened:
            bases = [once(find_base(checkpoint, base)) for base in checkpoint.bases]
            opened[checkpoint.name] = EverySlice(checkpoint, _fastest(checkpoint), bases)
        return opened[checkpoint.name]

    predictors = {checkpoint.name: once(checkpoint) for checkpoint in find_checkpoints(folder)[0]}
    for predictor in predictors.values():
        predictor.read_weights()
    return lambda scan: timed(scan, predictors)


def _fastest(checkpoint: Checkpoint) -> str:
    known = fastest.remembered(checkpoint)
    return known.but(INT8).backend if known else opening.available()[-1]
