"""The Space: its folder is what is pushed, holds what it needs and no more, and runs."""

import difflib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from PIL import Image

from brainseg.__main__ import main
from brainseg.checkpoints.hub.client import HubError
from brainseg.checkpoints.hub.space import CPU_INDEX, push_space, write_space
from brainseg.checkpoints.settings import CheckpointError
from brainseg.files import WriteError

REPO, SPACE = "ada/brainseg", "ada/demo"


@pytest.fixture
def space(trained, tmp_path) -> Path:
    """The folder of a Space that takes ``trained`` along."""
    write_space(tmp_path / "space", SPACE, str(trained))
    return tmp_path / "space"


def front_matter(folder: Path) -> dict:
    return yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


# ---------------------------------------------------------------- the folder


def test_the_front_matter(space):
    import gradio

    found = front_matter(space)
    assert found["sdk"] == "gradio" and found["sdk_version"] == gradio.__version__
    assert found["python_version"] == "{}.{}".format(*sys.version_info)
    assert (space / found["app_file"]).is_file()
    assert found["license"] == "apache-2.0"  # of the phantoms the weights were trained on
    assert found["suggested_hardware"] == "cpu-basic"
    assert len(found["short_description"]) <= 60  # what the Hub takes


def test_only_what_it_needs(space):
    found = names(space)
    assert {"app.py", "LICENSE", "brainseg/ui/page.css", "brainseg/inference/predictor.py"} <= found
    assert "checkpoints/unetpp-bce/model.safetensors" in found
    assert not found & {"train.py", "brainseg/training/loop.py", "brainseg/checkpoints/hub/push.py"}
    assert not [name for name in found if name.endswith(".pyc") or name.startswith("tests")]


def test_requirements_are_pinned_and_for_the_cpu(space):
    lines = (space / "requirements.txt").read_text().splitlines()
    assert lines[0] == CPU_INDEX
    assert all("==" in line and "+" not in line for line in lines[1:])
    found = {line.partition("==")[0] for line in lines[1:]}
    assert {"torch", "torchvision", "segmentation-models-pytorch", "SimpleITK"} <= found
    assert not found & {"gradio", "accelerate", "matplotlib", "ray"}


def test_checkpoints_of_a_repository_are_pinned_and_preloaded(published, tmp_path):
    head = published.repos["model", REPO].head
    write_space(tmp_path / "space", SPACE, REPO)
    found = front_matter(tmp_path / "space")
    assert found["models"] == [REPO]
    (preload,) = found["preload_from_hub"]
    repo, files, revision = preload.split(" ")
    assert (repo, revision) == (REPO, head)
    assert "unet-bce/model.safetensors" in files.split(",")
    assert f"{REPO}@{head}" in (tmp_path / "space" / found["app_file"]).read_text()
    assert not (tmp_path / "space" / "checkpoints").exists()


def test_a_cache_that_cannot_be_written_to_still_tells_the_commit(published, tmp_path, monkeypatch):
    def refuse(path, *args, **kwargs):
        raise WriteError(f"{path} could not be written.")

    monkeypatch.setattr("brainseg.checkpoints.hub.pull.write_json", refuse)
    write_space(tmp_path / "space", SPACE, REPO)
    (preload,) = front_matter(tmp_path / "space")["preload_from_hub"]
    assert preload.split(" ")[2] == published.repos["model", REPO].head


def test_a_private_repository_needs_a_token_there_too(published, tmp_path, caplog):
    write_space(tmp_path / "open", SPACE, REPO)
    assert "HF_TOKEN" not in caplog.text
    published.repos["model", REPO].private = True
    write_space(tmp_path / "closed", SPACE, REPO)
    assert f"{REPO} is private" in caplog.text and "HF_TOKEN" in caplog.text


def test_runs_of_one_name_are_all_taken_along(trained, tmp_path):
    for fold in (0, 1):
        shutil.copytree(trained / "unet-bce", tmp_path / "runs" / "unet-bce" / f"fold{fold}-seed0")
    write_space(tmp_path / "space", SPACE, str(tmp_path / "runs"))
    kept = {name for name in names(tmp_path / "space") if name.endswith(".safetensors")}
    assert kept == {f"checkpoints/unet-bce/fold{fold}-seed0/model.safetensors" for fold in (0, 1)}


def test_a_gpu_space_is_for_zerogpu(trained, tmp_path):
    write_space(tmp_path / "space", SPACE, str(trained), gpu=True)
    found = front_matter(tmp_path / "space")
    assert found["suggested_hardware"] == "zero-a10g"
    requirements = (tmp_path / "space" / "requirements.txt").read_text()
    assert CPU_INDEX not in requirements and "spaces" in requirements.splitlines()
    entry = (tmp_path / "space" / found["app_file"]).read_text()
    compile(entry, "space.py", "exec")
    assert entry.index("import spaces") < entry.index("from brainseg")


def test_weights_of_data_with_several_licences(save_random, tmp_path):
    save_random(tmp_path / "own", "unet", dataset="lgg+figshare")
    write_space(tmp_path / "space", SPACE, str(tmp_path / "own"))
    assert front_matter(tmp_path / "space")["license"] == "other"


def test_a_folder_in_use_and_checkpoints_that_are_none(space, trained, tmp_path):
    before = names(space)
    with pytest.raises(HubError, match="not empty"):
        write_space(space, SPACE, str(trained))
    assert names(space) == before
    (tmp_path / "none").mkdir()
    with pytest.raises(CheckpointError, match="no checkpoint"):
        write_space(tmp_path / "new", SPACE, str(tmp_path / "none"))
    with pytest.raises(HubError, match="expected user/repo"):
        write_space(tmp_path / "new", "demo", str(trained))
    assert not (tmp_path / "new").exists()


