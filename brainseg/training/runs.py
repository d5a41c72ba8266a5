"""Runs: one configuration trained, scored and saved, or the whole grid, bases before stacks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from accelerate import Accelerator
from filelock import FileLock, Timeout

from brainseg.checkpoints.card import model_card
from brainseg.checkpoints.folder import (
    CARD,
    CONFIG,
    METRICS,
    WEIGHTS,
    Checkpoint,
    read_checkpoint,
)
from brainseg.config import Config, ConfigError, from_json
from brainseg.data import load_dataset
from brainseg.data.cache import PreparedSet, prepared_set
from brainseg.data.case import CaseRef
from brainseg.files import write_text
from brainseg.models.building import MODELS, STACKS
from brainseg.models.losses import LOSSES
from brainseg.training.loop import train
from brainseg.training.resume import STATE, read_state_config
from brainseg.training.stacking import base_maps


@dataclass
class Workplace:
    """Where runs read and write, and how they go about existing ones; shared by a whole grid."""

    data: Path | None
    cache: Path | None
    runs: Path
    accelerator: Accelerator
    resume: bool = False
    overwrite: bool = False
    score: bool = True  # on the test fold, once a run is finished
    initial: Path | None = None  # checkpoint to start from
    tracker: Callable[[Path], Callable[[dict], None]] = lambda folder: lambda row: None
    _loaded: dict | None = None

    def for_needed(self) -> Workplace:
        """For runs that were not asked for but are read by one that was: never started anew."""
        return replace(self, overwrite=False, resume=True)

    def dataset(self, config: Config) -> tuple[list[CaseRef], PreparedSet]:
        key = (config.dataset, config.size, config.limit_patients)
        if self._loaded is None or self._loaded["key"] != key:
            refs = load_dataset(config.dataset, self.data)
            if config.limit_patients:
                kept = sorted({ref.patient_id for ref in refs})[: config.limit_patients]
                refs = [ref for ref in refs if ref.patient_id in kept]
            with self.accelerator.main_process_first():
                prepared = prepared_set(refs, config.size, self.cache)
            self._loaded = {"key": key, "value": (refs, prepared)}
        return self._loaded["value"]


def combinations(models: list[str], losses: list[str]) -> list[tuple[str, str]]:
    """All (model, loss) pairs, bases before stacks; ``["all"]`` stands for every name."""
    models = list(MODELS) if "all" in models else models
    losses = list(LOSSES) if "all" in losses else losses
    return [(m, loss) for m in sorted(models, key=lambda m: m in STACKS) for loss in losses]


def plan(configs: list[Config], runs: Path) -> dict[Config, list[Config]]:
    """Every run that ``configs`` need, themselves included, in an order in which each comes after
    those it reads; with each the runs it reads."""
    needed: dict[Config, list[Config]] = {}

    def add(config: Config) -> None:
        if config not in needed:
            reads = [*_bases(config, runs), *_helpers(config, runs)]
            for other in reads:
                add(other)
            needed[config] = reads

    for config in configs:
        add(config)
    return needed


def run(config: Config, place: Workplace) -> Checkpoint:
    """The finished run of ``config``: found in the runs folder, or trained and scored there. The
    runs that a stack reads are trained first where they are missing.

    Raises ConfigError when the folder holds another run, or another process trains into it.
    """
    folder = config.run_folder(place.runs)
    if not place.overwrite and (found := finished(config, folder)):
        if place.score and config.held_out_block is None and "test" not in _metrics(found):
            place.accelerator.print(f"{folder} is finished: scoring it.")
            _describe(found, config, place)
        else:
            place.accelerator.print(f"{folder} is finished already: nothing to do.")
        return found
    for needed in [*_bases(config, place.runs), *_helpers(config, place.runs)]:
        if not finished(needed, needed.run_folder(place.runs)):
            place.accelerator.print(f"{config.name} reads {needed.name}: training that first.")
            run(needed, place.for_needed())
    if not place.accelerator.is_main_process:
        return _train_and_score(config, folder, place)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            return _train_and_score(config, folder, place)
    except Timeout as error:
        raise ConfigError(
            f"Another process is training into {folder}: wait for it, or give another --runs."
        ) from error


def _train_and_score(config: Config, folder: Path, place: Workplace) -> Checkpoint:
    say = place.accelerator.print
    resume = _may_continue(config, folder, place)
    say(f"\n=== {config.name} on {config.dataset}, fold {config.fold}, in {folder}")
    say(f"{place.accelerator.num_processes} processes, {place.accelerator.device}")
    say(json.dumps(config.to_json(), indent=2))
    _, prepared = place.dataset(config)
    settings: dict = {}
    maps = initial = None
    if config.model in STACKS:
        bases = [read_checkpoint(b.run_folder(place.runs)) for b in _bases(config, place.runs)]
        helpers = [read_checkpoint(h.run_folder(place.runs)) for h in _helpers(config, place.runs)]
        settings["bases"] = [{"name": base.name, "sha256": base.sha256()} for base in bases]
        maps = base_maps(config, bases, helpers, prepared, place.accelerator, folder)
    if config.init_from:
        initial = _initial_weights(config, place)
        settings |= _started_from(config, place.initial)
    checkpoint = train(
        config,
        prepared,
        folder,
        accelerator=place.accelerator,
        settings={**settings, **_provenance()},
        maps=maps,
        initial=initial,
        resume=resume,
        track=place.tracker(folder),
    )
    _describe(checkpoint, config, place)
    return checkpoint


def _describe(checkpoint: Checkpoint, config: Config, place: Workplace) -> None:
    refs, _ = place.dataset(config)
    if place.accelerator.is_main_process:
        describe(checkpoint, refs, score=place.score and config.held_out_block is None)
    place.accelerator.wait_for_everyone()


def _metrics(checkpoint: Checkpoint) -> dict:
    return json.loads((checkpoint.folder / METRICS).read_text(encoding="utf-8"))


def finished(config: Config, folder: Path) -> Checkpoint | None:
    """The checkpoint in ``folder`` if it is complete and has the same configuration."""
    if not ((folder / CONFIG).is_file() and (folder / CARD).is_file()):
        return None
    checkpoint = read_checkpoint(folder)
    if checkpoint.settings.get("interrupted") or checkpoint.settings["run_hash"] != config.hash:
        return None
    return checkpoint


def table(configs: list[Config], runs: Path) -> str:
    """One line per run with its mean Dice on validation and test patients, as Markdown."""
    lines = ["", "| run | fold | seed | validation Dice | test Dice |", "|---|---|---|---|---|"]
    for config in configs:
        if config.held_out_block:
            continue
        checkpoint = finished(config, config.run_folder(runs))
        figures = ["failed", ""]
        if checkpoint:
            metrics = _metrics(checkpoint)
            test = metrics.get("test", {}).get("dice", {}).get("mean")
            figures = [f"{metrics['validation']['mean_dice']:.3f}", f"{test:.3f}" if test else ""]
        lines.append(f"| {config.name} | {config.fold} | {config.seed} | {' | '.join(figures)} |")
    return "\n".join(lines)


def describe(checkpoint: Checkpoint, refs: list[CaseRef], *, score: bool) -> None:
    """Add the test fold's scores to ``metrics.json`` and write the model card."""
    path, metrics = checkpoint.folder / METRICS, _metrics(checkpoint)
    if score:
        from brainseg.study.score import score_test_fold

        metrics["test"] = score_test_fold(checkpoint, refs)
        metrics["test_slicewise"] = score_test_fold(checkpoint, refs, slicewise=True)
    for file, text in (
        (path, json.dumps(metrics, indent=2)),
        (checkpoint.folder / CARD, model_card(checkpoint.settings, metrics)),
    ):
        write_text(file, text)


