"""Which values of a mask are tumour, what labels it holds, and which arrays are no mask at all."""

import numpy as np

from brainseg.scans.notes import note
from brainseg.scans.scan import ScanError

MOST_LABELS = 20
"""As many labels a mask may have; an atlas has more, and so has a scan."""

TINY = 1e-3
"""Floats this close to a whole number are one; masks with no value above it hold leftovers."""


def tumour_of(values: np.ndarray, name: str) -> np.ndarray:
    """Tumour, bool, of one channel (slices, height, width) of a volume or array.

    Labels are whole numbers or one value, and all above 0 are tumour; below 0 is background. Of
    0 and one other value with soft edges between them, as a linear resampling leaves them, half
    is the threshold. What was assumed is noted. Raises ScanError for whatever else there is.
    """
    low, positive = values.min(), values[values > 0]
    if low == 0 and not positive.size:
        return np.zeros(values.shape, bool)
    is_whole = values.dtype.kind in "biu" or _is_whole(values)
    top = float(positive.max(initial=0))
    if (low < -TINY and not is_whole) or not positive.size:
        raise _no_mask(
            name,
            f"its values reach from {low:.4g} to {top:.4g}",
            "Save it with 0 for the background and labels above 0.",
        )
    if top < TINY or (is_whole and top < 0.5):
        raise _no_mask(
            name,
            f"no value is above {top:.2g}, such as a resampling leaves behind",
            "Give the mask from before it was resampled, or threshold it.",
        )
    if low < -TINY:
        note(
            f"{name} holds negative labels (down to {low:.0f}), which are taken for background. "
            "If they mark tumour, save it with labels above 0."
        )
    levels = np.unique(np.rint(positive) if is_whole else positive)
    levels = levels[levels > 0]
    if is_whole and (len(levels) == 1 or top <= MOST_LABELS):
        _note_many(levels, name)
        return values > 0.5
    if not is_whole and np.ptp(levels) <= TINY * top:
        note(
            f"{name} holds 0 and {top:.4g}, which is taken for tumour although labels are whole "
            "numbers. If it is no mask, leave it out."
        )
        return values > top / 2
    if _has_soft_edges(values, top):
        note(
            f"{name} holds values between 0 and {top:.4g} at the edges of what it marks, as a "
            f"linear resampling leaves them: from half ({top / 2:.4g}) on is taken for tumour. "
            "Resample masks with nearest neighbours to keep their outline."
        )
        return values >= top / 2
    if is_whole and len(levels) <= MOST_LABELS:
        _note_many(levels, name)
        return values > 0.5
    raise _no_mask(
        name,
        f"it holds {len(levels)} different values up to {top:.4g}, as a scan, an atlas or a map of "
        "probabilities does",
        "Give the mask itself; threshold a map of probabilities first, and keep only the "
        "tumour's labels of an atlas.",
    )


def tumour_of_channels(pixels: np.ndarray, name: str) -> np.ndarray:
    """Tumour, bool (slices, height, width), of a mask (slices, height, width, channels).

    A channel that is set exactly where no other is, and on most of the border, is the background;
    the others are regions of one tumour. Both is noted. Raises ScanError where it can't be told
    which channel is the background, and as `tumour_of` does.
    """
    count = pixels.shape[-1]
    if count == 1 or (pixels == pixels[..., :1]).all():
        return tumour_of(pixels[..., 0], name)
    layers = np.stack(
        [tumour_of(pixels[..., i], f"{name} (channel {i + 1} of {count})") for i in range(count)],
        axis=-1,
    )
    set_in = layers.sum(axis=-1)
    if not set_in.all():
        used = int(layers.any(axis=(0, 1, 2)).sum())
        if used > 1:
            note(
                f"{name} has {count} channels, and what {used} of them mark is counted together as "
                "tumour. If that is wrong, save the right one alone."
            )
        return set_in > 0
    # The complement of all others: any channel of a one-hot mask, one channel of nested regions.
    rivals = [i for i in range(count) if np.array_equal(layers[..., i], set_in == layers[..., i])]
    at_border = {i: float(border_of(layers[..., i]).mean()) for i in rivals}
    background = max(rivals, key=at_border.get, default=None)
    if background is None or at_border[background] <= 0.5:
        raise ScanError(
            f"{name} has {count} channels of which at least one is set in every voxel, and none is "
            "clearly the background. Save a mask with 0 for background and labels above 0."
        )
    share = layers[..., background].mean()
    note(
        f"{name} has {count} channels: channel {background + 1}, set in {share:.1%} of the voxels "
        "and wherever no other is, is taken for background, the others for tumour. If that is "
        "wrong, save one channel with tumour 1 and the rest 0."
    )
    return ~layers[..., background]


def labels_of(pixels: np.ndarray, name: str) -> np.ndarray:
    """The labels of a mask (slices, height, width, channels): uint8 (slices, height, width).

    What is below 0 is background, as in ``tumour_of``. Raises ScanError for channels that differ
    and for values that are no whole numbers up to 255, since such have no labels.
    """
    if not (pixels == pixels[..., :1]).all():
        raise ScanError(
            f"{name} has {pixels.shape[-1]} channels, which say nothing of labels. Save one "
            "channel with a whole number for each class and 0 for the background."
        )
    values = pixels[..., 0]
    if values.dtype.kind not in "biu" and not _is_whole(values):
        raise ScanError(
            f"{name} holds values that are no whole numbers, so it has no labels. Save it with a "
            "whole number for each class; resample it with nearest neighbours."
        )
    if values.max() > 255:
        raise ScanError(f"{name} holds the label {values.max():.0f}, expected none above 255.")
    return np.rint(np.maximum(values, 0)).astype(np.uint8)


def border_of(values: np.ndarray) -> np.ndarray:
    """The outermost values (slices, n, ...) of each slice of (slices, height, width, ...)."""
    return np.concatenate(
        [values[:, 0], values[:, -1], values[:, 1:-1, 0], values[:, 1:-1, -1]], axis=1
    )


def even_patches(values: np.ndarray) -> np.ndarray:
    """Where a pixel (slices, height, width) equals its four neighbours: labels do, edges do not."""
    even = np.zeros(values.shape, bool)
    core = values[:, 1:-1, 1:-1]
    even[:, 1:-1, 1:-1] = (
        (core == values[:, :-2, 1:-1])
        & (core == values[:, 2:, 1:-1])
        & (core == values[:, 1:-1, :-2])
        & (core == values[:, 1:-1, 2:])
    )
    return even


def _note_many(levels: np.ndarray, name: str) -> None:
    if len(levels) > 4:  # more than the parts of a tumour that are usually told apart
        note(
            f"{name} holds {len(levels)} labels up to {levels[-1]:.0f}, which are all taken for "
            "tumour. If some are healthy tissue, keep only the tumour's."
        )


def _is_whole(values: np.ndarray) -> bool:
    return bool((np.abs(values - np.rint(values)) <= TINY).all())


def _has_soft_edges(values: np.ndarray, top: float) -> bool:
    between = (values > TINY * top) & (values < 0.98 * top)
    is_few = 0 < between.sum() <= (values >= 0.98 * top).sum()
    return bool(is_few and not (even_patches(values) & between).any())


def _no_mask(name: str, found: str, remedy: str) -> ScanError:
    return ScanError(f"{name} is not a mask: {found}. {remedy}")
