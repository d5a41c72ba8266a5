"""Data sets by name: modules with ``TITLE``, ``LICENCE``, ``LICENCE_ID``, ``HOME``, ``load``; with
``NOTE`` where readers of its scores must know something (``note_on(ids)`` says what of that holds
for these patients), ``SEQUENCES`` where not all are there, ``patients_named`` where names of files
say whose they are.

Where masks tell classes of tumour apart, ``CLASSES`` are the names of values 1 to n of
``Case.classes``, or ``classes_in(path)`` says which there are in that folder (ask ``classes_of``),
and ``REGIONS`` names what is scored together: ``{"whole": ("core", "oedema"), ...}``.

Several in one training are named in one word, ``"lgg+figshare"``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from brainseg.data import brats, figshare, folder, lgg, phantom
from brainseg.data.case import Case, CaseRef, DataError
from brainseg.data.examinations import tcga_barcode
from brainseg.scans.listing import stem_of
from brainseg.scans.notes import note, told_together

DATASETS = {
    "lgg": lgg,
    "figshare": figshare,
    "brats": brats,
    "folder": folder,
    "phantom": phantom,
}

__all__ = [
    "DATASETS", "Case", "CaseRef", "DataError", "classes_of", "datasets_of", "default_path",
    "load_dataset", "load_datasets", "notes_of", "patients_named", "regions_of",
]  # fmt: skip


def default_path() -> Path:
    """Where data sets are looked for: ``$BRAINSEG_DATA`` or else ``data/``."""
    return Path(os.environ.get("BRAINSEG_DATA") or "data")


def datasets_of(name: str) -> dict[str, ModuleType]:
    """The modules of ``"lgg"``, or of several as in ``"lgg+figshare"``, by name, in that order.

    Raises DataError for an unknown name.
    """
    return {single: _module(single) for single in str(name).split("+")}


def notes_of(name: str, patients: Iterable[str] | None = None) -> list[str]:
    """What readers of scores on these data sets must know, a sentence or two for each such set;
    where the ids of the patients scored are given, of a single set, what holds for these."""
    modules = [module for module in datasets_of(name).values() if hasattr(module, "NOTE")]
    if patients is None:
        return [module.NOTE for module in modules]
    return [module.note_on(patients) for module in modules]


def patients_named(name: str) -> list[tuple[str, str]]:
    """Whose a file or folder of this name may be: data sets and ids of their patients, by the rules
    by which each names its own. No other name is ever known, so an empty list says nothing."""
    stem = stem_of(Path(name))
    return [
        (dataset, patient)
        for dataset, module in DATASETS.items()
        if hasattr(module, "patients_named")
        for patient in module.patients_named(stem)
    ]


def regions_of(classes: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The regions of a tumour that these classes make up, each with its classes, from 1; {} where
    they are kinds of tumour, or of no data set."""
    for module in DATASETS.values():
        if tuple(getattr(module, "CLASSES", ())) == tuple(classes):
            return {
                region: tuple(classes.index(name) + 1 for name in names)
                for region, names in getattr(module, "REGIONS", {}).items()
                if set(names) <= set(classes)
            }
    return {}


Paths = Sequence[str | Path] | Mapping[str, str | Path] | None
"""Of several data sets: a folder for each in their order, or one in which all of them are; or their
folders by name, those of others among them; or None, for ``default_path``."""


def load_datasets(name: str, paths: Paths = None) -> dict[str, list[CaseRef]]:
    """``load_dataset`` of each data set in ``"lgg+figshare"``, by name, in that order.

    Raises DataError where there is no folder for one, or too many.
    """
    found = {single: load_dataset(single, path) for single, path in _paired(name, paths).items()}
    _tell_namesakes(found)
    return found


def _tell_namesakes(found: Mapping[str, Sequence[CaseRef]]) -> None:
    """Patients of TCGA whom two data sets have, under ids that fall into different folds."""
    owners: dict[str, dict[str, str]] = {}
    for dataset, refs in found.items():
        for ref in refs:
            if barcode := tcga_barcode(ref.patient_id):
                owners.setdefault(barcode, {})[dataset] = ref.patient_id
    several = [own for own in owners.values() if len(own) > 1]
    if several:
        same = " and ".join(f"{patient} of {dataset}" for dataset, patient in several[0].items())
        note(
            f"{same} are one patient by their names ({len(several)} such): they count as two, and "
            "may lie in two folds, so that scores come out too high. Leave one data set's out."
        )


def classes_of(name: str, paths: Paths = None) -> tuple[str, ...]:
    """Names of the classes 1 to n that all data sets in ``"lgg+figshare"`` have, in the order of
    their values; () if one of them has none.

    Raises DataError where two have different ones, and as ``load_datasets`` does.
    """
    found = {single: _classes(single, path) for single, path in _paired(name, paths).items()}
    if not all(found.values()):
        return ()
    (first, expected), *others = found.items()
    for other, classes in others:
        if classes != expected:
            raise DataError(
                f"{first} has the classes {', '.join(expected)}, {other} {', '.join(classes)}: "
                "expected the same in the same order. Take them one by one, or without classes."
            )
    return expected


def load_dataset(name: str, path: str | Path | None = None) -> list[CaseRef]:
    """References to all cases of data set ``name`` under ``path``, sorted by patient.

    Raises DataError for an unknown name, a missing path, or a layout other than published.
    """
    dataset, path = _module(name), _found(name, path)
    with told_together():
        refs = dataset.load(path)
    return sorted(refs, key=lambda ref: (ref.patient_id, ref.name))


def _classes(name: str, path: str | Path | None) -> tuple[str, ...]:
    dataset = _module(name)
    if not hasattr(dataset, "classes_in"):
        return getattr(dataset, "CLASSES", ())
    path = _found(name, path)
    with told_together():
        return dataset.classes_in(path)


def _paired(name: str, paths: Paths) -> dict[str, str | Path | None]:
    """The folder of each data set. Raises DataError where there are too few or too many."""
    names = list(datasets_of(name))
    if isinstance(paths, Mapping):
        if missing := [single for single in names if single not in paths]:
            given = ", ".join(paths)
            raise DataError(f"No folder is given for {missing[0]}, only for {given}: add its own.")
        return {single: paths[single] for single in names}
    paths = list(paths or [None])
    if len(paths) not in (1, len(names)):
        raise DataError(
            f"{len(paths)} folders are given for {len(names)} data sets ({', '.join(names)}): "
            "expected one for each, in that order, or one for all."
        )
    paths = paths * len(names) if len(paths) == 1 else paths
    return dict(zip(names, paths, strict=True))


def _found(name: str, path: str | Path | None) -> Path:
    """The folder of a data set, or the DataError that says where to get it."""
    dataset = _module(name)
    path = Path(path) if path is not None else default_path()
    if name != "phantom" and not path.is_dir():
        raise DataError(
            f"The data set {name!r} was looked for in {path}, which is not a folder. "
            f"{dataset.TITLE}, licence {dataset.LICENCE}, is published at {dataset.HOME}; download "
            "it and give its folder by --data or $BRAINSEG_DATA. To try brainseg offline: "
            "--dataset phantom --encoder-weights none"
        )
    return path


def _module(name: str) -> ModuleType:
    if name not in DATASETS:
        raise DataError(f"Unknown data set {name!r}: expected one of {', '.join(DATASETS)}.")
    return DATASETS[name]
