"""Start the comparison app; nothing else.

``python app.py`` serves the checkpoints beside this file, or in ``$BRAINSEG_CHECKPOINTS``, at
http://127.0.0.1:7860. ``$GRADIO_SERVER_NAME`` and ``$GRADIO_SERVER_PORT`` say otherwise.
"""

import os
import signal
import sys
import threading
from pathlib import Path

from brainseg.inference import warm_up
from brainseg.ui.page import LAUNCH, build

checkpoints = os.environ.get("BRAINSEG_CHECKPOINTS") or Path(__file__).parent / "checkpoints"
demo = build(checkpoints)

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # a clean exit deletes what was uploaded
    demo.launch(prevent_thread_lock=True, **LAUNCH)
    loading = threading.Timer(1, warm_up, [checkpoints])  # the first page goes first
    loading.daemon = True
    loading.start()
    demo.block_thread()
