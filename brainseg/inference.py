"""Checkpoints at work: a scan in, probabilities and masks out, all numpy.

``Predictor`` is one checkpoint, ``compare`` runs every checkpoint and fusion on one scan. Each base
model runs once, however many stacks and fusions read it.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from brainseg import fusion
from brainseg.checkpoint import (
    CONFIG,
    METRICS,
    WEIGHTS,
    Checkpoint,
    CheckpointError,
    find_base,
    find_checkpoints,
    load_module,
    read_checkpoint,
)
from brainseg.evaluation import metrics
from brainseg.preprocessing import Prepared, normalise, prepare, restore
from brainseg.scan import Scan

FUSIONS = ("fusion_mean", "fusion_weighted", "fusion_vote", "fusion_staple")
_BATCH = 16


@dataclass(frozen=True, eq=False)
class Result:
    """What one model or fusion says of one scan.

    name: the checkpoint's label, or one of ``FUSIONS``.
    kind: ``"model"``, ``"ensemble"`` (a trained stack) or ``"fusion"``.
    probabilities: float32 in [0, 1], (slices, height, width), the scan's own grid.
    threshold: probabilities above it are tumour (chosen on validation patients).
    estimates: of STAPLE, the sensitivity and specificity it believes each mask to have.
    """

    name: str
    kind: str
    probabilities: np.ndarray
    threshold: float
    estimates: dict[str, tuple[float, float]] | None = None

    @property
    def mask(self) -> np.ndarray:
        """bool, (slices, height, width)."""
        return self.probabilities > self.threshold


class Predictor:
    """One checkpoint. Weights are read on first use and then kept; safe to share.

    ``module`` is the plain ``torch.nn.Module`` in evaluation mode; ``bases`` are the predictors
    whose probabilities a stack reads, empty for other models.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.name = checkpoint.name
        self.kind = "ensemble" if checkpoint.bases else "model"
        self.threshold: float = checkpoint.settings["threshold"]
        self.size: int = checkpoint.settings["preprocessing"]["size"]
        self.bases = [_predictor(find_base(checkpoint, base)) for base in checkpoint.bases]

    @functools.cached_property
    def module(self):
        """The network, channels-last where that is faster."""
        import torch

        from brainseg.models import CHANNELS_LAST

        module = load_module(self.checkpoint)
        if CHANNELS_LAST[self.checkpoint.settings["model"]]:
            module = module.to(memory_format=torch.channels_last)
        return module

    @functools.cached_property
    def validation_dice(self) -> float | None:
        """Mean Dice on the validation patients; None if the folder does not tell."""
        try:
            metrics = json.loads((self.checkpoint.folder / METRICS).read_text(encoding="utf-8"))
            return float(metrics["validation"]["mean_dice"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def read_weights(self) -> None:
        """Read the weights now, the bases' too. Raises CheckpointError if a file is damaged."""
        for predictor in (*self.bases, self):
            predictor.module  # noqa: B018

    def predict(self, scan: Scan, *, slicewise: bool = False) -> Result:
        """Segment a scan. ``slicewise`` treats each slice as if it had been uploaded alone."""
        return next(predict_all(scan, {self.name: self}, slicewise=slicewise))

    def probabilities(self, prepared: Prepared, base_maps: Sequence[np.ndarray]) -> np.ndarray:
        """Network output on prepared slices, float32 (slices, size, size).

        base_maps: the bases' own outputs on the same slices, in the order of ``bases``.
        """
        import torch

        with_image = not self.bases or (
            self.checkpoint.settings["stack_inputs"] == "predictions+image"
        )
        out = np.empty(prepared.images.shape[:3], np.float32)
        for start in range(0, len(out), _BATCH):
            part = slice(start, start + _BATCH)
            planes = [base_map[part, None] for base_map in base_maps]
            if with_image:
                planes.append(normalise(prepared.images[part], prepared.statistics[part]))
            x = torch.from_numpy(np.concatenate(planes, axis=1))
            with torch.inference_mode():
                out[part] = torch.sigmoid(self.module(x))[:, 0].numpy()
        return out


@dataclass(frozen=True, eq=False)
class Comparison:
    """Every model and fusion on one scan. ``results`` by name; ``truth`` bool or None;
    ``skipped`` says of each checkpoint that could not be used why."""

    scan: Scan
    truth: np.ndarray | None
    results: dict[str, Result]
    skipped: tuple[str, ...] = ()

    def scores(self, name: str) -> dict[str, float] | None:
        """Dice, IoU, precision and recall against the truth, over the whole scan; None without."""
        if self.truth is None:
            return None
        counts = metrics.count(self.results[name].mask, self.truth)
        return {
            "dice": metrics.dice(counts),
            "iou": metrics.iou(counts),
            "precision": metrics.precision(counts),
            "recall": metrics.recall(counts),
        }

    def agreement(self, name: str) -> float:
        """Mean Dice of this mask with the other *models'* masks (fusions left out, because they
        are made of them): how much they agree, not how right they are. NaN if it stands alone or
        all masks are empty."""
        own = self.results[name].mask
        others = [
            metrics.dice(metrics.count(own, other.mask))
            for other in self.results.values()
            if other.name != name and other.kind != "fusion"
        ]
        defined = [value for value in others if not np.isnan(value)]
        return float(np.mean(defined)) if defined else float("nan")

    def to_json(self) -> dict:
        """One entry per model: mask area or volume, threshold, scores. NaN becomes None."""
        entries = {}
        for name, result in self.results.items():
            volume = metrics.volume_ml(result.mask, self.scan.spacing_mm)
            entry = {
                "kind": result.kind,
                "threshold": result.threshold,
                "area_px": int(result.mask.sum()),
                "volume_ml": volume,
                "agreement": self.agreement(name),
                **(self.scores(name) or {}),
            }
            entries[name] = {k: None if _is_nan(v) else v for k, v in entry.items()}
        return {
            "source": self.scan.source,
            "slices": len(self.scan.pixels),
            "truth": self.truth is not None,
            "skipped": list(self.skipped),
            "models": entries,
        }


def load(name: str | Path, checkpoints: str | Path = "checkpoints") -> Predictor:
    """A predictor from a name in ``checkpoints``, a folder, or the Hub.

    ``load("unetpp-bce")``, ``load("runs/lgg/unet-bce/fold0-seed0")``,
    ``load("user/repo/unet-bce@revision")``. Raises CheckpointError if there is no such thing.
    """
    for folder in (Path(checkpoints) / name, Path(name)):
        if folder.is_dir():
            return _predictor(read_checkpoint(folder))
    if str(name).partition("@")[0].count("/") == 2:
        from brainseg.hub import download

        return _predictor(download(str(name)))
    known, _ = find_checkpoints(checkpoints) if Path(checkpoints).is_dir() else ([], [])
    raise CheckpointError(
        f"No checkpoint {str(name)!r}: expected a folder, user/repo/name on the Hub, or one of "
        f"{', '.join(c.name for c in known) or '(none found)'} in {checkpoints}."
    )


def load_all(checkpoints: str | Path = "checkpoints") -> tuple[dict[str, Predictor], list[str]]:
    """Predictors of all checkpoints below a folder by label, and why others were left out.

    The label is the checkpoint's name, or its path below the folder where names repeat (as in
    ``runs/``). Helper runs of stacks are not meant for use and are passed over.
    """
    found, skipped = find_checkpoints(checkpoints)
    found = [c for c in found if not c.settings["run"].get("held_out_block")]
    repeated = {name for name, n in Counter(c.name for c in found).items() if n > 1}
    predictors = {}
    for checkpoint in found:
        path = checkpoint.folder.relative_to(checkpoints).as_posix()
        try:
            label = path if checkpoint.name in repeated else checkpoint.name
            predictors[label] = _predictor(checkpoint)
        except CheckpointError as error:
            skipped.append(str(error))
    return predictors, skipped


def load_usable(checkpoints: str | Path = "checkpoints") -> tuple[dict[str, Predictor], list[str]]:
    """``load_all``, less those whose weights can't be read; one damaged file must not hide the
    other models. Raises CheckpointError if none is left."""
    predictors, skipped = load_all(checkpoints)
    for label, predictor in list(predictors.items()):
        try:
            predictor.read_weights()
        except CheckpointError as error:
            skipped.append(str(error))
            del predictors[label]
    if not predictors:
        raise CheckpointError(
            " ".join(
                [f"{checkpoints} has no usable checkpoint: train one with train.py.", *skipped]
            )
        )
    return predictors, skipped


def compare(
    scan: Scan, truth: np.ndarray | None = None, checkpoints: str | Path = "checkpoints"
) -> Comparison:
    """Run every checkpoint and fusion on a scan. ``truth``: bool (slices, height, width).

    Raises CheckpointError if the folder holds no usable checkpoint, ValueError for a truth of
    another shape.
    """
    if truth is not None and truth.shape != scan.pixels.shape[:3]:
        raise ValueError(
            f"truth is {truth.shape}, the scan {scan.pixels.shape[:3]} (slices, height, width): "
            "expected equal."
        )
    predictors, skipped = load_usable(checkpoints)
    results = {result.name: result for result in predict_all(scan, predictors)}
    return Comparison(scan, truth, results, tuple(skipped))


def predict_all(
    scan: Scan, predictors: dict[str, Predictor], *, slicewise: bool = False, fusions: bool = True
) -> Iterator[Result]:
    """Results one by one, as they are ready: models, ensembles, then fusions (with two or more
    models to fuse: those that a stack reads, or else every single model)."""
    height, width = scan.pixels.shape[1:3]
    prepared: dict[int, Prepared] = {}
    maps: dict[Path, np.ndarray] = {}

    def run(predictor: Predictor) -> np.ndarray:
        key = predictor.checkpoint.folder.resolve()
        if key not in maps:
            if predictor.size not in prepared:
                prepared[predictor.size] = prepare(scan.pixels, predictor.size, slicewise=slicewise)
            base_maps = [run(base) for base in predictor.bases]
            maps[key] = predictor.probabilities(prepared[predictor.size], base_maps)
        return maps[key]

    results: dict[str, Result] = {}
    for label, predictor in sorted(predictors.items(), key=lambda item: item[1].kind != "model"):
        probabilities = restore(run(predictor), height, width)
        results[label] = Result(label, predictor.kind, probabilities, predictor.threshold)
        yield results[label]
    if fusions:
        labels = _fused(predictors)
        weights = [predictors[label].validation_dice for label in labels]
        yield from _fuse([results[label] for label in labels], weights)


def _fused(predictors: dict[str, Predictor]) -> list[str]:
    """Labels of the models a stack reads, so that fusions and stack start from the same
    predictions; or else of every single model."""
    labels = {p.checkpoint.folder.resolve(): label for label, p in predictors.items()}
    for predictor in predictors.values():
        bases = [labels.get(base.checkpoint.folder.resolve()) for base in predictor.bases]
        if bases and all(bases):
            return bases
    return [label for label, p in predictors.items() if p.kind == "model"]


def _fuse(results: list[Result], weights: list[float | None]) -> Iterator[Result]:
    if len(results) < 2:
        return
    masks = [result.mask for result in results]
    maps = [result.probabilities for result in results]
    thresholds = [result.threshold for result in results]
    yield Result("fusion_mean", "fusion", fusion.mean(maps), float(np.mean(thresholds)))
    if all(weights):
        threshold = float(np.average(thresholds, weights=weights))
        yield Result("fusion_weighted", "fusion", fusion.mean(maps, weights), threshold)
    yield Result("fusion_vote", "fusion", fusion.vote(masks), 0.5)
    probabilities, *beliefs = fusion.staple(masks)
    names = [result.name for result in results]
    estimates = dict(zip(names, zip(*beliefs, strict=True), strict=True))
    yield Result("fusion_staple", "fusion", probabilities, 0.5, estimates)


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and np.isnan(value)


def _predictor(checkpoint: Checkpoint) -> Predictor:
    """One predictor per file content, shared by all who ask."""
    folder = checkpoint.folder.resolve()
    stamps = tuple((folder / name).stat().st_mtime_ns for name in (WEIGHTS, CONFIG))
    return _shared_predictor(folder, stamps)


@functools.lru_cache(maxsize=64)
def _shared_predictor(folder: Path, modified_ns: tuple[int, ...]) -> Predictor:
    return Predictor(read_checkpoint(folder))
