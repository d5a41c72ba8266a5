"""The study in words: its page and the README's table, as Markdown."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np

from brainseg.checkpoints.card_scores import interval_text
from brainseg.files import markdown_table
from brainseg.metrics.surface import TOLERANCE
from brainseg.study.choices import choices_table
from brainseg.study.claims import ROWS, differences, how_to_read
from brainseg.study.class_section import classes_section
from brainseg.study.conclusions import in_short
from brainseg.study.family_section import family_sections
from brainseg.study.few_labels_section import few_labels_section
from brainseg.study.findings import Study
from brainseg.study.score import DICE_HEADINGS, dice_cells, dice_text, hd95_text
from brainseg.study.trained_alike import (
    equal_table,
    longer_section,
    losses_section,
    seeds_section,
)
from brainseg.study.training_text import epochs_text, start_text


def page(study: Study) -> str:
    """``study.md``: the tables, the figures, and the discussion that a person wrote."""
    first = (_head, family_sections, classes_section, few_labels_section, _leaderboard_head)
    below = (
        _discussion, _leaderboard_section, _claims_section, losses_section, seeds_section,
        longer_section, _fusion_section, _calibration_section, _size_section, _cost_section,
        _leak_section, _phantom_section, _choices_section, _training_section,
    )  # fmt: skip
    parts = [part for section in first for part in section(study)]
    parts += [
        re.sub("^## ", "### ", part, flags=re.M) for section in below for part in section(study)
    ]
    return "\n\n".join(parts) + "\n"


_WORDS = (
    "**Dice**: twice the overlap of two masks over the sum of their sizes, per patient over the "
    "whole volume; 1 is the same, 0 nothing in common. **Interval**: patients are drawn anew "
    "10,000 times, with repeats, and 95 % of the means lie in it; of few patients it is too "
    "narrow. **Out of fold**: by a run that had not seen the patient. **Seed**: the random numbers "
    "of one training. **p**: how likely so large a difference would be by chance; of several tests "
    "p is raised for their number (Holm). A claim is **confirmed** if its model beats every rival "
    "with p below 0.05 and an interval above 0, **refuted** if a rival beats it so, else **not "
    "confirmed**. **STAPLE**: a vote in which masks that agree more often weigh more."
)


def _head(study: Study) -> list[str]:
    parts = [
        "# The study",
        "Written by `python -m brainseg report` from the files in `study/`; only `discussion.md`, "
        "the sentences in `conclusions.toml` and each `told.md` are by hand.",
        _WORDS,
    ]
    if study.missing:
        parts.append("**Not there yet:** " + "; ".join(study.missing) + ".")
    return [*parts, *in_short(study)]


def _leaderboard_head(study: Study) -> list[str]:
    """What the leaderboard and all after it are of."""
    about = study.about
    told = (
        "All scores that follow, but where others are named, are of data set "
        f"`{about['dataset']}`, {about['selection']}, {about['patients']} patients; p-values are "
        "of paired Wilcoxon tests, corrected together by Holm's method."
    )
    return ["## The six compared first", " ".join(filter(None, (told, about["note"])))]


def _discussion(study: Study) -> list[str]:
    discussion = study.by_hand("discussion.md")
    return [discussion] if discussion else []


def readme_table(study: Study) -> str:
    """The table of the README: the study's rows."""
    headings = (None, *DICE_HEADINGS[:2], "start", "epochs")
    rows = [
        [f"`{name}`", *dice_cells(study.scores[name]["dice"])[:2], start_text(m), epochs_text(m)]
        for name in study.dice
        if (m := study.models.get(name))
    ]
    empty = [None] * (len(headings) - 2)
    rows += [[f"`{name}`", "not trained yet", *empty] for name in ROWS if name not in study.dice]
    return markdown_table(headings, rows)


def _leaderboard_section(study: Study) -> list[str]:
    headings = (
        None, *DICE_HEADINGS, "each slice alone", "validation", "IoU", "HD95", "surface Dice",
        "outlined by one alone", "precision", "recall", "volume error", "false-positive slices",
        "rank, 95 %", "best in",
    )  # fmt: skip
    rows = [
        [
            f"`{row['name']}`",
            *dice_cells(row["dice"]),
            _alone(study, row["name"]),
            _validation(study, row["name"]),
            f"{row['iou']['mean']:.3f}",
            hd95_text(row),
            f"{row['surface_dice']['mean']:.3f}",
            _one_sided(study.scores[row["name"]]),
            *(f"{row[key]['mean']:.3f}" for key in ("precision", "recall")),
            f"{row['volume_error']['mean']:+.0%}",
            f"{row['false_positive_slices']:.0f} of {row['empty_slices']:.0f}",
            f"{row['rank']['low']:.0f} to {row['rank']['high']:.0f}",
            f"{row['rank']['first_share']:.0%}",
        ]
        for row in study.leaderboard["rows"]
    ]
    return [
        "## Leaderboard",
        markdown_table(headings, rows),
        "*Each slice alone* (as if uploaded by itself) and *validation* are mean Dice. IoU to "
        f"volume error are means over patients. {_distances_text(study)} The last columns tell the "
        "rank and the share of best places when the patients are drawn anew 10,000 times.",
        *study.pictures("dice"),
    ]


