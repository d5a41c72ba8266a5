"""What the events of several tabs share: their limits, and how what an action says is shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

import gradio as gr

from brainseg.ui import session

PRIVATE = {"api_visibility": "private"}  # of the page alone, no endpoint for programs
# Several comparisons run at once, because those that wait for the same network share its next
# pass; those of large volumes take turns. Everybody else queues.
MODELS_QUEUE = {"concurrency_id": "models", "concurrency_limit": 8}
RUN = {
    "show_progress": "minimal",
    "trigger_mode": "multiple",  # "once" would never run again after a cancelled run
    **MODELS_QUEUE,
    **PRIVATE,
}
BROWSE = {
    "show_progress": "hidden",
    # The viewer waits for an answer before it asks for more of a kind. (Gradio's "always_last" asks
    # for the old thing once more where something was asked meanwhile.)
    "trigger_mode": "multiple",
    "concurrency_limit": 4,
    **PRIVATE,
}


def by_part(parts: object, shown: dict) -> dict:
    """What an action says, by the parts of a tab instead of their names. True and False make a
    part appear and disappear; all else is its new value."""
    return {
        getattr(parts, name): gr.update(visible=value) if isinstance(value, bool) else value
        for name, value in shown.items()
    }


def follow(
    parts: object, turn: dict, steps: Iterator[dict], failed: Callable[[Exception], dict]
) -> Iterator[dict]:
    """Show each step of a visitor's run, until they begin another; see ``session.newest``. What
    they chose meanwhile, ``turn["chosen"]``, is marked, and not what was when the run began."""
    for shown in session.newest(turn, steps, failed, {"status": gr.skip()}):
        if shown.get("viewer") and "chosen" in turn:
            shown["viewer"]["chosen"] = turn["chosen"]
        yield by_part(parts, shown)


def unless_replaced(parts: object, turn: dict, act: Callable[[], dict]) -> dict:
    """What an action shows of a visitor's comparison, nothing if they have begun another run
    meanwhile, whose page it must not touch."""
    run = turn.get("run")
    shown = act()
    is_current = shown and turn.get("run") is run
    return by_part(parts, shown if is_current else {"status": gr.skip()})


def wire_begin(parts: object, starts: Sequence[Callable], emptied: Sequence[str]) -> None:
    """In the browser, at once: the last run leaves the page, and who still waits in the queue can
    leave it. ``emptied``: parts by name, without the viewer."""
    outputs = [parts.cancel, parts.viewer, *(getattr(parts, name) for name in emptied)]
    updates = [{"visible": True}, {"value": None}, *({"visible": False} for _ in emptied)]
    js = json.dumps([{"__type__": "update", **update} for update in updates])
    for start in starts:  # wired before the run, so it acts first
        start(None, outputs=outputs, js=f"() => ({js})", **PRIVATE)


def wire_cancel(parts, runs: list, cancelled: Callable[..., dict], given: list, shown: list):
    """Let the Cancel button of a tab end its runs, and show what there is: ``cancelled`` of what
    ``session.stop`` gives, and of the values of ``given``."""

    def cancel(turn, found, *values) -> dict:
        return by_part(parts, cancelled(session.stop(turn, found), *values))

    inputs = [parts.turn, parts.state, *given]
    parts.cancel.click(cancel, inputs, shown, cancels=runs, queue=False, **PRIVATE)
