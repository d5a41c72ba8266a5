"""Pushing with the real client to a Hub on loopback: what arrives, and what faults leave."""

import json
import shutil

import pytest
from huggingface_hub import ModelCard

from brainseg.__main__ import main
from brainseg.checkpoints.folder import find_named, read_checkpoint
from brainseg.checkpoints.hub.client import HubError
from brainseg.checkpoints.hub.push import push
from brainseg.checkpoints.settings import CheckpointError
from tests.checkpoints.hub.hub_server import TOKEN, sha256

REPO = "ada/brainseg"
RESNET, DEEPLAB = "unet_resnet34-resnet18-bce", "deeplabv3plus-resnet18-bce"


@pytest.fixture
def unet(trained, tmp_path):
    """A copy of the U-Net that a test may change."""
    return read_checkpoint(shutil.copytree(trained / "unet-bce", tmp_path / "own" / "unet-bce"))


def remote(hub):
    """The repository on the Hub."""
    return hub.repos["model", REPO]


# ---------------------------------------------------------------- what arrives


def test_one_folder_per_checkpoint_in_one_commit(hub, unet):
    address = push([unet], REPO)
    assert address.endswith(remote(hub).head)
    assert len(remote(hub).commits) == 2  # the Hub's own and ours
    files = remote(hub).files
    assert set(files) == {
        ".gitattributes", "README.md", "unet-bce/README.md", "unet-bce/config.json",
        "unet-bce/history.csv", "unet-bce/metrics.json", "unet-bce/model.safetensors",
    }  # fmt: skip
    for name in ("model.safetensors", "config.json", "metrics.json", "history.csv"):
        assert files[f"unet-bce/{name}"] == (unet.folder / name).read_bytes()
    assert remote(hub).commits[-1].message == "Add unet-bce"


def test_pushing_twice_changes_nothing(hub, unet, trained):
    push(find_named([], trained), REPO)
    commits = len(remote(hub).commits)
    assert push(find_named([], trained), REPO) is None
    assert push([unet], REPO) is None
    assert len(remote(hub).commits) == commits
    assert hub.asked("POST", "/preupload/") == 1


def test_the_message_says_what_changed(hub, unet):
    push([unet], REPO)
    metrics = json.loads((unet.folder / "metrics.json").read_text())
    metrics["test"]["dice"]["mean"] = 0.76
    (unet.folder / "metrics.json").write_text(json.dumps(metrics))
    before = remote(hub).files
    push([unet], REPO)
    commit = remote(hub).commits[-1]
    assert commit.message == "Update unet-bce (card, scores)"
    assert "unet-bce/model.safetensors" not in commit.description
    assert commit.files["unet-bce/model.safetensors"] == before["unet-bce/model.safetensors"]
    assert hub.asked("PUT", "/lfs/") == 1  # the weights were not sent again


def test_a_file_that_went_away_goes_away_there_too(hub, unet):
    push([unet], REPO)
    remote(hub).commit({"notes.txt": b"mine", "unet-bce/notes.txt": b"mine"})
    (unet.folder / "history.csv").unlink()
    push([unet], REPO)
    assert "unet-bce/history.csv" not in remote(hub).files
    assert remote(hub).files["notes.txt"] == remote(hub).files["unet-bce/notes.txt"] == b"mine"


def test_int8_ranges_go_along(hub, unet):
    push([unet], REPO)
    (unet.folder / "int8.json").write_text("{}")
    push([unet], REPO)
    assert remote(hub).files["unet-bce/int8.json"] == b"{}"
    assert remote(hub).commits[-1].message == "Update unet-bce (int8 ranges)"
    (unet.folder / "int8.json").unlink()
    push([unet], REPO)
    assert "unet-bce/int8.json" not in remote(hub).files


def test_a_stack_brings_its_bases(hub, trained):
    push(find_named(["unetpp-bce"], trained), REPO)
    names = {path.partition("/")[0] for path in remote(hub).files if "/" in path}
    assert names == {"unetpp-bce", RESNET, DEEPLAB}
    assert len(remote(hub).commits) == 2


