"""Prepared slices in memory-mapped files, decoded once and shared by all runs."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from filelock import FileLock
from tqdm import tqdm

from brainseg.data.case import Case, CaseRef, DataError, check_channels, leave_out
from brainseg.files import cache_folder, sha256, write_through
from brainseg.scans import preprocessing
from brainseg.scans.notes import noting, told_together

_FORMAT = "3"  # raise it when what is stored here changes
_CLASSES_FORMAT = "1"  # the same for their classes alone
_ABANDONED_S = 7 * 86400
_TRIED_AGAIN = 8


@dataclass(frozen=True, eq=False)
class PreparedSet:
    """All slices of a data set, or of several, in the order of the cases.

    images: uint8 (n, size, size, 3), memory-mapped.
    masks: uint8 0/1 (n, size, size), memory-mapped; of scans without one 0, which says nothing.
    statistics, slice_statistics: float32 (n, 3, 2), see ``preprocessing.Prepared``.
    patients: patient id of each slice, (n,) str; the same id in two sets is two patients.
    datasets: data set of each slice, (n,) str; ``UNLABELLED`` of scans without a mask.
    tumour: whether the slice is known to have tumour, (n,) bool.
    left_out: positions among the cases of those that could not be read and have no slices here.
    classes: uint8 (n, size, size), memory-mapped: 1 to n where ``masks`` is 1, else 0; or None.
    """

    folder: Path
    images: np.ndarray
    masks: np.ndarray
    statistics: np.ndarray
    slice_statistics: np.ndarray
    patients: np.ndarray
    datasets: np.ndarray
    tumour: np.ndarray
    left_out: tuple[int, ...] = ()
    classes: np.ndarray | None = None

    @property
    def key(self) -> str:
        """What tells sets of other content apart, such as one in which more can be read by now."""
        some = f"-{len(self.patients)}slices" if self.left_out else ""
        return self.folder.name + some

    @cached_property
    def owners(self) -> np.ndarray:
        """Whose each slice is, (n,) str: ``<data set>/<patient id>``."""
        return np.char.add(np.char.add(self.datasets, "/"), self.patients)


def prepared_set(
    refs: Sequence[CaseRef], size: int, cache: Path | None = None, classes: Sequence[str] = ()
) -> PreparedSet:
    """Open the prepared slices of these cases, building them first if they are not there.

    The key covers the files' content and the preprocessing, so a changed file or version builds
    anew. A build is written aside and renamed at the end: a killed one leaves nothing broken.
    Cases that can't be read are left out, which is noted by name at every opening, until they can;
    DataError if none can.

    classes: names, as ``classes_of`` has them, to prepare these beside the masks, in a set of its
        own; cases of which they are not known are left out too.
    """
    if not refs:
        raise DataError("The data set has no cases.")
    cache = cache or cache_folder()
    folder = cache / f"{len(refs)}cases-{size}px-{_key(refs, size, classes)}"
    if not _is_current(refs, folder, size, classes):
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(folder.with_name(f".{folder.name}.lock")):  # several may begin at once
                if not _is_current(refs, folder, size, classes):
                    _build(refs, size, folder, classes)
        except OSError:  # where others may only read, what is there serves
            if _whole_index(folder, size) is None:
                raise
    return _open(refs, folder, size, classes)


def _key(refs: Sequence[CaseRef], size: int, classes: Sequence[str]) -> str:
    digest = hashlib.sha256(f"{_FORMAT} {preprocessing.VERSION} {size}".encode())
    for ref in refs:
        digest.update(f"\n{ref.patient_id} {ref.name} {ref.version}".encode())
        for file in ref.files:
            digest.update(bytes.fromhex(sha256(file)))
    if classes:
        digest.update(f"\nclasses {_CLASSES_FORMAT} {json.dumps(list(classes))}".encode())
        known = {file for ref in refs for file in ref.files}
        for file in sorted({file for ref in refs for file in ref.coded_by} - known):
            digest.update(bytes.fromhex(sha256(file)))
    return digest.hexdigest()[:16]


def _is_current(refs: Sequence[CaseRef], folder: Path, size: int, classes: Sequence[str]) -> bool:
    """Whether a set is there, whole, and none of the cases that it left out can be read; of many
    the first few are tried."""
    if (index := _whole_index(folder, size)) is None:
        return False
    tried = [refs[int(position)] for position in index.get("left_out", {})][:_TRIED_AGAIN]
    with noting():
        return not any(_can_be_read(ref, classes) for ref in tried)


def _whole_index(folder: Path, size: int) -> dict | None:
    """What a set says of itself; None without one, or where a power cut left less of it."""
    try:
        index = json.loads((folder / "index.json").read_text())
        is_whole = (folder / "images.u8").stat().st_size == len(index["patients"]) * size * size * 3
    except (FileNotFoundError, ValueError):
        return None
    return index if is_whole else None


def _can_be_read(ref: CaseRef, classes: Sequence[str]) -> bool:
    try:
        _read(ref, classes)
    except DataError:
        return False
    return True


def _read(ref: CaseRef, classes: Sequence[str]) -> Case:
    """A case fit to be prepared. Raises DataError."""
    case = ref.read()
    check_channels(Path(case.scan.source or ref.name), case.scan)
    if classes and case.mask is not None:
        _check(case, ref, classes)
    return case


def _build(refs: Sequence[CaseRef], size: int, folder: Path, classes: Sequence[str]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob("building-*"):  # by a build that was killed, or still goes on
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(left)
    aside = Path(tempfile.mkdtemp(prefix="building-", dir=folder.parent))
    old = aside.with_name(f"{aside.name}-old")
    try:
        _write(refs, size, aside, classes)
        for file in aside.iterdir():
            write_through(file)
        with suppress(FileNotFoundError):  # one that is not current
            folder.rename(old)
        try:
            aside.rename(folder)
        except OSError:  # another process finished the same build first
            if not (folder / "index.json").is_file():
                raise
    finally:
        for left in (aside, old):
            shutil.rmtree(left, ignore_errors=True)


@told_together()
def _write(refs: Sequence[CaseRef], size: int, folder: Path, classes: Sequence[str]) -> None:
    patients: list[str] = []
    datasets: list[str] = []
    statistics, slice_statistics = [], []
    faults: dict[int, str] = {}
    # Appended case by case, so that a set larger than the memory can be prepared.
    names = ["images.u8", "masks.u8", *(["classes.u8"] if classes else [])]
    with ExitStack() as stack:
        files = (stack.enter_context(open(folder / name, "wb")) for name in names)
        images, masks, *drawn = files
        bar = tqdm(refs, desc="preparing", unit="case", leave=False, disable=None)
        for position, ref in enumerate(bar):
            try:
                case = _read(ref, classes)
            except DataError as error:
                faults[position] = str(error)
                continue
            spacing_mm = case.scan.spacing_mm
            prepared = preprocessing.prepare(case.scan.pixels, size, spacing_mm)
            images.write(prepared.images.tobytes())
            if case.mask is None:
                for file in (masks, *drawn):
                    file.write(np.zeros(prepared.images.shape[:3], np.uint8).tobytes())
            else:
                masks.write(preprocessing.prepare_mask(case.mask, size, spacing_mm).tobytes())
                for file in drawn:
                    rows = preprocessing.prepare_classes(case.classes, size, spacing_mm)
                    file.write(rows.tobytes())
            patients += [case.patient_id] * len(prepared.images)
            datasets += [case.dataset] * len(prepared.images)
            statistics.append(prepared.statistics)
            slice_statistics.append(prepared.slice_statistics)
    if len(faults) == len(refs):
        _tell(refs, faults)
    np.save(folder / "statistics.npy", np.concatenate(statistics))
    np.save(folder / "slice_statistics.npy", np.concatenate(slice_statistics))
    index = {"size": size, "patients": patients, "datasets": datasets, "left_out": faults}
    (folder / "index.json").write_text(json.dumps(index))


def _check(case: Case, ref: CaseRef, classes: Sequence[str]) -> None:
    """Raise DataError where a case has other classes than named, or none."""
    if case.classes is None:
        raise DataError(f"{ref.name} has a mask whose values are of no known classes.")
    if (highest := int(case.classes.max(initial=0))) > len(classes):
        raise DataError(
            f"{ref.name} holds class {highest}, expected {len(classes)} classes: "
            f"{', '.join(classes)}."
        )
    if not np.array_equal(case.classes > 0, case.mask):
        raise DataError(f"{ref.name} has tumour without a class, or classes where no tumour is.")


def _tell(refs: Sequence[CaseRef], faults: dict[int, str]) -> None:
    named = [(refs[position].name, fault) for position, fault in faults.items()]
    leave_out(named, len(refs) - len(faults))


def _open(refs: Sequence[CaseRef], folder: Path, size: int, classes: Sequence[str]) -> PreparedSet:
    index = json.loads((folder / "index.json").read_text())
    faults = {int(position): fault for position, fault in index.get("left_out", {}).items()}
    _tell(refs, faults)
    n = len(index["patients"])
    # Copy-on-write only because torch warns about read-only arrays; nothing writes to them.
    images = np.memmap(folder / "images.u8", np.uint8, "c", shape=(n, size, size, 3))
    masks = np.memmap(folder / "masks.u8", np.uint8, "c", shape=(n, size, size))
    drawn = None
    if classes:
        drawn = np.memmap(folder / "classes.u8", np.uint8, "c", shape=(n, size, size))
    return PreparedSet(
        folder,
        images,
        masks,
        np.load(folder / "statistics.npy"),
        np.load(folder / "slice_statistics.npy"),
        np.array(index["patients"]),
        np.array(index["datasets"]),
        np.array([bool(mask.any()) for mask in masks]),
        tuple(faults),
        drawn,
    )
