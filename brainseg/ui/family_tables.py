"""Of the Study page: models that were trained alike on several data sets, from ``family.json``."""

from __future__ import annotations

import sys
from html import escape

from brainseg.ui import leaderboard, markup
from brainseg.ui.claim_tables import claims_table


def family_tables(groups: list) -> str:
    """A title, what was scored, a table of Dice and one of claims for each group."""
    return "".join(_group(group) for group in groups if isinstance(group, dict))


def _group(group: dict) -> str:
    sets = [one for one in group.get("sets") or [] if isinstance(one, dict)]
    scored = [(one, scores) for one in sets if isinstance(scores := one.get("scores"), dict)]
    if not scored:
        return ""
    title = str(group.get("title") or "")
    told = "".join(
        f"<p>{escape(text)}</p>"
        for text in filter(None, (str(group.get("told") or ""), *map(_about, sets)))
    )
    there = dict.fromkeys(name for _, scores in scored for name in scores)
    names = sorted(there, key=lambda name: _place(group, name))
    rows = [
        [leaderboard.name_cell({"name": name}), *(_score(scores.get(name)) for _, scores in scored)]
        for name in names
    ]
    headings = ["Name", *(f"{one.get('dataset')}: mean Dice, 95 % interval" for one, _ in scored)]
    table = markup.raw_table(headings, rows, title)
    board = f'<div class="board whole">{table}</div>'
    claims = claims_table([claim for one in sets for claim in _claims(one)], f"{title}: claims")
    return f"<h2>{escape(title)}</h2>{told}{board}{claims}"


def _place(group: dict, name: str) -> int:
    names = group.get("names")
    return names.index(name) if isinstance(names, list) and name in names else sys.maxsize


def _about(one: dict) -> str:
    told = f"On {one.get('dataset')}: {one.get('selection')}, {one.get('patients')} patients."
    return f"{told} {one.get('note') or ''}".strip()


def _score(score: object) -> str:
    return leaderboard.interval_cell({"dice": score}) if isinstance(score, dict) else ""


def _claims(one: dict) -> list[dict]:
    claims = [claim for claim in one.get("claims") or [] if isinstance(claim, dict)]
    return [{**claim, "dataset": one.get("dataset")} for claim in claims]
