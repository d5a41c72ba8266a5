"""The page: its tabs, its looks and its limits."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported

import gradio as gr

from brainseg.ui import markup, session
from brainseg.ui.compare_tab import build_compare_tab
from brainseg.ui.endpoints import add_endpoints
from brainseg.ui.events import PRIVATE
from brainseg.ui.models_tab import build_models_tab
from brainseg.ui.stress_tab import build_stress_tab
from brainseg.ui.study_tab import build_study_tab
from brainseg.ui.uploads import MAX_AGE_S, SWEEP_S, forget_visitors, own_uploads

_LINKS = Path(__file__).with_name("links.js").read_text("utf-8")
STUDY = Path(__file__).parents[2] / "docs" / "study"

LAUNCH = {
    "theme": gr.themes.Default(
        primary_hue="blue",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ),
    "css_paths": Path(__file__).with_name("page.css"),
    "js": Path(__file__).with_name("page.js").read_text("utf-8"),
    "max_file_size": "512mb",
    "state_session_capacity": 50,
    "footer_links": ["api", "gradio"],
    "run_history": False,
    "ssr_mode": False,
}
"""Arguments of ``launch()``, where Gradio wants what belongs to the page's looks and limits."""


def build(checkpoints: str | Path, study_folder: Path = STUDY) -> gr.Blocks:
    """The page that compares the checkpoints in a folder, ready for ``launch(**LAUNCH)``."""
    own_uploads()
    with gr.Blocks(
        title="brainseg: compare segmentation models",
        analytics_enabled=False,
        delete_cache=(SWEEP_S, MAX_AGE_S),
    ) as page:
        gr.HTML(markup.HEADER, apply_default_css=False)
        with gr.Tabs(selected="compare", elem_id="tabs") as tabs:
            with gr.Tab("Compare", id="compare"):
                gr.HTML(markup.COMPARE_TITLE, elem_classes="unseen")
                compare = build_compare_tab(checkpoints, study_folder)
            with gr.Tab("Study", id="study") as study_tab:
                build_study_tab(checkpoints, study_folder, study_tab, tabs, compare)
            with gr.Tab("Stress", id="stress"):
                build_stress_tab(checkpoints, compare.state)
            with gr.Tab("Models", id="models") as models:
                build_models_tab(checkpoints, models)
        greeting = page.load(lambda: greet(checkpoints), outputs=compare.status, **PRIVATE)
        greeting.then(None, js=_LINKS, **PRIVATE)  # not before, or it would write over a run
        add_endpoints(checkpoints)
    forget_visitors(page)
    return page.queue(max_size=20)


def greet(checkpoints: str | Path) -> str:
    """What the page says first: how to begin, or that there is no model and what to do."""
    try:
        session.require_checkpoints(checkpoints)
    except Exception as error:
        return markup.notice(session.explain(error))
    return markup.notice(session.INVITATION)
