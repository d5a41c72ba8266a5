"""The thresholds and temperatures of runs that watch no fold, chosen by what other runs predict for
other patients.

A run that leaves out fold k can't choose its own on fold k, which it is tested on. The runs of the
same recipe that leave out k and one other fold j have seen neither, so what they find on fold j
stands for it. Where these are not there, runs that leave out j alone serve: they had seen fold k,
and that one number passes through them is said in the model card. Where not all of those are there
either, the pairs that are there serve alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from brainseg.checkpoints.card import model_card
from brainseg.checkpoints.folder import (
    CARD,
    METRICS,
    Checkpoint,
    read_checkpoint,
    replace_settings,
)
from brainseg.checkpoints.settings import CheckpointError
from brainseg.config import Config
from brainseg.data.splits import FOLDS
from brainseg.files import write_json, write_text
from brainseg.scans.notes import note
from brainseg.training.planning import finished
from brainseg.training.validation import COUNTS, Choice, best_threshold, read_counts


def settle(configs: Iterable[Config], runs: Path) -> list[Checkpoint]:
    """Choose the thresholds of ``siblings`` that are finished, where the runs it takes are there;
    returns the checkpoints for which the choice is another now.

    Their test scores, which another threshold changes, are taken out of ``metrics.json``.
    """
    found = []
    for config in siblings(configs):
        try:
            found.append(_settle(config, runs))
        except CheckpointError as error:  # the others still get theirs
            note(f"{config.name} without fold {config.test_fold}: no threshold was chosen. {error}")
    return [checkpoint for checkpoint in found if checkpoint]


def siblings(configs: Iterable[Config]) -> list[Config]:
    """Of the recipes of those that watch no fold the five runs that leave out one fold each."""
    kinds = dict.fromkeys(replace(c, left_out=(0,)) for c in configs if not c.watch)
    return [replace(kind, left_out=(fold,)) for kind in kinds for fold in range(FOLDS)]


def _settle(config: Config, runs: Path) -> Checkpoint | None:
    checkpoint = finished(config, config.run_folder(runs))
    if checkpoint is None:
        return None
    (own,) = config.left_out
    others = [fold for fold in range(FOLDS) if fold != own]
    folds = {fold: tuple(sorted((own, fold))) for fold in others}
    pairs = _ready({f: replace(config, left_out=folds[f], watch=False) for f in others}, runs)
    folders, is_unseen = pairs, True
    if len(pairs) < len(others):
        alone = _ready({f: replace(config, left_out=(f,)) for f in others}, runs)
        if len(alone) == len(others):
            folders, is_unseen = alone, False
    if not folders:
        return None
    kept = [read_counts(folder / COUNTS, fold) for fold, folder in folders.items()]
    counts, datasets = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    choice = best_threshold(counts, datasets)
    if math.isnan(choice.dice):  # nobody there has tumour: the stand-in stays
        return None
    return _write(checkpoint, choice, list(folders), is_unseen)


def _ready(others: dict[int, Config], runs: Path) -> dict[int, Path]:
    """The folders, by the fold that they speak for, of those runs that are finished."""
    folders = {fold: config.run_folder(runs) for fold, config in others.items()}
    return {
        fold: folder
        for fold, folder in folders.items()
        if (folder / COUNTS).is_file() and finished(others[fold], folder)
    }


def _write(
    checkpoint: Checkpoint, choice: Choice, folds: list[int], is_unseen: bool
) -> Checkpoint | None:
    """Put a choice into a checkpoint's files; None if it is the one there already."""
    metrics = checkpoint.metrics
    chosen = {"folds": folds, "unseen": is_unseen, **choice.to_json()}
    # Two commands at once may leave scores beside a threshold that is another by now.
    scored_at = (metrics.get("validation") or {}).get("threshold", choice.threshold)
    is_other = {checkpoint.settings.threshold, scored_at} != {choice.threshold}
    if metrics.get("validation") == chosen and not is_other:
        return None
    metrics = {k: v for k, v in metrics.items() if not (is_other and k.startswith("test"))}
    metrics["validation"] = chosen
    settings = replace(checkpoint.settings, threshold=choice.threshold)
    # Scores first: cut short in between, the next time finds the old threshold and goes on.
    write_json(checkpoint.folder / METRICS, metrics, indent=2)
    replace_settings(checkpoint, settings)
    write_text(checkpoint.folder / CARD, model_card(settings, metrics))
    return read_checkpoint(checkpoint.folder)
