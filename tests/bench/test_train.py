"""The training bench at toy size: what it reports, not how fast."""

import json

import pytest

from brainseg.__main__ import main
from brainseg.bench import train


@pytest.fixture
def small(monkeypatch):
    """Two models, one of each kind, at a size that takes seconds."""
    monkeypatch.setattr(train, "MODELS", {name: train.MODELS[name] for name in ("unet", "unetpp")})
    monkeypatch.setattr(train, "ROUNDS", 1)
    monkeypatch.setattr(train, "WORKERS", (0, 1))
    monkeypatch.setattr(train, "peak_memory_gb", lambda: 1.5)


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_stdout_is_one_object_with_each_ratio_beside_its_medians(capsys):
    flags = ["--size", "32", "--batch-size", "2", "--compile", "eager"]
    assert main(["bench", "train", "--json", *flags]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["size_px"], result["batch_size"], result["compiler"]) == (32, 2, "eager")
    ratios = [key for key in result if key.endswith("_ratio")]
    assert ratios == ["unet_step_ratio", "unetpp_step_ratio"]
    for name in ("unet", "unetpp"):
        r = {key.removeprefix(f"{name}_"): v for key, v in result.items() if key.startswith(name)}
        assert r["step_ratio"] == pytest.approx(r["reference_s"] / r["ours_s"])
        assert r["images_per_s"] == pytest.approx(2 / r["ours_s"])
        assert r["reference_workers"] in (0, 1)
        assert r["share_of_peak"] > 0 and r["input_share"] > 0
    assert result["peak_tflops"] > 0 and result["copy_gb_per_s"] > 0 and result["machine"]


def test_the_table_has_one_line_per_model():
    figures = ("reference_s", "ours_s", "step_ratio", "images_per_s", "input_share",
               "share_of_peak", "reference_workers")  # fmt: skip
    result = {f"{name}_{key}": 2 for name in train.MODELS for key in figures}
    result |= {"machine": "a machine", "precision": "bf16", "size_px": 192, "batch_size": 16,
               "peak_tflops": 1.0, "copy_gb_per_s": 20.0}  # fmt: skip
    table = [line for line in train.report(result).splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(train.MODELS) and len({line.count("|") for line in table}) == 1
