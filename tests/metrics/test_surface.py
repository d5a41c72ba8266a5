"""Outline distances against figures worked out by hand."""

import math

import numpy as np
import pytest

from brainseg.metrics.surface import surface


def square(top, left, side, shape=(40, 40)):
    mask = np.zeros((1, *shape), bool)
    mask[0, top : top + side, left : left + side] = True
    return mask


def test_equal_masks_have_no_distance():
    mask = square(5, 5, 8)
    found = surface(mask, mask, None)
    assert found.hd95 == (0,) and found.dice == (1,) and found.one_sided == 0 and found.unit == "px"


def test_a_pixel_moved_by_seven():
    # One pixel each: the only distance is the one between them.
    found = surface(square(3, 3, 1), square(3, 10, 1), None)
    assert found.hd95 == pytest.approx((7,))
    assert found.dice == (0,)


def test_two_pixels_lie_within_the_tolerance_and_three_do_not():
    two, three = (surface(square(3, 3, 1), square(3, 3 + d, 1), None) for d in (2, 3))
    assert two.dice == (1,) and three.dice == (0,)


def test_without_spacing_each_slice_counts_for_itself():
    a, empty = square(5, 5, 4), np.zeros((1, 40, 40), bool)
    prediction = np.concatenate([a, a, empty, empty])
    truth = np.concatenate([a, empty, a, empty])
    found = surface(prediction, truth, None)
    assert len(found.hd95) == len(found.dice) == 1
    assert found.one_sided == 2  # one with only a prediction, one with only tumour


def test_with_spacing_it_is_three_dimensional_and_in_millimetres():
    shape = (9, 20, 20)
    prediction, truth = np.zeros(shape, bool), np.zeros(shape, bool)
    prediction[2, 10, 10] = truth[6, 10, 10] = True
    found = surface(prediction, truth, (2.5, 1.0, 1.0))
    assert found.unit == "mm" and found.hd95 == pytest.approx((10,))  # four slices of 2.5 mm
    prediction[2], truth[6] = False, False
    prediction[4, 10, 10] = truth[4, 10, 13] = True
    assert surface(prediction, truth, (2.5, 1.0, 2.0)).hd95 == pytest.approx((6,))


def test_a_single_slice_has_an_outline_and_no_surface():
    one, other = square(10, 4, 9), square(10, 12, 9)  # eight pixels apart
    found = surface(one, other, (5.0, 1.0, 2.0))
    assert found.unit == "mm" and found.hd95 == pytest.approx((16,))
    flat = surface(one, other, None)
    assert found.hd95[0] == 2 * flat.hd95[0]
    assert surface(one, other, (5.0, 1.0, 1.0)).dice == flat.dice


def test_nothing_to_measure():
    empty = np.zeros((2, 8, 8), bool)
    for spacing in (None, (1.0, 1.0, 1.0)):
        found = surface(empty, empty, spacing)
        assert found.hd95 == () and found.dice == () and found.one_sided == 0


def test_hd95_leaves_out_the_farthest_twentieth():
    # A line of 100 pixels, and the same line with one pixel far away: the maximum is 20, but only
    # one distance in a hundred is.
    truth = np.zeros((1, 120, 120), bool)
    truth[0, 10, 10:110] = True
    prediction = truth.copy()
    prediction[0, 30, 50] = True
    (found,) = surface(prediction, truth, None).hd95
    assert math.isclose(found, 0)
