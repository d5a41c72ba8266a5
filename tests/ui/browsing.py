"""What the browser tests do on the page, as a visitor would."""

from __future__ import annotations

from pathlib import Path

VIEWER = "#compare-viewer .viewer"
FINISHED = "#compare-viewer .save:not([hidden])"
MODELS = ["unetpp-bce", "unet-bce", "unet_resnet34-bce"]


def unfold(page) -> None:
    """Show the inputs, which fold away once there is something to look at."""
    change = page.locator("#given [aria-expanded=false]")
    if change.is_visible():
        change.click()


def give(page, path: Path, place: str = ".scan-drop") -> None:
    unfold(page)
    page.set_input_files(f"{place} input[type=file]", path)
    page.wait_for_selector(f"{place} :text('{path.name.split('.')[0]}')")


def give_truth(page, path: Path) -> None:
    page.click("button:has-text('True mask, or separate')")
    page.wait_for_selector(".truth-drop input[type=file]", state="attached")
    give(page, path, ".truth-drop")


def compare(page) -> None:
    page.click("#run")
    page.wait_for_selector(FINISHED)


def state(page, expression: str):
    """A JavaScript expression over ``s``, the viewer's state."""
    return page.evaluate(f"(() => {{ const s = document.querySelector('{VIEWER}').state();"
                         f"return {expression} }})()")  # fmt: skip


def figures(page) -> dict[str, str]:
    cards = page.locator(f"{VIEWER} .card")
    return {
        card.locator("strong").text_content(): card.locator(".figure").text_content()
        for card in cards.all()
    }


def moved(page, selector: str, value: int) -> None:
    page.locator(f"{VIEWER} {selector}").fill(str(value))


def pinch(page, x: float, y: float, *reaches: float) -> None:
    """Two fingers about a point, so many pixels from it, one after the other. Of a page with
    ``has_touch``."""
    touches = page.context.new_cdp_session(page)
    for kind, reach in zip(
        ("touchStart", *["touchMove"] * (len(reaches) - 1)), reaches, strict=True
    ):
        points = [{"x": x + d, "y": y, "id": i} for i, d in enumerate((-reach, reach))]
        touches.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    touches.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
