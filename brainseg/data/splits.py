"""Which patient is trained on, validated on and tested on."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np

from brainseg.data.case import DataError

FOLDS = 5


def fold_of(patient_id: str) -> int:
    """The patient's fold, 0 to 4. It depends on the id alone: new patients move nobody. Letters
    with accents count alike however a system spells them."""
    spelt = unicodedata.normalize("NFC", patient_id)
    return int(hashlib.sha256(spelt.encode()).hexdigest(), 16) % FOLDS


def slice_roles(
    patients: np.ndarray, left_out: Sequence[int], leak: str | None = None
) -> dict[str, np.ndarray]:
    """Slice indices by role: ``"test"`` for patients of the first fold left out, ``"val"`` for
    those of the second if there is one, else ``"train"``. Every slice has its patient's role, if
    nothing leaks.

    patients: patient id of each slice, (n,).
    leak: a mistake made on purpose, to measure what it feigns; test patients stay apart even then.
    ``"slices"`` deals the other patients' slices into train and val one by one; ``"in-sample"``
    takes both from the training patients, whom a stack's bases know.
    """
    roles = dict(zip(left_out, ("test", "val"), strict=False))
    role = np.array([roles.get(fold_of(patient), "train") for patient in patients])
    if leak == "slices":
        dealt = np.array([fold_of(f"{patient} {i}") for i, patient in enumerate(patients)])
        role = np.where(role == "test", "test", np.where(dealt == 0, "val", "train"))
    elif leak == "in-sample":
        dealt = block_of(patients[role == "train"], FOLDS)
        validated = np.array([dealt.get(patient) == 0 for patient in patients])
        role = np.where(role == "val", "unused", np.where(validated, "val", role))
    return {name: np.flatnonzero(role == name) for name in ("train", "val", "test")}


def labelled_patients(owners: Iterable[str], labelled: float, seed: int) -> list[str]:
    """Whose masks are used: of the patients ``<data set>/<id>`` of each data set a share below 1,
    rounded but one at least, or that many.

    The order is that of a hash of seed and patient, so that few lie among many, and another seed
    has others. Raises DataError where a data set has fewer.
    """
    by_dataset: dict[str, list[str]] = {}
    for owner in sorted(set(map(str, owners))):
        by_dataset.setdefault(owner.partition("/")[0], []).append(owner)
    chosen = []
    for dataset, own in by_dataset.items():
        count = max(1, round(labelled * len(own))) if labelled < 1 else int(labelled)
        if count > len(own):
            raise DataError(
                f"labelled is {count}, but {dataset} has {len(own)} training patients: give fewer, "
                "or leave --labelled out to use all masks."
            )
        chosen += sorted(own, key=lambda owner: _digest(f"labelled {seed} {owner}"))[:count]
    return chosen


def block_of(patient_ids: Iterable[str], blocks: int) -> dict[str, int]:
    """Deal patients into ``blocks`` of near-equal size."""
    order = sorted(set(patient_ids), key=lambda patient: _digest(f"block {patient}"))
    return {patient_id: position % blocks for position, patient_id in enumerate(order)}


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
