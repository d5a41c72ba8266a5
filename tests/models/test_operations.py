"""Operations, against counts by hand."""

import torch

from brainseg.checkpoints.folder import load_module, read_checkpoint
from brainseg.models.operations import operations


def test_one_convolution_by_hand():
    convolution = torch.nn.Conv2d(3, 5, kernel_size=3, padding=1, bias=False)
    # Each of 8 x 8 pixels and 5 channels is a sum of 9 x 3 products, in both pictures.
    assert operations(convolution, torch.zeros(2, 3, 8, 8)) == 2 * (8 * 8 * 5) * 2 * (9 * 3)


def test_a_network_by_its_first_convolution(random_checkpoints):
    module = load_module(read_checkpoint(random_checkpoints / "unet-bce"))
    found = operations(module, torch.zeros(1, 3, 64, 64))
    # The U-Net's first convolution alone: 64 x 64 pixels, 3 x 3 kernel, 3 to 32 channels.
    assert found > 2 * 64 * 64 * 9 * 3 * 32 and found % 2 == 0
    # Every level halves the sides and doubles the channels: about the same for each convolution.
    assert 1e9 < found < 4e9
