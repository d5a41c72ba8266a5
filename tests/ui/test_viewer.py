"""The viewer in a real browser: what the strip, the cards and the buttons show and do."""

from __future__ import annotations

import json

import numpy as np
import pytest
from browsing import FINISHED, VIEWER, compare, give, state

pytestmark = pytest.mark.slow


@pytest.fixture(params=[(1440, 1000), (390, 844)], ids=["desktop", "phone"])
def shown(visit, request):
    """A page with the example "small" compared."""
    page = visit(*request.param)
    page.click("#examples button[data-choose=small]")
    page.wait_for_selector(FINISHED)
    page.wait_for_timeout(400)
    return page


def index(page) -> int:
    return state(page, "s.index")


def names(page, place=".cards") -> list[str]:
    return page.locator(f"{VIEWER} > .body > {place} .title strong").all_text_contents()


def test_a_click_on_the_ruler_goes_to_its_slice(shown):
    ruler = shown.locator(f"{VIEWER} .ruler")
    box = ruler.bounding_box()
    slices = state(shown, "s.message.slices")
    for wanted in (0, 7, slices - 1):
        x = 8 + wanted * (box["width"] - 16) / (slices - 1)
        ruler.click(position={"x": x, "y": 10})
        assert index(shown) == wanted


def test_the_ruler_paints_what_is_wrong_in_each_slice(shown):
    ruler = state(shown, "s.message.ruler")
    marked = np.mean([ruler["marked"][n] for n in ruler["marked"] if "fusion" not in n], 0)
    right = np.mean([ruler["right"][n] for n in ruler["right"] if "fusion" not in n], 0)
    pixels = np.array(
        shown.locator(f"{VIEWER} .ruler").evaluate(
            """canvas => {
                const found = [];
                const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, 18).data;
                for (let i = 0; i < data.length; i += 4) found.push([...data.slice(i, i + 4)]);
                return [canvas.width, found];
            }"""
        )[1]
    ).reshape(18, -1, 4)
    width = pixels.shape[1]
    step = (width - 16) / (len(marked) - 1)
    vermilion = (np.abs(pixels - [213, 94, 0, 255]) < 12).all(-1)
    for i, (all_, hits) in enumerate(zip(marked, right, strict=True)):
        column = vermilion[:, round(8 + i * step)]
        if all_ - hits > 0.3 * max(marked):
            assert column.any(), i
        if all_ == hits:
            assert not column.any(), i


def test_the_worst_slice_is_where_most_is_wrong(shown):
    ruler = state(shown, "s.message.ruler")
    models = [name for name in ruler["marked"] if "fusion" not in name]
    wrong = sum(
        np.array(ruler["marked"][n]) + ruler["truth"] - 2 * np.array(ruler["right"][n])
        for n in models
    )
    assert shown.inner_text(f"{VIEWER} .worst") == f"Worst slice: {wrong.argmax() + 1}"
    shown.click(f"{VIEWER} .worst")
    assert index(shown) == wrong.argmax()
    assert shown.inner_text(f"{VIEWER} .jump") == f"Most tumour: {np.argmax(ruler['truth']) + 1}"
    shown.click(f"{VIEWER} .jump")
    assert index(shown) == np.argmax(ruler["truth"])
    one = models[0]
    own = np.array(ruler["marked"][one]) + ruler["truth"] - 2 * np.array(ruler["right"][one])
    card = shown.locator(f"{VIEWER} .card", has=shown.locator(f"strong:text-is('{one}')"))
    card.locator(".goes-to").click()
    assert index(shown) == own.argmax()


def test_the_swipe_begins_with_the_closest_and_the_furthest(shown):
    cards = [card for card in state(shown, "s.message.cards") if card["kind"] != "fusion"]
    cards.sort(key=lambda card: -card["dice"])
    assert shown.input_value(f"{VIEWER} .left") == cards[0]["name"]
    assert shown.input_value(f"{VIEWER} .right") == cards[-1]["name"]
    maps = [np.array(state(shown, f"[...s.slice.maps['{cards[i]['name']}']]")) for i in (0, -1)]
    level = [cards[i]["level"] for i in (0, -1)]
    width = state(shown, "s.slice.width")
    apart = np.flatnonzero((maps[0] > level[0]) != (maps[1] > level[1])) % width
    expected = 100 * (apart.mean() + 0.5) / width
    assert float(shown.input_value(f"{VIEWER} .split")) == pytest.approx(expected, abs=1)


