"""The strip of what bears on trust in a scan."""

import re
from dataclasses import replace

import numpy as np
import pytest

from brainseg.checkpoints.folder import read_checkpoint, replace_settings
from brainseg.checkpoints.patients import patient_hash
from brainseg.scans import guard
from brainseg.scans.guard import MASK_IN_DOUBT, Finding
from brainseg.scans.notes import note, noting
from brainseg.scans.scan import Scan
from brainseg.study.effects import EFFECTS
from brainseg.ui import compare_actions, session, trust
from brainseg.ui.inputs import read_files, with_seen

PLACED = Scan(np.zeros((2, 4, 4, 1), np.uint8), (5.0, 1.0, 1.0), np.eye(4), "scan.nii.gz")
PICTURE = Scan(np.zeros((1, 4, 4, 1), np.uint8), source="scan.png")


def chips(html):
    """(class, label, whether it is open) of each chip."""
    found = re.findall(r'<li class="(\w+)"><details( open)?><summary>(.*?)</summary>', html)
    return [
        (kind, re.sub("<span.*</span>", "", label), bool(is_open)) for kind, is_open, label in found
    ]


def test_a_scan_with_nothing_against_it_says_so_once_and_what_was_looked_for():
    html = trust.strip(PLACED, [])
    assert chips(html) == [("fine", "nothing speaks against this scan", False)]
    assert "thick or oblique" in html and "proves nothing" in html
    assert "does not say" in trust.strip(PICTURE, [])  # nothing is claimed of what isn't stated


def test_each_doubt_is_a_chip_and_what_was_assumed_is_one():
    found = [
        Finding("one sequence", False, "One for three."),
        Finding(MASK_IN_DOUBT, False, "Of another?"),
        Finding("assumed", False, "First."),
        Finding("assumed", False, "Second <b>."),
    ]
    html = trust.strip(PLACED, found, "truth <1>.png")
    assert chips(html) == [
        ("against", "one sequence", False),
        ("against", MASK_IN_DOUBT, True),
        ("known", "assumed: 2", False),
        ("known", "mask: truth &lt;1&gt;.png", False),
    ]
    assert "<p>First.</p><p>Second &lt;b&gt;.</p>" in html
    assert html.count("<ul") == 1 and 'aria-label="What bears' in html
    # A sign and words beside every colour.
    assert html.count('aria-hidden="true">!</span>') == 2 == html.count("Speaks against the scan: ")
    only_assumed = trust.strip(PLACED, found[2:])
    assert chips(only_assumed)[0][:2] == ("fine", "nothing speaks against this scan")


def test_what_stops_is_told_in_full_at_once():
    html = trust.strip(PICTURE, [Finding("blank", True, "Nothing there.")])
    assert 'role="alert"' in html and "<p>Nothing there.</p>" in html and chips(html) == []


def test_what_was_resampled_is_no_mere_assumption():
    with noting() as notes:
        note("moved", "resampled")
        note("guessed")
    found = guard.findings(Scan(np.zeros((1, 64, 64, 1), np.uint8)), notes)
    assert [f.code for f in found] == ["blank", "resampled", "assumed"]
    assert guard.speak_against(found) == ("blank", "resampled")
    assert "not measured" in EFFECTS["resampled"]


@pytest.fixture
def told_checkpoints(random_checkpoints, tmp_path):
    """The three models, of whom one was trained and one validated on a patient."""
    import shutil

    folder = shutil.copytree(random_checkpoints, tmp_path / "told")
    one = (patient_hash("lgg", "TCGA_CS_4941_19960909"),)
    for name, hashes in (
        ("unet-bce", {"train": one, "watched": ()}),
        ("unet_resnet34-bce", {"train": (), "watched": one}),
    ):
        checkpoint = read_checkpoint(folder / name)
        replace_settings(checkpoint, replace(checkpoint.settings, patient_hashes=hashes))
    return folder


@pytest.fixture
def known_png(scan_png, tmp_path):
    path = tmp_path / "TCGA_CS_4941_19960909_12.png"
    path.write_bytes(scan_png.read_bytes())
    return path


def test_who_was_trained_on_is_said_and_forbids_an_estimate(
    told_checkpoints, known_png, scan_png, tmp_path
):
    codes = [
        "trained on this patient: unet-bce",
        "validated on this patient: unet_resnet34-bce",
        "one sequence",
    ]
    shown = list(compare_actions.run_files({"scan": known_png}, "", told_checkpoints, tmp_path))
    assert shown[-1]["state"].doubts[:3] == tuple(codes)
    strips = [step["notes"] for step in shown if step.get("notes")]
    assert len(strips) == 1  # what is open in it is not closed by the next step
    assert [label for _, label, _ in chips(strips[0])][:3] == codes
    report = session.compare_files({"scan": known_png}, told_checkpoints)
    assert "with the answer seen" in report["findings"][0]
    other = with_seen(read_files({"scan": scan_png}), told_checkpoints)
    assert other.doubts[0] == "one sequence"
    assert with_seen(other, tmp_path / "none").findings == other.findings


def test_an_example_is_said_to_be_no_patient(random_checkpoints, tmp_path, monkeypatch):
    from brainseg.data import phantom
    from brainseg.ui.inputs import _example

    monkeypatch.setattr(
        "brainseg.ui.inputs.make_example",
        lambda kind: phantom.make_case(1, kind, size=64, slices=4),
    )
    _example.cache_clear()
    session._finished.clear()
    shown = list(compare_actions.run_example("large", "", random_checkpoints, tmp_path))
    _example.cache_clear()
    session._finished.clear()
    (strip,) = [step["notes"] for step in shown if step.get("notes")]
    assert chips(strip) == [("known", "computed head", False)]
