"""What a stack is fitted on: base predictions for patients the predicting base never saw.

For patients whom the bases have not seen, the bases predict, which the stack reads in use. For its
training patients helpers do: each is trained like its base, but has left out the stack's test fold
and one other, and predicts that other one. So neither the stack nor what it reads has seen the fold
that it is tested on. Of a stack fitted on the maps of singles the helpers left out the fold alone
that they predict: the maps it was fitted on come from networks that know its test fold.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from tqdm import tqdm

from brainseg.checkpoints.folder import Checkpoint, load_module
from brainseg.config import Config
from brainseg.data.cache import PreparedSet
from brainseg.data.splits import fold_of
from brainseg.files import replacing, write_text
from brainseg.models.classes import to_probabilities
from brainseg.training.batches import Batches

MAPS, STAMP = "base_maps.npy", "base_maps.txt"


def base_maps(
    config: Config,
    bases: list[Checkpoint],
    helpers: list[Checkpoint],
    data: PreparedSet,
    accelerator: Accelerator,
    folder: Path,
) -> np.ndarray:
    """Base probabilities for all slices, float16 (n, maps, size, size), kept in ``folder``: one map
    of each base or, where it tells classes apart, one for each class.

    helpers: the first base's, one for each fold the stack is trained on, then the next base's; none
    for a stack that is fitted in-sample.
    """
    sources = " ".join(checkpoint.sha256() for checkpoint in (*bases, *helpers))
    path, stamp = folder / MAPS, folder / STAMP
    stamp_text = f"{data.folder.name} {sources}"
    if accelerator.is_main_process and not (
        path.is_file() and stamp.is_file() and stamp.read_text() == stamp_text
    ):
        folds = np.array([fold_of(patient) for patient in data.patients])
        unseen = np.flatnonzero(np.isin(folds, config.left_out))
        if not helpers:  # a leak made on purpose: the bases predict what they were trained on
            unseen = np.arange(len(data.images))
        with replacing(path) as aside:
            ends = np.cumsum([len(base.settings.classes) or 1 for base in bases]).tolist()
            maps = np.lib.format.open_memmap(
                aside, "w+", np.float16, (len(data.images), ends[-1], *data.images.shape[1:3])
            )
            trained = config.training_folds
            for number, base in enumerate(bases):
                planes = maps[:, ends[number - 1] if number else 0 : ends[number]]
                _predict(base, config, data, unseen, planes, accelerator)
                own = helpers[number * len(trained) :][: len(trained)]
                for fold, helper in zip(trained, own, strict=bool(helpers)):
                    rows = np.flatnonzero(folds == fold)
                    _predict(helper, config, data, rows, planes, accelerator)
            maps.flush()
            del maps
        write_text(stamp, stamp_text)
    accelerator.wait_for_everyone()
    return np.load(path, mmap_mode="r")


@torch.inference_mode()
def _predict(
    checkpoint: Checkpoint,
    config: Config,
    data: PreparedSet,
    rows: np.ndarray,
    out: np.ndarray,
    accelerator: Accelerator,
) -> None:
    base_config = checkpoint.settings.run
    if base_config.size != config.size:
        raise ValueError(
            f"{checkpoint.folder} was trained at {base_config.size} px and the stack at "
            f"{config.size} px: give both the same --size."
        )
    model = load_module(checkpoint).to(accelerator.device)
    batches = Batches(base_config, data, None, accelerator.device)
    for start in tqdm(
        range(0, len(rows), config.batch_size),
        desc=f"{checkpoint.name} predicts",
        leave=False,
        disable=None,
    ):
        batch = rows[start : start + config.batch_size]
        with accelerator.autocast():
            logits = model(batches.plain(batch)[0])
        out[batch] = to_probabilities(logits.float()).half().cpu().numpy()
