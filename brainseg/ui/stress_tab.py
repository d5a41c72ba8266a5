"""The Stress page: one slice made worse step by step, all models following."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from brainseg.scans.corruptions import CORRUPTIONS
from brainseg.ui import markup, session
from brainseg.ui import stress_actions as actions
from brainseg.ui.events import BROWSE, PRIVATE, RUN, follow, wire_begin, wire_cancel
from brainseg.ui.inputs import EXAMPLES
from brainseg.ui.stress_curve import COMPARED
from brainseg.ui.view import View
from brainseg.ui.viewer import make_viewer

_INTRODUCTION = """
<div class="sheet"><h2>What breaks a model, and which one first?</h2>
<p>One slice is made worse in eight steps. Move the severity: every model follows at once, and the
curve shows how much of its Dice is left.</p></div>
"""
INVITATION = "Choose a slice and what happens to it, then press Run."
_HELP = {
    "noise": "Grain, as of a fast acquisition.",
    "bias field": "One side brighter than the other, as by the receive coil.",
    "motion": "Ghosts of a head that moved.",
    "contrast": "A grey, flat window.",
    "rotation": "The head turned in the plane, up to 60°.",
    "resolution": "A coarser matrix, up to 8 times larger pixels.",
}


@dataclass(frozen=True)
class StressParts:
    """The page's parts, in their order, and what it keeps of each visitor: ``state``, the slice at
    all severities, and ``turn``, which of their runs is the newest."""

    source: gr.Dropdown
    corruption: gr.Radio
    start: gr.Button
    cancel: gr.Button
    status: gr.HTML
    curve: gr.HTML
    viewer: gr.HTML
    figures: gr.Accordion
    table: gr.HTML
    state: gr.State
    turn: gr.State


def build_stress_tab(checkpoints: str | Path, compared: gr.State) -> None:
    """Lay the page out and wire it; to be called inside a tab. ``compared``: the visitor's
    comparison on the Compare page."""
    wire(lay_out(), checkpoints, compared)


def lay_out() -> StressParts:
    gr.HTML(_INTRODUCTION, apply_default_css=False)
    with gr.Row(equal_height=True):
        source = gr.Dropdown(
            [*((f"phantom {kind}", kind) for kind in EXAMPLES if kind != "healthy"),
             (COMPARED, COMPARED)],
            value="large", label="Slice", info="The one with most tumour.", min_width=200,
        )  # fmt: skip
        corruption = gr.Radio(
            list(CORRUPTIONS), value="noise", label="What happens to it",
            info=_HELP["noise"], scale=3, min_width=280,
        )  # fmt: skip
    with gr.Row():
        start = gr.Button("Run", variant="primary", elem_id="run-stress")
        cancel = gr.Button("Cancel", visible=False)
    status = gr.HTML(markup.notice(INVITATION), min_height=36)
    curve = gr.HTML(apply_default_css=False, elem_id="curve")
    viewer = make_viewer(elem_id="stress-viewer")
    with gr.Accordion("The curve as a table", open=False, visible=False) as figures:
        table = gr.HTML(apply_default_css=False)
    state, turn = gr.State(time_to_live=session.KEPT_S), gr.State({})
    return StressParts(
        source=source, corruption=corruption, start=start, cancel=cancel, status=status,
        curve=curve, viewer=viewer, figures=figures, table=table, state=state, turn=turn,
    )  # fmt: skip


def wire(parts: StressParts, checkpoints: str | Path, compared: gr.State) -> None:
    """What starts a run and what ends it, and what the viewer asks for."""

    def run(source, corruption, compared, turn) -> Iterator[dict]:
        steps = actions.run(source, corruption, compared, checkpoints)
        yield from follow(parts, turn, steps, actions.failed)

    shown = [
        parts.status, parts.cancel, parts.curve, parts.viewer, parts.state, parts.table,
        parts.figures,
    ]  # fmt: skip
    given = [parts.source, parts.corruption, compared, parts.turn]
    wire_begin(parts, [parts.start.click], ["figures"])
    event = parts.start.click(run, given, shown, show_progress_on=parts.status, **RUN)
    wire_cancel(parts, [event], actions.cancelled, [], shown)
    parts.corruption.change(
        explain_corruption,
        parts.corruption,
        parts.corruption,
        queue=False,
        show_progress="hidden",
        **PRIVATE,
    )
    parts.viewer.slice(show_severity, parts.state, parts.viewer, **BROWSE)


def explain_corruption(name: str) -> gr.Radio:
    return gr.Radio(info=_HELP[name])


def show_severity(event: gr.EventData, found: View | None) -> dict | None:
    """The severities that the viewer asks for."""
    if found is None:
        gr.Warning(session.EXPIRED)
        return None
    return actions.slices(found, event._data)
