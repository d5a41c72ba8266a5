"""TIFF: depths, which pages are slices, in which order, and layouts that decoders misread."""

import json
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from brainseg.scans.masks import mask_suffix, read_mask
from brainseg.scans.notes import noting
from brainseg.scans.reading import read_scan
from tests.scans.scan_files import noise, refused, says

DTYPES = [np.uint8, np.uint16, np.float32]


def read(path):
    with noting() as notes:
        return read_scan(path).pixels, notes


def write(path, pages, description="", tags=(), **options):
    """A TIFF of these pages, the first with a description; further tags by page."""
    from PIL import TiffImagePlugin

    tags = list(tags) or [{}] * len(pages)
    with TiffImagePlugin.AppendingTiffWriter(str(path), new=True) as out:
        for number, page in enumerate(pages):
            info = {**tags[number], **({270: description} if description and not number else {})}
            Image.fromarray(page).save(out, format="TIFF", tiffinfo=info, **options)
            out.newFrame()
    return path


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


def test_tiff_pages_of_two_sizes(tmp_path):
    path = tmp_path / "a.tif"
    Image.fromarray(noise(4, 4)).save(
        path, save_all=True, append_images=[Image.fromarray(noise(2, 2))]
    )
    refused(path, "different shapes", "same size")


# ---------------------------------------------------------------- smaller copies


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tag", [{254: 1}, {255: 2}])
def test_smaller_copies_are_no_slices(tmp_path, dtype, tag):
    pages = noise(2, 20, 24, dtype=dtype)
    path = write(
        tmp_path / "a.tif",
        [pages[0], pages[0, ::2, ::2], pages[1], pages[1, ::2, ::2]],
        tags=[{}, tag, {}, tag],
    )
    pixels, notes = read(path)
    assert pixels.dtype == dtype and np.array_equal(pixels[..., 0], pages)
    assert "4 pages" in notes[0] and "2 were read" in notes[0]


