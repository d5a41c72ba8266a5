"""The Models page: which checkpoints there are, how they came about, and how to add one."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

import gradio as gr

from brainseg.checkpoints.folder import CARD, METRICS, Checkpoint
from brainseg.checkpoints.settings import CheckpointError, Settings
from brainseg.ui import markup, session
from brainseg.ui.events import PRIVATE

_ADD = """
<h2>Add your own</h2>
<p>Put a checkpoint folder into <code>checkpoints/</code> (or the folder named in
<code>BRAINSEG_CHECKPOINTS</code>) and compare again: it appears on every page, without a change
to any code. Train one with</p>
<pre>python train.py --model unet --loss bce --data path/to/kaggle_3m</pre>
<p>Nothing in a checkpoint is executed on loading: weights are safetensors, settings are JSON.</p>
"""
_HEADINGS = (
    "Name",
    "Kind",
    "Network",
    "Loss",
    "Trained on",
    "Recipe",
    "Input",
    "Threshold",
    "Licence",
)


def build_models_tab(checkpoints: str | Path, tab: gr.Tab) -> None:
    """Lay the page out and wire it; to be called inside its tab. Weights are read when it is
    opened, for the first page shall not wait for them."""
    sheet = gr.HTML(apply_default_css=False, elem_id="models")
    with gr.Row():
        choice = gr.Dropdown([], label="Model card", info="Its data, training, scores and licence.")
    card = gr.Markdown(elem_id="model-card")

    def load() -> tuple:
        texts = cards(checkpoints)
        first = next(iter(texts), None)
        names = gr.Dropdown(choices=list(texts), value=first)
        return render(checkpoints), names, texts.get(first, "")

    def show(name: str) -> str:
        return cards(checkpoints).get(name, "")

    tab.select(load, outputs=[sheet, choice, card], show_progress="hidden", **PRIVATE)
    choice.input(show, choice, card, show_progress="hidden", **PRIVATE)


def cards(checkpoints: str | Path) -> dict[str, str]:
    """The model card of each checkpoint, as Markdown without its header, by label; its headings one
    level down, for the page has a title."""
    found, _ = _find(checkpoints)
    return {label: _below(_card(checkpoint)) for label, checkpoint in found.items()}


def render(checkpoints: str | Path) -> str:
    """The table of models and how to add one, as HTML."""
    found, skipped = _find(checkpoints)
    rows = [_row(label, checkpoint) for label, checkpoint in found.items()]
    body = markup.table(_HEADINGS, rows, "Models", words=True)
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in skipped)
    left_out = f'<div class="missing"><strong>Left out</strong><ul>{reasons}</ul></div>'
    return (
        f'<div class="sheet"><h2>Models</h2>{body if rows else "<p>There is no model yet.</p>"}'
        f"{left_out if skipped else ''}{_ADD}</div>"
    )


def _find(checkpoints: str | Path) -> tuple[dict[str, Checkpoint], list[str]]:
    """The checkpoints that a comparison uses, by label, and why others are left out."""
    try:
        predictors, skipped = session.usable(checkpoints)
    except CheckpointError as error:
        return {}, [str(error)]
    return {label: predictor.checkpoint for label, predictor in predictors.items()}, skipped


def _row(label: str, checkpoint: Checkpoint) -> list[str]:
    settings = checkpoint.settings
    bases = ", ".join(base.name for base in settings.bases)
    epochs = "?" if settings.epochs_done is None else settings.epochs_done
    return [
        label,
        f"ensemble of {bases}" if bases else "model",
        settings.model + (f" ({settings.encoder})" if settings.encoder else ""),
        settings.loss or "",
        f"{settings.dataset or ''}, {settings.patients.get('train', '?')} patients",
        f"{epochs} epochs, from {_start(settings)}",
        f"{settings.size} px",
        f"{settings.threshold:.2f}",
        _licence(_card(checkpoint)),
    ]


def _start(settings: Settings) -> str:
    if known := settings.started_from:
        return f"{known.name} after {known.epochs}"
    if settings.run.init_from:
        return "other weights"
    return "ImageNet weights" if settings.run.encoder_weights else "random weights"


def _card(checkpoint: Checkpoint) -> str:
    """Its model card; one from the Hub comes without, so that it is made again."""
    from brainseg.checkpoints.card import model_card  # slow to import

    try:
        return (checkpoint.folder / CARD).read_text(encoding="utf-8", errors="replace")
    except OSError:
        pass
    try:
        if (checkpoint.folder / METRICS).is_file():
            return model_card(checkpoint.settings, checkpoint.metrics)
    except (CheckpointError, OSError):  # a stranger may have written these
        pass
    return "This checkpoint has no model card."


def _below(card: str) -> str:
    text = re.sub(r"\A---\n.*?\n---\n", "", card, flags=re.DOTALL)
    # What begins with # in a block of code is no heading.
    return re.sub(
        r"^```.*?^```|^#{1,5} ",
        lambda found: found[0] if found[0].startswith("`") else "#" + found[0],
        text,
        flags=re.DOTALL | re.MULTILINE,
    )


def _licence(card: str) -> str:
    found = re.search(r"^license: *(\S+)", card, re.MULTILINE)
    return found[1] if found else "not stated"
