"""Reading and writing scans: what goes in comes out, and what is bad is refused in words."""

import gzip
import io
import stat
import struct
import subprocess
import sys
import zipfile
import zlib

import cv2
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from brainseg.scans import archives, masks
from brainseg.scans import scan as scan_module
from brainseg.scans.formats import pictures, volumes
from brainseg.scans.masks import mask_suffix, read_mask, write_mask
from brainseg.scans.reading import read_scan
from brainseg.scans.scan import Scan, ScanError, natural_key
from brainseg.scans.sequences import read_sequences

ORIENTATIONS = ["LPS", "RAS", "LAS", "PIR", "ASL", "SRA", "IPL", "RSP"]
VOLUME_SUFFIXES = [".nii", ".nii.gz", ".mha", ".nrrd"]


def noise(*shape, dtype=np.uint8, low=0, high=250):
    return np.random.default_rng(0).integers(low, high, shape).astype(dtype)


def direction_of(code):
    return sitk.DICOMOrientImageFilter.GetDirectionCosinesFromOrientation(code)


def volume(
    path,
    array,
    code="LPS",
    spacing=(1.0, 1.0, 1.0),
    origin=(0.0, 0.0, 0.0),
    direction=None,
    vector=False,
):
    image = sitk.GetImageFromArray(array, isVector=vector)
    if image.GetDimension() == 3:
        image.SetSpacing(spacing)
        image.SetOrigin(origin)
        image.SetDirection(direction or direction_of(code))
    sitk.WriteImage(image, str(path))
    return image


def rotation(degrees_z, degrees_x):
    z, x = np.radians([degrees_z, degrees_x])
    turn_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    return turn_z @ turn_x


