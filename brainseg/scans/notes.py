"""What was assumed while reading a file, in sentences for whoever gave it.

A reader that had to assume something calls ``note``; whoever can show the sentences collects them
with ``noting``. Elsewhere, in a script or a training, they are warnings of the logger "brainseg".
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_COLLECTED: ContextVar[list[str] | None] = ContextVar("notes", default=None)


def note(text: str) -> None:
    """Say what was found, what was assumed and what to do if that is wrong."""
    notes = _COLLECTED.get()
    if notes is None:
        logging.getLogger("brainseg").warning(text)
    elif text not in notes:
        notes.append(text)


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
