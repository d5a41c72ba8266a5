"""All masks of a scan in one file, read by others and by ourselves."""

import gzip

import numpy as np
import pytest
import SimpleITK as sitk

from brainseg.scans.masks import read_mask, write_mask
from brainseg.scans.reading import read_scan
from brainseg.scans.scan import Scan, ScanError
from brainseg.scans.segments import can_hold_segments, write_segments

OBLIQUE = (0.96, -0.28, 0.0, 0.28, 0.96, 0.0, 0.0, 0.0, -1.0)


def scan_of(path, direction=OBLIQUE, size=(7, 6, 5)):
    """A volume whose axes are neither the patient's nor in their order of signs."""
    image = sitk.GetImageFromArray(np.arange(np.prod(size), dtype=np.int16).reshape(size[::-1]))
    image.SetDirection(direction)
    image.SetSpacing((0.9, 1.1, 4.0))
    image.SetOrigin((-12.5, 34.0, -5.25))
    sitk.WriteImage(image, str(path))
    return read_scan(path)


def masks_of(scan):
    """Two that overlap, and two that lie apart from the first, one of them empty."""
    shape = scan.pixels.shape[:3]
    masks = {name: np.zeros(shape, bool) for name in ("unet-bce", "more/unet-bce", "b c", "truth")}
    masks["unet-bce"][1:3, 1:3, 1:4] = True
    masks["more/unet-bce"][2:4, 2:4, 2:5] = True
    masks["truth"][4, 5, 0:2] = True
    return masks


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_another_reader_finds_every_mask_by_its_name_and_in_its_place(tmp_path, suffix):
    slicerio = pytest.importorskip("slicerio")
    scan = scan_of(tmp_path / f"scan{suffix}")
    masks = masks_of(scan)
    path = write_segments(masks.items(), scan, tmp_path / "all.seg.nrrd")
    found = slicerio.read_segmentation(str(path))
    assert found["masterRepresentation"] == "Binary labelmap"
    assert slicerio.segment_names(found) == list(masks)
    assert len({segment["id"] for segment in found["segments"]}) == len(masks)
    for segment in found["segments"]:
        single = sitk.ReadImage(
            str(write_mask(masks[segment["name"]], scan, tmp_path / f"one{suffix}"))
        )
        voxels = found["voxels"][segment["layer"]] == segment["labelValue"]
        assert (voxels == sitk.GetArrayFromImage(single).T.astype(bool)).all(), segment["name"]
        affine = np.eye(4)
        affine[:3, :3] = np.reshape(single.GetDirection(), (3, 3)) * single.GetSpacing()
        affine[:3, 3] = single.GetOrigin()
        assert found["ijkToLPS"] == pytest.approx(affine, abs=1e-5)
    assert [segment["layer"] for segment in found["segments"]] == [0, 1, 0, 0]
    assert len({tuple(segment["color"]) for segment in found["segments"]}) == len(masks)


def test_what_is_written_is_read_as_a_truth_here_too(tmp_path):
    scan = scan_of(tmp_path / "scan.nrrd")
    masks = masks_of(scan)
    for names in (list(masks), ["unet-bce", "truth"]):  # in layers, and in one volume
        some = [(name, masks[name]) for name in names]
        path = write_segments(some, scan, tmp_path / "all.seg.nrrd")
        union = np.any([mask for _, mask in some], axis=0)
        assert (read_mask(path, scan) == union).all()
    header = path.read_bytes().partition(b"\n\n")[0].decode()
    assert "dimension: 3" in header and "kinds: domain domain domain" in header


def test_a_file_is_the_same_bytes_each_time_and_whole(tmp_path):
    scan = scan_of(tmp_path / "scan.nii.gz")
    first, second = (
        write_segments(masks_of(scan).items(), scan, tmp_path / name).read_bytes()
        for name in ("a.seg.nrrd", "b.seg.nrrd")
    )
    assert first == second
    assert len(gzip.decompress(first.partition(b"\n\n")[2])) == 2 * scan.pixels[..., 0].size

    def fails():
        yield "a", masks_of(scan)["truth"]
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_segments(fails(), scan, tmp_path / "c.seg.nrrd")
    left = [path.name for path in tmp_path.iterdir() if "seg" in path.name]
    assert sorted(left) == ["a.seg.nrrd", "b.seg.nrrd"]
    with pytest.raises(ScanError, match="no folder"):
        write_segments(masks_of(scan).items(), scan, tmp_path / "none" / "x.seg.nrrd")


def test_what_has_no_place_in_space_or_no_mask_is_refused(tmp_path):
    picture = Scan(np.zeros((1, 4, 5, 1), np.uint8))
    assert not can_hold_segments(picture)
    with pytest.raises(ScanError, match="one by one"):
        write_segments([("a", np.zeros((1, 4, 5), bool))], picture, tmp_path / "a.seg.nrrd")
    scan = scan_of(tmp_path / "scan.nii.gz")
    assert can_hold_segments(scan)
    for masks, words in (
        ([], "no mask"),
        ([("a", np.zeros((1, 2, 3), bool))], "shape"),
        ([("a", np.zeros(scan.pixels.shape[:3]))], "float64"),
    ):
        with pytest.raises(ScanError, match=words):
            write_segments(masks, scan, tmp_path / "a.seg.nrrd")
