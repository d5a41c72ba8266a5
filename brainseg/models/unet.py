"""The self-defined U-Net: Ronneberger et al. 2015 with batch normalisation, 7.8 M parameters."""

from __future__ import annotations

import torch
from torch import nn


class UNet(nn.Module):
    """Encoder and decoder of five levels with skip connections.

    Input float (batch, in_channels, height, width), height and width multiples of 16.
    Output logits (batch, out_channels, height, width).
    """

    def __init__(self, in_channels: int = 3, width: int = 32, out_channels: int = 1) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(5)]
        self.down = nn.ModuleList(
            _double_convolution(i, o) for i, o in zip([in_channels, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(2 * w, w, kernel_size=2, stride=2) for w in reversed(widths[:-1])
        )
        self.merge = nn.ModuleList(_double_convolution(2 * w, w) for w in reversed(widths[:-1]))
        self.head = nn.Conv2d(width, out_channels, kernel_size=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else nn.functional.max_pool2d(x, 2))
            skips.append(x)
        skips.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([up(x), skips.pop()], dim=1))
        return self.head(x)


def _double_convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        layers += [
            nn.Conv2d(channels, out_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
