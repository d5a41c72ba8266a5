"""What results and fusions of models with classes hold, by hand."""

import numpy as np
import pytest

from brainseg.inference.fusion import fuse, with_classes
from brainseg.inference.results import FUSIONS, Result

NAMES = ("core", "rim")


def result(name, *maps, threshold=0.5, classes=NAMES):
    """Of one slice of one row; maps of each class."""
    planes = np.array(maps, np.float32)[:, None, None]
    return Result(
        name, "model", planes.sum(0), threshold, classes=classes, class_probabilities=planes
    )


ONE = result("one", [0.6, 0.1, 0.0, 0.3], [0.1, 0.8, 0.2, 0.3])
TWO = result("two", [0.2, 0.2, 0.0, 0.0], [0.4, 0.2, 0.0, 0.0])


def fused(name, results):
    return with_classes(fuse(name, results, [0.9, 0.6]), results)


def test_labels_are_the_likelier_class_within_the_mask():
    assert ONE.labels.dtype == np.uint8
    assert ONE.labels.tolist() == [[[1, 2, 0, 1]]]  # a tie goes to the first
    assert ((ONE.labels > 0) == ONE.mask).all()
    plain = Result("plain", "model", ONE.probabilities, 0.5)
    assert plain.labels is None and plain.classes == ()


def test_a_mean_has_the_shares_of_its_members():
    found = fused("fusion_mean", [ONE, TWO])
    assert found.classes == NAMES
    np.testing.assert_allclose(found.class_probabilities.sum(0), found.probabilities, atol=1e-6)
    p = found.probabilities[0, 0, 0]
    share = (0.6 / 0.7 + 0.2 / 0.6) / 2
    assert p == pytest.approx(0.65) and found.class_probabilities[0, 0, 0, 0] == pytest.approx(
        share * p
    )
    assert found.class_probabilities[:, 0, 0, 2].tolist() == pytest.approx([0, 0.1])


def test_every_fusion_has_classes_if_its_members_share_them():
    for name in FUSIONS:
        found = fused(name, [ONE, TWO])
        assert (found.name, found.classes) == (name, NAMES)
        np.testing.assert_allclose(found.class_probabilities.sum(0), found.probabilities, atol=1e-6)
    plain = Result("plain", "model", ONE.probabilities, 0.5)
    turned = result("turned", [0.6], [0.1], classes=("rim", "core"))
    for other in (plain, turned):
        one = result("one", [0.6], [0.1])
        found = fused("fusion_mean", [one, Result("p", "model", other.probabilities[..., :1], 0.5,
                      classes=other.classes,
                      class_probabilities=other.class_probabilities)])  # fmt: skip
        assert found.classes == () and found.class_probabilities is None
