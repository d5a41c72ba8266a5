"""What the values of BraTS' masks mean, by its releases and by dataset.json."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from brainseg.data import brats, classes_of, codes, load_dataset
from brainseg.data.cache import prepared_set
from brainseg.data.case import DataError
from brainseg.data.codes import brats_names, told_by
from brainseg.scans.notes import noting
from brainseg.scans.truth.files import values_in

CORE, OEDEMA, ENHANCING = 1, 2, 3
UNTIL_2021 = {1: "core", 2: "oedema", 3: "core", 4: "enhancing"}
FROM_2023 = {1: "core", 2: "oedema", 3: "enhancing"}


def label(*values):
    """A mask of (2, 5, 4) with these values in its first row, background elsewhere."""
    array = np.zeros((2, 5, 4), np.uint8)
    array[0, 0, : len(values)] = values
    return array


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path))


def patients(root, **values):
    for name, own in values.items():
        folder = root / name
        save(folder / f"{folder.name}_flair.nii.gz", np.full((2, 5, 4), 20, np.int16))
        save(folder / f"{folder.name}_seg.nii.gz", label(*own))
    return load_dataset("brats", root)


def firsts(refs):
    """The classes of the first row of each case, its zeros left out."""
    found = []
    for ref in refs:
        case = ref.read()
        np.testing.assert_array_equal(case.classes > 0, case.mask)
        assert case.classes.dtype == np.uint8
        found.append(case.classes[case.classes > 0].tolist())
    return found


@pytest.mark.parametrize(
    ("collection", "values", "meaning", "told"),
    [
        ("", [{1, 2, 4}, {1, 2}], UNTIL_2021, "hold a 4"),
        ("", [{1, 2, 3, 4}, {2, 3}], UNTIL_2021, "hold a 4"),  # until 2015
        ("", [{1, 2, 4}, {1, 2, 3}], None, "mixed"),
        ("", [{1, 2, 3}, {2}], FROM_2023, "no 4"),
        ("", [{1, 2}, {2}], None, "neither"),
        ("", [{1}, {1}, set()], None, "single value"),
        ("", [], None, "single value"),
        ("", [{1, 2, 7}], None, "up to 7"),
        ("GLI", [{1, 2, 3}], FROM_2023, "are called"),
        ("GLI", [{1, 2}], FROM_2023, "are called"),
        ("GLI", [{1, 2, 3, 4}], FROM_2023, "resection cavity"),
        ("GLI", [{1, 2, 4}], UNTIL_2021, "hold a 4"),
        ("20", [{1, 2, 4}], UNTIL_2021, "hold a 4"),
        ("20", [{1, 2, 3}], FROM_2023, "no 4"),  # as some have renumbered it
        ("PED", [{1, 2, 3}], None, "two codings"),
    ],
)
def test_all_masks_tell_the_release(collection, values, meaning, told):
    found, reason = told_by(collection, [frozenset(own) for own in values])
    assert found == meaning and told in reason


def test_of_a_set_until_2021_no_patient_is_read_otherwise(tmp_path):
    refs = patients(tmp_path, A=(1, 2, 4), B=(2, 1), C=())
    with noting() as notes:
        found = firsts(refs)
    assert found == [[CORE, OEDEMA, ENHANCING], [OEDEMA, CORE], []]
    assert len(notes) == 1 and "(3 in all) hold a 4" in notes[0]
    assert "1 core, 2 oedema, 3 core, 4 enhancing" in notes[0]
    with noting() as notes:
        assert classes_of("brats", [tmp_path]) == brats.CLASSES == ("core", "oedema", "enhancing")
    assert len(notes) == 1 and "hold a 4" in notes[0]


def test_of_a_set_from_2023_a_three_enhances(tmp_path):
    refs = patients(tmp_path, A=(3, 1, 2), B=(1,))
    assert firsts(refs) == [[ENHANCING, CORE, OEDEMA], [CORE]]


def test_cases_called_otherwise_are_told_apart(tmp_path):
    names = {"BraTS2021_0": (1, 2, 4), "BraTS-GLI-00001-000": (1, 2, 3)}
    names["BraTS-GLI-00002-000"] = (1, 3, 4)  # after treatment: 4 is the cavity
    refs = {ref.name: ref for ref in patients(tmp_path, **names)}
    assert firsts([refs["BraTS2021_0"]]) == [[CORE, OEDEMA, ENHANCING]]
    assert firsts([refs["BraTS-GLI-00001-000"]]) == [[CORE, OEDEMA, ENHANCING]]
    case = refs["BraTS-GLI-00002-000"].read()
    assert case.mask.sum() == 3
    with pytest.raises(DataError, match=r"00002-000_seg\.nii\.gz holds 4"):
        _ = case.classes


def test_names_spare_a_look_at_every_mask(tmp_path, monkeypatch):
    looked = []

    def look(file):
        looked.append(file.name.partition("_seg")[0])
        return values_in(file)

    monkeypatch.setattr(codes, "values_in", look)
    three = {f"BraTS-GLI-0000{n}-000": (own, 1) for n, own in enumerate((4, 3, 3))}
    four = {f"BraTS20_Training_00{n}": (own, 1) for n, own in enumerate((2, 4, 4))}
    for root, values in ((tmp_path / "new", three), (tmp_path / "old", four)):
        patients(root, **values)
        assert classes_of("brats", [root]) == brats.CLASSES
    expected = ["BraTS-GLI-00000-000", "BraTS-GLI-00001-000"]
    assert looked == [*expected, "BraTS20_Training_000", "BraTS20_Training_001"]


def test_one_mask_with_one_class_does_not_speak_for_the_others(tmp_path):
    values = {f"BraTS-MEN-0000{n}-000": own for n, own in enumerate(((3,), (1, 2), (2, 3)))}
    refs = patients(tmp_path, **values)
    assert classes_of("brats", [tmp_path]) == brats.CLASSES
    assert firsts(refs) == [[ENHANCING], [CORE, OEDEMA], [OEDEMA, ENHANCING]]


@pytest.mark.parametrize("own", [(1,), (1, 2)])
def test_where_nothing_tells_the_release_there_are_no_classes(tmp_path, own):
    refs = patients(tmp_path, A=own, B=(1,))
    with noting() as notes:
        assert [ref.read().classes for ref in refs] == [None, None]
        assert classes_of("brats", [tmp_path]) == ()
    assert all("is not known" in told and "dataset.json" in told for told in notes) and notes
    with pytest.raises(DataError, match="no known classes"):
        prepared_set(refs, 32, tmp_path / "cache", brats.CLASSES)


def test_reading_without_classes_looks_at_no_other_mask(tmp_path):
    refs = patients(tmp_path, A=(1, 2), B=(1, 4))
    refs[1].files[-1].write_bytes(b"\x1f\x8bno")
    with noting() as notes:
        case = refs[0].read()
    assert case.mask.sum() == 2 and notes == []
    assert case.classes is None  # the only 4 can't be read


def test_the_classes_of_a_part_depend_on_all_masks(tmp_path):
    refs = patients(tmp_path, A=(3, 1), B=(1, 2))
    one = prepared_set(refs[:1], 32, tmp_path / "cache", brats.CLASSES)
    assert {*np.unique(one.classes)} == {0, CORE, ENHANCING}
    refs = patients(tmp_path, B=(1, 2, 3, 4))  # now a 3 does not enhance
    other = prepared_set(refs[:1], 32, tmp_path / "cache", brats.CLASSES)
    assert {*np.unique(other.classes)} == {0, CORE}


# ---------------------------------------------------------------- Decathlon and nnU-Net


def layout(root, labels, *values):
    for number, own in enumerate(values):
        save(root / "imagesTr" / f"c{number}_0000.nii.gz", np.full((2, 5, 4), 20, np.int16))
        save(root / "labelsTr" / f"c{number}.nii.gz", label(*own))
    about = {"channel_names": {"0": "FLAIR"}, **({"labels": labels} if labels else {})}
    (root / "dataset.json").write_text(json.dumps(about))
    return load_dataset("brats", root)


DECATHLON = {
    "0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour",
}  # fmt: skip
NNUNET = {
    "background": 0, "whole tumor": [1, 2, 3], "tumor core": [2, 3], "enhancing tumor": [3],
}  # fmt: skip


@pytest.mark.parametrize("labels", [DECATHLON, NNUNET])
def test_classes_of_brats_under_other_names_and_values(tmp_path, labels):
    refs = layout(tmp_path, labels, (1, 2, 3), (2,))
    assert firsts(refs) == [[OEDEMA, CORE, ENHANCING], [CORE]]
    with noting() as notes:
        assert classes_of("brats", [tmp_path]) == brats.CLASSES
    assert len(notes) == 1 and "read as 1 oedema, 2 core, 3 enhancing" in notes[0]


def test_other_classes_have_the_names_they_are_given(tmp_path):
    labels = {"background": 0, "cyst": 2, "solid": 1, "ignore": 5}
    refs = layout(tmp_path, labels, (2, 1), (1, 5))
    assert classes_of("brats", [tmp_path]) == ("solid", "cyst")
    assert firsts(refs[:1]) == [[2, 1]]
    with pytest.raises(DataError, match=r"c1\.nii\.gz holds 5, of which .*dataset\.json"):
        _ = refs[1].read().classes


@pytest.mark.parametrize(
    "labels",
    [
        None,
        {"background": 0, "tumor": 1},
        {"background": 0, "all": [1, 2], "part": 2},
        {"background": 0, "a": 1, "b": "x"},
        {"background": 0, "a": 1, "b": 999},
        ["background", "a", "b"],
    ],
)
def test_layouts_without_classes(tmp_path, labels):
    (ref,) = layout(tmp_path, labels, (1, 2))
    assert classes_of("brats", [tmp_path]) == ()
    case = ref.read()
    assert case.classes is None and case.mask.sum() == 2


@pytest.mark.parametrize(
    ("names", "meant"),
    [
        (("necrotic core", "edema", "enhancing"), ("core", "oedema", "enhancing")),
        (("NETC", "SNFH", "ET"), ("core", "oedema", "enhancing")),
        (("non enhancing core", "peritumoral oedema", "Gd-enhancing tumor"), brats.CLASSES),
        (("surrounding non-enhancing FLAIR hyperintensity", "necrosis", "ET"),
         ("oedema", "core", "enhancing")),
        (("edema", "enhancing"), None),
        (("edema", "core", "enhancing", "resection cavity"), None),
    ],
)  # fmt: skip
def test_names_that_mean_the_classes_of_brats(names, meant):
    found = brats_names(dict(enumerate(names, 1)))
    assert found == (meant and dict(enumerate(meant, 1)))
