"""Checkpoints at work: own grids, each base once, many callers at once."""

import json
import shutil
import threading
from collections import Counter

import numpy as np
import pytest
import torch
from stand_ins import BASES, MODELS, close, sample

from brainseg.checkpoints.folder import load_module, read_checkpoint
from brainseg.inference import predictor
from brainseg.inference.comparing import compare, warm_up
from brainseg.inference.loading import load, load_all
from brainseg.inference.predictor import Predictor, predict_all
from brainseg.inference.results import FUSIONS, Result
from brainseg.scans.preprocessing import normalise, prepare, restore
from brainseg.scans.scan import Scan


def sigmoid(module, planes):
    with torch.inference_mode():
        return torch.sigmoid(module(torch.from_numpy(planes)))[:, 0].numpy()


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


@pytest.mark.parametrize(("least", "tuned"), [(7, 0), (6, 1)])
def test_backends_are_measured_for_scans_that_are_worth_it(
    random_checkpoints, phantom_case, monkeypatch, least, tuned
):
    asked = []
    monkeypatch.setattr("brainseg.inference.predictor.WORTH_TUNING", least)
    monkeypatch.setattr(Predictor, "tune", lambda self: asked.append(self.name))
    load("unet-bce", random_checkpoints).predict(phantom_case.scan)  # 6 slices
    assert asked == ["unet-bce"] * tuned


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
