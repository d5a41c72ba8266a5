"""With what a run was trained: package versions and the revision of the code."""

from __future__ import annotations

import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def provenance() -> dict:
    """``versions`` by package and the ``git_revision``, for the checkpoint's settings."""
    versions = {}
    for package in ("torch", "segmentation-models-pytorch", "numpy", "opencv-python-headless"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {"versions": versions, "git_revision": _revision()}


def _revision() -> str | None:
    """The commit of this code; None without git, and for code that is no part of the repository
    that it lies in, as in a virtual environment inside somebody's project."""
    here = Path(__file__)
    try:
        answers = [
            subprocess.run(
                ["git", *asked], cwd=here.parent, capture_output=True, text=True, check=True
            )
            for asked in (["ls-files", "--error-unmatch", here.name], ["rev-parse", "HEAD"])
        ]
    except (OSError, subprocess.CalledProcessError):
        return None
    return answers[-1].stdout.strip() or None
