"""The page by axe-core's rules (WCAG 2.1 A and AA, and its best practice), by keyboard, and at the
widths of a desk, a laptop and a phone."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.slow

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
FINISHED = "#compare-viewer .save:not([hidden])"
TABS = ("Compare", "Study", "Stress", "Models")


def violations(page) -> list[str]:
    """What axe finds on the page as it is shown, one line for each element."""
    axe = pytest.importorskip("axe_playwright_python.base", reason="pip install -e .[dev]")
    page.evaluate(axe.AXE_SCRIPT)
    options = json.dumps({"runOnly": RULES, "resultTypes": ["violations"]})
    found = page.evaluate(f"axe.run(document, {options})")["violations"]
    return [
        f"{rule['id']}: {node['html'][:200]} ({node['any'][0]['message'] if node['any'] else ''})"
        for rule in found
        for node in rule["nodes"]
    ]


def open_tab(page, name: str) -> None:
    page.click(f"button[role=tab]:has-text('{name}')")
    ready = {
        "Compare": "#compare-viewer .viewer",
        "Study": "#study .plots img",
        "Stress": "#run-stress",
        "Models": "#model-card h2",
    }
    page.locator(ready[name]).first.wait_for()
    page.wait_for_timeout(300)  # for colours that fade


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_no_tab_breaks_a_rule(visit, width, scheme):
    page = visit(width, 900, color_scheme=scheme)
    page.wait_for_selector("#status .pending", state="detached")  # it is faded until it is loaded
    found = {"before": violations(page)}
    page.click("#examples button[data-choose=small]")
    page.wait_for_selector(FINISHED)
    for name in TABS:
        open_tab(page, name)
        if name == "Stress":
            page.click("#run-stress")
            page.wait_for_selector("#curve svg")
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        found[name] = violations(page)
    assert not any(found.values()), found


def test_a_figure_is_enlarged_by_keyboard_and_the_focus_comes_back(visit):
    page = visit(1440, 900)
    open_tab(page, "Study")
    button = page.locator("#study .enlarge").nth(2)
    button.focus()
    page.keyboard.press("Enter")
    dialog = page.locator("dialog.large")
    dialog.wait_for()
    assert dialog.get_attribute("aria-label") == "Paired differences that the claims rest on"
    picture = dialog.locator("img")
    assert picture.get_attribute("alt") and picture.bounding_box()["width"] > 900
    assert dialog.evaluate("(d) => d.contains(document.activeElement)")
    assert violations(page) == []
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    assert button.evaluate("(b) => b === document.activeElement")
    page.locator("#study .plots img").first.click()
    dialog.wait_for()
    page.mouse.click(4, 4)  # beside it
    dialog.wait_for(state="hidden")


@pytest.mark.parametrize("width", [1440, 1280, 390])
def test_the_leaderboard_fits(visit, width):
    page = visit(width, 900)
    open_tab(page, "Study")
    table = page.locator("#study .board:not(.whole) .figures")
    assert table.evaluate("(t) => t.scrollWidth - t.clientWidth") <= 0
    assert table.locator(".interval:visible").count() == table.locator("tbody tr").count()
    page.click("#study .columns summary")
    every = page.locator("#study .all-columns .figures")
    hidden = every.evaluate("(t) => t.scrollWidth - t.clientWidth")
    assert hidden <= 0 or page.locator("#study .narrow-only").is_visible()
    for sets in page.locator("#study .board.whole .figures").all():  # a bar in each data set
        assert sets.locator(".interval:visible").count() == sets.locator("tbody td").count() > 0
        assert width < 600 or sets.evaluate("(t) => t.scrollWidth - t.clientWidth") <= 0


def test_a_conclusion_shows_what_it_speaks_of(visit):
    page = visit()
    open_tab(page, "Study")
    page.click("#study a.show-me[aria-label='Show me: Losses']")
    page.wait_for_selector(FINISHED)
    assert "phantom small" in page.inner_text("#status")
    page.wait_for_selector("#compare-viewer [data-mode=errors]:checked", state="attached")
    assert "left=unet-bce" in page.url and "right=unet-hybrid" in page.url
