"""The viewer as a component: its HTML, style and script lie beside this file.

Gradio runs a component's script as the body of one function, so the parts of ours share their
names and are read in the order of ``SCRIPT``.
"""

from __future__ import annotations

from pathlib import Path

import gradio as gr

SCRIPT = (
    "start", "slices", "sequences", "classes", "layers", "window", "layout", "canvas", "marks",
    "figures", "ruler", "coronal", "swipe", "cards", "gestures", "truth", "undo", "address",
    "wiring",
)  # fmt: skip
_HERE = Path(__file__).parent


def make_viewer(**props) -> gr.HTML:
    """An empty viewer. Its value is a message of ``message``; its events are ``slice``, ``drawn``
    and ``download``, each with the visible slice's ``index`` and more in the event's data, and
    ``coronal``."""
    return gr.HTML(
        html_template=_read("page.html"),
        css_template=_read("style.css"),
        js_on_load="\n".join(_read(f"{part}.js") for part in SCRIPT),
        apply_default_css=False,
        show_label=False,
        **props,
    )


def _read(name: str) -> str:
    return (_HERE / name).read_text("utf-8")