def dicom_series(
    folder,
    slices,
    uid="1.2.3",
    heights=None,
    description="T1",
    names=None,
    rows_columns=(1, 0, 0, 0, 1, 0),
    normal=(0, 0, 1),
    patch=None,
    tags=None,
):
    folder.mkdir(exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.KeepOriginalImageUIDOn()
    for number, pixels in enumerate(slices):
        height = number * 3.0 if heights is None else heights[number]
        image = sitk.GetImageFromArray(pixels[None])
        image.SetSpacing((0.5, 0.75, 3.0))
        image.SetOrigin([height * n for n in normal])
        across, down = np.reshape(rows_columns, (2, 3))
        image.SetDirection(np.array([across, down, normal], float).T.ravel().tolist())
        for key, value in {
            "0008|0018": f"{uid}.{number + 1}",
            "0008|0060": "MR",
            "0008|103e": description,
            "0018|0050": "3",
            "0020|000d": "1.2",
            "0020|000e": uid,
            **(tags or {}),
        }.items():
            image.SetMetaData(key, value)
        file = folder / (names[number] if names else f"IM{number}.dcm")
        writer.SetFileName(str(file))
        writer.Execute(image)
        if patch:
            file.write_bytes(file.read_bytes().replace(*patch))
    return folder


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


def refused(path, *words, read=read_scan):
    """Assert that reading raises one ScanError naming the file, of at most three sentences."""
    with pytest.raises(ScanError) as error:
        read(path)
    message = str(error.value)
    for word in (path.name, *words):
        assert word in message, message
    assert message.endswith(".") and "\n" not in message
    return message


# ---------------------------------------------------------------- pictures and arrays


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


@pytest.mark.parametrize(
    "shape, expected",
    [
        ((4, 6), (1, 4, 6, 1)),
        ((5, 4, 6), (5, 4, 6, 1)),
        ((4, 6, 3), (1, 4, 6, 3)),
        ((4, 6, 4), (1, 4, 6, 3)),
        ((2, 4, 6, 3), (2, 4, 6, 3)),
        ((2, 4, 6, 1), (2, 4, 6, 1)),
    ],
)
def test_npy_shapes(tmp_path, shape, expected):
    array = noise(*shape)
    np.save(tmp_path / "a.npy", array)
    scan = read_scan(tmp_path / "a.npy")
    assert scan.pixels.shape == expected and mask_suffix(scan) == ".npy"
    assert np.array_equal(
        scan.pixels.ravel(), array.reshape(*expected[:3], -1)[..., : expected[3]].ravel()
    )


@pytest.mark.parametrize("dtype", ["bool", "int8", ">i2", "uint16", ">f4", "float16", "float64"])
def test_npy_types(tmp_path, dtype):
    array = noise(3, 4, 5).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    pixels = read_scan(tmp_path / "a.npy").pixels
    assert pixels.dtype == ("uint8" if dtype == "bool" else np.dtype(dtype).newbyteorder("="))
    assert np.array_equal(pixels[..., 0], array)


# ---------------------------------------------------------------- volumes


@pytest.mark.parametrize("suffix", VOLUME_SUFFIXES)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_volume_round_trip(tmp_path, suffix, dtype):
    array = noise(3, 4, 5).astype(dtype) - np.dtype(dtype).type(dtype[0] != "u") * 100
    volume(tmp_path / f"a{suffix}", array.astype(dtype), spacing=(0.5, 0.75, 4.0))
    scan = read_scan(tmp_path / f"a{suffix}")
    assert scan.pixels.dtype == dtype and np.array_equal(scan.pixels[..., 0], array)
    assert scan.spacing_mm == pytest.approx((4.0, 0.75, 0.5))
    assert mask_suffix(scan) == (".nii.gz" if "nii" in suffix else suffix)


@pytest.mark.parametrize("code", ORIENTATIONS)
@pytest.mark.parametrize("suffix", VOLUME_SUFFIXES)
def test_orientation_of_one_bright_voxel(tmp_path, code, suffix):
    """The voxel's patient position alone decides where it lands, however the file is laid out."""
    array = np.zeros((5, 6, 7), np.int16)
    array[1, 4, 2] = 9
    path = tmp_path / f"a{suffix}"
    image = volume(path, array, code, spacing=(1.0, 2.0, 3.0), origin=(-20.0, 30.0, 5.0))
    position = np.array(image.TransformIndexToPhysicalPoint((2, 4, 1)))
    corners = np.array(
        [
            image.TransformIndexToPhysicalPoint((int(x), int(y), int(z)))
            for x in (0, 6)
            for y in (0, 5)
            for z in (0, 4)
        ]
    )
    scan = read_scan(path)
    ((z, y, x, _),) = np.argwhere(scan.pixels)
    # Index 0 is rightmost, frontmost and lowest: the smallest L, P and S coordinates.
    steps = (position - corners.min(axis=0)) / scan.spacing_mm[::-1]
    assert (x, y, z) == tuple(np.rint(steps).astype(int))
    assert np.allclose(scan.affine @ (x, y, z, 1), [*position, 1], atol=1e-4)

    back = tmp_path / f"m{suffix}"
    write_mask(scan.pixels[..., 0] > 0, scan, back)
    mask = sitk.ReadImage(str(back))
    assert np.argwhere(sitk.GetArrayFromImage(mask)).tolist() == [[1, 4, 2]]
    assert np.allclose(mask.TransformIndexToPhysicalPoint((2, 4, 1)), position, atol=1e-4)
    assert np.array_equal(read_mask(back, scan), scan.pixels[..., 0] > 0)


def test_hand_worked_ras(tmp_path):
    """RAS stores right-to-left reversed: x grows to the right, y to the front, z to the head."""
    array = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    volume(tmp_path / "a.nii", array, "RAS", spacing=(1.0, 2.0, 3.0))
    code = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(
        sitk.ReadImage(str(tmp_path / "a.nii")).GetDirection()
    )
    assert code == "RAS"
    scan = read_scan(tmp_path / "a.nii")
    assert np.array_equal(scan.pixels[..., 0], array[:, ::-1, ::-1])


@pytest.mark.parametrize("code", ["LPS", "PIR", "RSA"])
@pytest.mark.parametrize("degrees", [(20, 35), (45, 0), (45, 45), (-44.9999, 10)])
def test_oblique_volumes_overlay_their_source(tmp_path, code, degrees):
    direction = rotation(*degrees) @ np.reshape(direction_of(code), (3, 3))
    path = tmp_path / "a.nii.gz"
    volume(
        path,
        noise(4, 5, 6, dtype=np.int16),
        spacing=(0.9, 1.1, 3.0),
        origin=(-71.3, 12.7, 103.9),
        direction=direction.ravel().tolist(),
    )
    source, scan = sitk.ReadImage(str(path)), read_scan(path)
    tumour = scan.pixels[..., 0] > 125
    for suffix in VOLUME_SUFFIXES:
        mask = sitk.ReadImage(str(write_mask(tumour, scan, tmp_path / f"m{suffix}")))
        assert mask.GetSize() == source.GetSize() and mask.GetPixelID() == sitk.sitkUInt8
        for name in ("GetOrigin", "GetSpacing", "GetDirection"):
            assert getattr(mask, name)() == pytest.approx(getattr(source, name)(), abs=1e-4)
        assert np.array_equal(sitk.GetArrayFromImage(mask), sitk.GetArrayFromImage(source) > 125)


def test_flat_medical_image(tmp_path):
    image = sitk.GetImageFromArray(noise(4, 6))
    image.SetSpacing((0.5, 0.25))
    image.SetOrigin((3.0, -2.0))
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    scan = read_scan(tmp_path / "a.mha")
    assert scan.pixels.shape == (1, 4, 6, 1) and scan.spacing_mm[1:] == (0.25, 0.5)
    mask = sitk.ReadImage(str(write_mask(scan.pixels[..., 0] > 99, scan, tmp_path / "m.mha")))
    assert mask.GetSize() == (6, 4) and mask.GetSpacing() == (0.5, 0.25)
    assert mask.GetOrigin() == (3.0, -2.0)


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".nrrd"])
def test_vector_volumes_have_channels(tmp_path, suffix):
    array = noise(3, 4, 5, 3)
    volume(tmp_path / f"a{suffix}", array, "RAS", vector=True)
    scan = read_scan(tmp_path / f"a{suffix}")
    assert np.array_equal(scan.pixels, array[:, ::-1, ::-1])


