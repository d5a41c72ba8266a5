"""What a visitor's page does, without Gradio: inputs in, a view of their comparison out.

Nothing here is kept between calls, except finished comparisons of phantoms, which belong to
nobody. Importing this must not import torch: the first page shall not wait for it.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2

from brainseg.checkpoints.folder import (
    CONFIG,
    RANGES,
    WEIGHTS,
    checkpoint_folders,
    file_stem,
    find_checkpoints,
    labelled,
)
from brainseg.checkpoints.settings import CheckpointError
from brainseg.data.case import DataError
from brainseg.inference.comparing import compare_stream, volumes_in_turn
from brainseg.inference.fused_models import expected_results, fusion_members
from brainseg.inference.loading import load_usable
from brainseg.inference.predictor import Predictor
from brainseg.inference.results import Comparison
from brainseg.metrics.agreement import mean_agreement
from brainseg.scans.masks import mask_suffix, write_mask
from brainseg.scans.scan import ScanError
from brainseg.study import estimate
from brainseg.ui import drawing, message, receipt, view, words
from brainseg.ui.inputs import EXAMPLES, Inputs, read_example, read_files, with_seen
from brainseg.ui.planes import decode, size_of
from brainseg.ui.view import View

log = logging.getLogger(__name__)

KEPT_S = 3000  # seconds a visitor's comparison is kept
INVITATION = "Pick an example, or give a scan of your own and press Compare."
EXPIRED = "This comparison is no longer kept. Please compare again."
UNEXPECTED = "Something went wrong on our side; it has been logged. Other scans may still work."
EXPECTED_ERRORS = (ScanError, CheckpointError, DataError)  # their messages are for the visitor
MAX_DRAWING = 2_000_000  # characters of a drawn truth


@dataclass(frozen=True, eq=False)
class Step:
    """A comparison on its way: ``done`` of ``total`` are there, ``running`` is next or None."""

    view: View
    done: int
    total: int
    running: str | None

    @property
    def text(self) -> str:
        return f"Running {self.running}: {self.done} of {self.total} done."


def next_step(found: View, order: Sequence[tuple[str, str]]) -> Step:
    """Where a comparison is, whose results are to come in this order, of name and kind."""
    waiting = [name for name, _ in order if name not in found.entries]
    return Step(found, len(order) - len(waiting), len(order), waiting[0] if waiting else None)


def explain(error: Exception) -> str:
    """One sentence for the visitor; what nobody foresaw goes to the log, not to the page."""
    if isinstance(error, EXPECTED_ERRORS):
        return words.without_paths(str(error))
    log.error("unexpected error", exc_info=error)
    return UNEXPECTED


def newest(
    turn: dict, steps: Iterator[dict], failed: Callable[[Exception], dict], replaced: dict
) -> Iterator[dict]:
    """The steps of a visitor's run until the same visitor begins another, which takes its place.

    turn: the visitor's own, the same for all their runs. It keeps no comparison, only the id of one
        that is on its way: unlike ``gr.State`` with a time to live, what is put in it stays until
        the server stops. failed: what an error becomes.
    replaced: a last step that changes nothing, because the page shows a run's last step twice.
    """
    turn["run"] = mine = object()
    turn["id"] = None
    try:
        for step in steps:
            if turn["run"] is not mine:
                yield replaced
                return
            turn["id"] = getattr(step.get("state"), "id", None)
            yield step
    except Exception as error:
        yield failed(error) if turn["run"] is mine else replaced
    if turn["run"] is mine:
        turn["id"] = None


def stop(turn: dict, found: View | None) -> View | None:
    """End the run that ``newest`` shows; ``found``: the comparison on the page. What there is of
    it, with the models that have finished; None if none has, or if no run is on its way."""
    turn["run"], on_its_way = object(), turn.get("id")
    turn["id"] = None
    if found is None or found.id != on_its_way or not found.entries:
        return None
    order = [item for item in found.order if item[0] in found.entries]
    not_run = tuple(name for name, _ in found.order if name not in found.entries)
    return replace(found, order=order, not_run=not_run)


def run(inputs: Inputs, checkpoints: str | Path) -> Iterator[Step]:
    """Compare all checkpoints and fusions, one more with each step; the first has none yet."""
    require_checkpoints(checkpoints)
    predictors, skipped = usable(checkpoints)  # once: meanwhile, the folder may change
    order = expected_results(predictors)
    models = sum(kind == "model" for _, kind in order)
    found = view.begin(
        inputs.scan,
        inputs.truth,
        order,
        about=words.fusions(*fusion_members(predictors), models),
        skipped=tuple(skipped),
        inputs=inputs.files,
        doubts=inputs.doubts,
        is_stopped=inputs.is_stopped,
        true_classes=inputs.classes,
        class_names=inputs.class_names,
        checkpoints=tuple(
            {**_identity(predictor), "name": label} for label, predictor in predictors.items()
        ),
    )
    yield next_step(found, order)
    for comparison in compare_stream(inputs.scan, predictors):
        found = view.add(found, comparison.newest)
        step = next_step(found, order)
        if step.running:
            yield step
    found = view.finish(found)
    sample = inputs.scan.pixels[found.start].copy()
    yield next_step(replace(found, sample=sample), found.order)


def run_example(kind: str, checkpoints: str | Path) -> Iterator[Step]:
    """``run`` on a phantom. Finished comparisons are kept, and then there is one step only."""
    key = (kind, _fingerprint(checkpoints))
    found = _finished.get(key)  # looked up once: another visitor's run may clear it
    if found is not None:
        # An id of its own, so that two visitors' drawings never meet.
        yield next_step(replace(found, id=view.new_id()), found.order)
        return
    for step in run(read_example(kind), checkpoints):
        yield step
    if len(_finished) >= len(EXAMPLES):
        _finished.clear()
    _finished[key] = step.view


def compare_files(
    paths: Mapping[str, str | None], checkpoints: str | Path, *, anyway: bool = False
) -> dict:
    """Compare all checkpoints on the files that ``read_files`` takes, or where there is none on the
    phantom called ``example``: ``Comparison.to_json()`` with ``findings``, what the guard says of
    the scan.

    Raises one of ``EXPECTED_ERRORS``, with a sentence for whoever gave the files; also where the
    guard stops, unless ``anyway``.
    """
    require_checkpoints(checkpoints)
    inputs = _sound(_given(paths, checkpoints), anyway)
    predictors, skipped = usable(checkpoints)
    *_, found = compare_stream(inputs.scan, predictors, inputs.truth, skipped=skipped)
    return {**found.to_json(), "findings": _texts(inputs)}


def predict_files(
    paths: Mapping[str, str | None],
    model: str,
    checkpoints: str | Path,
    folder: Path,
    *,
    anyway: bool = False,
) -> tuple[Path, dict]:
    """One model's mask of a scan, written to ``folder`` in the scan's format, and its figures.

    Raises as ``compare_files`` does.
    """
    require_checkpoints(checkpoints)
    inputs = _sound(_given(paths, checkpoints), anyway)
    predictors, _ = usable(checkpoints)
    if model not in predictors:
        raise CheckpointError(
            f"There is no model {model!r}: expected one of {', '.join(predictors)}."
        )
    with volumes_in_turn(inputs.scan):
        result = predictors[model].predict(inputs.scan)
    stem = Path(inputs.scan.source).name.split(".")[0] or "scan"
    name = f"{stem}-{file_stem(model)}{mask_suffix(inputs.scan)}"
    path = write_mask(result.mask, inputs.scan, folder / name)
    found = Comparison(inputs.scan, None, {model: result}).to_json()
    return path, {
        "source": found["source"],
        "slices": found["slices"],
        "model": model,
        **{key: found["models"][model][key] for key in ("threshold", "area_px", "volume_ml")},
        "findings": _texts(inputs),
    }


def _given(paths: Mapping[str, str | None], checkpoints: str | Path) -> Inputs:
    files = {role: path for role, path in paths.items() if role != "example"}
    if paths.get("example") and not any(files.values()):
        return read_example(paths["example"])
    return with_seen(read_files(files), checkpoints)


def _sound(inputs: Inputs, anyway: bool) -> Inputs:
    if inputs.is_stopped and not anyway:
        reasons = " ".join(finding.text for finding in inputs.findings if finding.stops)
        raise ScanError(f"{reasons} To run it nevertheless, set anyway to true.")
    return inputs


def _texts(inputs: Inputs) -> list[str]:
    return [finding.text for finding in inputs.findings]


def usable(checkpoints: str | Path) -> tuple[dict[str, Predictor], list[str]]:
    """``load_usable``, whose sentences tell a visitor nothing of where things lie on the server."""
    try:
        predictors, skipped = load_usable(checkpoints)
    except CheckpointError as error:
        raise CheckpointError(words.without_paths(str(error), checkpoints)) from error
    return predictors, [words.without_paths(text, checkpoints) for text in skipped]


def require_checkpoints(folder: str | Path) -> None:
    """Raise CheckpointError, saying what to do, if a folder holds no checkpoint at all."""
    if not Path(folder).is_dir() or find_checkpoints(folder) == ([], []):
        raise CheckpointError(
            f"There is no trained model yet: {Path(folder).name} holds no checkpoint. Train one "
            "(python train.py --help), or name another folder in the environment variable "
            "BRAINSEG_CHECKPOINTS."
        )


def first_model(checkpoints: str | Path) -> str | None:
    """The label of a model that is in a folder, None if there is none. Reads no weights."""
    there, _ = labelled(checkpoints) if Path(checkpoints).is_dir() else ({}, [])
    singles = [label for label, one in there.items() if not one.settings.is_stack]
    return next(iter(singles), None)


def draw_truth(found: View, index: int, picture: str | None) -> View:
    """The view with the truth of slice ``index`` drawn by the visitor.

    picture: a PNG as a data URL, white where there is tumour; None takes all drawn on the
        slice back. Raises ScanError for another.
    """
    if picture is None:
        return drawing.forget_drawing(found, index)
    try:
        if len(picture) > MAX_DRAWING:
            raise ValueError
        file = base64.b64decode(picture.removeprefix("data:image/png;base64,"), validate=True)
        if max(size_of(file)) > message.MAX_SIDE:  # before it takes the memory of all its pixels
            raise ValueError
        plane = decode(file)
        if plane is None:
            raise ValueError
        return drawing.draw_truth(found, index, plane > 127)
    except (ValueError, cv2.error) as error:
        raise ScanError("The drawing could not be read. Please draw it again.") from error


def estimates(found: View, study: Path) -> tuple[dict[str, dict], str]:
    """Estimated Dice by name where there is no truth, and a sentence on what it is fitted on, or
    why there is none."""
    if found.truth is not None or found.pairs is None:
        return {}, ""
    models = [name for name, kind in found.order if kind != "fusion"]
    if len(models) < 2:
        return {}, ""
    path = study / estimate.FILE
    fitted, reason = estimate.read(path, models, found.shape[0], found.doubts)
    if fitted is None:
        return {}, reason
    marked = {name for name, entry in view.report(found)["models"].items() if entry["area_px"]}
    names = [name for name, _ in found.order]
    agreeing = [names.index(name) for name in fitted.models]
    agreed = {
        name: mean_agreement(found.pairs, position, agreeing)
        for position, (name, kind) in enumerate(found.order)
        if name in marked and (kind == "fusion" or name in fitted.models)
    }
    known = {name: value for name, value in agreed.items() if value == value}
    return {name: fitted.dice(value) for name, value in known.items()}, fitted.about


@functools.lru_cache(maxsize=64)
def _identity(predictor: Predictor) -> dict:
    # A predictor is one of a file's content: new weights have another.
    return receipt.describe_checkpoint(predictor.checkpoint)


def _fingerprint(checkpoints: str | Path) -> tuple:
    """What changes when a checkpoint below a folder does."""
    found = []
    for folder in checkpoint_folders(Path(checkpoints)):
        for path in (folder / name for name in (CONFIG, WEIGHTS, RANGES)):
            with contextlib.suppress(OSError):  # not there, or just now replaced
                found.append((str(path), path.stat().st_mtime_ns))
    return tuple(found)


_finished: dict[tuple, View] = {}
