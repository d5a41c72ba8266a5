"""Thresholds that runs choose for one another, against choices worked out from their counts."""

import json
from dataclasses import replace

import numpy as np
import pytest

import train as train_command
from brainseg.checkpoints.folder import read_checkpoint, replace_settings
from brainseg.config import Config, ConfigError
from brainseg.data import phantom
from brainseg.data.splits import fold_of
from brainseg.models.specs import MODELS
from brainseg.models.unet import UNet
from brainseg.training import thresholds
from brainseg.training.thresholds import settle
from brainseg.training.validation import BINS, COUNTS, THRESHOLDS, best_threshold, read_counts


@pytest.fixture(autouse=True)
def small(monkeypatch):
    load, narrow = phantom.load, replace(MODELS["unet"], builder=lambda n, out: UNet(n, 8, out))
    monkeypatch.setattr(
        phantom, "load", lambda path=None: load(path, patients=12, size=32, slices=6)
    )
    monkeypatch.setitem(MODELS, "unet", narrow)


def main(tmp_path, *flags) -> int:
    return train_command.main([
        "--model", "unet", "--dataset", "phantom", "--size", "32", "--epochs", "1",
        "--batch-size", "4", "--cpu", "--precision", "no", "--runs", str(tmp_path / "runs"),
        "--cache", str(tmp_path / "cache"), *flags,
    ])  # fmt: skip


def runs_of(tmp_path):
    return {path.name: path for path in (tmp_path / "runs/phantom/unet-bce").iterdir()}


def chosen(folders):
    """The threshold that the counts of these folders, by fold, ask for."""
    kept = [read_counts(folder / COUNTS, fold) for fold, folder in folders.items()]
    counts, datasets = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    assert len(counts) == sum(fold_of(f"phantom_{n:04d}") in folders for n in range(12))
    return best_threshold(counts, datasets)


def test_a_run_alone_has_a_stand_in(tmp_path):
    assert main(tmp_path, "--left-out", "3", "--out", str(tmp_path / "out")) == 0
    (run,) = runs_of(tmp_path).values()
    checkpoint = read_checkpoint(run)
    assert checkpoint.settings.threshold == 0.5 and "validation" not in checkpoint.metrics
    assert checkpoint.metrics["test"]["fold"] == 3
    assert checkpoint.settings.patients["val"] == 0
    copy = read_checkpoint(tmp_path / "out" / "unet-bce")
    assert (copy.settings, copy.metrics) == (checkpoint.settings, checkpoint.metrics)
    assert not {"state.safetensors", "best.safetensors"} & {path.name for path in run.iterdir()}
    card = (run / "README.md").read_text()
    assert "The threshold of 0.5 stands in" in card and "to validate on" not in card
    assert "kept as they ended" in card


def test_five_runs_choose_for_one_another_and_pairs_are_preferred(tmp_path, capsys):
    assert main(tmp_path, "--left-out", "all") == 0
    folders = runs_of(tmp_path)
    assert sorted(folders) == [f"without{fold}-seed0" for fold in range(5)]
    for own in range(5):
        checkpoint = read_checkpoint(folders[f"without{own}-seed0"])
        others = {f: folders[f"without{f}-seed0"] for f in range(5) if f != own}
        expected = chosen(others)
        assert checkpoint.settings.threshold == expected.threshold
        assert checkpoint.metrics["validation"] == {
            "folds": list(others), "unseen": False, **expected.to_json(),
        }  # fmt: skip
        assert {"test", "test_slicewise"} <= checkpoint.metrics.keys()
        card = (checkpoint.folder / "README.md").read_text()
        assert f"which had seen fold {own}; threshold {expected.threshold:.2f}" in card

    capsys.readouterr()
    for fold in range(1, 5):
        flags = ["--left-out", "0", str(fold), "--set", "watch=false"]
        assert main(tmp_path, *flags) == 0
    folders = runs_of(tmp_path)
    pairs = {f: folders[f"without0+{f}-seed0-unwatched"] for f in range(1, 5)}
    first = read_checkpoint(folders["without0-seed0"])
    assert first.metrics["validation"]["unseen"] is True
    assert first.settings.threshold == chosen(pairs).threshold
    assert "which had seen" not in (first.folder / "README.md").read_text()
    assert not read_checkpoint(folders["without1-seed0"]).metrics["validation"]["unseen"]
    for pair in pairs.values():  # there for others: not scored, and no threshold of its own
        assert not {"test", "validation"} & json.loads((pair / "metrics.json").read_text()).keys()


def test_some_pairs_serve_while_neither_all_of_them_nor_the_other_four_are_there(tmp_path):
    for flags in (("0",), ("0", "2", "--set", "watch=false"), ("1",)):
        assert main(tmp_path, "--left-out", *flags) == 0
    folders = runs_of(tmp_path)
    found = read_checkpoint(folders["without0-seed0"])
    expected = chosen({2: folders["without0+2-seed0-unwatched"]})
    assert found.settings.threshold == expected.threshold
    assert found.metrics["validation"] == {"folds": [2], "unseen": True, **expected.to_json()}
    assert "test" in found.metrics
    assert "validation" not in read_checkpoint(folders["without1-seed0"]).metrics


