"""Of the Study page: models that were trained alike on several data sets, from ``family.json``."""

from __future__ import annotations

import sys
from html import escape

from brainseg.ui import leaderboard, markup


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
    return f"<h2>{escape(title)}</h2>{told}{board}{_claims(title, sets)}"


def _place(group: dict, name: str) -> int:
    names = group.get("names")
    return names.index(name) if isinstance(names, list) and name in names else sys.maxsize


def _about(one: dict) -> str:
    told = f"On {one.get('dataset')}: {one.get('selection')}, {one.get('patients')} patients."
    return f"{told} {one.get('note') or ''}".strip()


def _score(score: object) -> str:
    return leaderboard.interval_cell({"dice": score}) if isinstance(score, dict) else ""


def _found(claim: dict) -> str:
    folds = claim.get("folds")
    return str(claim.get("text") or "") + (f"; so in {folds} folds" if folds else "")


def _claims(title: str, sets: list[dict]) -> str:
    rows = [
        [
            escape(str(claim.get("claim", ""))),
            escape(str(one.get("dataset", ""))),
            f'<span class="verdict">{escape(str(claim.get("verdict", "not tested")))}</span>',
            escape(_found(claim)),
        ]
        for one in sets
        for claim in one.get("claims") or []
        if isinstance(claim, dict)
    ]
    headings = ["Claim", "Data set", "Verdict", "What was found"]
    return markup.raw_table(headings, rows, f"{title}: claims", words=True) if rows else ""
