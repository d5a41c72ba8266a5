"""Models that were trained alike, as sections of the study's page."""

from __future__ import annotations

import numpy as np

from brainseg.files import markdown_table
from brainseg.metrics.statistics import paired_difference
from brainseg.models.losses import LOSSES
from brainseg.study.findings import Study
from brainseg.study.score import DICE_HEADINGS, dice_cells, dice_text, gap_text
from brainseg.study.training_text import begun_text, training_text

PAIRS = (("unet-hybrid", "unet-bce"), ("deeplabv3plus-bce", "unet_resnet34-bce"))


def equal_table(study: Study) -> list[str]:
    """What stands above the claims: the scores on which they are judged."""
    if not study.equal:
        return []
    headings = ("for the verdicts", *DICE_HEADINGS, "trained for")
    rows = [
        [f"`{name}`", *dice_cells(study.equal.scores[name]["dice"]), training_text(model)]
        for name in study.equal.dice
        if (model := study.equal.models.get(name))
    ]
    told = f"{study.equal_note} Their scores are in `study/equal/`."
    return [told, markdown_table(headings, rows)]


def losses_section(study: Study) -> list[str]:
    """Each model with each loss, and how far each loss is from BCE."""
    equal = study.equal
    if not equal or len({model["loss"] for model in equal.models.values()}) < 2:
        return []
    rows = [
        [f"`{model}`", *(_cell(equal, names, loss) for loss in LOSSES)]
        for model, names in _grid(equal).items()
    ]
    return [
        "## Which loss",
        "Mean Dice of each model with each loss, all trained for equally many epochs; in brackets "
        "the paired difference from BCE with its 95 % interval, not corrected for how many there "
        "are, and the expected calibration error (ECE) as trained where it was measured.",
        markdown_table((None, *LOSSES), rows),
    ]


def longer_section(study: Study) -> list[str]:
    """What was trained for longer, shipped or not, each beside those that were trained alike."""
    if not study.longer:
        return []
    least = min(model["total_epochs"] for model in study.longer.models.values())
    alike: dict[str, list[tuple[str, Study]]] = {}
    for found in (study, study.longer):
        for name, model in found.models.items():
            if model.get("total_epochs", 0) >= least and not model.get("small_epochs"):
                alike.setdefault(begun_text(model), []).append((name, found))
    headings = (
        None, "trained for", "validation Dice", *DICE_HEADINGS[:2],
        "minus the first of those trained alike",
    )  # fmt: skip
    rows = []
    for begun, those in sorted(alike.items()):
        those.sort(key=lambda one: (one[1].models[one[0]]["loss"] != "bce", one[1] is not study))
        first, its = those[0]
        for place, (name, found) in enumerate(those):
            validation = dice_text(found.models[name]["validation_dice"])
            rows.append(
                [
                    f"`{name}`{', shipped' if found is study else ''}",
                    begun,
                    validation,
                    *dice_cells(found.scores[name]["dice"])[:2],
                    _difference(found.dice[name], its.dice[first]) if place else "",
                ]
            )
    return [
        "## Trained for longer",
        "At full size throughout. The validation Dice is the one by which training chose the "
        "threshold, at the size it trained on. Differences are paired and have their 95 % "
        "interval, not corrected for how many there are.",
        markdown_table(headings, rows),
    ]


def seeds_section(study: Study) -> list[str]:
    """The same trainings begun from other random numbers, if these were scored."""
    if not study.equal or not study.equal.other_seeds:
        return []
    seeds = {0: study.equal, **study.equal.other_seeds}
    shared = set.intersection(*(set(found.models) for found in seeds.values()))
    rows = []
    for name in (name for name in study.equal.dice if name in shared):
        means = [f"{np.nanmean(found.dice[name]):.3f}" for found in seeds.values()]
        rows.append([f"`{name}`", *means])
    for better, other in PAIRS:
        if {better, other} <= shared:
            gaps = [_difference(found.dice[better], found.dice[other]) for found in seeds.values()]
            rows.append([f"`{better}` minus `{other}`", *gaps])
    return [
        "## Another seed",
        "The same trainings, begun from other random weights and with the slices in another "
        "order. Intervals are not corrected for how many there are.",
        markdown_table(("mean Dice", *(f"seed {seed}" for seed in seeds)), rows),
    ]


def _grid(equal: Study) -> dict[str, dict[str, str]]:
    """By model and loss the checkpoint."""
    rows = equal.table[equal.table["checkpoint"].isin(list(equal.models))]
    return {
        model: dict(zip(own["loss"], own["checkpoint"], strict=True))
        for model, own in rows.groupby("model", sort=False)
    }


def _cell(equal: Study, names: dict[str, str], loss: str) -> str:
    if loss not in names:
        return "not trained"
    text = f"{np.nanmean(equal.dice[names[loss]]):.3f}"
    told = []
    if loss != "bce" and "bce" in names:
        told.append(_difference(equal.dice[names[loss]], equal.dice[names["bce"]]))
    if (error := equal.ece(names[loss])) is not None:
        told.append(f"ECE {error:.2f}")
    return f"{text} ({', '.join(told)})" if told else text


def _difference(dice: np.ndarray, other: np.ndarray) -> str:
    """``"+0.031 [+0.003, +0.059]"`` of two models' Dice, one per patient in the same order."""
    return gap_text(paired_difference(dice, other))
