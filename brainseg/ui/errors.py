"""What visitors are told when something fails."""

from __future__ import annotations

import logging

from brainseg.ui.session import EXPECTED_ERRORS

log = logging.getLogger(__name__)

UNEXPECTED = "Something went wrong on our side; it has been logged. Other scans may still work."


def explain(error: Exception) -> str:
    """One sentence for the visitor; what nobody foresaw goes to the log, not to the page."""
    if isinstance(error, EXPECTED_ERRORS):
        return str(error)
    log.error("unexpected error", exc_info=error)
    return UNEXPECTED
