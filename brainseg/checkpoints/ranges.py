"""``int8.json`` beside the weights: over which ranges a network is quantised, and the proof that
its masks stay what they are.

Ranges and not weights, so that little has to be sent: kilobytes beside megabytes. They hold for one
file of weights and one threshold, which are named in it; where either changed they count as absent.
Whatever is read may have been written by a stranger, so every value is looked at before it is used.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from brainseg.checkpoints.folder import RANGES, Checkpoint
from brainseg.checkpoints.settings import CheckpointError, is_plain_name
from brainseg.files import sha256, write_text

FORMAT = 1
LARGEST_MEAN_CHANGE = 0.002  # of the mean Dice over patients
LARGEST_CHANGE = 0.01  # of any patient's Dice
VALIDATION, TRAINING = ROLES = ("validation", "training")
RESTS = ("bf16", "f32")
MAX_BYTES = 4 * 2**20
_MAX_ENTRIES = 10_000  # of a list: far above any network here


class RangesError(ValueError):
    """Ranges that are missing, damaged, not ours or of another network; the message says which."""


@dataclass(frozen=True)
class Activation:
    """What one node of the graph gives, quantised in 256 steps before ``readers`` read it.

    source, readers: positions in the checkpoint's OpenVINO graph, constants not counted.
    low, high: the ends of the range; one number, or one for each channel.
    """

    source: int
    readers: tuple[int, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Ranges:
    """All that int8 needs beside the weights.

    graph: 16 hexadecimal digits of the graph whose positions these are.
    activations: in the order of that graph.
    """

    graph: str = ""
    activations: tuple[Activation, ...] = ()


@dataclass(frozen=True)
class Proof:
    """What int8 changes, on patients whom the checkpoint may look at and whom no range was taken
    from, with the layers that are not quantised in ``rest``.

    role: ``validation``, on whom epoch and threshold were chosen; or ``training``, for checkpoints
        that watched nobody, which are surer of these than of others.
    mean_dice: in float32. mean_change, largest_change: of the mean over patients, signed; and of
    the patient whose Dice changes most, without sign.
    int8_share: of all multiplications, those in int8, 0 to 1. The layers of the others are left as
        they were, because quantising them changes most.
    int8_bases: of a stack: the bases that it read in int8 meanwhile, each with its name and
        ``ranges_sha256``.
    """

    role: str
    patients: int
    mean_dice: float
    mean_change: float
    largest_change: float
    rest: str
    calibration_slices: int
    int8_share: float
    int8_bases: tuple[tuple[str, str], ...] = ()

    @property
    def holds(self) -> bool:
        """Whether both changes are within their bounds; NaN is not."""
        return (
            abs(self.mean_change) <= LARGEST_MEAN_CHANGE and self.largest_change <= LARGEST_CHANGE
        )

    def __str__(self) -> str:
        return (
            f"mean Dice {self.mean_dice:.3f} changes by {self.mean_change:+.4f} and no patient's "
            f"by more than {self.largest_change:.4f}, on {self.patients} {self.role} patients, "
            f"with {self.int8_share:.0%} of all multiplications in int8"
            + bool(self.int8_bases)
            * f", and in int8 {' and '.join(name for name, _ in self.int8_bases)}"
        )


def write_ranges(checkpoint: Checkpoint, ranges: Ranges, proof: Proof) -> Path:
    """Store both beside the weights; of ranges that don't hold the bounds, the proof alone."""
    kept = ranges if proof.holds else Ranges()
    told = {
        "format": FORMAT,
        "weights_sha256": checkpoint.sha256(),
        "threshold": checkpoint.settings.threshold,
        "proof": asdict(proof),
        **asdict(kept),
    }
    path = checkpoint.folder / RANGES
    write_text(path, json.dumps(told, default=list, separators=(",", ":")))
    return path


def read_ranges(checkpoint: Checkpoint) -> tuple[Ranges, Proof]:
    """The ranges of a checkpoint and their proof.

    Raises RangesError, in a sentence for users, if there are none for these weights and this
    threshold, or if they don't hold the bounds; CheckpointError for a damaged file.
    """
    ranges, proof = _read(checkpoint)
    if not proof.holds or not ranges.activations:
        raise RangesError(f"{checkpoint.name} does not hold the bounds of int8: {proof}.")
    return ranges, proof


