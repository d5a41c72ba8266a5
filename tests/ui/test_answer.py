"""Sentences on comparisons of hand-made masks: 10 slices of 10 by 10 pixels, 1 ml each hundred."""

from dataclasses import replace

import numpy as np
import pytest

from brainseg.inference.results import Result
from brainseg.scans.scan import Scan
from brainseg.ui import view
from brainseg.ui.answer import answer
from brainseg.ui.drawing import draw_truth

SHAPE = (10, 10, 10)


def boxes(*parts):
    """A mask of boxes, each slices, rows and columns from 0 to so many."""
    mask = np.zeros(SHAPE, bool)
    for slices, rows, columns in parts:
        mask[slices, :rows, :columns] = True
    return mask


TRUTH = boxes((slice(4, 6), 10, 5))  # 100 pixels, 1 ml
EXACT = Result("exact", "model", TRUTH.astype(np.float32), 0.5)


def model(name, *parts, kind="model"):
    return Result(name, kind, boxes(*parts).astype(np.float32), 0.5)


def told(*found, truth=None, spacing_mm=(10.0, 1.0, 1.0), names=(), not_run=()):
    pixels = np.random.default_rng(0).integers(0, 255, (*SHAPE, 1), np.uint8)
    scan = Scan(pixels, spacing_mm=spacing_mm, source="scan")
    order = [(result.name, result.kind) for result in found]
    made = view.begin(scan, truth, order, slice_names=names)
    for result in found:
        made = view.add(made, result)
    return answer(replace(view.finish(made), not_run=not_run))


FALSE = model("loud", (slice(4, 6), 10, 5), (slice(7, 9), 10, 10))  # 200 more pixels


def test_the_closest_and_how_the_furthest_errs():
    assert told(FALSE, EXACT, truth=TRUTH) == (
        "exact comes closest to the truth, with a Dice of 1.00; loud is furthest, with 0.50: it "
        "marks 3.0 ml where 1.0 ml would do, mostly on slices 8 to 9. These two differ most on "
        "slice 8. All find at least half of the tumour; they differ most in false alarms."
    )
    assert "marks 300 px where 100 px would do" in told(FALSE, EXACT, truth=TRUTH, spacing_mm=None)
    names = tuple(f"b{i}.png" for i in range(10))
    assert "mostly on slices b7.png to b8.png" in told(FALSE, EXACT, truth=TRUTH, names=names)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([(slice(4, 5), 10, 5)], "misses 0.5 ml of 1.0 ml, mostly on slice 6."),
        ([(slice(4, 6), 10, 2)], "misses 0.6 ml of 1.0 ml, mostly on slices 5 to 6. These two"),
        ([(slice(0, 1), 10, 10)], "misses all 1.0 ml and marks 1.0 ml elsewhere. These two"),
        ([], "most on slice 5. Hardly any of the tumour is found by bad."),
        ([(slice(4, 5), 10, 6), (slice(5, 6), 9, 5)],
         "marks 0.1 ml too much and misses under 0.1 ml, mostly on slice 5."),
    ],
)  # fmt: skip
def test_kinds_of_errors(parts, expected):
    assert expected in told(EXACT, model("bad", *parts), truth=TRUTH)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ((0, 1, 9), "mostly on slices 1 to 2 and 10"),
        ((0, 2), "mostly on slices 1 to 3"),  # one between is no gap
        ((0, 3, 9), "would do. These"),  # too scattered to say
        (range(10), "would do. These"),  # too many
    ],
)
def test_where_errors_lie_is_said_where_that_is_short(wrong, expected):
    parts = [(slice(i, i + 1), 10, 10) for i in wrong]
    bad = model("bad", (slice(4, 6), 10, 5), *parts)
    assert expected in told(EXACT, bad, truth=TRUTH)


def test_no_difference_to_speak_of():
    text = told(EXACT, model("same", (slice(4, 6), 10, 5)), truth=TRUTH)
    assert text == (
        "The 2 models come about equally close to the truth, with a Dice of 1.00 to 1.00: no "
        "difference to speak of."
    )


def test_all_are_far_from_it():
    far = [model(name, (slice(0, 2), 10, 5)) for name in "ab"]
    assert told(*far, truth=TRUTH).startswith(
        "The 2 models are all far from the truth, with a Dice"
    )


def test_one_model():
    assert told(FALSE, truth=TRUTH).startswith("loud has a Dice of 0.50: it marks 3.0 ml where")
    assert told(FALSE) == "loud, the only model, marks 3.0 ml: nothing says whether rightly."
    assert told(FALSE, not_run=("other",)).startswith("loud, the only one that ran, marks")
    assert told(model("m")) == "m marks nothing."


def test_fusions_are_mentioned_where_they_are_better():
    good = Result("fusion_mean", "fusion", EXACT.probabilities, 0.5)
    assert told(FALSE, good, truth=TRUTH).endswith("fusion_mean comes closer still: 1.00.")
    assert "fusion" not in told(FALSE, EXACT, good, truth=TRUTH)


def test_a_healthy_patient():
    nothing = np.zeros(SHAPE, bool)
    assert told(model("a"), model("b"), truth=nothing) == (
        "There is no tumour in the truth. No model marks anything: rightly so."
    )
    assert told(model("a"), FALSE, truth=nothing) == (
        "There is no tumour in the truth; 1 of 2 models mark none. loud marks most, all of it "
        "false alarm: 3.0 ml, mostly on slices 5 and 8 to 9."
    )


def test_without_a_truth_the_odd_one_out():
    usual = [model(name, (slice(4, 6), 10, 5)) for name in "abc"]
    text = told(*usual, FALSE)
    assert text == (
        "loud is the odd one out of 4 models, with an agreement of 0.50 where the others have 0.83 "
        "to 0.83: it marks 3.0 ml, they 1.0 ml, mostly on slices 8 to 9."
    )
    assert "c marks" not in text
    silent = told(*usual, model("silent"))
    assert "silent is the odd one out" in silent and "it marks nothing, they 1.0 ml" in silent


def test_without_a_truth_nobody_stands_out():
    usual = [model(name, (slice(4, 6), 10, 5)) for name in "abc"]
    assert told(*usual) == (
        "The 3 models agree well, 1.00 to 1.00, and none stands out. How much they agree is not "
        "how right they are."
    )
    apart = [model(str(i), (slice(i, i + 2), 10, 5)) for i in range(3)]
    assert told(*apart) == (
        "The 3 models hardly agree, 0.25 to 0.50, and none stands out. They differ most on slices "
        "1 to 3. How much they agree is not how right they are."
    )


def test_two_models_agree_with_each_other():
    text = told(EXACT, FALSE)
    assert text == (
        "The two models agree to 0.50 (Dice of their masks). They differ most on slices 8 to 9."
    )


def test_nothing_is_marked_anywhere():
    assert told(model("a"), model("b")) == "No model marks anything."


def test_only_what_was_drawn_counts():
    shape = np.zeros((10, 10), bool)
    shape[:, :5] = True
    pixels = np.random.default_rng(0).integers(0, 255, (*SHAPE, 1), np.uint8)
    order = [("exact", "model"), ("loud", "model")]
    made = view.begin(Scan(pixels, source="scan"), None, order)
    for result in (EXACT, FALSE):
        made = view.add(made, result)
    drawn = draw_truth(view.finish(made), 4, shape)
    assert answer(drawn).startswith("The 2 models come about equally close to the truth")
