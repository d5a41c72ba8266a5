"""What the study set out to test, and the verdict on each claim; those of ``FAMILY_CLAIMS`` were
worded after scores of fold 0 had been seen.

A claim says that one model beats others. It is confirmed if the paired difference in Dice over the
same patients lies above zero with its whole interval and a Holm-corrected Wilcoxon test at 0.05
agrees, against every one of them; refuted if any of them beats it in the same sense; and not
confirmed otherwise. A difference between models that were trained for unequally many epochs, or on
pictures of another size, is shown but decides nothing: such a claim is not tested. All tests of all
claims are corrected together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from brainseg.metrics.statistics import holm, paired_difference

ROWS = (
    "unet-bce",
    "unet-hybrid",
    "unet_resnet34-bce",
    "deeplabv3plus-bce",
    "unetpp-bce",
    "unetpp-hybrid",
)
LEVEL = 0.05
_HOW_TO_READ = (
    "{count} differences were tested at once. Among so many, one looks large by chance more often "
    "than a single one would, so p is corrected for their number (Holm), and has to be below 0.05 "
    "after that. An interval is not corrected: it can lie above zero where the claim is not "
    "confirmed."
)


@dataclass(frozen=True)
class Claim:
    """``better`` is said to beat every one of ``others``."""

    text: str
    better: str
    others: tuple[str, ...]


CLAIMS = (
    Claim("The hybrid loss improves the self-defined U-Net", "unet-hybrid", ("unet-bce",)),
    Claim(
        "DeepLabV3+ is the best single model",
        "deeplabv3plus-bce",
        ("unet-bce", "unet-hybrid", "unet_resnet34-bce"),
    ),
    Claim(
        "The U-Net++ ensemble is the best of all",
        "unetpp-bce",
        tuple(name for name in ROWS if name != "unetpp-bce"),
    ),
    Claim("For the ensemble BCE beats the hybrid loss", "unetpp-bce", ("unetpp-hybrid",)),
    Claim(
        "Learning to draw a mask of its own beats averaging the same predictions",
        "unetpp-bce",
        ("fusion_mean",),
    ),
)

_PAIR = ("unet_efficientnet-bce", "deeplabv3plus_efficientnet-bce")
FAMILY_CLAIMS = (  # on models with one encoder, one start and one training
    Claim("DeepLabV3+ is the better single model", _PAIR[1], (_PAIR[0],)),
    Claim(
        "Learning to correct the mean beats the mean itself",
        "unetpp_efficientnet-bce",
        ("fusion_mean",),
    ),
    Claim("The U-Net++ ensemble beats both that it reads", "unetpp_efficientnet-bce", _PAIR),
)


def differences(claims: list[dict]) -> list[tuple[str, dict]]:
    """Every difference that the claims rest on, each once: which is the better by the claim, and
    the comparison. Two claims may rest on one."""
    found = {}
    for claim in claims:
        for comparison in claim["comparisons"]:
            pair = _pair(claim["better"], comparison["other"])
            found.setdefault(pair, (claim["better"], comparison))
    return list(found.values())


def how_to_read(claims: list[dict]) -> str:
    """Why an interval above zero does not make a claim confirmed; "" for fewer than two tests."""
    count = len(differences(claims))
    return _HOW_TO_READ.format(count=count) if count > 1 else ""


def judge(
    dice: dict[str, np.ndarray],
    claims: tuple[Claim, ...] = CLAIMS,
    trained: dict[str, str] | None = None,
) -> list[dict]:
    """One verdict per claim with the paired differences it rests on.

    dice: by checkpoint or fusion, one Dice per patient in the same order, (n,).
    trained: by checkpoint, how long, in words that are equal where that is; fusions have none.
    Each verdict has ``claim``, ``verdict`` (confirmed, not confirmed, refuted or not tested),
    ``comparisons`` (``paired_difference`` and ``p_holm`` against each other model) and, taken from
    the comparison that is least in its favour, ``difference``, ``low``, ``high``, ``p_holm``.
    """
    judged = []
    for claim in claims:
        there = [name for name in claim.others if name in dice and claim.better in dice]
        comparisons = [
            {
                "other": name,
                **paired_difference(dice[claim.better], dice[name]),
                "unequal": _unequal(claim.better, name, trained or {}),
            }
            for name in there
        ]
        missing = [name for name in (claim.better, *claim.others) if name not in dice]
        judged.append((claim, comparisons, missing))
    tests = {}  # two claims may rest on one test, which is one
    for claim, comparisons, _ in judged:
        for comparison in comparisons:
            tests.setdefault(_pair(claim.better, comparison["other"]), []).append(comparison)
    corrected = holm([same[0]["p"] for same in tests.values()])
    for same, p_holm in zip(tests.values(), corrected, strict=True):
        for comparison in same:
            comparison["p_holm"] = p_holm
    return [_verdict(*parts, trained or {}) for parts in judged]


def _pair(one: str, other: str) -> frozenset[str]:
    return frozenset((one, other))


def _verdict(claim: Claim, comparisons: list[dict], missing: list[str], trained: dict) -> dict:
    fair = [c for c in comparisons if not c["unequal"]]
    firm = [c for c in fair if c["p_holm"] < LEVEL]
    if any(c["high"] < 0 for c in firm):
        verdict = "refuted"
    elif missing or len(fair) < len(comparisons):
        verdict = "not tested"
    elif len(firm) == len(comparisons) and all(c["low"] > 0 for c in firm):
        verdict = "confirmed"
    else:
        verdict = "not confirmed"
    hardest = min(comparisons, key=lambda c: c["difference"], default={})
    return {
        "claim": claim.text,
        "better": claim.better,
        "verdict": verdict,
        **{key: hardest.get(key) for key in ("other", "difference", "low", "high", "p_holm")},
        "missing": missing,
        "text": _text(claim, hardest, comparisons, missing, trained),
        "comparisons": comparisons,
    }


def _text(
    claim: Claim, hardest: dict, comparisons: list[dict], missing: list[str], trained: dict
) -> str:
    parts = []
    if hardest:
        parts.append(
            f"{claim.better} minus {hardest['other']}: {hardest['difference']:+.3f} Dice "
            f"[{hardest['low']:+.3f}, {hardest['high']:+.3f}], p = {hardest['p_holm']:.2g} (Holm)"
        )
    if missing:
        parts.append(f"{', '.join(missing)} not trained yet")
    lengths = {trained.get(name) for name in (claim.better, *(c["other"] for c in comparisons))}
    if comparisons and len(lengths) == 1 and None not in lengths:
        parts.append(f"each trained for {lengths.pop()}")
    parts += [c["unequal"] for c in comparisons if c["unequal"]]
    return "; ".join(parts)


def _unequal(one: str, other: str, trained: dict[str, str]) -> str:
    """What keeps two models from being compared fairly, "" if nothing."""
    if one in trained and other in trained and trained[one] != trained[other]:
        return f"unequal training: {one} {trained[one]}, {other} {trained[other]}"
    return ""
