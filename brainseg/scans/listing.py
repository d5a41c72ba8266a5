"""Which files of a folder may be scans: not what systems, archivers and editors leave there."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from brainseg.scans.notes import listed, note
from brainseg.scans.scan import natural_key

_MASK_WORD = re.compile(
    r"(labels?|masks?|segs?|segmentations?|annotations?|gt|truth|groundtruth)(Tr|Ts|Val)?",
    re.IGNORECASE,
)

_VOLUME_SUFFIXES = (".nii", ".nii.gz")
_ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".tgz", ".tar.gz")
_FILE_SUFFIXES = (*_VOLUME_SUFFIXES, ".mha", ".nrrd", ".npy", ".tif", ".tiff", ".png", ".jpg")
_LEFT_BY_SYSTEMS = {
    "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "$recycle.bin",
    "system volume information", "lost+found",
}  # fmt: skip
_PAPERS = {"readme", "license", "licence", "changes", "participants", "manifest", "checksums"}
_PAPER_SUFFIXES = (
    ".txt", ".csv", ".tsv", ".json", ".md", ".rst", ".pdf", ".html", ".htm", ".xml", ".xls",
    ".xlsx", ".ods", ".docx", ".yaml", ".yml", ".log", ".py", ".ipynb", ".bval", ".bvec", ".md5",
    ".sha256", ".url", ".lnk", ".part", ".crdownload",
)  # fmt: skip


def is_clutter(name: str, *, is_folder: bool = False) -> bool:
    """Whether a file or folder of this name is no scan whatever it holds: hidden (``._x.png`` of a
    Mac, ``.ipynb_checkpoints``), left by a system (``Thumbs.db``, ``__MACOSX``), or, of a file, a
    text."""
    lower = name.lower()
    if lower.startswith((".", "~$")) or lower in _LEFT_BY_SYSTEMS:
        return True
    return not is_folder and (lower in _PAPERS or lower.endswith(_PAPER_SUFFIXES))


def is_clutter_within(parts: Sequence[str]) -> bool:
    """The same of a file by the parts of its path."""
    *folders, name = parts
    return is_clutter(name) or any(is_clutter(part, is_folder=True) for part in folders)


def entries(folder: Path) -> list[Path]:
    """What lies directly in a folder and may be a scan, in natural order: files, and folders that
    are named like a file and hold it (``x_flair.nii/0000.nii``), which ``file_of`` resolves."""
    return [path for path in _children(folder) if not path.is_dir() or _is_like_file(path)]


def scan_files(folder: Path) -> list[Path]:
    """The files of ``entries``, without links to what is not there."""
    files = (file_of(path) for path in entries(folder))
    return [path for path in files if path.is_file()]


def folders_in(folder: Path) -> list[Path]:
    """The folders directly in one, but for those among its ``entries``, in natural order."""
    return [path for path in _children(folder) if path.is_dir() and not _is_like_file(path)]


def volume_entries(folder: Path) -> list[Path]:
    """Those of ``entries`` that are named like NIfTI, sorted by their whole names."""
    found = entries(folder)
    return sorted(path for path in found if path.name.lower().endswith(_VOLUME_SUFFIXES))


def inmost(folder: Path) -> Path:
    """The folder itself or, while it holds nothing but one folder, that one."""
    while len(inside := _children(folder)) == 1 and inside[0].is_dir():
        folder = inside[0]
    return folder


def _is_like_file(folder: Path) -> bool:
    """Whether a folder is named like a file and holds one file and nothing else."""
    if not (folder.name.lower().endswith(_FILE_SUFFIXES) and folder.is_dir()):
        return False
    inside = _children(folder)
    return len(inside) == 1 and inside[0].is_file()


def file_of(path: Path) -> Path:
    """The file itself, or the one in a folder that is named like it."""
    return _children(path)[0] if path.is_dir() else path


def walk(root: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Each folder from ``root`` down with its ``entries``.

    Linked folders are followed, each folder is given once; one that may not be opened is noted.
    """
    seen: set[Path] = set()
    plain, linked = deque([root]), deque()
    while plain or linked:
        folder = plain.popleft() if plain else linked.popleft()  # a folder keeps its own name
        if (real := folder.resolve()) in seen:
            continue
        seen.add(real)
        try:
            children = _children(folder)
            inside = entries(folder)
        except OSError as error:
            note(f"{folder} is left out: it can't be opened ({error.strerror}). Check its rights.")
            continue
        for child in children:
            if child.is_dir() and child not in inside:
                (linked if child.is_symlink() else plain).append(child)
        yield folder, inside


def is_mask_folder(name: str) -> bool:
    """Whether a folder of this name holds masks: one of its words says so."""
    return any(_MASK_WORD.fullmatch(word) for word in re.split(r"[-_. ]+", name))


def stem_of(path: Path) -> str:
    """The file's name without its suffix; ``.nii.gz`` is one."""
    name = path.name
    return Path(name[:-3] if name.lower().endswith(".gz") else name).stem


def unpack_hint(root: Path) -> str:
    """`` Unpack a.zip first.`` where a folder without scans holds archives, else ``""``."""
    found = [file.name for _, files in walk(root) for file in files if _is_archive(file)]
    if not found:
        return ""
    return f" Unpack {listed(found, 4)} first."


def _is_archive(path: Path) -> bool:
    return path.name.lower().endswith(_ARCHIVES)


def _children(folder: Path) -> list[Path]:
    found = (
        path
        for path in folder.iterdir()
        if not is_clutter(path.name)
        or (path.is_dir() and not is_clutter(path.name, is_folder=True))
    )
    return sorted(found, key=lambda path: (natural_key(path.name), path.name))
