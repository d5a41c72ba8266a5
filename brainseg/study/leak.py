"""``python -m brainseg leak``: what a mistake in the split makes a model believe of itself.

For each run that was made with ``train.py --leak`` and its honest twin: the Dice on what it took
for unseen (its validation slices) and the Dice on test patients, whom neither has seen.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from brainseg.checkpoints.folder import Checkpoint, find_checkpoints, read_checkpoint
from brainseg.checkpoints.settings import CheckpointError
from brainseg.config import LEAKS

MISTAKES = {None: "split by patient, fitted out of fold", **LEAKS}


def leak_meter(runs: Path) -> dict:
    """``{"rows": [...]}``: one row per run, each mistake after its honest twin.

    A row has ``checkpoint``, ``what`` was done, ``believed`` and ``true`` mean Dice, and the 95 %
    interval ``low``, ``high`` of the latter.

    Raises ValueError if no run below ``runs`` was made with ``--leak``, CheckpointError if a twin
    or a run's test scores are missing, if a twin differs in more than the mistake, or if one of the
    two was interrupted.
    """
    found, _ = find_checkpoints(runs)
    rows = []
    for leaking in (c for c in found if c.settings.run.leak):
        rows += [_row(_honest_twin(leaking, runs)), _row(leaking)]
    if not rows:
        raise ValueError(f"{runs} holds no run with a leak: make one with train.py --leak.")
    return {"rows": rows}


def _honest_twin(leaking: Checkpoint, runs: Path) -> Checkpoint:
    expected = replace(leaking.settings.run, leak=None)
    twin = read_checkpoint(expected.run_folder(runs))
    if differing := expected.differences(twin.settings.run):
        raise CheckpointError(
            f"{twin.folder} differs from {leaking.folder} in more than the mistake ({differing}): "
            "train it with --overwrite by the same train.py command without --leak."
        )
    for one in (twin, leaking):
        if one.settings.interrupted:
            raise CheckpointError(
                f"{one.folder} was interrupted: let its training end, by the same train.py command "
                "with --resume."
            )
    return twin


def _row(checkpoint: Checkpoint) -> dict:
    metrics = checkpoint.metrics
    if "dice" not in metrics.get("test", {}):
        raise CheckpointError(
            f"{checkpoint.folder} was not scored on test patients: run the same train.py command "
            "again, without --no-test, with patients in the fold that is left out."
        )
    validation, test = metrics["validation"], metrics["test"]["dice"]
    first = checkpoint.settings.run.datasets[0]  # of several data sets the one under "test"
    return {
        "checkpoint": checkpoint.name,
        "what": MISTAKES[checkpoint.settings.run.leak],
        "believed": validation.get("by_dataset", {}).get(first, validation["mean_dice"]),
        "true": test["mean"],
        "low": test["low"],
        "high": test["high"],
    }
