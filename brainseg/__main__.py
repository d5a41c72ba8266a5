"""``python -m brainseg``: evaluate, report, choices, leak, predict, bench, export,
push, pull and space."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from brainseg.commands.checkpoints import add_checkpoints, load_predictors


def evaluate_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--dataset", default="lgg", help="data set (default: %(default)s)")
    add("--data", type=Path, help="its folder (default: $BRAINSEG_DATA or data/)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--patients", type=Path, metavar="FILE", help="one patient id a line")
    which.add_argument("--fold", type=int, choices=range(5), help="this fold (default: 0)")
    which.add_argument("--all", action="store_true", help="every patient, training patients too")
    add_checkpoints(parser, "folder of checkpoints, or user/repo[@revision] on the Hub")
    add("--slicewise", action="store_true",
        help="score each slice as if it had been uploaded alone")  # fmt: skip
    add("--study", action="store_true",
        help="also what report needs: calibration, validation, costs")  # fmt: skip
    add("--against", type=Path, metavar="FOLDER",
        help="fail if a mean Dice is over 0.002 from the one there")  # fmt: skip
    add("--sheet", type=Path, metavar="PNG",
        help="picture of each model's best, median and worst patient")  # fmt: skip
    add("--out", type=Path, required=True, help="folder for the results")


def evaluate(args: argparse.Namespace) -> int:
    from brainseg.data import load_dataset
    from brainseg.data.splits import FOLDS
    from brainseg.study import record as study
    from brainseg.study import score as scoring

    refs = load_dataset(args.dataset, args.data)
    patients = None
    fold = None
    if args.patients:
        lines = args.patients.read_text(encoding="utf-8").splitlines()
        patients = [line.strip() for line in lines if line.strip()]
        selection = f"listed in {args.patients.name}"
    elif args.all:
        selection = "all"
    else:
        fold = args.fold or 0
        selection = f"fold {fold}"
    if args.study and fold is None:
        raise ValueError(
            "--study needs one --fold: the next fold is what calibration is fitted on."
        )
    everyone = refs
    refs = scoring.select_patients(refs, fold=fold, patients=patients)
    if not refs:
        raise ValueError(f"No patients are selected ({selection}): choose another fold or --all.")
    predictors = load_predictors(args.checkpoints, backend="pytorch")  # the same everywhere
    description = {
        "dataset": args.dataset,
        "selection": selection,
        "patients": len({ref.patient_id for ref in refs}),
        "slicewise": args.slicewise,
        "note": scoring.note(predictors, args.dataset, refs),
    }
    calibration, beliefs = study.Calibration(), study.StapleBeliefs()
    observers = [calibration, beliefs] if args.study else []
    rows = scoring.evaluate(predictors, refs, slicewise=args.slicewise, observers=observers)
    scoring.write_results(rows, args.out, description)
    if args.study:
        validation = scoring.select_patients(everyone, fold=(fold + 1) % FOLDS)
        study.write_study(args.out, predictors, validation, calibration, beliefs)
    if args.sheet:
        from brainseg.study.figures import save
        from brainseg.study.sheets import contact_sheet

        whose = "patients, not to be published"
        if args.dataset == "phantom":
            whose = "computed phantoms, not patients"
        caption = f"{args.dataset} ({selection}): {whose}"
        save(contact_sheet(predictors, refs, rows, caption), args.sheet)
    print(scoring.report(scoring.summary(rows), description))
    print(f"written to {args.out}")
    return _compare_with(args.against, rows) if args.against else 0


def _compare_with(folder: Path, rows: list[dict]) -> int:
    from brainseg.study.record import TOLERANCE, disagreement
    from brainseg.study.tables import read_table

    name, gap = disagreement(rows, read_table(folder / "per_patient.csv"))
    print(f"largest difference in mean Dice from {folder}: {gap:.4f} ({name})")
    return int(gap > TOLERANCE)


def report_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--study", type=Path, default=Path("docs/study"),
        help="folder of the study (default: %(default)s)")  # fmt: skip
    add("--readme", type=Path, default=Path("README.md"),
        help="README with the study's table (default: %(default)s)")  # fmt: skip
    add("--check", action="store_true", help="write nothing; fail if a page says something else")


def report(args: argparse.Namespace) -> int:
    from brainseg.study.report import write_report

    paths = write_report(args.study, args.readme, check=args.check)
    if args.check and paths:
        names = ", ".join(str(path) for path in paths)
        raise ValueError(f"{names}: not what the figures say; run python -m brainseg report.")
    print("\n".join(str(path) for path in paths) or "All pages say what the figures say.")
    return 0


def leak_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--runs", type=Path, default=Path("runs"), help="folder of runs (default: %(default)s)")
    add("--out", type=Path, default=Path("docs/study/leak.json"),
        help="file to write (default: %(default)s)")  # fmt: skip


def leak(args: argparse.Namespace) -> int:
    from brainseg.files import write_json
    from brainseg.study.leak import leak_meter

    result = leak_meter(args.runs)
    write_json(args.out, result)
    for row in result["rows"]:
        print(f"{row['checkpoint']}, {row['what']}: believes {row['believed']:.3f}, "
              f"is {row['true']:.3f}")  # fmt: skip
    return 0


def choices_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--runs", type=Path, default=Path("runs"), help="folder of runs (default: %(default)s)")
    add("--out", type=Path, default=Path("docs/study/choices.json"),
        help="file to write (default: %(default)s)")  # fmt: skip


def choices(args: argparse.Namespace) -> int:
    from brainseg.files import write_json
    from brainseg.study.choices import choices, settings_text

    result = choices(args.runs)
    write_json(args.out, result)
    for row in result["rows"]:
        best = ", the best" if row["best"] else ""
        print(f"{row['checkpoint']}, {settings_text(row['settings'])}: "
              f"{row['validation_dice']:.3f}{best}")  # fmt: skip
    return 0


def predict_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("scans", nargs="*", type=Path, metavar="SCAN", help="scans, or folders of them")
    for key, name in (("flair", "FLAIR"), ("t1", "T1"), ("t1c", "post-contrast T1")):
        add(f"--{key}", type=Path, metavar="FILE",
            help=f"the {name} volume of one scan, instead of SCAN")  # fmt: skip
    add("--truth", type=Path, metavar="MASK", help="true mask, with one scan")
    add("--as-volume", action="store_true", help="a folder's pictures are the slices of one scan")
    add("--flips", action="store_true", help="average with the mirrored slices, at twice the time")
    add_checkpoints(parser, "folder of checkpoints, or user/repo[@revision] on the Hub")
    add("--out", type=Path, required=True, help="folder for the results")


def predict(args: argparse.Namespace) -> int:
    from brainseg.commands.prediction_files import describe, expand, predict_to_folder
    from brainseg.inference.predictor import WORTH_TUNING
    from brainseg.scans.reading import ScanError, read_mask, read_scan, read_sequences

    sequences = {k: getattr(args, k) for k in ("flair", "t1", "t1c") if getattr(args, k)}
    if bool(args.scans) == bool(sequences):
        raise ValueError("Give either SCAN files or --flair, --t1, --t1c of one scan.")
    paths = [next(iter(sequences.values()))] if sequences else None
    if paths is None:
        paths = expand(args.scans, as_volume=args.as_volume)
    if args.truth and len(paths) > 1:
        raise ValueError(f"--truth goes with one scan, and {len(paths)} were given.")
    predictors = load_predictors(args.checkpoints)
    failed, slices, given = 0, 0, set()
    for path in paths:
        try:
            scan = read_sequences(**sequences) if sequences else read_scan(path)
            truth = read_mask(args.truth, scan) if args.truth else None
        except ScanError as error:  # the other scans of a folder are still wanted
            print(f"error: {error}", file=sys.stderr)
            failed += 1
            continue
        slices += len(scan.pixels)
        if slices >= WORTH_TUNING:  # after so many there are probably many more
            for predictor in predictors.values():
                predictor.tune()
        stem = path.name if path.is_dir() else Path(path.name.removesuffix(".gz")).stem
        out = _unused(args.out / stem, given)
        comparison = predict_to_folder(scan, truth, predictors, out, flips=args.flips)
        print("\n".join([f"{path}:", *describe(comparison)]))
    return 1 if failed else 0


def _unused(folder: Path, given: set[Path]) -> Path:
    """Two scans of one name in one call must not overwrite each other's results."""
    candidate, number = folder, 2
    while candidate in given:
        candidate, number = folder.with_name(f"{folder.name}-{number}"), number + 1
    given.add(candidate)
    return candidate


