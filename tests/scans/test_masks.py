"""Masks: what goes in comes out, and what is no mask is refused."""

import numpy as np
import pytest
from PIL import Image

from brainseg.scans import masks
from brainseg.scans.masks import read_mask, write_mask
from brainseg.scans.reading import read_scan
from brainseg.scans.scan import Scan
from tests.scans.scan_files import VOLUME_SUFFIXES, noise, refused, volume


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
