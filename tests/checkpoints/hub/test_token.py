"""The token: used, and never printed, logged or saved, whatever goes wrong."""

import io
import logging
import os
import subprocess
import sys

import pytest

from brainseg.__main__ import main
from brainseg.checkpoints.folder import find_named
from brainseg.checkpoints.hub.push import push
from tests.checkpoints.hub.hub_server import TOKEN
from tests.checkpoints.hub.loopback import HOME

REPO = "ada/brainseg"


@pytest.fixture
def everything(capfd, caplog, tmp_path):
    """A function that gives all that was printed, logged and written since the test began."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    caplog.set_level(logging.DEBUG)
    logging.getLogger().addHandler(handler)

    def collect() -> str:
        captured = capfd.readouterr()
        texts = [captured.out, captured.err, stream.getvalue(), caplog.text]
        for folder in (tmp_path, HOME.name):
            for root, _, names in os.walk(folder):
                for name in names:
                    with open(os.path.join(root, name), "rb") as file:
                        texts.append(file.read().decode("latin-1"))
        return "\n".join(texts)

    yield collect
    logging.getLogger().removeHandler(handler)


def test_push_and_pull_leave_no_token(hub, trained, tmp_path, everything):
    assert main(["push", "unet-bce", REPO, "--checkpoints", str(trained)]) == 0
    assert main(["pull", REPO, "--out", str(tmp_path / "out")]) == 0
    assert TOKEN in hub.tokens_seen  # it was used
    assert TOKEN not in everything()
    served = b"".join(c for repo in hub.repos.values() for c in repo.files.values())
    assert TOKEN.encode() not in served
    assert not any(TOKEN in c.message + c.description for c in hub.repos["model", REPO].commits)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 418, 429, 500])
def test_a_hub_that_repeats_the_token_in_its_errors(hub, trained, everything, status):
    for method in ("GET", "POST", "HEAD"):
        hub.fail(method, "", status=status, message=f"Bearer {TOKEN} is bad")
    assert main(["push", "unet-bce", REPO, "--checkpoints", str(trained)]) == 1
    assert main(["pull", REPO]) == 1
    found = everything()
    assert TOKEN not in found and found.count("error: ada/brainseg") == 2


@pytest.mark.parametrize("token", ["hf_secret\x01secret", "hf_sécret", "hf_sec\nret", "hf_sec ret"])
def test_a_token_that_is_no_header(hub, trained, monkeypatch, everything, token):
    monkeypatch.setenv("HF_TOKEN", token)
    assert main(["push", "unet-bce", REPO, "--checkpoints", str(trained)]) == 1
    found = everything()
    assert "error: ada/brainseg" in found
    assert "secret" not in found and "sécret" not in found and "hf_sec" not in found


def test_a_traceback_holds_no_token(hub, trained):
    """In a notebook an error is shown with all that led to it."""
    hub.fail("POST", "/preupload/", status=418, message=f"Bearer {TOKEN}")
    code = (
        "from brainseg.checkpoints.folder import find_named; from pathlib import Path;"
        "from brainseg.checkpoints.hub.push import push;"
        f"push(find_named(['unet-bce'], Path({str(trained)!r})), {REPO!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "HubError" in done.stderr and "(418)" in done.stderr
    assert TOKEN not in done.stdout + done.stderr


def test_the_token_file_serves_too(hub, trained, monkeypatch, everything):
    from pathlib import Path

    monkeypatch.delenv("HF_TOKEN")
    path = Path(HOME.name) / "token"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(TOKEN)
    assert push(find_named(["unet-bce"], trained), REPO)
    path.unlink()
    assert TOKEN not in everything()
