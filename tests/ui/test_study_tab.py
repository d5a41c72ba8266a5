import json
from pathlib import Path

from brainseg.ui import models_tab, study_tab


def write(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))


def test_without_a_study_it_is_said_what_is_missing(tmp_path):
    html = study_tab.render(tmp_path / "none", tmp_path / "none")
    assert "Still missing" in html and "claims: not there yet" in html
    assert "There is no study yet" in html


def test_until_then_the_models_own_scores_are_shown(tmp_path):
    folder = tmp_path / "unet-bce"
    folder.mkdir()
    dice = {"mean": 0.85, "low": 0.8, "high": 0.9, "patients": 15}
    (folder / "metrics.json").write_text(json.dumps({"test": {"fold": 0, "dice": dice}}))
    html = study_tab.render(tmp_path / "none", tmp_path)
    assert "0.850 (0.800 to 0.900)" in html and 'data-choose="unet-bce"' in html


def test_the_leaderboard_is_sorted_and_columns_without_figures_are_left_out(tmp_path):
    rows = [
        {"name": "worse", "kind": "model", "dice": {"mean": 0.7, "low": 0.6, "high": 0.8}},
        {
            "name": "better",
            "dice": {"mean": 0.8, "low": 0.7, "high": 0.9, "median": 0.81},
            "false_positive_slices": 3,
            "empty_slices": 10,
            "rank": {"first_share": 0.75, "low": 1, "high": 2},
            "ece_before": 0.1,
            "ece_after": 0.05,
        },
        {"name": "new"},
    ]
    board = {"dataset": "lgg", "fold": 0, "patients": 15, "rows": rows}
    write(tmp_path, leaderboard=board, missing=["unetpp-bce: not trained yet"])
    html = study_tab.render(tmp_path, tmp_path)
    assert html.index("better") < html.index("worse") < html.index("new")
    assert "3 of 10" in html and "75%" in html and "0.100 → 0.050" in html and "1 to 2" in html
    assert "Latency" not in html and "HD95" not in html
    assert "not measured" in html and "unetpp-bce: not trained yet" in html
    assert "15 patients" in html


def test_claims_and_figures(tmp_path):
    claim = {"claim": "a > b", "verdict": "refuted", "difference": -0.02, "low": -0.05,
             "high": 0.01, "p_holm": 0.4, "text": "<no>"}  # fmt: skip
    figures = [
        {"file": "pareto.png", "title": "Dice against cost", "alt": "A plot"},
        {"file": "../../secret.png", "title": "Elsewhere"},
    ]
    (tmp_path / "secret.png").write_bytes(b"secret")
    folder = tmp_path / "docs" / "study"
    folder.mkdir(parents=True)
    (folder / "pareto.png").write_bytes(b"\x89PNG")
    write(folder, claims=[claim, {}], figures=figures)
    html = study_tab.render(folder, tmp_path)
    assert "a &gt; b" in html and "&lt;no&gt;" in html and "refuted" in html
    write(folder, leaderboard={"claims_note": "on <others>"})
    assert "on &lt;others&gt;" in study_tab.render(folder, tmp_path)
    assert 'alt="A plot"' in html and "Elsewhere: not there yet" in html


def test_damaged_and_odd_files_are_as_good_as_missing(tmp_path):
    write(tmp_path, leaderboard=[1], claims={"a": 1}, figures="x", missing=None)
    (tmp_path / "claims.json").write_text("{")
    assert "Still missing" in study_tab.render(tmp_path, tmp_path)


def test_models_are_listed_with_their_cards(random_checkpoints):
    html = models_tab.render(random_checkpoints)
    assert "unetpp-bce" in html and "ensemble of unet-bce, unet_resnet34-bce" in html
    assert "apache-2.0" in html and "Add your own" in html
    assert models_tab.cards(random_checkpoints)["unet-bce"].startswith("# untrained")


def test_a_model_without_a_card_gets_one(tmp_path):
    shipped = Path(__file__).parents[2] / "checkpoints" / "unet-bce"
    folder = tmp_path / "unet-bce"
    folder.mkdir()
    for name in ("config.json", "metrics.json", "model.safetensors"):  # as from the Hub
        (folder / name).symlink_to(shipped / name)
    assert "cc-by-nc-sa-4.0" in models_tab.render(tmp_path)
    assert "Not for clinical use" in models_tab.cards(tmp_path)["unet-bce"]
    (folder / "metrics.json").unlink()
    assert "has no model card" in models_tab.cards(tmp_path)["unet-bce"]


def test_a_new_folder_appears_and_a_damaged_one_is_named(random_checkpoints, tmp_path):
    assert "no model yet" in models_tab.render(tmp_path)
    (tmp_path / "mine").symlink_to(random_checkpoints / "unet-bce")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "config.json").write_text("{}")
    html = models_tab.render(tmp_path / "mine")
    assert "unet-bce" in html
    assert "Left out" in models_tab.render(tmp_path)
