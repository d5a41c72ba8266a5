"""Several data sets in one training: whose slices are whose, what is shown, what is scored."""

import csv
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from scipy.special import expit

import train as train_command
from brainseg.checkpoints.folder import read_checkpoint
from brainseg.config import Config, ConfigError, from_json
from brainseg.data import DATASETS, load_datasets, phantom
from brainseg.data.cache import PreparedSet, prepared_set
from brainseg.data.case import CaseRef, DataError
from brainseg.data.splits import fold_of, slice_roles
from brainseg.models.specs import MODELS
from brainseg.models.unet import UNet
from brainseg.training import augmentation, planning, runs, schedule, stacking, validation
from brainseg.training import loop as training
from brainseg.training.batches import Batches
from brainseg.training.learner import make_accelerator
from brainseg.training.planning import Planned
from brainseg.training.start import start_of

BOTH = "phantom+twin"
TINY = Config(
    model="unet", encoder_weights=None, dataset=BOTH, size=32, epochs=2, batch_size=4,
)  # fmt: skip


def twin_case(seed):
    """Another patient than the phantom of that seed, under the same id, without empty slices."""
    case = phantom.make_case(seed + 100, "large", size=32, slices=8)
    sick = case.mask.any((1, 2))
    scan = replace(case.scan, pixels=case.scan.pixels[sick])
    name = f"phantom_{seed:04d}"
    return replace(case, patient_id=name, dataset="twin", scan=scan, mask=case.mask[sick])


def load_twins(path=None):
    names = {seed: f"phantom_{seed:04d}" for seed in range(12)}
    return [CaseRef(n, n, (), partial(twin_case, seed), "twin") for seed, n in names.items()]


