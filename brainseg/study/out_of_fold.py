"""Out-of-fold scores: five runs differ in the one fold that they leave out, and each is tested on
its own, so that every patient is scored once, by a run that never saw them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from brainseg.checkpoints.folder import Checkpoint, find_checkpoints
from brainseg.checkpoints.settings import CheckpointError
from brainseg.config import Config
from brainseg.data import notes_of
from brainseg.data.case import CaseRef, DataError
from brainseg.data.splits import FOLDS
from brainseg.inference.fused_models import fusion_members
from brainseg.inference.loading import open_together
from brainseg.inference.predictor import Predictor
from brainseg.inference.results import FUSIONS
from brainseg.models.specs import SINGLES
from brainseg.scans.notes import note as tell
from brainseg.study import score

SELECTION = "out of fold: each patient by the run that had left their fold out"

Runs = dict[str, dict[int, Checkpoint]]
"""By checkpoint name, the run that left out each of the five folds."""


def find_runs(root: str | Path, seed: int = 0) -> tuple[Runs, list[str]]:
    """The names of which all five runs of this seed are below ``root``, finished and readable, and
    why other checkpoints were left out, one sentence each.

    Raises ValueError if there is no such name, if two runs of one leave out the same fold, or if
    its five differ in more than the fold; CheckpointError if ``root`` is no folder.
    """
    found, skipped = find_checkpoints(root)
    alone = [c for c in found if len(c.settings.run.left_out) == 1]  # none of these has a leak
    runs: Runs = {}
    for name, candidates in groupby(alone, key=lambda c: c.name):
        try:
            runs[name] = _five_runs(name, candidates, seed)
        except CheckpointError as error:
            skipped.append(str(error))
    if not runs:
        expected = (
            f"{root} has no five runs of one checkpoint and seed {seed} that leave out one fold "
            "each: train them by train.py --left-out all, or choose another --seed."
        )
        raise ValueError(" ".join([expected, *skipped]))
    return runs, skipped


def evaluate(
    runs: Runs,
    refs: Sequence[CaseRef],
    *,
    slicewise: bool = False,
    observers: Sequence[score.Observer] = (),
) -> list[dict]:
    """One row (see ``score.COLUMNS``) per patient and name, fusions included, each by the runs that
    left out the patient's fold, which is in every row. One fold's runs are in memory at a time.
    slicewise, observers: as of ``score.evaluate``.
    """
    rows, fused = [], set()
    for fold in range(FOLDS):
        if own := score.select_patients(refs, fold=fold):
            try:
                rows += _score_fold(runs, fold, own, slicewise, observers, fused)
            except DataError as error:  # nobody of this fold can be read: the others still count
                tell(str(error))
    if len(fused) > 1:
        tell("Fusions are left out: in some folds they would be of other models than in others.")
        rows = [row for row in rows if row["checkpoint"] not in FUSIONS]
    if refs and not rows:
        raise DataError("No patient can be scored: none could be read.")
    # Where a run has no validation Dice yet, its fold has no weighted fusion: the mean over the
    # other folds' patients could not be compared with the means over all.
    times = Counter(row["checkpoint"] for row in rows)
    return [row for row in rows if times[row["checkpoint"]] == max(times.values())]


def predictor_of(runs: Runs, row: dict) -> Predictor:
    """The predictor, newly opened, that a row of ``evaluate`` is of, which must be no fusion's."""
    name = row["checkpoint"]
    return open_together([runs[name][row["fold"]]])[name]


def note(runs: Runs, dataset: str, refs: Sequence[CaseRef]) -> str:
    """What a reader of these scores must know of the data set and of how thresholds came about, ""
    if nothing."""
    notes, waiting, passed = notes_of(dataset, {ref.patient_id for ref in refs}), [], []
    for name, by_fold in runs.items():
        chosen = {fold: run.metrics.get("validation") for fold, run in by_fold.items()}
        if folds := [str(fold) for fold in chosen if not chosen[fold]]:
            waiting.append(f"{name} (fold {', '.join(folds)})")
        seen = [k for k, choice in chosen.items() if choice and choice.get("unseen") is False]
        if seen:
            passed.append(f"{name} (fold {', '.join(map(str, seen))})")
    by_singles = [name for name, by_fold in runs.items() if _is_by_singles(by_fold)]
    if by_singles:
        notes.append(
            f"{', '.join(by_singles)} was fitted on maps of models that were trained on the "
            "patients scored."
        )
    if waiting:
        notes.append(
            f"No threshold was chosen yet for {', '.join(waiting)}: a stand-in was used there."
        )
    if passed:
        notes.append(
            f"Thresholds (and fusion weights) of {', '.join(passed)} were chosen by runs that had "
            "seen the patients scored."
        )
    return " ".join(notes)


def _is_by_singles(by_fold: dict[int, Checkpoint]) -> bool:
    return any(
        run.settings.is_stack and run.settings.run.stack_maps == SINGLES for run in by_fold.values()
    )


def _five_runs(name: str, candidates: Iterable[Checkpoint], seed: int) -> dict[int, Checkpoint]:
    """One run for each fold. CheckpointError if one is missing or can't be read."""
    by_fold: dict[int, Checkpoint] = {}
    for run in candidates:
        if run.settings.interrupted or run.settings.run.seed != seed:
            continue
        other = by_fold.setdefault(run.settings.fold, run)
        if other is not run:
            raise ValueError(
                f"{other.folder} and {run.folder} are both {name} without fold "
                f"{run.settings.fold}: give --checkpoints a folder that holds only one of them."
            )
    if missing := [str(fold) for fold in range(FOLDS) if fold not in by_fold]:
        raise CheckpointError(
            f"{name} has no finished run of seed {seed} without fold {', '.join(missing)}: train "
            "it by train.py --left-out all."
        )
    by_fold = dict(sorted(by_fold.items()))
    _check_recipe(by_fold)
    for run in by_fold.values():  # a damaged one shall show now, not after hours of scoring
        open_together([run])[name].read_weights()
    return by_fold


def _check_recipe(by_fold: dict[int, Checkpoint]) -> None:
    first, *others = by_fold.values()
    for other in others:
        own, wanted = _recipe(other.settings.run), _recipe(first.settings.run)
        if own != wanted:
            raise ValueError(
                f"{other.folder} was trained otherwise than {first.folder} "
                f"({wanted.differences(own)}): expected runs that differ in the fold left out. "
                "Train one of them again."
            )


def _recipe(run: Config) -> Config:
    # Each fold may have a start of its own, since that must not know the fold either.
    return replace(run, left_out=(0,), init_from=run.init_from and "some weights")


def _score_fold(
    runs: Runs,
    fold: int,
    refs: list[CaseRef],
    slicewise: bool,
    observers: Sequence[score.Observer],
    fused: set[tuple[str, ...]],
) -> list[dict]:
    """In a function of its own, so that predictors and their weights go when it returns. Adds to
    ``fused`` which models are fused."""
    predictors = open_together(by_fold[fold] for by_fold in runs.values())
    fused.add(tuple(fusion_members(predictors)[0]))
    rows = score.evaluate(predictors, refs, slicewise=slicewise, observers=observers)
    return [{**row, "fold": fold} for row in rows]
