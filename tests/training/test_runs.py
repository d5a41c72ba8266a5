"""Runs and the grid on tiny phantoms: order, isolation, what is skipped and what is refused."""

import json
import os
import subprocess
import sys
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import train
from brainseg.checkpoints.folder import (
    find_checkpoints,
    load_module,
    read_checkpoint,
    replace_settings,
)
from brainseg.checkpoints.settings import Start
from brainseg.config import Config, ConfigError
from brainseg.data import DATASETS, phantom
from brainseg.data.cache import prepared_set
from brainseg.data.case import DataError
from brainseg.data.splits import fold_of
from brainseg.inference.loading import load_all
from brainseg.models.losses import LOSSES
from brainseg.models.specs import MODELS
from brainseg.models.unet import UNet
from brainseg.training import learner, planning, resume, runs, stacking
from brainseg.training.learner import TrainingError, make_accelerator
from brainseg.training.planning import Planned
from brainseg.training.start import start_of

FLAGS = [
    "--dataset", "phantom", "--encoder-weights", "none", "--size", "32", "--epochs", "1",
    "--batch-size", "4", "--cpu", "--set", "limit_patients=10",
    "--precision", "no",
]  # fmt: skip


def test_the_command_line_knows_every_model_loss_and_data_set():
    asked = ["--model", *MODELS, "all", "--loss", *LOSSES, "all"]
    args = train.parse(asked)
    assert args.model == [*MODELS, "all"] and args.loss == [*LOSSES, "all"]
    assert train.parse(["--dataset", *DATASETS]).dataset == list(DATASETS)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Small phantoms and a narrow U-Net: what is tested here does not depend on either's size."""
    load, narrow = phantom.load, replace(MODELS["unet"], builder=lambda n, out: UNet(n, 8, out))
    monkeypatch.setattr(phantom, "load", lambda path=None: load(path, size=32, slices=6))
    monkeypatch.setitem(MODELS, "unet", narrow)


def main(tmp_path, *flags) -> int:
    here = ["--runs", str(tmp_path / "runs"), "--cache", str(tmp_path / "cache")]
    return train.main([*FLAGS, *here, *flags])


def test_combinations_put_bases_before_stacks():
    pairs = planning.combinations(["unetpp", "unet"], ["all"])
    assert pairs == [(m, loss) for m in ("unet", "unetpp") for loss in ("bce", "dice", "hybrid")]
    assert len(planning.combinations(["all"], ["all"])) == 3 * len(MODELS)


def test_settings_a_model_does_not_have_make_no_second_run():
    stack = Config("unetpp", stack_inputs="predictions+image", bases=("unet-bce",))
    for model in ("unet", "unet_resnet34", "unet_efficientnet"):
        assert replace(stack, model=model) == Config(model)
    assert Config("unet", encoder_weights="imagenet") == Config("unet", encoder_weights=None)
    own = {model: spec.encoder for model, spec in MODELS.items()}
    assert all(Config(model, encoder=encoder) == Config(model) for model, encoder in own.items())
    assert Config("unet_efficientnet", encoder="resnet34").encoder == "resnet34"
    assert replace(stack, bases=()) == Config("unetpp", stack_inputs="predictions+image") != stack


def test_compiled_training_gives_the_same_checkpoint(tmp_path, monkeypatch, new_accelerators):
    compiled = []
    compile_ = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda *a, **k: compiled.append(k["backend"]) or compile_(*a, **k)
    )
    weights = []
    for name, flags in (("plain", ()), ("compiled", ("--compile", "eager"))):
        new_accelerators()
        assert main(tmp_path / name, "--model", "unet", "--no-test", *flags) == 0
        weights.append(
            load_file(tmp_path / name / "runs/phantom/unet-bce/without0+1-seed0/model.safetensors")
        )
    assert compiled == ["eager"]
    assert set(weights[0]) == set(weights[1])
    for key, value in weights[0].items():
        torch.testing.assert_close(weights[1][key], value, rtol=0, atol=1e-3)


