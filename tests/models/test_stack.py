"""The correcting U-Net++: what it is before it has learned anything, and that it comes back."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from brainseg.checkpoints.folder import (
    architecture_json,
    load_module,
    read_checkpoint,
    save_checkpoint,
)
from brainseg.checkpoints.settings import Base, CheckpointError, settings_of
from brainseg.config import Config
from brainseg.inference.export import export
from brainseg.inference.loading import load
from brainseg.models.building import ModelError, create_model

CONFIG = Config(
    "unetpp", encoder="resnet18", size=64, bases=("one", "two"), stack_output="correction"
)


def build(inputs="predictions"):
    torch.manual_seed(0)
    return create_model(
        "unetpp", encoder="resnet18", bases=("one", "two"), stack_inputs=inputs,
        stack_output="correction",
    ).eval()  # fmt: skip


def maps(*values):
    """Two maps of one probability each, (1, 2, 32, 32)."""
    return torch.tensor(values)[None, :, None, None].expand(1, len(values), 32, 32)


@pytest.mark.parametrize("inputs", ["predictions", "predictions+image"])
def test_untrained_it_is_the_mean_of_its_bases_logits(inputs):
    x = maps(0.5, 0.9)
    if inputs != "predictions":
        x = torch.cat([x, torch.randn(1, 3, 32, 32)], 1)
    found = build(inputs)(x)
    assert found.shape == (1, 1, 32, 32)
    torch.testing.assert_close(found, torch.full_like(found, np.log(9) / 2))


def test_certain_bases_give_finite_logits():
    found = build()(maps(0.0, 1.0))
    torch.testing.assert_close(found, torch.zeros_like(found), atol=1e-4, rtol=0)
    assert build()(maps(1.0, 1.0)).amax().item() == pytest.approx(np.log(999), rel=1e-3)


def test_it_learns_a_correction():
    module = build().train()
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    x, y = maps(0.2, 0.4).expand(2, -1, -1, -1).contiguous(), torch.ones(2, 1, 32, 32)
    losses = []
    for _ in range(5):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(module(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


BASES = (Base("one", "0" * 64), Base("two", "1" * 64))


def save(folder, bases=BASES):
    module = build()
    with torch.no_grad():
        module.segmentation_head[0].weight.normal_(0, 0.1)
    settings = replace(settings_of(CONFIG), bases=bases)
    return module, save_checkpoint(
        folder, module.state_dict(), architecture_json(module), settings, {}
    )


def test_it_comes_back_the_same(tmp_path):
    module, saved = save(tmp_path / "unetpp-bce")
    back = load_module(read_checkpoint(saved.folder))
    assert type(back) is type(module) and back.bases == 2
    x = torch.rand(2, 2, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, found = module(x), back(x)
    torch.testing.assert_close(found, expected, atol=2e-2, rtol=0)
    assert (expected - torch.logit(x).mean(1, keepdim=True)).abs().max() > 0.1


@pytest.mark.parametrize(("format", "name"), [("onnx", "it.onnx"), ("openvino", "it.xml")])
def test_its_graphs_give_the_same(random_checkpoints, tmp_path, format, name):
    """``export`` compares a graph with the network, and keeps none that differs."""
    pytest.importorskip("onnxruntime" if format == "onnx" else "openvino")
    names = ["unet_resnet34-resnet18-bce", "deeplabv3plus-resnet18-bce"]
    for base in names:
        shutil.copytree(random_checkpoints / base, tmp_path / base)
    bases = tuple(Base(base, read_checkpoint(tmp_path / base).sha256()) for base in names)
    _, saved = save(tmp_path / "unetpp-bce", bases)
    assert "at most" in export(load(saved.folder, backend="pytorch"), format, tmp_path / name)
    assert (tmp_path / name).is_file()


def test_nobody_takes_it_for_a_plain_one(tmp_path):
    smp = pytest.importorskip("segmentation_models_pytorch")
    _, saved = save(tmp_path / "unetpp-bce")
    with pytest.raises(AttributeError, match="CorrectingUnetPlusPlus"):
        smp.from_pretrained(str(saved.folder))
    path = saved.folder / "config.json"
    path.write_text(path.read_text().replace("CorrectingUnetPlusPlus", "UnetPlusPlus"))
    with pytest.raises(CheckpointError, match="_model_class is 'UnetPlusPlus'"):
        read_checkpoint(saved.folder)


def test_what_a_stack_can_give():
    with pytest.raises(ModelError, match="Unknown stack output 'masks'"):
        create_model("unetpp", stack_output="masks")
    assert Config("unet", stack_output="correction") == Config("unet")
    assert CONFIG.run_folder(Path("runs")).name == "without0+1-seed0-correction"