@pytest.mark.parametrize("count, channels", [(1, 1), (3, 3), (4, 3)])
def test_4d_nifti_with_few_volumes_has_channels(tmp_path, count, channels):
    array = noise(count, 3, 4, 5)
    path = tmp_path / "a.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=False), str(path))
    scan = read_scan(path)
    assert np.array_equal(scan.pixels, np.moveaxis(array, 0, -1)[..., :channels])
    mask = sitk.ReadImage(str(write_mask(scan.pixels[..., 0] > 9, scan, tmp_path / "m.nii.gz")))
    assert mask.GetSize() == (5, 4, 3)


def test_time_series_are_refused(tmp_path):
    path = tmp_path / "a.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(noise(6, 3, 4, 5), isVector=False), str(path))
    refused(path, "time series", "single time point")


def test_nifti_slope_is_applied(tmp_path):
    path = tmp_path / "a.nii"
    volume(path, noise(3, 4, 5, dtype=np.int16))
    data = bytearray(path.read_bytes())
    data[112:120] = struct.pack("<ff", 0.5, -3.0)
    path.write_bytes(data)
    assert np.allclose(read_scan(path).pixels[..., 0], noise(3, 4, 5) * 0.5 - 3)


def test_content_decides_under_a_foreign_suffix(tmp_path):
    array = noise(3, 4, 5)
    for suffix in (".nii", ".nii.gz", ".mha", ".nrrd"):
        volume(tmp_path / f"a{suffix}", array)
        odd = tmp_path / f"odd{suffix[1:].replace('.', '')}.png"
        odd.write_bytes((tmp_path / f"a{suffix}").read_bytes())
        assert np.array_equal(read_scan(odd).pixels[..., 0], array)
    Image.fromarray(array[0]).save(tmp_path / "b.png")
    (tmp_path / "b.nii.gz").write_bytes((tmp_path / "b.png").read_bytes())
    assert read_scan(tmp_path / "b.nii.gz").format == "png"


# ---------------------------------------------------------------- DICOM, folders, archives


def test_dicom_series_is_ordered_by_position(tmp_path):
    array = noise(4, 5, 6, dtype=np.int16, low=-50)
    folder = dicom_series(tmp_path / "s", array, names=["d.dcm", "a.dcm", "c.dcm", "b.dcm"])
    scan = read_scan(folder)
    assert np.array_equal(scan.pixels[..., 0], array)
    assert scan.spacing_mm == pytest.approx((3.0, 0.75, 0.5))
    assert (scan.source, scan.format, mask_suffix(scan)) == ("s", "dicom", ".nii.gz")
    mask = sitk.ReadImage(str(write_mask(array > 9, scan, tmp_path / "m.nii.gz")))
    assert np.array_equal(sitk.GetArrayFromImage(mask), array > 9)
    assert mask.GetSpacing() == pytest.approx((0.5, 0.75, 3.0))


