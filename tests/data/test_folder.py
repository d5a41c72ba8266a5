"""A user's own folder: images and masks by stem, patients from a table or one per file."""

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from brainseg.data import load_dataset
from brainseg.data.case import DataError
from brainseg.data.copies import tell_same_files
from brainseg.data.slices import read_slices
from brainseg.scans.notes import noting


def picture(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint8)).save(path)
    return path


def disc(value=255, shape=(6, 8)):
    array = np.zeros(shape)
    array[2:4, 3:6] = value
    return array


def pair(folder, stem, value=50):
    picture(folder / "images" / f"{stem}.png", np.full((6, 8), value))
    picture(folder / "masks" / f"{stem}.png", disc())


def patients(folder, *rows, encoding="utf-8"):
    (folder / "patients.csv").write_text("\n".join(["image,patient", *rows]), encoding=encoding)


def test_without_a_table_every_file_is_a_patient(tmp_path):
    for stem, value in (("scan_10", 10), ("scan_2", 2)):
        pair(tmp_path, stem, value)
    refs = load_dataset("folder", tmp_path)
    assert {ref.patient_id for ref in refs} == {"scan_2", "scan_10"}
    for ref in refs:
        case = ref.read()
        assert case.patient_id == ref.patient_id and case.dataset == "folder"
        assert (case.scan.pixels == int(ref.patient_id.split("_")[1])).all()
        np.testing.assert_array_equal(case.mask, disc()[None] > 0)


def test_an_empty_table_is_said_to_be(tmp_path):
    pair(tmp_path, "a")
    (tmp_path / "patients.csv").write_text("")
    with pytest.raises(DataError, match=r"lacks columns.*but it is empty"):
        load_dataset("folder", tmp_path)


def test_who_has_the_files_of_another_is_told(tmp_path):
    for stem, value in (("a", 10), ("a (1)", 10), ("b", 20)):
        pair(tmp_path, stem, value)
    with noting() as notes:
        tell_same_files(load_dataset("folder", tmp_path))
    (told,) = notes
    assert "a (1) as a." in told or "a as a (1)." in told


def test_grey_slices_among_coloured_ones(tmp_path):
    for stem, pixels in (("a", np.full((6, 8), 9)), ("b", np.full((6, 8, 3), (1, 2, 3)))):
        picture(tmp_path / "images" / f"{stem}.png", pixels)
        picture(tmp_path / "masks" / f"{stem}.png", disc())
    pairs = [(tmp_path / "images" / name, tmp_path / "masks" / name) for name in ("a.png", "b.png")]
    pixels = read_slices("ann", "folder", tuple(pairs)).scan.pixels
    assert pixels.shape == (2, 6, 8, 3)
    assert pixels[:, 0, 0].tolist() == [[9, 9, 9], [1, 2, 3]]


def test_the_table_names_the_patient_by_stem_or_by_file_name(tmp_path):
    for stem in ("a", "b", "c"):
        pair(tmp_path, stem)
    patients(tmp_path, "a,ann", "b.png,ann", "c,bob", "gone,carl")
    owners = {ref.name: ref.patient_id for ref in load_dataset("folder", tmp_path)}
    assert owners == {"a": "ann", "b": "ann", "c": "bob"}


def test_a_table_from_a_spreadsheet_with_a_byte_order_mark(tmp_path):
    pair(tmp_path, "a")
    patients(tmp_path, "a,ann", encoding="utf-8-sig")
    assert [ref.patient_id for ref in load_dataset("folder", tmp_path)] == ["ann"]


def test_a_file_that_the_table_forgot(tmp_path):
    pair(tmp_path, "a")
    pair(tmp_path, "b")
    patients(tmp_path, "a,ann")
    with pytest.raises(DataError, match=r"b\.png has no row in .*patients\.csv"):
        load_dataset("folder", tmp_path)


def test_a_table_of_other_columns(tmp_path):
    pair(tmp_path, "a")
    (tmp_path / "patients.csv").write_text("file,id\na,ann\n")
    with pytest.raises(DataError, match=r"patients\.csv.*image,patient"):
        load_dataset("folder", tmp_path)


def test_formats_may_differ_between_image_and_mask(tmp_path):
    for kind, array in (("images", np.full((1, 6, 8), 7, np.int16)), ("masks", disc(1)[None])):
        (tmp_path / kind).mkdir()
        image = sitk.GetImageFromArray(array.astype(np.int16))
        sitk.WriteImage(image, str(tmp_path / kind / "deep.one.nii.gz"))
    picture(tmp_path / "images" / "flat.png", np.full((6, 8), 9))
    picture(tmp_path / "masks" / "flat.tif", disc())
    (tmp_path / "images" / ".DS_Store").write_bytes(b"x")
    cases = {ref.name: ref.read() for ref in load_dataset("folder", tmp_path)}
    assert set(cases) == {"deep.one", "flat"}
    assert cases["deep.one"].scan.pixels.max() == 7 and cases["flat"].scan.pixels.max() == 9
    for case in cases.values():
        np.testing.assert_array_equal(case.mask, disc()[None] > 0)


def test_files_without_a_suffix_are_known_by_their_whole_name(tmp_path):
    for stem in ("IM0001", "IM0002"):
        pair(tmp_path, stem)
        for kind in ("images", "masks"):
            (tmp_path / kind / f"{stem}.png").rename(tmp_path / kind / stem)
    assert [ref.name for ref in load_dataset("folder", tmp_path)] == ["IM0001", "IM0002"]


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_two_files_of_one_stem(tmp_path, kind):
    pair(tmp_path, "a")
    picture(tmp_path / kind / "a.bmp", disc())
    with pytest.raises(DataError, match="share a stem") as error:
        load_dataset("folder", tmp_path)
    assert "a.png" in str(error.value) and "a.bmp" in str(error.value)


