"""Enhanced DICOM: many frames in one file, each with its own place and scale."""

import numpy as np
import pytest

from brainseg.scans.formats import dicom_header
from brainseg.scans.formats.dicom_frames import check_frames
from brainseg.scans.formats.dicom_header import read_header
from brainseg.scans.masks import read_mask, write_mask
from brainseg.scans.notes import noting
from brainseg.scans.reading import read_scan
from brainseg.scans.scan import ScanError
from tests.scans.dicom_files import BIG_ENDIAN, EXPLICIT, IMPLICIT, MR, enhanced_file, series
from tests.scans.scan_files import noise, refused

FRAMES = noise(5, 4, 6, dtype=np.uint16, high=4000)
ORDER = [3, 0, 4, 1, 2]
SHUFFLED = FRAMES[ORDER]
HEIGHTS = [number * 3.0 for number in ORDER]


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
@pytest.mark.parametrize("undefined", [True, False])
def test_frames_are_ordered_by_position(tmp_path, syntax, undefined):
    stored = SHUFFLED.astype(">u2") if syntax == BIG_ENDIAN else SHUFFLED
    path = enhanced_file(
        tmp_path / "e.dcm",
        stored,
        HEIGHTS,
        each=lambda number: {"philips": [{"position": (9, 9, 9), "slope": 7}]},  # private
        icon=[{"rows": 1, "columns": 1, "pixels": b"\0\0"}],
        syntax=syntax,
        undefined=undefined,
    )
    with noting() as notes:
        scan = read_scan(path)
    assert notes == []
    assert np.array_equal(scan.pixels[..., 0], FRAMES) and scan.pixels.dtype == np.uint16
    assert scan.spacing_mm == pytest.approx((3.0, 0.75, 0.5))
    assert scan.affine[:3, 3] == pytest.approx((-10, -20, 0))
    mask = scan.pixels[..., 0] > 2000
    assert np.array_equal(read_mask(write_mask(mask, scan, tmp_path / "m.nii.gz"), scan), mask)


def test_enhanced_and_classic_are_the_same_scan(tmp_path):
    tilted = (0.8, 0.6, 0, 0, 0, -1)  # rows towards the left and the back, columns downwards
    across, down = np.reshape(tilted, (2, 3))
    places = [tuple(np.cross(across, down) * 4 * number + (1, 2, 3)) for number in range(5)]
    folder = series(
        tmp_path / "classic",
        FRAMES,
        orientation=tilted,
        each=lambda number: {"position": places[number]},
    )
    path = enhanced_file(
        tmp_path / "e",
        SHUFFLED,
        HEIGHTS,
        shared={"plane_orientation": [{"orientation": tilted}]},
        each=lambda number: {"plane_position": [{"position": places[ORDER[number]]}]},
    )
    one, other = read_scan(folder), read_scan(path)
    assert np.array_equal(one.pixels, other.pixels) and np.allclose(one.affine, other.affine)
    assert sorted(one.spacing_mm) == pytest.approx([0.5, 0.75, 4.0])


def test_each_frame_has_its_own_scale(tmp_path):
    slopes = [0.5, 2.0, 0.125, 3.0, 1.0]
    path = enhanced_file(
        tmp_path / "e.dcm",
        SHUFFLED,
        HEIGHTS,
        each=lambda number: {
            "scaling": [{"slope": slopes[ORDER[number]], "intercept": -ORDER[number]}]
        },
    )
    expected = FRAMES * np.reshape(slopes, (5, 1, 1)) - np.arange(5).reshape(5, 1, 1)
    scan = read_scan(path)
    assert np.allclose(scan.pixels[..., 0], expected) and scan.pixels.dtype == np.float32
    path = enhanced_file(
        tmp_path / "s", FRAMES, range(5), shared={"scaling": [{"slope": 2, "intercept": 1}]}
    )
    assert np.array_equal(read_scan(path).pixels[..., 0], FRAMES * 2 + 1)
    shared = {"scaling": [{"slope": 2, "intercept": 1}]}
    path = enhanced_file(tmp_path / "one", FRAMES[:1], [], shared=shared, frames=None)
    assert np.array_equal(read_scan(path).pixels[..., 0], FRAMES[:1] * 2 + 1)


