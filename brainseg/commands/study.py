"""Commands about the study: ``report``, ``leak``, ``choices`` and ``labels``."""

from __future__ import annotations

import argparse
from pathlib import Path


def report_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--study", type=Path, default=Path("docs/study"),
        help="folder of the study (default: %(default)s)")  # fmt: skip
    add("--readme", type=Path, default=Path("README.md"),
        help="README with the study's table (default: %(default)s)")  # fmt: skip
    add("--check", action="store_true", help="write nothing; fail if a page says something else")


def report(args: argparse.Namespace) -> int:
    """Write the pages and say which; with ``--check`` only look whether they would change."""
    from brainseg.study.report import write_report

    paths = write_report(args.study, args.readme, check=args.check)
    if args.check and paths:
        names = ", ".join(str(path) for path in paths)
        raise ValueError(f"{names}: not what the figures say; run python -m brainseg report.")
    print("\n".join(str(path) for path in paths) or "All pages say what the figures say.")
    return 0


def leak_flags(parser: argparse.ArgumentParser) -> None:
    _add_runs_and_out(parser, "docs/study/leak.json")


def leak(args: argparse.Namespace) -> int:
    """Write and print what each leaking run and its honest twin believe and are."""
    from brainseg.files import write_json
    from brainseg.study.leak import leak_meter

    result = leak_meter(args.runs)
    write_json(args.out, result)
    for row in result["rows"]:
        print(f"{row['checkpoint']}, {row['what']}: believes {row['believed']:.3f}, "
              f"is {row['true']:.3f}")  # fmt: skip
    return 0


def choices_flags(parser: argparse.ArgumentParser) -> None:
    _add_runs_and_out(parser, "docs/study/choices.json")


def choices(args: argparse.Namespace) -> int:
    """Write and print what each choice comes to on the validation patients."""
    from brainseg.files import write_json
    from brainseg.study.choices import choices as compare_choices
    from brainseg.study.choices import settings_text

    result = compare_choices(args.runs)
    write_json(args.out, result)
    for row in result["rows"]:
        best = ", the best" if row["best"] else ""
        print(f"{row['checkpoint']}{row['kind']}, {settings_text(row['settings'])}: "
              f"{row['validation_dice']:.3f}{best}")  # fmt: skip
    return 0


def labels_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--dataset", default="lgg", help="data set (default: %(default)s)")
    add("--data", type=Path, help="its folder (default: $BRAINSEG_DATA or data/)")
    _add_runs_and_out(parser, "docs/study/few-labels.csv")


def labels(args: argparse.Namespace) -> int:
    """Score the runs of the curve, put their scores beside those of others that the file has, and
    print its points and the verdict."""
    from brainseg.data import load_dataset
    from brainseg.files import read_table, write_table
    from brainseg.study.few_labels import COLUMNS, curve, joined, score_runs, verdict, with_runs

    rows = score_runs(args.runs, args.dataset, load_dataset(args.dataset, args.data))
    write_table(args.out, joined(read_table(args.out), rows), COLUMNS)
    points = curve(with_runs(read_table(args.out)))
    for point in points:
        gap = f", {point['gap']['difference']:+.3f}" if point["gap"] else ""
        print(f"{point['checkpoint']}, masks of {point['labelled']}, {point['method']}: "
              f"{point['dice']['mean']:.3f}{gap}")  # fmt: skip
    print(verdict(points))
    return 0


def _add_runs_and_out(parser: argparse.ArgumentParser, out: str) -> None:
    add = parser.add_argument
    add("--runs", type=Path, default=Path("runs"), help="folder of runs (default: %(default)s)")
    add("--out", type=Path, default=Path(out), help="file to write (default: %(default)s)")
