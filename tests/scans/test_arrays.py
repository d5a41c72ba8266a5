"""Arrays of numpy: which shapes and types are scans."""

import numpy as np
import pytest

from brainseg.scans.masks import mask_suffix
from brainseg.scans.reading import read_scan
from tests.scans.scan_files import noise, refused, volume


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
            (np.ones((3, 4), complex), "complex128"),
            (np.array([{}, 1], object), "Python objects"),
            (np.zeros((0, 4, 4)), "no pixels"),
            (np.ones(5), "shape (5,)"),
            (np.ones((2, 3, 4, 7)), "7 channels"),
            (np.ones((1, 1, 2, 2, 1)), "expected (height"),
            (np.array([["a"]]), "<U1"),
        ]
    ):
        path = tmp_path / f"{number}.npy"
        np.save(path, array, allow_pickle=True)
        refused(path, words)
    volume(tmp_path / "c.nii", np.ones((3, 4, 5), np.complex64))
    refused(tmp_path / "c.nii", "complex", "magnitude")
