"""NIfTI: what its library does not see to: a file's name, and whether its voxels are all there."""

import gzip
import math
import struct
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from brainseg.scans.formats.detached import detached
from brainseg.scans.formats.sniffing import read_head
from brainseg.scans.scan import ScanError, check_finite


@contextmanager
def openable(file: Path):
    """The file under a name that the NIfTI library accepts: it goes by the suffix alone."""
    suffix = ".nii.gz" if read_head(file).startswith(b"\x1f\x8b") else ".nii"
    if file.name.endswith(suffix):
        yield file
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / f"scan{suffix}"
        try:
            link.symlink_to(file.resolve())
        except OSError:  # Windows without the privilege
            link.write_bytes(file.read_bytes())
        yield link


def check_nifti(file: Path, name: str) -> None:
    """Raise ScanError when voxels are missing, in another file, NaN or infinite.

    The NIfTI library would fill them with zeros without a word.
    """
    with file.open("rb") as raw:
        stream = gzip.GzipFile(fileobj=raw) if raw.peek(2)[:2] == b"\x1f\x8b" else raw
        head = stream.read(348)
        order = "<" if struct.unpack("<i", head[:4])[0] in (348, 540) else ">"
        if head[4:7] in (b"n+2", b"ni2"):
            magic, head = head[4:6], head + stream.read(192)
            places = ((12, "h"), (14, "h"), (168, "q"), (16, "8q"))
        else:
            magic, places = head[344:346], ((70, "h"), (72, "h"), (108, "f"), (40, "8h"))
        (code,), (bits,), (offset,), dims = (
            struct.unpack_from(order + form, head, place) for place, form in places
        )
        if magic != b"n+":
            raise detached(name)
        need = int(offset) + math.prod(max(1, n) for n in dims[1 : dims[0] + 1]) * bits // 8
        if not 0 <= offset < 2**26:
            raise ValueError(f"voxel offset {offset}")
        found = len(head) + len(stream.read(max(0, int(offset) - len(head))))
        dtype = {16: f"{order}f4", 64: f"{order}f8"}.get(code)
        bad = 0
        # To the end, so that gzip compares its checksum; not much further, it may be a bomb.
        while found < need + 2**24 and (chunk := stream.read(2**20)):
            voxels = chunk[: max(0, need - found)]
            if dtype:
                count = len(voxels) * 8 // bits
                bad += count - int(np.isfinite(np.frombuffer(voxels, dtype, count)).sum())
            found += len(chunk)
    if found < need:
        raise ScanError(
            f"{name} is truncated: {found:,} of {need:,} bytes are there. "
            "Copy, download or export it again."
        )
    check_finite(bad, name)
