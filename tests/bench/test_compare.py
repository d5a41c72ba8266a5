"""What the benchmark of the comparison measures is the same comparison on both sides."""

import json

import numpy as np
import pytest

from brainseg.bench import compare, plain_comparison, stand_ins
from brainseg.bench.processes import in_own_process, resident_gb
from brainseg.inference.predictor import load_usable, predict_all


def test_the_plain_comparison_finds_the_same_masks(random_checkpoints, phantom_case):
    seconds, masks = plain_comparison.make(random_checkpoints)(phantom_case.scan)
    assert seconds > 0
    predictors, _ = load_usable(random_checkpoints, "pytorch")
    for result in predict_all(phantom_case.scan, predictors):
        if result.name != "fusion_weighted":  # stand-ins have no scores to weigh them by
            assert (masks[result.name] == result.mask).mean() > 0.999, result.name


def _scaler(factor):
    def scale(value):
        if value is None:
            raise ValueError("nothing to scale")
        return factor * value

    return scale


def test_work_in_a_process_of_its_own():
    with in_own_process(_scaler, 3) as scale:
        assert scale(2) == 6
        with pytest.raises(ValueError, match="nothing to scale"):
            scale(None)
        assert scale(1) == 3  # an error does not end it


def test_resident_memory_is_that_of_this_process():
    before = resident_gb()
    held = np.ones(2**27, np.uint8)
    assert 0.1 < resident_gb() - before < 0.2 and held.any()


@pytest.mark.slow
def test_the_whole_benchmark_in_small(tmp_path):
    result = compare.run(
        tmp_path, size=64, rounds=1, volume_shape=(32, 48, 48), starts=1, visitors=2,
        comparisons=2, compile_s=0,
    )  # fmt: skip
    json.dumps(result, allow_nan=False)
    names = {f"{model}-{loss}" for model, loss in stand_ins.ROWS}
    assert set(result["random_weights"]) == set(result["models"]) == names
    assert result["visitors_errors"] == result["visitors_with_wrong_answers"] == 0
    assert all(value > 0 for key, value in result.items() if key.endswith("_ratio"))
    table = compare.page(result)
    assert all(name in table for name in names)
