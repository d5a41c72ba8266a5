"""Unpacking a .zip that a stranger may have packed, before a scan is read from it."""

import os
import re
import stat
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from brainseg.scans.formats.sniffing import kind_of
from brainseg.scans.listing import is_clutter_within, is_mask_folder
from brainseg.scans.notes import listed, note
from brainseg.scans.scan import MAX_PIXELS, ScanError, natural_key

MAX_UNPACKED_BYTES = 8 * MAX_PIXELS
"""Largest total size of the files in a .zip."""
_LONGEST_NAME = 200  # bytes, of which most file systems take 255
_LONGEST_TAIL = 50  # characters, of up to four bytes each
_PICTURES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"}


@contextmanager
def unpacked(path: Path, name: str, *, masks: bool = False):
    """The files of a .zip, flat in a folder that goes away on leaving; of pictures in folders of
    scans and of masks the former, or with `masks` the latter.

    `name` is what messages call the archive. Raises ScanError for entries with unsafe paths, links,
    a password, more than MAX_UNPACKED_BYTES, and several arrays; zipfile's errors for damage.
    """
    # The app keeps what visitors gave in one place, which goes away even if a killed process can't.
    uploads = os.environ.get("GRADIO_TEMP_DIR", "")
    temporary = tempfile.TemporaryDirectory(dir=uploads if os.path.isdir(uploads) else None)
    with zipfile.ZipFile(path) as archive, temporary as folder:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        for entry in entries:
            _check_entry(entry, name)
        if sum(entry.file_size for entry in entries) > MAX_UNPACKED_BYTES:
            raise ScanError(
                f"{name} unpacks to more than the {MAX_UNPACKED_BYTES:,} bytes that "
                "are read. Put one scan into it only."
            )
        _check_kind({entry.filename for entry in entries}, name)
        entries = [entry for entry in entries if not is_clutter_within(_path(entry).parts)]
        arrays = [e.filename.removesuffix(".npy") for e in entries if e.filename.endswith(".npy")]
        if len(arrays) > 1:
            raise ScanError(
                f"{name} is a .npz archive of {len(arrays)} arrays ({listed(arrays)}), expected "
                "one. Save the scan's pixels alone, with numpy.save as .npy."
            )
        entries = _of_one_folder(archive, entries, name, masks)
        left = MAX_UNPACKED_BYTES
        entries.sort(key=lambda entry: natural_key(entry.filename))
        for entry, plain in zip(entries, _plain_names(entries), strict=True):
            with archive.open(entry) as packed:
                left -= _copy(packed, Path(folder) / plain, left, name)
        yield Path(folder)


def _plain_names(entries: list[zipfile.ZipInfo]) -> list[str]:
    """Flat, plain names, since nothing in an archive may decide where its files go. Where one has
    to be cut, or two are alike, all are numbered, so that they stay in this order."""
    names = [re.sub(r"[^\w.-]", "_", _path(entry).name) for entry in entries]
    are_short = all(len(os.fsencode(name)) <= _LONGEST_NAME for name in names)
    if are_short and len({name.casefold() for name in names}) == len(names):
        return names
    return [f"{number:06}_{name[-_LONGEST_TAIL:]}" for number, name in enumerate(names)]


def _of_one_folder(
    archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], name: str, of_masks: bool
) -> list[zipfile.ZipInfo]:
    """The entries, without pictures in folders of masks, or of scans where it is masks that are
    wanted; of pictures beside DICOM files, such as a viewer's own, none. Raises ScanError where
    pictures lie in several folders: those of one are the slices of one scan."""
    homes: dict[PurePosixPath, list[zipfile.ZipInfo]] = {}
    for entry in entries:
        inner = _path(entry)
        if inner.suffix.lower() in _PICTURES:
            homes.setdefault(inner.parent, []).append(entry)
    others = [home for home in homes if is_mask_folder(home.name) != of_masks]
    if len(homes) < 2:
        return entries
    if any(_is_dicom(archive, entry) for entry in entries):
        return [entry for entry in entries if _path(entry).suffix.lower() not in _PICTURES]
    if len(homes) - len(others) != 1:
        raise ScanError(
            f"{name} holds pictures in several folders ({listed(map(str, homes), 4)}), expected "
            "the slices of one scan in one. Pack each scan for itself."
        )
    what = "scans" if of_masks else "masks"
    note(f"{name}: folders left out as {what} by their names: {listed(map(str, others), 4)}.")
    left_out = {entry.filename for home in others for entry in homes[home]}
    return [entry for entry in entries if entry.filename not in left_out]


def _is_dicom(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bool:
    with archive.open(entry) as packed:
        return kind_of(packed.read(512)) == "dicom"


def _check_kind(files: set[str], name: str) -> None:
    """Other things than archives of files are packed as .zip, too."""
    if "[Content_Types].xml" in files:
        raise ScanError(
            f"{name} is an Office document (Word, PowerPoint or Excel), expected a scan. "
            "Export the picture in it as PNG."
        )
    if any(PurePosixPath(file).name == "data.pkl" for file in files):
        raise ScanError(
            f"{name} holds a model or tensors of PyTorch, expected a scan. "
            "Save the scan's pixels with numpy.save as .npy."
        )


def _path(entry: zipfile.ZipInfo) -> PurePosixPath:
    """Some programs on Windows part folders by backslashes."""
    return PurePosixPath(entry.filename.replace("\\", "/"))


def _check_entry(entry: zipfile.ZipInfo, name: str) -> None:
    inner = str(_path(entry))
    if inner.startswith("/") or ".." in inner.split("/") or re.match(r"[A-Za-z]:", inner):
        raise ScanError(
            f"{name} holds an entry with an unsafe path ({entry.filename}). "
            "Pack the scan's files again, without parent or absolute paths."
        )
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise ScanError(
            f"{name} holds a symbolic link ({entry.filename}). Pack the files themselves."
        )
    if entry.flag_bits & 1:
        raise ScanError(f"{name} is protected by a password. Pack it without one.")


def _copy(packed, target: Path, limit: int, name: str) -> int:
    """Unpack one entry, whatever size it declared; returns the bytes written."""
    written = 0
    with target.open("wb") as out:
        while chunk := packed.read(2**20):
            written += len(chunk)
            if written > limit:
                raise ScanError(f"{name} unpacks to more than it declares. Pack it again.")
            out.write(chunk)
    return written