def test_the_repository_card_names_all_that_is_there(hub, trained):
    push(find_named(["unet-bce"], trained), REPO)
    push(find_named([RESNET], trained), REPO)
    assert remote(hub).commits[-1].message == f"Add {RESNET}"
    card = ModelCard(remote(hub).files["README.md"].decode())
    assert "unet-bce" in card.text and RESNET in card.text
    assert {r.metric_name.partition(":")[0] for r in card.data.eval_results} == {"unet-bce", RESNET}


def test_a_strangers_folder_does_not_stop_a_push(hub, unet):
    hub.repo(REPO).commit({"other/config.json": b'{"model_type": "bert"}'})
    push([unet], REPO)
    assert "other" not in remote(hub).files["README.md"].decode()


def test_cards_hold_what_the_hub_shows(hub, unet):
    push([unet], REPO)
    for path in ("README.md", "unet-bce/README.md"):
        card = ModelCard(remote(hub).files[path].decode())
        assert card.data.license == "apache-2.0"  # of the phantoms it was trained on
        assert card.data.library_name == "brainseg"
        (result,) = card.data.eval_results
        assert (result.dataset_type, result.dataset_config) == ("phantom", "fold 0")
        assert (result.metric_type, result.metric_value) == ("dice", 0.75)
        assert result.metric_args == {"patients": 9, "interval_95": [0.7, 0.8]}
        for heading in ("How to load", "Intended use", "Limits", "Licence"):
            assert f"## {heading}" in card.text
        assert f'brainseg.load("{REPO}/unet-bce")' in card.text


def test_two_of_one_name_are_refused(hub, trained, tmp_path, save_random):
    other = save_random(tmp_path, "unet", seed=9)
    with pytest.raises(CheckpointError, match="both called unet-bce"):
        push([read_checkpoint(trained / "unet-bce"), other], REPO)
    assert not hub.requests


def test_what_a_stack_there_reads_is_not_replaced_without_it(hub, trained, tmp_path, save_random):
    push(find_named([], trained), REPO)
    before = remote(hub).head
    other = save_random(tmp_path, "unet_resnet34", encoder="resnet18", seed=9)
    with pytest.raises(HubError, match=f"unetpp-bce in {REPO} reads {RESNET}"):
        push([other], REPO)
    assert remote(hub).head == before
    remote(hub).commit({"unetpp-bce/metrics.json": b"[1]"})  # it can't be described, but it works
    with pytest.raises(HubError, match=f"unetpp-bce in {REPO} reads {RESNET}"):
        push([other], REPO)
    push([other], "ada/elsewhere")
    push(find_named([RESNET], trained), REPO)  # the one that is there


# ---------------------------------------------------------------- private


def test_private_is_private(hub, unet):
    push([unet], REPO, private=True)
    assert remote(hub).private
    push([unet], "ada/open")
    assert not hub.repos["model", "ada/open"].private


def test_private_into_a_public_repository_is_refused(hub, unet):
    hub.repo(REPO)
    with pytest.raises(HubError, match="is public, and --private was asked for"):
        push([unet], REPO, private=True)
    assert len(remote(hub).commits) == 1


