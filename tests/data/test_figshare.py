"""Both figshare layouts: MATLAB files that know their patients, and PNG copies that lost them."""

import shutil

import h5py
import numpy as np
import pytest
from PIL import Image

from brainseg.data import figshare, load_dataset, notes_of
from brainseg.data.case import DataError
from brainseg.scans.notes import noting


def write_mat(path, pid, image, mask, /, **changes):
    """A MATLAB 7.3 struct: arrays column by column, text as a column of UTF-16 codes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        struct = file.create_group("cjdata")
        values = {
            "PID": np.array([[ord(letter)] for letter in pid], np.uint16),
            "image": np.asarray(image, np.int16).T,
            "label": np.array([[1.0]]),
            "tumorMask": np.asarray(mask, np.uint8).T,
            **changes,
        }
        for key, value in values.items():
            if value is not None:
                struct[key] = value


def ramp(height=5, width=7, start=0):
    """A picture in which every pixel tells its row and column."""
    return start + 100 * np.arange(height)[:, None] + np.arange(width)


def corner(height=5, width=7):
    mask = np.zeros((height, width), np.uint8)
    mask[1, 2:6] = 1
    return mask


def test_mat_pictures_and_masks_stand_upright(tmp_path):
    write_mat(tmp_path / "1.mat", "100360", ramp(), corner())
    (ref,) = load_dataset("figshare", tmp_path)
    case = ref.read()
    assert case.patient_id == ref.patient_id == "figshare_100360"
    assert case.scan.pixels.shape == (1, 5, 7, 1)
    np.testing.assert_array_equal(case.scan.pixels[0, ..., 0], ramp())
    np.testing.assert_array_equal(case.mask[0], corner() > 0)
    assert case.mask.dtype == bool and case.dataset == "figshare"


def test_what_is_said_of_ids_holds_for_them():
    assert notes_of("figshare") == notes_of("figshare", ["glioma-3"]) == [figshare.NOTE]
    (told,) = notes_of("figshare", ["figshare_100360", "figshare_MR022"])
    assert "blocks" not in told and "know other ids" in told
    assert notes_of("lgg", ["TCGA_CS_4941_19960909"]) == []


def test_mat_files_are_gathered_by_patient_in_numeric_order(tmp_path):
    # Published as four archives, so files may lie in several folders; some ids have letters.
    owners = {2: "112649", 10: "112649", 1: "MR022", 9: "112649"}
    for number, pid in owners.items():
        folder = tmp_path / f"part{number % 2}"
        write_mat(folder / f"{number}.mat", pid, ramp(start=number), corner())
    refs = load_dataset("figshare", tmp_path)
    assert [ref.patient_id for ref in refs] == ["figshare_112649", "figshare_MR022"]
    pixels = refs[0].read().scan.pixels
    assert pixels[:, 0, 0, 0].tolist() == [2, 9, 10]
    assert {file.name for file in refs[0].files} == {"2.mat", "9.mat", "10.mat"}


def test_a_patient_with_pictures_of_two_sizes_has_two_cases(tmp_path):
    write_mat(tmp_path / "1.mat", "7", ramp(), corner())
    write_mat(tmp_path / "2.mat", "7", ramp(4, 4), corner(4, 4)[:, :4])
    write_mat(tmp_path / "3.mat", "7", ramp(), corner())
    refs = load_dataset("figshare", tmp_path)
    assert {ref.patient_id for ref in refs} == {"figshare_7"}
    assert len({ref.name for ref in refs}) == 2
    shapes = sorted(ref.read().mask.shape for ref in refs)
    assert shapes == [(1, 4, 4), (2, 5, 7)]


def test_the_folder_may_be_the_one_above(tmp_path):
    write_mat(tmp_path / "figshare" / "1.mat", "7", ramp(), corner())
    assert len(load_dataset("figshare", tmp_path)) == 1


@pytest.mark.parametrize("key", ["PID", "image", "tumorMask"])
def test_a_mat_file_that_lacks_a_part(tmp_path, key):
    write_mat(tmp_path / "5.mat", "7", ramp(), corner(), **{key: None})
    with pytest.raises(DataError, match=f"5.mat lacks cjdata/{key}"):
        load_dataset("figshare", tmp_path)


def test_a_mat_file_that_is_none(tmp_path):
    (tmp_path / "5.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(500))
    with pytest.raises(DataError, match=r"5\.mat"):
        load_dataset("figshare", tmp_path)


def test_a_mat_mask_of_another_size(tmp_path):
    write_mat(tmp_path / "5.mat", "7", ramp(), corner(7, 7))
    (ref,) = load_dataset("figshare", tmp_path)
    with pytest.raises(DataError, match=r"5\.mat"):
        ref.read()


def test_a_mat_mask_that_is_not_binary(tmp_path):
    write_mat(tmp_path / "5.mat", "7", ramp(), corner() * 2)
    (ref,) = load_dataset("figshare", tmp_path)
    with pytest.raises(DataError, match=r"5\.mat.*binary"):
        ref.read()


# ---------------------------------------------------------------- the PNG copies


def write_png(folder, number, image, mask):
    for kind, array in (("images", image), ("masks", mask)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        if array is not None:
            Image.fromarray(array.astype(np.uint8)).save(folder / kind / f"{number}.png")


def write_labels(folder, types):
    rows = [f"{number},{kind}\n" for number, kind in types.items()]
    (folder / "labels.csv").write_text("id,tumor_type\n" + "".join(rows))


def pictures(folder, types, size=(5, 7)):
    for number in types:
        write_png(folder, number, np.full(size, number), corner(*size) * 255)
    write_labels(folder, types)


def test_png_patients_are_blocks_of_twenty_within_a_type(tmp_path):
    types = {0: "glioma", 19: "glioma", 20: "glioma", 100: "glioma", 3: "meningioma", 2: "glioma"}
    pictures(tmp_path, types)
    refs = {ref.patient_id: ref for ref in load_dataset("figshare", tmp_path)}
    assert set(refs) == {"glioma-0", "glioma-1", "glioma-5", "meningioma-0"}
    case = refs["glioma-0"].read()
    assert case.scan.pixels[:, 0, 0, 0].tolist() == [0, 2, 19]  # numeric order
    np.testing.assert_array_equal(case.mask, np.stack([corner() > 0] * 3))
    assert "approximation" in figshare.NOTE and "20" in figshare.NOTE


def test_png_pictures_of_two_sizes_in_a_block_are_two_cases(tmp_path):
    pictures(tmp_path, {1: "glioma", 2: "glioma"})
    write_png(tmp_path, 2, np.full((4, 4), 2), corner(4, 4)[:, :4] * 255)
    refs = load_dataset("figshare", tmp_path)
    assert sorted(ref.read().mask.shape for ref in refs) == [(1, 4, 4), (1, 5, 7)]
    assert {ref.patient_id for ref in refs} == {"glioma-0"}


def test_a_png_without_a_row_in_the_labels(tmp_path):
    pictures(tmp_path, {1: "glioma", 2: "glioma"})
    write_labels(tmp_path, {1: "glioma"})
    with pytest.raises(DataError, match=r"2\.png has no row in .*labels\.csv"):
        load_dataset("figshare", tmp_path)


@pytest.mark.parametrize("content", [None, "number,kind\n1,glioma\n"])
def test_labels_that_are_missing_or_of_other_columns(tmp_path, content):
    pictures(tmp_path, {1: "glioma"})
    (tmp_path / "labels.csv").unlink()
    if content:
        (tmp_path / "labels.csv").write_text(content)
    with pytest.raises(DataError, match=r"labels\.csv.*id, ?tumor_type"):
        load_dataset("figshare", tmp_path)


def test_labels_saved_with_a_byte_order_mark(tmp_path):
    pictures(tmp_path, {1: "glioma"})
    path = tmp_path / "labels.csv"
    path.write_text(path.read_text(), encoding="utf-8-sig")  # as spreadsheets save it
    assert [ref.patient_id for ref in load_dataset("figshare", tmp_path)] == ["glioma-0"]


def test_a_png_whose_name_is_no_number(tmp_path):
    pictures(tmp_path, {1: "glioma"})
    (tmp_path / "images" / "1.png").rename(tmp_path / "images" / "scan.png")
    write_labels(tmp_path, {"scan": "glioma"})
    with pytest.raises(DataError, match=r"scan\.png"):
        load_dataset("figshare", tmp_path)


def test_neither_layout(tmp_path):
    with pytest.raises(DataError, match=r"\.mat files nor images/") as error:
        load_dataset("figshare", tmp_path)
    assert str(tmp_path) in str(error.value) and figshare.HOME in str(error.value)


# ---------------------------------------------------------------- as people have them


def load(folder):
    """The first pixel of each slice, by patient, and the notes."""
    with noting() as notes:
        refs = load_dataset("figshare", folder)
    return {ref.patient_id: ref.read().scan.pixels[:, 0, 0, 0].tolist() for ref in refs}, notes


def test_the_official_download_with_its_folds_beside(tmp_path):
    for number, part in ((1, "1-766"), (767, "767-1532")):
        folder = tmp_path / f"brainTumorDataPublic_{part}"
        write_mat(folder / f"{number}.mat", "100360", ramp(start=number), corner())
    (tmp_path / "cvind.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(500))
    (tmp_path / "README.txt").write_text("cjdata")
    (tmp_path / "._1.mat").write_bytes(b"\0\5\26\7")
    (tmp_path / "brainTumorDataPublic_1533-2298.zip").write_bytes(b"PK")
    assert load(tmp_path) == ({"figshare_100360": [1, 767]}, [])
    with h5py.File(tmp_path / "cvind.mat", "w") as file:
        file["cvind"] = np.ones((1, 3064))
    assert load(tmp_path) == ({"figshare_100360": [1, 767]}, [])


def test_archives_that_are_not_unpacked(tmp_path):
    (tmp_path / "brainTumorDataPublic_1-766.zip").write_bytes(b"PK")
    (tmp_path / "cvind.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(500))
    with pytest.raises(DataError, match=r"Unpack brainTumorDataPublic_1-766\.zip first"):
        load_dataset("figshare", tmp_path)


def test_a_bad_mat_file_is_left_out_and_a_copy_used_once(tmp_path):
    write_mat(tmp_path / "a/1.mat", "7", ramp(start=1), corner())
    write_mat(tmp_path / "a/2.mat", "7", ramp(start=2), corner())
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (tmp_path / "a/3.mat").write_bytes(b"<html>")
    write_mat(tmp_path / "a/4.mat", "8", ramp(), corner(), tumorMask=None)
    found, notes = load(tmp_path)
    assert found == {"figshare_7": [1, 2]}
    assert "is a copy of" in notes[0] and notes[1].startswith("2 of 4 files are left out.")
    assert "3.mat is no HDF5" in notes[1] and "4.mat lacks cjdata/tumorMask" in notes[1]


def test_bad_pictures_are_left_out_of_their_block(tmp_path):
    pictures(tmp_path, {1: "glioma", 2: "glioma", 3: "glioma"})
    (tmp_path / "masks/2.png").unlink()
    (tmp_path / "images/3.png").write_bytes(b"cut")
    found, (told,) = load(tmp_path)
    assert found == {"glioma-0": [1]} and told.startswith("2 of 3 pictures are left out.")
    assert "2.png has no mask" in told and "3.png cannot be decoded" in told


def test_labels_of_a_spreadsheet_and_a_doubled_folder(tmp_path):
    home = tmp_path / "dataset/dataset"
    pictures(home, {1: "glioma", 2: "glioma"})
    for kind in ("images", "masks"):
        (home / kind / "1.png").rename(home / kind / "1.PNG")
        (home / kind / "Thumbs.db").write_bytes(b"x")
    text = "ID;Tumor_Type;\r\n1.0;glioma ;\r\n2.png;glioma;\r\n;;\r\n"
    (home / "labels.csv").write_text(text, encoding="utf-16")
    assert load(tmp_path) == ({"glioma-0": [1, 2]}, [])
    (home / "labels.csv").write_text("id,tumor_type\n1,glioma\n1,pituitary\n2,glioma\n")
    with pytest.raises(DataError, match=r"labels\.csv names 1 twice.*'glioma' and 'pituitary'"):
        load_dataset("figshare", tmp_path)
    (home / "labels.csv").write_text("id,tumor_type\n1,glioma\n2,Glioma\n")
    found, (told,) = load(tmp_path)
    assert found == {"glioma-0": [1], "Glioma-0": [2]} and "'Glioma' and 'glioma'" in told
