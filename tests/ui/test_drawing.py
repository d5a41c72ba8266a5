"""A truth drawn by hand, in a real browser."""

from __future__ import annotations

import pytest
from browsing import VIEWER, compare, figures, give, pinch, state

pytestmark = pytest.mark.slow


def begin_drawing(page) -> tuple[float, float]:
    """Take the brush; returns the middle of the first card's picture."""
    page.click(f"{VIEWER} .open-extras")
    page.check(f"{VIEWER} .draw", force=True)
    canvas = page.locator(f"{VIEWER} .card canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    return x, y


def test_a_truth_drawn_by_hand_is_scored(visit, scan_png):
    page = visit()
    give(page, scan_png)
    compare(page)
    assert not any(text.startswith("Dice") for text in figures(page).values())
    x, y = begin_drawing(page)
    page.mouse.move(x - 40, y)
    page.mouse.down()
    page.mouse.move(x + 40, y, steps=5)
    page.mouse.up()
    page.wait_for_function(f"document.querySelector('{VIEWER} .figure').innerText.match(/Dice/)")
    page.wait_for_function("document.querySelector('#status').innerText.match(/drawn on slice 1/)")
    assert state(page, "s.slice.truth.reduce((a, b) => a + b, 0)") > 20


def test_two_fingers_zoom_and_draw_nothing(visit, scan_png):
    page = visit(has_touch=True)
    give(page, scan_png)
    compare(page)
    pinch(page, *begin_drawing(page), 15, 20, 25, 30)
    assert state(page, "s.look.zoom") == pytest.approx(2, abs=0.1)
    page.wait_for_timeout(500)
    assert state(page, "s.slice.truth") is None
    assert not any(text.startswith("Dice") for text in figures(page).values())


def test_where_most_is_marked_is_still_told_once_a_slice_is_drawn_on(visit, scan_nifti):
    page = visit()
    give(page, scan_nifti[0])
    compare(page)
    jump = page.inner_text(f"{VIEWER} .jump")
    start = state(page, "s.index")
    page.locator(f"{VIEWER} .jump").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        f"(() => {{ const s = document.querySelector('{VIEWER}').state();"
        f"return s.index !== {start} && s.slice }})()"
    )
    x, y = begin_drawing(page)
    page.mouse.move(x - 40, y)
    page.mouse.down()
    page.mouse.move(x + 40, y, steps=5)
    page.mouse.up()
    page.wait_for_function("document.querySelector('#status').innerText.match(/drawn on slice/)")
    assert jump.startswith("Most tumour: ") and page.inner_text(f"{VIEWER} .jump") == jump


def test_strokes_made_at_once_are_all_scored(visit, scan_png):
    page = visit()
    give(page, scan_png)
    compare(page)
    x, y = begin_drawing(page)
    drawn = "s.slice.truth.reduce((a, b) => a + b, 0)"

    def stroke(step):
        page.mouse.move(x - 40, y + step)
        page.mouse.down()
        page.mouse.move(x + 40, y + step)
        page.mouse.up()

    def wait_until_scored():
        page.wait_for_function(
            f"(() => {{ const s = document.querySelector('{VIEWER}').state();"
            f"return s.message.cards[0].truthPixels === {drawn} && {drawn} > 40 }})()",
            timeout=20_000,
        )

    for step in (-30, 0, 30):  # faster than they are answered
        stroke(step)
    wait_until_scored()
    stroke(30)  # changes nothing, and holds nothing up
    page.wait_for_timeout(1000)
    stroke(50)
    wait_until_scored()
    for _ in range(3):
        page.click(f"{VIEWER} .undo")
    wait_until_scored()
