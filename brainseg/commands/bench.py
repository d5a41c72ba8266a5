"""The command ``bench``: its flags, and which comparison they ask for."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from brainseg.commands.checkpoints_flag import add_checkpoints


def flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("what", nargs="?", choices=("compare", "train"), default="compare",
        help="the comparison (default) or a training step")  # fmt: skip
    add("--json", action="store_true", help="print one JSON object and no more")
    add("--write", type=Path, metavar="FILE",
        help="with compare: write the table to a Markdown file too")  # fmt: skip
    add("--data", type=Path, metavar="DIR", help="with compare: LGG, to check masks on its fold 0")
    add("--without-bf16", action="store_true",
        help="with compare: as on a processor that does not compute in bf16")  # fmt: skip
    add("--size", type=int, default=192, help="with train: side of the pictures, pixels")
    add("--batch-size", type=int, default=16, help="with train")
    add("--compile", nargs="?", const="inductor", choices=("inductor", "eager"),
        help="with train: networks that torch.compile has made faster")  # fmt: skip
    add_checkpoints(parser, "with compare: shipped models")


def run(args: argparse.Namespace) -> int:
    """Measure, and print the figures."""
    if args.what == "train":
        from brainseg.bench import train as bench

        result = bench.run(args.size, args.batch_size, args.compile)
    else:
        from brainseg.bench import compare as bench

        if args.without_bf16:
            os.environ["BRAINSEG_WITHOUT_BF16"] = "1"  # the processes that it starts inherit it
        result = bench.run(args.checkpoints, data=args.data)
        if args.write:
            from brainseg.files import write_text

            write_text(args.write, bench.page(result))
    print(json.dumps(result, indent=2) if args.json else bench.report(result))
    return 0
