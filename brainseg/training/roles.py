"""Which slices a run trains on, with masks and without, watches, and is tested on."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable

import numpy as np

from brainseg.config import Config
from brainseg.data.cache import PreparedSet
from brainseg.data.case import UNLABELLED
from brainseg.data.examinations import tcga_barcode
from brainseg.data.splits import fold_of, labelled_patients, slice_roles
from brainseg.data.unlabelled import patients_of
from brainseg.scans.notes import listed, note
from brainseg.scans.roles import role_of
from brainseg.training.learner import TrainingError


def roles_of(config: Config, data: PreparedSet) -> dict[str, np.ndarray]:
    """Rows of ``data`` by role: ``train``, ``val`` and ``test``, which have masks; of a
    semi-supervised run ``unlabelled`` too, of which nothing but the pictures may be looked at, not
    even whether there is tumour.

    Scans of ``--unlabelled`` that are of somebody who is watched or tested on, by their names or
    because a slice of theirs is the same picture, are left out, which is noted. Raises
    TrainingError if nobody is there to train on, with masks or without, or to choose epoch and
    threshold by; DataError where ``labelled`` asks for too many.
    """
    known = np.flatnonzero(data.datasets != UNLABELLED)
    roles = {
        role: known[rows]
        for role, rows in slice_roles(data.patients[known], config.left_out, config.leak).items()
    }
    if config.labelled:
        train, owners = roles["train"], data.owners[roles["train"]]
        has_mask = np.isin(owners, labelled_patients(owners, config.labelled, config.seed))
        roles["train"], others = train[has_mask], train[~has_mask]
    else:
        others = known[:0]
    if config.semi:
        roles["unlabelled"] = np.concatenate([others, _strangers(data, roles)])
    _check(config, data, roles)
    return roles


def _strangers(data: PreparedSet, roles: dict[str, np.ndarray]) -> np.ndarray:
    """Rows of the scans of ``--unlabelled``, but for those of patients held out."""
    rows = np.flatnonzero(data.datasets == UNLABELLED)
    if not len(rows):
        return rows
    held = np.concatenate([roles["val"], roles["test"]])
    held_out, pictures = set(data.owners[held]), {_picture(data, row) for row in held} - {None}
    ids = _ids_of(data.patients[held])
    same = {data.patients[row] for row in rows if _picture(data, row) in pictures}
    names = dict.fromkeys(data.patients[rows])
    out = [
        name
        for name in names
        if name in same or held_out & set(patients_of(name)) or ids & _parts(name)
    ]
    if out:
        note(
            f"{len(out)} of {len(names)} scans of --unlabelled are left out: by their names or "
            f"pictures they are of patients who are watched or tested on ({listed(out, 4)})."
        )
    return rows[~np.isin(data.patients[rows], out)]


def _ids_of(patients: Iterable[str]) -> set[str]:
    """How the ids of patients may stand within the name of a scan. A number alone is nobody's, nor
    is one that a sequence is called."""
    known = {*patients, *filter(None, map(tcga_barcode, patients))}
    spelt = {"-".join(_words(patient)) for patient in known}
    return {name for name in spelt if not name.replace("-", "").isdecimal() and not role_of(name)}


def _parts(name: str) -> set[str]:
    """Every run of words in the name of a scan."""
    words = _words(name)
    return {
        "-".join(words[start:end])
        for start in range(len(words))
        for end in range(start + 1, len(words) + 1)
    }


def _words(name: str) -> list[str]:
    spelt = unicodedata.normalize("NFC", name).casefold()
    return [word for word in re.split(r"[-_./ ]+", spelt) if word]


def _picture(data: PreparedSet, row: int) -> bytes | None:
    """What tells a prepared slice from others; None of one without anything on it."""
    image = data.images[row]
    return hashlib.sha256(image.tobytes()).digest() if image.min() < image.max() else None


def _check(config: Config, data: PreparedSet, roles: dict[str, np.ndarray]) -> None:
    if not data.tumour[roles["train"]].any():
        folds = " and ".join(map(str, config.left_out))
        with_masks = ", or a larger --labelled" if config.labelled else ""
        raise TrainingError(
            f"No training patient has tumour once fold {folds} is left out: give more "
            f"patients{with_masks}."
        )
    if config.semi and not len(roles["unlabelled"]):
        raise TrainingError(
            f"--semi {config.semi} has no slice without a mask to learn from: give --labelled, or "
            "scans by --unlabelled."
        )
    if config.watch and not data.tumour[roles["val"]].any():
        sick = sorted({fold_of(patient) for patient in data.patients[data.tumour]})
        raise TrainingError(
            f"No patient in fold {config.watched_fold} has tumour, so nobody is there to choose "
            f"epoch and threshold by; there are such in folds {', '.join(map(str, sick))} of this "
            f"set. Give more patients, or other folds to --left-out; --left-out {config.test_fold} "
            "alone chooses nothing, and keeps the last epoch."
        )
