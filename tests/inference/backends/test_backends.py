"""Every backend gives what eager float32 PyTorch gives; the fastest that does is chosen."""

import os
import shutil

import numpy as np
import pytest
import torch

from brainseg.checkpoints.folder import find_base, read_checkpoint
from brainseg.checkpoints.settings import CheckpointError
from brainseg.inference.backends import fastest, graphs, opening
from brainseg.inference.backends.names import NAMES
from brainseg.inference.loading import load_usable
from brainseg.inference.predictor import Predictor, predict_all
from brainseg.scans.preprocessing import prepare


@pytest.fixture(scope="module")
def checkpoints(random_checkpoints, tmp_path_factory):
    """A copy of the random checkpoints, so that graphs of them reach no other test."""
    return shutil.copytree(random_checkpoints, tmp_path_factory.mktemp("copy") / "checkpoints")


@pytest.fixture
def copied(random_checkpoints, tmp_path, monkeypatch):
    """A copy of the random checkpoints with nothing derived from them yet."""
    monkeypatch.setenv("BRAINSEG_CACHE", str(tmp_path / "cache"))
    return shutil.copytree(random_checkpoints, tmp_path / "checkpoints")


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


@pytest.mark.parametrize("backend", [*NAMES[1:3], *NAMES[4:7]])
def test_masks_are_those_of_float32_pytorch(checkpoints, phantom_case, backend):
    if backend not in [*opening.available(), "pytorch-bf16"]:  # bf16 can be emulated
        pytest.skip(f"{backend} is not to be had here")
    expected, _ = load_usable(checkpoints, "pytorch")
    found, _ = load_usable(checkpoints, backend)
    rough = backend.endswith(("bf16", "fp16"))
    for fast, right in zip(
        predict_all(phantom_case.scan, found), predict_all(phantom_case.scan, expected), strict=True
    ):
        assert fast.name == right.name
        if rough and right.kind != "model":  # a random stack makes noise of its bases' rounding
            continue
        # Random networks are undecided everywhere and amplify rounding; trained ones are not.
        difference = np.abs(fast.probabilities - right.probabilities).mean()
        assert difference < (fastest.TOLERANCE if rough else 1e-3), fast.name
        assert right.mask.any() or right.kind == "fusion"
        if right.mask.any():
            assert dice(fast.mask, right.mask) > (0.95 if rough else 0.998), fast.name


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_one_slice_and_many_slices_agree(checkpoints, phantom_case, backend):
    pytest.importorskip(backend)
    predictor = Predictor(read_checkpoint(checkpoints / "unet-bce"), backend)
    prepared = prepare(phantom_case.scan.pixels, 64)
    planes = predictor._planes(prepared, [], slice(None))
    together = predictor.forward(planes)
    alone = np.concatenate([predictor.forward(planes[i : i + 1]) for i in range(len(planes))])
    assert together.dtype == np.float32 and together.shape == (6, 64, 64)
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_an_unknown_backend_lists_the_known(checkpoints):
    predictor = Predictor(read_checkpoint(checkpoints / "unet-bce"), "tensorflow")
    with pytest.raises(ValueError, match=r"'tensorflow'.*onnxruntime"):
        predictor.read_weights()


def open_alone(checkpoint, backend):
    """A predictor that nobody else holds, nor its bases."""
    bases = [open_alone(find_base(checkpoint, base), backend) for base in checkpoint.bases]
    return Predictor(checkpoint, backend, bases)