@pytest.fixture(autouse=True)
def two_small_sets(monkeypatch, tmp_path):
    """Small phantoms, a second set of the same patient ids in T1c alone, and a narrow U-Net."""
    twin = ModuleType("twin")
    twin.TITLE, twin.HOME, twin.NOTE = "The twins", "https://twins.example", "Twins are invented."
    twin.LICENCE, twin.LICENCE_ID, twin.SEQUENCES = "CC0", "cc0-1.0", ("T1c",)
    twin.load = load_twins
    load = phantom.load
    monkeypatch.setitem(DATASETS, "twin", twin)
    monkeypatch.setenv("BRAINSEG_DATA", str(tmp_path))
    monkeypatch.setattr(
        phantom, "load", lambda path=None: load(path, patients=12, size=32, slices=6)
    )
    monkeypatch.setitem(
        MODELS, "unet", replace(MODELS["unet"], builder=lambda n, out: UNet(n, 8, out))
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def data(cache):
    refs = load_datasets(BOTH)
    return prepared_set([ref for own in refs.values() for ref in own], 32, cache)


def place(tmp_path, cache, **options):
    accelerator = make_accelerator("no", cpu=True)
    return runs.Workplace(None, cache, tmp_path / "runs", accelerator=accelerator, **options)


# ---------------------------------------------------------------- what is asked for


def test_names_and_folder():
    config = Config("unet", dataset="lgg+figshare")
    assert config.datasets == ("lgg", "figshare")
    assert config.run_folder(Path("runs")) == Path("runs/lgg+figshare/unet-bce/without0+1-seed0")
    with pytest.raises(ConfigError, match=r"'lgg\+lgg': expected each data set once"):
        Config(dataset="lgg+lgg")


def test_shares_are_one_for_each_set_and_above_0():
    config = Config("unet", dataset="lgg+figshare", shares=(1, 0.5))
    assert from_json(json.loads(json.dumps(config.to_json()))) == config
    assert replace(config, shares=(1, 1.0)) == Config("unet", dataset="lgg+figshare")
    for wrong in ((1,), (1, 0.5, 0.5), (1, 0), (1, 1.5), (1, float("nan")), (1, "half")):
        with pytest.raises(ConfigError, match="shares"):
            replace(config, shares=wrong)
    with pytest.raises(ConfigError, match=r"one for each data set \(lgg, figshare\)"):
        replace(config, shares=(0.5,))


def test_without_shares_a_run_is_what_it_was():
    told = Config("unet").to_json()
    assert told.pop("shares") == () and from_json(told) == Config("unet")


def test_the_command_line(tmp_path):
    flags = ["--model", "unet", "--dataset", "phantom", "twin", "--shares", "1", "0.5"]
    (config,) = train_command.resolve(train_command.parse(flags))
    assert (config.dataset, config.shares) == (BOTH, (1.0, 0.5))
    assert train_command.parse(["--data", "a", "b"]).data == [Path("a"), Path("b")]
    named = train_command.parse(["--data", "figshare=b=c", "lgg=a"]).data
    assert named == {"figshare": Path("b=c"), "lgg": Path("a")}
    for wrong in (["lgg=a", "b"], ["lgg=a", "lgg=b"]):
        with pytest.raises(SystemExit):
            train_command.parse(["--data", *wrong])


def test_each_set_is_read_from_its_own_folder_or_all_from_one(monkeypatch, tmp_path):
    asked = []
    for name in ("lgg", "figshare"):
        monkeypatch.setattr(
            DATASETS[name], "load", lambda path, n=name: asked.append((n, path)) or []
        )
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
    assert list(load_datasets("figshare+lgg", [one, other])) == ["figshare", "lgg"]
    load_datasets("lgg+figshare", [other])
    assert asked == [("figshare", one), ("lgg", other), ("lgg", other), ("figshare", other)]
    asked.clear()
    load_datasets("lgg", {"figshare": other, "lgg": one})
    assert asked == [("lgg", one)]
    with pytest.raises(DataError, match="No folder is given for figshare, only for lgg"):
        load_datasets("lgg+figshare", {"lgg": one})
    with pytest.raises(
        DataError, match=r"3 folders .* 2 data sets \(lgg, figshare\).* one for all"
    ):
        load_datasets("lgg+figshare", [one, one, one])
    with pytest.raises(DataError, match="'lgx'"):
        load_datasets("lgg+lgx", [one])


# ---------------------------------------------------------------- whose slices are whose


def test_the_same_id_in_two_sets_is_two_patients(data):
    assert len(set(data.patients)) == 12 and len(set(data.owners)) == 24
    for name, own in load_datasets(BOTH).items():
        rows = np.flatnonzero(data.owners == f"{name}/phantom_0003")
        masks = own[3].read().mask
        np.testing.assert_array_equal(data.masks[rows], masks)
        assert set(data.datasets[rows]) == {name}
    roles = slice_roles(data.patients, (0, 1))
    for rows in roles.values():  # of the same fold, for that follows from the id
        one, other = (set(data.patients[rows][data.datasets[rows] == n]) for n in TINY.datasets)
        assert one == other


def test_a_stacks_maps_come_from_networks_that_saw_neither_of_one_id(data, tmp_path, cache):
    here = place(tmp_path, cache, score=False)
    config = replace(TINY, epochs=1)
    stack = replace(config, model="unetpp", bases=("unet-bce",))
    planned = planning.plan([stack], here.runs)[stack]
    assert planned.bases == (config,)
    base, *helpers = (runs.run(Planned(read), here) for read in planned.reads)
    maps = stacking.base_maps(stack, [base], [helpers], data, here.accelerator)
    roles = slice_roles(data.patients, (0, 1))
    experts = {0: base, 1: base, **dict(zip((2, 3, 4), helpers, strict=True))}
    for fold, expert in experts.items():
        seen = slice_roles(data.patients, expert.settings.run.left_out)["train"]
        assert not {0, fold} & {fold_of(p) for p in data.patients[seen]}
        assert set(data.datasets[seen]) == {"phantom", "twin"}
    from brainseg.inference.predictor import Predictor
    from brainseg.scans.preprocessing import Prepared

    train, test = data.patients[roles["train"]][0], data.patients[roles["test"]][0]
    for patient in (train, test):
        expert = experts[fold_of(patient)]
        for name in config.datasets:
            rows = np.flatnonzero(data.owners == f"{name}/{patient}")
            prepared = Prepared(
                data.images[rows], data.statistics[rows], data.slice_statistics[rows]
            )
            expected = Predictor(expert).probabilities(prepared, [])
            np.testing.assert_allclose(maps[rows, 0], expected, atol=2e-3)


def test_weights_that_know_one_of_the_sets_start_no_run_of_another_fold(tmp_path, cache):
    both = runs.run(Planned(replace(TINY, epochs=1)), place(tmp_path, cache, score=False))
    assert start_of(replace(TINY, dataset="phantom"), both.folder).dataset == BOTH
    for dataset in ("phantom", "lgg+twin"):
        with pytest.raises(ConfigError, match="fold 2 is left out"):
            start_of(replace(TINY, dataset=dataset, left_out=(1, 2)), both.folder)
    assert start_of(replace(TINY, dataset="lgg", left_out=(1, 2)), both.folder)
    assert start_of(replace(TINY, left_out=(1,)), both.folder)


# ---------------------------------------------------------------- what an epoch shows


def made_up(**slices) -> PreparedSet:
    """A set with so many slices with and without tumour of each data set, and nothing to see."""
    datasets = np.concatenate([[name] * sum(numbers) for name, numbers in slices.items()])
    tumour = np.concatenate([[True] * sick + [False] * empty for sick, empty in slices.values()])
    nothing = np.zeros((len(tumour), 1, 1))
    patients = np.array(["ann"] * len(tumour))
    return PreparedSet(Path(), nothing, nothing, nothing, nothing, patients, datasets, tumour)


def shown(data, order):
    """Numbers of slices with and without tumour, by data set."""
    return {
        name: tuple(int((data.tumour[order] == sick)[data.datasets[order] == name].sum())
                    for sick in (True, False))
        for name in np.unique(data.datasets)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        # Of 10 and 8 tumour slices, and 0.6 times as many empty ones where there are so many.
        ((), {"a": (10, 6), "b": (8, 3)}),
        ((1.0, 0.5), {"a": (10, 6), "b": (4, 2)}),
        ((0.3, 1.0), {"a": (3, 2), "b": (8, 3)}),
    ],
)
def test_an_epoch_shows_the_share_of_each_set(shares, expected):
    data = made_up(a=(10, 20), b=(8, 3))
    config = Config("unet", dataset="a+b", shares=shares)
    rows = np.arange(len(data.tumour))
    orders = [schedule.epoch_rows(config, data, rows, epoch) for epoch in range(8)]
    for order in orders:
        assert len(set(order)) == len(order) and shown(data, order) == expected
    assert len({tuple(sorted(order)) for order in orders}) > 1  # drawn anew
    seen = set(np.concatenate(orders))
    assert set(np.flatnonzero(data.tumour)) <= seen  # and in time all


