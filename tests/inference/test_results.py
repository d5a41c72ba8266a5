"""What a result says of classes."""

import numpy as np
import pytest

from brainseg.data import brats
from brainseg.inference.results import Comparison, Result
from brainseg.scans.scan import Scan

KINDS = ("meningioma", "glioma", "pituitary")


def result(votes, classes=KINDS, threshold=0.5):
    """Probabilities of one row of pixels; ``votes``: for each its class, sure, or one per class."""
    table = np.zeros((len(classes), 1, 1, len(votes)), np.float32)
    for pixel, own in enumerate(votes):
        if isinstance(own, int):
            table[own - 1, ..., pixel] = own > 0
        else:
            table[..., pixel] = np.reshape(own, (-1, 1, 1))
    return Result("unet-ce", "model", table.sum(0), threshold, None, classes, table)


def figures(found, spacing_mm=None):
    scan = Scan(np.zeros((*found.mask.shape, 1), np.uint8), spacing_mm)
    return Comparison(scan, None, {found.name: found}).to_json()["models"][found.name]


def test_labels_are_the_most_probable_class_within_the_mask():
    found = result([0, 1, 3, (0.3, 0.2, 0.2), (0.1, 0.3, 0.0)])
    assert found.labels.dtype == np.uint8 and found.labels.tolist() == [[[0, 1, 3, 1, 0]]]
    assert ((found.labels > 0) == found.mask).all()
    lower = result([(0.1, 0.3, 0.0)], threshold=0.3)
    assert lower.labels.tolist() == [[[2]]]  # most likely no tumour, and yet above the threshold
    plain = Result("unet-bce", "model", found.probabilities, 0.5)
    assert plain.labels is None and plain.classes == ()


def test_figures_tell_the_size_of_each_class_and_the_kind():
    entry = figures(result([0, 1, 2, 2, 2]), (10.0, 10.0, 5.0))
    assert entry["area_px"] == 4 and entry["volume_ml"] == pytest.approx(2)
    assert entry["classes"] == {
        "meningioma": {"area_px": 1, "volume_ml": 0.5},
        "glioma": {"area_px": 3, "volume_ml": 1.5},
        "pituitary": {"area_px": 0, "volume_ml": 0},
    }
    assert (entry["tumour_kind"], entry["tumour_kind_share"]) == ("glioma", 0.75)
    assert entry["kind"] == "model" and "regions" not in entry


def test_nothing_marked_has_no_kind_and_no_spacing_no_volume():
    entry = figures(result([0, 0]))
    assert entry["tumour_kind"] is None and entry["tumour_kind_share"] is None
    assert entry["classes"]["glioma"] == {"area_px": 0, "volume_ml": None}


def test_parts_of_one_tumour_make_regions_and_no_kind(monkeypatch):
    parts = ("necrosis", "oedema", "enhancing")
    monkeypatch.setattr(brats, "CLASSES", parts, raising=False)
    monkeypatch.setattr(brats, "REGIONS", {"whole": parts, "core": parts[::2]}, raising=False)
    entry = figures(result([1, 2, 2, 3, 0], parts))
    assert {name: own["area_px"] for name, own in entry["regions"].items()} == {
        "whole": 4,
        "core": 2,
    }
    assert "tumour_kind" not in entry and list(entry["classes"]) == list(parts)


def test_figures_without_classes_are_what_they_were():
    entry = figures(Result("unet-bce", "model", np.ones((1, 2, 2), np.float32), 0.5))
    assert list(entry) == ["kind", "threshold", "area_px", "volume_ml", "agreement"]
