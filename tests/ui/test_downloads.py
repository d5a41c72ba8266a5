import json
import zipfile

import cv2
import numpy as np
import pytest
from comparing import FUSIONS, MODELS, finished

from brainseg.scans.reading import read_scan
from brainseg.ui import view
from brainseg.ui.downloads import write_files


def test_downloads_hold_what_was_shown(random_checkpoints, scan_nifti, tmp_path):
    import SimpleITK as sitk

    path, truth = scan_nifti
    last = finished({"scan": path, "truth": truth}, random_checkpoints)[-1].view
    paths = write_files(last, tmp_path, 2)
    assert [p.name for p in paths] == ["brainseg.zip", "scores.csv", "receipt.html", "receipt.json"]
    with zipfile.ZipFile(paths[0]) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "out")
    for name in [*MODELS, *FUSIONS]:
        assert f"overlays/{name}-slice3.png" in names
        written = read_scan(tmp_path / "out" / "masks" / f"{name}.nii.gz")
        assert ((written.pixels[..., 0] > 0) == last.entries[name].mask()).all()
        assert written.affine == pytest.approx(last.scan.affine)
    assert {"overlays/votes-slice3.png", "overlays/disagreement-slice3.png"} <= names
    masks = tmp_path / "out" / "masks"
    joined = sitk.ReadImage(str(masks / "all.seg.nrrd"))
    for number, name in enumerate([*last.entries, "truth"]):
        name_of, layer, label = (
            joined.GetMetaData(f"Segment{number}_{key}") for key in ("Name", "Layer", "LabelValue")
        )
        single = sitk.ReadImage(str(masks / f"{name}.nii.gz"))
        voxels = sitk.GetArrayFromImage(joined)[..., int(layer)] == int(label)
        assert name_of == name and (voxels == (sitk.GetArrayFromImage(single) > 0)).all()
        assert joined.GetOrigin() == pytest.approx(single.GetOrigin())
    slip = json.loads(paths[3].read_text())
    assert slip["inputs"]["scan"]["file"] == "volume.nii.gz"
    assert len(slip["inputs"]["scan"]["sha256"]) == 64
    assert {c["name"] for c in slip["checkpoints"]} == set(MODELS)
    assert slip["repeat"]["command"] == (
        "python -m brainseg predict volume.nii.gz --truth volume_truth.nii.gz --out predictions"
    )
    assert slip["result"] == view.report(last)
    rows = paths[1].read_text().splitlines()
    assert len(rows) == 7 and rows[0].startswith("name,kind,dice")
    assert slip["checkpoints"][0]["sha256"] in paths[2].read_text()


def test_downloads_at_a_threshold_of_one_s_own(random_checkpoints, scan_png, tmp_path):
    last = finished({"scan": scan_png}, random_checkpoints)[-1].view
    write_files(last, tmp_path, 0, level=250)
    with zipfile.ZipFile(tmp_path / "brainseg.zip") as archive:
        file = archive.read("masks/unet-bce.png")
    mask = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_GRAYSCALE) > 0
    assert (mask == (last.entries["unet-bce"].plane(0) > 250)).all()
    slip = json.loads((tmp_path / "receipt.json").read_text())
    assert slip["threshold_for_all"] == pytest.approx(250 / 255)
    assert slip["result"]["models"]["unet-bce"]["area_px"] == mask.sum()
