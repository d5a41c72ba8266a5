"""``python -m brainseg choices``: runs of one checkpoint that differ in a setting, side by side.

They are compared by their Dice on the validation patients, on which choices are made; the test
patients have no part in it.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from brainseg.checkpoints.folder import Checkpoint, find_checkpoints


def choices(runs: Path) -> dict:
    """``{"rows": [...]}``: the runs of each checkpoint below ``runs``, best first.

    A row has ``checkpoint``, the ``settings`` in which these runs differ, ``validation_dice``, and
    whether it is ``best``. Runs with a leak, those that watch no fold, interrupted ones, and those
    whose scores are not there are passed over. Raises ValueError if no checkpoint has two runs of
    one fold and seed.
    """
    found, _ = find_checkpoints(runs)
    rows = []
    candidates = sorted(filter(_is_a_candidate, found), key=_of_one_kind)
    for _, group in groupby(candidates, key=_of_one_kind):
        group = sorted(group, key=lambda one: one.validation_dice, reverse=True)
        if len(group) > 1:
            rows += [_row(checkpoint, group) for checkpoint in group]
    if not rows:
        raise ValueError(
            f"{runs} holds no two runs of one checkpoint, fold and seed: train one of them again "
            "with another --stack-inputs or --init-from."
        )
    return {"rows": rows}


def settings_text(settings: dict) -> str:
    """``"stack_inputs predictions, init_from none"``."""
    values = {key: "none" if value is None else value for key, value in settings.items()}
    return ", ".join(f"{key} {value}" for key, value in values.items())


def _is_a_candidate(checkpoint: Checkpoint) -> bool:
    run = checkpoint.settings.run
    whole = run.watch and not run.leak and not checkpoint.settings.interrupted
    return whole and checkpoint.validation_dice is not None


def _of_one_kind(checkpoint: Checkpoint) -> tuple:
    run = checkpoint.settings.run
    return checkpoint.name, checkpoint.settings.dataset or "", run.left_out, run.seed


def _row(checkpoint: Checkpoint, group: list[Checkpoint]) -> dict:
    own, *others = (_settings(c) for c in (checkpoint, *group))
    differing = [key for key in own if any(other[key] != own[key] for other in others)]
    return {
        "checkpoint": checkpoint.name,
        "settings": {key: own[key] for key in differing},
        "validation_dice": checkpoint.validation_dice,
        "best": checkpoint is group[0],
    }


def _settings(checkpoint: Checkpoint) -> dict:
    """A run's settings, its start by name where that is known."""
    settings = checkpoint.settings.run.to_json()
    if sha256 := settings["init_from"]:
        known = checkpoint.settings.started_from
        settings["init_from"] = f"{known.name} after {known.epochs}" if known else sha256[:8]
    return settings
