"""What happens on the pages, as said by the names of their parts."""

import shutil
from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from brainseg.checkpoints.folder import read_checkpoint, replace_settings
from brainseg.scans.scan import ScanError
from brainseg.ui import compare_actions, session, stress_actions
from brainseg.ui.compare_tab import CompareParts
from brainseg.ui.events import unless_replaced
from brainseg.ui.inputs import read_files
from brainseg.ui.stress_tab import StressParts
from brainseg.ui.view import View


def names(parts) -> set[str]:
    return {field.name for field in fields(parts)}


@pytest.fixture
def static_png(tmp_path):
    """A picture that is no scan."""
    path = tmp_path / "static.png"
    values = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    Image.fromarray(values).save(path)
    return path


def test_a_comparison_grows_and_is_scored_by_a_drawing(random_checkpoints, scan_png, tmp_path):
    paths = {"scan": scan_png}
    shown = list(compare_actions.run_files(paths, "unet-bce", random_checkpoints, tmp_path))
    assert all(set(step) <= names(CompareParts) for step in shown)
    assert [step["cancel"] for step in shown] == [True] * 7 + [False]
    assert [step["figures"] for step in shown[1:]] == [False] * 6 + [True]
    # The inputs fold once there is something to see, and not before they have been read.
    assert [step["given"]["isShown"] for step in shown] == [False] + [True] * 7
    assert len({step["given"]["run"] for step in shown}) == 1
    assert shown[0]["given"]["name"] == "" and shown[-1]["given"]["example"] is None
    last = shown[-1]
    assert "scan.png: 1 slice" in last["status"] and "fusion_vote" in last["table"]
    assert last["viewer"]["chosen"] == "unet-bce" and last["viewer"]["jump"] is True
    picture = last["viewer"]["planes"]["0"]["image"]
    data = {"id": last["viewer"]["id"], "index": 0, "picture": picture}
    drawn = compare_actions.draw_truth(last["state"], data, "unet-bce", tmp_path)
    again = compare_actions.draw_truth(drawn["state"], data, "unet-bce", tmp_path)
    assert again["viewer"] != drawn["viewer"]  # else the viewer would not hear of it
    late = {**data, "id": "of another comparison"}
    assert compare_actions.draw_truth(last["state"], late, "", tmp_path) == {}
    assert set(drawn) <= names(CompareParts) and "Dice" in drawn["table"]
    assert drawn["state"].truth is not None and last["state"].truth is None


def test_what_is_no_scan_waits_for_anyway(random_checkpoints, static_png, tmp_path):
    steps = compare_actions.run_files({"scan": static_png}, "", random_checkpoints, tmp_path)
    *_, last = steps
    assert last["anyway"] is True and last["cancel"] is False and last["state"] is None
    assert last["given"] is None  # the inputs stay
    *_, last = compare_actions.run_anyway(last["stopped"], "", random_checkpoints, tmp_path)
    assert last["anyway"] is False and last["state"].entries
    assert last["given"]["name"] == "static.png"


def test_what_is_compared_is_named_with_its_mask(random_checkpoints, scan_png, truth_png, tmp_path):
    paths = {"scan": scan_png, "truth": truth_png}
    *_, last = compare_actions.run_files(paths, "", random_checkpoints, tmp_path)
    assert last["given"]["name"] == "scan.png with the mask truth.png"
    first = next(compare_actions.run_example("small", "", random_checkpoints, tmp_path))
    assert (first["given"]["name"], first["given"]["example"]) == ("phantom small", "small")
    shown = compare_actions.left()
    assert set(shown) <= names(CompareParts)
    assert shown["given"] is None and session.INVITATION in shown["status"]


def test_a_comparison_that_is_no_longer_kept_is_said_to_be_so(random_checkpoints, tmp_path):
    with pytest.raises(ScanError, match="no longer kept"):
        next(compare_actions.run_anyway(None, "", random_checkpoints, tmp_path))
    assert session.EXPIRED in compare_actions.draw_truth(None, {}, "", tmp_path)["status"]
    paths, told = compare_actions.write_files(None, {})
    assert paths == [] and session.EXPIRED in told


def test_a_late_answer_does_not_touch_the_next_comparison():
    turn, parts = {"run": 1}, SimpleNamespace(status="status", files="files")

    def slow():
        turn["run"] = 2  # the visitor has begun another
        return {"status": "of the old one", "files": True}

    assert "of the old one" not in unless_replaced(parts, turn, slow).values()
    shown = unless_replaced(parts, turn, lambda: {"status": "now"})
    assert shown == {"status": "now"}


def test_an_upload_that_was_swept_is_said_to_be_so(tmp_path):
    with pytest.raises(ScanError, match=r"scan\.png is no longer kept here.*Give it again"):
        read_files({"scan": str(tmp_path / "scan.png")})


def test_an_error_is_shown_by_parts_that_there_are():
    error = ScanError("a.png is no scan.")
    for actions, parts in ((compare_actions, CompareParts), (stress_actions, StressParts)):
        shown = actions.failed(error)
        assert set(shown) <= names(parts) and "a.png is no scan." in shown["status"]


