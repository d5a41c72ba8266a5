import hashlib
import itertools
import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from brainseg.__main__ import main
from brainseg.data.phantom import make_case
from brainseg.ui import receipt, session
from brainseg.ui.inputs import read_example, read_files

REPORT = {
    "source": "<scan>.png",
    "slices": 1,
    "truth": True,
    "skipped": [],
    "models": {"unet-bce": {"kind": "model", "dice": None, "area_px": 0, "threshold": 0.33}},
}
CHECKPOINT = {"name": "unet-bce", "sha256": "ab" * 32, "threshold": 0.33, "trained_on": "lgg"}


def made(inputs):
    return receipt.make(inputs, [CHECKPOINT], REPORT, None)


def test_a_file_is_described_by_its_content(tmp_path):
    path = tmp_path / "scan.png"
    path.write_bytes(b"abc")
    expected = {"file": "scan.png", "bytes": 3, "sha256": hashlib.sha256(b"abc").hexdigest()}
    assert receipt.describe_file(path) == expected


def test_it_says_how_to_repeat_the_comparison():
    slip = made({"scan": {"file": "my scan.png"}, "truth": {"file": "t.png"}})
    assert slip["repeat"]["command"] == (
        "python -m brainseg predict 'my scan.png' --truth t.png --out predictions"
    )
    assert "brainseg.read_mask('t.png', scan)" in slip["repeat"]["api"]
    slip = made({"flair": {"file": "f.nii"}, "t1c": {"file": "c.nii"}})
    assert "--flair f.nii --t1c c.nii" in slip["repeat"]["command"]
    assert "read_sequences(flair='f.nii', t1c='c.nii')" in slip["repeat"]["api"]
    compile(slip["repeat"]["api"], "api", "exec")
    slip = made({"scan": {"file": "phantom small", "sha256": "computed"}})
    assert 'make_example("small")' in slip["repeat"]["api"]


def test_a_truth_changed_by_hand_is_said():
    inputs = {"scan": {"file": "a.png", "sha256": "ab"}, "truth": {"file": "t.png", "sha256": "cd"}}
    for changed, told in (
        ({"corrected_slices": [2, 3]}, "its truth was corrected by hand in slices 2, 3"),
        ({"drawn_slices": [2]}, "Scores are of slices 2, whose truth was drawn by hand"),
    ):
        slip = receipt.make(inputs, [CHECKPOINT], {**REPORT, **changed}, None)
        assert told in receipt.to_html(slip)
        assert "give masks/truth of the downloads" in slip["repeat"]["note"]
    assert "by hand" not in made(inputs)["repeat"]["note"]


def test_a_file_that_is_called_phantom_is_a_file():
    slip = made({"scan": {"file": "phantom scan.nii.gz", "sha256": "ab" * 32}})
    assert "predict 'phantom scan.nii.gz' --out" in slip["repeat"]["command"]
    assert "read_scan('phantom scan.nii.gz')" in slip["repeat"]["api"]


def test_a_given_order_of_channels_is_repeated():
    scan = {"file": "a.nii.gz", "sha256": "cd" * 32, "channels": "flair, t1,t1c,t2"}
    slip = made({"scan": scan})
    assert "predict a.nii.gz --channels 'flair, t1,t1c,t2' --out" in slip["repeat"]["command"]
    assert "read_scan('a.nii.gz', channels='flair, t1,t1c,t2')" in slip["repeat"]["api"]
    compile(slip["repeat"]["api"], "api", "exec")
    assert "a.nii.gz (flair, t1,t1c,t2)" in receipt.to_html(slip)


def test_html_is_escaped_and_holds_the_hashes():
    html = receipt.to_html(made({"scan": {"file": "<scan>.png", "sha256": "cd" * 32}}))
    assert "<scan>" not in html and "&lt;scan&gt;" in html
    assert "ab" * 32 in html and "cd" * 32 in html
    assert "not defined" in html and "Not for clinical use" in html
    assert "http" not in html


def test_csv_leaves_empty_what_is_not_defined():
    head, row = receipt.to_csv(REPORT).splitlines()
    cells = dict(zip(head.split(","), row.split(","), strict=True))
    assert cells["name"] == '"unet-bce"' and cells["dice"] == "" and cells["area_px"] == "0"


