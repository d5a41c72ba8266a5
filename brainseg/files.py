"""Files: written aside and then renamed, their checksums, tables as CSV and Markdown, the cache."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame

# Columns of tables that are text, whatever they look like: a patient may be called 007, or NA.
TEXTS = (
    "checkpoint", "model", "loss", "encoder", "patient", "dataset", "class", "true_kind",
    "predicted_kind", "method", "labelled", "left_out",
)  # fmt: skip


class WriteError(ValueError):
    """A file that could not be written; the message says what is still safe."""


def cache_folder() -> Path:
    """``$BRAINSEG_CACHE`` or else ``~/.cache/brainseg``: what can always be made again."""
    return Path(os.environ.get("BRAINSEG_CACHE") or Path.home() / ".cache" / "brainseg")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary sibling to write to; it replaces ``path`` when the block ends without error.

    Raises WriteError when it can't be written; what ``path`` held before is still there.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield aside
            write_through(aside)
            os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def write_through(path: Path) -> None:
    """Wait until a file is on the disk: without that its new name may be there sooner, and outlive
    a power cut without it."""
    with open(path, "r+b") as stream:  # Windows asks for the right to write
        os.fsync(stream.fileno())


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a full or failing disk into one sentence that says what is still safe."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        raise WriteError(
            f"{path} could not be written ({error}): free some space or check the rights. What was "
            "there before is unharmed."
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write a text file in one piece or not at all. Raises WriteError."""
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object, *, indent: int = 1) -> None:
    """Write a JSON file in one piece or not at all. Raises WriteError."""
    write_text(path, json.dumps(value, indent=indent))


def finite(value: object) -> object:
    """The same value with None for each NaN in it, which JSON does not have."""
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def read_table(path: Path) -> DataFrame:
    """A CSV file: columns in TEXTS as str, the others as float64, NaN where a field is empty.

    Without rows and columns if there is no such file, or nothing in it. Raises ValueError for
    what is no number.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=object, keep_default_na=False)
    except (FileNotFoundError, pd.errors.EmptyDataError):
        return pd.DataFrame()
    # By float(), because the last digit of what pandas reads itself depends on its version.
    numbers = [column for column in table if column not in TEXTS]
    table[numbers] = table[numbers].replace("", "nan").astype(float)
    return table


def write_table(
    path: Path, rows: DataFrame | Sequence[dict], columns: Sequence[str] | None = None
) -> None:
    """Rows as CSV, floats with six digits and NaN as an empty field. Raises WriteError.

    columns: these alone, in this order; all where they are not given.
    """
    import pandas as pd

    table = pd.DataFrame(rows, columns=columns)
    with replacing(path) as aside:
        table.to_csv(aside, index=False, float_format="%.6g", lineterminator="\r\n")


def sha256(path: Path) -> str:
    """Of a file's content, as 64 hex digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def markdown_table(headings: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table without a newline at its end; cells are put down as ``str`` gives them,
    ``None`` is an empty one."""
    head, *body = (
        "|" + "".join(" |" if cell is None else f" {cell} |" for cell in row)
        for row in (headings, *rows)
    )
    return "\n".join([head, "|" + "---|" * len(headings), *body])
