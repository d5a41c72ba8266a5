"""``python -m brainseg choices``: runs of one checkpoint that differ in a setting, side by side.

They are compared by their Dice on the validation patients, on which choices are made; the test
patients have no part in it.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from brainseg.checkpoints.folder import Checkpoint, find_checkpoints
from brainseg.config import SEMI_SETTINGS
from brainseg.files import markdown_table


def choices(runs: Path) -> dict:
    """``{"rows": [...]}``: the runs of each checkpoint below ``runs``, best first.

    A row has ``checkpoint``, ``kind``, what tells its group from others of this checkpoint (number
    of masks, fold, seed; "" where nothing has to), the ``settings`` in which these runs differ,
    ``validation_dice``, and whether it is ``best``. Runs with a leak, those that watch no fold,
    interrupted ones, and those whose scores are not there are passed over. Raises ValueError if no
    checkpoint has two runs of one fold, seed and number of masks.
    """
    found, _ = find_checkpoints(runs)
    candidates = sorted(filter(_is_a_candidate, found), key=_of_one_kind)
    groups = [list(group) for _, group in groupby(candidates, key=_of_one_kind)]
    groups = [group for group in groups if len(group) > 1]
    rows = []
    for group in groups:
        kind = _kind_text(group[0], [other[0] for other in groups])
        group.sort(key=lambda one: one.validation_dice, reverse=True)
        rows += [_row(checkpoint, kind, group) for checkpoint in group]
    if not rows:
        raise ValueError(
            f"{runs} holds no two runs of one checkpoint, fold, seed and number of masks: train "
            "one of them again with another setting (--stack-inputs, --init-from, --set), with a "
            "--runs of its own below this folder where its name would be the same."
        )
    return {"rows": rows}


def choices_table(found: dict) -> str:
    """What ``choices`` found, as Markdown."""
    rows = []
    for row in found["rows"]:
        dice = f"{row['validation_dice']:.3f}"
        shown = f"**{dice}**" if row["best"] else dice
        rows.append([f"`{row['checkpoint']}`{row['kind']}", settings_text(row["settings"]), shown])
    return markdown_table((None, "setting", "validation Dice"), rows)


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
    dataset = checkpoint.settings.dataset or ""
    return checkpoint.name, dataset, run.left_out, run.seed, run.labelled or 0


def _kind_text(checkpoint: Checkpoint, others: list[Checkpoint]) -> str:
    """``", masks of 8, seed 1"``: number of masks where not all are used, and what the groups of
    one checkpoint differ in."""
    run = checkpoint.settings.run
    told = [f"masks of {run.labelled:g}"] if run.labelled else []
    for name, value in (
        ("data", lambda one: one.settings.dataset or ""),
        ("without", lambda one: "+".join(map(str, one.settings.run.left_out))),
        ("seed", lambda one: one.settings.run.seed),
    ):
        if len({value(one) for one in others if one.name == checkpoint.name}) > 1:
            told.append(f"{name} {value(checkpoint)}")
    return "".join(f", {text}" for text in told)


def _row(checkpoint: Checkpoint, kind: str, group: list[Checkpoint]) -> dict:
    own, *others = (_settings(c) for c in (checkpoint, *group))
    differing = [key for key in own if any(other[key] != own[key] for other in others)]
    if not own["semi"]:  # whose own settings a supervised run does not use
        differing = [key for key in differing if key not in SEMI_SETTINGS]
    return {
        "checkpoint": checkpoint.name,
        "kind": kind,
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
