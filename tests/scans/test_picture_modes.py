"""PNG, JPEG, WebP and BMP in every mode: what a viewer shows is what is read."""

import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from brainseg.scans.masks import read_mask
from brainseg.scans.notes import noting
from brainseg.scans.reading import read_scan
from brainseg.scans.scan import Scan
from tests.scans.scan_files import noise, refused

ROWS, COLUMNS = np.mgrid[:40, :48]
HEAD = np.hypot(ROWS - 20, COLUMNS - 24) < 14
SMOOTH = (ROWS * 3 + COLUMNS * 2 + 10).astype(np.uint8)
GREY = np.where(HEAD, SMOOTH, 0).astype(np.uint8)


def read(path):
    with noting() as notes:
        return read_scan(path).pixels[0], notes


def picture(path, *layers, mode=None, **options):
    array = layers[0] if len(layers) == 1 else np.dstack(layers)
    Image.fromarray(array, mode).save(path, **options)
    return path


def indexed(array, palette):
    image = Image.fromarray(array)
    image.putpalette([value for colour in palette for value in colour])
    return image


def turned(array, orientation):
    """What a viewer shows of a picture with this EXIF orientation."""
    return {
        1: array,
        2: array[:, ::-1],
        3: array[::-1, ::-1],
        4: array[::-1],
        5: array.swapaxes(0, 1),
        6: np.rot90(array, -1),
        7: array[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(array),
    }[orientation]


# ---------------------------------------------------------------- transparency


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (200, 30, 30)])
@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_a_picture_in_the_transparency_of_one_colour(tmp_path, colour, suffix):
    layers = [np.full_like(GREY, value) for value in colour]
    path = picture(tmp_path / f"a.{suffix}", *layers, GREY, lossless=True, exact=True)
    pixels, notes = read(path)
    assert np.array_equal(pixels[..., 0], GREY) and "transparency" in notes[0]


def test_black_ink_on_a_transparent_head_is_seen_on_white(tmp_path):
    path = picture(tmp_path / "a.png", GREY * 0, GREY * 0, GREY * 0, 255 - GREY)
    assert np.array_equal(read(path)[0][..., 0], GREY)


def test_a_grey_picture_in_its_transparency(tmp_path):
    path = picture(tmp_path / "a.png", np.full_like(GREY, 255), GREY)
    assert np.array_equal(read(path)[0][..., 0], GREY)


@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_hidden_under_full_transparency_is_black(tmp_path, channels):
    junk = np.where(HEAD, GREY, 222).astype(np.uint8)
    path = picture(tmp_path / "a.png", *[junk] * channels, HEAD.astype(np.uint8) * 255)
    pixels, notes = read(path)
    assert pixels.shape[-1] == channels and (pixels == GREY[..., None]).all()
    assert "transparent" in notes[0] and "black" in notes[0]


def test_soft_edges_of_a_cut_out_fade_to_black(tmp_path):
    alpha = (np.clip(15 - np.hypot(ROWS - 20, COLUMNS - 24), 0, 1) * 255).astype(np.uint8)
    path = picture(
        tmp_path / "a.png", *[np.full_like(GREY, 200) + ROWS.astype(np.uint8)] * 3, alpha
    )
    expected = (200.0 + ROWS) * alpha / 255
    assert np.abs(read(path)[0][..., 0] - expected).max() <= 0.5


@pytest.mark.parametrize("value, told", [(255, 0), (128, 0), (0, 1)])
def test_even_transparency_changes_nothing(tmp_path, value, told):
    path = picture(tmp_path / "a.png", GREY, GREY, GREY, np.full_like(GREY, value))
    pixels, notes = read(path)
    assert (pixels == GREY[..., None]).all() and len(notes) == told


def test_transparency_of_many_grades_is_left_out_and_said(tmp_path):
    rgb = noise(40, 48, 3)
    pixels, notes = read(picture(tmp_path / "a.png", rgb, noise(40, 48)))
    assert np.array_equal(pixels, rgb) and "transparency" in notes[0]


