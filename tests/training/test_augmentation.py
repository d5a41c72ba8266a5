"""Augmentation against cases worked out by hand, and what the shares of a configuration do."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from brainseg.config import Config
from brainseg.data import phantom
from brainseg.data.cache import prepared_set
from brainseg.scans.preprocessing import prepare
from brainseg.training import augmentation
from brainseg.training.batches import Batches

PLAIN = Config(
    "unet", dataset="phantom", size=64, augmentation=0.0, empty_share=0.0, slice_share=0.0,
    grey_share=0.0, missing_share=0.0, strip_share=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepared_set(phantom.load()[:4], 64, tmp_path_factory.mktemp("cache"))


def batches(data, **settings):
    return Batches(replace(PLAIN, **settings), data, None, torch.device("cpu"))


def test_depth_is_counted_from_the_skin_and_holes_belong_to_the_head():
    image = torch.zeros(1, 3, 9, 9)
    image[:, :, 1:8, 1:8] = 100
    image[:, :, 4, 4] = 0  # a ventricle
    depth = augmentation.depth_in_head(image, 10)[0, 0]
    assert depth[0].sum() == depth[:, 8].sum() == 0
    assert depth[4].tolist() == [0, 1, 2, 3, 4, 3, 2, 1, 0]
    assert depth[1, 1:8].tolist() == [1] * 7
    assert augmentation.depth_in_head(image, 2).max() == 2


def test_one_noisy_sequence_makes_no_head():
    image = torch.zeros(1, 3, 5, 5)
    image[:, 0] = 100
    assert augmentation.depth_in_head(image, 3).max() == 0


def disc(bright=200.0, tissue=80.0):
    """A head of 81 px across with a bright rind 5 px thick, and a tumour that touches the rind."""
    rows, columns = np.mgrid[:96, :96] - 47.5
    radius = np.hypot(rows, columns)
    image = np.where(radius < 40.5, np.where(radius < 35.5, tissue, bright), 0)
    images = torch.tensor(image, dtype=torch.float32).expand(2, 3, 96, 96).clone()
    masks = torch.tensor((columns > 25) & (radius < 40)).float().expand(2, 1, 96, 96).clone()
    statistics = torch.tensor([[[100.0, 50.0]] * 3] * 2)
    return images, masks, statistics


def test_a_stripped_head_has_no_skull_and_statistics_of_what_is_left():
    images, masks, statistics = disc()
    which, generator = torch.tensor([False, True]), torch.Generator().manual_seed(0)
    low = round(augmentation.SKULL[0] * 96)
    stripped, left, factors = augmentation.strip_skull(images, masks, statistics, which, generator)
    assert torch.equal(stripped[0], images[0]) and torch.equal(left[0], masks[0])
    assert torch.equal(factors[0], statistics[0])
    gone = (stripped[1, 0] == 0) & (images[1, 0] > 0)
    assert gone.sum() > 2 * np.pi * 38 * (low - 1)  # a ring all around
    assert not left[1, 0][gone].any() and left[1].sum() < masks[1].sum()
    kept = stripped[1, 0][stripped[1, 0] > 0]
    before = images[1, 0][images[1, 0] > 0]
    mean = 100 * kept.mean() / before.mean()
    assert factors[1, 0, 0].item() == pytest.approx(mean.clamp(50, 200).item(), rel=1e-4)
    assert images[1].max() == 200  # what was given stays as it was


def test_hardly_a_head_is_left_alone():
    images, masks, statistics = disc()
    images[:, :, :44] = 0
    images[:, :, 52:] = 0  # a strip, 8 px high
    which, generator = torch.tensor([True, True]), torch.Generator().manual_seed(0)
    stripped, _, factors = augmentation.strip_skull(images, masks, statistics, which, generator)
    assert torch.equal(stripped, images) and torch.equal(factors, statistics)


def test_statistics_of_a_stripped_slice_are_those_that_serving_finds(data):
    """The factors stand for the statistics that ``prepare`` finds in a stripped picture."""
    rows = np.flatnonzero(data.tumour)[:6]
    images = torch.from_numpy(data.images[rows]).permute(0, 3, 1, 2).float()
    masks = torch.from_numpy(data.masks[rows])[:, None].float()
    statistics = torch.from_numpy(data.slice_statistics[rows])
    stripped, _, mine = augmentation.strip_skull(
        images, masks, statistics, torch.ones(6, dtype=bool), torch.Generator().manual_seed(1)
    )
    pixels = stripped.permute(0, 2, 3, 1).round().byte().numpy()
    served = prepare(pixels, 64).slice_statistics
    apart = np.abs(mine.numpy() - served) / served[..., 1:]
    assert np.median(apart) < 0.1 and apart.max() < 0.5


def test_nothing_is_changed_at_strength_zero_but_flips(data):
    rows = np.flatnonzero(data.tumour)[:8]
    plain, masks = batches(data).plain(rows)
    x, y = batches(data).augmented(rows, seed=3)
    for one, other, mask, moved in zip(plain, x, masks, y, strict=True):
        is_flipped = not torch.allclose(one, other, atol=1e-3)
        other, moved = (other.flip(-1), moved.flip(-1)) if is_flipped else (other, moved)
        torch.testing.assert_close(one, other, atol=1e-3, rtol=0)
        assert torch.equal(mask, moved)


def test_more_strength_changes_more(data):
    rows = np.flatnonzero(data.tumour)[:8]
    mild, hard = (batches(data, augmentation=s).augmented(rows, seed=3)[0] for s in (0.5, 2.0))
    still = batches(data).augmented(rows, seed=3)[0]
    assert (hard - still).abs().mean() > 1.5 * (mild - still).abs().mean() > 0


def test_flair_takes_the_place_of_a_missing_sequence(data):
    rows = np.flatnonzero(data.tumour)[:16]
    whole = batches(data).augmented(rows, seed=3)[0]
    x = batches(data, missing_share=1.0).augmented(rows, seed=3)[0]
    flair = whole[:, 1]
    assert torch.equal(x[:, 1], flair)
    no_t1 = torch.tensor([torch.equal(a, b) for a, b in zip(x[:, 0], flair, strict=True)])
    no_t1c = torch.tensor([torch.equal(a, b) for a, b in zip(x[:, 2], flair, strict=True)])
    assert (no_t1 ^ no_t1c).all() and no_t1.sum() > no_t1c.sum() > 0
    assert torch.equal(x[no_t1, 2], whole[no_t1, 2]) and torch.equal(x[no_t1c, 0], whole[no_t1c, 0])


def test_shares_are_of_the_samples(data):
    rows = np.resize(np.flatnonzero(data.tumour), 200)
    whole = batches(data).augmented(rows, seed=5)[0]
    for key in ("missing_share", "grey_share", "strip_share"):
        x = batches(data, **{key: 0.3}).augmented(rows, seed=5)[0]
        changed = ((x - whole).abs().amax((1, 2, 3)) > 0).float().mean()
        assert 0.2 < changed < 0.4, key


def test_a_stack_whose_maps_are_of_the_whole_head_strips_nothing(data):
    rows = np.flatnonzero(data.tumour)[:8]
    maps = np.repeat(data.masks[:, None].astype(np.float16), 2, axis=1)
    config = replace(PLAIN, model="unetpp", stack_inputs="predictions+image")
    found = [
        Batches(replace(config, strip_share=share), data, maps, torch.device("cpu"))
        .augmented(rows, seed=3)
        for share in (0.0, 1.0)
    ]  # fmt: skip
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)