def test_atrous_rates_are_for_models_that_have_them(tmp_path, capsys):
    asked = ["--model", "deeplabv3plus", "unetpp", "--atrous-rates", "12", "24", "36"]
    configs = train.resolve(train.parse(asked))
    base, stack = configs
    assert base.atrous_rates == (12, 24, 36)
    assert stack == Config("unetpp")
    planned = planning.plan(configs, tmp_path)[stack]
    assert planned.bases[1] == base
    assert {helper.atrous_rates for helper in planned.helpers[1]} == {(12, 24, 36)}
    assert main(tmp_path, "--model", "unet", "--atrous-rates", "1", "2", "3") == 2
    assert "--atrous-rates goes with deeplabv3plus" in capsys.readouterr().err


def test_rates_that_see_nothing_are_told_before_training(tmp_path, capsys, monkeypatch):
    def stop(*args, **kwargs):
        raise TrainingError("stopped")

    monkeypatch.setattr(runs, "train", stop)
    assert main(tmp_path, "--model", "deeplabv3plus") == 1
    assert "warning: At 32 px the atrous convolutions" in capsys.readouterr().out


def test_names_and_folders():
    config = Config(
        model="unetpp", loss="dice", encoder="resnet18", stack_inputs="predictions+image"
    )
    assert config.name == "unetpp-resnet18-dice"
    assert planning.parse_name(config.name) == ("unetpp", "resnet18", "dice")
    assert planning.parse_name("unet-bce") == ("unet", None, "bce")
    folder = config.run_folder(Path("runs"))
    assert folder == Path("runs/lgg/unetpp-resnet18-dice/without0+1-seed0-image")
    with pytest.raises(ConfigError, match="no checkpoint name"):
        planning.parse_name("resnet-focal")


def test_a_stack_trains_its_missing_bases_first_and_is_found_finished(tmp_path, capsys):
    small = ("--bases", "unet_resnet34-resnet18-bce", "unet-bce")
    assert main(tmp_path, "--model", "unetpp", "--out", str(tmp_path / "ck"), *small) == 0
    told = capsys.readouterr().out
    assert "unet-bce is read by a stack: it comes first" in told
    stack = read_checkpoint(tmp_path / "runs/phantom/unetpp-bce/without0+1-seed0")
    assert [base.name for base in stack.bases] == list(small[1:])
    helpers = sorted((tmp_path / "runs/phantom/unet-bce").iterdir())
    assert [h.name for h in helpers] == [
        "without0+1-seed0", "without0+2-seed0-unwatched", "without0+3-seed0-unwatched",
        "without0+4-seed0-unwatched",
    ]  # fmt: skip
    predictors, skipped = load_all(tmp_path / "ck")  # the copies are of use alone
    assert list(predictors) == ["unet-bce", "unet_resnet34-resnet18-bce", "unetpp-bce"]
    assert skipped == []
    metrics = json.loads((stack.folder / "metrics.json").read_text())
    assert {"validation", "test"} <= metrics.keys()
    predictors, skipped = load_all(tmp_path / "runs")
    assert skipped == [] and len(predictors) == 3  # helpers are not for use

    weights = (stack.folder / "model.safetensors").stat().st_mtime_ns
    assert main(tmp_path, "--model", "unetpp", *small) == 0
    assert (stack.folder / "model.safetensors").stat().st_mtime_ns == weights


def test_a_stack_may_be_fitted_on_maps_of_the_runs_that_leave_out_one_fold(tmp_path):
    stack = Config("unetpp", bases=("unet-bce",), left_out=(1,), stack_maps="singles")
    planned = planning.plan([stack], tmp_path)[stack]
    assert [base.left_out for base in planned.bases] == [(1,)]
    (helpers,) = planned.helpers
    assert [helper.left_out for helper in helpers] == [(0,), (2,), (3,), (4,)]
    assert stack.run_folder(tmp_path).name == "without1-seed0-singles"
    pairs = replace(stack, stack_maps="pairs")
    assert pairs == Config("unetpp", bases=("unet-bce",), left_out=(1,)) != stack
    assert Config("unet", stack_maps="singles") == Config("unet")
    leak = Config("unetpp", leak="in-sample")
    assert replace(leak, stack_maps="singles") == leak


