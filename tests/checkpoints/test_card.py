"""Model cards of checkpoints that were trained on one data set, and on several."""

from dataclasses import replace

from huggingface_hub import ModelCard

from brainseg.checkpoints.card import model_card, repository_card
from brainseg.checkpoints.card_scores import scored_parts
from brainseg.checkpoints.settings import Base, Settings, settings_of
from brainseg.config import Config
from brainseg.data import figshare, lgg


def scores(mean):
    figures = {"mean": mean, "low": mean - 0.1, "high": mean + 0.1, "median": mean, "patients": 9}
    return {"fold": 0, "dice": figures}


def trained_on(dataset, **settings) -> Settings:
    known = {"patients": {"train": 30, "val": 8, "test": 9}, "epochs_done": 3, "best_epoch": 2}
    return replace(settings_of(Config("unet", dataset=dataset, **settings)), **known)


VALIDATION = {"fold": 1, "patients": 8, "mean_dice": 0.7, "threshold": 0.5}
BOTH = trained_on("lgg+figshare", shares=(1, 0.5))
METRICS = {
    "validation": {**VALIDATION, "by_dataset": {"figshare": 0.6, "lgg": 0.8}},
    "test": {**scores(0.81), "empty_slices": 30, "false_positive_slices": 2},
    "test_slicewise": scores(0.71),
    "test_figshare": {**scores(0.61), "empty_slices": 0, "false_positive_slices": 0},
    "test_figshare_slicewise": scores(0.51),
}


def rows(card):
    """Cells of the tables' rows by their first cell."""
    lines = [line for line in card.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first: rest for first, *rest in cells}


def test_where_scores_lie():
    assert [part[0] for part in scored_parts(BOTH)] == [*METRICS][1:]
    assert scored_parts(trained_on("lgg")) == [
        ("test", "lgg", False), ("test_slicewise", "lgg", True)
    ]  # fmt: skip


def test_the_card_has_the_scores_of_each_set_by_name():
    card = model_card(BOTH, METRICS)
    found = rows(card)
    assert found["test on lgg (fold 0)"][1] == "0.810"
    assert found["test on lgg, each slice alone (fold 0)"][1] == "0.710"
    assert found["test on figshare (fold 0)"][1] == "0.610"
    assert found["test on figshare, each slice alone (fold 0)"][1] == "0.510"
    (validation,) = (first for first in found if first.startswith("validation"))
    assert "lgg 0.800, figshare 0.600" in validation and found[validation][1] == "0.700"
    assert f"on {lgg.TITLE} and {figshare.TITLE}." in card
    assert "On 30 test slices of lgg without tumour it marks something in 2." in card
    assert "100% of lgg's, 50% of figshare's" in card and "patients of 2 data sets" in card
    assert card.count(figshare.NOTE) >= 1


def test_what_the_hub_reads_has_both_sets_and_the_note_beside_figshare():
    results = ModelCard(model_card(BOTH, METRICS)).data.eval_results
    found = {(r.dataset_type, "alone" in r.metric_name): r for r in results}
    means = {key: r.metric_value for key, r in found.items()}
    lgg_scores, figshare_scores = (
        [means[name, alone] for alone in (False, True)] for name in ("lgg", "figshare")
    )
    assert (len(means), lgg_scores, figshare_scores) == (4, [0.81, 0.71], [0.61, 0.51])
    assert found["figshare", False].dataset_name == figshare.TITLE
    for (dataset, _), result in found.items():
        assert (result.metric_args.get("note") == figshare.NOTE) == (dataset == "figshare")


def test_both_licences_are_named():
    for card in (
        model_card(BOTH, METRICS),
        repository_card("ada/brainseg", [(BOTH, METRICS)]),
        repository_card("ada/brainseg", [(trained_on("lgg"), {}), (trained_on("figshare"), {})]),
    ):
        data = ModelCard(card).data
        assert data.license == "other" and data.license_name == "of-the-training-data"
        assert lgg.LICENCE in card and figshare.LICENCE in card
    assert ModelCard(model_card(trained_on("lgg"), {})).data.license == lgg.LICENCE_ID


