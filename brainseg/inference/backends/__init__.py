"""Ways to run a network: PyTorch, on ``$BRAINSEG_DEVICE``, and, where that is the CPU, ONNX Runtime
and OpenVINO too, as they are installed here.

A backend is a function that takes a checkpoint and gives another: from planes as
``preprocessing.normalise`` makes them, float32 (n, channels, size, size), to probabilities,
float32 (n, size, size), or (n, classes, size, size) of a network that tells classes apart. Which
one is fastest differs from model to model and from machine to machine, so ``fastest`` measures;
nothing here prefers one.
"""

import sys

# OpenVINO reports each import to Google Analytics, unless this package of its is missing.
sys.modules.setdefault("openvino_telemetry", None)
