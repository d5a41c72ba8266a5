"""Ways to run a network on a CPU: PyTorch, ONNX Runtime and OpenVINO, as they are installed here.

A backend is a function that takes a checkpoint and gives another: from planes as
``preprocessing.normalise`` makes them, float32 (n, channels, size, size), to probabilities,
float32 (n, size, size). Which one is fastest differs from model to model and from machine to
machine, so ``fastest`` measures; nothing here prefers one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np

from brainseg.checkpoints.folder import Checkpoint

# OpenVINO reports each import to Google Analytics, unless this package of its is missing.
sys.modules.setdefault("openvino_telemetry", None)

Run = Callable[[np.ndarray], np.ndarray]

NAMES = (
    "pytorch",
    "pytorch-channels-last",
    "pytorch-bf16",
    "pytorch-compiled",
    "onnxruntime",
    "openvino",
    "openvino-bf16",
    "openvino-fp16",
)
REFERENCE = NAMES[0]  # eager float32: what every other backend has to agree with


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
