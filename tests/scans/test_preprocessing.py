"""From pixels to what a network reads, and back to the scan's own grid."""

import cv2
import numpy as np
import pytest

from brainseg.scans.preprocessing import CLIP, normalise, prepare, prepare_mask, restore


def z_scores(pixels, size=64, **kwargs):
    prepared = prepare(pixels, size, **kwargs)
    return normalise(prepared.images, prepared.statistics)


def blob(height, width, slices=2):
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot((rows - height * 0.4) / height, (columns - width * 0.6) / width)
    return np.repeat((distance < 0.2)[None], slices, 0)


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def head(height=64, width=64, slices=3, channels=3, seed=0):
    """uint8: a textured disc on black."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    inside = np.hypot(rows / height - 0.5, columns / width - 0.5) < 0.4
    texture = rng.integers(60, 200, (slices, height, width, channels))
    return (texture * inside[None, ..., None]).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 40, 40), (3, 70, 50), (2, 64, 96), (2, 5, 3), (1, 1, 1)])
def test_shapes_and_types(shape, dtype, channels):
    pixels = np.random.default_rng(0).integers(0, 200, (*shape, channels)).astype(dtype)
    prepared = prepare(pixels, 64)
    n = shape[0]
    assert prepared.images.shape == (n, 64, 64, 3) and prepared.images.dtype == np.uint8
    for statistics in (prepared.statistics, prepared.slice_statistics):
        assert statistics.shape == (n, 3, 2) and statistics.dtype == np.float32
        assert (statistics[..., 1] > 0).all()
    assert (prepared.statistics == prepared.statistics[0]).all()  # one volume, one set
    z = normalise(prepared.images, prepared.statistics)
    assert z.shape == (n, 3, 64, 64) and z.dtype == np.float32 and z.flags.c_contiguous
    assert np.isfinite(z).all() and abs(z).max() <= CLIP


def test_pixels_are_not_changed():
    pixels = head().astype(np.float32)
    before = pixels.copy()
    prepare(pixels, 32)
    np.testing.assert_array_equal(pixels, before)


def test_normalising_is_mean_and_deviation_by_hand():
    images = np.zeros((1, 2, 2, 3), np.uint8)
    images[0, 0, 0] = (10, 20, 30)
    images[0, 1, 1] = (255, 0, 0)
    statistics = np.array([[[10, 2], [10, 5], [60, 10]]], np.float32)
    z = normalise(images, statistics)
    assert z[0, :, 0, 0].tolist() == [0, 2, -3]
    assert z[0, :, 1, 1].tolist() == [CLIP, -2, -CLIP]  # (255 - 10) / 2 is clipped, as is -6


def test_statistics_are_those_of_the_head_without_its_background():
    rng = np.random.default_rng(0)
    pixels = np.zeros((4, 64, 64, 3), np.uint8)
    tissue = rng.normal(120, 20, (4, 40, 40, 3)).clip(60, 180)
    pixels[:, 12:52, 12:52] = tissue
    mean, deviation = prepare(pixels, 64).statistics[0].T
    np.testing.assert_allclose(mean, tissue.mean((0, 1, 2)), atol=1)
    np.testing.assert_allclose(deviation, tissue.std((0, 1, 2)), atol=1.5)


def test_a_volume_has_its_own_statistics_and_each_slice_has_its_own():
    pixels = head(slices=2)
    pixels[1] = pixels[1] // 2
    prepared = prepare(pixels, 64)
    dark, bright = prepared.slice_statistics[1], prepared.slice_statistics[0]
    np.testing.assert_allclose(dark[:, 0], bright[:, 0] / 2, rtol=0.05)
    assert (prepared.statistics[0, :, 0] < bright[:, 0]).all()
    assert (prepared.statistics[0, :, 0] > dark[:, 0]).all()


# ---------------------------------------------------------------- intensities


def as_uint16(p):
    return p.astype(np.uint16) * 16


def as_float_below_zero(p):
    return p.astype(np.float32) * 3.7 - 500


def as_int16(p):
    return p.astype(np.int16) - 1024


def as_fractions(p):
    return p / 255


def as_huge(p):
    return p.astype(np.float64) * 1e6 + 1e7


def close(one, other, mean=0.15, most=1.0):
    difference = np.abs(one - other)
    assert difference.mean() < mean and difference.max() < most


@pytest.mark.parametrize(
    "convert", [as_uint16, as_float_below_zero, as_int16, as_fractions, as_huge]
)
def test_the_type_of_the_file_makes_no_difference(convert, phantom_case):
    pixels = phantom_case.scan.pixels
    close(z_scores(convert(pixels)), z_scores(pixels))
    assert z_scores(pixels).std() > 0.5  # else anything would be close


@pytest.mark.parametrize(("gain", "offset"), [(0.001, 0), (3, -40), (1000, 7e4)])
def test_floats_are_the_same_after_any_linear_change(gain, offset, phantom_case):
    pixels = phantom_case.scan.pixels.astype(np.float64)
    changed = pixels * gain + offset
    close(z_scores(changed), z_scores(pixels), mean=0.005, most=0.1)


@pytest.mark.parametrize(("gain", "offset"), [(0.8, 40), (0.5, 0)])
def test_bytes_are_the_same_after_a_linear_change(gain, offset, phantom_case):
    pixels = phantom_case.scan.pixels
    pixels = (pixels * (255 / pixels.max((0, 1, 2)))).astype(np.uint8)  # dark bytes hold too little
    changed = (pixels * gain + offset + 0.5).astype(np.uint8)
    close(z_scores(changed), z_scores(pixels), mean=0.25)


def test_channels_are_scaled_each_on_its_own(phantom_case):
    pixels = phantom_case.scan.pixels.astype(np.float32)
    close(z_scores(pixels * np.float32([1, 30, 0.01])), z_scores(pixels), mean=0.005, most=0.1)


def test_a_few_glaring_pixels_do_not_darken_the_rest():
    pixels = head(slices=4).astype(np.float32)
    glaring = pixels.copy()
    glaring[0, 30:32, 30:32] = 5000
    elsewhere = np.abs(z_scores(glaring) - z_scores(pixels))[1:]
    assert elsewhere.mean() < 0.2


def test_a_standardised_volume_with_background_0_gets_a_dark_background(phantom_case):
    pixels = phantom_case.scan.pixels.astype(np.float32)
    outside = pixels.max(-1) < 12
    standard = (pixels - pixels[~outside].mean(0)) / pixels[~outside].std(0)
    standard[outside] = 0
    images = prepare(standard, 64).images
    assert images[outside].max() == 0
    assert np.median(images[~outside]) > 60
    as_stored = pixels * ~outside[..., None]
    close(z_scores(standard), z_scores(as_stored), mean=0.3, most=2)


@pytest.mark.parametrize("padding", [-1000, -2000, -32768])
def test_a_background_far_below_the_head_is_as_if_it_were_dark(padding, phantom_case):
    pixels = phantom_case.scan.pixels.astype(np.int16) * 3
    outside = pixels.max(-1) < 36
    padded = np.where(outside[..., None], padding, pixels).astype(np.int16)
    close(z_scores(padded), z_scores(pixels * ~outside[..., None]), mean=0.2, most=2)
    mask = np.where(outside, -1, 1)[..., None]  # two values are no background and head
    assert np.ptp(prepare(mask.astype(np.int16), 64).images) == 255


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("value", [0, 1, 100])
def test_a_constant_image_stays_finite_and_flat(value, dtype):
    z = z_scores(np.full((2, 30, 50, 1), value, dtype))
    assert np.isfinite(z).all() and abs(z).max() <= CLIP
    square = z_scores(np.full((2, 40, 40, 1), value, dtype))
    assert np.ptp(square) == 0


@pytest.mark.parametrize("top", [4, 10])
def test_nearly_empty_slices_do_not_have_their_noise_blown_up(top):
    noise = np.random.default_rng(0).integers(0, top, (1, 64, 64, 1)).astype(np.uint8)
    assert abs(z_scores(noise)).max() < 1


# ---------------------------------------------------------------- channels, slices


def test_one_grey_channel_fills_all_three():
    grey = head(channels=1)
    prepared = prepare(grey, 64)
    for channel in range(3):
        np.testing.assert_array_equal(prepared.images[..., channel], grey[..., 0])
    same = prepare(np.repeat(grey, 3, -1), 64)
    np.testing.assert_array_equal(prepared.images, same.images)
    np.testing.assert_array_equal(prepared.statistics, same.statistics)


def test_channels_keep_their_order():
    pixels = np.zeros((1, 16, 16, 3), np.uint8)
    pixels[..., :] = (10, 20, 30)
    assert prepare(pixels, 32).images[0, 5, 5].tolist() == [10, 20, 30]
    prepared = prepare(head(), 64)
    mean, std = prepared.statistics[:, 1].T[..., None, None]
    flair = ((prepared.images[..., 1] - mean) / std).clip(-CLIP, CLIP)
    np.testing.assert_allclose(z_scores(head())[:, 1], flair, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_slicewise_of_one_slice_is_the_volume(dtype):
    pixels = head(50, 70, slices=1).astype(dtype)
    whole, slicewise = prepare(pixels, 64), prepare(pixels, 64, slicewise=True)
    np.testing.assert_array_equal(whole.images, slicewise.images)
    np.testing.assert_array_equal(whole.statistics, slicewise.statistics)
    np.testing.assert_array_equal(whole.statistics, whole.slice_statistics)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_slicewise_is_each_slice_uploaded_alone(dtype):
    pixels = head(slices=3).astype(dtype) * np.array([1, 0.5, 0.2]).reshape(3, 1, 1, 1)
    pixels = pixels.astype(dtype)
    together = prepare(pixels, 64, slicewise=True)
    for number in range(3):
        alone = prepare(pixels[number : number + 1], 64)
        np.testing.assert_array_equal(together.images[number], alone.images[0])
        np.testing.assert_array_equal(together.statistics[number], alone.statistics[0])
        np.testing.assert_array_equal(together.slice_statistics[number], alone.statistics[0])
    assert (together.statistics[0] != together.statistics[2]).any()


@pytest.mark.parametrize("share", [1, 0.2])
def test_a_slice_of_bytes_is_the_same_in_its_volume_and_alone(share):
    # In training, slices are shown as if alone by the statistics that the volume's cache has.
    pixels = head(slices=3)
    pixels[1] = pixels[1] * share  # towards the crown, slices are darker
    in_volume, alone = prepare(pixels, 64), prepare(pixels, 64, slicewise=True)
    close(
        normalise(in_volume.images, in_volume.slice_statistics),
        normalise(alone.images, alone.statistics),
        mean=0.01,
        most=0.1,
    )


# ---------------------------------------------------------------- shape


@pytest.mark.parametrize(("height", "width"), [(40, 80), (80, 40), (41, 80)])
def test_pictures_are_padded_in_the_middle_not_stretched(height, width):
    pixels = np.full((1, height, width, 1), 200, np.uint8)
    image = prepare(pixels, 80).images[0, ..., 0]
    rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
    assert (len(rows), len(columns)) == (height, width)
    assert rows[0] == (80 - height) // 2 and columns[0] == (80 - width) // 2


def test_a_circle_stays_round():
    rows, columns = np.mgrid[:60, :120]
    circle = (np.hypot(rows - 30, columns - 80) < 20)[None]
    mask = prepare_mask(circle, 240)[0]
    tall, wide = np.ptp(np.flatnonzero(mask.any(1))), np.ptp(np.flatnonzero(mask.any(0)))
    assert abs(int(tall) - int(wide)) <= 2 and abs(int(tall) - 80) < 6


@pytest.mark.parametrize("size", [64, 96, 192])
@pytest.mark.parametrize(("height", "width"), [(128, 128), (97, 130), (130, 75), (64, 64)])
def test_a_mask_survives_the_way_there_and_back(height, width, size):
    mask = blob(height, width)
    prepared = prepare_mask(mask, size)
    assert prepared.shape == (2, size, size) and prepared.dtype == np.uint8
    assert set(np.unique(prepared)) == {0, 1}
    back = restore(prepared, height, width)
    assert back.shape == mask.shape and back.dtype == np.float32 and back.flags.c_contiguous
    assert back.min() >= 0 and back.max() <= 1
    assert dice(back > 0.5, mask) > 0.95


def test_the_mask_lies_on_the_grid_of_the_image():
    mask = blob(97, 130)
    image = prepare(mask[..., None].astype(np.uint8) * 255, 64).images[..., 0]
    np.testing.assert_array_equal(image > 127, prepare_mask(mask, 64) > 0)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (7, 2), (300, 3)])
def test_restore_gives_odd_grids_back(height, width):
    back = restore(np.full((2, 64, 64), 0.25, np.float32), height, width)
    assert back.shape == (2, height, width)
    np.testing.assert_allclose(back, 0.25, atol=1e-6)


def test_at_its_own_size_nothing_changes():
    pixels = head(64, 64)
    np.testing.assert_array_equal(prepare(pixels, 64).images, pixels)
    mask = blob(64, 64)
    np.testing.assert_array_equal(restore(prepare_mask(mask, 64), 64, 64) > 0.5, mask)


# ---------------------------------------------------------------- proportions


def ellipse(row_mm, column_mm, height_mm=200, width_mm=160):
    """uint8 (2, rows, columns, 1): an ellipse with a spot, as pixels of this size see it."""
    y = (np.arange(round(height_mm / row_mm)) + 0.5) * row_mm
    x = (np.arange(round(width_mm / column_mm)) + 0.5) * column_mm
    y, x = np.meshgrid(y, x, indexing="ij")
    head = np.hypot((y - 100) / 80, (x - 80) / 60) < 1
    spot = np.hypot(y - 70, x - 95) < 20
    return np.repeat((head * 100 + spot * 80).astype(np.uint8)[None, ..., None], 2, 0), spot[None]


def as_before(image, size):
    """What a slice of square pixels has always been made into."""
    (height, width), side = image.shape[:2], max(image.shape[:2])
    top, left = (side - height) // 2, (side - width) // 2
    beside = ((top, side - height - top), (left, side - width - left), (0, 0))
    how = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    padded = np.pad(image, beside)
    return padded if side == size else cv2.resize(padded, (size, size), interpolation=how)


@pytest.mark.parametrize(
    "spacing_mm", [None, (5, 1, 1), (1, 0.5, 0.509), (1, 0, 3), (1, np.nan, 3)]
)
@pytest.mark.parametrize("shape", [(60, 90), (128, 128), (40, 33), (64, 64)])
def test_square_pixels_are_prepared_as_ever(shape, spacing_mm):
    pixels = head(*shape, slices=2)
    prepared, plain = prepare(pixels, 64, spacing_mm), prepare(pixels, 64)
    assert np.array_equal(prepared.images, [as_before(image, 64) for image in pixels])
    assert np.array_equal(prepared.statistics, plain.statistics)
    mask = blob(*shape)
    assert np.array_equal(prepare_mask(mask, 64, spacing_mm), prepare_mask(mask, 64))
    maps = np.random.default_rng(0).random((2, 64, 64))
    assert np.array_equal(restore(maps, *shape, spacing_mm), restore(maps, *shape))


@pytest.mark.parametrize("row_mm, column_mm", [(5, 1), (1, 5), (4, 1.5), (0.5, 2), (1, 1.1)])
@pytest.mark.parametrize("slicewise", [False, True])
def test_a_network_sees_true_proportions(row_mm, column_mm, slicewise):
    square, square_spot = ellipse(1, 1)
    flat, spot = ellipse(row_mm, column_mm)
    spacing_mm = (6.0, row_mm, column_mm)
    expected = prepare(square, 96, slicewise=slicewise)
    found = prepare(flat, 96, spacing_mm, slicewise=slicewise)
    stretched = prepare(flat, 96, slicewise=slicewise)
    apart = [np.abs(p.images.astype(int) - expected.images).mean() for p in (found, stretched)]
    assert apart[0] < 4 and apart[0] < 0.5 * apart[1]
    np.testing.assert_allclose(found.statistics, expected.statistics, rtol=0.1)
    seen, true = prepare_mask(spot, 96, spacing_mm) > 0, prepare_mask(square_spot, 96) > 0
    assert dice(seen, true) > 0.9
    back = restore(seen.astype(np.float32), *spot.shape[1:], spacing_mm)
    assert back.shape == spot.shape and back.dtype == np.float32 and back.flags.c_contiguous
    assert dice(back > 0.5, spot) > 0.9


def test_proportions_by_hand():
    """3 rows of 4 mm and 8 columns of 1 mm are 12 by 8 mm: in 24 pixels, 24 by 16."""
    image = prepare(np.full((1, 3, 8, 1), 200, np.uint8), 24, (1, 4, 1)).images[0, ..., 0]
    assert image[:, 4:20].min() == 200 and image.sum() == 200 * 24 * 16
    maps = np.zeros((1, 24, 24), np.float32)
    maps[:, 8:16, 6:8] = 1  # the second row, the second column
    assert np.argwhere(restore(maps, 3, 8, (1, 4, 1))[0] > 0.5).tolist() == [[1, 1]]


def test_absurd_proportions_stay_small():
    pixels = head(40, 40, slices=1)
    for spacing_mm in ((1, 1e-6, 1e6), (1, 1e9, 1)):
        assert prepare(pixels, 32, spacing_mm).images.shape == (1, 32, 32, 3)
        assert restore(np.zeros((1, 32, 32)), 40, 40, spacing_mm).shape == (1, 40, 40)
