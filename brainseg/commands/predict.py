"""The command ``predict``: its flags, and the loop over scans."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from brainseg.commands.checkpoints_flag import add_checkpoints, load_predictors


def flags(parser: argparse.ArgumentParser) -> None:
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


def run(args: argparse.Namespace) -> int:
    """Segment one scan after the other; 1 if one can't be read, which does not stop the rest."""
    from brainseg.commands.prediction_files import describe, expand, predict_to_folder
    from brainseg.inference.predictor import WORTH_TUNING
    from brainseg.scans import guard
    from brainseg.scans.masks import read_mask
    from brainseg.scans.notes import noting
    from brainseg.scans.reading import read_scan
    from brainseg.scans.scan import ScanError
    from brainseg.scans.sequences import read_sequences

    sequences = {k: getattr(args, k) for k in ("flair", "t1", "t1c") if getattr(args, k)}
    if bool(args.scans) == bool(sequences):
        raise ValueError("Give either SCAN files or --flair, --t1, --t1c of one scan.")
    if sequences:
        paths = [next(iter(sequences.values()))]  # the results are named after the first
    else:
        paths = expand(args.scans, as_volume=args.as_volume)
    if args.truth and len(paths) > 1:
        raise ValueError(f"--truth goes with one scan, and {len(paths)} were given.")
    predictors = load_predictors(args.checkpoints)
    failed, slices, given = 0, 0, set()
    for path in paths:
        try:
            with noting() as notes:
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
        told = [f"  warning: {found.text}" for found in guard.inspect(scan) if found.stops]
        told += [f"  note: {text}" for text in notes]
        print("\n".join([f"{path}:", *told, *describe(comparison)]))
    return 1 if failed else 0


def _unused(folder: Path, given: set[Path]) -> Path:
    """Two scans of one name in one call must not overwrite each other's results."""
    candidate, number = folder, 2
    while candidate in given:
        candidate, number = folder.with_name(f"{folder.name}-{number}"), number + 1
    given.add(candidate)
    return candidate