def test_json_can_be_read_back():
    slip = made({"scan": {"file": "a.png"}})
    assert json.loads(receipt.to_json(slip)) == slip


@pytest.fixture
def beside_checkpoints(random_checkpoints, scan_nifti, tmp_path, monkeypatch):
    """A folder to work in, with checkpoints and one patient's files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints").symlink_to(random_checkpoints)
    volume, truth = scan_nifti
    for role in ("flair", "t1", "t1c"):
        shutil.copy(volume, f"patient's {role}.nii.gz")
    shutil.copy(truth, "patient's truth.nii.gz")
    t1, flair, t1c = np.moveaxis(make_case(3, "large", size=64, slices=6).scan.pixels, -1, 0)
    stored = np.stack([flair, t1, t1c, t1], -1)
    np.save("stored.npy", stored)
    np.save("stored truth.npy", np.asarray(t1 > 120, np.uint8))


SUBSETS = [
    dict.fromkeys(names)
    for size in (1, 2, 3)
    for names in itertools.combinations(("t1", "flair", "t1c"), size)
]
GIVEN = [
    *({role: f"patient's {role}.nii.gz" for role in names} for names in SUBSETS),
    {"scan": "patient's flair.nii.gz"},
]
TRUE = [{}, {"truth": "patient's truth.nii.gz"}]


@pytest.mark.parametrize(
    "paths",
    [
        *({**truth, **given} for given in GIVEN for truth in TRUE),
        *(
            {"scan": "stored.npy", **truth, "channels": "flair, t1,t1c,t2"}
            for truth in ({}, {"truth": "stored truth.npy"})
        ),
    ],
    ids=lambda paths: "+".join(paths),
)
def test_its_lines_give_the_same_comparison_again(paths, beside_checkpoints, capsys):
    inputs = read_files({"scan": None, "truth": None, **paths})
    report = session.compare_files(paths, "checkpoints")
    slip = receipt.make(inputs.files, [CHECKPOINT], report, None)
    *lines, last = slip["repeat"]["api"].splitlines()
    names = {}
    exec("\n".join(lines), names)
    assert eval(last, names)["models"] == report["models"]
    words = shlex.split(slip["repeat"]["command"])
    assert words[:4] == ["python", "-m", "brainseg", "predict"]
    assert main(words[3:]) == 0
    (written,) = Path("predictions").rglob("scores.json")
    assert json.loads(written.read_text())["models"] == report["models"]


def test_the_lines_of_a_phantom_run(beside_checkpoints, monkeypatch):
    made = make_case(1, "small", size=64, slices=4)
    monkeypatch.setattr("brainseg.data.phantom.make_example", {"small": made}.__getitem__)
    slip = receipt.make(read_example("small").files, [CHECKPOINT], REPORT, None)
    *lines, last = slip["repeat"]["api"].splitlines()
    names = {}
    exec("\n".join(lines), names)
    assert eval(last, names)["slices"] == 4


def test_a_scan_that_was_insisted_on_is_insisted_on_again():
    slip = receipt.make({"scan": {"file": "a.png"}}, [CHECKPOINT], REPORT, None, anyway=True)
    assert "predict a.png --anyway --out" in slip["repeat"]["command"]


def test_it_tells_what_speaks_against_the_scan():
    scan = {"scan": {"file": "a.png", "sha256": "ab"}}
    doubts = ("thick slices", "trained on this patient: <b>")
    slip = receipt.make(scan, [CHECKPOINT], REPORT, None, doubts=doubts)
    assert slip["against_the_scan"] == list(doubts)
    page = receipt.to_html(slip)
    assert "thick slices; trained on this patient: &lt;b&gt;" in page and "<b>Not" not in page
    assert "Nothing was found" in receipt.to_html(receipt.make(scan, [CHECKPOINT], REPORT, None))


def test_of_files_of_one_name_it_is_said_how_to_tell_them_apart():
    slip = made({"flair": {"file": "scan.nii"}, "t1c": {"file": "scan.nii"}})
    assert "rename one" in slip["repeat"]["note"]
    assert "rename" not in made({"scan": {"file": "a.png"}})["repeat"]["note"]
