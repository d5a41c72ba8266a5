"""Which scans are meant by paths: files, folders of scans, patients and their folders."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from brainseg.data.examinations import NOT_ANATOMY
from brainseg.scans.channels import channel_names, roles_of_channels
from brainseg.scans.formats.dicom import files_below, has_image
from brainseg.scans.formats.sniffing import PICTURES, VOLUMES, sniff_or_damaged
from brainseg.scans.listing import folders_in, is_mask_folder, scan_files, stem_of
from brainseg.scans.notes import listed, note
from brainseg.scans.reading import read_scan
from brainseg.scans.roles import (
    SEQUENCES,
    SERIES,
    TITLES,
    USED,
    by_role,
    names_a_mask,
    patients,
    roles_in,
)
from brainseg.scans.scan import Scan, ScanError, natural_key
from brainseg.scans.sequences import read_sequences

_DEEPEST = 4  # folders within folders
_MASK = re.compile(r"_mask(?!ed)")
_CHANNEL = re.compile(r"(.+)_(\d{4})")  # nnU-Net: CASE_0000.nii.gz


@dataclass(frozen=True)
class Source:
    """One scan to read: a file or folder, or the files of one patient's ``sequences`` by role.

    name: of the folder for its results. problem: why it can't be read, if that is known already.
    """

    path: Path
    name: str
    sequences: dict[str, Path] = field(default_factory=dict)
    problem: str = ""

    def __str__(self) -> str:
        used = ", ".join(f"{TITLES[role]} {file.name}" for role, file in self.sequences.items())
        return f"{self.path} ({used})" if len(self.sequences) > 1 else str(self.path)

    def read(self, channels: str | None = None) -> Scan:
        """The scan; raises ScanError. channels: as of ``read_scan``."""
        if self.problem:
            raise ScanError(self.problem)
        return (
            read_sequences(**self.sequences) if self.sequences else read_scan(self.path, channels)
        )


def expand(paths: Sequence[Path], *, as_volume: bool = False) -> list[Source]:
    """The scans meant by files and folders.

    A folder stands for the scans in it. In it, volumes that are sequences of one patient by their
    names are one scan; masks are left out, which is noted, or for pictures ``*_mask*``. A folder
    of DICOM files, or any with ``as_volume``, is itself one scan. A folder of folders stands for
    the scans in these.

    Raises ScanError for a missing path or a folder without scans.
    """
    sources: list[Source] = []
    for path in paths:
        if not path.exists():
            raise ScanError(f"{path} does not exist. Check the path.")
        if not path.is_dir():
            sources.append(_file(path))
            continue
        found = _in_folder(path, as_volume, ())
        if not found:
            masks = [file for file in scan_files(path) if sniff_or_damaged(file)]
            only = f" besides masks ({_names(masks)})" if masks else ""
            raise ScanError(
                f"{path} holds no scans{only}. Give files, or a folder that holds them."
            )
        sources += found
    return sources


def _in_folder(folder: Path, as_volume: bool, above: tuple[str, ...]) -> list[Source]:
    """above: the names of the folders from the one that was given to this one, without it."""
    name = "_".join(above) or folder.resolve().name
    files = scan_files(folder)
    kinds = {file: kind for file in files if (kind := sniff_or_damaged(file))}
    kinds = _without_company(folder, kinds)
    if not kinds and (folders := _folders(folder)) and len(above) < _DEEPEST:
        return [
            source
            for inner in folders
            for source in _in_folder(inner, as_volume, (*above, inner.name))
        ]
    if kinds and (passed := folders_in(folder)):
        note(
            f"{folder}: files lie beside folders, which are not read: {_names(passed)}. Give these "
            "by name if they hold scans."
        )
    if as_volume or "dicom" in kinds.values():
        return [Source(folder, name)] if kinds or not above else []
    volumes = [file for file, kind in kinds.items() if _is_volume(file, kind)]
    others = _without_masks(folder, [file for file in kinds if file not in volumes])
    found = [_file(file, above) for file in others] + _of_volumes(folder, volumes, above)
    return sorted(found, key=lambda source: natural_key(source.path.name))


def _without_company(folder: Path, kinds: dict[Path, str]) -> dict[Path, str]:
    """Without DICOM files that hold no image, such as a report, beside scans of other formats, and
    without a viewer's picture above the folders of a DICOM medium."""
    dicom = [file for file, kind in kinds.items() if kind == "dicom"]
    is_beside = dicom and len(dicom) < len(kinds) and not has_image(dicom)
    is_above = len(kinds) == 1 and {*kinds.values()} <= {*PICTURES} and files_below(folder)
    if not (is_beside or is_above):
        return kinds
    left_out = dicom or list(kinds)
    what = "DICOM files without an image" if dicom else "a picture above DICOM files"
    note(f"{folder}: left out as {what}: {_names(left_out)}.")
    return {file: kind for file, kind in kinds.items() if file not in left_out}


