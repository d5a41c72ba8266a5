"""The Compare page: its parts and what happens when they are used."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from brainseg.ui import markup, session, view, words
from brainseg.ui.downloads import write_files
from brainseg.ui.errors import explain
from brainseg.ui.inputs import EXAMPLES, Inputs, read_files, seen_by_network
from brainseg.ui.uploads import results_folder
from brainseg.ui.viewer import make_viewer

INVITATION = "Pick an example, or give a scan of your own and press Compare."
EXPIRED = "This comparison is no longer kept. Please compare again."
CANCELLED = "Cancelled. What was done until then is shown below."
KEPT_S = 3000  # seconds a visitor's comparison is kept
# Several comparisons run at once, because those that wait for the same network share its next
# pass; those of large volumes take turns. Everybody else queues.
MODELS_QUEUE = {"concurrency_id": "models", "concurrency_limit": 8}
# In the browser, at once: who still waits in the queue must be able to leave it.
SHOW_CANCEL = "() => ({ __type__: 'update', visible: true })"

_THUMBNAILS = Path(__file__).with_name("examples")
_CHOOSE = (Path(__file__).with_name("choose.js")).read_text("utf-8")


@dataclass(frozen=True)
class Compare:
    """What the other pages need of this one: the visitor's comparison, and what shows it."""

    state: gr.State
    chosen: gr.State
    viewer: gr.HTML
    status: gr.HTML


