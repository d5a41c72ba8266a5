"""The plain training loop that ours is measured against.

It is what public repositories for this task do: float32, NCHW, a DataLoader whose workers decode
and augment file by file. Kept simple on purpose; nobody should train with it. It runs in a process
of its own, so that no setting of ours reaches it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from brainseg.bench import hardware
from brainseg.config import Config
from brainseg.models.building import create_model
from brainseg.models.losses import create_loss
from brainseg.models.specs import input_channels


class FileSlices(Dataset):
    """Slices and masks as picture files, decoded, resized, augmented and normalised one by one.

    Each is a pair of float32 tensors: z-scores (channels, size, size), 0 or 1 (1, size, size).
    """

    def __init__(self, pairs: list[tuple[Path, Path]], size: int, channels: int) -> None:
        self.pairs, self.size, self.channels = pairs, size, channels

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image_path, mask_path = self.pairs[index]
        image = cv2.cvtColor(cv2.imread(str(image_path)), cv2.COLOR_BGR2RGB).astype(np.float32)
        mask = cv2.imread(str(mask_path), cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255
        image, mask = (cv2.resize(x, (self.size, self.size)) for x in (image, mask))
        image, mask = _augment(image, mask)
        image = (image - image.mean((0, 1))) / (image.std((0, 1)) + 1e-6)
        # A stack reads maps instead of the image: as many channels stand in for them.
        image = image.transpose(2, 0, 1)[: self.channels]
        return torch.from_numpy(np.ascontiguousarray(image)), torch.from_numpy(mask[None].round())


def make(
    config: Config, pairs: list[tuple[Path, Path]], device: str
) -> Callable[[int], list[float]]:
    """A network and its files, ready to be trained: a number of loader workers to the seconds of
    each measured step."""
    model = create_model(config.model, encoder_weights=None)
    channels = input_channels(config.model, config.stack_inputs, config.bases)

    def measure(workers: int) -> list[float]:
        loader = make_loader(pairs, config.size, channels, config.batch_size, workers)
        running = steps(model, loader, config.loss, torch.device(device))
        times = hardware.step_seconds(running, torch.device(device))
        running.close()  # its workers must not run beside our steps
        return times

    return measure


def steps(
    model: torch.nn.Module, loader: DataLoader, loss_name: str, device: torch.device
) -> Iterator[float]:
    """Endless optimisation steps; yields the loss of each."""
    model = model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    loss_function = create_loss(loss_name)
    while True:
        for image, mask in loader:
            loss = loss_function(model(image.to(device)), mask.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield loss.item()


def make_loader(
    pairs: list[tuple[Path, Path]], size: int, channels: int, batch_size: int, workers: int
) -> DataLoader:
    """A shuffling loader of whole batches."""
    return DataLoader(
        FileSlices(pairs, size, channels),
        batch_size,
        shuffle=True,
        num_workers=workers,
        drop_last=True,
        pin_memory=torch.cuda.is_available(),
    )


def _augment(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng()
    if rng.random() < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    size = len(image)
    turn = cv2.getRotationMatrix2D(
        (size / 2, size / 2), rng.uniform(-20, 20), np.exp(rng.uniform(-0.15, 0.15))
    )
    turn[:, 2] += rng.uniform(-0.06, 0.06, 2) * size
    image = cv2.warpAffine(np.ascontiguousarray(image), turn, (size, size))
    mask = cv2.warpAffine(np.ascontiguousarray(mask), turn, (size, size))
    image = 255 * (image / 255).clip(0, 1) ** np.exp(rng.uniform(-0.3, 0.3))
    image = image * rng.uniform(0.85, 1.15) + rng.normal(0, 2, image.shape)
    return image.astype(np.float32), mask