def test_a_thumbnail_of_the_same_size_and_another_depth(tmp_path):
    page = noise(20, 24, dtype=np.uint16)
    path = write(tmp_path / "a.tif", [page // 256, page.astype(np.uint8)], tags=[{}, {254: 1}])
    assert np.array_equal(read(path)[0][0, ..., 0], page // 256)


def test_smaller_copies_that_do_not_say_so(tmp_path):
    page = noise(20, 24)
    refused(write(tmp_path / "a.tif", [page, page[::2, ::2]]), "different shapes")


# ---------------------------------------------------------------- order of pages


def imagej(**sizes):
    return "ImageJ=1.53t\n" + "".join(f"{key}={value}\n" for key, value in sizes.items())


def ome(order="XYZCT", **sizes):
    said = " ".join(f'Size{axis}="{count}"' for axis, count in sizes.items())
    return (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<Image ID="Image:0"><Pixels DimensionOrder="{order}" {said}/></Image></OME>'
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_imagej_channels_alternate(tmp_path, dtype):
    volume = noise(4, 20, 24, 3, dtype=dtype)  # slices, height, width, channels
    pages = [volume[z, ..., c] for z in range(4) for c in range(3)]
    said = imagej(images=12, channels=3, slices=4, hyperstack="true", mode="composite")
    pixels, _ = read(write(tmp_path / "a.tif", pages, said))
    assert pixels.dtype == dtype and np.array_equal(pixels, volume)


@pytest.mark.parametrize("said", [imagej(images=5, slices=5, loop="false"), imagej(images=5)])
def test_imagej_slices(tmp_path, said):
    pages = noise(5, 20, 24)
    pixels, notes = read(write(tmp_path / "a.tif", pages, said))
    assert np.array_equal(pixels[..., 0], pages) and notes == []


def test_imagej_of_colour_slices(tmp_path):
    pages = noise(2, 20, 24, 3)
    pixels, _ = read(write(tmp_path / "a.tif", pages, imagej(images=2, slices=2)))
    assert np.array_equal(pixels, pages)


def test_time_points(tmp_path):
    pages = noise(4, 20, 24)
    pixels, notes = read(write(tmp_path / "a.tif", pages, imagej(images=4, frames=4)))
    assert np.array_equal(pixels[..., 0], pages) and "4 time points" in notes[0]
    path = write(tmp_path / "b.tif", pages, imagej(images=4, slices=2, frames=2))
    refused(path, "2 slices x 2 time points", "single time point")


@pytest.mark.parametrize(
    "said", [imagej(images=20, channels=20, hyperstack="true"), ome("XYCZT", C=20, Z=1, T=1)]
)
def test_many_channels_are_slices(tmp_path, said):
    """As tifffile.imwrite(volume, imagej=True) and ome=True describe a volume of 20 slices."""
    pages = noise(20, 24, 24)
    path = write(tmp_path / "a.tif", pages, said)
    pixels, notes = read(path)
    assert np.array_equal(pixels[..., 0], pages)
    says(notes, "20 channels of one slice", "read as the slices of one volume")
    mask = (pages > 200) & (np.arange(24) < 4)
    drawn = write(tmp_path / "m.tif", mask * np.uint8(255), said)
    assert np.array_equal(read_mask(drawn, read_scan(path)), mask)


def test_several_slices_of_many_channels_are_none(tmp_path):
    path = write(tmp_path / "a.tif", noise(10, 24, 24), imagej(images=10, channels=5, slices=2))
    refused(path, "5 channels", "one sequence per file")


def test_imagej_keeps_large_stacks_behind_one_page(tmp_path):
    path = write(tmp_path / "a.tif", noise(1, 20, 24), imagej(images=9, slices=9))
    refused(path, "9 slices", "1 page", "page for each slice")


def test_two_channels(tmp_path):
    path = write(tmp_path / "a.tif", noise(4, 20, 24), imagej(images=4, channels=2, slices=2))
    refused(path, "2 channels")


@pytest.mark.parametrize("order", ["XYZCT", "XYCZT", "XYTZC"])
def test_ome_order(tmp_path, order):
    volume = noise(4, 20, 24, 3)
    slow_channels = order.index("C") > order.index("Z")
    pages = volume.transpose(3, 0, 1, 2) if slow_channels else volume.transpose(0, 3, 1, 2)
    path = write(tmp_path / "a.ome.tif", pages.reshape(12, 20, 24), ome(order, Z=4, C=3, T=1))
    assert np.array_equal(read(path)[0], volume)


def test_ome_of_colour_and_of_parts(tmp_path):
    pages = noise(2, 20, 24, 3)
    path = write(tmp_path / "a.ome.tif", pages, ome(Z=2, C=3, T=1))
    assert np.array_equal(read(path)[0], pages)
    refused(write(tmp_path / "b.ome.tif", pages, ome(Z=9, C=3, T=1)), "9 slices", "2 pages")
    two = ome(Z=1, C=1, T=1).replace("</OME>", '<Image><Pixels SizeZ="1"/></Image></OME>')
    refused(write(tmp_path / "c.ome.tif", noise(2, 20, 24), two), "2 images")


def test_arrays_by_tifffile(tmp_path):
    pages = noise(6, 20, 24)
    path = write(tmp_path / "a.tif", pages, json.dumps({"shape": [6, 20, 24]}))
    assert np.array_equal(read(path)[0][..., 0], pages)
    path = write(tmp_path / "b.tif", pages, json.dumps({"shape": [2, 3, 20, 24]}))
    refused(path, "(2, 3, 20, 24)")
    path = write(tmp_path / "c.tif", pages[:1], json.dumps({"shape": [6, 20, 24]}))
    refused(path, "6 slices", "1 page")


def test_pages_whose_shape_suggests_another_axis_of_slices(tmp_path):
    pages = noise(40, 36, 24)
    pixels, notes = read(write(tmp_path / "a.tif", pages, json.dumps({"shape": [40, 36, 24]})))
    assert np.array_equal(pixels[..., 0], pages)
    says(notes, "a.tif", "40 slices of 36 x 24", "slices lie along another axis")
    assert read(write(tmp_path / "b.tif", pages.transpose(2, 0, 1)))[1] == []
    assert read(write(tmp_path / "c.tif", pages[:1]))[1] == []


@pytest.mark.parametrize("text", ["ImageJ=", "<OME broken", '{"shape": 3}', "[1]", "a scan, 2 x 3"])
def test_other_descriptions_say_nothing(tmp_path, text):
    pages = noise(2, 20, 24)
    text = text + "\nimages=2" if text.startswith("ImageJ") else text
    pixels, notes = read(write(tmp_path / "a.tif", pages, text))
    assert np.array_equal(pixels[..., 0], pages) and notes == []


# ---------------------------------------------------------------- layouts


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressions(tmp_path, dtype, compression):
    page = noise(20, 24, dtype=dtype)
    path = write(tmp_path / "a.tif", [page], compression=compression)
    assert np.array_equal(read(path)[0][0, ..., 0], page)


@pytest.mark.parametrize("dtype", DTYPES)
def test_damage_within_deflate_is_noticed(tmp_path, dtype):
    path = write(tmp_path / "a.tif", [noise(60, 50, dtype=dtype)], compression="tiff_adobe_deflate")
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2 : len(whole) // 2 + 40] = bytes(40)
    path.write_bytes(whole)
    refused(path, "damaged")


def test_a_compression_that_only_one_decoder_knows(tmp_path):
    page = noise(20, 24)
    path = write(tmp_path / "a.tif", [page], compression="zstd")
    assert np.array_equal(read(path)[0][0, ..., 0], page)
    path = write(tmp_path / "b.tif", [page.astype(np.uint16)], compression="zstd")
    refused(path, "compressed in a way that is not read")


def test_jpeg_within_tiff(tmp_path):
    smooth = np.add.outer(np.arange(20) * 3, np.arange(24) * 3).astype(np.uint8)
    path = write(tmp_path / "a.tif", [smooth], compression="jpeg", quality=98)
    assert np.abs(read(path)[0][0, ..., 0].astype(int) - smooth).max() < 5


@pytest.mark.parametrize(
    "channels, photometric, dtype, kind",
    [
        (3, 1, np.uint8, 1),
        (3, 1, np.uint16, 1),  # OpenCV gives the first of the three
        (2, 1, np.uint8, 1),
        (2, 1, np.uint16, 1),
        (5, 1, np.uint8, 1),
        (5, 1, np.float32, 3),
        (1, 3, np.uint16, 1),
        (1, 1, np.float16, 3),
    ],
)
def test_layouts_that_are_misread_are_refused(tmp_path, channels, photometric, dtype, kind):
    array = noise(20, 24, channels, dtype=dtype)
    path = tiff(tmp_path / "a.tif", array, photometric, kind=kind)
    refused(path, "layout that is not read", "Save it as plain grey or RGB")


@pytest.mark.parametrize("dtype, kind", [(np.int16, 2), (np.int32, 2), (np.float32, 3)])
def test_signed_and_float_colours(tmp_path, dtype, kind):
    array = noise(20, 24, 3).astype(dtype) - 50
    assert np.array_equal(read(tiff(tmp_path / "a.tif", array, 2, kind=kind))[0][0], array)


def test_a_fourth_channel_without_a_meaning(tmp_path):
    for dtype, words in ((np.uint8, "transparency"), (np.uint16, "fourth channel")):
        array = noise(20, 24, 4, dtype=dtype)
        pixels, notes = read(tiff(tmp_path / "a.tif", array, 2))
        assert np.array_equal(pixels[0], array[..., :3]) and words in notes[0]


def test_pages_of_two_depths(tmp_path):
    pages = [noise(9, 8), noise(9, 8, dtype=np.uint16, high=40000)]
    refused(write(tmp_path / "a.tif", pages), "different depths (uint16, uint8)")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_missing_strips_and_what_is_not_said(tmp_path, dtype):
    path = tiff(tmp_path / "a.tif", noise(9, 8, 1, dtype=dtype), 1)
    whole = path.read_bytes()
    assert read_scan(path).pixels.shape == (1, 9, 8, 1)
    rows = struct.pack("<HHI", 278, 4, 1)
    path.write_bytes(whole.replace(rows + struct.pack("<I", 9), rows + struct.pack("<I", 3)))
    refused(path, "fewer strips", "truncated")
    said = struct.pack("<HH", 262, 3)
    path.write_bytes(whole.replace(said, struct.pack("<HH", 261, 3)))
    refused(path, "PhotometricInterpretation", "plain grey")
