import base64
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from brainseg.checkpoints.folder import read_checkpoint, replace_settings
from brainseg.checkpoints.patients import patient_hash
from brainseg.checkpoints.settings import CheckpointError
from brainseg.data import phantom
from brainseg.inference import results
from brainseg.inference.loading import load_usable
from brainseg.inference.results import Comparison, Result
from brainseg.scans.reading import read_scan
from brainseg.scans.scan import Scan, ScanError
from brainseg.study import estimate
from brainseg.ui import markup, message, models_tab, session, stress_curve, view, words
from brainseg.ui.downloads import write_files
from brainseg.ui.inputs import _example, read_files, seen_by_network, was_given_before, with_seen

MODELS = ["unet-bce", "unet_resnet34-bce", "unetpp-bce"]
FUSIONS = ["fusion_mean", "fusion_vote", "fusion_staple"]


def comparison(marks, truth=None, spacing_mm=None, slices=1):
    """A comparison of models by name, each marking that many pixels of every slice."""
    shape = (slices, 4, 5)

    def mask(count):
        return np.broadcast_to(np.arange(20).reshape(4, 5) < count, shape)

    results = {
        name: Result(name, name.split("_")[0], mask(count).astype(np.float32), 0.5)
        for name, count in marks.items()
    }
    scan = Scan(np.zeros((*shape, 1), np.uint8), spacing_mm=spacing_mm, source="scan.png")
    return Comparison(scan, None if truth is None else mask(truth), results)


def finished(paths, checkpoints):
    return list(session.run(read_files(paths), checkpoints))


@pytest.fixture
def small_phantoms(monkeypatch):
    made = []

    def small(kind):
        made.append(kind)
        return phantom.make_case(1, kind, size=64, slices=4)

    def forget():
        _example.cache_clear()
        session._finished.clear()

    monkeypatch.setattr("brainseg.ui.inputs.make_example", small)
    forget()
    yield made
    forget()


def test_models_come_one_by_one_and_agree_with_the_library(random_checkpoints, scan_png, truth_png):
    steps = finished({"scan": scan_png, "truth": truth_png}, random_checkpoints)
    assert [step.done for step in steps] == [0, 1, 2, 3, 4, 5, 6]
    assert [len(step.view.entries) for step in steps] == [0, 1, 2, 3, 4, 5, 6]
    assert [step.running for step in steps] == [*MODELS, *FUSIONS, None]
    last = steps[-1].view
    assert [name for name, _ in last.order] == ["unetpp-bce", *MODELS[:2], *FUSIONS]
    assert [kind for _, kind in last.order] == ["ensemble"] + ["model"] * 2 + ["fusion"] * 3
    assert last.about["fusion_mean"] == f"mean of {MODELS[0]} and {MODELS[1]}"
    cards = {card["name"]: card["about"] for card in message.whole(last, 0)["cards"]}
    assert cards == {
        **dict.fromkeys(["unetpp-bce", *MODELS], ""),
        **{n: last.about[n] for n in FUSIONS},
    }
    expected = session.compare_files({"scan": scan_png, "truth": truth_png}, random_checkpoints)
    for name, entry in view.report(last)["models"].items():
        assert entry == pytest.approx(expected["models"][name]), name


def test_one_checkpoint_is_enough(random_checkpoints, scan_png, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "unet-bce").symlink_to(random_checkpoints / "unet-bce")
    steps = finished({"scan": scan_png}, tmp_path / "one" / "unet-bce")
    assert [step.running for step in steps] == ["unet-bce", None]
    assert view.report(steps[-1].view)["models"]["unet-bce"]["agreement"] is None
    assert session.estimates(steps[-1].view, tmp_path) == ({}, "")


def test_files_without_truth_have_agreement_only(random_checkpoints, scan_png):
    report = session.compare_files({"scan": scan_png}, random_checkpoints)
    assert not report["truth"]
    for entry in report["models"].values():
        assert "dice" not in entry and "agreement" in entry


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


