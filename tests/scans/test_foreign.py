"""Files of kinds that are not read: the refusal says what they are and what to do."""

import gzip
import io
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from tests.scans.scan_files import dicom_series, noise, refused, volume


def encoded(kind, **options):
    stream = io.BytesIO()
    Image.fromarray(noise(20, 24)).save(stream, kind, **options)
    return stream.getvalue()


def mgh():
    head = struct.pack(">7ih", 1, 24, 20, 5, 1, 0, 0, 0)
    return head.ljust(284, b"\0") + noise(5, 20, 24).tobytes()


def analyze(order="<"):
    head = bytearray(348)
    struct.pack_into(f"{order}i", head, 0, 348)
    struct.pack_into(f"{order}8h", head, 40, 3, 24, 20, 5, 1, 1, 1, 1)
    head[38:39] = b"r"
    return bytes(head)


def gipl():
    head = bytearray(256)
    struct.pack_into(">4H", head, 0, 24, 20, 5, 1)
    struct.pack_into(">I", head, 252, 719555000)
    return bytes(head) + noise(5, 20, 24).tobytes()


def tar():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.png"))
    return stream.getvalue()


PAR = b"# === DATA DESCRIPTION FILE ======================================================\n#\n"
FOREIGN = {
    "gif": (encoded("GIF"), "GIF", "PNG"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC", "PNG"),
    "avif": (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", "AVIF", "PNG"),
    "video": (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2", "video", "frame"),
    "jpeg 2000": (encoded("JPEG2000"), "JPEG 2000", "PNG"),
    "psd": (b"8BPS\0\1" + bytes(30), "Photoshop", "PNG"),
    "netpbm": (encoded("PPM"), "PGM", "PNG"),
    "svg": (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG", "PNG"),
    "bare svg": (b'\xef\xbb\xbf<svg width="9"/>', "SVG", "PNG"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "PDF", "picture"),
    "html": (b"<!DOCTYPE html>\n<html><body>Not found</body></html>", "web page", "download"),
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 9\n",
        "Git LFS",
        "pull",
    ),
    "text": (b"id,age\n1,40\n", "plain text", "scan itself"),
    "utf-8": ("脳の画像".encode() * 90, "plain text", "scan itself"),
    "utf-16": ("Bericht über".encode("utf-16"), "plain text", "scan itself"),
    "empty": (b"", "empty (0 bytes)", "scan itself"),
    "mat": (b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(128), "MATLAB", ".npy"),
    "mat 7.3": (b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512), "MATLAB", ".npy"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(40), "HDF5", "NIfTI"),
    "minc": (b"CDF\1" + bytes(40), "MINC", "mnc2nii"),
    "mgh": (mgh(), "FreeSurfer", "mri_convert"),
    "mgz": (gzip.compress(mgh()), "FreeSurfer", "mri_convert"),
    "analyze": (analyze(), "Analyze 7.5", "NIfTI"),
    "analyze, big-endian": (analyze(">"), "Analyze 7.5", "NIfTI"),
    "par": (PAR, "Philips PAR/REC", "dcm2niix"),
    "gipl": (gipl(), "GIPL", "NIfTI"),
    "vtk": (b"# vtk DataFile Version 3.0\n", "VTK", "NIfTI"),
    "zeiss": (b"ZISRAWFILE" + bytes(40), "microscope", "TIFF"),
    "pickle": (b"\x80\x04\x95\x10\0\0\0\0\0\0\0}", "pickle", ".npy"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(40), "7z", "Unpack"),
    "rar": (b"Rar!\x1a\7\1\0" + bytes(40), "RAR", "Unpack"),
    "tar": (tar(), "tar archive", "Unpack"),
    "tar.gz": (gzip.compress(tar()), "tar archive", "Unpack"),
    "xz": (b"\xfd7zXZ\0" + bytes(40), "xz", "Unpack"),
    "png.gz": (gzip.compress(encoded("PNG")), "gzip", "Unpack"),
    "gif.gz": (gzip.compress(encoded("GIF")), "gzip", "Unpack"),
    "text.gz": (gzip.compress(b"hello"), "gzip data that is not NIfTI", "scan itself"),
    "word, old": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(40), "Office", "PNG"),
    "program": (b"\x7fELF\2\1\1" + bytes(40), "program", "scan itself"),
    "unknown": (bytes(range(9, 60)), "unknown data (it begins with 09 0a 0b 0c)", "scan itself"),
}


@pytest.mark.parametrize("suffix", [".png", ".nii.gz", ""])
@pytest.mark.parametrize("kind", FOREIGN)
def test_what_a_file_is_and_what_to_do(tmp_path, kind, suffix):
    content, *words = FOREIGN[kind]
    path = tmp_path / f"scan{suffix}"
    path.write_bytes(content)
    refused(path, *words, "expected PNG")


@pytest.mark.parametrize("member", ["word/document.xml", "ppt/presentation.xml", "xl/workbook.xml"])
def test_an_office_document_is_no_archive_of_scans(tmp_path, member):
    with zipfile.ZipFile(tmp_path / "a.png", "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr(member, "<document/>")
        archive.writestr("media/image1.png", encoded("PNG"))
    refused(tmp_path / "a.png", "Office", "PNG")


def test_weights_are_no_archive_of_scans(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\2")
    refused(tmp_path / "a.pt", "PyTorch", ".npy")


def test_other_formats_packed_by_gzip(tmp_path):
    volume(tmp_path / "a.mha", noise(3, 20, 24))
    (folder := tmp_path / "s").mkdir()
    dicom_series(folder, noise(1, 20, 24, dtype=np.int16), names=["a.dcm"])
    for source, words in ((tmp_path / "a.mha", "MHA"), (folder / "a.dcm", "DICOM")):
        path = tmp_path / f"{source.name}.gz"
        path.write_bytes(gzip.compress(source.read_bytes()))
        refused(path, words, "Unpack")


def test_voxels_without_their_header(tmp_path):
    (tmp_path / "a.img").write_bytes(noise(5, 20, 24, low=200).tobytes())
    refused(tmp_path / "a.img", "header", "NIfTI")
