"""The command ``predict``: its flags, and the loop over scans."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from brainseg.commands.checkpoints_flag import add_checkpoints, load_predictors

if TYPE_CHECKING:
    from brainseg.scans.guard import Finding
    from brainseg.scans.scan import ScanError

_IN_FULL = 2  # as many notes of one kind are printed whole
_BEGINNING = 80  # characters of the rest


def flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "scans",
        nargs="*",
        type=Path,
        metavar="SCAN",
        help="scans, or folders of them; the sequences of one patient in a folder are one scan",
    )
    for key, name in (("flair", "FLAIR"), ("t1", "T1"), ("t1c", "post-contrast T1")):
        add(f"--{key}", type=Path, metavar="FILE",
            help=f"the {name} volume of one scan, instead of SCAN")  # fmt: skip
    add("--channels", metavar="NAMES",
        help="what the channels of one file are, in their order, such as flair,t1,t1c,t2; - for "
        "one that is not used")  # fmt: skip
    add("--truth", type=Path, metavar="MASK", help="true mask, with one scan")
    add("--as-volume", action="store_true", help="a folder's pictures are the slices of one scan")
    add("--flips", action="store_true", help="average with the mirrored slices, at twice the time")
    add("--anyway", action="store_true", help="segment what does not look like a brain MRI, too")
    add_checkpoints(parser, "folder of checkpoints, or user/repo[@revision] on the Hub")
    add("--out", type=Path, required=True, help="folder for the results")


def run(args: argparse.Namespace) -> int:
    """Segment one scan after the other; 1 if one can't be read or shows no head, which does not
    stop the rest."""
    from brainseg.checkpoints.patients import find_seen
    from brainseg.commands.prediction_files import describe, predict_to_folder
    from brainseg.data.sources import Source, expand
    from brainseg.inference.predictor import WORTH_TUNING
    from brainseg.scans import guard
    from brainseg.scans.listing import stem_of
    from brainseg.scans.masks import read_mask
    from brainseg.scans.notes import noting, summed_up
    from brainseg.scans.roles import USED
    from brainseg.scans.scan import ScanError
    from brainseg.study.effects import with_effect

    sequences = {role: getattr(args, role) for role in USED if getattr(args, role)}
    if bool(args.scans) == bool(sequences):
        raise ValueError("Give either SCAN files or --flair, --t1, --t1c of one scan.")
    if sequences and args.channels:
        raise ValueError("--channels goes with a SCAN that holds all channels, not with --flair.")
    with noting() as notes:
        if sequences:
            first = next(iter(sequences.values()))  # the results are named after it
            sources = [Source(first, stem_of(first), sequences)]
        else:
            sources = expand(args.scans, as_volume=args.as_volume)
    if args.truth and len(sources) > 1:
        raise ValueError(f"--truth goes with one scan, and {len(sources)} were given.")
    predictors, skipped = load_predictors(args.checkpoints)
    settings = {label: own.checkpoint.settings for label, own in predictors.items()}
    for text in summed_up(notes):
        print(f"note: {text}")
    failed, slices, given, told = 0, 0, set(), Counter()
    for source in sources:
        try:
            with noting() as notes:
                scan = source.read(args.channels)
                truth = read_mask(args.truth, scan) if args.truth else None
            names = [file.name for file in source.sequences.values()] or [source.path.name]
            found = guard.findings(scan, notes, source.sequences)
            findings = [*find_seen(names, settings), *map(with_effect, found)]
            if any(finding.stops for finding in findings) and not args.anyway:
                raise _stopped(source.path, findings)
        except ScanError as error:  # the other scans of a folder are still wanted
            print(f"error: {error}", file=sys.stderr)
            failed += 1
            continue
        slices += len(scan.pixels)
        if slices >= WORTH_TUNING:  # after so many there are probably many more
            for predictor in predictors.values():
                predictor.tune()
        out = _unused(args.out / source.name, given)
        said = [finding.text for finding in findings]
        options = {"flips": args.flips, "findings": said, "skipped": skipped}
        report = predict_to_folder(scan, truth, predictors, out, **options)
        listed = [f"  note: {_again(text, told)}" for text in said]
        print("\n".join([f"{source}:", *listed, *describe(report)]))
    return 1 if failed else 0


def _again(text: str, told: Counter) -> str:
    """A note, and only how it begins once the like has been told of several scans."""
    from brainseg.scans.notes import kind_of

    kind = kind_of(text)
    told[kind] += 1
    if told[kind] <= _IN_FULL or len(text) <= _BEGINNING:
        return text
    return f"{text[:_BEGINNING].rsplit(' ', 1)[0]} ... (as above)"


def _stopped(path: Path, findings: Sequence[Finding]) -> ScanError:
    """The error for what the guard stops; what reading it assumed may be the reason."""
    from brainseg.scans.scan import ScanError

    reasons = [f.text for f in findings if f.stops or f.code in ("assumed", "resampled")]
    told = " ".join([*reasons, "To segment it nevertheless, add --anyway."])
    return ScanError(f"{path}: {told}")


def _unused(folder: Path, given: set[Path]) -> Path:
    """Two scans of one name in one call must not overwrite each other's results."""
    candidate, number = folder, 2
    while candidate in given:
        candidate, number = folder.with_name(f"{folder.name}-{number}"), number + 1
    given.add(candidate)
    return candidate
