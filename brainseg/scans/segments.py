"""Several masks of one scan in one file: the named segments of a 3D Slicer segmentation.

``.seg.nrrd`` is NRRD with fields of Slicer's own. Masks that overlap lie in layers, the first axis;
those that do not share one, each with a label. ``truth/files.py`` reads such files.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from brainseg.scans.geometry import restore_grid
from brainseg.scans.masks import whole_file
from brainseg.scans.rendering import CLASS_COLOURS, TRUTH_COLOUR
from brainseg.scans.scan import Scan, ScanError

SUFFIX = ".seg.nrrd"
TRUTH = "truth"
_MOST_LABELS = 255
_COLOURS = CLASS_COLOURS[::-1]  # the colour of masks elsewhere comes first
_MASS = (  # what Slicer calls each segment: a mass, by SNOMED CT
    "TerminologyEntry:Segmentation category and type - 3D Slicer General Anatomy list"
    "~SCT^49755003^Morphologically Altered Structure~SCT^4147007^Mass~^^"
    "~Anatomic codes - DICOM master list~^^~^^|"
)


def can_hold_segments(scan: Scan) -> bool:
    """Whether a scan has the grid with three axes that such a file needs."""
    return scan.geometry is not None and len(scan.geometry["size"]) == 3


def write_segments(
    masks: Iterable[tuple[str, np.ndarray]],
    scan: Scan,
    path: Path,
    colours: Sequence[tuple[int, int, int]] = _COLOURS,
) -> Path:
    """Write masks by name as the segments of one file, on the scan's own grid as ``write_mask``
    does, and return its path. The file appears whole or not at all.

    masks: bool (slices, height, width) each, on the grid of ``scan.pixels``; taken one by one, so
        that they need not all be in memory at once. One called ``TRUTH`` has the truth's colour,
        the others have ``colours`` in turn.
    Raises ScanError for a scan without such a grid, another shape or dtype or no mask, and when the
    file can't be written.
    """
    if not can_hold_segments(scan):
        raise ScanError(f"{scan.source} has no grid in space: write its masks one by one.")
    layers: list[np.ndarray] = []
    labels: list[int] = []  # how many each layer holds
    fields: list[str] = []
    for number, (name, mask) in enumerate(masks):
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != scan.pixels.shape[:3]:
            raise ScanError(
                f"The mask {name} is {mask.dtype} of shape {mask.shape}: expected bool of "
                f"{scan.pixels.shape[:3]}, as {scan.source} has."
            )
        grid = restore_grid(mask, scan.geometry)
        layer = _add(_voxels(grid), layers, labels)
        colour = TRUTH_COLOUR if name == TRUTH else colours[number % len(colours)]
        fields += _segment(number, name, layer, labels[layer], grid.GetSize(), colour)
    if not layers:
        raise ScanError(f"There is no mask of {scan.source} to write to {path.name}.")
    with whole_file(path, SUFFIX) as aside, open(aside, "wb") as file:
        file.write("\n".join([*_header(grid, len(layers)), *fields, "", ""]).encode())
        with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
            for planes in zip(*layers, strict=True):
                packed.write(np.stack(planes, axis=-1).tobytes())
    return path


def _voxels(image) -> np.ndarray:
    import SimpleITK as sitk

    return sitk.GetArrayViewFromImage(image).astype(bool)


def _add(mask: np.ndarray, layers: list[np.ndarray], labels: list[int]) -> int:
    """Put a mask into the first layer where nothing lies in its way; which one that is."""
    for index, layer in enumerate(layers):
        if labels[index] < _MOST_LABELS and not layer[mask].any():
            break
    else:
        index = len(layers)
        layers.append(np.zeros(mask.shape, np.uint8))
        labels.append(0)
    labels[index] += 1
    layers[index][mask] = labels[index]
    return index


def _header(grid, layers: int) -> list[str]:
    """What places the voxels, and says that they are segments."""
    axes = np.reshape(grid.GetDirection(), (3, 3)) * grid.GetSpacing()
    sizes, directions, kinds = list(grid.GetSize()), [_vector(axis) for axis in axes.T], []
    if layers > 1:
        sizes, directions, kinds = [layers, *sizes], ["none", *directions], ["list"]
    return [
        "NRRD0004",
        "type: unsigned char",
        f"dimension: {len(sizes)}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, sizes))}",
        f"space directions: {' '.join(directions)}",
        f"kinds: {' '.join([*kinds, *['domain'] * 3])}",
        "encoding: gzip",
        f"space origin: {_vector(grid.GetOrigin())}",
        # One name for each generation of Slicer.
        "Segmentation_MasterRepresentation:=Binary labelmap",
        "Segmentation_SourceRepresentation:=Binary labelmap",
        "Segmentation_ContainedRepresentationNames:=Binary labelmap|",
        "Segmentation_ReferenceImageExtentOffset:=0 0 0",
    ]


def _segment(
    number: int, name: str, layer: int, label: int, size: tuple, colour: tuple
) -> list[str]:
    said = {
        "ID": f"Segment_{number + 1}",
        "Name": " ".join(name.split()),  # a line ends a field
        "NameAutoGenerated": 0,
        "Layer": layer,
        "LabelValue": label,
        "Color": " ".join(f"{value / 255:.6g}" for value in colour),
        "ColorAutoGenerated": 0,
        "Extent": " ".join(f"0 {side - 1}" for side in size),
        "Tags": _MASS,
    }
    return [f"Segment{number}_{key}:={value}" for key, value in said.items()]


def _vector(values) -> str:
    return f"({','.join(repr(float(value)) for value in values)})"
