import base64
import json

import numpy as np
import pytest

from brainseg.inference.results import Result
from brainseg.scans.scan import Scan
from brainseg.ui import message, view
from brainseg.ui.drawing import draw_truth


def view_of(shape, found, truth=None):
    pixels = np.random.default_rng(0).integers(0, 255, (*shape, 1), np.uint8)
    order = [(result.name, result.kind) for result in found]
    made = view.begin(Scan(pixels, source="scan.png"), truth, order)
    for result in found:
        made = view.add(made, result)
    return view.finish(made)


def results(shape, count=3):
    rng = np.random.default_rng(1)
    return [Result(f"model-{i}", "model", rng.random(shape, np.float32), 0.5) for i in range(count)]


def decoded(url):
    return view.decode(base64.b64decode(url.partition(",")[2]))


def test_a_message_holds_the_slice_and_its_neighbours_only():
    made = view_of((9, 6, 7), results((9, 6, 7)))
    told = message.whole(made, 4, radius=1, running=None)
    json.dumps(told)
    assert list(told["planes"]) == ["3", "4", "5"]
    assert told["planes"]["4"]["maps"].keys() == {"model-0", "model-1", "model-2"}
    assert list(message.whole(made, 99)["planes"]) == ["6", "7", "8"]
    plane = decoded(told["planes"]["4"]["maps"]["model-1"])
    assert (plane == made.entries["model-1"].plane(4)).all()


def test_slices_alone_are_what_was_asked_for():
    made = view_of((20, 6, 7), results((20, 6, 7)))
    told = message.slices(made, [5, 6, 6, -1, 20])
    assert told.keys() == {"id", "sequence", "planes"} and list(told["planes"]) == ["5", "6"]
    assert told["planes"]["5"] == message.whole(made, 5)["planes"]["5"]
    assert len(message.slices(made, range(20))["planes"]) == message.MAX_SLICES


def test_large_pictures_travel_smaller_and_are_kept_whole():
    shape = (1, 1000, 1600)
    made = view_of(shape, [Result("m", "model", np.ones(shape, np.float32), 0.5)])
    assert decoded(message.whole(made, 0)["planes"]["0"]["maps"]["m"]).shape == (480, 768)
    assert made.entries["m"].mask().all() and made.entries["m"].mask().shape == shape


def test_the_ruler_counts_where_the_truth_is_known():
    shape = (3, 4, 5)
    marks = np.zeros(shape, np.float32)
    marks[0], marks[1, :2] = 1, 1
    made = view_of(shape, [Result("m", "model", marks, 0.5)])
    ruler = message.whole(made, 0)["ruler"]
    assert ruler == {
        "disputed": [0, 0, 0],
        "truth": None,
        "marked": {"m": [20, 10, 0]},
        "right": {},
    }
    drawing = np.zeros((4, 5), bool)
    drawing[1:3] = True
    ruler = message.whole(draw_truth(made, 1, drawing), 0)["ruler"]
    assert ruler["truth"] == [None, 10, None] and ruler["right"] == {"m": [0, 5, 0]}


def test_a_picture_and_a_run_on_its_way_have_no_ruler():
    assert message.whole(view_of((1, 4, 4), results((1, 4, 4))), 0)["ruler"] is None
    order = [("a", "model"), ("f", "fusion")]
    begun = view.begin(Scan(np.zeros((2, 2, 2, 1), np.uint8), source="scan.png"), None, order)
    told = message.whole(begun, 0)
    assert told["ruler"] is None and [card["ready"] for card in told["cards"]] == [False] * 2


def test_cards_tell_what_they_are_sorted_by():
    shape = (2, 4, 4)
    truth = np.zeros(shape, bool)
    truth[0, :2] = True
    found = [Result("right", "model", truth.astype(np.float32), 0.5)]
    found.append(Result("half", "model", np.where(np.arange(4) < 2, truth, 0.0), 0.5))
    dices = {
        card["name"]: card["dice"]
        for card in message.whole(view_of(shape, found, truth), 0)["cards"]
    }
    assert dices == {"right": 1.0, "half": pytest.approx(2 / 3)}


