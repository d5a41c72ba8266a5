"""The comparison page: layout and events only. What happens is in ``handlers``."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import shutil
import tempfile
from html import escape
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported

import gradio as gr

from brainseg.ui import handlers, markup, words

log = logging.getLogger(__name__)

UNEXPECTED = "Something went wrong on our side; it has been logged. Other scans may still work."
EXPIRED = "This comparison is no longer kept. Please compare again."
INVITATION = "Choose a scan and press Compare, or try a phantom."
_HOUR = 3600

LAUNCH = {
    "theme": gr.themes.Default(
        font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    ),
    "css_paths": Path(__file__).with_name("page.css"),
    "max_file_size": "512mb",
    "state_session_capacity": 50,
    "footer_links": ["api", "gradio"],
    "run_history": False,
    "ssr_mode": False,
}
"""Arguments of ``launch()``, where Gradio wants what belongs to the page's looks and limits."""


def build(checkpoints: str | Path) -> gr.Blocks:
    """The page that compares the checkpoints in a folder, ready for ``launch(**LAUNCH)``."""
    _own_uploads()
    with gr.Blocks(
        title="brainseg: compare segmentation models",
        analytics_enabled=False,
        delete_cache=(_HOUR, _HOUR),
    ) as page:
        gr.HTML(markup.HEADER)
        with gr.Row():
            scan = gr.File(label="Scan: one file in any format, or a .zip of slices", height=160)
            truth = gr.File(label="True mask, if you have it", height=160)
        button = gr.Button("Compare", variant="primary")
        gr.HTML("Or try a phantom, a computed patient whose true mask is known:")
        with gr.Row():
            examples = [gr.Button(kind, size="sm", min_width=100) for kind in handlers.EXAMPLES]
        status = gr.HTML(markup.notice(INVITATION), min_height=40)
        view = gr.State(time_to_live=_HOUR)  # this visitor's comparison, nobody else's
        with gr.Column(visible=False) as results:
            legend = gr.HTML()
            slider = gr.Slider(1, 2, step=1, label="Slice", visible=False, buttons=[])
            cards = gr.HTML()
            table = gr.HTML(apply_default_css=False)
            with gr.Accordion("The same as JSON", open=False):
                report = gr.JSON(show_label=False)

        def show(compare, *arguments) -> dict:
            try:
                new = handlers.make_view(compare(*arguments, checkpoints))
            except Exception as error:
                sentence = explain(error)
                gr.Warning(escape(sentence))
                hidden = gr.Column(visible=False)
                return {status: markup.notice(sentence), view: None, results: hidden}
            slices, number = len(new.images), new.start + 1
            return {
                status: markup.notice(words.summary(new.report)),
                view: new,
                results: gr.Column(visible=True),
                legend: markup.legend(new.report["truth"]),
                slider: gr.Slider(maximum=max(slices, 2), value=number, visible=slices > 1),
                cards: markup.cards(handlers.cards(new, new.start), number),
                table: markup.table(*words.table(new.report)),
                report: new.report,
            }

        # One comparison at a time, whoever asks: the models share the machine's cores and memory.
        models = {"concurrency_id": "models", "concurrency_limit": 1}
        private = {"api_visibility": "private"}
        shown = {
            "outputs": [status, view, results, legend, slider, cards, table, report],
            "show_progress_on": status,
            **models,
            **private,
        }
        button.click(functools.partial(show, handlers.compare_files), [scan, truth], **shown)
        for kind, example in zip(handlers.EXAMPLES, examples, strict=True):
            example.click(functools.partial(show, handlers.compare_example, kind), **shown)
        slider.input(
            draw,
            [view, slider],
            cards,
            show_progress="hidden",
            trigger_mode="always_last",
            concurrency_limit=4,
            **private,
        )
        page.load(functools.partial(greet, checkpoints), outputs=status, **private)

        # Events need something to hang on; these three are never shown.
        gr.Button(visible=False).click(
            _endpoint(checkpoints),
            [gr.File(label="Scan", visible=False), gr.File(label="True mask", visible=False)],
            gr.JSON(label="Comparison", visible=False),
            api_name="compare",
            **models,
        )
    return page.queue(max_size=20)


def greet(checkpoints: str | Path) -> str:
    """What the page says first: how to begin, or that there is no model and what to do."""
    try:
        handlers.require_checkpoints(checkpoints)
    except Exception as error:
        return markup.notice(explain(error))
    return markup.notice(INVITATION)


def draw(view: handlers.View | None, slice_number: int) -> str:
    """The cards of another slice, numbered from 1, from the visitor's own view."""
    if view is None:
        gr.Warning(EXPIRED)
        return markup.notice(EXPIRED)
    return markup.cards(handlers.cards(view, slice_number - 1), slice_number)


def explain(error: Exception) -> str:
    """One sentence for the visitor; what nobody foresaw goes to the log, not to the page."""
    if isinstance(error, handlers.EXPECTED_ERRORS):
        return str(error)
    log.error("unexpected error", exc_info=error)
    return UNEXPECTED


def _endpoint(checkpoints: str | Path):
    def compare(scan: str, truth: str | None = None) -> dict:
        """Compare all models on one scan file and, if given, the file of its true mask.

        Returns source, slices, truth (was one given?) and models: by name the kind (model,
        ensemble, fusion), threshold, area_px, volume_ml, agreement with the other models and,
        with a truth, dice, iou, precision and recall. What is not defined is null.
        """
        try:
            return handlers.compare_files(scan, truth, checkpoints).to_json()
        except Exception as error:
            raise gr.Error(explain(error), print_exception=False) from None

    return compare


def _own_uploads() -> None:
    """Keep uploads in a folder of this process, so that none outlives it."""
    if "GRADIO_TEMP_DIR" not in os.environ:
        folder = os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix="brainseg-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
