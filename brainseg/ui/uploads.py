"""What visitors give and get, in a folder of this process and in memory, for less than an hour."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    import gradio as gr

log = logging.getLogger(__name__)
MAX_AGE_S = 2700  # with the pause between sweeps, nothing is an hour old
SWEEP_S = 300
_PREFIX = "brainseg-uploads-"
_LOCK = ".lock"  # in such a folder, held as long as its process lives


def own_uploads() -> None:
    """Keep uploads in a folder of this process, so that none outlives it, or an hour in it: a
    temporary one, or one inside ``$GRADIO_TEMP_DIR``, whose other files may be somebody else's.
    What a killed process left beside it is removed."""
    given = os.environ.get("GRADIO_TEMP_DIR")
    if given in _own:
        return
    if given:
        Path(given).mkdir(parents=True, exist_ok=True)
    folder = os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix=_PREFIX, dir=given or None)
    lock = _own[folder] = FileLock(Path(folder, _LOCK))
    lock.acquire()

    def keep_clean() -> None:
        with contextlib.suppress(OSError):
            for path in (folder, lock.lock_file):
                os.utime(path)  # it is in use
        sweep(Path(folder), MAX_AGE_S)
        _remove_left(Path(folder).parent)

    _remove_left(Path(folder).parent)
    _repeat(keep_clean)


def _remove_left(parent: Path) -> None:
    """Remove the folders of uploads of our own processes that nobody has used for long."""
    limit = time.time() - MAX_AGE_S
    for path in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            found = path.lstat()
            ours = not hasattr(os, "getuid") or found.st_uid == os.getuid()
            if stat.S_ISDIR(found.st_mode) and ours and found.st_mtime < limit:
                with contextlib.suppress(Timeout), FileLock(path / _LOCK, timeout=0):
                    shutil.rmtree(path, ignore_errors=True)


def remove_uploads() -> None:
    """Remove the folder with all that is in it, as happens at the end of the process too."""
    for folder, lock in list(_own.items()):
        lock.release()
        aside = f"{folder}-gone"  # where threads that are still at work put nothing more
        with contextlib.suppress(OSError):
            os.rename(folder, aside)
        for path in (aside, folder):
            shutil.rmtree(path, ignore_errors=True)
        _own.pop(folder, None)


def forget_visitors(page: gr.Blocks) -> None:
    """Drop what Gradio keeps in memory of visitors who were last here ``MAX_AGE_S`` ago: the last
    values of all components, and so the scan that the viewer shows. Not of those who wait."""

    def forget() -> None:
        limit = datetime.now() - timedelta(seconds=MAX_AGE_S)
        holder = getattr(page, "state_holder", None)  # there is none before the launch
        # Those whose page is still there: of others Gradio may list an event as pending for ever.
        events = list(page._queue.event_ids_to_events.values())
        waiting = {event.session_hash for event in events if event.alive}
        for visitor, last in list(holder.time_last_used.items()) if holder else ():
            if last < limit and visitor not in waiting:
                with holder.lock:
                    holder.session_data.pop(visitor, None)
                    holder.time_last_used.pop(visitor, None)

    _repeat(forget)


def _repeat(action: Callable[[], None]) -> None:
    def repeat() -> None:
        while True:
            time.sleep(SWEEP_S)
            try:
                action()
            except Exception:  # files come and go meanwhile; the next time it may do
                log.exception("sweeping failed")

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


_own: dict[str, FileLock] = {}  # folders that are already swept
atexit.register(remove_uploads)
