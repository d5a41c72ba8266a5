import shutil

import numpy as np
import pytest
from PIL import Image

from brainseg.data import phantom
from brainseg.scans.reading import read_scan
from brainseg.scans.scan import Scan, ScanError
from brainseg.ui.inputs import read_files, seen_by_network, was_given_before


def test_three_sequences_make_one_scan(random_checkpoints, scan_nifti):
    path, _ = scan_nifti
    inputs = read_files({"flair": path, "t1c": path})
    assert inputs.scan.pixels.shape[-1] == 3
    assert inputs.files.keys() == {"flair", "t1c"}
    with pytest.raises(ScanError, match="remove the scan"):
        read_files({"scan": path, "flair": path})


def test_a_mask_that_by_its_name_is_another_patient_s_is_noticed(scan_png, truth_png, tmp_path):
    for scan, mask, is_other in (
        ("TCGA_CS_4941_1.png", "TCGA_CS_4942_1_mask.png", True),
        ("TCGA_CS_4941_1.png", "TCGA_CS_4941_1_mask.png", False),
    ):
        shutil.copy(scan_png, tmp_path / scan)
        shutil.copy(truth_png, tmp_path / mask)
        findings = read_files({"scan": tmp_path / scan, "truth": tmp_path / mask}).findings
        told = [f.text for f in findings if "another patient" in f.text]
        assert len(told) == is_other and all(mask in text and scan in text for text in told)


def test_a_mask_that_was_given_with_the_scan_before_is_noticed():
    before = {"scan": "/up/a/one.png", "truth": "/up/b/mask.png"}
    told = was_given_before({"scan": "/up/c/two.png", "truth": "/up/b/mask.png"}, before)
    assert told.startswith("mask.png had been given as the true mask of one.png")
    assert "/up" not in told and "two.png" in told
    assert not was_given_before(before, before) and not was_given_before(before, {})
    assert not was_given_before({"scan": "/up/c/two.png"}, before)
    assert not was_given_before({"scan": "/up/c/two.png", "truth": "/up/d/mask.png"}, before)
    slots = {"flair": "/up/c/f.nii", "truth": "/up/b/mask.png"}
    assert not was_given_before({**slots, "t1": "/up/c/t.nii"}, slots)  # the same patient, more


def test_sequences_of_two_heads_are_noticed(scan_nifti, tmp_path):
    import SimpleITK as sitk

    made = {
        name: phantom.make_case(seed, "large", size=64, slices=6).scan.pixels.astype(np.int16)
        for name, seed in (("ann", 3), ("bob", 6))
    }
    made["bob"] = np.roll(made["bob"], 6, axis=1)
    paths = {}
    for name, pixels in made.items():
        paths[name] = [tmp_path / f"{name}{c}.nii.gz" for c in range(3)]
        for c, path in enumerate(paths[name]):
            sitk.WriteImage(sitk.GetImageFromArray(pixels[..., c]), str(path))
    ann, bob = paths["ann"], paths["bob"]
    inputs = read_files({"flair": ann[1], "t1": ann[0], "t1c": bob[2]})
    assert "different heads" in inputs.doubts
    inputs = read_files({"flair": ann[1], "t1": ann[0], "t1c": ann[2]})
    assert "different heads" not in inputs.doubts


def test_of_colours_it_is_said_once_what_they_are_read_as(tmp_path):
    image = np.zeros((64, 64, 3), np.uint8)
    image[8:56, 8:56] = np.random.default_rng(0).integers(0, 255, (48, 48, 3))
    Image.fromarray(image).save(tmp_path / "a.png")
    texts = [finding.text for finding in read_files({"scan": tmp_path / "a.png"}).findings]
    assert len([text for text in texts if "red, green and blue" in text]) == 1
    inputs = read_files({"scan": tmp_path / "a.png", "channels": "flair,t1,t1c"})
    assert not [f for f in inputs.findings if "red, green and blue" in f.text]


def test_what_speaks_against_a_scan_comes_with_its_effect(scan_nifti):
    (finding,) = read_files({"scan": scan_nifti[0]}).findings
    assert "0.86 from FLAIR" in finding.text
    inputs = read_files({"flair": scan_nifti[0]})
    assert inputs.doubts == ("one sequence",)


def test_the_guard_stops_what_is_no_scan(tmp_path):
    path = tmp_path / "flat.png"
    Image.fromarray(np.full((64, 64), 90, np.uint8)).save(path)
    inputs = read_files({"scan": path})
    assert inputs.is_stopped and "nothing to segment" in inputs.findings[0].text


def test_what_the_network_sees_is_three_squares(scan_png):
    picture, index = seen_by_network(read_scan(scan_png), 48)
    assert picture.shape == (48, 144) and picture.dtype == np.uint8 and index == 0
    assert (picture[:, :48] == picture[:, 48:96]).all()


def test_what_the_network_sees_has_true_proportions():
    scan = Scan(np.full((1, 12, 24, 1), 90, np.uint8), (5.0, 6.0, 1.0))  # 72 by 24 mm
    picture, _ = seen_by_network(scan, 48)
    assert (np.ptp(picture[:, :48], axis=0) == 0).all()  # from top to bottom
    assert (picture[0, :16] != picture[0, 24]).all() and (picture[0, 16:32] == picture[0, 24]).all()