def test_the_mask_is_named_beside_the_score(random_checkpoints, scan_png, truth_png):
    last = finished({"scan": scan_png, "truth": truth_png}, random_checkpoints)[-1].view
    assert message.whole(last, 0)["truthName"] == "truth.png"
    assert "scored by the true mask truth.png" in words.summary(view.report(last), last.truth_name)


def test_the_order_of_channels_goes_with_one_scan(random_checkpoints, tmp_path):
    import SimpleITK as sitk

    t1, flair, t1c = np.moveaxis(phantom.make_case(3, size=64, slices=4).scan.pixels, -1, 0)
    path = tmp_path / "case.nii.gz"
    sitk.WriteImage(
        sitk.GetImageFromArray(np.stack([flair, t1, t1c, t1]), isVector=False), str(path)
    )
    with pytest.raises(ScanError, match="4 channels"):
        read_files({"scan": path, "channels": ""})
    paths = {"scan": path, "channels": "flair,t1,t1c,t2"}
    inputs = read_files(paths)
    assert (inputs.scan.pixels == np.stack([t1, flair, t1c], axis=-1)).all()
    assert inputs.files["scan"]["channels"] == "flair,t1,t1c,t2"
    report = session.compare_files(paths, random_checkpoints)
    _, figures = session.predict_files(paths, "unet-bce", random_checkpoints, tmp_path)
    assert figures["area_px"] == report["models"]["unet-bce"]["area_px"]
    with pytest.raises(ScanError, match="remove the order"):
        read_files({"flair": path, "channels": "flair"})


def test_of_colours_it_is_said_once_what_they_are_read_as(tmp_path):
    image = np.zeros((64, 64, 3), np.uint8)
    image[8:56, 8:56] = np.random.default_rng(0).integers(0, 255, (48, 48, 3))
    Image.fromarray(image).save(tmp_path / "a.png")
    texts = [finding.text for finding in read_files({"scan": tmp_path / "a.png"}).findings]
    assert len([text for text in texts if "red, green and blue" in text]) == 1
    inputs = read_files({"scan": tmp_path / "a.png", "channels": "flair,t1,t1c"})
    assert not [f for f in inputs.findings if "red, green and blue" in f.text]


def test_an_estimate_needs_a_fit_on_these_models_and_such_scans(
    random_checkpoints, scan_nifti, tmp_path
):
    last = finished({"scan": scan_nifti[0]}, random_checkpoints)[-1].view
    assert last.doubts == ("one sequence",)
    found, reason = session.estimates(last, tmp_path)
    assert found == {} and "not been fitted" in reason
    line = (np.linspace(0, 1, 20), np.linspace(0, 1, 20), 20, MODELS)
    fitted = estimate.fit(*line, min_slices=6, dataset="lgg")
    estimate.write(fitted, tmp_path / "estimate.json")
    found, reason = session.estimates(last, tmp_path)
    assert found == {} and "one sequence" in reason
    sound = replace(last, doubts=())
    found, reason = session.estimates(sound, tmp_path)
    figures = view.report(last)["models"]
    marked = {name for name, entry in figures.items() if entry["area_px"]}
    assert set(found) == marked and reason == fitted.about
    for name, values in found.items():
        assert values["dice"] == pytest.approx(figures[name]["agreement"])
    # Of the models it was fitted on alone: another one beside them changes nothing.
    fewer = estimate.fit(*line[:3], MODELS[:2], min_slices=6, dataset="lgg")
    estimate.write(fewer, tmp_path / "estimate.json")
    found, _ = session.estimates(sound, tmp_path)
    names = [name for name, _ in sound.order]
    fusions = {name for name, kind in sound.order if kind == "fusion"}
    assert set(found) == marked & {*MODELS[:2], *fusions}
    one, other = (names.index(name) for name in MODELS[:2])
    for name in MODELS[:2]:
        assert found[name]["dice"] == pytest.approx(sound.pairs[one, other])
    fitted = estimate.fit(*line, min_slices=7, dataset="lgg")
    estimate.write(fitted, tmp_path / "estimate.json")
    found, reason = session.estimates(sound, tmp_path)
    assert found == {} and "does not hold on 6 slices" in reason


