from pathlib import Path

import numpy as np

from brainseg.inference import results
from brainseg.inference.results import Comparison, Result
from brainseg.scans.scan import Scan
from brainseg.ui import words


def comparison(marks, truth=None, spacing_mm=None, slices=1):
    """A comparison of models by name, each marking that many pixels of every slice."""
    shape = (slices, 4, 5)

    def mask(count):
        return np.broadcast_to(np.arange(20).reshape(4, 5) < count, shape)

    results = {
        name: Result(name, name.split("_")[0], mask(count).astype(np.float32), 0.5)
        for name, count in marks.items()
    }
    scan = Scan(np.zeros((*shape, 1), np.uint8), spacing_mm=spacing_mm, source="scan.png")
    return Comparison(scan, None if truth is None else mask(truth), results)


def test_the_table_has_words_where_a_figure_is_not_defined():
    headings, rows = words.table(comparison({"model_a": 0}, truth=0).to_json())
    assert "Volume (ml)" not in headings
    row = dict(zip(headings, rows[0], strict=True))
    assert row["Dice"] == row["IoU"] == "both empty"
    assert row["Precision"] == row["Agreement"] == "none marked"
    assert row["Recall"] == "none in truth"
    assert row["Pixels"] == "0"
    headings, rows = words.table(comparison({"model_a": 1}, spacing_mm=(10, 10, 10)).to_json())
    assert "Dice" not in headings and headings[-1] == "Volume (ml)"
    assert rows == [["model_a", "model", "nothing to agree on", "1", "1.0"]]
    for marks, said in ((1, "under 0.1"), (0, "0.0")):  # a little is not nothing
        _, rows = words.table(comparison({"model_a": marks}, spacing_mm=(1, 1, 1)).to_json())
        assert rows[0][-1] == said


def test_summary():
    report = comparison({"model_a": 1}, truth=1, slices=2).to_json()
    assert words.summary(report) == "scan.png: 2 slices, with its true mask."
    drawn = {**report, "drawn_slices": [2]}
    assert "truth drawn on slice 2, scored there only" in words.summary(drawn)


def test_each_fusion_says_what_it_fuses():
    told = words.fusions(["a", "b"], ["a", "b", "c"], 3)
    assert list(told) == list(results.FUSIONS) and len(set(told.values())) == len(told)
    assert told["fusion_mean"] == "mean of a and b"
    assert told["fusion_all"] == "mean of all 3 single models"
    told = words.fusions(["a", "b", "c"], ["a", "b", "c"], 4)
    assert told["fusion_mean"] == told["fusion_all"]
    assert told["fusion_all"] == "mean of all 3 single models but those with classes"


def test_places_below_the_folder_are_told_as_seen_from_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (".", "models", "a/models", tmp_path / "models"):
        place = Path(folder) / "unet" / "config.json"
        told = words.without_paths(f"{place} is empty. Train it.", folder)
        assert told == "unet/config.json is empty. Train it.", folder
    assert words.without_paths(f"{tmp_path / 'models'} is empty.", "models") == "models is empty."
