"""Every checkpoint and fusion on one scan, side by side."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np

from brainseg.checkpoints.settings import CheckpointError
from brainseg.inference.loading import load_usable
from brainseg.inference.predictor import Predictor, Progress, example_scan, predict_all
from brainseg.inference.results import Comparison, Result
from brainseg.scans.scan import Scan

log = logging.getLogger(__name__)

MANY_SLICES = 32  # a scan of so many runs alone, because of its memory

_one_volume = threading.Semaphore(1)


def volumes_in_turn(scan: Scan) -> AbstractContextManager:
    """Where a scan is predicted: one of many slices waits for the last such one."""
    return _one_volume if len(scan.pixels) >= MANY_SLICES else nullcontext()


def compare(
    scan: Scan,
    truth: np.ndarray | None = None,
    checkpoints: str | Path = "checkpoints",
    *,
    flips: bool = False,
    progress: Progress | None = None,
) -> Comparison:
    """Run every checkpoint and fusion on a scan. ``truth``: bool (slices, height, width).

    Whether it is a brain MRI at all is not asked: ``brainseg.scans.guard.inspect`` tells.

    ``flips`` and ``progress`` as in ``predict_all``. Raises CheckpointError if the folder holds no
    usable checkpoint, ValueError for a truth of another shape.
    """
    predictors, skipped = load_usable(checkpoints)
    options = {"flips": flips, "progress": progress}
    *_, comparison = compare_stream(scan, predictors, truth, skipped=skipped, **options)
    return comparison


def compare_stream(
    scan: Scan,
    predictors: dict[str, Predictor],
    truth: np.ndarray | None = None,
    *,
    skipped: Sequence[str] = (),
    flips: bool = False,
    progress: Progress | None = None,
) -> Iterator[Comparison]:
    """``compare``, as it grows: each comparison has one result more than the one before, so that
    the first mask can be shown while other models run. The last one is complete.

    predictors, skipped: as ``load_usable`` gives them; what happens in their folder meanwhile
    changes nothing.

    Close the iterator to stop between two models; to stop within one, raise from ``progress``.
    Many may run at once, from different threads, except that scans of 32 slices and more run one
    after another, because of their memory: don't take turns on two of them in one thread.
    """
    if truth is not None and truth.shape != scan.pixels.shape[:3]:
        raise ValueError(
            f"truth is {truth.shape}, the scan {scan.pixels.shape[:3]} (slices, height, width): "
            "expected equal."
        )
    results: dict[str, Result] = {}
    with volumes_in_turn(scan):
        for result in predict_all(scan, predictors, flips=flips, progress=progress):
            results[result.name] = result
            yield Comparison(scan, truth, dict(results), tuple(skipped))


def warm_up(checkpoints: str | Path = "checkpoints") -> None:
    """Load all checkpoints, then find the fastest backend of each. For a thread beside the app:
    comparisons that come meanwhile are answered. Raises nothing; what goes wrong is logged."""
    try:
        predictors, _ = load_usable(checkpoints)
        for predictor in predictors.values():
            predictor.tune()
        for _ in predict_all(example_scan(), predictors):  # imports and first passes are slow, too
            pass
    except CheckpointError as error:
        log.warning("nothing is loaded ahead: %s", error)
    except Exception:  # comparisons still work, and say themselves what is wrong
        log.exception("loading ahead failed")
