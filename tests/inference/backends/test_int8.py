"""Int8: the graph made from ranges rounds as worked by hand, and runs only where it is proven."""

import logging
import shutil
from dataclasses import replace

import numpy as np
import pytest

from brainseg.checkpoints.folder import read_checkpoint
from brainseg.checkpoints.ranges import (
    Activation,
    Proof,
    Ranges,
    RangesError,
    ranges_sha256,
    write_ranges,
)
from brainseg.inference.backends import fastest, opening
from brainseg.inference.backends.names import INT8
from brainseg.inference.loading import load_all
from brainseg.inference.predictor import AUTO, AUTO_BUT_INT8, Predictor

openvino = pytest.importorskip("openvino")
from openvino import opset13 as ops  # noqa: E402

from brainseg.inference.backends import int8  # noqa: E402
from brainseg.inference.backends.openvino import read_graph, run_model  # noqa: E402

PROOF = Proof("validation", 20, 0.78, 0.0, 0.0, "f32", 10, 1.0)


def graph(weights):
    """A convolution of one channel without padding, between a ReLU and a sigmoid."""
    planes = ops.parameter([-1, 1, 2, 2], np.float32, name="planes")
    relu = ops.relu(planes)
    ones = {"strides": [1, 1], "pads_begin": [0, 0], "pads_end": [0, 0], "dilations": [1, 1]}
    layer = ops.convolution(relu, ops.constant(np.float32(weights)), **ones)
    return openvino.Model([ops.sigmoid(layer)], [planes])


def ranges_of(model, *activations):
    return Ranges(int8.signature(model), activations)


def test_rounding_is_as_worked_by_hand():
    # In [0, 2.55] steps are 0.01; the largest weight is 1.27, so that theirs are too.
    model = graph([[[[1.27, 0.114], [-0.5, 0.0049]]]])
    int8.insert(model, ranges_of(model, Activation(1, (2,), (0.0,), (2.55,))))
    given = np.float32([[[[0.333, 9.0], [-4.0, 1.0]]]])
    # The first is rounded to 0.33, the second is cut off at 2.55, the third is 0 by the ReLU.
    expected = 1.27 * 0.33 + 0.11 * 2.55 - 0.5 * 0 + 0.0 * 1.0
    found = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(given)
    np.testing.assert_allclose(found[0].ravel(), 1 / (1 + np.exp(-expected)), atol=1e-5)


def test_weights_are_rounded_only_where_what_they_meet_is():
    weights = [[[[1.27, 0.114], [-0.5, 0.0049]]]]
    model = graph(weights)
    assert int8.layers_of(model) == []
    int8.insert(model, ranges_of(model))
    given = np.float32([[[[0.333, 9.0], [4.0, 1.0]]]])
    found = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(given)
    exact = (np.float32(weights) * given).sum()
    np.testing.assert_allclose(found[0].ravel(), 1 / (1 + np.exp(-exact)), rtol=1e-5)


def test_multiplications_are_those_of_a_convolution():
    model = graph(np.ones((3, 1, 2, 2)))
    (layer,) = int8.all_layers(model)
    assert int8.multiplications(layer) == 3 * 1 * 2 * 2 * 1 * 1


@pytest.mark.parametrize(
    "activation",
    [
        Activation(1, (7,), (0.0,), (1.0,)),  # no such node
        Activation(1, (3,), (0.0,), (1.0,)),  # which does not read it
        Activation(1, (2,), (0.0, 0.0), (1.0, 1.0)),  # of two channels
    ],
)
def test_ranges_that_do_not_fit_are_refused(activation):
    model = graph(np.ones((1, 1, 2, 2)))
    with pytest.raises(RangesError):
        int8.insert(model, ranges_of(model, activation))


def test_ranges_of_another_graph_are_refused():
    ranges = ranges_of(graph(np.ones((1, 1, 2, 2))))
    with pytest.raises(RangesError, match="another graph"):
        int8.insert(graph(np.ones((3, 1, 2, 2))), ranges)


# ---------------------------------------------------------------- checkpoints


@pytest.fixture
def copied(random_checkpoints, tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "processor_has_int8", lambda: True)  # emulated, it is only slow
    monkeypatch.setenv("BRAINSEG_CACHE", str(tmp_path / "cache"))
    return shutil.copytree(random_checkpoints, tmp_path / "checkpoints")


def quantised_by_hand(checkpoint, planes) -> Ranges:
    """Every convolution's input, over what the given planes make of it; without NNCF."""
    model = read_graph(checkpoint)
    nodes = int8._nodes(model)
    position = {node: i for i, node in enumerate(nodes)}
    sources: dict = {}
    for layer in int8.all_layers(model):
        source = layer.input_value(0).get_node()
        if source.get_type_name() == "Relu":
            sources.setdefault(position[source], []).append(position[layer])
    model.add_outputs([nodes[at].output(0) for at in sources])
    found = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(planes)
    highs = [float(found[i + 1].max()) for i in range(len(sources))]
    return Ranges(
        int8.signature(read_graph(checkpoint)),
        tuple(
            Activation(at, tuple(readers), (0.0,), (high,))
            for (at, readers), high in zip(sources.items(), highs, strict=True)
        ),
    )