def load(folder):
    """Patient of each case, by name, and the notes."""
    with noting() as notes:
        refs = load_dataset("folder", folder)
    for ref in refs:
        np.testing.assert_array_equal(ref.read().mask, disc()[None] > 0)
    return {ref.name: ref.patient_id for ref in refs}, notes


def test_a_missing_mask(tmp_path):
    pair(tmp_path, "a")
    pair(tmp_path, "b")
    (tmp_path / "masks" / "b.png").unlink()
    found, (told,) = load(tmp_path)
    assert list(found) == ["a"] and told.startswith("1 of 2 cases are left out.")
    assert "images/b.png has no mask" in told.replace("\\", "/")
    (tmp_path / "masks" / "a.png").unlink()
    with pytest.raises(DataError, match=r"images/a\.png has no mask"):
        load_dataset("folder", tmp_path)


def test_what_systems_leave_and_texts_are_no_scans(tmp_path):
    pair(tmp_path, "a")
    for kind in ("images", "masks"):
        for name in ("Thumbs.db", "desktop.ini", "README", "readme.txt", "._a.png", "list.csv"):
            (tmp_path / kind / name).write_bytes(b"BM, of no use")
        for name in ("__MACOSX", ".ipynb_checkpoints", "empty"):
            (tmp_path / kind / name).mkdir()
        picture(tmp_path / kind / ".ipynb_checkpoints/a-checkpoint.png", disc())
    assert load(tmp_path) == ({"a": "a"}, [])


def test_folders_among_the_images_are_not_passed_over_in_silence(tmp_path):
    pair(tmp_path, "a")
    picture(tmp_path / "images/more/b.png", disc())
    found, (told,) = load(tmp_path)
    assert list(found) == ["a"] and "folders, which are not read: more" in told


def test_a_doubled_folder(tmp_path):
    pair(tmp_path / "mine", "a")
    assert load(tmp_path) == ({"a": "a"}, [])


def test_masks_named_otherwise(tmp_path):
    for stem in ("a_mask", "B", "3"):
        picture(tmp_path / "masks" / f"{stem}.PNG", disc())
    for stem in ("a", "b", "003"):
        picture(tmp_path / "images" / f"{stem}.png", np.full((6, 8), 9))
    found, (told,) = load(tmp_path)
    assert list(found) == ["003", "a", "b"] and "3 for 003, B for b" in told
    picture(tmp_path / "images" / "03.png", np.full((6, 8), 9))  # now 3 may be of either
    found, notes = load(tmp_path)
    assert list(found) == ["a", "b"] and "2 of 4 cases are left out" in " ".join(notes)


@pytest.mark.parametrize("separator", [",", ";", "\t", ", "])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_tables_of_spreadsheets(tmp_path, encoding, separator):
    pair(tmp_path, "a")
    pair(tmp_path, "b")
    rows = ["Image,Note,Patient", "", "a,x,Jürgen ", " b ,,Zoë", ",,"]
    text = "\r\n".join(rows).replace(",", separator)
    (tmp_path / "patients.csv").write_bytes(text.encode(encoding))
    found, notes = load(tmp_path)
    assert found == {"a": "Jürgen", "b": "Zoë"}
    assert len(notes) == (encoding == "cp1252")
    assert all("patients.csv" in told and "Windows-1252" in told for told in notes)


def test_tables_that_are_a_spreadsheets_own(tmp_path):
    pair(tmp_path, "a")
    (tmp_path / "patients.xlsx").write_bytes(b"PK\3\4")
    with pytest.raises(DataError, match=r"patients\.xlsx is a spreadsheet: save it as CSV"):
        load_dataset("folder", tmp_path)


def test_numbers_that_a_spreadsheet_changed(tmp_path):
    for stem in ("001", "002", "B"):
        pair(tmp_path, stem)
    patients(tmp_path, "1,ann", "2,bob", "b.png,Bob")
    found, notes = load(tmp_path)
    assert found == {"001": "ann", "002": "bob", "B": "Bob"}
    assert "'Bob' and 'bob'" in notes[0] and "taken as different" in notes[0]
    assert "1 for 001" in notes[1]


def test_rows_that_disagree(tmp_path):
    pair(tmp_path, "a")
    patients(tmp_path, "a,ann", "images/a.png,ann", r"C:\x\a.png,ann")
    assert load(tmp_path) == ({"a": "ann"}, [])
    patients(tmp_path, "a,ann", "a.png,bob")
    with pytest.raises(DataError, match=r"patients\.csv names a twice.*'ann' and 'bob'"):
        load_dataset("folder", tmp_path)


def test_no_images(tmp_path):
    with pytest.raises(DataError, match=r"images.*no files"):
        load_dataset("folder", tmp_path)


def test_only_volumes_are_prepared_anew_when_their_geometry_counts(tmp_path):
    pair(tmp_path, "a")
    volume = sitk.GetImageFromArray(np.zeros((2, 6, 8), np.uint8))
    for kind in ("images", "masks"):
        sitk.WriteImage(volume, str(tmp_path / kind / "b.nii.gz"))
    versions = {ref.name: ref.version for ref in load_dataset("folder", tmp_path)}
    assert versions["a"] == "" and versions["b"] != ""