def test_out_of_fold_maps_come_from_the_right_networks(tmp_path):
    """Who is trained on is predicted by a network that saw neither them nor the test fold."""
    config = Config(model="unet", encoder_weights=None, dataset="phantom", size=32, epochs=1,
                    batch_size=4)  # fmt: skip
    place = runs.Workplace(
        None, tmp_path / "c", tmp_path / "r", accelerator=make_accelerator("no", cpu=True)
    )
    base = runs.run(Planned(config), place)
    data = prepared_set(phantom.load(), 32, tmp_path / "c")
    stack = Config(model="unetpp", bases=("unet-bce",), dataset="phantom", size=32)
    needed = planning.plan([stack], tmp_path / "r")
    planned = needed[stack]
    assert list(needed) == [*planned.reads, stack] and planned.bases == (config,)
    (helpers,) = ([runs.run(Planned(one), place) for one in own] for own in planned.helpers)
    maps = stacking.base_maps(stack, [base], [helpers], data, place.accelerator)
    assert maps.shape == (len(data.images), 1, 32, 32)
    pairs = [helper.settings.run.left_out for helper in helpers]
    assert pairs == [(0, 2), (0, 3), (0, 4)] and not any(h.settings.run.watch for h in helpers)
    from brainseg.inference.predictor import Predictor
    from brainseg.scans.preprocessing import Prepared

    experts = [base, base, *helpers]
    for fold in range(5):
        patient = next(p for p in data.patients if fold_of(p) == fold)
        expert = experts[fold]
        rows = np.flatnonzero(np.isin(data.patients, [patient]))
        prepared = Prepared(data.images[rows], data.statistics[rows], data.slice_statistics[rows])
        expected = Predictor(expert).probabilities(prepared, [])
        np.testing.assert_allclose(maps[rows, 0], expected, atol=2e-3)


def test_stacks_that_are_fitted_on_the_same_maps_share_them(tmp_path, monkeypatch):
    data = prepared_set(phantom.load(), 32, tmp_path)
    no_classes = SimpleNamespace(classes=())
    singles = [SimpleNamespace(settings=no_classes, sha256=partial(str, fold)) for fold in range(5)]
    asked = []
    monkeypatch.setattr(stacking, "_predict", lambda expert, *rest: asked.append(expert.sha256()))
    accelerator = make_accelerator("no", cpu=True)

    def file_of(fold, **settings):
        stack = Config("unetpp", bases=("unet-bce",), size=32, left_out=(fold,),
                       stack_maps="singles", **settings)  # fmt: skip
        others = [singles[k] for k in stack.training_folds]
        maps = stacking.base_maps(stack, [singles[fold]], [others], data, accelerator)
        return Path(maps.filename)

    kept = file_of(0)
    assert {file_of(fold) for fold in range(5)} == {kept} == {file_of(2, stack_output="correction")}
    assert asked == list("01234")
    os.utime(kept, (0, 0))
    assert file_of(1) == kept and kept.stat().st_mtime > 0  # read again, so not to be swept
    begun = kept.with_name(f".{kept.name}.123")
    begun.touch()
    for old in (kept, begun):
        os.utime(old, (0, 0))
    singles[3].sha256 = lambda: "other weights"
    assert file_of(0) != kept and not kept.exists() and not begun.exists()
    assert len(asked) == 10


def test_a_data_set_is_loaded_once_for_all_that_a_command_needs(tmp_path, monkeypatch):
    loaded, load = [], phantom.load
    monkeypatch.setattr(phantom, "load", lambda path=None: loaded.append(path) or load(path))
    place = runs.Workplace(None, tmp_path, tmp_path, make_accelerator("no", cpu=True))
    config = Config("unet", dataset="phantom", size=32)
    found = place.for_needed().dataset(config)
    assert place.dataset(config) is found and len(loaded) == 1
    assert place.dataset(replace(config, size=64)) is not found and len(loaded) == 2


