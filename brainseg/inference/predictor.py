"""One checkpoint at work, and all of them on one scan: a scan in, probabilities and masks out.

Each base model runs once, however many stacks and fusions read it. All of it may be called from
many threads at once: one network runs at a time, on all cores, and those who wait for it share its
next pass.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from brainseg.checkpoints.folder import Checkpoint, load_module
from brainseg.checkpoints.ranges import RangesError
from brainseg.checkpoints.settings import CheckpointError
from brainseg.inference import fused_models
from brainseg.inference.backends import fastest, opening
from brainseg.inference.backends.names import INT8, REFERENCE, Run
from brainseg.inference.results import Result
from brainseg.inference.turns import MOST_SLICES, Batcher
from brainseg.scans.preprocessing import Prepared, normalise, prepare, restore
from brainseg.scans.scan import Scan

log = logging.getLogger(__name__)

AUTO = "auto"
AUTO_BUT_INT8 = "auto-but-int8"
_MEASURED = {AUTO: "", AUTO_BUT_INT8: INT8}  # what is not to be chosen
WORTH_TUNING = 128  # so many slices cost eager float32 more time than measuring all backends does

Progress = Callable[[str, int, int], None]
"""Called with a model's name, how many of its slices are done, and how many there are. What it
raises ends the prediction and reaches the caller: that is how to cancel."""


class Predictor:
    """One checkpoint. Weights are read on first use and then kept; safe to share among threads.

    ``module`` is the plain ``torch.nn.Module`` in evaluation mode; ``bases`` are the predictors
    whose probabilities a stack reads, empty for other models.

    ``backend`` is what runs the network: a name that ``backends.opening.available()`` gives, or
    ``"auto"``, the one measured as fastest on this machine (see ``tune``), which is eager float32
    PyTorch until there is a measurement. ``"auto-but-int8"`` is the fastest of the others: what a
    stack has to be read by that has not proven that its bases may be in int8.
    """

    def __init__(
        self, checkpoint: Checkpoint, backend: str = REFERENCE, bases: Sequence[Predictor] = ()
    ) -> None:
        self.checkpoint = checkpoint
        self.name = checkpoint.name
        self.kind = "ensemble" if checkpoint.settings.is_stack else "model"
        self.threshold: float = checkpoint.settings.threshold
        self.size: int = checkpoint.settings.size
        self.classes = checkpoint.settings.classes
        if len(bases) != len(checkpoint.bases):
            raise ValueError(
                f"{self.name} reads {len(checkpoint.bases)} models and got {len(bases)}: open it "
                "by brainseg.load."
            )
        self.bases = list(bases)
        self.backend = backend
        self._is_tuned = backend not in _MEASURED
        self._batcher: Batcher | None = None
        self._opening = threading.RLock()
        self._tuning = threading.Lock()

    @functools.cached_property
    def module(self):
        """The network in float32, on the CPU until it runs where ``$BRAINSEG_DEVICE`` says; not
        what runs, unless the backend is ``pytorch``."""
        return load_module(self.checkpoint)

    @functools.cached_property
    def validation_dice(self) -> float | None:
        """Mean Dice on the validation patients; None if the folder does not tell."""
        return self.checkpoint.validation_dice

    def read_weights(self) -> None:
        """Make ready to run, the bases too. Raises CheckpointError if a file is damaged."""
        for predictor in (*self.bases, self):
            predictor._ready()

    def tune(self) -> None:
        """With the backend ``auto`` or ``auto-but-int8``, use the fastest one on this machine from
        here on, for the bases too.

        The first time on a machine this takes some seconds: graphs are exported and all backends
        measured. The outcome is kept in the user's cache. Calls that come meanwhile are answered
        by PyTorch. Raises CheckpointError for damaged weights.
        """
        for base in self.bases:
            base.tune()
        with self._tuning:
            if self._is_tuned:
                return
            self._ready()
            if not self._is_tuned:
                planes = self.example_planes()[:1]
                chosen, run = fastest.measure(self.checkpoint, planes, _MEASURED[self.backend])
                self.use(chosen.backend, run)

    def use(self, backend: str, run: Run) -> None:
        """Run the network by ``run``, called ``backend``, from here on."""
        self._batcher = Batcher(run)
        self.backend = backend
        self._is_tuned = True
        self.__dict__.pop("module", None)  # it is read again if somebody asks

    def predict(
        self,
        scan: Scan,
        *,
        slicewise: bool = False,
        flips: bool = False,
        progress: Progress | None = None,
    ) -> Result:
        """Segment a scan. ``slicewise`` treats each slice as if it had been uploaded alone;
        ``flips`` averages with the prediction of the mirrored slices, at twice the cost.

        Whether it is a brain MRI at all is not asked: ``brainseg.scans.guard.inspect`` tells."""
        own = {self.name: self}
        return next(predict_all(scan, own, slicewise=slicewise, flips=flips, progress=progress))

    def forward(self, planes: np.ndarray) -> np.ndarray:
        """Probabilities, float32 (n, size, size), of up to 16 of what the network reads, float32
        (n, channels, size, size); those of each class, (n, classes, size, size), if it tells some
        apart. Waits for its turn, and shares it with others who wait."""
        return self._ready()(planes)

    def probabilities(
        self,
        prepared: Prepared,
        base_maps: Sequence[np.ndarray],
        *,
        flips: bool = False,
        progress: Callable[[int], None] = lambda done: None,
    ) -> np.ndarray:
        """Network output on prepared slices, float32 (slices, size, size), or (slices, classes,
        size, size).

        base_maps: the bases' own outputs on the same slices, in the order of ``bases``.
        flips: average with the output on left-right mirrored slices.
        progress: called with the number of slices done so far.

        Slices of one grey level hold no head: no network is asked, and nothing in them is tumour.
        """
        slices, *sides = prepared.images.shape[:3]
        classes = [len(self.classes)] if self.classes else []
        out = np.zeros((slices, *classes, *sides), np.float32)
        rows = self.rows_to_ask(prepared)
        for start in range(0, len(rows), MOST_SLICES):
            part = rows[start : start + MOST_SLICES]
            planes = self._planes(prepared, base_maps, part)
            out[part] = self.forward(planes)
            if flips:
                mirrored = self.forward(np.ascontiguousarray(planes[..., ::-1]))
                out[part] = (out[part] + mirrored[..., ::-1]) / 2
            progress(slices if part[-1] == rows[-1] else int(part[-1]) + 1)
        if not len(rows):
            progress(slices)
        return out

    def rows_to_ask(self, prepared: Prepared) -> np.ndarray:
        """The slices, int (n,), that are not of one grey level."""
        return np.flatnonzero((prepared.images != prepared.images[:, :1, :1]).any((1, 2, 3)))

    def example_planes(self) -> np.ndarray:
        """What the network reads of a phantom: float32 (3, channels, size, size)."""
        return self.planes(prepare(example_scan().pixels, self.size))

    def planes(self, prepared: Prepared) -> np.ndarray:
        """What the network reads of prepared slices: float32 (slices, channels, size, size)."""
        base_maps = [base.probabilities(prepared, []) for base in self.bases]
        return self._planes(prepared, base_maps, slice(None))

    def _planes(self, prepared: Prepared, base_maps: Sequence[np.ndarray], part):
        planes = [m[part, None] if m.ndim == 3 else m[part] for m in base_maps]
        if self.checkpoint.settings.reads_image:
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
        if wanted in _MEASURED:
            known = fastest.remembered(self.checkpoint)
            wanted = known.but(_MEASURED[wanted]).backend if known else REFERENCE
            if known and wanted == REFERENCE:  # as measured: not to be measured again
                self.backend, self._is_tuned = REFERENCE, True
        if wanted != REFERENCE:
            try:
                self.use(wanted, opening.open_backend(wanted, self.checkpoint))
                return
            except CheckpointError:
                raise
            except RangesError as error:  # named for all models, of which some may not have them
                instead = opening.without_int8()
                log.warning("%s It runs on %s.", error, instead)
                self.use(instead, opening.open_backend(instead, self.checkpoint))
                return
            except Exception as error:  # each library has its own
                if self.backend not in _MEASURED:
                    raise
                log.warning("%s: %s failed, so PyTorch runs (%s)", self.name, wanted, error)
        from brainseg.inference.backends.pytorch import run_module

        self._batcher = Batcher(run_module(self.module, REFERENCE))


def predict_all(
    scan: Scan,
    predictors: dict[str, Predictor],
    *,
    slicewise: bool = False,
    fusions: bool = True,
    flips: bool = False,
    progress: Progress | None = None,
) -> Iterator[Result]:
    """Results one by one, as they are ready: models, stacks, then fusions (with two or more
    models to fuse: those that a stack reads, or else every single model; in the first case
    ``fusion_all`` is the mean of every single model. Models that tell classes apart count only
    where fewer than two others do).

    slicewise: treat each slice as if it had been uploaded alone.
    flips: average each network's output with that on the mirrored slices, at twice the cost.
    progress: see ``Progress``; what it raises ends the run.

    Every prediction goes through here, see ``wrap_predictions``.
    """
    options = {"slicewise": slicewise, "flips": flips, "progress": progress}
    results: dict[str, Result] = {}
    for result in _gate(scan, predictors, **options):
        results[result.name] = result
        yield result
    if fusions:
        yield from fused_models.fusions(predictors, results)


def wrap_predictions(wrapper: Callable[[Callable], Callable]) -> None:
    """Run every network inside ``wrapper`` from here on: where a GPU is lent for one call at a
    time, that one function is all that has to be wrapped."""
    global _gate
    _gate = wrapper(_gate)


def _run_networks(
    scan: Scan,
    predictors: dict[str, Predictor],
    *,
    slicewise: bool,
    flips: bool,
    progress: Progress | None,
) -> Iterator[Result]:
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
                prepared[predictor.size] = prepare(
                    scan.pixels, predictor.size, spacing_mm=scan.spacing_mm, slicewise=slicewise
                )
            base_maps = [run(base) for base in predictor.bases]
            options = {"flips": flips}
            if progress is not None:
                options["progress"] = lambda done: progress(predictor.name, done, len(scan.pixels))
            maps[key] = predictor.probabilities(prepared[predictor.size], base_maps, **options)
        return maps[key]

    for label, predictor in sorted(predictors.items(), key=lambda item: item[1].kind != "model"):
        found = run(predictor)
        several = None
        if predictor.classes:
            planes = found.swapaxes(0, 1)
            several = np.stack([restore(one, height, width, scan.spacing_mm) for one in planes])
            probabilities = several.sum(0).clip(0, 1)
        else:
            probabilities = restore(found, height, width, scan.spacing_mm)
        yield Result(
            label, predictor.kind, probabilities, predictor.threshold,
            classes=predictor.classes, class_probabilities=several,
        )  # fmt: skip


_gate = _run_networks


@functools.cache
def example_scan() -> Scan:
    """Three slices of a phantom, with a tumour."""
    from brainseg.data.phantom import make_case

    return Scan(make_case(3, "large", slices=9).scan.pixels[3:6], source="phantom")
