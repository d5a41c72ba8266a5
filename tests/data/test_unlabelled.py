"""Scans without a mask: which they are, and that masks beside them are nobody's business."""

import numpy as np
import pytest
from PIL import Image

from brainseg.data.cache import prepared_set
from brainseg.data.case import UNLABELLED, DataError
from brainseg.data.phantom import load, make_case
from brainseg.data.unlabelled import digest_of, load_unlabelled, patients_of
from brainseg.scans.notes import noting


@pytest.fixture
def folder(tmp_path):
    """Two volumes with their masks, and a folder of slices with theirs."""
    for seed, name in enumerate(("a", "b")):
        case = make_case(seed, size=32, slices=3)
        np.save(tmp_path / f"{name}.npy", case.scan.pixels)
        np.save(tmp_path / f"{name}_mask.npy", case.mask.astype(np.uint8))
    (tmp_path / "pictures" / "p7").mkdir(parents=True)
    for number, plane in enumerate(make_case(7, size=32, slices=3).scan.pixels):
        stem = tmp_path / "pictures" / "p7" / f"p7_{number}"
        Image.fromarray(plane).save(f"{stem}.png")
        Image.fromarray(plane[..., 0] > 99).save(f"{stem}_mask.png")
    return tmp_path


def refs_of(folder):
    with noting():
        return load_unlabelled([folder, folder / "pictures"])


def test_volumes_and_folders_of_slices_are_scans_without_a_mask(folder):
    cases = {ref.name: ref.read() for ref in refs_of(folder)}
    assert list(cases) == ["a", "b", "p7"]
    for case, seed in zip(cases.values(), (0, 1, 7), strict=True):
        expected = make_case(seed, size=32, slices=3).scan.pixels
        assert case.mask is None and case.dataset == UNLABELLED
        np.testing.assert_array_equal(case.scan.pixels, expected)


def test_masks_beside_them_are_never_read(folder, tmp_path_factory):
    masks = sorted(folder.rglob("*_mask*"))
    before = refs_of(folder)
    assert len(masks) == 5 and not {file for ref in before for file in ref.files} & set(masks)
    digest, prepared = digest_of(before), prepared_set(before, 32, tmp_path_factory.mktemp("c"))
    for mask in masks:
        mask.write_bytes(b"no mask at all")
    spoilt = refs_of(folder)
    found = prepared_set(spoilt, 32, tmp_path_factory.mktemp("c"))
    np.testing.assert_array_equal(found.images, prepared.images)
    for mask in masks:
        mask.unlink()
    assert digest_of(refs_of(folder)) == digest_of(spoilt) == digest
    np.save(folder / "a.npy", np.load(folder / "b.npy"))
    assert digest_of(refs_of(folder)) != digest


def test_they_are_prepared_beside_cases_with_masks(folder, tmp_path_factory):
    labelled = load(None, patients=2, size=32, slices=3)
    for classes in ((), ("oedema", "core", "enhancing")):
        data = prepared_set(
            [*labelled, *refs_of(folder)], 32, tmp_path_factory.mktemp("c"), classes
        )
        without = data.datasets == UNLABELLED
        assert list(dict.fromkeys(data.patients[without])) == ["a", "b", "p7"]
        assert not data.tumour[without].any() and not data.masks[without].any()
        alone = prepared_set(labelled, 32, tmp_path_factory.mktemp("c"), classes)
        np.testing.assert_array_equal(data.masks[~without], alone.masks)


def test_a_scan_is_known_by_its_patients_name_behind_those_of_folders():
    for name in ("TCGA_CS_4941_19960909", "kaggle_3m_TCGA_CS_4941_19960909"):
        assert "lgg/TCGA_CS_4941_19960909" in patients_of(name)
    assert patients_of("stranger_a") == ["folder/stranger_a"]


def test_pictures_beside_a_folder_of_masks_are_of_many(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.fromarray(np.full((8, 8), number, np.uint8)).save(
                tmp_path / name / f"{number}.png"
            )
    with noting():
        refs = load_unlabelled([tmp_path])
    assert [ref.read().scan.pixels.shape[0] for ref in refs] == [1, 1, 1]
    assert not [file for ref in refs for file in ref.files if file.parent.name == "masks"]


def test_what_cannot_be_used_is_said(folder):
    with pytest.raises(DataError, match=r"--unlabelled .*nowhere is no folder"):
        load_unlabelled([folder / "nowhere"])
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match="holds no scans"):
        load_unlabelled([folder / "empty"])
    (folder / "more").mkdir()
    np.save(folder / "more" / "a.npy", np.load(folder / "a.npy"))
    with noting(), pytest.raises(DataError, match="are both scan a: keep one"):
        load_unlabelled([folder, folder / "more"])
    Image.fromarray(np.zeros((40, 32, 3), np.uint8)).save(folder / "pictures" / "p7" / "p7_9.png")
    (ref,) = load_unlabelled([folder / "pictures"])
    with pytest.raises(DataError, match=r"p7_9\.png is \(40, 32\) .* must agree"):
        ref.read()
