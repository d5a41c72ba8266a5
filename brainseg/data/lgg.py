"""TCGA lower-grade glioma (Buda et al. 2019), the Kaggle set "LGG MRI Segmentation".

Layout: ``kaggle_3m/TCGA_<patient>_<date>/TCGA_<patient>_<date>_<slice>.tif`` with channels
pre-contrast, FLAIR, post-contrast, and ``..._<slice>_mask.tif`` beside it.
"""

from __future__ import annotations

from pathlib import Path

from brainseg.data.case import CaseRef, DataError
from brainseg.data.slices import slices_ref
from brainseg.scans.scan import natural_key

TITLE = "LGG MRI Segmentation (TCGA lower-grade glioma, Buda et al. 2019)"
LICENCE = "CC BY-NC-SA 4.0"
LICENCE_ID = "cc-by-nc-sa-4.0"
HOME = "https://www.kaggle.com/datasets/mateuszbuda/lgg-mri-segmentation"


def load(path: Path) -> list[CaseRef]:
    """One case per patient folder under ``path`` or ``path/kaggle_3m``."""
    root = path / "kaggle_3m" if (path / "kaggle_3m").is_dir() else path
    folders = sorted(f for f in root.glob("TCGA_*") if f.is_dir())
    if not folders:
        raise DataError(
            f"{path} holds no patient folders: expected {root}/TCGA_*/ with .tif slices, as "
            f"published at {HOME}."
        )
    return [_reference(folder) for folder in folders]


def _reference(folder: Path) -> CaseRef:
    images = [f for f in folder.glob("*.tif") if not f.stem.endswith("_mask")]
    if not images:
        raise DataError(f"{folder} holds no .tif slices: expected {folder.name}_<number>.tif.")
    images.sort(key=lambda f: natural_key(f.name))
    pairs = [(image, image.with_name(f"{image.stem}_mask.tif")) for image in images]
    return slices_ref(folder.name, "lgg", pairs)
