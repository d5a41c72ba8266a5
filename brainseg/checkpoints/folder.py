"""The checkpoint folder: saved in one piece or not at all, loaded without running foreign code.

``<name>/model.safetensors``  weights, fp16 (normalisation counters keep their type)
``<name>/config.json``        all that is needed to rebuild and use the model. smp models keep
                              smp's own keys at the top level, so ``smp.from_pretrained`` loads
                              the folder, but for a stack that corrects a mean; ours lie under
                              ``brainseg`` (``_brainseg`` beside a timm encoder)
``<name>/metrics.json``       scores on the validation and the test fold
``<name>/history.csv``        one row per epoch
``<name>/README.md``          the model card
``<name>/int8.json``          if it was quantised: ranges, and the proof (``ranges.py``)
``<name>/origin.json``        of one pulled from the Hub: its repository, commit and checksums
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from brainseg.checkpoints.settings import (
    PARTS,
    Base,
    CheckpointError,
    Settings,
    join_parts,
    read_settings,
)
from brainseg.files import sha256, write_json, writing

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
METRICS, HISTORY, ORIGIN = "metrics.json", "history.csv", "origin.json"
RANGES = "int8.json"
_FRESH_NS = 2 * 10**9  # a file may change again within one tick of its clock
# All that is told of the weights, what makes a folder a checkpoint first.
_BESIDE_WEIGHTS = (CONFIG, METRICS, HISTORY, CARD, RANGES, ORIGIN)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint folder whose ``config.json`` has been read and checked; no weights yet."""

    folder: Path
    settings: Settings

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def bases(self) -> tuple[Base, ...]:
        """What a stack reads; empty for other models."""
        return self.settings.bases

    @property
    def metrics(self) -> dict:
        """The scores in ``metrics.json``, as they are now; empty if there are none.

        Raises CheckpointError if the file holds something else.
        """
        return read_metrics(self.folder)

    @property
    def validation_dice(self) -> float | None:
        """Mean Dice on the validation patients, in [0, 1]; None if the folder does not tell."""
        try:
            dice = float(self.metrics["validation"]["mean_dice"])
        except (CheckpointError, OSError, ValueError, ArithmeticError, KeyError, TypeError):
            return None
        return dice if 0 <= dice <= 1 else None  # nor is NaN one

    @property
    def origin(self) -> dict | None:
        """Of a checkpoint from the Hub: ``{"repo", "revision", "asked", "sha256"}``, the revision
        being the full commit id. None for others."""
        return read_origin(self.folder)

    def sha256(self) -> str:
        """Of the weights. Read once as long as their file stays the same: a stack's bases are
        checked whenever it is asked for."""
        weights = self.folder / WEIGHTS
        stamp = weights.stat()
        if time.time_ns() - stamp.st_mtime_ns < _FRESH_NS:
            return sha256(weights)
        return _sha256(weights, stamp.st_mtime_ns, stamp.st_size)


@functools.lru_cache(maxsize=1024)
def _sha256(weights: Path, modified_ns: int, size: int) -> str:
    return sha256(weights)


def read_checkpoint(folder: str | Path) -> Checkpoint:
    """Read and check ``config.json``. Raises CheckpointError for anything not ours."""
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder} is not a checkpoint folder: expected a folder with {CONFIG} and {WEIGHTS}."
        )
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder} has no {name}: it is no complete checkpoint folder.")
    return Checkpoint(folder, read_settings(folder / CONFIG))


def read_metrics(folder: Path) -> dict:
    """The scores in a folder's ``metrics.json``; empty if there are none.

    Raises CheckpointError if the file holds something else.
    """
    path = folder / METRICS
    try:
        metrics = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not JSON: pull or train it again.") from error
    if not isinstance(metrics, dict):
        raise CheckpointError(f"{path} holds no scores: pull or train it again.")
    return metrics


