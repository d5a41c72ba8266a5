import numpy as np
import pytest

from brainseg.inference.results import Comparison, Result
from brainseg.scans.scan import Scan
from brainseg.ui import view, words
from brainseg.ui.drawing import draw_truth, forget_drawing


def scan_of(shape, spacing_mm=None):
    pixels = np.random.default_rng(0).integers(0, 255, (*shape, 1), np.uint8)
    return Scan(pixels, spacing_mm=spacing_mm, source="scan.png")


def results(shape, thresholds=(0.33, 0.5, 0.7)):
    rng = np.random.default_rng(1)
    return [
        Result(f"model-{i}", "model", rng.random(shape, np.float32), threshold)
        for i, threshold in enumerate(thresholds)
    ]


def view_of(scan, found, truth=None):
    made = view.begin(scan, truth, [(result.name, result.kind) for result in found])
    for result in found:
        made = view.add(made, result)
    return view.finish(made)


@pytest.mark.parametrize("with_truth", [True, False])
@pytest.mark.parametrize("spacing_mm", [None, (4.0, 1.0, 1.0)])
def test_figures_are_those_of_the_comparison(with_truth, spacing_mm):
    shape = (3, 9, 11)
    scan, found = scan_of(shape, spacing_mm), results(shape)
    truth = np.random.default_rng(2).random(shape) > 0.6 if with_truth else None
    expected = Comparison(scan, truth, {r.name: r for r in found}).to_json()
    report = view.report(view_of(scan, found, truth))
    assert report.keys() == expected.keys()
    for name, entry in expected["models"].items():
        assert report["models"][name] == pytest.approx(entry), name
    at_another = view.report(view_of(scan, found, truth), 100)["models"]
    assert not any("agreement" in entry for entry in at_another.values())  # nobody computed that


def test_masks_in_eight_bits_are_exact_at_the_model_s_own_threshold():
    shape = (1, 40, 40)
    for threshold in (0.0, 0.004, 0.33, 0.5, 0.999):
        probabilities = np.random.default_rng(3).random(shape, np.float32)
        probabilities[0, 0, :8] = np.float32(threshold) + np.linspace(-2e-3, 2e-3, 8)
        result = Result("m", "model", probabilities.clip(0, 1), threshold)
        entry = view_of(scan_of(shape), [result]).entries["m"]
        assert (entry.mask() == result.mask).all(), threshold
        assert entry.marked() == result.mask.sum()


def test_a_vote_of_half_is_no_majority():
    votes = np.array([[[0, 0.25, 0.5, 0.75, 1]]], np.float32)
    entry = view_of(scan_of((1, 1, 5)), [Result("v", "fusion", votes, 0.5)]).entries["v"]
    assert entry.mask().tolist() == [[[False, False, False, True, True]]]


def test_empty_against_empty_has_no_figures_rather_than_zeros():
    shape = (1, 4, 4)
    nothing = Result("m", "model", np.zeros(shape, np.float32), 0.5)
    report = view.report(view_of(scan_of(shape), [nothing], np.zeros(shape, bool)))
    entry = report["models"]["m"]
    assert entry["dice"] is entry["iou"] is entry["precision"] is entry["recall"] is None


def test_a_drawn_truth_counts_only_where_it_was_drawn():
    shape = (3, 4, 5)
    marks = np.zeros(shape, np.float32)
    marks[0], marks[1, :2] = 1, 1
    made = view_of(scan_of(shape), [Result("m", "model", marks, 0.5)])
    drawing = np.zeros((4, 5), bool)
    drawing[1:3] = True
    drawn = draw_truth(made, 1, drawing)
    report = view.report(drawn)
    assert report["drawn_slices"] == [2] and report["truth"]
    assert report["models"]["m"]["dice"] == pytest.approx(2 * 5 / 20)  # slice 0 is not counted
    assert made.truth is None
    assert drawn.truth_plane(0) is None and (drawn.truth_plane(1) == drawing).all()
    with pytest.raises(ValueError, match="no slice 8"):
        draw_truth(made, 7, drawing)


def test_the_first_slice_is_where_the_truth_is_or_else_the_masks():
    shape = (5, 4, 4)
    marks = np.zeros(shape, np.float32)
    result = Result("m", "model", marks, 0.5)
    assert view_of(scan_of(shape), [result]).start == 2
    marks[3, 0, 0] = 1
    assert view_of(scan_of(shape), [result]).start == 3
    truth = np.zeros(shape, bool)
    truth[4, 0, 0] = True
    assert view_of(scan_of(shape), [result], truth).start == 4


def test_a_head_without_a_tumour_is_shown_in_its_middle_whatever_is_marked():
    shape = (5, 4, 4)
    marks = np.zeros(shape, np.float32)
    marks[4, 0, 0] = 1
    result = Result("alarm", "model", marks, 0.5)
    assert view_of(scan_of(shape), [result], np.zeros(shape, bool)).start == 2


def test_ensembles_come_first_and_fusions_last():
    order = [("a", "model"), ("f", "fusion"), ("e", "ensemble")]
    made = view.begin(scan_of((1, 2, 2)), None, order)
    assert [name for name, _ in made.order] == ["e", "a", "f"]


def test_pixels_by_slice_are_those_of_the_masks():
    shape = (3, 9, 11)
    found = results(shape)
    truth = np.random.default_rng(2).random(shape) > 0.6
    made = view_of(scan_of(shape), found, truth)
    assert (made.true_at() == truth.sum(axis=(1, 2))).all()
    for result in found:
        entry = made.entries[result.name]
        assert (entry.marked_at == result.mask.sum(axis=(1, 2))).all()
        assert (entry.right_at == (result.mask & truth).sum(axis=(1, 2))).all()
    masks = [result.mask for result in found]
    votes = sum(mask.astype(int) for mask in masks)
    assert (made.disputed == ((votes > 0) & (votes < 3)).sum(axis=(1, 2))).all()
    apart = (masks[0] != masks[2]).sum(axis=(1, 2))
    assert made.apart[0, 2] == made.apart[2, 0] == apart.argmax()
    assert (np.diag(made.apart) == -1).all()


