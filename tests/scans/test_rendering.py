import cv2
import numpy as np
import pytest

from brainseg.scans import rendering
from brainseg.scans.rendering import MASK_COLOUR, TRUTH_COLOUR
from brainseg.scans.scan import Scan

MARKED, TRUE = list(MASK_COLOUR), list(TRUTH_COLOUR)


def square(side, start, stop):
    mask = np.zeros((side, side), bool)
    mask[start:stop, start:stop] = True
    return mask


def test_overlay_worked_by_hand():
    image = np.full((5, 5), 100, np.uint8)
    picture = rendering.overlay(image, square(5, 1, 4), alpha=0.5)
    assert picture.dtype == np.uint8 and picture.shape == (5, 5, 3)
    assert picture[0, 0].tolist() == [100, 100, 100]  # outside
    assert picture[1, 1].tolist() == picture[1, 2].tolist() == MARKED  # outline
    # Inside: (100 + 213) / 2, (100 + 94) / 2, (100 + 0) / 2, halves rounded up.
    assert picture[2, 2].tolist() == [157, 97, 50]
    assert (image == 100).all()


def test_truth_is_an_outline_on_top():
    picture = rendering.overlay(np.zeros((7, 7), np.uint8), square(7, 0, 7), square(7, 2, 5))
    assert picture[2, 2].tolist() == TRUE
    assert picture[3, 3].tolist() not in (TRUE, MARKED)  # the mask's fill shows through
    assert picture[0, 0].tolist() == MARKED


@pytest.mark.parametrize("alpha, inner", [(0, [9, 9, 9]), (1, MARKED)])
def test_alpha_from_none_to_opaque(alpha, inner):
    picture = rendering.overlay(np.full((5, 5), 9, np.uint8), square(5, 1, 4), alpha=alpha)
    assert picture[2, 2].tolist() == inner


def test_empty_masks_leave_the_picture_grey():
    image = np.arange(16, dtype=np.uint8).reshape(4, 4)
    nothing = np.zeros((4, 4), bool)
    picture = rendering.overlay(image, nothing, nothing)
    assert (picture == image[..., None]).all()


def test_masks_of_another_shape_are_refused():
    image = np.zeros((4, 4), np.uint8)
    with pytest.raises(ValueError, match="expected equal"):
        rendering.overlay(image, np.zeros((1, 4), bool))
    with pytest.raises(ValueError, match="expected equal"):
        rendering.overlay(image, np.zeros((4, 4), bool), np.zeros((4, 1), bool))


def test_outline_is_inside_the_mask_and_follows_the_border():
    assert (rendering.outline(square(6, 1, 5)) == square(6, 1, 5) & ~square(6, 2, 4)).all()
    assert (rendering.outline(square(4, 0, 4)) == ~square(4, 1, 3)).all()
    assert not rendering.outline(np.zeros((3, 3), bool)).any()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.float64])
def test_display_is_the_flair_channel_between_its_percentiles(dtype):
    pixels = np.zeros((1, 1, 101, 3), dtype)
    pixels[..., 0], pixels[..., 2] = 7, 100
    pixels[0, 0, :, 1] = np.arange(101)  # 1st percentile 1, 99th percentile 99
    shown = rendering.display_volume(Scan(pixels))
    assert shown.dtype == np.uint8 and shown.shape == (1, 1, 101)
    assert shown[0, 0, [0, 1, 99, 100]].tolist() == [0, 0, 255, 255]
    assert shown[0, 0, 50] == 128  # 127.5, rounded up


def test_display_uses_one_window_for_all_slices():
    pixels = np.stack([np.full((8, 8, 1), level) for level in (0, 500, 1000)])
    assert rendering.display_volume(Scan(pixels))[:, 0, 0].tolist() == [0, 128, 255]


def test_display_of_a_flat_scan_is_black_and_of_a_lone_spot_is_not():
    pixels = np.full((1, 40, 40, 1), -3.5)
    assert not rendering.display_volume(Scan(pixels)).any()
    pixels[0, 5, 5] = 2
    assert rendering.display_volume(Scan(pixels))[0, 5, 5] == 255


def test_largest_slice():
    mask = np.zeros((5, 3, 3), bool)
    assert rendering.largest_slice(mask) == 2  # nothing marked: the middle
    mask[1, 0, 0] = mask[3, 0, :2] = True
    assert rendering.largest_slice(mask) == 3


def test_png_keeps_every_pixel_and_its_colours():
    picture = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    file = np.frombuffer(rendering.png(picture), np.uint8)
    assert (cv2.imdecode(file, cv2.IMREAD_COLOR)[..., ::-1] == picture).all()


def test_pictures_in_proportion():
    picture = np.repeat(np.array([[0, 90], [90, 0]], np.uint8), 3).reshape(2, 2, 3)
    for spacing_mm in (None, (5, 1, 1), (5, 1, 1.01)):
        assert rendering.in_proportion(picture, spacing_mm) is picture
    assert rendering.in_proportion(picture, (1, 5, 1)).shape == (10, 2, 3)
    wide = rendering.in_proportion(picture, (1, 2, 8))
    assert wide.shape == (2, 8, 3) and wide[0, 0, 0] == 0 and wide[0, -1, 0] == 90