def test_deep_transparency(tmp_path):
    deep, opaque = GREY.astype(np.uint16) * 200, HEAD.astype(np.uint16) * 65535
    junk = np.where(HEAD, deep, 50000).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), np.dstack([junk, junk, junk, opaque]))
    pixels, notes = read(tmp_path / "a.png")
    assert (pixels == deep[..., None]).all() and pixels.dtype == np.uint16 and len(notes) == 1


def test_one_grey_that_stands_for_transparent(tmp_path):
    marked = np.where(HEAD, GREY.clip(0, 250), 255).astype(np.uint8)
    expected = np.where(HEAD, marked, 0)
    path = picture(tmp_path / "a.png", marked, transparency=255)
    assert np.array_equal(read(path)[0][..., 0], expected)
    path = picture(tmp_path / "b.png", *[marked] * 3, transparency=(255, 255, 255))
    assert np.array_equal(read(path)[0][..., 1], expected)
    deep = marked.astype(np.uint16) * 257
    path = picture(tmp_path / "c.png", deep, transparency=65535)
    assert np.array_equal(read(path)[0][..., 0], expected.astype(np.uint16) * 257)
    assert picture(tmp_path / "d.png", GREY, transparency=0) and not read(tmp_path / "d.png")[1]


def test_a_mask_drawn_in_black_on_a_transparent_layer(tmp_path):
    white = np.full_like(GREY, 255)
    hidden = np.where(HEAD, 0, white)
    path = picture(tmp_path / "m.png", hidden, hidden, hidden, HEAD.astype(np.uint8) * 255)
    assert np.array_equal(read_mask(path, Scan(GREY[None, ..., None]))[0], HEAD)


# ---------------------------------------------------------------- palettes and few bits


def test_palettes(tmp_path):
    palette = Image.fromarray(GREY).quantize(64)
    palette.save(tmp_path / "a.png")
    shown = np.asarray(palette.convert("RGB"))
    assert np.array_equal(read(tmp_path / "a.png")[0], shown)
    labels = indexed(HEAD.astype(np.uint8), [[0, 0, 0], [128, 0, 0], [0, 128, 0]])
    labels.save(tmp_path / "b.png")  # as label tools write them
    assert np.array_equal(read(tmp_path / "b.png")[0][..., 0], HEAD * 128)
    assert np.array_equal(read_mask(tmp_path / "b.png", Scan(GREY[None, ..., None]))[0], HEAD)


def test_a_palette_stored_out_of_order(tmp_path):
    image = indexed(255 - GREY, [[level] * 3 for level in range(255, -1, -1)])
    image.save(tmp_path / "a.png")
    assert (read(tmp_path / "a.png")[0] == GREY[..., None]).all()