def test_only_training_rows_are_shown():
    data = made_up(a=(10, 20), b=(8, 3))
    rows = np.array([0, 1, 12, 30, 31])
    order = schedule.epoch_rows(Config("unet", dataset="a+b"), data, rows, 0)
    assert sorted(order) == [0, 1, 12, 30, 31]


@pytest.mark.parametrize(
    ("dataset", "channels"),
    [("phantom+twin", {1}), ("phantom+brats", {0, 1, 2}), ("twin", {0, 1, 2})],
)
def test_beside_a_set_of_t1c_alone_grey_samples_are_flair(data, monkeypatch, dataset, channels):
    config = replace(TINY, dataset=dataset, grey_share=1.0)
    batches = Batches(config, data, None, torch.device("cpu"))
    seen = set()

    def spy(images, shown):
        assert (shown == shown[:, :1]).all()  # the same one in all channels
        seen.update(shown[:, 0].tolist())
        return images

    monkeypatch.setattr(augmentation, "sequences", spy)
    for seed in range(5):
        batches.augmented(np.arange(16), seed)
    assert seen == channels


# ---------------------------------------------------------------- what is scored


def histogram(marked, missed, wrong):
    """Counts of one patient: tumour pixels found at 0.95 and overlooked, others marked at 0.95."""
    counts = np.zeros((2, validation.BINS), int)
    counts[1, 95], counts[1, 5], counts[0, 95] = marked, missed, wrong
    return counts


def test_the_mean_over_patients_and_then_over_sets():
    counts = np.stack([histogram(2, 2, 0), histogram(1, 0, 0), histogram(1, 3, 0)])
    choice = validation.best_threshold(counts, np.array(["a", "b", "a"]))
    # 2*2/(2+4) and 2*1/(1+4) in the one set, 1 in the other.
    assert choice.by_dataset == pytest.approx({"a": (2 / 3 + 2 / 5) / 2, "b": 1})
    assert choice.dice == pytest.approx(((2 / 3 + 2 / 5) / 2 + 1) / 2)
    one = validation.best_threshold(counts, np.array(["a", "a", "a"]))
    assert one.dice == pytest.approx((2 / 3 + 1 + 2 / 5) / 3) == one.by_dataset["a"]


def test_the_large_set_does_not_choose_the_threshold_alone():
    good_at_half = np.zeros((2, validation.BINS), int)
    good_at_half[1, 50], good_at_half[0, 20] = 10, 2  # better above 0.2
    good_at_low = np.zeros((2, validation.BINS), int)
    good_at_low[1, 20] = 10  # nothing at all above 0.2
    counts = np.stack([good_at_half] * 9 + [good_at_low])
    alone = validation.best_threshold(counts, np.array(["a"] * 10))
    apart = validation.best_threshold(counts, np.array(["a"] * 9 + ["b"]))
    assert alone.threshold <= 0.2 and apart.threshold <= 0.2  # 10/11 for nine against 1 for one
    counts = np.stack([good_at_half] * 19 + [good_at_low])
    alone = validation.best_threshold(counts, np.array(["a"] * 20))
    apart = validation.best_threshold(counts, np.array(["a"] * 19 + ["b"]))
    assert alone.threshold > 0.2 >= apart.threshold


