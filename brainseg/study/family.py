"""Models with one encoder from one start, trained alike on several data sets: what each data set
says of them, beside each other.

They are scored out of fold (every patient) and, with what was fitted on them, on the held-out fold.
"""

from __future__ import annotations

import numpy as np

from brainseg.data import DATASETS
from brainseg.inference.results import FUSIONS
from brainseg.metrics.statistics import summarise
from brainseg.study.claims import FAMILY_CLAIMS, judge
from brainseg.study.findings import Study

OUT_OF_FOLD = "Every patient, out of fold"
HELD_OUT = "On the held-out fold"
READ_BY = (
    "p-values are of paired Wilcoxon tests, corrected for the tests on one data set (Holm). An "
    "interval over patients knows nothing of training noise."
)


def family(study: Study) -> list[dict]:
    """The groups of scores that there are: ``title``, ``told`` (``told.md`` beside the sets, and in
    the first how to read all), ``names`` of models and fusions, best first by the mean of the data
    sets' means, and ``sets``.

    Each of these has ``dataset``, ``folder`` (in the study's), ``selection``, ``patients``,
    ``note``, ``scores`` by name (as ``summarise`` gives them, and ``folds``, the mean of each fold
    where there are several), and ``claims`` (as ``judge`` gives them; their text ends with in how
    many folds the hardest difference has the same sign). Models that tell classes apart, which
    have a section of their own, and those without any Dice are passed over.
    """
    groups = []
    for title, folder, studies in (
        (OUT_OF_FOLD, "out-of-fold", study.out_of_fold),
        (HELD_OUT, "held-out", study.held_out),
    ):
        sets = [_one_set(one, study) for one in sorted(studies, key=_place)]
        if sets := [one for one in sets if one["scores"]]:
            by_hand = study.by_hand(f"{folder}/told.md")
            told = " ".join(filter(None, (by_hand, "" if groups else READ_BY)))
            groups.append({"title": title, "told": told, "names": _best_first(sets), "sets": sets})
    return groups


def order_text(group: dict) -> str:
    """Whether the data sets put the models that all of them have, fusions aside, into one order;
    "" where there is nothing to compare."""
    sets = group["sets"]
    shared = set.intersection(*(set(one["scores"]) for one in sets)) - set(FUSIONS)
    orders = [[name for name in one["scores"] if name in shared] for one in sets]
    names = [one["dataset"] for one in sets]
    if len(sets) < 2 or len(shared) < 2:
        return ""
    if all(order == orders[0] for order in orders):
        return f"By their means the models stand in the same order on {' and '.join(names)}."
    told = (
        f"{' before '.join(f'`{name}`' for name in order)} on {dataset}"
        for dataset, order in zip(names, orders, strict=True)
    )
    return f"By their means, firm or not, the models do not stand in one order: {'; '.join(told)}."


def _best_first(sets: list[dict]) -> list[str]:
    means: dict[str, list[float]] = {}
    for one in sets:
        for name, score in one["scores"].items():
            means.setdefault(name, []).append(score["mean"])
    return sorted(means, key=lambda name: -np.mean(means[name]))


def _place(one: Study) -> int:
    """As data sets stand everywhere; others last."""
    dataset = one.about["dataset"]
    return list(DATASETS).index(dataset) if dataset in DATASETS else len(DATASETS)


def claims_of(one: Study) -> list[dict]:
    """The verdicts, as ``judge`` gives them, on those claims whose models are all in one folder of
    scores."""
    dice = _dice(one)
    return judge(dice, tuple(c for c in FAMILY_CLAIMS if {c.better, *c.others} <= dice.keys()))


def _dice(one: Study) -> dict[str, np.ndarray]:
    """Of the models that are looked at here."""
    of_classes = set() if one.per_class.empty else set(one.per_class["checkpoint"])
    return {
        name: values
        for name, values in one.dice.items()
        if name not in of_classes and not np.isnan(values).all()
    }


def _one_set(one: Study, study: Study) -> dict:
    about = one.about
    return {
        "folder": one.folder.relative_to(study.folder).as_posix(),
        **{key: about[key] for key in ("dataset", "selection", "patients", "note")},
        "scores": {
            name: {**summarise(values), "folds": _by_fold(one, name)}
            for name, values in _dice(one).items()
        },
        "claims": [
            {**claim, "text": claim["text"] + _folds_alike(one, claim)} for claim in claims_of(one)
        ],
    }


def _by_fold(one: Study, name: str) -> dict[str, float]:
    own = one.table[one.table["checkpoint"] == name]
    means = own.groupby("fold")["dice"].mean()
    return {str(int(fold)): float(mean) for fold, mean in means.items()} if len(means) > 1 else {}


def _folds_alike(one: Study, claim: dict) -> str:
    folds, others = (_by_fold(one, claim[key]) for key in ("better", "other"))
    gaps = [folds[fold] - others[fold] for fold in folds]
    alike = sum(gap * claim["difference"] > 0 for gap in gaps)
    return f"; so in {alike} of {len(gaps)} folds" if gaps else ""