def _claims_section(study: Study) -> list[str]:
    headings = ("claim", "verdict", "what was found, against the hardest rival")
    rows = [[c["claim"], f"**{c['verdict']}**", c["text"]] for c in study.claims]
    told = how_to_read(study.claims)
    return [
        "## Claims and findings",
        *equal_table(study),
        markdown_table(headings, rows),
        *([told] if told else []),
        *_differences_table(study),
        *study.pictures("differences"),
    ]


def _differences_table(study: Study) -> list[str]:
    headings = ("every difference that was tested", "Dice", "95 % interval", "p (Holm)")
    rows = [
        [
            f"`{better}` minus `{gap['other']}`",
            f"{gap['difference']:+.3f}",
            f"{gap['low']:+.3f} to {gap['high']:+.3f}",
            f"{gap['p_holm']:.2g}",
        ]
        for better, gap in differences(study.claims)
    ]
    return [markdown_table(headings, rows)] if rows else []


def _fusion_section(study: Study) -> list[str]:
    fusions = [name for name in study.dice if study.kind(name) != "model"]
    if not fusions:
        return []
    bases = sorted({base for model in study.models.values() for base in model["bases"]})
    shown = [name for name in study.dice if name in fusions or name in bases]
    rows = [[f"`{name}`", *dice_cells(study.scores[name]["dice"])[:2]] for name in shown]
    section = [
        "## Fusion bench",
        f"Does learning to fuse beat averaging?{_read_text(study)}",
        markdown_table((None, *DICE_HEADINGS[:2]), rows),
    ]
    if not study.beliefs.empty:
        headings = (
            "STAPLE's view of", "sensitivity it estimates", "true", "specificity it estimates",
            "true",
        )  # fmt: skip
        keys = [f"{kind}_{what}" for what in ("sensitivity", "specificity")
                for kind in ("estimated", "true")]  # fmt: skip
        means = study.beliefs.groupby("checkpoint", sort=False)[keys].mean()
        rows = [[f"`{name}`", *map("{:.4f}".format, own)] for name, *own in means.itertuples()]
        section.append(markdown_table(headings, rows))
    return section


def _read_text(study: Study) -> str:
    """What stacks read, and fusions, where all of them read the same."""
    stacks = {name: sorted(m["bases"]) for name, m in study.models.items() if m["bases"]}
    alike = len(set(map(tuple, stacks.values()))) == 1
    if alike and len(bases := next(iter(stacks.values()))) > 1 and set(bases) <= study.dice.keys():
        rest = ", but `fusion_all`: the mean of every single model" * ("fusion_all" in study.dice)
        return f" All read {_named(bases)}{rest}."
    return "".join(f" `{name}` reads {_named(bases)}." for name, bases in stacks.items())


def _named(names: list[str]) -> str:
    return " and ".join(f"`{name}`" for name in names)


def _calibration_section(study: Study) -> list[str]:
    rows = [
        [
            f"`{row['name']}`",
            study.models.get(row["name"], {}).get("loss", ""),
            f"{row['temperature']:.2f}",
            f"{row['ece_before']:.3f}",
            f"{row['ece_after']:.3f}",
        ]
        for row in study.leaderboard["rows"]
        if row["temperature"] is not None
    ]
    if not rows:
        return []
    return [
        "## Calibration",
        "Of the pixels given a probability, how many have tumour? The temperature is fitted on "
        "validation patients; the expected calibration error (ECE) is over the test patients' "
        "pixels that were given at least 5 % as trained, because the countless others would decide "
        "alone.",
        markdown_table((None, "loss", "temperature", "ECE as trained", "ECE scaled"), rows),
        *study.pictures("reliability"),
    ]


def _size_section(study: Study) -> list[str]:
    edges = np.quantile(study.tumour_px, (0, 1 / 3, 2 / 3, 1))
    thirds = np.digitize(study.tumour_px, edges[1:-1])
    labels = [f"{low:,.0f} to {high:,.0f} px" for low, high in pairwise(edges)]
    rows = []
    for name, dice in study.dice.items():
        means = [f"{np.nanmean(dice[thirds == i]):.3f}" if (thirds == i).any() else None
                 for i in range(3)]  # fmt: skip
        rows.append([f"`{name}`", *means])
    return [
        "## Dice against the size of the tumour",
        markdown_table(("mean Dice", *labels), rows),
        *study.pictures("size"),
    ]


