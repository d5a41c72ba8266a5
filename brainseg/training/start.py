"""What a run is given beside its data sets, and must be given again to go on: the weights that it
starts from (``--init-from``), what they know, and scans without a mask (``--unlabelled``)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from brainseg.checkpoints.folder import WEIGHTS, read_checkpoint
from brainseg.checkpoints.patients import hashes_of
from brainseg.checkpoints.settings import Start
from brainseg.config import Config, ConfigError
from brainseg.data.case import CaseRef
from brainseg.data.splits import fold_of
from brainseg.data.unlabelled import digest_of, load_unlabelled
from brainseg.files import sha256
from brainseg.models.specs import SINGLES


def weights_file(path: Path) -> Path:
    """The safetensors file in a checkpoint folder, or the one given. Raises ConfigError."""
    from safetensors import SafetensorError, safe_open

    file = path / WEIGHTS if path.is_dir() else path
    if not file.is_file():
        raise ConfigError(f"--init-from {path}: expected a checkpoint folder or weights file.")
    try:
        with safe_open(file, framework="np"):
            return file
    except SafetensorError as error:
        raise ConfigError(
            f"--init-from {path} is no safetensors file ({error}): expected a checkpoint folder or "
            "such a file. Save other weights by safetensors.torch.save_file."
        ) from error


def starting_weights(config: Config, path: Path | None) -> tuple[dict, Start | None]:
    """Tensors by name, in float32, and what they had learned, None for a bare file.

    Raises ConfigError where they are others than the run began with, or know patients that must
    stay unseen.
    """
    from safetensors.torch import load_file

    if path is None:
        raise ConfigError(f"{config.name} starts from other weights: give them by --init-from.")
    weights = weights_file(path)
    if sha256(weights) != config.init_from:
        raise ConfigError(f"{weights} is not the file this run began with: give the same one.")
    tensors = load_file(weights)
    tensors = {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
    return tensors, start_of(config, path)


def start_of(config: Config, path: Path) -> Start | None:
    """What the weights in a checkpoint folder had learned; None for a bare file. Raises ConfigError
    where they know patients that must stay unseen."""
    if not path.is_dir():
        return None
    start = read_checkpoint(path)
    run = start.settings.run
    shared = set(run.datasets) & set(config.datasets)
    if shared and (seen := sorted(set(config.left_out) - set(run.left_out))):
        raise ConfigError(
            f"{path} was trained on patients that {config.name} must not see (fold {seen[0]} is "
            "left out): start from weights of another data set, or that left out the same folds."
        )
    return Start(start.name, run.dataset, start.settings.total_epochs)


def check_unseen(config: Config, path: Path, owners: Iterable[str]) -> None:
    """Raise ConfigError where the weights in a checkpoint folder know patients that must stay
    unseen, by the hashes it holds: whatever it began with, and whatever its patients were for.

    owners: of each slice that the run has, as ``role_hashes`` takes them.
    """
    hashes = read_checkpoint(path).settings.patient_hashes if path.is_dir() else {}
    learned = ("train", "unlabelled", *(() if config.stack_maps == SINGLES else ("maps",)))
    for number, fold in enumerate(config.left_out):
        # Whom others watched may be watched again, but not tested on.
        roles = learned if number else (*learned, "start", "watched")
        known = {one for role in roles for one in hashes.get(role, ())}
        own = {str(one) for one in owners if fold_of(str(one).partition("/")[2]) == fold}
        if seen := known.intersection(hashes_of(own)):
            raise ConfigError(
                f"{path}, or what it began with, knows {len(seen)} patients that {config.name} "
                f"must not see (fold {fold} is left out): start from weights that do not know them."
            )


def unlabelled_scans(config: Config, folders: Sequence[Path] | None) -> list[CaseRef]:
    """The scans without a mask that a run learns from, if it does. Raises ConfigError where they
    are others than it began with, DataError as ``load_unlabelled`` does."""
    if config.unlabelled is None:
        return []
    if not folders:
        raise ConfigError(f"{config.name} learns from more scans: give them by --unlabelled.")
    refs = load_unlabelled(folders)
    if digest_of(refs) != config.unlabelled:
        told = ", ".join(map(str, folders))
        raise ConfigError(
            f"--unlabelled {told}: {len(refs)} scans, which are not those this run began with: "
            "give the same ones, or start anew without --config."
        )
    return refs
