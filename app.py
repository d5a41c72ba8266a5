"""Start the comparison app; nothing else.

``python app.py [--checkpoints PATH|REPO@REVISION]`` serves the checkpoints beside this file, or in
``$BRAINSEG_CHECKPOINTS``, at http://127.0.0.1:7860. ``$GRADIO_SERVER_NAME`` and
``$GRADIO_SERVER_PORT`` say otherwise.
"""

import argparse
import os
import signal
import sys
import tempfile
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

if __name__ == "__main__":
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) != signal.SIG_IGN:  # as nohup wants it
            signal.signal(number, lambda *_: sys.exit())
    tempfile.tempdir = os.environ["GRADIO_TEMP_DIR"]  # what is unpacked goes away with the uploads
    demo.launch(prevent_thread_lock=True, **LAUNCH)
    loading = threading.Timer(1, warm_up, [checkpoints])  # the first page goes first
    loading.daemon = True
    loading.start()
    try:
        demo.block_thread()
    finally:  # at once: comparisons may be at work, and whoever stops us soon kills us
        remove_uploads()
        sys.stdout.flush()
        os._exit(0)
