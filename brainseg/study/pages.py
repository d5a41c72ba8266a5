"""The study in words: its page and the README's table, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from brainseg.study.choices import settings_text
from brainseg.study.claims import ROWS
from brainseg.study.equal import equal_table, longer_section, losses_section, seeds_section
from brainseg.study.findings import Study, interval_text, small_text
from brainseg.study.score import hd95_text
from brainseg.study.tables import read_table

DISCUSSION = "discussion.md"


def page(study: Study) -> str:
    """``study.md``: the tables, the figures, and the discussion that a person wrote."""
    about, board = study.about, study.leaderboard
    discussion = study.folder / DISCUSSION
    sections = [
        "# The study",
        "Written by `python -m brainseg report` from the files in `study/`; only the discussion "
        "is written by hand.",
        f"Data set `{about['dataset']}`, {about['selection']}, {about['patients']} patients whom "
        "no model, threshold or weight has seen. Dice is per patient over the whole volume. "
        "Intervals are 95 % bootstrap intervals over patients; p-values are of paired Wilcoxon "
        "tests, corrected together by Holm's method.",
    ]
    if study.missing:
        sections += ["**Not there yet:** " + "; ".join(study.missing) + "."]
    if discussion.is_file():
        sections.append(discussion.read_text(encoding="utf-8").strip())
    sections += ["## Leaderboard", _leaderboard_table(board), *_figures(study, "dice")]
    sections += ["## Claims and findings", *equal_table(study), _claims_table(study.claims)]
    sections += _figures(study, "differences")
    sections += [*losses_section(study), *seeds_section(study), *longer_section(study)]
    sections += _fusion_section(study)
    sections += _calibration_section(study, board)
    sections += ["## Dice against the size of the tumour", _size_table(study)]
    sections += _figures(study, "size")
    sections += ["## What it costs", _cost_table(board), *_figures(study, "gflop", "latency")]
    sections += _leak_section(study)
    sections += _phantom_section(study)
    sections += _choices_section(study)
    sections += ["## The checkpoints", _training_table(study)]
    return "\n\n".join(sections) + "\n"


def readme_table(study: Study) -> str:
    """The table of the README: the study's rows, and the fusions once there are some."""
    lines = [
        "| | mean Dice | 95 % interval | median | each slice alone | validation | start | epochs |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in study.dice:
        dice, model = study.scores[name]["dice"], study.models.get(name)
        told = [_start(model), _epochs(model)] if model else ["", ""]
        lines.append(
            f"| `{name}` | {dice['mean']:.3f} | {interval_text(dice)} | {dice['median']:.3f} | "
            f"{_alone(study, name)} | {_validation(study, name)} | {' | '.join(told)} |"
        )
    lines += [
        f"| `{name}` | not trained yet | | | | | | |" for name in ROWS if name not in study.dice
    ]
    return "\n".join(lines)


def _figures(study: Study, *stems: str) -> list[str]:
    there = {entry["file"]: entry for entry in study.figures}
    found = [there[f"{stem}.png"] for stem in stems if f"{stem}.png" in there]
    return [f"![{entry['alt']}]({study.folder.name}/{entry['file']})" for entry in found]


def _leaderboard_table(board: dict) -> str:
    lines = [
        "| | mean Dice | 95 % interval | median | IoU | HD95 | surface Dice | precision | recall | "
        "volume error | false-positive slices | rank, 95 % | best in |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in board["rows"]:
        rank = row["rank"]
        lines.append(
            f"| `{row['name']}` | {row['dice']['mean']:.3f} | {interval_text(row['dice'])} | "
            f"{row['dice']['median']:.3f} | {row['iou']['mean']:.3f} | {hd95_text(row)} | "
            f"{row['surface_dice']['mean']:.3f} | {row['precision']['mean']:.3f} | "
            f"{row['recall']['mean']:.3f} | {row['volume_error']['mean']:+.0%} | "
            f"{row['false_positive_slices']:.0f} of {row['empty_slices']:.0f} | "
            f"{rank['low']:.0f} to {rank['high']:.0f} | {rank['first_share']:.0%} |"
        )
    lines += [
        "",
        "IoU to volume error are means over patients. HD95 and surface Dice (tolerance 2 px) are "
        "two-dimensional, over slices in which both masks have something. The last columns tell "
        "the rank and the share of best places when the patients are drawn anew 10,000 times.",
    ]
    return "\n".join(lines)


def _claims_table(claims: Sequence[dict]) -> str:
    lines = ["| claim | verdict | what was found, against the hardest rival |", "|---|---|---|"]
    lines += [f"| {c['claim']} | **{c['verdict']}** | {c['text']} |" for c in claims]
    return "\n".join(lines)


def _fusion_section(study: Study) -> list[str]:
    fusions = [name for name in study.dice if study.kind(name) != "model"]
    if not fusions:
        return []
    bases = sorted({base for model in study.models.values() for base in model["bases"]})
    lines = ["| | mean Dice | 95 % interval |", "|---|---|---|"]
    for name in [*(n for n in study.dice if n in fusions or n in bases)]:
        dice = study.scores[name]["dice"]
        lines.append(f"| `{name}` | {dice['mean']:.3f} | {interval_text(dice)} |")
    rest = ", but `fusion_all`: the mean of every single model" if "fusion_all" in fusions else ""
    told = f" All read {' and '.join(f'`{base}`' for base in bases)}{rest}." if bases else ""
    section = [
        "## Fusion bench",
        f"Does learning to fuse beat averaging?{told}",
        "\n".join(lines),
    ]
    beliefs = read_table(study.folder / "staple.csv")
    if beliefs:
        lines = [
            "| STAPLE's view of | sensitivity it estimates | true | specificity it estimates | "
            "true |",
            "|---|---|---|---|---|",
        ]
        keys = [f"{kind}_{what}" for what in ("sensitivity", "specificity")
                for kind in ("estimated", "true")]  # fmt: skip
        for name in dict.fromkeys(row["checkpoint"] for row in beliefs):
            own = [row for row in beliefs if row["checkpoint"] == name]
            means = [np.nanmean([row[key] for row in own]) for key in keys]
            lines.append(f"| `{name}` | " + " | ".join(f"{m:.4f}" for m in means) + " |")
        section.append("\n".join(lines))
    return section


def _calibration_section(study: Study, board: dict) -> list[str]:
    rows = [row for row in board["rows"] if row["temperature"] is not None]
    if not rows:
        return []
    lines = ["| | loss | temperature | ECE as trained | ECE scaled |", "|---|---|---|---|---|"]
    for row in rows:
        loss = study.models.get(row["name"], {}).get("loss", "")
        lines.append(
            f"| `{row['name']}` | {loss} | {row['temperature']:.2f} | {row['ece_before']:.3f} | "
            f"{row['ece_after']:.3f} |"
        )
    return [
        "## Calibration",
        "Of the pixels given a probability, how many have tumour? The temperature is fitted on "
        "validation patients; the expected calibration error (ECE) is over the test patients' "
        "pixels that were given at least 5 % as trained, because the countless others would decide "
        "alone.",
        "\n".join(lines),
        *_figures(study, "reliability"),
    ]


def _size_table(study: Study) -> str:
    edges = np.quantile(study.tumour_px, (0, 1 / 3, 2 / 3, 1))
    thirds = np.digitize(study.tumour_px, edges[1:-1])
    labels = [f"{low:,.0f} to {high:,.0f} px" for low, high in pairwise(edges)]
    lines = ["| mean Dice | " + " | ".join(labels) + " |", "|---|---|---|---|"]
    for name, dice in study.dice.items():
        means = [f"{np.nanmean(dice[thirds == i]):.3f}" for i in range(3) if (thirds == i).any()]
        lines.append(f"| `{name}` | " + " | ".join(means) + " |")
    return "\n".join(lines)


def _cost_table(board: dict) -> str:
    lines = ["| | parameters | GFLOP per slice | ms per slice |", "|---|---|---|---|"]
    for row in board["rows"]:
        if row["parameters"]:
            latency = f"{row['latency_ms']:.0f}" if row["latency_ms"] else "not measured"
            lines.append(
                f"| `{row['name']}` | {row['parameters'] / 1e6:.1f} M | {row['gflop']:.1f} | "
                f"{latency} |"
            )
    return "\n".join([*lines, "", "A stack's figures include the bases it reads."])


def _leak_section(study: Study) -> list[str]:
    if not study.leak:
        return []
    lines = [
        "| | how it was split | Dice it believes | Dice on unseen patients | 95 % interval |",
        "|---|---|---|---|---|",
    ]
    for row in study.leak["rows"]:
        lines.append(
            f"| `{row['checkpoint']}` | {row['what']} | {row['believed']:.3f} | {row['true']:.3f} "
            f"| {interval_text(row)} |"
        )
    return [
        "## Leak meter",
        "The same model and budget, split honestly and with a mistake made on purpose. What it "
        "believes is the Dice on the slices it was validated on: by the honest way the patients of "
        "fold 1, by slice a fifth of the slices of all but the test patients, in-sample a fifth of "
        "the training patients. So the mistakes change what is trained on and validated on too. "
        "The patients of the last columns no variant has seen.",
        "\n".join(lines),
    ]


def _phantom_section(study: Study) -> list[str]:
    found = _figures(study, "phantoms")
    if study.phantoms:
        found.insert(0, _phantom_table(study.phantoms))
    return ["## On phantoms", *found] if found else []


def _phantom_table(phantoms: Study) -> str:
    """Heads with a tumour apart from healthy ones: in these Dice is 0, or undefined if nothing was
    marked, so that a mean over all would be over other heads for each model."""
    ill = phantoms.tumour_px > 0
    means = {name: np.nanmean(dice[ill]) for name, dice in phantoms.dice.items()}
    lines = [
        f"| | mean Dice, {ill.sum()} heads with a tumour | of {(~ill).sum()} healthy heads left "
        "empty |",
        "|---|---|---|",
    ]
    for name in sorted(means, key=means.get, reverse=True):
        empty = np.isnan(phantoms.dice[name][~ill]).sum()
        lines.append(f"| `{name}` | {means[name]:.3f} | {empty} |")
    return "\n".join(lines)


def _choices_section(study: Study) -> list[str]:
    if not study.choices:
        return []
    lines = ["| | setting | validation Dice |", "|---|---|---|"]
    for row in study.choices["rows"]:
        dice = f"{row['validation_dice']:.3f}"
        lines.append(
            f"| `{row['checkpoint']}` | {settings_text(row['settings'])} | "
            f"{f'**{dice}**' if row['best'] else dice} |"
        )
    return [
        "## Choices",
        "Runs that differ in a setting, by their Dice on the validation patients, on whom their "
        "epoch and threshold were chosen too; the test patients have no part in it.",
        "\n".join(lines),
    ]


def _training_table(study: Study) -> str:
    lines = [
        "| | start | epochs | size | seed | trained, validated, tested on | threshold | "
        "validation Dice |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, model in study.models.items():
        patients = model["patients"]
        lines.append(
            f"| `{name}` | {_start(model)} | {_epochs(model)} | {model['size_px']} px | "
            f"{model['seed']} | {patients['train']}, {patients['val']}, {patients['test']} | "
            f"{model['threshold']:.2f} | {model['validation_dice']:.3f} |"
        )
    return "\n".join(lines)


def _validation(study: Study, name: str) -> str:
    """On the scans' own grid, like the other scores; of a model else what its training saw."""
    if name in study.validation:
        return f"{study.validation[name]['dice']['mean']:.3f}"
    return f"{study.models[name]['validation_dice']:.3f}" if name in study.models else ""


def _alone(study: Study, name: str) -> str:
    return f"{study.slicewise[name]['dice']['mean']:.3f}" if name in study.slicewise else ""


def _epochs(model: dict) -> str:
    return f"{model['epochs']}{small_text(model)}"


def _start(model: dict) -> str:
    if known := model.get("started_from"):
        return f"{known['name']} after {known['epochs']}"
    if model["init_from"]:
        return f"weights {model['init_from'][:8]}"
    return "ImageNet" if model["encoder_weights"] else "random"