def test_one_that_cant_be_read_does_not_keep_the_others_from_theirs(tmp_path, caplog):
    assert main(tmp_path, "--left-out", "all", "--loss", "bce", "dice", "--no-test") == 0
    folders = runs_of(tmp_path)
    (folders["without2-seed0"] / "config.json").write_text("{")
    for fold in (1, 2, 3, 4):  # all that fold 0 asks now
        assert main(tmp_path, "--left-out", "0", str(fold), "--set", "watch=false") == 0
    first = read_checkpoint(folders["without0-seed0"])
    assert first.metrics["validation"]["unseen"] is True
    assert main(tmp_path, "--left-out", "1", "--loss", "bce", "dice", "--overwrite") == 0
    assert "unet-bce without fold 1: no threshold was chosen" in caplog.text
    assert "test" in read_checkpoint(folders["without1-seed0"]).metrics
    other = tmp_path / "runs/phantom/unet-dice/without1-seed0"
    assert read_checkpoint(other).metrics["validation"]["folds"] == [0, 2, 3, 4]


def test_scores_beside_a_threshold_that_is_another_by_now_go(tmp_path):
    assert main(tmp_path, "--left-out", "all") == 0
    folder = runs_of(tmp_path)["without2-seed0"]
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["validation"]["threshold"] /= 2  # as another command leaves it that was slower
    (folder / "metrics.json").write_text(json.dumps(metrics))
    settle([read_checkpoint(folder).settings.run], tmp_path / "runs")
    found = read_checkpoint(folder)
    assert found.metrics["validation"]["threshold"] == found.settings.threshold
    assert "test" not in found.metrics


def test_another_threshold_takes_the_test_scores_with_it(tmp_path):
    assert main(tmp_path, "--left-out", "all") == 0
    folder = runs_of(tmp_path)["without2-seed0"]
    before = read_checkpoint(folder)
    config = before.settings.run
    assert settle([config], tmp_path / "runs") == []  # nothing is new

    counts = np.zeros((2, 2, BINS), int)  # what others find now asks for 0.7
    counts[:, 1, 70:] = 1
    counts[:, 0, :70] = 1
    for fold in (0, 1, 3, 4):
        other = runs_of(tmp_path)[f"without{fold}-seed0"]
        with open(other / COUNTS, "wb") as stream:
            np.savez(stream, counts=counts, datasets=["phantom"] * 2, folds=[fold] * 2)
    changed = settle([config], tmp_path / "runs")
    after = read_checkpoint(folder)
    assert folder in [checkpoint.folder for checkpoint in changed]
    assert THRESHOLDS[after.settings.threshold == THRESHOLDS][0] == 0.7
    assert "test" not in after.metrics and after.metrics["validation"]["mean_dice"] == 1.0
    assert after.settings == replace(before.settings, threshold=after.settings.threshold)
    assert after.sha256() == before.sha256()
    assert main(tmp_path, "--left-out", "2") == 0  # scores it again
    assert "test" in read_checkpoint(folder).metrics


def test_a_choice_cut_short_is_made_again(tmp_path, monkeypatch):
    assert main(tmp_path, "--left-out", "all") == 0
    folder = runs_of(tmp_path)["without2-seed0"]
    checkpoint = read_checkpoint(folder)
    other = 0.9 if checkpoint.settings.threshold != 0.9 else 0.1
    replace_settings(checkpoint, replace(checkpoint.settings, threshold=other))

    def stop(*args):
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(thresholds, "replace_settings", stop)
        with pytest.raises(OSError, match="full"):
            settle([checkpoint.settings.run], tmp_path / "runs")
    settle([checkpoint.settings.run], tmp_path / "runs")
    after = read_checkpoint(folder)
    assert after.settings == checkpoint.settings and "test" not in after.metrics


def test_an_unwatched_run_keeps_what_its_last_epoch_left(tmp_path):
    assert main(tmp_path, "--left-out", "0", "--epochs", "2") == 0
    settings = read_checkpoint(runs_of(tmp_path)["without0-seed0"]).settings
    assert (settings.best_epoch, settings.epochs_done) == (2, 2)


def test_what_can_be_left_out():
    for wrong in ((), (0, 0), (5,), (0, 1, 2), (True,), [0, 1]):
        with pytest.raises(ConfigError, match="left_out"):
            Config("unet", left_out=wrong)
    one, pair = Config("unet", left_out=(2,)), Config("unet", left_out=(2, 4), watch=False)
    assert (one.test_fold, one.watched_fold, one.is_helper) == (2, None, False)
    assert (pair.test_fold, pair.watched_fold, pair.is_helper) == (2, None, True)
    assert (one.unseen_folds, pair.unseen_folds) == ((2,), (2, 4))
    watched = Config("unet", left_out=(4, 0))
    assert (watched.test_fold, watched.watched_fold, watched.unseen_folds) == (4, 0, (4,))
    assert watched.training_folds == (1, 2, 3)
    with pytest.raises(ConfigError, match="none where no fold is watched"):
        replace(one, leak="slices")


def test_without_anybody_to_choose_by_nothing_is_chosen():
    healthy = np.zeros((2, 2, 100), int)
    healthy[:, 0, :] = 1
    for counts in (healthy, healthy[:0]):
        choice = best_threshold(counts, np.array(["phantom"] * len(counts)))
        assert np.isnan([choice.dice, choice.threshold]).all() and choice.patients == len(counts)


def test_runs_whose_siblings_found_nobody_keep_the_stand_in(tmp_path):
    assert main(tmp_path, "--left-out", "all", "--no-test") == 0
    folder = runs_of(tmp_path)["without2-seed0"]
    for fold in (0, 1, 3, 4):
        with open(runs_of(tmp_path)[f"without{fold}-seed0"] / COUNTS, "wb") as stream:
            np.savez(
                stream, counts=np.zeros((0, 2, BINS), int), datasets=np.array([], str), folds=[]
            )
    before = read_checkpoint(folder)
    assert folder not in [c.folder for c in settle([before.settings.run], tmp_path / "runs")]
    assert read_checkpoint(folder).metrics == before.metrics
