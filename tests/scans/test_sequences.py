"""Sequences of one examination become the channels of one scan."""

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from brainseg.scans.masks import write_mask
from brainseg.scans.notes import noting
from brainseg.scans.scan import ScanError
from brainseg.scans.sequences import read_sequences
from tests.scans.scan_files import noise, volume


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


@pytest.mark.parametrize(("moved", "is_read"), [(2, True), (3, False)])
def test_a_sequence_that_leaves_most_of_the_grid_uncovered(tmp_path, moved, is_read):
    volume(tmp_path / "flair.nii", noise(5, 4, 5))
    volume(tmp_path / "t1.nii", noise(5, 4, 5), origin=(0.0, 0.0, float(moved)))
    if is_read:
        read_sequences(flair=tmp_path / "flair.nii", t1=tmp_path / "t1.nii")
        return
    with pytest.raises(ScanError, match=r"t1\.nii and flair\.nii overlap by 40% only \(up to 3 mm"):
        read_sequences(flair=tmp_path / "flair.nii", t1=tmp_path / "t1.nii")


def test_what_is_resampled_is_said(tmp_path):
    volume(tmp_path / "flair.nii", noise(4, 5, 6))
    for name, more, told in [
        ("near.nii", {"origin": (0.05, 0.0, 0.0)}, None),
        ("moved.nii", {"origin": (0.0, 2.0, 0.0)}, "up to 2 mm away"),
        ("wide.nii", {"spacing": (1.0, 1.0, 1.5)}, "up to 1.5 mm away"),
        ("long.nii", {}, "size (8, 5, 6) and not (4, 5, 6)"),
    ]:
        volume(tmp_path / name, 255 - noise(8 if name == "long.nii" else 4, 5, 6), **more)
        with noting() as notes:
            read_sequences(flair=tmp_path / "flair.nii", t1=tmp_path / name)
        if told is None:
            assert notes == []
            continue
        (said,) = notes
        assert f"{name} lies on another grid than flair.nii ({told})" in said
        assert "resampled" in said and "register" in said
        assert ("40% of which it does not cover" in said) == (name == "moved.nii")
