"""Zoom and steps through slices, in a real browser."""

from __future__ import annotations

import pytest
from browsing import VIEWER, compare, figures, give, moved, pinch, state

pytestmark = pytest.mark.slow


def test_two_fingers_zoom_all_cards(visit, scan_png):
    page = visit(390, 844, has_touch=True, is_mobile=True)
    give(page, scan_png)
    compare(page)
    canvas = page.locator(f"{VIEWER} .card canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    pinch(page, x, y, 15, 20, 25, 30)
    assert state(page, "s.look.zoom") == pytest.approx(2, abs=0.1)
    assert page.locator(f"{VIEWER}.zoomed, {VIEWER} .zoomed").count()
    assert page.evaluate("window.visualViewport.scale") == 1  # the cards, not the page


def test_a_volume_with_its_slider(visit, scan_nifti):
    page = visit()
    give(page, scan_nifti[0])
    compare(page)
    assert "no true mask" in page.inner_text("#status")
    assert not any(text.startswith("Dice") for text in figures(page).values())
    page.click(f"{VIEWER} .open-extras")
    assert not any(one.is_visible() for one in page.locator(f"{VIEWER} .needs-truth").all())
    assert "No Dice is estimated" in page.inner_text(f"{VIEWER} .legend")
    for number in (1, 6):
        moved(page, ".slice", number)
        page.wait_for_function(
            f"document.querySelector('{VIEWER}').dataset.index === '{number - 1}'"
        )
        assert page.inner_text(f"{VIEWER} .slice-value") == f"{number} / 6"
    page.click(f"{VIEWER} .jump")
    start = state(page, "s.message.start")
    assert page.inner_text(f"{VIEWER} .slice-value") == f"{start + 1} / 6"
    page.locator(f"{VIEWER} .jump").focus()
    page.keyboard.press("ArrowRight" if start < 5 else "ArrowLeft")
    assert state(page, "s.index") == (start + 1 if start < 5 else start - 1)


def test_a_held_key_never_shows_one_slice_under_the_number_of_another(visit, numbered_nifti):
    page = visit()
    give(page, numbered_nifti)
    compare(page)
    page.check(f"{VIEWER} [data-mode=none]", force=True)
    seen = f"""() => {{
        const viewer = document.querySelector('{VIEWER}');
        const canvas = viewer.querySelector('.card canvas');
        const [x, y] = [canvas.width / 2, canvas.height / 2];
        const grey = canvas.getContext('2d').getImageData(x, y, 1, 1).data[0];
        return [viewer.querySelector('.slice-value').innerText, grey];
    }}"""

    def settled(number):
        page.wait_for_function(
            f"document.querySelector('{VIEWER} .slice-value').innerText === '{number} / 155'",
            timeout=15_000,
        )
        return page.evaluate(seen)[1]

    greys = {}
    for number in (1, 100):
        moved(page, ".slice", number)
        greys[number] = settled(number)
    step = (greys[100] - greys[1]) / 99
    moved(page, ".slice", 1)
    settled(1)
    page.evaluate(f"""() => {{
        const look = {seen};
        window.seen = [];
        const again = () => {{ window.seen.push(look()); requestAnimationFrame(again); }};
        again();
    }}""")
    page.locator(f"{VIEWER} .jump").focus()
    for _ in range(90):  # as fast as a held key
        page.keyboard.down("ArrowRight")
        page.wait_for_timeout(15)
    page.keyboard.up("ArrowRight")
    settled(91)
    frames = page.evaluate("window.seen")
    assert len({text for text, _ in frames}) > 3
    for text, grey in frames:
        number = int(text.split()[0])
        assert greys[1] + step * (number - 1) == pytest.approx(grey, abs=2), text
