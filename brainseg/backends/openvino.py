"""OpenVINO, in float32 and whatever faster precision the processor has."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

# It reports each import to Google Analytics, unless this package of its is missing.
sys.modules.setdefault("openvino_telemetry", None)

import openvino

from brainseg.backends import Run, graphs
from brainseg.checkpoint import Checkpoint
from brainseg.cores import usable_cores

_PRECISIONS = {"openvino": "f32", "openvino-bf16": "bf16", "openvino-fp16": "f16"}


def available() -> list[str]:
    """Names of the precisions that the processor computes in."""
    capable = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    needed = {"openvino": "FP32", "openvino-bf16": "BF16", "openvino-fp16": "FP16"}
    return [name for name in _PRECISIONS if needed[name] in capable]


def open_graph(checkpoint: Checkpoint, name: str) -> Run:
    """The checkpoint's graph as a function of planes; exported first if it isn't there yet."""
    return run_graph(graphs.cached(checkpoint, "openvino"), name)


def run_graph(path: Path, name: str = "openvino") -> Run:
    """Likewise, of a graph file. Its weights are mapped into memory, not read."""
    settings = {
        "INFERENCE_PRECISION_HINT": _PRECISIONS[name],
        "INFERENCE_NUM_THREADS": usable_cores(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = _core().compile_model(path, "CPU", settings)
    request = compiled.create_infer_request()  # one at a time: see batching

    def run(planes):
        return request.infer({0: planes})[0][:, 0].copy()

    return run


@functools.cache
def _core() -> openvino.Core:
    return openvino.Core()
