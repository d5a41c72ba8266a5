"""Of the Study page: claims with their verdicts, and the differences that these rest on."""

from __future__ import annotations

from html import escape

from brainseg.ui import leaderboard, markup


def claims_table(claims: list, label: str) -> str:
    """A row for each claim, with its data set where claims name theirs; "" without any."""
    claims = [claim for claim in claims if isinstance(claim, dict)]
    columns = {
        "Claim": "claim",
        "Data set": "dataset",
        "Verdict": "verdict",
        "What was found": "text",
    }
    if not any("dataset" in claim for claim in claims):
        del columns["Data set"]
    rows = [[_cell(claim, key) for key in columns.values()] for claim in claims]
    return markup.raw_table([*columns], rows, label, words=True) if rows else ""


def _cell(claim: dict, key: str) -> str:
    if key == "verdict":
        return f'<span class="verdict">{escape(str(claim.get(key, "not tested")))}</span>'
    return escape(str(claim.get(key) or ""))


def differences_table(claims: list) -> str:
    """Every difference that the claims rest on, to unfold."""
    claims = [claim for claim in claims if isinstance(claim, dict)]
    found = {
        frozenset((str(claim.get("better")), str(gap.get("other")))): (claim, gap)
        for claim in reversed(claims)  # of two claims on one difference, the first
        for gap in reversed(claim.get("comparisons") or [])
        if isinstance(gap, dict)
    }
    rows = [
        [
            f"{claim.get('better')} minus {gap.get('other')}",
            _signed(gap, "difference"),
            f"{_signed(gap, 'low')} to {_signed(gap, 'high')}",
            f"{p:.2g}" if (p := leaderboard.number(gap, "p_holm")) is not None else "",
        ]
        for claim, gap in reversed(found.values())
    ]
    if not rows:
        return ""
    headings = ["Difference in Dice", "Mean", "95 % interval", "p (Holm)"]
    table = markup.table(headings, rows, "Every difference", words=True)
    return f"<details><summary>Every difference that was tested</summary>{table}</details>"


def _signed(row: dict, key: str) -> str:
    value = leaderboard.number(row, key)
    return "?" if value is None else f"{value:+.3f}"
