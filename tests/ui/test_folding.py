"""The inputs of a comparison and the one line they fold into, in a real browser."""

from __future__ import annotations

import pytest
from browsing import FINISHED, VIEWER, give

pytestmark = pytest.mark.slow

CHANGE = "#given [aria-expanded=false]"


def has_focus(page, selector: str) -> bool:
    return page.evaluate(f"!!document.activeElement.closest('{selector}')")


@pytest.mark.parametrize("size", [(1440, 900), (390, 844)])
def test_the_inputs_fold_into_one_line_above_the_result(visit, size):
    page = visit(*size)
    assert page.locator("#given").is_hidden()
    page.focus("#examples [data-choose=small]")
    page.keyboard.press("Enter")
    page.wait_for_selector(CHANGE)
    page.wait_for_selector(FINISHED)
    assert page.inner_text("#given strong") == "phantom small"
    assert page.locator("#inputs").is_hidden()
    tops = [page.locator(part).bounding_box()["y"] for part in ("#given", "#status", VIEWER)]
    assert tops == sorted(tops) and 0 <= tops[0] < 60 and tops[2] < 200  # scrolled to
    assert has_focus(page, "#given button")  # where what had it went

    page.keyboard.press("Enter")
    assert page.locator("#examples").is_visible() and has_focus(page, "[data-choose=small]")
    page.keyboard.press("Tab")
    assert has_focus(page, "[data-choose=large]")
    page.keyboard.press("Enter")  # another run folds them again
    page.wait_for_selector("#given strong:text('phantom large')")
    page.wait_for_selector("#inputs", state="hidden")
    page.wait_for_selector(FINISHED)
    page.click(CHANGE)
    page.click("#given [aria-expanded=true]")  # and so does the line, without a run
    assert page.locator("#inputs").is_hidden() and page.locator(f"{VIEWER} .card").count() == 6


def test_unfolding_while_a_run_goes_on_stays(visit, long_nifti):
    page = visit()
    give(page, long_nifti)
    page.click("#run")
    page.click(CHANGE)
    page.wait_for_selector(FINISHED)
    assert page.locator("#inputs").is_visible()
    assert page.inner_text("#given strong") == "long.nii.gz"


def test_files_are_named_with_their_mask(visit, scan_png, truth_png):
    page = visit()
    page.set_input_files(".scan-drop input[type=file]", scan_png)
    page.click("button:has-text('True mask, or separate')")
    page.wait_for_selector(".truth-drop input[type=file]", state="attached")
    page.set_input_files(".truth-drop input[type=file]", truth_png)
    page.wait_for_selector(".truth-drop :text('truth')")
    page.wait_for_selector(".scan-drop :text('scan')")
    page.click("#run")
    page.wait_for_selector(CHANGE)
    assert page.inner_text("#given strong") == "scan.png with the mask truth.png"


def test_what_was_not_compared_does_not_fold(visit, scan_png, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(scan_png.read_bytes()[:60])
    page = visit()
    page.evaluate("""() => {
        const look = () => {
            window.wasFolded ||= !document.querySelector('#inputs').offsetParent;
            requestAnimationFrame(look);
        };
        look();
    }""")
    give(page, broken)
    page.click("#run")
    page.wait_for_selector("#status :text('broken.png')")
    assert not page.evaluate("window.wasFolded")


def test_every_place_for_a_file_has_a_name_of_its_own_and_shows_the_file(visit, tmp_path):
    path = tmp_path / "patient_017_time_point_2_registered.nii.gz"
    path.write_bytes(b"not read in this test")
    page = visit(390, 844)
    page.click("button:has-text('True mask, or separate')")
    page.wait_for_function("document.querySelectorAll('#inputs [aria-dropeffect]').length === 5")
    names = page.evaluate(
        "[...document.querySelectorAll('#inputs [aria-dropeffect]')].map((e) => e.ariaLabel)"
    )
    labels = ["Scan", "True mask", "FLAIR", "T1:", "T1 after contrast"]
    assert all(name.startswith(label) for name, label in zip(names, labels, strict=True)), names
    flair = page.locator("#inputs .slot", has_text="FLAIR")
    flair.locator("input[type=file]").set_input_files(path)
    flair.locator(".filename").wait_for()
    for part in flair.locator(".filename span").all():
        assert part.evaluate("(e) => e.scrollWidth <= e.closest('.slot').clientWidth")
    assert "".join(flair.locator(".filename").inner_text().split()) == path.name
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    flair.locator("[aria-label=Clear]").click()
    page.wait_for_function("document.querySelectorAll('#inputs [aria-dropeffect]').length === 5")
    assert flair.locator("[aria-dropeffect]").get_attribute("aria-label").startswith("FLAIR")
