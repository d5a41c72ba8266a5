"""The faster way of depthwise convolutions against PyTorch's own."""

from copy import deepcopy

import pytest
import torch

from brainseg.models.building import create_model
from brainseg.training import convolutions
from brainseg.training.convolutions import quicken


def gradients(module, x):
    x = x.clone().requires_grad_()
    y = module(x)
    weights = torch.linspace(-1, 1, y.numel()).reshape(y.shape)  # no two places alike
    return y.detach(), *torch.autograd.grad((y * weights).sum(), (x, *module.parameters()))


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("dilation", [2, 3, 6])
@pytest.mark.parametrize("shape", [(12, 12), (7, 11), (4, 25)])
def test_dilated_convolutions_and_their_gradients_are_those_of_pytorch(kernel, dilation, shape):
    torch.manual_seed(0)
    plain = torch.nn.Conv2d(
        6, 6, kernel, padding=dilation * (kernel // 2), dilation=dilation, groups=6
    )
    fast = deepcopy(plain)
    quicken(fast, is_mixed=False)
    assert "forward" in vars(fast)
    x = torch.randn(2, 6, *shape).to(memory_format=torch.channels_last)
    for expected, found in zip(gradients(plain, x), gradients(fast, x), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"padding": 1, "groups": 6},  # not dilated
        {"padding": 2, "dilation": 2},  # dense
        {"padding": 2, "dilation": 2, "groups": 6, "stride": 2},
        {"padding": 0, "dilation": 2, "groups": 6},  # onto a smaller map
        {"padding": (2, 1), "dilation": (2, 1), "groups": 6},
        {"padding": 2, "dilation": 2, "groups": 6, "padding_mode": "reflect"},
    ],
)
def test_others_are_left_to_pytorch(options):
    module = torch.nn.Conv2d(6, 6, 3, **options)
    quicken(module, is_mixed=False)
    assert "forward" not in vars(module)


def test_in_bf16_every_depthwise_one_is_computed_in_float32():
    plain = torch.nn.Conv2d(6, 6, 3, padding=1, groups=6, stride=2)
    fast = deepcopy(plain)
    quicken(fast, is_mixed=True)
    x = torch.randn(1, 6, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        found = fast(x.bfloat16())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, plain(x.bfloat16().float()).bfloat16(), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["deeplabv3plus", "deeplabv3plus_efficientnet"])
def test_a_copy_of_a_network_keeps_the_faster_way_and_its_own_weights(name):
    torch.manual_seed(0)
    plain = create_model(name, encoder_weights=None).eval()
    fast = deepcopy(plain)
    quicken(fast, is_mixed=False)
    patched = [module for module in fast.modules() if "forward" in vars(module)]
    assert len(patched) >= 3 and all(map(convolutions._is_dilated, patched))
    copied = deepcopy(fast)
    for parameter in fast.parameters():
        parameter.data.zero_()
    x = torch.randn(1, 3, 96, 96)
    with torch.inference_mode():
        torch.testing.assert_close(copied(x), plain(x), rtol=1e-3, atol=1e-4)
