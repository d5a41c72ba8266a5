"""The one Hub that tests can reach. To be imported before ``huggingface_hub`` ever is."""

from __future__ import annotations

import os
import sys
import tempfile

from tests.checkpoints.hub.hub_server import HubServer

assert "huggingface_hub" not in sys.modules, "the client has read its settings already"

GIVEN_TOKEN = os.environ.get("HF_TOKEN")  # for the one test that talks to the real Hub
HUB = HubServer()
HOME = tempfile.TemporaryDirectory(prefix="brainseg-tests-")
os.environ |= {
    "HF_ENDPOINT": HUB.url,
    "HF_HOME": HOME.name,
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "NO_PROXY": "127.0.0.1,localhost",
}
for _name in ("HF_HUB_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE", "HF_TOKEN_PATH"):
    os.environ.pop(_name, None)
