"""Pulling with the real client from a Hub on loopback: revisions, origins, the cache, faults."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

import brainseg
from brainseg.__main__ import main
from brainseg.checkpoints.folder import find_checkpoints, load_module, read_checkpoint
from brainseg.checkpoints.hub import download, local_folder
from brainseg.checkpoints.hub.client import HubError, parse_reference
from brainseg.checkpoints.hub.pull import pull
from brainseg.checkpoints.ranges import Activation, Proof, Ranges, has_proven, write_ranges
from brainseg.checkpoints.settings import CheckpointError
from brainseg.files import WriteError
from tests.checkpoints.hub.hub_server import sha256

REPO = "ada/brainseg"
METRICS = '{"validation": {"fold": 1, "patients": 2, "mean_dice": 0.5, "threshold": 0.5}}'
RESNET, DEEPLAB = "unet_resnet34-resnet18-bce", "deeplabv3plus-resnet18-bce"


@pytest.fixture
def remote(published):
    """The repository on the Hub."""
    return published.repos["model", REPO]


def same_weights(one, other) -> bool:
    one, other = one.state_dict(), other.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def all_files(folder) -> dict:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---------------------------------------------------------------- what comes back


def test_a_name_on_the_hub_loads_the_same_network(remote, trained, phantom_case):
    predictor = brainseg.load(f"{REPO}/unet-bce")
    local = brainseg.load("unet-bce", trained)
    assert type(predictor.module).__mro__[1] is torch.nn.Module
    assert same_weights(predictor.module, local.module)
    result, expected = (p.predict(phantom_case.scan) for p in (predictor, local))
    np.testing.assert_array_equal(result.probabilities, expected.probabilities)


def test_only_safetensors_and_json_are_fetched(remote, published):
    remote.commit({"unet-bce/pytorch_model.bin": b"evil", "unet-bce/origin.json": b"{}"})
    brainseg.load(f"{REPO}/unet-bce")
    asked = {path for method, path in published.requests if "/resolve/" in path}
    assert {path.rpartition("/")[2] for path in asked} == {
        "config.json", "model.safetensors", "metrics.json", "int8.json",
    }  # fmt: skip


def test_the_origin_names_the_commit(remote):
    origin = download(f"{REPO}/unet-bce").origin
    assert origin["repo"] == REPO and origin["revision"] == remote.head
    assert origin["asked"] == "main"
    assert origin["sha256"]["model.safetensors"] == sha256(
        remote.files["unet-bce/model.safetensors"]
    )


def test_a_revision_is_pinned(remote, trained):
    old = remote.head
    remote.tags["v1"] = old
    new = (trained / RESNET / "model.safetensors").read_bytes()
    config = (trained / RESNET / "config.json").read_bytes()
    remote.commit({"unet-bce/model.safetensors": new, "unet-bce/config.json": config})
    for revision in (old, "v1"):
        checkpoint = download(f"{REPO}/unet-bce@{revision}")
        assert checkpoint.origin["revision"] == old and checkpoint.origin["asked"] == revision
        assert checkpoint.settings.model == "unet"
    for reference in (f"{REPO}/unet-bce", f"{REPO}/unet-bce@main"):
        checkpoint = download(reference)
        assert checkpoint.origin["revision"] == remote.head != old
        assert checkpoint.settings.model == "unet_resnet34"


def test_a_stack_pulls_its_bases(remote, trained, phantom_case):
    predictor = brainseg.load(f"{REPO}/unetpp-bce")
    assert [base.name for base in predictor.bases] == [RESNET, DEEPLAB]
    expected = brainseg.load("unetpp-bce", trained).predict(phantom_case.scan)
    result = predictor.predict(phantom_case.scan)
    np.testing.assert_array_equal(result.probabilities, expected.probabilities)


def test_a_stack_whose_base_was_replaced_is_refused(remote, trained):
    config = json.loads(remote.files["unetpp-bce/config.json"])
    config["brainseg"]["bases"][0]["sha256"] = "0" * 64
    remote.commit({"unetpp-bce/config.json": json.dumps(config).encode()})
    with pytest.raises(CheckpointError, match="other weights"):
        download(f"{REPO}/unetpp-bce")


def test_smp_loads_a_pulled_folder(remote):
    import segmentation_models_pytorch as smp

    checkpoint = download(f"{REPO}/{RESNET}")
    theirs = smp.from_pretrained(str(checkpoint.folder)).eval()
    assert same_weights(theirs.float(), load_module(checkpoint))


def test_all_of_a_repository_for_the_app(remote, phantom_case):
    folder = local_folder(f"{REPO}@{remote.head}")
    found, skipped = find_checkpoints(folder)
    assert len(found) == 4 and not skipped and folder.name == remote.head
    comparison = brainseg.compare(phantom_case.scan, checkpoints=folder)
    assert {"unet-bce", "unetpp-bce", RESNET, DEEPLAB} <= set(comparison.results)


def test_one_bad_checkpoint_does_not_hide_the_others(remote, caplog):
    remote.commit({"unet-bce/config.json": b"{}"})
    found, _ = find_checkpoints(local_folder(REPO))
    assert len(found) == 3 and "unet-bce" in caplog.text


def test_nor_does_it_keep_the_others_from_being_pulled(remote, tmp_path, caplog):
    damaged = remote.files[f"{DEEPLAB}/model.safetensors"][:1000]
    remote.commit({f"{DEEPLAB}/model.safetensors": damaged})
    pulled = pull(REPO, tmp_path / "out")
    assert {c.name for c in pulled} == {"unet-bce", RESNET}  # the stack reads the damaged one
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"unet-bce", RESNET}
    assert f"{DEEPLAB}/model.safetensors" in caplog.text and "unetpp-bce" in caplog.text
    with pytest.raises(CheckpointError, match=DEEPLAB):
        pull(f"{REPO}/{DEEPLAB}", tmp_path / "out")


def test_a_stack_whose_base_is_not_there_is_named_with_it(remote, tmp_path, caplog):
    remote.commit({path: None for path in remote.files if path.startswith(DEEPLAB)})
    said = f"{REPO}/unetpp-bce reads {DEEPLAB}, which is not in the repository"
    assert {c.name for c in pull(REPO, tmp_path / "out")} == {"unet-bce", RESNET}
    assert said in caplog.text
    with pytest.raises(HubError, match=said):
        download(f"{REPO}/unetpp-bce")


def test_what_a_stack_here_reads_is_not_replaced_without_it(remote, tmp_path, save_random):
    pull(REPO, tmp_path / "out")
    other = save_random(tmp_path, "unet_resnet34", encoder="resnet18", seed=9)
    files = {f"{RESNET}/{path.name}": path.read_bytes() for path in other.folder.iterdir()}
    remote.commit(files)
    before = all_files(tmp_path / "out")
    with pytest.raises(HubError, match="unetpp-bce reads"):
        pull(f"{REPO}/{RESNET}", tmp_path / "out", overwrite=True)
    assert all_files(tmp_path / "out") == before


def test_folders_stay_folders(hub, tmp_path):
    assert local_folder(tmp_path) == tmp_path
    assert local_folder(str(tmp_path / "no" / "such")) == tmp_path / "no" / "such"
    assert local_folder("nowhere").name == "nowhere"
    assert not hub.requests


# ---------------------------------------------------------------- into a folder


def test_pull_copies_to_a_folder_with_origins(remote, trained, tmp_path):
    pulled = pull(f"{REPO}@{remote.head}", tmp_path / "out")
    assert {c.name for c in pulled} == {"unet-bce", RESNET, DEEPLAB, "unetpp-bce"}
    for checkpoint in pulled:
        assert checkpoint.folder == tmp_path / "out" / checkpoint.name
        assert checkpoint.origin["revision"] == checkpoint.origin["asked"] == remote.head
        for name, digest in checkpoint.origin["sha256"].items():
            content = (checkpoint.folder / name).read_bytes()
            assert sha256(content) == digest
            assert content == (trained / checkpoint.name / name).read_bytes()
        assert not any(path.is_symlink() for path in checkpoint.folder.iterdir())
        assert "## Licence" in (checkpoint.folder / "README.md").read_text()
    brainseg.load("unetpp-bce", tmp_path / "out").read_weights()


def test_int8_ranges_come_along_and_are_checked_like_the_rest(remote, trained, tmp_path):
    own = read_checkpoint(shutil.copytree(trained / "unet-bce", tmp_path / "own"))
    ranges = Ranges("0" * 16, (Activation(1, (2,), (0.0,), (1.0,)),))
    proof = Proof("validation", 20, 0.78, 0.0, 0.004, "f32", 10, 1.0)
    content = write_ranges(own, ranges, proof).read_bytes()
    remote.commit({"unet-bce/int8.json": content})
    (pulled,) = pull(f"{REPO}/unet-bce", tmp_path / "out")
    assert (pulled.folder / "int8.json").read_bytes() == content and has_proven(pulled)
    assert pulled.origin["sha256"]["int8.json"] == sha256(content)
    remote.commit({"unet-bce/int8.json": b" " * (4 * 2**20 + 1)})
    with pytest.raises(HubError, match=r"int8\.json has 4194305 bytes"):
        pull(f"{REPO}/unet-bce", tmp_path / "out", overwrite=True)
    assert has_proven(pulled)


def test_pull_of_a_stack_alone_takes_what_it_reads(remote, tmp_path):
    pull(f"{REPO}/unetpp-bce", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"unetpp-bce", RESNET, DEEPLAB}


def test_another_checkpoint_is_replaced_only_when_told(remote, trained, tmp_path):
    pull(f"{REPO}/unet-bce", tmp_path)
    pull(f"{REPO}/unet-bce", tmp_path)  # the same one is no conflict
    shutil.copyfile(trained / RESNET / "config.json", tmp_path / "unet-bce" / "config.json")
    before = all_files(tmp_path)
    with pytest.raises(HubError, match="--overwrite"):
        pull(f"{REPO}/unet-bce", tmp_path)
    assert all_files(tmp_path) == before
    (checkpoint,) = pull(f"{REPO}/unet-bce", tmp_path, overwrite=True)
    assert checkpoint.settings.model == "unet"


def test_what_lies_where_a_checkpoint_shall_go_is_kept(remote, trained, tmp_path):
    """A run whose config.json is lost or still to come; but not what a killed pull left."""
    folder = tmp_path / "unet-bce"
    folder.mkdir()
    shutil.copyfile(trained / RESNET / "model.safetensors", folder / "model.safetensors")
    with pytest.raises(HubError, match="--overwrite"):
        pull(f"{REPO}/unet-bce", tmp_path)
    shutil.copyfile(trained / "unet-bce" / "model.safetensors", folder / "model.safetensors")
    pull(f"{REPO}/unet-bce", tmp_path)


def test_what_was_added_to_a_pulled_checkpoint_stays(remote, tmp_path):
    (checkpoint,) = pull(f"{REPO}/unet-bce", tmp_path)
    folder = checkpoint.folder
    (folder / "history.csv").write_text("epoch\n1\n")
    worse, better = (METRICS.replace("0.5", dice, 1) for dice in ("0.25", "0.75"))
    remote.commit({"unet-bce/metrics.json": worse.encode()})
    assert pull(f"{REPO}/unet-bce", tmp_path)[0].validation_dice == 0.25  # as it was pulled before
    (folder / "metrics.json").write_text(better)
    (again,) = pull(f"{REPO}/unet-bce", tmp_path)
    assert again.validation_dice == 0.75 and (folder / "history.csv").is_file()
    assert again.origin["revision"] == remote.head
    (folder / "README.md").write_text("mine")
    (folder / "metrics.json").write_text("[]")  # of no use to anybody
    (again,) = pull(f"{REPO}/unet-bce", tmp_path)
    assert again.validation_dice == 0.25
    (folder / "README.md").write_text("mine")
    pull(f"{REPO}/unet-bce", tmp_path)
    assert (folder / "README.md").read_text() == "mine"
    (fresh,) = pull(f"{REPO}/unet-bce", tmp_path, overwrite=True)
    assert fresh.validation_dice == 0.25 and not (folder / "history.csv").exists()
    assert (folder / "README.md").read_text() != "mine"


def test_what_replaces_a_pulled_checkpoint_has_no_origin(remote, trained, tmp_path):
    from brainseg.checkpoints.folder import copy_checkpoint

    (checkpoint,) = pull(f"{REPO}/unet-bce", tmp_path)
    copy_checkpoint(read_checkpoint(trained / "unet-bce"), checkpoint.folder)
    assert read_checkpoint(checkpoint.folder).origin is None


def test_a_pulled_checkpoint_can_be_pushed_on(remote, published, tmp_path):
    from brainseg.checkpoints.hub.push import push

    push(pull(f"{REPO}/unet-bce", tmp_path), "bob/mine")
    theirs = published.repos["model", "bob/mine"].files
    assert theirs["unet-bce/config.json"] == remote.files["unet-bce/config.json"]
    assert "unet-bce/origin.json" not in theirs
    remote.commit({"unet-bce/history.csv": b"epoch\n1\n"})
    push(pull(f"{REPO}/unet-bce", tmp_path), REPO)  # which pulling leaves there
    assert remote.files["unet-bce/history.csv"] == b"epoch\n1\n"


def test_the_command(remote, tmp_path, capsys):
    out = ["--out", str(tmp_path)]
    assert main(["pull", f"{REPO}/unet-bce@{remote.head}", *out]) == 0
    assert remote.head in capsys.readouterr().out
    assert main(["pull", f"{REPO}/nothing", *out]) == 1
    assert main(["pull", "ada/nothing", *out]) == 1
    assert main(["pull", f"{REPO}@no-such-branch", *out]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3 and "no such checkpoint" in said[0]
    assert "no such repository" in said[1] and "no such revision" in said[2]


def test_predict_takes_a_repository(remote, tmp_path, phantom_case, capsys):
    from PIL import Image

    Image.fromarray(phantom_case.scan.pixels[3]).save(tmp_path / "scan.png")
    command = ["predict", str(tmp_path / "scan.png"), "--out", str(tmp_path / "out")]
    assert main([*command, "--checkpoints", f"{REPO}@{remote.head}"]) == 0
    assert "unetpp-bce" in capsys.readouterr().out


# ---------------------------------------------------------------- the cache


def test_a_pinned_checkpoint_in_the_cache_asks_for_nothing(remote, published):
    reference = f"{REPO}/unetpp-bce@{remote.head}"
    download(reference)
    published.requests.clear()
    download(reference)
    assert published.requests == []


@pytest.mark.parametrize("fault", [{"cut": 0}, {"status": 503}, {"status": 401}])
def test_a_hub_that_does_not_answer_leaves_the_cache(remote, published, fault, caplog):
    online = download(f"{REPO}/unet-bce")
    local_folder(REPO)
    for method in ("GET", "HEAD"):
        published.fail(method, "", **fault)
    assert download(f"{REPO}/unet-bce").origin == online.origin
    assert "cache" in caplog.text
    assert len(find_checkpoints(local_folder(REPO))[0]) == 4
    with pytest.raises(HubError, match=REPO):
        download("ada/brainseg-other/unet-bce")
    shutil.rmtree(os.environ["HF_HOME"])
    for ask in (local_folder, lambda repo: download(f"{repo}/unet-bce")):
        with pytest.raises(HubError, match=r"Hugging Face Hub|no such repository"):
            ask(REPO)


@pytest.mark.parametrize(
    "settings", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}]
)
def test_offline_in_a_process_of_its_own(remote, settings):
    commit = download(f"{REPO}/unet-bce").origin["revision"]
    code = (
        "import brainseg; from brainseg.checkpoints.hub import local_folder;"
        f"print(brainseg.load('{REPO}/unet-bce').checkpoint.origin['revision']);"
        f"print(local_folder('{REPO}').name);"
        f"brainseg.load('{REPO}/unetpp-bce')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **settings}, capture_output=True, text=True
    )
    assert done.stdout.split() == [commit, commit], done.stderr
    last = done.stderr.splitlines()[-1]
    assert "HubError" in last and f"{REPO}/unetpp-bce" in last


def test_weights_that_others_fetched_serve_without_their_scores(remote, published, caplog):
    from huggingface_hub import hf_hub_download

    for file in ("config.json", "model.safetensors"):
        hf_hub_download(REPO, f"unet-bce/{file}")
    for method in ("GET", "HEAD"):
        published.fail(method, "", status=503)
    checkpoint = download(f"{REPO}/unet-bce")
    assert load_module(checkpoint) and checkpoint.validation_dice is None
    assert "without its metrics.json" in caplog.text
    published.faults.clear()
    assert download(f"{REPO}/unet-bce").validation_dice == 0.7


def test_what_is_not_in_the_cache_does_not_hide_what_is(remote, published, caplog):
    download(f"{REPO}/unet-bce")
    published.fail("HEAD", RESNET, status=503)
    assert len(find_checkpoints(local_folder(REPO))[0]) == 3 and f"{REPO}/{RESNET}" in caplog.text


def test_damage_in_the_cache_is_noticed(remote, cache):
    checkpoint = download(f"{REPO}/unet-bce@{remote.head}")
    weights = (checkpoint.folder / "model.safetensors").resolve()
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(HubError, match="damaged"):
        download(f"{REPO}/unet-bce@{remote.head}")
    again = download(f"{REPO}/unet-bce@{remote.head}")  # fetched anew
    assert again.sha256() == sha256(remote.files["unet-bce/model.safetensors"])


def test_a_cache_that_cannot_be_written_to_still_serves(remote, monkeypatch):
    checkpoint = download(f"{REPO}/unet-bce@{remote.head}")
    (checkpoint.folder / "origin.json").unlink()

    def refuse(*args, **kwargs):
        raise PermissionError(13, "read-only")

    monkeypatch.setattr("pathlib.Path.write_text", refuse)
    assert download(f"{REPO}/unet-bce@{remote.head}").origin is None


def test_what_is_pulled_through_such_a_cache_tells_no_commit(remote, monkeypatch, tmp_path, capsys):
    def refuse(path, *args, **kwargs):
        raise WriteError(f"{path} could not be written.")

    monkeypatch.setattr("brainseg.checkpoints.hub.pull.write_json", refuse)
    assert main(["pull", f"{REPO}/unet-bce", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert f"{tmp_path / 'unet-bce'}: {REPO}/unet-bce; its commit is not noted" in said
    assert read_checkpoint(tmp_path / "unet-bce").origin is None


# ---------------------------------------------------------------- faults

FAULTS = [
    ("HEAD", "model.safetensors", {"status": 401}, r"\(401\)|no such repository"),
    ("HEAD", "config.json", {"status": 403}, r"\(403\)"),
    ("HEAD", "config.json", {"status": 404}, r"\(404\)"),
    ("HEAD", "config.json", {"status": 429}, r"\(429\)"),
    ("HEAD", "config.json", {"status": 500}, r"\(500\)"),
    ("HEAD", "config.json", {"cut": 0}, "connection broke"),
    ("GET", "config.json", {"status": 503}, r"\(503\)"),
    ("GET", "model.safetensors", {"status": 500}, r"\(500\)"),
    ("GET", "model.safetensors", {"cut": 0}, "connection broke"),
    ("GET", "model.safetensors", {"corrupt": True}, "damaged"),
    ("GET", "config.json", {"corrupt": True}, "damaged"),
    ("GET", "metrics.json", {"corrupt": True}, "damaged"),
    ("HEAD", "model.safetensors", {"headers": {"X-Linked-Size": "50000000000"}}, "50000000000"),
    ("HEAD", "model.safetensors", {"headers": {"X-Linked-Etag": '"' + "0" * 64 + '"'}}, "damaged"),
]


@pytest.mark.parametrize(("method", "path", "fault", "said"), FAULTS)
def test_a_fault_says_why_and_leaves_nothing(
    remote, published, tmp_path, cache, method, path, fault, said
):
    out = tmp_path / "out"
    published.fail(method, path, **fault)
    with pytest.raises(HubError, match=said) as error:
        pull(f"{REPO}/unet-bce", out)
    assert "unet-bce" in str(error.value) and "\n" not in str(error.value)
    assert not out.exists()
    left = {path.name for path in cache.rglob("*") if path.is_file()}
    assert path not in left and not [name for name in left if name.endswith(".incomplete")]
    published.faults.clear()
    (checkpoint,) = pull(f"{REPO}/unet-bce", out)
    assert checkpoint.sha256() == sha256(remote.files["unet-bce/model.safetensors"])


def test_a_download_cut_in_the_middle_goes_on_where_it_was(remote, published, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 100_000)
    published.fail("GET", "model.safetensors", cut=3_000_000, times=2)
    checkpoint = download(f"{REPO}/unet-bce")
    assert checkpoint.sha256() == sha256(remote.files["unet-bce/model.safetensors"])


def test_a_private_repository(remote, monkeypatch):
    remote.private = True
    assert download(f"{REPO}/unet-bce").name == "unet-bce"
    shutil.rmtree(os.environ["HF_HOME"])
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match="private"):
        download(f"{REPO}/unet-bce")


@pytest.mark.parametrize(
    "reference",
    ["ada", "ada/brainseg", "a/b/c/d", "../b/c", "a/../c", "a/b/..", "a/b/c@", "a/b/c@../x",
     "a/b/c@main@x", "a//c", "a/b/.c", "a\\b/c/d", "a/b/c@x y"],
)  # fmt: skip
def test_what_names_no_checkpoint(hub, reference):
    with pytest.raises(HubError, match="expected user/repo"):
        download(reference)
    assert not hub.requests


def test_a_reference_reads_as_written():
    for text in ("a/b", "a/b@v1", "a/b/c", "a/b/c@refs/pr/1"):
        assert str(parse_reference(text)) == text
