"""From names, folders and the Hub to predictors: each read once, and shared by all who ask."""

from __future__ import annotations

import copyreg
import functools
import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from brainseg.checkpoints.folder import (
    CONFIG,
    RANGES,
    WEIGHTS,
    Checkpoint,
    find_base,
    labelled,
    read_checkpoint,
)
from brainseg.checkpoints.ranges import may_read_in_int8
from brainseg.checkpoints.settings import CheckpointError
from brainseg.inference.backends import opening
from brainseg.inference.backends.names import INT8, REFERENCE
from brainseg.inference.predictor import AUTO, AUTO_BUT_INT8, Predictor

_sharing = threading.RLock()


def load(
    name: str | Path, checkpoints: str | Path = "checkpoints", backend: str | None = None
) -> Predictor:
    """A predictor from a name in ``checkpoints``, a folder, or the Hub.

    ``load("unetpp-bce")``, ``load("runs/lgg/unet-bce/without0+1-seed0")``,
    ``load("user/repo/unet-bce@revision")``. ``backend`` as in ``Predictor``; left out, it is
    ``$BRAINSEG_BACKEND`` or else ``"auto"``. Raises CheckpointError if there is no such thing.
    """
    for folder in (Path(checkpoints) / name, Path(name)):
        if folder.is_dir():
            return _predictor(read_checkpoint(folder), backend)
    if _is_on_hub(str(name)):
        from brainseg.checkpoints.hub import download
        from brainseg.checkpoints.hub.client import HubError

        try:
            return _predictor(download(str(name)), backend)
        except HubError as error:
            raise HubError(f"{str(name)!r} is no folder here, and: {error}") from error
    known, _ = labelled(checkpoints) if Path(checkpoints).is_dir() else ({}, [])
    raise CheckpointError(
        f"No checkpoint {str(name)!r}: expected a folder, user/repo/name on the Hub, or one of "
        f"{', '.join(known) or '(none found)'} in {checkpoints}."
    )


def _is_on_hub(name: str) -> bool:
    """Whether it could be ``user/repo/name[@revision]``, and not only a path."""
    from brainseg.checkpoints.hub.client import HubError, parse_reference

    try:
        return parse_reference(name).name is not None
    except HubError:
        return False


def load_all(
    checkpoints: str | Path = "checkpoints", backend: str | None = None
) -> tuple[dict[str, Predictor], list[str]]:
    """Predictors of all checkpoints below a folder by label (see ``labelled``), and why others were
    left out. ``backend`` as in ``load``."""
    found, skipped = labelled(checkpoints)
    barred = _barred(found.values())
    predictors = {}
    for label, checkpoint in found.items():
        try:
            may_be_int8 = checkpoint.folder.resolve() not in barred
            predictors[label] = _predictor(checkpoint, backend, may_be_int8=may_be_int8)
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


def open_together(checkpoints: Iterable[Checkpoint]) -> dict[str, Predictor]:
    """Predictors of their own by name, on PyTorch. Nobody else holds them or their bases, so that
    weights leave memory with them; a stack's bases are those given, where these are the same.

    Raises CheckpointError if a base is not there or has other weights.
    """
    opened: dict[Path, Predictor] = {}
    return {checkpoint.name: _open_once(checkpoint, opened) for checkpoint in checkpoints}


def _open_once(checkpoint: Checkpoint, opened: dict[Path, Predictor]) -> Predictor:
    key = checkpoint.folder.resolve()
    if key not in opened:
        bases = [_open_once(find_base(checkpoint, base), opened) for base in checkpoint.bases]
        opened[key] = Predictor(checkpoint, REFERENCE, bases)
    return opened[key]


def _barred(checkpoints: Iterable[Checkpoint]) -> set[Path]:
    """Folders of what a stack among these reads and has not proven to be read in int8: each base
    runs once, for itself and for its stacks."""
    barred = set()
    for stack in checkpoints:
        for named in stack.bases:
            with suppress(CheckpointError):  # said where the stack is opened
                base = find_base(stack, named)
                if not may_read_in_int8(stack, base):
                    barred.add(base.folder.resolve())
    return barred


def _predictor(
    checkpoint: Checkpoint, backend: str | None = None, *, may_be_int8: bool = True
) -> Predictor:
    """One predictor per file content, that of its bases too, and backend, shared by all who ask."""
    folder = checkpoint.folder.resolve()
    bases = (find_base(checkpoint, base).folder.resolve() for base in checkpoint.bases)
    files = [home / name for home in (folder, *bases) for name in (WEIGHTS, CONFIG, RANGES)]
    stamps = tuple(file.stat().st_mtime_ns for file in files if file.is_file())
    backend = backend or os.environ.get("BRAINSEG_BACKEND") or AUTO
    if not may_be_int8 and backend in (AUTO, INT8):
        backend = AUTO_BUT_INT8 if backend == AUTO else opening.without_int8()
    with _sharing:
        return _shared_predictor(folder, stamps, backend)


@functools.lru_cache(maxsize=256)  # more than a folder of runs has: with fewer all are read anew
def _shared_predictor(folder: Path, modified_ns: tuple[int, ...], backend: str) -> Predictor:
    checkpoint = read_checkpoint(folder)
    bases = [
        _predictor(base, backend, may_be_int8=may_read_in_int8(checkpoint, base))
        for base in (find_base(checkpoint, base) for base in checkpoint.bases)
    ]
    return Predictor(checkpoint, backend, bases)


# To another process a predictor travels as its checkpoint, to be opened there.
copyreg.pickle(Predictor, lambda predictor: (_predictor, (predictor.checkpoint, predictor.backend)))
