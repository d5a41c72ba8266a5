"""Runs: one configuration trained, scored and saved; and grids of them, bases before stacks."""

from __future__ import annotations

import json
import math
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from accelerate import Accelerator
from filelock import FileLock, Timeout

from brainseg.checkpoints.card import model_card
from brainseg.checkpoints.card_scores import scored_parts
from brainseg.checkpoints.folder import CARD, CONFIG, METRICS, Checkpoint, read_checkpoint
from brainseg.checkpoints.patients import seen_at_start, seen_by_maps
from brainseg.checkpoints.settings import Base, CheckpointError, settings_of
from brainseg.config import Config, ConfigError
from brainseg.data import Paths, load_datasets, notes_of
from brainseg.data.cache import PreparedSet, prepared_set
from brainseg.data.case import CaseRef, DataError
from brainseg.data.copies import tell_same_files
from brainseg.files import markdown_table, write_json, write_text
from brainseg.models.specs import SINGLES
from brainseg.scans.notes import note
from brainseg.study.score import score_test_fold
from brainseg.training.loop import Interrupted, train
from brainseg.training.planning import Planned, finished
from brainseg.training.provenance import provenance
from brainseg.training.resume import BEST, STATE, read_state_config
from brainseg.training.stacking import base_maps
from brainseg.training.start import check_unseen, starting_weights, unlabelled_scans
from brainseg.training.thresholds import settle, siblings


@dataclass
class Workplace:
    """Where runs read and write, and how they go about existing ones; shared by a whole grid.

    data: folders of the data sets, as ``load_datasets`` takes them.
    accelerator: may have a tracker, to which each epoch's figures go; None on its way to where
        there will be one.
    score: on the test fold, once a run is finished.
    initial: checkpoint to start from. unlabelled: folders of scans without a mask.
    """

    data: Paths
    cache: Path | None
    runs: Path
    accelerator: Accelerator | None
    resume: bool = False
    overwrite: bool = False
    score: bool = True
    initial: Path | None = None
    unlabelled: list[Path] | None = None
    _loaded: dict = field(default_factory=dict)  # shared by those that are made of this one

    def for_needed(self) -> Workplace:
        """For runs that were not asked for but are read by one that was: never started anew."""
        return replace(self, overwrite=False, resume=True)

    def dataset(self, config: Config) -> tuple[dict[str, list[CaseRef]], PreparedSet]:
        """The cases by data set, and the slices of all of them, and of scans without a mask, in one
        prepared set."""
        key = (config.dataset, config.size, config.limit_patients, config.classes)
        key += (config.unlabelled,)
        if self._loaded.get("key") != key:
            refs = load_datasets(config.dataset, self.data)
            if config.limit_patients:
                refs = {name: _first(own, config.limit_patients) for name, own in refs.items()}
            others = unlabelled_scans(config, self.unlabelled)
            if self.accelerator.is_main_process:
                for own in refs.values():
                    tell_same_files(own)
            with self.accelerator.main_process_first():
                everyone = [*(ref for own in refs.values() for ref in own), *others]
                prepared = prepared_set(everyone, config.size, self.cache, classes=config.classes)
            unread = [everyone[position] for position in prepared.left_out]
            refs = {  # who could not be prepared can't be tested on either
                name: [ref for ref in own if not any(ref is other for other in unread)]
                for name, own in refs.items()
            }
            self._loaded.update(key=key, value=(refs, prepared))
        return self._loaded["value"]


def _first(refs: list[CaseRef], patients: int) -> list[CaseRef]:
    kept = sorted({ref.patient_id for ref in refs})[:patients]
    return [ref for ref in refs if ref.patient_id in kept]


def run_all(
    needed: Iterable[Planned],
    asked: Iterable[Config],
    place: Workplace,
    done: Callable[[Checkpoint], None] = lambda checkpoint: None,
) -> list[Config]:
    """Train everything planned, one after the other, on this machine; returns what failed.

    asked: those of them that are wanted for themselves; the others only resume, and are never
        started anew. done: called with the checkpoint of each that was asked for, once it is whole;
        what it raises is taken for a fault of the run.
    Raises KeyboardInterrupt after saying what is kept.
    """
    say, asked, failed = place.accelerator.print, set(asked), []
    needed = list(needed)
    for planned in needed:
        config = planned.config
        if broken := [other for other in planned.reads if other in failed]:
            failed.append(config)
            print(f"error: {config.title} reads {broken[0].title}, which failed.", file=sys.stderr)
            continue
        if config not in asked:
            say(f"{config.name} is read by a stack: it comes first.")
        try:
            checkpoint = run(planned, place if config in asked else place.for_needed())
            if config in asked and config.watch:
                done(checkpoint)
            say(f"{config.name}: {checkpoint.folder}")
        except Interrupted as stop:
            kept = "no epoch was finished, so there is no checkpoint"
            if stop.checkpoint:
                which = "best epoch so far" if config.watch else "last finished epoch"
                kept = f"the {which} is in {stop.checkpoint.folder}"
            print(f"\n{kept}.", file=sys.stderr)
            raise KeyboardInterrupt from None
        except (ValueError, OSError) as error:
            if place.accelerator.num_processes > 1:  # others of them may wait for this one
                raise
            failed.append(config)
            print(f"error: {config.title}: {error}", file=sys.stderr)
        except Exception:  # a fault of ours: told in full, and the other runs still go on
            if place.accelerator.num_processes > 1:
                raise
            failed.append(config)
            traceback.print_exc()
    conclude([planned.config for planned in needed], place)
    for config in (planned.config for planned in needed):
        if config in asked and not config.watch and config not in failed:
            try:
                done(read_checkpoint(config.run_folder(place.runs)))
            except (ValueError, OSError) as error:
                failed.append(config)
                print(f"error: {config.title}: {error}", file=sys.stderr)
    return failed


