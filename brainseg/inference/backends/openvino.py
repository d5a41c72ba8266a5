"""OpenVINO, in float32, whatever faster precision the processor has, and int8."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import openvino

from brainseg.checkpoints.folder import Checkpoint
from brainseg.checkpoints.ranges import read_ranges
from brainseg.inference.backends import graphs, int8
from brainseg.inference.backends.names import INT8, Run
from brainseg.machine import bf16_is_barred, usable_cores

_PRECISIONS = {"openvino": "f32", "openvino-bf16": "bf16", "openvino-fp16": "f16"}


def available() -> list[str]:
    """Names of the precisions that the processor computes in, int8 apart."""
    capable = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    needed = {"openvino": "FP32", "openvino-bf16": "BF16", "openvino-fp16": "FP16"}
    names = [name for name in _PRECISIONS if needed[name] in capable]
    return names[:1] if bf16_is_barred() else names


def open_graph(checkpoint: Checkpoint, name: str) -> Run:
    """The checkpoint's graph as a function of planes; exported first if it isn't there yet.

    For int8 it is read and quantised anew each time, which takes less than compiling it does.
    Raises RangesError where a checkpoint has no proof of int8.
    """
    if name != INT8:
        return run_graph(graphs.cached(checkpoint, "openvino"), name)
    ranges, proof = read_ranges(checkpoint)
    model = read_graph(checkpoint)
    int8.insert(model, ranges)
    return run_model(model, rest_of_int8() if proof.rest == "bf16" else "f32")


def read_graph(checkpoint: Checkpoint) -> openvino.Model:
    """The checkpoint's graph in float32, to be changed; exported first if it isn't there yet."""
    return _core().read_model(graphs.cached(checkpoint, "openvino"))


def rest_of_int8() -> str:
    """The precision of layers that are not quantised, ``bf16`` or ``f32``."""
    return "bf16" if "openvino-bf16" in available() else "f32"


def run_graph(path: Path, name: str = "openvino") -> Run:
    """A graph file as a function of planes. Its weights are mapped into memory, not read."""
    return run_model(_core().read_model(path), _PRECISIONS[name])


def run_model(model: openvino.Model, precision: str = "f32") -> Run:
    """Likewise, of a graph, which is changed in place.

    One slice is computed by all cores together, several by one core each, which has them wait for
    each other less. Either way the graph is compiled for a single slice: a batch of its own gained
    nothing, and every new number of slices would be compiled anew.
    """

    model.reshape([1, *list(model.inputs[0].partial_shape)[1:]])

    @functools.cache
    def compiled(streams: int):
        settings = {
            "INFERENCE_PRECISION_HINT": precision,
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
