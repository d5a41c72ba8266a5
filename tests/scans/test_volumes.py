"""NIfTI, MHA and NRRD: voxels land where the patient has them, and masks go back there."""

import gzip
import struct

import numpy as np
import pytest
import SimpleITK as sitk

from brainseg.scans.masks import mask_suffix, read_mask, write_mask
from brainseg.scans.notes import noting
from brainseg.scans.reading import read_scan
from brainseg.scans.scan import ScanError
from tests.scans.scan_files import VOLUME_SUFFIXES, direction_of, noise, refused, volume

ORIENTATIONS = ["LPS", "RAS", "LAS", "PIR", "ASL", "SRA", "IPL", "RSP"]


def rotation(degrees_z, degrees_x):
    z, x = np.radians([degrees_z, degrees_x])
    turn_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    return turn_z @ turn_x


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


@pytest.mark.parametrize("count, channels", [(1, 1), (3, 3)])
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


def test_gzip_cut_in_its_checksum(tmp_path):
    volume(tmp_path / "a.nii.gz", noise(3, 4, 5))
    whole = (tmp_path / "a.nii.gz").read_bytes()
    (tmp_path / "a.nii.gz").write_bytes(whole[:-3])
    refused(tmp_path / "a.nii.gz", "truncated")
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(gzip.decompress(whole)[:-7]))
    refused(tmp_path / "b.nii.gz", "truncated", "of 412 bytes")


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


# ---------------------------------------------------------------- headers that are text

ARRAY = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)


def nrrd(path, lines):
    head = "NRRD0005\ntype: short\ndimension: 3\nsizes: 4 3 2\nencoding: raw\nendian: little\n"
    path.write_bytes("\n".join([head[:-1], *lines, "", ""]).encode() + ARRAY.tobytes())
    with noting() as notes:
        return read_scan(path), notes


def test_an_nrrd_header_whose_voxels_are_missing(tmp_path):
    with pytest.raises(ScanError, match="keeps its voxels in another file"):
        nrrd(tmp_path / "a.nhdr", ["data file: a.raw"])


def mha(path, lines):
    head = ["ObjectType = Image", "NDims = 3", "DimSize = 4 3 2", "ElementType = MET_SHORT"]
    text = "\n".join([*head, *lines, "ElementDataFile = LOCAL", ""])
    path.write_bytes(text.encode() + ARRAY.tobytes())
    with noting() as notes:
        return read_scan(path), notes


def test_the_word_for_voxels_in_the_same_file_is_read_in_any_case(tmp_path):
    path = tmp_path / "a.mha"
    mha(path, [])
    path.write_bytes(path.read_bytes().replace(b"LOCAL", b"Local"))
    assert np.array_equal(read_scan(path).pixels[..., 0], ARRAY)


def placed(first):
    affine = np.diag([1.0, 2, 3, 1])
    affine[:3, 3] = first
    return affine


@pytest.mark.parametrize(
    "space, first, flips",
    [
        ("left-posterior-superior", (5, 6, 7), (1, 1)),
        ("LPS", (5, 6, 7), (1, 1)),
        ("right-anterior-superior", (-8, -10, 7), (-1, -1)),
        ("RAS", (-8, -10, 7), (-1, -1)),
        ("left-anterior-superior", (5, -10, 7), (-1, 1)),
    ],
)
def test_spaces_of_nrrd(tmp_path, space, first, flips):
    lines = [f"space: {space}", "space directions: (1,0,0) (0,2,0) (0,0,3)"]
    lines += ["space origin: (5,6,7)", "measurement frame: (0,1,0) (1,0,0) (0,0,1)"]
    scan, notes = nrrd(tmp_path / "a.nrrd", lines)
    assert not notes and scan.spacing_mm == (3, 2, 1)
    assert np.allclose(scan.affine, placed(first))
    assert np.array_equal(scan.pixels[..., 0], ARRAY[:, :: flips[0], :: flips[1]])
    mask = sitk.ReadImage(str(write_mask(scan.pixels[..., 0] > 9, scan, tmp_path / "m.nrrd")))
    assert np.array_equal(sitk.GetArrayFromImage(mask), ARRAY > 9)
    source = sitk.ReadImage(str(tmp_path / "a.nrrd"))
    assert mask.GetOrigin() == source.GetOrigin() and mask.GetDirection() == source.GetDirection()


