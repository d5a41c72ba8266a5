"""Models trained alike on several data sets, side by side: made-up scores, counted by hand."""

import json

import numpy as np
import pytest

from brainseg.study.family import HELD_OUT, OUT_OF_FOLD, READ_BY, family, order_text
from brainseg.study.family_section import readme_family
from brainseg.study.findings import Study
from brainseg.study.report import FAMILY_MARKS, MARKS, write_report
from brainseg.study.score import COLUMNS, write_results

UNET, DEEPLAB, STACK = (
    f"{model}_efficientnet-bce" for model in ("unet", "deeplabv3plus", "unetpp")
)
DEEPLAB_CLAIM = "DeepLabV3+ is the better single model"


def write(folder, dataset, dice, selection="fold 0", folds=1):
    """Scores of made-up patients, dealt to the folds in turn."""
    rows = [
        {
            **dict.fromkeys(COLUMNS, 0.5),
            "checkpoint": name,
            "model": name.removesuffix("-bce"),
            "patient": f"{dataset} {i:02}",
            "fold": i % folds,
            "dice": value,
            "hd95_mm": np.nan,
        }
        for name, values in dice.items()
        for i, value in enumerate(values)
    ]
    patients = len(next(iter(dice.values())))
    about = {"dataset": dataset, "selection": selection, "patients": patients, "note": ""}
    write_results(rows, folder, {**about, "slicewise": False})


def conclude(study, of, minus, claim=""):
    """Write a conclusion on the difference of two rows by hand."""
    (study / "conclusions.toml").write_text(f"""[[conclusions]]
        title = "Architectures"
        sentence = "Take the U-Net."
        of = "{of}"
        minus = "{minus}"
        claim = "{claim}"
        show = {{ example = "small" }}
        shown = ""
        """)


@pytest.fixture
def study(tmp_path):
    """The U-Net leads by 0.1 in every patient of LGG, and in one fold of two of figshare."""
    folder = tmp_path / "docs" / "study"
    write(folder, "lgg", {"unet-bce": [0.5, 0.6]})
    twelve = np.linspace(0.5, 0.9, 12)
    selection = "out of fold: each by the run that had left them out"
    lgg = {UNET: twelve + 0.1, DEEPLAB: twelve}
    write(folder / "out-of-fold" / "lgg", "lgg", lgg, selection, 2)
    mixed = {UNET: twelve + np.tile((0.03, -0.01), 6), DEEPLAB: twelve}
    write(folder / "out-of-fold" / "figshare", "figshare", mixed, selection, 2)
    held = {STACK: [0.8, 0.9], UNET: [0.9, 0.7], DEEPLAB: [0.1, 0.2], "fusion_mean": [0.5, 0.6]}
    write(folder / "held-out" / "lgg", "lgg", held)
    return folder


def test_groups_hold_every_data_set_with_its_scores_by_fold(study):
    everyone, held = family(Study(study))
    assert (everyone["title"], held["title"]) == (OUT_OF_FOLD, HELD_OUT)
    lgg, figshare = everyone["sets"]  # as data sets stand everywhere
    assert (lgg["dataset"], figshare["dataset"]) == ("lgg", "figshare")
    assert lgg["folder"] == "out-of-fold/lgg" and lgg["patients"] == 12
    assert lgg["scores"][UNET]["mean"] == pytest.approx(0.8)
    even, odd = np.linspace(0.5, 0.9, 12)[::2], np.linspace(0.5, 0.9, 12)[1::2]
    folds = figshare["scores"][UNET]["folds"]
    assert folds == pytest.approx({"0": even.mean() + 0.03, "1": odd.mean() - 0.01})
    assert held["sets"][0]["scores"][STACK]["folds"] == {}  # one fold is no spread


def test_what_is_said_of_these_very_scores_is_by_hand(study):
    assert [group["told"] for group in family(Study(study))] == [READ_BY, ""]
    assert "fold 0" not in READ_BY and "U-Net" not in READ_BY
    (study / "out-of-fold" / "told.md").write_text("All is one seed.\n")
    (study / "held-out" / "told.md").write_text("The U-Net++ is shipped.\n")
    everyone, held = family(Study(study))
    assert everyone["told"] == f"All is one seed. {READ_BY}"
    assert held["told"] == "The U-Net++ is shipped."


