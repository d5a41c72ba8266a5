"""The section of the study's page on classes, where models tell some apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brainseg.checkpoints.card_scores import interval_text, mean_text
from brainseg.files import markdown_table
from brainseg.metrics.classes import confusion, macro_recall
from brainseg.metrics.statistics import summarise, summarise_groups
from brainseg.study.findings import Study
from brainseg.study.score import about_text

if TYPE_CHECKING:
    from pandas import DataFrame

OF = {  # whose kind is told, and how
    "slice": "A slice is taken to be of the kind with most of its marked pixels. Kind right, "
    "macro: the share of slices in each kind of which that is right, then the mean over kinds; the "
    "interval is over patients, each drawn with all slices. Slices without tumour are left out.",
    "patient": "A patient is taken to be of the kind with most of the marked pixels of all "
    "slices, and counts as a slice does above. Patients without tumour are left out.",
}  # fmt: skip


def classes_section(study: Study) -> list[str]:
    """Dice per class, and of which kind slices and patients were taken to be; nothing without
    classes."""
    found = [one for one in (study, *study.out_of_fold) if not one.per_class.empty]
    if not found:
        return []
    parts = [
        "## Classes",
        "Dice of each class, per patient over the whole volume: of those who have it; and with "
        "those too in whom it was marked without being there, which is 0. Who has none of it and "
        "was left empty has no Dice.",
    ]
    for one in found:
        for dataset, table in one.per_class.groupby("dataset", sort=False):
            kinds = one.kinds if one.kinds.empty else one.kinds[one.kinds["dataset"] == dataset]
            parts += [
                about_text({**one.about, "dataset": dataset}),
                _dice_table(table, with_mean=not kinds.empty),
            ]
            parts += _kinds(kinds, list(table["class"].unique()))
    return parts


def _dice_table(table: DataFrame, *, with_mean: bool) -> str:
    """with_mean: also the mean over the classes, which regions that overlap do not have."""
    rows = []
    for name, of_model in table.groupby("checkpoint", sort=False):
        for one, own in of_model.groupby("class", sort=False):
            has_it = own["true_px"] > 0
            dice, every = (summarise(part["dice"].to_numpy()) for part in (own[has_it], own))
            marked = f"{(own[~has_it]['marked_px'] > 0).sum()} of {(~has_it).sum()}"
            cells = [*_cells(dice), dice["patients"], marked, *_cells(every), every["patients"]]
            rows.append([f"`{name}`", one, *cells])
        if with_mean:
            there = of_model[of_model["dice"].notna()]
            dice, every = (
                summarise_groups(part["dice"], part["class"], part["patient"])
                for part in (there[there["true_px"] > 0], there)
            )
            cells = [*_cells(dice), dice["patients"], "", *_cells(every), every["patients"]]
            rows.append([f"`{name}`", "mean of these", *cells])
    headings = (
        None, "class", "mean Dice where it is", "95 % interval", "patients", "marked in others",
        "mean Dice where it is or was marked", "95 % interval", "patients",
    )  # fmt: skip
    return markdown_table(headings, rows)


def _kinds(rows: DataFrame, classes: list[str]) -> list[str]:
    """How often the kind is right, and what was taken for what: of slices, then of patients.

    rows: of ``kinds.csv``, of one data set.
    """
    number_of = {name: number for number, name in enumerate(classes, start=1)}
    parts = []
    for of, told in OF.items():
        shares, taken_for = [], []
        own = rows[rows["slice"].notna() == (of == "slice")] if len(rows) else rows
        for name, one in own.groupby("checkpoint", sort=False) if len(own) else ():
            true, found = (
                [number_of.get(kind) for kind in one[column]]
                for column in ("true_kind", "predicted_kind")
            )
            right = macro_recall(true, found, list(one["patient"]))
            table = confusion(true, found, len(classes))
            cells = [*_cells(right), *([table.sum()] if of == "slice" else []), right["patients"]]
            shares.append([f"`{name}`", *cells])
            taken_for += [
                [f"`{name}`", kind, *row] for kind, row in zip(classes, table, strict=True)
            ]
        if shares:
            counted = ("slices", "patients") if of == "slice" else ("patients",)
            headings = (None, "kind right, macro", "95 % interval", *counted)
            parts += [
                told,
                markdown_table(headings, shares),
                f"{of.capitalize()}s of each kind (rows) by what they were taken for (columns); "
                "none: nothing was marked.",
                markdown_table((None, "kind", *classes, "none"), taken_for),
            ]
    return parts


def _cells(score: dict) -> list[str]:
    return [mean_text(score["mean"], score["patients"]), interval_text(score)]