def test_single_dicom_file_of_any_name(tmp_path):
    array = noise(1, 5, 6, dtype=np.uint16)
    dicom_series(tmp_path / "s", array, names=["IM0001"])
    scan = read_scan(tmp_path / "s" / "IM0001")
    assert np.array_equal(scan.pixels[..., 0], array) and scan.spacing_mm[0] == 3.0


def test_single_sagittal_slice_keeps_its_plane(tmp_path):
    array = noise(1, 5, 6, dtype=np.uint16)
    folder = dicom_series(
        tmp_path / "s", array, rows_columns=(0, 1, 0, 0, 0, -1), normal=(-1, 0, 0)
    )
    scan = read_scan(folder)
    assert np.array_equal(scan.pixels[..., 0], array)
    mask = sitk.ReadImage(str(write_mask(array > 9, scan, tmp_path / "m.nii.gz")))
    assert np.array_equal(sitk.GetArrayFromImage(mask), array > 9)


def test_dicom_rescale_and_monochrome1(tmp_path):
    array = np.array([[[0, 10], [400, 65535]]], np.uint16)
    folder = dicom_series(tmp_path / "m", array, patch=(b"MONOCHROME2 ", b"MONOCHROME1 "))
    assert np.array_equal(read_scan(folder).pixels[..., 0], 65535 - array)
    stored = 2 * (array // 4) - 10.0
    folder = dicom_series(
        tmp_path / "r", stored.astype(np.int32), tags={"0028|1053": "2", "0028|1052": "-10"}
    )
    assert np.array_equal(read_scan(folder).pixels[..., 0], stored)


def test_several_dicom_series_are_listed(tmp_path):
    folder = dicom_series(tmp_path / "s", noise(3, 4, 4, dtype=np.int16), description="T1 ax")
    dicom_series(
        folder, noise(2, 4, 4, dtype=np.int16), uid="1.2.4", description="FLAIR", names=["x1", "x2"]
    )
    refused(folder, "FLAIR (2 slices)", "T1 ax (3 slices)", "one series")


@pytest.mark.parametrize("heights", [[0, 3, 6, 12], [0, 3, 0, 3]])
def test_missing_or_repeated_dicom_slices(tmp_path, heights):
    folder = dicom_series(tmp_path / "s", noise(4, 5, 6, dtype=np.int16), heights=heights)
    refused(folder, "unevenly spaced", "complete series")


def test_folder_of_pictures_in_natural_order(tmp_path):
    folder = tmp_path / "patient"
    folder.mkdir()
    pages = noise(11, 4, 5)
    for number, page in enumerate(pages, start=1):
        Image.fromarray(page).save(folder / f"p_{number}.tif")
        Image.fromarray((page > 100).astype(np.uint8) * 255).save(folder / f"p_{number}_mask.tif")
    (folder / "notes.txt").write_text("not a scan")
    scan = read_scan(folder)
    assert np.array_equal(scan.pixels[..., 0], pages) and mask_suffix(scan) == ".tif"
    Image.fromarray(noise(3, 3)).save(folder / "p_12.tif")
    refused(folder, "different sizes", "p_12.tif", "(3, 3, 1)")


def test_natural_key():
    names = ["a_10", "a_2", "A_1", "2", "10", "b"]
    assert sorted(names, key=natural_key) == ["2", "10", "A_1", "a_2", "a_10", "b"]


def archive(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in files.items():
            out.writestr(name, data)
    return path


def test_zip_of_a_series_or_of_one_file(tmp_path):
    array = noise(3, 5, 6, dtype=np.int16)
    folder = dicom_series(tmp_path / "s", array)
    files = {f"deep/er/{file.name}": file.read_bytes() for file in folder.iterdir()}
    scan = read_scan(archive(tmp_path / "s.zip", {**files, "__MACOSX/._IM0.dcm": b"x"}))
    assert np.array_equal(scan.pixels[..., 0], array) and scan.source == "s.zip"
    volume(tmp_path / "a.nii.gz", array)
    path = archive(
        tmp_path / "one.zip",
        {"a.nii.gz": (tmp_path / "a.nii.gz").read_bytes(), "license.txt": b"free"},
    )
    scan = read_scan(path)
    assert np.array_equal(scan.pixels[..., 0], array) and scan.source == "one.zip"


def test_zip_is_unpacked_to_a_folder_that_goes_away(tmp_path, monkeypatch):
    monkeypatch.setattr(archives.tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    volume(tmp_path / "a.nii", noise(3, 4, 5))
    read_scan(archive(tmp_path / "a.zip", {"a.nii": (tmp_path / "a.nii").read_bytes()}))
    refused(archive(tmp_path / "b.zip", {"a.txt": b"hello"}), "no scan")
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("name", ["../x.nii", "/etc/x.nii", "a/../../x.nii", "..\\x.nii", "C:x"])
def test_zip_paths_that_leave_the_archive(tmp_path, name):
    refused(archive(tmp_path / "a.zip", {name: b"1"}), "unsafe path", "Pack")


def test_bad_zips(tmp_path, monkeypatch):
    link = zipfile.ZipInfo("link.nii")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    refused(archive(tmp_path / "l.zip", {link: b"/etc/passwd"}), "symbolic link")
    refused(archive(tmp_path / "e.zip", {}), "no scan")
    refused(
        archive(tmp_path / "z.zip", {"b.zip": (tmp_path / "e.zip").read_bytes()}), "within another"
    )
    np.savez(tmp_path / "a.npz", noise(3, 3))
    refused(tmp_path / "a.npz", ".npz", "numpy.save")
    refused(
        archive(tmp_path / "two.zip", {"a.mha": b"ObjectType = Image", "b.mha": b"NDims = 3"}),
        "2 scans",
        "a.mha",
        "Give one",
    )
    big = archive(tmp_path / "bomb.zip", {"a.nii": bytes(10**6)})
    (tmp_path / "cut.zip").write_bytes(big.read_bytes()[:-30])
    refused(tmp_path / "cut.zip", "truncated")
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 10**5)
    refused(big, "unpacks to more", "100,000")
    with pytest.raises(ScanError, match="than it declares"):
        archives._copy(io.BytesIO(bytes(20)), tmp_path / "out", 10, "a.zip")


# ---------------------------------------------------------------- bad input


def test_what_is_no_scan(tmp_path):
    refused(tmp_path / "none.png", "does not exist", "Check the path")
    for name, content, words in [
        ("a.png", b"hello", "plain text"),
        ("b.nii.gz", b"", "empty (0 bytes)"),
        ("c.png", bytes(range(9, 60)), "unknown data"),
        ("d.nii.gz", gzip.compress(b"hello"), "gzip data that is not NIfTI"),
        ("e.dcm", b"<html>", "plain text"),
    ]:
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, words, "expected PNG", "Give the scan itself")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "no scan among its 0 files", "Give the folder")


