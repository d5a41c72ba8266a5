"""Classes: Dice against MONAI's, kinds and confusions worked out by hand."""

import numpy as np
import pytest

from brainseg.metrics import classes, overlap
from brainseg.metrics.overlap import Counts


def labels(*slices):
    """One slice per argument, each a row of digits."""
    return np.array([[[int(digit) for digit in row]] for row in slices], np.uint8)


def one_hot(found, classes):
    import torch

    planes = [found == number for number in range(1, classes + 1)]
    return torch.from_numpy(np.stack(planes)[None].astype(np.float32))


@pytest.mark.parametrize("seed", range(4))
def test_dice_is_monai_s(seed):
    from monai.metrics import DiceMetric

    rng = np.random.default_rng(seed)
    found, truth = rng.integers(0, 4, (2, 3, 6, 5)).astype(np.uint8)
    truth[truth == 1 + seed % 3] = 0  # one class is marked and not there
    pair = one_hot(found, 4), one_hot(truth, 4)  # and the fourth neither
    table = classes.crossed(found, truth, 4)
    own = np.array([overlap.dice(classes.counts(table, (n,))) for n in range(1, 5)], float)
    there = DiceMetric(reduction="none", ignore_empty=True)(*pair)[0].numpy()
    some = DiceMetric(reduction="none", ignore_empty=False)(*pair)[0].numpy()
    assert np.isnan(own).tolist() == [False, False, False, True]
    has = ~np.isnan(there)
    assert has.sum() == 2 and own[has] == pytest.approx(there[has])
    assert own[:3] == pytest.approx(some[:3]) and own[seed % 3] == 0


def test_pixels_are_counted_once_and_added_over_scans():
    found, truth = labels("1123", "0033"), labels("1120", "0113")
    table = classes.crossed(found, truth, 3)
    assert table.tolist() == [[1, 0, 0, 1], [1, 2, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert classes.counts(table, (1,)) == Counts(2, 0, 2)
    assert classes.counts(table, (3,)) == Counts(1, 2, 0)
    assert classes.counts(table, (1, 3)) == Counts(4, 1, 1)  # taken as one, 3 for 1 is right
    assert classes.counts(table + table, (3,)) == Counts(2, 4, 0)


def test_regions_overlap_and_count_as_their_masks_do():
    members = {"whole": (1, 2, 3), "core": (1, 3), "enhancing": (3,)}
    rng = np.random.default_rng(0)
    found, truth = rng.integers(0, 4, (2, 2, 5, 5)).astype(np.uint8)
    table = classes.crossed(found, truth, 3)
    for own in members.values():
        mask, true = np.isin(found, own), np.isin(truth, own)
        counts = classes.counts(table, own)
        assert (counts.tp, counts.tp + counts.fp, counts.tp + counts.fn) == (
            (mask & true).sum(), mask.sum(), true.sum()
        )  # fmt: skip


def test_the_kind_is_the_class_with_most_votes():
    votes = classes.votes(labels("1120", "0000", "2222"), 3)
    assert votes.tolist() == [[2, 1, 0], [0, 0, 0], [0, 4, 0]]
    assert classes.kind(votes[0]) == (1, pytest.approx(2 / 3))
    assert classes.kind(votes.sum(0)) == (2, pytest.approx(5 / 7))
    assert classes.kind([3, 0, 3]) == (1, 0.5)  # of equal ones the first
    number, share = classes.kind(votes[1])
    assert number is None and np.isnan(share)


TRUE = [1, 1, 1, 1, 2, 2, None, 3]
FOUND = [1, 1, 1, 2, 2, None, 3, 1]


def test_a_confusion_by_hand():
    assert classes.confusion(TRUE, FOUND, 3).tolist() == [
        [3, 1, 0, 0],
        [0, 1, 0, 1],
        [1, 0, 0, 0],
    ]
    assert classes.confusion([], [], 2).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_every_kind_counts_alike_however_rare():
    found = classes.macro_recall(TRUE, FOUND)
    assert found["mean"] == pytest.approx((3 / 4 + 1 / 2 + 0) / 3) and found["patients"] == 7
    assert 0 <= found["low"] < found["mean"] < found["high"] <= 1
    table = classes.confusion(TRUE, FOUND, 3)
    assert found["mean"] == pytest.approx((np.diag(table) / table.sum(1)).mean())
    assert classes.macro_recall([1, 2], [None, None])["mean"] == 0  # can't tell is not right
    slices = classes.macro_recall(TRUE, FOUND, [*"aaabbccd"])
    assert slices["mean"] == found["mean"] and slices["patients"] == 4
    nobody = classes.macro_recall([None], [1])
    assert nobody["patients"] == 0 and np.isnan([nobody[k] for k in ("mean", "low", "high")]).all()


def test_what_does_not_go_together_is_refused():
    with pytest.raises(ValueError, match="must agree"):
        classes.crossed(labels("11"), labels("111"), 2)
    for found, truth in ((labels("3"), labels("1")), (labels("1"), labels("3"))):
        with pytest.raises(ValueError, match="at most 2"):
            classes.crossed(found, truth, 2)
    with pytest.raises(ValueError, match="at most 1"):
        classes.votes(labels("12"), 1)


def test_labels_are_renumbered_by_their_names():
    found = classes.renumbered(labels("0121"), ("a", "b"), ("b", "c", "a"))
    assert found.tolist() == labels("0313").tolist() and found.dtype == np.uint8
    assert classes.renumbered(labels("01"), ("a", "b"), ("a", "c")) is None
    assert classes.renumbered(labels("01"), (), ("a",)) is None
