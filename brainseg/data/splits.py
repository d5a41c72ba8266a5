"""Which patient is trained on, validated on and tested on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

FOLDS = 5


def fold_of(patient_id: str) -> int:
    """The patient's fold, 0 to 4. It depends on the id alone: new patients move nobody."""
    return int(hashlib.sha256(patient_id.encode()).hexdigest(), 16) % FOLDS


def role_of(patient_id: str, fold: int) -> str:
    """``"test"``, ``"val"`` or ``"train"`` for this patient in run ``fold``."""
    own = fold_of(patient_id)
    return "test" if own == fold else "val" if own == (fold + 1) % FOLDS else "train"


def split(patient_ids: Iterable[str], fold: int) -> dict[str, list[str]]:
    """Sorted patient ids by role: test is fold ``fold``, val the next one, train the rest."""
    roles: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for patient_id in sorted(set(patient_ids)):
        roles[role_of(patient_id, fold)].append(patient_id)
    return roles


def block_of(patient_ids: Iterable[str], blocks: int) -> dict[str, int]:
    """Deal training patients into ``blocks`` of near-equal size, for out-of-fold predictions."""
    order = sorted(set(patient_ids), key=lambda p: hashlib.sha256(f"block {p}".encode()).digest())
    return {patient_id: position % blocks for position, patient_id in enumerate(order)}
