"""The Study page: what was measured, read from ``docs/study/``, and what is still missing."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path

import gradio as gr

from brainseg.ui import markup
from brainseg.ui.compare_actions import message_of
from brainseg.ui.compare_tab import CompareParts
from brainseg.ui.events import PRIVATE
from brainseg.ui.session import INVITATION

_CHOOSE = (Path(__file__).with_name("choose.js")).read_text("utf-8")


def build_study_tab(
    checkpoints: str | Path, study: Path, page: gr.Blocks, tabs: gr.Tabs, compare: CompareParts
) -> None:
    """Lay the page out and wire it; to be called inside a tab. A model chosen here is marked on
    the Compare page, which is then shown."""
    sheet = gr.HTML(js_on_load=_CHOOSE, apply_default_css=False, elem_id="study")

    def choose(event: gr.EventData, found) -> tuple:
        name = str(event._data["name"])
        shown, text = None, markup.notice(f"{name} will be marked. {INVITATION}")
        if found:
            shown, text = message_of(found, found.start, name, study), gr.skip()
        return gr.Tabs(selected="compare"), name, shown, text

    marked = [tabs, compare.chosen, compare.viewer, compare.status]
    sheet.choose(choose, compare.state, marked, show_progress="hidden", **PRIVATE)
    page.load(lambda: render(study, Path(checkpoints)), outputs=sheet, **PRIVATE)


def render(study: Path, checkpoints: Path) -> str:
    """The page as HTML. Files and keys that are not there are said to be missing."""
    board = _read(study / "leaderboard.json", dict)
    claims = _read(study / "claims.json", list)
    missing = _read(study / "missing.json", list)
    figures = _read(study / "figures.json", list)
    parts = ['<div class="sheet"><h2>Leaderboard</h2>']
    rows = [row for row in (board or {}).get("rows", []) if isinstance(row, dict)]
    if rows:
        parts.append(_about(board))
        parts.append(_leaderboard(rows))
    else:
        parts.append(_shipped(checkpoints))
    absent = [str(item) for item in missing or []]
    absent += [f"{what}: not there yet" for what, part in (
        ("the leaderboard with intervals and ranks", rows),
        ("the table of claims", claims),
        ("figures: Dice of each patient, reliability, Dice against cost", figures),
    ) if not part]  # fmt: skip
    if absent:
        items = "".join(f"<li>{escape(text)}</li>" for text in absent)
        parts.append(f'<div class="missing"><strong>Still missing</strong><ul>{items}</ul></div>')
    if claims:
        note = escape(str((board or {}).get("claims_note") or ""))
        parts.append(f"<h2>Claims, tested</h2><p>{note}</p>{_claims(claims)}")
    if figures:
        parts.append('<h2>Figures</h2><div class="plots">')
        parts += [_figure(study, item) for item in figures if isinstance(item, dict)]
        parts.append("</div>")
    return "".join(parts) + "</div>"


def _about(board: dict) -> str:
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


def _leaderboard(rows: list[dict]) -> str:
    rows = sorted(rows, key=lambda row: -(_part(row, "dice", "mean") or -1))
    columns = [column for column in _COLUMNS if any(column[1](row) != "" for row in rows)]
    cells = [
        [
            f"{escape(str(row.get('name', '?')))}<br>{_button(row)}",
            _interval(row),
            *(escape(value(row)) for _, value in columns),
        ]
        for row in rows
    ]
    headings = ["Name", "Mean Dice, 95 % interval", *(title for title, _ in columns)]
    return markup.raw_table(headings, cells, "Leaderboard")


def _interval(row: dict) -> str:
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


def _button(row: dict) -> str:
    name = escape(str(row.get("name", "")))
    return (
        f'<button type="button" data-choose="{name}" aria-label="Show {name} in Compare">'
        "Show in Compare</button>"
    )


def _part(row: dict, key: str, inner: str) -> float | None:
    part = row.get(key)
    value = part.get(inner) if isinstance(part, dict) else None
    return value if isinstance(value, int | float) else None


def _number(key: str, inner: str | None = None, form: str = "{:.3f}"):
    def value(row: dict) -> str:
        found = row.get(key) if inner is None else _part(row, key, inner)
        return form.format(found) if isinstance(found, int | float) else ""

    return value


def _false_positives(row: dict) -> str:
    marked, empty = row.get("false_positive_slices"), row.get("empty_slices")
    return "" if marked is None or empty is None else f"{marked} of {empty}"


def _ranks(row: dict) -> str:
    low, high = _part(row, "rank", "low"), _part(row, "rank", "high")
    return "" if low is None or high is None else f"{low:g} to {high:g}"


def _calibration(row: dict) -> str:
    before, after = row.get("ece_before"), row.get("ece_after")
    if not isinstance(before, int | float):
        return ""
    return f"{before:.3f}" + (f" → {after:.3f}" if isinstance(after, int | float) else "")


_COLUMNS = (
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
    ("Parameters", _number("parameters", None, "{:,.0f}")),
    ("GFLOP", _number("gflop", None, "{:.1f}")),
    ("Latency (ms)", _number("latency_ms", None, "{:.0f}")),
)


def _claims(claims: list) -> str:
    rows = []
    for claim in claims:
        if not isinstance(claim, dict):
            continue
        rows.append(
            [
                f"{escape(str(claim.get('claim', '')))}",
                f'<span class="verdict">{escape(str(claim.get("verdict", "not tested")))}</span>',
                escape(str(claim.get("text") or "")),
            ]
        )
    headings = ["Claim", "Verdict", "What was found"]
    return markup.raw_table(headings, rows, "Claims", words=True)


def _figure(study: Path, item: dict) -> str:
    # The name comes from a file: only a picture in the study's own folder is shown.
    path = study / Path(str(item.get("file", ""))).name
    if not path.is_file() or path.suffix != ".png":
        return f"<p>{escape(str(item.get('title') or item.get('file')))}: not there yet.</p>"
    picture = markup.picture(path.read_bytes(), str(item.get("alt") or item.get("title") or ""))
    title = escape(str(item.get("title") or ""))
    return f"<figure><figcaption>{title}</figcaption>{picture}</figure>"


def _shipped(checkpoints: Path) -> str:
    """What the checkpoints themselves say, until the study is there."""
    rows = []
    for path in sorted(checkpoints.rglob("metrics.json")) if checkpoints.is_dir() else []:
        test = (_read(path, dict) or {}).get("test")
        if isinstance(test, dict) and isinstance(test.get("dice"), dict):
            row = {"name": path.parent.name, **test}
            patients = test["dice"].get("patients", "")
            fold = test.get("fold", "")
            name = escape(path.parent.name)
            rows.append([f"{name}<br>{_button(row)}", _interval(row), str(patients), str(fold)])
    text = (
        "<p>There is no study yet. Until then, what each shipped model scored on its own "
        "test patients:</p>"
    )
    headings = ["Name", "Mean Dice, 95 % interval", "Test patients", "Fold"]
    return text + (markup.raw_table(headings, rows, "Scores of the models") if rows else "")


def _read(path: Path, kind: type):
    """What a JSON file holds, or None where it is missing, damaged or of another kind."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, kind) else None