def _without_masks(folder: Path, pictures: list[Path]) -> list[Path]:
    """Pictures less those that their names call masks; ``*_mask*`` goes without saying."""
    named = [file for file in pictures if "_mask" not in file.name]
    found = [file for file in named if not names_a_mask(file.name)] or named
    if rest := [file for file in named if file not in found]:
        note(
            f"{folder}: left out as masks by their names: {_names(rest)}. Give them by name to "
            "segment them."
        )
    return found


def _of_volumes(folder: Path, files: list[Path], above: tuple[str, ...]) -> list[Source]:
    roles = roles_in(files)
    masks = [f for f in files if roles[f] in ("label", "mask") or _MASK.search(f.name)]
    if masks and len(masks) < len(files):
        truth = " To score with one, give it as --truth." if "label" in roles.values() else ""
        note(f"{folder}: left out as masks by their names: {_names(masks)}.{truth}")
    files = [file for file in files if file not in masks]
    names = channel_names(folder)
    if len(names) > 1 and any(_CHANNEL.fullmatch(stem_of(file)) for file in files):
        return _of_nnunet(folder, files, names, above)
    _tell_nnunet(folder, files)
    groups = patients(files)
    _tell_series(folder, files, groups, roles)
    sources = []
    if any(role in USED for role in roles.values()):
        maps = [group for group in groups if {roles[file] for file in group} == {"other"}]
        if maps:
            _tell_others(folder, [file for group in maps for file in group])
        groups = [group for group in groups if group not in maps]
    for group in groups:
        there = {roles[file] for file in group}
        are_of_one_scan = len(there & {*SEQUENCES}) > 1 or ("other" in there and there & {*USED})
        if not are_of_one_scan:
            sources += [_file(file, above) for file in group]
            continue
        name = "_".join(above) or folder.resolve().name
        if len(groups) > 1:
            first = min(group, key=lambda file: (*SEQUENCES, "other", "").index(roles[file]))
            name = _file(first, above).name
        sources.append(_patient(folder, group, name))
    return sources


def _patient(folder: Path, files: list[Path], name: str) -> Source:
    try:
        found = by_role(files)
    except ScanError as error:
        return Source(folder, name, problem=str(error))
    used = {role: found[role] for role in USED if role in found}
    rest = [file for file in files if file not in used.values()]
    roles = roles_in(files)
    if rest := [file for file in rest if roles[file] not in used]:  # those are told already
        _tell_others(folder, rest)
    if len(used) == 1:
        (path,) = used.values()
        return Source(path, name)
    return Source(folder, name, used)


def _tell_others(folder: Path, files: list[Path]) -> None:
    note(f"{folder}: left out as none of FLAIR, T1 and T1 after contrast: {_names(files)}.")


