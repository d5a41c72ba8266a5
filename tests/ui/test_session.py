import base64
from dataclasses import replace

import numpy as np
import pytest
from comparing import FUSIONS, MODELS, finished

from brainseg.checkpoints.settings import CheckpointError
from brainseg.data import phantom
from brainseg.scans.scan import ScanError
from brainseg.study import estimate
from brainseg.ui import markup, message, session, view, words
from brainseg.ui.inputs import read_files


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


def test_a_drawing_becomes_the_truth(random_checkpoints, scan_png):
    last = finished({"scan": scan_png}, random_checkpoints)[-1].view
    plane = np.zeros((60, 80), np.uint8)
    plane[10:20, 30:50] = 255
    url = "data:image/png;base64," + base64.b64encode(view.encode(plane)).decode()
    drawn = session.draw_truth(last, 0, url)
    assert (drawn.truth_plane(0) == (plane > 0)).all()
    assert view.report(drawn)["models"]["unet-bce"]["dice"] is not None


def url(file):
    return "data:image/png;base64," + base64.b64encode(file).decode()


LARGE = view.encode(np.zeros((2000, 2000), np.uint8))  # takes a few kilobytes


@pytest.mark.parametrize(
    "picture",
    ["", "data:image/png;base64,AAAA", "x" * 3_000_000, "../a", url(LARGE), url(b"GIF89")],
)
def test_a_broken_drawing_is_refused_in_a_sentence(
    random_checkpoints, scan_png, picture, monkeypatch
):
    last = finished({"scan": scan_png}, random_checkpoints)[-1].view
    monkeypatch.setattr(session, "decode", lambda file: pytest.fail("it may not fit in memory"))
    with pytest.raises(ScanError, match="draw it again"):
        session.draw_truth(last, 0, picture)


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


def test_an_example_is_compared_once_and_is_nobody_s(random_checkpoints, small_phantoms):
    first = list(session.run_example("large", random_checkpoints))
    again = list(session.run_example("large", random_checkpoints))
    assert small_phantoms == ["large"]
    assert len(first) == 7 and len(again) == 1
    one, two = first[-1].view, again[0].view
    assert {step.view.id for step in first} == {one.id}  # or the page would begin anew at the end
    assert one.id != two.id and one.truth.any()
    blank = base64.b64encode(view.encode(np.zeros((64, 64), np.uint8))).decode()
    session.draw_truth(one, two.start, "data:image/png;base64," + blank)
    third = next(session.run_example("large", random_checkpoints)).view
    assert (third.truth == two.truth).all()


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
