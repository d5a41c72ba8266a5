"""What the values of a mask mean: as somebody states, or as BraTS' releases have them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from brainseg.data.case import CaseRef, DataError, naming
from brainseg.scans.masks import read_labels
from brainseg.scans.notes import listed, note
from brainseg.scans.scan import Scan, ScanError
from brainseg.scans.truth.files import values_in

CLASSES = ("core", "oedema", "enhancing")
"""Of BraTS; ``core`` is what of it does not enhance: necrosis and solid tumour together."""
REGIONS = {  # as the challenge scores them
    "whole tumour": ("core", "oedema", "enhancing"),
    "tumour core": ("core", "enhancing"),
    "enhancing tumour": ("enhancing",),
}
_UNTIL_2021 = {1: "core", 2: "oedema", 3: "core", 4: "enhancing"}
_FROM_2023 = {1: "core", 2: "oedema", 3: "enhancing"}
# How cases are called from 2023 on, and from 2017 to 2021, when no mask had a 3.
_COLLECTION = re.compile(r"BraTS-([A-Z]+)-\d+-\d+|BraTS(?:20)?(1[7-9]|2[01])_", re.IGNORECASE)
_OTHERWISE = "lay the set out as nnU-Net does and name the values under labels in its dataset.json."


@dataclass(frozen=True, eq=False)
class Coding:
    """The class, one of ``classes``, of each value of a mask; ``source`` is what says so, and
    ``told`` a sentence on what was made of that."""

    classes: tuple[str, ...]
    meaning: dict[int, str]
    source: str
    told: str = ""

    def __str__(self) -> str:
        return ", ".join(f"{value} {name}" for value, name in sorted(self.meaning.items()))

    def read(self, label: Path, scan: Scan, mask: np.ndarray) -> np.ndarray:
        """The classes of a case, uint8 as ``Case.classes``, from the file of its mask.

        Raises DataError for a value of no class and for a mask that has no labels.
        """
        with naming(label):
            values = read_labels(label, scan)
        unknown = sorted({*np.unique(values).tolist()} - {0, *self.meaning})
        if unknown:
            raise DataError(
                f"{label} holds {listed(unknown)}, of which {self.source} says nothing: expected 0 "
                f"for the background, {self}."
            )
        if not np.array_equal(values > 0, mask):
            raise DataError(
                f"{label} marks as tumour what has the value 0, the background's. Save it with a "
                "whole number for each class and 0 for the background."
            )
        table = np.zeros(256, np.uint8)
        for value, name in self.meaning.items():
            table[value] = 1 + self.classes.index(name)
        return table[values]


@dataclass(frozen=True, eq=False)
class Release:
    """The coding of the masks of one release of BraTS or a set like it. One mask can't tell it, so
    all are looked at when it is first asked for.

    files: all its masks. collection: ``GLI`` and the like in the names of its cases, as they have
        it from 2023 on, ``20`` and the like of BraTS20 from 2017 to 2021, else "".
    """

    files: tuple[Path, ...]
    collection: str = ""

    @cached_property
    def coding(self) -> Coding | None:
        """None where the release can't be told. Which was told or why not is noted."""
        meaning, reason = told_by(self.collection, self._values())
        coding = None if meaning is None else of_release(meaning)
        text = reading_text(f"{self.files[0]} ({len(self.files)} in all)", reason, coding)
        note(f"{text} {'If that is wrong' if coding else 'To say so'}, {_OTHERWISE}")
        return coding

    @property
    def classes(self) -> tuple[str, ...]:
        """Of its coding; () where that can't be told."""
        return self.coding.classes if self.coding else ()

    def read(self, label: Path, scan: Scan, mask: np.ndarray) -> np.ndarray | None:
        """As ``Coding.read``; None where the release can't be told."""
        return self.coding.read(label, scan, mask) if self.coding else None

    def _values(self) -> list[frozenset[int]]:
        """The values of each mask, or of the first few where the names of cases tell the rest. One
        mask may well hold one class alone, so it takes two values to tell that there are some."""
        found, held = [], set()
        # A 4 of a new release is a cavity, which doesn't tell that it is new.
        enough = {3} if self.collection.isalpha() else {3, 4} if self.collection else set()
        for file in tqdm(self.files, desc="looking at masks", leave=False, disable=None):
            try:
                found.append(values_in(file))
                held |= found[-1]
                if held & enough and len(held) > 1:
                    break
            except ScanError:  # of no use as a case either, which reading it says
                continue
        return found


