"""``train.py --push-to-hub`` against the Hub on loopback."""

import pytest

import train
from brainseg.checkpoints.folder import read_checkpoint
from brainseg.checkpoints.hub import download

REPO = "ada/brainseg"


@pytest.fixture
def run(tmp_path):
    """Train a tiny U-Net on phantoms, with more flags; returns the exit status."""
    places = ["--runs", str(tmp_path / "runs"), "--cache", str(tmp_path / "cache")]

    def command(*flags: str) -> int:
        return train.main(
            ["--model", "unet", "--loss", "bce", "--dataset", "phantom", "--size", "32",
             "--epochs", "1", "--batch-size", "8", "--cpu", "--precision", "no", "--set",
             "limit_patients=10", *places, *flags]
        )  # fmt: skip

    return command


def test_what_was_trained_is_pushed(hub, run, tmp_path):
    hub.fail("POST", "/commit/", status=503)
    assert run("--push-to-hub", REPO, "--private") == 1  # trained, and not pushed
    folder = tmp_path / "runs" / "phantom" / "unet-bce" / "without0+1-seed0"
    trained = read_checkpoint(folder)
    hub.faults.clear()
    assert run("--push-to-hub", REPO, "--private") == 0  # finished already, and pushed now
    assert hub.repos["model", REPO].private
    assert download(f"{REPO}/unet-bce").sha256() == trained.sha256()
    assert "unet-bce" in (folder / "README.md").read_text()


def test_a_failed_push_says_how_to_do_it_later(hub, run, tmp_path, capsys):
    hub.fail("POST", "/preupload/", status=403)
    assert run("--push-to-hub", REPO) == 1
    said = capsys.readouterr().err
    folder = tmp_path / "runs" / "phantom" / "unet-bce" / "without0+1-seed0"
    assert f"python -m brainseg push {folder} {REPO}" in said and "(403)" in said


@pytest.mark.parametrize("flags", [["no-repo"], ["a/b", "--seeds", "0", "1"]])
def test_what_cannot_be_pushed_is_not_trained(hub, run, tmp_path, flags):
    assert run("--push-to-hub", *flags) == 2
    assert not (tmp_path / "runs").exists()


def test_nobody_logged_in_is_told_before_training(hub, run, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("HF_TOKEN")
    assert run("--push-to-hub", REPO) == 2
    assert "hf auth login" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
