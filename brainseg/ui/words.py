"""What a comparison's figures are called on the page, and what is said where there is no figure."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from brainseg.checkpoints.folder import CONFIG, METRICS, RANGES, WEIGHTS
from brainseg.data import DataError, datasets_of

# Two names at least, so that /compare and a/b stay.
_PATH = re.compile(
    r"(?<![\w.:/\\-])(?:[A-Za-z]:\\|/)(?:[^\s/\\'\"]+[/\\])+[^\s/\\'\",;:()]*[^\s/\\'\",;:().]"
)
CANCELLED_EARLY = "Cancelled before a model had finished."
KIND_ORDER = ("ensemble", "model", "fusion")
# Why a figure isn't there. Nothing marked on a healthy scan is right, so it must not look like 0.
_UNDEFINED = {
    "dice": "both empty",
    "iou": "both empty",
    "precision": "none marked",
    "recall": "none in truth",
    "agreement": "nothing to agree on",
}
_HEADINGS = {
    "dice": "Dice",
    "iou": "IoU",
    "precision": "Precision",
    "recall": "Recall",
    "agreement": "Agreement",
    "area_px": "Pixels",
    "volume_ml": "Volume (ml)",
}


def trained_on_alone(dataset: str) -> str:
    """``"trained on T1c alone"`` of data sets that have no other sequence, as ``"figshare"``; ""
    of others, and of those that are not known here."""
    try:
        found = {getattr(module, "SEQUENCES", None) for module in datasets_of(dataset).values()}
    except DataError:
        return ""
    sequences = found.pop() if len(found) == 1 else None
    return f"trained on {' and '.join(sequences)} alone" if sequences else ""


def fusions(fused: Sequence[str], singles: Sequence[str], models: int) -> dict[str, str]:
    """What each fusion does, in a few words, by its name. fused: labels of those that most fuse;
    singles: of those whose mean ``fusion_all`` is, of so many models."""
    but = " but those with classes" if len(singles) < models else ""
    everyone = f"all {len(singles)} single models{but}"
    names = " and ".join(fused) if len(fused) == 2 else everyone
    return {
        "fusion_mean": f"mean of {names}",
        "fusion_weighted": f"mean of {names}, the better weigh more",
        "fusion_vote": f"marked by more than half of {names}",
        "fusion_staple": f"vote of {names}, the reliable weigh more",
        "fusion_all": f"mean of {everyone}",
    }


def summary(report: dict, mask: str = "") -> str:
    """One sentence on what was compared, and on what; ``mask``: the file of the truth."""
    count = report["slices"]
    slices = "1 slice" if count == 1 else f"{count} slices"
    truth = "with its true mask" if report["truth"] else "no true mask given"
    if report["truth"] and mask:
        truth = f"scored by the true mask {mask}"
    if drawn := report.get("drawn_slices"):
        truth = f"truth drawn on slice {', '.join(map(str, drawn))}, scored there only"
    if corrected := report.get("corrected_slices"):
        truth += f", corrected by hand on slice {', '.join(map(str, corrected))}"
    left_out = "".join(f" Left out: {reason}" for reason in report["skipped"])
    return f"{report['source']}: {slices}, {truth}.{left_out}"


def without_paths(text: str, folder: str | Path = "") -> str:
    """A sentence for visitors: places below ``folder`` as seen from there, other paths of the
    server as names."""
    forms = {str(folder), os.path.abspath(folder), os.path.realpath(folder)} if folder else set()
    for root in sorted(forms, key=len, reverse=True):
        if len(root) > 1:  # not "." or "/"
            text = text.replace(root + os.sep, "")
            text = re.sub(re.escape(root) + r"(?![\w-])", lambda _: Path(folder).name, text)
    return _PATH.sub(lambda found: _name(found[0]), text)


def _name(path: str) -> str:
    *_, folder, name = re.split(r"[/\\]", path)
    return f"{folder}/{name}" if name in (CONFIG, WEIGHTS, METRICS, RANGES) else name


def cancelled(not_run: Sequence[str], told: str) -> str:
    """What is said of a comparison that was cancelled, before what is ``told`` of those that did
    run; one that was there by then was not."""
    if not not_run:
        return told
    return f"Cancelled. Not run: {', '.join(not_run)}. What was done is shown below. {told}"


def table(report: dict) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of all figures, as text, in the order of the cards."""
    entries = sorted(report["models"].items(), key=lambda item: KIND_ORDER.index(item[1]["kind"]))
    known = entries[0][1]
    columns = [column for column in _HEADINGS if column in known]
    if known["volume_ml"] is None:  # without spacing nobody has one
        columns.remove("volume_ml")
    headings = ["Name", "Kind", *(_HEADINGS[column] for column in columns)]
    rows = [
        [name, entry["kind"], *(_cell(column, entry) for column in columns)]
        for name, entry in entries
    ]
    return headings, rows


def _cell(column: str, entry: dict) -> str:
    value = entry[column]
    if column == "agreement" and not entry["area_px"]:
        return "none marked"  # 0 would read as a fault where the others are wrong
    if value is None:
        return _UNDEFINED[column]
    if column == "area_px":
        return f"{value:,}"
    if column == "volume_ml":
        return "under 0.1" if entry["area_px"] and value < 0.1 else f"{value:.1f}"
    return f"{value:.3f}"