def of_release(meaning: dict[int, str]) -> Coding:
    """The coding that ``told_by`` tells the meaning of."""
    return Coding(CLASSES, meaning, "the coding of its release of BraTS")


def reading_text(which: str, reason: str, coding: Coding | None) -> str:
    """How the values of masks are read. which: a mask of these; reason: what ``told_by`` tells."""
    if coding is None:
        return f"Masks such as {which} {reason}: what their values mean is not known."
    return f"Masks such as {which} {reason}: their values are read as {coding}."


def told_by(collection: str, values: Sequence[frozenset[int]]) -> tuple[dict[int, str] | None, str]:
    """What the values of all masks of a release mean, or None, and what tells: it goes after "these
    masks". Of releases since 2024 a 4 is the resection cavity, which is no class.

    values: those above 0 in each mask. collection: as in ``Release``.
    """
    held = frozenset().union(*values)
    if collection.startswith("PED"):
        return None, "are of a paediatric release, of which there were two codings"
    if len(held) < 2:
        return None, "hold a single value, as masks without classes do"
    if max(held) > 4:
        return None, f"hold values up to {max(held)}, which no release has"
    if collection.isalpha() and (3 in held or 4 not in held):
        return _FROM_2023, "are called as in BraTS from 2023 on, where a 4 is the resection cavity"
    if 4 in held:
        if 3 in held and not any(own >= {3, 4} for own in values):
            return None, "hold a 3 or a 4 but never both, as if two releases were mixed"
        return _UNTIL_2021, "hold a 4, as in BraTS until 2021"
    if 3 in held:
        return _FROM_2023, "hold a 3 and no 4, as in BraTS from 2023 on"
    return None, "hold neither a 3 nor a 4, which would tell the release of BraTS"


def by_release(refs: Iterable[CaseRef]) -> list[tuple[CaseRef, Release]]:
    """References whose ``read`` takes the release that their masks are of, with that release.

    A mask is the last of a reference's files. Those whose cases are called alike are of one.
    """
    refs = list(refs)
    masks = defaultdict(list)
    for ref in refs:
        masks[_collection(ref)].append(ref.files[-1])
    releases = {name: Release(tuple(files), name) for name, files in masks.items()}
    found = []
    for ref in refs:
        release = releases[_collection(ref)]
        read = partial(ref.read, release)
        found.append((replace(ref, read=read, coded_by=release.files), release))
    return found


def _collection(ref: CaseRef) -> str:
    return collection_in(ref.name) or collection_in(ref.files[-1].name)


def collection_in(name: str) -> str:
    """The ``collection``, as in ``Release``, of a case or file of this name."""
    found = _COLLECTION.search(name)
    return found[found.lastindex].upper() if found else ""


# Which of BraTS' classes others mean, by the first words that fit.
_MEANT = (
    ("oedema", r"edema|snfh|flair|^ed$|^whole"),
    ("core", r"non[-_ ]?enhanc|^ncr|^net"),
    ("enhancing", r"enhanc|^et$"),
    ("core", r"necro|core"),
)


def brats_names(names: dict[int, str]) -> dict[int, str] | None:
    """The classes of BraTS that others mean (edema, non-enhancing tumor, enhancing tumour), by
    value, or None if they mean others or not all three."""
    meant = {
        value: next((own for own, words in _MEANT if re.search(words, name.strip().lower())), "")
        for value, name in names.items()
    }
    return meant if {*meant.values()} == {*CLASSES} else None
