"""The loop on tiny phantoms: it learns, resumes bit for bit, stops and refuses cleanly."""

import csv
import itertools
import json
import math
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from brainseg.checkpoints.folder import read_checkpoint
from brainseg.checkpoints.patients import TRAINED, VALIDATED, standing, tells_patients
from brainseg.config import Config, ConfigError, from_json
from brainseg.data.cache import prepared_set
from brainseg.data.phantom import load
from brainseg.data.splits import fold_of
from brainseg.models.building import create_model
from brainseg.scans.notes import noting
from brainseg.training import learner, resume, schedule, validation
from brainseg.training import loop as training
from brainseg.training.batches import Batches
from brainseg.training.learner import TrainingError, make_accelerator
from brainseg.training.loop import train
from brainseg.training.resume import Progress

TINY = Config(
    model="unet", encoder_weights=None, dataset="phantom", size=32, epochs=3, batch_size=4,
)  # fmt: skip


pytestmark = pytest.mark.usefixtures("narrow_unet")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    refs = load(None, patients=12, size=32, slices=6)
    return prepared_set(refs, 32, tmp_path_factory.mktemp("cache"))


def run(config, data, folder, **kwargs):
    return train(config, data, folder, accelerator=make_accelerator("no", cpu=True), **kwargs)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(data, tmp_path):
    one = load_file(run(TINY, data, tmp_path / "a").folder / "model.safetensors")
    same = load_file(run(TINY, data, tmp_path / "b").folder / "model.safetensors")
    other = load_file(run(replace(TINY, seed=1), data, tmp_path / "c").folder / "model.safetensors")
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_a_resumed_run_ends_bit_identical(data, tmp_path, monkeypatch, precision, new_accelerators):
    new_accelerators()
    run = partial(train, TINY, data, accelerator=make_accelerator(precision, cpu=True))
    whole = run(tmp_path / "whole")
    save = training.save_state

    def save_and_die(path, config, progress, *rest):
        save(path, config, progress, *rest)
        if progress.epochs_done == 1:
            raise RuntimeError("killed")

    monkeypatch.setattr(training, "save_state", save_and_die)
    with pytest.raises(RuntimeError, match="killed"):
        run(tmp_path / "parts")
    monkeypatch.setattr(training, "save_state", save)
    parts = run(tmp_path / "parts", resume=True)
    assert parts.settings.precision == precision
    for name in ("model.safetensors", "history.csv"):
        assert (parts.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_a_run_that_goes_on_with_other_patients_says_so(data, tmp_path, monkeypatch):
    def stop(*args):
        save(*args)
        raise KeyboardInterrupt

    save = training.save_state
    monkeypatch.setattr(training, "save_state", stop)
    with pytest.raises(training.Interrupted):
        run(TINY, data, tmp_path)
    monkeypatch.setattr(training, "save_state", save)
    fewer = replace(only(data, 0, 1, 2, 3), folder=data.folder.with_name("other"))
    with noting() as notes:
        run(replace(TINY), fewer, tmp_path, resume=True)
    (told,) = notes
    assert "data set has changed" in told and f"the {len(set(fewer.owners))} patients" in told


def test_the_source_of_an_encoders_first_weights_is_told_and_kept(
    data, tmp_path, monkeypatch, capsys
):
    def from_source(source):
        def create(*args, **kwargs):
            network = create_model(*args, **kwargs)
            network.encoder_source = source
            return network

        monkeypatch.setattr(learner, "create_model", create)

    def stop(row):
        raise KeyboardInterrupt

    from_source("a-package 1.0")
    with pytest.raises(training.Interrupted):
        run(TINY, data, tmp_path / "run", track=stop)
    assert "encoder weights: a-package 1.0\n" in capsys.readouterr().out
    from_source("somebody/else from the Hugging Face Hub")
    done = run(TINY, data, tmp_path / "run", resume=True)
    assert "somebody" not in capsys.readouterr().out
    assert done.settings.encoder_source == "a-package 1.0"
    from_source(None)
    assert run(TINY, data, tmp_path / "random").settings.encoder_source is None


def test_loss_falls_on_a_set_it_can_learn(data, tmp_path):
    checkpoint = run(replace(TINY, epochs=12, patience=12, lr=2e-2), data, tmp_path / "run")
    with open(checkpoint.folder / "history.csv", newline="") as stream:
        losses = [float(row["train_loss"]) for row in csv.DictReader(stream)]
    assert losses[-1] < 0.6 * losses[0]


def test_whom_a_run_has_seen_is_kept_in_hashes(data, tmp_path):
    config = replace(TINY, epochs=1)
    watching = run(config, data, tmp_path / "a").settings
    blind = run(replace(config, watch=False), data, tmp_path / "b").settings
    roles = {0: "", 1: VALIDATED}
    for patient in set(data.patients):
        expected = roles.get(fold_of(patient), TRAINED)
        assert standing(watching, "phantom", patient) == expected
        assert standing(blind, "phantom", patient) == expected.replace(VALIDATED, "")
    assert tells_patients(watching) and tells_patients(blind)
    assert "phantom_" not in (tmp_path / "a" / "config.json").read_text()


def test_interrupt_keeps_the_finished_epochs(data, tmp_path):
    def stop(row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(training.Interrupted) as caught:
        run(TINY, data, tmp_path / "run", track=stop)
    checkpoint = caught.value.checkpoint
    assert checkpoint.settings.interrupted and checkpoint.settings.epochs_done == 2


def test_interrupt_while_weights_are_written_keeps_those_of_the_epoch_before(
    data, tmp_path, monkeypatch
):
    def interrupt(path, module):
        if path.exists():
            raise KeyboardInterrupt
        save(path, module)

    save = training.save_weights
    monkeypatch.setattr(training, "save_weights", interrupt)
    with pytest.raises(training.Interrupted) as caught:
        run(replace(TINY, watch=False), data, tmp_path / "run")
    settings = caught.value.checkpoint.settings
    assert (settings.epochs_done, settings.best_epoch) == (1, 1)
    with open(tmp_path / "run" / "history.csv", newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 1


def test_interrupt_before_the_first_epoch_ends_leaves_no_checkpoint(data, tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(Batches, "augmented", interrupt)
    with pytest.raises(training.Interrupted) as caught:
        run(TINY, data, tmp_path / "run")
    assert caught.value.checkpoint is None
    assert not (tmp_path / "run" / "config.json").exists()


def test_nan_loss_names_step_and_learning_rate(data, tmp_path, monkeypatch):
    monkeypatch.setattr(
        learner, "create_loss", lambda *_: lambda logits, mask: logits.mean() * float("nan")
    )
    with pytest.raises(TrainingError, match=r"epoch 1, step 1, at learning rate .* lower --lr"):
        run(TINY, data, tmp_path / "run")
    losses = [torch.tensor(loss) for loss in (0.5, math.nan, math.nan)]  # looked at later
    with pytest.raises(TrainingError, match=r"step 2, at learning rate 0\.2:"):
        training._check_finite(losses, 0, [0.1, 0.2, 0.3], tmp_path)


def test_state_of_another_configuration_is_refused(data, tmp_path):
    run(replace(TINY, epochs=1), data, tmp_path / "run")
    with pytest.raises(ConfigError, match="another configuration"):
        run(TINY, data, tmp_path / "run", resume=True)


def test_mask_and_maps_move_with_the_image(data):
    maps = np.repeat(data.masks[:, None].astype(np.float16), 2, axis=1)
    batches = Batches(replace(TINY, model="unetpp"), data, maps, torch.device("cpu"))
    rows = np.flatnonzero(data.tumour)[:8]
    x, y = batches.augmented(rows, seed=3)
    assert x.shape == (8, 2, 32, 32)
    # The maps here are the masks, so after the same move they agree but for soft edges.
    assert ((x[:, :1] > 0.5) == (y > 0.5)).float().mean() > 0.999
    assert not torch.equal(y, torch.from_numpy(data.masks[rows])[:, None].float())


def test_small_epochs_show_the_same_view_in_fewer_pixels(data, tmp_path, monkeypatch):
    batches = Batches(TINY, data, None, torch.device("cpu"))
    rows = np.flatnonzero(data.tumour)[:8]
    (_, large), (x, small) = (batches.augmented(rows, seed=3, size=size) for size in (None, 16))
    assert x.shape == (8, 3, 16, 16)
    halved = torch.nn.functional.avg_pool2d(large, 2)
    assert ((halved > 0.5) == (small > 0.5)).float().mean() > 0.97

    config = replace(TINY, size=64, small_share=0.67)  # two epochs of three
    assert (config.small_epochs, config.small_size) == (2, 32)
    seen = []
    original = Batches.augmented

    def spy(self, rows, seed, size):
        seen.append(size)
        return original(self, rows, seed, size)

    monkeypatch.setattr(Batches, "augmented", spy)
    refs = load(None, patients=12, size=64, slices=2)
    run(config, prepared_set(refs, 64, tmp_path), tmp_path / "run")
    assert seen == sorted(seen) and len(seen) % 3 == 0
    assert seen.count(32) == 2 * seen.count(64) > 0


def test_first_last_and_every_kth_epoch_are_validated(data, tmp_path):
    checkpoint = run(replace(TINY, epochs=5, val_every=3), data, tmp_path / "run")
    with open(checkpoint.folder / "history.csv", newline="") as stream:
        dices = [float(row["val_dice"]) for row in csv.DictReader(stream)]
    assert list(np.isnan(dices)) == [False, True, True, False, False]
    assert checkpoint.settings.best_epoch in (1, 4, 5)


def test_epochs_that_are_not_validated_do_not_use_up_the_patience(data, tmp_path):
    config = replace(TINY, epochs=5, val_every=4, patience=2)
    assert run(config, data, tmp_path / "run").settings.epochs_done == 5


def test_it_stops_where_validation_gets_no_better(data, tmp_path, monkeypatch, capsys):
    dices = itertools.count(0.9, -0.1)
    choose = lambda *_: training.Choice(next(dices), 0.5, {}, 1, 1.0)  # noqa: E731
    monkeypatch.setattr(training, "_choose", choose)
    settings = run(replace(TINY, epochs=9, patience=2), data, tmp_path / "run").settings
    assert (settings.best_epoch, settings.epochs_done) == (1, 3)
    assert "no better validation Dice in 2 validated epochs: stop" in capsys.readouterr().out


def test_where_memory_ends_what_is_finished_stays(data, tmp_path, monkeypatch):
    folder, step = tmp_path / "run", learner.Learner.step

    def full(self, *batch):
        if (folder / resume.STATE).is_file():  # in the second epoch
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return step(self, *batch)

    with monkeypatch.context() as patched:
        patched.setattr(learner.Learner, "step", full)
        with pytest.raises(TrainingError, match=r"does not suffice for batches of 4 .*--resume"):
            run(TINY, data, folder)
    assert run(TINY, data, folder, resume=True).settings.epochs_done == 3


def test_more_than_one_batch_has_or_processes_share_is_refused(data, tmp_path):
    with pytest.raises(TrainingError, match="fewer slices than one batch of 512"):
        run(replace(TINY, batch_size=512), data, tmp_path / "run")
    semi = replace(TINY, semi="fixmatch", labelled=4, unlabelled_ratio=0.25)
    for config, processes, sentence in (
        (TINY, 3, "batch of 4 slices leaves 3 processes less than two"),
        (replace(semi, batch_size=8), 3, "2 slices without a mask, and there are 3"),
    ):
        part = SimpleNamespace(
            config=config, steps=1, accelerator=SimpleNamespace(num_processes=processes)
        )
        with pytest.raises(TrainingError, match=sentence):
            training._check_batches(part)


def test_the_patience_counts_validated_epochs_after_the_best():
    nan = math.nan
    dices = (0.5, nan, 0.7, nan, nan, 0.6, nan, 0.7, nan)
    rows = [{"epoch": number, "val_dice": dice} for number, dice in enumerate(dices, start=1)]
    assert Progress(best_epoch=3, history=rows).unimproved == 2
    assert Progress(best_epoch=3, history=rows[:5]).unimproved == 0
    assert Progress().unimproved == 0


def test_plain_batches_equal_what_inference_prepares(data):
    from brainseg.scans.preprocessing import normalise, prepare

    case = load(None, patients=12, size=32, slices=6)[0].read()
    prepared = prepare(case.scan.pixels, 32)
    rows = np.flatnonzero(np.isin(data.patients, [case.patient_id]))
    x, _ = Batches(TINY, data, None, torch.device("cpu")).plain(rows)
    expected = normalise(prepared.images, prepared.statistics)
    np.testing.assert_allclose(x.numpy(), expected, atol=1e-5)


def test_every_epoch_has_all_tumour_slices_and_the_share_of_empty_ones(data):
    rows = np.arange(len(data.images))
    order = schedule.epoch_rows(TINY, data, rows, epoch=0)
    sick = set(np.flatnonzero(data.tumour))
    assert sick <= set(order) and len(order) == len(set(order))
    available = len(rows) - len(sick)
    assert len(order) - len(sick) == min(available, round(0.6 * len(sick)))
    assert list(order) != list(schedule.epoch_rows(TINY, data, rows, epoch=1))


def test_mean_dice_from_histograms_is_the_dice_of_the_masks():
    rng = np.random.default_rng(0)
    probabilities = rng.integers(0, 100, (3, 50)) / 100 + 0.005
    truth = rng.random((3, 50)) < 0.4
    counts = np.zeros((3, 2, validation.BINS), int)
    for patient in range(3):
        for p, t in zip(probabilities[patient], truth[patient], strict=True):
            counts[patient, int(t), int(p * 100)] += 1
    found = validation.mean_dice(counts)
    for index, threshold in enumerate(validation.THRESHOLDS):
        masks = probabilities > threshold
        dice = 2 * (masks & truth).sum(1) / (masks.sum(1) + truth.sum(1))
        assert found[index] == pytest.approx(dice.mean())


def folds_of(data):
    return np.array([fold_of(patient) for patient in data.patients])


def only(data, *folds):
    """The patients of these folds."""
    rows = np.flatnonzero(np.isin(folds_of(data), folds))
    names = ("images", "masks", "statistics", "slice_statistics", "patients", "datasets", "tumour")
    return replace(data, **{name: np.asarray(getattr(data, name))[rows] for name in names})


def test_nobody_to_validate_on_is_told_before_training_starts(data, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "make_learner", lambda *args: pytest.fail("training started"))
    there = sorted({fold_of(patient) for patient in data.patients[data.tumour]})
    for rows in (only(data, 0, 2, 3, 4), only(data, 3)):
        with pytest.raises(TrainingError, match="No patient in fold 1 has tumour") as error:
            run(TINY, rows, tmp_path)
        left = ", ".join(str(fold) for fold in there if fold in {fold_of(p) for p in rows.patients})
        assert f"in folds {left} of" in str(error.value) and "--left-out 0 alone" in str(
            error.value
        )
    healthy = replace(data, tumour=data.tumour & (folds_of(data) != 1))
    with pytest.raises(TrainingError, match="No patient in fold 1 has tumour"):
        run(TINY, healthy, tmp_path)
    with pytest.raises(TrainingError, match="No training patient"):
        run(replace(TINY, left_out=(3,)), only(data, 3), tmp_path)


def test_nobody_to_test_on_is_told(data, tmp_path):
    with noting() as notes:
        checkpoint = run(replace(TINY, epochs=1), only(data, 1, 2, 3, 4), tmp_path)
    assert checkpoint.settings.patients["test"] == 0
    assert len(notes) == 1 and "No patient is in fold 0" in notes[0]


def test_unknown_configuration_key_and_bad_values():
    with pytest.raises(ConfigError, match="Unknown configuration key 'epoch'"):
        from_json({"epoch": 3})
    with pytest.raises(ConfigError, match="size is 100: expected a multiple of 32"):
        Config(size=100)
    assert from_json(json.loads(json.dumps(TINY.to_json()))) == TINY


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("epochs", 2.5, "a whole number from 1 to"),
        ("epochs", math.inf, "a whole number from 1 to"),
        ("epochs", 10**400, "a whole number from 1 to"),
        ("epochs", True, "a whole number from 1 to"),
        ("patience", 0, "a whole number from 1 to"),
        ("val_every", 1.0, "a whole number from 1 to"),
        ("batch_size", 4.5, "a whole number from 2 to"),
        ("batch_size", 1, "a whole number from 2 to"),
        ("size", 192.0, "a whole number from 32 to"),
        ("size", 0, "a whole number from 32 to"),
        ("size", 4096, "a multiple of 32 up to 2048"),
        ("seed", -1, "a whole number from 0 to"),
        ("limit_patients", -1, r"a whole number from 1 to .*, or null"),
        ("limit_patients", 0, r"a whole number from 1 to .*, or null"),
        ("steps_per_epoch", 2.0, r"a whole number from 1 to .*, or null"),
        ("watch", 1, "true or false"),
        ("lr", math.inf, "a number"),
        ("lr", "0.1", "a number"),
        ("lr", None, "a number"),
        ("weight_decay", math.nan, "a number"),
        ("empty_share", 10**400, "a number"),
        ("ema", False, "a number"),
    ],
)
def test_a_number_of_the_wrong_kind_is_told(key, value, expected):
    with pytest.raises(ConfigError, match=f"^{key} is .*: expected {expected}"):
        Config(**{key: value})
    with pytest.raises(ConfigError, match=f"^{key} is .*: expected {expected}"):
        from_json({key: value})


def test_numbers_at_their_bounds_are_taken():
    given = {"epochs": 1, "batch_size": 2, "size": 2048, "seed": 2**32 - 1, "limit_patients": 1}
    config = from_json({**given, "ema": 0, "lr": 1})
    assert {key: getattr(config, key) for key in given} == given


@pytest.mark.slow
def test_ctrl_c_then_resume_on_the_command_line(tmp_path):
    command = [
        sys.executable, "train.py", "--model", "unet", "--dataset", "phantom", "--size", "32",
        "--epochs", "40", "--batch-size", "8", "--set", "patience=40", "limit_patients=10",
        "--cpu", "--runs", str(tmp_path / "runs"), "--cache", str(tmp_path / "cache"),
    ]  # fmt: skip
    folder = tmp_path / "runs" / "phantom" / "unet-bce" / "without0+1-seed0"
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (folder / "state.safetensors").is_file():
        assert process.poll() is None
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "--resume continues" in errors and "Traceback" not in errors
    assert read_checkpoint(folder).settings.interrupted

    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode == 1 and "--resume continues it" in refused.stderr
    subprocess.run([*command, "--resume"], check=True)
    assert not read_checkpoint(folder).settings.interrupted
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "finished already" in again.stdout
