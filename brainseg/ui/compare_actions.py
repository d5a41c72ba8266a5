"""What happens on the Compare page, without Gradio.

An action says what the page shows next, by the names of ``compare_tab.CompareParts``: new values,
or True and False for what appears and disappears. ``wanted`` is the model to mark.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from brainseg.scans.guard import MASK_IN_DOUBT, Finding
from brainseg.scans.scan import ScanError
from brainseg.ui import downloads, markup, message, session, trust, view, words
from brainseg.ui.answer import answer
from brainseg.ui.inputs import (
    Inputs,
    input_sizes,
    read_files,
    seen_by_network,
    was_given_before,
    with_classes,
    with_seen,
)
from brainseg.ui.uploads import results_folder
from brainseg.ui.view import View


def run_files(
    paths: Mapping[str, str | None],
    wanted: str,
    checkpoints: str | Path,
    study: Path,
    before: Mapping[str, str | None] | None = None,
) -> Iterator[dict]:
    """Compare a visitor's files, unless the guard stops them; ``before``: those of their last
    run."""
    given = _given()
    yield _begun("Reading the scan.", given)
    inputs = with_seen(read_files(paths), checkpoints)
    inputs = with_classes(inputs, paths.get("truth"), checkpoints)
    if told := was_given_before(paths, before or {}):
        doubt = Finding(MASK_IN_DOUBT, False, told)
        inputs = replace(inputs, findings=(*inputs.findings, doubt))
    if inputs.is_stopped:
        error = ScanError("Not compared: see below why, and what to do.")
        yield {
            **failed(error),
            "notes": _notes(inputs, checkpoints),
            "anyway": True,
            "stopped": inputs,
        }
        return
    given["name"] = _name(inputs)
    notes = _notes(inputs, checkpoints)
    yield from _follow(session.run(inputs, checkpoints), wanted, study, notes, given)


def run_anyway(
    inputs: Inputs | None, wanted: str, checkpoints: str | Path, study: Path
) -> Iterator[dict]:
    """Compare what the guard stopped."""
    if inputs is None:
        raise ScanError(session.EXPIRED)
    given, notes = _given(_name(inputs)), _notes(inputs, checkpoints)
    yield from _follow(session.run(inputs, checkpoints), wanted, study, notes, given)


def run_example(kind: str, wanted: str, checkpoints: str | Path, study: Path) -> Iterator[dict]:
    """Compare on a phantom, which is known to be sound."""
    given = _given(f"phantom {kind}", kind)
    yield _begun(f"Computing the phantom {kind}.", given)
    steps = session.run_example(kind, checkpoints)
    yield from _follow(steps, wanted, study, trust.strip_of_phantom(), given)


def failed(error: Exception) -> dict:
    """There is no comparison, and why."""
    return {**_NOTHING, "status": markup.notice(session.explain(error))}


def left() -> dict:
    """As at the beginning: the visitor went back to where nothing was compared."""
    return {**_NOTHING, "status": markup.notice(session.INVITATION)}


def cancelled(found: View | None, wanted: str, study: Path) -> dict:
    """What there is of a comparison that the visitor cancelled, see ``session.stop``."""
    if found is None:
        return {**_NOTHING, "status": markup.notice(words.CANCELLED_EARLY)}
    found = view.finish(found)
    told = words.cancelled(found.not_run, words.summary(view.report(found), found.truth_name))
    return {
        **_figures(found),
        "status": markup.notice(told),
        "state": found,
        "viewer": message_of(found, found.start, wanted, study, running=None, jump=True),
        "figures": True,
        "cancel": False,
    }


def draw_truth(found: View | None, data: dict, wanted: str, study: Path) -> dict:
    """The comparison scored by a truth that the visitor drew; nothing if it is another by now. An
    answer has an id of its own: the viewer would not hear of one that is like the last."""
    try:
        if found is None:
            raise ScanError(session.EXPIRED)
        if data["id"] != found.id:  # drawn before another comparison came
            return {}
        index, picture = int(data["index"]), data["picture"]
        found = session.draw_truth(found, index, None if picture is None else str(picture))
        return {
            "state": found,
            "viewer": message_of(found, index, wanted, study, answer_id=view.new_id()),
            **_figures(found),
        }
    except Exception as error:
        shown = {"status": markup.notice(session.explain(error))}
        if found is not None:  # the viewer waits for an answer to send the next stroke
            shown["viewer"] = message_of(found, found.start, wanted, study, answer_id=view.new_id())
        return shown


def write_files(found: View | None, data: dict) -> tuple[list[str], str]:
    """The files of a comparison, none if that fails, and a sentence on them."""
    try:
        if found is None:
            raise ScanError(session.EXPIRED)
        level = data.get("level")
        index = min(max(int(data["index"]), 0), found.shape[0] - 1)
        folder = Path(tempfile.mkdtemp(dir=results_folder()))
        level = None if level is None else min(max(int(level), 0), 254)
        paths = downloads.write_files(found, folder, index, level)
        told = "Your files are ready, below the pictures."
        return [str(path) for path in paths], markup.notice(told)
    except Exception as error:
        return [], markup.notice(session.explain(error))


def message_of(found: View, index: int, wanted: str, study: Path, **extra) -> dict:
    """What the viewer is told, to show slice ``index``; ``extra`` as in ``message.whole``."""
    estimates, reason = session.estimates(found, study)
    return message.whole(
        found, index, chosen=wanted, estimates=estimates, estimateNote=reason,
        answer=answer(found), **extra,
    )  # fmt: skip


def slices(found: View, data: dict, wanted: str, study: Path) -> dict:
    """The slices that the viewer asks for; all of the comparison where it has lost it."""
    index = int(data["index"])
    if data.get("whole"):
        return message_of(found, index, wanted, study)
    return message.asked(found, data)


def coronal(found: View, data: dict) -> dict:
    """The coronal plane that the viewer asks for."""
    return message.coronal(found, int(data["row"]), int(data["sequence"]), str(data["name"]))


_NOTHING = {
    "given": None,
    "notes": "",
    "state": None,
    "viewer": None,
    "files": False,
    "figures": False,
    "cancel": False,
    "anyway": False,
    "stopped": None,  # a whole scan
}


def _begun(text: str, given: dict) -> dict:
    """A run begins: the last one leaves the page."""
    return {
        **_NOTHING,
        "given": {**given, "isShown": False},
        "status": markup.progress(text, 0, 1),
        "cancel": True,
    }


def _given(name: str = "", example: str | None = None) -> dict:
    """What ``given.js`` and ``links.js`` are told of a run, besides whether something of it
    ``isShown``, which folds the inputs: its ``name``, "" as long as it is not known, the
    ``example`` that it is of, and an id that no other ``run`` has."""
    return {"run": view.new_id(), "name": name, "example": example}


def _follow(
    steps: Iterator[session.Step], wanted: str, study: Path, notes: str, given: dict
) -> Iterator[dict]:
    shown = {"notes": notes}  # once: what a visitor has opened of it stays open
    for step in steps:
        found, is_last = step.view, step.running is None
        progress = {"status": markup.progress(step.text, step.done, step.total), "table": ""}
        yield {
            **(_figures(found) if is_last else progress),
            "given": {**given, "isShown": True},
            **shown,
            "state": found,
            "viewer": message_of(
                found, found.start, wanted, study, running=step.running, jump=is_last
            ),
            "files": False,
            "figures": is_last,
            "cancel": not is_last,
            "anyway": False,
            "stopped": None,
        }
        shown = {}


def _figures(found: View) -> dict:
    report = view.report(found)
    return {
        "status": markup.notice(words.summary(report, found.truth_name)),
        "table": markup.table(*words.table(report), "All figures"),
    }


def _name(inputs: Inputs) -> str:
    """What is compared, in one line: the scan, and the file of its mask if there is one."""
    mask = inputs.mask_file
    return f"{inputs.scan.source} with the mask {mask}" if mask else inputs.scan.source


def _notes(inputs: Inputs, checkpoints: str | Path) -> str:
    sizes = input_sizes(checkpoints)
    picture, index = seen_by_network(inputs.scan, sizes[-1])
    strip = trust.strip(inputs.scan, inputs.findings, inputs.mask_file)
    return strip + markup.seen(picture, index + 1, sizes)
