"""Folders of models that change, are damaged or hold several of one name, as all tabs see them."""

import json
import shutil
from dataclasses import replace

import pytest
from comparing import FUSIONS, MODELS, add, finished

from brainseg.checkpoints.folder import read_checkpoint, replace_settings
from brainseg.checkpoints.patients import patient_hash
from brainseg.checkpoints.settings import CheckpointError
from brainseg.inference.loading import load_usable
from brainseg.scans.scan import ScanError
from brainseg.ui import message, models_tab, session, stress_curve, view, words
from brainseg.ui.downloads import write_files
from brainseg.ui.inputs import read_files, with_seen


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


@pytest.fixture
def two_models(random_checkpoints, tmp_path):
    """A folder with the first two models, to be changed."""
    folder = tmp_path / "checkpoints"
    for name in MODELS[:2]:
        add(random_checkpoints / name, folder)
    return folder


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
