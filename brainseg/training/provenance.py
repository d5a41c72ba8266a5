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
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return {"versions": versions, "git_revision": done.stdout.strip() or None}
