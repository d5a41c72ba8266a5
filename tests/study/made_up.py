"""Scores that nothing was computed for."""

from __future__ import annotations

import numpy as np

from brainseg.study.score import COLUMNS

DICE = {
    "unet-bce": (0.80, 0.70, 0.90),
    "unetpp-bce": (0.85, 0.75, 0.95),
    "fusion_mean": (0.84, 0.76, 0.93),
}
DESCRIPTION = {
    "dataset": "made up",
    "selection": "fold 0",
    "patients": 3,
    "slicewise": False,
    "note": "",
}


def rows_of(dice: dict[str, tuple[float, ...]]) -> list[dict]:
    """A row for each model and patient, as ``score.evaluate`` gives them, with the Dice given."""
    return [
        {
            **dict.fromkeys(COLUMNS, 0.5),
            "checkpoint": name,
            "model": name,
            "loss": "bce",
            "encoder": "",
            "patient": f"patient {i}",
            "dice": value,
            "tumour_px": 100 * (i + 1),
            "hd95_mm": np.nan,
        }
        for name, values in dice.items()
        for i, value in enumerate(values)
    ]
