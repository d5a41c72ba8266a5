from dataclasses import replace

import numpy as np
import pytest
from comparing import finished

from brainseg.inference.results import Result
from brainseg.scans import corruptions
from brainseg.scans.reading import read_scan
from brainseg.scans.scan import ScanError
from brainseg.ui import stress_curve, view


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
    # One that turns with the head loses nothing.
    clean = np.zeros((64, 64), bool)
    clean[20:40, 25:45] = True
    turned = corruptions.moved(clean, "rotation").astype(np.float32)
    steady = view.add(replace(last, entries={}), Result("steady", "model", turned, 0.5))
    assert stress_curve.scores(steady)["steady"] == [1] * 9


def test_the_scan_in_compare_can_be_stressed(random_checkpoints, scan_png, truth_png):
    with pytest.raises(ScanError, match="compare a scan first"):
        stress_curve.subject(stress_curve.COMPARED, None)
    last = finished({"scan": scan_png, "truth": truth_png}, random_checkpoints)[-1].view
    subject = stress_curve.subject(stress_curve.COMPARED, last)
    assert (subject.pixels == read_scan(scan_png).pixels[0]).all()
    assert (subject.truth == last.truth_plane(0)).all() and subject.name == "scan.png"
    assert subject.spacing_mm is None
