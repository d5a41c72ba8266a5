"""Of a model card, the scores: as tables, as sentences, and as metadata that the Hub reads."""

from __future__ import annotations

import math

from huggingface_hub import EvalResult

from brainseg.checkpoints.settings import Settings
from brainseg.data import datasets_of, notes_of
from brainseg.files import markdown_table

_METRICS = {"dice": "Dice", "iou": "IoU", "precision": "Precision", "recall": "Recall"}


def scored_parts(settings: Settings) -> list[tuple[str, str, bool]]:
    """Where ``metrics.json`` has test scores: key, data set, whether each slice was scored alone.

    The first data set's are ``test`` and ``test_slicewise``, another's ``test_<name>`` and
    ``test_<name>_slicewise``.
    """
    first = settings.datasets[0]
    return [
        ("test" + (name != first) * f"_{name}" + alone * "_slicewise", name, alone)
        for name in settings.datasets
        for alone in (False, True)
    ]


def eval_results(settings: Settings, metrics: dict) -> list[EvalResult]:
    """Mean per patient of each score on the test fold, with its interval beside it."""
    found = []
    for part, dataset, alone in scored_parts(settings):
        scores = metrics.get(part) or {}
        words = _words(settings, dataset, alone)
        for key, label in _METRICS.items():
            figures = scores.get(key) or {}
            if not math.isfinite(figures.get("mean", math.nan)):
                continue
            args = {"patients": figures["patients"]}
            if figures["patients"] > 1:
                args["interval_95"] = [round(figures["low"], 4), round(figures["high"], 4)]
            if notes := notes_of(dataset):
                args["note"] = " ".join(notes)
            found.append(
                EvalResult(
                    task_type="image-segmentation",
                    task_name="Brain-tumour segmentation",
                    dataset_type=dataset,
                    dataset_name=datasets_of(dataset)[dataset].TITLE,
                    dataset_config=f"fold {scores['fold']}",
                    dataset_split="test",
                    metric_type=key,
                    metric_name=f"{settings.name}: mean {label} per patient ({words})",
                    metric_value=round(figures["mean"], 4),
                    metric_args=args,
                )
            )
    return found


def _words(settings: Settings, dataset: str, alone: bool) -> str:
    """What was scored: ``"test"``, or of several data sets ``"test on lgg, each slice alone"``."""
    on = f" on {dataset}" if len(settings.datasets) > 1 else ""
    return f"test{on}{', each slice alone' if alone else ''}"


def _chosen_on(validation: dict, settings: Settings) -> str:
    """On whose predictions the threshold was chosen, and what else was."""
    threshold = f"{validation['threshold']:.2f}"
    if settings.run.leak == "slices":
        return (
            "validation (other slices of the patients it was trained on; epoch and threshold "
            f"{threshold} were chosen on them)"
        )
    if "fold" in validation:
        return (
            f"validation (fold {validation['fold']}; epoch and threshold {threshold} were "
            "chosen on it)"
        )
    folds = validation["folds"]
    seen = "" if validation["unseen"] else f", which had seen fold {settings.fold}"
    if len(folds) == 1:
        return (
            f"fold {folds[0]}, predicted by a run of the same kind that had left it out{seen}; "
            f"threshold {threshold} was chosen on it"
        )
    return (
        f"folds {', '.join(map(str, folds))}, each predicted by a run of the same kind that had "
        f"left it out{seen}; threshold {threshold} was chosen on them"
    )


def false_alarms(settings: Settings, metrics: dict) -> list[str]:
    lines = []
    for key, dataset, alone in scored_parts(settings):
        test = metrics.get(key) or {}
        if alone or not test.get("empty_slices"):
            continue
        of = f" of {dataset}" if len(settings.datasets) > 1 else ""
        lines.append(
            f"- On {test['empty_slices']} test slices{of} without tumour it marks something in "
            f"{test['false_positive_slices']}."
        )
    return lines


def scores_section(settings: Settings, metrics: dict) -> list[str]:
    rows = []
    if validation := metrics.get("validation"):
        what = _chosen_on(validation, settings)
        if by_dataset := validation.get("by_dataset"):
            names = [name for name in settings.datasets if name in by_dataset]
            told = ", ".join(f"{name} {by_dataset[name]:.3f}" for name in names)
            what += f"; the mean of {told}"
        mean = mean_text(validation["mean_dice"], validation["patients"])
        rows.append([what, validation["patients"], mean, None, None])
    for key, dataset, alone in scored_parts(settings):
        scores, label = metrics.get(key) or {}, _words(settings, dataset, alone)
        if dice := scores.get("dice"):
            mean, median = (mean_text(dice[key], dice["patients"]) for key in ("mean", "median"))
            figures = [mean, interval_text(dice), median]
            rows.append([f"{label} (fold {scores['fold']})", dice["patients"], *figures])
        elif scores and not alone:
            rows.append([f"{label} (fold {scores['fold']})", 0, "nobody is in it", None, None])
    headings = ["patients", "number", "mean Dice", "95 % interval", "median Dice"]
    stand_in = []
    if not (validation or settings.run.watch):
        stand_in = [
            "",
            f"The threshold of {settings.threshold:g} stands in until runs for the other folds "
            "are there to choose one by.",
        ]
    return [
        "Dice is computed per patient over the whole volume; intervals are 95 % bootstrap "
        "intervals over patients.",
        *stand_in,
        "",
        markdown_table(headings, rows),
        *_classes(settings, metrics),
    ]


def _classes(settings: Settings, metrics: dict) -> list[str]:
    """What scores of classes say, as a paragraph for each data set."""
    lines = []
    for key, dataset, alone in scored_parts(settings):
        scores = metrics.get(key) or {}
        if alone or not (classes := scores.get("classes")):
            continue
        told = ", ".join(
            f"{name} {mean_text(dice['mean'], dice['patients'])} ({dice['patients']})"
            for name, dice in classes["dice"].items()
        )
        words = f"{_words(settings, dataset, alone)}, fold {scores['fold']}"
        text = f"Mean Dice of its classes in the patients who have them ({words}): {told}."
        if right := classes.get("kind_right"):
            interval = f" ({interval_text(right)})" if right["patients"] > 1 else ""
            text += (
                f" The kind of a slice is right in a share of {right['mean']:.3f}{interval} of "
                f"{right['slices']}, each kind counting alike."
            )
        lines += ["", text]
    return lines


def mean_text(value: float, patients: int) -> str:
    """Of a score over so many patients; without any it is not 0, but undefined."""
    return f"{value:.3f}" if patients and math.isfinite(value) else "undefined"


def interval_text(figures: dict) -> str:
    """Of a score ``"0.800 to 0.895"``; "" of a single patient's, which has no interval."""
    low, high = figures["low"], figures["high"]
    return "" if math.isnan(low) else f"{low:.3f} to {high:.3f}"
