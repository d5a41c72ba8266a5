"""Depthwise convolutions that processors are slow to train, computed in another way."""

from __future__ import annotations

from types import MethodType

import torch
from torch.nn import functional


def quicken(model: torch.nn.Module, *, is_mixed: bool) -> None:
    """Let a model's depthwise convolutions take the faster way on a processor; what they compute
    stays the same. is_mixed: training is in bf16."""
    for module in model.modules():
        if _is_depthwise(module) and (is_mixed or _is_dilated(module)):
            module.forward = MethodType(_depthwise, module)


def _is_depthwise(module: torch.nn.Module) -> bool:
    return isinstance(module, torch.nn.Conv2d) and module.groups == module.in_channels > 1


def _is_dilated(module: torch.nn.Conv2d) -> bool:
    """Dilated alike in both directions, onto a map of the same size."""
    (kernel, _), (dilation, _) = module.kernel_size, module.dilation
    around = dilation * (kernel - 1) // 2
    return (
        dilation > 1
        and module.dilation == (dilation, dilation)
        and module.kernel_size == (kernel, kernel)
        and module.stride == (1, 1)
        and module.padding == (around, around)
        and kernel % 2 == 1
        and module.padding_mode == "zeros"
    )


def _depthwise(self: torch.nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """In float32: it has little to multiply, and its gradients take two to seven times as long in
    bf16 on processors (oneDNN, 5x5 or strided, measured)."""
    with torch.autocast("cpu", enabled=False):
        planes = x.float()
        if _is_dilated(self):
            return _on_sub_grids(self, planes).to(x.dtype)
        return type(self).forward(self, planes).to(x.dtype)


def _on_sub_grids(self: torch.nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    """A dilated convolution as a dense one: every d-th row and column make a map of their own, d²
    of them. oneDNN takes four to ten times as long for the gradients of a dilated one (measured,
    float32).

    x: (n, channels, height, width), any sizes.
    """
    n, channels, height, width = x.shape
    step, kernel = self.dilation[0], self.kernel_size[0]
    # Maps smaller than the kernel would be slow again.
    rows, columns = (max(-(-size // step), kernel) for size in (height, width))
    planes = functional.pad(x, (0, columns * step - width, 0, rows * step - height))
    planes = planes.permute(0, 2, 3, 1).reshape(n, rows, step, columns, step, channels)
    planes = planes.permute(2, 4, 0, 1, 3, 5).reshape(-1, rows, columns, channels)
    found = functional.conv2d(
        planes.permute(0, 3, 1, 2), self.weight, self.bias, padding=kernel // 2, groups=self.groups
    )
    found = found.permute(0, 2, 3, 1).reshape(step, step, n, rows, columns, -1)
    found = found.permute(2, 3, 0, 4, 1, 5).reshape(n, rows * step, columns * step, -1)
    return found.permute(0, 3, 1, 2)[:, :, :height, :width]