@pytest.mark.parametrize("share", [0.2, 0.6, 0.99])
def test_truncated_files(tmp_path, share):
    array = noise(30, 40, 3)
    for suffix in (".png", ".jpg", ".tif", ".bmp", ".webp"):
        Image.fromarray(array).save(tmp_path / f"p{suffix}")
    for suffix in (".png", ".tif"):
        cv2.imwrite(str(tmp_path / f"deep{suffix}"), array.astype(np.uint16) * 200)
    cv2.imwritemulti(str(tmp_path / "pages.tif"), list(noise(6, 30, 40, dtype=np.uint16)))
    np.save(tmp_path / "a.npy", array)
    for suffix in VOLUME_SUFFIXES:
        volume(tmp_path / f"v{suffix}", noise(8, 9, 10, dtype=np.int16))
    dicom_series(tmp_path, noise(1, 30, 40, dtype=np.int16), names=["s.dcm"])
    for file in sorted(tmp_path.iterdir()):
        whole = file.read_bytes()
        assert read_scan(file).pixels.size
        file.write_bytes(whole[: int(len(whole) * share)])
        refused(file)


def test_gzip_cut_in_its_checksum(tmp_path):
    volume(tmp_path / "a.nii.gz", noise(3, 4, 5))
    whole = (tmp_path / "a.nii.gz").read_bytes()
    (tmp_path / "a.nii.gz").write_bytes(whole[:-3])
    refused(tmp_path / "a.nii.gz", "truncated")
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(gzip.decompress(whole)[:-7]))
    refused(tmp_path / "b.nii.gz", "truncated", "of 412 bytes")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_finite(tmp_path, value):
    array = np.ones((3, 4, 5), np.float32)
    array[1, 2, 3] = array[0, 0, 0] = value
    np.save(tmp_path / "a.npy", array)
    volume(tmp_path / "a.nii.gz", array)
    for name in ("a.npy", "a.nii.gz"):
        refused(tmp_path / name, "2 values", "NaN or infinite", "Replace")


