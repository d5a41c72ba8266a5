"""Runs that differ in a setting, compared on their validation patients."""

import json

import pytest

from brainseg.__main__ import main
from brainseg.config import Config
from brainseg.study.choices import choices, choices_table, settings_text

UNET = {"checkpoint": "unet-bce", "kind": ""}


@pytest.fixture
def add_run(tmp_path, save_random, narrow_unet):
    """A function that makes an untrained run of the U-Net with a given validation Dice."""

    def add(validation_dice, *, started_from=None, interrupted=False, unknown=(), **settings):
        config = Config(model="unet", dataset="phantom", size=64, **settings)
        folder = config.run_folder(tmp_path)
        saved = save_random(tmp_path, "unet", name=config.name, run=config.to_json())
        folder.parent.mkdir(parents=True, exist_ok=True)
        saved.folder.rename(folder)
        described = json.loads((folder / "config.json").read_text())
        if started_from:
            described["brainseg"]["started_from"] = started_from
        if interrupted:
            described["brainseg"]["interrupted"] = True
        for key in unknown:  # to the version that made the run
            del described["brainseg"]["run"][key]
        (folder / "config.json").write_text(json.dumps(described))
        metrics = {"validation": {"mean_dice": validation_dice}}
        (folder / "metrics.json").write_text(json.dumps(metrics))

    return add


def test_the_best_run_comes_first_with_what_sets_it_apart(tmp_path, add_run):
    add_run(0.75)
    add_run(0.80, init_from="ab" * 32, epochs=15)
    add_run(0.90, leak="slices")
    add_run(0.70, seed=1)
    add_run(0.95, init_from="cd" * 32, epochs=20, interrupted=True)
    rows = choices(tmp_path)["rows"]
    assert rows == [
        {**UNET, "settings": {"init_from": "abababab", "epochs": 15}, "validation_dice": 0.80,
         "best": True},
        {**UNET, "settings": {"init_from": None, "epochs": 30}, "validation_dice": 0.75,
         "best": False},
    ]  # fmt: skip
    assert settings_text(rows[0]["settings"]) == "init_from abababab, epochs 15"
    assert settings_text(rows[1]["settings"]) == "init_from none, epochs 30"


def test_ways_to_learn_without_masks_are_compared_at_one_number_of_masks(tmp_path, add_run):
    add_run(0.50, labelled=8)
    add_run(0.40, labelled=8, semi="fixmatch", sure=0.5)
    add_run(0.55, labelled=8, semi="mean-teacher")
    add_run(0.60, labelled=16)
    add_run(0.70)
    found = choices(tmp_path)
    assert [(row["kind"], row["settings"]) for row in found["rows"]] == [
        (", masks of 8", {"semi": "mean-teacher", "sure": 0.9}),
        (", masks of 8", {"semi": None}),
        (", masks of 8", {"semi": "fixmatch", "sure": 0.5}),
    ]
    first, *_ = choices_table(found).splitlines()[2:]
    assert first == "| `unet-bce`, masks of 8 | semi mean-teacher, sure 0.9 | **0.550** |"
    add_run(0.50, labelled=4)
    add_run(0.51, labelled=4, semi="fixmatch", seed=1)
    add_run(0.52, labelled=4, seed=1)
    add_run(0.53, labelled=4, semi="fixmatch")
    assert {row["kind"] for row in choices(tmp_path)["rows"]} == {
        ", masks of 4, seed 0", ", masks of 4, seed 1", ", masks of 8, seed 0"
    }  # fmt: skip


def test_runs_of_one_kind_are_found_wherever_their_folders_lie(tmp_path, add_run):
    for seed, dice in ((0, 0.70), (1, 0.75)):
        add_run(dice, seed=seed)
        add_run(dice + 0.1, seed=seed, init_from="ab" * 32)
    own = tmp_path / "phantom" / "unet-bce"
    (own / "without0+1-seed0-from-abababab").rename(tmp_path / "z")  # behind those of seed 1
    rows = choices(tmp_path)["rows"]
    assert [row["validation_dice"] for row in rows] == pytest.approx([0.80, 0.70, 0.85, 0.75])


def test_a_start_is_named_and_settings_of_old_runs_are_their_defaults(tmp_path, add_run):
    add_run(0.75, unknown=["small_share", "val_every"])
    start = {"name": "unet-bce", "dataset": "phantom", "epochs": 30}
    add_run(0.80, init_from="ab" * 32, started_from=start)
    started, plain = (row["settings"] for row in choices(tmp_path)["rows"])
    assert started == {"init_from": "unet-bce after 30"} and plain == {"init_from": None}


def test_the_command_writes_what_the_report_reads(tmp_path, add_run, capsys):
    add_run(0.75)
    add_run(0.80, init_from="ab" * 32)
    out = tmp_path / "choices.json"
    assert main(["choices", "--runs", str(tmp_path), "--out", str(out)]) == 0
    assert json.loads(out.read_text()) == choices(tmp_path)
    assert "unet-bce, init_from abababab: 0.800, the best" in capsys.readouterr().out


def test_a_run_without_scores_is_passed_over(tmp_path, add_run):
    add_run(0.75)
    add_run(0.80, init_from="ab" * 32)
    add_run(0.90, init_from="cd" * 32)
    (tmp_path / "phantom" / "unet-bce" / "without0+1-seed0-from-cdcdcdcd" / "metrics.json").unlink()
    assert [row["validation_dice"] for row in choices(tmp_path)["rows"]] == [0.80, 0.75]


def test_nothing_to_compare(tmp_path, add_run, capsys):
    add_run(0.75)
    assert main(["choices", "--runs", str(tmp_path), "--out", str(tmp_path / "c.json")]) == 1
    assert "--stack-inputs" in capsys.readouterr().err
