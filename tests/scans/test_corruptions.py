import numpy as np
import pytest

from brainseg.data.phantom import make_case
from brainseg.scans import corruptions
from brainseg.scans.preprocessing import to_bytes


@pytest.fixture(scope="module")
def image():
    pixels = make_case(3, "large", size=64, slices=3).scan.pixels[1]
    return pixels.astype(np.float32) / 255


@pytest.mark.parametrize("name", corruptions.CORRUPTIONS)
def test_severity_0_changes_nothing_and_more_severity_changes_more(image, name):
    corrupt = corruptions.CORRUPTIONS[name]
    assert corrupt(image, 0.0) == pytest.approx(image, abs=1e-5)
    away = [float(np.abs(corrupt(image, s) - image).mean()) for s in (0.25, 0.5, 1.0)]
    assert 0 < away[0] < away[1] < away[2]
    worst = corrupt(image, 1.0)
    assert worst.shape == image.shape and worst.dtype == np.float32
    assert worst.min() >= 0 and worst.max() <= 1
    assert (corrupt(image, 0.5) == corrupt(image, 0.5)).all()


def test_the_truth_turns_with_the_head_and_stays_otherwise():
    image = np.zeros((65, 65, 1), np.uint8)
    image[10:20, 30:35] = 200
    mask = image[..., 0] > 0
    pictures, masks = corruptions.series(image, mask, "rotation")
    assert pictures.shape == (corruptions.LEVELS + 1, 65, 65, 1) and pictures.dtype == np.uint8
    for picture, turned in zip(pictures, masks, strict=True):
        bright = picture[..., 0] > 100  # of 200
        overlap = 2 * (bright & turned).sum() / (bright.sum() + turned.sum())
        assert overlap > 0.95
    assert (masks[-1] != mask).any()
    _, masks = corruptions.series(image, mask, "noise")
    assert (masks == mask).all()
    assert corruptions.series(image, None, "noise")[1] is None


def test_each_channel_keeps_its_own_range():
    image = np.random.default_rng(0).integers(0, 200, (32, 32, 3)) * np.array([4, 1, 20])
    image[0, 0] = 0
    pictures, _ = corruptions.series(image.astype(np.int16), None, "noise")
    expected = to_bytes(image.astype(np.int16)[None])[0]
    assert (pictures[0] == expected).all() and pictures[0].max(axis=(0, 1)).min() > 250
    grey = expected[..., :1]
    assert (corruptions.series(grey, None, "noise")[0][0] == grey).all()


def test_an_unknown_corruption_lists_the_known():
    with pytest.raises(ValueError, match="noise, bias field"):
        corruptions.series(np.zeros((4, 4, 1)), None, "rain")


def test_first_fall_worked_by_hand():
    steady = [0.8] * 9
    assert corruptions.first_fall(steady) is None
    assert corruptions.first_fall([0.8, 0.75, 0.71, *[0.8] * 6]) == 0.25  # 0.72 is the limit
    assert corruptions.first_fall([0.8, float("nan"), *[0.8] * 7]) == 0.125
    assert (
        corruptions.first_fall([0.0] * 9) is None
        and corruptions.first_fall([float("nan")] * 9) is None
    )
