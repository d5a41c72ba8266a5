"""Classic DICOM series: true values, and slices that are one stack, or the reason why not."""

import numpy as np
import pytest
import SimpleITK as sitk

from brainseg.data.sources import expand
from brainseg.scans.formats import dicom
from brainseg.scans.formats.dicom import files_below
from brainseg.scans.masks import mask_suffix, write_mask
from brainseg.scans.notes import noting
from brainseg.scans.reading import read_scan
from tests.scans.dicom_files import (
    CAPTURE,
    IMPLICIT,
    described,
    dicom_file,
    series,
    slice_file,
)
from tests.scans.scan_files import dicom_series, noise, refused

ARRAY = noise(4, 5, 6, dtype=np.uint16, high=4000)


def read(path):
    with noting() as notes:
        scan = read_scan(path)
    return scan, notes


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


def test_everyday_series_says_nothing(tmp_path):
    scan, notes = read(series(tmp_path / "s", ARRAY))
    assert np.array_equal(scan.pixels[..., 0], ARRAY) and notes == []
    assert scan.spacing_mm == pytest.approx((3.0, 0.75, 0.5))
    assert scan.affine[:3, 3] == pytest.approx((-10, -20, 0))
    scan, notes = read(tmp_path / "s" / "IM2")
    assert np.array_equal(scan.pixels[..., 0], ARRAY[2:3]) and notes == []
    assert scan.affine[:3, 3] == pytest.approx((-10, -20, 6))


def test_each_slice_has_its_own_scale(tmp_path):
    slopes = [1, 0.5, 40, 0.125]
    folder = series(
        tmp_path / "s", ARRAY, each=lambda n: {"slope": slopes[n], "intercept": -1000 * n}
    )
    expected = ARRAY * np.reshape(slopes, (4, 1, 1)) - 1000.0 * np.arange(4).reshape(4, 1, 1)
    scan, _ = read(folder)
    assert np.allclose(scan.pixels[..., 0], expected) and scan.pixels.dtype == np.float32
    # Whole slopes keep whole numbers, which none of the slices' own types would hold.
    folder = series(tmp_path / "i", ARRAY, each=lambda n: {"slope": 30 * n + 1, "intercept": -n})
    expected = ARRAY.astype(int) * (30 * np.arange(4) + 1).reshape(4, 1, 1)
    expected -= np.arange(4).reshape(4, 1, 1)
    assert np.array_equal(read_scan(folder).pixels[..., 0], expected)


def test_how_pixels_are_stored(tmp_path):
    """12 bits of 16 with something else above them; signed slices among unsigned; inverted ones."""
    overlaid = {"stored": 12, "high": 11, "pixels": (ARRAY[0] + 0xF000).tobytes()}
    signed = {"signed": 1, "pixels": (ARRAY[1].astype(np.int16) - 3000).tobytes()}
    inverted = {"photometric": "MONOCHROME1", "pixels": (65535 - ARRAY[2]).tobytes()}
    own = [overlaid, signed, inverted, {"syntax": IMPLICIT}]
    scan, notes = read(series(tmp_path / "s", ARRAY, each=lambda n: own[n]))
    expected = ARRAY.astype(int)
    expected[1] -= 3000
    assert np.array_equal(scan.pixels[..., 0], expected) and notes == []


def test_a_file_without_preamble(tmp_path):
    path = slice_file(tmp_path / "IM1", ARRAY[0])
    path.write_bytes(path.read_bytes()[132:])
    assert np.array_equal(read_scan(path).pixels[0, ..., 0], ARRAY[0])