def volume(slices, affine=None):
    """A view of a volume of three sequences with a truth."""
    shape = (slices, 6, 7)
    pixels = np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)
    scan = Scan(pixels, spacing_mm=(4.0, 1.0, 1.0), affine=affine, source="scan.nii.gz")
    truth = np.random.default_rng(2).random(shape) > 0.6
    found = results(shape)
    made = view.begin(scan, truth, [(result.name, result.kind) for result in found])
    for result in found:
        made = view.add(made, result)
    return view.finish(made), truth


def test_a_sequence_travels_when_it_is_asked_for():
    made, _ = volume(9)
    told = message.whole(made, 4)
    assert [one["name"] for one in told["sequences"]] == ["FLAIR", "T1", "T1c"]
    assert (told["sequence"], len(told["planes"]["4"]["maps"])) == (0, 3)
    asked = message.asked(made, {"wanted": [1], "pictures": [4, 5, 99], "sequence": 2})
    assert asked["sequence"] == 2 and list(asked["planes"]) == ["4", "5", "1"]
    assert asked["planes"]["4"].keys() == {"image"} and len(asked["planes"]["1"]["maps"]) == 3
    for number, plane in asked["planes"].items():
        assert (decoded(plane["image"]) == view.decode(made.sequences[2].images[int(number)])).all()
    assert message.asked(made, {"wanted": [1], "sequence": 7})["sequence"] == 0


def test_a_coronal_plane_is_one_row_of_all_slices():
    made, truth = volume(9)
    told = message.coronal(made, 3, 1, "model-2")["coronal"]
    json.dumps(told)
    assert (told["row"], told["sequence"], told["name"]) == (3, 1, "model-2")
    images = np.stack([view.decode(file)[3] for file in made.sequences[1].images])
    assert (decoded(told["image"]) == images).all()
    marked = decoded(told["map"]) > made.entries["model-2"].level
    assert (marked == made.entries["model-2"].mask()[:, 3]).all()
    assert ((decoded(told["truth"]) > 0) == truth[:, 3]).all()
    votes = sum(entry.mask()[:, 3].astype(int) for entry in made.entries.values())
    other = message.coronal(made, 99, 9, "nobody")["coronal"]
    assert (other["row"], other["sequence"], other["name"]) == (5, 0, "")
    majority = decoded(message.coronal(made, 3)["coronal"]["map"]) > 127
    assert (majority == (votes >= 2)).all()


def test_the_first_coronal_plane_comes_with_a_finished_volume():
    made, _ = volume(9)
    told = message.whole(made, 4, jump=True)
    assert told["cut"] == told["coronal"]["row"] == made.cut
    assert message.whole(made, 4)["coronal"] is None  # later, it is asked for
    few, _ = volume(7)
    assert message.whole(few, 4, jump=True)["cut"] is None
    assert message.coronal(few, 3)["coronal"] is None


def test_the_patient_s_sides_are_told_where_they_are_known():
    assert message.whole(volume(2)[0], 0)["sides"] is None
    axial = np.diag([1.0, 1.0, 4.0, 1.0])
    assert list(message.whole(volume(2, axial)[0], 0)["sides"]) == ["R", "L"]
    mirrored = np.diag([-1.0, 1.0, 4.0, 1.0])
    assert list(message.whole(volume(2, mirrored)[0], 0)["sides"]) == ["L", "R"]
    sagittal = np.array([[0, 0, 4.0, 0], [1.0, 0, 0, 0], [0, -1.0, 0, 0], [0, 0, 0, 1]])
    assert list(message.whole(volume(2, sagittal)[0], 0)["sides"]) == ["A", "P"]