def test_the_scan_in_compare_is_stressed(random_checkpoints, scan_png, tmp_path):
    *_, compared = compare_actions.run_files({"scan": scan_png}, "", random_checkpoints, tmp_path)
    given = ("the scan in Compare", "noise", compared["state"], random_checkpoints)
    shown = list(stress_actions.run(*given))
    assert all(set(step) <= names(StressParts) for step in shown)
    assert [step.get("figures") for step in shown] == [False] * 6 + [True]
    assert "<svg" in shown[-1]["curve"] and shown[-1]["cancel"] is False


@pytest.mark.parametrize("done", [0, 1, 2, 4])
def test_of_a_cancelled_comparison_what_is_done_is_kept(
    done, random_checkpoints, scan_png, tmp_path
):
    turn = {}
    steps = compare_actions.run_files({"scan": scan_png}, "", random_checkpoints, tmp_path)
    running = session.newest(turn, steps, compare_actions.failed, {})
    for _ in range(2 + done):  # reading, then none yet
        last = next(running)
    assert len(last["state"].entries) == done
    shown = compare_actions.cancelled(session.stop(turn, last["state"]), "", tmp_path)
    assert set(shown) <= names(CompareParts) and shown["cancel"] is False
    assert next(running) == {}  # whatever comes after is not shown
    if not done:
        assert shown["viewer"] is None and shown["state"] is None
        assert "Cancelled before" in shown["status"] and "below" not in shown["status"]
        return
    cards = shown["viewer"]["cards"]
    assert all(card["ready"] for card in cards) and len(cards) == done
    assert "Not run: " in shown["status"] and "fusion_staple" in shown["status"]
    assert shown["viewer"]["running"] is None and shown["figures"] is True
    paths, _ = compare_actions.write_files(shown["state"], {"index": 0})
    assert len(paths) == 4


def test_a_run_begins_with_an_empty_page(random_checkpoints, scan_png, tmp_path):
    first = next(compare_actions.run_files({"scan": scan_png}, "", random_checkpoints, tmp_path))
    assert first["viewer"] is None and first["state"] is None and first["figures"] is False
    first = next(compare_actions.run_example("small", "", random_checkpoints, tmp_path))
    assert first["viewer"] is None and first["state"] is None and first["files"] is False
    first = next(stress_actions.run("large", "noise", None, random_checkpoints))
    assert first["viewer"] is None and first["curve"] == ""


def test_what_was_cancelled_before_it_began_is_not_the_last_one(random_checkpoints, scan_png):
    turn = {}
    *_, last = session.run(read_files({"scan": scan_png}), random_checkpoints)
    steps = iter([{"state": last.view}])
    (shown,) = session.newest(turn, steps, compare_actions.failed, {})
    assert shown["state"] is last.view
    assert session.stop(turn, last.view) is None  # of a run that waits in the queue, nothing is


def test_a_run_that_a_visitor_leaves_keeps_no_scan(random_checkpoints, scan_png, tmp_path):
    turn = {}
    steps = compare_actions.run_files({"scan": scan_png}, "", random_checkpoints, tmp_path)
    running = session.newest(turn, steps, compare_actions.failed, {})
    shown = [next(running) for _ in range(4)]
    running.close()  # as Gradio does when the page is closed
    assert all(not isinstance(value, View) for value in turn.values())
    assert session.stop(turn, shown[-1]["state"]).entries  # what a cancelled run is asked for


def test_a_cancelled_stress_run_shows_the_curves_it_has(random_checkpoints, scan_png, tmp_path):
    *_, compared = compare_actions.run_files({"scan": scan_png}, "", random_checkpoints, tmp_path)
    given = ("the scan in Compare", "noise", compared["state"], random_checkpoints)
    turn = {}
    running = session.newest(turn, stress_actions.run(*given), stress_actions.failed, {})
    shown = stress_actions.cancelled(session.stop(turn, None))
    assert shown["viewer"] is None and "Cancelled before" in shown["status"]
    running = session.newest(turn, stress_actions.run(*given), stress_actions.failed, {})
    for _ in range(4):
        last = next(running)
    shown = stress_actions.cancelled(session.stop(turn, last["state"]))
    assert set(shown) <= names(StressParts)
    assert shown["curve"].count("<polyline") == 2 and "Not run: " in shown["status"]
    assert all(card["ready"] for card in shown["viewer"]["cards"])


def test_what_the_network_sees_is_of_the_size_that_it_reads(
    random_checkpoints, static_png, tmp_path
):
    def told(folder):
        steps = compare_actions.run_files({"scan": static_png}, "", folder, tmp_path)
        *_, last = steps
        return last["notes"]

    assert "a square of 64 pixels" in told(random_checkpoints)
    assert "a square of 192 pixels" in told(tmp_path / "none")  # what training takes
    mixed = shutil.copytree(random_checkpoints, tmp_path / "mixed")
    one = read_checkpoint(mixed / "unet-bce")
    replace_settings(one, replace(one.settings, size=96))
    assert "a square of 64 or 96 pixels" in told(mixed)