# ---------------------------------------------------------------- the push


def test_what_is_pushed_is_the_folder(hub, space, trained):
    assert push_space(SPACE, str(trained), private=True)
    remote = hub.repos["space", SPACE]
    assert remote.private and remote.sdk == "gradio"
    assert set(remote.files) - {".gitattributes"} == names(space)
    for name in names(space):
        assert remote.files[name] == (space / name).read_bytes(), name


def test_an_update_is_one_commit_and_leaves_nothing_old(hub, trained):
    push_space(SPACE, str(trained))
    remote = hub.repos["space", SPACE]
    assert push_space(SPACE, str(trained)) is None
    assert len(remote.commits) == 2
    remote.commit({"old.py": b"old"})
    assert push_space(SPACE, str(trained))
    assert "old.py" not in remote.files and ".gitattributes" in remote.files


def test_a_fault_leaves_the_old_space(hub, trained):
    hub.repo(SPACE, "space").commit({"app.py": b"old"})
    hub.fail("PUT", "/lfs/", cut=1000)
    with pytest.raises(HubError, match=f"the Space {SPACE}"):
        push_space(SPACE, str(trained))
    assert hub.repos["space", SPACE].files["app.py"] == b"old"


def test_the_command(hub, trained, tmp_path, capsys):
    flags = ["--checkpoints", str(trained)]
    assert main(["space", SPACE, *flags, "--dry-run", str(tmp_path / "dry")]) == 0
    assert not hub.requests and (tmp_path / "dry" / "app.py").is_file()
    assert main(["space", SPACE, *flags]) == 0
    capsys.readouterr()
    assert main(["space", SPACE, *flags]) == 0
    assert "nothing was pushed" in capsys.readouterr().out


# ---------------------------------------------------------------- it runs


@contextmanager
def running(python: Path, folder: Path, *flags: str, **environment: str):
    """Start a folder's app as a Space does; gives a client of it."""
    from gradio_client import Client

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/"
    own = {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": str(port), **environment}
    command = [str(python), front_matter(folder)["app_file"], *flags]
    log = folder.with_name("app.log")
    with log.open("w") as out:
        process = subprocess.Popen(
            command, cwd=folder, env=own, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        _wait(url, process, log)
        yield Client(url, verbose=False)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    assert "Traceback" not in log.read_text()


def _wait(url: str, process: subprocess.Popen, log: Path) -> None:
    give_up = time.monotonic() + 300
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < give_up:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            opener.open(url, timeout=5).close()
            return
        except OSError:
            threading.Event().wait(0.2)  # the fixture ``hub`` takes time.sleep away
    raise TimeoutError(log.read_text()[-3000:])


@pytest.fixture
def scan(tmp_path, phantom_case) -> Path:
    Image.fromarray(phantom_case.scan.pixels[3]).save(tmp_path / "scan.png")
    return tmp_path / "scan.png"


def compared(client, scan: Path) -> set[str]:
    from gradio_client import handle_file

    report = client.predict(handle_file(scan), None, api_name="/compare")
    assert report["skipped"] == []
    return {name for name in report["models"] if not name.startswith("fusion")}


def test_the_folder_runs_with_checkpoints_from_the_hub(published, trained, tmp_path, scan):
    """On this interpreter, but with nothing of the checkout in reach: the folder comes first."""
    write_space(tmp_path / "space", SPACE, REPO)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    where = "import brainseg; print(brainseg.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", where], cwd=tmp_path / "space", env=environment, capture_output=True
    )
    assert str(tmp_path) in done.stdout.decode()
    with running(sys.executable, tmp_path / "space", **environment) as client:
        assert compared(client, scan) == {path.name for path in trained.iterdir()}


def test_the_app_takes_a_repository(published, tmp_path, scan):
    """``python app.py --checkpoints REPO@REVISION`` in the checkout."""
    head = published.repos["model", REPO].head
    root = Path(__file__).parents[3]
    command = [sys.executable, "app.py", "--checkpoints", "ada/nothing"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode and "no such repository" in done.stderr
    assert "Traceback" not in done.stderr
    code = (
        "import sys, app; from brainseg.checkpoints.hub import local_folder;"
        f"print(local_folder('{REPO}@{head}').name); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip() == head, done.stderr


@pytest.mark.slow
def test_the_folder_runs_in_a_fresh_environment(space, trained, scan, tmp_path, capsys):
    """Installed and started as a Space would, but for one line: PyTorch's CPU index is replaced by
    the usual one, because tests reach no other host. The difference is shown."""
    path = space / "requirements.txt"
    written = path.read_text().splitlines()
    replaced = ["# the usual index" if line == CPU_INDEX else line for line in written]
    path.write_text("\n".join(replaced) + "\n")
    difference = list(difflib.unified_diff(written, replaced, "written", "run", n=0, lineterm=""))
    with capsys.disabled():
        print("", *difference, sep="\n")
    assert len(difference) == 5  # two names, one place, one line away and one line new
    venv = tmp_path / "venv"
    try:
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        python = venv / "bin" / "python"
        gradio = f"gradio=={front_matter(space)['sdk_version']}"
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", path,
             gradio], check=True,
        )  # fmt: skip
        home = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "HF_HUB_OFFLINE": "1"}
        with running(python, space, **home, NO_PROXY="127.0.0.1") as client:
            assert compared(client, scan) == {path.name for path in trained.iterdir()}
    finally:
        shutil.rmtree(venv, ignore_errors=True)  # gigabytes
