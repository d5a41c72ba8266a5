"""``python -m brainseg labels``: Dice against the number of patients with masks, supervised and
semi-supervised, by runs of equally many steps (``docs/study/few-labels.toml``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from brainseg.checkpoints.folder import Checkpoint, find_checkpoints
from brainseg.data.case import CaseRef
from brainseg.inference.loading import open_together
from brainseg.metrics.statistics import holm, paired_difference, summarise
from brainseg.study.claims import LEVEL
from brainseg.study.score import evaluate, select_patients

if TYPE_CHECKING:
    from pandas import DataFrame

FEW_LABELS = "few-labels.csv"
# What decides how a semi-supervised run learns, beside its method.
ASKED = ("semi_weight", "semi_ramp", "sure", "strong")
COLUMNS = (
    "dataset", "checkpoint", "method", "labelled", "left_out", "seed", "with_masks",
    "without_masks", "size", "steps", "batch", "batch_without_masks", *ASKED, "validation_dice",
    "patient", "dice",
)  # fmt: skip
_WHOLE = (
    "seed", "with_masks", "without_masks", "size", "steps", "batch", "batch_without_masks",
)  # fmt: skip
# What makes a run another one.
RUN = ["dataset", "checkpoint", "method", "labelled", "left_out", "seed"]
SUPERVISED = "supervised"
ALL = "all"


def score_runs(runs: Path, dataset: str, refs: Sequence[CaseRef]) -> list[dict]:
    """One row (``COLUMNS``) per run below ``runs`` and patient of its test fold.

    The runs are those trained on ``dataset`` alone whose epochs have a set number of steps. A row
    has what was asked for as ``labelled`` ("8", "0.1" or "all"), how many training patients there
    were with masks, and without, the steps taken, the slices of a batch with and without, and the
    settings ``ASKED`` of a semi-supervised run, which a supervised one has none of.

    Raises ValueError if there is none, or if runs of one checkpoint took unequal numbers of steps.
    """
    found, _ = find_checkpoints(runs)
    found = [one for one in found if _is_of_the_curve(one, dataset)]
    if not found:
        raise ValueError(
            f"{runs} holds no finished run on {dataset} with steps_per_epoch: train those of "
            "docs/study/few-labels.toml there."
        )
    _check_steps(found)
    rows = []
    for checkpoint in found:
        own = select_patients(refs, fold=checkpoint.settings.fold)
        scores = evaluate(open_together([checkpoint]), own, distances=False)
        about = _about(checkpoint)
        rows += [{**about, "patient": row["patient"], "dice": row["dice"]} for row in scores]
    return rows


def joined(earlier: DataFrame, rows: Sequence[dict]) -> DataFrame:
    """Rows of ``score_runs``, and of an earlier table those of other runs, in the order of runs, so
    that a curve can be trained bit by bit and anywhere.

    Raises ValueError if runs would be of several data sets, those of one checkpoint differ in size,
    steps or batch, or those of one method in the slices of a batch without masks or in a setting of
    ``ASKED``.
    """
    import pandas as pd

    table = pd.DataFrame(rows, columns=COLUMNS)
    if not earlier.empty:
        is_again = pd.MultiIndex.from_frame(earlier[RUN]).isin(
            pd.MultiIndex.from_frame(table[RUN].astype({"seed": float}))
        )
        table = pd.concat([earlier[~is_again], table])
    _check_alike(table, "The table", ("dataset",))
    for checkpoint, own in table.groupby("checkpoint"):
        _check_alike(own, checkpoint, ("size", "steps", "batch"))
        for method, taught in own[own["method"] != SUPERVISED].groupby("method"):
            _check_alike(taught, f"{checkpoint} by {method}", ("batch_without_masks", *ASKED))
    table = table.astype(dict.fromkeys(_WHOLE, int))  # else long ones would be written rounded
    return table.sort_values(RUN, kind="stable", ignore_index=True)


def _check_alike(table: DataFrame, whose: str, keys: Sequence[str]) -> None:
    for key in keys:
        if len(found := sorted(set(table[key]))) > 1:
            told = (one if isinstance(one, str) else f"{one:g}" for one in found)
            raise ValueError(
                f"{whose} has runs of {' and '.join(told)} ({key}), "
                "those of the table's earlier rows included: expected one. Give another --out, or "
                "delete those rows to begin anew."
            )


def curve(table: DataFrame) -> list[dict]:
    """The points of the curve: one per checkpoint, number with masks and method, in that order,
    supervised first.

    table: rows of ``score_runs``. All points are of the same patients: they are those of the fold
    and seed with most of them, and other folds and seeds count if they have all of these. A point
    has ``checkpoint``, ``labelled``, ``method``, ``with_masks`` and ``validation_dice`` (means over
    runs), ``runs`` and ``dice``, a ``summarise`` over patients of each one's mean over runs. A
    semi-supervised one has ``gap``: its ``paired_difference`` from the supervised runs of the same
    folds and seeds, ``p_holm`` over all gaps, ``each``, the mean difference of each pair of runs,
    and whether it ``pays``: the interval above 0, ``p_holm`` below 0.05, and two or more pairs of
    runs, none of them against it; or ``costs``: the same below 0.
    """
    points = []
    for checkpoint, own in counted(table).groupby("checkpoint", sort=False):
        sizes = own.groupby("labelled")["with_masks"].mean().sort_values()
        for labelled, with_masks in sizes.items():
            here = own[own["labelled"] == labelled]
            supervised = here[here["method"] == SUPERVISED]
            for method in sorted(set(here["method"]), key=lambda name: (name != SUPERVISED, name)):
                those = here[here["method"] == method]
                points.append(
                    {
                        "checkpoint": checkpoint,
                        "labelled": labelled,
                        "method": method,
                        "with_masks": float(with_masks),
                        "runs": those["run"].nunique(),
                        "dice": summarise(_by_patient(those).to_numpy()),
                        "validation_dice": float(
                            those.groupby("run")["validation_dice"].first().mean()
                        ),
                        "gap": None if method == SUPERVISED else _gap(those, supervised),
                    }
                )
    gaps = [point["gap"] for point in points if point["gap"]]
    for gap, p_holm in zip(gaps, holm([gap["p"] for gap in gaps]), strict=True):
        gap["p_holm"] = p_holm
        is_firm = p_holm < LEVEL and len(gap["each"]) > 1  # one pair of trainings is chance
        gap["pays"] = bool(is_firm and gap["low"] > 0 and min(gap["each"]) > 0)
        gap["costs"] = bool(is_firm and gap["high"] < 0 and max(gap["each"]) < 0)
    return points


def counted(table: DataFrame) -> DataFrame:
    """Of rows, of one run at least, those that ``curve`` counts."""
    import pandas as pd

    return pd.concat([_complete(own) for _, own in table.groupby("checkpoint", sort=False)])


def with_runs(table: DataFrame) -> DataFrame:
    """The table with a column ``run``, fold and seed in one word, by which runs are paired."""
    if table.empty:
        return table
    seeds = table["seed"].astype(int).astype(str)
    return table.assign(run=table["left_out"] + " seed " + seeds)


def verdict(points: Sequence[dict]) -> str:
    """When it pays to learn from scans without masks, in a sentence or two, by the rule above."""
    gaps = [point for point in points if point["gap"]]
    if not gaps:
        return "No semi-supervised run was scored yet."
    told = []
    learning = "Learning from scans without masks"
    for key, words in (("pays", "pays with"), ("costs", "costs Dice with")):
        if own := [_named(point) for point in gaps if point["gap"][key]]:
            told.append(f"{learning} {words} {', '.join(own)}.")
    rest = sum(not (point["gap"]["pays"] or point["gap"]["costs"]) for point in gaps)
    if not told:
        return f"It does not pay here: none of {rest} differences is firm."
    return " ".join([*told, f"The other {rest} differences are not firm."] if rest else told)


def _named(point: dict) -> str:
    number = f"{point['with_masks']:.0f}"
    pairs = len(point["gap"]["each"])
    runs = "one pair of runs" if pairs == 1 else f"{pairs} pairs of runs"
    return f"masks of {number} patients (`{point['checkpoint']}`, {point['method']}, {runs})"


def _complete(own: DataFrame) -> DataFrame:
    """Of one checkpoint's rows those of folds and seeds that have all points."""
    points = own["labelled"].astype(str) + " " + own["method"]
    of_run = points.groupby(own["run"]).agg(frozenset)
    most = max(of_run, key=lambda some: (len(some), sum(some <= other for other in of_run)))
    runs = of_run.index[[most <= there for there in of_run]]
    return own[own["run"].isin(runs) & points.isin(most)]


