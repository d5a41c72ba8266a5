"""The study's figures: colour-blind safe (Okabe and Ito), told apart in grey by marker and line as
well, and large enough to read from the back of a room."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from brainseg.files import replacing
from brainseg.study.claims import LEVEL, differences

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#444444", "#999999")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)), (0, (6, 3)))
_GREY = "#666666"
_TEXT, _SMALL = 14, 12.5  # points, of figures 8 inches wide
_WIDTH = 8


def save(figure: Figure, path: Path, dpi: int = 160) -> None:
    """As PNG, without the metadata that would make every build differ."""
    with replacing(path) as aside:
        figure.savefig(aside, format="png", dpi=dpi, metadata={"Software": None})


def dice_figure(dice: dict[str, np.ndarray], summaries: dict[str, dict]) -> Figure:
    """Each patient's Dice, and each mean with its interval, one row per model, best on top."""
    names = sorted(dice, key=lambda name: summaries[name]["mean"])
    figure, axes = _rows(names, 0.5)
    rng = np.random.default_rng(0)
    for row, name in enumerate(names):
        own = summaries[name]
        jitter = rng.uniform(-0.14, 0.14, len(dice[name]))
        axes.plot(dice[name], row + jitter, "o", color=COLOURS[0], alpha=0.45, ms=5, mew=0)
        axes.plot([own["low"], own["high"]], [row, row], color="black", lw=2, solid_capstyle="butt")
        axes.plot(own["mean"], row, "D", color="white", mec="black", mew=1.4, ms=8)
    figure.supxlabel("Dice per patient; diamond: mean with 95 % interval", fontsize=_TEXT)
    axes.set_xlim(min(0.5, min(np.nanmin(v) for v in dice.values())) - 0.02, 1.0)
    return figure


def difference_figure(claims: Sequence[dict]) -> Figure:
    """Every paired difference that the claims rest on, with its interval."""
    bars = [
        (f"{better}\n− {comparison['other']}", comparison)
        for better, comparison in reversed(differences(claims))
    ]
    figure, axes = _rows([label for label, _ in bars], 0.62)
    for row, (_, comparison) in enumerate(bars):
        firm = comparison["p_holm"] < LEVEL
        axes.plot([comparison["low"], comparison["high"]], [row, row], color="black", lw=2)
        axes.plot(comparison["difference"], row, "D", ms=9, mec="black",
                  color=COLOURS[0] if firm else "white")  # fmt: skip
    axes.axvline(0, color=_GREY, lw=1)
    figure.supxlabel("paired difference in Dice, 95 % interval\nfilled: p < 0.05 after Holm",
                     fontsize=_TEXT)  # fmt: skip
    return figure


def reliability_figure(curves: dict[str, dict[bool, list[dict]]]) -> Figure:
    """Share of tumour against probability, per model, before and after temperature scaling."""
    columns = min(3, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(max(2.7 * columns, 5), 2.9 * rows + 1), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes in grid.flat[len(curves) :]:
        axes.set_axis_off()
    for axes, (name, pair) in zip(grid.flat, curves.items(), strict=False):
        axes.plot([0, 1], [0, 1], color=_GREY, lw=1)
        for scaled, label in ((False, "as trained"), (True, "temperature scaled")):
            x, y = ([r[key] for r in pair[scaled]] for key in ("mean_probability", "tumour_share"))
            axes.plot(x, y, color=COLOURS[scaled], ls=LINES[scaled], marker=MARKERS[scaled], ms=4,
                      label=label)  # fmt: skip
        axes.set_title(_lines(name, 20), fontsize=_SMALL)
        axes.set_aspect("equal")
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
        _plain(axes)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), fontsize=_SMALL, frameon=False,
                  loc="outside upper center", ncols=2)  # fmt: skip
    figure.supxlabel("probability", fontsize=_TEXT)
    figure.supylabel("share of these pixels with tumour", fontsize=_TEXT)
    return figure


def size_figure(dice: dict[str, np.ndarray], tumour_px: np.ndarray) -> Figure:
    """Dice of each patient against the size of the tumour."""
    figure, axes = _new(5)
    for index, (name, values) in enumerate(dice.items()):
        axes.plot(tumour_px, values, MARKERS[index % 8], color=COLOURS[index % 8], ms=7, alpha=0.8,
                  ls="", label=name, mec="white", mew=0.5)  # fmt: skip
    axes.set_xscale("log")
    for formatter in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        formatter(lambda value, _: f"{value:,.0f}" if f"{value:.0e}"[0] in "125" else "")
    axes.set_xlabel("true tumour, pixels in the whole volume", fontsize=_TEXT)
    axes.set_ylabel("Dice", fontsize=_TEXT)
    axes.grid(color="#dddddd", lw=0.8)
    _legend(figure, axes, list(dice))
    return figure