def test_arrays_that_are_no_scans(tmp_path):
    for number, (array, words) in enumerate(
        [
            (np.ones((3, 4), complex), "complex128"),
            (np.array([{}, 1], object), "Python objects"),
            (np.zeros((0, 4, 4)), "no pixels"),
            (np.ones(5), "shape (5,)"),
            (np.ones((2, 3, 4, 7)), "7 channels"),
            (np.ones((1, 1, 2, 2, 1)), "expected (height"),
            (np.array([["a"]]), "<U1"),
        ]
    ):
        path = tmp_path / f"{number}.npy"
        np.save(path, array, allow_pickle=True)
        refused(path, words)
    volume(tmp_path / "c.nii", np.ones((3, 4, 5), np.complex64))
    refused(tmp_path / "c.nii", "complex", "magnitude")


def test_constant_images_are_allowed(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    assert not read_scan(tmp_path / "a.png").pixels.any()


def test_size_is_refused_before_decoding(tmp_path, monkeypatch):
    monkeypatch.setattr(scan_module, "MAX_PIXELS", 100)
    Image.fromarray(noise(20, 20)).save(tmp_path / "a.png")
    Image.fromarray(noise(20, 20)).save(tmp_path / "a.jpg")
    cv2.imwritemulti(str(tmp_path / "a.tif"), [noise(9, 9)] * 2)
    np.save(tmp_path / "a.npy", noise(20, 20))
    for suffix in VOLUME_SUFFIXES:
        volume(tmp_path / f"a{suffix}", noise(5, 5, 5))
    dicom_series(tmp_path / "s", noise(3, 6, 6, dtype=np.int16))
    for module, name in [
        (pictures, "_pillow_array"),
        (pictures, "_opencv_frames"),
        (volumes, "read_series"),
        (volumes, "to_patient_axes"),
    ]:
        monkeypatch.setattr(module, name, lambda *_: pytest.fail("decoded"))
    for path in tmp_path.iterdir():
        refused(path, "more than the 100", "Crop")


def test_header_that_states_a_huge_picture(tmp_path, recwarn):
    Image.new("L", (10, 10)).save(tmp_path / "a.png")
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[16:24] = struct.pack(">II", 30000, 30000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    (tmp_path / "a.png").write_bytes(data)
    refused(tmp_path / "a.png", "178,956,970 pixels", "Crop")
    assert not len(recwarn)


def test_headers_naming_other_files(tmp_path):
    """A visitor's header must not pull in another file of the machine."""
    secret = tmp_path / "secret.raw"
    secret.write_bytes(bytes(60))
    head = "ObjectType = Image\nNDims = 3\nDimSize = 5 4 3\nElementType = MET_UCHAR\n"
    (tmp_path / "a.mha").write_text(f"{head}ElementDataFile = {secret}\n")
    (tmp_path / "a.nrrd").write_text(
        f"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 5 4 3\nencoding: raw\ndata file: {secret}\n\n"
    )
    sitk.WriteImage(sitk.GetImageFromArray(noise(3, 4, 5)), str(tmp_path / "b.hdr"))
    for name in ("a.mha", "a.nrrd", "b.hdr"):
        refused(tmp_path / name, "another file", "Save it as one file")


def test_sheared_nifti(tmp_path):
    path = tmp_path / "a.nii"
    volume(path, noise(3, 4, 5))
    data = bytearray(path.read_bytes())
    data[252:256] = struct.pack("<hh", 0, 1)  # only the sform counts
    data[280:328] = struct.pack("<12f", 1, 0.5, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)
    path.write_bytes(data)
    refused(path, "sheared", "Resample")


# ---------------------------------------------------------------- sequences


def test_sequences_without_geometry(tmp_path):
    for name, value in {"flair": 10, "t1": 20, "t1c": 30}.items():
        Image.new("L", (5, 4), value).save(tmp_path / f"{name}.png")
    flair, t1, t1c = (tmp_path / f"{name}.png" for name in ("flair", "t1", "t1c"))
    for given, expected in [
        ({"flair": flair, "t1": t1, "t1c": t1c}, [20, 10, 30]),
        ({"flair": flair}, [10, 10, 10]),
        ({"flair": flair, "t1c": t1c}, [10, 10, 30]),
        ({"t1": t1, "t1c": t1c}, [20, 20, 30]),
        ({"t1c": t1c}, [30, 30, 30]),
    ]:
        scan = read_sequences(**given)
        assert scan.pixels.shape == (1, 4, 5, 3) and scan.pixels.dtype == np.uint8
        assert scan.pixels[0, 0, 0].tolist() == expected
    with pytest.raises(ScanError, match="at least one"):
        read_sequences()
    Image.new("L", (6, 4)).save(t1)
    with pytest.raises(ScanError, match=r"t1.png.*\(1, 4, 6\).*flair.png.*\(1, 4, 5\)"):
        read_sequences(flair=flair, t1=t1)
    Image.new("RGB", (5, 4), (1, 2, 3)).save(t1)
    with pytest.raises(ScanError, match=r"t1\.png has 3 different channels"):
        read_sequences(flair=flair, t1=t1)


def test_sequences_are_resampled_onto_flair(tmp_path):
    """T1 rises by 1 per mm along each axis; whatever its grid, FLAIR's voxels see their own mm."""
    volume(
        tmp_path / "flair.nii",
        np.zeros((4, 5, 6), np.int16),
        spacing=(1.0, 1.0, 2.0),
        origin=(2.5, 3.0, 1.0),
    )
    z, y, x = np.mgrid[:20, :20, :20] * 1.0
    volume(
        tmp_path / "t1.nii",
        (x + 100 * y + 1000 * z)[:, ::-1, ::-1].astype(np.float32),
        "RAS",
        origin=(19.0, 19.0, 0.0),
    )
    scan = read_sequences(flair=tmp_path / "flair.nii", t1=tmp_path / "t1.nii")
    assert scan.pixels.shape == (4, 5, 6, 3) and scan.spacing_mm == (2.0, 1.0, 1.0)
    k, j, i = np.mgrid[:4, :5, :6]
    expected = (2.5 + i) + 100 * (3 + j) + 1000 * (1 + 2 * k)
    assert np.allclose(scan.pixels[..., 0], expected, rtol=1e-5)
    assert not scan.pixels[..., 1:].any()
    written = write_mask(scan.pixels[..., 1] > 0, scan, tmp_path / "m.nii")
    assert sitk.ReadImage(str(written)).GetSize() == (6, 5, 4)


def test_sequences_far_apart(tmp_path):
    volume(tmp_path / "flair.nii", noise(3, 4, 5))
    volume(tmp_path / "t1.nii", noise(3, 4, 5), origin=(500.0, 0.0, 0.0))
    with pytest.raises(ScanError, match=r"t1\.nii and flair\.nii do not overlap"):
        read_sequences(flair=tmp_path / "flair.nii", t1=tmp_path / "t1.nii")


# ---------------------------------------------------------------- masks


def disc(size=64, radius=12):
    y, x = np.mgrid[:size, :size] - size // 2
    return x**2 + y**2 < radius**2


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".npy", *VOLUME_SUFFIXES])
def test_mask_round_trip(tmp_path, suffix):
    scan = Scan(noise(1, 64, 64, 1), source="a.png", format="png")
    path = write_mask(disc()[None], scan, tmp_path / f"m{suffix}")
    assert path == tmp_path / f"m{suffix}" and np.array_equal(read_mask(path, scan)[0], disc())
    stored = read_scan(path).pixels
    top = 255 if suffix in (".png", ".tif", ".tiff") else 1
    assert stored.dtype == np.uint8 and np.unique(stored).tolist() == [0, top]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_stack_mask_round_trip(tmp_path):
    scan = Scan(noise(3, 8, 8, 1), source="a.tif", format="tiff")
    mask = noise(3, 8, 8) > 125
    for suffix in (".tif", ".npy", ".nii.gz"):
        assert np.array_equal(
            read_mask(write_mask(mask, scan, tmp_path / f"m{suffix}"), scan), mask
        )
    refused(
        tmp_path / "m.png",
        "one slice",
        "has 3",
        "Use .tif",
        read=lambda path: write_mask(mask, scan, path),
    )


