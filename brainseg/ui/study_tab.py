"""The Study page: what was measured, read from ``docs/study/``, and what is still missing."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from urllib.parse import urlencode

import gradio as gr

from brainseg.ui import leaderboard, markup
from brainseg.ui.claim_tables import claims_table, differences_table
from brainseg.ui.compare_actions import message_of
from brainseg.ui.compare_tab import CompareParts
from brainseg.ui.events import PRIVATE
from brainseg.ui.family_tables import family_tables
from brainseg.ui.session import INVITATION

_SCRIPT = "\n".join(
    Path(__file__).with_name(name).read_text("utf-8") for name in ("choose.js", "enlarge.js")
)
_DIALOG = """
<dialog class="large"><p><strong class="title"></strong>
<button type="button" class="close">Close</button></p>
<div class="pane" tabindex="0" role="region" aria-label="The figure, enlarged"><img alt=""></div>
</dialog>
"""


def build_study_tab(
    checkpoints: str | Path, study: Path, tab: gr.Tab, tabs: gr.Tabs, compare: CompareParts
) -> None:
    """Lay the page out and wire it; to be called inside its tab. It travels when it is first
    opened, for its figures are large. A model chosen here is marked on the Compare page, which is
    then shown."""
    is_there = gr.State(False)
    sheet = gr.HTML(
        "<p>Loading the study.</p>", js_on_load=_SCRIPT, apply_default_css=False, elem_id="study"
    )

    def choose(event: gr.EventData, found, turn) -> tuple:
        turn["chosen"] = name = str(event._data["name"])
        shown, text = None, markup.notice(f"{name} will be marked. {INVITATION}")
        if found:
            shown, text = message_of(found, found.start, name, study), gr.skip()
        return gr.Tabs(selected="compare"), name, shown, text

    marked = [tabs, compare.chosen, compare.viewer, compare.status]
    sheet.choose(choose, [compare.state, compare.turn], marked, show_progress="hidden", **PRIVATE)

    def load(is_there: bool) -> tuple:
        return gr.skip() if is_there else render(study, Path(checkpoints)), True

    tab.select(load, is_there, [sheet, is_there], show_progress="hidden", **PRIVATE)


def render(study: Path, checkpoints: Path) -> str:
    """The page as HTML. Files and keys that are not there are said to be missing."""
    board = _read(study / "leaderboard.json", dict)
    claims = _read(study / "claims.json", list)
    missing = _read(study / "missing.json", list)
    figures = _read(study / "figures.json", list)
    learned = _read(study / "conclusions.json", list)
    family = _read(study / "family.json", list)
    parts = ['<div class="sheet">', _conclusions(learned or []), family_tables(family or [])]
    parts.append("<h2>Leaderboard</h2>")
    rows = [row for row in (board or {}).get("rows", []) if isinstance(row, dict)]
    if rows:
        parts += [leaderboard.about(board), leaderboard.tables(rows)]
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
        told = "Claims on the models of the leaderboard."
        parts.append(f"<h2>Claims, tested</h2><p>{told} {note}</p>")
        parts += [claims_table(claims, "Claims, tested"), differences_table(claims)]
    if figures:
        parts.append('<h2>Figures</h2><div class="plots">')
        parts += [_figure(study, item) for item in figures if isinstance(item, dict)]
        parts.append(f"</div>{_DIALOG}")
    return "".join(parts) + "</div>"


def _conclusions(found: list) -> str:
    """Cards: a figure with its interval, a sentence, and an address that shows an example."""
    cards = "".join(_card(one) for one in found if isinstance(one, dict))
    title = "<h2>What was learned</h2>"
    return f'{title}<div class="conclusions">{cards}</div>' if cards else ""


def _card(one: dict) -> str:
    keys = ("title", "sentence", "what", "shown", "verdict")
    text = {key: escape(str(one.get(key) or "")) for key in keys}
    verdict = f'<p class="verdict">{text["verdict"]}</p>' if text["verdict"] else ""
    figure = ""
    if None not in (gap := [leaderboard.number(one, key) for key in ("difference", "low", "high")]):
        figure = (
            f'<p class="gap"><strong>{gap[0]:+.3f}</strong> Dice<br><small>95 % interval '
            f"{gap[1]:+.3f} to {gap[2]:+.3f}, {escape(str(one.get('patients')))} patients<br>"
            f"{text['what']}</small></p>"
        )
    link, show = "", one.get("show")
    if isinstance(show, dict):  # the page's own script acts on it, and else the page does
        link = (
            f'<p><a class="show-me" href="?{escape(urlencode(show))}" aria-label="Show me: '
            f'{text["title"]}">Show me</a> <small>{text["shown"]}</small></p>'
        )
    told = f"<p>{text['sentence']}</p>"
    return f"<article><h3>{text['title']}</h3>{figure}{verdict}{told}{link}</article>"


def _figure(study: Path, item: dict) -> str:
    # The name comes from a file: only a picture in the study's own folder is shown.
    path = study / Path(str(item.get("file", ""))).name
    if not path.is_file() or path.suffix != ".png":
        return f"<p>{escape(str(item.get('title') or item.get('file')))}: not there yet.</p>"
    title = escape(str(item.get("title") or ""))
    picture = markup.picture(path.read_bytes(), str(item.get("alt") or item.get("title") or ""))
    return (
        f'<figure><figcaption><span>{title}</span><button type="button" class="enlarge" '
        f'aria-label="Enlarge: {title}">Enlarge</button></figcaption>{picture}</figure>'
    )


def _shipped(checkpoints: Path) -> str:
    """What the checkpoints themselves say, until the study is there."""
    rows = []
    for path in sorted(checkpoints.rglob("metrics.json")) if checkpoints.is_dir() else []:
        test = (_read(path, dict) or {}).get("test")
        if isinstance(test, dict) and isinstance(test.get("dice"), dict):
            row = {"name": path.parent.name, **test}
            patients = test["dice"].get("patients", "")
            fold = test.get("fold", "")
            cells = [leaderboard.name_cell(row), leaderboard.interval_cell(row)]
            rows.append([*cells, escape(str(patients)), escape(str(fold))])
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
