"""Comparisons: scores that agree with a count by hand, agreement, results one by one."""

import json
import shutil
import threading

import numpy as np
import pytest
from stand_ins import BASES, MODELS, close, sample

from brainseg.checkpoints.settings import CheckpointError
from brainseg.data.case import Case
from brainseg.inference.comparing import compare, compare_stream, warm_up
from brainseg.inference.loading import load_all
from brainseg.inference.predictor import predict_all
from brainseg.inference.results import FUSIONS, Comparison, Result
from brainseg.scans.scan import Scan


def test_scores_agree_with_a_count_by_hand(compared, phantom_case: Case):
    truth = phantom_case.mask
    for name, result in compared.results.items():
        mask = result.probabilities > result.threshold
        both, either = (mask & truth).sum(), (mask | truth).sum()
        scores = compared.scores(name)
        assert scores["dice"] == pytest.approx(2 * both / (mask.sum() + truth.sum()))
        assert scores["iou"] == pytest.approx(both / either)
        assert scores["recall"] == pytest.approx(both / truth.sum())
        if mask.any():
            assert scores["precision"] == pytest.approx(both / mask.sum())
    assert 0 < compared.scores("unet-bce")["dice"] < 1


def test_without_truth_there_are_no_scores(random_checkpoints, phantom_case):
    found = compare(phantom_case.scan, None, random_checkpoints)
    assert found.truth is None and found.scores("unet-bce") is None
    entry = found.to_json()["models"]["unet-bce"]
    assert "dice" not in entry and entry["area_px"] == found.results["unet-bce"].mask.sum()


def test_agreement_is_the_mean_dice_with_the_other_models():
    def result(name, kind, *marked):
        mask = np.zeros((1, 1, 8), np.float32)
        mask[0, 0, list(marked)] = 1
        return Result(name, kind, mask, 0.5)

    results = [
        result("a", "model", 0, 1),
        result("b", "model", 1, 2, 3),
        result("c", "ensemble", 0, 1),
        result("f", "fusion", 5),
        result("none", "model"),
    ]
    scan = Scan(np.zeros((1, 1, 8, 1), np.uint8))
    found = Comparison(scan, None, {r.name: r for r in results})
    # a with b: 2 * 1 / 5; a with c: 1; a with the empty one: 0; the fusion is left out.
    agreements = found.agreements()
    assert agreements["a"] == pytest.approx((0.4 + 1 + 0) / 3) and agreements["f"] == 0
    alone = Comparison(scan, None, {"a": results[0], "f": results[3]})
    assert np.isnan(alone.agreements()["a"])
    assert alone.to_json()["models"]["a"]["agreement"] is None


def test_the_report_is_strict_json_with_volumes_in_ml(compared):
    report = json.loads(json.dumps(compared.to_json(), allow_nan=False))
    assert report["truth"] is True and report["slices"] == 6
    ml_per_pixel = np.prod(compared.scan.spacing_mm) / 1000
    for name, entry in report["models"].items():
        mask = compared.results[name].mask
        assert entry["area_px"] == mask.sum()
        assert entry["volume_ml"] == pytest.approx(mask.sum() * ml_per_pixel)


@pytest.mark.parametrize("shape", [(6, 64, 63), (1, 64, 64), (64, 64)])
def test_a_truth_of_another_shape_is_an_error(random_checkpoints, phantom_case, shape):
    with pytest.raises(ValueError, match="truth") as error:
        compare(phantom_case.scan, np.zeros(shape, bool), random_checkpoints)
    assert str(shape) in str(error.value) and "(6, 64, 64)" in str(error.value)


def test_a_damaged_file_does_not_hide_the_other_models(random_checkpoints, phantom_case, tmp_path):
    root = shutil.copytree(random_checkpoints, tmp_path / "all")
    path = root / "unet-bce" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    found = compare(phantom_case.scan, None, root)
    assert set(found.results) == {*BASES, "unetpp-bce", *FUSIONS} - {"fusion_all"}  # no others
    assert len(found.skipped) == 1 and str(path) in found.skipped[0]


def test_nothing_to_compare(phantom_case, tmp_path):
    with pytest.raises(CheckpointError, match="no usable checkpoint"):
        compare(phantom_case.scan, None, tmp_path)
    with pytest.raises(CheckpointError, match="nowhere"):
        compare(phantom_case.scan, None, tmp_path / "nowhere")


def test_a_stream_shows_one_result_more_each_time(random_checkpoints, phantom_case, compared):
    seen = list(
        compare_stream(phantom_case.scan, load_all(random_checkpoints)[0], phantom_case.mask)
    )
    names = [list(comparison.results) for comparison in seen]
    assert names[-1] == list(compared.results)
    assert names == [names[-1][:count] for count in range(1, len(names[-1]) + 1)]
    assert seen[0].scores(names[0][0]) == seen[-1].scores(names[0][0])


def test_progress_is_told_and_can_cancel(random_checkpoints, phantom_case):
    scan = Scan(np.concatenate([phantom_case.scan.pixels] * 3))  # 18 slices: two batches
    predictors, _ = load_all(random_checkpoints)
    told = []
    list(predict_all(scan, predictors, progress=lambda *args: told.append(args)))
    assert told == [(name, done, 18) for name in sorted(MODELS, key=_order) for done in (16, 18)]

    class Cancelled(Exception):
        pass

    def cancel(name, done, slices):
        raise Cancelled

    with pytest.raises(Cancelled):
        compare(phantom_case.scan, None, random_checkpoints, progress=cancel)
    compare(phantom_case.scan, None, random_checkpoints)  # nothing is left locked


def _order(name):
    return name == "unetpp-bce", name


def test_an_abandoned_volume_does_not_block_the_next(random_checkpoints, monkeypatch):
    monkeypatch.setattr("brainseg.inference.comparing.MANY_SLICES", 2)
    monkeypatch.setenv("BRAINSEG_BACKEND", "pytorch")
    scan = sample((2, 32, 32, 1))
    abandoned = compare_stream(scan, load_all(random_checkpoints)[0])
    next(abandoned)
    done = threading.Event()

    def another():
        compare(scan, None, random_checkpoints)
        done.set()

    thread = threading.Thread(target=another, daemon=True)
    thread.start()
    assert not done.wait(0.5)  # one at a time
    abandoned.close()
    assert done.wait(60)


def test_visitors_at_once_get_their_own(random_checkpoints):
    scans = [sample((1, 40 + k, 50, 3)) for k in range(6)]
    expected = [compare(scan, None, random_checkpoints) for scan in scans]
    found = {}

    def visit(index):
        found[index] = compare(scans[index], None, random_checkpoints)

    threads = [threading.Thread(target=visit, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert len(found) == 6
    for index, right in enumerate(expected):
        for name in MODELS:
            close(found[index].results[name].probabilities, right.results[name].probabilities)


def test_warming_up_never_raises(random_checkpoints, tmp_path, caplog, monkeypatch):
    warm_up(tmp_path / "nowhere")
    assert "nowhere" in caplog.text
    monkeypatch.setenv("BRAINSEG_BACKEND", "pytorch")
    own = shutil.copytree(random_checkpoints, tmp_path / "own")  # which nobody has opened yet
    predictors, _ = load_all(own)
    assert not any(predictor._batcher for predictor in predictors.values())
    warm_up(own)
    assert all(predictor._batcher for predictor in predictors.values())