# ---------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("method", "path", "fault", "said"),
    [
        ("POST", "/preupload/", {"status": 401}, r"\(401\).*hf auth login"),
        ("POST", "/preupload/", {"status": 403}, r"\(403\).*write access"),
        ("POST", "/commit/", {"status": 409}, r"\(409\).*try again"),
        ("POST", "/commit/", {"status": 429}, r"\(429\).*wait"),
        ("POST", "/commit/", {"status": 503}, r"out of order \(503\)"),
        ("POST", "/preupload/", {"status": 500}, r"out of order \(500\)"),
        ("PUT", "/lfs/", {"status": 500}, r"out of order \(500\)"),
        ("PUT", "/lfs/", {"cut": 100_000}, "connection broke"),
        ("POST", "/commit/", {"cut": 100}, "connection broke"),
        ("POST", "/lfs-verify", {"status": 404}, r"\(404\)"),
        ("GET", f"/api/models/{REPO}$", {"status": 500}, r"out of order \(500\)"),
        ("GET", "/tree/", {"status": 404}, r"\(404\)|no such"),
    ],
)
def test_a_fault_leaves_the_old_state_and_says_why(hub, unet, method, path, fault, said):
    push([unet], REPO)
    before = (remote(hub).head, remote(hub).files)
    weights = bytearray((unet.folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (unet.folder / "model.safetensors").write_bytes(weights)
    hub.fail(method, path, **fault)
    with pytest.raises(HubError, match=said) as error:
        push([unet], REPO)
    assert str(error.value).startswith(REPO) and "\n" not in str(error.value)
    assert (remote(hub).head, remote(hub).files) == before
    hub.faults.clear()
    assert push([unet], REPO)  # and once the fault is over it goes through
    assert sha256(remote(hub).files["unet-bce/model.safetensors"]) == unet.sha256()


def test_one_fault_is_got_over(hub, unet):
    hub.fail("PUT", "/lfs/", status=503, times=1)
    assert push([unet], REPO)


def test_a_push_that_came_in_between_is_not_overwritten(hub, unet):
    push([unet], REPO)
    (unet.folder / "history.csv").write_text("epoch\n1\n")
    late = {"unet-bce/history.csv": b"of somebody else"}
    hub.fail("POST", "/preupload/", action=lambda: remote(hub).commit(late))
    with pytest.raises(HubError, match=r"somebody else changed it .*\(412\)"):
        push([unet], REPO)
    assert remote(hub).files["unet-bce/history.csv"] == b"of somebody else"


def test_a_card_the_hub_refuses(hub, unet):
    hub.fail("POST", "/validate-yaml", status=400, message=f"bad card, {TOKEN}")
    with pytest.raises(HubError) as error:
        push([unet], REPO)
    assert "refused" in str(error.value) and TOKEN not in str(error.value)
    assert len(remote(hub).commits) == 1


def test_nobody_logged_in(hub, unet, monkeypatch, capsys):
    monkeypatch.delenv("HF_TOKEN")
    assert main(["push", str(unet.folder), REPO]) == 1
    assert "hf auth login" in capsys.readouterr().err
    assert not hub.requests


def test_a_wrong_token(hub, unet, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", "hf_wrongwrongwrong")
    assert main(["push", str(unet.folder), REPO]) == 1
    said = capsys.readouterr()
    assert "(401)" in said.err and "hf_wrong" not in said.out + said.err
    assert ("model", REPO) not in hub.repos


@pytest.mark.parametrize("repo", ["brainseg", "a/b/c", "a/b@main", "../evil", "a b/c", "a/..", ""])
def test_what_is_no_repository(hub, unet, repo):
    with pytest.raises(HubError, match="expected user/repo"):
        push([unet], repo)
    assert not hub.requests


# ---------------------------------------------------------------- the command


def test_the_command(hub, trained, capsys):
    assert main(["push", "unet-bce", REPO, "--checkpoints", str(trained), "--private"]) == 0
    assert remote(hub).head in capsys.readouterr().out and remote(hub).private
    assert main(["push", "--all", REPO, "--checkpoints", str(trained)]) == 0
    capsys.readouterr()
    assert main(["push", "--all", REPO, "--checkpoints", str(trained)]) == 0
    assert "nothing was pushed" in capsys.readouterr().out
    assert main(["push", REPO, "--checkpoints", str(trained)]) == 1
    assert "--all" in capsys.readouterr().err
    assert main(["push", "--all", "unet-bce", REPO]) == 1
    assert main(["push", "missing", REPO, "--checkpoints", str(trained)]) == 1
    assert "missing" in capsys.readouterr().err
    assert hub.tokens_seen == {TOKEN, None}  # none with the upload itself
