"""PNG, JPEG, TIFF, BMP and WebP: values, depth and the order of colours are kept."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from brainseg.scans.masks import mask_suffix
from brainseg.scans.reading import read_scan
from tests.scans.scan_files import noise, refused, volume


def tiff(path, array, photometric, planar=1, kind=1):
    """A minimal uncompressed little-endian TIFF, for layouts that no library here writes."""
    height, width, channels = array.shape
    bits = array.dtype.itemsize * 8
    data = np.moveaxis(array, -1, 0).tobytes() if planar == 2 else array.tobytes()
    strips = channels if planar == 2 else 1
    start, tail = 8 + 2 + 12 * 11 + 4, b""
    shorts, strip = 2 * channels if channels > 2 else 0, len(data) // strips
    first = start + 2 * shorts + (8 * strips if strips > 1 else 0)
    out = b""
    for tag, code, values in [
        (256, 4, [width]),
        (257, 4, [height]),
        (258, 3, [bits] * channels),
        (259, 3, [1]),
        (262, 3, [photometric]),
        (273, 4, [first + i * strip for i in range(strips)]),
        (277, 3, [channels]),
        (278, 4, [height]),
        (279, 4, [strip] * strips),
        (284, 3, [planar]),
        (339, 3, [kind] * channels),
    ]:
        packed = struct.pack(f"<{len(values)}{'H' if code == 3 else 'I'}", *values)
        if len(packed) > 4:
            tail, packed = tail + packed, struct.pack("<I", start + len(tail))
        out += struct.pack("<HHI", tag, code, len(values)) + packed.ljust(4, b"\0")
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, 11) + out + bytes(4) + tail + data)
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_picture_round_trip_keeps_values_and_rgb_order(tmp_path, suffix, channels):
    array = noise(5, 7, channels)
    Image.fromarray(array.squeeze()).save(tmp_path / f"a{suffix}")
    scan = read_scan(tmp_path / f"a{suffix}")
    assert scan.pixels.shape == (1, 5, 7, channels) and scan.pixels.dtype == np.uint8
    assert np.array_equal(scan.pixels[0], array)
    assert scan.pixels.flags.c_contiguous and scan.pixels.flags.writeable
    assert scan.spacing_mm is None and scan.affine is None and scan.source == f"a{suffix}"
    assert mask_suffix(scan) == ".png"


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_lossy_pictures(tmp_path, kind):
    Image.new("RGB", (16, 8), (200, 100, 20)).save(tmp_path / "a.png", kind.upper())
    scan = read_scan(tmp_path / "a.png")  # under another picture's suffix
    assert scan.format == kind and scan.pixels.shape == (1, 8, 16, 3)
    assert np.abs(scan.pixels[0, 4, 8].astype(int) - (200, 100, 20)).max() < 6


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bit_pictures_keep_their_depth(tmp_path, suffix, channels):
    array = noise(5, 7, channels, dtype=np.uint16, high=60000)
    stored = array[..., [2, 1, 0, 3][:channels]] if channels > 1 else array
    cv2.imwrite(str(tmp_path / f"a{suffix}"), stored)
    scan = read_scan(tmp_path / f"a{suffix}")
    assert scan.pixels.dtype == np.uint16
    assert np.array_equal(scan.pixels[0], array[..., :3])


def test_16_bit_grey_with_alpha_png(tmp_path):
    grey = np.array([[1, 60000], [300, 4]], np.uint16)
    rows = b"".join(b"\0" + np.stack([row, row * 0 + 9], 1).astype(">u2").tobytes() for row in grey)

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 16, 4, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    assert np.array_equal(read_scan(tmp_path / "a.png").pixels[0, ..., 0], grey)


def test_alpha_palette_and_bilevel(tmp_path):
    rgb = noise(4, 6, 3)
    Image.fromarray(np.dstack([rgb, noise(4, 6)])).save(tmp_path / "rgba.png")
    assert np.array_equal(read_scan(tmp_path / "rgba.png").pixels[0], rgb)
    Image.fromarray(np.dstack([rgb[..., 0], noise(4, 6)]), "LA").save(tmp_path / "la.png")
    assert np.array_equal(read_scan(tmp_path / "la.png").pixels[0], rgb[..., :1])
    palette = Image.fromarray(rgb).convert("P", palette=Image.Palette.ADAPTIVE)
    palette.save(tmp_path / "p.png")
    assert np.array_equal(
        read_scan(tmp_path / "p.png").pixels[0], np.asarray(palette.convert("RGB"))
    )
    Image.fromarray(rgb[..., 0] > 100).save(tmp_path / "one.png")
    scan = read_scan(tmp_path / "one.png")
    assert scan.pixels.dtype == np.uint8
    assert np.array_equal(scan.pixels[0, ..., 0], rgb[..., 0] > 100)


def test_exif_orientation_of_jpeg(tmp_path):
    array = np.zeros((16, 32), np.uint8)
    array[:, 16:] = 255  # bright right half
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise: the right half ends up below
    Image.fromarray(array).save(tmp_path / "a.jpg", exif=exif)
    pixels = read_scan(tmp_path / "a.jpg").pixels[0, ..., 0]
    assert pixels.shape == (32, 16) and pixels[:12].max() < 30 and pixels[20:].min() > 220


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "uint32", "float32", "float64"])
def test_tiff_depths(tmp_path, dtype):
    array = noise(5, 7, dtype=dtype, high=100) - np.dtype(dtype).type("u" not in dtype) * 50
    cv2.imwrite(str(tmp_path / "a.tif"), array.astype(dtype))
    scan = read_scan(tmp_path / "a.tif")
    assert scan.pixels.dtype == dtype and np.array_equal(scan.pixels[0, ..., 0], array)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_pages_are_slices(tmp_path, dtype):
    pages = noise(12, 5, 7, dtype=dtype)
    cv2.imwritemulti(str(tmp_path / "a.tif"), list(pages))
    scan = read_scan(tmp_path / "a.tif")
    assert np.array_equal(scan.pixels[..., 0], pages) and scan.pixels.dtype == dtype
    assert mask_suffix(scan) == ".tif"


def test_tiff_where_white_is_zero_is_inverted(tmp_path):
    deep = noise(4, 6, 1, dtype=np.uint16, high=60000)
    assert np.array_equal(read_scan(tiff(tmp_path / "a.tif", deep, 0)).pixels[0], 65535 - deep)
    flat = noise(4, 6, 1)
    assert np.array_equal(read_scan(tiff(tmp_path / "b.tif", flat, 0)).pixels[0], 255 - flat)


def test_tiff_separate_planes(tmp_path):
    rgb = noise(4, 6, 3)
    assert np.array_equal(read_scan(tiff(tmp_path / "a.tif", rgb, 2, planar=2)).pixels[0], rgb)
    refused(tiff(tmp_path / "b.tif", rgb.astype(np.uint16), 2, planar=2), "layout", "Save it")


def test_big_tiff_and_odd_names(tmp_path):
    path = tmp_path / "tête no. 1 (ü).TIF"
    Image.fromarray(noise(4, 6)).save(path, big_tiff=True)
    assert np.array_equal(read_scan(path).pixels[0, ..., 0], noise(4, 6))
    volume(tmp_path / "a.nii", noise(3, 4, 5))
    path = (tmp_path / "a.nii").rename(tmp_path / "tête no. 1 (ü).NII")
    assert np.array_equal(read_scan(path).pixels[..., 0], noise(3, 4, 5))


def test_tiff_pages_of_two_sizes(tmp_path):
    path = tmp_path / "a.tif"
    Image.fromarray(noise(4, 4)).save(
        path, save_all=True, append_images=[Image.fromarray(noise(2, 2))]
    )
    refused(path, "different shapes", "same size")


def test_header_that_states_a_huge_picture(tmp_path, recwarn):
    Image.new("L", (10, 10)).save(tmp_path / "a.png")
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[16:24] = struct.pack(">II", 30000, 30000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    (tmp_path / "a.png").write_bytes(data)
    refused(tmp_path / "a.png", "178,956,970 pixels", "Crop")
    assert not len(recwarn)