@pytest.mark.parametrize("lines, spacing_mm", [([], None), (["spacings: 1 2 3"], (3, 2, 1))])
def test_nrrd_without_a_place(tmp_path, lines, spacing_mm):
    scan, (said,) = nrrd(tmp_path / "a.nrrd", lines)
    assert "does not state how it lies" in said
    assert scan.affine is None and scan.spacing_mm == spacing_mm
    assert np.array_equal(scan.pixels[..., 0], ARRAY)
    volume(tmp_path / "m.nii", (ARRAY > 9).astype(np.uint8), "RAS", origin=(50.0, 60.0, 70.0))
    assert np.array_equal(read_mask(tmp_path / "m.nii", scan), ARRAY > 9)


@pytest.mark.parametrize("space", ["scanner-xyz", "3D-left-handed", None])
def test_nrrd_in_no_anatomical_space(tmp_path, space):
    lines = [f"space: {space}" if space else "space dimension: 3"]
    scan, (said,) = nrrd(tmp_path / "a.nrrd", [*lines, "space directions: (1,0,0) (0,2,0) (0,0,3)"])
    assert "does not tell left from right" in said and (space or "no space") in said
    assert scan.affine is not None and np.array_equal(scan.pixels[..., 0], ARRAY)


def test_nrrd_in_metres_and_left_handed(tmp_path):
    lines = ["space: LPS", "space directions: (-.001,0,0) (0,.002,0) (0,0,.003)"]
    scan, _ = nrrd(tmp_path / "a.nrrd", [*lines, 'space units: "m" "m" "m"'])
    assert scan.spacing_mm == pytest.approx((3, 2, 1))
    assert np.array_equal(scan.pixels[..., 0], ARRAY[:, :, ::-1])
    assert scan.affine[0, 3] == pytest.approx(-3)


