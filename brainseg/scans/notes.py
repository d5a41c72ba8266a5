"""What was assumed while reading a file, in sentences for whoever gave it.

A reader that had to assume something calls ``note``; whoever can show the sentences collects them
with ``noting``. Elsewhere, in a script or a training, they are warnings of the logger "brainseg".
Who reads a whole set of files sums up what is said of many (``told_together``).
"""

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

ASSUMED = "assumed"

_COLLECTED: ContextVar[list[str] | None] = ContextVar("notes", default=None)

_NAME = re.compile(r"\S*(?:[/\\\d_]|\.\w)\S*")  # a path, a file's name or a number
_WHOLE = 3  # as many notes that differ in names only are told one by one


class Note(str):
    """A sentence, and in a word or two what it bears on: ``code``, as of ``guard.Finding``."""

    code: str = ASSUMED


def note(text: str, code: str = ASSUMED) -> None:
    """Say what was found, what was assumed and what to do if that is wrong. ``code``: where that is
    more than an assumption, and the scan itself is not what it was."""
    notes = _COLLECTED.get()
    if notes is None:
        logging.getLogger("brainseg").warning(text)
    elif text not in notes:
        told = Note(text)
        told.code = code
        notes.append(told)


def listed(names: Iterable[object], most: int = 8, between: str = ", ") -> str:
    """Names within a sentence: the first few, and dots where there are more."""
    names = [str(name) for name in names]
    return between.join([*names[:most], *(["..."] if len(names) > most else [])])


@contextmanager
def noting() -> Iterator[list[str]]:
    """The list that notes of this block and thread go to, each once, in order."""
    notes: list[str] = []
    token = _COLLECTED.set(notes)
    try:
        yield notes
    finally:
        _COLLECTED.reset(token)


@contextmanager
def told_together() -> Iterator[None]:
    """Pass the notes of this block on at its end, those alike summed up."""
    notes: list[str] = []
    try:
        with noting() as notes:
            yield
    finally:
        for text in summed_up(notes):
            note(text)


def summed_up(notes: Sequence[str]) -> list[str]:
    """Notes of which those that say the same of many files are the first of them and a count."""
    alike: dict[str, list[str]] = defaultdict(list)
    for text in notes:
        alike[kind_of(text)].append(text)
    told = []
    for text in notes:
        own = alike[kind_of(text)]
        if len(own) <= _WHOLE:
            told.append(text)
        elif text == own[0]:
            told.append(f"{text} (The same or the like of {len(own) - 1} more.)")
    return told


def kind_of(text: str) -> str:
    """What a note says, whatever files and numbers it names."""
    return re.sub(r"\*(?:(?:,| and)? \*)+", "*", _NAME.sub("*", text))