def run(planned: Planned, place: Workplace) -> Checkpoint:
    """The finished run: found in the runs folder, or trained and scored there. The runs that it
    reads must be finished.

    Raises ConfigError when the folder holds another run, or another process trains into it.
    """
    config = planned.config
    folder = config.run_folder(place.runs)
    if not place.overwrite and (found := finished(config, folder)):
        if place.score and config.watch and "test" not in found.metrics:
            place.accelerator.print(f"{folder} is finished: scoring it.")
            _describe(found, config, place)
        else:
            place.accelerator.print(f"{folder} is finished already: nothing to do.")
        return found
    if not place.accelerator.is_main_process:
        return _train_and_score(planned, folder, place)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            for name in (STATE, BEST):  # what a killed process was writing
                for left in folder.glob(f".{name}.*"):
                    left.unlink(missing_ok=True)
            return _train_and_score(planned, folder, place)
    except Timeout as error:
        raise ConfigError(
            f"Another process is training into {folder}: wait for it, or give another --runs."
        ) from error


def _train_and_score(planned: Planned, folder: Path, place: Workplace) -> Checkpoint:
    config, accelerator = planned.config, place.accelerator
    resume = _may_continue(config, folder, place)
    accelerator.print(f"\n=== {config.title}: {folder}")
    accelerator.print(
        f"{accelerator.num_processes} processes, {accelerator.device}, precision "
        f"{accelerator.mixed_precision}"
    )
    accelerator.print(json.dumps(config.to_json(), indent=2))
    if config.atrous_warning:
        accelerator.print(f"warning: {config.atrous_warning}")
    _, prepared = place.dataset(config)
    settings = replace(settings_of(config), **provenance())
    maps = initial = None
    seen: dict[str, tuple[str, ...]] = {}
    if config.is_stack:
        bases, *helpers = (
            [read_checkpoint(read.run_folder(place.runs)) for read in reads]
            for reads in (planned.bases, *planned.helpers)
        )
        found = chain(bases, *helpers)
        if any(read.settings.data_key not in (None, prepared.key) for read in found):
            note(
                f"{config.name} reads runs that were trained on other files of {config.dataset} "
                "than are there now: train these anew with --overwrite if that was not meant."
            )
        named = tuple(Base(base.name, base.sha256()) for base in bases)
        settings = replace(settings, bases=named)
        if config.stack_maps == SINGLES:
            seen |= seen_by_maps(prepared.owners, config.left_out)
        maps = base_maps(config, bases, helpers, prepared, accelerator)
    if config.init_from:
        initial, start = starting_weights(config, place.initial)
        check_unseen(config, place.initial, prepared.owners)
        seen |= seen_at_start(place.initial)
        settings = replace(settings, started_from=start)
    settings = replace(settings, patient_hashes=seen)
    if place.overwrite:  # not before: what can't begin must not cost what is there
        if accelerator.is_main_process:
            for name in (CONFIG, CARD, STATE):
                (folder / name).unlink(missing_ok=True)
        accelerator.wait_for_everyone()
    with _tracking(accelerator, folder):
        checkpoint = train(
            config,
            prepared,
            folder,
            accelerator=accelerator,
            settings=settings,
            maps=maps,
            initial=initial,
            resume=resume,
            track=lambda row: accelerator.log(row, step=row["epoch"]),
        )
    _describe(checkpoint, config, place)
    if accelerator.is_main_process:
        for name in (STATE, BEST):  # what only an unfinished run needs
            (folder / name).unlink(missing_ok=True)
        settle([config], place.runs)
    accelerator.wait_for_everyone()
    return checkpoint


