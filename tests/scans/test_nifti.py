"""NIfTI: where its header places the voxels, which values they have, and masks that overlay."""

import gzip

import numpy as np
import pytest
import SimpleITK as sitk

from brainseg.scans.masks import read_mask, write_mask
from brainseg.scans.notes import noting
from brainseg.scans.reading import read_scan
from brainseg.scans.sequences import read_sequences
from tests.scans.nifti_files import forms, nifti
from tests.scans.scan_files import noise, refused

VALUES = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
RAS = np.eye(4)[:3]
LPS = np.array([[-1.0, 0, 0, 0], [0, -1, 0, 0], [0, 0, 1, 0]])
SHIFTED = (0, 0, 0, 20.0, 0, 0)


def read(path):
    with noting() as notes:
        return read_scan(path), notes


def marked(shape=(5, 6, 7), at=(1, 4, 2)):
    array = np.zeros(shape, np.int16)
    array[at] = 9
    return array


def stored(path):
    """The voxels of a mask as its file has them."""
    data = path.read_bytes()
    data = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    columns, rows, slices = np.frombuffer(data, "<i2", 3, 42)
    return np.frombuffer(data, np.uint8, offset=352).reshape(slices, rows, columns)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("qfac", [1.0, -1.0])
def test_a_quaternion_is_what_the_nifti_library_makes_of_it(tmp_path, seed, qfac):
    random = np.random.default_rng(seed)
    _, b, c, d = (q := random.normal(size=4)) / np.linalg.norm(q) * np.sign(q[0])
    place = (b, c, d, *random.normal(0, 50, 3))
    path = nifti(tmp_path / "a.nii", marked(), qform=place, qfac=qfac, pixdim=(1.0, 1.25, 3.0))
    (z, y, x, _), scan = np.argwhere(read_scan(path).pixels)[0], read_scan(path)
    expected = sitk.ReadImage(str(path)).TransformIndexToPhysicalPoint((2, 4, 1))
    np.testing.assert_allclose((scan.affine @ (x, y, z, 1))[:3], expected, atol=1e-4)
    assert sorted(scan.spacing_mm) == pytest.approx([1.0, 1.25, 3.0])


def test_forms_that_agree_are_taken_without_a_word(tmp_path):
    path = nifti(tmp_path / "a.nii", VALUES, sform=RAS, qform=(0,) * 6)
    scan, notes = read(path)
    assert not notes and np.array_equal(scan.pixels[..., 0], VALUES[:, ::-1, ::-1])
    assert scan.affine[:3].tolist() == [[1, 0, 0, -3], [0, 1, 0, -2], [0, 0, 1, 0]]


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_forms_that_differ_the_sform_is_taken_and_both_are_kept(tmp_path, suffix):
    path = nifti(tmp_path / f"a{suffix}", marked(), sform=RAS, qform=SHIFTED)
    scan, (said,) = read(path)
    assert "up to 20.0 mm apart" in said and "its sform is taken" in said
    assert (scan.affine @ (4, 1, 1, 1)).tolist() == [-2, -4, 1, 1]  # of voxel (2, 4, 1)
    written = write_mask(scan.pixels[..., 0] > 0, scan, tmp_path / f"m{suffix}")
    assert np.argwhere(stored(written)).tolist() == [[1, 4, 2]]
    for key, value in forms(path).items():
        assert np.array_equal(forms(written)[key], value), key
    assert np.array_equal(read_mask(written, scan), scan.pixels[..., 0] > 0)


@pytest.mark.parametrize("mine", [{"sform": RAS}, {"qform": SHIFTED}, {"qform": (0,) * 6}])
def test_a_mask_with_one_of_the_two_forms_fits(tmp_path, mine):
    scan = read_scan(nifti(tmp_path / "a.nii", marked(), sform=RAS, qform=SHIFTED))
    mask = nifti(tmp_path / "m.nii", marked().astype(np.uint8), **mine)
    assert np.array_equal(read_mask(mask, scan), scan.pixels[..., 0] > 0)
    far = nifti(tmp_path / "f.nii", marked(), qform=(0, 0, 0, -7.0, 0, 0))
    refused(far, "7.0 mm away", read=lambda path: read_mask(path, scan))


