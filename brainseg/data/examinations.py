"""Who each folder of volumes is of: patients and their examinations, by the names of folders.

A folder is named after its patient, or lies in one that is: BIDS (``sub-1/ses-2/anat``), a folder
for each time point (``P1/2001-02-03``), time points in the name (``BraTS-GLI-00008-001``).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from brainseg.data.copies import without_copies
from brainseg.scans.notes import note

_SUBJECT = re.compile(r"sub-[^_]+(_ses-[^_]+)?")
_DATE = r"(?:19|20)\d\d(?P<between>[-_.]?)(?:0[1-9]|1[0-2])(?P=between)(?:0[1-9]|[12]\d|3[01])"
_WHEN = (
    r"(?:ses|session|visit|time|time[-_ ]?point|tp|week|month|day|year|baseline|fu|"
    r"follow[-_ ]?up|pre|post|pre[-_ ]?op|post[-_ ]?op)(?:[-_ ]?\d[\w.-]*)?"
)
_SESSION = re.compile(
    rf"ses-.+|{_WHEN}|{_DATE}(?:\D.*)?|\d\d-\d\d-(?:19|20)\d\d(?:\D.*)?", re.IGNORECASE
)
# Folders named after what is in them, not after whose it is.
_CONTENT = {
    "anat", "nifti", "nii", "mri", "mr", "image", "images", "scans", "seg", "segmentation",
    "segmentations", "label", "labels", "mask", "masks", "roi",
}  # fmt: skip
NOT_ANATOMY = {"dwi", "func", "fmap", "perf", "swi", "pet", "eeg", "meg", "beh"}  # of BIDS
# Time points in the names of published sets; what was a patient's id there stays it.
_TIME_POINTS = (
    (re.compile(r"(BraTS-[\w-]+?-\d+)-\d+"), r"\1"),
    (re.compile(r"(UPENN-GBM-\d+)_\d\d"), r"\1_11"),
    (re.compile(r"(UCSF-PDGM-\d+)_FU\d+d(.*)"), r"\1\2"),
)
_TIME_POINT = re.compile(r"(.*\w)[-_](?:ses|session|visit|time[-_]?point|time|tp)[-_]?\d+", re.I)
_DATED = re.compile(rf"(?P<patient>.*\w)[-_](?:{_DATE}|{_WHEN})", re.IGNORECASE)
_BARCODE = re.compile(r"(TCGA)[-_. ](\w\w)[-_. ](\w{4})(?![a-z0-9])", re.IGNORECASE)
_NAMED_ONCE = re.compile(r"brats\w*[-_]|tcga[-_]|upenn-gbm-|ucsf-pdgm-", re.IGNORECASE)
"""How ids begin that are one patient wherever they lie."""


@dataclass(frozen=True)
class Examination:
    """Volumes of one patient from one day. name: of no other examination in the data set.

    folder: where its volumes lie. others: further folders of it, where its label may lie, such as
    ``derivatives/.../sub-1/anat``.
    """

    patient_id: str
    name: str
    folder: Path
    others: tuple[Path, ...] = ()


@dataclass(frozen=True)
class _Place:
    """A folder, and what its path says. where: the folders above the patient's; rank: the lower,
    the sooner volumes are looked for in it; is_assumed: it was taken for a time point."""

    where: tuple[str, ...]
    patient: str
    name: str
    folder: Path
    rank: int
    is_assumed: bool


def examinations(root: Path, folders: Iterable[Path]) -> list[Examination]:
    """The examinations in these folders below ``root``. What was assumed is noted: time points
    known by their folder's name only, patients of one name in several places, copies."""
    places = [_place(root, folder) for folder in folders]
    _tell_time_points(places)
    by_name: dict[tuple, list[_Place]] = defaultdict(list)
    for place in places:
        by_name[place.where, place.patient, place.name].append(place)
    found = {key: _gather(own) for key, own in by_name.items()}
    kept = set(without_copies((key[1:], exam.folder) for key, exam in found.items()))
    found = {key: exam for key, exam in found.items() if exam.folder in kept}
    tell_dated(patient for _, patient, _ in found)
    return _told_apart(found)


def beginnings(name: str) -> list[str]:
    """Ids that a file of a published set may be of: each beginning of its name up to a hyphen,
    underline or dot, without the time point. None of names that several patients may have."""
    if not _is_unique(name):
        return []
    ends = [found.start() for found in re.finditer("[-_.]", name)]
    return list(dict.fromkeys(known_patient(name[:end]) for end in (*ends, len(name))))


def known_patient(name: str) -> str:
    """A folder's name of a published set without its time point."""
    for pattern, patient_of in _TIME_POINTS:
        if found := pattern.fullmatch(name):
            return found.expand(patient_of)
    return name


def tcga_barcode(name: str) -> str:
    """``TCGA-CS-4941`` of ``TCGA_CS_4941_19960909`` and the like, "" of other names."""
    found = _BARCODE.match(name)
    return "-".join(found.groups()).upper() if found else ""