def pareto_figure(points: Sequence[dict], key: str, label: str) -> Figure:
    """Mean Dice against a cost; those that nothing cheaper beats are joined by a line.

    points: ``name``, ``dice``, ``low``, ``high``, ``parameters`` and the cost under ``key``.
    """
    figure, axes = _new(5)
    best, front = -np.inf, []
    for point in sorted(points, key=lambda p: (p[key], -p["dice"])):
        if point["dice"] > best:
            best = point["dice"]
            front.append(point)
    axes.plot([p[key] for p in front], [p["dice"] for p in front], color=_GREY, lw=1, ls="--")
    widest, costs, labels = max(p[key] for p in points), [], []
    for index, point in enumerate(points):
        error = [[point["dice"] - point["low"]], [point["high"] - point["dice"]]]
        # Those of about the same cost stand side by side: their intervals would hide each other.
        neighbours = sum(abs(point[key] - cost) < 0.03 * widest for cost in costs)
        costs.append(point[key])
        labels.append(f"{point['name']} ({point['parameters'] / 1e6:.1f} M)")
        aside = ScaledTranslation(neighbours * 12 / 72, 0, figure.dpi_scale_trans)
        axes.errorbar(point[key], point["dice"], yerr=error, color=COLOURS[index % 8],
                      fmt=MARKERS[index % 8], ms=9, capsize=4, label=labels[-1],
                      transform=axes.transData + aside)  # fmt: skip
        axes.update_datalim([(point[key], point["low"]), (point[key], point["high"])])
    axes.margins(x=0.1)
    axes.autoscale_view()
    axes.set_xlabel(label, fontsize=_TEXT)
    axes.set_ylabel("mean Dice, 95 % interval", fontsize=_TEXT)
    axes.grid(color="#dddddd", lw=0.8)
    _legend(figure, axes, labels)
    return figure


def label_figure(points: Sequence[dict]) -> Figure:
    """Mean Dice against patients with masks, a line per model and method; ``points`` as of
    ``few_labels.curve``."""
    figure, axes = _new(5)
    lines: dict[str, list[dict]] = {}
    for point in points:
        lines.setdefault(f"{point['checkpoint']}, {point['method']}", []).append(point)
    for index, (label, own) in enumerate(lines.items()):
        x, dice = [p["with_masks"] for p in own], [p["dice"] for p in own]
        means = np.array([d["mean"] for d in dice])
        error = [means - [d["low"] for d in dice], [d["high"] for d in dice] - means]
        aside = ScaledTranslation(index * 5 / 72, 0, figure.dpi_scale_trans)  # or they hide others
        axes.errorbar(x, means, yerr=error, color=COLOURS[index % 8], ls=LINES[index % 8],
                      fmt=MARKERS[index % 8], ms=8, capsize=4, label=label,
                      transform=axes.transData + aside)  # fmt: skip
        axes.update_datalim([(at, d[key]) for at, d in zip(x, dice, strict=True)
                             for key in ("low", "high")])  # fmt: skip
    axes.set_xscale("log")
    numbers = sorted({point["with_masks"] for point in points})
    axes.set_xticks(numbers, [f"{number:g}" for number in numbers])
    axes.set_xticks([], minor=True)
    axes.margins(x=0.1)
    axes.autoscale_view()
    axes.set_xlabel("training patients with masks", fontsize=_TEXT)
    axes.set_ylabel("mean Dice, 95 % interval", fontsize=_TEXT)
    axes.grid(color="#dddddd", lw=0.8)
    _legend(figure, axes, list(lines))
    return figure


def _new(height: float):
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    axes = figure.subplots()
    _plain(axes)
    return figure, axes


def _rows(labels: Sequence[str], inches: float):
    """A figure with a row for each label, the first at the bottom."""
    figure, axes = _new(1 + inches * len(labels))
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(-0.6, len(labels) - 0.4)
    axes.grid(axis="x", color="#dddddd", lw=0.8)
    return figure, axes


def _legend(figure: Figure, axes, labels: Sequence[str]) -> None:
    """Above the axes, in as many columns as the longest label leaves room for."""
    columns = max(1, 76 // (max(map(len, labels)) + 5))
    figure.set_figheight(figure.get_figheight() + 0.27 * -(-len(labels) // columns))
    figure.legend(*axes.get_legend_handles_labels(), fontsize=_SMALL, frameon=False,
                  loc="outside upper center", ncols=columns)  # fmt: skip


def _lines(name: str, width: int) -> str:
    """A long name on several lines, broken after a hyphen or an underscore."""
    lines = [""]
    for part in re.findall("[^-_]*[-_]|[^-_]+", name):
        if lines[-1] and len(lines[-1] + part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _plain(axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(which="both", labelsize=_SMALL)
    axes.set_axisbelow(True)
