"""The leaderboard of the Study page: a short table that fits a window, and all columns to unfold.

Rows are those of ``leaderboard.json``; what they lack is left empty, and columns that no row has
are left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from brainseg.ui import markup

_SHORT = ("Median", "Rank, 95 %", "HD95 (px)", "False-positive slices", "Latency (ms)")
_MEANING = {
    "Rank, 95 %": "its place when the patients are drawn anew 10,000 times",
    "Best in": "how often that is the first",
    "HD95 (px)": "of slices in which both masks have something, as surface Dice is",
    "False-positive slices": "those without tumour in which something is marked",
    "Calibration error": "of the probabilities as trained, and after scaling by a temperature",
}


def about(board: dict) -> str:
    """What the scores are of."""
    facts = []
    if board.get("dataset"):
        facts.append(f"data set {board['dataset']}")
    if board.get("patients") is not None:
        facts.append(f"{board['patients']} patients")
    if board.get("fold") is not None:
        facts.append(f"fold {board['fold']}")
    if board.get("size_px"):
        facts.append(f"{board['size_px']} px")
    text = "Dice per patient over the whole volume, with its 95 % interval: " + ", ".join(facts)
    return f"<p>{escape(text)}. {escape(str(board.get('note') or ''))}</p>"


def tables(rows: Sequence[dict]) -> str:
    """Best mean Dice first: the columns that matter, and all of them to unfold."""
    rows = sorted(rows, key=lambda row: -(_part(row, "dice", "mean") or -1))
    columns = [column for column in _COLUMNS if any(column[1](row) != "" for row in rows)]
    short = [column for column in columns if column[0] in _SHORT]
    first = [[name_cell(row), interval_cell(row), *_values(row, short)] for row in rows]
    headings = ["Name", "Mean Dice, 95 % interval", *(title for title, _ in short)]
    board = f'<div class="board">{markup.raw_table(headings, first, "Leaderboard")}</div>'
    whole = [[escape(str(row.get("name", "?"))), *_values(row, columns)] for row in rows]
    every = markup.raw_table(["Name", *(title for title, _ in columns)], whole, "All columns")
    meant = [title for title, _ in columns if title in _MEANING]
    told = "".join(f" <strong>{title}</strong>: {_MEANING[title]}." for title in meant)
    return (
        f'{board}<details class="columns"><summary>All columns</summary>'
        f"<p>Means over patients, but for the median and counts.{told}</p>"
        '<p class="narrow-only">Move the table sideways for all columns.</p>'
        f'<div class="all-columns">{every}</div></details>'
    )


def name_cell(row: dict) -> str:
    """A row's name, and a button that marks it on the Compare page. A fusion has none: what is
    called so on that page may fuse other models."""
    name = escape(str(row.get("name", "?")))
    if row.get("kind") == "fusion":
        return name
    return (
        f'{name}<br><button type="button" data-choose="{name}" aria-label="Show in Compare: '
        f'{name}">Show in Compare</button>'
    )


def interval_cell(row: dict) -> str:
    """Mean Dice with its interval, in figures and drawn."""
    mean, low, high = (_part(row, "dice", key) for key in ("mean", "low", "high"))
    if mean is None:
        return "not measured"
    if low is None or high is None:
        return f"{mean:.3f}"
    bar = (
        f'<span class="interval" aria-hidden="true"><i style="left:{100 * low:.1f}%;'
        f'width:{100 * (high - low):.1f}%"></i><b style="left:{100 * mean:.1f}%"></b></span>'
    )
    return f"{mean:.3f} ({low:.3f} to {high:.3f}){bar}"


def number(row: dict, key: str) -> float | None:
    """A figure of a row of any file of the study, None where there is none, as NaN is none."""
    value = row.get(key)
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def _values(row: dict, columns: Sequence[tuple[str, Callable[[dict], str]]]) -> list[str]:
    return [escape(value(row)) for _, value in columns]


def _part(row: dict, key: str, inner: str) -> float | None:
    part = row.get(key)
    return number(part, inner) if isinstance(part, dict) else None


def _number(key: str, inner: str | None = None, form: str = "{:.3f}") -> Callable[[dict], str]:
    def value(row: dict) -> str:
        found = number(row, key) if inner is None else _part(row, key, inner)
        return "" if found is None else form.format(found)

    return value


def _parameters(row: dict) -> str:
    count = number(row, "parameters")
    return "" if count is None else f"{count / 1e6:.1f} M"


def _false_positives(row: dict) -> str:
    marked, empty = row.get("false_positive_slices"), row.get("empty_slices")
    return "" if marked is None or empty is None else f"{marked} of {empty}"


def _ranks(row: dict) -> str:
    low, high = _part(row, "rank", "low"), _part(row, "rank", "high")
    return "" if low is None or high is None else f"{low:g} to {high:g}"


def _calibration(row: dict) -> str:
    before, after = number(row, "ece_before"), number(row, "ece_after")
    if before is None:
        return ""
    return f"{before:.3f}" + ("" if after is None else f" → {after:.3f}")


_COLUMNS = (
    ("Mean Dice", _number("dice", "mean")),
    ("Median", _number("dice", "median")),
    ("Rank, 95 %", _ranks),
    ("Best in", _number("rank", "first_share", "{:.0%}")),
    ("IoU", _number("iou", "mean")),
    ("HD95 (px)", _number("hd95_px", "mean", "{:.1f}")),
    ("Surface Dice", _number("surface_dice", "mean")),
    ("Precision", _number("precision", "mean")),
    ("Recall", _number("recall", "mean")),
    ("False-positive slices", _false_positives),
    ("Calibration error", _calibration),
    ("Parameters", _parameters),
    ("GFLOP", _number("gflop", None, "{:.1f}")),
    ("Latency (ms)", _number("latency_ms", None, "{:.0f}")),
)
