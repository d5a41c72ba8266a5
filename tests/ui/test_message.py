import base64
import json

import numpy as np
import pytest

from brainseg.inference.results import Result
from brainseg.scans.scan import Scan
from brainseg.ui import message, view


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
    assert told.keys() == {"id", "planes"} and list(told["planes"]) == ["5", "6"]
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
    ruler = message.whole(view.draw_truth(made, 1, drawing), 0)["ruler"]
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