def test_the_frame_holds_the_head_the_truth_and_what_is_marked():
    pixels = np.zeros((2, 100, 120, 1), np.uint8)
    pixels[:, 30:70, 40:90] = 200
    scan = Scan(pixels, source="scan.png")
    marks = np.zeros(pixels.shape[:3], np.float32)
    nothing = Result("m", "model", marks, 0.5)
    assert view_of(scan, [nothing]).frame == (30, 40, 70, 90)
    marked = marks.copy()
    marked[1, 80:85, 50:60] = 0.2  # not yet marked at 0.5, but at lower thresholds
    assert view_of(scan, [Result("m", "model", marked, 0.5)]).frame == (30, 40, 85, 90)
    truth = marks > 1
    truth[0, 35, 5] = True
    assert view_of(scan, [nothing], truth).frame == (30, 5, 70, 90)
    blank = Scan(np.zeros_like(pixels), source="scan.png")
    assert view_of(blank, [nothing]).frame == (0, 0, 100, 120)


def test_sequences_that_look_alike_are_kept_once_and_named_as_far_as_known():
    flair, t1, t1c = np.random.default_rng(4).integers(0, 4000, (3, 2, 20, 24), np.int16)

    def kept(*channels, **files):
        scan = Scan(np.stack(channels, axis=-1), source="scan")
        return view.begin(scan, None, [("m", "model")], inputs=files).sequences

    found = kept(t1, flair, t1c)
    assert [one.name for one in found] == ["FLAIR", "T1", "T1c"]
    for one, values in zip(found, (flair, t1, t1c), strict=True):
        low, high = np.percentile(values, (1, 99))
        assert (one.low, one.high) == (pytest.approx(low), pytest.approx(high))
        expected = ((values - low) * (255 / (high - low))).clip(0, 255)
        shown = np.stack([view.decode(file) for file in one.images])
        assert np.abs(shown - expected).max() <= 0.51
    files = {"t1c": {}, "flair": {}, "truth": {}}
    assert [one.name for one in kept(flair, flair, t1c)] == ["FLAIR = T1", "T1c"]
    assert [one.name for one in kept(flair, flair, t1c, **files)] == ["FLAIR", "T1c"]
    named = {"scan": {"channels": "t1,t1c,t2"}}
    assert [one.name for one in kept(t1, t1, t1c, **named)] == ["T1", "T1c"]
    assert [one.name for one in kept(t1c, t1c, t1c, t1c={})] == ["T1c"]
    assert [one.name for one in kept(flair, flair, flair)] == [""]
    assert [one.name for one in kept(flair)] == [""]
    grained = [image // 16 + grain for image, grain in zip((flair,) * 3, (0, 1, 2), strict=True)]
    assert len(kept(*grained)) == 1  # as a grey JPEG in colour


def test_a_drawing_taken_back_leaves_no_truth():
    shape = (3, 4, 5)
    made = view_of(scan_of(shape), results(shape))
    before = view.report(made)
    drawing = np.ones((4, 5), bool)
    once = draw_truth(made, 1, drawing)
    twice = draw_truth(once, 2, ~drawing)
    assert view.report(forget_drawing(twice, 2)) == view.report(once)
    assert view.report(forget_drawing(once, 1)) == before
    assert forget_drawing(once, 0) is once
    with_file = view_of(scan_of(shape), results(shape), np.ones(shape, bool))
    corrected = draw_truth(with_file, 1, drawing)
    assert forget_drawing(corrected, 1) is corrected


def test_a_truth_that_came_with_the_scan_is_corrected_and_comes_back():
    shape = (3, 4, 5)
    truth = np.random.default_rng(3).random(shape) > 0.5
    made = view_of(scan_of(shape), results(shape), truth)
    changed = draw_truth(made, 1, ~truth[1])
    assert changed.corrected == [1] and not changed.drawn
    assert view.report(changed)["corrected_slices"] == [2]
    whole = view.report(changed)["models"]["model-0"]
    both = np.stack([truth[0], ~truth[1], truth[2]])
    expected = Comparison(scan_of(shape), both, {r.name: r for r in results(shape)}).to_json()
    assert whole == pytest.approx(expected["models"]["model-0"])
    told = words.summary(view.report(changed), "t.nii")
    assert told.endswith("scored by the true mask t.nii, corrected by hand on slice 2.")
    back = draw_truth(changed, 1, truth[1])
    assert view.report(back) == view.report(made) and "corrected_slices" not in view.report(back)


def test_the_votes_are_kept_and_the_row_where_most_is_marked():
    shape = (2, 12, 6)
    marks = np.zeros((3, *shape), np.float32)
    marks[:2, 1, 7, :4] = 1  # two of three
    marks[2, 0, 3, :2] = 1
    found = [Result(f"m{i}", "model", one, 0.5) for i, one in enumerate(marks)]
    found.append(Result("f", "fusion", np.ones(shape, np.float32), 0.5))  # no voter
    made = view_of(scan_of(shape), found)
    shares = np.stack([view.decode(file) for file in made.shares])
    assert ((shares > 127) == (marks.sum(0) == 2)).all() and made.cut == 7
    half = view_of(scan_of(shape), found[1:3])
    assert not (np.stack([view.decode(file) for file in half.shares]) > 127).any()
    truth = np.zeros(shape, bool)
    truth[0, 2] = True
    assert view_of(scan_of(shape), found, truth).cut == 2