def _by_patient(own: DataFrame):
    """Each patient's mean Dice over the runs that they were tested by."""
    return own.groupby("patient")["dice"].mean()


def _gap(those: DataFrame, supervised: DataFrame) -> dict:
    shared = [run for run in those["run"].unique() if run in set(supervised["run"])]
    keys = ["run", "patient"]
    pairs = those[those["run"].isin(shared)].merge(supervised, on=keys, suffixes=("", "_without"))
    means = pairs.groupby("patient")[["dice", "dice_without"]].mean()
    runs = pairs.groupby("run")[["dice", "dice_without"]].mean()
    found = paired_difference(means["dice"].to_numpy(), means["dice_without"].to_numpy())
    return {**found, "each": (runs["dice"] - runs["dice_without"]).tolist()}


def _is_of_the_curve(checkpoint: Checkpoint, dataset: str) -> bool:
    settings, run = checkpoint.settings, checkpoint.settings.run
    is_whole = not settings.interrupted and bool(checkpoint.metrics.get("validation"))
    # Other scans, or another start, would be another question.
    is_plain = not (run.unlabelled or run.init_from or run.leak)
    return is_whole and is_plain and run.dataset == dataset and bool(run.steps_per_epoch)


def _check_steps(found: Sequence[Checkpoint]) -> None:
    first: dict[str, Checkpoint] = {}
    twice: dict[tuple, Checkpoint] = {}
    for one in found:
        run = one.settings.run
        same = twice.setdefault((one.name, run.semi, run.labelled, run.left_out, run.seed), one)
        if same is not one:
            raise ValueError(
                f"{one.folder} and {same.folder} are of one method, number of masks, fold and "
                "seed: give --runs a folder that holds one of them."
            )
        other = first.setdefault(one.name, one)
        if _steps(one) != _steps(other):
            raise ValueError(
                f"{one.folder} took {_steps(one)} steps and {other.folder} {_steps(other)}: "
                "expected equally many in all runs of a checkpoint. Train one of them again, or "
                "give --runs a folder of those that belong together."
            )


def _steps(checkpoint: Checkpoint) -> int:
    settings = checkpoint.settings
    return (settings.epochs_done or 0) * settings.run.steps_per_epoch


def _about(checkpoint: Checkpoint) -> dict:
    settings, run = checkpoint.settings, checkpoint.settings.run
    return {
        "dataset": run.dataset,
        "checkpoint": checkpoint.name,
        "method": run.semi or SUPERVISED,
        "labelled": f"{run.labelled:g}" if run.labelled else ALL,
        "left_out": "+".join(map(str, run.left_out)),
        "seed": run.seed,
        "with_masks": settings.patients["train"],
        "without_masks": settings.patients.get("unlabelled", 0),
        "size": run.size,
        "steps": _steps(checkpoint),
        "batch": run.batch_size,
        "batch_without_masks": run.unlabelled_slices if run.semi else 0,
        **{key: getattr(run, key) if run.semi else None for key in ASKED},
        "validation_dice": checkpoint.metrics["validation"]["mean_dice"],
    }