def test_two_models_are_shown_where_they_differ_most(shown):
    shown.select_option(f"{VIEWER} .left", "unet-bce")
    shown.select_option(f"{VIEWER} .right", "unetpp-bce")
    shown.click(f"{VIEWER} .differs-most")
    cards = [card["name"] for card in state(shown, "s.message.cards")]
    apart = state(shown, "s.message.apart")
    expected = apart[cards.index("unet-bce")][cards.index("unetpp-bce")]
    assert index(shown) == expected
    assert shown.inner_text(f"{VIEWER} .differs-most") == f"Most different: slice {expected + 1}"


def test_cards_are_sorted_and_fusions_folded(shown):
    cards = {card["name"]: card for card in state(shown, "s.message.cards")}
    models = [name for name in cards if "fusion" not in name]
    assert names(shown) == sorted(models, key=lambda name: -cards[name]["dice"])
    fusions = shown.locator(f"{VIEWER} .fusions")
    assert fusions.get_attribute("open") is None
    assert "3 fusions" in fusions.locator("summary").inner_text()
    assert len(names(shown, ".fusions .cards")) == 3
    shown.select_option(f"{VIEWER} .sort", "name")
    assert names(shown) == sorted(models)
    shown.select_option(f"{VIEWER} .sort", "given")
    assert names(shown) == models
    fusions.locator("summary").click()
    canvas = fusions.locator("canvas").first
    assert canvas.bounding_box()["width"] > 100
    shown.wait_for_function(  # what was folded away is drawn now
        f"document.querySelector('{VIEWER} .fusions canvas').width > 100"
    )


def test_a_card_grows_on_a_click_and_by_keyboard(shown):
    card = shown.locator(f"{VIEWER} .cards .card").nth(1)
    before = card.bounding_box()["width"]
    card.locator("canvas").click()
    shown.wait_for_selector(f"{VIEWER} .card.large")
    assert card.bounding_box()["width"] > 2 * before
    height = shown.viewport_size["height"]
    assert card.locator("canvas").bounding_box()["height"] <= 0.8 * height
    assert card.locator("strong").inner_text() in shown.inner_text(f"{VIEWER} .legend")
    button = card.locator(".enlarge")
    assert button.get_attribute("aria-pressed") == "true"
    button.focus()
    shown.keyboard.press("Enter")
    assert card.bounding_box()["width"] == before
    card.locator("canvas").dblclick()  # zooms, and leaves the card as it is
    shown.wait_for_timeout(400)
    assert state(shown, "s.look.zoom") > 2
    assert shown.locator(f"{VIEWER} .card.large").count() == 0


def test_cards_are_cropped_to_the_head(shown):
    assert state(shown, "s.message.frame") == [0, 0, 1, 1]  # untrained, they mark everywhere
    width, height = 0.5, 0.7
    canvas = shown.locator(f"{VIEWER} .card canvas").first

    def proportion():
        box = canvas.bounding_box()
        return box["width"] / box["height"]

    whole = state(shown, "s.message.width / s.message.height")
    assert proportion() == pytest.approx(whole, rel=0.02)
    state(shown, f"s.message.frame = [0.2, 0.1, {width}, {height}]")
    shown.click(f"{VIEWER} .jump")
    assert proportion() == pytest.approx(whole * width / height, rel=0.02)
    shown.click(f"{VIEWER} .open-extras")
    shown.check(f"{VIEWER} .uncropped", force=True)
    assert proportion() == pytest.approx(whole, rel=0.02)


def test_the_bar_stays_in_sight(shown):
    shown.locator(f"{VIEWER} .matrix").scroll_into_view_if_needed()
    box = shown.locator(f"{VIEWER} .bar").bounding_box()
    assert 0 <= box["y"] < 20


def test_a_step_asks_for_one_slice_more(visit, numbered_nifti):
    page = visit()
    give(page, numbered_nifti)
    compare(page)
    asked = []

    def note(request):
        if "queue/join" in request.url and "wanted" in (request.post_data or ""):
            event = json.loads(request.post_data)["event_data"]
            asked.append(event["wanted"])

    page.on("request", note)
    start = index(page)
    for number in range(start + 1, start + 9):
        page.locator(f"{VIEWER} .slice").fill(str(number + 1))
        page.wait_for_function(
            f"document.querySelector('{VIEWER}').dataset.index === '{number}'"
            f" && !document.querySelector('{VIEWER}').classList.contains('waiting')"
        )
    page.wait_for_timeout(500)
    sent = [number for numbers in asked for number in numbers]
    assert len(sent) == len(set(sent)) and min(sent) > start  # nothing twice, nothing behind
    assert 8 <= len(sent) <= 11  # the eight, and at most three that come next
