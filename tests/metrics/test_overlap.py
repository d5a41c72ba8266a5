"""Scores worked by hand, and against MONAI."""

import math

import numpy as np
import pytest
from scipy.spatial import distance

from brainseg.metrics import overlap
from brainseg.metrics.overlap import Counts

PREDICTION = np.array([[[1, 1, 0], [1, 0, 0]], [[0, 0, 0], [0, 1, 0]]], bool)
TRUTH = np.array([[[1, 0, 0], [1, 1, 0]], [[0, 0, 0], [0, 0, 0]]], bool)
#                 both: 2, prediction alone: 2 (one in the second slice), truth alone: 1


def test_counts_by_hand():
    assert overlap.count(PREDICTION, TRUTH) == Counts(tp=2, fp=2, fn=1)
    assert overlap.count(TRUTH, PREDICTION) == Counts(tp=2, fp=1, fn=2)


def test_scores_by_hand():
    counts = Counts(tp=2, fp=2, fn=1)
    assert overlap.dice(counts) == pytest.approx(4 / 7)
    assert overlap.iou(counts) == pytest.approx(2 / 5)
    assert overlap.precision(counts) == pytest.approx(1 / 2)
    assert overlap.recall(counts) == pytest.approx(2 / 3)


def test_counts_of_several_scans_add_up():
    assert Counts(1, 2, 3) + Counts(10, 20, 30) == Counts(11, 22, 33)
    parts = [overlap.count(p, t) for p, t in zip(PREDICTION, TRUTH, strict=True)]
    assert parts[0] + parts[1] == overlap.count(PREDICTION, TRUTH)


NAN = math.nan


@pytest.mark.parametrize(
    ("counts", "dice", "iou", "precision", "recall"),
    [
        (Counts(0, 0, 0), NAN, NAN, NAN, NAN),  # nothing there, nothing marked
        (Counts(0, 5, 0), 0, 0, 0, NAN),  # a healthy patient in whom something was marked
        (Counts(0, 0, 5), 0, 0, NAN, 0),  # a tumour that was missed
        (Counts(0, 2, 3), 0, 0, 0, 0),
        (Counts(5, 0, 0), 1, 1, 1, 1),
    ],
)
def test_empty_masks(counts, dice, iou, precision, recall):
    found = [getattr(overlap, key)(counts) for key in ("dice", "iou", "precision", "recall")]
    np.testing.assert_array_equal(found, [dice, iou, precision, recall])


def test_false_positive_slices_are_those_without_tumour_in_which_something_is_marked():
    assert overlap.false_positive_slices(PREDICTION, TRUTH) == 1
    assert overlap.false_positive_slices(TRUTH, PREDICTION) == 0
    assert overlap.false_positive_slices(PREDICTION, np.zeros_like(TRUTH)) == 2
    assert overlap.false_positive_slices(np.zeros_like(TRUTH), TRUTH) == 0


def test_a_wrong_mask_in_a_slice_with_tumour_is_no_false_positive_slice():
    truth, prediction = np.zeros((1, 4, 4), bool), np.zeros((1, 4, 4), bool)
    truth[0, 0, 0] = prediction[0, 3, 3] = True
    assert overlap.false_positive_slices(prediction, truth) == 0


def test_volumes_in_millilitres():
    assert overlap.volume_ml(PREDICTION, (5.0, 2.0, 10.0)) == pytest.approx(4 * 100 / 1000)
    assert overlap.volume_ml(np.zeros((1, 2, 2), bool), (1.0, 1.0, 1.0)) == 0
    assert math.isnan(overlap.volume_ml(PREDICTION, None))


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 2, 3\).*\(1, 2, 3\)"):
        overlap.count(PREDICTION, TRUTH[:1])  # NumPy alone would broadcast


def test_numbers_in_place_of_bools_count_as_bools():
    assert overlap.count(PREDICTION * 255, TRUTH * 3) == Counts(2, 2, 1)


def random_masks():
    rng = np.random.default_rng(0)
    for share in (0.02, 0.2, 0.5, 0.9):
        truth = rng.random((4, 16, 16)) < share
        yield truth ^ (rng.random(truth.shape) < 0.2), truth


def test_dice_and_iou_agree_with_scipy():
    for prediction, truth in random_masks():
        counts = overlap.count(prediction, truth)
        flat = prediction.ravel(), truth.ravel()
        assert overlap.dice(counts) == pytest.approx(1 - distance.dice(*flat))
        assert overlap.iou(counts) == pytest.approx(1 - distance.jaccard(*flat))


@pytest.mark.slow  # importing MONAI takes longer than all the rest
def test_dice_and_iou_agree_with_monai():
    import torch
    from monai import metrics as reference

    for prediction, truth in random_masks():
        pair = [torch.from_numpy(m[None, None].astype(np.float32)) for m in (prediction, truth)]
        counts = overlap.count(prediction, truth)
        dice = reference.DiceMetric(include_background=True)(*pair).item()
        iou = reference.MeanIoU(include_background=True)(*pair).item()
        assert overlap.dice(counts) == pytest.approx(dice, abs=1e-6)
        assert overlap.iou(counts) == pytest.approx(iou, abs=1e-6)
