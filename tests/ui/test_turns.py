"""Comparisons that are cancelled, wait or come at once, in a real browser."""

from __future__ import annotations

import numpy as np
import pytest
from browsing import FINISHED, VIEWER, figures, give, moved, state, unfold

pytestmark = pytest.mark.slow


def test_a_cancelled_comparison_makes_way_for_the_next(visit):
    page = visit()
    page.click("#examples button[data-choose=noisy]")
    page.click("#cancel")
    page.wait_for_selector("#status :text('Cancelled')")
    unfold(page)
    page.click("#examples button[data-choose=small]")
    page.wait_for_selector(FINISHED)
    assert "phantom small" in page.inner_text("#status")


@pytest.mark.parametrize("is_late", [False, True])
def test_a_cancelled_comparison_shows_nothing_of_the_last(visit, long_nifti, is_late):
    page = visit()
    page.click("#examples button[data-choose=small]")
    page.wait_for_selector(FINISHED)
    give(page, long_nifti)
    page.click("#run")
    if is_late:
        page.wait_for_function(
            f"(document.querySelector('{VIEWER}').state().message?.cards || [])"
            ".filter((card) => card.ready).length > 0"
        )
    page.click("#cancel")
    page.wait_for_selector("#status :text('Cancelled')")
    page.wait_for_selector("#cancel", state="hidden")
    page.wait_for_timeout(1500)  # for what might still come of the run
    if page.locator(f"{VIEWER} .empty").is_visible():
        assert not is_late and "below" not in page.inner_text("#status")
        return
    assert not any(text in ("Waiting", "Running…") for text in figures(page).values())
    assert "Not run: " in page.inner_text("#status") and "long" in state(page, "s.message.source")
    page.click(f"{VIEWER} .save")
    page.wait_for_selector("#files a")


def test_two_visitors_at_once_do_not_meet(visit, scan_png, scan_nifti):
    one, two = visit(), visit()
    give(one, scan_png)
    give(two, scan_nifti[0])
    one.click("#run")
    two.click("#run")
    for page, name, slices in ((one, "scan.png", 1), (two, "volume.nii.gz", 6)):
        page.wait_for_selector(FINISHED)
        assert name in page.inner_text("#status")
        assert state(page, "s.message.slices") == slices
    moved(two, ".slice", 6)
    two.wait_for_function(f"document.querySelector('{VIEWER}').dataset.index === '5'")
    assert state(one, "s.message.source") == "scan.png"


def clicks_run(page) -> list[str]:
    """The runs that this page asks the server for from now on."""
    asked = []
    page.on("request", lambda r: asked.append(r.url) if "queue/join" in r.url else None)
    return asked


@pytest.mark.parametrize("selector", ["#run", "#examples button[data-choose=small]"])
def test_a_double_click_is_one_run(visit, scan_png, selector):
    page = visit()
    give(page, scan_png)
    page.wait_for_timeout(500)  # for the upload's own requests
    asked = clicks_run(page)
    page.dblclick(selector)
    page.wait_for_selector(FINISHED)
    assert len(asked) == 1


def test_the_last_click_wins(visit, long_nifti):
    page = visit()
    give(page, long_nifti)
    page.evaluate("""() => new MutationObserver(() => {
        window.hasRun ||= document.querySelector('#status').innerText.includes('Running');
    }).observe(document.querySelector('#status'),
        { subtree: true, childList: true, characterData: true })""")
    page.click("#run")
    page.wait_for_function("window.hasRun")  # however short a moment that was
    page.click("#given [aria-expanded=false]")
    page.click("#examples button[data-choose=small]")
    page.wait_for_selector("#status :text('phantom small: ')")
    page.wait_for_selector("#cancel", state="hidden")
    page.wait_for_timeout(3000)  # the older run would come to its end by now
    assert state(page, "s.message.source") == "phantom small"
    assert "phantom small: " in page.inner_text("#status")


def test_who_waits_sees_the_place_in_the_queue_and_can_leave_it(visit, app, tmp_path):
    """Eight run at once; two more wait, and then this visitor."""
    from gradio_client import Client, handle_file

    from brainseg.data.phantom import make_case
    from brainseg.ui.events import MODELS_QUEUE

    path = tmp_path / "long.npy"
    volume = make_case(3, "large", size=64, slices=6).scan.pixels[..., 1]
    np.save(path, np.repeat(volume, 40, axis=0))
    page = visit()
    client = Client(app[0], verbose=False)
    scan = handle_file(path)
    jobs = [
        client.submit(scan, api_name="/compare")
        for _ in range(MODELS_QUEUE["concurrency_limit"] + 2)
    ]
    page.wait_for_timeout(1500)
    assert not any(job.done() for job in jobs)
    page.click("#examples button[data-choose=noisy]")
    page.wait_for_selector("#status :text-matches('queue: [23]/3')")
    page.click("#cancel")
    page.wait_for_selector("#status :text('Cancelled')")
    for job in jobs:
        assert job.result()["slices"] == 240
    assert page.locator(f"{VIEWER} .empty").is_visible()
