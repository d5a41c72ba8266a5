"""Whom a checkpoint has seen: hashes of its patients' ids, by role. Names never travel.

``train``       whom the weights were fitted on
``unlabelled``  whose scans they were fitted on, without the masks
``watched``     on whom epoch and threshold were chosen
``start``       of weights that began with another checkpoint's: whom that one had seen
``maps``        of a stack fitted on the maps of networks that had seen the patients left out: those

A hash is a pseudonym against casual reading, not secrecy: whoever has the ids, and those of public
data sets everybody has, can try them. Checkpoints from before there were hashes tell nobody, and
nothing is said of them.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from brainseg.checkpoints.folder import read_checkpoint
from brainseg.checkpoints.settings import CheckpointError, Settings
from brainseg.data import patients_named
from brainseg.data.case import UNLABELLED, CaseRef
from brainseg.data.splits import fold_of
from brainseg.data.unlabelled import patients_of
from brainseg.models.specs import SINGLES
from brainseg.scans.guard import Finding
from brainseg.scans.notes import listed

TRAINED, VALIDATED = "trained on this patient", "validated on this patient"
UNMASKED = "trained on this patient's scan"
BY_MAPS = "fitted on maps of models trained on this patient"


def patient_hash(dataset: str, patient_id: str) -> str:
    """The first 16 hexadecimal digits of the sha256 of ``brainseg:<data set>:<patient id>``."""
    spelt = unicodedata.normalize("NFC", patient_id)
    return hashlib.sha256(f"brainseg:{dataset}:{spelt}".encode()).hexdigest()[:16]


def hashes_of(owners: Iterable[str]) -> tuple[str, ...]:
    """The hashes of patients named ``<data set>/<patient id>``, each once, sorted."""
    parts = (str(owner).partition("/") for owner in owners)
    return tuple(sorted({patient_hash(dataset, patient) for dataset, _, patient in parts}))


def tells_patients(settings: Settings) -> bool:
    """Whether it tells of everybody it has seen, in the weights it began with too."""
    needed = {"train", "watched"} | ({"start"} if settings.run.init_from else set())
    needed |= {"maps"} if settings.run.stack_maps == SINGLES else set()
    return needed <= settings.patient_hashes.keys()


def standing(settings: Settings, dataset: str, patient_id: str) -> str:
    """``TRAINED``, ``VALIDATED``, ``UNMASKED`` (without the mask), ``BY_MAPS`` or, where it has not
    seen the patient or does not tell, ""."""
    own, hashes = patient_hash(dataset, patient_id), settings.patient_hashes
    if own in hashes.get("train", ()) or own in hashes.get("start", ()):
        return TRAINED
    if own in hashes.get("watched", ()):
        return VALIDATED
    if own in hashes.get("unlabelled", ()):
        return UNMASKED
    return BY_MAPS if own in hashes.get("maps", ()) else ""


def has_seen(settings: Settings, dataset: str, ref: CaseRef) -> bool:
    """Whether ``standing`` says anything of a case's patient, or of one with the case's name: time
    points were patients once."""
    return any(standing(settings, dataset, known) for known in {ref.patient_id, ref.name})


def seen_at_start(path: Path) -> dict[str, tuple[str, ...]]:
    """Of weights to start from, what goes into the settings of what starts: ``start`` if they are a
    checkpoint's that tells, else nothing."""
    settings = read_checkpoint(path).settings if path.is_dir() else None
    if settings is None or not tells_patients(settings):
        return {}
    everyone = (one for own in settings.patient_hashes.values() for one in own)
    return {"start": tuple(sorted(set(everyone)))}


def seen_by_maps(owners: Iterable[str], left_out: Sequence[int]) -> dict[str, tuple[str, ...]]:
    """Of a stack fitted on the maps of singles, what goes into its settings: ``maps``, the patients
    of the folds that it left out, whom those had seen. owners: as ``role_hashes`` takes them."""
    everyone = {str(one) for one in owners}  # of each slice
    own = (one for one in everyone if fold_of(one.partition("/")[2]) in left_out)
    return {"maps": hashes_of(own)}


def find_seen(names: Iterable[str], checkpoints: Mapping[str, Settings]) -> list[Finding]:
    """What there is to say of a scan whose files have these names: which of the checkpoints, by
    their labels, were trained or validated on the patient that a name is of."""
    found: dict[tuple[str, str, str], dict[str, None]] = {}
    for name in names:
        for dataset, patient in patients_named(name):
            for label, settings in checkpoints.items():
                if how := standing(settings, dataset, patient):
                    found.setdefault((how, dataset, patient), {})[label] = None
    return [_finding(*key, list(labels)) for key, labels in sorted(found.items())]


def unseen(
    refs: Sequence[CaseRef], dataset: str, checkpoints: Mapping[str, Settings]
) -> list[CaseRef]:
    """The cases of patients whom none of the checkpoints was trained or watched on.

    Raises CheckpointError where one does not tell.
    """
    if silent := [label for label, own in checkpoints.items() if not tells_patients(own)]:
        raise CheckpointError(
            f"{', '.join(silent)} can't tell on whom: trained before that was recorded, or begun "
            "with weights that don't tell. Leave it out of --checkpoints, or train it again."
        )
    settings = checkpoints.values()
    return [ref for ref in refs if not any(has_seen(own, dataset, ref) for own in settings)]


def role_hashes(
    owners: Sequence[str], roles: Mapping[str, np.ndarray], *, watch: bool
) -> dict[str, tuple[str, ...]]:
    """``train`` and ``watched`` of a run, and ``unlabelled`` of a semi-supervised one; nobody is
    watched where ``watch`` is off.

    owners: ``<data set>/<patient id>`` of each row, or ``unlabelled/<name of the scan>``, of which
        those hashes are kept whose patient the name may be of; roles: rows by role.
    """
    owners = np.asarray(owners)
    watched = owners[roles["val"]] if watch else ()
    hashes = {"train": hashes_of(owners[roles["train"]]), "watched": hashes_of(watched)}
    if "unlabelled" in roles:
        named = set()
        for owner in dict.fromkeys(owners[roles["unlabelled"]]):
            dataset, _, name = str(owner).partition("/")
            named |= {*patients_of(name)} if dataset == UNLABELLED else {str(owner)}
        hashes["unlabelled"] = hashes_of(named)
    return hashes


def _finding(how: str, dataset: str, patient: str, labels: list[str]) -> Finding:
    names = ", ".join(labels)
    were, their = ("were", "their") if len(labels) > 1 else ("was", "its")
    if how == TRAINED:
        text = (
            f"By its name this is {patient} of {dataset}, on whom {names} {were} trained: with the "
            f"answer seen, {their} masks look better here than on anybody new. By how much was not "
            "measured."
        )
    elif how == UNMASKED:
        text = (
            f"By its name this is {patient} of {dataset}, whose scan {names} {were} trained on "
            f"without a mask: {their} masks may look better here than on anybody new. By how much "
            "was not measured."
        )
    elif how == BY_MAPS:
        text = (
            f"By its name this is {patient} of {dataset}. {names} {were} fitted on predictions of "
            "models that had been trained on this patient, though for others. By how much that "
            "flatters was not measured."
        )
    else:
        text = (
            f"By its name this is {patient} of {dataset}, on whom epoch and threshold of {names} "
            "were chosen, so that they suit this patient. By how much was not measured."
        )
    return Finding(f"{how}: {listed(labels, 3)}", False, text)