def _may_continue(config: Config, folder: Path, place: Workplace) -> bool:
    """Whether to resume. Refuses to replace another configuration's run without --overwrite."""
    if place.overwrite:
        if place.accelerator.is_main_process:
            for name in (CONFIG, CARD, STATE):
                (folder / name).unlink(missing_ok=True)
        place.accelerator.wait_for_everyone()
        return False
    there = None
    if (folder / STATE).is_file():
        there = read_state_config(folder / STATE)
    elif (folder / CONFIG).is_file():
        there = from_json(read_checkpoint(folder).settings["run"])
    if there is None:
        return False
    if there != config:
        raise ConfigError(
            f"{folder} holds a run with another configuration ({there.differences(config)}): "
            "--overwrite replaces it, --runs puts the new one elsewhere."
        )
    if not place.resume:
        raise ConfigError(
            f"{folder} holds an unfinished run of this configuration: --resume continues it, "
            "--overwrite starts it anew."
        )
    return True


def _bases(stack: Config, runs: Path) -> list[Config]:
    """The runs of the bases a stack reads, each as it is in the runs folder or else as the stack's
    own settings have it; none for other models."""
    if stack.model not in STACKS:
        return []
    found = []
    for name in stack.bases:
        model, encoder, loss = parse_name(name)
        wanted = replace(stack, model=model, encoder=encoder, loss=loss, init_from=None, leak=None)
        folder = wanted.run_folder(runs)
        if (folder / CARD).is_file():
            settings = read_checkpoint(folder).settings
            wanted = wanted if settings.get("interrupted") else from_json(settings["run"])
        found.append(wanted)
    return found


