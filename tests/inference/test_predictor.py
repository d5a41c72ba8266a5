"""Checkpoints at work: own grids, each base once, scores that agree with a count by hand."""

import json
import pickle
import shutil
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import brainseg
from brainseg.checkpoints.folder import load_module, read_checkpoint
from brainseg.checkpoints.settings import CheckpointError
from brainseg.data.case import Case
from brainseg.inference import fusion, predictor
from brainseg.inference.comparing import compare, compare_stream, warm_up
from brainseg.inference.loading import load, load_all
from brainseg.inference.predictor import Predictor, predict_all
from brainseg.inference.results import FUSIONS, Comparison, Result
from brainseg.scans.preprocessing import normalise, prepare, restore
from brainseg.scans.scan import Scan

BASES = ["unet_resnet34-resnet18-bce", "deeplabv3plus-resnet18-bce"]
MODELS = ["unet-bce", *BASES, "unetpp-bce"]


def sample(shape, dtype=np.uint8):
    return Scan(np.random.default_rng(0).integers(0, 200, shape).astype(dtype), source="scan")


def sigmoid(module, planes):
    with torch.inference_mode():
        return torch.sigmoid(module(torch.from_numpy(planes)))[:, 0].numpy()


def close(one, other):
    # Convolutions round differently in batches of another size and memory layout, and networks
    # with random weights amplify it.
    assert np.abs(one - other).mean() < 1e-3 and np.abs(one - other).max() < 0.02


@pytest.fixture(scope="module")
def compared(random_checkpoints, phantom_case) -> Comparison:
    return compare(phantom_case.scan, phantom_case.mask, random_checkpoints)


# ---------------------------------------------------------------- one model


@pytest.mark.parametrize(
    "shape", [(1, 50, 37, 1), (3, 33, 65, 3), (2, 7, 5, 1), (1, 1, 1, 1), (1, 64, 64, 3)]
)
@pytest.mark.parametrize("name", ["unet-bce", "unetpp-bce"])
def test_results_are_on_the_scan_s_own_grid(random_checkpoints, name, shape):
    result = load(name, random_checkpoints).predict(sample(shape, np.int16))
    assert result.probabilities.shape == result.mask.shape == shape[:3]
    assert result.probabilities.dtype == np.float32 and result.mask.dtype == bool
    assert result.probabilities.min() >= 0 and result.probabilities.max() <= 1
    assert result.name == name
    assert result.kind == ("ensemble" if name == "unetpp-bce" else "model")


def test_the_mask_is_what_exceeds_the_threshold():
    result = Result("it", "model", np.array([[[0.2, 0.3, 0.31]]], np.float32), 0.3)
    expected = result.probabilities > 0.3
    np.testing.assert_array_equal(result.mask, expected)
    assert result.mask[0, 0].tolist()[::2] == [False, True]


def test_a_prediction_is_the_network_on_prepared_slices(random_checkpoints, phantom_case):
    pixels = np.concatenate([phantom_case.scan.pixels] * 3)[:, 4:, :60]  # 18 slices: two batches
    found = load("unet-bce", random_checkpoints).predict(Scan(pixels))
    prepared = prepare(pixels, 64)
    module = load_module(read_checkpoint(random_checkpoints / "unet-bce"))
    expected = sigmoid(module, normalise(prepared.images, prepared.statistics))
    close(found.probabilities, restore(expected, 60, 60))
    assert found.mask.any() and not found.mask.all()


def test_thick_slices_from_the_side_are_seen_in_proportion(random_checkpoints, phantom_case):
    thick = Scan(phantom_case.scan.pixels[:, ::4], (6.0, 4.0, 1.0))
    found = load("unet-bce", random_checkpoints).predict(thick)
    prepared = prepare(thick.pixels, 64, thick.spacing_mm)
    module = load_module(read_checkpoint(random_checkpoints / "unet-bce"))
    expected = sigmoid(module, normalise(prepared.images, prepared.statistics))
    close(found.probabilities, restore(expected, *thick.pixels.shape[1:3], thick.spacing_mm))


