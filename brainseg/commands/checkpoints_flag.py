"""``--checkpoints``: the flag, and the predictors of what it names."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_checkpoints(parser: argparse.ArgumentParser, what: str) -> None:
    """The flag; ``what`` begins its help."""
    parser.add_argument(
        "--checkpoints",
        type=Path,
        default=Path("checkpoints"),
        help=f"{what} (default: %(default)s)",
    )


def load_predictors(checkpoints: Path, backend: str | None = None) -> tuple[dict, list[str]]:
    """All usable predictors by label, from a folder or the Hub, and why others were left out, which
    is printed too.

    ``backend`` as in ``brainseg.load``. Raises CheckpointError if there is none.
    """
    from brainseg.checkpoints.hub import local_folder
    from brainseg.inference.loading import load_usable

    predictors, skipped = load_usable(local_folder(checkpoints), backend)
    for reason in skipped:
        print(f"skipped: {reason}", file=sys.stderr)
    return predictors, skipped