def test_pictures_as_masks(tmp_path):
    scan = Scan(noise(1, 64, 64, 1), source="a.png", format="png")
    truth = disc()
    grey = truth.astype(np.uint8)
    for name, picture in {
        "one.png": Image.fromarray(grey),
        "bool.png": Image.fromarray(truth),
        "deep.png": Image.fromarray(grey.astype(np.uint16) * 60000),
        "red.png": Image.fromarray(np.dstack([grey * 200, grey * 0, grey * 0])),
        "none.png": Image.new("L", (64, 64)),
    }.items():
        picture.save(tmp_path / name)
        assert np.array_equal(read_mask(tmp_path / name, scan)[0], truth & (name != "none.png")), (
            name
        )
    for quality in (60, 90):
        Image.fromarray(grey * 255).save(tmp_path / "a.jpg", quality=quality)
        assert (read_mask(tmp_path / "a.jpg", scan)[0] != truth).sum() < 10
    soft = Image.fromarray(grey * 255).resize((256, 256), Image.Resampling.BILINEAR)
    soft.save(tmp_path / "soft.png")
    assert read_mask(tmp_path / "soft.png", Scan(noise(1, 256, 256, 1))).sum() == pytest.approx(
        16 * truth.sum(), rel=0.02
    )
    Image.fromarray(noise(64, 64)).save(tmp_path / "scan.png")
    labels = grey * 255
    labels[30:36, 30:36] = 100
    Image.fromarray(labels).save(tmp_path / "labels.png")
    for name in ("scan.png", "labels.png"):
        refused(
            tmp_path / name,
            "not a mask",
            "grey values",
            "white",
            read=lambda path: read_mask(path, scan),
        )