def test_the_threshold_is_the_checkpoint_s_own(random_checkpoints, phantom_case, tmp_path):
    folder = shutil.copytree(random_checkpoints / "unet-bce", tmp_path / "unet-bce")
    config = json.loads((folder / "config.json").read_text())
    config["brainseg"]["threshold"] = 0.7
    (folder / "config.json").write_text(json.dumps(config))
    result = load(folder).predict(phantom_case.scan)
    assert result.threshold == 0.7
    np.testing.assert_array_equal(result.mask, result.probabilities > 0.7)


def test_slicewise_is_each_slice_uploaded_alone(random_checkpoints, phantom_case):
    pixels = phantom_case.scan.pixels[:3].copy()
    pixels[1] //= 2  # in the volume it is darker than the others
    predictor = load("unetpp-bce", random_checkpoints)
    slicewise = predictor.predict(Scan(pixels), slicewise=True).probabilities
    alone = [predictor.predict(Scan(pixels[i : i + 1])).probabilities[0] for i in range(3)]
    close(slicewise, np.stack(alone))
    assert np.abs(slicewise - predictor.predict(Scan(pixels)).probabilities).max() > 1e-3


# ---------------------------------------------------------------- a stack


def base_maps(folder, planes):
    return [sigmoid(load_module(read_checkpoint(folder / name)), planes)[:, None] for name in BASES]


def test_a_stack_reads_its_bases_in_their_order(random_checkpoints, phantom_case):
    pixels = phantom_case.scan.pixels
    prepared = prepare(pixels, 64)
    planes = normalise(prepared.images, prepared.statistics)
    maps = base_maps(random_checkpoints, planes)
    module = load_module(read_checkpoint(random_checkpoints / "unetpp-bce"))
    found = load("unetpp-bce", random_checkpoints).predict(phantom_case.scan).probabilities
    close(found, sigmoid(module, np.concatenate(maps, 1)))
    swapped = sigmoid(module, np.concatenate(maps[::-1], 1))
    assert np.abs(found - swapped).mean() > 0.01  # else the order is not tested


def test_a_stack_may_read_the_image_after_its_bases(
    random_checkpoints, phantom_case, tmp_path, save_random
):
    for name in BASES:
        shutil.copytree(random_checkpoints / name, tmp_path / name)
    bases = [read_checkpoint(tmp_path / name) for name in BASES]
    saved = save_random(tmp_path, "unetpp", bases=bases, stack_inputs="predictions+image")
    prepared = prepare(phantom_case.scan.pixels, 64)
    planes = normalise(prepared.images, prepared.statistics)
    expected = sigmoid(
        load_module(saved), np.concatenate([*base_maps(tmp_path, planes), planes], 1)
    )
    close(load(saved.folder).predict(phantom_case.scan).probabilities, expected)


def test_each_model_runs_once_however_many_read_it(random_checkpoints, phantom_case, monkeypatch):
    runs, prepared = Counter(), Counter()
    real_run, real_prepare = Predictor.probabilities, prepare

    def count_run(self, *args, **options):
        runs[self.name] += 1
        return real_run(self, *args, **options)

    def count_prepare(pixels, size, **kwargs):
        prepared[size] += 1
        return real_prepare(pixels, size, **kwargs)

    monkeypatch.setattr(Predictor, "probabilities", count_run)
    monkeypatch.setattr("brainseg.inference.predictor.prepare", count_prepare)
    predictors, _ = load_all(random_checkpoints)
    names = [result.name for result in predict_all(phantom_case.scan, predictors)]
    assert sorted(names) == sorted([*MODELS, *FUSIONS])
    assert runs == dict.fromkeys(MODELS, 1)
    assert prepared == {64: 1}


def test_a_stack_alone_gives_what_it_gives_among_others(random_checkpoints, phantom_case, compared):
    alone = load("unetpp-bce", random_checkpoints).predict(phantom_case.scan)
    close(alone.probabilities, compared.results["unetpp-bce"].probabilities)


# ---------------------------------------------------------------- fusions


def test_fusions_are_of_the_models_that_the_stack_reads(compared):
    bases = [compared.results[name] for name in BASES]
    results = compared.results
    close(results["fusion_mean"].probabilities, np.mean([b.probabilities for b in bases], 0))
    assert results["fusion_mean"].threshold == 0.5
    np.testing.assert_array_equal(results["fusion_vote"].mask, bases[0].mask & bases[1].mask)
    close(results["fusion_staple"].probabilities, fusion.staple([b.mask for b in bases])[0])
    everyone = [results[name] for name in MODELS if results[name].kind == "model"]
    assert len(everyone) == 3
    close(results["fusion_all"].probabilities, np.mean([r.probabilities for r in everyone], 0))
    thresholds = [result.threshold for result in everyone]
    assert results["fusion_all"].threshold == pytest.approx(np.mean(thresholds))
    assert [r.name for r in results.values() if r.kind == "fusion"] == list(FUSIONS)
    assert bases[0].mask.any() and (bases[0].mask != bases[1].mask).any()


