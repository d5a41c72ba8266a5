"""What a reader of MRI expects of the viewer, in a real browser."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from browsing import VIEWER, give, state

from brainseg.data.phantom import make_case
from brainseg.scans import rendering
from brainseg.scans.reading import read_scan

pytestmark = pytest.mark.slow

CANVAS = f"{VIEWER} .card canvas"
FLAIR, T1 = 1, 0  # channels of a scan


@pytest.fixture(scope="module")
def volume(tmp_path_factory) -> Path:
    """Ten slices of three sequences, as a NIfTI file with a place and oblong voxels."""
    import SimpleITK as sitk

    case = make_case(3, "large", size=64, slices=10)
    images = []
    for channel in np.moveaxis(case.scan.pixels.astype(np.int16) * 3, -1, 0):
        image = sitk.GetImageFromArray(np.ascontiguousarray(channel))
        image.SetSpacing(case.scan.spacing_mm[::-1])
        image.SetOrigin((-90.0, -90.0, 0.0))
        images.append(image)
    path = tmp_path_factory.mktemp("reader") / "three.nii.gz"
    sitk.WriteImage(sitk.JoinSeries(images), str(path))
    return path


@pytest.fixture
def unplaced(tmp_path) -> Path:
    """Ten slices of one sequence, as an array of which nothing more is known."""
    path = tmp_path / "bare.npy"
    np.save(path, make_case(3, "large", size=64, slices=10).scan.pixels[..., FLAIR])
    return path


def read(page, path: Path) -> None:
    give(page, path)
    page.click("#run")
    page.wait_for_function(
        f"(({{ message }}) => message?.source === '{path.name}' && message.running === null)"
        f"(document.querySelector('{VIEWER}').state())"
    )
    page.wait_for_selector(f"{VIEWER}:not(.waiting) .save:not([hidden])")


def go(page, number: int) -> None:
    page.locator(f"{VIEWER} .slice").fill(str(number + 1))
    page.wait_for_function(f"document.querySelector('{VIEWER}').dataset.index === '{number}'")


def greys(page, canvas: str = "s.picture(s.slice)") -> np.ndarray:
    """Red of a canvas's pixels, (height, width)."""
    width, values = state(page, f"""(() => {{ const canvas = {canvas};
        const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        return [canvas.width, [...data].filter((_, i) => i % 4 === 0)]; }})()""")  # fmt: skip
    return np.array(values).reshape(-1, width)


def on_screen(page, selector: str = ".card canvas") -> np.ndarray:
    return greys(page, f"document.querySelector('{VIEWER} {selector}')")


def scan_alone(page) -> None:
    """The pictures whole, and nothing over them but what is written there."""
    page.check(f"{VIEWER} [data-mode=none]", force=True)
    page.click(f"{VIEWER} .open-extras")
    page.check(f"{VIEWER} .uncropped", force=True)


def is_seen(shown: np.ndarray, plane: np.ndarray) -> bool:
    """Whether a canvas shows a plane, apart from what is written on it."""
    wanted = cv2.resize(plane.astype(np.float32), shown.shape[::-1])
    return float(np.median(np.abs(shown - wanted))) < 2 and np.abs(shown - wanted).mean() < 6


def test_another_sequence_is_asked_for_and_shown(visit, volume):
    scan = read_scan(volume)
    page = visit()
    read(page, volume)
    scan_alone(page)
    labels = page.locator(f"{VIEWER} .sequences label").all_inner_texts()
    assert labels == ["FLAIR", "T1", "T1c"]
    go(page, 4)
    flair, t1 = (rendering.display_channel(scan, channel)[0] for channel in (FLAIR, T1))
    assert (greys(page) == flair[4]).all() and is_seen(on_screen(page), flair[4])
    assert not is_seen(on_screen(page), t1[4])
    asked = []
    page.on("request", lambda r: asked.append(r.post_data or "") if "queue/join" in r.url else None)
    page.check(f"{VIEWER} .sequences label:has-text('T1') >> nth=0 >> input", force=True)
    page.wait_for_function(f"document.querySelector('{VIEWER}').state().slice.images[1]")
    assert (greys(page) == t1[4]).all() and is_seen(on_screen(page), t1[4])
    assert "Picture: T1." in page.inner_text(f"{VIEWER} .legend")
    slices = [text for text in asked if '"pictures"' in text]
    assert '"wanted":[],"pictures":[4]' in slices[0]  # no mask travels again
    go(page, 7)
    assert (greys(page) == t1[7]).all() and is_seen(on_screen(page), t1[7])


