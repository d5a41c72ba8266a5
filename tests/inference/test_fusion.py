"""Fusions worked by hand."""

import numpy as np
import pytest
import SimpleITK as sitk

from brainseg.inference import fusion


def square(rows=slice(4, 10), columns=slice(4, 10), shape=(3, 16, 16)):
    mask = np.zeros(shape, bool)
    mask[:, rows, columns] = True
    return mask


def test_the_mean_by_hand():
    maps = [np.array([[[0.0, 0.2, 1.0]]], np.float32), np.array([[[1.0, 0.4, 1.0]]], np.float32)]
    fused = fusion.mean(maps)
    assert fused.dtype == np.float32 and fused.shape == (1, 1, 3)
    np.testing.assert_allclose(fused, [[[0.5, 0.3, 1.0]]], rtol=1e-6)


def test_the_vote_by_hand():
    masks = np.array([[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]], bool)[:, None, None]
    shares = fusion.vote(list(masks))
    assert shares.dtype == np.float32
    np.testing.assert_allclose(shares, [[[1, 2 / 3, 1 / 3, 0]]], rtol=1e-6)
    assert (shares > 0.5).tolist() == [[[True, True, False, False]]]


def test_of_two_masks_both_must_agree():
    masks = [np.array([[[True, True, False]]]), np.array([[[True, False, False]]])]
    assert (fusion.vote(masks) > 0.5).tolist() == [[[True, False, False]]]


def test_two_raters_who_agree_outvote_a_noisy_one():
    truth = square()
    noise = np.random.default_rng(0).random(truth.shape) < 0.5
    probabilities, sensitivity, specificity = fusion.staple([truth, noise, truth])
    assert probabilities.dtype == np.float32 and probabilities.shape == truth.shape
    np.testing.assert_array_equal(probabilities > 0.5, truth)
    assert sensitivity[0] > 0.95 and sensitivity[2] > 0.95 and sensitivity[1] < 0.7
    assert specificity[0] > 0.95 and specificity[2] > 0.95 and specificity[1] < 0.7


def expectation_maximisation(masks, rounds=200):
    """STAPLE as in the paper, with the mean of the masks as the prior of all pixels."""
    decisions = np.array([mask.ravel() for mask in masks], float)
    prior = decisions.mean()
    p, q = np.full(len(masks), 0.99999), np.full(len(masks), 0.99999)
    for _ in range(rounds):
        foreground = prior * np.prod(np.where(decisions > 0, p[:, None], 1 - p[:, None]), 0)
        background = (1 - prior) * np.prod(np.where(decisions > 0, 1 - q[:, None], q[:, None]), 0)
        weight = foreground / (foreground + background)
        p = (decisions * weight).sum(1) / weight.sum()
        q = ((1 - decisions) * (1 - weight)).sum(1) / (1 - weight).sum()
    return weight.reshape(masks[0].shape), p, q


def test_staple_agrees_with_the_algorithm_written_out():
    rng = np.random.default_rng(1)
    truth = square()
    masks = [truth ^ (rng.random(truth.shape) < share) for share in (0.05, 0.1, 0.2)]
    probabilities, sensitivity, specificity = fusion.staple(masks)
    expected, p, q = expectation_maximisation(masks)
    np.testing.assert_allclose(probabilities, expected, atol=0.02)
    np.testing.assert_allclose(sensitivity, p, atol=0.01)
    np.testing.assert_allclose(specificity, q, atol=0.01)


def test_staple_agrees_with_simpleitk():
    rng = np.random.default_rng(1)
    for count in (2, 3, 5):
        truth = square(shape=(4, 24, 24))
        shares = rng.uniform(0.02, 0.2, count)
        masks = [truth ^ (rng.random(truth.shape) < share) for share in shares]
        staple_filter = sitk.STAPLEImageFilter()
        staple_filter.SetForegroundValue(1)
        staple_filter.SetMaximumIterations(500)
        images = [sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in masks]
        expected = sitk.GetArrayFromImage(staple_filter.Execute(images))
        probabilities, sensitivity, specificity = fusion.staple(masks)
        # SimpleITK stops earlier where the estimates creep, as they do for two raters.
        np.testing.assert_array_equal(probabilities > 0.5, expected > 0.5)
        np.testing.assert_allclose(probabilities, expected, atol=0.05)
        np.testing.assert_allclose(sensitivity, staple_filter.GetSensitivity(), atol=0.02)
        np.testing.assert_allclose(specificity, staple_filter.GetSpecificity(), atol=0.02)


def test_staple_of_unrelated_masks_comes_to_an_end():
    rng = np.random.default_rng(3)
    masks = [rng.random((6, 64, 64)) < 0.2 for _ in range(3)]
    probabilities, _, _ = fusion.staple(masks)
    assert probabilities.min() >= 0 and probabilities.max() <= 1


@pytest.mark.parametrize("raters", [2, 3])
def test_raters_who_all_agree_are_right(raters):
    for truth in (square(), square(slice(0, 1), slice(0, 1)), np.ones((1, 4, 4), bool)):
        probabilities, _, _ = fusion.staple([truth] * raters)
        np.testing.assert_array_equal(probabilities > 0.5, truth)


def test_nothing_marked_by_anyone():
    empty = np.zeros((2, 8, 8), bool)
    probabilities, sensitivity, specificity = fusion.staple([empty, empty])
    assert probabilities.shape == empty.shape and not probabilities.any()
    assert len(sensitivity) == len(specificity) == 2
    assert np.isnan([*sensitivity, *specificity]).all()


def test_one_empty_mask_against_two():
    probabilities, sensitivity, _ = fusion.staple([square(), np.zeros_like(square()), square()])
    np.testing.assert_array_equal(probabilities > 0.5, square())
    assert sensitivity[1] < 0.05
    assert np.isfinite(probabilities).all()
    assert probabilities.min() >= 0 and probabilities.max() <= 1


def test_a_weighted_mean_by_hand():
    maps = [np.array([[[0.0, 1.0]]], np.float32), np.array([[[1.0, 0.5]]], np.float32)]
    np.testing.assert_allclose(fusion.mean(maps, [3, 1]), [[[0.25, 0.875]]])
    np.testing.assert_array_equal(fusion.mean(maps, [7, 7]), fusion.mean(maps))


def test_a_mean_never_leaves_the_unit_interval():
    sure = np.ones((1, 1, 1), np.float32)
    for n in range(1, 30):
        assert fusion.mean([sure] * n).max() <= 1