def test_several_volumes_in_one_series(tmp_path):
    twice = np.concatenate([ARRAY, ARRAY + 1])
    for name, values, words in [
        ("echo", {"echo_time": (85, 12)}, "echo time (12, 85 ms)"),
        ("b", {"b_value": (0.0, 1000.0)}, "b-value (0, 1000 s/mm²)"),
        ("acq", {"acquisition_number": (1, 2)}, "acquisition number (1, 2)"),
        ("time", {"time_point": (1, 2)}, "time point (1, 2)"),
        ("type", {"image_type": ("ORIGINAL\\M", "ORIGINAL\\P")}, "(ORIGINAL/M, ORIGINAL/P)"),
        ("none", {}, "headers don't tell them apart"),
    ]:
        folder = series(
            tmp_path / name,
            twice,
            each=lambda n, values=values: {
                "height": n % 4 * 3.0,
                **{key: pair[n // 4] for key, pair in values.items()},
            },
        )
        assert "Doe" not in refused(folder, "up to 2 of its 8", words, "one slice at each place")


def test_a_file_given_twice_is_read_once(tmp_path):
    folder = series(tmp_path / "s", ARRAY)
    (folder / "IM1 (1)").write_bytes((folder / "IM1").read_bytes())
    scan, (told,) = read(folder)
    assert np.array_equal(scan.pixels[..., 0], ARRAY)
    assert "s: 1 file repeats another slice exactly, such as IM1 (1)" in told
    # Slices without positions may be equal, as the empty ones above the head are.
    blank = series(tmp_path / "b", ARRAY * 0, position=None)
    assert len(read(blank)[0].pixels) == 4


def test_slices_of_another_size_or_orientation(tmp_path):
    folder = series(tmp_path / "s", ARRAY)
    slice_file(folder / "odd", noise(9, 8, dtype=np.uint16), 12)
    refused(folder, "sizes", "4 of 6 x 5", "odd is one of 8 x 9", "one scan only")
    planes = [(1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1)]
    folder = series(tmp_path / "scout", ARRAY[:3], each=lambda n: {"orientation": planes[n]})
    refused(folder, "3 orientations", "localizer")
    folder = series(tmp_path / "p", ARRAY, each=lambda n: {"pixel_spacing": (1, 1 + n // 3)})
    refused(folder, "different pixel sizes", "1 x 2")


@pytest.mark.parametrize("uid", ["1.2.3", "1.2.4"])
def test_a_capture_among_the_slices_is_left_out(tmp_path, uid):
    folder = series(tmp_path / "s", ARRAY)
    slice_file(folder / "shot", noise(9, 8, 3), sop_class=CAPTURE, position=None, series=uid)
    scan, (told,) = read(folder)
    assert np.array_equal(scan.pixels[..., 0], ARRAY)
    assert "s also holds" in told and "secondary capture of 8 x 9 pixels, shot" in told


def test_captures_are_told(tmp_path):
    bare = {"position": None, "orientation": None, "pixel_spacing": None, "thickness": None}
    grey = np.repeat(noise(9, 8, 1), 3, axis=2)
    path = slice_file(tmp_path / "grey", grey, sop_class=CAPTURE, **bare)
    scan, notes = read(path)
    assert np.array_equal(scan.pixels[0], grey)
    assert len(notes) == 3 and "grey is a secondary capture" in notes[0]
    assert "grey states no pixel size: 1 mm was assumed" in notes[1]
    path = slice_file(tmp_path / "rgb", noise(9, 8, 3), sop_class=CAPTURE, **bare)
    scan, notes = read(path)
    assert np.array_equal(scan.pixels[0], noise(9, 8, 3))
    assert "rgb is a colour picture" in notes[2] and scan.affine is None


def test_slices_without_positions(tmp_path):
    folder = series(
        tmp_path / "s", ARRAY, position=None, each=lambda n: {"instance_number": 10 - n, "gap": 4}
    )
    scan, (told, lies) = read(folder)
    assert scan.affine is None and "does not state how it lies" in lies
    assert np.array_equal(scan.pixels[..., 0], ARRAY[::-1])
    assert scan.spacing_mm == pytest.approx((4.0, 0.75, 0.5))
    assert "states no positions" in told and "stacked by number, 4 mm apart" in told
    folder = series(tmp_path / "some", ARRAY, each=lambda n: {"position": None} if n == 2 else {})
    refused(folder, "1 of 4 slices", "no position", "IM2")


def test_uneven_and_sheared_stacks(tmp_path):
    nearly = series(tmp_path / "n", ARRAY, each=lambda n: {"height": n * 3 + 0.1 * (n == 1)})
    assert read(nearly)[0].spacing_mm[0] == pytest.approx(3.0)
    missing = series(tmp_path / "m", ARRAY, each=lambda n: {"height": (0, 3, 9, 12)[n]})
    refused(missing, "unevenly spaced", "steps of 3 to 6 mm", "complete series")
    gantry = series(tmp_path / "g", ARRAY, each=lambda n: {"position": (-10, n * 1.0, n * 3.0)})
    refused(gantry, "sheared", "sideways by up to 3 mm", "tilted gantry", "Resample")
    rounded = series(tmp_path / "r", ARRAY, each=lambda n: {"position": (0, 0.05 * n, n * 3.0)})
    assert len(read(rounded)[0].pixels) == 4


def test_other_modalities_are_noted(tmp_path):
    _, (told,) = read(series(tmp_path / "s", ARRAY, modality="CT"))
    assert "s is a CT scan (modality CT)" in told and "MRI only" in told


def test_series_in_folders_below(tmp_path):
    folder = series(tmp_path / "cd" / "IMAGES" / "A", ARRAY).parents[1]
    (folder / "readme.txt").write_text("a viewer")
    assert np.array_equal(read(folder)[0].pixels[..., 0], ARRAY)
    assert [source.path for source in expand([folder])] == [folder / "IMAGES" / "A"]
    series(folder / "IMAGES" / "B", ARRAY, series="1.2.9", description="FLAIR")
    refused(folder, "2 DICOM series", "FLAIR (4 slices in B); T1 (4 slices in A)")
    series(tmp_path / "many", ARRAY[:1].repeat(20, axis=0), each=lambda n: {"series": f"1.{n}"})
    assert len(refused(tmp_path / "many", "20 DICOM series", "T1 (1 slice)", "; ...")) < 500


def test_folders_with_too_much_below(tmp_path, monkeypatch):
    series(tmp_path / "a" / "b", ARRAY)
    (tmp_path / "a" / "c").mkdir()
    (tmp_path / "a" / "b" / "x.nii.gz").write_bytes(b"\x1f\x8b damaged")
    assert len(files_below(tmp_path / "a")) == 4
    monkeypatch.setattr(dicom, "_MAX_FILES", 3)
    refused(tmp_path / "a", "no scan itself", "more than 3 files", "one series")


def test_a_damaged_slice_is_named(tmp_path):
    folder = series(tmp_path / "s", ARRAY)
    whole = (folder / "IM3").read_bytes()
    for share in (0.3, 0.99):
        (folder / "IM3").write_bytes(whole[: int(len(whole) * share)])
        refused(folder, "s/IM3", "truncated", "export it again")


def test_of_slices_without_positions_locations_tell_the_step_and_what_is_missing(tmp_path):
    apart = series(tmp_path / "s", ARRAY, position=None, each=lambda n: {"location": 6.0 * n})
    scan, (told, _) = read(apart)
    assert scan.spacing_mm[0] == 6 and "by slice location, 6 mm apart" in told
    assert "missing" not in told
    numbers = (1, 2, 3, 7)
    gap = series(
        tmp_path / "g", ARRAY, position=None, each=lambda n: {"instance_number": numbers[n]}
    )
    _, (told, _) = read(gap)
    assert "stacked by number" in told and "slices may be missing" in told
    many = np.concatenate([ARRAY] * 3)
    plain = series(tmp_path / "p", many, position=None, instance_number=None)
    scan, _ = read(plain)
    assert np.array_equal(scan.pixels[..., 0], many)  # IM2 before IM10


def test_fewer_pixels_than_stated_are_refused_and_never_made_up(tmp_path):
    whole = described(ARRAY[0])
    short = dicom_file(tmp_path / "short", {**whole, "pixels": ARRAY[0].tobytes()[:20]})
    refused(short, "20 bytes of pixels", "truncated")
    tall = dicom_file(tmp_path / "tall", {**whole, "rows": 2 * ARRAY.shape[1]})
    refused(tall, "bytes of pixels where its header states")
    frames = {"frame_count": len(ARRAY) + 1, "pixels": ARRAY.tobytes()}
    refused(dicom_file(tmp_path / "frames", {**whole, **frames}), "truncated")


def test_values_in_the_upper_bits_are_refused(tmp_path):
    upper = described(ARRAY[0], stored=12, high=15)
    refused(dicom_file(tmp_path / "a", upper), "bits 4 to 15", "the lowest 12")
