"""Which models are fused."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from stand_ins import BASES, MODELS, close, sample

from brainseg.inference import fused_models, fusion, predictor
from brainseg.inference.loading import load, load_all
from brainseg.inference.predictor import predict_all
from brainseg.inference.results import FUSIONS, Result


def test_fusions_are_of_the_models_that_the_stack_reads(compared):
    bases = [compared.results[name] for name in BASES]
    results = compared.results
    close(results["fusion_mean"].probabilities, np.mean([b.probabilities for b in bases], 0))
    assert results["fusion_mean"].threshold == 0.5
    np.testing.assert_array_equal(results["fusion_vote"].mask, bases[0].mask & bases[1].mask)
    close(results["fusion_staple"].probabilities, fusion.staple([b.mask for b in bases])[0])
    everyone = [results[name] for name in MODELS if results[name].kind == "model"]
    assert len(everyone) == 3
    close(results["fusion_all"].probabilities, np.mean([r.probabilities for r in everyone], 0))
    thresholds = [result.threshold for result in everyone]
    assert results["fusion_all"].threshold == pytest.approx(np.mean(thresholds))
    assert [r.name for r in results.values() if r.kind == "fusion"] == list(FUSIONS)
    assert bases[0].mask.any() and (bases[0].mask != bases[1].mask).any()


def test_without_a_stack_fusions_are_of_all_models(random_checkpoints, phantom_case):
    predictors, _ = load_all(random_checkpoints)
    del predictors["unetpp-bce"]
    found = predict_all(phantom_case.scan, predictors)
    models = [next(found).probabilities for _ in range(3)]
    fused, *others = found
    assert fused.name == "fusion_mean"
    close(fused.probabilities, np.mean(models, 0))
    assert "fusion_all" not in [other.name for other in others]


def test_a_model_with_classes_changes_no_fusion(monkeypatch):
    levels = {"a": 0.2, "b": 0.4, "c": 0.9}
    run = lambda scan, predictors, **_: (  # noqa: E731
        Result(label, "model", np.full((1, 2, 2), levels[label], np.float32), 0.5)
        for label in predictors
    )
    monkeypatch.setattr(predictor, "_gate", run)

    def mean_with(classes):
        predictors = {
            label: SimpleNamespace(kind="model", bases=[], validation_dice=None, classes=own,
                                   checkpoint=SimpleNamespace(folder=Path(label)))
            for label, own in zip("abc", classes, strict=True)
        }  # fmt: skip
        found = list(predict_all(sample((1, 2, 2, 1)), predictors))
        expected = fused_models.expected_results(predictors)
        assert [(result.name, result.kind) for result in found] == expected
        return found[3].probabilities[0, 0, 0]

    kinds = ("glioma", "meningioma")
    assert mean_with([(), (), ()]) == pytest.approx(0.5)
    assert mean_with([(), (), kinds]) == pytest.approx(0.3)
    assert mean_with([(), kinds, kinds]) == pytest.approx(0.5)  # one alone is not fused


def test_of_several_stacks_the_best_on_validation_says_what_is_fused():
    def stand_in(folder, kind="model", dice=None, bases=()):
        checkpoint = SimpleNamespace(folder=Path(folder))
        return SimpleNamespace(
            kind=kind, classes=(), validation_dice=dice, bases=bases, checkpoint=checkpoint
        )

    singles = {name: stand_in(name) for name in "abcd"}
    first = stand_in("first", "ensemble", 0.7, [singles["a"], singles["b"]])
    second = stand_in("second", "ensemble", 0.8, [singles["c"], singles["d"]])
    without = stand_in("without", "ensemble", 0.9, [singles["a"], stand_in("not there")])
    found = {**singles, "first": first, "second": second, "without": without}
    assert fused_models.fusion_members(found) == (["c", "d"], ["a", "b", "c", "d"])
    lone = {**singles, "lone": stand_in("lone", "ensemble", 0.9, [singles["a"]])}
    assert fused_models.fusion_members(lone)[0] == ["a", "b", "c", "d"]  # one is no fusion
    many = {str(number): stand_in(str(number)) for number in range(64)}
    assert "fusion_staple" not in dict(fused_models.expected_results(many))
    results = {
        name: Result(name, "model", np.full((1, 1, 1), 0.7, np.float32), 0.5) for name in many
    }
    fused = [one.name for one in fused_models.fusions(many, results)]
    assert fused == ["fusion_mean", "fusion_vote"]
    for dice in (0.7, 0.6, None):  # of equal ones the first
        second.validation_dice = dice
        assert fused_models.fusion_members(found)[0] == ["a", "b"]


def test_one_model_is_not_fused_and_fusions_can_be_left_out(random_checkpoints, phantom_case):
    one = {"unet-bce": load("unet-bce", random_checkpoints)}
    assert [r.name for r in predict_all(phantom_case.scan, one)] == ["unet-bce"]
    predictors, _ = load_all(random_checkpoints)
    names = {r.name for r in predict_all(phantom_case.scan, predictors, fusions=False)}
    assert names == set(MODELS)
