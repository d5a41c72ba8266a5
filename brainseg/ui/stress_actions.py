"""What happens on the Stress page, without Gradio: see ``compare_actions``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from brainseg.ui import markup, message, session, stress_curve, words
from brainseg.ui.view import View


def run(
    source: str, corruption: str, compared: View | None, checkpoints: str | Path
) -> Iterator[dict]:
    """Every model at every severity, then the curve."""
    yield {**_NOTHING, "status": markup.progress("Starting.", 0, 1), "cancel": True}
    subject = stress_curve.subject(source, compared)
    for step in stress_curve.run(subject, corruption, checkpoints):
        found = step.view
        yield {
            "viewer": message_of(found, 0, step.running),
            "state": found,
            **(_progress(step) if step.running else _outcome(found)),
        }


def failed(error: Exception) -> dict:
    """There is no curve, and why."""
    return {**_NOTHING, "status": markup.notice(session.explain(error))}


def cancelled(found: View | None) -> dict:
    """The curves that were there when the visitor cancelled, see ``session.stop``."""
    if found is None:
        return {**_NOTHING, "status": markup.notice(words.CANCELLED_EARLY)}
    verdict = stress_curve.verdict(found, stress_curve.scores(found))
    return {
        **_outcome(found),
        "status": markup.notice(words.cancelled(found.not_run, verdict)),
        "viewer": message_of(found, 0, None),
        "state": found,
    }


_NOTHING = {"cancel": False, "curve": "", "viewer": None, "state": None, "figures": False}


def message_of(found: View, index: int, running: str | None) -> dict:
    """What the viewer is told, to show a severity."""
    return message.whole(
        found,
        index,
        running=running,
        scope="slice",
        sliceLabel="Severity",
        sliceHelp="How much worse the slice gets. Every model follows at once.",
    )


def slices(found: View, data: dict) -> dict:
    """The severities that the viewer asks for; all of the comparison where it has lost it."""
    if data.get("whole"):
        return message_of(found, int(data["index"]), None)
    return message.asked(found, data)


def _progress(step: session.Step) -> dict:
    return {
        "status": markup.progress(step.text, step.done, step.total),
        "curve": "",
        "figures": False,
    }


def _outcome(found: View) -> dict:
    curves = stress_curve.scores(found)
    return {
        "status": markup.notice(stress_curve.verdict(found, curves)),
        "curve": stress_curve.curve(found, curves),
        "table": markup.table(*stress_curve.rows(found, curves), "Dice at each severity"),
        "figures": True,
        "cancel": False,
    }
