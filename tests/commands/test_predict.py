"""The command that turns scans into masks, overlays and scores."""

import gzip
import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from brainseg.__main__ import main
from brainseg.inference.loading import load
from brainseg.inference.results import FUSIONS
from brainseg.scans.masks import read_mask
from brainseg.scans.notes import noting
from brainseg.scans.reading import read_scan
from brainseg.scans.scan import Scan
from brainseg.scans.sequences import read_sequences

MODELS = ["unet-bce", "unet_resnet34-resnet18-bce", "deeplabv3plus-resnet18-bce", "unetpp-bce"]
ALL = [*MODELS, *FUSIONS]


@pytest.fixture
def predict(random_checkpoints, tmp_path):
    """Run the command with all checkpoints; results go to ``tmp_path/out``."""

    def run(*args, checkpoints=random_checkpoints):
        common = ["--checkpoints", checkpoints, "--out", tmp_path / "out"]
        return main(["predict", *map(str, [*args, *common])])

    return run


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def picture(tmp_path, phantom_case):
    """A colour picture that is not square: uint8 (64, 50, 3)."""
    path = tmp_path / "head.png"
    Image.fromarray(phantom_case.scan.pixels[3, :, 7:57]).save(path)
    return path


def volume(path, pixels, degrees=0.0):
    """A volume that lies askew, is stored from head to feet, and has uneven spacing."""
    image = sitk.GetImageFromArray(pixels)
    image.SetSpacing((0.9, 1.1, 4.0))
    image.SetOrigin((-30.0, 12.5, 70.0))
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    image.SetDirection((c, -s, 0, s, c, 0, 0, 0, -1))
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return path


def sentence(captured):
    """The one line on stderr, which is no traceback."""
    (line,) = captured.err.splitlines()
    assert line.startswith("error: ") and "Traceback" not in captured.err
    return line


def test_a_picture(predict, picture, out, random_checkpoints, capsys):
    assert predict(picture) == 0
    folder = out / "head"
    assert {p.name for p in folder.iterdir()} == {
        *(f"{name}.png" for name in ALL), "overlay.png", "scores.json"
    }  # fmt: skip
    scan = read_scan(picture)
    mask = np.asarray(Image.open(folder / "unet-bce.png"))
    assert mask.shape == (64, 50) and set(np.unique(mask)) <= {0, 255}
    expected = load("unet-bce", random_checkpoints).predict(scan).mask[0]
    np.testing.assert_array_equal(mask > 0, expected)
    assert expected.any() and not expected.all()
    overlay = np.asarray(Image.open(folder / "overlay.png"))
    assert overlay.shape[2] == 3 and overlay.shape[1] >= 50 * len(ALL)
    report = json.loads((folder / "scores.json").read_text())
    assert set(report["models"]) == set(ALL) and report["truth"] is False
    assert report["models"]["unet-bce"]["area_px"] == expected.sum()
    told = capsys.readouterr()
    assert told.err == "" and all(f"{name}: " in told.out for name in ALL)
    assert f"{expected.sum()} px" in told.out


@pytest.mark.parametrize("degrees", [0, 10])
def test_a_volume_keeps_its_geometry(predict, out, tmp_path, random_checkpoints, degrees,
                                     phantom_case):  # fmt: skip
    pixels = phantom_case.scan.pixels[:, :, :50, 1].astype(np.int16) * 7 - 20
    path = volume(tmp_path / "scan.nii.gz", pixels, degrees)
    assert predict(path) == 0
    (folder,) = out.iterdir()
    source = sitk.ReadImage(str(path))
    for name in ALL:
        mask = sitk.ReadImage(str(folder / f"{name}.nii.gz"))
        assert mask.GetSize() == source.GetSize() == (50, 64, 6)
        for part in ("GetSpacing", "GetOrigin", "GetDirection"):
            np.testing.assert_allclose(getattr(mask, part)(), getattr(source, part)(), atol=1e-4)
    stored = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "unet-bce.nii.gz")))
    found = load("unet-bce", random_checkpoints).predict(read_scan(path)).mask
    np.testing.assert_array_equal(stored > 0, found[::-1])  # the file runs from head to feet
    assert (found != found[::-1]).any()
    with noting() as notes:
        joined = read_mask(folder / "all.seg.nrrd", read_scan(path))
    assert all(name in notes[0] for name in ALL) and "truth" not in notes[0]
    every = [sitk.ReadImage(str(folder / f"{name}.nii.gz")) for name in ALL]
    assert joined.sum() == np.any([sitk.GetArrayFromImage(one) for one in every], axis=0).sum()
    report = json.loads((folder / "scores.json").read_text())
    volume_ml = found.sum() * 0.9 * 1.1 * 4 / 1000
    assert report["models"]["unet-bce"]["volume_ml"] == pytest.approx(volume_ml, rel=1e-4)


