"""Tables of the study as CSV files."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from brainseg.files import replacing

_TEXTS = ("checkpoint", "model", "loss", "encoder", "patient")


def write_table(path: Path, rows: Sequence[dict], columns: Iterable[str] | None = None) -> None:
    """Rows as CSV; NaN becomes an empty field."""
    with replacing(path) as aside, open(aside, "w", newline="", encoding="utf-8") as stream:
        columns = list(columns or (rows[0] if rows else []))
        writer = csv.DictWriter(stream, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows({key: _plain(value) for key, value in row.items()} for row in rows)


def read_table(path: Path) -> list[dict]:
    """Rows of a CSV file, numbers as float and empty fields as NaN; no rows if it is not there."""
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as stream:
        return [{k: _number(k, v) for k, v in row.items()} for row in csv.DictReader(stream)]


def _number(key: str, text: str) -> str | float:
    return text if key in _TEXTS else float(text or "nan")


def _plain(value):
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.6g}"
    return value
