"""The app as programs meet it: a process with a port, named endpoints and nothing to steal."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


def without_proxy():
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


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


def test_predict_gives_a_mask_on_the_scan_s_own_grid(client, scan_nifti):
    import SimpleITK as sitk
    from gradio_client import handle_file

    path, _ = scan_nifti
    mask, figures = client.predict(handle_file(path), "unet-bce", api_name="/predict")
    found, scan = sitk.ReadImage(mask), sitk.ReadImage(str(path))
    assert found.GetSize() == scan.GetSize() and found.GetOrigin() == scan.GetOrigin()
    assert found.GetSpacing() == pytest.approx(scan.GetSpacing())
    assert int((sitk.GetArrayFromImage(found) > 0).sum()) == figures["area_px"]
    assert figures["source"] == "volume.nii.gz" and figures["slices"] == 6


def test_predict_with_an_unknown_model_lists_the_models(client, scan_png):
    from gradio_client import handle_file

    with pytest.raises(Exception, match=r"no model 'vgg'.*unet-bce"):
        client.predict(handle_file(scan_png), "vgg", api_name="/predict")


def test_two_endpoints_are_offered(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert set(endpoints) == {"/compare", "/predict"}
    names = {
        key: [parameter["parameter_name"] for parameter in value["parameters"]]
        for key, value in endpoints.items()
    }
    more = ["flair", "t1", "t1c", "anyway", "channels", "example"]
    assert names == {"/compare": ["scan", "truth", *more], "/predict": ["scan", "model", *more]}


def test_the_snippets_of_the_page_run_as_they_are_pasted(app):
    info = json.load(without_proxy().open(f"{app[0]}gradio_api/info"))["named_endpoints"]
    results = {}
    for name, endpoint in info.items():
        code = endpoint["code_snippets"]["python"]
        assert 'example="large"' in code and (name == "/compare" or 'model="unet' in code)
        assert app[0].rstrip("/") in code
        scope = {}
        exec(code, scope)
        results[name] = scope["result"]
    assert results["/compare"]["source"] == "phantom large" and results["/compare"]["truth"]
    assert results["/predict"][1]["area_px"] >= 0


def test_a_file_takes_the_place_of_the_example(client, scan_png):
    from gradio_client import handle_file

    report = client.predict(scan=handle_file(scan_png), example="small", api_name="/compare")
    assert report["source"] == "scan.png"
    with pytest.raises(Exception, match="unknown kind of phantom 'huge'"):
        client.predict(example="huge", api_name="/compare")


def test_three_sequences_through_both_endpoints(client, scan_nifti):
    from gradio_client import handle_file

    path, truth = scan_nifti
    sequences = {"flair": handle_file(path), "t1": handle_file(path), "t1c": handle_file(path)}
    report = client.predict(**sequences, truth=handle_file(truth), api_name="/compare")
    assert report["source"].count("volume.nii.gz") == 3 and report["slices"] == 6
    _, figures = client.predict(model="unet-bce", **sequences, api_name="/predict")
    assert figures["area_px"] == report["models"]["unet-bce"]["area_px"]
    with pytest.raises(Exception, match="remove the scan"):
        client.predict(handle_file(path), None, **sequences, api_name="/compare")


def test_both_endpoints_stop_what_is_no_scan_unless_told_otherwise(client, tmp_path):
    from gradio_client import handle_file

    path = tmp_path / "static.png"
    values = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    Image.fromarray(values).save(path)
    for name, second in (("/compare", None), ("/predict", "unet-bce")):
        with pytest.raises(Exception, match=r"probably not a brain MRI.*anyway"):
            client.predict(handle_file(path), second, api_name=name)
        answer = client.predict(handle_file(path), second, anyway=True, api_name=name)
        figures = answer if name == "/compare" else answer[1]
        assert "probably not a brain MRI" in figures["findings"][0]


@pytest.mark.parametrize("path", ["/etc/passwd", f"{ROOT}/app.py", "../app.py"])
def test_paths_outside_the_uploads_cannot_be_read(app, path):
    """Neither endpoint opens a file of the server that a program merely names."""
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    calls = [("compare", [file, None]), ("compare", [None, file]), ("predict", [file, "unet-bce"])]
    for name, given in calls:
        body = json.dumps({"data": [*given, None, None, None, False, "", ""]}).encode()
        headers = {"Content-Type": "application/json"}
        url = f"{app[0]}gradio_api/call/{name}"
        try:
            answer = without_proxy().open(urllib.request.Request(url, body, headers)).read()
            event = json.loads(answer)["event_id"]
            told = without_proxy().open(f"{url}/{event}", timeout=120).read().decode()
        except urllib.error.HTTPError as error:
            told = "event: error" + error.read().decode()
        assert "event: error" in told and "root:" not in told and '"models"' not in told


def test_files_of_the_project_are_not_served(app):
    for path in ("gradio_api/file=app.py", f"gradio_api/file={ROOT}/app.py"):
        with pytest.raises(urllib.error.HTTPError):
            without_proxy().open(app[0] + path)


def test_importing_the_app_imports_no_torch():
    code = "import sys, app; assert app.demo; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_an_unexpected_error_is_one_plain_sentence_and_goes_to_the_log(caplog):
    from brainseg.ui.session import UNEXPECTED, explain

    assert explain(KeyError("secret")) == UNEXPECTED
    assert "secret" in caplog.text


def test_a_page_without_checkpoints_still_works_and_says_so(tmp_path, monkeypatch):
    from brainseg.ui import page

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    assert page.build(tmp_path / "none").fns
    assert "no trained model yet" in page.greet(tmp_path / "none")


def test_what_is_old_is_swept_and_what_is_new_stays(tmp_path):
    import os
    import time

    from brainseg.ui.uploads import MAX_AGE_S, SWEEP_S, sweep

    old, new = tmp_path / "a" / "old.png", tmp_path / "b" / "new.png"
    for file in (old, new):
        file.parent.mkdir()
        file.write_text("x")
    past = time.time() - MAX_AGE_S - 1
    os.utime(old, (past, past))
    sweep(tmp_path, MAX_AGE_S)
    assert not old.exists() and new.exists()
    assert MAX_AGE_S + SWEEP_S <= 3600


def test_what_a_killed_app_left_beside_is_swept(tmp_path):
    import os

    left, recent = (tmp_path / f"brainseg-uploads-{name}" / "scan.png" for name in ("old", "new"))
    theirs = tmp_path / "brainseg-data" / "scan.png"
    for file in (left, recent, theirs):
        file.parent.mkdir()
        file.write_text("x")
    for path in (left, theirs, left.parent, theirs.parent):
        os.utime(path, (0, 0))
    (tmp_path / "brainseg-uploads-link").symlink_to(theirs.parent)
    os.utime(tmp_path / "brainseg-uploads-link", (0, 0), follow_symlinks=False)
    code = "from brainseg.ui import uploads; uploads.own_uploads()"
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)
    assert not left.parent.exists() and recent.exists() and theirs.exists()


def test_visitors_of_long_ago_are_forgotten(monkeypatch, tmp_path):
    import time
    from datetime import datetime, timedelta
    from types import SimpleNamespace

    import gradio as gr
    from gradio.state_holder import StateHolder

    from brainseg.ui import uploads

    monkeypatch.setattr(uploads, "SWEEP_S", 0.01)
    with gr.Blocks() as page:
        shown = gr.Textbox()
    uploads.forget_visitors(page)
    holder = StateHolder()
    holder.set_blocks(page)
    long_ago = datetime.now() - timedelta(seconds=uploads.MAX_AGE_S + 1)
    for visitor in ("old", "left", "waiting", "new"):
        # Of who left while a comparison ran, Gradio keeps an event as pending.
        page._queue.pending_event_ids_session[visitor] = {visitor}
        holder[visitor]._update_value_in_config(shown._id, "a scan")
    for visitor, alive in (("left", False), ("waiting", True)):
        event = SimpleNamespace(session_hash=visitor, alive=alive)
        page._queue.event_ids_to_events[visitor] = event
    for visitor in ("old", "left", "waiting"):
        holder.time_last_used[visitor] = long_ago
    kept = {"waiting", "new"}
    give_up = time.monotonic() + 20
    while time.monotonic() < give_up and ({*holder.session_data, *holder.time_last_used} != kept):
        time.sleep(0.01)
    assert set(holder.session_data) == set(holder.time_last_used) == kept


def test_in_a_given_folder_what_is_ours_is_swept_and_nothing_else(tmp_path):
    import os

    code = """
import os, time
from pathlib import Path
from brainseg.ui import uploads
uploads.SWEEP_S = 0.01
uploads.own_uploads()
folder = os.environ["GRADIO_TEMP_DIR"]
uploads.own_uploads()  # of a second page: the same folder
assert os.environ["GRADIO_TEMP_DIR"] == folder
old, new = (Path(uploads.results_folder(), name) for name in ("old.png", "new.png"))
new.write_text("x")
old.write_text("x")
os.utime(old, (0, 0))
give_up = time.monotonic() + 20
while old.exists() and time.monotonic() < give_up:
    time.sleep(0.01)
print(old.exists(), new.exists())
"""
    given = tmp_path / "given"
    theirs = given / "results" / "theirs.png"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("x")
    os.utime(theirs, (0, 0))
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(given)}
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert told.stdout.split() == ["False", "True"], told.stderr
    assert [path for path in given.rglob("*") if path.is_file()] == [theirs]
    assert list(given.iterdir()) == [theirs.parent]  # none of ours outlives the process
