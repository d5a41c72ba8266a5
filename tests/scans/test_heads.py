"""What the guard sees of a head: its skull, its sequences, and what stands out in it."""

import cv2
import numpy as np
import pytest

from brainseg.data.phantom import KINDS, make_case
from brainseg.scans import guard, heads
from brainseg.scans.scan import Scan

T1, FLAIR, T1C = range(3)


@pytest.fixture(scope="module")
def volume():
    return make_case(3, "large", size=128, slices=9).scan


def stripped(scan: Scan, share: float) -> Scan:
    """A scan less this share of its width all along the skin."""
    pixels = scan.pixels.copy()
    for image in pixels:
        tissue = np.pad((image.max(-1) > 12).astype(np.uint8), 1)
        contours, _ = cv2.findContours(tissue, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        head = cv2.drawContours(np.zeros_like(tissue), contours, -1, 1, cv2.FILLED)
        depth = cv2.distanceTransform(head, cv2.DIST_L2, 5)[1:-1, 1:-1]
        image[depth <= share * len(image)] = 0
    return Scan(pixels, scan.spacing_mm)


def standardised(scan: Scan) -> Scan:
    """Less its mean and over its standard deviation, background 0, as BraTS 2015 comes."""
    values = scan.pixels.astype(np.float32)
    brain = scan.pixels.max(-1) > 0
    values[brain] = (values[brain] - values[brain].mean(0)) / values[brain].std(0)
    return Scan(values, scan.spacing_mm)


def codes(scan, given=()):
    found = guard.inspect(scan, given)
    assert not any(finding.stops for finding in found), found
    return [finding.code for finding in found]


@pytest.mark.parametrize("share", [0.06, 0.09])
@pytest.mark.parametrize("change", [lambda scan: scan, standardised], ids=["bytes", "z-scores"])
def test_a_head_without_its_skull_is_noticed(volume, share, change):
    assert "skull removed" in codes(change(stripped(volume, share)))
    assert "skull removed" not in codes(volume)


@pytest.mark.parametrize("kind", KINDS)
def test_phantoms_keep_their_skull_in_one_slice_too(kind):
    scan = make_case(5, kind, size=128, slices=7).scan
    for pixels in (scan.pixels, scan.pixels[3:4], scan.pixels[..., 1:2]):
        assert "skull removed" not in codes(Scan(pixels))


def test_a_skull_that_was_removed_from_one_picture_is_noticed(volume):
    one = Scan(stripped(volume, 0.08).pixels[4:5])
    assert "skull removed" in codes(one)


@pytest.mark.parametrize(
    "order, given, code",
    [
        ((FLAIR, FLAIR, T1C), ("flair", "t1c"), "T1 missing"),
        ((T1, T1, T1C), ("t1", "t1c"), "FLAIR missing"),
        ((T1, FLAIR, FLAIR), ("flair", "t1"), "T1c missing"),
        ((FLAIR, FLAIR, T1C), (), "same image"),
        ((T1, FLAIR, T1), ("flair", "t1", "t1c"), "same image"),
        ((FLAIR, FLAIR, FLAIR), ("flair",), "one sequence"),
    ],
)
def test_a_sequence_that_stands_in_for_another_is_named(volume, order, given, code):
    found = codes(Scan(volume.pixels[..., list(order)]), given)
    assert [c for c in found if c != "faint FLAIR"] == [code]


def test_who_stands_in_is_said(volume):
    scan = Scan(volume.pixels[..., [FLAIR, FLAIR, T1C]])
    assert guard.inspect(scan, ("flair", "t1c"))[0].text.startswith("T1 is missing, and FLAIR")


def test_a_tumour_that_hardly_stands_out_makes_flair_faint():
    volume = make_case(3, "large", size=128, slices=20).scan
    assert "faint FLAIR" not in codes(volume)
    flat = volume.pixels.copy()
    inner = flat[..., FLAIR]
    for plane in inner:  # every voxel of the brain between its quartiles
        depth = heads.depth(heads.outline(cv2.resize(plane, (128, 128))))
        deep = depth > 10
        plane[deep] = np.clip(plane[deep], *np.percentile(plane[deep], (25, 75)).astype(int))
    assert "faint FLAIR" in codes(Scan(flat))
    assert "faint FLAIR" not in codes(Scan(flat[4:5]))  # one slice may well hold no tumour


def test_another_patient_s_head_in_the_place_of_a_sequence_is_noticed(volume):
    assert heads.overlap(heads.planes(volume.pixels, None)) > 0.97
    other = cv2.resize(volume.pixels[4], None, fx=0.8, fy=0.95)
    moved = np.zeros_like(volume.pixels)
    moved[:, : other.shape[0], 10 : 10 + other.shape[1]] = other
    mixed = volume.pixels.copy()
    mixed[..., T1C] = moved[..., T1C]
    assert "different heads" in codes(Scan(mixed))


def test_a_sequence_that_covers_little_of_the_head_is_noticed(volume):
    mixed = volume.pixels.copy()
    mixed[:6, ..., T1C] = 0
    assert "different heads" in codes(Scan(mixed))
