"""The Stress page: one slice made worse step by step, all models following."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gradio as gr

from brainseg.scans.corruptions import CORRUPTIONS
from brainseg.ui import markup, session, stress_curve, view
from brainseg.ui.compare_tab import EXPIRED, KEPT_S, MODELS_QUEUE, SHOW_CANCEL, Compare
from brainseg.ui.errors import explain
from brainseg.ui.inputs import EXAMPLES
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


def build(checkpoints: str | Path, compare: Compare) -> None:
    """Lay the page out and wire it; to be called inside a tab."""
    state = gr.State(time_to_live=KEPT_S)
    turn = gr.State({})
    gr.HTML(_INTRODUCTION, apply_default_css=False)
    with gr.Row(equal_height=True):
        source = gr.Dropdown(
            [*((f"phantom {kind}", kind) for kind in EXAMPLES if kind != "healthy"),
             (stress_curve.COMPARED, stress_curve.COMPARED)],
            value="large", label="Slice", info="The one with most tumour.", min_width=200,
        )  # fmt: skip
        corruption = gr.Radio(
            list(CORRUPTIONS), value="noise", label="What happens to it",
            info=_HELP["noise"], scale=3, min_width=280,
        )  # fmt: skip
    with gr.Row():
        button = gr.Button("Run", variant="primary", elem_id="run-stress")
        cancel = gr.Button("Cancel", visible=False)
    status = gr.HTML(markup.notice(INVITATION), min_height=36)
    curve = gr.HTML(apply_default_css=False, elem_id="curve")
    viewer = make_viewer(elem_id="stress-viewer")
    with gr.Accordion("The curve as a table", open=False, visible=False) as figures:
        table = gr.HTML(apply_default_css=False)

    def run(source, corruption, compared, turn) -> Iterator[dict]:
        steps = _steps(source, corruption, compared)
        yield from session.newest(turn, steps, _failed, {status: gr.skip()})

    def _steps(source, corruption, compared) -> Iterator[dict]:
        yield {status: markup.progress("Starting.", 0, 1), cancel: gr.Button(visible=True)}
        subject = stress_curve.subject(source, compared)
        for step in stress_curve.run(subject, corruption, checkpoints):
            yield _shown(step)

    def _failed(error: Exception) -> dict:
        return {
            status: markup.notice(explain(error)),
            cancel: gr.Button(visible=False),
            curve: "",
            viewer: None,
            state: None,
            figures: gr.Accordion(visible=False),
        }

    def _shown(step: session.Step) -> dict:
        message = _payload(step.view, 0, step.running)
        text = f"Running {step.running}: {step.done} of {step.total} done."
        if step.running:
            return {
                status: markup.progress(text, step.done, step.total),
                viewer: message,
                state: step.view,
                curve: "",
                figures: gr.Accordion(visible=False),
            }
        curves = stress_curve.scores(step.view)
        return {
            status: markup.notice(stress_curve.verdict(step.view, curves)),
            viewer: message,
            state: step.view,
            curve: stress_curve.curve(step.view, curves),
            table: markup.table(*stress_curve.rows(step.view, curves), "Dice at each severity"),
            figures: gr.Accordion(visible=True),
            cancel: gr.Button(visible=False),
        }

    private = {"api_visibility": "private"}
    button.click(None, outputs=cancel, js=SHOW_CANCEL, **private)
    event = button.click(
        run, [source, corruption, compare.state, turn],
        [status, cancel, curve, viewer, state, table, figures],
        show_progress="minimal", show_progress_on=status, trigger_mode="multiple",
        **MODELS_QUEUE, **private,
    )  # fmt: skip
    cancel.click(
        lambda: (markup.notice("Cancelled."), gr.Button(visible=False)),
        outputs=[status, cancel], cancels=[event], queue=False, **private,
    )  # fmt: skip
    corruption.change(
        lambda name: gr.Radio(info=_HELP[name]), corruption, corruption, queue=False,
        show_progress="hidden", **private,
    )  # fmt: skip
    viewer.slice(
        show_severity, state, viewer, trigger_mode="always_last", show_progress="hidden",
        concurrency_limit=4, **private,
    )  # fmt: skip


def show_severity(event: gr.EventData, found: view.View | None):
    """The message that shows another severity."""
    if found is None:
        gr.Warning(EXPIRED)
        return None
    return _payload(found, int(event._data["index"]), None)


def _payload(found: view.View, index: int, running: str | None) -> dict:
    return view.payload(
        found,
        index,
        running=running,
        scope="slice",
        sliceLabel="Severity",
        sliceHelp="How much worse the slice gets. Every model follows at once.",
    )
