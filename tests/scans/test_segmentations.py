"""DICOM segmentations: each frame lands where it says, whatever was left out or comes twice."""

import struct

import numpy as np
import pytest

from brainseg.scans.masks import read_mask
from brainseg.scans.notes import noting
from brainseg.scans.reading import read_scan
from tests.scans.scan_files import ball, dicom_series, noise, refused

SIZE = (6, 10, 12)
TUMOUR = ball(*SIZE)
SOP = "1.2.840.10008.5.1.4.1.1.66.4"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"


def element(tag, kind, value, explicit=True, is_open=False):
    if isinstance(value, list):
        items = [(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item) for item in value]
        if is_open:
            end = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
            items = [struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + item + end for item in value]
            items.append(struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))
        value = b"".join(items)
    elif isinstance(value, int):
        value = struct.pack("<H" if kind == "US" else "<I", value)
    elif isinstance(value, str):
        value = value.encode()
        value += (b"\0" if kind == "UI" else b" ") * (len(value) % 2)
    length = 0xFFFFFFFF if is_open else len(value)
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if not explicit:
        return head + struct.pack("<I", length) + value
    if kind in ("OB", "SQ"):
        return head + kind.encode() + struct.pack("<HI", 0, length) + value
    return head + kind.encode() + struct.pack("<H", length) + value


def segmentation(
    path,
    frames,
    heights,
    segments=None,
    names=("tumour",),
    syntax=EXPLICIT,
    is_open=False,
    is_binary=True,
    corner=(0.0, 0.0),
    sop=SOP,
    cosines="1\\0\\0\\0\\1\\0",
    normal=(0, 0, 1),
):
    """A segmentation on the grid of `dicom_series`: spacing 0.5, 0.75 and 3 mm."""

    def el(tag, kind, value):
        is_sequence = isinstance(value, list)
        return element(tag, kind, value, syntax != IMPLICIT, is_open and is_sequence)

    def frame(height, segment):
        place = np.array([*corner, 0.0]) + height * np.array(normal)
        place = "\\".join(map(str, place.tolist()))
        return el(0x00209113, "SQ", [el(0x00200032, "DS", place)]) + el(
            0x0062000A, "SQ", [el(0x0062000B, "US", segment)]
        )

    meta = element(0x00020002, "UI", sop) + element(0x00020003, "UI", "1.2.3.4")
    meta += element(0x00020010, "UI", syntax)
    meta = element(0x00020000, "UL", len(meta)) + meta
    measures = el(0x00180050, "DS", "3") + el(0x00280030, "DS", "0.75\\0.5")
    shared = el(0x00209116, "SQ", [el(0x00200037, "DS", cosines)])
    shared += el(0x00289110, "SQ", [measures])
    segments = segments or [1] * len(heights)
    bits = 1 if is_binary else 8
    flat = np.packbits(frames.ravel() > 0, bitorder="little") if is_binary else frames
    voxels = flat.astype(np.uint8).tobytes()
    fields = [
        (0x00080016, "UI", sop),
        (0x00080018, "UI", "1.2.3.4"),
        (0x00080060, "CS", "SEG"),
        (0x0020000D, "UI", "1.2"),
        (0x0020000E, "UI", "1.2.3"),
        (0x00280002, "US", 1),
        (0x00280004, "CS", "MONOCHROME2"),
        (0x00280008, "IS", str(len(frames))),
        (0x00280010, "US", frames.shape[1]),
        (0x00280011, "US", frames.shape[2]),
        (0x00280100, "US", bits),
        (0x00280101, "US", bits),
        (0x00280102, "US", bits - 1),
        (0x00280103, "US", 0),
        (0x00620001, "CS", "BINARY" if is_binary else "FRACTIONAL"),
        (0x00620002, "SQ", [el(0x00620005, "LO", name) for name in names]),
        (0x52009229, "SQ", [shared]),
        (0x52009230, "SQ", [frame(*one) for one in zip(heights, segments, strict=True)]),
        (0x7FE00010, "OB", voxels + b"\0" * (len(voxels) % 2)),
    ]
    path.write_bytes(bytes(128) + b"DICM" + meta + b"".join(el(*field) for field in fields))
    return path


@pytest.fixture
def scan(tmp_path):
    return read_scan(dicom_series(tmp_path / "scan", noise(*SIZE, dtype=np.int16)))


def read(path, scan):
    with noting() as notes:
        return read_mask(path, scan), notes


