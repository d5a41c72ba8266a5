"""The Compare page: its parts, and which of them starts what in ``compare_actions``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import gradio as gr

from brainseg.ui import compare_actions as actions
from brainseg.ui import markup, session
from brainseg.ui.events import (
    BROWSE,
    PRIVATE,
    RUN,
    by_part,
    follow,
    unless_replaced,
    wire_begin,
    wire_cancel,
)
from brainseg.ui.inputs import EXAMPLES
from brainseg.ui.viewer import make_viewer

_THUMBNAILS = Path(__file__).with_name("examples")
_CHOOSE = (Path(__file__).with_name("choose.js")).read_text("utf-8")
_GIVEN = """
<p class="given" hidden><strong></strong> <span aria-hidden="true">·</span>
<button type="button" aria-expanded="true" aria-controls="inputs">close</button></p>
"""


@dataclass(frozen=True)
class CompareParts:
    """The page's parts, in their order, and what it keeps of each visitor: ``state``, their
    comparison; ``stopped``, inputs that the guard stopped, for "anyway"; ``chosen``, the model to
    mark; ``turn``, which of their runs is the newest. ``given`` is one line on what is compared,
    and folds the inputs away once there is something of it to see."""

    given: gr.HTML
    examples: gr.HTML
    scan: gr.File
    truth: gr.File
    flair: gr.File
    t1: gr.File
    t1c: gr.File
    channels: gr.Textbox
    start: gr.Button
    anyway: gr.Button
    cancel: gr.Button
    status: gr.HTML
    notes: gr.HTML
    viewer: gr.HTML
    files: gr.File
    figures: gr.Accordion
    table: gr.HTML
    state: gr.State
    stopped: gr.State
    chosen: gr.State
    turn: gr.State


def build_compare_tab(checkpoints: str | Path, study: Path) -> CompareParts:
    """Lay the page out and wire it; to be called inside a tab."""
    parts = lay_out()
    wire_runs(parts, checkpoints, study)
    wire_viewer(parts, study)
    return parts


def lay_out() -> CompareParts:
    given = gr.HTML(
        html_template=_GIVEN,
        js_on_load=(Path(__file__).with_name("given.js")).read_text("utf-8"),
        apply_default_css=False,
        elem_id="given",
    )
    with gr.Row(equal_height=False, elem_id="inputs"):
        inputs = lay_out_inputs()
    with gr.Row(elem_id="now"):
        status = gr.HTML(
            markup.notice(session.INVITATION), min_height=24, elem_id="status", scale=1
        )
        cancel = gr.Button("Cancel", visible=False, min_width=120, scale=0, elem_id="cancel")
    notes = gr.HTML(elem_id="notes")
    viewer = make_viewer(elem_id="compare-viewer")
    files = gr.File(
        label="Your files, deleted within the hour",
        visible=False,
        file_count="multiple",
        interactive=False,
        elem_id="files",
    )
    with gr.Accordion("All figures as a table", open=False, visible=False) as figures:
        table = gr.HTML(apply_default_css=False)
    state = gr.State(time_to_live=session.KEPT_S)
    stopped = gr.State(time_to_live=session.KEPT_S)
    chosen, turn = gr.State(""), gr.State({})
    return CompareParts(
        given=given, **inputs, cancel=cancel, status=status, notes=notes, viewer=viewer,
        files=files, figures=figures, table=table, state=state, stopped=stopped, chosen=chosen,
        turn=turn,
    )  # fmt: skip


def lay_out_inputs() -> dict[str, gr.Component]:
    """What there is to compare on, and what starts it: parts by name."""
    with gr.Column(scale=1, min_width=300):
        gr.HTML('<p class="lead">Start with an <strong>example</strong>: a computed patient '
                "whose tumour is known.</p>")  # fmt: skip
        examples = gr.HTML(
            gallery(), js_on_load=_CHOOSE, apply_default_css=False, elem_id="examples"
        )
    with gr.Column(scale=1, min_width=300):
        gr.HTML('<p class="lead">Or give <strong>your own scan</strong>: drop, pick or paste '
                "it. PNG, JPEG, TIFF, NIfTI, DICOM (.zip), MHA, NRRD, NumPy.</p>")  # fmt: skip
        scan = gr.File(label="Scan", height=150, elem_classes=["slot", "scan-drop"])
        with gr.Accordion("True mask, or separate FLAIR, T1 and T1c files", open=False):
            truth = gr.File(
                label="True mask: scores need it",
                height=110,
                elem_classes=["slot", "truth-drop"],
            )
            with gr.Row():
                flair, t1, t1c = (
                    gr.File(label=label, height=110, min_width=150, elem_classes="slot")
                    for label in ("FLAIR", "T1", "T1 after contrast")
                )
            channels = gr.Textbox(
                label="Order of channels, where one file holds several sequences",
                placeholder="flair,t1,t1c,t2",
                max_lines=1,
            )
        with gr.Row():
            start = gr.Button("Compare", variant="primary", min_width=120, elem_id="run")
            anyway = gr.Button("Compare anyway", visible=False, min_width=120, elem_id="anyway")
    return {"examples": examples, "scan": scan, "truth": truth, "flair": flair, "t1": t1,
            "t1c": t1c, "channels": channels, "start": start, "anyway": anyway}  # fmt: skip


def wire_runs(parts: CompareParts, checkpoints: str | Path, study: Path) -> None:
    """What starts a comparison, and what ends it."""

    def from_files(scan, truth, flair, t1, t1c, channels, wanted, turn) -> Iterator[dict]:
        paths = {"scan": scan, "truth": truth, "flair": flair, "t1": t1, "t1c": t1c,
                 "channels": channels}  # fmt: skip
        before, turn["paths"] = turn.get("paths"), paths
        steps = actions.run_files(paths, wanted, checkpoints, study, before)
        yield from follow(parts, turn, steps, actions.failed)

    def from_example(event: gr.EventData, wanted, turn) -> Iterator[dict]:
        kind = str(event._data["name"])
        steps = actions.run_example(kind, wanted, checkpoints, study)
        yield from follow(parts, turn, steps, actions.failed)

    def despite(inputs, wanted, turn) -> Iterator[dict]:
        steps = actions.run_anyway(inputs, wanted, checkpoints, study)
        yield from follow(parts, turn, steps, actions.failed)

    shown = [
        parts.status, parts.notes, parts.state, parts.viewer, parts.files, parts.figures,
        parts.table, parts.cancel, parts.anyway, parts.stopped, parts.given,
    ]  # fmt: skip
    given = [parts.scan, parts.truth, parts.flair, parts.t1, parts.t1c, parts.channels]
    kept = [parts.chosen, parts.turn]
    run = {"outputs": shown, "show_progress_on": parts.status, **RUN}
    starts = (parts.start.click, parts.examples.choose, parts.anyway.click)
    wire_begin(parts, starts, ["files", "figures", "anyway"])
    runs = [
        parts.start.click(from_files, [*given, *kept], **run),
        parts.examples.choose(from_example, kept, **run),
        parts.anyway.click(despite, [parts.stopped, *kept], **run),
    ]

    def cancelled(found, wanted) -> dict:
        return actions.cancelled(found, wanted, study)

    wire_cancel(parts, runs, cancelled, [parts.chosen], shown)

    def left(turn) -> dict:
        session.stop(turn, None)
        return by_part(parts, actions.left())

    parts.given.leave(left, parts.turn, shown, cancels=runs, queue=False, **PRIVATE)


def wire_viewer(parts: CompareParts, study: Path) -> None:
    """What the viewer asks for: another slice or plane, scores by a drawn truth, files."""

    def show_slice(event: gr.EventData, found, wanted) -> dict | None:
        if found is None:
            gr.Warning(session.EXPIRED)
            return None
        return actions.slices(found, event._data, wanted, study)

    def show_coronal(event: gr.EventData, found) -> dict | None:
        return actions.coronal(found, event._data) if found else gr.skip()

    def drawn(event: gr.EventData, found, wanted, turn) -> dict:
        draw = partial(actions.draw_truth, found, event._data, wanted, study)
        return unless_replaced(parts, turn, draw)

    def download(event: gr.EventData, found, turn) -> dict:
        def write() -> dict:
            paths, told = actions.write_files(found, event._data)
            files = gr.File(value=paths or None, visible=bool(paths))
            return {"files": files, "status": told}

        return unless_replaced(parts, turn, write)

    marked = [parts.state, parts.chosen]
    scored = [parts.state, parts.viewer, parts.status, parts.table]
    parts.viewer.slice(show_slice, marked, parts.viewer, **BROWSE)
    parts.viewer.coronal(show_coronal, parts.state, parts.viewer, **BROWSE)
    parts.viewer.drawn(drawn, [*marked, parts.turn], scored, **BROWSE)
    parts.viewer.download(
        download,
        [parts.state, parts.turn],
        [parts.files, parts.status],
        show_progress="minimal",
        show_progress_on=parts.status,
        concurrency_limit=2,
        **PRIVATE,
    )


def gallery() -> str:
    """The examples as buttons with a picture of each."""
    words_of = {
        "small": "Small",
        "large": "Large",
        "multifocal": "Several",
        "low-contrast": "Low contrast",
        "healthy": "Healthy",
        "noisy": "Noisy",
    }
    buttons = "".join(
        f'<button type="button" data-choose="{kind}">'
        f"{markup.picture((_THUMBNAILS / f'{kind}.png').read_bytes(), '')}{words_of[kind]}</button>"
        for kind in EXAMPLES
    )
    return f'<div class="examples" role="group" aria-label="Examples">{buttons}</div>'
