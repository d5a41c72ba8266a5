"""With what a run was trained."""

import subprocess
from pathlib import Path

from brainseg.training import provenance

HERE = Path(provenance.__file__)


def test_the_revision_is_of_the_checkout_that_the_code_lies_in():
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=HERE.parent, capture_output=True, text=True, check=True
    )
    told = provenance.provenance()
    assert told["git_revision"] == head.stdout.strip() and told["versions"]["torch"]


def test_there_is_none_without_git(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert provenance.provenance()["git_revision"] is None


def test_nor_of_a_repository_that_does_not_hold_the_code(tmp_path, monkeypatch):
    """As where it is installed into an environment inside somebody's project."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for asked in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "theirs"]):
        subprocess.run([*git, *asked], cwd=tmp_path, check=True)
    copy = tmp_path / HERE.name
    copy.write_text(HERE.read_text())
    monkeypatch.setattr(provenance, "__file__", str(copy))
    assert provenance.provenance()["git_revision"] is None
