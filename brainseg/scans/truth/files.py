"""Decoding the file, folder or archive that a mask lies in."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from brainseg.scans.archives import unpacked
from brainseg.scans.formats.arrays import read_array
from brainseg.scans.formats.foreign import not_read
from brainseg.scans.formats.segmentations import (
    is_only_segmentation,
    is_segmentation,
    note_segments,
    read_segmentation,
)
from brainseg.scans.formats.sniffing import PICTURES, VOLUMES, sniff
from brainseg.scans.formats.volumes import read_image
from brainseg.scans.geometry import to_patient_axes
from brainseg.scans.listing import inmost, scan_files
from brainseg.scans.notes import note
from brainseg.scans.roles import names_a_mask
from brainseg.scans.scan import Scan, ScanError, check_values, decoding
from brainseg.scans.truth.pictures import labels_of_picture, tumour_of_picture
from brainseg.scans.truth.places import wrong_size
from brainseg.scans.truth.values import labels_of, tumour_of_channels

MOST_CHANNELS = 10
"""As many layers, classes or regions one mask may have."""


def read_drawn(path, scan: Scan, *, as_labels: bool = False) -> Scan:
    """A mask on its own grid: `pixels` bool (slices, height, width), tumour; uint8 `as_labels`.

    Takes what `read_scan` takes, with any number of channels up to MOST_CHANNELS, first or last;
    the scan tells which axes of an array are which. DICOM segmentations and several segments of
    a 3D Slicer file are joined. Of a folder with `*_mask*` pictures these are read alone.

    Raises ScanError for what cannot be read whole or is no mask.
    """
    path = Path(path)
    with decoding(path):
        name = path.resolve().name
        if path.is_dir():
            return _read_folder(path, name, scan, as_labels)
        if sniff(path) == "zip":
            with unpacked(path, name, masks=True) as folder:
                return _read_folder(folder, name, scan, as_labels)
        return _read_file(path, name, scan, as_labels)


def values_in(path) -> frozenset[int]:
    """The labels above 0 of a volume, to the nearest whole number. Raises ScanError for a file that
    is none or can't be read."""
    path = Path(path)
    with decoding(path):
        kind = sniff(path)
        if kind not in VOLUMES:
            raise not_read(path, path.name, kind)
        import SimpleITK as sitk

        image, _ = read_image([path], path.name, kind, most=None)
        values = sitk.GetArrayViewFromImage(image)
        return frozenset(np.unique(np.rint(values[values > 0]).astype(int)).tolist()) - {0}


def _read_file(file: Path, name: str, scan: Scan, as_labels: bool) -> Scan:
    kind = sniff(file)
    if kind in PICTURES:
        return Scan(_of_picture(file, name, kind, as_labels), source=name, format=kind)
    if kind == "npy":
        return _read_array(file, name, scan, as_labels)
    if kind in VOLUMES:
        return _read_volume([file], name, kind, scan, as_labels)
    raise not_read(file, name, kind)


def _read_folder(folder: Path, name: str, scan: Scan, as_labels: bool) -> Scan:
    files = scan_files(inmost(folder))
    kinds = {file: sniff(file) for file in files}
    if "dicom" in kinds.values():
        series = [file for file in files if kinds[file] == "dicom"]
        drawn = [f for f in series if len(series) > 1 and is_only_segmentation(f)]
        series = drawn if len(drawn) == 1 else series  # beside the scan that it was drawn on
        return _read_volume(series, name, "dicom", scan, as_labels)
    files = [file for file in files if kinds[file]]
    files = [file for file in files if names_a_mask(file.stem)] or files
    if len(files) == 1:
        alone = _read_file(files[0], f"{name}/{files[0].name}", scan, as_labels)
        return replace(alone, source=name)
    if not files or any(kinds[file] not in PICTURES for file in files):
        raise ScanError(
            f"{name} holds {len(files)} masks or scans, expected one, or pictures that are the "
            "slices of one. Give the mask's own file."
        )
    pages = [_of_picture(file, f"{name}/{file.name}", kinds[file], as_labels) for file in files]
    if len({page.shape[1:] for page in pages}) > 1:
        raise ScanError(f"{name} holds pictures of different sizes. Give the slices of one mask.")
    return Scan(np.concatenate(pages), source=name, format=kinds[files[0]])


def _of_picture(file: Path, name: str, kind: str, as_labels: bool) -> np.ndarray:
    return (labels_of_picture if as_labels else tumour_of_picture)(file, name, kind)


