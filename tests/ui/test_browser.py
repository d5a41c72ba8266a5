"""The page in a real browser, as a visitor meets it. Any console error fails a test."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from browsing import FINISHED, MODELS, VIEWER, compare, give, give_truth, state, unfold
from PIL import Image

pytestmark = pytest.mark.slow


def figures(page) -> dict[str, str]:
    cards = page.locator(f"{VIEWER} .card")
    return {
        card.locator("strong").text_content(): card.locator(".figure").text_content()
        for card in cards.all()
    }


def moved(page, selector: str, value: int) -> None:
    page.locator(f"{VIEWER} {selector}").fill(str(value))


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


def test_two_fingers_zoom_all_cards(visit, scan_png):
    page = visit(390, 844, has_touch=True, is_mobile=True)
    give(page, scan_png)
    compare(page)
    canvas = page.locator(f"{VIEWER} .card canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touches = page.context.new_cdp_session(page)

    def touch(kind, *apart):
        points = [{"x": x + d, "y": y, "id": i} for i, d in enumerate(apart)]
        touches.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", -15, 15)
    for reach in (20, 25, 30):
        touch("touchMove", -reach, reach)
    touch("touchEnd")
    assert state(page, "s.look.zoom") == pytest.approx(2, abs=0.1)
    assert page.locator(f"{VIEWER}.zoomed, {VIEWER} .zoomed").count()
    assert page.evaluate("window.visualViewport.scale") == 1  # the cards, not the page


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