def test_window_and_level_by_hand_and_by_keyboard(visit, volume):
    scan = read_scan(volume)
    shown, low, high = rendering.display_channel(scan, FLAIR)
    page = visit()
    read(page, volume)
    go(page, 4)
    scan_alone(page)

    def spread(width, level):
        return (127.5 + (shown[4].astype(float) - level) / width * 255).clip(0, 255)

    def values() -> tuple[float, float]:
        return tuple(float(page.inner_text(f"{VIEWER} .window-{key}-value"))
                     for key in ("width", "level"))  # fmt: skip

    step = (high - low) / 255
    # JavaScript rounds halves up, Python to even numbers.
    assert values() == (round(255 * step), np.floor(low + 127.5 * step + 0.5))
    page.locator(CANVAS).first.scroll_into_view_if_needed()
    box = page.locator(CANVAS).first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down(button="right")
    page.mouse.move(x - 100, y - 40, steps=4)
    page.mouse.up(button="right")
    assert np.abs(greys(page) - spread(155, 87.5)).max() <= 0.51
    assert is_seen(on_screen(page), spread(155, 87.5))
    assert values() == (round(155 * step), pytest.approx(low + 87.5 * step, abs=1))
    assert page.locator(f"{VIEWER} .card.large").count() == 0 and state(page, "s.look.zoom") == 1
    page.locator(f"{VIEWER} .window-width").press("ArrowRight")
    assert np.abs(greys(page) - spread(156, 87.5)).max() <= 0.51
    page.click(f"{VIEWER} .window-reset")
    assert (greys(page) == shown[4]).all() and is_seen(on_screen(page), shown[4])


def edges_of(page) -> tuple[np.ndarray, np.ndarray]:
    """How much is nearly white at the left and at the right edge of the first card."""
    shown = on_screen(page)
    middle = shown[shown.shape[0] // 2 - 9 : shown.shape[0] // 2 + 9]
    return tuple((part > 230).sum() for part in (middle[:, 6:20], middle[:, -20:-6]))


def test_right_and_left_stand_at_the_edges_where_they_are_known(visit, volume, unplaced):
    page = visit()
    read(page, volume)
    scan_alone(page)
    go(page, 0)  # dark at the edges
    assert state(page, "s.message.sides") == ["R", "L"]
    assert "R, L: the patient's right and left." in page.inner_text(f"{VIEWER} .legend")
    right, left = edges_of(page)
    assert right > left > 10  # an R has more strokes than an L
    page = visit()
    read(page, unplaced)
    scan_alone(page)
    go(page, 0)
    assert "patient's right" not in page.inner_text(f"{VIEWER} .legend")
    assert edges_of(page) == (0, 0)
    assert page.locator(f"{VIEWER} .sequences").is_hidden()
    assert "Not in proportion" in page.inner_text(f"{VIEWER} .plane-words")


def test_a_coronal_plane_is_linked_with_the_slices(visit, volume):
    scan = read_scan(volume)
    shown = rendering.display_channel(scan, FLAIR)[0]
    page = visit()
    read(page, volume)
    scan_alone(page)

    def settled(row: int) -> np.ndarray:
        page.wait_for_function(f"document.querySelector('{VIEWER}').state().coronal?.row === {row}")
        return greys(page, "s.picture(s.coronal)")

    page.locator(f"{VIEWER} .cut").fill("31")
    assert (settled(30) == shown[:, 30]).all()
    assert is_seen(on_screen(page, ".plane")[::-1], shown[:, 30])  # the head is up
    plane = page.locator(f"{VIEWER} .plane")
    box = plane.bounding_box()
    sides = np.array(scan.spacing_mm) * scan.pixels.shape[:3]
    assert box["width"] / box["height"] == pytest.approx(sides[2] / sides[0], rel=0.03)
    plane.click(position={"x": 20, "y": box["height"] * 0.25})
    assert state(page, "s.index") == 7
    line = on_screen(page, ".plane")[:, 30:-30].min(axis=1)  # bright from edge to edge
    assert abs(int(line.argmax()) - 0.25 * len(line)) <= 2
    canvas = page.locator(CANVAS).first
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] / 2, "y": box["height"] * 0.4})
    assert (settled(int(64 * 0.4)) == shown[:, int(64 * 0.4)]).all()
    large = page.locator(f"{VIEWER} .card.large strong")
    large.wait_for()  # and what that model marks is outlined
    page.wait_for_function(f"document.querySelector('{VIEWER}').state().coronal.name")
    assert state(page, "s.coronal.name") == large.inner_text()
    marked = state(page, "[...s.coronal.map]")
    assert len(marked) == 640


