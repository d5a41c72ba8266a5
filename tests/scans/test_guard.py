from dataclasses import replace

import cv2
import numpy as np
import pytest

from brainseg.data.phantom import make_case
from brainseg.scans import guard
from brainseg.scans.scan import Scan

ROWS, COLUMNS = np.mgrid[:128, :128]


@pytest.fixture(scope="module")
def volume():
    """A head of nine slices, which state no thicker ones than the models know."""
    scan = make_case(3, "large", size=128, slices=9).scan
    return replace(scan, spacing_mm=(5.0, *scan.spacing_mm[1:]))


def codes(image):
    return [
        finding.code for finding in guard.inspect(Scan(image.astype(np.uint8)[None, ..., None]))
    ]


def test_a_head_with_three_sequences_passes(volume):
    assert guard.inspect(volume) == []


def test_one_sequence_is_a_hint_only(volume):
    findings = guard.inspect(Scan(volume.pixels[..., 1:2]))
    assert [f.code for f in findings] == ["one sequence"] and not findings[0].stops


@pytest.mark.parametrize(
    "image",
    [
        np.random.default_rng(0).integers(0, 255, (128, 128)),
        COLUMNS,
        (np.hypot(ROWS - 64, COLUMNS - 64) < 40) * 255,
        ((ROWS // 16 + COLUMNS // 16) % 2) * 255,
    ],
    ids=["static", "gradient", "disc", "checkerboard"],
)
def test_what_is_no_head_stops(image):
    assert "not a brain MRI" in codes(image)
    assert guard.inspect(Scan(image.astype(np.uint8)[None, ..., None]))[0].stops


def test_a_blank_picture_stops():
    assert codes(np.full((64, 64), 30)) == ["blank"]


def test_an_inverted_head_stops(volume):
    assert codes(255 - volume.pixels[4, ..., 1]) == ["inverted"]


def test_writing_is_noticed(volume):
    image = volume.pixels[4, ..., 1].copy()
    assert "text" not in codes(image)
    cv2.putText(image, "DOE JOHN", (2, 10), cv2.FONT_HERSHEY_SIMPLEX, 0.3, 255, 1)
    assert "text" in codes(image)


def test_strong_colours_are_noticed(volume):
    image = np.stack([volume.pixels[4, ..., 1]] * 3, -1)
    image[..., 0] //= 8
    assert "colour" in [f.code for f in guard.inspect(Scan(image[None]))]


@pytest.mark.parametrize("dtype, scale", [(np.int16, 16), (np.float32, 1e-3)])
def test_the_scale_of_the_values_does_not_matter(volume, dtype, scale):
    assert guard.inspect(Scan((volume.pixels.astype(float) * scale).astype(dtype))) == []


@pytest.mark.parametrize("axis", [1, 2])
def test_a_head_in_thick_slices_from_the_side_passes_with_a_hint(volume, axis):
    """One pixel of 5 mm for five of 1 mm: a head only to whoever knows."""
    thick = np.take(volume.pixels, np.arange(2, 128, 5), axis)
    spacing_mm = (5.0, 5.0, 1.0) if axis == 1 else (5.0, 1.0, 5.0)
    (found,) = guard.inspect(Scan(thick, spacing_mm))
    assert found.code == "another plane" and not found.stops
    assert "seems to have been acquired in another plane, in slices 5 mm apart" in found.text
    placed = Scan(thick, spacing_mm, np.diag([*spacing_mm[::-1], 1.0]))
    (found,) = guard.inspect(placed)
    assert f"acquired {'coronally' if axis == 1 else 'sagittally'}," in found.text
    assert guard.inspect(Scan(thick))[0].code == "not a brain MRI"


def test_the_values_of_air_in_ct_are_a_hint(volume):
    air = volume.pixels.astype(np.int16) * 4
    air[volume.pixels == 0] = -1000
    found = {f.code: f for f in guard.inspect(replace(volume, pixels=air, format="nifti"))}
    assert not found["CT numbers"].stops
    dicom = replace(volume, pixels=air, format="dicom")  # which a note tells
    assert "CT numbers" not in [f.code for f in guard.inspect(dicom)]
    padded = volume.pixels.astype(np.int16)
    padded[:, :8] = -1000  # a rim that a program filled
    assert "CT numbers" not in [f.code for f in guard.inspect(replace(volume, pixels=padded))]


@pytest.mark.parametrize("distance, is_thick", [(1.0, False), (7.5, False), (8.0, True)])
def test_slices_thicker_than_those_of_training_are_a_hint(volume, distance, is_thick):
    found = guard.inspect(replace(volume, spacing_mm=(distance, *volume.spacing_mm[1:])))
    assert [f.code for f in found] == ["thick slices"] * is_thick
    assert all(not f.stops and "8 mm apart" in f.text for f in found)
    one = replace(volume, pixels=volume.pixels[4:5], spacing_mm=(distance, 1.0, 1.0))
    assert guard.inspect(one) == []  # nobody says what its neighbours would be


@pytest.mark.parametrize(
    "height, width, is_told", [(1, 3, True), (3, 1, True), (1, 2, False), (3, 3, False)]
)
def test_pixels_that_are_far_from_square_are_a_hint(volume, height, width, is_told):
    scan = Scan(volume.pixels[:, ::height, ::width], (5.0, float(height), float(width)))
    assert ("another plane" in [f.code for f in guard.inspect(scan)]) == is_told
    assert not any(f.stops for f in guard.inspect(scan))


@pytest.mark.parametrize("degrees, is_oblique", [(0, False), (20, False), (30, True), (-30, True)])
def test_slices_off_the_axial_plane_are_a_hint(volume, degrees, is_oblique):
    angle = np.radians(degrees)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    found = guard.inspect(replace(volume, affine=turn @ np.diag([1.0, 1.0, 5.0, 1.0])))
    assert [f.code for f in found] == ["oblique slices"] * is_oblique
    assert all("30 degrees" in f.text for f in found)
    assert guard.inspect(replace(volume, affine=None)) == []
