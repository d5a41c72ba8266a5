"""ONNX Runtime, float32."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from brainseg.checkpoints.folder import Checkpoint
from brainseg.inference.backends import graphs
from brainseg.inference.backends.names import Run
from brainseg.machine import usable_cores


def open_graph(checkpoint: Checkpoint) -> Run:
    """The checkpoint's graph as a function of planes; exported first if it isn't there yet."""
    return run_graph(graphs.cached(checkpoint, "onnx"))


def run_graph(path: Path) -> Run:
    """Likewise, of a graph file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    # Threads that wait for work by spinning would take the cores from whoever runs next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(
        path, options, providers=["CPUExecutionProvider"]
    )  # fmt: skip

    def run(planes):
        (probabilities,) = session.run(None, {graphs.INPUT: planes})
        return probabilities[:, 0] if probabilities.shape[1] == 1 else probabilities

    return run
