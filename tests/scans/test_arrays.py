"""Arrays of numpy: which shapes and types are scans, and that their values survive."""

import numpy as np
import pytest

from brainseg.scans.masks import mask_suffix
from brainseg.scans.notes import noting
from brainseg.scans.preprocessing import prepare
from brainseg.scans.reading import read_scan
from tests.scans.scan_files import noise, refused, volume


def read(path, array):
    """Pixels of an array after a round trip through a file, and the notes of reading it."""
    np.save(path / "a.npy", array)
    with noting() as notes:
        return read_scan(path / "a.npy").pixels, notes


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


def test_arrays_that_are_no_scans(tmp_path):
    for number, (array, words) in enumerate(
        [
            (
                np.ones((3, 4), complex),
                "type complex128, expected real numbers. Save its magnitude",
            ),
            (np.array([{}, 1], object), "Python objects"),
            (np.zeros((0, 4, 4)), "no pixels"),
            (np.ones(5), "shape (5,)"),
            (np.ones((2, 3, 4, 7)), "7 channels"),
            (np.ones((1, 1, 2, 2, 1)), "expected (height"),
            (np.array([["a"]]), "<U1"),
            (np.zeros((20, 24), [("t1", "f4"), ("flair", "f4")]), "flair"),
            (np.zeros((20, 24), "M8[s]"), "datetime64"),
        ]
    ):
        path = tmp_path / f"{number}.npy"
        np.save(path, array, allow_pickle=True)
        refused(path, words)
    volume(tmp_path / "c.nii", np.ones((3, 4, 5), np.complex64))
    refused(tmp_path / "c.nii", "complex", "magnitude")


def test_how_an_array_is_stored_does_not_matter(tmp_path):
    array = noise(5, 20, 24, dtype=np.int16) - 100
    for stored in (np.asfortranarray(array), array.astype(">i2"), array[::-1][::-1]):
        pixels, _ = read(tmp_path, stored)
        assert pixels.dtype == np.int16 and pixels.flags.c_contiguous
        assert np.array_equal(pixels[..., 0], array)


def test_half_precision_reaches_the_network_as_the_same_picture(tmp_path):
    array = noise(5, 20, 24)
    half, notes = read(tmp_path, (array / 250).astype(np.float16))
    whole = prepare(array[..., None].astype(np.float32) / 250, 20).images
    assert notes == [] and np.abs(prepare(half, 20).images.astype(int) - whole).max() <= 1


@pytest.mark.parametrize("dtype", ["int64", "uint64", "uint32", "float64"])
def test_small_differences_of_large_values_survive(tmp_path, dtype):
    array = noise(5, 20, 24).astype(dtype)
    base = 2**31 if dtype == "uint32" else 2**50
    pixels, notes = read(tmp_path, array + np.array(base, dtype))
    assert np.array_equal(pixels[..., 0], array - array.min())
    assert "smallest" in notes[0] and str(base) in notes[0].replace(",", "")


def test_large_values_that_differ_widely_stay(tmp_path):
    array = noise(5, 20, 24).astype(np.int64) * 2**40 - 2**41
    pixels, notes = read(tmp_path, array)
    assert np.array_equal(pixels[..., 0], array) and notes == []


def test_values_beyond_single_precision(tmp_path):
    np.save(tmp_path / "a.npy", noise(20, 24) * 1e300)
    refused(tmp_path / "a.npy", "e+302", "Divide")


def test_standardised_values_keep_their_sign(tmp_path):
    array = np.random.default_rng(0).normal(size=(5, 20, 24)).astype(np.float32)
    pixels, notes = read(tmp_path, array)
    assert np.array_equal(pixels[..., 0], array) and notes == []


def test_an_archive_of_one_array(tmp_path):
    array = noise(5, 20, 24, dtype=np.int16)
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", volume=array)
        scan = read_scan(tmp_path / "a.npz")
        assert np.array_equal(scan.pixels[..., 0], array) and scan.source == "a.npz"
    np.savez(tmp_path / "b.npz", image=array, mask=array > 9)
    refused(tmp_path / "b.npz", "image", "mask", "numpy.save")
