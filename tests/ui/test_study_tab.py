import json
import re
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
    one = {**dice, "low": float("nan"), "high": float("nan"), "patients": 1}
    (folder / "metrics.json").write_text(json.dumps({"test": {"fold": 0, "dice": one}}))
    html = study_tab.render(tmp_path / "none", tmp_path)
    assert "0.850" in html and "nan" not in html


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


def test_a_fusion_is_not_offered_where_another_may_have_its_name(tmp_path):
    dice = {"mean": 0.7, "low": 0.6, "high": 0.8, "median": 0.71}
    rows = [{"name": name, "kind": kind, "dice": dice}
            for name, kind in (("unet-bce", "model"), ("fusion_mean", "fusion"))]  # fmt: skip
    write(tmp_path, leaderboard={"rows": rows})
    html = study_tab.render(tmp_path, tmp_path)
    assert 'data-choose="unet-bce"' in html and 'data-choose="fusion_mean"' not in html


def test_the_short_table_leads_to_all_columns(tmp_path):
    row = {"name": "one", "dice": {"mean": 0.7, "low": 0.6, "high": 0.8, "median": 0.71},
           "recall": {"mean": 0.912}, "parameters": 57_900_000}  # fmt: skip
    write(tmp_path, leaderboard={"rows": [row]})
    short, _, every = study_tab.render(tmp_path, tmp_path).partition("All columns")
    assert "0.710" in short and "Recall" not in short and 'class="interval"' in short
    assert "0.912" in every and "57.9 M" in every and "0.710" in every


def test_conclusions_come_first_with_a_figure_and_an_address_to_look_at(tmp_path):
    one = {"title": "Losses", "sentence": "a < b", "difference": 0.03, "low": -0.01, "high": 0.06,
           "patients": 15, "what": "x minus y", "shown": "as shipped",
           "show": {"example": "small", "left": "a&b", "view": "errors"}}  # fmt: skip
    write(tmp_path, conclusions=[one, "no conclusion", {"title": "Bare", "show": []}])
    html = study_tab.render(tmp_path, tmp_path)
    assert html.index("a &lt; b") < html.index("Leaderboard")
    assert "+0.030" in html and "-0.010 to +0.060, 15 patients<br>x minus y<" in html
    assert 'href="?example=small&amp;left=a%26b&amp;view=errors"' in html
    assert html.count("show-me") == 1 and "Bare" in html and "None" not in html


def test_claims_and_figures(tmp_path):
    claim = {"claim": "a > b", "verdict": "refuted", "difference": -0.02, "low": -0.05,
             "high": 0.01, "p_holm": 0.4, "text": "<no>", "better": "a", "comparisons": [
                 {"other": "b", "difference": -0.02, "low": -0.05, "high": 0.01, "p_holm": 0.4},
                 {"other": "<c>", "difference": 0.5}, "none"]}  # fmt: skip
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
    assert "a minus b" in html and "a minus &lt;c&gt;" in html and "+0.500" in html
    assert 'aria-label="Enlarge: Dice against cost"' in html and "<dialog" in html
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
    assert models_tab.cards(random_checkpoints)["unet-bce"].startswith("## untrained")


def test_headings_of_a_card_go_below_those_of_the_page(random_checkpoints, tmp_path):
    folder = tmp_path / "unet-bce"
    folder.mkdir()
    for name in ("config.json", "metrics.json", "model.safetensors"):
        (folder / name).symlink_to(random_checkpoints / "unet-bce" / name)
    text = "# One\n```python\n# no heading\n```\n## Two\n#hash\n"
    (folder / "README.md").write_text(text)
    wanted = "## One\n```python\n# no heading\n```\n### Two\n#hash\n"
    assert models_tab.cards(tmp_path)["unet-bce"] == wanted


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


def test_data_sets_stand_beside_each_other_before_the_leaderboard(tmp_path):
    score = {"mean": 0.8, "low": 0.7, "high": 0.9}
    claim = {"claim": "A is <best>", "verdict": "refuted", "text": "by 0.1"}
    lgg = {"dataset": "lgg", "selection": "fold 0", "patients": 15, "scores": {"a": score}}
    figshare = {**lgg, "dataset": "figshare", "scores": {"b": score}, "claims": [claim]}
    group = {"title": "On the held-out fold", "sets": [lgg, figshare]}
    write(tmp_path, family=[group, "odd", {"title": "none", "sets": [3]}])
    html = study_tab.render(tmp_path, tmp_path)
    assert html.index("On the held-out fold") < html.index("Leaderboard") and "none" not in html
    assert "On lgg: fold 0, 15 patients." in html and html.count("0.800 (0.700 to 0.900)") == 2
    assert 'data-choose="b"' in html and "A is &lt;best&gt;" in html


def test_every_region_of_the_projects_own_study_has_a_name_of_its_own():
    root = Path(__file__).parents[2]
    html = study_tab.render(root / "docs" / "study", root / "checkpoints")
    names = re.findall(r'role="region" aria-label="([^"]*)"', html)
    assert len(names) > 5 and len(names) == len(set(names))
