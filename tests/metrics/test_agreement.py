import numpy as np
import pytest

from brainseg.metrics import agreement, overlap

ONE = np.array([1, 1, 0, 0], bool)
TWO = np.array([1, 0, 1, 0], bool)
NONE = np.zeros(4, bool)


def test_votes_and_entropy_worked_by_hand():
    votes = agreement.votes([ONE, TWO, ONE, NONE])
    assert votes.tolist() == [3, 2, 1, 0] and votes.dtype == np.uint8
    bits = agreement.entropy(votes, 4)
    quarter = -(0.25 * np.log2(0.25) + 0.75 * np.log2(0.75))
    assert bits == pytest.approx([quarter, 1, quarter, 0])
    assert agreement.entropy(np.array([0, 3]), 3).tolist() == [0, 0]


def test_pairwise_dice_is_that_of_the_metric_and_undefined_where_both_are_empty():
    masks = [ONE, TWO, NONE, NONE]
    table = agreement.pairwise_dice(masks)
    assert table[0, 1] == table[1, 0] == overlap.dice(overlap.count(ONE, TWO)) == 0.5
    assert table[0, 0] == 1 and table[0, 2] == 0
    assert np.isnan(table[2, 3]) and np.isnan(table[2, 2])


def test_packed_masks_give_the_same():
    rng = np.random.default_rng(0)
    masks = [rng.random((3, 5, 11)) > 0.5 for _ in range(3)]
    packed = [np.packbits(mask, axis=-1) for mask in masks]
    assert (agreement.pairwise_dice(packed) == agreement.pairwise_dice(masks)).all()


def test_mean_agreement_leaves_out_itself_and_what_is_not_defined():
    table = agreement.pairwise_dice([ONE, TWO, NONE])
    assert agreement.mean_agreement(table, 0, [0, 1, 2]) == 0.25
    assert np.isnan(agreement.mean_agreement(table, 0, [0]))