def test_a_set_without_tumour_on_the_validation_patients_has_no_say():
    counts = np.stack([histogram(2, 2, 0), histogram(0, 0, 5)])
    choice = validation.best_threshold(counts, np.array(["a", "b"]))
    assert choice.dice == pytest.approx(2 / 3) and list(choice.by_dataset) == ["a"]


def main(tmp_path, cache, *flags) -> int:
    return train_command.main([
        "--model", "unet", "--dataset", "phantom", "twin", "--encoder-weights", "none", "--size",
        "32", "--epochs", "2", "--batch-size", "4", "--cpu", "--precision", "no", "--shares", "1",
        "0.5", "--runs", str(tmp_path / "runs"), "--cache", str(cache), *flags,
    ])  # fmt: skip


def test_a_whole_run_scores_the_sets_apart(tmp_path, cache, data, capsys):
    assert main(tmp_path, cache, "--seeds", "0", "1") == 0
    folder = tmp_path / "runs" / BOTH / "unet-bce" / "without0+1-seed0"
    checkpoint = read_checkpoint(folder)
    assert checkpoint.settings.datasets == ("phantom", "twin")
    metrics = checkpoint.metrics
    means = metrics["validation"]["by_dataset"]
    assert list(means) == ["phantom", "twin"] and len(set(means.values())) == 2
    assert metrics["validation"]["mean_dice"] == pytest.approx(np.mean(list(means.values())))
    assert {"test", "test_slicewise", "test_twin", "test_twin_slicewise"} <= metrics.keys()
    roles = slice_roles(data.patients, (0, 1))
    tested = len(set(data.patients[roles["test"]]))
    assert checkpoint.settings.patients["test"] == 2 * tested
    assert metrics["test_twin"]["empty_slices"] == 0 < metrics["test"]["empty_slices"]
    for key in ("test", "test_twin"):
        assert metrics[key]["dice"]["patients"] + metrics[key]["dice"]["undefined"] == tested
    with open(folder / "history.csv", newline="") as stream:
        for row in csv.DictReader(stream):
            own = [float(row[f"val_dice_{name}"]) for name in ("phantom", "twin")]
            assert float(row["val_dice"]) == pytest.approx(np.mean(own))
    told = capsys.readouterr().out
    assert f"twin {metrics['test_twin']['dice']['mean']:.3f}" in told
    assert told.rstrip().endswith("Twins are invented.")

    assert main(tmp_path, cache) == 0
    assert "finished already" in capsys.readouterr().out


def test_a_resumed_run_ends_bit_identical(data, tmp_path, monkeypatch):
    def run(folder, **options):
        config = replace(TINY, shares=(1.0, 0.5))
        accelerator = make_accelerator("no", cpu=True)
        return training.train(config, data, folder, accelerator=accelerator, **options).folder

    whole = run(tmp_path / "whole")
    save = training.save_state

    def save_and_die(*args):
        save(*args)
        raise RuntimeError("killed")

    monkeypatch.setattr(training, "save_state", save_and_die)
    with pytest.raises(RuntimeError, match="killed"):
        run(tmp_path / "parts")
    monkeypatch.setattr(training, "save_state", save)
    parts = run(tmp_path / "parts", resume=True)
    for name in ("model.safetensors", "history.csv", "metrics.json"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes()


def test_so_many_patients_of_each_set(tmp_path, cache):
    refs, data = place(tmp_path, cache).dataset(replace(TINY, limit_patients=5))
    assert {name: len(own) for name, own in refs.items()} == {"phantom": 5, "twin": 5}
    assert len(set(data.owners)) == 10


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 2.5])
def test_the_temperature_is_found_again_each_set_weighing_the_same(true_temperature):
    rng = np.random.default_rng(0)
    counts = []
    for temperature in [1.0] * 9 + [true_temperature] * 9:
        z = rng.normal(-1, 2, 20_000)
        truth = rng.random(len(z)) < expit(z)  # z is calibrated, and what is told too sure
        bins = np.searchsorted(validation.EDGES, z * temperature, "right")
        flat = np.bincount(truth * validation.BINS + bins, minlength=2 * validation.BINS)
        counts.append(flat.reshape(2, -1))
    counts = np.stack(counts)
    one = validation.best_threshold(counts[9:], np.array(["b"] * 9))
    assert one.temperature == pytest.approx(true_temperature, rel=0.05)
    both = [np.array(["a"] * 9 + ["b"] * n) for n in (9, 1)]
    equal, few = (validation.best_threshold(counts[: len(names)], names) for names in both)
    assert few.temperature == pytest.approx(equal.temperature, rel=0.05)
