"""What visitors give and get, in a folder of this process and in memory, for less than an hour."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import gradio as gr

MAX_AGE_S = 2700  # with the pause between sweeps, nothing is an hour old
SWEEP_S = 300
_PREFIX = "brainseg-uploads-"


def own_uploads() -> None:
    """Keep uploads in a folder of this process, so that none outlives it, or an hour in it: a
    temporary one, or one inside ``$GRADIO_TEMP_DIR``, whose other files may be somebody else's.
    What a killed process left in one beside it is swept too."""
    given = os.environ.get("GRADIO_TEMP_DIR")
    if given in _own:
        return
    if given:
        Path(given).mkdir(parents=True, exist_ok=True)
    folder = os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix=_PREFIX, dir=given or None)
    _own.add(folder)

    def sweep_all() -> None:
        for each in Path(folder).parent.glob(f"{_PREFIX}*"):
            sweep(each, MAX_AGE_S)
            if each != Path(folder):
                with contextlib.suppress(OSError):  # unless empty
                    each.rmdir()

    sweep_all()
    _repeat(sweep_all)


def remove_uploads() -> None:
    """Remove the folder with all that is in it, as happens at the end of the process too."""
    while _own:
        shutil.rmtree(_own.pop(), ignore_errors=True)


def forget_visitors(page: gr.Blocks) -> None:
    """Drop what Gradio keeps in memory of visitors who were last here ``MAX_AGE_S`` ago: the last
    values of all components, and so the scan that the viewer shows."""

    def forget() -> None:
        limit = datetime.now() - timedelta(seconds=MAX_AGE_S)
        holder = getattr(page, "state_holder", None)  # there is none before the launch
        for visitor, last in list(holder.time_last_used.items()) if holder else ():
            if last < limit:
                holder.session_data.pop(visitor, None)
                holder.time_last_used.pop(visitor, None)

    _repeat(forget)


def _repeat(action: Callable[[], None]) -> None:
    def repeat() -> None:
        while True:
            time.sleep(SWEEP_S)
            with contextlib.suppress(OSError):  # files come and go meanwhile
                action()

    threading.Thread(target=repeat, name="sweep", daemon=True).start()


def results_folder() -> str:
    """Where files for visitors are made: beside their uploads, and swept like those."""
    folder = Path(os.environ.get("GRADIO_TEMP_DIR", tempfile.gettempdir()), "results")
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def sweep(folder: Path, older_than_s: float) -> None:
    """Delete the files below a folder that are older than this, and folders left empty."""
    limit = time.time() - older_than_s
    for path in sorted(folder.rglob("*"), reverse=True):
        try:
            if path.is_dir():
                if path.stat().st_mtime < limit:
                    path.rmdir()  # fails unless empty
            elif path.stat().st_mtime < limit:
                path.unlink()
        except OSError:
            continue


_own: set[str] = set()  # folders that are already swept
atexit.register(remove_uploads)
