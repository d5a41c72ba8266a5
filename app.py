"""Start the comparison app; nothing else.

``python app.py [--checkpoints PATH|REPO@REVISION]`` serves the checkpoints beside this file, or in
``$BRAINSEG_CHECKPOINTS``, at http://127.0.0.1:7860. ``$GRADIO_SERVER_NAME`` and
``$GRADIO_SERVER_PORT`` say otherwise.
"""

import argparse
import contextlib
import os
import signal
import sys
import threading
from pathlib import Path

from brainseg.checkpoints.hub import local_folder
from brainseg.checkpoints.settings import CheckpointError
from brainseg.inference.comparing import warm_up
from brainseg.ui.page import LAUNCH, build
from brainseg.ui.uploads import remove_uploads

parser = argparse.ArgumentParser(description="Compare segmentation models on your own scan.")
parser.add_argument(
    "--checkpoints",
    metavar="PATH|REPO@REVISION",
    default=os.environ.get("BRAINSEG_CHECKPOINTS") or Path(__file__).parent / "checkpoints",
    help="a folder, or user/repo[@revision] on the Hugging Face Hub (default: %(default)s)",
)
args = parser.parse_args(None if __name__ == "__main__" else [])
try:
    checkpoints = local_folder(args.checkpoints)
    demo = build(checkpoints)
except CheckpointError as error:
    sys.exit(f"error: {error}")

STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def leave(*_) -> None:
    """End at once, without what was uploaded: comparisons may be at work for minutes, and whoever
    stops a program soon kills it."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    remove_uploads()
    with contextlib.suppress(OSError, RuntimeError):  # nobody reads it, or it is being written
        sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    for number in STOPS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup wants it
            signal.signal(number, leave)
    demo.launch(prevent_thread_lock=True, **LAUNCH)
    loading = threading.Timer(1, warm_up, [checkpoints])  # the first page goes first
    loading.daemon = True
    loading.start()
    demo.block_thread()