def test_the_wheel_steps_over_the_focused_card_alone(visit, volume):
    page = visit(height=600)
    read(page, volume)
    go(page, 4)
    canvas = page.locator(CANVAS).first
    canvas.hover()
    before = page.evaluate("scrollY")
    page.mouse.wheel(0, 100)
    page.wait_for_function(f"scrollY > {before}")
    assert state(page, "s.index") == 4
    canvas.focus()
    canvas.hover()
    before = page.evaluate("scrollY")
    page.mouse.wheel(0, 100)
    page.mouse.wheel(0, 100)
    page.wait_for_function(f"document.querySelector('{VIEWER}').state().index === 6")
    page.mouse.wheel(0, -100)
    page.wait_for_function(f"document.querySelector('{VIEWER}').state().index === 5")
    assert page.evaluate("scrollY") == before
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    assert state(page, "s.look.zoom") > 1 and state(page, "s.index") == 5


def test_strokes_are_taken_back_one_by_one(visit, volume):
    page = visit()
    read(page, volume)
    agreed = page.locator(f"{VIEWER} .figure").first.inner_text()
    page.click(f"{VIEWER} .open-extras")
    page.check(f"{VIEWER} .draw", force=True)
    assert page.locator(f"{VIEWER} .undo").is_disabled()
    canvas = page.locator(CANVAS).first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    drawn = "s.slice.truth ? s.slice.truth.reduce((a, b) => a + b, 0) : -1"
    sizes = []
    for share in (0.4, 0.6):
        y = box["y"] + share * box["height"]
        page.mouse.move(box["x"] + 60, y)
        page.mouse.down()
        page.mouse.move(box["x"] + 120, y, steps=4)
        page.mouse.up()
        sizes.append(state(page, drawn))
    assert sizes[1] > sizes[0] > 0
    counted = f"document.querySelector('{VIEWER}').state().message.cards[0].truthPixels"
    page.wait_for_function(f"{counted} === {sizes[1]}")
    page.keyboard.press("Control+z")
    assert state(page, drawn) == sizes[0]
    page.wait_for_function(f"{counted} === {sizes[0]}")
    page.click(f"{VIEWER} .undo")
    assert state(page, drawn) == -1 and page.locator(f"{VIEWER} .undo").is_disabled()
    page.wait_for_function(f"!document.querySelector('{VIEWER}').state().message.truth")
    assert page.locator(f"{VIEWER} .figure").first.inner_text() == agreed
    page.wait_for_selector("#status :text('no true mask')")
