"""Repositories made to harm whoever pulls them: one clear sentence, and nothing of theirs runs."""

import json
import pickle
import resource
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

import brainseg
from brainseg.__main__ import main
from brainseg.checkpoints.folder import load_module, read_checkpoint
from brainseg.checkpoints.hub import download, local_folder
from brainseg.checkpoints.hub.pull import pull
from brainseg.checkpoints.settings import CheckpointError

REPO = "eve/models"
RESNET = "unet_resnet34-resnet18-bce"


class Bomb:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def good(trained) -> dict[str, bytes]:
    """The files of a good checkpoint, by name."""
    return {path.name: path.read_bytes() for path in (trained / "unet-bce").iterdir()}


@pytest.fixture
def offer(hub, good):
    """Put a checkpoint ``unet-bce`` with some files replaced (None: left out) on the Hub."""

    def publish(changes: dict[str, bytes | None]) -> str:
        files = {f"unet-bce/{name}": content for name, content in {**good, **changes}.items()}
        hub.repo(REPO).commit({path: c for path, c in files.items() if c is not None})
        return f"{REPO}/unet-bce"

    return publish


def refused(reference: str, tmp_path: Path) -> str:
    """What one reads of a checkpoint that must be refused by every way to it; nothing is kept."""
    out = tmp_path / "out"
    with pytest.raises(CheckpointError) as error:
        pull(reference, out)
    with pytest.raises(CheckpointError):
        brainseg.load(reference).read_weights()
    assert main(["pull", reference, "--out", str(out)]) == 1
    assert not out.exists()
    said = str(error.value)
    assert "unet-bce" in said and "\n" not in said and len(said) < 700
    return said


def config_with(good: dict, change: dict | None = None, **ours) -> bytes:
    config = json.loads(good["config.json"])
    config.update(change or {})
    config["brainseg"].update(ours)
    return json.dumps(config).encode()


def header_of(tensors: dict, data: bytes = b"") -> bytes:
    header = json.dumps(tensors).encode()
    return struct.pack("<Q", len(header)) + header + data


# ---------------------------------------------------------------- pickles


def test_pickles_are_not_even_fetched(hub, offer, tmp_path):
    bomb = pickle.dumps(Bomb(tmp_path / "boom"))
    names = ("pytorch_model.bin", "model.pt", "model.pkl", "model.ckpt")
    said = refused(offer({"model.safetensors": None, **dict.fromkeys(names, bomb)}), tmp_path)
    assert "safetensors" in said
    assert not any(hub.asked("GET", f"/resolve/.*{name}") for name in names)
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "metrics.json"])
def test_a_pickle_under_another_name_is_not_run(offer, tmp_path, name):
    refused_by = {name: pickle.dumps(Bomb(tmp_path / "boom"))}
    if name == "metrics.json":  # loading reads no scores; the pull's card does
        with pytest.raises(CheckpointError, match=r"metrics\.json"):
            pull(offer(refused_by), tmp_path / "out")
        assert not (tmp_path / "out").exists()
    else:
        assert name in refused(offer(refused_by), tmp_path)
    assert not (tmp_path / "boom").exists()


def test_a_repository_of_pickles_holds_no_checkpoint(hub, tmp_path):
    hub.repo(REPO).commit({"pytorch_model.bin": b"evil", "config.json": b"{}"})
    for ask in (local_folder, lambda repo: pull(repo, tmp_path / "out")):
        with pytest.raises(CheckpointError, match="holds no checkpoint"):
            ask(REPO)


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    "path",
    ["../../evil/config.json", "/etc/config.json", "a/../../config.json", "..\\evil\\config.json"],
)
def test_paths_that_lead_elsewhere(hub, good, cache, tmp_path, path):
    hub.repo(REPO).commit({path: good["config.json"], "unet-bce/config.json": good["config.json"]})
    for ask in (local_folder, lambda repo: pull(repo, tmp_path / "out")):
        with pytest.raises(CheckpointError, match="unsafe path"):
            ask(REPO)
    assert not hub.asked("GET", "/resolve/") and not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["../../evil", "/tmp/evil", "a/b", "..", ".evil", "", "a\nb", 7])