def _of_numbers(pixels: np.ndarray, name: str, as_labels: bool) -> np.ndarray:
    return (labels_of if as_labels else tumour_of_channels)(_numbers(pixels, name), name)


def _read_array(file: Path, name: str, scan: Scan, as_labels: bool) -> Scan:
    pixels = read_array(file, name)
    layouts = _layouts(pixels, scan.pixels.shape[:3])
    if len(layouts) > 1:  # as many slices as channels: one-hot along one of them alone
        layouts = [layout for layout in layouts if (np.count_nonzero(layout, axis=-1) == 1).all()]
    if len(layouts) == 1:
        mask = _of_numbers(layouts[0], name, as_labels)
        return Scan(mask, source=name, format="npy")
    found = pixels[None] if pixels.ndim == 2 else pixels
    if found.ndim == 3:
        raise wrong_size(Scan(found, source=name), scan)
    raise ScanError(
        f"{name} holds an array of shape {pixels.shape}, expected {scan.pixels.shape[:3]} (slices, "
        f"height, width) as {scan.source} has, with or without an axis of channels."
    )


def _layouts(stored: np.ndarray, size: tuple) -> list[np.ndarray]:
    """The array as (slices, height, width, channels) of a scan's size, in every way it fits."""
    stored, sides = stored.squeeze(), tuple(side for side in size if side > 1)
    if stored.shape == sides:
        return [stored.reshape(*size, 1)]
    return [
        np.moveaxis(stored, axis, -1).reshape(*size, -1)
        for axis in range(stored.ndim)
        if stored.shape[:axis] + stored.shape[axis + 1 :] == sides
        and stored.shape[axis] <= MOST_CHANNELS
    ]


def _read_volume(files: list[Path], name: str, kind: str, scan: Scan, as_labels: bool) -> Scan:
    if kind == "dicom" and len(files) == 1 and is_segmentation(files[0], name):
        if as_labels:
            raise ScanError(
                f"{name} is a DICOM segmentation, of whose segments no labels are read. Convert it "
                "to NIfTI with a whole number for each class."
            )
        image, stated = read_segmentation(files[0], name), {"name": name}
    else:
        image, stated = read_image(files, name, kind, most=None)
        keys = [f"Segment{number}_Name" for number in range(256)]  # as 3D Slicer writes them
        names = [image.GetMetaData(key) for key in keys if image.HasMetaDataKey(key)]
        note_segments(names, name)
    if len(image.GetSize()) == 4:
        image, stated = _channels_last(image, stated, scan)
    pixels, affine, grid = to_patient_axes(image, **stated)
    try:
        drawn = _of_numbers(pixels, name, as_labels)
    except ScanError as error:
        found, expected = pixels.shape[:3], scan.pixels.shape[:3]
        if found == expected:
            raise
        raise ScanError(
            f"{error} Its size is {found} (slices, height, width), that of the scan "
            f"{scan.source} {expected}."
        ) from error
    return Scan(drawn, grid["spacing_mm"], affine, name, kind, grid)


def _channels_last(image, stated: dict, scan: Scan) -> tuple:
    """An image of four axes with its channels as the last or in a vector, where they came first
    too, and what it states of its place then."""
    import SimpleITK as sitk

    size, grid, name = image.GetSize(), scan.geometry or {}, stated["name"]
    is_first = size[1:] == grid.get("size") != size[:3] and size[0] <= MOST_CHANNELS
    if not is_first:
        if size[3] <= MOST_CHANNELS:
            return image, stated
        raise ScanError(
            f"{name} has size {size}, expected one volume, or up to {MOST_CHANNELS} channels as "
            "its last axis. Save one volume with tumour 1 and the rest 0."
        )
    note(
        f"{name} has its {size[0]} channels as first axis, so its header can't place it: it is "
        f"taken to lie as {scan.source} does. If it does not, save the channels as last axis."
    )
    volume = sitk.GetImageFromArray(sitk.GetArrayViewFromImage(image), isVector=True)
    volume.SetSpacing(grid["spacing"])
    volume.SetOrigin(grid["origin"])
    volume.SetDirection(grid["direction"])
    return volume, {"name": name, "is_placed": scan.affine is not None}


def _numbers(pixels: np.ndarray, name: str) -> np.ndarray:
    """The pixels, or the ScanError that says why they are no mask."""
    check_values(pixels, name)
    if pixels.shape[-1] > MOST_CHANNELS:
        raise ScanError(
            f"{name} has {pixels.shape[-1]} channels, expected up to {MOST_CHANNELS}. Save one "
            "volume with tumour 1 and the rest 0."
        )
    return pixels
