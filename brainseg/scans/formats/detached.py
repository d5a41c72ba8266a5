"""Headers that name another file for their voxels.

They are refused: a stranger's header must not pull in another file of this machine.
"""

import re
from pathlib import Path

from brainseg.scans.scan import ScanError


def detached(name: str) -> ScanError:
    """The error to raise for such a header."""
    return ScanError(
        f"{name} keeps its voxels in another file. Save it as one file (.nii.gz or .mha)."
    )


def check_attached(file: Path, name: str, kind: str) -> None:
    """Raise ScanError when an "mha" or "nrrd" file does not hold its own voxels."""
    with file.open("rb") as stream:
        head = stream.read(2**20)
    if kind == "mha":
        attached = set(re.findall(rb"ElementDataFile\s*[=:]?\s*(\S+)", head)) == {b"LOCAL"}
    else:
        head, *voxels = re.split(rb"\r?\n\r?\n", head, maxsplit=1)
        attached = voxels and not re.search(rb"data ?file", head, re.IGNORECASE)
    if not attached:
        raise detached(name)