def test_slices_with_a_gap_between_them(tmp_path):
    scan = read_scan(
        dicom_series(tmp_path / "gap", noise(*SIZE, dtype=np.int16), heights=np.arange(6) * 3.6)
    )
    path = segmentation(tmp_path / "seg.dcm", TUMOUR, [3.6 * i for i in range(6)])
    mask, notes = read(path, scan)  # of slices 3 mm thick
    assert np.array_equal(mask, TUMOUR) and not notes
    # Of every second slice nothing tells the step.
    segmentation(path, TUMOUR[[1, 3]], [3.6, 10.8])
    refused(path, "evenly spaced", read=lambda path: read_mask(path, scan))


def test_beside_its_scan_it_is_the_mask(tmp_path, scan):
    folder = dicom_series(tmp_path / "both", noise(*SIZE, dtype=np.int16))
    segmentation(folder / "seg.dcm", TUMOUR, [3.0 * i for i in range(6)])
    mask, _ = read(folder, scan)
    assert np.array_equal(mask, TUMOUR)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("is_open", [False, True])
@pytest.mark.parametrize("is_binary", [False, True])
def test_frames_land_where_they_say(tmp_path, scan, syntax, is_open, is_binary):
    options = {"syntax": syntax, "is_open": is_open, "is_binary": is_binary}
    path = tmp_path / "seg.dcm"
    for order in (range(6), range(5, -1, -1), (3, 0, 5, 1, 4, 2)):
        segmentation(path, TUMOUR[list(order)], [3.0 * i for i in order], **options)
        mask, notes = read(path, scan)
        assert np.array_equal(mask, TUMOUR) and not notes
    kept = [1, 2, 4]  # empty frames are left out, and one in between
    mask, notes = read(segmentation(path, TUMOUR[kept], [3.0, 6.0, 12.0], **options), scan)
    assert np.array_equal(mask[kept], TUMOUR[kept]) and not mask[[0, 3, 5]].any()
    assert len(notes) == 1 and "placed by its header" in notes[0]
    mask, _ = read(segmentation(path, TUMOUR[3:4], [9.0], **options), scan)
    assert np.array_equal(mask[3], TUMOUR[3]) and mask.sum() == TUMOUR[3].sum()


def test_a_sagittal_segmentation(tmp_path):
    turned = {"rows_columns": (0, 1, 0, 0, 0, -1), "normal": (-1, 0, 0)}
    scan = read_scan(dicom_series(tmp_path / "t", TUMOUR.astype(np.int16), **turned))
    path = segmentation(
        tmp_path / "seg.dcm",
        TUMOUR[1:5],
        [3.0, 6.0, 9.0, 12.0],
        cosines="0\\1\\0\\0\\0\\-1",
        normal=(-1, 0, 0),
    )
    assert np.array_equal(read(path, scan)[0], scan.pixels[..., 0] > 0)


def test_segments_are_joined_and_named(tmp_path, scan):
    core = ball(*SIZE, radius=0.15)
    path = segmentation(
        tmp_path / "seg.dcm",
        np.concatenate([TUMOUR & ~core, core[2:4]]),
        [*(3.0 * i for i in range(6)), 6.0, 9.0],
        [1] * 6 + [2] * 2,
        ("edema", "core"),
    )
    mask, notes = read(path, scan)
    assert np.array_equal(mask, TUMOUR)
    assert len(notes) == 1 and "segments edema, core" in notes[0]


def test_a_segmentation_in_a_folder(tmp_path, scan):
    (tmp_path / "s").mkdir()
    segmentation(tmp_path / "s" / "1.dcm", TUMOUR, [3.0 * i for i in range(6)])
    assert np.array_equal(read(tmp_path / "s", scan)[0], TUMOUR)


def test_segmentations_that_are_not_read(tmp_path, scan):
    heights = [3.0 * i for i in range(6)]

    def not_read(*words, heights=heights, **options):
        path = segmentation(tmp_path / "seg.dcm", TUMOUR, heights, **options)
        refused(path, *words, read=lambda path: read_mask(path, scan))

    not_read("evenly spaced", "dcmqi", heights=[0, 3, 6, 9, 12, 13.3])
    not_read("where its frames lie", "Convert", cosines="1\\0")
    not_read("contours", "NIfTI", sop="1.2.840.10008.5.1.4.1.1.481.3")
    not_read("300.0 mm away", corner=(300.0, 0.0))


def test_frames_of_single_bits_are_whole_to_the_last_pixel(tmp_path):
    size = (6, 5, 7)  # 210 bits, of which the last byte has two
    scan = read_scan(dicom_series(tmp_path / "scan", noise(*size, dtype=np.int16)))
    frames = noise(*size) > 120
    frames[-1, -1, -2:] = True, False
    path = segmentation(tmp_path / "seg", frames, np.arange(6) * 3.0)
    mask, _ = read(path, scan)
    assert np.array_equal(mask, frames)
    path.write_bytes(path.read_bytes()[:-10])
    refused(path, "truncated", read=lambda file: read(file, scan))
