"""The study's figures: colour-blind safe (Okabe and Ito), and told apart in grey by marker and
line as well."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from brainseg.files import replacing

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#444444", "#999999")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)), (0, (6, 3)))
_GREY = "#666666"


def save(figure: Figure, path: Path) -> None:
    """As PNG, without the metadata that would make every build differ."""
    with replacing(path) as aside:
        figure.savefig(aside, format="png", dpi=130, metadata={"Software": None})


def dice_figure(dice: dict[str, np.ndarray], summaries: dict[str, dict]) -> Figure:
    """Each patient's Dice, and each mean with its interval, one row per model, best on top."""
    names = sorted(dice, key=lambda name: summaries[name]["mean"])
    figure, axes = _new(7, 0.9 + 0.42 * len(names))
    rng = np.random.default_rng(0)
    for row, name in enumerate(names):
        own = summaries[name]
        jitter = rng.uniform(-0.14, 0.14, len(dice[name]))
        axes.plot(dice[name], row + jitter, "o", color=COLOURS[0], alpha=0.45, ms=4, mew=0)
        axes.plot([own["low"], own["high"]], [row, row], color="black", lw=2, solid_capstyle="butt")
        axes.plot(own["mean"], row, "D", color="white", mec="black", mew=1.4, ms=7)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlabel("Dice per patient; diamond: mean with 95 % interval")
    axes.set_xlim(min(0.5, min(np.nanmin(v) for v in dice.values())) - 0.02, 1.0)
    axes.grid(axis="x", color="#dddddd", lw=0.8)
    return figure


def difference_figure(claims: Sequence[dict]) -> Figure:
    """Every paired difference that the claims rest on, with its interval."""
    bars = [
        (f"{claim['better']} − {comparison['other']}", comparison)
        for claim in reversed(claims)
        for comparison in reversed(claim["comparisons"])
    ]
    figure, axes = _new(7, 0.9 + 0.36 * len(bars))
    for row, (_, comparison) in enumerate(bars):
        firm = comparison["p_holm"] < 0.05
        axes.plot([comparison["low"], comparison["high"]], [row, row], color="black", lw=2)
        axes.plot(comparison["difference"], row, "D", ms=7, mec="black",
                  color=COLOURS[0] if firm else "white")  # fmt: skip
    axes.axvline(0, color=_GREY, lw=1)
    axes.set_yticks(range(len(bars)), [label for label, _ in bars])
    axes.set_ylim(-0.6, len(bars) - 0.4)
    axes.set_xlabel("paired difference in Dice, 95 % interval; filled: p < 0.05 after Holm")
    axes.grid(axis="x", color="#dddddd", lw=0.8)
    return figure


def reliability_figure(curves: dict[str, dict[bool, list[dict]]]) -> Figure:
    """Share of tumour against probability, per model, before and after temperature scaling."""
    columns = min(3, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(2.6 * columns + 0.4, 2.7 * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes in grid.flat[len(curves) :]:
        axes.set_axis_off()
    for axes, (name, pair) in zip(grid.flat, curves.items(), strict=False):
        axes.plot([0, 1], [0, 1], color=_GREY, lw=1)
        for scaled, label in ((False, "as trained"), (True, "temperature scaled")):
            x, y = ([r[key] for r in pair[scaled]] for key in ("mean_probability", "tumour_share"))
            axes.plot(x, y, color=COLOURS[scaled], ls=LINES[scaled], marker=MARKERS[scaled], ms=4,
                      label=label)  # fmt: skip
        axes.set_title(name, fontsize=10)
        axes.set_aspect("equal")
        _plain(axes)
    grid[0, 0].legend(fontsize=7, frameon=False, loc="upper left")
    figure.supxlabel("probability", fontsize=10)
    figure.supylabel("share of these pixels with tumour", fontsize=10)
    return figure


def size_figure(dice: dict[str, np.ndarray], tumour_px: np.ndarray) -> Figure:
    """Dice of each patient against the size of the tumour."""
    figure, axes = _new(7, 4)
    for index, (name, values) in enumerate(dice.items()):
        axes.plot(tumour_px, values, MARKERS[index % 8], color=COLOURS[index % 8], ms=6, alpha=0.8,
                  ls="", label=name, mec="white", mew=0.5)  # fmt: skip
    axes.set_xscale("log")
    for formatter in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        formatter(lambda value, _: f"{value:,.0f}" if f"{value:.0e}"[0] in "125" else "")
    axes.set_xlabel("true tumour, pixels in the whole volume")
    axes.set_ylabel("Dice")
    axes.grid(color="#dddddd", lw=0.8)
    axes.figure.legend(fontsize=8, frameon=False, loc="outside upper center", ncols=4)
    return figure


def pareto_figure(points: Sequence[dict], key: str, label: str) -> Figure:
    """Mean Dice against a cost; those that nothing cheaper beats are joined by a line.

    points: ``name``, ``dice``, ``low``, ``high``, ``parameters`` and the cost under ``key``.
    """
    figure, axes = _new(7, 4)
    best, front = -np.inf, []
    for point in sorted(points, key=lambda p: (p[key], -p["dice"])):
        if point["dice"] > best:
            best = point["dice"]
            front.append(point)
    axes.plot([p[key] for p in front], [p["dice"] for p in front], color=_GREY, lw=1, ls="--")
    widest, named = max(p[key] for p in points), []
    for index, point in enumerate(points):
        error = [[point["dice"] - point["low"]], [point["high"] - point["dice"]]]
        axes.errorbar(point[key], point["dice"], yerr=error, color=COLOURS[index % 8],
                      fmt=MARKERS[index % 8], ms=8, capsize=3)  # fmt: skip
        # The second of two names at about the same cost goes below.
        below = any(abs(point[key] - cost) < 0.03 * widest for cost in named)
        named.append(point[key])
        axes.annotate(f"{point['name']}\n{point['parameters'] / 1e6:.1f} M",
                      xytext=(8, -4 if below else 4), va="top" if below else "bottom",
                      xy=(point[key], point["dice"]), textcoords="offset points",
                      fontsize=8)  # fmt: skip
    axes.margins(x=0.2)
    axes.set_xlabel(label)
    axes.set_ylabel("mean Dice, 95 % interval")
    axes.grid(color="#dddddd", lw=0.8)
    return figure


def _new(width: float, height: float):
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    _plain(axes)
    return figure, axes


def _plain(axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
    axes.set_axisbelow(True)
