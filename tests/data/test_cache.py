"""The prepared set: right, built once, anew when anything changed, never from half a build."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import brainseg
from brainseg.data import load_dataset
from brainseg.data.cache import prepared_set
from brainseg.data.case import Case, CaseRef, DataError
from brainseg.scans import preprocessing
from brainseg.scans.notes import note, noting
from brainseg.scans.scan import Scan


def refuse():
    raise AssertionError("a case was decoded although the cache has it")


def unreadable(refs):
    return [replace(ref, read=refuse) for ref in refs]


def small(patient, slices=2, value=50, height=10, width=8, spacing_mm=None):
    """A reference to a made-up case: a bright square, tumour in the last slice only."""
    pixels = np.zeros((slices, height, width, 3), np.uint8)
    pixels[:, 2:8, 2:6] = value
    mask = np.zeros((slices, height, width), bool)
    mask[-1, 4:6, 3:5] = True
    case = Case(patient, "made up", Scan(pixels, spacing_mm), mask)
    return CaseRef(patient, patient, (), lambda: case, version=f"{value}")


def same(one, other):
    parts = ("images", "masks", "statistics", "slice_statistics", "patients", "datasets", "tumour")
    for part in parts:
        np.testing.assert_array_equal(getattr(one, part), getattr(other, part))


def entries(cache):
    return sorted(path.name for path in cache.iterdir() if path.suffix != ".lock")


def test_it_holds_every_slice_as_prepared(tmp_path, phantom_case):
    phantom = CaseRef("phantom", "phantom", (), lambda: replace(phantom_case, patient_id="phantom"))
    thick = small("a", slices=3, height=50, width=70, spacing_mm=(6.0, 1.0, 4.0))
    refs = [thick, phantom, small("z")]
    found = prepared_set(refs, 32, tmp_path)
    assert found.images.shape == (11, 32, 32, 3) and found.masks.shape == (11, 32, 32)
    assert found.statistics.shape == found.slice_statistics.shape == (11, 3, 2)
    for ref, place in zip(refs, (slice(3), slice(3, 9), slice(9, 11)), strict=True):
        rows = np.flatnonzero(found.patients == ref.patient_id)
        assert rows.tolist() == list(range(11))[place]
        case = ref.read()
        expected = preprocessing.prepare(case.scan.pixels, 32, case.scan.spacing_mm)
        np.testing.assert_array_equal(found.images[rows], expected.images)
        np.testing.assert_array_equal(found.statistics[rows], expected.statistics)
        np.testing.assert_array_equal(found.slice_statistics[rows], expected.slice_statistics)
        masks = preprocessing.prepare_mask(case.mask, 32, case.scan.spacing_mm)
        np.testing.assert_array_equal(found.masks[rows], masks)
        np.testing.assert_array_equal(found.tumour[rows], masks.any((1, 2)))
    assert found.tumour.any() and not found.tumour.all()
    assert found.datasets.tolist() == 3 * ["made up"] + 6 * ["phantom"] + 2 * ["made up"]
    assert found.owners[[0, 3, 10]].tolist() == ["made up/a", "phantom/phantom", "made up/z"]


def test_the_second_call_decodes_nothing(tmp_path):
    refs = [small("a"), small("b", slices=3)]
    first = prepared_set(refs, 32, tmp_path)
    same(prepared_set(unreadable(refs), 32, tmp_path), first)
    assert len(entries(tmp_path)) == 1


@pytest.mark.parametrize(
    "changed",
    [
        [small("a"), small("b", value=51)],  # a generated case of another version
        [small("a"), small("c")],
        [small("b"), small("a")],
        [small("a")],
    ],
)
def test_other_cases_are_built_anew(tmp_path, changed):
    prepared_set([small("a"), small("b")], 32, tmp_path)
    found = prepared_set(changed, 32, tmp_path)
    assert found.patients.tolist() == [ref.patient_id for ref in changed for _ in range(2)]
    assert len(entries(tmp_path)) == 2


def test_another_size_or_preprocessing_is_built_anew(tmp_path, monkeypatch):
    refs = [small("a")]
    assert prepared_set(refs, 32, tmp_path).images.shape[1:3] == (32, 32)
    assert prepared_set(refs, 64, tmp_path).images.shape[1:3] == (64, 64)
    with pytest.raises(AssertionError, match="decoded"):
        prepared_set(unreadable(refs), 96, tmp_path)
    monkeypatch.setattr(preprocessing, "VERSION", "next")
    with pytest.raises(AssertionError, match="decoded"):
        prepared_set(unreadable(refs), 32, tmp_path)


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_file_of_other_content_is_read_again(tmp_path, kind):
    data, cache = tmp_path / "data", tmp_path / "cache"
    for folder, top in (("images", 90), ("masks", 255)):
        (data / folder).mkdir(parents=True)
        array = np.zeros((32, 32), np.uint8)
        array[8:20, 8:20] = top
        Image.fromarray(array).save(data / folder / "a.bmp")
    before = prepared_set(load_dataset("folder", data), 32, cache)
    path = data / kind / "a.bmp"
    stat = path.stat()
    changed = np.asarray(Image.open(path)).copy()
    changed[8:20, 20:24] = changed.max()
    Image.fromarray(changed).save(path)
    assert path.stat().st_size == stat.st_size
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # size and date tell nothing
    after = prepared_set(load_dataset("folder", data), 32, cache)
    assert (getattr(after, kind)[0, 10, 22] > 0).all()
    assert not getattr(before, kind)[0, 10, 22].any()


def test_a_build_that_fails_leaves_nothing(tmp_path):
    refs = [small("a"), small("b"), small("c")]

    def fail():
        raise OSError("No space left on device")

    broken = [refs[0], replace(refs[1], read=fail), refs[2]]
    with pytest.raises(OSError, match="No space"):
        prepared_set(broken, 32, tmp_path)
    assert entries(tmp_path) == []
    assert len(prepared_set(refs, 32, tmp_path).images) == 6


def unreadable_file(name):
    def fail():
        raise DataError(f"{name}.png is damaged.")

    return replace(small(name), read=fail)


def test_a_case_that_cant_be_read_is_left_out_and_told_at_every_opening(tmp_path):
    refs = [small("a"), unreadable_file("b"), small("c", slices=3)]
    a, b, c = refs
    for opened in (refs, [*unreadable([a]), b, *unreadable([c])]):  # built, then as it is kept
        with noting() as notes:
            found = prepared_set(opened, 32, tmp_path)
        assert found.patients.tolist() == ["a"] * 2 + ["c"] * 3 and found.left_out == (1,)
        assert len(found.images) == len(found.statistics) == len(found.tumour) == 5
        assert notes == ["1 of 3 cases are left out. b.png is damaged."]
    same(found, prepared_set([refs[0], refs[2]], 32, tmp_path / "elsewhere"))


def test_a_case_that_can_be_read_by_now_is_taken_in(tmp_path):
    refs = [small("a"), unreadable_file("b")]
    before = prepared_set(refs, 32, tmp_path)
    found = prepared_set([refs[0], replace(refs[1], read=small("b").read)], 32, tmp_path)
    assert found.patients.tolist() == ["a", "a", "b", "b"] and found.left_out == ()
    assert entries(tmp_path) == [found.folder.name] == [before.folder.name]
    assert before.images.any() and len(before.images) == 2  # who has it open keeps it


def test_a_set_cut_short_by_a_power_cut_is_built_anew(tmp_path):
    refs = [small("a"), small("b")]
    before = prepared_set(refs, 32, tmp_path)
    whole = before.images.copy()
    os.truncate(before.folder / "images.u8", 100)
    np.testing.assert_array_equal(prepared_set(refs, 32, tmp_path).images, whole)


@pytest.mark.parametrize("channels", [2, 4])
def test_slices_of_other_channels_than_one_or_three_are_refused(tmp_path, channels):
    scan = Scan(np.zeros((2, 10, 8, channels), np.uint8), source="odd.npy")
    odd = Case("odd", "made up", scan, np.zeros((2, 10, 8), bool))
    with noting() as notes:
        found = prepared_set([small("a"), CaseRef("odd", "odd", (), lambda: odd)], 32, tmp_path)
    assert found.patients.tolist() == ["a", "a"]
    assert f"odd.npy has {channels} channels: expected one, or three" in notes[0]


def test_what_reading_assumes_of_many_cases_is_told_once(tmp_path):
    def named(ref):
        def read():
            note(f"{ref.name}.png is in colour.")
            return ref.read()

        return replace(ref, read=read)

    with noting() as notes:
        prepared_set([named(small(name)) for name in "abcdefg"], 32, tmp_path)
    assert notes == ["a.png is in colour. (The same or the like of 6 more.)"]


def test_a_set_of_which_no_case_can_be_read(tmp_path):
    with pytest.raises(DataError, match=r"a\.png is damaged\. None of 2 cases"):
        prepared_set([unreadable_file("a"), unreadable_file("b")], 32, tmp_path)
    assert entries(tmp_path) == []


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from brainseg.data.cache import prepared_set
from brainseg.data.case import Case, CaseRef
from brainseg.scans.scan import Scan
from brainseg.scans.scan import Scan

pixels = np.full((2, 32, 32, 3), 99, np.uint8)

def read(name):
    if name == "b":
        os.kill(os.getpid(), signal.SIGKILL)
    return Case(name, "made up", Scan(pixels), np.ones((2, 32, 32), bool))

refs = [CaseRef(n, n, (), lambda n=n: read(n), version="50") for n in "abc"]
prepared_set(refs, 32, Path(sys.argv[1]))
"""


