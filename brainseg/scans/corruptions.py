"""What scanners, patients and exports do to a picture, in steps: pure functions, seeded.

Each takes one slice, float32 (height, width, channels) in [0, 1], and a severity from 0 (the slice
as it is) to 1 (worse than most clinics would accept), and returns the same shape and range.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from brainseg.scans.preprocessing import to_bytes

LEVELS = 8  # severities from 0 to 1 in this many steps


def noise(image: np.ndarray, severity: float) -> np.ndarray:
    """Rician noise, as of a fast acquisition; its standard deviation is up to 0.25."""
    rng = np.random.default_rng(0)
    real, imaginary = rng.standard_normal((2, *image.shape), np.float32) * (0.25 * severity)
    return _clip(np.hypot(image + real, imaginary)) if severity else image


def bias_field(image: np.ndarray, severity: float) -> np.ndarray:
    """Shading by the receive coil: up to 5 times as bright on one side as on the other."""
    height, width = image.shape[:2]
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    field = np.exp(severity * 0.8 * (0.8 * columns + 0.6 * rows))
    return _clip(image * field[..., None])


def motion(image: np.ndarray, severity: float) -> np.ndarray:
    """Ghosts of a head that moved by up to 12 pixels of 256 during the acquisition."""
    shift = 12 * severity * image.shape[0] / 256
    spectrum = np.fft.fft2(image, axes=(0, 1))
    lines = np.fft.fftfreq(image.shape[0])[:, None, None]
    # The head swings while k-space is filled line by line; its middle is spared.
    swing = np.sin(np.arange(image.shape[0]) * 0.9)[:, None, None] * (np.abs(lines) > 0.02)
    moved = spectrum * np.exp(-2j * np.pi * lines * shift * swing)
    return _clip(np.abs(np.fft.ifft2(moved, axes=(0, 1))).astype(np.float32)) if severity else image


def contrast(image: np.ndarray, severity: float) -> np.ndarray:
    """A greyer window: up to 80 % of the contrast gone and the levels bent by a gamma of 2."""
    bent = _clip(image) ** (1 + severity)
    return _clip(bent * (1 - 0.8 * severity) + 0.3 * severity * (image > 0.04))


def rotation(image: np.ndarray, severity: float) -> np.ndarray:
    """A head turned in the plane by up to 60 degrees, about the middle of the picture."""
    return _clip(_turn(image, 60 * severity, cv2.INTER_LINEAR))


def resolution(image: np.ndarray, severity: float) -> np.ndarray:
    """A coarser matrix: up to 8 times larger pixels, interpolated back."""
    if not severity:
        return image
    height, width = image.shape[:2]
    factor = 1 + 7 * severity
    small = (max(2, round(width / factor)), max(2, round(height / factor)))
    coarse = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    back = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return _clip(back.reshape(image.shape))


CORRUPTIONS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "noise": noise,
    "bias field": bias_field,
    "motion": motion,
    "contrast": contrast,
    "rotation": rotation,
    "resolution": resolution,
}


def severities() -> list[float]:
    """0, 1/8, ... 1."""
    return [step / LEVELS for step in range(LEVELS + 1)]


def series(
    image: np.ndarray, mask: np.ndarray | None, name: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """One slice under every severity of a corruption.

    image: (height, width, channels), any real dtype; mask: bool (height, width) or None.

    Returns uint8 (LEVELS + 1, height, width, channels), and bool masks that moved with the head
    or None. Raises ValueError for an unknown name.
    """
    if name not in CORRUPTIONS:
        raise ValueError(f"Unknown corruption {name!r}: expected one of {', '.join(CORRUPTIONS)}.")
    # Each channel as models read it: their ranges may be worlds apart.
    scaled = to_bytes(image[None])[0, ..., : image.shape[-1]].astype(np.float32) / 255
    pictures = [CORRUPTIONS[name](scaled, severity) for severity in severities()]
    masks = None if mask is None else moved(mask, name)
    return (np.stack(pictures) * 255 + 0.5).astype(np.uint8), masks


def moved(mask: np.ndarray, name: str) -> np.ndarray:
    """A mask, bool (height, width), where every severity of a corruption moves the head: bool
    (LEVELS + 1, height, width)."""
    turned = name == "rotation"
    return np.stack([_turned_mask(mask, s) if turned else mask for s in severities()])


def first_fall(scores: list[float], share: float = 0.9) -> float | None:
    """The lowest severity from which a score falls below ``share`` of that at severity 0; None
    if it never does, or where there is nothing to fall from (0 or NaN)."""
    clean = scores[0]
    if not clean > 0:
        return None
    for severity, score in zip(severities(), scores, strict=True):
        if not score >= share * clean:
            return severity
    return None


def _turn(plane: np.ndarray, degrees: float, interpolation: int) -> np.ndarray:
    height, width = plane.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1)
    turned = cv2.warpAffine(plane, matrix, (width, height), flags=interpolation)
    return turned.reshape(plane.shape)


def _turned_mask(mask: np.ndarray, severity: float) -> np.ndarray:
    return _turn(mask.astype(np.float32), 60 * severity, cv2.INTER_LINEAR) > 0.5


def _clip(image: np.ndarray) -> np.ndarray:
    return image.clip(0, 1).astype(np.float32)
