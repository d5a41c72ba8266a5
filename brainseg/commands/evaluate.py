"""``python -m brainseg evaluate``: Dice and other scores of checkpoints, per patient."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from brainseg.commands.checkpoints_flag import add_checkpoints, load_predictors

if TYPE_CHECKING:
    from pandas import DataFrame

    from brainseg.study.class_scores import ClassScores


def flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--dataset", default="lgg", help="data set (default: %(default)s)")
    add("--data", type=Path, help="its folder (default: $BRAINSEG_DATA or data/)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--patients", type=Path, metavar="FILE", help="one patient id a line")
    which.add_argument("--fold", type=int, choices=range(5), help="this fold (default: 0)")
    which.add_argument("--all", action="store_true", help="every patient, training patients too")
    which.add_argument("--unseen", action="store_true",
        help="patients that none of the models was trained or watched on, by the hashes that "
        "checkpoints hold")  # fmt: skip
    which.add_argument("--out-of-fold", action="store_true",
        help="every patient, each by the run that had left their fold out: --checkpoints is where "
        "train.py --left-out all has put its runs")  # fmt: skip
    add("--seed", type=int, metavar="N", help="of the runs for --out-of-fold (default: 0)")
    add_checkpoints(parser, "folder of checkpoints, or user/repo[@revision] on the Hub")
    add("--slicewise", action="store_true",
        help="score each slice as if it had been uploaded alone")  # fmt: skip
    add("--study", action="store_true",
        help="also what report needs: calibration, validation, costs")  # fmt: skip
    add("--against", type=Path, metavar="FOLDER",
        help="score what is there, and fail if a mean Dice is over 0.002 from it")  # fmt: skip
    add("--sheet", type=Path, metavar="PNG",
        help="picture of each model's best, median and worst patient")  # fmt: skip
    add("--out", type=Path, required=True, help="folder for the results")


def run(args: argparse.Namespace) -> int:
    """Score every patient chosen, and write and print the scores; 1 if ``--against`` disagrees."""
    from brainseg.data import load_dataset
    from brainseg.study import score as scoring
    from brainseg.study.observers import Calibration, StapleBeliefs
    from brainseg.study.record import write_study

    if args.out_of_fold:
        return _evaluate_out_of_fold(args)
    if args.seed is not None:
        raise ValueError("--seed goes with --out-of-fold, where it chooses among runs of a name.")
    if args.study and args.slicewise:
        raise ValueError(
            "--study scores whole scans: write the scores of single slices to another --out by "
            "--slicewise without --study."
        )
    everyone = load_dataset(args.dataset, args.data)
    refs, fold, selection = _choose_patients(everyone, args)
    predictors, _ = load_predictors(args.checkpoints, backend="pytorch")  # the same everywhere
    earlier = _scores_of(args.against) if args.against else None
    predictors, refs = _known(predictors, refs, args.against, earlier)
    refs = _unseen(refs, args.dataset, predictors) if args.unseen else refs
    validation = _watched(everyone, fold, predictors, args.against) if args.study else []
    classes, calibration, beliefs = _class_scores(args), Calibration(), StapleBeliefs()
    observers = [classes, *([calibration, beliefs] if args.study else [])]
    note = scoring.note(predictors, args.dataset, refs)
    rows = scoring.evaluate(predictors, refs, slicewise=args.slicewise, observers=observers)
    description = _write_scores(args, refs, rows, selection, note)
    classes.write(args.out, rows)
    if args.study:
        write_study(args.out, predictors, validation, calibration, beliefs)
    of_row = lambda row: predictors[row["checkpoint"]]  # noqa: E731
    return _tell(args, refs, rows, description, list(predictors), of_row, earlier)


def _evaluate_out_of_fold(args: argparse.Namespace) -> int:
    from brainseg.data import load_dataset
    from brainseg.study import out_of_fold

    if args.study:
        raise ValueError(
            "--study goes with --fold, not with --out-of-fold: calibration is fitted on the next "
            "fold, on which these runs were trained."
        )
    refs = load_dataset(args.dataset, args.data)
    runs, skipped = out_of_fold.find_runs(args.checkpoints, args.seed or 0)
    for reason in skipped:
        print(f"skipped: {reason}", file=sys.stderr)
    earlier = _scores_of(args.against) if args.against else None
    runs, refs = _known(runs, refs, args.against, earlier)
    note = out_of_fold.note(runs, args.dataset, refs)
    classes = _class_scores(args)
    rows = out_of_fold.evaluate(runs, refs, slicewise=args.slicewise, observers=[classes])
    description = _write_scores(args, refs, rows, out_of_fold.SELECTION, note)
    classes.write(args.out, rows)
    of_row = partial(out_of_fold.predictor_of, runs)
    return _tell(args, refs, rows, description, list(runs), of_row, earlier)


def _class_scores(args: argparse.Namespace) -> ClassScores:
    from brainseg.data import classes_of
    from brainseg.study.class_scores import ClassScores

    return ClassScores(partial(classes_of, args.dataset, args.data and [args.data]))


def _write_scores(
    args: argparse.Namespace, refs: list, rows: list[dict], selection: str, note: str
) -> dict:
    """Write the results; returns the description that stands in them."""
    from brainseg.study.score import write_results

    scored = {row["patient"] for row in rows}
    if unread := sorted({ref.patient_id for ref in refs} - scored):
        note = f"{note} Left out, since their files could not be read: {', '.join(unread)}.".strip()
    description = {
        "dataset": args.dataset,
        "selection": selection,
        "patients": len(scored),
        "slicewise": args.slicewise,
        "note": note,
    }
    write_results(rows, args.out, description)
    return description


def _tell(
    args: argparse.Namespace, refs: list, rows: list[dict], description: dict,
    labels: list[str], predictor_of: Callable, earlier: DataFrame | None,
) -> int:  # fmt: skip
    """Draw the sheet if it is asked for, print the scores and compare them; the exit status."""
    from brainseg.study.score import report, summary

    if args.sheet:
        _write_sheet(args.sheet, labels, predictor_of, refs, rows, description)
    print(report(summary(rows), description))
    print(f"written to {args.out}")
    return 0 if earlier is None else _compare_with(args.against, earlier, rows)


def _choose_patients(everyone: list, args: argparse.Namespace) -> tuple[list, int | None, str]:
    """The cases to score; the fold they are, if they are one; and which they are, in words."""
    from brainseg.study.score import select_patients

    fold, patients = None, None
    if args.patients:
        patients = _listed(args.patients, {ref.patient_id for ref in everyone})
        selection = f"listed in {args.patients.name}"
    elif args.all:
        selection = "all"
    elif args.unseen:
        selection = "unseen by all models"
    else:
        fold = args.fold or 0
        selection = f"fold {fold}"
    if args.study and fold is None:
        raise ValueError(
            "--study needs one --fold: the next fold is what calibration is fitted on."
        )
    refs = select_patients(everyone, fold=fold, patients=patients)
    if not refs:
        raise ValueError(f"No patients are selected ({selection}): choose another fold or --all.")
    return refs, fold, selection


def _watched(everyone: list, fold: int, predictors: dict, against: Path | None) -> list:
    """The cases of the next fold, on which calibration is fitted; of an earlier study's patients
    only, if it tells them. Raises ValueError where a checkpoint has not watched the fold, and so
    may have been trained on it, or nobody is in it."""
    from brainseg.data.splits import FOLDS
    from brainseg.files import read_table
    from brainseg.study.score import select_patients

    following = (fold + 1) % FOLDS
    watched = {name: one.checkpoint.settings.run.watched_fold for name, one in predictors.items()}
    if others := [name for name, own in watched.items() if own != following]:
        raise ValueError(
            f"--study of fold {fold} fits calibration on fold {following}, which these did not "
            f"watch, and may have been trained on: {', '.join(others)}. Leave them out: by "
            "--against FOLDER, an evaluation without them, or by a folder of the others as "
            "--checkpoints."
        )
    refs = select_patients(everyone, fold=following)
    if not refs:
        raise ValueError(
            f"--study of fold {fold} fits calibration on fold {following}, in which no patient is: "
            "give more data, another --fold, or leave --study out."
        )
    table = read_table(against / "validation.csv") if against else None
    return refs if table is None or table.empty else _same_patients(refs, table, against)


def _unseen(refs: list, dataset: str, predictors: dict) -> list:
    """The cases of patients whom no model has seen, nor one that it reads."""
    from brainseg.checkpoints.patients import unseen

    told = {label: predictor.checkpoint.settings for label, predictor in predictors.items()}
    for label, predictor in predictors.items():
        told |= {f"{base.name}, read by {label},": base.checkpoint.settings
                 for base in predictor.bases}  # fmt: skip
    found = unseen(refs, dataset, told)
    if not found:
        raise ValueError(
            f"Each of the patients of {dataset} was trained or watched on by one of the models: "
            "give other data, or fewer models by --checkpoints."
        )
    return found


def _listed(path: Path, known: set[str]) -> list[str]:
    """The ids in a list, as the data set writes them."""
    from brainseg.data.case import DataError
    from brainseg.data.tables import matched, read_ids, tell_matched

    ids = read_ids(path)
    if not ids:
        raise DataError(f"{path} lists nobody: expected one patient id a line.")
    id_of = matched(ids, known)
    if unknown := [name for name in ids if name not in id_of]:
        raise DataError(
            f"{path} lists {unknown[0]!r} ({len(unknown)} such), who is not in the data set: "
            f"expected one id a line, such as {min(known)!r}."
        )
    tell_matched(path, {own: name for name, own in id_of.items()}, "patients")
    return list(id_of.values())


def _write_sheet(
    path: Path, labels: list[str], predictor_of: Callable, refs: list, rows: list[dict],
    description: dict,
) -> None:  # fmt: skip
    from brainseg.study.figures import save
    from brainseg.study.sheets import contact_sheet

    whose = "patients, not to be published"
    if description["dataset"] == "phantom":
        whose = "computed phantoms, not patients"
    caption = f"{description['dataset']} ({description['selection']}): {whose}"
    sheet = contact_sheet(
        labels, predictor_of, refs, rows, caption, slicewise=description["slicewise"]
    )
    save(sheet, path, dpi=130)


def _scores_of(folder: Path) -> DataFrame:
    """The scores of an earlier evaluation, read before ``--out``, which may be the same folder, is
    written. ValueError where it has none."""
    from brainseg.files import read_table

    table = read_table(folder / "per_patient.csv")
    if table.empty:
        raise ValueError(
            f"{folder} has no scores to compare with: expected the folder of an earlier "
            "evaluation, with its per_patient.csv."
        )
    return table


def _known(
    found: dict, refs: list, folder: Path | None, earlier: DataFrame | None
) -> tuple[dict, list]:
    """Of checkpoints by name and of cases those that an earlier evaluation scored: with other
    checkpoints fusions would be of more models, with other patients means of others. All of them if
    it scored none of these, or there is none."""
    from brainseg.scans.notes import note

    if earlier is None:
        return found, refs
    names = set(earlier["checkpoint"])
    known = {name: own for name, own in found.items() if name in names}
    if known and (others := [name for name in found if name not in known]):
        note(f"Left out, since {folder} does not have them: {', '.join(others)}.")
    return known or found, _same_patients(refs, earlier, folder)


def _same_patients(refs: list, earlier: DataFrame, folder: Path) -> list:
    """Of cases those of an earlier table's patients; all of them if it has none of these."""
    from brainseg.scans.notes import note

    patients = set(earlier["patient"])
    same = [ref for ref in refs if ref.patient_id in patients]
    if same and (others := {ref.patient_id for ref in refs} - patients):
        note(f"Left out, since {folder} does not have them: {len(others)} of the patients.")
    return same or refs


def _compare_with(folder: Path, earlier: DataFrame, rows: list[dict]) -> int:
    from brainseg.study.record import TOLERANCE, disagreement

    name, gap = disagreement(rows, earlier)
    print(f"largest difference in mean Dice from {folder}: {gap:.4f} ({name})")
    return int(gap > TOLERANCE)