@pytest.mark.parametrize(
    "each, words",
    [
        (lambda n: {"frame_content": [{"time_index": 1 + n // 3}]}, "differ in time point (1, 2)"),
        (lambda n: {"diffusion": [{"b_value": (0.0, 1000.0)[n // 3]}]}, "b-value (0, 1000 s/mm²)"),
        (lambda n: {"frame_content": [{"dimension_index": (1, 1 + n // 3, n)}]}, "dimension index"),
        (lambda n: {}, "headers don't tell them apart"),
    ],
)
def test_frames_at_one_place_are_several_volumes(tmp_path, each, words):
    path = enhanced_file(tmp_path / "e.dcm", noise(6, 4, 6), [0, 3, 6] * 2, each=each)
    refused(path, "up to 2 of its 6", words, "dcm2niix")


def test_what_the_frames_lack(tmp_path):
    refused(enhanced_file(tmp_path / "gap", FRAMES, [0, 3, 6, 12, 15]), "steps of 3 to 6 mm")
    path = enhanced_file(
        tmp_path / "none", FRAMES, HEIGHTS, each=lambda n: {"plane_position": []} if n else {}
    )
    refused(path, "5 frames", "where 1 of them lie", "dcm2niix")
    refused(enhanced_file(tmp_path / "few", FRAMES, [0, 3, 6]), "5 frames", "where 3 of them lie")
    orientation = (0, 1, 0, 0, 0, -1)
    path = enhanced_file(
        tmp_path / "scout",
        FRAMES,
        HEIGHTS,
        each=lambda n: {"plane_orientation": [{"orientation": orientation}]} if n > 2 else {},
    )
    refused(path, "2 orientations", "localizer")


def test_old_multiframe_files_say_nothing_of_their_frames(tmp_path):
    path = enhanced_file(
        tmp_path / "m.dcm",
        FRAMES,
        HEIGHTS,
        sop_class=MR,
        shared=[],
        frames=None,
        gap=4,
        position=(1, 2, 3),
        pixel_spacing=(0.75, 0.5),
    )
    with noting() as notes:
        scan = read_scan(path)
    assert np.array_equal(scan.pixels[..., 0], FRAMES)
    assert scan.spacing_mm == pytest.approx((4.0, 0.75, 0.5))
    assert scan.affine[:3, 3] == pytest.approx((1, 2, 3))
    (told,) = notes
    assert "m.dcm states no positions" in told and "as stored, 4 mm apart" in told


def test_damaged_headers_end_quietly(tmp_path, monkeypatch):
    path = enhanced_file(tmp_path / "e.dcm", FRAMES, HEIGHTS)
    whole = path.read_bytes()
    header = whole[: read_header(path)["pixels"]]
    rng = np.random.default_rng(0)
    for cut in range(140, len(header), 37):
        path.write_bytes(whole[:cut])
        read_header(path)
        broken = bytearray(whole)
        broken[cut : cut + 4] = rng.bytes(4)
        path.write_bytes(broken)
        read_header(path)
    deep = header[:-12]  # before the pixels
    for _ in range(5000):  # sequences within sequences, each in an item without an end
        deep += b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff"
    path.write_bytes(deep)
    refused(path, "holds no pixels", "truncated")
    monkeypatch.setattr(dicom_header, "_MAX_ELEMENTS", 5)
    path.write_bytes(whole)
    assert "pixels" not in read_header(path)


def test_a_frame_count_that_nothing_could_hold(tmp_path):
    path = enhanced_file(
        tmp_path / "e.dcm", FRAMES, HEIGHTS, sop_class=MR, frames=None, frame_count=10**9
    )
    refused(path, "where its header states 48,000,000,000", "truncated")
    # Of 1 x 1 pixels and compressed nothing else would stop a list of so many frames.
    header = {"sop_class": MR, "frame_count": (10.0**8,), "rows": (1,), "columns": (1,),
              "transfer_syntax": "1.2.840.10008.1.2.4.50"}  # fmt: skip
    with pytest.raises(ScanError, match=r"states 100,000,000 frames in [\d,]+ bytes"):
        check_frames(path, header, "e.dcm")
