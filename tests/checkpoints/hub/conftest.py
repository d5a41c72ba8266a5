"""A loopback Hub and an empty cache for each test, and checkpoints to push."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest

from brainseg.inference import loading
from tests.checkpoints.hub.hub_server import TOKEN, HubServer
from tests.checkpoints.hub.loopback import HOME, HUB

SCORES = {"mean": 0.75, "low": 0.7, "high": 0.8, "median": 0.76, "patients": 9, "undefined": 0}
METRICS = {
    "validation": {"fold": 1, "patients": 8, "mean_dice": 0.7, "threshold": 0.5},
    "test": {"fold": 0, "dice": SCORES, "empty_slices": 30, "false_positive_slices": 2},
}


@pytest.fixture
def hub(monkeypatch) -> Iterator[HubServer]:
    """An empty Hub that the real client talks to, logged in, with an empty cache."""
    assert HUB.url == huggingface_hub.constants.ENDPOINT, "the client reads it when imported"
    HUB.reset()
    shutil.rmtree(HOME.name, ignore_errors=True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    # The client waits between its tries, 23 s in all; what it does is not changed by waiting less.
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    yield HUB
    loading._shared_predictor.cache_clear()  # or else the many here push out those of other tests


@pytest.fixture
def cache() -> Path:
    """Where the client keeps what it fetched."""
    return Path(HOME.name) / "hub"


@pytest.fixture(scope="session")
def trained(tmp_path_factory, save_random) -> Path:
    """A folder with a U-Net, two smp networks and a stack that reads those two, as training leaves
    them: unet-bce, unet_resnet34-resnet18-bce, deeplabv3plus-resnet18-bce, unetpp-bce."""
    folder = tmp_path_factory.mktemp("trained")
    known = {"patients": {"train": 30, "val": 8, "test": 9}, "epochs_done": 3, "best_epoch": 2}
    save_random(folder, "unet", seed=1, **known)
    bases = [
        save_random(folder, model, encoder="resnet18", seed=seed, **known)
        for seed, model in enumerate(("unet_resnet34", "deeplabv3plus"), start=2)
    ]
    save_random(folder, "unetpp", bases=bases, seed=4, **known)
    for checkpoint in folder.iterdir():
        (checkpoint / "metrics.json").write_text(json.dumps(METRICS))
    return folder


@pytest.fixture
def published(hub, trained) -> HubServer:
    """The Hub with all of ``trained`` as ``ada/brainseg``, in one commit."""
    files = {
        path.relative_to(trained).as_posix(): path.read_bytes()
        for path in trained.rglob("*")
        if path.is_file()
    }
    hub.repo("ada/brainseg").commit(files, "Add all")
    return hub