@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.nii", "scan.mha", "scan.v2.nii.gz"])
def test_results_go_to_a_folder_named_after_the_scan(predict, out, tmp_path, name, phantom_case):
    predict(volume(tmp_path / name, phantom_case.scan.pixels[..., 1]))
    stem = name.removesuffix(".gz").rpartition(".")[0]
    assert [folder.name for folder in out.iterdir()] == [stem]


# ---------------------------------------------------------------- folders


def deflate_garbage(whole):
    return whole[:10] + b"\xff" * 600


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("b.png", lambda whole: whole[: len(whole) // 2]),
        ("b.png", lambda whole: b""),
        ("b.nii.gz", lambda whole: whole[: len(whole) // 2]),
        ("b.nii.gz", deflate_garbage),
        ("b.nii.gz", lambda whole: b"\x1f\x8bthis is no gzip"),
        ("b.nii.gz", lambda whole: gzip.compress(gzip.decompress(whole)[:1000])),
    ],
    ids=["half a PNG", "nothing", "half a gzip", "bad deflate", "bad gzip", "half a NIfTI"],
)
def test_a_broken_file_does_not_stop_the_others(
    predict, out, picture, tmp_path, name, damage, capsys
):
    folder = tmp_path / "scans"
    folder.mkdir()
    for good in ("a.png", "c.png"):
        shutil.copy(picture, folder / good)
    if name.endswith(".png"):
        shutil.copy(picture, folder / name)
    else:
        noise = np.random.default_rng(0).integers(0, 99, (3, 40, 40)).astype(np.int16)
        volume(folder / name, noise)
    (folder / name).write_bytes(damage((folder / name).read_bytes()))
    assert predict(folder) == 1
    assert {path.name for path in out.iterdir()} == {"a", "c"}
    assert all((out / stem / "scores.json").is_file() for stem in "ac")
    assert name in sentence(capsys.readouterr())


def test_a_folder_s_masks_and_notes_are_left_out(predict, out, picture, tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    shutil.copy(picture, folder / "a.png")
    shutil.copy(picture, folder / "a_mask.png")
    (folder / "notes.txt").write_text("hello")
    (folder / ".DS_Store").write_bytes(b"x")
    assert predict(folder) == 0
    assert [path.name for path in out.iterdir()] == ["a"]


def test_a_folder_as_one_volume(predict, out, tmp_path, phantom_case):
    folder = tmp_path / "slices"
    folder.mkdir()
    for number, pixels in enumerate(phantom_case.scan.pixels[:3], start=9):
        Image.fromarray(pixels).save(folder / f"s_{number}.png")
    assert predict(folder, "--as-volume") == 0
    with Image.open(out / "slices" / "unet-bce.tif") as stored:
        assert stored.n_frames == 3 and stored.size == (64, 64)


def test_two_scans_of_one_stem_do_not_overwrite_each_other(predict, out, tmp_path):
    for folder, value in (("one", 40), ("two", 160)):
        (tmp_path / folder).mkdir()
        array = np.zeros((40, 40 + value), np.uint8)
        array[10:30, 10:30] = value
        Image.fromarray(array).save(tmp_path / folder / "head.png")
    heads = [tmp_path / folder / "head.png" for folder in ("one", "two")]
    assert predict(*heads, "--anyway") == 0  # a bright rectangle is no head
    folders = sorted(out.iterdir())
    assert len(folders) == 2 and folders[0].name == "head"
    widths = [Image.open(folder / "unet-bce.png").size[0] for folder in folders]
    assert sorted(widths) == [80, 200]


def test_the_same_call_again_replaces_its_results(predict, out, picture):
    assert predict(picture) == predict(picture) == 0
    assert [folder.name for folder in out.iterdir()] == ["head"]


# ---------------------------------------------------------------- truth


def test_truth_gives_scores(predict, out, picture, tmp_path, phantom_case, capsys):
    truth = phantom_case.mask[3, :, 7:57]
    Image.fromarray(truth.astype(np.uint8) * 255).save(tmp_path / "truth.png")
    assert predict(picture, "--truth", tmp_path / "truth.png") == 0
    report = json.loads((out / "head" / "scores.json").read_text())
    assert report["truth"] is True
    for name in ALL:
        mask = np.asarray(Image.open(out / "head" / f"{name}.png")) > 0
        dice = 2 * (mask & truth).sum() / (mask.sum() + truth.sum())
        assert report["models"][name]["dice"] == pytest.approx(dice)
    assert truth.any()
    assert f"Dice {report['models']['unet-bce']['dice']:.3f}" in capsys.readouterr().out


def test_a_truth_of_another_size(predict, out, picture, tmp_path, capsys):
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(tmp_path / "truth.png")
    assert predict(picture, "--truth", tmp_path / "truth.png") == 1
    assert "truth.png" in sentence(capsys.readouterr()) and not out.exists()


def test_truth_goes_with_one_scan(predict, picture, tmp_path, capsys):
    other = shutil.copy(picture, tmp_path / "other.png")
    assert predict(picture, other, "--truth", picture) == 1
    assert "--truth" in sentence(capsys.readouterr())


# ---------------------------------------------------------------- sequences


def test_sequences_become_the_channels_of_one_scan(predict, out, tmp_path, phantom_case,
                                                   random_checkpoints):  # fmt: skip
    files = {}
    for channel, key in enumerate(("t1", "flair", "t1c")):
        files[key] = volume(tmp_path / f"{key}.nii", phantom_case.scan.pixels[..., channel])
    assert predict(*(part for key, file in files.items() for part in (f"--{key}", file))) == 0
    (folder,) = out.iterdir()
    found = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "unet-bce.nii.gz"))) > 0
    whole = Scan(phantom_case.scan.pixels[::-1], (4.0, 1.1, 0.9))
    expected = load("unet-bce", random_checkpoints).predict(whole).mask[::-1]
    np.testing.assert_array_equal(found, expected)
    assert found.any()


