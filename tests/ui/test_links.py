"""Addresses of tabs, examples and views, in a real browser."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from browsing import FINISHED, MODELS, VIEWER

pytestmark = pytest.mark.slow

COUNT_RUNS = """
    window.runs = new Set();
    document.addEventListener("given", ({ detail }) => detail && window.runs.add(detail.run));
"""


def said(page) -> dict[str, str]:
    """What the address says."""
    return {key: value for key, [value] in parse_qs(urlsplit(page.url).query).items()}


def wait_for_address(page, condition: str) -> None:
    """``condition``: JavaScript over ``said``, the address's parameters."""
    page.wait_for_function(
        f"(() => {{ const said = new URLSearchParams(location.search); return {condition} }})()"
    )


def wait_for_example(page, kind: str) -> None:
    page.wait_for_function(
        f"document.querySelector('{VIEWER}')?.state().message?.source === 'phantom {kind}'"
        f"&& document.querySelector('{FINISHED}')"
        f"&& document.querySelector('{VIEWER}').state().slice"
    )


LOOKS = f"""
    const viewer = document.querySelector('{VIEWER}');
    const looks = [viewer.querySelector('.left').value, viewer.querySelector('.right').value,
        viewer.querySelector('[data-mode]:checked').dataset.mode, viewer.state().index + 1];
"""


def looks(page) -> list:
    """Left, right, view and slice, as the viewer shows them."""
    return page.evaluate(f"() => {{ {LOOKS} return looks; }}")


def wait_for_looks(page, *expected) -> None:
    """``expected``: left, right, view and slice; None where it does not matter."""
    page.wait_for_function(
        f"(expected) => {{ {LOOKS}"
        "return expected.every((value, i) => value === null || value === looks[i]); }",
        arg=list(expected),
    )


def shown_tab(page) -> str:
    return page.inner_text("#tabs > .tab-wrapper [role=tab][aria-selected=true]").strip()


def choose(page, kind: str) -> None:
    if page.locator("#given [aria-expanded=false]").is_visible():
        page.click("#given [aria-expanded=false]")
    page.click(f"#examples [data-choose={kind}]")
    wait_for_example(page, kind)


def reload(page) -> None:
    page.wait_for_function(f"!document.querySelector('{VIEWER}').state().isAsking")
    page.wait_for_timeout(100)
    # Gradio logs a request that a reload cuts off as an error, with the last breath of a page.
    page.evaluate("console.error = () => {}")
    page.reload()


def test_an_address_runs_its_example_once_and_looks_as_it_says(visit):
    asked = "example=multifocal&left=unet_resnet34-bce&right=unetpp-bce&view=outline&slice=3"
    page = visit(address=f"?__theme=dark&{asked}&other=1")
    wait_for_example(page, "multifocal")
    wait_for_looks(page, "unet_resnet34-bce", "unetpp-bce", "outline", 3)
    assert page.url.endswith(f"?__theme=dark&{asked}&other=1")
    assert page.locator(".dark").count()  # Gradio's own parameter is heard
    marked = page.locator("#examples [aria-current=true]")
    assert marked.get_attribute("data-choose") == "multifocal"

    page.add_init_script(COUNT_RUNS)
    reload(page)
    wait_for_example(page, "multifocal")
    wait_for_looks(page, "unet_resnet34-bce", "unetpp-bce", "outline", 3)
    page.wait_for_timeout(1000)  # for what must not come
    assert looks(page) == ["unet_resnet34-bce", "unetpp-bce", "outline", 3]
    assert page.evaluate("window.runs.size") == 1
    assert "phantom multifocal: " in page.inner_text("#status")  # not the greeting


def test_a_tab_chosen_before_the_page_has_greeted_stays(visit):
    page = visit()
    page.wait_for_selector("html[data-linked]", state="attached")
    held, letting = [], []
    page.route(
        "**/gradio_api/queue/join*",
        lambda route: route.continue_() if letting else held.append(route),
    )
    reload(page)
    page.wait_for_selector("#tabs > .tab-wrapper [role=tab]")
    for _ in range(600):  # what the page asks for on loading waits until the tab is chosen
        if held:
            break
        page.wait_for_timeout(100)
    page.click("button[role=tab]:has-text('Study')")
    letting.append(True)
    for route in held:
        route.continue_()
    wait_for_address(page, "said.get('tab') === 'study'")
    assert shown_tab(page) == "Study"
    page.locator("#study .plots img").first.wait_for()


def test_back_and_forward_through_examples_and_tabs(visit):
    page = visit()
    assert said(page) == {}
    choose(page, "small")
    assert said(page) == {"example": "small"}
    page.click("button[role=tab]:has-text('Study')")
    wait_for_address(page, "said.get('tab') === 'study'")
    assert said(page) == {"tab": "study"}
    page.click("button[role=tab]:has-text('Compare')")
    wait_for_address(page, "said.get('example') === 'small'")
    choose(page, "large")
    assert said(page) == {"example": "large"}

    page.go_back()
    wait_for_example(page, "small")
    page.evaluate(COUNT_RUNS)
    page.go_back()
    page.wait_for_selector("#study h2:text('Leaderboard')")
    assert said(page) == {"tab": "study"}
    page.go_back()
    page.wait_for_selector(f"{VIEWER} .card")
    assert page.evaluate("window.runs.size") == 0  # it was still there
    page.go_back()
    page.wait_for_selector(f"{VIEWER} .empty")
    page.wait_for_selector("#examples button")
    assert said(page) == {} and not page.locator("#examples [aria-current]").count()
    assert "Pick an example" in page.inner_text("#status")
    page.go_forward()
    wait_for_example(page, "small")
    for _ in range(3):
        page.go_forward()
    wait_for_example(page, "large")
    assert shown_tab(page) == "Compare" and said(page) == {"example": "large"}