def test_one_failing_combination_does_not_stop_the_others(tmp_path, capsys, monkeypatch):
    def broken(name):
        raise ValueError("this loss is broken")

    original = learner.create_loss
    monkeypatch.setattr(
        learner, "create_loss", lambda name, _: broken(name) if name == "dice" else original(name)
    )
    assert main(tmp_path, "--model", "unet", "--loss", "bce", "dice", "hybrid") == 1
    captured = capsys.readouterr()
    assert "1 of 3 runs failed: unet-dice" in captured.err and "this loss is broken" in captured.err
    found, _ = find_checkpoints(tmp_path / "runs")
    assert [c.name for c in found] == ["unet-bce", "unet-hybrid"]
    assert main(tmp_path, "--model", "unetpp", "--bases", "unet-bce", "unet-dice") == 1
    told = capsys.readouterr().err
    of = "on phantom without fold 0 and 1, seed 0"
    assert f"error: unet-dice {of}: this loss is broken" in told
    assert f"error: unetpp-bce {of} reads unet-dice {of}, which failed." in told


def test_failed_runs_are_told_apart(tmp_path, capsys, monkeypatch):
    def broken(config, *args, **kwargs):
        raise ValueError("no luck")

    monkeypatch.setattr(runs, "train", broken)
    assert main(tmp_path, "--model", "unet", "--left-out", "3", "--seeds", "0", "1") == 1
    told = capsys.readouterr().err
    titles = [f"unet-bce on phantom without fold 3, seed {seed}" for seed in (0, 1)]
    assert all(f"error: {title}: no luck" in told for title in titles)
    assert f"2 of 2 runs failed: {'; '.join(titles)}\n" in told
    leaking = Config("unet", leak="slices").title
    assert leaking == "unet-bce-leak-slices on lgg without fold 0 and 1, seed 0"


def test_a_damaged_state_is_a_sentence_and_the_others_go_on(tmp_path, capsys):
    folder = tmp_path / "runs/phantom/unet-dice/without0+1-seed0"
    folder.mkdir(parents=True)
    (folder / "state.safetensors").write_bytes(b"half of one")
    flags = ["--model", "unet", "--loss", "dice", "bce", "--no-test", "--resume"]
    assert main(tmp_path, *flags) == 1
    told = capsys.readouterr().err
    assert "is no resume state of this program" in told and "1 of 2 runs failed" in told
    assert len(find_checkpoints(tmp_path / "runs")[0]) == 1


def test_a_damaged_folder_is_a_line_of_the_table(tmp_path, capsys):
    folder = tmp_path / "runs/phantom/unet-dice/without0+1-seed0"
    folder.mkdir(parents=True)
    for name in ("config.json", "README.md"):
        (folder / name).write_text("{")
    assert main(tmp_path, "--model", "unet", "--loss", "bce", "dice", "--no-test") == 1
    told = capsys.readouterr()
    assert "1 of 2 runs failed: unet-dice" in told.err
    assert "| unet-dice | 0 1 | 0 | failed |" in told.out


def test_what_is_whole_and_could_not_be_copied_is_told(tmp_path, capsys, monkeypatch):
    def full(checkpoint, folder):
        raise OSError("no space left")

    monkeypatch.setattr("brainseg.checkpoints.folder.copy_checkpoint", full)
    flags = ["--model", "unet", "--loss", "bce", "dice", "--no-test", "--out", str(tmp_path / "o")]
    assert main(tmp_path, *flags) == 1
    told = capsys.readouterr().err
    assert told.count("could not be copied: no space left") == 2 and "runs failed" not in told
    found, _ = find_checkpoints(tmp_path / "runs")
    assert len(found) == 2


def test_a_base_that_was_begun_is_gone_on_with_as_it_is(tmp_path, monkeypatch):
    folder = tmp_path / "runs/phantom/unet-bce/without0+1-seed0"
    own = Config(model="unet", dataset="phantom", lr=0.01)
    monkeypatch.setattr(resume, "read_state_config", lambda path: own)
    stack = Config(model="unetpp", dataset="phantom", bases=("unet-bce",))
    first = next(iter(planning.plan([stack], tmp_path / "runs")))
    assert first.name == "unet-bce" and first.lr == stack.lr
    folder.mkdir(parents=True)
    (folder / resume.STATE).touch()
    assert next(iter(planning.plan([stack], tmp_path / "runs"))) == own


