"""Which runs a command needs: bases and helpers before the stacks that read them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from brainseg.checkpoints.folder import CARD, CONFIG, Checkpoint, read_checkpoint
from brainseg.checkpoints.settings import CheckpointError
from brainseg.config import Config, ConfigError
from brainseg.models.losses import LOSSES
from brainseg.models.specs import CLASSES_SUFFIX, MODELS, PAIRS


@dataclass(frozen=True)
class Planned:
    """A run and the runs that it reads, each with its whole configuration.

    helpers: of each base one for each fold the stack is trained on, in their order; none if the
        stack is fitted in-sample.
    """

    config: Config
    bases: tuple[Config, ...] = ()
    helpers: tuple[tuple[Config, ...], ...] = ()

    @property
    def reads(self) -> tuple[Config, ...]:
        return (*self.bases, *chain.from_iterable(self.helpers))


def combinations(models: list[str], losses: list[str]) -> list[tuple[str, str]]:
    """All (model, loss) pairs, bases before stacks; ``["all"]`` stands for every name."""
    models = list(MODELS) if "all" in models else models
    losses = list(LOSSES) if "all" in losses else losses
    return [(m, loss) for m in sorted(models, key=lambda m: MODELS[m].is_stack) for loss in losses]


def plan(configs: list[Config], runs: Path) -> dict[Config, Planned]:
    """Every run that ``configs`` need, themselves included, in an order in which each comes after
    those it reads.

    Raises ConfigError, now and not after hours, if two of them that differ would share a folder, if
    a stack takes another size than a base that is there or asked for, or if a base's name is none.
    """
    needed: dict[Config, Planned] = {}
    asked = {config.run_folder(runs): config for config in configs}

    def add(config: Config) -> None:
        if config in needed:
            return
        planned = Planned(config)
        if config.is_stack:
            bases = tuple(_base(config, name, runs, asked) for name in config.bases)
            _check_sizes(config, bases)
            planned = Planned(config, bases, tuple(_helpers(config, base) for base in bases))
        for other in planned.reads:
            add(other)
        needed[config] = planned

    for config in configs:
        add(config)
    owners: dict[Path, Config] = {}
    for config in needed:
        owner = owners.setdefault(config.run_folder(runs), config)
        if owner != config:
            raise ConfigError(
                f"{config.run_folder(runs)} would hold two runs that differ "
                f"({owner.differences(config)}): train one of them with another --runs."
            )
    return needed


def finished(config: Config, folder: Path) -> Checkpoint | None:
    """The checkpoint in ``folder`` if it is complete and has the same configuration."""
    if not ((folder / CONFIG).is_file() and (folder / CARD).is_file()):
        return None
    checkpoint = read_checkpoint(folder)
    if checkpoint.settings.interrupted or checkpoint.settings.run != config:
        return None
    return checkpoint


def parse_name(name: str) -> tuple[str, str | None, str]:
    """(model, encoder or None, loss) of a checkpoint's name, whether it tells classes apart or
    not."""
    model, _, rest = name.removesuffix(CLASSES_SUFFIX).partition("-")
    encoder, _, loss = rest.rpartition("-")
    if model not in MODELS or loss not in LOSSES:
        raise ConfigError(
            f"{name!r} is no checkpoint name: expected <model>[-<encoder>]-<loss>, such as "
            "unet_resnet34-bce."
        )
    return model, encoder or None, loss


def _base(stack: Config, name: str, runs: Path, asked: dict[Path, Config]) -> Config:
    """A run that a stack reads: as it is asked for itself, or is in the runs folder, finished or
    not, or else as the stack's own settings have it."""
    model, encoder, loss = parse_name(name)
    classes = stack.classes if name.endswith(CLASSES_SUFFIX) else ()
    wanted = replace(
        stack, model=model, encoder=encoder, loss=loss, init_from=None, leak=None, classes=classes
    )
    folder = wanted.run_folder(runs)
    if folder in asked:  # which may have settings that a stack does not
        return asked[folder]
    if (folder / CARD).is_file():
        return read_checkpoint(folder).settings.run
    from brainseg.training.resume import STATE, read_state_config  # only now, since it needs torch

    if (folder / STATE).is_file():
        with suppress(CheckpointError, ConfigError):  # which is told when it is trained
            return read_state_config(folder / STATE)
    return wanted


def _check_sizes(stack: Config, bases: tuple[Config, ...]) -> None:
    for base in bases:
        if base.size != stack.size:
            raise ConfigError(
                f"{base.name} is of {base.size} px and {stack.name}, which reads it, of "
                f"{stack.size}: give both the same --size, or another --runs."
            )


def _helpers(stack: Config, base: Config) -> tuple[Config, ...]:
    """For each fold that the stack is trained on a run of the base's like that has not seen this
    fold, nor, but for singles, the stack's test fold."""
    if stack.leak:
        return ()
    left_out = [(fold,) for fold in stack.training_folds]
    if stack.stack_maps == PAIRS:
        left_out = [tuple(sorted((stack.test_fold, fold))) for (fold,) in left_out]
    return tuple(replace(base, left_out=own, watch=False) for own in left_out)
