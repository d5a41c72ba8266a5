"""Which class each pixel of a tumour has, data set by data set, and prepared."""

import hashlib
import json

import h5py
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from brainseg.data import cache, classes_of, figshare, load_dataset, phantom
from brainseg.data.cache import prepared_set
from brainseg.data.case import Case, CaseRef, DataError
from brainseg.scans import preprocessing
from brainseg.scans.notes import noting
from brainseg.scans.scan import Scan

TUMOUR = np.zeros((6, 8), np.uint8)
TUMOUR[2:4, 3:6] = 1


def picture(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint8)).save(path)


def consistent(case):
    assert case.classes.dtype == np.uint8 and case.classes.shape == case.mask.shape
    np.testing.assert_array_equal(case.classes > 0, case.mask)
    return case.classes


def test_a_case_has_no_classes_unless_given_and_reads_them_when_asked():
    scan, mask = Scan(np.zeros((1, 6, 8, 1), np.uint8)), TUMOUR[None] > 0
    assert Case("a", "made up", scan, mask).classes is None
    asked = []

    def read():
        asked.append(1)
        return mask * np.uint8(2)

    case = Case("a", "made up", scan, mask, read)
    assert not asked
    np.testing.assert_array_equal(case.classes, case.classes)
    assert consistent(case).max() == 2 and asked == [1]
    assert Case("a", "made up", scan, mask, classes=case.classes).classes is case.classes


# ---------------------------------------------------------------- figshare


def pictures(folder, types):
    for number in types:
        picture(folder / "images" / f"{number}.png", np.full((6, 8), number))
        picture(folder / "masks" / f"{number}.png", TUMOUR * 255)
    rows = "".join(f"{number},{kind}\n" for number, kind in types.items())
    (folder / "labels.csv").write_text("id,tumor_type\n" + rows)


def test_figshare_pictures_are_of_the_type_in_the_table(tmp_path):
    pictures(tmp_path, {1: "meningioma", 2: "glioma", 3: "Pituitary tumor", 4: "metastasis"})
    refs = {ref.patient_id: ref for ref in load_dataset("figshare", tmp_path)}
    assert classes_of("figshare") == figshare.CLASSES == ("meningioma", "glioma", "pituitary")
    for patient, value in (("meningioma-0", 1), ("glioma-0", 2), ("Pituitary tumor-0", 3)):
        np.testing.assert_array_equal(consistent(refs[patient].read()), TUMOUR[None] * value)
    other = refs["metastasis-0"].read()  # still of use without classes
    assert other.mask.any()
    with pytest.raises(DataError, match=r"labels\.csv names the tumour_type 'metastasis'"):
        _ = other.classes


def test_figshare_mat_files_know_their_type(tmp_path):
    def write(number, patient, label):
        with h5py.File(tmp_path / f"{number}.mat", "w") as file:
            file["cjdata/PID"] = np.array([[ord(letter)] for letter in patient], np.uint16)
            file["cjdata/image"] = np.ones((8, 6), np.int16)
            file["cjdata/tumorMask"] = TUMOUR.T
            if label is not None:
                file["cjdata/label"] = np.array([[label]])

    for number, (patient, label) in enumerate((("7", 3.0), ("7", 1.0), ("8", None), ("9", 4.0))):
        write(number, patient, label)
    seven, eight, nine = (ref.read() for ref in load_dataset("figshare", tmp_path))
    np.testing.assert_array_equal(consistent(seven), np.stack([TUMOUR * 3, TUMOUR]))
    assert eight.mask.any() and nine.mask.any()
    with pytest.raises(DataError, match=r"2\.mat has no cjdata/label: expected 1 \(meningioma\)"):
        _ = eight.classes
    with pytest.raises(DataError, match=r"3\.mat has cjdata/label 4"):
        _ = nine.classes


# ---------------------------------------------------------------- phantom


def test_phantoms_know_their_anatomy():
    assert classes_of("phantom") == phantom.CLASSES == ("oedema", "core", "enhancing")
    found = {}
    for seed in (3, 5, 8):
        case = phantom.make_case(seed, "large", size=64, slices=8)
        found[seed] = np.bincount(consistent(case).ravel(), minlength=4)
        assert found[seed][1] and found[seed][2]  # a core within oedema
        inner, outer = case.classes >= 2, case.classes == 1
        centre = np.argwhere(case.mask).mean(0)
        spread = [
            np.linalg.norm(np.argwhere(p)[:, 1:] - centre[1:], axis=1) for p in (inner, outer)
        ]
        assert spread[0].mean() < spread[1].mean()
    assert not phantom.make_case(1, "healthy", size=64, slices=8).classes.any()