def test_what_speaks_against_a_scan_comes_with_its_effect(scan_nifti):
    (finding,) = read_files({"scan": scan_nifti[0]}).findings
    assert "0.86 from FLAIR" in finding.text
    inputs = read_files({"flair": scan_nifti[0]})
    assert inputs.doubts == ("one sequence",)


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


def test_a_drawing_becomes_the_truth(random_checkpoints, scan_png):
    last = finished({"scan": scan_png}, random_checkpoints)[-1].view
    plane = np.zeros((60, 80), np.uint8)
    plane[10:20, 30:50] = 255
    url = "data:image/png;base64," + base64.b64encode(view.encode(plane)).decode()
    drawn = session.draw_truth(last, 0, url)
    assert (drawn.truth_plane(0) == (plane > 0)).all()
    assert view.report(drawn)["models"]["unet-bce"]["dice"] is not None


@pytest.mark.parametrize("picture", ["", "data:image/png;base64,AAAA", "x" * 3_000_000, "../a"])
def test_a_broken_drawing_is_refused_in_a_sentence(random_checkpoints, scan_png, picture):
    last = finished({"scan": scan_png}, random_checkpoints)[-1].view
    with pytest.raises(ScanError, match="draw it again"):
        session.draw_truth(last, 0, picture)


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


def test_the_table_has_words_where_a_figure_is_not_defined():
    headings, rows = words.table(comparison({"model_a": 0}, truth=0).to_json())
    assert "Volume (ml)" not in headings
    row = dict(zip(headings, rows[0], strict=True))
    assert row["Dice"] == row["IoU"] == "both empty"
    assert row["Precision"] == row["Agreement"] == "none marked"
    assert row["Recall"] == "none in truth"
    assert row["Pixels"] == "0"
    headings, rows = words.table(comparison({"model_a": 1}, spacing_mm=(10, 10, 10)).to_json())
    assert "Dice" not in headings and headings[-1] == "Volume (ml)"
    assert rows == [["model_a", "model", "nothing to agree on", "1", "1.0"]]


def test_summary():
    report = comparison({"model_a": 1}, truth=1, slices=2).to_json()
    assert words.summary(report) == "scan.png: 2 slices, with its true mask."
    drawn = {**report, "drawn_slices": [2]}
    assert "truth drawn on slice 2, scored there only" in words.summary(drawn)


def test_each_fusion_says_what_it_fuses():
    told = words.fusions(["a", "b"], ["a", "b", "c"], 3)
    assert list(told) == list(results.FUSIONS) and len(set(told.values())) == len(told)
    assert told["fusion_mean"] == "mean of a and b"
    assert told["fusion_all"] == "mean of all 3 single models"
    told = words.fusions(["a", "b", "c"], ["a", "b", "c"], 4)
    assert told["fusion_mean"] == told["fusion_all"]
    assert told["fusion_all"] == "mean of all 3 single models but those with classes"


def test_names_from_files_and_folders_are_escaped():
    html = markup.table(["<u>"], [["<u>", "<b>"]], '"<i>') + markup.notice("<u>")
    html += markup.progress("<s>", 1, 2)
    assert not any(tag in html for tag in ("<u>", "<b>", "<i>", "<s>"))
    assert "&quot;&lt;i&gt;" in html


