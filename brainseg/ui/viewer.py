"""The viewer as a component: its HTML, style and script lie beside this file."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

_HERE = Path(__file__).parent


def make_viewer(**props) -> gr.HTML:
    """An empty viewer. Its value is ``view.payload(...)``; its events are ``slice`` and ``drawn``,
    ``download``, each with the visible slice's ``index`` and more in the event's data."""
    texts = {suffix: (_HERE / f"viewer.{suffix}").read_text("utf-8") for suffix in _SUFFIXES}
    return gr.HTML(
        html_template=texts["html"],
        css_template=texts["css"],
        js_on_load=texts["js"],
        apply_default_css=False,
        show_label=False,
        **props,
    )


_SUFFIXES = ("html", "css", "js")
