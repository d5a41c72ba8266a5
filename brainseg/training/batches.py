"""Network inputs and masks from rows of a prepared set, plain or augmented, on the device.

Of a run that tells classes apart, masks are labels, int64 (n, size, size), 0 where there is no
tumour; of others float32 (n, 1, size, size), 0 or 1.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import torch

from brainseg.config import Config
from brainseg.data import datasets_of
from brainseg.data.cache import PreparedSet
from brainseg.scans.preprocessing import z_scores
from brainseg.training import augmentation

# FLAIR takes the place of a sequence that is missing, in quarters: mostly T1, as in BraTS.
_MISSING = torch.tensor([[1, 1, 2], [1, 1, 2], [1, 1, 2], [0, 1, 1]])


class Views(NamedTuple):
    """Slices without a mask as two networks see them, moved alike: inputs ``plain`` and ``strong``,
    float32 (n, c, size, size), and bool (n, size, size) where the strong view is ``seen``, neither
    beyond the picture's edge nor taken away with a skull."""

    plain: torch.Tensor
    strong: torch.Tensor
    seen: torch.Tensor


class Batches:
    """Network inputs and masks from rows of a prepared set, on the device."""

    def __init__(self, config: Config, data: PreparedSet, maps: np.ndarray | None, device) -> None:
        self.config, self.data, self.device = config, data, device
        if config.is_stack and maps is None:
            raise ValueError(f"{config.model} reads base predictions: give maps.")
        if config.classes and data.classes is None:
            raise ValueError(f"{config.name} tells classes apart: give a set prepared with them.")
        masks = data.classes if config.classes else data.masks
        self.images, self.masks = _home(data.images, device), _home(masks, device)
        self.maps = _home(maps, device) if config.is_stack else None
        self.grey = torch.tensor(_grey(config))

    def plain(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs, float32 (n, c, size, size), and masks, as inference sees them."""
        images, masks, maps = self._read(rows)
        statistics = torch.from_numpy(self.data.statistics[rows]).to(images)
        return self._join(z_scores(images, statistics), maps), self._target(masks)

    def augmented(
        self, rows: np.ndarray, seed: int, size: int | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The same with seeded augmentation, and some samples as if uploaded alone, in grey,
        without a sequence or without a skull.

        size: side of what comes out, in pixels; that of the prepared set if it is left out.
        """
        images, masks, maps = self._read(rows)
        z, masks, maps = self._augment(rows, images, masks, maps, seed, size)
        return self._join(z, maps), self._target(masks)

    def views(self, rows: np.ndarray, seed: int, size: int | None = None) -> Views:
        """Two views of slices whose masks are not looked at; seed and size as of ``augmented``."""
        images = self._images(rows)
        seen, plain = torch.ones_like(images[:, :1]), images
        strong, seen, plain = self._augment(
            rows, images, seen, plain, seed, size, self.config.strong
        )
        plain = z_scores(plain, torch.from_numpy(self.data.statistics[rows]).to(plain))
        return Views(*(self._join(z, z[:, :0]) for z in (plain, strong)), seen[:, 0] > 0.5)

    def _augment(
        self, rows: np.ndarray, images: torch.Tensor, masks: torch.Tensor, maps: torch.Tensor,
        seed: int, size: int | None, strong: float = 1.0,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
        """z-scores of augmented images; masks, which go where a skull does; and maps, which do not.

        strong: multiplies how much grey levels and noise change.
        """
        config, n = self.config, len(rows)
        generator = torch.Generator().manual_seed(seed)
        noise = torch.Generator(self.device).manual_seed(seed)
        alone = torch.rand(n, generator=generator).numpy() < config.slice_share
        statistics = torch.from_numpy(
            np.where(
                alone[:, None, None], self.data.slice_statistics[rows], self.data.statistics[rows]
            )
        ).to(images)
        # Not for a stack: the maps it reads are of the whole head.
        strip_share = 0 if config.is_stack else config.strip_share
        stripped = torch.rand(n, generator=generator) < strip_share
        images, masks, statistics = augmentation.strip_skull(
            images, masks, statistics, stripped, generator
        )
        strength = config.augmentation
        planes = torch.cat([images, masks, maps], 1)
        planes = augmentation.geometry(planes, generator, size, strength)
        own = 3 + masks.shape[1]
        images, masks, maps = planes[:, :3], planes[:, 3:own], planes[:, own:]
        images = augmentation.gamma(images, statistics[..., 0], generator, strong * strength)
        z = augmentation.sequences(z_scores(images, statistics), self._shown(n, generator))
        return augmentation.intensity(z, generator, noise, strong * strength), masks, maps

    def _target(self, masks: torch.Tensor) -> torch.Tensor:
        """What the loss takes, from planes of the tumour or of each class, float in [0, 1]."""
        if not self.config.classes:
            return (masks > 0.5).float()
        return torch.where(masks.sum(1) > 0.5, masks.argmax(1) + 1, 0)

    def _shown(self, n: int, generator: torch.Generator) -> torch.Tensor:
        """Which channel each channel shows, (n, 3)."""
        config, shown = self.config, torch.arange(3).repeat(n, 1)
        missing = torch.rand(n, generator=generator) < config.missing_share
        grey = torch.rand(n, generator=generator) < config.grey_share
        missing_too, grey_too = torch.randint(4, (2, n), generator=generator)
        shown = torch.where(missing[:, None], _MISSING[missing_too], shown)
        return torch.where(grey[:, None], self.grey[grey_too], shown)

    def _read(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        index = torch.from_numpy(rows)
        images, masks = self._images(rows), self._take(self.masks, index)[:, None]
        if self.config.classes:  # a plane of each, which can be turned and resized
            values = torch.arange(1, len(self.config.classes) + 1, device=masks.device)
            masks = masks == values[:, None, None]
        masks = masks.float()
        maps = self._take(self.maps, index).float() if self.config.is_stack else images[:, :0]
        return images, masks, maps

    def _images(self, rows: np.ndarray) -> torch.Tensor:
        images = self._take(self.images, torch.from_numpy(rows))
        return images.permute(0, 3, 1, 2).float()

    def _take(self, values: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        return values[index.to(values.device)].to(self.device)

    def _join(self, z: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        x = torch.cat([maps, z], 1) if self.config.reads_image else maps
        return x.contiguous(memory_format=torch.channels_last)


def _grey(config: Config) -> list[list[int]]:
    """What samples shown as one grey sequence show, in quarters."""
    others = datasets_of(config.dataset).values() if len(config.datasets) > 1 else ()
    channels = (1, 1, 0, 2)  # mostly FLAIR, where the tumour shows best, sometimes one of the T1
    if any(getattr(dataset, "SEQUENCES", None) == ("T1c",) for dataset in others):
        channels = (1, 1, 1, 1)  # that set teaches what T1c alone looks like, better than LGG could
    return [[channel] * 3 for channel in channels]


def _home(values: np.ndarray, device: torch.device) -> torch.Tensor:
    """The whole array on the device if half of its free memory holds it, or else where it is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nothing writes to a read-only map
        tensor = torch.from_numpy(values)
    if device.type == "cuda" and values.nbytes < torch.cuda.mem_get_info(device)[0] / 2:
        return tensor.to(device)
    return tensor
