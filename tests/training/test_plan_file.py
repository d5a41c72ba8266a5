"""Plans: files that say what is trained, stage by stage."""

from dataclasses import replace
from pathlib import Path

import pytest

import train
from brainseg.config import ConfigError
from brainseg.training.planning import plan

STUDY = Path(__file__).parents[2] / "docs/study/plan.toml"
FEW = STUDY.with_name("few-labels.toml")
TWO_STAGES = """
common = "--dataset phantom --epochs 3 --set ema=0"
[[stage]]
name = "first"
runs = ["--model unet --loss bce hybrid --left-out all", "--model unet --left-out 0 1"]
[[stage]]
name = "second"
why = "later"
common = "--lr 0.01 --epochs 5"
runs = ["--model unet --loss dice --seeds 4 --epochs 3"]
"""


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text(TWO_STAGES)
    return path


def resolve(*flags):
    return train.resolve(train.parse([str(flag) for flag in flags]))


def test_a_plan_is_what_its_lines_would_be_as_commands(written):
    common = ("--dataset", "phantom", "--epochs", 3, "--set", "ema=0")
    first = [
        *resolve(*common, "--model", "unet", "--loss", "bce", "hybrid", "--left-out", "all"),
        *resolve(*common, "--model", "unet", "--left-out", "0", "1"),
    ]
    second = resolve(*common, "--model", "unet", "--loss", "dice", "--lr", 0.01, "--seeds", 4)
    assert len(first) == 11 and all(c.epochs == 3 and c.ema == 0 for c in first)
    assert resolve("--plan", written) == first + second
    assert resolve("--plan", written, "--stage", "second") == second
    assert resolve("--plan", written, "--data", "anywhere", "--runs", "here") == first + second


def test_settings_add_up_and_the_last_one_counts(tmp_path):
    common = 'common = "--set ema=0 val_every=2"\n'
    stage = "[[stage]]\nname = 'a'\nruns = ['--model unet --set ema=0.5 patience=3']"
    (tmp_path / "p.toml").write_text(common + stage)
    (config,) = resolve("--plan", tmp_path / "p.toml")
    assert (config.ema, config.val_every, config.patience) == (0.5, 2, 3)
    assert resolve("--set", "ema=0", "--set", "patience=3")[0].ema == 0


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--model", "unet"], "--model does not go with --plan"),
        (["--left-out", "3"], "--left-out does not go with --plan"),
        (["--set", "ema=0"], "--set does not go with --plan"),
        (["--out", "here"], "--out does not go with --plan"),
        (["--stage", "third"], "--stage third: .*plan.toml has first, second"),
    ],
)
def test_what_a_plan_says_is_not_said_again(written, flags, sentence):
    with pytest.raises(ConfigError, match=sentence):
        resolve("--plan", written, *flags)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[[stage]", "can't be read"),
        ("common = 1", "can't be read"),
        ("[[stage]]\nname = 'a'\nruns = ['--model resnet']", "stage a: --model resnet: .*invalid"),
        ("[[stage]]\nname = 'a'\nruns = ['--data here']", "stage a: --data here: unrecognized"),
        ("[[stage]]\nname = 'a'\nruns = ['--lr 0']", "lr is 0"),
        ("[[stage]]\nname = 'a'\nruns = ['--model \"']", "stage a: .*No closing quotation"),
        (2 * "[[stage]]\nname = 'a'\nruns = ['--lr 1']\n", "two stages of one name"),
    ],
)
def test_a_wrong_plan_is_refused_in_a_sentence(tmp_path, text, sentence, capsys):
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        resolve("--plan", path)
    assert train.main(["--plan", str(path)]) == 2
    assert "Traceback" not in capsys.readouterr().err
    with pytest.raises(ConfigError, match="can't be read"):
        resolve("--plan", tmp_path / "missing.toml")
    with pytest.raises(ConfigError, match="give --plan FILE too"):
        resolve("--stage", "a")


def test_two_runs_that_differ_and_would_share_a_folder_are_refused_at_once(tmp_path):
    first, second = (
        resolve("--model", "unet", "--dataset", "phantom"),
        resolve("--model", "unet", "--dataset", "phantom", "--epochs", 3),
    )
    assert len(plan(first + first, tmp_path)) == 1
    with pytest.raises(ConfigError, match=r"epochs 3 instead of 30.*another --runs"):
        plan(first + second, tmp_path)


def test_the_studys_plan(tmp_path):
    """One recipe for everything that is compared, and no run in another's folder."""
    configs = resolve("--plan", STUDY)
    needed = plan(configs, tmp_path)
    folders = [config.run_folder(tmp_path) for config in needed]
    assert len(set(folders)) == len(folders)
    for stages in (["a"], ["b", "c"]):
        family = [c for c in resolve("--plan", STUDY, "--stage", *stages) if not c.is_stack]
        assert {(c.lr, c.epochs, c.dataset, c.size) for c in family} == {
            (family[0].lr, family[0].epochs, family[0].dataset, family[0].size)
        }
        assert {c.left_out for c in family} == {(fold,) for fold in range(5)}


def test_the_plan_of_encoders_has_a_run_of_each(tmp_path):
    configs = resolve("--plan", STUDY.with_name("backbones.toml"))
    names = [config.name for config in plan(configs, tmp_path)]
    assert names[1] == "unet_resnet34-bce" and len(names) == 4  # its own is not named twice
    assert len({replace(config, encoder=None) for config in configs}) == 1


def test_the_plan_of_few_masks(tmp_path):
    """All runs of a model take equally many steps, and differ in masks, method, seed or folds."""
    configs = resolve("--plan", FEW)
    assert len({config.run_folder(tmp_path) for config in configs}) == len(configs)
    for model in {config.model for config in configs}:
        own = [config for config in configs if config.model == model]
        recipes = {
            replace(c, labelled=None, semi=None, seed=0, left_out=(0, 1)) for c in own
        }  # without a method its settings are the defaults
        assert len(recipes) == 1 and recipes.pop().steps_per_epoch
        supervised = {c for c in own if not c.semi}
        assert {replace(c, semi=None) for c in own} == supervised  # each has its twin
    first = resolve("--plan", FEW, "--stage", "labels")
    assert {c.labelled for c in first} == {4, 8, 16, 32, None}
    assert {c.seed for c in first} == {0, 1} and {c.patience for c in first} == {first[0].epochs}