def test_tuning_chooses_the_fastest_and_remembers(copied, tmp_path, monkeypatch):
    checkpoint = read_checkpoint(copied / "unetpp-bce")
    predictor = open_alone(checkpoint, "auto")
    planes = predictor.example_planes()
    before = predictor.forward(planes)
    assert predictor.backend == "auto" and not (tmp_path / "cache").exists()
    predictor.tune()
    known = fastest.remembered(checkpoint)
    assert known.backend == predictor.backend == min(known.ms, key=known.ms.get)
    assert set(known.difference) == set(opening.available())  # all were tried
    agreeing = {name for name, d in known.difference.items() if d <= fastest.TOLERANCE}
    assert set(known.ms) == agreeing  # bf16, where there is any, may be too rough for a random one
    assert all(base.backend != "auto" for base in predictor.bases)
    # On the same planes: a random stack would make noise of what its bases round.
    np.testing.assert_allclose(predictor.forward(planes), before, atol=0.05)

    monkeypatch.setattr(fastest, "measure", lambda *args: pytest.fail("measured again"))
    again = open_alone(checkpoint, "auto")
    again.tune()
    assert again.backend == known.backend


def test_pytorch_may_be_the_fastest_and_is_remembered_too(copied, phantom_case, monkeypatch):
    checkpoint = read_checkpoint(copied / "unet-bce")
    known = fastest.Choice("pytorch", {"pytorch": 1.0, "openvino": 2.0}, {"pytorch": 0.0})
    monkeypatch.setattr(fastest, "remembered", lambda _: known)
    monkeypatch.setattr(fastest, "measure", lambda *args: pytest.fail("measured again"))
    predictor = Predictor(checkpoint, "auto")
    predictor.tune()
    assert predictor.backend == "pytorch" and predictor.predict(phantom_case.scan)


def test_on_another_device_nothing_of_the_processor_is_offered_nor_its_choice(monkeypatch):
    here = fastest._file_name.__wrapped__()
    monkeypatch.setenv("BRAINSEG_DEVICE", "cuda")
    assert all(name.startswith("pytorch") for name in opening.available())
    assert not opening.has_int8()
    assert fastest._file_name.__wrapped__() != here


def fake(values):
    return lambda planes: np.full((len(planes), *planes.shape[2:]), values, np.float32)


def test_wrong_and_failing_backends_are_never_chosen(copied, monkeypatch, caplog):
    checkpoint = read_checkpoint(copied / "unet-bce")

    def opened(name, _):
        if name == "fails":
            raise RuntimeError("no such instruction")
        return fake({"pytorch": 0.5, "wrong": 0.6, "nan": np.nan, "right": 0.5001}[name])

    names = ["pytorch", "wrong", "nan", "fails", "right"]
    monkeypatch.setattr(opening, "open_backend", opened)
    monkeypatch.setattr(opening, "available", lambda: names)
    known, run = fastest.measure(checkpoint, np.zeros((1, 3, 8, 8), np.float32))
    assert set(known.ms) == {"pytorch", "right"}
    assert known.backend in known.ms and run(np.zeros((1, 3, 8, 8))).shape == (1, 8, 8)
    for name in names[1:4]:
        assert f"{name} is left out" in caplog.text


def test_a_remembered_backend_that_no_longer_works_falls_back(copied, phantom_case, monkeypatch):
    checkpoint = read_checkpoint(copied / "unet-bce")
    expected = Predictor(checkpoint).predict(phantom_case.scan).probabilities
    known = fastest.Choice("openvino", {"openvino": 1.0}, {"openvino": 0.0})
    monkeypatch.setattr(fastest, "remembered", lambda _: known)
    monkeypatch.setattr(opening, "open_backend", lambda *_: 1 / 0)
    found = Predictor(checkpoint, "auto").predict(phantom_case.scan).probabilities
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_pytorch_alone_is_enough(copied, phantom_case, tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "find_spec", lambda name: None)
    predictor = Predictor(read_checkpoint(copied / "unet-bce"), "auto")
    predictor.tune()
    assert predictor.backend.startswith("pytorch")
    assert predictor.predict(phantom_case.scan).mask.any()
    assert not list(tmp_path.rglob("graph.*"))


def test_damaged_weights_are_said_to_be(copied):
    path = copied / "unet-bce" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    for backend in ("auto", "openvino", "onnxruntime"):
        with pytest.raises(CheckpointError, match="unet-bce"):
            Predictor(read_checkpoint(copied / "unet-bce"), backend).read_weights()


