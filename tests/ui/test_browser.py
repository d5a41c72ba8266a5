"""The page in a real browser, as a visitor meets it. Any console error fails a test."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from browsing import (
    FINISHED,
    MODELS,
    VIEWER,
    compare,
    figures,
    give,
    give_truth,
    moved,
    state,
    unfold,
)
from PIL import Image

pytestmark = pytest.mark.slow


def test_an_example_in_one_click(visit):
    page = visit()
    assert page.locator(f"{VIEWER} .empty").is_visible()
    page.click("#examples button[data-choose=small]")
    page.wait_for_selector(FINISHED)
    found = figures(page)
    assert {*list(found)[:3]} == {*MODELS} and len(found) == 6  # fusions are folded below
    assert all(text.startswith(("Dice", "Both")) for text in found.values())
    dices = [float(text.split()[1]) for text in found.values()]
    assert dices[:3] == sorted(dices[:3], reverse=True)
    card = page.locator(f"{VIEWER} .card", has=page.locator("strong:text-is('unetpp-bce')"))
    assert card.locator(".badge").inner_text() == "ensemble"
    assert f"{dices[0]:.2f}" in page.inner_text(f"{VIEWER} .answer")
    assert "phantom small" in page.inner_text("#status")
    assert page.locator(f"{VIEWER} .matrix td").count() > 36
    assert state(page, "Object.keys(s.message.planes).length") == 5  # never the whole volume


def test_a_picture_with_truth_composed_in_the_browser(visit, scan_png, truth_png, tmp_path):
    page = visit()
    give(page, scan_png)
    give_truth(page, truth_png)
    compare(page)
    requests = []
    page.on("request", lambda request: requests.append(request.url))

    # The threshold acts at once, in the browser alone, and on all figures.
    truth = np.asarray(Image.open(truth_png)) > 0
    probability = np.array(state(page, "[...s.slice.maps['unet-bce']]")).reshape(60, 80)
    levels = [int(level) for level in np.percentile(probability, (30, 70))]
    for level in levels:
        moved(page, ".threshold", level)
        mask = probability > level
        whole = mask.sum() + truth.sum()
        assert figures(page)["unet-bce"] == f"Dice {2 * (mask & truth).sum() / whole:.2f}"
        shown = state(page, "[...s.layer(s.slice, s.message.cards[1]).mask]")
        assert (np.array(shown).reshape(60, 80) == mask).all()
    assert page.inner_text(f"{VIEWER} .threshold-value") == f"{levels[1] / 255:.2f}"

    # So do opacity, style, colour and truth: the picture changes, and nothing is fetched.
    page.click(f"{VIEWER} .open-extras")

    def picture():
        card = f"{VIEWER} .card:has(strong:text-is('unet-bce'))"
        return page.locator(f"{card} canvas").evaluate("canvas => canvas.toDataURL()")

    seen = {picture()}
    moved(page, ".opacity", 90)
    seen.add(picture())
    for selector in ("[data-mode=outline]", "[data-colour='0,158,115']", "[data-mode=errors]"):
        page.check(f"{VIEWER} {selector}", force=True)
        seen.add(picture())
    page.check(f"{VIEWER} [data-mode=outline]", force=True)
    page.uncheck(f"{VIEWER} .truth", force=True)
    seen.add(picture())
    page.click(f"{VIEWER} .zoom-in")
    seen.add(picture())
    assert len(seen) == 7
    assert requests == []


def test_the_distance_line_is_hd95(visit, scan_png, truth_png):
    from scipy import ndimage

    page = visit()
    give(page, scan_png)
    give_truth(page, truth_png)
    compare(page)
    page.check(f"{VIEWER} [data-mode=errors]", force=True)
    truth = np.asarray(Image.open(truth_png)) > 0
    mask = np.array(state(page, "[...s.layer(s.slice, s.message.cards[1]).mask]")) > 0
    mask = mask.reshape(60, 80)

    def border(region):
        return region & ~ndimage.binary_erosion(region)

    def directed(one, other):
        away = np.sort(ndimage.distance_transform_edt(~border(other))[border(one)])
        return away[int(np.ceil(0.95 * len(away))) - 1]

    found = state(page, "s.hd95(s.slice, s.message.cards[1]).distance")
    assert found == pytest.approx(max(directed(mask, truth), directed(truth, mask)))


def test_downloads_are_what_was_shown(visit, scan_nifti, tmp_path):
    from brainseg.scans.reading import read_scan

    page = visit()
    give(page, scan_nifti[0])
    give_truth(page, scan_nifti[1])
    compare(page)
    page.click(f"{VIEWER} .save")
    page.wait_for_selector("#files a")
    for name in ("brainseg.zip", "receipt.json"):
        with page.expect_download() as download:
            page.click(f"#files a[download='{name}']")
        download.value.save_as(tmp_path / name)
    slip = json.loads((tmp_path / "receipt.json").read_text())
    with zipfile.ZipFile(tmp_path / "brainseg.zip") as archive:
        archive.extract("masks/unet-bce.nii.gz", tmp_path)
    mask = read_scan(tmp_path / "masks" / "unet-bce.nii.gz")
    scan = read_scan(scan_nifti[0])
    assert mask.affine == pytest.approx(scan.affine)
    entry = slip["result"]["models"]["unet-bce"]
    assert int((mask.pixels > 0).sum()) == entry["area_px"]
    shown = figures(page)["unet-bce"]
    assert shown == f"Dice {entry['dice']:.2f}"


def test_the_next_scan_keeps_neither_threshold_nor_mask_in_silence(
    visit, scan_png, truth_png, tmp_path
):
    page = visit()
    give(page, scan_png)
    give_truth(page, truth_png)
    compare(page)
    assert "scored by the true mask truth.png" in page.inner_text("#status")
    assert "truth.png" in page.inner_text(f"{VIEWER} .legend")
    moved(page, ".threshold", 200)
    other = tmp_path / "other.png"
    Image.fromarray(np.asarray(Image.open(scan_png))[:, ::-1]).save(other)
    unfold(page)
    page.click(".scan-drop [aria-label=Clear]")
    give(page, other)
    compare(page)
    page.wait_for_function(
        f"document.querySelector('{VIEWER}').state().message.source == 'other.png'"
    )
    assert state(page, "s.level") is None
    assert page.inner_text(f"{VIEWER} .threshold-value") == "own"
    page.wait_for_selector(".trust :text('had been given as the true mask of scan.png')")


def test_a_broken_file_is_a_sentence_and_the_page_goes_on(visit, scan_png, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(scan_png.read_bytes()[:60])
    page = visit()
    give(page, broken)
    page.click("#run")
    page.wait_for_selector("#status :text('broken.png')")
    assert "Traceback" not in page.inner_text("body")
    page.click("#examples button[data-choose=small]")
    page.wait_for_selector(FINISHED)


def test_what_is_no_scan_is_stopped_until_the_visitor_insists(visit, tmp_path):
    path = tmp_path / "static.png"
    values = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    Image.fromarray(values).save(path)
    page = visit()
    give(page, path)
    page.click("#run")
    page.wait_for_selector(".trust :text('probably not a brain MRI')")
    assert page.locator(f"{VIEWER} .empty").is_visible()
    assert page.locator(".seen").count() == 1
    page.click("#anyway")
    page.wait_for_selector(FINISHED)


def test_what_bears_on_trust_opens_by_keyboard_and_stays_open(visit, long_nifti):
    page = visit(390, 844)
    give(page, long_nifti)
    page.click("#run")
    chip = page.locator(".trust summary", has_text="one sequence")
    chip.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".trust p:has-text('0.86 from FLAIR')")
    page.wait_for_selector(FINISHED)  # whatever came meanwhile
    assert page.locator(".trust details[open]").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone(visit, scheme):
    page = visit(390, 844, has_touch=True, color_scheme=scheme)
    page.click("#examples button[data-choose=small]")
    page.wait_for_selector(FINISHED)
    for name in ("Compare", "Study", "Stress", "Models"):
        page.click(f"button[role=tab]:has-text('{name}')")
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name


def test_study_chooses_and_stress_draws_its_curve(visit):
    page = visit()
    page.click("#examples button[data-choose=small]")
    page.wait_for_selector(FINISHED)
    page.click("button[role=tab]:has-text('Study')")
    page.wait_for_selector("#study h2:text('Leaderboard')")
    page.click("button[role=tab]:has-text('Models')")
    page.wait_for_selector("#models :text('unet_resnet34-bce')")
    page.click("button[role=tab]:has-text('Stress')")
    page.click("#run-stress")
    page.wait_for_selector("#curve svg")
    assert page.locator("#curve polyline").count() == 5
    slider = page.locator("#stress-viewer .slice")
    slider.fill("9")
    page.wait_for_function("document.querySelector('#stress-viewer .viewer').dataset.index === '8'")
    assert page.inner_text("#stress-viewer .slice-value") == "100%"


def test_every_control_has_a_name_for_screen_readers(visit):
    page = visit()
    page.click("#examples button[data-choose=small]")
    page.wait_for_selector(FINISHED)
    nameless = page.evaluate("""() => {
        const named = (e) => e.getAttribute('aria-label') || e.textContent.trim()
            || (e.labels && e.labels.length);
        return [...document.querySelectorAll(
            '.viewer button, .viewer input, .viewer select, .viewer canvas, #examples button')]
            .filter((e) => !e.closest('[hidden]') && !named(e)).map((e) => e.outerHTML);
    }""")
    assert nameless == []


def paste(page, path: Path, name: str) -> None:
    page.evaluate(
        """([bytes, name]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], name, { type: "image/png" }));
            const settings = { clipboardData: data, bubbles: true };
            document.body.dispatchEvent(new ClipboardEvent("paste", settings));
        }""",
        [list(path.read_bytes()), name],
    )
    page.wait_for_selector(f".scan-drop :text('{name.split('.')[0]}')")


def test_a_picture_is_pasted_and_another_in_its_place(visit, scan_png):
    page = visit()
    # The page's script names the inputs once it listens: before, nobody hears of a paste.
    page.wait_for_selector(".scan-drop input[type=file][aria-label]", state="attached")
    paste(page, scan_png, "first.png")
    paste(page, scan_png, "second.png")
    compare(page)
    assert state(page, "s.message.source") == "second.png"


@pytest.mark.parametrize("is_compared", [True, False])
def test_a_model_chosen_in_the_study_is_marked_in_compare(visit, is_compared):
    page = visit()
    example = "#examples button[data-choose=small]"
    if is_compared:
        page.click(example)
        page.wait_for_selector(FINISHED)
    page.click("button[role=tab]:has-text('Study')")
    choice = page.locator("#study [data-choose=unet-bce]")
    choice.wait_for()
    box = choice.bounding_box()
    assert box["x"] + box["width"] <= 1440  # seen without scrolling the table
    choice.click()
    page.wait_for_selector("#status", state="visible")
    if not is_compared:
        page.wait_for_selector("#status :text('unet-bce will be marked')")
        page.click(example)
        page.wait_for_selector(FINISHED)
    page.wait_for_selector(f"{VIEWER} .card.chosen")
    assert page.locator(f"{VIEWER} .card.chosen strong").all_inner_texts() == ["unet-bce"]
    assert page.input_value(f"{VIEWER} .left") == "unet-bce"