def _cost_section(study: Study) -> list[str]:
    rows = [
        [
            f"`{row['name']}`",
            f"{row['parameters'] / 1e6:.1f} M",
            f"{row['gflop']:.1f}",
            f"{row['latency_ms']:.0f}" if row["latency_ms"] else "not measured",
        ]
        for row in study.leaderboard["rows"]
        if row["parameters"]
    ]
    return [
        "## What it costs",
        markdown_table((None, "parameters", "GFLOP per slice", "ms per slice"), rows),
        "A stack's figures include the bases it reads. Milliseconds are of the backend that was "
        "chosen, measured beside the machine's floor; those by backend in "
        "[performance.md](performance.md) were measured apart.",
        *study.pictures("gflop", "latency"),
    ]


def _leak_section(study: Study) -> list[str]:
    if not study.leak:
        return []
    headings = (
        None, "how it was split", "Dice it believes", "Dice on unseen patients", "95 % interval",
    )  # fmt: skip
    rows = [
        [
            f"`{row['checkpoint']}`",
            row["what"],
            f"{row['believed']:.3f}",
            f"{row['true']:.3f}",
            interval_text(row),
        ]
        for row in study.leak["rows"]
    ]
    return [
        "## Leak meter",
        "The same model and budget, split honestly and with a mistake made on purpose. What it "
        "believes is the Dice on the slices it was validated on: by the honest way the patients of "
        "the fold it watched, by slice a fifth of the slices of all but the test patients, "
        "in-sample a fifth of the training patients. So the mistakes change what is trained on and "
        "validated on too. The patients of the last columns no variant has seen.",
        markdown_table(headings, rows),
    ]


def _phantom_section(study: Study) -> list[str]:
    found = study.pictures("phantoms")
    if study.phantoms:
        found.insert(0, _phantom_table(study.phantoms))
    return ["## On phantoms", *found] if found else []


def _phantom_table(phantoms: Study) -> str:
    """Heads with a tumour apart from healthy ones: in these Dice is 0, or undefined if nothing was
    marked, so that a mean over all would be over other heads for each model."""
    ill = phantoms.tumour_px > 0
    means = {name: np.nanmean(dice[ill]) for name, dice in phantoms.dice.items()}
    headings = (
        None,
        f"mean Dice, {ill.sum()} heads with a tumour",
        f"of {(~ill).sum()} healthy heads left empty",
    )
    rows = [
        [f"`{name}`", f"{means[name]:.3f}", np.isnan(phantoms.dice[name][~ill]).sum()]
        for name in sorted(means, key=means.get, reverse=True)
    ]
    return markdown_table(headings, rows)


def _choices_section(study: Study) -> list[str]:
    if not study.choices:
        return []
    return [
        "## Choices",
        "Runs that differ in a setting, by their Dice on the validation patients, on whom their "
        "epoch and threshold were chosen too; the test patients have no part in it.",
        choices_table(study.choices),
    ]


def _training_section(study: Study) -> list[str]:
    headings = (
        None, "start", "epochs", "size", "seed", "trained, validated, tested on", "threshold",
        "validation Dice",
    )  # fmt: skip
    rows = [
        [
            f"`{name}`",
            start_text(model),
            epochs_text(model),
            f"{model['size_px']} px",
            model["seed"],
            ", ".join(str(model["patients"][role]) for role in ("train", "val", "test")),
            f"{model['threshold']:.2f}",
            dice_text(model["validation_dice"]),
        ]
        for name, model in study.models.items()
    ]
    return ["## The checkpoints", markdown_table(headings, rows)]


def _distances_text(study: Study) -> str:
    """Over what surface distances were taken, which depends on whether scans state a spacing."""
    ways = {
        "px": f"two-dimensional (tolerance {TOLERANCE} px), over slices",
        "mm": f"three-dimensional (of one slice two; tolerance {TOLERANCE} mm), over scans",
    }
    taken = [way for unit, way in ways.items() if study.table[f"hd95_{unit}"].notna().any()]
    return (
        f"HD95 and surface Dice are {' or '.join(taken or ways.values())} in which both masks have "
        "something; those in which one alone has are passed over, and counted beside them."
    )


def _validation(study: Study, name: str) -> str:
    """On the scans' own grid, like the other scores; of a model else what its training saw."""
    if name in study.validation:
        return f"{study.validation[name]['dice']['mean']:.3f}"
    return dice_text(study.models[name]["validation_dice"]) if name in study.models else ""


def _one_sided(score: dict) -> str:
    return f"{score['one_sided']} of {score['one_sided'] + score['outlined']}"


def _alone(study: Study, name: str) -> str:
    return f"{study.slicewise[name]['dice']['mean']:.3f}" if name in study.slicewise else ""
