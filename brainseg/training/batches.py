"""Network inputs and masks from rows of a prepared set, plain or augmented, on the device."""

from __future__ import annotations

import warnings

import numpy as np
import torch

from brainseg.config import Config
from brainseg.data import datasets_of
from brainseg.data.cache import PreparedSet
from brainseg.models.specs import MODELS
from brainseg.scans.preprocessing import z_scores
from brainseg.training import augmentation


class Batches:
    """Network inputs and masks from rows of a prepared set, on the device."""

    def __init__(self, config: Config, data: PreparedSet, maps: np.ndarray | None, device) -> None:
        self.config, self.data, self.device = config, data, device
        if config.is_stack and maps is None:
            raise ValueError(f"{config.model} reads base predictions: give maps.")
        self.images, self.masks = _home(data.images, device), _home(data.masks, device)
        self.maps = _home(maps, device) if config.is_stack else None
        self.grey_channels = torch.tensor(_grey_channels(config))

    def plain(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and masks, float32 (n, c, size, size), as inference sees them."""
        images, masks, maps = self._read(rows)
        return self._join(self._normalise(images, self.data.statistics[rows]), maps), masks

    def augmented(
        self, rows: np.ndarray, seed: int, size: int | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The same with seeded augmentation, and some samples as if uploaded alone or in grey.

        size: side of what comes out, in pixels; that of the prepared set if it is left out.
        """
        config, n = self.config, len(rows)
        generator = torch.Generator().manual_seed(seed)
        noise = torch.Generator(self.device).manual_seed(seed)
        images, masks, maps = self._read(rows)
        planes = augmentation.geometry(torch.cat([images, masks, maps], 1), generator, size)
        images, masks, maps = planes[:, :3], (planes[:, 3:4] > 0.5).float(), planes[:, 4:]

        alone = torch.rand(n, generator=generator).numpy() < config.slice_share
        statistics = np.where(
            alone[:, None, None], self.data.slice_statistics[rows], self.data.statistics[rows]
        )
        grey = torch.rand(n, generator=generator) < config.grey_share
        channel = self.grey_channels[torch.randint(4, (n,), generator=generator)]
        images = augmentation.gamma(
            images, torch.from_numpy(statistics[..., 0]).to(images), generator
        )
        z = augmentation.grey_only(self._normalise(images, statistics), grey, channel)
        z = augmentation.intensity(z, generator, noise)
        return self._join(z, maps), masks

    def _read(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        index = torch.from_numpy(rows)
        images, masks = self._take(self.images, index), self._take(self.masks, index)
        images, masks = images.permute(0, 3, 1, 2).float(), masks[:, None].float()
        maps = self._take(self.maps, index).float() if self.config.is_stack else images[:, :0]
        return images, masks, maps

    def _take(self, values: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        return values[index.to(values.device)].to(self.device)

    def _normalise(self, images: torch.Tensor, statistics: np.ndarray) -> torch.Tensor:
        return z_scores(images, torch.from_numpy(statistics).to(images))

    def _join(self, z: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        x = torch.cat([maps, z], 1) if self.config.reads_image else maps
        channels_last = MODELS[self.config.model].channels_last
        layout = torch.channels_last if channels_last else torch.contiguous_format
        return x.contiguous(memory_format=layout)


def _grey_channels(config: Config) -> tuple[int, ...]:
    """Which channels stand for all three in samples shown as one grey sequence, in quarters."""
    others = datasets_of(config.dataset).values() if len(config.datasets) > 1 else ()
    if any(getattr(dataset, "SEQUENCES", None) == ("T1c",) for dataset in others):
        return (1, 1, 1, 1)  # that set teaches what T1c alone looks like, better than these could
    return (1, 1, 0, 2)  # mostly FLAIR, where the tumour shows best, sometimes one of the T1 images


def _home(values: np.ndarray, device: torch.device) -> torch.Tensor:
    """The whole array on the device if half of its free memory holds it, or else where it is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nothing writes to a read-only map
        tensor = torch.from_numpy(values)
    if device.type == "cuda" and values.nbytes < torch.cuda.mem_get_info(device)[0] / 2:
        return tensor.to(device)
    return tensor