def test_enhancing_is_where_contrast_agent_shows():
    cases = [phantom.make_case(seed, "large", size=64, slices=8) for seed in range(8)]
    enhancing = [case for case in cases if (case.classes == 3).any()]
    assert 0 < len(enhancing) < len(cases)
    for case in enhancing:
        gained = case.scan.pixels[..., 2] / np.maximum(case.scan.pixels[..., 0], 1.0)
        inside, core = gained[case.classes == 3], gained[case.classes == 2]
        assert np.median(inside) > 1.15 * np.median(core)


# ---------------------------------------------------------------- folder

PARTS = TUMOUR.copy()
PARTS[3, 5] = 2


def own(folder, masks, table=None):
    for stem, mask in masks.items():
        picture(folder / "images" / f"{stem}.png", np.full((6, 8), 50))
        picture(folder / "masks" / f"{stem}.png", mask)
    if table is not None:
        (folder / "classes.csv").write_text(table)
    return load_dataset("folder", folder)


def test_a_folder_without_a_table_has_no_classes(tmp_path):
    (ref,) = own(tmp_path, {"a": PARTS})
    assert classes_of("folder", [tmp_path]) == () and ref.read().classes is None


def test_a_folder_with_a_table(tmp_path):
    refs = own(tmp_path, {"a": PARTS, "b": TUMOUR * 0}, "Name;Value\ncyst;2.0\nsolid;1\nnone;0\n")
    assert classes_of("folder", [tmp_path]) == ("solid", "cyst")
    one, other = (ref.read() for ref in refs)
    np.testing.assert_array_equal(consistent(one)[0], PARTS)
    assert not consistent(other).any()


def test_volumes_and_palettes_of_a_folder(tmp_path):
    own(tmp_path, {"a": PARTS}, "value,name\n1,solid\n2,cyst\n")
    image = Image.fromarray(PARTS).convert("P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    image.save(tmp_path / "masks" / "a.png")
    for kind, array in (("images", PARTS * 9.0), ("masks", PARTS * 1.0)):  # floats, whole
        volume = sitk.GetImageFromArray(np.stack([array, array]))
        sitk.WriteImage(volume, str(tmp_path / kind / "b.nii.gz"))
    flat, deep = (ref.read() for ref in load_dataset("folder", tmp_path))
    np.testing.assert_array_equal(consistent(flat)[0], PARTS)
    np.testing.assert_array_equal(consistent(deep), np.stack([PARTS, PARTS]))


@pytest.mark.parametrize(
    ("mask", "told"),
    [
        (PARTS * 2, r"a\.png holds 4, of which .*classes\.csv says nothing.* 1 solid, 2 cyst"),
        (TUMOUR * 255, r"a\.png holds 255"),
        (np.stack([TUMOUR * 255, TUMOUR * 0, TUMOUR * 9], -1), r"a\.png has 3 channels"),
    ],
)
def test_values_without_a_class_are_named(tmp_path, mask, told):
    refs = own(tmp_path, {"a": mask, "b": PARTS}, "value,name\n1,solid\n2,cyst\n")
    case = refs[0].read()  # still of use without classes
    assert case.mask.any()
    with pytest.raises(DataError, match=told):
        _ = case.classes
    with noting() as notes:
        found = prepared_set(refs, 32, tmp_path / "cache", ("solid", "cyst"))
    assert found.left_out == (0,) and "1 of 2 cases are left out" in " ".join(notes)


def test_a_lossy_mask_has_no_classes(tmp_path):
    own(tmp_path, {"a": PARTS}, "value,name\n1,solid\n")
    (tmp_path / "masks" / "a.png").unlink()
    Image.fromarray(TUMOUR * 255).save(tmp_path / "masks" / "a.jpg", quality=95)
    (ref,) = load_dataset("folder", tmp_path)
    with pytest.raises(DataError, match=r"a\.jpg.*mixes labels"):
        _ = ref.read().classes


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("value,name\n1,solid\n3,cyst\n", r"classes\.csv has the values 1, 3"),
        ("value,name\n1,solid\n1,cyst\n", "has the values 1, 1"),
        ("value,name\n", "of none"),
        ("value,name\n1,solid\n2,Solid\n", "the names solid, Solid"),
        ("value,name\n1,\n", "another for each value"),
        ("number,what\n1,solid\n", "expected value,name"),
    ],
)
def test_a_bad_table_of_classes(tmp_path, table, told):
    own(tmp_path, {"a": PARTS})
    (tmp_path / "classes.csv").write_text(table)
    for call in (load_dataset, lambda name, path: classes_of(name, [path])):
        with pytest.raises(DataError, match=told):
            call("folder", tmp_path)


# ---------------------------------------------------------------- of several sets