def build(checkpoints: str | Path, study: Path) -> Compare:
    """Lay the page out and wire it; to be called inside a tab."""
    state = gr.State(time_to_live=KEPT_S)  # this visitor's comparison, nobody else's
    stopped = gr.State(time_to_live=KEPT_S)  # inputs that the guard stopped, for "anyway"
    chosen = gr.State("")
    turn = gr.State({})  # which of this visitor's runs is the newest
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=300):
            gr.HTML('<p class="lead">Start with an <strong>example</strong>: a computed patient '
                    "whose tumour is known.</p>")  # fmt: skip
            examples = gr.HTML(
                gallery(), js_on_load=_CHOOSE, apply_default_css=False, elem_id="examples"
            )
        with gr.Column(scale=1, min_width=300):
            gr.HTML('<p class="lead">Or give <strong>your own scan</strong>: drop, pick or paste '
                    "it. PNG, JPEG, TIFF, NIfTI, DICOM (.zip), MHA, NRRD, NumPy.</p>")  # fmt: skip
            scan = gr.File(label="Scan", height=150, elem_classes="scan-drop")
            with gr.Accordion("True mask, or separate FLAIR, T1 and T1c files", open=False):
                truth = gr.File(
                    label="True mask, if you have one: scores need it",
                    height=110,
                    elem_classes="truth-drop",
                )
                with gr.Row():
                    flair = gr.File(label="FLAIR", height=110, min_width=90)
                    t1 = gr.File(label="T1", height=110, min_width=90)
                    t1c = gr.File(label="T1 after contrast", height=110, min_width=90)
            with gr.Row():
                button = gr.Button("Compare", variant="primary", min_width=120, elem_id="run")
                anyway = gr.Button("Compare anyway", visible=False, min_width=120, elem_id="anyway")
                cancel = gr.Button("Cancel", visible=False, min_width=120, elem_id="cancel")
    status = gr.HTML(markup.notice(INVITATION), min_height=36, elem_id="status")
    notes = gr.HTML()
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

    shown = [status, notes, state, viewer, files, figures, table, cancel, anyway, stopped]

    def follow(steps: Iterator[session.Step], inputs, wanted: str) -> Iterator[dict]:
        """Show each step of a comparison; ``inputs`` None is an example, known to be sound."""
        notices = _notes(inputs) if inputs else ""
        for step in steps:
            yield _shown(step, wanted, notices)

    def _shown(step: session.Step, wanted: str, notices: str) -> dict:
        found, report = step.view, view.report(step.view)
        is_last = step.running is None
        message = _payload(study, found, found.start, wanted, running=step.running, jump=is_last)
        text = f"Running {step.running}: {step.done} of {step.total} done."
        return {
            status: markup.notice(words.summary(report))
            if is_last
            else markup.progress(text, step.done, step.total),
            notes: notices,
            state: found,
            viewer: message,
            files: gr.File(value=None, visible=False),
            figures: gr.Accordion(visible=is_last),
            table: markup.table(*words.table(report), "All figures") if is_last else "",
            cancel: gr.Button(visible=not is_last),
            anyway: gr.Button(visible=False),
            stopped: None,
        }

    def failed(error: Exception) -> dict:
        return {
            status: markup.notice(explain(error)),
            notes: "",
            state: None,
            viewer: None,
            files: gr.File(value=None, visible=False),
            figures: gr.Accordion(visible=False),
            cancel: gr.Button(visible=False),
            anyway: gr.Button(visible=False),
        }

    def files_run(paths, wanted) -> Iterator[dict]:
        yield {
            status: markup.progress("Reading the scan.", 0, 1),
            cancel: gr.Button(visible=True),
        }
        inputs = read_files(paths)
        if inputs.is_stopped:
            yield {
                **failed(session.ScanError("Not compared: see below why, and what to do.")),
                notes: _notes(inputs),
                anyway: gr.Button(visible=True),
                stopped: inputs,
            }
            return
        yield from follow(session.run(inputs, checkpoints), inputs, wanted)

    def example_run(kind, wanted) -> Iterator[dict]:
        yield {
            status: markup.progress(f"Computing the phantom {kind}.", 0, 1),
            notes: "",
            cancel: gr.Button(visible=True),
        }
        yield from follow(session.run_example(kind, checkpoints), None, wanted)

    def stopped_run(inputs, wanted) -> Iterator[dict]:
        if inputs is None:
            raise session.ScanError(EXPIRED)
        yield from follow(session.run(inputs, checkpoints), inputs, wanted)

    replaced = {status: gr.skip()}

    def from_files(scan, truth, flair, t1, t1c, wanted, turn) -> Iterator[dict]:
        paths = {"scan": scan, "truth": truth, "flair": flair, "t1": t1, "t1c": t1c}
        yield from session.newest(turn, files_run(paths, wanted), failed, replaced)

    def from_example(event: gr.EventData, wanted, turn) -> Iterator[dict]:
        kind = str(event._data["name"])
        yield from session.newest(turn, example_run(kind, wanted), failed, replaced)

    def despite(inputs, wanted, turn) -> Iterator[dict]:
        yield from session.newest(turn, stopped_run(inputs, wanted), failed, replaced)

    private = {"api_visibility": "private"}
    running = {
        "outputs": shown,
        "show_progress": "minimal",
        "show_progress_on": status,
        "trigger_mode": "multiple",  # "once" would never run again after a cancelled run
        **MODELS_QUEUE,
        **private,
    }
    for start in (button.click, examples.choose, anyway.click):  # wired first, so it acts first
        start(None, outputs=cancel, js=SHOW_CANCEL, **private)
    events = [
        button.click(from_files, [scan, truth, flair, t1, t1c, chosen, turn], **running),
        examples.choose(from_example, [chosen, turn], **running),
        anyway.click(despite, [stopped, chosen, turn], **running),
    ]
    cancel.click(
        lambda: (markup.notice(CANCELLED), gr.Button(visible=False)),
        outputs=[status, cancel],
        cancels=events,
        queue=False,
        **private,
    )

    light = {"show_progress": "hidden", "concurrency_limit": 4, **private}

    def show_slice(event: gr.EventData, found, wanted):
        if found is None:
            gr.Warning(EXPIRED)
            return None
        return _payload(study, found, int(event._data["index"]), wanted)

    viewer.slice(show_slice, [state, chosen], viewer, trigger_mode="always_last", **light)

    def drawn(event: gr.EventData, found, wanted):
        try:
            if found is None:
                raise session.ScanError(EXPIRED)
            index = int(event._data["index"])
            found = session.draw_truth(found, index, str(event._data["picture"]))
            report = view.report(found)
            return {
                state: found,
                viewer: _payload(study, found, index, wanted),
                status: markup.notice(words.summary(report)),
                table: markup.table(*words.table(report), "All figures"),
            }
        except Exception as error:
            return {status: markup.notice(explain(error))}

    viewer.drawn(
        drawn, [state, chosen], [state, viewer, status, table], trigger_mode="always_last", **light
    )
    viewer.download(
        download, [state], [files, status], show_progress="minimal", show_progress_on=status,
        concurrency_limit=2, **private,
    )  # fmt: skip
    return Compare(state, chosen, viewer, status)


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


def show_chosen(study: Path, found: view.View | None, wanted: str):
    """The visitor's comparison with one model singled out, or nothing if there is none yet."""
    if found is None:
        return None
    return _payload(study, found, found.start, wanted)


def download(event: gr.EventData, found: view.View | None):
    """The files of a comparison, and a sentence on them."""
    try:
        if found is None:
            raise session.ScanError(EXPIRED)
        level = event._data.get("level")
        index = min(max(int(event._data["index"]), 0), found.shape[0] - 1)
        folder = Path(tempfile.mkdtemp(dir=results_folder()))
        level = None if level is None else min(max(int(level), 0), 254)
        paths = write_files(found, folder, index, level)
        return (
            gr.File(value=[str(path) for path in paths], visible=True),
            markup.notice("Your files are ready, below the pictures."),
        )
    except Exception as error:
        return gr.File(visible=False), markup.notice(explain(error))


def _payload(study: Path, found: view.View, index: int, wanted: str, **extra) -> dict:
    estimates, reason = session.estimates(found, study)
    return view.payload(
        found, index, chosen=wanted, estimates=estimates, estimateNote=reason, **extra
    )


def _notes(inputs: Inputs) -> str:
    picture, index = seen_by_network(inputs.scan)
    return markup.findings(inputs.findings) + markup.seen(picture, index + 1, picture.shape[0])
