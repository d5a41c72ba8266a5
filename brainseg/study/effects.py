"""What was measured of what the guard finds: how much worse masks get, by whom that was seen.

By the code of a finding (``scans.guard``). The figures are those of ``docs/training.md``, where a
test finds them, but for those of faint FLAIR, which stand here alone. What was not measured is said
not to be.
"""

from __future__ import annotations

from dataclasses import replace

from brainseg.scans.guard import Finding

_TOGETHER = (
    "Measured with both at once, skulls taken away and FLAIR in the place of T1, on the 20 "
    "validation patients of LGG, with unet_efficientnet, which is not necessarily compared here: "
    "the mean Dice fell from 0.779 to 0.690, or from 0.786 to 0.747 where training had practised "
    "both. Neither was measured alone."
)
_NOT_MEASURED = "What that costs was not measured."

EFFECTS = {
    "one sequence": (
        "On the 15 test patients, slice by slice, unet_efficientnet-bce has a mean Dice of 0.86 "
        "from FLAIR alone, 0.51 from T1c and 0.46 from T1, unet-bce 0.71, 0.34 and 0.21."
    ),
    "skull removed": (
        f"{_TOGETHER} One patient of BraTS 2015, a hard one, came to 0.59 by unet_efficientnet-bce "
        "and to 0.03 by unet-bce: one patient is no measure."
    ),
    "T1 missing": _TOGETHER,
    "T1c missing": _NOT_MEASURED,
    "FLAIR missing": (
        "What T1 in its place costs was not measured; without FLAIR, from T1c or T1 alone, the "
        "mean Dice of the 15 test patients is 0.51 and 0.46 by unet_efficientnet-bce, 0.34 and "
        "0.21 by unet-bce."
    ),
    "same image": _NOT_MEASURED,
    "faint FLAIR": (
        "Of the 35 test and validation patients of LGG 8 are such, with a mean Dice of 0.63 beside "
        "0.82 of the others (mean of the models; the limit was chosen on these patients)."
    ),
    "different heads": f"{_NOT_MEASURED} Masks of two heads at once mean little.",
    "text": _NOT_MEASURED,
    "CT numbers": _NOT_MEASURED,
    "thick slices": _NOT_MEASURED,
    "oblique slices": _NOT_MEASURED,
    "another plane": _NOT_MEASURED,
    "resampled": (
        f"{_NOT_MEASURED} It blurs a little, and where the grid does not fit, heads lie apart."
    ),
}


def with_effect(finding: Finding) -> Finding:
    """The finding with what it was measured to cost, if its rule has an effect."""
    effect = EFFECTS.get(finding.code)
    return replace(finding, text=f"{finding.text} {effect}") if effect else finding
