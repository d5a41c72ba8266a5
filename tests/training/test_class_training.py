"""Training of several classes on hand-made sets."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from brainseg.config import Config, ConfigError
from brainseg.data import phantom
from brainseg.training.batches import Batches
from brainseg.training.planning import parse_name, plan
from brainseg.training.schedule import class_weights, epoch_rows, main_classes

NAMES = ("left", "right")


def config(**settings):
    return Config("unet", classes=NAMES, size=32, dataset="phantom", **settings)


class Prepared(SimpleNamespace):
    __hash__ = object.__hash__  # as a PreparedSet has


def prepared(classes):
    """A set of these labels, (n, 32, 32), in heads that are lit where there are some."""
    classes = np.asarray(classes, np.uint8)
    n = len(classes)
    images = np.full((n, 32, 32, 3), 100, np.uint8)
    images[classes == 1] = 150
    images[classes == 2] = 200
    statistics = np.tile(np.array([100, 30], np.float32), (n, 3, 1))
    return Prepared(
        images=images,
        masks=(classes > 0).astype(np.uint8),
        classes=classes,
        statistics=statistics,
        slice_statistics=statistics,
        datasets=np.array(["phantom"] * n),
        patients=np.array([str(i) for i in range(n)]),
        tumour=(classes > 0).any((1, 2)),
    )


def labelled(left, right, empty=0):
    """So many slices with a patch of each class."""
    planes = np.zeros((left + right + empty, 32, 32), np.uint8)
    planes[:left, 4:12, 4:12] = 1
    planes[left : left + right, 18:28, 18:28] = 2
    return planes


def test_plain_batches_give_the_labels_and_augmented_ones_move_them_with_the_image():
    planes = labelled(2, 2)
    data = prepared(planes)
    batches = Batches(config(strip_share=0.0), data, None, torch.device("cpu"))
    rows = np.arange(4)
    _, y = batches.plain(rows)
    assert y.dtype == torch.int64 and (y.numpy() == planes).all()
    x, y = batches.augmented(rows, seed=3)
    assert y.dtype == torch.int64 and set(y.unique().tolist()) <= {0, 1, 2}
    assert set(y[:2].unique().tolist()) == {0, 1} and set(y[2:].unique().tolist()) == {0, 2}
    for image, label in zip(x[:, 1], y, strict=True):  # the bright patch is where the label is
        inside, outside = image[label > 0].median(), image[label == 0].median()
        assert inside > outside


def test_a_boundary_between_two_classes_does_not_become_a_third():
    planes = np.zeros((1, 32, 32), np.uint8)
    planes[0, 8:24, 8:16], planes[0, 8:24, 16:24] = 1, 2
    data = prepared(np.where(planes == 2, 3, planes))
    three = Config("unet", classes=("a", "b", "c"), size=32, dataset="phantom")
    _, y = Batches(three, data, None, torch.device("cpu")).augmented(np.zeros(8, int), seed=1)
    assert 2 not in y.unique().tolist()  # though 2 lies between 1 and 3


def test_binary_runs_do_not_look_at_classes():
    data = prepared(labelled(1, 1))
    data.classes = None
    plain = Config("unet", size=32, dataset="phantom")
    _, y = Batches(plain, data, None, torch.device("cpu")).plain(np.arange(2))
    assert y.dtype == torch.float32 and y.shape == (2, 1, 32, 32)
    with pytest.raises(ValueError, match="give a set prepared with them"):
        Batches(config(), data, None, torch.device("cpu"))


def test_each_class_is_drawn_as_often():
    data = prepared(labelled(3, 12, empty=10))
    assert main_classes(data).tolist() == [1] * 3 + [2] * 12 + [0] * 10
    drawn = epoch_rows(config(), data, np.arange(25), 0)
    counts = np.bincount(main_classes(data)[drawn], minlength=3)
    assert counts[1] == counts[2] == 8 and counts[0] == round(0.6 * 16)
    rare = drawn[main_classes(data)[drawn] == 1]
    assert np.bincount(rare, minlength=3)[:3].min() >= 2  # each came before any came again
    assert (epoch_rows(config(), data, np.arange(25), 0) == drawn).all()
    other = epoch_rows(config(), data, np.arange(25), 1)
    assert sorted(other) != sorted(drawn) or (other != drawn).any()


def test_regions_of_one_tumour_are_drawn_as_tumours_are():
    data = prepared(labelled(3, 12, empty=10))
    regions = Config("unet", classes=phantom.CLASSES, size=32, dataset="phantom")
    plain = Config("unet", size=32, dataset="phantom")
    drawn = [epoch_rows(one, data, np.arange(25), 0).tolist() for one in (regions, plain)]
    assert drawn[0] == drawn[1]


def test_a_rare_class_weighs_more():
    data = prepared(labelled(1, 4))
    weights = class_weights(data, np.arange(5), 2)
    pixels = np.array([64, 400])
    np.testing.assert_allclose(weights, [1, *np.sqrt(pixels.mean() / pixels).clip(0.5, 2)])


def test_names_and_plans_tell_them_from_binary_runs(tmp_path):
    stack = Config("unetpp", classes=NAMES, dataset="phantom")
    assert stack.name == "unetpp-bce-classes"
    assert stack.bases == ("unet_resnet34-bce-classes", "deeplabv3plus-bce-classes")
    assert parse_name("unet_resnet34-resnet18-bce-classes") == ("unet_resnet34", "resnet18", "bce")
    planned = plan([stack], tmp_path)[stack]
    assert all(base.classes == NAMES for base in planned.reads)
    mixed = Config("unetpp", classes=NAMES, dataset="phantom", bases=("unet-bce", "unet-dice"))
    assert all(base.classes == () for base in plan([mixed], tmp_path)[mixed].reads)
    with pytest.raises(ConfigError, match="two or more different names"):
        Config("unet", classes=("one",))
