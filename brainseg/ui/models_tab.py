"""The Models page: which checkpoints there are, how they came about, and how to add one."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

import gradio as gr

from brainseg.checkpoints.folder import CARD, Checkpoint, find_checkpoints
from brainseg.checkpoints.settings import CheckpointError, Settings
from brainseg.ui import markup

_ADD = """
<h2>Add your own</h2>
<p>Put a checkpoint folder into <code>checkpoints/</code> (or the folder named in
<code>BRAINSEG_CHECKPOINTS</code>) and compare again: it appears on every page, without a change
to any code. Train one with</p>
<pre>python train.py --model unet --loss bce --data path/to/kaggle_3m</pre>
<p>Nothing in a checkpoint is executed on loading: weights are safetensors, settings are JSON.</p>
"""


def build_models_tab(checkpoints: str | Path, page: gr.Blocks) -> None:
    """Lay the page out and wire it; to be called inside a tab."""
    sheet = gr.HTML(apply_default_css=False, elem_id="models")
    with gr.Row():
        choice = gr.Dropdown([], label="Model card", info="Its data, training, scores and licence.")
    card = gr.Markdown(elem_id="model-card")

    def load() -> tuple:
        names = list(cards(checkpoints))
        first = names[0] if names else None
        return (
            render(checkpoints),
            gr.Dropdown(choices=names, value=first),
            cards(checkpoints).get(first, ""),
        )

    private = {"api_visibility": "private", "show_progress": "hidden"}
    page.load(load, outputs=[sheet, choice, card], **private)
    choice.input(lambda name: cards(checkpoints).get(name, ""), choice, card, **private)


def cards(checkpoints: str | Path) -> dict[str, str]:
    """The model card of each checkpoint, as Markdown without its header, by label."""
    return {
        label: re.sub(r"\A---\n.*?\n---\n", "", _card(checkpoint), flags=re.DOTALL)
        for label, checkpoint in _labelled(checkpoints).items()
    }


def render(checkpoints: str | Path) -> str:
    """The table of models and how to add one, as HTML."""
    rows = []
    for label, checkpoint in _labelled(checkpoints).items():
        settings = checkpoint.settings
        rows.append(
            [
                label,
                "ensemble of " + ", ".join(base.name for base in checkpoint.bases)
                if checkpoint.bases
                else "model",
                settings.model + (f" ({settings.encoder})" if settings.encoder else ""),
                settings.loss or "",
                f"{settings.dataset or ''}, {settings.patients.get('train', '?')} patients",
                f"{_told(settings.epochs_done)} epochs, from {_start(settings)}",
                f"{settings.size} px",
                f"{settings.threshold:.2f}",
                _licence(_card(checkpoint)),
            ]
        )
    headings = ["Name", "Kind", "Network", "Loss", "Trained on", "Recipe", "Input", "Threshold",
                "Licence"]  # fmt: skip
    body = (
        markup.table(headings, rows, "Models", words=True)
        if rows
        else "<p>There is no model yet.</p>"
    )
    skipped = "".join(f"<li>{escape(reason)}</li>" for reason in _skipped(checkpoints))
    left_out = f'<div class="missing"><strong>Left out</strong><ul>{skipped}</ul></div>'
    return f'<div class="sheet"><h2>Models</h2>{body}{left_out if skipped else ""}{_ADD}</div>'


def _told(number: int | None) -> str:
    return "?" if number is None else str(number)


def _start(settings: Settings) -> str:
    if known := settings.started_from:
        return f"{known.name} after {known.epochs}"
    if settings.run.init_from:
        return "other weights"
    return "ImageNet weights" if settings.run.encoder_weights else "random weights"


def _labelled(checkpoints: str | Path) -> dict:
    try:
        found, _ = find_checkpoints(checkpoints)
    except CheckpointError:
        return {}
    return {
        c.name if [o.name for o in found].count(c.name) == 1 else str(c.folder): c for c in found
    }


def _skipped(checkpoints: str | Path) -> list[str]:
    try:
        return find_checkpoints(checkpoints)[1]
    except CheckpointError as error:
        return [str(error)]


def _card(checkpoint: Checkpoint) -> str:
    """Its model card; one from the Hub comes without, so that it is made again."""
    from brainseg.checkpoints.card import model_card

    try:
        return (checkpoint.folder / CARD).read_text(encoding="utf-8")
    except OSError:
        pass
    try:
        return model_card(checkpoint.settings, checkpoint.metrics)
    except (CheckpointError, OSError):  # a stranger may have written these
        return "This checkpoint has no model card."


def _licence(card: str) -> str:
    found = re.search(r"^license: *(\S+)", card, re.MULTILINE)
    return found[1] if found else "not stated"