@contextmanager
def _tracking(accelerator: Accelerator, folder: Path) -> Iterator[None]:
    """A run of its own in the accelerator's tracker, if it has one."""
    accelerator.project_configuration.logging_dir = str(folder / "tensorboard")
    accelerator.init_trackers(
        "brainseg", init_kwargs={"trackio": {"name": "-".join(folder.parts[-2:])}}
    )
    try:
        yield
    finally:
        for tracker in accelerator.trackers:
            tracker.finish()


def _describe(checkpoint: Checkpoint, config: Config, place: Workplace) -> None:
    refs, _ = place.dataset(config)
    if place.accelerator.is_main_process:
        describe(checkpoint, refs, score=place.score and config.watch)
    place.accelerator.wait_for_everyone()


def conclude(configs: Iterable[Config], place: Workplace) -> None:
    """What runs that watch no fold wait for, until all are there: their thresholds, which they
    choose for one another, and their scores on the fold they leave out."""
    accelerator, configs = place.accelerator, list(configs)
    if accelerator.is_main_process:
        settle(configs, place.runs)
    accelerator.wait_for_everyone()
    for config in siblings(configs) if place.score else ():
        found = _due(config, place.runs)
        accelerator.wait_for_everyone()  # all have looked before one of them writes
        if found is not None:
            accelerator.print(f"{found.folder} is finished: scoring it.")
            refs, _ = place.dataset(config)
            if accelerator.is_main_process:
                try:
                    describe(found, refs, score=True)
                except (CheckpointError, DataError) as error:  # the others are still scored
                    note(f"{found.folder} was not scored: {error}")
            accelerator.wait_for_everyone()


def _due(config: Config, runs: Path) -> Checkpoint | None:
    """A finished run without its test scores."""
    found = _whole(config, runs)
    return found if found is not None and "test" not in found.metrics else None


def _whole(config: Config, runs: Path) -> Checkpoint | None:
    """A finished run; None too where its folder is damaged, of which others have told."""
    try:
        return finished(config, config.run_folder(runs))
    except CheckpointError:
        return None


def describe(checkpoint: Checkpoint, refs: dict[str, list[CaseRef]], *, score: bool) -> None:
    """Add the test fold's scores on each data set to ``metrics.json`` and write the model card."""
    metrics = checkpoint.metrics
    for key, dataset, slicewise in scored_parts(checkpoint.settings) if score else ():
        metrics[key] = score_test_fold(checkpoint, refs[dataset], slicewise=slicewise)
    write_json(checkpoint.folder / METRICS, metrics, indent=2)
    write_text(checkpoint.folder / CARD, model_card(checkpoint.settings, metrics))


def table(configs: Iterable[Config], runs: Path) -> str:
    """One line per run with its mean Dice on validation and test patients, as Markdown, and what
    must be known of the scores."""
    rows, notes = [], {}
    for config in configs:
        if config.is_helper:
            continue
        figures = ["failed", ""]
        if checkpoint := _whole(config, runs):
            validation = checkpoint.validation_dice
            figures = ["" if validation is None else f"{validation:.3f}", _test_dice(checkpoint)]
            notes |= dict.fromkeys(notes_of(config.dataset))
        folds = " ".join(map(str, config.left_out))
        rows.append([config.name + config.masks_suffix, folds, config.seed, *figures])
    headings = ["run", "left out", "seed", "validation Dice", "test Dice"]
    return "\n".join(["", markdown_table(headings, rows), *notes])


def _test_dice(checkpoint: Checkpoint) -> str:
    """``"0.836"``, or of several data sets ``"lgg 0.836, figshare 0.712"``."""
    settings, metrics = checkpoint.settings, checkpoint.metrics
    figures = []
    for key, dataset, slicewise in scored_parts(settings):
        test = metrics.get(key, {}).get("dice", {}).get("mean")
        if test is not None and math.isfinite(test) and not slicewise:
            figures.append(f"{dataset} {test:.3f}" if len(settings.datasets) > 1 else f"{test:.3f}")
    return ", ".join(figures)


def _may_continue(config: Config, folder: Path, place: Workplace) -> bool:
    """Whether to resume. Refuses to replace another configuration's run without --overwrite."""
    if place.overwrite:
        return False
    there = None
    if (folder / STATE).is_file():
        there = read_state_config(folder / STATE)
    elif (folder / CONFIG).is_file():
        there = read_checkpoint(folder).settings.run
    if there is None:
        return False
    if there != config:
        raise ConfigError(
            f"{folder} holds a run with another configuration ({there.differences(config)}): "
            "--overwrite replaces it where it is asked for itself, --runs puts the new one "
            "elsewhere."
        )
    if not place.resume:
        raise ConfigError(
            f"{folder} holds an unfinished run of this configuration: --resume continues it, "
            "--overwrite starts it anew."
        )
    return True
