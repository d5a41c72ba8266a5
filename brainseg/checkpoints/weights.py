"""Reading a file of weights: its header first, then tensors that are what was expected."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_FLOATS, _COUNTERS = ("F16", "BF16", "F32"), ("I64",)  # what training writes, and bf16


class WeightsError(ValueError):
    """A file that is no safetensors file, or holds other tensors than the network needs."""


def read_weights(path: Path, wanted: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors by name, floating point in float32, from a safetensors file.

    wanted: every tensor there must be; without memory (on ``meta``) will do. Names, shapes and
    types are compared in the header, which safetensors itself holds against the length of the
    file, before memory is taken for any tensor. Raises WeightsError, also for values that are not
    finite.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            _compare_names(set(file.keys()), set(wanted))
            for name, tensor in wanted.items():
                header = file.get_slice(name)
                found, shape = tuple(header.get_shape()), tuple(tensor.shape)
                if found != shape:
                    raise WeightsError(f"{name} has the shape {found}, expected {shape}")
                types = _FLOATS if tensor.is_floating_point() else _COUNTERS
                if header.get_dtype() not in types:
                    raise WeightsError(f"{name} is {header.get_dtype()}, expected {types}")
            return {name: _finite(name, file.get_tensor(name)) for name in wanted}
    except SafetensorError as error:
        raise WeightsError(str(error)) from error


def _compare_names(found: set[str], expected: set[str]) -> None:
    for names, what in ((expected - found, "lacks"), (found - expected, "also holds")):
        if names:
            others = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise WeightsError(f"it {what} {min(names)[:100]}{others}")


def _finite(name: str, tensor):
    import torch

    if not tensor.is_floating_point():
        return tensor
    if not torch.isfinite(tensor).all():
        raise WeightsError(f"{name} holds values that are not finite numbers")
    return tensor.float()