@pytest.mark.parametrize("mine", [{"sform": RAS}, {"qform": SHIFTED}])
def test_a_sequence_with_one_of_the_two_forms_is_not_resampled(tmp_path, mine):
    flair = nifti(tmp_path / "flair.nii", VALUES, sform=RAS, qform=SHIFTED)
    with noting() as notes:
        scan = read_sequences(flair=flair, t1=nifti(tmp_path / "t1.nii", VALUES, **mine))
    assert scan.pixels.dtype == np.int16 and not any("resampled" in text for text in notes)
    assert np.array_equal(scan.pixels[..., 0], scan.pixels[..., 1])


def test_a_sheared_sform_gives_way_to_a_sound_qform(tmp_path):
    sform = [[1, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
    array = noise(20, 20, 20)
    scan, (said,) = read(nifti(tmp_path / "a.nii", array, sform=sform, qform=(0,) * 6))
    assert "its qform is taken" in said and "no right angles" in said
    assert np.array_equal(scan.pixels[..., 0], array[:, ::-1, ::-1])


def test_a_slight_lean_is_straightened_and_said(tmp_path):
    array, sform = noise(20, 40, 60), RAS.copy()
    sform[0, 1] = 0.005  # shared by both axes: 29.5 columns from the middle, 0.0025 each
    path = nifti(tmp_path / "a.nii.gz", array, sform=sform)
    scan, (said,) = read(path)
    assert "not quite at right angles" in said and "0.074 of its size" in said
    assert np.array_equal(scan.pixels[..., 0], array[:, ::-1, ::-1])
    np.testing.assert_allclose(scan.affine[:3, :3].T @ scan.affine[:3, :3], np.eye(3), atol=1e-4)
    centre = scan.affine @ (29.5, 19.5, 9.5, 1)
    np.testing.assert_allclose(centre[:3], [-29.5 - 19.5 * 0.005, -19.5, 9.5], atol=1e-5)
    written = write_mask(scan.pixels[..., 0] > 99, scan, tmp_path / "m.nii.gz")
    assert np.array_equal(forms(written)["sform"], forms(path)["sform"])
    assert np.array_equal(stored(written), array > 99)
    assert np.array_equal(read_mask(written, scan), scan.pixels[..., 0] > 99)


@pytest.mark.parametrize("lean, is_read", [(0.04, True), (0.2, False)])
def test_a_lean_of_half_a_voxel_is_refused(tmp_path, lean, is_read):
    path = nifti(tmp_path / "a.nii", noise(20, 20, 20), sform=RAS + np.eye(4, k=1)[:3] * lean)
    if is_read:
        assert "right angles" in read(path)[1][0]
    else:
        refused(path, "sheared", "Resample")


@pytest.mark.parametrize("more", [{}, {"sform": LPS, "sform_code": 0}, {"pixdim": (1, 2, 3)}])
def test_no_form_is_voxel_for_voxel(tmp_path, more):
    scan, (said,) = read(nifti(tmp_path / "a.nii", VALUES, **more))
    assert "does not state how it lies" in said and "from the patient's right to the left" in said
    assert np.array_equal(scan.pixels[..., 0], VALUES) and scan.affine is None
    assert scan.spacing_mm == tuple(more.get("pixdim", (1, 1, 1)))[::-1]
    written = write_mask(scan.pixels[..., 0] > 7, scan, tmp_path / "m.nii")
    assert forms(written)["codes"] == (0, 0) and np.array_equal(stored(written), VALUES > 7)


def test_the_identity_as_place_is_taken_and_told(tmp_path):
    scan, (said,) = read(nifti(tmp_path / "a.nii", VALUES, sform=RAS, sform_code=2))
    assert "a.nii states the identity" in said and "left to the right" in said
    assert np.array_equal(scan.pixels[..., 0], VALUES[:, ::-1, ::-1])
    assert read(nifti(tmp_path / "b.nii", VALUES, sform=LPS, sform_code=2))[1] == []


def test_a_place_that_another_file_tells_is_not_assumed_too(tmp_path):
    placed = nifti(tmp_path / "placed.nii", noise(3, 4, 5), sform=RAS)
    bare = nifti(tmp_path / "bare.nii", (noise(3, 4, 5) > 200).astype(np.uint8))
    scan = read_scan(placed)
    for use in (lambda: read_mask(bare, scan), lambda: read_sequences(flair=placed, t1=bare)):
        with noting() as notes:
            use()
        assert sum("does not state how it lies" in text for text in notes) == 1
        assert not any("axes are taken to run" in text for text in notes)
    with noting() as notes:
        read_sequences(flair=bare)
    assert sum("axes are taken to run" in text for text in notes) == 1


@pytest.mark.parametrize("sform", [RAS, LPS, [[0, 0, 1, 0], [1, 0, 0, 5], [0, -1, 0, 9]]])
@pytest.mark.parametrize("is_mask", [True, False])
def test_a_file_without_forms_lies_voxel_for_voxel_on_one_with(tmp_path, sform, is_mask):
    """However the one with a place is turned in reading, stored voxels stay together."""
    values = noise(3, 4, 5)
    mask = (values > 200).astype(np.uint8)
    placed = nifti(tmp_path / "placed.nii", values if is_mask else mask, sform=sform)
    bare = nifti(tmp_path / "bare.nii", mask if is_mask else values)
    first, second = (placed, bare) if is_mask else (bare, placed)
    scan = read_scan(first)
    with noting() as notes:
        mask = read_mask(second, scan)
    assert "bare.nii does not state" in notes[-1] and "voxel for voxel on placed.nii" in notes[-1]
    assert np.array_equal(mask, scan.pixels[..., 0] > 200)
    with noting():
        both = read_sequences(flair=first, t1=second)
    assert np.array_equal(both.pixels[..., 0] > 0, both.pixels[..., 1] > 200)


OBLIQUE = [[-0.9, 0, 0, 30], [0, -1.1, 0, 40], [0, 0.1, 3, -20]]


@pytest.mark.parametrize("sform", [LPS, OBLIQUE, [[0, 0, 1, 0], [1, 0, 0, 5], [0, -1, 0, 9]]])
@pytest.mark.parametrize("is_first", [True, False])
def test_the_identity_lies_voxel_for_voxel_on_a_file_with_a_place(tmp_path, sform, is_first):
    """As scripts leave it that save with numpy.eye(4) what they read from a file with a place."""
    values = noise(3, 4, 5)
    mask = (values > 200).astype(np.uint8)
    scan = nifti(tmp_path / "scan.nii", values, sform=RAS if is_first else sform,
                 sform_code=2 if is_first else 1)  # fmt: skip
    drawn = nifti(tmp_path / "drawn.nii", mask, sform=sform if is_first else RAS,
                  sform_code=1 if is_first else 2)  # fmt: skip
    with noting() as notes:
        read = read_mask(drawn, read_scan(scan))
        both = read_sequences(flair=scan, t1=drawn)
    assert np.array_equal(read, read_scan(scan).pixels[..., 0] > 200)
    assert np.array_equal(both.pixels[..., 0] > 0, both.pixels[..., 1] > 200)
    assert np.array_equal(both.affine, read_scan(scan).affine)
    unknown, known = (scan, drawn) if is_first else (drawn, scan)
    (said,) = (text for text in notes if "voxel for voxel" in text)
    assert f"{unknown.name} states the identity" in said and f"on {known.name}." in said
    assert any("axes are taken to run" in text for text in notes) == is_first


@pytest.mark.parametrize("code", [1, 2])
def test_where_both_have_the_identity_nothing_is_said_of_the_second(tmp_path, code):
    scan = nifti(tmp_path / "scan.nii", noise(3, 4, 5), sform=RAS, sform_code=2)
    drawn = nifti(tmp_path / "drawn.nii", (noise(3, 4, 5) > 200) * np.uint8(1), sform=RAS,
                  sform_code=code)  # fmt: skip
    with noting() as notes:
        read = read_mask(drawn, read_scan(scan))
    assert np.array_equal(read, read_scan(scan).pixels[..., 0] > 200)
    (said,) = notes
    assert "scan.nii states the identity" in said and "axes are taken to run" in said


def test_the_identity_of_another_size_is_told_where_it_is_resampled(tmp_path):
    flair = nifti(tmp_path / "flair.nii", noise(3, 4, 5), sform=[*RAS[:2], [0, 0, 1, 1]])
    t1 = nifti(tmp_path / "t1.nii", noise(4, 4, 5), sform=RAS, sform_code=2)
    with noting() as notes:
        read_sequences(flair=flair, t1=t1)
    assert sum("t1.nii states the identity" in text for text in notes) == 1
    assert any("was resampled" in text for text in notes)


def test_pixel_sizes_of_0_or_below(tmp_path):
    place = {"qform": (0,) * 6}
    for pixdim, expected in (((1, 1, 0), (1, 1, 1)), ((-1, 2, 3), (3, 2, 1))):
        scan, (said,) = read(nifti(tmp_path / "a.nii", VALUES, pixdim=pixdim, **place))
        assert scan.spacing_mm == expected and "are assumed" in said
        assert np.array_equal(scan.pixels[..., 0], VALUES[:, ::-1, ::-1])
    for pixdim in ((1, 1, 0), (-1, 1, 1), (1, 1, np.nan)):
        scan, notes = read(nifti(tmp_path / "a.nii", VALUES, pixdim=pixdim, sform=RAS))
        assert scan.spacing_mm == (1, 1, 1) and not notes
        assert np.array_equal(scan.pixels[..., 0], VALUES[:, ::-1, ::-1])
    scan, _ = read(nifti(tmp_path / "a.nii", VALUES, pixdim=(1, 1, 0)))
    assert scan.spacing_mm is None


def test_pixel_sizes_of_pixdim_and_sform_that_differ(tmp_path):
    scan, (said,) = read(nifti(tmp_path / "a.nii", VALUES, sform=RAS * [[2], [3], [4]]))
    assert scan.spacing_mm == (4, 3, 2) and "1 x 1 x 1 mm" in said and "2 x 3 x 4 mm" in said


@pytest.mark.parametrize("broken", [RAS * 0, RAS * np.nan, RAS * [[1], [1], [0]]])
def test_a_form_that_can_not_be_gives_way(tmp_path, broken):
    scan, (said,) = read(nifti(tmp_path / "a.nii", VALUES, sform=broken, qform=(0,) * 6))
    assert "sform" in said and scan.affine is not None
    assert np.array_equal(scan.pixels[..., 0], VALUES[:, ::-1, ::-1])
    scan, notes = read(nifti(tmp_path / "a.nii", VALUES, sform=broken))
    assert scan.affine is None and len(notes) == 2


@pytest.mark.parametrize("units, sides", [(1, (0.001, 0.002, 0.003)), (3, (1000, 2000, 3000))])
def test_metres_and_microns(tmp_path, units, sides):
    for form in ({"qform": (0,) * 6}, {"sform": RAS * np.reshape(sides, (3, 1))}, {}):
        scan, _ = read(nifti(tmp_path / "a.nii", VALUES, pixdim=sides, units=units, **form))
        assert scan.spacing_mm == pytest.approx((3, 2, 1))
    scan, (said,) = read(nifti(tmp_path / "a.nii", VALUES, sform=RAS, units=units))
    assert scan.spacing_mm == (1, 1, 1) and "mm are assumed" in said


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_every_type_order_and_version(tmp_path, order, version, kind):
    array = (noise(2, 3, 4) + 0.0).astype(kind)
    place = {"sform": RAS * [[1], [2], [3]], "pixdim": (1, 2, 3)}
    path = nifti(tmp_path / "a.nii.gz", array, order=order, version=version, **place)
    scan, notes = read(path)
    assert not notes and scan.pixels.dtype == kind and scan.spacing_mm == (3, 2, 1)
    assert np.array_equal(scan.pixels[..., 0], array[:, ::-1, ::-1])
    written = write_mask(scan.pixels[..., 0] > 99, scan, tmp_path / "m.nii")
    assert np.array_equal(read_mask(written, scan), scan.pixels[..., 0] > 99)
    assert sitk.ReadImage(str(written)).GetSpacing() == (1, 2, 3)


@pytest.mark.parametrize(
    "slope, inter, factor, shift",
    [(0, 0, 1, 0), (0, 5, 1, 0), (np.nan, np.nan, 1, 0), (np.inf, 1, 1, 0), (2, np.nan, 2, 0),
     (2, 3, 2, 3), (1, 5, 1, 5), (-1, 0, -1, 0), (1e-3, -7, 1e-3, -7)],
)  # fmt: skip
def test_slope_and_intercept(tmp_path, slope, inter, factor, shift):
    scan = read_scan(nifti(tmp_path / "a.nii", VALUES, sform=LPS, slope=slope, inter=inter))
    np.testing.assert_allclose(scan.pixels[..., 0], VALUES * factor + shift, rtol=1e-6)
    assert (scan.pixels.dtype == np.int16) == ((factor, shift) == (1, 0))


@pytest.mark.parametrize("dims", [(4, 3, 2, 1), (4, 3, 2, 1, 1), (4, 3, 2, 1, 1, 1, 1)])
def test_axes_of_length_1_are_left_out(tmp_path, dims):
    scan, notes = read(nifti(tmp_path / "a.nii", VALUES, sform=LPS, dims=dims))
    assert not notes and np.array_equal(scan.pixels[..., 0], VALUES)


def test_colours_and_vectors_are_channels(tmp_path):
    colours = noise(2, 3, 4, 3)
    path = nifti(tmp_path / "a.nii", colours, sform=LPS, dims=(4, 3, 2), code=128)
    assert np.array_equal(read_scan(path).pixels, colours)
    vectors = noise(3, 2, 3, 4).astype(np.float32)
    for intent in (0, 1006, 1007, 2003):  # a displacement's signs stay as they are stored, too
        path = nifti(tmp_path / "v.nii", vectors, sform=LPS, dims=(4, 3, 2, 1, 3), intent=intent)
        assert np.array_equal(read_scan(path).pixels, np.moveaxis(vectors, 0, -1))
    refused(nifti(tmp_path / "t.nii", vectors, dims=(4, 3, 2, 3, 3)), "time series")


def test_what_a_nifti_may_not_hold(tmp_path):
    refused(nifti(tmp_path / "a.nii", VALUES.astype("f16"), sform=RAS), "128-bit", "32-bit floats")
    refused(nifti(tmp_path / "b.nii", VALUES, sform=RAS, code=1), "single bits")
    refused(nifti(tmp_path / "c.nii", VALUES, sform=RAS, code=9), "unknown type 9")
    refused(nifti(tmp_path / "d.nii", VALUES, sform=RAS, dims=(4, 3, -2)), "damaged")
    refused(nifti(tmp_path / "e.nii", VALUES, sform=RAS, version=2, dims=(4, 3, 9)), "truncated")
    refused(nifti(tmp_path / "f.nii", VALUES, version=2, magic=b"ni2\0"), "another file")


def test_compressed_under_any_name(tmp_path):
    whole = nifti(tmp_path / "a.nii", VALUES, sform=LPS).read_bytes()
    for name in ("z.nii", "z.img", "z.gz", "z"):
        (tmp_path / name).write_bytes(gzip.compress(whole))
        assert np.array_equal(read_scan(tmp_path / name).pixels[..., 0], VALUES)
    (tmp_path / "b.nii.gz").write_bytes(whole)
    assert np.array_equal(read_scan(tmp_path / "b.nii.gz").pixels[..., 0], VALUES)
    (tmp_path / "c.nii.gz").write_bytes(gzip.compress(gzip.compress(whole)))
    refused(tmp_path / "c.nii.gz", "gzip data within gzip data")


def test_half_of_a_pair(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(VALUES), str(tmp_path / "a.hdr"))
    refused(tmp_path / "a.img", "voxels of a pair (.hdr and .img)")
    analyze = bytearray((tmp_path / "a.hdr").read_bytes())
    analyze[344:348] = bytes(4)
    (tmp_path / "b.hdr").write_bytes(analyze)
    refused(tmp_path / "b.hdr", "header of an Analyze 7.5 pair")


def test_an_axis_that_no_mask_could_have(tmp_path):
    long = np.zeros((1, 1, 40000), np.uint8)
    refused(nifti(tmp_path / "a.nii", long, sform=RAS, version=2), "32,767", "Crop")
