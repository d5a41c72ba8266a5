"""Graphs for others: usable without brainseg, checked, and not kept when wrong."""

import json

import numpy as np
import pytest

from brainseg.__main__ import main
from brainseg.inference import export as exporting
from brainseg.inference.backends import opening
from brainseg.inference.export import ExportError, export
from brainseg.inference.loading import load
from brainseg.scans.preprocessing import CLIP, normalise, prepare

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")


@pytest.fixture
def planes(phantom_case):
    prepared = prepare(phantom_case.scan.pixels, 64)
    return normalise(prepared.images, prepared.statistics)


def test_an_onnx_graph_serves_without_brainseg(random_checkpoints, planes, tmp_path, capsys):
    path = tmp_path / "new" / "it.onnx"
    command = ["export", "unet-bce", "--format", "onnx", "--out", str(path)]
    assert main([*command, "--checkpoints", str(random_checkpoints)]) == 0
    assert str(path) in capsys.readouterr().out
    session = onnxruntime.InferenceSession(path)
    told = json.loads(session.get_modelmeta().custom_metadata_map["brainseg"])
    predictor = load("unet-bce", random_checkpoints, "pytorch")
    assert told["threshold"] == predictor.threshold
    assert told["weights_sha256"] == predictor.checkpoint.sha256()
    assert told["reads"] == ["image"]
    assert told["preprocessing"]["size"] == 64 and told["preprocessing"]["clip"] == CLIP
    assert told["preprocessing"]["channels"] == ["T1", "FLAIR", "T1c"]
    (found,) = session.run(["probabilities"], {"planes": planes})
    np.testing.assert_allclose(found[:, 0], predictor.forward(planes), atol=1e-3)


def test_an_openvino_graph_serves_without_brainseg(random_checkpoints, planes, tmp_path):
    from brainseg.inference.backends.openvino import openvino

    path = tmp_path / "it.xml"
    predictor = load("unetpp-bce", random_checkpoints, "pytorch")
    assert "at most" in export(predictor, "openvino", path)
    model = openvino.Core().read_model(path)
    told = json.loads(model.get_rt_info("brainseg").value)
    assert told["reads"] == ["unet_resnet34-resnet18-bce", "deeplabv3plus-resnet18-bce"]
    maps = np.random.default_rng(0).random((3, 2, 64, 64), np.float32)
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    found = openvino.Core().compile_model(model, "CPU", settings)({"planes": maps})
    np.testing.assert_allclose(found["probabilities"][:, 0], predictor.forward(maps), atol=1e-3)


@pytest.mark.parametrize("kind, name", [("onnx", "it.onnx"), ("openvino", "it.xml")])
def test_a_graph_that_differs_is_not_kept(random_checkpoints, tmp_path, monkeypatch, kind, name):
    predictor = load("unet-bce", random_checkpoints, "pytorch")
    other = load("unet_resnet34-resnet18-bce", random_checkpoints, "pytorch")
    write = exporting.graphs.write
    monkeypatch.setattr(exporting.graphs, "write", lambda _, *rest: write(other.checkpoint, *rest))
    with pytest.raises(ExportError, match="differs from PyTorch"):
        export(predictor, kind, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_wrong_names_and_missing_packages_are_said(random_checkpoints, tmp_path, monkeypatch):
    predictor = load("unet-bce", random_checkpoints, "pytorch")
    with pytest.raises(ExportError, match=r"it\.pt.*\.onnx"):
        export(predictor, "onnx", tmp_path / "it.pt")
    monkeypatch.setattr(opening, "find_spec", lambda name: None)
    with pytest.raises(ExportError, match="pip install openvino"):
        export(predictor, "openvino", tmp_path / "it.xml")
    with pytest.raises(ValueError, match="onnxruntime needs packages: pip install onnx"):
        opening.open_backend("onnxruntime", predictor.checkpoint)


def test_the_command_tells_an_unknown_checkpoint(random_checkpoints, capsys):
    command = ["export", "nothing", "--format", "onnx", "--checkpoints", str(random_checkpoints)]
    assert main(command) == 1
    assert "unet-bce" in capsys.readouterr().err