def test_a_palette_with_a_transparent_entry(tmp_path):
    levels = np.where(HEAD, 1 + GREY // 64, 0).astype(np.uint8)
    image = indexed(levels, [[9, 200, 9], *([40 * i] * 3 for i in range(1, 7))])
    image.save(tmp_path / "a.png", transparency=0)
    pixels, notes = read(tmp_path / "a.png")
    assert (pixels == np.where(HEAD, 40 * levels, 0)[..., None]).all() and len(notes) == 1


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits(tmp_path, bits):
    levels = GREY >> (8 - bits)
    step = 255 // (2**bits - 1)
    indexed(levels, [[step * i] * 3 for i in range(2**bits)]).save(tmp_path / "a.png", bits=bits)
    assert (read(tmp_path / "a.png")[0][..., 0] == levels * step).all()


# ---------------------------------------------------------------- colour spaces


def test_cmyk_and_progressive_jpeg(tmp_path):
    rgb = np.dstack([SMOOTH, SMOOTH // 2, 255 - SMOOTH])
    Image.fromarray(rgb).convert("CMYK").save(tmp_path / "a.jpg", quality=98)
    assert np.abs(read(tmp_path / "a.jpg")[0].astype(int) - rgb).max() < 12
    picture(tmp_path / "b.jpg", SMOOTH, quality=98, progressive=True)
    assert np.abs(read(tmp_path / "b.jpg")[0][..., 0].astype(int) - SMOOTH).max() < 6
    data = (tmp_path / "b.jpg").read_bytes()
    (tmp_path / "b.jpg").write_bytes(data[: len(data) // 2])
    refused(tmp_path / "b.jpg")


def test_lab_tiff_keeps_its_greys(tmp_path):
    middle = np.full_like(SMOOTH, 0)  # no colour
    Image.fromarray(np.dstack([SMOOTH, middle, middle]), "LAB").save(tmp_path / "a.tif")
    pixels, _ = read(tmp_path / "a.tif")
    grey = pixels.mean(axis=-1)
    assert (np.diff(grey[0]) > 0).all() and np.ptp(pixels.astype(int), axis=-1).max() < 12


def test_interlaced_and_gamma_change_no_value(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), GREY)
    data = (tmp_path / "a.png").read_bytes()
    gamma = bytes.fromhex("0000000467414d41000186a031e8965f")  # 1.0
    (tmp_path / "a.png").write_bytes(data[:33] + gamma + data[33:])
    assert np.array_equal(read(tmp_path / "a.png")[0][..., 0], GREY)


# ---------------------------------------------------------------- orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    "suffix, kind",
    [
        *((suffix, kind) for suffix in (".png", ".tif") for kind in ("grey", "rgb", "deep")),
        (".png", "deep rgb"),
        (".webp", "rgb"),
    ],
)
def test_the_stated_orientation_is_applied(tmp_path, orientation, suffix, kind):
    channels = 3 if "rgb" in kind else 1
    dtype, high = (np.uint16, 60000) if "deep" in kind else (np.uint8, 250)
    array = noise(40, 48, channels, dtype=dtype, high=high)
    path = tmp_path / f"a{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    if kind == "deep rgb":
        cv2.imwrite(str(path), array[..., ::-1])
        data = path.read_bytes()
        path.write_bytes(data[:33] + png_chunk(b"eXIf", exif.tobytes()[6:]) + data[33:])
    elif suffix == ".tif":
        Image.fromarray(array.squeeze()).save(path, tiffinfo={274: orientation})
    else:
        Image.fromarray(array.squeeze()).save(path, exif=exif, lossless=True)
    pixels, notes = read(path)
    assert np.array_equal(pixels, turned(array, orientation))
    notes = [text for text in notes if "in colour" not in text]
    assert len(notes) == (orientation != 1) and all("turned" in text for text in notes)


def png_chunk(name, data):
    return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")


# ---------------------------------------------------------------- animations


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_of_an_animation_the_first_frame_is_read_and_said(tmp_path, suffix):
    frames = [Image.fromarray(noise(40, 48, 3)[::step]) for step in (1, -1)]
    path = tmp_path / f"a.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    pixels, notes = read(path)
    assert np.array_equal(pixels, np.asarray(frames[0]))
    assert "2 frames" in notes[0] and "first" in notes[0]


def test_broken_exif_is_no_reason_to_refuse(tmp_path):
    picture(tmp_path / "a.jpg", GREY, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\1\x12junk")
    assert read(tmp_path / "a.jpg")[0].shape == (40, 48, 1)
    picture(tmp_path / "b.jpg", GREY, exif=b"Exif\0\0nothing that is known")
    assert read(tmp_path / "b.jpg")[0].shape == (40, 48, 1)


def test_a_deep_animation_has_one_slice(tmp_path):
    animation = cv2.Animation()
    frames = [noise(40, 48, 3, dtype=np.uint16, high=60000)[::step] for step in (1, -1)]
    animation.frames, animation.durations = [np.ascontiguousarray(f) for f in frames], [50, 50]
    if not cv2.imwriteanimation(str(tmp_path / "a.png"), animation):
        pytest.skip("OpenCV writes none")
    scan = read_scan(tmp_path / "a.png")
    assert len(scan.pixels) == 1