def _helpers(stack: Config, runs: Path) -> list[Config]:
    """For each base as many runs of its like as there are blocks, each without one block; none
    if the stack is fitted in-sample."""
    if stack.leak:
        return []
    blocks = range(stack.stack_folds)
    return [
        replace(base, held_out_block=(block, stack.stack_folds))
        for base in _bases(stack, runs)
        for block in blocks
    ]


def parse_name(name: str) -> tuple[str, str | None, str]:
    """(model, encoder or None, loss) of a checkpoint's name."""
    model, _, rest = name.partition("-")
    encoder, _, loss = rest.rpartition("-")
    if model not in MODELS or loss not in LOSSES:
        raise ConfigError(
            f"{name!r} is no checkpoint name: expected <model>[-<encoder>]-<loss>, such as "
            "unet_resnet34-bce."
        )
    return model, encoder or None, loss


def _initial_weights(config: Config, place: Workplace) -> dict:
    from safetensors.torch import load_file

    if place.initial is None:
        raise ConfigError(f"{config.name} starts from other weights: give them by --init-from.")
    weights = place.initial / WEIGHTS if place.initial.is_dir() else place.initial
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    if digest != config.init_from:
        raise ConfigError(f"{weights} is not the file this run began with: give the same one.")
    return {k: v.float() if v.is_floating_point() else v for k, v in load_file(weights).items()}


def _started_from(config: Config, initial: Path) -> dict:
    """What the weights a run starts from had learned, for the checkpoint's configuration; nothing
    for a bare file. Raises ConfigError where they know patients that must stay unseen."""
    if not initial.is_dir():
        return {}
    start = read_checkpoint(initial)
    run = start.settings["run"]
    is_helper = config.held_out_block is not None
    if run["dataset"] == config.dataset and (is_helper or run["fold"] != config.fold):
        kept = "a block of training patients" if is_helper else f"fold {config.fold}"
        raise ConfigError(
            f"{initial} was trained on patients that {config.name} must not see ({kept} is kept "
            "apart): start from weights of another data set, or of the same fold."
        )
    known = {"name": start.name, "dataset": run["dataset"], "epochs": start.total_epochs}
    return {"started_from": known}


def _provenance() -> dict:
    """Package versions and the git revision, for the checkpoint's configuration."""
    import subprocess
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for package in ("torch", "segmentation-models-pytorch", "numpy", "opencv-python-headless"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return {"versions": versions, "git_revision": done.stdout.strip() or None}