def test_another_configuration_is_not_replaced_without_overwrite(tmp_path, capsys):
    assert main(tmp_path, "--model", "unet") == 0
    assert main(tmp_path, "--model", "unet", "--lr", "0.01") == 1
    assert "lr 0.01 instead of 0.0006): --overwrite replaces it" in capsys.readouterr().err
    assert main(tmp_path, "--model", "unet", "--lr", "0.01", "--overwrite") == 0
    run = read_checkpoint(tmp_path / "runs/phantom/unet-bce/without0+1-seed0").settings.run
    assert run.lr == 0.01


def test_what_cannot_begin_costs_nothing_that_is_there(tmp_path, capsys, monkeypatch):
    assert main(tmp_path, "--model", "unet") == 0
    folder = tmp_path / "runs/phantom/unet-bce/without0+1-seed0"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def nowhere(path=None):
        raise DataError("there is no such folder")

    monkeypatch.setattr(phantom, "load", nowhere)
    assert main(tmp_path, "--model", "unet", "--lr", "0.01", "--overwrite") == 1
    assert "there is no such folder" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_stack_reads_no_stack(tmp_path, capsys):
    assert main(tmp_path, "--model", "unetpp", "--bases", "unet-bce", "unetpp-bce") == 2
    assert "expected models that read images" in capsys.readouterr().err


def test_a_base_that_tells_classes_apart_needs_classes(tmp_path, capsys):
    flags = ["--model", "unetpp", "--bases", "unet-bce-classes"]
    assert main(tmp_path, *flags) == 2
    assert "bases is 'unet-bce-classes': expected no base that tells" in capsys.readouterr().err
    (stack,) = train.resolve(train.parse([*FLAGS, *flags, "--classes"]))
    assert [base.name for base in planning.plan([stack], tmp_path)[stack].bases] == [*stack.bases]


def test_what_no_stack_can_read_is_said_before_anything_is_trained(tmp_path):
    stack = Config("unetpp", bases=("unet-bce", "unet_resnet34-bce"), size=64)
    base = replace(stack, model="unet", size=32)
    with pytest.raises(ConfigError, match=r"unet-bce is of 32 px and unetpp-bce, .* of 64: give"):
        planning.plan([base, stack], tmp_path)
    assert len(planning.plan([replace(base, size=64), stack], tmp_path)) == 1 + 2 * 4
    mixed = {"bases": ("unet-bce-classes", "unet_resnet34-bce"), "classes": ("a", "b")}
    assert Config("unetpp", **mixed).bases == mixed["bases"]
    with pytest.raises(ConfigError, match="for a correction bases that all tell classes apart"):
        Config("unetpp", **mixed, stack_output="correction")
    assert Config("unetpp", classes=("a", "b"), stack_output="correction").is_stack


def test_a_run_is_gone_on_with_or_begun_anew(capsys):
    with pytest.raises(SystemExit):
        train.parse(["--resume", "--overwrite"])
    assert "not allowed with argument --resume" in capsys.readouterr().err


def test_config_repeats_a_run(tmp_path):
    assert main(tmp_path, "--model", "unet", "--loss", "hybrid", "--lr", "0.002") == 0
    config = tmp_path / "runs/phantom/unet-hybrid/without0+1-seed0/config.json"
    (again,) = train.resolve(train.parse(["--config", str(config)]))
    assert read_checkpoint(config.parent).settings.run == again
    text = json.loads(config.read_text())
    text["brainseg"]["run"]["epoch"] = 3
    config.write_text(json.dumps(text))
    assert train.main(["--config", str(config)]) == 2


