"""Checkpoints at work: a scan in, probabilities and masks out, all numpy.

``Predictor`` is one checkpoint, ``compare`` runs every checkpoint and fusion on one scan. Each base
model runs once, however many stacks and fusions read it. All of it may be called from many threads
at once: one network runs at a time, on all cores, and those who wait for it share its next pass.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from brainseg.checkpoints.folder import (
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
from brainseg.inference import backends
from brainseg.inference.backends import REFERENCE, fastest
from brainseg.inference.fusing import expected_results, fused_results
from brainseg.inference.results import FUSIONS, Comparison, Result
from brainseg.inference.turns import MOST_SLICES, Batcher
from brainseg.scans.preprocessing import Prepared, normalise, prepare, restore
from brainseg.scans.scan import Scan

__all__ = [
    "FUSIONS",
    "Comparison",
    "Predictor",
    "Result",
    "compare",
    "compare_stream",
    "expected_results",
    "load",
    "load_all",
    "load_usable",
    "predict_all",
    "warm_up",
]

log = logging.getLogger(__name__)

AUTO = "auto"
MANY_SLICES = 32  # a scan of so many runs alone, because of its memory
WORTH_TUNING = 128  # so many slices cost eager float32 more time than measuring all backends does

Progress = Callable[[str, int, int], None]
"""Called with a model's name, how many of its slices are done, and how many there are. What it
raises ends the prediction and reaches the caller: that is how to cancel."""

_one_volume = threading.Semaphore(1)
_sharing = threading.RLock()


class Predictor:
    """One checkpoint. Weights are read on first use and then kept; safe to share among threads.

    ``module`` is the plain ``torch.nn.Module`` in evaluation mode; ``bases`` are the predictors
    whose probabilities a stack reads, empty for other models.

    ``backend`` is what runs the network: a name that ``backends.available()`` gives, or ``"auto"``,
    the one measured as fastest on this machine (see ``tune``), which is eager float32 PyTorch
    until there is a measurement.
    """

    def __init__(self, checkpoint: Checkpoint, backend: str = REFERENCE) -> None:
        self.checkpoint = checkpoint
        self.name = checkpoint.name
        self.kind = "ensemble" if checkpoint.bases else "model"
        self.threshold: float = checkpoint.settings["threshold"]
        self.size: int = checkpoint.settings["preprocessing"]["size"]
        self.bases = [_predictor(find_base(checkpoint, base), backend) for base in checkpoint.bases]
        self.backend = backend
        self._is_tuned = backend != AUTO
        self._batcher: Batcher | None = None
        self._opening = threading.RLock()
        self._tuning = threading.Lock()

    @functools.cached_property
    def module(self):
        """The network in float32 on the CPU; not what runs, unless the backend is ``pytorch``."""
        return load_module(self.checkpoint)

    @functools.cached_property
    def validation_dice(self) -> float | None:
        """Mean Dice on the validation patients; None if the folder does not tell."""
        try:
            metrics = json.loads((self.checkpoint.folder / METRICS).read_text(encoding="utf-8"))
            return float(metrics["validation"]["mean_dice"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def read_weights(self) -> None:
        """Make ready to run, the bases too. Raises CheckpointError if a file is damaged."""
        for predictor in (*self.bases, self):
            predictor._ready()

    def tune(self) -> None:
        """With the backend ``auto``, use the one that is fastest on this machine from here on, for
        the bases too.

        The first time on a machine this takes some seconds: graphs are exported and all backends
        measured. The outcome is kept beside the checkpoint. Calls that come meanwhile are answered
        by PyTorch. Raises CheckpointError for damaged weights.
        """
        for base in self.bases:
            base.tune()
        with self._tuning:
            if self._is_tuned:
                return
            self._ready()
            if not self._is_tuned:
                chosen, run = fastest.measure(self.checkpoint, self.example_planes()[:1])
                self._use(chosen.backend, run)

    def predict(
        self,
        scan: Scan,
        *,
        slicewise: bool = False,
        flips: bool = False,
        progress: Progress | None = None,
    ) -> Result:
        """Segment a scan. ``slicewise`` treats each slice as if it had been uploaded alone;
        ``flips`` averages with the prediction of the mirrored slices, at twice the cost."""
        own = {self.name: self}
        return next(predict_all(scan, own, slicewise=slicewise, flips=flips, progress=progress))

    def forward(self, planes: np.ndarray) -> np.ndarray:
        """Probabilities, float32 (n, size, size), of up to 16 of what the network reads, float32
        (n, channels, size, size). Waits for its turn, and shares it with others who wait."""
        return self._ready()(planes)

    def probabilities(
        self,
        prepared: Prepared,
        base_maps: Sequence[np.ndarray],
        *,
        flips: bool = False,
        progress: Callable[[int], None] = lambda done: None,
    ) -> np.ndarray:
        """Network output on prepared slices, float32 (slices, size, size).

        base_maps: the bases' own outputs on the same slices, in the order of ``bases``.
        flips: average with the output on left-right mirrored slices.
        progress: called with the number of slices done so far.
        """
        out = np.empty(prepared.images.shape[:3], np.float32)
        for start in range(0, len(out), MOST_SLICES):
            part = slice(start, start + MOST_SLICES)
            planes = self._planes(prepared, base_maps, part)
            out[part] = self.forward(planes)
            if flips:
                mirrored = self.forward(np.ascontiguousarray(planes[..., ::-1]))
                out[part] = (out[part] + mirrored[..., ::-1]) / 2
            progress(min(part.stop, len(out)))
        return out

    def example_planes(self) -> np.ndarray:
        """What the network reads of a phantom: float32 (3, channels, size, size)."""
        prepared = prepare(_phantom().pixels, self.size)
        base_maps = [base.probabilities(prepared, []) for base in self.bases]
        return self._planes(prepared, base_maps, slice(None))

    def _planes(self, prepared: Prepared, base_maps: Sequence[np.ndarray], part: slice):
        planes = [base_map[part, None] for base_map in base_maps]
        if not self.bases or self.checkpoint.settings["stack_inputs"] == "predictions+image":
            planes.append(normalise(prepared.images[part], prepared.statistics[part]))
        return np.concatenate(planes, axis=1)

    def _ready(self) -> Batcher:
        if self._batcher is None:
            with self._opening:
                if self._batcher is None:
                    self._open()
        return self._batcher

    def _open(self) -> None:
        wanted = self.backend
        if wanted == AUTO:
            known = fastest.remembered(self.checkpoint)
            wanted = known.backend if known else REFERENCE
        if wanted != REFERENCE:
            try:
                self._use(wanted, backends.open_backend(wanted, self.checkpoint))
                return
            except CheckpointError:
                raise
            except Exception as error:  # each library has its own
                if self.backend != AUTO:
                    raise
                log.warning("%s: %s failed, so PyTorch runs (%s)", self.name, wanted, error)
        from brainseg.inference.backends.pytorch import run_module

        self._batcher = Batcher(run_module(self.module, REFERENCE))

    def _use(self, backend: str, run: backends.Run) -> None:
        self._batcher = Batcher(run)
        self.backend = backend
        self._is_tuned = True
        self.__dict__.pop("module", None)  # it is read again if somebody asks


def load(
    name: str | Path, checkpoints: str | Path = "checkpoints", backend: str | None = None
) -> Predictor:
    """A predictor from a name in ``checkpoints``, a folder, or the Hub.

    ``load("unetpp-bce")``, ``load("runs/lgg/unet-bce/fold0-seed0")``,
    ``load("user/repo/unet-bce@revision")``. ``backend`` as in ``Predictor``; left out, it is
    ``$BRAINSEG_BACKEND`` or else ``"auto"``. Raises CheckpointError if there is no such thing.
    """
    for folder in (Path(checkpoints) / name, Path(name)):
        if folder.is_dir():
            return _predictor(read_checkpoint(folder), backend)
    if str(name).partition("@")[0].count("/") == 2:
        from brainseg.checkpoints.hub import download

        return _predictor(download(str(name)), backend)
    known, _ = find_checkpoints(checkpoints) if Path(checkpoints).is_dir() else ([], [])
    raise CheckpointError(
        f"No checkpoint {str(name)!r}: expected a folder, user/repo/name on the Hub, or one of "
        f"{', '.join(c.name for c in known) or '(none found)'} in {checkpoints}."
    )


def load_all(
    checkpoints: str | Path = "checkpoints", backend: str | None = None
) -> tuple[dict[str, Predictor], list[str]]:
    """Predictors of all checkpoints below a folder by label, and why others were left out.

    The label is the checkpoint's name, or its path below the folder where names repeat (as in
    ``runs/``). Helper runs of stacks are not meant for use and are passed over. ``backend`` as in
    ``load``.
    """
    found, skipped = find_checkpoints(checkpoints)
    found = [c for c in found if not c.settings["run"].get("held_out_block")]
    repeated = {name for name, n in Counter(c.name for c in found).items() if n > 1}
    predictors = {}
    for checkpoint in found:
        path = checkpoint.folder.relative_to(checkpoints).as_posix()
        try:
            label = path if checkpoint.name in repeated else checkpoint.name
            predictors[label] = _predictor(checkpoint, backend)
        except CheckpointError as error:
            skipped.append(str(error))
    return predictors, skipped


def load_usable(
    checkpoints: str | Path = "checkpoints", backend: str | None = None
) -> tuple[dict[str, Predictor], list[str]]:
    """``load_all``, less those whose weights can't be read; one damaged file must not hide the
    other models. Raises CheckpointError if none is left."""
    predictors, skipped = load_all(checkpoints, backend)
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


def warm_up(checkpoints: str | Path = "checkpoints") -> None:
    """Load all checkpoints, then find the fastest backend of each. For a thread beside the app:
    comparisons that come meanwhile are answered. Raises nothing; what goes wrong is logged."""
    try:
        predictors, _ = load_usable(checkpoints)
        for predictor in predictors.values():
            predictor.tune()
        for _ in predict_all(_phantom(), predictors):  # imports and first passes are slow, too
            pass
    except CheckpointError as error:
        log.warning("nothing is loaded ahead: %s", error)
    except Exception:  # comparisons still work, and say themselves what is wrong
        log.exception("loading ahead failed")


def compare(
    scan: Scan,
    truth: np.ndarray | None = None,
    checkpoints: str | Path = "checkpoints",
    *,
    flips: bool = False,
    progress: Progress | None = None,
) -> Comparison:
    """Run every checkpoint and fusion on a scan. ``truth``: bool (slices, height, width).

    ``flips`` and ``progress`` as in ``predict_all``. Raises CheckpointError if the folder holds no
    usable checkpoint, ValueError for a truth of another shape.
    """
    *_, comparison = compare_stream(scan, truth, checkpoints, flips=flips, progress=progress)
    return comparison


def compare_stream(
    scan: Scan,
    truth: np.ndarray | None = None,
    checkpoints: str | Path = "checkpoints",
    *,
    flips: bool = False,
    progress: Progress | None = None,
) -> Iterator[Comparison]:
    """``compare``, as it grows: each comparison has one result more than the one before, so that
    the first mask can be shown while other models run. The last one is complete.

    Close the iterator to stop between two models; to stop within one, raise from ``progress``.
    Many may run at once, from different threads, except that scans of 32 slices and more run one
    after another, because of their memory: don't take turns on two of them in one thread.
    """
    if truth is not None and truth.shape != scan.pixels.shape[:3]:
        raise ValueError(
            f"truth is {truth.shape}, the scan {scan.pixels.shape[:3]} (slices, height, width): "
            "expected equal."
        )
    predictors, skipped = load_usable(checkpoints)
    results: dict[str, Result] = {}
    is_large = len(scan.pixels) >= MANY_SLICES
    if is_large:
        _one_volume.acquire()
    try:
        for result in predict_all(scan, predictors, flips=flips, progress=progress):
            results[result.name] = result
            yield Comparison(scan, truth, dict(results), tuple(skipped))
    finally:
        if is_large:
            _one_volume.release()


def predict_all(
    scan: Scan,
    predictors: dict[str, Predictor],
    *,
    slicewise: bool = False,
    fusions: bool = True,
    flips: bool = False,
    progress: Progress | None = None,
) -> Iterator[Result]:
    """Results one by one, as they are ready: models, ensembles, then fusions (with two or more
    models to fuse: those that a stack reads, or else every single model; in the first case
    ``fusion_all`` is the mean of every single model).

    slicewise: treat each slice as if it had been uploaded alone.
    flips: average each network's output with that on the mirrored slices, at twice the cost.
    progress: see ``Progress``; what it raises ends the run.
    """
    height, width = scan.pixels.shape[1:3]
    prepared: dict[int, Prepared] = {}
    maps: dict[Path, np.ndarray] = {}
    if len(scan.pixels) >= WORTH_TUNING:
        for predictor in predictors.values():
            predictor.tune()

    def run(predictor: Predictor) -> np.ndarray:
        key = predictor.checkpoint.folder.resolve()
        if key not in maps:
            if predictor.size not in prepared:
                prepared[predictor.size] = prepare(scan.pixels, predictor.size, slicewise=slicewise)
            base_maps = [run(base) for base in predictor.bases]
            options = {"flips": flips}
            if progress is not None:
                options["progress"] = lambda done: progress(predictor.name, done, len(scan.pixels))
            maps[key] = predictor.probabilities(prepared[predictor.size], base_maps, **options)
        return maps[key]

    results: dict[str, Result] = {}
    for label, predictor in sorted(predictors.items(), key=lambda item: item[1].kind != "model"):
        probabilities = restore(run(predictor), height, width)
        results[label] = Result(label, predictor.kind, probabilities, predictor.threshold)
        yield results[label]
    if fusions:
        yield from fused_results(predictors, results)


def _predictor(checkpoint: Checkpoint, backend: str | None = None) -> Predictor:
    """One predictor per file content and backend, shared by all who ask."""
    folder = checkpoint.folder.resolve()
    stamps = tuple((folder / name).stat().st_mtime_ns for name in (WEIGHTS, CONFIG))
    backend = backend or os.environ.get("BRAINSEG_BACKEND") or AUTO
    with _sharing:
        return _shared_predictor(folder, stamps, backend)


@functools.lru_cache(maxsize=64)
def _shared_predictor(folder: Path, modified_ns: tuple[int, ...], backend: str) -> Predictor:
    return Predictor(read_checkpoint(folder), backend)


@functools.cache
def _phantom() -> Scan:
    """Three slices with a tumour."""
    from brainseg.data.phantom import make_case

    return Scan(make_case(3, "large", slices=9).scan.pixels[3:6], source="phantom")