def read_origin(folder: Path) -> dict | None:
    """Where a folder came from, see ``Checkpoint.origin``; None if it does not tell, or tells
    something else."""
    path = folder / ORIGIN
    try:
        origin = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
        texts = [origin[key] for key in ("repo", "revision", "asked")]
        texts += origin["sha256"].values()
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None
    return origin if all(isinstance(text, str) for text in texts) else None


def find_checkpoints(root: str | Path) -> tuple[list[Checkpoint], list[str]]:
    """All checkpoints below ``root`` (or ``root`` itself), sorted by name, and why others were
    left out, one sentence each."""
    root = Path(root)
    if not root.is_dir():
        raise CheckpointError(f"{root} is not a folder: expected a folder of checkpoints.")
    found, skipped = [], []
    for folder in checkpoint_folders(root):
        try:
            found.append(read_checkpoint(folder))
        except CheckpointError as error:
            skipped.append(str(error))
    return sorted(found, key=lambda c: (c.name, str(c.folder))), skipped


def checkpoint_folders(root: Path) -> list[Path]:
    """All folders below ``root``, and itself, that hold a ``config.json``, sorted. Hidden ones,
    which a killed save left, are not entered, and what goes away meanwhile is passed over."""
    found = []
    for folder, below, files in os.walk(root):
        below[:] = [name for name in below if not name.startswith(".")]
        if CONFIG in files:
            found.append(Path(folder))
    return sorted(found)


def labelled(root: str | Path) -> tuple[dict[str, Checkpoint], list[str]]:
    """The checkpoints below ``root`` that are meant for use, by label, and why others were left
    out, as of ``find_checkpoints``.

    The label is the checkpoint's name, or its path below the folder where names repeat (as in
    ``runs/``). Helper runs of stacks are passed over.
    """
    found, skipped = find_checkpoints(root)
    found = [c for c in found if not c.settings.run.is_helper]
    repeated = {name for name, n in Counter(c.name for c in found).items() if n > 1}
    labels = (
        c.folder.relative_to(root).as_posix() if c.name in repeated else c.name for c in found
    )
    return dict(zip(labels, found, strict=True)), skipped


def find_named(names: Sequence[str], root: Path) -> list[Checkpoint]:
    """Checkpoints by name in ``root`` or by folder; all in ``root`` for no names.

    Raises CheckpointError if one can't be used, or there is none.
    """
    if names:
        folders = [root / name if (root / name).is_dir() else Path(name) for name in names]
        return [read_checkpoint(folder) for folder in folders]
    found, skipped = find_checkpoints(root)
    if skipped or not found:
        raise CheckpointError(" ".join(skipped) or f"{root} holds no checkpoint.")
    return found


def file_stem(label: str) -> str:
    """A label as the name of a file: one that is a path would lead into folders."""
    return label.replace("/", "_")


def find_base(stack: Checkpoint, base: Base) -> Checkpoint:
    """The checkpoint a stack reads: beside it in ``checkpoints/``, or its sibling in ``runs/``.

    Raises CheckpointError if it isn't there or is not the one the stack was fitted on.
    """
    run = "-".join(stack.folder.name.split("-")[:2])  # without -image and the like
    candidates = [
        stack.folder.parent / base.name,
        stack.folder.parent.parent / base.name / run,
    ]
    for folder in candidates:
        if (folder / CONFIG).is_file():
            found = read_checkpoint(folder)
            if found.settings.is_stack:  # it might read the other in turn, and so for ever
                raise CheckpointError(
                    f"{stack.folder} reads {base.name}, which itself reads others: expected models "
                    "that read images."
                )
            if found.sha256() != base.sha256:
                raise CheckpointError(
                    f"{stack.folder} was fitted on other weights of {base.name} than those in "
                    f"{folder}: restore them, or train the stack again."
                )
            if found.settings.size != stack.settings.size:
                raise CheckpointError(
                    f"{stack.folder} takes {stack.settings.size} px and {folder}, which it reads, "
                    f"{found.settings.size}: expected the same. Train or download it again."
                )
            return found
    raise CheckpointError(
        f"{stack.folder} reads the predictions of {base.name}, which is not there: expected "
        f"{candidates[0]}."
    )