def test_rare_settings():
    (config,) = train.resolve(train.parse(["--set", "ema=0", "limit_patients=7"]))
    assert config.ema == 0 and config.limit_patients == 7
    for wrong, sentence in (
        ("ema=2", "ema is 2: expected 0"),
        ("emma=1", "Unknown configuration key 'emma'"),
        ("ema=much", "expected KEY=NUMBER"),
        ("seed=3", "seed has a flag of its own, give --seeds"),
        ("left_out=[2]", "give --left-out"),
        ('loss="dice"', "give --loss"),
        ('init_from="ab"', "give --init-from"),
        ('unlabelled="ab"', "give --unlabelled"),
        ('classes=["a", "b"]', "give --classes"),
        ("epochs=3", "give --epochs"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            train.resolve(train.parse(["--set", wrong]))


def test_every_setting_is_given_by_its_flag_or_by_set():
    flags = vars(train.parse([]))
    for setting in fields(Config):
        by_flag = ("seeds" if setting.name == "seed" else setting.name) in flags
        assert by_flag != (setting.name in train.by_set())


def test_seeds_and_folds(tmp_path):
    flags = ["--model", "unet", "--loss", "bce", "dice", "--seeds", "0", "1"]
    flags += ["--left-out", "all"]
    configs = train.resolve(train.parse(flags))
    assert len(configs) == 20 == len({c.run_folder(tmp_path) for c in configs})
    assert {(c.left_out, c.seed) for c in configs} == {((f,), s) for f in range(5) for s in (0, 1)}
    with pytest.raises(ConfigError, match="--out goes with one run of a model and one seed"):
        train.resolve(train.parse([*flags, "--out", str(tmp_path)]))


def test_init_from_starts_from_the_given_weights(tmp_path, capsys):
    assert main(tmp_path, "--model", "unet") == 0
    start = tmp_path / "runs/phantom/unet-bce/without0+1-seed0"
    flags = ("--model", "unet", "--loss", "hybrid", "--lr", "1e-12", "--init-from", str(start))
    assert main(tmp_path, *flags) == 0
    (folder,) = (tmp_path / "runs/phantom/unet-hybrid").iterdir()
    done = read_checkpoint(folder)
    assert folder.name == f"without0+1-seed0-from-{read_checkpoint(start).sha256()[:8]}"
    one, other = load_module(read_checkpoint(start)), load_module(done)
    for (key, a), b in zip(one.named_parameters(), other.parameters(), strict=True):
        np.testing.assert_allclose(a.detach(), b.detach(), atol=1e-4, err_msg=key)


def test_init_from_remembers_the_start_and_refuses_one_that_knows_too_much(tmp_path, capsys):
    assert main(tmp_path, "--model", "unet") == 0
    start = tmp_path / "runs/phantom/unet-bce/without0+1-seed0"
    flags = ("--model", "unet", "--loss", "hybrid", "--init-from", str(start))
    assert main(tmp_path, *flags) == 0
    (folder,) = (tmp_path / "runs/phantom/unet-hybrid").iterdir()
    done = read_checkpoint(folder)
    first = read_checkpoint(start).settings.epochs_done
    assert done.settings.started_from == Start("unet-bce", "phantom", first)
    assert done.settings.total_epochs == first + done.settings.epochs_done
    known = read_checkpoint(start).settings.patient_hashes
    assert set(done.settings.patient_hashes["start"]) == {*known["train"], *known["watched"]}
    assert f"unet-bce after {first} epochs" in (folder / "README.md").read_text()

    # What it began with was trained on patients of fold 2, though it left them out itself.
    hashes = {**done.settings.patient_hashes, "train": (), "watched": ()}
    run = replace(done.settings.run, left_out=(2, 3))
    replace_settings(done, replace(done.settings, run=run, patient_hashes=hashes))
    assert main(tmp_path, "--model", "unet", "--loss", "dice", "--left-out", "2", "3",
                "--init-from", str(folder)) == 1  # fmt: skip
    assert "or what it began with, knows" in capsys.readouterr().err

    # It was trained on patients of fold 2.
    assert main(tmp_path, *flags, "--left-out", "1", "2") == 1
    assert "fold 2 is left out" in capsys.readouterr().err
    helper = replace(done.settings.run, left_out=(0, 2), watch=False)
    with pytest.raises(ConfigError, match="fold 2 is left out"):
        start_of(helper, start)
    assert start_of(replace(helper, left_out=(0, 1)), start)


def test_weights_to_start_from_that_are_none_are_refused_before_any_data_are_read(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(phantom, "load", lambda path=None: pytest.fail("data were read"))
    file = tmp_path / "model.pth"
    torch.save({"weight": torch.zeros(2)}, file)
    for content in (file.read_bytes(), b""):
        file.write_bytes(content)
        assert main(tmp_path, "--model", "unet", "--init-from", str(file)) == 2
        told = capsys.readouterr().err
        assert f"error: --init-from {file} is no safetensors file" in told
        assert "Traceback" not in told


def test_encoder_with_unet_is_refused_in_a_sentence(tmp_path, capsys):
    assert main(tmp_path, "--model", "unet", "--encoder", "resnet18") == 1
    assert "does not go with unet" in capsys.readouterr().err


def test_missing_data_names_the_offline_way(tmp_path, capsys):
    flags = ("--dataset", "lgg", "--data", str(tmp_path / "nowhere"))
    assert main(tmp_path, "--model", "unet", *flags) == 1
    assert "--dataset phantom --encoder-weights none" in capsys.readouterr().err


def test_help_is_quick_and_imports_no_torch():
    code = (
        "import sys, train\n"
        "try: train.parse(['--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'gradio', 'SimpleITK'} & set(sys.modules), 'heavy import'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "hybrid: 0.7 BCE + 0.3 Dice" in done.stdout and "default: 30" in done.stdout


def test_test_scores_can_be_left_for_later(tmp_path, capsys):
    folder = tmp_path / "runs/phantom/unet-bce/without0+1-seed0"
    assert main(tmp_path, "--model", "unet", "--no-test") == 0
    assert "test" not in json.loads((folder / "metrics.json").read_text())
    weights = (folder / "model.safetensors").read_bytes()
    capsys.readouterr()
    assert main(tmp_path, "--model", "unet") == 0
    assert "scoring it" in capsys.readouterr().out
    assert json.loads((folder / "metrics.json").read_text())["test"]["fold"] == 0
    assert (folder / "model.safetensors").read_bytes() == weights
    assert main(tmp_path, "--model", "unet") == 0
    assert "nothing to do" in capsys.readouterr().out


def test_a_grid_that_tells_classes_apart(tmp_path):
    """A base, a stack that reads its class maps, and what their checkpoints say of a scan."""
    flags = ["--classes", "--bases", "unet-bce-classes", "--out", str(tmp_path / "out")]
    assert main(tmp_path, "--model", "unet", "unetpp", *flags) == 0
    classes = ("oedema", "core", "enhancing")
    predictors, _ = load_all(tmp_path / "out")
    assert list(predictors) == ["unet-bce-classes", "unetpp-bce-classes"]
    settings = predictors["unetpp-bce-classes"].checkpoint.settings
    assert settings.classes == classes and settings.channels == 3
    assert [b.name for b in settings.bases] == ["unet-bce-classes"]
    case = phantom.make_case(3, "large", size=64, slices=6)
    for predictor in predictors.values():
        result = predictor.predict(case.scan)
        assert result.classes == classes
        assert result.class_probabilities.shape == (3, *case.mask.shape)
        assert np.allclose(result.class_probabilities.sum(0), result.probabilities, atol=1e-5)
        assert ((result.labels > 0) == result.mask).all()
    # A binary run of the same model stands beside it, and is what it was.
    assert main(tmp_path, "--model", "unet") == 0
    plain = read_checkpoint(tmp_path / "runs" / "phantom" / "unet-bce" / "without0+1-seed0")
    assert plain.settings.classes == () and "classes" not in plain.settings.to_json()


def test_classes_that_a_data_set_does_not_have(tmp_path, capsys):
    assert train.main(["--dataset", "lgg", "--classes", "--data", str(tmp_path)]) == 2
    assert "--classes: lgg states none to tell apart." in capsys.readouterr().err
