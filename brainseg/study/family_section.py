"""The sections of the study's page on models that were trained alike on several data sets."""

from __future__ import annotations

from brainseg.checkpoints.card_scores import interval_text
from brainseg.files import markdown_table
from brainseg.inference.results import FUSIONS
from brainseg.study.family import family, order_text
from brainseg.study.findings import Study
from brainseg.study.score import about_text


def family_sections(study: Study) -> list[str]:
    parts = []
    for group in family(study):
        parts += [f"## {group['title']}", *filter(None, [group["told"]])]
        parts += [about_text(one) for one in group["sets"]]
        parts += [_scores_table(group)]
        parts += [text for text in (order_text(group), _folds_table(group)) if text]
        parts += _claims_table(group)
    return parts


def readme_family(study: Study) -> str:
    """The table of the README, of the models and their mean: Dice and interval in every group and
    data set; "" without any."""
    groups = family(study)
    if not groups:
        return ""
    sets = [one for group in groups for one in group["sets"]]
    headings = [f"{one['dataset']}, {one['selection'].partition(':')[0]}, {one['patients']} "
                "patients" for one in sets]  # fmt: skip
    names = dict.fromkeys(name for group in reversed(groups) for name in group["names"])
    rows = [
        [f"`{name}`", *(_cell(one["scores"].get(name)) for one in sets)]
        for name in names
        if name == "fusion_mean" or name not in FUSIONS
    ]
    return markdown_table((None, *headings), rows)


def _scores_table(group: dict) -> str:
    headings = [f"{one['dataset']}, mean Dice and 95 % interval" for one in group["sets"]]
    rows = [
        [f"`{name}`", *(_cell(one["scores"].get(name)) for one in group["sets"])]
        for name in group["names"]
    ]
    return markdown_table((None, *headings), rows)


def _folds_table(group: dict) -> str:
    found = [
        (name, one["dataset"], score["folds"])
        for name in group["names"]
        for one in group["sets"]
        if (score := one["scores"].get(name)) and score["folds"]
    ]
    folds = sorted({fold for *_, means in found for fold in means})
    rows = [
        [f"`{name}`", dataset, *(f"{means[k]:.3f}" if k in means else "" for k in folds)]
        for name, dataset, means in found
    ]
    headings = (None, "data set", *(f"fold {fold}" for fold in folds))
    return markdown_table(headings, rows) if rows else ""


def _claims_table(group: dict) -> list[str]:
    rows = [
        [claim["claim"], one["dataset"], f"**{claim['verdict']}**", claim["text"]]
        for one in group["sets"]
        for claim in one["claims"]
    ]
    headings = ("claim", "data set", "verdict", "what was found, against the hardest rival")
    return [markdown_table(headings, rows)] if rows else []


def _cell(score: dict | None) -> str:
    if not score:
        return ""
    interval = interval_text(score)
    return f"{score['mean']:.3f}" + (f" ({interval})" if interval else "")
