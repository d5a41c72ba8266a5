"""What a file is that is not read, in a few words, and what to do with it."""

import codecs
import gzip
import re
import struct
from pathlib import Path

from brainseg.scans.formats.sniffing import READABLE, kind_of, read_head
from brainseg.scans.scan import ScanError

_GIVE = "Give the scan itself, exported in one of these formats."
_AS_PICTURE = "Save it as PNG."
_AS_NIFTI = "Convert it to NIfTI (.nii.gz)."
_AS_ARRAY = "Save the scan's pixels with numpy.save as .npy, or convert it to NIfTI."
_UNPACK = "Unpack it first."

# How a file begins, what it is and what to do.
_KINDS = (
    (rb"GIF8[79]a", "is a GIF picture", _AS_PICTURE),
    (rb".{4}ftyp(hei|hev|mif1|msf1)", "is an HEIC picture", _AS_PICTURE),
    (rb".{4}ftyp(avif|avis)", "is an AVIF picture", _AS_PICTURE),
    (rb".{4}ftyp|\x1aE\xdf\xa3|RIFF.{4}AVI ", "is a video", "Save the frame you mean as PNG."),
    (rb"\0\0\0\x0cjP  |\xffO\xffQ", "is a JPEG 2000 picture", _AS_PICTURE),
    (rb"\0\0\0\x0cJXL |\xff\x0a", "is a JPEG XL picture", _AS_PICTURE),
    (rb"8BPS", "is a Photoshop picture", _AS_PICTURE),
    (rb"gimp xcf", "is a GIMP picture", _AS_PICTURE),
    (rb"P[1-7]\s", "is a PBM, PGM or PPM picture", _AS_PICTURE),
    (rb"v/1\x01", "is an OpenEXR picture", _AS_PICTURE),
    (rb"\0\0\x01\0[^\0]\0", "is an icon", _AS_PICTURE),
    (rb"(\xef\xbb\xbf)?\s*(<[?!].*)?<svg[\s>]", "is an SVG drawing", _AS_PICTURE),
    (rb"%PDF-", "is a PDF document", "Export the picture in it as PNG."),
    (rb"\xd0\xcf\x11\xe0", "is an Office document", "Export the picture in it as PNG."),
    (
        rb"(\xef\xbb\xbf)?\s*(<!--.*)?(<!doctype html|<html)",
        "holds plain text, a web page (HTML)",
        "Give the scan itself; its download has probably failed.",
    ),
    (rb"version https://git-lfs", "is the pointer of a Git LFS file", "Get it by git lfs pull."),
    (rb"MATLAB \d\.\d MAT-file", "is a MATLAB file", _AS_ARRAY),
    (rb"\x89HDF\r\n\x1a\n", "is an HDF5 file (MINC 2, MATLAB 7.3 or the like)", _AS_ARRAY),
    (rb"CDF[\x01\x02]", "is a MINC file", "Convert it to NIfTI, for example by mnc2nii."),
    (
        rb"\0\0\0\x01(\0\0..){3}\0\0..\0\0\0[\0-\x0a]",
        "is a FreeSurfer volume (.mgz or .mgh)",
        "Convert it to NIfTI: mri_convert scan.mgz scan.nii.gz.",
    ),
    (
        rb"# === DATA DESCRIPTION FILE",
        "is the header of a Philips PAR/REC pair",
        "Convert the pair to NIfTI, for example by dcm2niix.",
    ),
    (rb".{252}(\x2a\xe3\x89\xb8|\xef\xff\xe9\xb0)", "is a GIPL volume", _AS_NIFTI),
    (rb"# vtk DataFile", "is a VTK file", _AS_NIFTI),
    (rb"MATRIX7", "is an ECAT volume", _AS_NIFTI),
    (
        rb"ZISRAWFILE|\xda\xce\xbe\x0a|p\0\0\0.{4}\*",
        "is a file of a microscope (CZI, ND2 or LIF)",
        "Export it as TIFF, for example by Fiji.",
    ),
    (rb"\x80[\x02-\x05]", "is a pickle of Python objects", _AS_ARRAY),
    (rb"7z\xbc\xaf\x27\x1c", "is a 7z archive", _UNPACK),
    (rb"Rar!", "is a RAR archive", _UNPACK),
    (rb".{257}ustar", "is a tar archive", _UNPACK),
    (rb"\xfd7zXZ\0", "is packed by xz", _UNPACK),
    (rb"BZh\d", "is packed by bzip2", _UNPACK),
    (rb"\x28\xb5\x2f\xfd", "is packed by zstd", _UNPACK),
    (rb"\x7fELF|MZ", "is a program", _GIVE),
)
_RAW = {
    ".img": "holds no header: it seems to be the voxels of a pair (.hdr and .img)",
    ".rec": "holds no header: it seems to be the voxels of a Philips PAR/REC pair",
    ".raw": "holds no header: it seems to be voxels alone",
}


def not_read(file: Path, name: str, kind: str) -> ScanError:
    """The error to raise for a file of no kind that is read by itself."""
    if kind == "zip":
        return ScanError(f"{name} is an archive within another. Unpack it first.")
    what, remedy = _described(file)
    return ScanError(f"{name} {what}, expected {READABLE}. {remedy}")


def detached(name: str) -> ScanError:
    """The error to raise for a header whose voxels are in another file: a stranger's header must
    not pull in another file of this machine."""
    return ScanError(
        f"{name} keeps its voxels in another file. Save it as one file (.nii.gz or .mha)."
    )


def _described(file: Path) -> tuple[str, str]:
    """What a file holds that `sniff` does not know, after its name; and the remedy, a sentence."""
    head = read_head(file)
    if not head:
        return "is empty (0 bytes)", _GIVE
    if head.startswith(b"\x1f\x8b"):
        with gzip.open(file) as stream:
            return _packed(stream.read(512))
    if raw := _RAW.get(file.suffix.lower()):
        return raw, "Convert it, together with its header, to NIfTI (.nii.gz)."
    if known := _known(head):
        return known
    if _is_text(head):
        return "holds plain text", _GIVE
    return f"holds unknown data (it begins with {head[:4].hex(' ')})", _GIVE


def _packed(head: bytes) -> tuple[str, str]:
    """As `_described`, of what gzip packs."""
    if head.startswith(b"\x1f\x8b"):
        return "holds gzip data within gzip data", _UNPACK
    if kind := kind_of(head):
        label = kind if kind == "npy" else kind.upper()
        return f"is a {label} file packed by gzip", _UNPACK
    what, remedy = _known(head) or ("", "")
    if "FreeSurfer" in what or "tar archive" in what:  # .mgz and .tar.gz are formats by themselves
        return what, remedy
    if what:
        return f"{what} packed by gzip", f"{_UNPACK} {remedy}"
    return "holds gzip data that is not NIfTI", _GIVE


def _known(head: bytes) -> tuple[str, str] | None:
    for pattern, what, remedy in _KINDS:
        if re.match(pattern, head, re.DOTALL | re.IGNORECASE):
            return what, remedy
    if len(head) >= 348 and 348 in struct.unpack("<i", head[:4]) + struct.unpack(">i", head[:4]):
        return (
            "is the header of an Analyze 7.5 pair, which does not say where left is",
            "Convert the pair to NIfTI (.nii.gz), and check its sides.",
        )
    return None


def _is_text(head: bytes) -> bool:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):  # UTF-16
        return True
    if any(byte < 32 and byte not in b"\t\n\r\f" for byte in head):
        return False
    if sum(byte < 127 for byte in head) > 0.7 * len(head):
        return True
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # which may end within a letter
    except UnicodeDecodeError:
        return False
    return True
