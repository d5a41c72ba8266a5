"""``python -m brainseg report``: from the raw figures of a study to its pages.

Writes into the study's folder ``leaderboard.json``, ``claims.json``, ``family.json``,
``missing.json``, ``figures.json``, ``conclusions.json`` and the figures, beside it ``study.md``,
and the tables in the README between two marks each.
"""

from __future__ import annotations

import json
from pathlib import Path

from brainseg.files import finite, write_text
from brainseg.study.conclusions import conclusions
from brainseg.study.family import family
from brainseg.study.family_section import readme_family
from brainseg.study.few_labels import curve
from brainseg.study.findings import Study
from brainseg.study.pages import page, readme_table

MARKS = (
    "<!-- study table, by python -m brainseg report -->",
    "<!-- end of study table -->",
)
FAMILY_MARKS = (
    "<!-- family table, by python -m brainseg report -->",
    "<!-- end of family table -->",
)


def write_report(folder: Path, readme: Path, *, check: bool = False) -> list[Path]:
    """Write everything, or with ``check`` only compare the texts; returns the files that differ
    from what the figures say (all those written, without ``check``).

    folder: of the study, such as ``docs/study``; its page is ``study.md`` beside it.
    Raises ValueError, and writes nothing, where the study's figures are not there.
    """
    study = Study(folder)
    texts = {
        folder / "leaderboard.json": _json_text(study.leaderboard),
        folder / "claims.json": _json_text(study.claims),
        folder / "family.json": _json_text(family(study)),
        folder / "missing.json": _json_text(study.missing),
        folder / "figures.json": _json_text(study.figures),
        folder / "conclusions.json": _json_text(conclusions(study)),
        folder.with_name(f"{folder.name}.md"): page(study),  # a dot in a name begins no suffix
        readme: _with_tables(readme, study),
    }
    if check:
        return [p for p, text in texts.items() if not p.is_file() or p.read_text("utf-8") != text]
    for path, text in texts.items():
        write_text(path, text)
    return [*texts, *_draw(study)]


def _draw(study: Study) -> list[Path]:
    from brainseg.study import figures

    summaries = {name: study.scores[name]["dice"] for name in study.dice}
    models = {name: values for name, values in study.dice.items() if name in study.models}
    drawings = {
        "dice.png": lambda: figures.dice_figure(study.dice, summaries),
        "differences.png": lambda: figures.difference_figure(study.claims),
        "size.png": lambda: figures.size_figure(models or study.dice, study.tumour_px),
        "reliability.png": lambda: figures.reliability_figure(study.curves),
        "gflop.png": lambda: figures.pareto_figure(
            _points(study, "gflop"), "gflop", "GFLOP per slice, bases included"
        ),
        "latency.png": lambda: figures.pareto_figure(
            _points(study, "latency_ms"), "latency_ms", "milliseconds per slice, bases included"
        ),
    }
    drawings["few-labels.png"] = lambda: figures.label_figure(curve(study.few_labels))
    drawn = []
    for entry in study.figures:
        if entry["file"] in drawings:
            figures.save(drawings[entry["file"]](), study.folder / entry["file"])
            drawn.append(study.folder / entry["file"])
    return drawn


def _points(study: Study, key: str) -> list[dict]:
    return [
        {"name": row["name"], "dice": row["dice"]["mean"], "low": row["dice"]["low"],
         "high": row["dice"]["high"], "parameters": row["parameters"], key: row[key]}
        for row in study.leaderboard["rows"]
        if row.get(key) and row["parameters"]
    ]  # fmt: skip


def _with_tables(readme: Path, study: Study) -> str:
    text = _with_table(readme, readme.read_text(encoding="utf-8"), MARKS, readme_table(study))
    table = readme_family(study)
    if not table and FAMILY_MARKS[0] not in text:
        return text
    return _with_table(readme, text, FAMILY_MARKS, table)


def _with_table(readme: Path, text: str, marks: tuple[str, str], table: str) -> str:
    if any(text.count(mark) != 1 for mark in marks):
        raise ValueError(f"{readme} lacks the marks of a table of the study: expected {marks}.")
    before, rest = text.split(marks[0])
    _, after = rest.split(marks[1])
    return f"{before}{marks[0]}\n{table}\n{marks[1]}{after}"


def _json_text(value) -> str:
    return json.dumps(finite(value), indent=1, ensure_ascii=False) + "\n"
