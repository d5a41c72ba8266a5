"""Scans without a mask, to learn from: whatever ``predict`` takes for scans in a folder.

Masks that lie beside them are left out by their names and never read. Pictures in a folder below
the one given are the slices of one scan; those directly in it, or in a folder beside one of masks,
are a scan each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from brainseg.data import patients_named
from brainseg.data.case import UNLABELLED, Case, CaseRef, DataError, naming, volume_version
from brainseg.data.sources import Source, expand
from brainseg.files import sha256
from brainseg.scans.formats.sniffing import PICTURES, sniff_or_damaged
from brainseg.scans.listing import file_of, walk
from brainseg.scans.notes import told_together
from brainseg.scans.preprocessing import VOLUME_VERSION
from brainseg.scans.reading import read_scan
from brainseg.scans.scan import Scan, ScanError


def load_unlabelled(folders: Sequence[Path]) -> list[CaseRef]:
    """References to the scans in these folders, sorted by name; their cases have no mask.

    Raises DataError for a missing folder, one without scans, and two scans of one name.
    """
    refs: dict[str, CaseRef] = {}
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"--unlabelled {folder} is no folder: give one that holds scans.")
        for ref in _in_folder(folder):
            if ref.name in refs:
                raise DataError(
                    f"--unlabelled: {ref.files[0]} and {refs[ref.name].files[0]} are both scan "
                    f"{ref.name}: keep one, or rename one."
                )
            refs[ref.name] = ref
    return [refs[name] for name in sorted(refs)]


def digest_of(refs: Sequence[CaseRef]) -> str:
    """The sha256 of names and content of these scans, wherever they lie, as 64 hex digits."""
    lines = (
        f"{ref.name} {' '.join(map(sha256, ref.files))}{ref.version.removeprefix(VOLUME_VERSION)}\n"
        for ref in refs
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def patients_of(name: str) -> list[str]:
    """Whose the scan of this name may be, as ``<data set>/<patient id>``; the names of folders may
    stand before the patient's, ``kaggle_3m_TCGA_CS_4941_19960909``."""
    words, found = name.split("_"), []
    for start in range(len(words)):
        named = patients_named("_".join(words[start:]))
        # A folder of one's own takes any name for a patient's: there the whole one alone counts.
        found += [f"{dataset}/{who}" for dataset, who in named if not start or dataset != "folder"]
    return found


@told_together()
def _in_folder(folder: Path) -> list[CaseRef]:
    try:
        sources = expand([folder])
    except ScanError as error:
        raise DataError(f"--unlabelled {folder}: {error}") from error
    stacks: dict[Path, list[Path]] = {}
    refs = []
    for source in sources:
        inner = source.path.parent
        # Beside masks/ lie scans of many, as figshare and folders of one's own have them.
        if inner != folder and not (inner.parent / "masks").is_dir() and _is_picture(source):
            stacks.setdefault(inner, []).append(source.path)
        else:
            refs.append(_ref(source))
    for inner, files in stacks.items():
        name = "_".join(inner.relative_to(folder).parts)
        refs.append(CaseRef(name, name, tuple(files), partial(_read_stack, name, tuple(files))))
    return refs


def _is_picture(source: Source) -> bool:
    return source.path.is_file() and sniff_or_damaged(source.path) in PICTURES


def _ref(source: Source) -> CaseRef:
    files = tuple(source.sequences.values()) or (source.path,)
    if files[0].is_dir():  # a DICOM series
        files = tuple(file_of(path) for _, inside in walk(files[0]) for path in inside)
    version = "" if _is_picture(source) else volume_version(source.sequences)
    return CaseRef(source.name, source.name, files, partial(_read, source), version)


def _read(source: Source) -> Case:
    with naming(source.path):
        return Case(source.name, UNLABELLED, source.read(), None)


def _read_stack(name: str, files: tuple[Path, ...]) -> Case:
    slices = []
    for file in files:
        with naming(file):
            slices.append(read_scan(file).pixels)
        found, first = ((own.shape[1:], own.dtype) for own in (slices[-1], slices[0]))
        if found != first:
            (*size, channels), depth = found
            (*first_size, first_channels), first_depth = first
            raise DataError(
                f"{file} is {tuple(size)} (height, width), {channels} channels of {depth}, but "
                f"{files[0]} is {tuple(first_size)}, {first_channels} of {first_depth}: all slices "
                "of one folder must agree."
            )
    scan = Scan(np.concatenate(slices), None, None, str(files[0].parent))
    return Case(name, UNLABELLED, scan, None)