def test_names_that_lead_elsewhere(offer, good, tmp_path, name):
    said = refused(offer({"config.json": config_with(good, name=name)}), tmp_path)
    assert "name is" in said


@pytest.mark.parametrize("name", ["../unet-bce", "/etc", "eve/other/unet-bce", "..", None])
def test_bases_that_lead_elsewhere(offer, good, tmp_path, name):
    bases = [{"name": name, "sha256": "0" * 64}]
    config = config_with(good, model="unetpp", bases=bases)
    assert "bases" in refused(offer({"config.json": config}), tmp_path)


# ---------------------------------------------------------------- configurations


@pytest.mark.parametrize(
    ("ours", "said"),
    [
        ({"model": "segformer"}, "Unknown model"),
        ({"model": "os.system"}, "Unknown model"),
        ({"model": ["unet"]}, "model is"),
        ({"model": {"a": 1}}, "model is"),
        ({"encoder": "resnet34"}, "self-defined"),
        ({"model": "unet_resnet34", "encoder": "no-such"}, "Unknown encoder"),
        # timm takes such names for addresses on the Hub, and builds what it finds there
        ({"model": "unet_resnet34", "encoder": "tu-hf-hub:eve/evil"}, "encoder is"),
        ({"model": "unet_resnet34", "encoder": "tu-local-dir:/etc"}, "encoder is"),
        ({"model": "unet_resnet34", "encoder": ["resnet34"]}, "encoder is"),
        ({"preprocessing": {"size": 10**9}}, "size is"),
        ({"preprocessing": {"size": 65536}}, "size is"),
        ({"preprocessing": {"size": 33}}, "size is"),
        ({"preprocessing": {"size": -64}}, "size is"),
        ({"preprocessing": {"size": 64.0}}, "size is"),
        ({"preprocessing": {"size": True}}, "size is"),
        ({"preprocessing": [64]}, "size is"),
        ({"threshold": float("nan")}, "threshold is"),
        ({"threshold": 1e9}, "threshold is"),
        ({"threshold": True}, "threshold is"),
        ({"model": "unetpp", "bases": [{"name": "a", "sha256": ""}] * 10_000}, "bases"),
        ({"model": "unetpp", "bases": "abc"}, "bases"),
        ({"stack_inputs": "x" * 10}, "stack inputs"),
        ({"stack_inputs": ["predictions"]}, "stack inputs"),
    ],
)
def test_configurations_out_of_range(hub, offer, good, tmp_path, ours, said):
    assert said in refused(offer({"config.json": config_with(good, **ours)}), tmp_path)
    assert not any("evil" in path for _, path in hub.requests)


@pytest.mark.parametrize("name", ["os.system", "Unet", "create_model", "__class__", 7])
def test_an_unknown_class_for_smp(offer, good, tmp_path, name):
    config = config_with(good, {"_model_class": name})
    assert "_model_class" in refused(offer({"config.json": config}), tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 200_000,
        b'{"brainseg":' * 100_000,
        b'{"brainseg": {"format": ' + b"9" * 5000 + b"}}",
        b"[]",
        b"\xff\xfe",
        b'{"brainseg": null}',
    ],
)
def test_json_that_is_not_ours(offer, tmp_path, content):
    assert "config.json" in refused(offer({"config.json": content}), tmp_path)


def test_a_configuration_of_megabytes_is_not_fetched(hub, offer, good, tmp_path):
    content = good["config.json"] + b" " * 2**21
    assert "bytes" in refused(offer({"config.json": content}), tmp_path)
    assert not hub.asked("GET", "/resolve/")


def test_weights_are_not_fetched_for_a_bad_configuration(hub, offer, tmp_path):
    refused(offer({"config.json": b"{}"}), tmp_path)
    assert not hub.asked("GET", r"/resolve/.*\.safetensors")


# ---------------------------------------------------------------- weights


def changed(good: dict, change) -> dict:
    tensors = load(good["model.safetensors"])
    change(tensors)
    return {"model.safetensors": save(tensors)}


