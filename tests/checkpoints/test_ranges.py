"""Ranges for int8 beside the weights: back as they were, bound to them, and never believed."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from brainseg.checkpoints.folder import (
    RANGES,
    copy_checkpoint,
    find_base,
    read_checkpoint,
    replace_settings,
)
from brainseg.checkpoints.ranges import (
    Activation,
    Proof,
    Ranges,
    RangesError,
    has_proven,
    may_read_in_int8,
    read_ranges,
    write_ranges,
)
from brainseg.checkpoints.settings import CheckpointError

IT = Ranges("0123456789abcdef", (Activation(3, (4, 5), (-0.5, 0.0), (1.5, 2.0)),))
PROOF = Proof("validation", 20, 0.78, -0.0013, 0.0092, "bf16", 159, 0.9,
              (("one", "0a"), ("two", "1b")))  # fmt: skip


@pytest.fixture
def checkpoint(random_checkpoints, tmp_path):
    return read_checkpoint(shutil.copytree(random_checkpoints / "unet-bce", tmp_path / "unet-bce"))


def test_ranges_come_back_as_they_were(checkpoint):
    assert not has_proven(checkpoint)
    write_ranges(checkpoint, IT, PROOF)
    assert read_ranges(checkpoint) == (IT, PROOF) and has_proven(checkpoint)


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        ({}, True),
        ({"mean_change": 0.002, "largest_change": 0.01}, True),
        ({"mean_change": -0.0021}, False),
        ({"largest_change": 0.0101}, False),
        ({"mean_change": float("nan")}, False),
        ({"largest_change": float("nan")}, False),
    ],
)
def test_the_bounds(change, holds):
    assert replace(PROOF, **change).holds == holds


def test_what_does_not_hold_the_bounds_keeps_its_proof_alone(checkpoint):
    write_ranges(checkpoint, IT, replace(PROOF, largest_change=0.044))
    assert json.loads((checkpoint.folder / RANGES).read_text())["activations"] == []
    with pytest.raises(RangesError, match=r"unet-bce does not hold the bounds .*0\.0440"):
        read_ranges(checkpoint)
    assert not has_proven(checkpoint)


def test_other_weights_and_another_threshold_have_no_ranges(checkpoint, random_checkpoints):
    write_ranges(checkpoint, IT, PROOF)
    replace_settings(checkpoint, replace(checkpoint.settings, threshold=0.4))
    with pytest.raises(RangesError, match=r"another threshold.*brainseg quantise"):
        read_ranges(read_checkpoint(checkpoint.folder))
    replace_settings(checkpoint, checkpoint.settings)
    assert has_proven(read_checkpoint(checkpoint.folder))
    other = random_checkpoints / "unet_resnet34-resnet18-bce" / "model.safetensors"
    shutil.copyfile(other, checkpoint.folder / "model.safetensors")
    with pytest.raises(RangesError, match="other weights"):
        read_ranges(checkpoint)


def test_a_copy_takes_them_along_and_leaves_no_older_ones(checkpoint, random_checkpoints, tmp_path):
    write_ranges(checkpoint, IT, PROOF)
    copy_checkpoint(checkpoint, tmp_path / "copy")
    assert has_proven(read_checkpoint(tmp_path / "copy"))
    copy_checkpoint(read_checkpoint(random_checkpoints / "unet-bce"), tmp_path / "copy")
    assert not (tmp_path / "copy" / RANGES).exists()


def edited(told, *path, value):
    for key in path[:-1]:
        told = told[key]
    told[path[-1]] = value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), 2),
        (("graph",), 5),
        (("graph",), "a" * 17),
        (("activations",), {}),
        (("activations",), [[]] * 10_001),
        (("activations", 0, "source"), -1),
        (("activations", 0, "source"), True),
        (("activations", 0, "readers"), []),
        (("activations", 0, "readers"), ["rm -rf"]),
        (("activations", 0, "low"), [0.0]),
        (("activations", 0, "low"), [0.5, 0.0]),
        (("activations", 0, "high"), [float("inf"), 2.0]),
        (("activations", 0, "high"), [0.0, 0.0]),
        (("proof", "rest"), "int4"),
        (("proof", "role"), "test"),
        (("proof", "patients"), 0),
        (("proof", "mean_change"), "none"),
        (("proof", "more"), 1),
        (("proof", "int8_bases"), [["../up", "0a"]]),
        (("proof", "int8_bases"), ["one", "two"]),  # of whatever ranges they have
        (("proof", "int8_bases"), [["one", 1]]),
        (("proof", "int8_bases"), "unet"),
        (("proof",), []),
        (("activations", 0), 7),
        (("activations", 0, "high"), [10**400, 2.0]),
    ],
)
def test_what_a_stranger_may_have_written_is_refused(checkpoint, path, value):
    write_ranges(checkpoint, IT, PROOF)
    file = checkpoint.folder / RANGES
    told = json.loads(file.read_text())
    edited(told, *path, value=value)
    if path == ("activations", 0, "high") and value == [0.0, 0.0]:
        edited(told, "activations", 0, "low", value=[0.0, 0.0])  # a range of no width
    file.write_text(json.dumps(told))
    with pytest.raises(CheckpointError, match=r"int8\.json holds no int8 ranges"):
        read_ranges(checkpoint)
    assert not has_proven(checkpoint)


@pytest.mark.parametrize("content", ["", "[]", "{}", "[" * 100_000, "x" * (4 * 2**20 + 1)])
def test_a_damaged_file_is_as_good_as_none(checkpoint, content):
    (checkpoint.folder / RANGES).write_text(content)
    with pytest.raises(CheckpointError, match="remove it"):
        read_ranges(checkpoint)
    assert not has_proven(checkpoint)


def test_the_shipped_stack_reads_its_bases_in_int8_over_the_ranges_it_was_proven_with(tmp_path):
    name, shipped = "unetpp_efficientnet-bce", Path(__file__).parents[2] / "checkpoints"
    stack = read_checkpoint(shipped / name)
    assert len(stack.bases) == 2
    for one in (stack, *(find_base(stack, base) for base in stack.bases)):
        copy_checkpoint(one, tmp_path / one.name)
    stack = read_checkpoint(tmp_path / name)
    bases = [find_base(stack, base) for base in stack.bases]
    assert [may_read_in_int8(stack, base) for base in bases] == [True, True]
    ranges, proof = read_ranges(bases[0])
    first = ranges.activations[0]
    first = replace(first, high=tuple(0.8 * high for high in first.high))
    write_ranges(bases[0], replace(ranges, activations=(first, *ranges.activations[1:])), proof)
    (bases[1].folder / RANGES).unlink()
    assert has_proven(stack) and has_proven(bases[0])
    assert [may_read_in_int8(stack, base) for base in bases] == [False, False]
