"""What backends are called, and what each of them is: a function."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Run = Callable[[np.ndarray], np.ndarray]
"""From planes, float32 (n, channels, size, size), to probabilities, float32 (n, size, size), or
(n, classes, size, size) of a network that tells classes apart."""

NAMES = (
    "pytorch",
    "pytorch-channels-last",
    "pytorch-bf16",
    "pytorch-compiled",
    "onnxruntime",
    "openvino",
    "openvino-bf16",
    "openvino-fp16",
    "openvino-int8",
)
INT8 = NAMES[-1]  # only of checkpoints that have proven it, see ``checkpoints/ranges.py``
REFERENCE = NAMES[0]  # eager float32: what every other backend has to agree with
GRAPHS = {"onnx": ".onnx", "openvino": ".xml"}  # kinds of exported graphs, and how files end
PACKAGES = {"onnx": ("onnx", "onnxruntime"), "openvino": ("openvino",)}  # that these need