# ---------------------------------------------------------------- where graphs are kept


def write_nothing(checkpoint, kind, path):
    path.write_text(f"a graph of {checkpoint.name}")


@pytest.fixture
def writes(monkeypatch):
    """Graphs that cost nothing; gives the list of those that were written."""
    written = []

    def write(checkpoint, kind, path):
        written.append((checkpoint.name, kind))
        write_nothing(checkpoint, kind, path)

    monkeypatch.setattr(graphs, "write", write)
    return written


def test_a_graph_is_made_once_in_the_users_cache(copied, writes, tmp_path):
    checkpoint = read_checkpoint(copied / "unet-bce")
    path = graphs.cached(checkpoint, "onnx")
    assert path.is_relative_to(tmp_path / "cache" / "graphs")
    assert graphs.cached(checkpoint, "onnx") == path and writes == [("unet-bce", "onnx")]


def test_a_stale_graph_is_replaced(copied, writes, save_random):
    old = graphs.cached(read_checkpoint(copied / "unet-bce"), "onnx")
    save_random(copied, "unet", seed=8)
    new = graphs.cached(read_checkpoint(copied / "unet-bce"), "onnx")
    assert new != old and not old.exists() and len(writes) == 2
    save_random(copied, "unet", seed=8, threshold=0.3)  # the same weights, used differently
    assert graphs.cached(read_checkpoint(copied / "unet-bce"), "onnx") != new


def test_graphs_of_checkpoints_that_nobody_uses_go_at_last(copied, writes):
    names = ("unet-bce", "deeplabv3plus-resnet18-bce", "unetpp-bce")
    unused, used, new = (read_checkpoint(copied / name) for name in names)
    paths = [graphs.cached(checkpoint, "onnx") for checkpoint in (unused, used)]
    for path in paths:
        os.utime(path.parents[2], (0, 0))
    assert graphs.find(used, "onnx/graph.onnx") == paths[1]
    graphs.cached(new, "onnx")
    assert not paths[0].exists() and paths[1].exists()


def test_nothing_that_came_with_the_weights_is_believed(copied, writes, tmp_path):
    checkpoint = read_checkpoint(copied / "unet-bce")
    path = graphs.cached(checkpoint, "onnx")
    foreign = checkpoint.folder / ".graphs" / path.relative_to(path.parents[2])
    foreign.parent.mkdir(parents=True)
    foreign.write_text("a graph that marks nothing")
    shutil.rmtree(tmp_path / "cache")
    assert graphs.find(checkpoint, "onnx/graph.onnx") is None
    assert graphs.cached(checkpoint, "onnx").read_text() == "a graph of unet-bce"
    assert len(writes) == 2


def test_a_cache_that_cannot_be_written_is_named(copied, writes, tmp_path, monkeypatch):
    checkpoint = read_checkpoint(copied / "unet-bce")
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("BRAINSEG_CACHE", str(tmp_path / "file"))
    with pytest.raises(OSError, match="BRAINSEG_CACHE"):
        graphs.cached(checkpoint, "onnx")


def test_a_graph_that_fails_leaves_nothing(copied, tmp_path, monkeypatch):
    checkpoint = read_checkpoint(copied / "unet-bce")

    def fail(checkpoint, kind, path):
        path.write_text("half")
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(graphs, "write", fail)
    with pytest.raises(RuntimeError, match="full"):
        graphs.cached(checkpoint, "onnx")
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]
    assert graphs.find(checkpoint, "onnx/graph.onnx") is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no other device")
def test_a_network_on_another_device_takes_and_gives_arrays(checkpoints, phantom_case, monkeypatch):
    expected = Predictor(read_checkpoint(checkpoints / "unet-bce")).predict(phantom_case.scan)
    monkeypatch.setenv("BRAINSEG_DEVICE", "cuda")
    found = Predictor(read_checkpoint(checkpoints / "unet-bce")).predict(phantom_case.scan)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-3)