HEAD = "head.weight"  # (1, 32, 1, 1)
MEAN = "down.0.1.running_mean"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers(offer, good, tmp_path, value):
    def change(tensors):
        tensors[HEAD][0, 5] = value

    assert "finite" in refused(offer(changed(good, change)), tmp_path)


@pytest.mark.parametrize("shape", [(1, 32), (1, 64, 1, 1), (), (0,), (100_000,)])
def test_wrong_shapes(offer, good, tmp_path, shape):
    def change(tensors):
        tensors[HEAD] = np.zeros(shape, np.float16)

    said = refused(offer(changed(good, change)), tmp_path)
    assert HEAD in said and str(shape) in said


@pytest.mark.parametrize("dtype", [np.float64, np.uint8, np.bool_])
def test_wrong_types(offer, good, tmp_path, dtype):
    def change(tensors):
        tensors[HEAD] = tensors[HEAD].astype(dtype)

    assert HEAD in refused(offer(changed(good, change)), tmp_path)


def test_counts_where_numbers_are_needed(offer, good, tmp_path):
    """Running means of whole numbers would only fail on the first scan."""

    def change(tensors):
        tensors[MEAN] = tensors[MEAN].astype(np.int64)

    assert f"{MEAN} is I64" in refused(offer(changed(good, change)), tmp_path)


def test_tensors_too_many_and_too_few(offer, hub, good, tmp_path):
    def change(tensors):
        tensors["evil"] = tensors.pop(HEAD)

    assert f"lacks {HEAD}" in refused(offer(changed(good, change)), tmp_path)
    hub.reset()
    more = changed(good, lambda tensors: tensors.update(evil=tensors[HEAD]))
    assert "also holds evil" in refused(offer(more), tmp_path / "2")


GIGABYTES = 50 * 10**9


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", GIGABYTES) + b"{}",
        struct.pack("<Q", 2**64 - 1) + b"{}",
        header_of({"a": {"dtype": "F16", "shape": [5 * 10**9], "data_offsets": [0, 10**10]}}),
        header_of({"a": {"dtype": "F16", "shape": [GIGABYTES], "data_offsets": [0, 4]}}, b"1234"),
        header_of({"a": {"dtype": "F16", "shape": [2**40, 2**40], "data_offsets": [0, 0]}}),
        header_of({"a": {"dtype": "F16", "shape": [-1], "data_offsets": [0, 2]}}, b"12"),
        header_of({"a": {"dtype": "F16", "shape": [1], "data_offsets": [2, 0]}}, b"12"),
        b"",
        b"\x08",
        header_of({}),
    ],
)  # fmt: skip
def test_headers_that_promise_what_is_not_there(offer, tmp_path, content):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said = refused(offer({"model.safetensors": content}), tmp_path)
    assert "model.safetensors" in said
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown_mb < 500


def test_a_giant_network_is_not_built_for_small_weights(offer, good, tmp_path):
    """846 million parameters, 3.4 GB, are named; the weights are those of another network."""
    config = config_with(good, model="unet_resnet34", encoder="tu-convnext_xxlarge")
    reference = offer({"config.json": config})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "lacks" in refused(reference, tmp_path)
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown_mb < 1000


def test_local_folders_profit_too(good, tmp_path):
    folder = tmp_path / "unet-bce"
    folder.mkdir()

    def change(tensors):
        tensors[HEAD][0, 0] = np.nan

    for name, content in {**good, **changed(good, change)}.items():
        (folder / name).write_bytes(content)
    with pytest.raises(CheckpointError, match="finite"):
        load_module(read_checkpoint(folder))


def test_scores_that_are_no_scores(offer, tmp_path):
    huge = f'{{"validation": {{"mean_dice": 1{"0" * 400}}}}}'.encode()
    for content in (
        b"[1]",
        b'{"test": 3}',
        b'{"test": {"dice": {"mean": "<b>"}}}',
        b"[" * 10**5,
        huge,
    ):
        with pytest.raises(CheckpointError, match="unet-bce"):
            pull(offer({"metrics.json": content}), tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_the_good_one_is_taken(offer, tmp_path):
    """Or else the tests above would prove nothing."""
    reference = offer({})
    assert pull(reference, tmp_path / "out") and download(reference)
