"""``python -m brainseg``: evaluate, report, choices, leak, labels, predict, bench, export,
quantise, push, pull and space."""

from __future__ import annotations

import argparse
import sys

from brainseg.commands import bench, evaluate, export, hub, predict, quantise, study

# What the help says of a command, what adds its flags, what runs it and returns the exit status.
COMMANDS = {
    "evaluate": ("score checkpoints per patient", evaluate.flags, evaluate.run),
    "report": ("write the study's pages from its figures", study.report_flags, study.report),
    "leak": ("compare runs made with train.py --leak", study.leak_flags, study.leak),
    "choices": ("compare runs of one checkpoint on validation", study.choices_flags, study.choices),
    "labels": ("compare runs with few masks", study.labels_flags, study.labels),
    "predict": ("segment scans", predict.flags, predict.run),
    "export": ("write a checkpoint as an ONNX or OpenVINO graph", export.flags, export.run),
    "quantise": ("find and prove int8 ranges for checkpoints", quantise.flags, quantise.run),
    "bench": ("measure speed against plain references", bench.flags, bench.run),
    "push": ("put checkpoints on the Hugging Face Hub", hub.push_flags, hub.push),
    "pull": ("get checkpoints from the Hugging Face Hub", hub.pull_flags, hub.pull),
    "space": ("make or update a Gradio Space with the app", hub.space_flags, hub.space),
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status. Bad input gives one sentence, no traceback."""
    parser = argparse.ArgumentParser(prog="python -m brainseg", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (text, add_flags, run) in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        add_flags(command)
        command.set_defaults(run=run)
    args = parser.parse_args(argv)
    try:
        return args.run(args)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
