"""Data sets by name: modules with ``TITLE``, ``LICENCE``, ``LICENCE_ID``, ``HOME``, ``load``."""

from __future__ import annotations

import os
from pathlib import Path

from brainseg.data import brats, figshare, folder, lgg, phantom
from brainseg.data.case import Case, CaseRef, DataError

DATASETS = {
    "lgg": lgg,
    "figshare": figshare,
    "brats": brats,
    "folder": folder,
    "phantom": phantom,
}

__all__ = ["DATASETS", "Case", "CaseRef", "DataError", "default_path", "load_dataset"]


def default_path() -> Path:
    """Where data sets are looked for: ``$BRAINSEG_DATA`` or else ``data/``."""
    return Path(os.environ.get("BRAINSEG_DATA") or "data")


def load_dataset(name: str, path: str | Path | None = None) -> list[CaseRef]:
    """References to all cases of data set ``name`` under ``path``, sorted by patient.

    Raises DataError for an unknown name, a missing path, or a layout other than published.
    """
    if name not in DATASETS:
        raise DataError(f"Unknown data set {name!r}: expected one of {', '.join(DATASETS)}.")
    dataset = DATASETS[name]
    path = Path(path) if path is not None else default_path()
    if name != "phantom" and not path.is_dir():
        raise DataError(
            f"The data set {name!r} was looked for in {path}, which is not a folder. "
            f"{dataset.TITLE}, licence {dataset.LICENCE}, is published at {dataset.HOME}; download "
            "it and give its folder by --data or $BRAINSEG_DATA. To try brainseg offline: "
            "--dataset phantom --encoder-weights none"
        )
    return sorted(dataset.load(path), key=lambda ref: (ref.patient_id, ref.name))
