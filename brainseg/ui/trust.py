"""What bears on trust in one scan, as a strip of chips: a word each, that opens to a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from brainseg.scans.guard import MASK_IN_DOUBT, Finding, speak_against
from brainseg.scans.notes import ASSUMED
from brainseg.scans.scan import Scan

# By severity: a sign, what a screen reader says for it, and the class in ``page.css``.
_STOPS = ("✕", "Stops a comparison", "stops")
_AGAINST = ("!", "Speaks against the scan", "against")
_KNOWN = ("i", "To know", "known")
_FINE = ("✓", "In favour", "fine")

_LABELS = {"text": "writing in the picture"}
_CHECKED = (
    "Looked for: one head on a dark background, writing, sequences that are missing or of another "
    "head, a skull that was removed, a FLAIR on which nothing stands out, resampling{geometry}; "
    "and by the file's name, whether a model that tells its patients has seen this one. These are "
    "plain rules: that they find nothing proves nothing."
)
_PHANTOM = (
    "A computed head whose tumour is known, not a patient. What models score here says little of "
    "patients: those trained on LGG alone score higher on such heads than on patients, those "
    "trained on figshare too score lower."
)


def strip(scan: Scan, findings: Sequence[Finding], mask: str = "") -> str:
    """The strip of a visitor's scan; ``mask``: the file of the true mask, "" without one."""
    stops = [finding for finding in findings if finding.stops]
    against = [finding for finding in findings if not finding.stops and speak_against([finding])]
    items = [_open(finding) for finding in stops]
    items += [_chip(_AGAINST, _label(finding), [finding.text]) for finding in against]
    if not items:
        items.append(_chip(_FINE, "nothing speaks against this scan", [_checked(scan)]))
    if doubts := [f.text for f in findings if f.code == MASK_IN_DOUBT]:
        items.append(_chip(_AGAINST, MASK_IN_DOUBT, doubts, is_open=True))
    if assumed := [f.text for f in findings if f.code == ASSUMED]:
        items.append(_chip(_KNOWN, f"assumed: {len(assumed)}", assumed))
    if mask:
        told = f"Scores are against {mask}, which is taken for the truth of this scan as it is."
        items.append(_chip(_KNOWN, f"mask: {mask}", [told]))
    return _listed(items)


def strip_of_phantom() -> str:
    """The strip of an example."""
    return _listed([_chip(_KNOWN, "computed head", [_PHANTOM])])


def _checked(scan: Scan) -> str:
    if scan.spacing_mm is None or scan.affine is None:
        unknown = " (how slices lie, and how thick, this file does not say)"
        return _CHECKED.format(geometry=unknown)
    return _CHECKED.format(geometry=", slices that are thick or oblique or of another plane")


def _label(finding: Finding) -> str:
    return _LABELS.get(finding.code, finding.code)


def _open(finding: Finding) -> str:
    """What stops a comparison is told in full, at once."""
    sign, said, kind = _STOPS
    return (
        f'<li class="{kind}"><div role="alert">{_sign(sign, said)}'
        f"<strong>{escape(_label(finding))}</strong><p>{escape(finding.text)}</p></div></li>"
    )


def _chip(
    severity: tuple[str, str, str], label: str, texts: Sequence[str], *, is_open: bool = False
) -> str:
    sign, said, kind = severity
    body = "".join(f"<p>{escape(text)}</p>" for text in texts)
    return (
        f'<li class="{kind}"><details{" open" if is_open else ""}>'
        f"<summary>{_sign(sign, said)}{escape(label)}</summary>{body}</details></li>"
    )


def _sign(sign: str, said: str) -> str:
    return (
        f'<span class="sign" aria-hidden="true">{sign}</span>'
        f'<span class="said-only">{said}: </span>'
    )


def _listed(items: Sequence[str]) -> str:
    label = "What bears on trust in this scan"
    return f'<ul class="trust" role="list" aria-label="{label}">{"".join(items)}</ul>'
