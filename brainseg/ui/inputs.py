"""What there is to compare on: a visitor's files or a phantom, read and checked."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from brainseg.checkpoints.folder import labelled
from brainseg.checkpoints.patients import find_seen
from brainseg.checkpoints.settings import Settings
from brainseg.config import Config
from brainseg.data import codes, phantom
from brainseg.data.case import Case, DataError
from brainseg.data.phantom import KINDS, make_example
from brainseg.scans import guard
from brainseg.scans.masks import read_mask
from brainseg.scans.notes import ASSUMED, note, noting
from brainseg.scans.preprocessing import CLIP, normalise, prepare
from brainseg.scans.reading import read_scan
from brainseg.scans.roles import USED, name_others
from brainseg.scans.scan import Scan, ScanError
from brainseg.scans.sequences import read_sequences
from brainseg.scans.truth.files import values_in
from brainseg.study.effects import with_effect
from brainseg.ui import receipt

EXAMPLES = KINDS
# A probability map of this many voxels takes 160 MB, and there is one for each model and fusion.
MAX_VOXELS = 40_000_000


@dataclass(frozen=True, eq=False)
class Inputs:
    """What there is to compare on, read and checked.

    files: by role, for the receipt, a scan's with the order of its channels if that was given.
    classes: of the truth, uint8 like it, numbers in class_names from 1; None where that tells none.
    findings: what the guard says of the scan, and what reading it had to assume.
    """

    scan: Scan
    truth: np.ndarray | None
    files: dict[str, dict]
    findings: tuple[guard.Finding, ...] = ()
    classes: np.ndarray | None = None
    class_names: tuple[str, ...] = ()

    @property
    def doubts(self) -> tuple[str, ...]:
        """What speaks against the scan, in a word or two each; not what reading assumed."""
        return guard.speak_against(self.findings)

    @property
    def mask_file(self) -> str:
        """The file of the true mask; "" for one that is computed, and without one."""
        return self.files.get("truth", {}).get("file", "")

    @property
    def is_stopped(self) -> bool:
        return any(finding.stops for finding in self.findings)


def read_files(paths: Mapping[str, str | None]) -> Inputs:
    """Read what a visitor gave: ``scan``, or ``flair``, ``t1``, ``t1c``; and ``truth``. Of a scan
    also ``channels``, the order of its channels, as ``read_scan`` takes it.

    Raises ScanError, with a sentence for whoever gave the files.
    """
    given = {role: path for role, path in paths.items() if path}
    channels = str(given.pop("channels", "")).strip()
    sequences = {role: given[role] for role in USED if role in given}
    if "scan" in given and sequences:
        raise ScanError(
            "There are both one scan and separate sequences: remove the scan, or the sequences."
        )
    if not given.keys() - {"truth"}:
        raise ScanError("There is no scan yet: choose a file, or try an example.")
    if sequences and channels:
        raise ScanError(
            "An order of channels goes with one scan that holds them all: remove the order, or "
            "the separate sequences."
        )
    if gone := [Path(path).name for path in given.values() if not Path(path).exists()]:
        raise ScanError(
            f"{gone[0]} is no longer kept here: uploads are deleted within the hour. Give it again."
        )
    with noting() as notes:
        scan = read_sequences(**sequences) if sequences else read_scan(given["scan"], channels)
        voxels = int(np.prod(scan.pixels.shape[:3]))
        if voxels > MAX_VOXELS:
            raise ScanError(
                f"{scan.source} has {voxels:,} voxels, and this page compares up to "
                f"{MAX_VOXELS:,}. Crop the scan, or run python -m brainseg predict on it."
            )
        truth = read_mask(given["truth"], scan) if "truth" in given else None
        _check_names(given)
    files = {role: receipt.describe_file(path) for role, path in given.items()}
    if channels:
        files["scan"]["channels"] = channels
    found = guard.findings(scan, notes, tuple(sequences))
    return Inputs(scan, truth, files, tuple(map(with_effect, found)))


def read_example(kind: str) -> Inputs:
    """The phantom of a kind, one of ``EXAMPLES``, with its truth."""
    case = _example(kind)
    scan = replace(case.scan, source=f"phantom {kind}")
    what = {"file": f"phantom {kind}", "bytes": scan.pixels.nbytes, "sha256": receipt.COMPUTED}
    return Inputs(
        scan, case.mask, {"scan": what}, classes=case.classes, class_names=phantom.CLASSES
    )


def with_seen(inputs: Inputs, checkpoints: str | Path) -> Inputs:
    """The inputs with what is found of their patient in the checkpoints of a folder: which were
    trained or validated on them, by the name of a file. Reads no weights."""
    settings = _settings(checkpoints)
    names = [item["file"] for role, item in inputs.files.items() if role in ("scan", *USED)]
    return replace(inputs, findings=(*find_seen(names, settings), *inputs.findings))


def with_classes(inputs: Inputs, truth: str | None, checkpoints: str | Path) -> Inputs:
    """The inputs with the regions of the tumour that ``truth``, the true mask's file, tells by its
    values, as BraTS has them, where a checkpoint of the folder tells these apart.

    How they were read, or why not, is said; then the tumour alone is the truth.
    """
    if not truth or inputs.truth is None:
        return inputs
    if not any(set(codes.CLASSES) <= set(own.classes) for own in _settings(checkpoints).values()):
        return inputs
    name, classes = Path(truth).name, None
    try:
        meaning, reason = codes.told_by(codes.collection_in(name), [values_in(truth)])
        coding = codes.of_release(meaning) if meaning else None
        if coding:
            classes = coding.read(Path(truth), inputs.scan, inputs.truth)
        told = codes.reading_text(name, reason, coding)
    except (ScanError, DataError) as error:
        told = str(error)
    if classes is None:
        told += " So it is not told where a class is wrong."
    finding = guard.Finding(ASSUMED, False, told)
    return replace(
        inputs,
        classes=classes,
        class_names=codes.CLASSES if classes is not None else (),
        findings=(*inputs.findings, finding),
    )


def input_sizes(checkpoints: str | Path) -> list[int]:
    """The sides of the squares, in pixels, that the networks of a folder read slices as, each once
    and ascending; what training takes where there is none."""
    return sorted({own.size for own in _settings(checkpoints).values()}) or [Config.size]


def _settings(checkpoints: str | Path) -> dict[str, Settings]:
    """Of the checkpoints of a folder by label; of none where there is no such folder."""
    folder = Path(checkpoints)
    there, _ = labelled(folder) if folder.is_dir() else ({}, [])
    return {label: checkpoint.settings for label, checkpoint in there.items()}


def seen_by_network(scan: Scan, size: int) -> tuple[np.ndarray, int]:
    """What a network reads of the middle slice: T1, FLAIR and T1c side by side after resizing and
    normalisation, uint8 (size, 3 * size); and which slice that is."""
    index = len(scan.pixels) // 2
    prepared = prepare(scan.pixels[index : index + 1], size, scan.spacing_mm)
    planes = normalise(prepared.images, prepared.statistics)[0]
    return ((np.hstack(planes) + CLIP) * (255 / (2 * CLIP))).astype(np.uint8), index


def was_given_before(paths: Mapping[str, str | None], before: Mapping[str, str | None]) -> str:
    """Where only the mask is still that of the run before, a sentence that says so; else ""."""
    truth = paths.get("truth")
    old, new = (_scans(given) for given in (before, paths))
    if not truth or truth != before.get("truth") or not old or {*old} & {*new}:
        return ""
    return (
        f"{Path(truth).name} had been given as the true mask of {_names(old)}, and is now taken "
        f"as that of {_names(new)}. If it is not, remove it or give another."
    )


def _check_names(given: Mapping[str, str]) -> None:
    """Say where a mask's name speaks of another patient than that of each file of the scan."""
    if "truth" in given:
        mask, scans = Path(given["truth"]).name, _scans(given)
        if all(name_others(mask, Path(scan).name) for scan in scans):
            note(
                f"By its name, {mask} may be the mask of another patient or slice than "
                f"{_names(scans)}. It was taken as the truth; if it is not, remove it.",
                guard.MASK_IN_DOUBT,
            )


def _scans(given: Mapping[str, str | None]) -> list[str]:
    return [str(given[r]) for r in ("scan", *USED) if given.get(r)]


def _names(paths: Sequence[str]) -> str:
    return ", ".join(Path(path).name for path in paths)


@functools.lru_cache(maxsize=len(KINDS))
def _example(kind: str) -> Case:
    return make_example(kind)
