"""Int8: an OpenVINO graph in float32 and a checkpoint's ranges make one that computes in int8.

Quantised is what ``checkpoints/ranges.py`` lists: activations, each over its range in 256 steps,
and the weights of the layers that read them, per output channel over what these weights are, in
255 steps around 0 (Jacob et al., 2018, arXiv:1712.05877). ``FakeQuantize`` nodes say so, from
which OpenVINO makes int8 kernels when it compiles. So nothing but ranges has to be stored or sent,
and neither NNCF nor anybody's scan is needed to use them.

Ranges name nodes by their position: names hold a number that differs from export to export.
"""

from __future__ import annotations

import hashlib

import numpy as np
import openvino
from openvino import opset13 as ops

from brainseg.checkpoints.ranges import Activation, Ranges, RangesError

_STEPS, _WEIGHT_STEPS = 256, 255
# Axes of the weights that belong to one output channel.
_CHANNEL_AXES = {"Convolution": (0,), "GroupConvolution": (0, 1), "ConvolutionBackpropData": (1,)}
# What gives on the steps of what it reads, so that a range above it serves whoever is below.
_PASSING = ("MaxPool", "Concat", "Interpolate", "Reshape", "Transpose", "Pad", "StridedSlice")


def insert(model: openvino.Model, ranges: Ranges) -> None:
    """Make a float32 graph of a checkpoint compute in int8, in place.

    Raises RangesError if it is another graph than the ranges are of: other versions of OpenVINO or
    PyTorch may export another.
    """
    if signature(model) != ranges.graph:
        raise RangesError(
            "The int8 ranges are of another graph than this OpenVINO and PyTorch export: make them "
            "again by python -m brainseg quantise, or use the versions they were made with."
        )
    nodes = _nodes(model)
    for activation in ranges.activations:
        if max(activation.source, *activation.readers) >= len(nodes):
            raise RangesError("The int8 ranges name nodes that the graph does not have.")
        _quantise_activation(nodes, activation)
    for layer in layers_of(model):
        _quantise_weights(layer)


def extract(quantised: openvino.Model, original: openvino.Model) -> Ranges:
    """What ``insert`` needs to make a graph from the original that NNCF has quantised, its weights
    not packed and biases left alone."""
    position = {node.get_friendly_name(): i for i, node in enumerate(_nodes(original))}
    activations = []
    for node in quantised.get_ordered_ops():
        source = node.input_value(0).get_node() if node.get_input_size() else None
        if node.get_type_name() != "FakeQuantize" or source.get_type_name() == "Constant":
            continue
        low, high = (node.input_value(i).get_node().get_data().ravel() for i in (1, 2))
        readers = {
            position[target.get_node().get_friendly_name()]
            for target in node.output(0).get_target_inputs()
        }
        activations.append(
            Activation(
                position[source.get_friendly_name()],
                tuple(sorted(readers)),
                tuple(map(float, low)),
                tuple(map(float, high)),
            )
        )
    return Ranges(signature(original), tuple(sorted(activations, key=lambda a: a.source)))


def signature(model: openvino.Model) -> str:
    """16 hexadecimal digits that differ between graphs of other operations or shapes."""
    told = [(node.get_type_name(), str(node.get_output_partial_shape(0))) for node in _nodes(model)]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def layers_of(model: openvino.Model) -> list[openvino.Node]:
    """The layers whose input is quantised, and whose weights therefore can be."""
    return [layer for layer in all_layers(model) if _is_int8(layer.input_value(0).get_node())]


def all_layers(model: openvino.Model) -> list[openvino.Node]:
    """The convolutions, in the order of computing."""
    return [node for node in model.get_ordered_ops() if node.get_type_name() in _CHANNEL_AXES]


def multiplications(layer: openvino.Node) -> int:
    """How many a layer takes for one slice."""
    weights = layer.input_value(1).get_shape()
    # Each weight meets each pixel of the output, or of the input where that is spread out.
    node = layer.input_value(0) if "Backprop" in layer.get_type_name() else layer.output(0)
    height, width = node.get_partial_shape()[2:]
    return int(np.prod(weights)) * height.get_length() * width.get_length()


def _nodes(model: openvino.Model) -> list[openvino.Node]:
    """All but constants, in the order of computing."""
    return [node for node in model.get_ordered_ops() if node.get_type_name() != "Constant"]


def _is_int8(node: openvino.Node) -> bool:
    if node.get_type_name() == "Concat":
        return all(_is_int8(value.get_node()) for value in node.input_values())
    if node.get_type_name() in _PASSING:
        return _is_int8(node.input_value(0).get_node())
    return node.get_type_name() == "FakeQuantize"


def _quantise_activation(nodes: list[openvino.Node], activation: Activation) -> None:
    source = nodes[activation.source]
    ports = [
        port
        for reader in activation.readers
        for port in nodes[reader].inputs()
        if port.get_source_output().get_node() == source
    ]
    channels = source.get_output_partial_shape(0)[1]
    if not ports or len(activation.low) not in (1, channels.get_length()):
        raise RangesError(
            "The int8 ranges do not fit the graph: make them again by python -m brainseg quantise."
        )
    shape = [1] if len(activation.low) == 1 else [1, -1, 1, 1]
    low, high = (
        ops.constant(np.array(values, np.float32).reshape(shape))
        for values in (activation.low, activation.high)
    )
    steps = ops.fake_quantize(source.output(0), low, high, low, high, _STEPS)
    for port in ports:
        port.replace_source_output(steps.output(0))


def _quantise_weights(layer: openvino.Node) -> None:
    port = layer.input(1)
    constant = port.get_source_output().get_node()
    if constant.get_type_name() != "Constant":
        return
    weights = constant.get_data().astype(np.float32)
    own = _CHANNEL_AXES[layer.get_type_name()]
    others = tuple(axis for axis in range(weights.ndim) if axis not in own)
    most = np.abs(weights).max(others, keepdims=True)
    most[most == 0] = 1  # a channel of zeros has no width to step over
    low, high = ops.constant(-most), ops.constant(most)
    steps = ops.fake_quantize(constant.output(0), low, high, low, high, _WEIGHT_STEPS)
    port.replace_source_output(steps.output(0))
