"""What the tests of predictions share: the names of random checkpoints, and scans of noise."""

from __future__ import annotations

import numpy as np

from brainseg.scans.scan import Scan

BASES = ["unet_resnet34-resnet18-bce", "deeplabv3plus-resnet18-bce"]
MODELS = ["unet-bce", *BASES, "unetpp-bce"]


def sample(shape: tuple[int, ...], dtype: type = np.uint8) -> Scan:
    """A scan of noise."""
    return Scan(np.random.default_rng(0).integers(0, 200, shape).astype(dtype), source="scan")


def close(one: np.ndarray, other: np.ndarray) -> None:
    # Convolutions round differently in batches of another size and memory layout, and networks
    # with random weights amplify it.
    assert np.abs(one - other).mean() < 1e-3 and np.abs(one - other).max() < 0.02
