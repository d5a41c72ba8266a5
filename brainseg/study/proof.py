"""Int8 for a checkpoint: ranges from patients it was trained on, proven on others it may look at.

Nobody of its test fold is asked. Ranges come from training patients. The others are those on whom
epoch and threshold were chosen; of a checkpoint that watched nobody, a fifth of its training
patients, from whom no range is taken then. Half of them choose which layers are left out, and the
other half, looked at once, prove it. A stack is proven as it is used: reading in int8 those bases
that have their own proof, or, where that changes its masks by too much, none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

import numpy as np

from brainseg.checkpoints.folder import Checkpoint, find_base
from brainseg.checkpoints.ranges import (
    TRAINING,
    VALIDATION,
    Proof,
    Ranges,
    RangesError,
    has_proven,
    ranges_sha256,
    write_ranges,
)
from brainseg.data.case import CaseRef, DataError
from brainseg.data.splits import FOLDS, block_of, fold_of
from brainseg.inference.backends.names import INT8
from brainseg.inference.backends.opening import has_int8
from brainseg.inference.backends.openvino import rest_of_int8
from brainseg.inference.predictor import Predictor
from brainseg.inference.quantising import calibrate, candidates, run_of
from brainseg.scans.preprocessing import Prepared, prepare
from brainseg.study.score import evaluate

CALIBRATION_CASES = 60  # so many of each data set, up to three slices each
FLOAT32 = "openvino"  # agrees with PyTorch to 0.001 of a probability, and takes a third of its time

Tell = Callable[[str], None]


def quantise(
    checkpoint: Checkpoint, refs: Mapping[str, Sequence[CaseRef]], tell: Tell = lambda text: None
) -> Proof:
    """Find ranges for a checkpoint, prove them, and store both beside the weights: those with as
    few layers left out as hold the bounds on those who choose, if they hold them on the others too.

    refs: by data set, as ``load_datasets`` gives them, of the data it was trained on.
    tell: is told of each attempt, in a sentence.
    Raises DataError where nobody is left to prove it on, RangesError where NNCF or int8 is missing.
    """
    if not has_int8():
        raise RangesError(
            "This processor has no instructions for int8: quantise where int8 can run, so that "
            "what is proven is what runs."
        )
    training, others, role = choose_patients(checkpoint, refs)
    in_float32 = _predictor(checkpoint)
    planes = np.concatenate(
        [in_float32.planes(slices) for slices in _some_slices(training, in_float32.size)]
    )
    everything = calibrate(checkpoint, planes)
    choosing, proving = ((half, _dice(in_float32, half)) for half in _halves(others))
    read = (find_base(checkpoint, base) for base in checkpoint.bases)
    proven = tuple((base.name, ranges_sha256(base)) for base in read if has_proven(base))
    proof = None
    for bases in dict.fromkeys((proven, ())):  # in float32 where they can't be in int8
        in_int8 = _predictor(checkpoint, int8_bases=[name for name, _ in bases])
        for ranges, share in candidates(checkpoint, everything, planes):
            in_int8.use(INT8, run_of(checkpoint, ranges))
            for half, expected in (choosing, proving):
                figures = compared(expected, _dice(in_int8, half))
                about = (rest_of_int8(), len(planes), share, bases)
                proof = Proof(role, len(expected), *figures, *about)
                tell(f"{checkpoint.name}: {proof}")
                if not proof.holds:
                    break
            if half is proving[0]:  # to go on until these agree, too, would prove nothing
                write_ranges(checkpoint, ranges, proof)
                return proof
    if proof is None:
        raise RangesError(f"NNCF quantises too little of {checkpoint.name} to be worth it.")
    write_ranges(checkpoint, Ranges(), proof)
    return proof


def _halves(
    refs: Mapping[str, Sequence[CaseRef]],
) -> tuple[dict[str, list[CaseRef]], dict[str, list[CaseRef]]]:
    """The patients of each data set, dealt into two."""
    halves: tuple[dict, dict] = ({}, {})
    for dataset, cases in refs.items():
        blocks = block_of((ref.patient_id for ref in cases), 2)
        for number, half in enumerate(halves):
            half[dataset] = [ref for ref in cases if blocks[ref.patient_id] == number]
    return halves


def choose_patients(
    checkpoint: Checkpoint, refs: Mapping[str, Sequence[CaseRef]]
) -> tuple[list[CaseRef], dict[str, list[CaseRef]], str]:
    """Cases to take ranges from, cases by data set to choose layers by and prove it on, and the
    latter's role.

    Raises DataError where the first is empty, or the others are not of two patients or more, and
    for runs that were trained on some patients only or with a leak.
    """
    run = checkpoint.settings.run
    if run.labelled or run.limit_patients:
        raise DataError(
            f"{checkpoint.name} was trained on some of its patients only, and ranges would be "
            "taken from others: it is not quantised."
        )
    if run.leak:
        raise DataError(
            f"{checkpoint.name} was trained with a mistake made on purpose (--leak {run.leak}) and "
            "may know whom it would be proven on: it is not quantised."
        )
    role = TRAINING if run.watched_fold is None else VALIDATION
    training: list[CaseRef] = []
    proving: dict[str, list[CaseRef]] = {}
    for dataset, cases in refs.items():
        trained = [ref for ref in cases if fold_of(ref.patient_id) in run.training_folds]
        others = [ref for ref in cases if fold_of(ref.patient_id) == run.watched_fold]
        if role == TRAINING:
            blocks = block_of((ref.patient_id for ref in trained), FOLDS)
            others = [ref for ref in trained if blocks[ref.patient_id] == 0]
            trained = [ref for ref in trained if blocks[ref.patient_id] != 0]
        patients = {ref.patient_id for ref in others}
        if not trained or len(patients) < 2:
            raise DataError(
                f"{checkpoint.name} can't be quantised with {len(trained)} training cases and "
                f"{len(patients)} {role} patients of {dataset}: expected some, and two or more. "
                "Give the data it was trained on."
            )
        training += trained[:: -(-len(trained) // CALIBRATION_CASES)]
        proving[dataset] = others
    return training, proving, role


def compared(
    expected: Mapping[str, float], found: Mapping[str, float]
) -> tuple[float, float, float]:
    """The mean Dice expected, by how much the mean found differs from it, and the largest
    difference of one patient; of a patient for whom one alone is undefined it is 1."""
    both = np.array([[expected[patient], found[patient]] for patient in sorted(expected)])
    undefined = np.isnan(both)
    both = both[~undefined.all(1)]
    if not len(both):
        return float("nan"), float("nan"), float("nan")
    change = np.where(np.isnan(both).any(1), 1.0, both[:, 1] - both[:, 0])
    means = np.nanmean(both, axis=0)
    return float(means[0]), float(means[1] - means[0]), float(np.abs(change).max())


def _predictor(checkpoint: Checkpoint, int8_bases: Sequence[str] = ()) -> Predictor:
    bases = [find_base(checkpoint, base) for base in checkpoint.bases]
    opened = [Predictor(base, INT8 if base.name in int8_bases else FLOAT32) for base in bases]
    return Predictor(checkpoint, FLOAT32, opened)


def _dice(predictor: Predictor, refs: Mapping[str, Sequence[CaseRef]]) -> dict[str, float]:
    """Dice by ``<data set>/<patient id>``."""
    return {
        f"{dataset}/{row['patient']}": row["dice"]
        for dataset, cases in refs.items()
        for row in evaluate({predictor.name: predictor}, cases, distances=False)
    }


def _some_slices(refs: Sequence[CaseRef], size: int) -> Iterator[Prepared]:
    """Of each case that can be read two slices with tumour, and one without, prepared as if it had
    been uploaded alone, which happens too."""
    for ref in refs:
        with suppress(DataError):
            case = ref.read()
            has_tumour = case.mask.any((1, 2))
            rows = [
                *_spread(np.flatnonzero(has_tumour), 2),
                *_spread(np.flatnonzero(~has_tumour), 1),
            ]
            found = prepare(case.scan.pixels, size, case.scan.spacing_mm)
            statistics = np.where(
                has_tumour[rows, None, None], found.statistics[rows], found.slice_statistics[rows]
            )
            yield Prepared(found.images[rows], statistics, found.slice_statistics[rows])


def _spread(rows: np.ndarray, count: int) -> list[int]:
    """So many of these, evenly apart; fewer if there are fewer."""
    return [int(part[len(part) // 2]) for part in np.array_split(rows, count) if len(part)]
