"""Untrained stand-ins for shipped checkpoints, and the app in a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


def save_random(
    folder: Path, model: str, *, encoder: str | None = None, bases=(), classes=()
) -> None:
    """Save an untrained network as ``folder/<model>-bce``, with ``-classes`` behind it if it tells
    some apart; it marks a third of most pictures."""
    from brainseg.checkpoints.folder import architecture_json, read_checkpoint, save_checkpoint
    from brainseg.checkpoints.settings import settings_from_json
    from brainseg.models.building import create_model

    names = [f"{base}-bce" for base in bases]
    module = create_model(model, encoder=encoder, bases=names, classes=len(classes))
    name = f"{model}-bce-classes" if classes else f"{model}-bce"
    settings = {
        "name": name,
        "classes": list(classes),
        "model": model,
        "loss": "bce",
        "encoder": encoder,
        "stack_inputs": "predictions",
        "preprocessing": {"version": "1", "size": 64},
        "threshold": 0.5,
        "run": {},
    }
    if bases:
        checksums = [read_checkpoint(folder / name).sha256() for name in names]
        settings["bases"] = [
            {"name": name, "sha256": sha256} for name, sha256 in zip(names, checksums, strict=True)
        ]
    texts = {"metrics.json": "{}", "README.md": "---\nlicense: apache-2.0\n---\n# untrained\n"}
    save_checkpoint(
        folder / name,
        module.state_dict(),
        architecture_json(module),
        settings_from_json(settings),
        texts,
    )


@contextmanager
def serve(checkpoints: Path, folder: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "BRAINSEG_CHECKPOINTS": str(checkpoints),
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
        "TMPDIR": str(folder),
    }
    environment.pop("GRADIO_TEMP_DIR", None)
    url = f"http://127.0.0.1:{port}/"
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
    try:
        _wait(url, process)
        yield url, folder
    finally:
        process.send_signal(signal.SIGTERM)
        ended = process.wait(60)
    assert ended == 0, "it does not end cleanly"
    log = (folder / "log.txt").read_text()
    # Gradio logs the paths it refuses, which the tests ask for.
    assert log.count("Traceback") == log.count("InvalidPathError:")
    assert not list(folder.glob("brainseg-*")), "uploads outlive the app"


def without_proxy():
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _wait(url: str, process: subprocess.Popen) -> None:
    give_up = time.monotonic() + 300
    while time.monotonic() < give_up:
        assert process.poll() is None, "app.py ended"
        try:
            without_proxy().open(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(url)