def test_without_a_stack_fusions_are_of_all_models(random_checkpoints, phantom_case):
    predictors, _ = load_all(random_checkpoints)
    del predictors["unetpp-bce"]
    found = predict_all(phantom_case.scan, predictors)
    models = [next(found).probabilities for _ in range(3)]
    fused, *others = found
    assert fused.name == "fusion_mean"
    close(fused.probabilities, np.mean(models, 0))
    assert "fusion_all" not in [other.name for other in others]


def test_a_model_with_classes_changes_no_fusion(monkeypatch):
    levels = {"a": 0.2, "b": 0.4, "c": 0.9}
    run = lambda scan, predictors, **_: (  # noqa: E731
        Result(label, "model", np.full((1, 2, 2), levels[label], np.float32), 0.5)
        for label in predictors
    )
    monkeypatch.setattr(predictor, "_gate", run)

    def mean_with(classes):
        predictors = {
            label: SimpleNamespace(kind="model", bases=[], validation_dice=None, classes=own,
                                   checkpoint=SimpleNamespace(folder=Path(label)))
            for label, own in zip("abc", classes, strict=True)
        }  # fmt: skip
        found = list(predict_all(sample((1, 2, 2, 1)), predictors))
        expected = predictor.expected_results(predictors)
        assert [(result.name, result.kind) for result in found] == expected
        return found[3].probabilities[0, 0, 0]

    kinds = ("glioma", "meningioma")
    assert mean_with([(), (), ()]) == pytest.approx(0.5)
    assert mean_with([(), (), kinds]) == pytest.approx(0.3)
    assert mean_with([(), kinds, kinds]) == pytest.approx(0.5)  # one alone is not fused


def test_of_several_stacks_the_best_on_validation_says_what_is_fused():
    def stand_in(folder, kind="model", dice=None, bases=()):
        checkpoint = SimpleNamespace(folder=Path(folder))
        return SimpleNamespace(
            kind=kind, classes=(), validation_dice=dice, bases=bases, checkpoint=checkpoint
        )

    singles = {name: stand_in(name) for name in "abcd"}
    first = stand_in("first", "ensemble", 0.7, [singles["a"], singles["b"]])
    second = stand_in("second", "ensemble", 0.8, [singles["c"], singles["d"]])
    without = stand_in("without", "ensemble", 0.9, [singles["a"], stand_in("not there")])
    found = {**singles, "first": first, "second": second, "without": without}
    assert predictor.fusion_members(found) == (["c", "d"], ["a", "b", "c", "d"])
    for dice in (0.7, 0.6, None):  # of equal ones the first
        second.validation_dice = dice
        assert predictor.fusion_members(found)[0] == ["a", "b"]


def test_one_model_is_not_fused_and_fusions_can_be_left_out(random_checkpoints, phantom_case):
    one = {"unet-bce": load("unet-bce", random_checkpoints)}
    assert [r.name for r in predict_all(phantom_case.scan, one)] == ["unet-bce"]
    predictors, _ = load_all(random_checkpoints)
    names = {r.name for r in predict_all(phantom_case.scan, predictors, fusions=False)}
    assert names == set(MODELS)


# ---------------------------------------------------------------- comparing


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
    assert found.agreement("a") == pytest.approx((0.4 + 1 + 0) / 3)
    assert found.agreement("f") == 0
    alone = Comparison(scan, None, {"a": results[0], "f": results[3]})
    assert np.isnan(alone.agreement("a"))
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


# ---------------------------------------------------------------- as it goes


def test_a_stream_shows_one_result_more_each_time(random_checkpoints, phantom_case, compared):
    seen = list(
        compare_stream(phantom_case.scan, load_all(random_checkpoints)[0], phantom_case.mask)
    )
    names = [list(comparison.results) for comparison in seen]
    assert names[-1] == list(compared.results)
    assert names == [names[-1][:count] for count in range(1, len(names[-1]) + 1)]
    assert seen[0].scores(names[0][0]) == seen[-1].scores(names[0][0])


