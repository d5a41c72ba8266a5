"""The app as its users meet it: a process with a port, a page and one endpoint."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def without_proxy():
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture(scope="module")
def app(random_checkpoints, tmp_path_factory):
    """Start ``python app.py`` on a free port; yields its address and its folder for uploads."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("app")
    environment = {
        **os.environ,
        "BRAINSEG_CHECKPOINTS": str(random_checkpoints),
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
        "TMPDIR": str(folder),
    }
    environment.pop("GRADIO_TEMP_DIR", None)
    url = f"http://127.0.0.1:{port}/"
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
    try:
        _wait(url, process)
        yield url, folder
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    assert "Traceback" not in (folder / "log.txt").read_text()
    assert not list(folder.glob("brainseg-*")), "uploads outlive the app"


def _wait(url: str, process: subprocess.Popen) -> None:
    give_up = time.monotonic() + 300
    while time.monotonic() < give_up:
        assert process.poll() is None, "app.py ended"
        try:
            without_proxy().open(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(url)


@pytest.fixture(scope="module")
def client(app):
    from gradio_client import Client

    return Client(app[0], verbose=False)


def test_the_first_page_says_what_it_is(app):
    page = without_proxy().open(app[0]).read().decode()
    assert "Not for clinical use" in page


def test_compare_with_truth(client, scan_png, truth_png):
    from gradio_client import handle_file

    report = client.predict(handle_file(scan_png), handle_file(truth_png), api_name="/compare")
    assert report["source"] == "scan.png" and report["truth"] is True
    assert len(report["models"]) == 6
    for entry in report["models"].values():
        assert 0 <= entry["area_px"] <= 60 * 80
        assert {"dice", "iou", "precision", "recall", "agreement"} <= set(entry)


def test_compare_without_truth(client, scan_png):
    from gradio_client import handle_file

    report = client.predict(handle_file(scan_png), api_name="/compare")
    assert report["truth"] is False
    assert all("dice" not in entry for entry in report["models"].values())
    assert report == client.predict(scan=handle_file(scan_png), truth=None, api_name="/compare")


def test_a_bad_file_is_answered_in_a_sentence(client, tmp_path):
    from gradio_client import handle_file

    path = tmp_path / "notes.txt"
    path.write_text("not a scan")
    with pytest.raises(Exception, match=r"notes\.txt .*expected"):
        client.predict(handle_file(path), None, api_name="/compare")


def test_only_compare_is_offered(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert list(endpoints) == ["/compare"]
    names = [parameter["parameter_name"] for parameter in endpoints["/compare"]["parameters"]]
    assert names == ["scan", "truth"]


def test_files_of_the_project_are_not_served(app):
    for path in ("gradio_api/file=app.py", f"gradio_api/file={ROOT}/app.py"):
        with pytest.raises(urllib.error.HTTPError):
            without_proxy().open(app[0] + path)


def test_importing_the_app_imports_no_torch():
    code = "import sys, app; assert app.demo; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_an_unexpected_error_is_one_plain_sentence_and_goes_to_the_log(caplog):
    from brainseg.ui import page

    assert page.explain(KeyError("secret")) == page.UNEXPECTED
    assert "secret" in caplog.text


def test_a_page_without_checkpoints_still_works_and_says_so(tmp_path, monkeypatch):
    from brainseg.ui import page

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    assert page.build(tmp_path / "none").fns
    assert "no trained model yet" in page.greet(tmp_path / "none")


def test_a_view_that_is_no_longer_kept_is_said_to_be_gone():
    from brainseg.ui import page

    with pytest.warns(UserWarning, match="compare again"):  # a toast, when there is a browser
        assert page.EXPIRED in page.draw(None, 1)
