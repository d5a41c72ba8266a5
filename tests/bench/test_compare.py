"""What the benchmark of the comparison measures is the same comparison on both sides."""

import json

import pytest

from brainseg.bench import compare, plain_comparison
from brainseg.inference.loading import load_usable
from brainseg.inference.predictor import predict_all
from brainseg.study.claims import ROWS


def test_the_plain_comparison_finds_the_same_masks(random_checkpoints, phantom_case):
    seconds, masks = plain_comparison.make(random_checkpoints)(phantom_case.scan)
    assert seconds > 0
    predictors, _ = load_usable(random_checkpoints, "pytorch")
    for result in predict_all(phantom_case.scan, predictors):
        if result.name != "fusion_weighted":  # stand-ins have no scores to weigh them by
            assert (masks[result.name] == result.mask).mean() > 0.999, result.name


@pytest.mark.slow
def test_the_whole_benchmark_in_small(random_checkpoints):
    result = compare.run(
        random_checkpoints, size=64, rounds=1, volume_shape=(32, 48, 48), starts=1, visitors=2,
        comparisons=2, compile_s=0,
    )  # fmt: skip
    json.dumps(result, allow_nan=False)
    # The stack of that folder was not fitted on the stand-ins of its bases' names.
    assert set(result["random_weights"]) == {*ROWS} - {"unet-bce"}
    others = {"unet_resnet34-resnet18-bce", "deeplabv3plus-resnet18-bce"}
    assert set(result["models"]) == {*ROWS} | others
    assert result["visitors_errors"] == result["visitors_with_wrong_answers"] == 0
    assert all(value > 0 for key, value in result.items() if key.endswith("_ratio"))
    table = compare.page(result)
    assert all(name in table for name in result["models"])