def test_masks_are_those_of_float32_and_the_choice_may_fall_on_it(copied, phantom_case):
    checkpoint = read_checkpoint(copied / "unet-bce")
    before = fastest.remembered(checkpoint)
    expected = Predictor(checkpoint).predict(phantom_case.scan)
    planes = Predictor(checkpoint).example_planes()
    ranges = quantised_by_hand(checkpoint, planes)
    write_ranges(checkpoint, ranges, PROOF)
    found = Predictor(checkpoint, INT8).predict(phantom_case.scan)
    # Random networks are undecided everywhere and amplify rounding; trained ones are not.
    assert np.abs(found.probabilities - expected.probabilities).mean() < fastest.TOLERANCE
    both = (found.mask & expected.mask).sum()
    assert 2 * both / (found.mask.sum() + expected.mask.sum()) > 0.9
    assert not np.array_equal(found.probabilities, expected.probabilities)  # it does round
    predictor = Predictor(checkpoint, "auto")
    predictor.tune()
    known = fastest.remembered(checkpoint)
    assert before is None and INT8 in known.difference
    but = fastest.Choice(INT8, {"openvino": 2.0, INT8: 1.0, "pytorch": 3.0}, {}).but(INT8)
    assert but.backend == "openvino" and INT8 in but.ms


def test_one_slice_and_many_agree(copied, phantom_case):
    checkpoint = read_checkpoint(copied / "unet-bce")
    planes = Predictor(checkpoint).example_planes()
    model = read_graph(checkpoint)
    int8.insert(model, quantised_by_hand(checkpoint, planes))
    run = run_model(model)
    alone = np.concatenate([run(planes[i : i + 1]) for i in range(len(planes))])
    np.testing.assert_allclose(run(planes), alone, atol=1e-5)


def test_a_checkpoint_without_a_proof_runs_on_what_it_would_without_int8(copied, caplog):
    assert INT8 not in opening.available_to(read_checkpoint(copied / "unet-bce"))
    predictors, _ = load_all(copied, INT8)
    with caplog.at_level(logging.WARNING):
        predictors["unet-bce"].read_weights()
    assert predictors["unet-bce"].backend == opening.without_int8()
    assert "unet-bce has no int8 ranges" in caplog.text


def proven(checkpoint, **changes):
    """An activation that does not fit, but a proof that holds."""
    ranges = Ranges("0" * 16, (Activation(1, (2,), (0.0,), (1.0,)),))
    write_ranges(checkpoint, ranges, replace(PROOF, **changes))


def test_a_base_runs_in_int8_only_where_its_stacks_have_proven_to_read_it_so(copied):
    bases = ("unet_resnet34-resnet18-bce", "deeplabv3plus-resnet18-bce")
    for name in (*bases, "unet-bce"):
        proven(read_checkpoint(copied / name))

    def backends(backend):
        return {label: it.backend for label, it in load_all(copied, backend)[0].items()}

    stack = read_checkpoint(copied / "unetpp-bce")
    for backend, instead in ((AUTO, AUTO_BUT_INT8), (INT8, opening.without_int8())):
        assert backends(backend)["unet-bce"] == backend
        assert [backends(backend)[name] for name in bases] == [instead] * 2
    hashed = tuple((name, ranges_sha256(read_checkpoint(copied / name))) for name in bases)
    proven(stack, int8_bases=hashed[:1])
    assert [backends(AUTO)[name] for name in bases] == [AUTO, AUTO_BUT_INT8]
    predictors, _ = load_all(copied, AUTO)
    assert predictors["unetpp-bce"].bases == [predictors[name] for name in bases]
    proven(stack, int8_bases=hashed, largest_change=0.02)  # a proof that does not hold
    assert [backends(AUTO)[name] for name in bases] == [AUTO_BUT_INT8] * 2
    proven(stack, int8_bases=hashed)
    proven(read_checkpoint(copied / bases[1]), calibration_slices=11)  # quantised again since
    assert [backends(AUTO)[name] for name in bases] == [AUTO, AUTO_BUT_INT8]


def test_a_processor_without_int8_is_not_offered_it(copied, monkeypatch):
    checkpoint = read_checkpoint(copied / "unet-bce")
    proven(checkpoint)
    assert INT8 in opening.available_to(checkpoint)
    monkeypatch.setattr(opening, "processor_has_int8", lambda: False)
    assert INT8 not in opening.available_to(checkpoint)
    with pytest.raises(RangesError, match="no instructions for int8"):
        opening.open_backend(INT8, checkpoint)


def test_ranges_of_another_version_leave_the_others_to_choose_from(copied, caplog):
    checkpoint = read_checkpoint(copied / "unet-bce")
    proven(checkpoint)
    planes = Predictor(checkpoint).example_planes()[:1]
    choice, _ = fastest.measure(checkpoint, planes)
    assert INT8 not in choice.ms and "another graph" in caplog.text


def test_without_bf16_nothing_of_it_is_offered(copied, monkeypatch):
    monkeypatch.setenv("BRAINSEG_WITHOUT_BF16", "1")
    offered = opening.available()
    assert "openvino" in offered and not [name for name in offered if name.endswith("16")]
