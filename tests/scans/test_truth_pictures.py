"""Which pixels of a picture are tumour: grey, coloured, with a palette or transparent."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from brainseg.scans.masks import read_mask
from brainseg.scans.notes import noting
from brainseg.scans.scan import Scan
from tests.scans.scan_files import ball, noise, refused, says

SCAN = Scan(noise(1, 64, 48, 1), source="a.png", format="png")
TUMOUR = ball(64, 48)
GREY = TUMOUR.astype(np.uint8)
CORE = ball(64, 48, radius=0.15)


def read(path, scan=SCAN):
    with noting() as notes:
        mask = read_mask(path, scan)
    assert mask.dtype == bool and mask.shape == scan.pixels.shape[:3]
    return mask[0], notes


def save(path, array, mode=None, **options):
    picture = array if isinstance(array, Image.Image) else Image.fromarray(array)
    (picture.convert(mode) if mode else picture).save(path, **options)
    return path


def not_read(path, *words):
    refused(path, *words, read=lambda path: read_mask(path, SCAN))


def coloured(tumour=(255, 0, 0), ground=(0, 0, 0), core=None):
    array = np.where(TUMOUR[..., None], tumour, ground)
    return np.where(CORE[..., None], core or tumour, array).astype(np.uint8)


def test_two_values_need_no_word(tmp_path):
    for number, picture in enumerate(
        [
            Image.fromarray(GREY),  # 0 and 1: it looks black
            Image.fromarray(GREY * 255).convert("1"),
            Image.fromarray(GREY * 80),
            Image.fromarray(GREY * 255).convert("RGB"),
            Image.fromarray(GREY * 255).convert("RGBA"),
            Image.fromarray(GREY * 255).convert("LA"),
            Image.fromarray(GREY.astype(np.uint16) * 65535),
            Image.fromarray(coloured()),
            Image.fromarray(coloured((0, 90, 30))),
        ]
    ):
        mask, notes = read(save(tmp_path / f"{number}.png", picture))
        assert np.array_equal(mask, TUMOUR) and not notes, number
    for suffix, array in [
        (".tif", GREY.astype(np.float32)),
        (".bmp", GREY * 255),
        (".tif", GREY.astype(np.int16)),
    ]:
        mask, notes = read(save(tmp_path / f"m{suffix}", array))
        assert np.array_equal(mask, TUMOUR) and not notes
    for mode in ("1", "L", "RGB", "P", "RGBA"):  # an empty mask is sound
        mask, notes = read(save(tmp_path / "none.png", Image.new(mode, (48, 64))))
        assert not mask.any() and not notes


def test_label_pictures(tmp_path):
    mask, notes = read(save(tmp_path / "m.png", GREY + CORE * np.uint8(3)))
    assert np.array_equal(mask, TUMOUR)
    says(notes, "m.png", "labels 1, 4", "all taken for tumour")
    not_read(save(tmp_path / "n.png", GREY * 10 + CORE * np.uint8(245)), "3 grey values", "white")
    not_read(save(tmp_path / "o.png", GREY * 1 + CORE * np.uint8(254)), "3 grey values", "white")


def palette(indices, *colours):
    picture = Image.fromarray(indices.astype(np.uint8))
    picture.putpalette([part for colour in colours for part in colour])
    assert picture.mode == "P"
    return picture


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_palettes(tmp_path, suffix):
    black, red, dark, white = (0, 0, 0), (128, 0, 0), (0, 64, 0), (255, 255, 255)
    indices = GREY + CORE
    for number, (picture, words) in enumerate(
        [
            (palette(GREY, black, red), ""),
            (palette(GREY, black, white), ""),
            (palette(1 - GREY, white, black), ""),
            (palette(indices, black, red, dark), "index 0 is taken for background, and 1, 2"),
            (palette(indices, black, black, red), "index 0 is taken for background"),
            (palette(GREY, black, black), "index 0 is taken for background, and 1"),
            (palette(indices, white, black, red), "index 0 is taken for background, and 1, 2"),
        ]
    ):
        path = save(tmp_path / f"{number}{suffix}", picture)
        if Image.open(path).mode != "P" and number:
            continue  # a BMP whose palette is grey
        mask, notes = read(path)
        assert np.array_equal(mask, TUMOUR), number
        if words:
            says(notes, path.name, words)
        else:
            assert not notes
    not_read(save(tmp_path / f"i{suffix}", palette(1 - GREY, red, (0, 9, 9))), "inverted")


def test_alpha_can_be_the_mask(tmp_path):
    alpha = GREY * 255
    for colour in [(255, 255, 255), (0, 0, 0), (255, 0, 0)]:
        array = np.dstack([np.full((64, 48, 3), colour, np.uint8), alpha])
        mask, notes = read(save(tmp_path / "m.png", array))
        assert np.array_equal(mask, TUMOUR)
        says(notes, "m.png", "lies in its transparency")
    drawn = np.dstack([coloured((255, 0, 0), (255, 255, 255)), alpha // 2])
    mask, notes = read(save(tmp_path / "m.png", drawn))  # red, half transparent, on clear white
    assert np.array_equal(mask, TUMOUR) and len(notes) == 1
    mixed = np.dstack([coloured((255, 0, 0), (255, 255, 255), (250, 250, 0)), alpha])
    assert np.array_equal(read(save(tmp_path / "m.png", mixed))[0], TUMOUR)
    opaque = np.dstack([coloured(), np.full((64, 48), 200, np.uint8)])
    assert np.array_equal(read(save(tmp_path / "m.png", opaque))[0], TUMOUR)
    grey = np.dstack([GREY * 0 + 255, alpha])
    assert np.array_equal(read(save(tmp_path / "la.png", Image.fromarray(grey, "LA")))[0], TUMOUR)


def test_colours(tmp_path):
    for tumour, core in [((255, 0, 0), (0, 64, 0)), ((128, 0, 0), (0, 0, 30))]:
        mask, notes = read(save(tmp_path / "m.png", coloured(tumour, core=core)))
        assert np.array_equal(mask, TUMOUR)
        says(notes, "m.png", "2 colours on black")
    planes = coloured((0, 255, 0), (255, 0, 0), core=(0, 0, 255))  # one-hot, saved as colours
    mask, notes = read(save(tmp_path / "m.png", planes))
    assert np.array_equal(mask, TUMOUR)
    says(notes, "channel 1, set in", "background")
    not_read(save(tmp_path / "w.png", coloured(ground=(255, 255, 255))), "100% of a.png", "black")


@pytest.mark.parametrize("last", [2, 3, 4])
def test_labels_spread_over_the_greys(tmp_path, last):
    """As a program shows labels 0, 1, ...: 0, 127, 255, or 0, 85, 170, 255, or in five greys."""
    labels = GREY * last
    for label in range(1, last):
        labels[26 + 4 * label : 30 + 4 * label, 20:26] = label
    mask, notes = read(save(tmp_path / "m.png", (labels * (255 / last)).astype(np.uint8)))
    assert np.array_equal(mask, labels > 0)
    says(notes, "grey values 0, ", "taken for labels")


def test_a_mask_in_two_colours(tmp_path):
    """As matplotlib draws one: what is at the border is background, whichever is brighter."""
    violet, yellow = (68, 1, 84), (253, 231, 36)
    for ground, colour in ((violet, yellow), (yellow, violet)):
        picture = np.where(GREY[..., None] > 0, np.uint8(colour), np.uint8(ground))
        mask, notes = read(save(tmp_path / "m.png", picture))
        assert np.array_equal(mask, TUMOUR)
        says(notes, "m.png", "two colours", "border")


def test_soft_and_compressed_pictures(tmp_path):
    blurred = Image.fromarray(GREY * 255).filter(ImageFilter.GaussianBlur(0.6))
    mask, notes = read(save(tmp_path / "m.png", blurred))
    assert (mask != TUMOUR).mean() < 0.005
    says(notes, "m.png", "half")
    for array in (GREY * 255, coloured()):
        mask, notes = read(save(tmp_path / "m.jpg", array, quality=80))
        assert (mask != TUMOUR).mean() < 0.01
        says(notes, "m.jpg", "half", "PNG")
    assert not read(save(tmp_path / "n.jpg", GREY * 0, quality=80))[0].any()
    not_read(save(tmp_path / "l.jpg", GREY * 3, quality=95), "brightest value is", "PNG")


def test_inverted_and_full_pictures(tmp_path):
    for number, array in enumerate([(1 - GREY) * 255, GREY * 0 + 255, 1 - GREY, GREY + 1]):
        not_read(save(tmp_path / f"{number}.png", array), "inverted", "of a.png", "black")


def test_a_scan_with_an_outline(tmp_path):
    picture = Image.fromarray(SCAN.pixels[0, ..., 0]).convert("RGB")
    ImageDraw.Draw(picture).ellipse((14, 20, 34, 44), outline=(255, 0, 0))
    for suffix in (".png", ".jpg"):
        not_read(save(tmp_path / f"m{suffix}", picture), "outline", "mask alone")
    few = picture.quantize(16)
    not_read(save(tmp_path / "p.png", few), "p.png")


@pytest.mark.parametrize("width", [1, 2, 3])
def test_a_mask_of_an_outline(tmp_path, width):
    picture = Image.new("L", (48, 64))
    ImageDraw.Draw(picture).ellipse((4, 6, 44, 56), outline=255, width=width)
    mask, notes = read(save(tmp_path / "m.png", picture))
    assert np.array_equal(mask, np.asarray(picture) > 0)
    says(notes, "m.png", "closed lines", "fill")


def test_what_tumours_look_like_needs_no_word(tmp_path):
    ring = TUMOUR & ~ball(64, 48, radius=0.2)
    small = ball(64, 48, radius=0.05)
    at_border = ball(64, 48, radius=0.4, centre=0.1)
    for array in (ring, small, at_border, np.roll(small, 20, 1) | small):
        mask, notes = read(save(tmp_path / "m.png", array.astype(np.uint8) * 255))
        assert np.array_equal(mask, array) and not notes


def test_a_mask_of_the_head_is_told(tmp_path):
    wide = ball(64, 48, radius=0.45)
    path = save(tmp_path / "m.png", wide.astype(np.uint8) * 255)
    says(read(path)[1], "m.png", "of a.png", "brain")
    brain = np.where(TUMOUR, 9, 0)[None, ..., None]
    path = save(tmp_path / "b.png", GREY)
    says(read(path, Scan(brain, source="b"))[1], "mask of the brain")