def test_a_killed_build_is_not_taken_for_complete(tmp_path):
    process = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        cwd=Path(brainseg.__file__).parents[1],
        capture_output=True,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()
    refs = [small(name) for name in "abc"]  # the same key, other pixels
    found = prepared_set(refs, 32, tmp_path)
    assert found.patients.tolist() == ["a", "a", "b", "b", "c", "c"]
    fresh = prepared_set(refs, 32, tmp_path / "elsewhere")
    same(found, fresh)
    assert found.folder.name == fresh.folder.name
    same(prepared_set(unreadable(refs), 32, tmp_path), fresh)


def test_of_two_builders_at_once_one_waits_for_the_other(tmp_path):
    plain, read = [small("a"), small("b")], []

    def read_slowly(ref):
        read.append(ref.name)
        time.sleep(0.3)
        return ref.read()

    refs = [replace(ref, read=partial(read_slowly, ref)) for ref in plain]
    found = []
    builders = [
        threading.Thread(target=lambda: found.append(prepared_set(refs, 32, tmp_path)))
        for _ in range(2)
    ]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
    assert len(found) == 2 and read == ["a", "b"]
    expected = prepared_set(plain, 32, tmp_path / "elsewhere")
    for one in found:
        same(one, expected)
    assert [name for name in entries(tmp_path) if name != "elsewhere"] == [found[0].folder.name]


def test_what_a_killed_build_left_goes_after_a_week(tmp_path):
    for name, age_s in (("building-old", 8 * 86400), ("building-now", 60)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "images.u8").write_bytes(b"half")
        os.utime(tmp_path / name, (time.time() - age_s,) * 2)
    found = prepared_set([small("a")], 32, tmp_path)
    assert set(entries(tmp_path)) == {"building-now", found.folder.name}


def test_writing_to_an_opened_set_does_not_change_it(tmp_path):
    refs = [small("a")]
    prepared_set(refs, 32, tmp_path).images[:] = 7
    assert not (np.asarray(prepared_set(refs, 32, tmp_path).images) == 7).all()


def test_no_cases():
    with pytest.raises(DataError, match="no cases"):
        prepared_set([], 32)