def test_slices_of_one_grey_level_are_no_work_and_hold_no_tumour(random_checkpoints, phantom_case):
    pixels = np.concatenate([phantom_case.scan.pixels] * 4)  # two batches
    blank = [0, 1, 7, 20, 23]
    pixels[blank] = 30
    single = Predictor(read_checkpoint(random_checkpoints / "unet-bce"))
    prepared = prepare(pixels, 64)
    planes = normalise(prepared.images, prepared.statistics)
    expected = sigmoid(load_module(single.checkpoint), planes)
    expected[blank] = 0
    asked, done = [], []
    forward = single.forward
    single.forward = lambda planes: asked.append(len(planes)) or forward(planes)
    found = single.probabilities(prepared, [], progress=done.append)
    assert asked == [16, 3]  # batches are filled past the blank ones
    assert done == [19, 24]  # slices up to the last one asked about
    np.testing.assert_allclose(found, expected, atol=1e-3)
    prepared = prepare(pixels[blank], 64)
    assert not single.probabilities(prepared, [], progress=done.append).any()
    assert asked == [16, 3] and done == [19, 24, 5]


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


@pytest.mark.parametrize(("least", "tuned"), [(7, 0), (6, 1)])
def test_backends_are_measured_for_scans_that_are_worth_it(
    random_checkpoints, phantom_case, monkeypatch, least, tuned
):
    asked = []
    monkeypatch.setattr("brainseg.inference.predictor.WORTH_TUNING", least)
    monkeypatch.setattr(Predictor, "tune", lambda self: asked.append(self.name))
    load("unet-bce", random_checkpoints).predict(phantom_case.scan)  # 6 slices
    assert asked == ["unet-bce"] * tuned


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


def test_flips_average_with_the_mirrored_slices(random_checkpoints, phantom_case):
    scan = phantom_case.scan
    predictor = load("unet-bce", random_checkpoints)
    mirrored = Scan(np.ascontiguousarray(scan.pixels[:, :, ::-1]))
    plain, other = (predictor.predict(s).probabilities for s in (scan, mirrored))
    close(predictor.predict(scan, flips=True).probabilities, (plain + other[..., ::-1]) / 2)
    assert np.abs(plain - other[..., ::-1]).max() > 1e-3
    stack = load("unetpp-bce", random_checkpoints)
    both = stack.predict(scan, flips=True).probabilities
    close(stack.predict(mirrored, flips=True).probabilities, both[..., ::-1])


def test_twenty_visitors_at_once_get_their_own(random_checkpoints):
    scans = [sample((1, 40 + k, 50, 3)) for k in range(20)]
    expected = [compare(scan, None, random_checkpoints) for scan in scans]
    found = {}

    def visit(index):
        found[index] = compare(scans[index], None, random_checkpoints)

    threads = [threading.Thread(target=visit, args=(index,)) for index in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert len(found) == 20
    for index, right in enumerate(expected):
        for name in MODELS:
            close(found[index].results[name].probabilities, right.results[name].probabilities)


def test_warming_up_never_raises(random_checkpoints, tmp_path, caplog, monkeypatch):
    warm_up(tmp_path / "nowhere")
    assert "nowhere" in caplog.text
    monkeypatch.setenv("BRAINSEG_BACKEND", "pytorch")
    warm_up(random_checkpoints)
    predictors, _ = load_all(random_checkpoints)
    assert all(predictor._batcher for predictor in predictors.values())


def test_what_is_remembered_runs_without_torch(random_checkpoints, tmp_path):
    pytest.importorskip("openvino")
    root = shutil.copytree(random_checkpoints, tmp_path / "all")
    code = """
import sys
from unittest.mock import patch
from brainseg.inference import predictor
from brainseg.inference.backends import fastest
from brainseg.inference.loading import load_usable
known = fastest.Choice("openvino", {"openvino": 1.0}, {"openvino": 0.0})
with patch.object(fastest, "remembered", lambda checkpoint: known):
    predictors, skipped = load_usable(sys.argv[1], "auto")
    assert len(predictors) == 4 and not skipped
    scan = predictor.example_scan()
    assert len(list(predictor.predict_all(scan, predictors))) == 9
print("torch" in sys.modules)
"""
    printed = []
    for _ in range(2):  # the first time, graphs are exported
        command = [sys.executable, "-c", code, str(root)]
        cwd = Path(brainseg.__file__).parents[1]
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True)
        printed.append(done.stdout.strip())
    assert printed == ["True", "False"]


