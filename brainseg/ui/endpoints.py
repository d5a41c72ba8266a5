"""The endpoints for programs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import gradio as gr

from brainseg.ui import session
from brainseg.ui.events import MODELS_QUEUE
from brainseg.ui.uploads import results_folder

EXAMPLE = "large"


def add_endpoints(checkpoints: str | Path) -> None:
    """``/compare`` and ``/predict``. Events need something to hang on, which is never shown.

    The page "Use via API" makes its snippets of the values that components begin with, so these
    are such that a snippet runs as it is pasted: on a phantom, with a model that is there.
    """

    def compare_scan(
        scan: str | None = None,
        truth: str | None = None,
        flair: str | None = None,
        t1: str | None = None,
        t1c: str | None = None,
        anyway: bool = False,
        channels: str | None = None,
        example: str | None = None,
    ) -> dict:
        """Compare all models on one scan file, scan=handle_file("scan.nii.gz"), or on flair, t1 and
        t1c as files of their own, and if given, the file of the true mask. anyway: also where the
        scan looks like none. channels: what the channels of one scan file are, in order, such as
        "flair,t1,t1c,t2". example: the phantom that is compared where no file is given.

        Returns source, slices, truth (was one given?), findings (what speaks against the scan) and
        models: by name the kind (model, ensemble, fusion), threshold, area_px, volume_ml,
        agreement with the other models and, with a truth, dice, iou, precision and recall. What is
        not defined is null.
        """
        paths = {"scan": scan, "truth": truth, "flair": flair, "t1": t1, "t1c": t1c,
                 "channels": channels, "example": example}  # fmt: skip
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
        channels: str | None = None,
        example: str | None = None,
    ) -> tuple[str, dict]:
        """Segment one scan file, scan=handle_file("scan.nii.gz"), or flair, t1 and t1c as files of
        their own, with one model, by its name. anyway: also where the scan looks like none.
        channels: what the channels of one scan file are, in order, such as "flair,t1,t1c,t2".
        example: the phantom that is segmented where no file is given.

        Returns the mask as a file in the scan's own format and geometry, and source, slices,
        model, threshold, area_px, volume_ml, null where the scan states no spacing, and findings.
        """
        paths = {"scan": scan, "flair": flair, "t1": t1, "t1c": t1c, "channels": channels,
                 "example": example}  # fmt: skip
        try:
            folder = Path(tempfile.mkdtemp(dir=results_folder()))
            path, figures = session.predict_files(paths, model, checkpoints, folder, anyway=anyway)
            return str(path), figures
        except Exception as error:
            raise gr.Error(session.explain(error), print_exception=False) from None

    with gr.Group(visible=False):
        scan, truth = gr.File(label="Scan"), gr.File(label="True mask")
        flair, t1, t1c = gr.File(label="FLAIR"), gr.File(label="T1"), gr.File(label="T1c")
        name = gr.Textbox(session.first_model(checkpoints), label="Model")
        anyway = gr.Checkbox(label="Anyway")
        channels = gr.Textbox(label="Order of channels")
        example = gr.Textbox(EXAMPLE, label="Example")
        mask, result = gr.File(label="Mask"), gr.JSON(label="Result")
        button = gr.Button()
    rest = [flair, t1, t1c, anyway, channels, example]
    button.click(compare_scan, [scan, truth, *rest], result, api_name="compare", **MODELS_QUEUE)
    button.click(predict, [scan, name, *rest], [mask, result], api_name="predict", **MODELS_QUEUE)
