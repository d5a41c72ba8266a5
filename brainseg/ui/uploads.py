"""The folder for what visitors give and get: of this process only, nothing in it an hour old."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

MAX_AGE_S = 2700  # with the pause between sweeps, nothing is an hour old
SWEEP_S = 300


def own_uploads() -> None:
    """Keep uploads in a folder of this process, so that none outlives it, or an hour in it: a
    temporary one, or one inside ``$GRADIO_TEMP_DIR``, whose other files may be somebody else's."""
    given = os.environ.get("GRADIO_TEMP_DIR")
    if given in _own:
        return
    if given:
        Path(given).mkdir(parents=True, exist_ok=True)
    folder = os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix="brainseg-", dir=given or None)
    _own.add(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)

    def keep_sweeping() -> None:
        while True:
            time.sleep(SWEEP_S)
            sweep(Path(folder), MAX_AGE_S)

    threading.Thread(target=keep_sweeping, name="sweep", daemon=True).start()


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
