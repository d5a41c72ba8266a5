"""What a comparison says, in a sentence or two: who is right and how the others err, or, without a
truth, who agrees. All of it follows from figures that the page shows anyway."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from brainseg.metrics import overlap
from brainseg.ui.view import Entry, View, report

_ALIKE = 0.02  # Dice: less is no difference to speak of on one scan
_ODD = 0.1  # agreement: so far below all others stands out
_MOSTLY = 0.7  # of the wrong pixels
_FOUND = 0.5  # of the tumour's pixels


def answer(found: View) -> str:
    """The sentences for a comparison that is complete or was cancelled; "" before any model has
    finished. Fusions are mentioned only where one is better than every model."""
    models = [
        found.entries[n] for n, kind in found.order if kind != "fusion" and n in found.entries
    ]
    if not models or found.pairs is None:
        return ""
    if found.truth is None:
        return _without_truth(found, models)
    if not any(entry.true_counts.sum() for entry in models):
        return _without_tumour(found, models)
    return _with_truth(found, models)


def _with_truth(found: View, models: Sequence[Entry]) -> str:
    dices = {name: entry["dice"] for name, entry in report(found)["models"].items()}
    models = sorted(models, key=lambda entry: -dices[entry.name])
    best, worst = models[0], models[-1]
    if len(models) == 1:
        told = f"{best.name} has a Dice of {dices[best.name]:.2f}: it {_errors(found, best)}."
    elif dices[best.name] - dices[worst.name] < _ALIKE:
        how = "come about equally close to" if dices[best.name] >= 0.5 else "are all far from"
        told = (
            f"The {len(models)} models {how} the truth, with a Dice of "
            f"{dices[worst.name]:.2f} to {dices[best.name]:.2f}: no difference to speak of."
        )
    else:
        told = (
            f"{best.name} comes closest to the truth, with a Dice of {dices[best.name]:.2f}; "
            f"{worst.name} is furthest, with {dices[worst.name]:.2f}: it "
            f"{_errors(found, worst)}. {_apart(found, best, worst)}{_in_common(models)}"
        )
    fusions = [entry.name for entry in found.entries.values() if entry.kind == "fusion"]
    closest = max(fusions, key=lambda name: dices[name], default=None)
    if closest and dices[closest] >= dices[best.name] + 0.005:
        told += f" Of the fusions, {closest} comes closer still: {dices[closest]:.2f}."
    return told.strip()


def _errors(found: View, entry: Entry) -> str:
    """What a model does wrong, and where."""
    marked, right, true = _pixels(entry)
    false, missed = marked - right, true - right
    false_at, missed_at = _wrong_at(found, entry)
    if not marked:
        return f"marks nothing of {_size(found, true)}"
    if not right:
        return f"misses all {_size(found, true)} and marks {_size(found, marked)} elsewhere"
    if false >= missed:
        where = _where(found, false_at)
        if marked > 1.2 * true:
            return f"marks {_size(found, marked)} where {_size(found, true)} would do{where}"
        return f"marks {_size(found, false)} too much and misses {_size(found, missed)}{where}"
    return f"misses {_size(found, missed)} of {_size(found, true)}{_where(found, missed_at)}"


def _apart(found: View, one: Entry, other: Entry) -> str:
    """Where two models differ most; "" in a scan of one slice."""
    names = [name for name, _ in found.order]
    index = int(found.apart[names.index(one.name), names.index(other.name)])
    if found.shape[0] < 2 or index < 0:
        return ""
    shown = found.slice_names[index] if found.slice_names else index + 1
    return f"These two differ most on slice {shown}. "


def _in_common(models: Sequence[Entry]) -> str:
    recalls = {entry.name: _pixels(entry)[1] / _pixels(entry)[2] for entry in models}
    lost = [name for name, recall in recalls.items() if recall < 0.1]
    if lost:
        return f"Hardly any of the tumour is found by {_list(lost)}."
    found = sum(recall >= _FOUND for recall in recalls.values())
    if found < len(models):
        return f"{found} of {len(models)} models find at least half of the tumour."
    false, missed = (
        np.ptp([part(*_pixels(entry)) for entry in models])
        for part in (lambda m, r, t: m - r, lambda m, r, t: t - r)
    )
    differ = "false alarms" if false > missed else "how much of it they miss"
    return f"All find at least half of the tumour; they differ most in {differ}."


def _without_tumour(found: View, models: Sequence[Entry]) -> str:
    models = sorted(models, key=lambda entry: -_pixels(entry)[0])
    worst, silent = models[0], sum(not _pixels(entry)[0] for entry in models)
    told = "There is no tumour in the truth"
    if silent == len(models):
        return f"{told}. {_none(models)}: rightly so."
    marked = _size(found, _pixels(worst)[0])
    where = _where(found, _wrong_at(found, worst)[0])
    if len(models) == 1:
        return f"{told}, and {worst.name} marks {marked}{where}: a false alarm."
    others = "all models mark some" if not silent else f"{silent} of {len(models)} models mark none"
    return f"{told}; {others}. {worst.name} marks most, all of it false alarm: {marked}{where}."


def _without_truth(found: View, models: Sequence[Entry]) -> str:
    figures = report(found)["models"]
    agreed = {e.name: figures[e.name]["agreement"] for e in models}
    if not any(entry.marked() for entry in models):
        return f"{_none(models)}."
    if len(models) == 1:
        marked = _size(found, models[0].marked())
        only = "the only one that ran" if found.not_run else "the only model"
        return f"{models[0].name}, {only}, marks {marked}: nothing says whether rightly."
    apart = _where(found, found.disputed, "They differ most on")
    if len(models) == 2:
        one, other = (i for i, (_, kind) in enumerate(found.order) if kind != "fusion")
        value = found.pairs[one, other]
        return f"The two models agree to {value:.2f} (Dice of their masks).{apart}"
    values = {name: value for name, value in agreed.items() if value is not None}
    odd = min(values, key=values.get)
    others = [value for name, value in values.items() if name != odd]
    if min(others) - values[odd] >= _ODD:
        one = found.entries[odd]
        rest = [entry for entry in models if entry is not one]
        usual = np.median([entry.marked_at for entry in rest], axis=0)
        marks = f"it marks {_size(found, one.marked())}" if one.marked() else "it marks nothing"
        return (
            f"{odd} is the odd one out of {len(models)} models, with an agreement of "
            f"{values[odd]:.2f} where the others have {min(others):.2f} to {max(others):.2f}: "
            f"{marks}, they {_size(found, int(np.median([e.marked() for e in rest])))}"
            f"{_where(found, np.abs(one.marked_at - usual))}."
        )
    low, high = min(values.values()), max(values.values())
    how = "agree well" if low >= 0.7 else "agree in part" if low >= 0.4 else "hardly agree"
    return (
        f"The {len(models)} models {how}, {low:.2f} to {high:.2f}, and none stands out.{apart} "
        "How much they agree is not how right they are."
    )


def _none(models: Sequence[Entry]) -> str:
    return "No model marks anything" if len(models) > 1 else f"{models[0].name} marks nothing"


def _pixels(entry: Entry) -> tuple[int, int, int]:
    """Marked, rightly marked and true pixels, where the truth is known."""
    above = slice(entry.level + 1, None)
    return (
        int(entry.seen_counts[above].sum()),
        int(entry.true_counts[above].sum()),
        int(entry.true_counts.sum()),
    )


def _wrong_at(found: View, entry: Entry) -> tuple[np.ndarray, np.ndarray]:
    """Falsely marked and missed pixels of each slice, 0 where the truth is not known."""
    known = np.zeros(found.shape[0], bool)
    known[found.known()] = True
    false = np.where(known, entry.marked_at - entry.right_at, 0)
    return false, np.where(known, found.true_at() - entry.right_at, 0)


def _where(found: View, pixels: np.ndarray, begins: str = "") -> str:
    """The slices that hold most of the pixels, in words; "" where they are too many, or too
    scattered, to say anything. ``begins``: a sentence of its own begins so."""
    slices, total = len(pixels), pixels.sum()
    if slices < 4 or not total:
        return ""
    by_size = np.argsort(-pixels, kind="stable")
    enough = int(np.searchsorted(np.cumsum(pixels[by_size]), _MOSTLY * total)) + 1
    there = np.sort(by_size[:enough])
    runs = np.split(there, np.flatnonzero(np.diff(there) > 2) + 1)  # one slice between is no gap
    if len(runs) > 2 or sum(np.ptp(run) + 1 for run in runs) > slices / 2:
        return ""
    names = found.slice_names or [str(i + 1) for i in range(slices)]
    spans = [
        names[run[0]] if len(run) == 1 else f"{names[run[0]]} to {names[run[-1]]}" for run in runs
    ]
    span = f"slice{'s' if len(there) > 1 else ''} {' and '.join(spans)}"
    return f" {begins} {span}." if begins else f", mostly on {span}"


def _size(found: View, pixels: int) -> str:
    if not pixels:
        return "nothing"
    if found.scan.spacing_mm is None:
        return f"{pixels:,} px"
    volume = overlap.volume_ml(np.ones(1, bool), found.scan.spacing_mm) * pixels
    return f"{volume:.1f} ml" if volume >= 0.1 else "under 0.1 ml"


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