def test_a_bad_file_gets_the_reader_s_sentence(random_checkpoints, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a scan")
    with pytest.raises(ScanError, match=r"notes\.txt"):
        session.compare_files({"scan": path}, random_checkpoints)


def test_a_truth_of_another_size_gets_the_reader_s_sentence(random_checkpoints, scan_png, tmp_path):
    path = tmp_path / "mask.npy"
    np.save(path, np.zeros((9, 9), np.uint8))
    with pytest.raises(ScanError, match=r"mask\.npy"):
        session.compare_files({"scan": scan_png, "truth": path}, random_checkpoints)


def test_no_scan_and_too_large_a_scan(random_checkpoints, scan_png, monkeypatch):
    with pytest.raises(ScanError, match="choose a file"):
        session.compare_files({}, random_checkpoints)
    monkeypatch.setattr("brainseg.ui.inputs.MAX_VOXELS", 60 * 80 - 1)
    with pytest.raises(ScanError, match="4,800 voxels"):
        session.compare_files({"scan": scan_png}, random_checkpoints)


@pytest.mark.parametrize("folder", ["missing", "."])
def test_without_a_checkpoint_it_is_said_what_to_do(tmp_path, scan_png, folder, small_phantoms):
    for call in (
        lambda: session.compare_files({"scan": scan_png}, tmp_path / folder),
        lambda: list(session.run_example("small", tmp_path / folder)),
    ):
        with pytest.raises(CheckpointError, match=r"no trained model yet.*train\.py"):
            call()


@pytest.fixture
def two_models(random_checkpoints, tmp_path):
    """A folder with the first two models, to be changed."""
    folder = tmp_path / "checkpoints"
    for name in MODELS[:2]:
        add(random_checkpoints / name, folder)
    return folder


def add(checkpoint, folder):
    (folder / checkpoint.name).mkdir(parents=True)
    for file in checkpoint.iterdir():
        if file.is_file():
            (folder / checkpoint.name / file.name).symlink_to(file)


@pytest.mark.parametrize("change", ["appears", "vanishes"])
@pytest.mark.parametrize("page", ["scan", "example", "stress"])
def test_a_run_keeps_the_models_it_began_with(
    page, change, random_checkpoints, two_models, scan_png, small_phantoms
):
    if page == "scan":
        steps = session.run(read_files({"scan": scan_png}), two_models)
    elif page == "example":
        steps = session.run_example("large", two_models)
    else:
        steps = stress_curve.run(stress_curve.subject("large", None), "noise", two_models)
    next(steps)
    if change == "appears":
        add(random_checkpoints / MODELS[2], two_models)
    else:
        shutil.rmtree(two_models / MODELS[1])
    *_, last = steps
    fusions = [name for name in FUSIONS if page != "stress" or name != "fusion_staple"]
    assert list(last.view.entries) == MODELS[:2] + fusions


def test_files_are_judged_by_the_models_that_were_there(
    random_checkpoints, two_models, scan_png, monkeypatch
):
    def load_and_lose(folder):
        found = load_usable(folder)
        shutil.rmtree(folder / MODELS[1])
        return found

    monkeypatch.setattr(session, "load_usable", load_and_lose)
    report = session.compare_files({"scan": scan_png}, two_models)
    assert list(report["models"]) == MODELS[:2] + FUSIONS
    add(random_checkpoints / MODELS[1], two_models)
    _, figures = session.predict_files({"scan": scan_png}, MODELS[1], two_models, scan_png.parent)
    assert figures["model"] == MODELS[1]


def test_an_example_is_compared_once_and_is_nobody_s(random_checkpoints, small_phantoms):
    first = list(session.run_example("large", random_checkpoints))
    again = list(session.run_example("large", random_checkpoints))
    assert small_phantoms == ["large"]
    assert len(first) == 7 and len(again) == 1
    one, two = first[-1].view, again[0].view
    assert one.id != two.id and one.truth.any()
    blank = base64.b64encode(view.encode(np.zeros((64, 64), np.uint8))).decode()
    session.draw_truth(one, two.start, "data:image/png;base64," + blank)
    third = next(session.run_example("large", random_checkpoints)).view
    assert (third.truth == two.truth).all()


def test_stress_runs_every_severity_and_names_what_breaks(random_checkpoints, small_phantoms):
    subject = stress_curve.subject("large", None)
    steps = list(stress_curve.run(subject, "noise", random_checkpoints))
    last = steps[-1].view
    assert last.shape[0] == 9 and steps[-1].running is None
    assert "fusion_staple" not in last.entries and len(last.entries) == 5
    curves = stress_curve.scores(last)
    assert set(curves) == set(last.entries) and all(len(c) == 9 for c in curves.values())
    assert "no ranking follows" in stress_curve.verdict(last, curves)
    drawing = stress_curve.curve(last, curves)
    assert drawing.count("<polyline") == 5 and "unetpp-bce" in drawing
    headings, rows = stress_curve.rows(last, curves)
    assert len(headings) == 10 and rows[0][0] == "unetpp-bce"


def test_without_truth_stress_scores_against_the_clean_mask(random_checkpoints, small_phantoms):
    subject = replace(stress_curve.subject("large", None), truth=None)
    last = list(stress_curve.run(subject, "rotation", random_checkpoints))[-1].view
    for name, values in stress_curve.scores(last).items():
        assert values[0] == 1 or not last.entries[name].mask()[0].any()


def test_the_scan_in_compare_can_be_stressed(random_checkpoints, scan_png, truth_png):
    with pytest.raises(ScanError, match="compare a scan first"):
        stress_curve.subject(stress_curve.COMPARED, None)
    last = finished({"scan": scan_png, "truth": truth_png}, random_checkpoints)[-1].view
    subject = stress_curve.subject(stress_curve.COMPARED, last)
    assert (subject.pixels == read_scan(scan_png).pixels[0]).all()
    assert (subject.truth == last.truth_plane(0)).all() and subject.name == "scan.png"
    assert subject.spacing_mm is None


def test_a_newer_run_takes_the_place_of_an_older_one():
    turn, closed = {}, []

    def run(name, fails=False):
        try:
            yield {"step": f"{name} 1"}
            if fails:
                raise ScanError(name)
            yield {"step": f"{name} 2"}
        finally:
            closed.append(name)

    def failed(error):
        return {"error": str(error)}

    def newest(*args):
        return session.newest(turn, run(*args), failed, {"replaced": True})

    old, late = newest("a"), newest("b", True)
    assert next(old) == {"step": "a 1"}
    assert next(late) == {"step": "b 1"}
    new = newest("c")
    assert next(new) == {"step": "c 1"}
    assert list(old) == list(late) == [{"replaced": True}]  # neither a step nor an error of theirs
    assert list(new) == [{"step": "c 2"}]
    assert list(newest("d", True))[-1] == {"error": "d"}
    assert closed == ["a", "b", "c", "d"]


@pytest.fixture
def damaged_copies(random_checkpoints, tmp_path):
    """A folder, in one of several words, with two of one name, and with two that can't be used."""
    folder = tmp_path / "my secret place" / "models"
    for place in ("", "more"):
        add(random_checkpoints / MODELS[0], folder / place)
    weights = (random_checkpoints / MODELS[1] / "model.safetensors").read_bytes()
    for name, content in (
        ("cut", weights[:-100]),
        ("other", weights.replace(b"weight", b"wxight")),
    ):
        add(random_checkpoints / MODELS[1], folder / name)
        file = folder / name / MODELS[1] / "model.safetensors"
        file.unlink()
        file.write_bytes(content)
    (folder / "broken").mkdir()
    (folder / "broken" / "config.json").write_text("{")
    return folder


def test_no_path_of_the_server_is_ever_shown(damaged_copies, scan_png, tmp_path, small_phantoms):
    last = finished({"scan": scan_png}, damaged_copies)[-1].view
    assert [name for name, kind in last.order if kind == "model"] == ["more/unet-bce", "unet-bce"]
    shown = [words.summary(view.report(last)), json.dumps(message.whole(last, 0))]
    write_files(last, tmp_path, 0)
    shown += [(tmp_path / name).read_text() for name in ("receipt.json", "receipt.html")]
    shown.append(json.dumps(session.compare_files({"scan": scan_png}, damaged_copies)))
    subject = stress_curve.subject("large", None)
    shown.append(str(next(stress_curve.run(subject, "noise", damaged_copies)).view.skipped))
    shown += [models_tab.render(damaged_copies), *models_tab.cards(damaged_copies)]
    for text in shown:
        assert "secret" not in text and str(tmp_path) not in text and "/tmp" not in text
    for text in (shown[0], models_tab.render(damaged_copies)):
        assert "cut/unet_resnet34-bce/model.safetensors could not be loaded" in text
        assert "other/unet_resnet34-bce/model.safetensors could not be loaded" in text
    shutil.rmtree(damaged_copies / "more")
    shutil.rmtree(damaged_copies / MODELS[0])
    for call in (
        lambda: session.compare_files({"scan": scan_png}, damaged_copies),
        lambda: session.require_checkpoints(tmp_path / "a secret" / "none"),
        lambda: finished({"scan": scan_png}, damaged_copies),
    ):
        with pytest.raises(CheckpointError) as caught:
            call()
        told = session.explain(caught.value)
        assert "secret" not in told and str(tmp_path) not in told


def test_what_looks_sound_on_models_is_what_compare_uses(damaged_copies):
    html = models_tab.render(damaged_copies)
    assert html.count('<th scope="row">') == 2 and "more/unet-bce" in html
    assert list(models_tab.cards(damaged_copies)) == ["more/unet-bce", "unet-bce"]


def test_places_below_the_folder_are_told_as_seen_from_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (".", "models", "a/models", tmp_path / "models"):
        place = Path(folder) / "unet" / "config.json"
        told = words.without_paths(f"{place} is empty. Train it.", folder)
        assert told == "unet/config.json is empty. Train it.", folder
    assert words.without_paths(f"{tmp_path / 'models'} is empty.", "models") == "models is empty."


@pytest.mark.parametrize(
    "text, told",
    [
        ("/tmp/brainseg-x/ab12/scan.png is empty.", "scan.png is empty."),
        ("in '/srv/models/unet-bce/config.json': no.", "in 'unet-bce/config.json': no."),
        ("expected /srv/a/checkpoints/unet-bce.", "expected unet-bce."),
        ("user/repo/name, 1/2 and and/or stay", "user/repo/name, 1/2 and and/or stay"),
        ("see https://x.org/a/b and /compare", "see https://x.org/a/b and /compare"),
        ("C:\\data\\scans\\a.png is bad", "a.png is bad"),
    ],
)
def test_paths_are_cut_to_names(text, told):
    assert session.explain(ScanError(text)) == told


def test_runs_of_one_name_are_told_apart_by_label_everywhere(
    random_checkpoints, scan_png, tmp_path
):
    runs = tmp_path / "runs"
    for number, (dataset, left_out, watch) in enumerate(
        (("figshare", (0, 1), True), ("lgg", (1, 2), True), ("lgg", (0, 2), False))
    ):
        folder = shutil.copytree(random_checkpoints / "unet-bce", runs / "unet" / f"run{number}")
        one = read_checkpoint(folder)
        config = replace(one.settings.run, left_out=left_out, watch=watch)
        hashes = {"train": (patient_hash("lgg", "TCGA_CS_4941_19960909"),)} if number else {}
        own = replace(one.settings, dataset=dataset, run=config, patient_hashes=hashes)
        replace_settings(one, own)
    labels = ["unet/run0", "unet/run1"]  # the third is there for other runs
    assert session.first_model(runs) == labels[0]

    known = tmp_path / "TCGA_CS_4941_19960909_12.png"
    shutil.copy(scan_png, known)
    seen = with_seen(read_files({"scan": known}), runs)
    assert seen.doubts[0] == "trained on this patient: unet/run1"

    found = finished({"scan": scan_png}, runs)[-1].view
    cards = {card["name"]: card["trained"] for card in message.whole(found, 0)["cards"]}
    assert [cards[label] for label in labels] == ["trained on T1c alone", ""]
    assert [told["name"] for told in found.checkpoints] == labels

    path, figures = session.predict_files({"scan": scan_png}, labels[1], runs, tmp_path)
    assert path == tmp_path / "scan-unet_run1.png" and path.is_file()
    assert figures["model"] == labels[1]
