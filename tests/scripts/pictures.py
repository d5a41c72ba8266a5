"""Take the README's pictures of the page anew, on a phantom: python tests/scripts/pictures.py

Starts ``python app.py`` on the shipped checkpoints, with Chromium and Playwright as the browser
tests have them.
"""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[2]
ADDRESS = "http://127.0.0.1:7871"
FINISHED = "#compare-viewer .save:not([hidden])"
WAIT_MS = 600_000  # ten models on a slow machine


def take(page: Page) -> None:
    show(page, "example=multifocal")
    page.screenshot(path=ROOT / "docs" / "app.png")
    page.set_viewport_size({"width": 1440, "height": 2400})  # a picture ends with the window
    show(page, "example=multifocal&view=errors")
    page.click("#compare-viewer button:has-text('More')")
    page.click("#compare-viewer label:has-text('All figures')")
    page.keyboard.press("Escape")
    page.wait_for_timeout(2000)
    row = [card.bounding_box() for card in page.locator("#compare-viewer .card").all()[:6]]
    top, height = row[0]["y"] - 10, max(box["height"] for box in row) + 20
    clip = {"x": 100, "y": top, "width": 1240, "height": height}
    page.screenshot(path=ROOT / "docs" / "app-errors.png", clip=clip)


def show(page: Page, what: str) -> None:
    page.goto(f"{ADDRESS}/?{what}")
    page.wait_for_selector(FINISHED, timeout=WAIT_MS)
    page.wait_for_timeout(3000)  # slices beside the one shown


def main() -> None:
    environment = {**os.environ, "GRADIO_SERVER_PORT": ADDRESS.rpartition(":")[2]}
    app = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment)
    try:
        wait(app)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            page = browser.new_page(viewport={"width": 1440, "height": 1310})
            take(page)
            browser.close()
    finally:
        app.terminate()
        app.wait()


def wait(app: subprocess.Popen) -> None:
    for _ in range(120):
        if app.poll() is not None:
            raise SystemExit(f"app.py ended: is another program on {ADDRESS}?")
        try:
            urllib.request.urlopen(ADDRESS).close()
        except OSError:
            time.sleep(0.5)
        else:
            return
    raise SystemExit(f"{ADDRESS} does not answer.")


if __name__ == "__main__":
    main()
