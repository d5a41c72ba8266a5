"""A checkpoint as a graph for ONNX or OpenVINO, checked against PyTorch before it is kept."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np

from brainseg.files import replacing
from brainseg.inference.backends import graphs
from brainseg.inference.backends.names import GRAPHS, REFERENCE
from brainseg.inference.backends.opening import missing_packages, open_backend
from brainseg.inference.predictor import Predictor

# Largest difference of probabilities in float32. Kernels sum in different orders: differences of
# 1e-5 are common, and networks of many layers may amplify them.
TOLERANCE = 1e-3


class ExportError(ValueError):
    """A graph that can't be made here, or that is not what PyTorch computes."""


def export(predictor: Predictor, kind: str, path: Path) -> str:
    """Write a predictor's graph to ``path`` and check it against PyTorch in float32 on phantoms.

    kind: one of ``GRAPHS``. path: ends in ``.onnx`` or ``.xml``; OpenVINO's weights go to a
    ``.bin`` beside it. Returns what was found, in words. Raises ExportError if a package is missing
    or the graph differs; then nothing is written.
    """
    if missing := missing_packages(kind):
        raise ExportError(f"--format {kind} needs packages: pip install {' '.join(missing)}")
    if path.suffix != GRAPHS[kind]:
        raise ExportError(f"{path} can't be an {kind} graph: expected a name in {GRAPHS[kind]}.")
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / path.name
        graphs.write(predictor.checkpoint, kind, graph)
        largest = largest_difference(predictor, graph)
        if not largest <= TOLERANCE:
            raise ExportError(
                f"The {kind} graph of {predictor.name} differs from PyTorch by up to {largest:.1g} "
                f"in probability, where {TOLERANCE} is expected at most: it was not kept. Try the "
                "other format."
            )
        for file in sorted(graph.parent.iterdir()):
            with replacing(path.with_suffix(file.suffix)) as aside:
                shutil.copyfile(file, aside)
    return (
        f"{path}: probabilities differ from PyTorch by at most {largest:.1g}; reads "
        f"{graphs.INPUT} float32 (n, {predictor.checkpoint.settings.channels}, {predictor.size}, "
        f"{predictor.size}), threshold {predictor.threshold}"
    )


def largest_difference(predictor: Predictor, graph: Path) -> float:
    """Largest difference of a graph's probabilities, in float32, from PyTorch's, over a phantom's
    slices, one alone and several at once."""
    planes = predictor.example_planes()
    expected = open_backend(REFERENCE, predictor.checkpoint)(planes)
    if graph.suffix == ".onnx":
        from brainseg.inference.backends.onnxruntime import run_graph
    else:
        from brainseg.inference.backends.openvino import run_graph
    run = run_graph(graph)
    found = np.concatenate([run(planes[:1]), run(planes[1:])])
    return float(np.abs(found - expected).max())
