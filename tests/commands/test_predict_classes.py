"""What ``predict`` writes of results with classes, which a made-up model gives."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from brainseg.commands import prediction_files
from brainseg.commands.prediction_files import describe, predict_to_folder
from brainseg.inference.results import Result
from brainseg.scans.reading import read_scan
from tests.scans.scan_files import noise, volume

KINDS = ("meningioma", "glioma")


@pytest.fixture
def predict(monkeypatch, tmp_path):
    """Write the results of a model with classes, whose labels are given, and of one without."""

    def run(scan, labels):
        table = np.stack([labels == 1, labels == 2]).astype(np.float32)

        def predict_all(scan, predictors, *, flips):
            yield Result("a/unet-ce", "model", table.sum(0), 0.5, None, KINDS, table)
            yield Result("fusion_vote", "fusion", table.sum(0), 0.5)

        monkeypatch.setattr(prediction_files, "predict_all", predict_all)
        return predict_to_folder(scan, None, {}, tmp_path / "out")

    return run


def test_classes_of_a_volume(predict, tmp_path):
    volume(tmp_path / "a.nii.gz", noise(3, 4, 5), "RAS", (10.0, 10.0, 10.0))
    scan = read_scan(tmp_path / "a.nii.gz")
    labels = noise(*scan.pixels.shape[:3], high=3)
    report = predict(scan, labels)
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "a_unet-ce-labels.nii.gz", "a_unet-ce-labels.seg.nrrd", "a_unet-ce.nii.gz",
        "all.seg.nrrd", "fusion_vote.nii.gz", "overlay.png", "scores.json",
    ]  # fmt: skip
    stored = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "a_unet-ce-labels.nii.gz")))
    assert np.array_equal(stored, labels[:, ::-1, ::-1])  # RAS, as the scan's file is
    models = json.loads((out / "scores.json").read_text())["models"]
    counts = [int((labels == number).sum()) for number in (1, 2)]
    entry = models["a/unet-ce"]
    assert entry["classes"] == {
        name: {"area_px": count, "volume_ml": count}
        for name, count in zip(KINDS, counts, strict=True)
    }
    assert entry["tumour_kind"] == KINDS[np.argmax(counts)]
    assert entry["tumour_kind_share"] == pytest.approx(max(counts) / sum(counts))
    assert "classes" not in models["fusion_vote"] and "tumour_kind" not in models["fusion_vote"]
    told = describe(report)
    assert f"kind: {KINDS[np.argmax(counts)]}, {max(counts) / sum(counts):.0%} of" in told[0]
    assert "kind" not in told[1]


def test_classes_of_a_picture(predict, tmp_path):
    Image.fromarray(noise(20, 16)).save(tmp_path / "a.png")
    labels = np.zeros((1, 20, 16), np.uint8)
    report = predict(read_scan(tmp_path / "a.png"), labels)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "a_unet-ce-labels.png", "a_unet-ce.png", "fusion_vote.png", "overlay.png", "scores.json",
    }  # fmt: skip
    with Image.open(tmp_path / "out" / "a_unet-ce-labels.png") as picture:
        assert picture.mode == "P" and not np.asarray(picture).any()
    assert "kind: can't tell" in describe(report)[0]