def test_flair_alone_fills_all_channels(predict, out, tmp_path, phantom_case, random_checkpoints):
    path = volume(tmp_path / "patient_flair.nii", phantom_case.scan.pixels[..., 1])
    assert predict("--flair", path) == 0
    scan = read_sequences(flair=path)
    expected = load("unet-bce", random_checkpoints).predict(scan).mask
    stored = read_scan(out / "patient_flair" / "unet-bce.nii.gz").pixels[..., 0]
    np.testing.assert_array_equal(stored > 0, expected)


def test_scans_and_sequences_do_not_go_together(predict, picture, capsys):
    assert predict(picture, "--flair", picture) == 1
    assert "--flair" in sentence(capsys.readouterr())
    assert predict() == 1
    assert "SCAN" in sentence(capsys.readouterr())


# ---------------------------------------------------------------- nothing to work with


def test_missing_scans_and_empty_folders(predict, tmp_path, capsys):
    assert predict(tmp_path / "nowhere.png") == 1
    assert "nowhere.png does not exist" in sentence(capsys.readouterr())
    (tmp_path / "empty").mkdir()
    assert predict(tmp_path / "empty") == 1
    assert "empty holds no scans" in sentence(capsys.readouterr())


def test_no_checkpoints(predict, picture, tmp_path, capsys):
    (tmp_path / "none").mkdir()
    assert predict(picture, checkpoints=tmp_path / "none") == 1
    assert "train.py" in sentence(capsys.readouterr())


def test_checkpoints_left_out_are_told(predict, out, picture, random_checkpoints, tmp_path, capsys):
    root = shutil.copytree(random_checkpoints, tmp_path / "all")
    (root / "unet-bce" / "config.json").write_text("{}")
    weights = root / "unetpp-bce" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert predict(picture, checkpoints=root) == 0
    names = {path.stem for path in (out / "head").glob("*.png")} - {"overlay"}
    # Without a stack, fusion_all would be fusion_mean again.
    assert names == {*MODELS, *FUSIONS} - {"unet-bce", "unetpp-bce", "fusion_all"}
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    skipped = json.loads((out / "head" / "scores.json").read_text())["skipped"]
    assert [f"skipped: {reason}" for reason in skipped] == told
    assert any("unet-bce" in line for line in told) and any(str(weights) in line for line in told)


def test_flips_are_averaged_with(predict, out, tmp_path, random_checkpoints, phantom_case):
    path = volume(tmp_path / "head.nii.gz", phantom_case.scan.pixels[2:4, :, :, 1])
    assert predict(path, "--flips") == 0
    scan, predictor = read_scan(path), load("unet-bce", random_checkpoints)
    plain, both = (predictor.predict(scan, flips=flips).mask for flips in (False, True))
    written = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "head" / "unet-bce.nii.gz")))
    assert written.sum() == both.sum() != plain.sum()


def test_backends_are_measured_after_many_slices(predict, picture, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("brainseg.inference.predictor.WORTH_TUNING", 2)
    monkeypatch.setattr(
        "brainseg.inference.predictor.Predictor.tune", lambda self: asked.append(self.name)
    )
    assert predict(picture) == 0 and not asked
    both = tmp_path / "both"
    both.mkdir()
    for name in ("one.png", "two.png"):
        shutil.copy(picture, both / name)
    assert predict(both) == 0 and set(asked) == set(MODELS)
