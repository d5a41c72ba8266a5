"""Work in processes of their own, and how much memory they hold."""

import mmap
import multiprocessing

import numpy as np
import pytest

from brainseg.bench.processes import in_own_process, resident_gb


def _scaler(factor):
    def scale(value):
        if value is None:
            raise ValueError("nothing to scale")
        return factor * value

    return scale


def test_work_in_a_process_of_its_own():
    with in_own_process(_scaler, 3) as scale:
        assert scale(2) == 6
        with pytest.raises(ValueError, match="nothing to scale"):
            scale(None)
        assert scale(1) == 3  # an error does not end it


def _loader():
    def load(number):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.apply(abs, [number])

    return load


def test_it_may_have_workers_of_its_own():
    with in_own_process(_loader) as load:
        assert load(-2) == 2


def test_resident_memory_is_that_of_this_process():
    before = resident_gb()
    # Of memory that the process has been given before and keeps, its size would not tell.
    held = np.frombuffer(mmap.mmap(-1, 2**27), np.uint8)
    held[:] = 1
    assert 0.1 < resident_gb() - before < 0.2 and held.any()