def load_module(checkpoint: Checkpoint):
    """The network with its weights in float32, in evaluation mode, on the CPU.

    The header of the weights is compared with the architecture before either takes memory.
    """
    import torch

    from brainseg.checkpoints.weights import WeightsError, read_weights
    from brainseg.models.building import ModelError, create_model

    settings = checkpoint.settings
    path = checkpoint.folder / WEIGHTS

    def build():
        return create_model(
            settings.model,
            encoder=settings.encoder,
            stack_inputs=settings.stack_inputs,
            bases=[base.name for base in settings.bases],
            stack_output=settings.run.stack_output,
            atrous_rates=settings.run.atrous_rates,
            classes=len(settings.classes),
        )

    try:
        try:
            with torch.device("meta"):  # shapes without memory, however large the encoder
                module = build()
        except ModelError:  # some encoders compute constants when they are built
            module = build()
        state = read_weights(path, module.state_dict())
        module.load_state_dict(state, assign=True)
        if any(tensor.is_meta for tensor in module.buffers()):
            module = build()
            module.load_state_dict(state)
    except (WeightsError, ModelError, RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0][:300]
        raise CheckpointError(
            f"{path} could not be loaded ({reason}): the file is damaged or belongs to another "
            "model. Train or download the checkpoint again."
        ) from error
    return module.eval()


def architecture_json(module) -> dict:
    """smp's own keys, so that smp loads the folder too; nothing for other networks."""
    config = getattr(module, "config", None)
    if config is None:
        return {}
    return {**config, "encoder_weights": None, "_model_class": type(module).__name__}


def save_checkpoint(
    folder: Path, state: dict, architecture: dict, settings: Settings, texts: dict[str, str]
) -> Checkpoint:
    """Write a checkpoint folder in one piece, replacing the checkpoint there, if there is one.

    state: name to tensor; floating point is stored as fp16.
    texts: further files by name, such as ``metrics.json``, ``history.csv``, ``README.md``.
    """
    import torch
    from safetensors.torch import save_file

    state = {
        key: (value.to(torch.float16) if value.is_floating_point() else value).contiguous().cpu()
        for key, value in state.items()
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        with writing(folder):
            save_file(state, aside / WEIGHTS, metadata={"format": "pt"})
            texts = {
                **texts,
                CONFIG: json.dumps(join_parts(architecture, settings), indent=2, default=list),
            }
            for name, text in texts.items():
                (aside / name).write_text(text, encoding="utf-8")
            _move_files(aside, folder, [*texts, WEIGHTS])
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return read_checkpoint(folder)


def replace_settings(checkpoint: Checkpoint, settings: Settings) -> None:
    """Write other settings for the same weights."""
    path = checkpoint.folder / CONFIG
    written = json.loads(path.read_text(encoding="utf-8"))
    architecture = {key: value for key, value in written.items() if key not in PARTS}
    write_json(path, join_parts(architecture, settings), indent=2)


def _move_files(source: Path, target: Path, names: list[str]) -> None:
    # A run folder also holds resume state, so files are replaced one by one. config.json goes
    # away first and comes last: while it is missing, the folder does not count as a checkpoint.
    # All that was told of the old weights goes before the new ones come, whatever stops it then.
    target.mkdir(parents=True, exist_ok=True)
    for name in _BESIDE_WEIGHTS:
        (target / name).unlink(missing_ok=True)
    for name in sorted(names, key=lambda n: n == CONFIG):
        os.replace(source / name, target / name)


def copy_checkpoint(checkpoint: Checkpoint, target: Path) -> None:
    """Copy a checkpoint's files, without resume state, replacing what ``target`` holds."""
    known = (WEIGHTS, *_BESIDE_WEIGHTS)
    names = [name for name in known if (checkpoint.folder / name).is_file()]
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        for name in names:
            shutil.copyfile(checkpoint.folder / name, aside / name)
        _move_files(aside, target, names)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
