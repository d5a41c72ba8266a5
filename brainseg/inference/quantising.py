"""Ranges for int8 from slices, by NNCF, and which layers it is best to leave as they are.

NNCF (an optional package, needed here and nowhere else) chooses where to quantise and over which
range: from the mean of the least to the mean of the largest values of each slice, which clips
outliers. What it finds is taken out of its graph again, see ``backends/int8.py``. It is not asked
to correct biases: that made the error larger, measured on the U-Net, and would have to be stored.

Which layers to leave out is measured: groups of neighbours are quantised alone, and those that
change probabilities most for the multiplications they save go first.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import openvino

from brainseg.checkpoints.folder import Checkpoint
from brainseg.checkpoints.ranges import Activation, Ranges, RangesError
from brainseg.inference.backends import int8
from brainseg.inference.backends.names import Run
from brainseg.inference.backends.openvino import read_graph, rest_of_int8, run_model
from brainseg.inference.turns import ALL_CORES

_GROUPS = 16
_RANKED_ON = 16  # slices
_LEAST_SHARE = 0.5  # of multiplications in int8: with fewer it is not worth a second rounding


def calibrate(checkpoint: Checkpoint, planes: np.ndarray) -> Ranges:
    """Ranges for all that NNCF would quantise.

    planes: what the network reads of slices that are typical of all it will read, float32
    (n, channels, size, size). Raises RangesError where NNCF is missing.
    """
    if not find_spec("nncf"):
        raise RangesError("Quantising needs the package NNCF: pip install nncf.")
    import nncf
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix

    logging.getLogger("nncf").setLevel(logging.WARNING)
    model = read_graph(checkpoint)
    quantised = nncf.quantize(
        model.clone(),
        nncf.Dataset([plane[None] for plane in planes]),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(planes),
        advanced_parameters=AdvancedQuantizationParameters(
            overflow_fix=OverflowFix.DISABLE,  # int8 runs only where products can't overflow
            disable_bias_correction=True,
            backend_params={"compress_weights": False},
        ),
    )
    return int8.extract(quantised, model)


def candidates(
    checkpoint: Checkpoint, ranges: Ranges, planes: np.ndarray
) -> Iterator[tuple[Ranges, float]]:
    """Ranges with ever fewer layers quantised, all of them first, and the share of multiplications
    in int8, as long as that is worth it."""
    order: list[list[Activation]] | None = None
    left_out = 0
    while True:
        out = [a for group in (order or [])[:left_out] for a in group]
        kept = replace(ranges, activations=tuple(a for a in ranges.activations if a not in out))
        share = int8_share(checkpoint, kept)
        if share < _LEAST_SHARE:
            return
        yield kept, share
        order = order or _worst_first(checkpoint, ranges, planes[:: -(-len(planes) // _RANKED_ON)])
        left_out += max(1, left_out // 2)


def run_of(checkpoint: Checkpoint, ranges: Ranges | None) -> Run:
    """The checkpoint in int8 as a function of planes; in float32 without ranges."""
    model = read_graph(checkpoint)
    if ranges is None:
        return run_model(model)
    int8.insert(model, ranges)
    return run_model(model, rest_of_int8())


def int8_share(checkpoint: Checkpoint, ranges: Ranges) -> float:
    """Of a network's multiplications, the share that would be in int8, 0 to 1."""
    model = read_graph(checkpoint)
    everything = _multiplications(model, everywhere=True)
    int8.insert(model, ranges)
    return _multiplications(model) / everything


def _worst_first(
    checkpoint: Checkpoint, ranges: Ranges, planes: np.ndarray
) -> list[list[Activation]]:
    """Groups of neighbouring activations, by the squared error that each alone makes for what it
    saves."""
    count = len(ranges.activations)
    size = -(-count // _GROUPS)
    groups = [list(ranges.activations[at : at + size]) for at in range(0, count, size)]
    with ALL_CORES.taken():
        expected = run_of(checkpoint, None)(planes)
        price = []
        for group in groups:
            alone = replace(ranges, activations=tuple(group))
            error = float(((run_of(checkpoint, alone)(planes) - expected) ** 2).mean())
            price.append(error / max(int8_share(checkpoint, alone), 1e-3))
    return [groups[i] for i in np.argsort(price)[::-1]]


def _multiplications(model: openvino.Model, everywhere: bool = False) -> int:
    layers = int8.all_layers(model) if everywhere else int8.layers_of(model)
    return sum(map(int8.multiplications, layers))
