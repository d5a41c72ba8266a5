"""Which backends this machine has, and a checkpoint made ready to run on one."""

from __future__ import annotations

from importlib.util import find_spec

from brainseg.checkpoints.folder import Checkpoint
from brainseg.inference.backends.names import NAMES, Run


def available() -> list[str]:
    """Names of the backends that this machine can run, the reference first. The compiled one is
    left out: it takes a minute and a C++ compiler to get ready."""
    from brainseg.inference.backends import pytorch

    names = list(pytorch.available())
    if find_spec("onnxruntime") and find_spec("onnx"):
        names.append("onnxruntime")
    if find_spec("openvino"):
        from brainseg.inference.backends import openvino

        names += openvino.available()
    return names


def open_backend(name: str, checkpoint: Checkpoint) -> Run:
    """Make a checkpoint ready to run on a backend; exports its graph where one is needed.

    Raises CheckpointError for damaged weights, ValueError for an unknown name, and whatever a
    backend raises that fails.
    """
    if name not in NAMES:
        raise ValueError(f"Unknown backend {name!r}: expected auto, {', '.join(NAMES)}.")
    if name.startswith("openvino"):
        from brainseg.inference.backends import openvino

        return openvino.open_graph(checkpoint, name)
    if name == "onnxruntime":
        from brainseg.inference.backends import onnxruntime

        return onnxruntime.open_graph(checkpoint)
    from brainseg.inference.backends import pytorch

    return pytorch.open_module(checkpoint, name)
