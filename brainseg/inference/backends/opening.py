"""Which backends this machine has, and a checkpoint made ready to run on one."""

from __future__ import annotations

from importlib.util import find_spec

from brainseg.checkpoints.folder import Checkpoint
from brainseg.checkpoints.ranges import RangesError, has_proven
from brainseg.inference.backends.names import INT8, NAMES, PACKAGES, REFERENCE, Run
from brainseg.machine import device, processor_has_int8


def available() -> list[str]:
    """Names of the backends that this machine can run, the reference first; where another device
    than the processor is asked for, PyTorch's alone, since the others know only this one. The
    compiled one is left out: it takes a minute and a C++ compiler to get ready."""
    from brainseg.inference.backends import pytorch

    names = list(pytorch.available())
    if device() != "cpu":
        return names
    if not missing_packages("onnx"):
        names.append("onnxruntime")
    if not missing_packages("openvino"):
        from brainseg.inference.backends import openvino

        names += openvino.available()
    return names


def missing_packages(kind: str) -> list[str]:
    """What is not installed of what graphs of this kind, one of ``GRAPHS``, need."""
    return [package for package in PACKAGES[kind] if not find_spec(package)]


def has_int8() -> bool:
    """Whether this machine computes in int8, which only its processor does."""
    return device() == "cpu" and not missing_packages("openvino") and processor_has_int8()


def available_to(checkpoint: Checkpoint) -> list[str]:
    """``available``, and int8 where the checkpoint has proven that its masks stay what they are."""
    return [*available(), *([INT8] if has_int8() and has_proven(checkpoint) else [])]


def without_int8() -> str:
    """What runs a checkpoint that has not proven int8, where all shall run in it."""
    found = [name for name in ("openvino-bf16", "openvino") if name in available()]
    return found[0] if found else REFERENCE


def open_backend(name: str, checkpoint: Checkpoint) -> Run:
    """Make a checkpoint ready to run on a backend; exports its graph where one is needed.

    Raises CheckpointError for damaged weights, RangesError where int8 can't run it, ValueError for
    an unknown name or one whose packages are missing, and whatever a backend raises that fails.
    """
    if name not in NAMES:
        raise ValueError(f"Unknown backend {name!r}: expected auto, {', '.join(NAMES)}.")
    kind = "openvino" if name.startswith("openvino") else "onnx" if name == "onnxruntime" else None
    if kind and (missing := missing_packages(kind)):
        raise ValueError(f"Backend {name} needs packages: pip install {' '.join(missing)}")
    if name == INT8 and not processor_has_int8():
        raise RangesError("This processor has no instructions for int8, so that sums may overflow.")
    if kind == "openvino":
        from brainseg.inference.backends import openvino

        return openvino.open_graph(checkpoint, name)
    if kind == "onnx":
        from brainseg.inference.backends import onnxruntime

        return onnxruntime.open_graph(checkpoint)
    from brainseg.inference.backends import pytorch

    return pytorch.open_module(checkpoint, name)
