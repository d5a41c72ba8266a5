"""Pictures with transparency: what a viewer shows of them, on black."""

import numpy as np

from brainseg.scans.notes import note

_MANY = 0.25  # of all pixels half transparent: no cut-out with soft edges


def flatten(pixels: np.ndarray, alpha: np.ndarray, name: str) -> np.ndarray:
    """Pixels (height, width, channels) as they are seen through alpha (height, width), same dtype.

    One colour alone shows through a picture in its transparency, which is then returned as
    (height, width, 1). Even transparency changes nothing. A note says what else was done.
    """
    opaque = np.iinfo(alpha.dtype).max
    if alpha.min() == alpha.max():
        if pixels.any() and not alpha.any():
            note(f"{name} is wholly transparent; the picture underneath was read.")
        return pixels
    shown = pixels[alpha > 0]
    if (shown == shown[0]).all():
        return _ink(alpha, opaque, is_dark=2 * int(shown[0].max()) < opaque, name=name)
    if np.mean((alpha > 0) & (alpha < opaque)) > _MANY:
        note(
            f"{name} has a transparency of many grades, which was left out. If it belongs to the "
            "picture, flatten it onto black and save it without transparency."
        )
        return pixels
    if pixels[alpha == 0].any():
        note(
            f"The transparent parts of {name} were read as black. If what lies underneath them "
            "belongs to the picture, save it without transparency."
        )
    seen = pixels * (alpha[..., None] / opaque) + 0.5
    return seen.astype(pixels.dtype)


def _ink(alpha: np.ndarray, opaque: int, *, is_dark: bool, name: str) -> np.ndarray:
    """The picture that the transparency of a single colour makes, its background dark."""
    note(
        f"{name} has one colour only, and its picture lies in its transparency, which was read as "
        "grey. If that is wrong, save it as plain grey."
    )
    edges = np.concatenate([alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]])
    # Dark ink all round is the background itself, and tissue what shines through from the page.
    on_white = is_dark and 2 * np.median(edges) > opaque
    return (opaque - alpha if on_white else alpha)[..., None]
