"""The page: its tabs, its looks and limits, and the endpoints for programs."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported

import gradio as gr

from brainseg.ui import markup, session
from brainseg.ui.compare_tab import build_compare_tab
from brainseg.ui.events import MODELS_QUEUE, PRIVATE
from brainseg.ui.models_tab import build_models_tab
from brainseg.ui.stress_tab import build_stress_tab
from brainseg.ui.study_tab import build_study_tab
from brainseg.ui.uploads import MAX_AGE_S, SWEEP_S, own_uploads, results_folder

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
        with gr.Tabs(selected="compare") as tabs:
            with gr.Tab("Compare", id="compare"):
                compare = build_compare_tab(checkpoints, study_folder)
            with gr.Tab("Study", id="study"):
                build_study_tab(checkpoints, study_folder, page, tabs, compare)
            with gr.Tab("Stress", id="stress"):
                build_stress_tab(checkpoints, compare.state)
            with gr.Tab("Models", id="models"):
                build_models_tab(checkpoints, page)
        page.load(lambda: greet(checkpoints), outputs=compare.status, **PRIVATE)
        _endpoints(checkpoints)
    return page.queue(max_size=20)


def greet(checkpoints: str | Path) -> str:
    """What the page says first: how to begin, or that there is no model and what to do."""
    try:
        session.require_checkpoints(checkpoints)
    except Exception as error:
        return markup.notice(session.explain(error))
    return markup.notice(session.INVITATION)


def _endpoints(checkpoints: str | Path) -> None:
    """``/compare`` and ``/predict``. Events need something to hang on, which is never shown."""

    def compare_scan(
        scan: str | None = None,
        truth: str | None = None,
        flair: str | None = None,
        t1: str | None = None,
        t1c: str | None = None,
        anyway: bool = False,
    ) -> dict:
        """Compare all models on one scan file, or on flair, t1 and t1c as files of their own, and
        if given, the file of the true mask. anyway: also where the scan looks like none.

        Returns source, slices, truth (was one given?), findings (what speaks against the scan) and
        models: by name the kind (model, ensemble, fusion), threshold, area_px, volume_ml,
        agreement with the other models and, with a truth, dice, iou, precision and recall. What is
        not defined is null.
        """
        paths = {"scan": scan, "truth": truth, "flair": flair, "t1": t1, "t1c": t1c}
        try:
            return session.compare_files(paths, checkpoints, anyway=anyway)
        except Exception as error:
            raise gr.Error(session.explain(error), print_exception=False) from None

    def predict(
        scan: str | None = None,
        model: str = "",
        flair: str | None = None,
        t1: str | None = None,
        t1c: str | None = None,
        anyway: bool = False,
    ) -> tuple[str, dict]:
        """Segment one scan file, or flair, t1 and t1c as files of their own, with one model, by
        its name. anyway: also where the scan looks like none.

        Returns the mask as a file in the scan's own format and geometry, and source, slices,
        model, threshold, area_px, volume_ml, null where the scan states no spacing, and findings.
        """
        paths = {"scan": scan, "flair": flair, "t1": t1, "t1c": t1c}
        try:
            folder = Path(tempfile.mkdtemp(dir=results_folder()))
            path, figures = session.predict_files(paths, model, checkpoints, folder, anyway=anyway)
            return str(path), figures
        except Exception as error:
            raise gr.Error(session.explain(error), print_exception=False) from None

    with gr.Group(visible=False):
        scan, truth = gr.File(label="Scan"), gr.File(label="True mask")
        flair, t1, t1c = gr.File(label="FLAIR"), gr.File(label="T1"), gr.File(label="T1c")
        name, anyway = gr.Textbox(label="Model"), gr.Checkbox(label="Anyway")
        mask, result = gr.File(label="Mask"), gr.JSON(label="Result")
        button = gr.Button()
    rest = [flair, t1, t1c, anyway]
    button.click(compare_scan, [scan, truth, *rest], result, api_name="compare", **MODELS_QUEUE)
    button.click(predict, [scan, name, *rest], [mask, result], api_name="predict", **MODELS_QUEUE)