def test_label_volumes_and_another_size(tmp_path):
    volume(tmp_path / "a.nii", noise(3, 4, 5, dtype=np.int16))
    labels = noise(3, 4, 5, low=-1, high=5, dtype=np.int16)
    volume(tmp_path / "m.nii", labels)
    scan = read_scan(tmp_path / "a.nii")
    mask = read_mask(tmp_path / "m.nii", scan)
    assert mask.dtype == bool and np.array_equal(mask, labels > 0)
    volume(tmp_path / "n.nii", noise(3, 4, 6))
    refused(
        tmp_path / "n.nii",
        "(3, 4, 6)",
        "a.nii",
        "(3, 4, 5)",
        read=lambda path: read_mask(path, scan),
    )


def test_mask_in_another_layout_and_mask_elsewhere(tmp_path):
    volume(tmp_path / "a.nii", noise(5, 5, 5))
    scan = read_scan(tmp_path / "a.nii")
    tumour = noise(5, 5, 5) > 125
    volume(
        tmp_path / "ras.nii", tumour[:, ::-1, ::-1].astype(np.uint8), "RAS", origin=(4.0, 4.0, 0.0)
    )
    assert np.array_equal(read_mask(tmp_path / "ras.nii", scan), tumour)
    volume(tmp_path / "far.nii", tumour.astype(np.uint8), origin=(0.0, 40.0, 0.0))
    refused(
        tmp_path / "far.nii", "40.0 mm away", "Resample", read=lambda path: read_mask(path, scan)
    )


def test_write_mask_refuses(tmp_path):
    scan = Scan(noise(1, 8, 8, 1), source="a.png", format="png")
    for mask, name, words in [
        (np.zeros((1, 8, 9), bool), "m.png", "(1, 8, 9)"),
        (np.zeros((1, 8, 8)), "m.png", "expected bool"),
        (np.zeros((1, 8, 8), bool), "m.jpg", "Use one of"),
        (np.zeros((1, 8, 8), bool), "none/m.png", "Create it first"),
    ]:
        refused(tmp_path / name, words, read=lambda path, mask=mask: write_mask(mask, scan, path))


@pytest.mark.parametrize("suffix", [".png", ".nii.gz", ".npy"])
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, suffix):
    scan = Scan(noise(1, 8, 8, 1), source="a.png", format="png")
    path = tmp_path / f"m{suffix}"
    path.write_bytes(b"old")

    def broken(mask, scan, temporary, suffix):
        temporary.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(masks, "_write", broken)
    refused(
        path, "no space left", read=lambda path: write_mask(np.zeros((1, 8, 8), bool), scan, path)
    )
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


# ---------------------------------------------------------------- the module itself


def test_reading_a_png_stays_light(tmp_path):
    Image.fromarray(noise(4, 4)).save(tmp_path / "a.png")
    code = (
        "import sys; from brainseg.scans.reading import read_scan; read_scan(sys.argv[1]); "
        "print([m for m in ('SimpleITK', 'cv2', 'torch', 'scipy') if m in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.png")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip() == "[]" and out.stderr == ""
