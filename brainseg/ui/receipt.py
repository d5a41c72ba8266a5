"""A receipt of one comparison: what went in, what judged it, what came out, how to repeat it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shlex import quote

import brainseg
from brainseg.checkpoints.folder import Checkpoint
from brainseg.files import sha256
from brainseg.scans.roles import USED

_PACKAGES = ("torch", "openvino", "segmentation-models-pytorch", "numpy", "opencv-python-headless")
COMPUTED = "computed"
"""In the place of a file's sha256 in the description of a phantom."""
NOTE = "For research and teaching. Not for clinical use."


def describe_file(path: str | Path) -> dict:
    """Name, size and sha256 of a file that was given."""
    path = Path(path)
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": sha256(path)}


def describe_checkpoint(checkpoint: Checkpoint) -> dict:
    """What identifies a checkpoint: its weights' sha256 and where it was trained."""
    settings = checkpoint.settings
    return {
        "name": checkpoint.name,
        "sha256": checkpoint.sha256(),
        "threshold": settings.threshold,
        "trained_on": settings.dataset,
        "fold": settings.fold,
        "git_revision": settings.git_revision,
        "hub": checkpoint.origin,  # of a pulled one: repository and commit
    }


def make(
    inputs: Mapping[str, dict],
    checkpoints: Sequence[dict],
    report: dict,
    threshold: float | None,
    *,
    doubts: Sequence[str] = (),
    anyway: bool = False,
) -> dict:
    """The receipt as JSON-ready data.

    inputs: by role (scan, or flair, t1, t1c; truth) what ``describe_file`` says, or for a phantom
        its description; of a scan also ``channels``, if their order was given.
    report: as ``Comparison.to_json()``; ``threshold`` is the one chosen for all, or None where
    each model's own holds.
    doubts: what was found that speaks against the scan, in a word or two each.
    """
    return {
        "note": NOTE,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "brainseg": brainseg.__version__,
        "packages": {name: _version(name) for name in _PACKAGES},
        "inputs": dict(inputs),
        "against_the_scan": list(doubts),
        "checkpoints": list(checkpoints),
        "threshold_for_all": threshold,
        "result": report,
        "repeat": _by_hand(_repeat(inputs, anyway), report),
    }


def to_html(receipt: dict) -> str:
    """The receipt as a page of its own, without anything from outside."""
    result = receipt["result"]
    figures = [key for key in _FIGURES if any(key in e for e in result["models"].values())]
    scores = [
        [name, *(_cell(entry.get(key)) for key in figures)]
        for name, entry in result["models"].items()
    ]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>brainseg receipt</title>",
        f"<style>{_STYLE}</style><h1>Receipt of a comparison</h1><p><b>{NOTE}</b></p>",
        f"<p>{escape(result['source'])}, {result['slices']} slices, made {receipt['made']} with "
        f"brainseg {receipt['brainseg']}"
        + "".join(f", {escape(k)} {escape(v)}" for k, v in receipt["packages"].items())
        + ".</p>",
        "<h2>Inputs</h2>",
        _table(["role", "what", "sha256"], [[role, _what(item), item["sha256"]]
                                            for role, item in receipt["inputs"].items()]),
        f"<p>{escape(_against(receipt['against_the_scan']))}</p>",
        "<h2>Scores</h2>",
        f"<p>{_threshold_text(receipt['threshold_for_all'])} {_scope(result)}</p>",
        _table(["name", *(_FIGURES[key] for key in figures)], scores),
        "<h2>Checkpoints</h2>",
        _table(["name", "threshold", "trained on", "sha256 of the weights"],
               [[c["name"], _cell(c["threshold"]), str(c["trained_on"]), c["sha256"]]
                for c in receipt["checkpoints"]]),
        "<h2>Repeat it</h2>",
        f"<pre>{escape(receipt['repeat']['command'])}</pre>",
        f"<pre>{escape(receipt['repeat']['api'])}</pre>",
        f"<p>{escape(receipt['repeat']['note'])}</p></html>",
    ]  # fmt: skip
    return "\n".join(parts)


def to_json(receipt: dict) -> str:
    """The receipt as a JSON file."""
    return json.dumps(receipt, indent=2)


