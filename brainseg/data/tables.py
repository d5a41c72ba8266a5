"""Small tables and lists that people write in spreadsheets and editors, in whatever encoding."""

from __future__ import annotations

import csv
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from brainseg.data.case import DataError
from brainseg.scans.notes import note

_ZIP, _OLE = b"PK\3\4", b"\xd0\xcf\x11\xe0"  # how .xlsx, .ods and .xls begin


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, UTF-16 or, said in a note, Windows-1252. Raises DataError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} can't be read ({error.strerror}): check the path.") from error
    if data.startswith((_ZIP, _OLE)):
        raise DataError(f"{path} is a spreadsheet: save it as CSV (UTF-8) and give that.")
    encoding = "utf-8-sig"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif b"\0" in data[:200]:
        encoding = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        pass
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is in no known encoding: save it as UTF-8.") from error
    note(
        f"{path} is not in UTF-8: it was read as Windows-1252. If names look wrong, save it as "
        "UTF-8."
    )
    return text


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a table with these columns, which may be separated by commas, semicolons, tabs
    or bars; without blank rows and the blanks around values. Other columns are left out.

    Raises DataError when the file can't be read or lacks a column.
    """
    lines = [line for line in read_text(path).splitlines() if line.strip()]
    if lines and lines[0].lower().startswith("sep="):  # as Excel writes for itself
        lines = lines[1:]
    for separator in ",;\t|":
        read = csv.reader(lines, delimiter=separator, skipinitialspace=True)
        head, *rows = list(read) or [[]]
        names = [name.strip().lower() for name in head]
        if set(columns) <= set(names):
            break
    else:
        found = f"its first line is {lines[0][:60]!r}" if lines else "it is empty"
        raise DataError(
            f"{path} lacks columns: expected {','.join(columns)}, separated by commas, semicolons "
            f"or tabs, but {found}."
        )
    places = {column: names.index(column) for column in columns}
    return [
        {column: row[at].strip() if at < len(row) else "" for column, at in places.items()}
        for row in rows
        if any(value.strip() for value in row)
    ]


def read_ids(path: Path) -> list[str]:
    """One id a line, without blank lines, the blanks around ids, and separators at a line's end."""
    lines = (line.strip(" \t,;\"'\ufeff") for line in read_text(path).splitlines())
    return [line for line in lines if line]


def values_of(
    path: Path, rows: Iterable[tuple[str, str]], column: str, names: Iterable[str], what: str
) -> dict[str, str]:
    """What (name, value) rows of the table at ``path`` say of each name; of some they say nothing.

    column: what the values are called; what: what the names are of. Both go into the notes on names
    that were matched loosely and values that are written alike. DataError if two rows disagree.
    """
    values = _one_of_each(path, rows, column)
    _tell_alike(path, filter(None, values.values()), column)
    row_of = matched(names, values)
    tell_matched(path, row_of, what)
    return {name: values[row] for name, row in row_of.items() if values[row]}


def _one_of_each(path: Path, rows: Iterable[tuple[str, str]], what: str) -> dict[str, str]:
    """A dict of (key, value) rows of the table at ``path``. DataError if two rows disagree."""
    found: dict[str, str] = {}
    for key, value in rows:
        if found.setdefault(key, value) != value:
            raise DataError(
                f"{path} names {key} twice, with {what} {found[key]!r} and {value!r}: keep the "
                "right row."
            )
    return found


def matched(wanted: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """The name that each wanted one means: the same, or the only one that differs from it in case,
    blanks or zeros in front (a spreadsheet makes 1 of 001) and is nobody else's. Others have none.
    """
    wanted, names = dict.fromkeys(wanted), dict.fromkeys(names)
    found = {name: name for name in wanted if name in names}
    asking = _alike(name for name in wanted if name not in names)
    there = _alike(name for name in names if name not in wanted)
    for key, own in asking.items():
        if len(own) == len(there.get(key, ())) == 1:
            found[own[0]] = there[key][0]
    return found


def tell_matched(path: Path, found: dict[str, str], what: str) -> None:
    """Note which names in ``path`` were taken for others by ``matched``."""
    if other := [f"{name} for {wanted}" for wanted, name in found.items() if wanted != name]:
        more = f" and {len(other) - 3} more" if len(other) > 3 else ""
        note(
            f"{path} calls {what} otherwise than expected: {', '.join(other[:3])}{more}. They were "
            "matched by what is the same but for case and zeros in front."
        )


def _tell_alike(path: Path, values: Iterable[str], what: str) -> None:
    """Note values that differ in case or in zeros in front only, which stay different."""
    several = [names for names in _alike(sorted(set(values))).values() if len(names) > 1]
    if several:
        listed = "; ".join(" and ".join(map(repr, names)) for names in several[:4])
        note(
            f"{path} has {what}s that are written alike, {listed}: they are taken as different. "
            f"If they are the same {what}, write them the same way."
        )


def _alike(names: Iterable[str]) -> dict[str, list[str]]:
    """Names by what a spreadsheet or a hurried hand would have left of them."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in names:
        key = " ".join(unicodedata.normalize("NFC", name).casefold().split())
        found[(key.lstrip("0") or "0") if key.isdecimal() else key].append(name)
    return found
