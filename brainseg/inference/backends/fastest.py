"""Which backend runs a checkpoint fastest on this machine: measured once, then remembered.

Every backend predicts the same phantom slice. Those that fail, or differ from eager float32
PyTorch by more than rounding can, are out; the fastest of the others is the choice. It is kept
with the checkpoint's graphs, one file per machine. Int8 runs only where a checkpoint brings the
proof that it changes no mask by much, and has to agree on the phantom like every other.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from brainseg.checkpoints.folder import Checkpoint
from brainseg.checkpoints.settings import CheckpointError
from brainseg.files import WriteError, write_json
from brainseg.inference.backends import graphs, opening
from brainseg.inference.backends.names import Run
from brainseg.inference.turns import ALL_CORES
from brainseg.machine import bf16_is_barred, device, usable_cores

log = logging.getLogger(__name__)

# Mean absolute difference of probabilities. bf16 has 8 bits, which over 50 layers leaves up to a
# hundredth where a network is undecided everywhere; a wrong kernel is off by tenths.
TOLERANCE = 0.02
ROUNDS = 5


@dataclass(frozen=True)
class Choice:
    """backend: the fastest correct one. ms: per slice, by backend, of those that ran. difference:
    mean absolute difference of probabilities from the reference, by backend."""

    backend: str
    ms: dict[str, float]
    difference: dict[str, float]

    def but(self, name: str) -> Choice:
        """What it would have been without one of the backends."""
        ms = {other: took for other, took in self.ms.items() if other != name}
        return replace(self, backend=min(ms, key=ms.get))


def remembered(checkpoint: Checkpoint) -> Choice | None:
    """What was measured on this machine for these weights; None if nothing was."""
    path = graphs.find(checkpoint, _file_name())
    if path is None:
        return None
    try:
        return Choice(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def measure(checkpoint: Checkpoint, planes: np.ndarray, but: str = "") -> tuple[Choice, Run]:
    """Measure, remember, and give the choice ready to run.

    planes: one slice's input, float32 (1, channels, size, size). but: a backend that is measured
    like the others, but not to be chosen now. Raises CheckpointError for damaged weights.
    """
    runs, difference = compared(checkpoint, planes, opening.available_to(checkpoint))
    # The least counts, for others may be at work meanwhile.
    ms = {name: min(times) for name, times in milliseconds(runs, planes).items()}
    choice = Choice(min(ms, key=ms.get), ms, difference)
    try:
        write_json(graphs.home(checkpoint) / _file_name(), asdict(choice), indent=2)
    except (OSError, WriteError) as error:
        log.warning("the choice for %s is not remembered: %s", checkpoint.name, error)
    choice = choice.but(but)
    for kind, backend in (("onnx", "onnxruntime"), ("openvino", "openvino")):
        if not choice.backend.startswith(backend):  # a hundred megabytes that nobody will read
            graphs.remove(checkpoint, kind)
    return choice, runs[choice.backend]


def compared(
    checkpoint: Checkpoint, planes: np.ndarray, names: Sequence[str]
) -> tuple[dict[str, Run], dict[str, float]]:
    """Those backends that run and agree with the first of ``names``, and by how much each differs
    from it: mean absolute difference of probabilities."""
    runs, difference = {}, {}
    expected = None
    for name in names:
        try:
            run = opening.open_backend(name, checkpoint)
            with ALL_CORES.taken():
                found = run(planes)
        except CheckpointError:
            raise
        except Exception as error:  # each library has its own; the others may well work
            if expected is None:
                raise
            log.warning("%s: %s is left out (%s)", checkpoint.name, name, error)
            continue
        expected = found if expected is None else expected
        difference[name] = float(np.abs(found - expected).mean())
        if difference[name] <= TOLERANCE:  # NaN is not
            runs[name] = run
        else:
            log.warning(
                "%s: %s is left out: its probabilities differ by %.3f from those of PyTorch",
                checkpoint.name, name, difference[name],
            )  # fmt: skip
    return runs, difference


def milliseconds(runs: dict[str, Run], planes: np.ndarray) -> dict[str, list[float]]:
    """How long each run takes, in turns, ``ROUNDS`` times."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            with ALL_CORES.taken():
                began = time.perf_counter()
                run(planes)
                times[name].append((time.perf_counter() - began) * 1000)
    return times


@functools.cache
def _file_name() -> str:
    """Another processor, device, number of cores or library version is another machine."""
    told = [platform.machine(), _processor(), usable_cores()]
    told += [device()] if device() != "cpu" else []
    told += [_version(package) for package in ("torch", "onnxruntime", "openvino")]
    told += ["without bf16"] if bf16_is_barred() else []
    return f"choice-{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]}.json"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return platform.processor()
    lines = info.read_text().splitlines()
    return "".join(sorted({line for line in lines if line.startswith(("model name", "flags"))}))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