def read_proof(checkpoint: Checkpoint) -> Proof | None:
    """What int8 was found to change, whether it holds the bounds or not; None where nothing is
    known of these weights and this threshold. A damaged file is as good as none."""
    try:
        return _read(checkpoint)[1]
    except (RangesError, CheckpointError, OSError):
        return None


def may_read_in_int8(stack: Checkpoint, base: Checkpoint) -> bool:
    """Whether a stack has proven to read this base in int8, over the ranges that it has now."""
    proof = read_proof(stack)
    if proof is None or not proof.holds or not (base.folder / RANGES).is_file():
        return False
    return (base.name, ranges_sha256(base)) in proof.int8_bases


def ranges_sha256(checkpoint: Checkpoint) -> str:
    """The checksum of its ``int8.json``."""
    return sha256(checkpoint.folder / RANGES)


def has_proven(checkpoint: Checkpoint) -> bool:
    """Whether int8 may run this checkpoint."""
    proof = read_proof(checkpoint)
    return proof is not None and proof.holds


def _read(checkpoint: Checkpoint) -> tuple[Ranges, Proof]:
    path = checkpoint.folder / RANGES
    if not path.is_file():
        raise RangesError(f"{checkpoint.name} has no int8 ranges: {_MAKE}.")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it has over {MAX_BYTES} bytes")
        told = json.loads(path.read_text(encoding="utf-8"))
        _need(isinstance(told, dict) and told.get("format") == FORMAT, "format")
        proof, ranges = _proof(told["proof"]), _ranges(told)
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        raise CheckpointError(
            f"{path} holds no int8 ranges ({type(error).__name__}: {str(error)[:80]}): remove it, "
            f"or {_MAKE}."
        ) from error
    same = (told.get("weights_sha256"), told.get("threshold"))
    if same != (checkpoint.sha256(), checkpoint.settings.threshold):
        raise RangesError(
            f"{checkpoint.name} has int8 ranges of other weights or another threshold: {_MAKE}."
        )
    return ranges, proof


_MAKE = "make them by python -m brainseg quantise"


def _proof(values: dict) -> Proof:
    _need(isinstance(values, dict), "proof")
    bases = values.get("int8_bases", [])
    good = isinstance(bases, list) and all(
        isinstance(base, list)
        and len(base) == 2
        and is_plain_name(base[0])
        and isinstance(base[1], str)
        for base in bases
    )
    _need(good, "names of bases, each with the sha256 of its ranges")
    proof = Proof(**{**values, "int8_bases": tuple(map(tuple, bases))})
    _need(proof.role in ROLES and proof.rest in RESTS, "proof")
    _need(
        all(type(n) is int and n > 0 for n in (proof.patients, proof.calibration_slices)), "proof"
    )
    figures = (proof.mean_dice, proof.mean_change, proof.largest_change, proof.int8_share)
    _need(all(type(figure) in (int, float) for figure in figures), "proof")
    return proof


def _ranges(told: dict) -> Ranges:
    graph, activations = told["graph"], told["activations"]
    _need(isinstance(graph, str) and len(graph) <= 16, "graph")
    _need(isinstance(activations, list) and len(activations) <= _MAX_ENTRIES, "activations")
    return Ranges(graph, tuple(_activation(each) for each in activations))


def _activation(values: dict) -> Activation:
    _need(isinstance(values, dict), "activations")
    low, high = _numbers(values["low"]), _numbers(values["high"])
    _need(len(low) == len(high) > 0, "low and high")
    _need(all(a <= 0 <= b and a < b for a, b in zip(low, high, strict=True)), "a range around 0")
    source, readers = values["source"], values["readers"]
    _need(isinstance(readers, list) and 0 < len(readers) <= _MAX_ENTRIES, "readers")
    _need(all(type(at) is int and at >= 0 for at in (source, *readers)), "positions")
    return Activation(source, tuple(readers), low, high)


def _numbers(values: object) -> tuple[float, ...]:
    good = isinstance(values, list) and len(values) <= _MAX_ENTRIES
    _need(good and all(type(v) in (int, float) and math.isfinite(v) for v in values), "numbers")
    return tuple(map(float, values))


def _need(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"expected {what}")