def test_classes_of_several_sets(tmp_path):
    own(tmp_path, {"a": PARTS}, "value,name\n1,oedema\n2,core\n3,enhancing\n")
    assert classes_of("lgg") == () and classes_of("figshare+lgg") == ()
    assert classes_of("phantom+folder", [tmp_path]) == ("oedema", "core", "enhancing")
    with pytest.raises(DataError, match=r"figshare has the classes men.*, phantom oedema, core"):
        classes_of("figshare+phantom")
    with pytest.raises(DataError, match="not a folder"):
        classes_of("folder", [tmp_path / "nowhere"])
    with pytest.raises(DataError, match="2 folders are given for 1"):
        classes_of("folder", [tmp_path, tmp_path])


# ---------------------------------------------------------------- prepared


def test_a_prepared_pixel_has_the_class_that_fills_most_of_it():
    drawn = np.array(
        [
            [1, 2, 0, 0],
            [0, 2, 1, 0],
            [3, 3, 1, 1],
            [3, 3, 2, 2],
        ],
        np.uint8,
    )
    expected = [[2, 0], [3, 1]]  # 1/4, 2/4 of 3/4; 1/4 is no tumour; all; the lower of equals
    found = preprocessing.prepare_classes(np.stack([drawn, drawn * 0]), 2)
    assert found.dtype == np.uint8 and found.tolist() == [expected, [[0, 0], [0, 0]]]
    wide = preprocessing.prepare_classes(drawn[None, :2], 4)  # padded above and below
    assert wide[0].tolist() == [[0] * 4, drawn[0].tolist(), drawn[1].tolist(), [0] * 4]


@pytest.mark.parametrize("spacing_mm", [None, (5.0, 1.0, 1.7)])
@pytest.mark.parametrize("size", [17, 32, 71])
def test_prepared_classes_fill_the_prepared_mask(size, spacing_mm):
    rng = np.random.default_rng(size)
    drawn = rng.integers(0, 4, (3, 8, 10)).repeat(4, 1).repeat(4, 2).astype(np.uint8)
    found = preprocessing.prepare_classes(drawn, size, spacing_mm)
    masks = preprocessing.prepare_mask(drawn > 0, size, spacing_mm)
    np.testing.assert_array_equal(found > 0, masks > 0)
    assert {*np.unique(found)} == {0, 1, 2, 3}


def made_up(name, classes, coded_by=()):
    mask = TUMOUR[None].repeat(2, 0) > 0
    pixels = np.full((2, 6, 8, 3), 50, np.uint8)
    case = Case(name, "made up", Scan(pixels), mask, classes)
    return CaseRef(name, name, (), lambda: case, "1", coded_by)


def test_a_set_with_classes_lies_beside_the_one_without(tmp_path):
    drawn = PARTS[None].repeat(2, 0)
    table = tmp_path / "codes.json"
    table.write_text("{}")
    refs = [made_up("a", drawn), made_up("b", drawn, (table,))]
    plain = prepared_set(refs, 32, tmp_path / "c")
    text = f"{cache._FORMAT} {preprocessing.VERSION} 32\na a 1\nb b 1"
    assert plain.folder.name == f"2cases-32px-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    assert plain.classes is None
    names = {"images.u8", "masks.u8", "statistics.npy", "slice_statistics.npy", "index.json"}
    assert {file.name for file in plain.folder.iterdir()} == names
    assert set(json.loads((plain.folder / "index.json").read_text())) == {
        "size", "patients", "datasets", "left_out",
    }  # fmt: skip

    found = prepared_set(refs, 32, tmp_path / "c", ("solid", "cyst"))
    assert (found.folder / "masks.u8").read_bytes() == (plain.folder / "masks.u8").read_bytes()
    expected = preprocessing.prepare_classes(drawn, 32)
    np.testing.assert_array_equal(found.classes, np.concatenate([expected, expected]))
    assert isinstance(found.classes, np.memmap) and found.classes.dtype == np.uint8
    again = prepared_set(refs, 32, tmp_path / "c", ("solid", "cyst"))
    assert again.folder == found.folder and {*np.unique(again.classes)} == {0, 1, 2}
    assert prepared_set(refs, 32, tmp_path / "c").folder == plain.folder
    others = prepared_set(refs, 32, tmp_path / "c", ("cyst", "solid")).folder
    table.write_text('{"other": 1}')
    changed = prepared_set(refs, 32, tmp_path / "c", ("solid", "cyst")).folder
    assert len({plain.folder, found.folder, others, changed}) == 4


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        (None, "b has a mask whose values are of no known classes"),
        (PARTS[None].repeat(2, 0) * 2, "b holds class 4, expected 2 classes: solid, cyst"),
        (np.ones((2, 6, 8), np.uint8), "b has tumour without a class, or classes where"),
    ],
)
def test_who_has_other_classes_is_left_out(tmp_path, classes, told):
    refs = [made_up("a", PARTS[None].repeat(2, 0)), made_up("b", classes)]
    with noting() as notes:
        found = prepared_set(refs, 32, tmp_path, ("solid", "cyst"))
    assert found.left_out == (1,) and told in notes[0]
    assert len(found.classes) == len(found.masks) == 2