def export_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("name", help="a name in --checkpoints, a folder, or user/repo/name")
    add("--format", choices=("onnx", "openvino"), required=True)
    add("--out", type=Path, metavar="FILE", help="where to (default: NAME.onnx or NAME.xml)")
    add_checkpoints(parser, "folder of checkpoints")


def export(args: argparse.Namespace) -> int:
    from brainseg.inference.export import export
    from brainseg.inference.loading import load

    predictor = load(args.name, args.checkpoints, backend="pytorch")
    suffix = {"onnx": ".onnx", "openvino": ".xml"}[args.format]
    path = args.out or Path(predictor.name + suffix)
    print(export(predictor, args.format, path))
    return 0


def bench_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("what", nargs="?", choices=("compare", "train"), default="compare",
        help="the comparison (default) or a training step")  # fmt: skip
    add("--json", action="store_true", help="print one JSON object and no more")
    add("--write", type=Path, metavar="FILE",
        help="with compare: write the table to a Markdown file too")  # fmt: skip
    add("--data", type=Path, metavar="DIR", help="with compare: LGG, to check masks on its fold 0")
    add_checkpoints(parser, "with compare: shipped models")


def bench(args: argparse.Namespace) -> int:
    import json

    if args.what == "train":
        from brainseg.bench import train as bench

        result = bench.run()
    else:
        from brainseg.bench import compare as bench

        result = bench.run(args.checkpoints, data=args.data)
        if args.write:
            from brainseg.files import write_text

            write_text(args.write, bench.page(result))
    print(json.dumps(result, indent=2) if args.json else bench.report(result))
    return 0


