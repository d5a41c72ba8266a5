"""Models with one encoder from one start, trained alike on several data sets: what each data set
says of them, beside each other.

They are scored out of fold (every patient) and, with what was fitted on them, on the held-out fold.
"""

from __future__ import annotations

import numpy as np

from brainseg.data import DATASETS
from brainseg.metrics.statistics import summarise
from brainseg.study.claims import FAMILY_CLAIMS, judge
from brainseg.study.findings import Study

OUT_OF_FOLD = "Every patient, out of fold"
HELD_OUT = "On the held-out fold"


def family(study: Study) -> list[dict]:
    """The groups of scores that there are: ``title`` and ``sets``, of which each has ``dataset``,
    ``folder`` (in the study's), ``selection``, ``patients``, ``note``, ``scores`` by model and
    fusion (``summarise``, and ``folds``, the mean of each fold where there are several), and
    ``claims`` (as ``judge`` gives them, and ``folds``: in how many the hardest difference has the
    same sign). A claim is judged once: where it can be, on the most patients. Scores of models that
    tell classes apart are left to the section of those."""
    groups, open_claims = [], list(FAMILY_CLAIMS)
    for title, studies in ((OUT_OF_FOLD, study.out_of_fold), (HELD_OUT, study.held_out)):
        sets = [
            _one_set(one, study, tuple(open_claims))
            for one in sorted(studies, key=_place)
            if one.per_class.empty
        ]
        if sets:
            groups.append({"title": title, "sets": sets})
        judged = {claim["claim"] for one in sets for claim in one["claims"]}
        open_claims = [claim for claim in open_claims if claim.text not in judged]
    return groups


def rows_of(group: dict) -> list[str]:
    """Models and fusions of a group, best first by the mean of the data sets' means."""
    means: dict[str, list[float]] = {}
    for one in group["sets"]:
        for name, score in one["scores"].items():
            means.setdefault(name, []).append(score["mean"])
    return sorted(means, key=lambda name: -np.mean(means[name]))


def order_text(group: dict) -> str:
    """Whether the data sets put the models, fusions aside, into one order."""
    orders = {
        one["dataset"]: [name for name in one["scores"] if not name.startswith("fusion_")]
        for one in group["sets"]
    }
    names, *others = orders.values()
    if not others or len(names) < 2:
        return ""
    if all(other == names for other in others):
        return f"By their means the models stand in the same order on {' and '.join(orders)}."
    told = (f"{' before '.join(f'`{n}`' for n in order)} on {s}" for s, order in orders.items())
    return (
        f"By their means, firm or not, the models stand in another order on each data set: "
        f"{'; '.join(told)}."
    )


def _place(one: Study) -> int:
    """As data sets stand everywhere; others last."""
    dataset = one.about["dataset"]
    return list(DATASETS).index(dataset) if dataset in DATASETS else len(DATASETS)


def _one_set(one: Study, study: Study, claims: tuple) -> dict:
    about = one.about
    possible = tuple(c for c in claims if {c.better, *c.others} <= one.dice.keys())
    return {
        "folder": one.folder.relative_to(study.folder).as_posix(),
        **{key: about[key] for key in ("dataset", "selection", "patients", "note")},
        "scores": {
            name: {**summarise(dice), "folds": _by_fold(one, name)}
            for name, dice in one.dice.items()
        },
        "claims": [
            {**claim, "folds": _folds_alike(one, claim)} for claim in judge(one.dice, possible)
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
    return f"{alike} of {len(gaps)}" if gaps else ""
