"""The section of the study's page on learning from few masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainseg.checkpoints.card_scores import interval_text
from brainseg.files import markdown_table
from brainseg.models.consistency import SEMI
from brainseg.study.choices import choices_table
from brainseg.study.few_labels import ASKED, SUPERVISED, counted, curve, verdict
from brainseg.study.findings import Study
from brainseg.study.score import gap_text

if TYPE_CHECKING:
    from pandas import DataFrame


def few_labels_section(study: Study) -> list[str]:
    """The curve in numbers and the verdict; nothing where its runs were not scored."""
    if study.few_labels.empty:
        return []
    table, tried = counted(study.few_labels), study.few_labels_tried
    points = curve(table)
    headings = (
        None, "patients with masks", "method", "runs", "validation Dice", "mean Dice",
        "95 % interval", "minus supervised", "p (Holm)", "of each pair of runs",
    )  # fmt: skip
    return [
        "## Few masks",
        "What do the masks of a few patients buy, and what do scans without any add? Of "
        f"`{table['dataset'].iloc[0]}` alone, {_patients(table)} to test. All runs of a "
        f"model took equally many steps: {_steps(table)}. Whose masks are used a hash of seed and "
        "patient chooses, so that few lie among many. Semi-supervised runs learn from the other "
        f"training patients' scans too, whose masks they never see{_asked(table, tried)}. "
        "The patients who choose epoch and threshold have masks in every row, which nobody with so "
        "few would set aside.",
        f"**{verdict(points)}** Firm is a difference whose interval lies on one side of 0, with p "
        "below 0.05 after Holm's correction for all differences here, that two or more pairs of "
        "runs show without exception.",
        markdown_table(headings, [_row(point) for point in points]),
        "A patient's Dice is the mean over runs that tested them. Intervals are over patients, and "
        "do not tell how much hangs on whose masks were drawn: the last column does, a little.",
        *study.pictures("few-labels"),
        *(_tried_section(tried) if tried else []),
    ]


def _tried_section(tried: dict) -> list[str]:
    return [
        "What was tried, by Dice on the patients who choose epoch and threshold; those who are "
        "tested had no part in it. What is not named is the same in all rows of one kind, or not "
        "used.",
        choices_table(tried),
    ]


def _asked(table: DataFrame, tried: dict) -> str:
    """How each method asked its students, and whence that is; "" without semi-supervised runs."""
    semi = table[table["method"] != SUPERVISED]
    names: dict[tuple[str, str], list[str]] = {}
    for (method, checkpoint), own in semi.groupby(["method", "checkpoint"], sort=False):
        settings = ", ".join(f"`{key}` {own[key].iloc[0]:g}" for key in ASKED)
        names.setdefault((method, settings), []).append(checkpoint)
    methods = [method for method, _ in names]
    parts = []
    for (method, settings), own in names.items():
        whose = f" of {' and '.join(own)}" if methods.count(method) > 1 else ""
        parts.append(f"{_title(method)}{whose}: {settings}")
    if not parts:
        return ""
    whence = ", but for those tried below" if tried else " that nobody has tuned yet"
    return f" ({'; '.join(parts)}); these settings are first guesses{whence}"


def _row(point: dict) -> list:
    dice, gap = point["dice"], point["gap"]
    asked = point["labelled"]
    number = f"{point['with_masks']:g}"
    cells = [
        f"`{point['checkpoint']}`",
        number if asked == number else f"{asked} ({number})",
        _title(point["method"]),
        point["runs"],
        f"{point['validation_dice']:.3f}",
        f"{dice['mean']:.3f}",
        interval_text(dice),
    ]
    if gap is None:
        return [*cells, None, None, None]
    told = gap_text(gap)
    each = ", ".join(f"{one:+.3f}" for one in gap["each"])
    return [*cells, f"**{told}**" if gap["pays"] else told, f"{gap['p_holm']:.2g}", each]


def _title(method: str) -> str:
    return SEMI[method].title if method in SEMI else method


def _patients(table) -> str:
    """``"15 patients of fold 0"``, of the first fold that each run left out."""
    tested = sorted({left_out.partition("+")[0] for left_out in table["left_out"].astype(str)})
    folds = f"fold{'s' if len(tested) > 1 else ''} {', '.join(tested)}"
    return f"{table['patient'].nunique()} patients of {folds}"


def _steps(table) -> str:
    """``"`unet-bce` 800 of 16 slices with masks at 128 px, ..."``, of each model."""
    told = []
    for checkpoint, own in table.groupby("checkpoint", sort=False):
        steps, batch, size, others = (
            int(own[key].max()) for key in ("steps", "batch", "size", "batch_without_masks")
        )
        beside = f", and semi-supervised {others} without" if others else ""
        told.append(f"`{checkpoint}` {steps} of {batch} slices with masks{beside}, at {size} px")
    return "; ".join(told)
