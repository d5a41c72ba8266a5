"""What a comparison's figures are called on the page, and what is said where there is no figure."""

from __future__ import annotations

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


def caption(name: str, report: dict) -> str:
    """The figure of one entry of ``Comparison.to_json()``: Dice where there is a truth, or else
    agreement, and how much is marked; words where nothing is marked."""
    entry = report["models"][name]
    verdict = _against_truth(entry) if report["truth"] else _among_models(name, report)
    return f"{verdict} · {size(entry)}" if entry["area_px"] else verdict


def size(entry: dict) -> str:
    """Volume where the scan states its spacing, or else the number of pixels."""
    volume_ml = entry["volume_ml"]
    if volume_ml is None:
        return f"{entry['area_px']:,} px"
    return f"{volume_ml:.1f} ml" if volume_ml >= 0.1 else "under 0.1 ml"


def summary(report: dict) -> str:
    """One sentence on what was compared, and on what."""
    count = report["slices"]
    slices = "1 slice" if count == 1 else f"{count} slices"
    truth = "with its true mask" if report["truth"] else "no true mask given"
    left_out = "".join(f" Left out: {reason}" for reason in report["skipped"])
    return f"{report['source']}: {slices}, {truth}.{left_out}"


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


def _against_truth(entry: dict) -> str:
    if entry["dice"] is None:
        return "no tumour marked, none in truth"
    if entry["recall"] is None:
        return "tumour marked, none in truth"
    words = "" if entry["area_px"] else ", no tumour marked"
    return f"Dice {entry['dice']:.2f}{words}"


def _among_models(name: str, report: dict) -> str:
    entry = report["models"][name]
    others = [
        other
        for key, other in report["models"].items()
        if key != name and other["kind"] != "fusion"
    ]
    if not others:
        return "the only model" if entry["area_px"] else "no tumour marked"
    if not entry["area_px"]:
        alike = sum(not other["area_px"] for other in others)
        return f"no tumour marked, like {alike} of {len(others)} other models"
    return f"agreement {entry['agreement']:.2f}"


def _cell(column: str, entry: dict) -> str:
    value = entry[column]
    if column == "agreement" and not entry["area_px"]:
        return "none marked"  # 0 would read as a fault where the others are wrong
    if value is None:
        return _UNDEFINED[column]
    if column == "area_px":
        return f"{value:,}"
    return f"{value:.1f}" if column == "volume_ml" else f"{value:.3f}"
