"""Models that tell classes apart, on the page: regions of a phantom's tumour, and kinds."""

import base64
import shutil
import zipfile
from dataclasses import replace

import cv2
import numpy as np
import pytest
import SimpleITK as sitk
from browsing import FINISHED, VIEWER
from serving import save_random, serve

from brainseg.data import figshare, phantom
from brainseg.inference.results import Comparison, Result
from brainseg.scans.scan import Scan
from brainseg.ui import message, session, view
from brainseg.ui.downloads import write_files
from brainseg.ui.drawing import draw_truth
from brainseg.ui.inputs import read_files, with_classes

SHAPE = (2, 4, 5)
NAMES = phantom.CLASSES


def result(classes=NAMES, name="m"):
    several = np.random.default_rng(0).dirichlet(np.ones(len(classes) + 1), SHAPE)
    several = np.moveaxis(several.astype(np.float32), -1, 0)[1:]
    return Result(name, "model", several.sum(0), 0.7, classes=classes, class_probabilities=several)


def view_of(*found, truth=None, true_classes=None):
    pixels = np.random.default_rng(0).integers(0, 255, (*SHAPE, 1), np.uint8)
    scan = Scan(pixels, spacing_mm=(4.0, 1.0, 1.0), source="scan.png")
    order = [(one.name, one.kind) for one in found]
    made = view.begin(scan, truth, order, true_classes=true_classes, class_names=NAMES)
    for one in found:
        made = view.add(made, one)
    return view.finish(made)


@pytest.mark.parametrize("classes", [NAMES, figshare.CLASSES])
def test_figures_of_classes_are_those_of_the_comparison(classes):
    found = result(classes)
    made = view_of(found)
    expected = Comparison(made.scan, None, {"m": found}).to_json()["models"]["m"]
    shown = view.report(made)["models"]["m"]
    assert shown.keys() == expected.keys()
    for key in ("classes", "regions"):
        for name, sizes in expected.get(key, {}).items():
            assert shown[key][name] == pytest.approx(sizes)
    assert ("tumour_kind" in shown) == (classes == figshare.CLASSES)
    assert "classes" not in view.report(made, 100)["models"]["m"]


def test_a_right_place_with_a_wrong_class_is_counted_apart():
    found = result()
    truth = np.random.default_rng(1).random(SHAPE) > 0.4
    true_classes = np.where(truth, np.random.default_rng(2).integers(1, 4, SHAPE), 0)
    made = view_of(found, truth=truth, true_classes=true_classes.astype(np.uint8))
    labels = found.labels
    expected = ((labels > 0) & truth & (labels != true_classes)).sum()
    assert made.entries["m"].wrong_class == expected > 0
    # By name, whichever numbers the model gives them.
    turned = replace(
        found, classes=NAMES[::-1], class_probabilities=found.class_probabilities[::-1].copy()
    )
    made = view_of(turned, truth=truth, true_classes=true_classes.astype(np.uint8))
    assert made.entries["m"].wrong_class == expected
    assert view_of(found, truth=truth).entries["m"].wrong_class is None
    drawn = draw_truth(made, 0, ~truth[0])  # nobody draws classes
    (card,) = message.whole(drawn, 0)["cards"]
    assert card["wrongClass"] is None and drawn.true_classes is None
    assert draw_truth(drawn, 0, truth[0]).true_classes == made.true_classes  # as they came
    # Kinds are no regions, so neither is right or wrong where the truth tells the other.
    kinds = view_of(result(figshare.CLASSES), truth=truth, true_classes=true_classes)
    assert kinds.entries["m"].wrong_class is None
    cards = {card["name"]: card for card in message.whole(kinds, 0)["cards"]}
    assert cards["m"]["wrongClass"] is None


def test_a_mask_that_tells_regions_is_read_as_its_release_has_them(tmp_path):
    folder = tmp_path / "checkpoints"
    save_random(folder, "unet", classes=NAMES)
    labels = np.zeros((3, 40, 32), np.int16)
    labels[1, 5:15, 5:15], labels[1, 8:12, 8:12], labels[1, 9:11, 9:11] = 2, 4, 1
    pixels = np.random.default_rng(0).integers(0, 200, labels.shape, np.int16)

    def given(name, values):
        paths = {"scan": tmp_path / "flair.nii.gz", "truth": tmp_path / name}
        for path, content in zip(paths.values(), (pixels, values), strict=True):
            sitk.WriteImage(sitk.GetImageFromArray(content), str(path))
        paths = {role: str(path) for role, path in paths.items()}
        return with_classes(read_files(paths), paths["truth"], folder)

    found = given("seg.nii.gz", labels)
    sizes = dict(zip((0, *found.class_names), np.bincount(found.classes.ravel()), strict=True))
    assert sizes == {0: labels.size - 100, "oedema": 84, "enhancing": 12, "core": 4}
    assert ((found.classes > 0) == found.truth).all()
    assert "1 core, 2 oedema, 3 core, 4 enhancing" in found.findings[-1].text
    # What can't be told is said, and so is what no release has.
    for values, words in ((labels > 0, "a single value"), (labels * 3, "up to 12")):
        plain = given("tumour.nii.gz", values.astype(np.int16))
        assert plain.classes is None and plain.truth.any()
        assert words in plain.findings[-1].text and "not told where" in plain.findings[-1].text
    # Who has no such model hears nothing of it.
    paths = [str(tmp_path / name) for name in ("flair.nii.gz", "seg.nii.gz")]
    plain = read_files(dict(zip(("scan", "truth"), paths, strict=True)))
    save_random(tmp_path / "kinds", "unet", classes=figshare.CLASSES)
    assert with_classes(plain, paths[1], tmp_path / "kinds") is plain