def test_mha_with_and_without_a_place(tmp_path):
    scan, (said,) = mha(tmp_path / "a.mha", ["ElementSpacing = 1 2 3"])
    assert "does not state how it lies" in said and scan.affine is None
    assert scan.spacing_mm == (3, 2, 1) and np.array_equal(scan.pixels[..., 0], ARRAY)
    assert mha(tmp_path / "b.mha", [])[0].spacing_mm is None
    lines = ["TransformMatrix = -1 0 0 0 1 0 0 0 1", "Offset = 5 6 7"]
    scan, notes = mha(tmp_path / "c.mha", lines)
    assert not notes and scan.spacing_mm == (1, 1, 1) and scan.affine[0, 3] == 2
    assert np.array_equal(scan.pixels[..., 0], ARRAY[:, :, ::-1])
    for line, words in [
        ("ElementSpacing = 1 2 0", "voxel size of 0"),
        ("TransformMatrix = 1 0 0 0 1 0 0 0 0", "axes that fall together"),
    ]:
        refused(tmp_path / "d.mha", words, read=lambda path, line=line: mha(path, [line]))


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_a_lean_in_other_formats(tmp_path, suffix):
    path, array = tmp_path / f"a{suffix}", noise(20, 20, 20)
    for lean in (0.02, 0.3):
        matrix = np.eye(3)
        matrix[0, 1] = lean
        volume(path, array, direction=matrix.ravel().tolist(), origin=(1.0, 2.0, 3.0))
        if lean > 0.1:
            refused(path, "sheared", "Resample")
            continue
        with noting() as notes:
            scan = read_scan(path)
        assert "not quite at right angles" in notes[0]
        assert np.array_equal(scan.pixels[..., 0], array)
        written = write_mask(array > 99, scan, tmp_path / f"m{suffix}")
        mask, source = sitk.ReadImage(str(written)), sitk.ReadImage(str(path))
        assert mask.GetDirection() == pytest.approx(source.GetDirection(), abs=1e-6)
        assert mask.GetOrigin() == pytest.approx(source.GetOrigin())
        assert np.array_equal(sitk.GetArrayFromImage(mask), array > 99)
        read_scan(write_mask(array > 99, scan, tmp_path / "m.nii"))


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "checksum"])
def test_damaged_compressed_voxels_are_refused(tmp_path, suffix, damage):
    path = tmp_path / f"a{suffix}"
    array = noise(6, 30, 40, dtype=np.int16, high=300)
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path), True)
    assert np.array_equal(read_scan(path).pixels[..., 0], array)
    data = bytearray(path.read_bytes())
    if damage == "cut":
        data = data[: -len(data) // 3]
    else:
        data[len(data) // 2 if damage == "flipped" else -6] ^= 0xFF
    path.write_bytes(data)
    refused(path, "damaged")


@pytest.mark.parametrize("line", ["# converted from datafile brain.raw", "source:=data file 1.raw"])
def test_a_comment_on_a_data_file_is_no_detached_header(tmp_path, line):
    path = tmp_path / "a.nrrd"
    array = noise(3, 4, 5)
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    head, _, voxels = path.read_bytes().partition(b"\n\n")
    path.write_bytes(head + b"\n" + line.encode() + b"\n\n" + voxels)
    assert np.array_equal(read_scan(path).pixels[..., 0], array)


def test_a_header_of_blanks_ends(tmp_path):
    """It took hours where the time grew with the square of their number."""
    for name, head in (
        ("a.nrrd", b"NRRD0004\n" + b" " * 100_000 + b"x\n\n"),
        ("a.mha", b"ObjectType = Image\nElementDataFile" + b" " * 100_000 + b"\n" * 100_000),
    ):
        (tmp_path / name).write_bytes(head)
        refused(tmp_path / name)


@pytest.mark.parametrize("line", ["unknown{}: 1", "{}", 'space units: "{}"', 'labels: "{}"'])
def test_a_line_that_would_crash_the_library_is_refused(tmp_path, line):
    path = tmp_path / "a.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(noise(3, 5, 4)), str(path))
    head, voxels = path.read_bytes().split(b"\n\n", 1)
    path.write_bytes(head + b"\n" + line.format("x" * 5000).encode() + b"\n\n" + voxels)
    refused(path, "letters in its header")
    pairs = b"\ncontent: " + b"x" * 5000 + b"\nkey:=" + b"x" * 5000
    path.write_bytes(head + pairs + b"\n# " + b"x" * 5000 + b"\n\n" + voxels)
    assert read_scan(path).pixels.shape == (3, 5, 4, 1)


def test_an_empty_field_of_nrrd_takes_no_other(tmp_path):
    path = tmp_path / "a.nrrd"
    image = sitk.GetImageFromArray(noise(3, 5, 4))
    image.SetSpacing((0.5, 0.75, 3.0))
    sitk.WriteImage(image, str(path))
    head, voxels = path.read_bytes().split(b"\n\n", 1)
    head = head.replace(b"space directions:", b"content: \nspace directions:")
    path.write_bytes(head + b"\n\n" + voxels)
    with noting() as notes:
        scan = read_scan(path)
    assert scan.spacing_mm == pytest.approx((3.0, 0.75, 0.5)) and notes == []


def test_a_packing_that_is_not_read_is_named(tmp_path):
    path = tmp_path / "a.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(noise(3, 4, 5)), str(path))
    path.write_bytes(path.read_bytes().replace(b"encoding: raw", b"encoding: bzip2"))
    refused(path, "bzip2", "gzip")
