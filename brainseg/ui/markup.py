"""Pieces of HTML that several pages share. Names come from files, so every text is escaped."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from itertools import combinations

import numpy as np

from brainseg.scans import rendering

HEADER = """
<div class="top"><h1>brainseg</h1>
<p>Compare brain-tumour segmentation models, side by side, on one MRI scan.</p></div>
<p class="not-clinical" role="note"><strong>Not for clinical use.</strong> A research demonstration:
its masks and figures must not inform any diagnosis or treatment.</p>
"""
COMPARE_TITLE = "<h2>Compare</h2>"  # for screen readers: the other tabs have titles to be seen


def table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], label: str, *, words: bool = False
) -> str:
    """A table whose first column names its rows; all cells are text. ``words`` says that they
    are for reading, not figures to be aligned."""
    return raw_table(headings, [[escape(cell) for cell in row] for row in rows], label, words=words)


def raw_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], label: str, *, words: bool = False
) -> str:
    """``table`` of cells that are HTML already."""
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in headings)
    body = "".join(
        f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{c}</td>" for c in rest) + "</tr>"
        for first, *rest in rows
    )
    return (
        f'<div class="figures" tabindex="0" role="region" aria-label="{escape(label)}">'
        f'<table class="{"words" if words else ""}">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def notice(text: str) -> str:
    """A sentence that stands out, read aloud by screen readers when it changes."""
    return f'<p class="notice" role="status">{escape(text)}</p>' if text else ""


def progress(text: str, done: int, total: int) -> str:
    """A sentence and how far a comparison is."""
    share = round(100 * done / max(total, 1))
    return (
        f'{notice(text)}<div class="progress" role="progressbar" aria-label="Comparison" '
        f'aria-valuenow="{share}" aria-valuemin="0" aria-valuemax="100">'
        f'<i style="width: {share}%"></i></div>'
    )


def seen(picture: np.ndarray, slice_number: int, sizes: Sequence[int]) -> str:
    """The network's input, folded away. picture: T1, FLAIR and T1c side by side, uint8 (height,
    3 * width). sizes: of the squares that networks read."""
    return (
        f'<details class="seen"><summary>What the network sees</summary>'
        f'<img src="{data_url(rendering.png(np.repeat(picture[..., None], 3, -1)))}" alt="T1, '
        f'FLAIR and T1c of slice {slice_number}, as the network reads them">Slice {slice_number} '
        f"as T1, FLAIR and T1c, padded to a square of {' or '.join(map(str, sizes))} pixels and "
        f"scaled to the mean and spread of the head. {_stand_ins(picture)}</details>"
    )


def _stand_ins(picture: np.ndarray) -> str:
    """Which of the three sequences are one and the same, in a sentence; "" if none are."""
    planes = zip(("T1", "FLAIR", "T1c"), np.split(picture, 3, axis=1), strict=True)
    equal = [(a, b) for (a, one), (b, other) in combinations(planes, 2) if (one == other).all()]
    if len(equal) == 3:
        return "The three are equal: one sequence stands in for all."
    return "".join(f"{a} and {b} are equal: one sequence stands in for both." for a, b in equal)


def picture(file: bytes, alt: str) -> str:
    return f'<img src="{data_url(file)}" alt="{escape(alt)}">'


def data_url(file: bytes) -> str:
    """A PNG file inside the page: none of a visitor's scan is written to a served file."""
    return "data:image/png;base64," + base64.b64encode(file).decode()
