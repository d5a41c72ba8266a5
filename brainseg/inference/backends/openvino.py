"""OpenVINO, in float32 and whatever faster precision the processor has."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import openvino

from brainseg.checkpoints.folder import Checkpoint
from brainseg.inference.backends import graphs
from brainseg.inference.backends.names import Run
from brainseg.machine import usable_cores

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
    """Likewise, of a graph file. Its weights are mapped into memory, not read.

    One slice is computed by all cores together, several by one core each, which has them wait for
    each other less. Either way the graph is compiled for a single slice: a batch of its own gained
    nothing, and every new number of slices would be compiled anew.
    """

    @functools.cache
    def compiled(streams: int):
        model = _core().read_model(path)
        model.reshape([1, *list(model.inputs[0].partial_shape)[1:]])
        settings = {
            "INFERENCE_PRECISION_HINT": _PRECISIONS[name],
            "INFERENCE_NUM_THREADS": usable_cores(),
            "NUM_STREAMS": streams,
        }
        return _core().compile_model(model, "CPU", settings)

    together = compiled(1).create_infer_request()
    maps = compiled(1).outputs[0].shape[1]

    def run(planes):
        if len(planes) == 1:
            probabilities = together.infer({0: planes})[0].copy()
        else:
            probabilities = np.empty((len(planes), maps, *planes.shape[2:]), np.float32)
            queue = openvino.AsyncInferQueue(compiled(usable_cores()))

            def keep(request, index: int) -> None:
                probabilities[index] = request.output_tensors[0].data[0]

            queue.set_callback(keep)
            for index in range(len(planes)):
                queue.start_async({0: planes[index : index + 1]}, index)
            queue.wait_all()
        return probabilities[:, 0] if maps == 1 else probabilities

    return run


@functools.cache
def _core() -> openvino.Core:
    return openvino.Core()
