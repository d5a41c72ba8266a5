"""Files: written aside and then renamed, their checksums, and tables as CSV and Markdown."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


class WriteError(ValueError):
    """A file that could not be written; the message says what is still safe."""


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
            os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a full or failing disk into one sentence that says what is still safe."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        raise WriteError(
            f"{path} could not be written ({error}): free some space or check the rights. What was "
            "there before is unharmed; a run goes on with --resume."
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write a text file in one piece or not at all. Raises WriteError."""
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object, *, indent: int = 1) -> None:
    """Write a JSON file in one piece or not at all. Raises WriteError."""
    write_text(path, json.dumps(value, indent=indent))


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
