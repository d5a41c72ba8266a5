"""The headers of MHA and NRRD, which are text: are their voxels there, and where do they lie?"""

import re
import zlib
from pathlib import Path

from brainseg.scans.formats.foreign import detached
from brainseg.scans.notes import note
from brainseg.scans.scan import ScanError

# Between a key and its value. Bounded: a header of blanks must not take hours.
_SIGN = rb"[ \t]{0,99}[=:]?[ \t]{0,99}"
_LONGEST_LINE = 500
_MM = {"m": 1000.0, "cm": 10.0, "um": 0.001, "µm": 0.001, "μm": 0.001}


def stated_place(file: Path, name: str, kind: str) -> dict:
    """What an "mha" or "nrrd" header states, for ``to_patient_axes``, and ``unit_mm``, the
    millimetres in its unit of length. Says what had to be assumed.

    Raises ScanError when the voxels are in another file, or packed in a way that is not read.
    """
    with file.open("rb") as stream:
        head = stream.read(2**20)
    if kind == "mha":
        files = set(re.findall(rb"ElementDataFile" + _SIGN + rb"(\S+)", head))
        head = head.partition(b"ElementDataFile")[0]
        is_attached = {file.upper() for file in files} == {b"LOCAL"}
    else:
        head, *voxels = re.split(rb"\r?\n\r?\n", head, maxsplit=1)
        _check_lines(head, name)
        is_attached = voxels and not re.search(rb"(?im)^data ?file[ \t]{0,99}:", head)
    if not is_attached:
        raise detached(name)
    stated = _stated(head.decode("utf-8", "replace"))
    if kind == "nrrd" and stated.get("encoding", "").lower() in ("bzip2", "bz2"):
        raise ScanError(f"{name} is packed by bzip2, which is not read. Save it raw or with gzip.")
    return _mha(stated, name) if kind == "mha" else _nrrd(stated, name)


def _check_lines(head: bytes, name: str) -> None:
    """Raise ScanError for a line of an NRRD header that is longer than any is: a thousand letters
    where it expects a few crash the library that reads it, and with it the process."""
    for line in head.splitlines():
        is_free = line.lower().startswith((b"#", b"content:"))
        is_pair = -1 < line.find(b":=") == line.find(b":")  # of a key and any value
        if len(line) > _LONGEST_LINE and not (is_free or is_pair):
            raise ScanError(
                f"{name} has a line of {len(line):,} letters in its header, expected at most "
                f"{_LONGEST_LINE}: it is damaged. Copy, download or export it again."
            )


def _stated(text: str) -> dict[str, str]:
    """What each line states, by its key in lower case."""
    found = {}
    for line in text.splitlines():
        if sign := re.search("[:=]", line.partition("#")[0]):
            value = line[sign.end() :].removeprefix("=")
            found[line[: sign.start()].strip().lower()] = value.strip()
    return found


def check_compressed(file: Path, name: str, kind: str, size: int) -> None:
    """Raise ScanError where compressed voxels, ``size`` bytes once unpacked, are damaged or fewer:
    ITK reads them without a word."""
    with file.open("rb") as stream:
        head = stream.read(2**20)
        if kind == "mha":
            found = re.search(rb"ElementDataFile" + _SIGN + rb"(?i:LOCAL)[^\n]*\n", head)
            is_packed = re.search(rb"(?im)^[ \t]{0,99}CompressedData" + _SIGN + rb"True", head)
        else:
            found = re.search(rb"\r?\n\r?\n", head)
            is_packed = found and re.search(
                rb"(?im)^encoding[ \t]{0,99}:[ \t]{0,99}gz", head[: found.end()]
            )
        if not (found and is_packed):
            return
        stream.seek(found.end())
        unpacker, left = zlib.decompressobj(47), size
        try:
            while left > 0 and not unpacker.eof and (chunk := stream.read(2**16)):
                while chunk and left > 0:
                    left -= len(unpacker.decompress(chunk, 2**24))
                    chunk = unpacker.unconsumed_tail
            is_whole = left <= 0
            if is_whole and not unpacker.eof:  # the check of all of it comes last
                unpacker.decompress(unpacker.unconsumed_tail + stream.read(2**16), 2**20)
                is_whole = unpacker.eof
        except zlib.error:
            is_whole = False
    if not is_whole:
        raise ScanError(
            f"{name} cannot be decoded: its compressed voxels are truncated or damaged. Copy, "
            "download or export it again."
        )


def _mha(stated: dict, name: str) -> dict:
    keys = ("offset", "position", "origin", "transformmatrix", "orientation", "rotation")
    is_placed = any(key in stated for key in keys)
    has_spacing = is_placed or "elementspacing" in stated or "elementsize" in stated
    return {"name": name, "is_placed": is_placed, "has_spacing": has_spacing}


def _nrrd(stated: dict, name: str) -> dict:
    space = stated.get("space", "")
    is_placed = "space directions" in stated
    if is_placed and not re.match("LPS|RAS|LAS|left-|right-", space, re.IGNORECASE):
        found = f"the space {space!r}" if space else "no space"
        note(
            f"{name} states {found}, which does not tell left from right: its axes are taken as "
            "left, posterior, superior. If the pictures are turned or mirrored, state its "
            "anatomical space and save it again."
        )
    units = set(re.findall(r'"([^"]*)"', stated.get("space units", "")))
    return {
        "name": name,
        "is_placed": is_placed,
        "has_spacing": is_placed or "nan" not in stated.get("spacings", "nan").lower(),
        "unit_mm": _MM.get(units.pop(), 1.0) if len(units) == 1 else 1.0,
    }
