"""The command ``quantise``: its flags, and what it makes of them."""

from __future__ import annotations

import argparse
from pathlib import Path

from brainseg.commands.checkpoints_flag import add_checkpoints


def flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("names", nargs="+", metavar="NAME",
        help="checkpoints, or their folders; bases before the stacks that read them")  # fmt: skip
    add("--data", nargs="+", type=Path, metavar="DIR",
        help="the data they were trained on (default: $BRAINSEG_DATA or data/)")  # fmt: skip
    add_checkpoints(parser, "folder of checkpoints")


def run(args: argparse.Namespace) -> int:
    """Quantise each, and say what was proven; 1 if one does not hold the bounds."""
    from brainseg.checkpoints.folder import find_named
    from brainseg.data import load_datasets
    from brainseg.inference.backends.names import INT8
    from brainseg.study.proof import quantise

    failed = 0
    for checkpoint in find_named(args.names, args.checkpoints):
        refs = load_datasets(checkpoint.settings.dataset, args.data)
        proof = quantise(checkpoint, refs, print)
        what = f"may run on {INT8}" if proof.holds else "keeps bf16 or float32"
        print(f"{checkpoint.name} {what}.", flush=True)
        failed += not proof.holds
    return int(bool(failed))
