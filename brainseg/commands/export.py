"""The command ``export``: its flags, and what it makes of them."""

from __future__ import annotations

import argparse
from pathlib import Path

from brainseg.commands.checkpoints_flag import add_checkpoints
from brainseg.inference.backends.names import GRAPHS


def flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("name", help="a name in --checkpoints, a folder, or user/repo/name")
    add("--format", choices=tuple(GRAPHS), required=True)
    add("--out", type=Path, metavar="FILE", help="where to (default: NAME.onnx or NAME.xml)")
    add_checkpoints(parser, "folder of checkpoints")


def run(args: argparse.Namespace) -> int:
    """Write the graph, and say where to and how exact it is."""
    from brainseg.inference.export import export
    from brainseg.inference.loading import load

    predictor = load(args.name, args.checkpoints, backend="pytorch")
    path = args.out or Path(predictor.name + GRAPHS[args.format])
    print(export(predictor, args.format, path))
    return 0