def test_the_likeliest_class_travels_and_binary_models_send_none():
    plain = Result("p", "model", result().probabilities, 0.7)
    told = message.whole(view_of(result(), plain), 0)
    assert list(told["planes"]["0"]["classes"]) == ["m"] and told["classNames"] == []
    cards = {card["name"]: card for card in told["cards"]}
    assert cards["m"]["classes"] == list(NAMES) and "classes" not in cards["p"]
    plane = view.decode(view_of(result()).entries["m"].class_maps[1])
    expected = result().class_probabilities.argmax(0)[1] + 1
    assert (plane == np.where(result().probabilities[1] > view.MENTIONED, expected, 0)).all()


def test_a_card_says_what_its_model_never_saw_and_what_a_fusion_does():
    plain = Result("p", "model", result().probabilities, 0.7)
    made = view_of(
        result(figshare.CLASSES), plain, replace(plain, name="fusion_all", kind="fusion")
    )
    told = [{"name": "m", "trained_on": "figshare"}, {"name": "p", "trained_on": "lgg+figshare"}]
    made = replace(made, checkpoints=tuple(told), about={"fusion_all": "mean of all"})
    cards = message.whole(made, 0)["cards"]
    trained = {card["name"]: card["trained"] for card in cards}
    assert trained == {"m": "trained on T1c alone", "p": "", "fusion_all": ""}
    about = {card["name"]: card["about"] for card in cards}
    assert about == {"m": "", "p": "", "fusion_all": "mean of all"}


def test_a_fusion_says_that_it_leaves_out_those_with_classes(tmp_path, scan_png):
    for name, classes in (("kinds", figshare.CLASSES), ("one", ()), ("two", ())):
        save_random(tmp_path / name, "unet", classes=classes)
    about = [step.view for step in session.run(read_files({"scan": scan_png}), tmp_path)][-1].about
    assert about["fusion_mean"].startswith("mean of one/") and " and two/" in about["fusion_mean"]
    assert about["fusion_all"] == "mean of all 2 single models but those with classes"
    shutil.rmtree(tmp_path / "two")  # of two, one with classes: both are fused
    about = [step.view for step in session.run(read_files({"scan": scan_png}), tmp_path)][-1].about
    assert about["fusion_all"] == "mean of all 2 single models"


def test_labels_are_taken_home(tmp_path):
    found = result()
    write_files(view_of(found), tmp_path, 0)
    with zipfile.ZipFile(tmp_path / "brainseg.zip") as archive:
        names = [name for name in archive.namelist() if "-labels" in name]
        assert len(names) == 1
        archive.extract(names[0], tmp_path)
    assert (np.load(tmp_path / names[0]) == found.labels).all()


@pytest.mark.slow
def test_regions_and_kinds_on_the_page(browser, tmp_path_factory):
    import torch

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("checkpoints")
    save_random(folder, "unet", classes=NAMES)
    save_random(folder, "unet_resnet34", encoder="resnet18", classes=figshare.CLASSES)
    with serve(folder, tmp_path_factory.mktemp("app")) as (address, _):
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        errors = []
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        page.click("#examples button[data-choose=small]")
        page.wait_for_selector(FINISHED, timeout=60_000)
        kinds = dict(
            zip(
                page.locator(f"{VIEWER} .card strong").all_text_contents(),
                page.locator(f"{VIEWER} .card .kind").all_text_contents(),
                strict=True,
            )
        )
        assert any(name in kinds["unet-bce-classes"] for name in NAMES)
        name, _, share = kinds["unet_resnet34-bce-classes"].partition(" ")
        assert name in figshare.CLASSES and 0 < float(share) <= 1
        legend = page.inner_text(f"{VIEWER} .legend")
        assert all(text in legend for text in (*NAMES, *figshare.CLASSES))
        # Pixels have the colour of their class.
        shown = page.evaluate(f"""() => {{
            const s = document.querySelector('{VIEWER}').state();
            const card = s.message.cards.find((c) => c.name === 'unet-bce-classes');
            const canvas = s.fill(s.slice, card);
            const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            return [[...s.slice.classes[card.name]], [...s.layer(s.slice, card).mask],
                [...data.data], s.message.classColours];
        }}""")
        classes, mask, pixels = (np.array(part) for part in shown[:3])
        pixels = pixels.reshape(-1, 4)
        for value in (1, 2, 3):
            own = (classes == value) & (mask > 0)
            assert (pixels[own, :3] == shown[3][value - 1]).all()
        assert (pixels[mask == 0, 3] == 0).all()
        page.check(f"{VIEWER} [data-mode=errors]", force=True)
        assert "right place, wrong class" in page.inner_text(f"{VIEWER} .legend")
        assert errors == []
        page.close()


def test_a_shrunk_picture_keeps_whole_classes():
    plane = np.zeros((1000, 1600), np.uint8)
    plane[:, 800:] = 3
    made = message._url(view.encode(plane), cv2.INTER_NEAREST)
    values = np.unique(view.decode(base64.b64decode(made.partition(",")[2])))
    assert values.tolist() == [0, 3]
