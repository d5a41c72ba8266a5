"""Pictures of all formats: values, depth and the order of colours are kept."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from brainseg.scans.masks import mask_suffix
from brainseg.scans.reading import read_scan
from tests.scans.scan_files import noise, refused, volume


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


def test_alpha_and_bilevel(tmp_path):
    rgb = noise(4, 6, 3)
    Image.fromarray(np.dstack([rgb, noise(4, 6)])).save(tmp_path / "rgba.png")
    assert np.array_equal(read_scan(tmp_path / "rgba.png").pixels[0], rgb)
    Image.fromarray(np.dstack([rgb[..., 0], noise(4, 6)]), "LA").save(tmp_path / "la.png")
    assert np.array_equal(read_scan(tmp_path / "la.png").pixels[0], rgb[..., :1])
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


def test_big_tiff_and_odd_names(tmp_path):
    path = tmp_path / "tête no. 1 (ü).TIF"
    Image.fromarray(noise(4, 6)).save(path, big_tiff=True)
    assert np.array_equal(read_scan(path).pixels[0, ..., 0], noise(4, 6))
    volume(tmp_path / "a.nii", noise(3, 4, 5))
    path = (tmp_path / "a.nii").rename(tmp_path / "tête no. 1 (ü).NII")
    assert np.array_equal(read_scan(path).pixels[..., 0], noise(3, 4, 5))


def test_header_that_states_a_huge_picture(tmp_path, recwarn):
    Image.new("L", (10, 10)).save(tmp_path / "a.png")
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[16:24] = struct.pack(">II", 30000, 30000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    (tmp_path / "a.png").write_bytes(data)
    refused(tmp_path / "a.png", "178,956,970 pixels", "Crop")
    assert not len(recwarn)