def test_a_claim_is_judged_wherever_its_models_are(study):
    everyone, held = family(Study(study))
    lgg, figshare = (one["claims"] for one in everyone["sets"])
    assert [claim["claim"] for claim in lgg] == [DEEPLAB_CLAIM]
    assert lgg[0]["difference"] == pytest.approx(-0.1)
    assert [(one[0]["verdict"], one[0]["text"].split("; ")[-1]) for one in (lgg, figshare)] == [
        ("refuted", "so in 2 of 2 folds"),
        ("not confirmed", "so in 1 of 2 folds"),
    ]
    (own,) = held["sets"]
    deeplab, fusing, both = own["claims"]
    assert deeplab["claim"] == DEEPLAB_CLAIM and "folds" not in deeplab["text"]  # one fold
    assert fusing["difference"] == pytest.approx(0.3) and both["other"] == UNET


def test_the_order_of_models_is_compared_over_data_sets(study):
    everyone, held = family(Study(study))
    assert everyone["names"] == [UNET, DEEPLAB] and held["names"][0] == STACK
    assert (
        order_text(everyone)
        == "By their means the models stand in the same order on lgg and figshare."
    )
    assert order_text(held) == ""  # one data set has nothing to agree with
    other = {STACK: [0.1, 0.2], UNET: [0.9, 0.8], "fusion_mean": [1.0, 1.0]}
    write(study / "held-out" / "figshare", "figshare", other)
    group = family(Study(study))[1]
    told = order_text(group)
    assert f"`{UNET}` before `{STACK}` on figshare" in told and "fusion" not in told
    assert f"`{STACK}` before `{UNET}` on lgg" in told
    assert DEEPLAB not in told  # which only one of the two has
    assert [len(one["claims"]) for one in group["sets"]] == [3, 1]


def test_models_of_classes_stand_in_their_own_section_and_those_without_dice_nowhere(study):
    classes = f"{UNET}-classes"
    for folder in ("out-of-fold/figshare-kinds", "held-out/lgg"):
        dice = {classes: [0.8, 0.9]}
        if folder == "held-out/lgg":
            dice |= {UNET: [0.9, 0.7], DEEPLAB: [np.nan, np.nan]}
        write(study / folder, "figshare", dice)
        (study / folder / "per_class.csv").write_text(
            f"checkpoint,patient,class,dice\n{classes},b,c,0.5\n"
        )
    everyone, held = family(Study(study))
    assert len(everyone["sets"]) == 2
    assert list(held["sets"][0]["scores"]) == [UNET] and held["sets"][0]["claims"] == []


def test_page_readme_and_conclusions_say_the_same(study):
    readme = study.parents[1] / "README.md"
    readme.write_text("\n".join(MARKS))
    conclude(study, f"out-of-fold/lgg/{UNET}", f"out-of-fold/lgg/{DEEPLAB}", DEEPLAB_CLAIM)
    with pytest.raises(ValueError, match="family table"):
        write_report(study, readme)
    readme.write_text("\n".join((*MARKS, *FAMILY_MARKS)))
    write_report(study, readme)
    page = study.with_suffix(".md").read_text()
    assert f"| `{UNET}` | 0.800 (0.7" in page and "**refuted**" in page
    assert f"| `{UNET}` | figshare | " in page and "so in 2 of 2 folds" in page
    first, *rest = [line for line in readme.read_text().splitlines() if "lgg, out of fold" in line]
    assert "| lgg, fold 0, 2 patients |" in first and not rest
    (told,) = json.loads((study / "conclusions.json").read_text())
    assert told["what"] == f"{UNET} minus {DEEPLAB}, on lgg, out of fold"
    assert told["patients"] == 12 and told["verdict"].startswith(
        f"The claim “{DEEPLAB_CLAIM}” is refuted: p = "
    )
    assert write_report(study, readme, check=True) == []


def test_the_table_shows_no_interval_of_one_patient(study):
    write(study / "held-out" / "lgg", "lgg", {UNET: [0.9]})
    table = readme_family(Study(study))
    assert "| 0.900 |" in table and "nan" not in table


def test_a_conclusion_is_on_the_same_patients(study):
    readme = study.parents[1] / "README.md"
    readme.write_text("\n".join((*MARKS, *FAMILY_MARKS)))
    conclude(study, f"out-of-fold/lgg/{UNET}", f"out-of-fold/figshare/{DEEPLAB}")
    with pytest.raises(ValueError, match="expected the same patients"):
        write_report(study, readme)