def test_what_the_visitor_chooses_is_in_the_address(visit):
    page = visit()
    choose(page, "small")
    entries = page.evaluate("history.length")
    page.locator(f"{VIEWER} .slice").fill("4")
    page.check(f"{VIEWER} [data-mode=errors]", force=True)
    page.select_option(f"{VIEWER} .left", "unet-bce")
    wait_for_address(page, "said.get('left') === 'unet-bce'")
    found = said(page)
    assert found.pop("right") in ("unet-bce", "unet_resnet34-bce", "unetpp-bce")
    assert found == {"example": "small", "left": "unet-bce", "view": "errors", "slice": "4"}
    assert page.evaluate("history.length") == entries  # a look is no place to come back to
    reload(page)
    wait_for_example(page, "small")
    wait_for_looks(page, "unet-bce", None, "errors", 4)


def test_files_of_a_visitor_have_no_address(visit, scan_png):
    page = visit(address="?example=small&view=none&__theme=dark")
    wait_for_example(page, "small")
    page.click("#given [aria-expanded=false]")
    page.set_input_files(".scan-drop input[type=file]", scan_png)
    page.wait_for_selector(".scan-drop [aria-label=Clear]")
    page.click("#run")
    page.wait_for_selector("#given :text('scan.png')")
    page.wait_for_selector(FINISHED)
    page.locator(f"{VIEWER} .threshold").fill("80")
    page.check(f"{VIEWER} [data-mode=outline]", force=True)
    page.wait_for_timeout(500)  # for an address that must not come
    assert said(page) == {"__theme": "dark"}
    page.click("button[role=tab]:has-text('Study')")
    wait_for_address(page, "said.get('tab') === 'study'")
    page.go_back()
    page.wait_for_selector(f"{VIEWER} .card")  # what was uploaded is not lost on the way
    assert "scan.png" in page.inner_text("#status")


def test_a_tab_has_an_address_and_what_is_unknown_is_ignored(visit):
    page = visit(address="?tab=models&left=unet-bce")
    page.wait_for_selector("#models :text('unet_resnet34-bce')")
    assert said(page)["tab"] == "models"
    page = visit(address="?tab=nowhere&example=nobody&view=sideways&slice=-1")
    page.wait_for_timeout(1500)  # for a run that must not come
    assert shown_tab(page) == "Compare" and page.locator(f"{VIEWER} .empty").is_visible()
    assert "Pick an example" in page.inner_text("#status")
    page = visit(address="?example=small&left=nobody&right=unet-bce&slice=9999")
    wait_for_example(page, "small")
    wait_for_looks(page, None, "unet-bce", "fill", None)
    assert looks(page)[0] in MODELS
    assert "phantom small: " in page.inner_text("#status")


def test_a_link_in_the_page_needs_no_reload(visit):
    page = visit(address="?tab=study")
    page.wait_for_selector("#study h2:text('Leaderboard')")
    page.evaluate("""() => {
        window.isSame = true;
        const link = Object.assign(document.createElement("a"), { textContent: "Show me" });
        link.setAttribute("href", "?example=small&right=unetpp-bce&view=errors&slice=2");
        document.querySelector("#study h2").after(link);
    }""")
    page.click("#study a:text('Show me')")
    wait_for_example(page, "small")
    wait_for_looks(page, None, "unetpp-bce", "errors", 2)
    assert shown_tab(page) == "Compare" and page.evaluate("window.isSame")
    wanted = {"example": "small", "right": "unetpp-bce", "view": "errors", "slice": "2"}
    assert said(page) == wanted
    page.go_back()
    page.wait_for_selector("#study a:text('Show me')")
    page.click("#study a:text('Show me')")  # to what is there already
    page.wait_for_selector(f"{VIEWER} .card")
    assert said(page) == wanted and page.evaluate("window.isSame")


def test_a_pair_that_nobody_chose_stays_with_its_comparison(visit):
    page = visit(address="?example=small")
    page.wait_for_selector(FINISHED)
    page.locator(f"{VIEWER} .card canvas").first.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("location.search.includes('slice=')")
    assert "left=" not in page.url
    other = page.evaluate(f"[...document.querySelector('{VIEWER} .right').options].at(-1).value")
    page.locator(f"{VIEWER} .right").select_option(other, force=True)
    page.wait_for_function(f"location.search.includes('right={other}')")
    page.evaluate("document.querySelector('#examples [data-choose=large]').click()")
    page.wait_for_function("location.search.includes('example=large')")
    assert "left=" not in page.url and "slice=" not in page.url
