"""Arrays whose axes may mean several things: which reading is taken, and that it is said."""

import numpy as np
import pytest

from brainseg.scans.notes import noting
from brainseg.scans.reading import read_scan
from tests.scans.scan_files import noise, refused


def read(path, array):
    """Pixels of an array after a round trip through a file, and the notes of reading it."""
    np.save(path / "a.npy", array)
    with noting() as notes:
        return read_scan(path / "a.npy").pixels, notes


@pytest.mark.parametrize("count", [3, 4])
def test_a_first_axis_that_could_be_channels_is_read_as_slices(tmp_path, count):
    array = noise(count, 20, 24)
    pixels, notes = read(tmp_path, array)
    assert np.array_equal(pixels, array[..., None])
    (text,) = notes
    assert f"({count}, 20, 24)" in text and f"{count} slices" in text and "channels" in text


@pytest.mark.parametrize("shape", [(1, 20, 24), (2, 20, 24), (9, 20, 24), (20, 24), (18, 20, 20)])
def test_plain_shapes_need_no_note(tmp_path, shape):
    array = noise(*shape)
    pixels, notes = read(tmp_path, array)
    assert np.array_equal(pixels, array.reshape(-1, *shape[-2:], 1)) and notes == []


@pytest.mark.parametrize(
    "shape", [(32, 32, 20), (40, 32, 20), (32, 32, 40), (40, 32, 20, 3), (40, 40, 9)]
)
def test_slices_that_seem_to_lie_along_the_last_axis_are_mentioned(tmp_path, shape):
    array = noise(*shape)
    pixels, notes = read(tmp_path, array)
    assert np.array_equal(pixels, array.reshape(*shape[:3], -1))
    (text,) = (text for text in notes if "three channels" not in text)
    assert f"{shape[0]} slices of {shape[1]} x {shape[2]}" in text and "moveaxis" in text


def test_one_channel_at_the_end_of_one_picture(tmp_path):
    array = noise(20, 24, 1)
    pixels, notes = read(tmp_path, array)
    assert np.array_equal(pixels, array[None]) and notes == []


def test_channels_before_the_rows(tmp_path):
    batch = noise(5, 3, 20, 24)
    pixels, notes = read(tmp_path, batch)
    assert np.array_equal(pixels, np.moveaxis(batch, 1, -1))
    assert "5 slices of 3 channels" in notes[0]
    first = noise(3, 5, 20, 24)
    pixels, notes = read(tmp_path, first)
    assert np.array_equal(pixels, np.moveaxis(first, 0, -1))
    assert "5 slices of 3 channels" in notes[0]
    both = noise(3, 3, 20, 24)
    pixels, notes = read(tmp_path, both)
    assert np.array_equal(pixels, np.moveaxis(both, 1, -1)) and "3 slices of 3 channels" in notes[0]


@pytest.mark.parametrize("shape", [(1, 1, 20, 24), (5, 1, 20, 24), (1, 5, 20, 24)])
def test_a_single_channel_before_the_rows_leaves_no_doubt(tmp_path, shape):
    array = noise(*shape)
    pixels, notes = read(tmp_path, array)
    assert np.array_equal(pixels, array.reshape(-1, 20, 24, 1)) and notes == []


@pytest.mark.parametrize(
    "shape, words",
    [
        ((), "shape ()"),
        ((30,), "shape (30,)"),
        ((1, 1, 1, 20, 24), "shape (1, 1, 1, 20, 24)"),
        ((5, 20, 24, 2), "2 channels"),
        ((20, 24, 2), "2 channels"),
        ((5, 6, 20, 24), "24 channels"),
    ],
)
def test_shapes_that_are_no_scan(tmp_path, shape, words):
    np.save(tmp_path / "a.npy", np.ones(shape))
    refused(tmp_path / "a.npy", words)
