"""One round trip with the real Hub, where ``BRAINSEG_HUB_TEST_REPO`` and ``HF_TOKEN`` ask for it.

In a process of its own, because this one's client knows only the Hub on loopback.
"""

import os
import subprocess
import sys

import pytest

from tests.checkpoints.hub.loopback import GIVEN_TOKEN

REPO = os.environ.get("BRAINSEG_HUB_TEST_REPO")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (REPO and GIVEN_TOKEN), reason="needs BRAINSEG_HUB_TEST_REPO and HF_TOKEN"
    ),
]


def test_push_and_pull(trained, tmp_path):
    environment = {**os.environ, "HF_TOKEN": GIVEN_TOKEN, "HF_HOME": str(tmp_path / "home")}
    for name in ("HF_ENDPOINT", "HF_HUB_DISABLE_XET"):
        environment.pop(name)

    def brainseg(*arguments: str) -> str:
        command = [sys.executable, "-m", "brainseg", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert GIVEN_TOKEN not in done.stdout + done.stderr
        return done.stdout

    brainseg("push", "unetpp-bce", REPO, "--private", "--checkpoints", str(trained))
    again = brainseg("push", "unetpp-bce", REPO, "--private", "--checkpoints", str(trained))
    assert "nothing was pushed" in again
    brainseg("pull", f"{REPO}/unetpp-bce", "--out", str(tmp_path / "out"))
    for folder in (tmp_path / "out").iterdir():
        weights = (folder / "model.safetensors").read_bytes()
        assert weights == (trained / folder.name / "model.safetensors").read_bytes()
