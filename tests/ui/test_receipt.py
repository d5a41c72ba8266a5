import hashlib
import json

from brainseg.ui import receipt

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
    slip = made({"scan": {"file": "phantom small"}})
    assert 'make_example("small")' in slip["repeat"]["api"]


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