def _of_nnunet(
    folder: Path, files: list[Path], names: list[str], above: tuple[str, ...]
) -> list[Source]:
    """Cases of which dataset.json says what each file is."""
    told = ", ".join(names)
    note(f"{folder}: dataset.json names the channels 0000 and so on {told}; they are read as such.")
    roles = roles_of_channels(names)
    wanted = {role: number for number, role in enumerate(roles) if role in USED}
    cases, sources = defaultdict(dict), []
    for file in files:
        match = _CHANNEL.fullmatch(stem_of(file))
        if match:
            cases[match[1]][int(match[2])] = file
        else:
            sources.append(_file(file, above))
    for case, channels in cases.items():
        missing = [f"{case}_{n:04}" for n in wanted.values() if n not in channels]
        problem = ""
        if not wanted:
            problem = (
                f"{folder}: dataset.json names the channels {told}, none of them FLAIR or T1. "
                "Check the names there."
            )
        elif missing:
            problem = (
                f"{folder} lacks {', '.join(missing)}, which dataset.json names. Add it, or give "
                "what there is as --flair, --t1 and --t1c."
            )
        used = {} if problem else {role: channels[wanted[role]] for role in USED if role in wanted}
        sources.append(Source(folder, "_".join((*above, case)), used, problem))
    return sources


def _tell_nnunet(folder: Path, files: list[Path]) -> None:
    cases = defaultdict(list)
    for file in files:
        if match := _CHANNEL.fullmatch(stem_of(file)):
            cases[match[1]].append(int(match[2]))
    counts = {len(numbers) for numbers in cases.values()}
    whole = all(sorted(numbers) == list(range(len(numbers))) for numbers in cases.values())
    if cases and whole and len(counts) == 1 and counts <= {2, 3, 4, 5}:
        first = [file for file in files if _CHANNEL.fullmatch(stem_of(file))][: counts.pop()]
        note(
            f"{folder}: each file is read as a scan of its own, though {_names(first)} may be "
            "channels of one case. If they are, put its dataset.json there, or give them as "
            "--flair, --t1 and --t1c."
        )


def _tell_series(
    folder: Path, files: list[Path], groups: list[list[Path]], roles: dict[Path, str]
) -> None:
    """Say what a number before each sequence was taken for, that of a series or of a patient."""
    named = [file for file in files if roles[file] in SEQUENCES]
    numbers = {re.split("[-_. ]", file.name)[0] for file in named}
    are_series = len(numbers) == len(named) and all(map(SERIES.fullmatch, numbers))
    if not are_series or len({roles[file] for file in named}) < 2:
        return
    if any(set(named) <= set(group) for group in groups):
        note(
            f"{folder}: {_names(named)} are read as sequences of one patient, the numbers before "
            "them as those of series. If they are patients, give each file by name."
        )
    else:
        note(
            f"{folder}: each file is read as a scan of its own, though {_names(named)} may be "
            "series of one patient. If they are, give one of each sequence as --flair, --t1 and "
            "--t1c."
        )


def _file(path: Path, above: tuple[str, ...] = ()) -> Source:
    stem = stem_of(path)
    if above and not stem.startswith(above[-1]):
        stem = "_".join((*above, stem))
    return Source(path, stem)


def _names(files: list[Path]) -> str:
    return listed(file.name for file in files)


def _folders(folder: Path) -> list[Path]:
    """Folders within one that may hold scans; those of masks, and beside the ``anat`` of BIDS those
    of other kinds of images, are left out, which is noted."""
    found = folders_in(folder)
    masks = [inner for inner in found if is_mask_folder(inner.name)]
    if masks:
        note(f"{folder}: folders left out as masks by their names: {_names(masks)}.")
    found = [inner for inner in found if inner not in masks]
    if "anat" not in (inner.name for inner in found):
        return found
    if others := [inner for inner in found if inner.name in NOT_ANATOMY]:
        note(f"{folder}: folders left out as none of anatomy by their names: {_names(others)}.")
    return [inner for inner in found if inner not in others]


def _is_volume(file: Path, kind: str) -> bool:
    return kind in (*VOLUMES, "npy") or (kind == "damaged" and ".nii" in file.name)