def test_every_prediction_goes_through_one_gate(random_checkpoints, phantom_case, monkeypatch):
    monkeypatch.setattr(predictor, "_gate", predictor._gate)
    seen = []

    def lend(run):
        def lent(scan, predictors, **options):
            seen.append(sorted(predictors))
            yield from run(scan, predictors, **options)

        return lent

    predictor.wrap_predictions(lend)
    alone = load("unet-bce", random_checkpoints)
    alone.predict(phantom_case.scan)
    compare(phantom_case.scan, checkpoints=random_checkpoints)
    warm_up(random_checkpoints)
    assert seen == [["unet-bce"], sorted(MODELS), sorted(MODELS)]


def test_a_predictor_travels_as_its_checkpoint(random_checkpoints):
    stack = load("unetpp-bce", random_checkpoints)
    stack.read_weights()
    travelling = pickle.dumps(stack)
    assert len(travelling) < 10_000 and pickle.loads(travelling) is stack


# ---------------------------------------------------------------- loading


def test_a_name_or_a_folder_gives_the_same_predictor(random_checkpoints):
    by_name = load("unet-bce", random_checkpoints)
    assert load(random_checkpoints / "unet-bce") is by_name
    assert isinstance(by_name.module, torch.nn.Module) and not by_name.module.training
    assert load("unetpp-bce", random_checkpoints).bases[0] is load(BASES[0], random_checkpoints)


def test_an_unknown_name_lists_the_known(random_checkpoints, tmp_path):
    with pytest.raises(CheckpointError, match="'unet-dice'") as error:
        load("unet-dice", random_checkpoints)
    assert all(name in str(error.value) for name in MODELS)
    with pytest.raises(CheckpointError, match="none found"):
        load("unet-dice", tmp_path / "nowhere")


def test_changed_weights_are_read_anew(random_checkpoints, tmp_path, save_random):
    folder = shutil.copytree(random_checkpoints / "unet-bce", tmp_path / "unet-bce")
    before = load(folder)
    weights = before.module.head.weight
    save_random(tmp_path, "unet", seed=9)
    after = load(folder)
    assert after is not before
    assert not torch.equal(after.module.head.weight, weights)


def test_names_that_repeat_are_told_apart_by_their_folders(random_checkpoints, tmp_path):
    for run in ("fold0-seed0", "fold0-seed1"):
        shutil.copytree(random_checkpoints / "unet-bce", tmp_path / "unet-bce" / run)
    shutil.copytree(random_checkpoints / BASES[0], tmp_path / "other")
    predictors, skipped = load_all(tmp_path)
    assert set(predictors) == {"unet-bce/fold0-seed0", "unet-bce/fold0-seed1", BASES[0]}
    assert skipped == []


def test_helpers_of_stacks_are_passed_over(random_checkpoints, tmp_path):
    folder = shutil.copytree(random_checkpoints / "unet-bce", tmp_path / "helper")
    config = json.loads((folder / "config.json").read_text())
    config["brainseg"]["run"] |= {"left_out": [0, 3], "watch": False}
    (folder / "config.json").write_text(json.dumps(config))
    assert load_all(tmp_path) == ({}, [])


def test_a_predictor_may_be_used_by_two_threads_at_once(random_checkpoints, phantom_case):
    expected = load("unet-bce", random_checkpoints).predict(phantom_case.scan).probabilities
    fresh = Predictor(read_checkpoint(random_checkpoints / "unet-bce"))
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(fresh.predict(phantom_case.scan)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    for result in found:
        close(result.probabilities, expected)


def test_importing_brainseg_is_cheap():
    heavy = ("torch", "gradio", "SimpleITK", "segmentation_models_pytorch", "scipy", "cv2")
    code = f"import sys, brainseg; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(brainseg.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_there():
    for name in ("read_scan", "load", "compare", "create_model", "list_models", "Scan"):
        assert callable(getattr(brainseg, name)) and name in dir(brainseg)
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = brainseg.nothing_such