def push_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="checkpoints, or their folders")
    add("repo", metavar="REPO", help="user/repo; made if it isn't there")
    add("--all", action="store_true", help="every checkpoint of the folder")
    add("--private", action="store_true", help="make the repository private")
    add_checkpoints(parser, "folder of checkpoints")


def push(args: argparse.Namespace) -> int:
    from brainseg.checkpoints.hub.push import find_to_push, push

    if bool(args.names) == args.all:
        raise ValueError("Give either NAMEs or --all: python -m brainseg push NAME|--all REPO")
    address = push(find_to_push(args.names, args.checkpoints), args.repo, private=args.private)
    print(address or f"{args.repo} has all of it already: nothing was pushed.")
    return 0


def pull_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("reference", metavar="REPO[@REVISION]",
        help="user/repo, or user/repo/name for one checkpoint")  # fmt: skip
    add("--out", type=Path, default=Path("checkpoints"),
        help="folder to put them into (default: %(default)s)")  # fmt: skip
    add("--overwrite", action="store_true", help="replace others of their names")


def pull(args: argparse.Namespace) -> int:
    from brainseg.checkpoints.hub.pull import pull

    for checkpoint in pull(args.reference, args.out, overwrite=args.overwrite):
        origin = checkpoint.origin
        print(f"{checkpoint.folder}: {origin['repo']} at {origin['revision']}")
    return 0


def space_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("repo", metavar="USER/NAME", help="the Space; made if it isn't there")
    add("--checkpoints", default="checkpoints", metavar="PATH|REPO[@REVISION]",
        help="a folder to take along, or a repository to name (default: "
        "%(default)s)")  # fmt: skip
    add("--gpu", action="store_true", help="for ZeroGPU instead of a CPU")
    add("--private", action="store_true", help="make the Space private")
    add("--dry-run", type=Path, metavar="DIR", help="only write the Space's folder to DIR")


def space(args: argparse.Namespace) -> int:
    from brainseg.checkpoints.hub.space import push_space, write_space

    if args.dry_run:
        write_space(args.dry_run, args.repo, args.checkpoints, gpu=args.gpu)
        print(f"written to {args.dry_run}; nothing was pushed.")
        return 0
    address = push_space(args.repo, args.checkpoints, gpu=args.gpu, private=args.private)
    print(address or f"{args.repo} is up to date: nothing was pushed.")
    return 0


# What the help says of a command, what adds its flags, what runs it and returns the exit status.
COMMANDS = {
    "evaluate": ("score checkpoints per patient", evaluate_flags, evaluate),
    "report": ("write the study's pages from its figures", report_flags, report),
    "leak": ("compare runs made with train.py --leak", leak_flags, leak),
    "choices": ("compare runs of one checkpoint on validation", choices_flags, choices),
    "predict": ("segment scans", predict_flags, predict),
    "export": ("write a checkpoint as an ONNX or OpenVINO graph", export_flags, export),
    "bench": ("measure speed against plain references", bench_flags, bench),
    "push": ("put checkpoints on the Hugging Face Hub", push_flags, push),
    "pull": ("get checkpoints from the Hugging Face Hub", pull_flags, pull),
    "space": ("make or update a Gradio Space with the app", space_flags, space),
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