def patient_of(name: str) -> str:
    """Whose examination is called so where no folder tells: ``sub-1`` of ``sub-1_ses-2``, ``P1`` of
    ``P1_tp2``, and what ``known_patient`` knows; else the name."""
    if (patient := known_patient(name)) != name:
        return patient
    if _SUBJECT.fullmatch(name):
        return name.partition("_")[0]
    return found[1] if (found := _TIME_POINT.fullmatch(name)) else name


def _place(root: Path, folder: Path) -> _Place:
    parts = (root.resolve().name, *folder.relative_to(root).parts)
    subjects = [i for i, part in enumerate(parts) if _SUBJECT.fullmatch(part)]
    is_assumed = False
    if subjects:
        at = subjects[-1]
        patient = parts[at].partition("_")[0]
        sessions = [part for part in parts[at + 1 : at + 2] if _SESSION.fullmatch(part)]
    else:
        at = len(parts) - 1
        while at > 1 and (parts[at].lower() in _CONTENT or _SESSION.fullmatch(parts[at])):
            at -= 1
        sessions = [part for part in parts[at + 1 :] if part.lower() not in _CONTENT]
        patient = known_patient(parts[at])
        if not any(pattern.fullmatch(parts[at]) for pattern, _ in _TIME_POINTS):
            found = _TIME_POINT.fullmatch(patient)
            patient = found[1] if found else patient
            is_assumed = bool(sessions or found)
    where = tuple(part for part in parts[:at] if part.lower() not in ("rawdata", "sourcedata"))
    content = [part.lower() for part in parts[at + 1 :] if part not in sessions]
    derived = [i for i, part in enumerate(where) if i and part.lower() == "derivatives"]
    if derived:
        where = where[: derived[0]]
    is_images = not content or content[-1] in ("anat", "images", "image", "nifti", "nii")
    rank = 2 * bool(derived) + (not is_images)
    if content and content[-1] in NOT_ANATOMY:
        rank = 9
    name = "/".join((parts[at], *sessions))
    return _Place(where, patient, name, folder, rank, is_assumed)


def _gather(own: list[_Place]) -> Examination:
    own = sorted(own, key=lambda place: place.rank)
    own = [place for place in own if place.rank < 9] or own
    first, *others = (place.folder for place in own)
    return Examination(own[0].patient, own[0].name, first, tuple(others))


def _told_apart(found: dict[tuple, Examination]) -> list[Examination]:
    """With the folders above in the ids of those whose names lie in several places."""
    places: dict[str, set[tuple]] = defaultdict(set)
    names = Counter((patient, name) for _, patient, name in found)
    for where, patient, _ in found:
        places[patient].add(where)
    _tell_namesakes({p: own for p, own in places.items() if len(own) > 1 and not _is_unique(p)})
    exams = []
    for (where, patient, name), exam in found.items():
        above = "/".join(where[-_depth(places[patient]) :])
        if len(places[patient]) > 1 and not _is_unique(patient):
            exam = replace(exam, patient_id=f"{above}/{patient}", name=f"{above}/{name}")
        elif names[patient, name] > 1:
            exam = replace(exam, name=f"{above}/{name}")
        exams.append(exam)
    return exams


def _is_unique(patient: str) -> bool:
    return bool(_NAMED_ONCE.match(patient))


def _depth(places: set[tuple]) -> int:
    """How many of the last folders it takes to tell these paths apart."""
    longest = max(map(len, places))
    several = (n for n in range(1, longest + 1) if len({p[-n:] for p in places}) == len(places))
    return next(several, 0)


def _tell_namesakes(namesakes: dict[str, set[tuple]]) -> None:
    if namesakes:
        patient, places = next(iter(sorted(namesakes.items())))
        depth = _depth(places)
        listed = " and ".join(sorted("/".join((*place[-depth:], patient)) for place in places))
        more = f" and {len(namesakes) - 1} more names" if len(namesakes) > 1 else ""
        note(
            f"{patient}{more}: folders in several places are called so. They are taken as "
            f"different patients, {listed}, by these ids, which a model trained before there were "
            "several places does not know. If they are one, put them into one folder of the "
            "patient's name."
        )


def _tell_time_points(places: list[_Place]) -> None:
    assumed = [place for place in places if place.is_assumed]
    if assumed:
        example = assumed[0]
        patients = len({(place.where, place.patient) for place in assumed})
        note(
            f"{len(assumed)} folders are taken as time points of {patients} patients by their "
            f"names, such as {example.name} of patient {example.patient}. If each is a patient of "
            "their own, name the folders otherwise."
        )


def tell_dated(patients: Iterable[str]) -> None:
    """Dates and words such as ``pre`` at the end of names may tell examinations of one patient."""
    by_stem: dict[str, list[str]] = defaultdict(list)
    for patient in sorted(set(patients)):
        if found := _DATED.fullmatch(patient):
            by_stem[found["patient"]].append(patient)
    several = [own for own in by_stem.values() if len(own) > 1]
    if several:
        note(
            f"{' and '.join(several[0][:2])} are taken as different patients. If they are one, put "
            "them into one folder of the patient's name (in nnU-Net's layout, call them P1_tp1 and "
            "P1_tp2), or a patient may lie in two folds."
        )
