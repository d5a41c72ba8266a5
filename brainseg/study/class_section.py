"""The section of the study's page on classes, where models tell some apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainseg.files import markdown_table
from brainseg.metrics.classes import confusion, macro_recall
from brainseg.metrics.statistics import summarise
from brainseg.study.findings import Study
from brainseg.study.score import interval_text

if TYPE_CHECKING:
    from pandas import DataFrame


def classes_section(study: Study) -> list[str]:
    """Dice per class, and of which kind patients were taken to be; nothing without classes."""
    if study.per_class.empty:
        return []
    parts = [
        "## Classes",
        "Dice of each class, per patient over the whole volume. A patient without it in whom none "
        "was marked has no Dice, and is counted as undefined.",
    ]
    for dataset, table in study.per_class.groupby("dataset", sort=False):
        parts += [f"On `{dataset}`:", _dice_table(table)]
        kinds = study.kinds
        if not kinds.empty:
            own = kinds[(kinds["dataset"] == dataset) & kinds["slice"].isna()]
            parts += _kinds(own, list(table["class"].unique()))
    return parts


def _dice_table(table: DataFrame) -> str:
    rows = []
    for (name, one), own in table.groupby(["checkpoint", "class"], sort=False):
        dice = summarise(own["dice"].to_numpy())
        rows.append([f"`{name}`", one, *_cells(dice), dice["patients"], dice["undefined"]])
    headings = (None, "class", "mean Dice", "95 % interval", "patients", "undefined")
    return markdown_table(headings, rows)


def _kinds(patients: DataFrame, classes: list[str]) -> list[str]:
    """How often the kind is right, and what was taken for what.

    patients: one row per checkpoint and patient.
    """
    number_of = {name: number for number, name in enumerate(classes, start=1)}
    shares, taken_for = [], []
    for name, own in patients.groupby("checkpoint", sort=False):
        true, found = (
            [number_of.get(kind) for kind in own[column]]
            for column in ("true_kind", "predicted_kind")
        )
        right = macro_recall(true, found)
        shares.append([f"`{name}`", *_cells(right), right["patients"]])
        table = confusion(true, found, len(classes))
        taken_for += [[f"`{name}`", one, *row] for one, row in zip(classes, table, strict=True)]
    if not shares:
        return []
    return [
        "A patient is taken to be of the kind with most of the marked pixels. Kind right, macro: "
        "the share of patients in each kind of whom that is right, then the mean over kinds. "
        "Patients without tumour are left out.",
        markdown_table((None, "kind right, macro", "95 % interval", "patients"), shares),
        "Patients of each kind (rows) by what they were taken for (columns); none: nothing was "
        "marked.",
        markdown_table((None, "kind", *classes, "none"), taken_for),
    ]


def _cells(score: dict) -> list[str]:
    """A mean and its interval; a dash for what there is not."""
    mean = "–" if score["mean"] != score["mean"] else f"{score['mean']:.3f}"
    return [mean, "–" if score["low"] != score["low"] else interval_text(score)]