def to_csv(report: dict) -> str:
    """The scores, one row per model and fusion; what is not defined stays empty."""
    columns = ["kind", *_FIGURES]
    lines = [",".join(["name", *columns])]
    for name, entry in report["models"].items():
        cells = ["" if entry.get(key) is None else str(entry[key]) for key in columns]
        lines.append(",".join([f'"{name}"', *cells]))
    return "\n".join(lines) + "\n"


_FIGURES = {
    "dice": "Dice",
    "iou": "IoU",
    "precision": "precision",
    "recall": "recall",
    "agreement": "agreement",
    "area_px": "pixels",
    "volume_ml": "volume (ml)",
    "threshold": "threshold",
}
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}th,td{border-bottom:1px solid #bbb;padding:.3rem;"
    "text-align:left;overflow-wrap:anywhere}pre{background:#f3f3f3;padding:.8rem;"
    "white-space:pre-wrap}@media(prefers-color-scheme:dark){body{background:#111;color:#eee}"
    "pre{background:#222}}"
)


def _repeat(inputs: Mapping[str, dict], anyway: bool) -> dict:
    given = {role: item["file"] for role, item in inputs.items()}
    if inputs.get("scan", {}).get("sha256") == COMPUTED:
        kind = given["scan"].rpartition(" ")[2]
        return {
            "command": f"python app.py  # and choose the phantom {kind}",
            "api": (
                "import brainseg\nfrom brainseg.data.phantom import make_example\n\n"
                f'case = make_example("{kind}")\nbrainseg.compare(case.scan, case.mask).to_json()'
            ),
            "note": "The phantom is computed, the same everywhere.",
        }
    options = {"flair": "--flair", "t1": "--t1", "t1c": "--t1c", "truth": "--truth"}
    words = [quote(given["scan"])] if "scan" in given else []
    channels = inputs.get("scan", {}).get("channels")
    words += [f"--channels {quote(channels)}"] if channels else []
    words += [f"{options[role]} {quote(name)}" for role, name in given.items() if role in options]
    words += ["--anyway"] if anyway else []
    if "scan" in given:
        order = f", channels={channels!r}" if channels else ""
        read = f"scan = brainseg.read_scan({given['scan']!r}{order})"
    else:
        call = ", ".join(f"{role}={given[role]!r}" for role in USED if role in given)
        read = f"scan = brainseg.read_sequences({call})"
    repeated = " Files of the same name are told apart by their sha256: rename one."
    repeated = repeated if len(set(given.values())) < len(given) else ""
    truth = f"brainseg.read_mask({given['truth']!r}, scan)" if "truth" in given else "None"
    return {
        "command": f"python -m brainseg predict {' '.join(words)} --out predictions",
        "api": f"import brainseg\n\n{read}\nbrainseg.compare(scan, {truth}).to_json()",
        "note": (
            "Both use each model's own threshold. Run them beside a folder checkpoints/ whose "
            "weights have the sha256 above." + repeated
        ),
    }


def _by_hand(repeat: dict, report: dict) -> dict:
    """How to repeat it, where a truth was drawn or corrected, which no file of the inputs has."""
    if not (report.get("drawn_slices") or report.get("corrected_slices")):
        return repeat
    told = "The truth was changed by hand: to repeat the scores, give masks/truth of the downloads."
    if report.get("drawn_slices"):
        told += " It is empty in the slices on which nothing was drawn, which are not scored here."
    return {**repeat, "note": f"{repeat['note']} {told}"}


def _what(item: dict) -> str:
    return item["file"] + (f" ({item['channels']})" if item.get("channels") else "")


def _against(doubts: Sequence[str]) -> str:
    if not doubts:
        return "Nothing was found that speaks against the scan."
    return f"Found, and speaking against the scan: {'; '.join(doubts)}."


def _scope(result: dict) -> str:
    drawn = result.get("drawn_slices")
    if drawn:
        return f"Scores are of slices {', '.join(map(str, drawn))}, whose truth was drawn by hand."
    if corrected := result.get("corrected_slices"):
        where = ", ".join(map(str, corrected))
        return f"Figures are of the whole scan; its truth was corrected by hand in slices {where}."
    return "Figures are of the whole scan."


def _threshold_text(threshold: float | None) -> str:
    if threshold is None:
        return "Each model's own threshold; its model card says on whom it was chosen."
    return f"Threshold {threshold:.2f} for all, chosen by hand."


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(text)}" for text in headings)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}" for cell in row) for row in rows)
    return f"<table><tr>{head}{body}</table>"


def _cell(value: object) -> str:
    if value is None:
        return "not defined"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
