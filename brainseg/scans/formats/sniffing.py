"""What a file is, by its content: the kinds of scan that are known, and how each begins."""

import gzip
import re
import zlib
from pathlib import Path

PICTURES = ("png", "jpeg", "tiff", "bmp", "webp")
VOLUMES = {
    "nifti": "NiftiImageIO",
    "dicom": "GDCMImageIO",
    "mha": "MetaImageIO",
    "nrrd": "NrrdImageIO",
}
READABLE = "PNG, JPEG, TIFF, BMP, WebP, NIfTI, DICOM, MHA, NRRD or .npy"
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"BM", "bmp"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"\x93NUMPY", "npy"),
    (b"NRRD000", "nrrd"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x08\0", "dicom"),  # a DICOM file without preamble starts at group 0008, or
    (b"\x02\0\0\0UL", "dicom"),  # at the group that tells its syntax
)


def sniff(file: Path) -> str:
    """Kind of a file by its first bytes: a picture, a volume, "npy", "zip", or "" when unknown."""
    head = read_head(file)
    if head.startswith(b"\x1f\x8b"):
        with gzip.open(file) as stream:
            head = stream.read(512)
        return "nifti" if _is_nifti(head) else ""
    return kind_of(head)


def sniff_or_damaged(file: Path) -> str:
    """The same; "damaged" for an empty file and one that can't be opened: reading it says why."""
    try:
        return sniff(file) if file.stat().st_size else "damaged"
    except (OSError, EOFError, zlib.error):
        return "damaged"


def kind_of(head: bytes) -> str:
    """The kind of a file, but for NIfTI in gzip, from its first bytes."""
    if _is_nifti(head):
        return "nifti"
    if head[128:132] == b"DICM":
        return "dicom"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if re.match(rb"\s*(ObjectType|NDims|Comment)\s*=", head):
        return "mha"
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), "")


def read_head(file: Path) -> bytes:
    """First 512 bytes of a file, or all of a shorter one."""
    with file.open("rb") as stream:
        return stream.read(512)


def _is_nifti(head: bytes) -> bool:
    return head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] in (b"n+2\0", b"ni2\0")
