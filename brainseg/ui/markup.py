"""The page's pieces of HTML. Names come from files and folders, so every text is escaped."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from brainseg.ui import rendering
from brainseg.ui.handlers import Card

HEADER = """
<h1>brainseg</h1>
<p>Compare brain-tumour segmentation models, side by side, on one MRI scan.</p>
<p class="not-clinical" role="note"><strong>Not for clinical use.</strong> A research demonstration:
its masks and figures must not inform any diagnosis or treatment.</p>
"""


def cards(items: Sequence[Card], slice_number: int) -> str:
    """The cards of one slice, numbered from 1, as a list of figures."""
    return f'<ul class="cards">{"".join(_card(item, slice_number) for item in items)}</ul>'


def legend(truth: bool) -> str:
    """What the colours mean, and that the figures are of the whole scan."""
    swatches = _swatch("marked as tumour", rendering.MASK_COLOUR, "filled")
    meaning = (
        "Agreement is the mean overlap with the other models, from 0 to 1: how much they agree, "
        "not how right they are."
    )
    if truth:
        swatches += _swatch("outline of the true mask", rendering.TRUTH_COLOUR)
        meaning = "Dice is the overlap with the true mask, from 0 to 1."
    return (
        f'<p class="legend">{swatches}</p><p class="legend">{meaning} All figures are of the whole '
        "scan, not of one slice.</p>"
    )


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column names its rows."""
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in headings)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td>{escape(text)}</td>" for text in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return (
        '<div class="figures" tabindex="0" role="region" aria-label="Table of figures"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def notice(text: str) -> str:
    """A sentence that stands out, read aloud by screen readers when it changes."""
    return f'<p class="notice" role="status">{escape(text)}</p>' if text else ""


def _swatch(text: str, colour: tuple[int, int, int], style: str = "") -> str:
    return f'<span class="{style}" style="--colour: rgb{colour}">{text}</span>'


def _card(card: Card, slice_number: int) -> str:
    # The pictures travel inside the page: none of a visitor's scan is written to a served file.
    source = base64.b64encode(rendering.png(card.image)).decode()
    badge = "" if card.kind == "model" else f' <span class="badge">{escape(card.kind)}</span>'
    alt = f"Slice {slice_number} with what {card.name} marks as tumour: {card.caption}"
    return (
        f'<li><figure><img src="data:image/png;base64,{source}" alt="{escape(alt)}">'
        f"<figcaption><strong>{escape(card.name)}{badge}</strong>{escape(card.caption)}"
        "</figcaption></figure></li>"
    )
