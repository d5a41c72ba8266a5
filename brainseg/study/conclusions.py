"""What a study concludes: a few sentences by hand, and beside each a figure from the scores.

``conclusions.toml`` in the study's folder has a table ``[[conclusions]]`` for each:

- ``title``, ``sentence``: Markdown without marks, in plain words;
- ``of``, ``minus``: two rows of the study, whose paired difference in Dice is the figure. A row of
  a folder in the study's is named with it: ``equal/unet-bce``, ``out-of-fold/lgg/unet-bce``;
- ``claim``: that which the figure decides, as ``claims.py`` words it, or "". It is the verdict in
  the folder of ``of`` if one of ``family.py`` is there, and else that of the study's rows;
- ``show``: what to look at, as in an address of the page: ``example``, ``left``, ``right`` and
  ``view``;
- ``shown``: what the visitor sees there, where that is not what the figure was measured on.
"""

from __future__ import annotations

import tomllib

from brainseg.metrics.statistics import paired_difference
from brainseg.study.claims import LEVEL, differences
from brainseg.study.family import claims_of
from brainseg.study.findings import Study
from brainseg.study.training_text import training_text

FILE = "conclusions.toml"
_KEYS = {"title", "sentence", "of", "minus", "claim", "show", "shown"}


def conclusions(study: Study) -> list[dict]:
    """By hand ``title``, ``sentence``, ``show`` and ``shown``; from the scores ``difference``,
    ``low``, ``high`` and ``patients``, as ``paired_difference`` has them, ``what``, of which
    models, and ``verdict`` on its claim. Empty without the file.

    Raises ValueError where the file is none, or names what the study has not.
    """
    path = study.folder / FILE
    if not path.is_file():
        return []
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))["conclusions"]
        if wrong := [entry for entry in entries if entry.keys() != _KEYS]:
            raise KeyError(f"{sorted(wrong[0])}, not {sorted(_KEYS)}")
    except (tomllib.TOMLDecodeError, AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no list of conclusions ({error}).") from error
    return [_with_figure(study, entry) for entry in entries]


def in_short(study: Study) -> list[str]:
    """The conclusions as a section of the study's page."""
    lines = [
        f"- **{one['title']}.** {one['sentence']} {one['difference']:+.3f} Dice, 95 % interval "
        f"{one['low']:+.3f} to {one['high']:+.3f}, {one['patients']} patients: {one['what']}."
        + (f" {one['verdict']}." if one["verdict"] else "")
        for one in conclusions(study)
    ]
    return ["## In short", "\n".join(lines)] if lines else []


def _with_figure(study: Study, entry: dict) -> dict:
    (first, name), (second, other) = (_row(study, entry[key]) for key in ("of", "minus"))
    if set(first.table["patient"]) != set(second.table["patient"]):
        raise ValueError(
            f"{FILE} sets {entry['of']} against {entry['minus']}: expected the same patients."
        )
    gap = paired_difference(first.dice[name], second.dice[other])
    return {
        **{key: entry[key] for key in ("title", "sentence", "show", "shown")},
        **{key: gap[key] for key in ("difference", "low", "high", "patients")},
        "what": _what(study, (first, name), (second, other)),
        "verdict": _verdict(study, first, entry["claim"]),
    }


def _what(study: Study, *rows: tuple[Study, str]) -> str:
    """Of which models the difference is, how long they were trained, and on whom they were scored
    where that is not on the patients of the study's rows."""
    (first, name), (_, other) = rows
    trained, other_trained = (_trained(*row) for row in rows)
    what = f"{name} minus {other}"
    if trained and trained == other_trained:
        what += f", each trained for {trained}"
    elif trained and other_trained:
        what = f"{name} after {trained} minus {other} after {other_trained}"
    if set(first.table["patient"]) != set(study.table["patient"]) or first in study.held_out:
        what += f", on {first.about['dataset']}, {first.about['selection'].partition(':')[0]}"
    return what


def _trained(found: Study, name: str) -> str:
    """How long a model was trained, "" for fusions and where nobody tells."""
    model = found.models.get(name, {})
    return training_text(model) if "total_epochs" in model else ""


def _verdict(study: Study, where: Study, claim: str) -> str:
    if not claim:
        return ""
    claims = claims_of(where) or study.claims
    found = next((one for one in claims if one["claim"] == claim), None)
    if found is None:
        there = ", ".join(one["claim"] for one in claims)
        raise ValueError(f"{FILE} names the claim {claim!r}, which is none of: {there}.")
    count = len(differences(claims))
    tests = f"after correction for {count} tests" if count > 1 else "in the only test"
    verdict = f"The claim “{claim}” is {found['verdict']}"
    if found["p_holm"] is None:
        return verdict
    return f"{verdict}: p = {found['p_holm']:.2g} {tests}, {LEVEL} is the bar"


def _row(study: Study, named: str) -> tuple[Study, str]:
    """The study that has a row, and the row's name."""
    folder, _, name = named.rpartition("/")
    found = study.within(folder) if folder else study
    if found is None or name not in found.dice:
        there = ", ".join(found.dice) if found else "no scores"
        raise ValueError(f"{FILE} names {named}, which the study has not: there are {there}.")
    return found, name