def test_the_repositorys_card_has_a_row_for_each_set():
    card = repository_card("ada/brainseg", [(BOTH, METRICS)])
    lines = [line for line in card.splitlines() if line.startswith("| [unet-bce]")]
    assert len(lines) == 2 and "0.810" in lines[0] and "0.610" in lines[1]
    assert "lgg, fold 0" in lines[0] and "figshare, fold 0" in lines[1]
    assert figshare.NOTE in card


def test_a_card_of_one_set_says_what_it_said():
    one = {"validation": VALIDATION, **{key: METRICS[key] for key in ("test", "test_slicewise")}}
    card = model_card(trained_on("lgg"), one)
    found = rows(card)
    assert found["test (fold 0)"][1] == "0.810"
    assert found["test, each slice alone (fold 0)"][1] == "0.710"
    assert "On 30 test slices without tumour it marks something in 2." in card
    assert "patients of one data set" in card and figshare.NOTE not in card
    (line,) = (
        line for line in repository_card("ada/brainseg", [(trained_on("lgg"), one)]).splitlines()
        if line.startswith("| [unet-bce]")
    )  # fmt: skip
    assert "| lgg, fold 0 | 9 | 0.810 |" in line


def test_scores_of_nobody_are_not_zero():
    nobody = {"mean": float("nan"), "low": float("nan"), "high": float("nan"),
              "median": float("nan"), "patients": 0, "undefined": 2}  # fmt: skip
    lgg_only = trained_on("lgg")
    metrics = {
        "validation": {**VALIDATION, "patients": 0, "mean_dice": 0.0},
        "test": {"fold": 0, "dice": nobody},
        "test_slicewise": {"fold": 0},
    }
    found = rows(model_card(lgg_only, metrics))
    (validation,) = (first for first in found if first.startswith("validation"))
    assert found[validation][:2] == ["0", "undefined"]
    assert found["test (fold 0)"] == ["0", "undefined", "", "undefined"]
    assert "nan" not in model_card(lgg_only, metrics).lower().split("---")[2]
    assert "undefined" in repository_card("me/models", [(lgg_only, metrics)])
    found = rows(model_card(lgg_only, {"test": {"fold": 0}}))
    assert found["test (fold 0)"][:2] == ["0", "nobody is in it"]


def test_classes_are_told_with_their_values():
    card = model_card(trained_on("figshare", classes=figshare.CLASSES), {})
    assert "`result.labels`: meningioma (1), glioma (2), pituitary (3)." in card
    assert "tells classes apart" not in model_card(trained_on("figshare"), {})


def test_scores_of_classes_are_told_where_there_are_some():
    kinds = trained_on("figshare", classes=figshare.CLASSES)
    figures = {"dice": {"glioma": scores(0.7)["dice"]}}
    test = {**scores(0.8), "classes": figures}
    card = model_card(kinds, {"test": test})
    assert "who have them (test, fold 0): glioma 0.700 (9)." in card and "kind of a" not in card
    figures["kind_right"] = {"mean": 0.9, "low": 0.85, "high": 0.95, "patients": 9, "slices": 40}
    card = model_card(kinds, {"test": test})
    assert "right in a share of 0.900 (0.850 to 0.950) of 40, each kind counting alike." in card


def test_who_never_saw_flair_is_not_said_to_read_it():
    t1c = "trained on post-contrast T1 alone, in the place"
    assert t1c in model_card(trained_on("figshare"), {})
    for dataset in ("lgg", "lgg+figshare"):
        card = model_card(trained_on(dataset), {})
        assert "A single grey picture stands for all three" in card and t1c not in card


def test_it_says_whose_maps_a_stack_was_fitted_on():
    for maps, but in (("pairs", False), ("singles", True)):
        run = Config("unetpp", bases=("unet-bce",), left_out=(0,), stack_maps=maps)
        stack = replace(BOTH, run=run, bases=(Base("unet-bce", "0" * 64),))
        card = model_card(stack, {})
        assert "fitted on predictions for patients whom the predicting network had not seen" in card
        assert ("though it had seen those of the test fold" in card) == but
